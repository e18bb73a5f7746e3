//! `cairn repair`: a lost or damaged journal, rebuilt from a copy of the log.

use std::path::Path;

use bytes::Bytes;
use cairn_client::{
    clock,
    connect::{Endpoint, ReadApi},
};
use cairn_proto::{
    checkpoint::SignedCheckpoint,
    hash::LeafHash,
    note::{SignatureType, VerifierKey},
    tile::{Tile, TileKind},
    trust::Trust,
};
use cairn_server::{
    config::Config,
    start::Place,
    store::{Head, Repair, RepairError},
};
use serde_json::json;

use super::{audit::Bar, serve::parse_head};
use crate::{cli, failure::Failure, output::complain, session::Session};

/// `cairn repair`
pub(crate) async fn repair(session: &Session, args: &cli::Repair) -> Result<u8, Failure> {
    let config = Config::read(&args.config).map_err(Failure::usage)?;
    let place = config.place().map_err(Failure::usage)?;
    let accept = args.accept_head.as_deref().map(parse_head).transpose()?;
    let accept = accept.map(|(size, root)| Head { size, root });
    let source = source_of(&args.from)?;
    let target = target(session, &config, &place, &source).await?;
    let mut repair = Repair::begin(&place, target, accept).map_err(|error| refused(&error))?;
    let bar = Bar::new(session.output, "Reading");
    for tile in Tile::covering(TileKind::Entries, 0, target.size) {
        for (leaf, beside) in source.bundle(&tile).await? {
            let wanted = repair.wants(&leaf).map_err(|error| refused(&error))?;
            let document = match (wanted, beside) {
                (Some(id), None) => source.document(&id).await?,
                (_, beside) => beside,
            };
            repair
                .leaf(leaf.into(), document.map(Bytes::from))
                .map_err(|error| refused(&error))?;
        }
        let done = tile.first() + u64::from(tile.width);
        bar.at(done, target.size.0);
    }
    bar.done();
    let repaired = repair.finish().map_err(|error| refused(&error))?;
    let output = session.output;
    output.fact(
        "Repaired",
        format!("{} entries, as the log's key signed them", target.size),
    );
    if let Some(aside) = &repaired.aside {
        output.fact("Aside", aside.display());
    }
    if repaired.contents_lost {
        complain("  warning   contents are lost: whoever has them may record again");
    }
    output.fact(
        "Next",
        format!("cairn serve --config {}", args.config.display()),
    );
    output.json(&json!({
        "schema": "cairn.repair/v1",
        "size": repaired.head.size.0,
        "root": repaired.head.root.to_string(),
        "aside": repaired.aside,
        "contentsLost": repaired.contents_lost,
    }));
    Ok(0)
}

/// A directory, if there is one of that name; else a server.
fn source_of(from: &str) -> Result<ReadApi, Failure> {
    if Path::new(from).is_dir() {
        return Ok(ReadApi::directory(from));
    }
    Ok(ReadApi::of(&Endpoint::new(from))?)
}

/// The copy's head, which this ledger's own keys must have signed.
async fn target(
    session: &Session,
    config: &Config,
    place: &Place,
    source: &ReadApi,
) -> Result<Head, Failure> {
    let key = |name: &str, kind, key: &str| {
        let key = session.signer(key)?.public_key();
        VerifierKey::new(name, kind, key).map_err(Failure::usage)
    };
    let origin = place.origin.clone();
    let log = key(origin.as_str(), SignatureType::Ed25519, &config.log_key)?;
    let name = origin.clock_name();
    let clock = key(&name, SignatureType::Cosignature, &config.clock_key)?;
    let note = source.checkpoint().await?;
    // Which genesis it is does not matter: the key signed it, or another log's note is refused.
    let trust = Trust::new(origin, log, clock, LeafHash::of(&[])).map_err(Failure::usage)?;
    let signed =
        SignedCheckpoint::parse(&note).and_then(|it| it.authenticate(&trust, clock::now()));
    let signed = signed.map_err(|error| {
        let text = format!("the checkpoint at {}: {error}", source.address());
        Failure::new(error.reason(), text)
    })?;
    Ok(Head {
        size: signed.size(),
        root: *signed.root(),
    })
}

fn refused(error: &RepairError) -> Failure {
    let failure = Failure::new(error.reason(), error);
    match error {
        RepairError::Short { .. } => failure.mended_by(
            "Take a newer copy. What was signed beyond this one is known to clients, which would \
             see a rewritten history.",
        ),
        RepairError::NotAccepted { copy } => failure.mended_by(format!(
            "If you know that nothing newer was ever given out, say --accept-head {copy}."
        )),
        _ => failure,
    }
}
