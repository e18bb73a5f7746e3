//! The program itself against the liar: what it prints of lies that only an audit finds, and
//! what an endless answer costs it.

use std::{fs, path::Path, process::Command, time::Duration};

use cairn_client::{
    context::{Context, Contexts},
    home::Home,
    trust,
};
use cairn_proto::{
    key::Signer as _,
    note::{SignatureType, VerifierKey},
    trust::Cosigners,
};

use super::{
    base::{Base, WEB},
    maps,
    socket::Liar,
    stage::Delivery,
};
use crate::support::{
    key,
    process::{cairn, finish, finish_at_peak},
};

const PATIENCE: Duration = Duration::from_mins(1);
/// Lies that the program is told; each needs no more than the files of `staging#2`.
const TOLD: [&str; 3] = [
    "release kept back: stale row, map re-signed",
    "newest policy kept back, to a newcomer",
    "shifted index of a policy that is not",
];
/// KiB that the program may ever hold while 64 MiB and more are sent to it.
const MEMORY_KIB: u64 = 56 << 10;

/// A home whose active context is the liar.
fn home(directory: &Path, liar: &Liar) -> std::path::PathBuf {
    let path = directory.join("home");
    let home = Home::at(&path);
    let world = liar.world();
    trust::save(&home, &"liar".parse().unwrap(), &world.trust).unwrap();
    let context = Context {
        url: liar.url(),
        trust: "liar".to_owned(),
        key: None,
        token_file: None,
        ca_file: None,
        plaintext: false,
    };
    Contexts::update(&home, |contexts| {
        contexts.active = Some("liar".to_owned());
        contexts.contexts.insert("liar".to_owned(), context);
        Ok(())
    })
    .unwrap();
    path
}

/// Adds an auditor to what is pinned of the liar.
fn pin_auditor(home: &Path) {
    let file = home.join("trust/liar.json");
    let trust = trust::parse(&fs::read(&file).unwrap()).unwrap();
    let public = key(77).public_key();
    let vkey = VerifierKey::new("auditor.example/one", SignatureType::Cosignature, public);
    let auditors = Cosigners::new(vec![vkey.unwrap()], 1).unwrap();
    let trust = trust.with_auditors(auditors).unwrap();
    fs::write(file, trust::encode(&trust)).unwrap();
}

fn shop(directory: &Path) -> std::path::PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let shop = directory.join("shop");
    fs::create_dir_all(shop.join("conf")).unwrap();
    for (name, bytes) in [("web.yaml", WEB[1]), ("conf/api.yaml", b"port: 80\n")] {
        fs::write(shop.join(name), bytes).unwrap();
        fs::set_permissions(shop.join(name), fs::Permissions::from_mode(0o644)).unwrap();
    }
    shop
}

/// Runs the program beside the liar, which is served by this runtime.
async fn run(command: Command) -> crate::support::process::Ended {
    let run = move || finish(command, PATIENCE);
    tokio::task::spawn_blocking(run).await.unwrap()
}

/// Goal: where the program says VERIFIED of a map that lies, it says `map asserted`, and its
/// audit finds the lie. Method: the binary against the liar, before and after.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_map_hides_the_program_calls_asserted_and_its_audit_finds() {
    let base = Base::new().await;
    let lies = maps::lies();
    for name in TOLD {
        let lie = lies.iter().find(|lie| lie.name == name).unwrap();
        let liar = Liar::start(base.world.clone()).await;
        let directory = tempfile::tempdir().unwrap();
        let (home, shop) = (home(directory.path(), &liar), shop(directory.path()));
        let audit = || {
            let mut audit = cairn(&home);
            audit.args(["audit", "--fresh"]);
            audit
        };
        let honest = run(audit()).await;
        assert_eq!(
            honest.code,
            Some(0),
            "{name}: {}{}",
            honest.stdout,
            honest.stderr
        );
        fs::remove_dir_all(home.join("state")).unwrap();
        liar.set(|stage| lie.tell(stage));
        let mut verify = cairn(&home);
        verify.arg("verify").arg(lie.environment()).arg(&shop);
        let verified = run(verify).await;
        let said = &verified.stdout;
        assert_eq!(verified.code, Some(0), "{name}: {said}{}", verified.stderr);
        assert!(
            said.contains("VERIFIED") && said.contains("map asserted"),
            "{said}"
        );
        // Whoever pins an auditor is told that nobody vouches for this map.
        pin_auditor(&home);
        let mut verify = cairn(&home);
        verify.arg("verify").arg(lie.environment()).arg(&shop);
        let doubted = run(verify).await;
        assert_eq!(doubted.code, Some(14), "{name}: {}", doubted.stdout);
        assert!(
            doubted.stdout.contains("TOO_FEW_AUDITORS") && !doubted.stdout.contains("VERIFIED"),
            "{}",
            doubted.stdout
        );
        let audited = run(audit()).await;
        assert_eq!(audited.code, Some(13), "{name}: {}", audited.stderr);
        let said = &audited.stdout;
        assert!(
            said.contains("TAMPERED") && said.contains("MAP_RECORD_WRONG"),
            "{said}"
        );
    }
    base.server.stop().await;
}

/// Goal: an endless answer ends, and costs no more memory than a true one. Method: the peak
/// of the program's resident memory while it is sent a content, or a bundle, for ever.
#[tokio::test(flavor = "multi_thread")]
async fn an_endless_answer_is_bounded_in_time_and_memory() {
    let base = Base::new().await;
    for (begins, command) in [
        (
            "GetContent",
            &["restore", "staging#2", "web.yaml", "--to"][..],
        ),
        ("tile/entries/", &["audit"][..]),
    ] {
        let liar = Liar::start(base.world.clone()).await;
        let directory = tempfile::tempdir().unwrap();
        liar.set(|stage| stage.lies.delivery = Some((begins, Delivery::Endless)));
        let mut program = cairn(&home(directory.path(), &liar));
        program.args(command);
        if command.len() > 1 {
            program.arg(directory.path());
        }
        let ended = tokio::task::spawn_blocking(move || finish_at_peak(program, PATIENCE));
        let (ended, peak) = ended.await.unwrap();
        println!("{}: ended with {:?} at {peak} KiB", command[0], ended.code);
        assert_eq!(ended.code, Some(1), "{}", ended.stderr);
        assert!(ended.stderr.contains("INVALID_REQUEST"), "{}", ended.stderr);
        assert!(peak < MEMORY_KIB, "{} held {peak} KiB", command[0]);
    }
    base.server.stop().await;
}
