//! Every byte of a bundle, changed: as damage, and as a lie whose closing hash fits.

use bytes::Bytes;
use cairn_client::{
    home::Home,
    verdict::Verdict,
    verify::{BundleCheck, Report, Subject, verify_bundle},
};
use cairn_grpc::LookupAnswer;
use cairn_proto::bundle::Bundle;

use super::{
    base::Base,
    socket::Liar,
    sweep::{Place, chosen, mutated, mutations, proves, said},
    world::World,
};
use crate::support::{
    desk::{environment, tags},
    prove::now,
};

/// The file with its closing hash made to fit.
fn closed(text: &[u8]) -> Vec<u8> {
    let mut file = text.to_vec();
    let hash = blake3::hash(text);
    file.extend_from_slice(format!("blake3 {hash}\n").as_bytes());
    file
}

/// Goal: no changed byte of a bundle is VERIFIED as something else. Method: every byte, once
/// as damage and once with the closing hash made to fit.
#[tokio::test(flavor = "multi_thread")]
async fn no_changed_byte_of_a_bundle_changes_what_is_verified() {
    let base = Base::new().await;
    let world = &base.world;
    let answer = LookupAnswer::try_from(world.lookup("staging", b"")).unwrap();
    let bundle = Bundle {
        environment: environment(),
        checkpoint: answer.checkpoint,
        evidence: answer.evidence,
    };
    let file = Bytes::from(bundle.encode().unwrap());
    let liar = Liar::start(world.clone()).await;
    let place = Place::new(&liar, world, false).await;
    let honest = checked(&place, world, &file).unwrap();
    assert_eq!(honest.verdict, Verdict::Verified);
    let damage = mutations(file.len());
    for mutation in &damage {
        let error = checked(&place, world, &mutated(&file, *mutation)).unwrap_err();
        assert_eq!(error, "BUNDLE_SYNTAX", "{mutation:?}");
    }
    let text = &file[..file.len() - "blake3 \n".len() - 64];
    let lies = mutations(text.len());
    let told = chosen(&lies, |mutation| {
        let changed = closed(&mutated(text, mutation));
        Bundle::decode(&changed).is_ok_and(|it| {
            it.environment == environment() && proves(&world.trust, &it.checkpoint, &it.evidence)
        })
    });
    let mut same = 0;
    for mutation in &told {
        place.forget();
        let changed = closed(&mutated(text, *mutation));
        if let Ok(report) = checked(&place, world, &changed)
            && report.verdict == Verdict::Verified
        {
            assert_eq!(said(&report), said(&honest), "{mutation:?}");
            same += 1;
        }
    }
    println!(
        "bundle: {} bytes, {} mutations as damage, {} with a fitting hash, {} of them told to \
         the client, {same} verified as the same",
        file.len(),
        damage.len(),
        lies.len(),
        told.len()
    );
    base.server.stop().await;
}

/// What the client says of a bundle; the code of an error.
fn checked(place: &Place, world: &World, file: &[u8]) -> Result<Report, String> {
    let home: &Home = place.desk.ledger.home();
    let name = environment();
    let check = BundleCheck {
        home,
        trust: &world.trust,
        environment: Some(&name),
        now: now(),
    };
    let (inputs, tags) = (place.desk.inputs(), tags());
    let subject = Subject {
        systems: &[],
        inputs: &inputs,
        tags: Some(&tags),
        progress: &(),
    };
    verify_bundle(file, &check, &subject).map_err(|error| error.code().to_owned())
}
