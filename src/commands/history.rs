//! `history` and `find`: what is proven to be all, or never to have been.

use std::{ffi::OsStr, path::Path};

use cairn_client::read::sha256_of;
use cairn_proto::hash::Sha256;
use serde_json::json;

use super::{
    read::{columns, logged_row, marked_json},
    show,
};
use crate::{
    cli,
    failure::Failure,
    output::{complain, count},
    session::Session,
};

/// `cairn history ENV`
pub(crate) async fn history(session: &Session, args: &cli::History) -> Result<u8, Failure> {
    let ledger = session.ledger()?;
    let whole = ledger.history(&args.environment).await?;
    let output = session.output;
    let rows = whole.steps.iter();
    let rows = rows.map(|logged| logged_row(logged, &whole.policies));
    columns(output, &rows.collect::<Vec<_>>());
    if whole.steps.is_empty() {
        complain(format!("nothing was ever released to {}", args.environment));
    } else {
        let steps = count(whole.steps.len(), "step");
        let text = format!("{steps}, proven to be all under checkpoint {}", whole.size);
        output.fact("Whole", text);
    }
    let steps = whole.steps.iter();
    let steps = steps.map(|logged| marked_json(logged, &whole.policies));
    output.json(&json!({
        "schema": "cairn.history/v1",
        "environment": args.environment.to_string(),
        "complete": true,
        "checkpointSize": whole.size,
        "steps": steps.collect::<Vec<_>>(),
    }));
    Ok(0)
}

/// `cairn find DIGEST|FILE`
pub(crate) async fn find(session: &Session, args: &cli::Find) -> Result<u8, Failure> {
    let ledger = session.ledger()?;
    let sha256 = match digest_of(&args.what) {
        Some(sha256) => sha256,
        None => sha256_of(Path::new(&args.what))?,
    };
    let found = ledger.find(&sha256).await?;
    Ok(show::digest(
        session.output,
        &found,
        &ledger.policies().await?,
    ))
}

/// Text that is a digest; a file of such a name is given as `./NAME`.
fn digest_of(text: &OsStr) -> Option<Sha256> {
    let text = text.to_str()?;
    let digits = text.strip_prefix("sha256:").unwrap_or(text);
    let mut bytes = [0; 32];
    hex::decode_to_slice(digits, &mut bytes).ok()?;
    Some(Sha256(bytes))
}
