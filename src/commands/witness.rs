//! `cairn witness serve`: a witness of one's own, for any C2SP log.

use std::{path::Path, sync::Arc};

use cairn_proto::{
    key::Signer,
    note::{SignatureType, VerifierKey},
    witness::WitnessedLog,
};
use cairn_server::witness::{self, Witness, WitnessError};
use serde_json::json;
use tokio::net::TcpListener;

use super::{cosigners::keys, serve::shutdown};
use crate::{cli, failure::Failure, session::Session};

/// `cairn witness`
pub(crate) async fn witness(
    session: &Session,
    command: &cli::WitnessCommand,
) -> Result<u8, Failure> {
    match command {
        cli::WitnessCommand::Serve(args) => serve(session, args).await,
    }
}

async fn serve(session: &Session, args: &cli::WitnessServe) -> Result<u8, Failure> {
    crate::terminal::raise_descriptor_limit();
    let key: Arc<dyn Signer> = Arc::from(session.signer(&args.key)?);
    let logs = logs(&args.logs)?;
    let vkey = VerifierKey::new(&args.name, SignatureType::Cosignature, key.public_key())
        .map_err(|error| Failure::usage(format!("--as {}: {error}", args.name)))?;
    let listener = TcpListener::bind(args.listen)
        .await
        .map_err(|error| Failure::usage(format!("cannot listen on {}: {error}", args.listen)))?;
    let address = listener.local_addr().map_err(Failure::usage)?;
    let known = logs.len();
    let witness = Witness::open(&args.data, args.new, &args.name, key, logs)
        .map_err(|error| refused(&args.data, &error))?;
    let stop = shutdown();
    let output = session.output;
    output.line(format!("  Witness    http://{address}   {vkey}"));
    output.line(format!("  Logs       {known}"));
    output.json(&json!({
        "schema": "cairn.witness/v1",
        "url": format!("http://{address}"),
        "vkey": vkey.to_string(),
    }));
    witness::serve(listener, witness, stop).await;
    Ok(0)
}

fn refused(data: &Path, error: &WitnessError) -> Failure {
    let data = data.display();
    let failure = Failure::new(error.reason(), error);
    match error {
        WitnessError::Absent { .. } => failure.mended_by(format!(
            "For a witness that never cosigned anything say --new. If {data} was lost, so is the \
             witness: begin another, with another key."
        )),
        WitnessError::Exists { .. } => failure.mended_by("Leave out --new."),
        _ => failure,
    }
}

/// Keys by the origin that names them.
fn logs(texts: &[String]) -> Result<Vec<WitnessedLog>, Failure> {
    let mut logs: Vec<WitnessedLog> = Vec::new();
    for key in keys("log", texts)? {
        if key.kind() != SignatureType::Ed25519 {
            return Err(Failure::usage(format!(
                "log {key}: a log signs with a key of type 0x01; this is a cosigner's"
            )));
        }
        match logs.iter_mut().find(|log| log.origin == key.name()) {
            Some(log) => log.keys.push(key),
            None => logs.push(WitnessedLog {
                origin: key.name().to_owned(),
                keys: vec![key],
            }),
        }
    }
    Ok(logs)
}
