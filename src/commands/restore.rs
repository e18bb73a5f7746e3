//! `restore`: what was recorded, put back or printed for the tool that deployed it.

use cairn_client::{
    detail::printable,
    error::ClientError,
    ledger::Ledger,
    read::{Reference, RestoreProgress},
};
use cairn_proto::name::ArtifactName;
use serde_json::{Value, json};

use crate::{
    cli,
    failure::Failure,
    output::{complain, write_raw},
    session::Session,
};

/// Says on standard error, at once, what a restore does not begin anew.
struct Told;

impl RestoreProgress for Told {
    fn resumed(&self, kept: u64, of: u64) {
        complain(format!(
            "  Resuming  an earlier run left {kept} of {of} bytes"
        ));
    }

    fn again(&self) {
        complain("  Again     what an earlier run left does not belong to it");
    }
}

/// `cairn restore REF NAME --to DIR`
pub(crate) async fn restore(session: &Session, args: &cli::Restore) -> Result<u8, Failure> {
    let ledger = session.ledger()?;
    if args.to.as_os_str() == "-" {
        return print_objects(&ledger, args).await;
    }
    let (pinned, [below, withheld]) = ledger.inputs_below(&args.reference, &args.name).await?;
    if below.is_empty() && withheld.is_empty() {
        let restored = restore_one(session, &ledger, (args, &args.reference), &args.name).await?;
        session.output.json(&restored);
        return Ok(0);
    }
    let mut files = Vec::new();
    for name in &below {
        files.push(restore_one(session, &ledger, (args, &pinned), name).await?);
    }
    let names: Vec<_> = withheld.iter().map(ToString::to_string).collect();
    session.output.json(&json!({
        "schema": "cairn.restore/v1",
        "reference": pinned.to_string(),
        "name": args.name.to_string(),
        "files": files,
        "withheld": names,
    }));
    // A part of it is not what the release was made from.
    let Some(first) = withheld.first() else {
        return Ok(0);
    };
    for name in &names {
        tell_withheld(name);
    }
    restore_one(session, &ledger, (args, &pinned), first).await?;
    Ok(0)
}

/// Puts one file back, and tells of it in the one form or the other.
async fn restore_one(
    session: &Session,
    ledger: &Ledger,
    (args, reference): (&cli::Restore, &Reference),
    name: &ArtifactName,
) -> Result<Value, Failure> {
    let restored = ledger.restore(reference, name, &args.to, &Told).await?;
    let path = printable(&restored.path.to_string_lossy());
    session.output.fact(
        "Restored",
        format_args!("{path}, {} bytes, from {reference}", restored.bytes),
    );
    Ok(json!({
        "schema": "cairn.restore/v1",
        "reference": reference.to_string(),
        "name": name.to_string(),
        "path": restored.path.to_string_lossy(),
        "bytes": restored.bytes,
        "resumedBytes": restored.resumed,
    }))
}

/// Recorded objects, for the tool that deployed them: raw, whatever the format of the output.
async fn print_objects(ledger: &Ledger, args: &cli::Restore) -> Result<u8, Failure> {
    let objects = ledger.restore_objects(&args.reference, args.name.as_str());
    let mut erased = None;
    for object in objects.await? {
        match (object.bytes, object.erased) {
            (Some(bytes), _) => write_raw(&bytes),
            (None, Some(erasure)) => {
                complain(format!("  erased    {erasure}"));
                erased.get_or_insert(erasure);
            }
            (None, None) => tell_withheld(&object.name),
        }
    }
    match erased {
        Some(erasure) => Err(ClientError::Erased(erasure).into()),
        None => Ok(0),
    }
}

fn tell_withheld(name: &str) {
    complain(format!(
        "  withheld  {}: restore it from where its values are kept",
        printable(name)
    ));
}
