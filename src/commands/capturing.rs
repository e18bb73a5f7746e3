//! What a command line names, captured for the ledger.

use std::collections::BTreeSet;

use cairn_client::{
    ledger::Ledger,
    secrets::SecretKeys,
    sources::{Capture, CaptureOptions, Input, Layers, Purpose, SourceError, TagContext, capture},
    systems::{self, Named, told_apart},
};
use cairn_proto::{
    manifest::{Bytes, Comparison, Profile, Unmeasured},
    reason::Reason,
    verify::Current,
};

use crate::{
    cli,
    failure::Failure,
    output::{Bars, complain, count},
    session::Session,
};

pub(super) fn comparison(args: &cli::Record) -> Comparison {
    let ignore: BTreeSet<String> = args
        .what
        .ignore_mode
        .iter()
        .map(|name| format!("{name}#/mode"))
        .chain(args.what.ignore.iter().cloned())
        .collect();
    Comparison {
        profile: Profile::default(),
        ignore: ignore.into_iter().collect(),
        unmeasured: if args.what.accept_unmeasured {
            Unmeasured::Accept
        } else {
            Unmeasured::Refuse
        },
    }
}

/// Captures; makes the environment's key for withheld values at first need.
pub(super) async fn captured(
    session: &Session,
    ledger: &Ledger,
    args: &cli::Record,
    bars: &Bars,
) -> Result<Capture, Failure> {
    let inputs: Vec<Input> = args.paths.iter().map(|path| Input::parse(path)).collect();
    let asked = args.what.systems.asked();
    let Named {
        inputs,
        asked,
        notes,
    } = told_apart(&inputs, &asked, None);
    for note in notes {
        complain(format!("  note      {note}"));
    }
    if inputs.is_empty() && asked.is_empty() {
        let why = "nothing to record was named: a path, or a deployment tool's flag";
        return Err(Failure::usage(why));
    }
    let mut options = CaptureOptions::new(Purpose::Record);
    options.store_plain = args.what.store_plain.iter().cloned().collect();
    if args.what.store_layers {
        options.layers = Layers::Stored;
    }
    let keys = SecretKeys::new(session.home.secrets_directory(ledger.trust().genesis()));
    let key = keys.load(&args.environment)?;
    let tags = |key| TagContext {
        environment: args.environment.clone(),
        key,
    };
    let known = key.map(tags);
    let needs_key = |error: &SourceError| error.reason() == Reason::SecretKey;
    let take = |tags: Option<&TagContext>| {
        let mut taken = capture(&inputs, &options, tags, bars)?;
        systems::capture(&asked, tags, &mut taken)?;
        Ok(taken)
    };
    let first = take(known.as_ref());
    let (capture, tags) = match first {
        Err(error) if known.is_none() && needs_key(&error) => {
            same_key(ledger, args, None).await?;
            let tags = tags(keys.create(&args.environment)?);
            let made =
                "made a key for withheld values; `cairn secret-key export` gives it to hosts";
            complain(format!("  note      {made}"));
            (take(Some(&tags))?, Some(tags))
        }
        first => (first?, known),
    };
    if let (false, Some(tags)) = (capture.withheld.is_empty(), &tags) {
        same_key(ledger, args, Some(tags.key.id())).await?;
    }
    Ok(capture)
}

/// Withheld values can be compared only under one key: another one must be asked for.
async fn same_key(
    ledger: &Ledger,
    args: &cli::Record,
    id: Option<[u8; 16]>,
) -> Result<(), Failure> {
    if args.what.new_secret_key {
        return Ok(());
    }
    let looked = ledger.lookup(&args.environment).await?;
    let Current::Release(release) = &looked.current else {
        return Ok(());
    };
    let artifacts = release.manifest().artifacts().iter();
    let used = artifacts.filter_map(|artifact| match &artifact.bytes {
        Bytes::Withheld(withheld) => Some(withheld.key_id),
        _ => None,
    });
    if used.into_iter().all(|used| Some(used) == id) {
        return Ok(());
    }
    let message = format!("{} withheld values with another key", args.environment);
    let mend = "Import that key (`cairn secret-key import`), or begin a new one: --new-secret-key.";
    Err(Failure::new(Reason::SecretKey, message).mended_by(mend))
}

/// What was captured, in numbers.
pub(super) fn numbers(capture: &Capture) -> String {
    let numbers = [
        (capture.files, "file"),
        (capture.images, "image"),
        (capture.objects_found, "object"),
        (capture.inputs, "input"),
    ];
    let parts = numbers.into_iter().filter(|(number, _)| *number > 0);
    let parts: Vec<_> = parts.map(|(number, noun)| count(number, noun)).collect();
    if parts.is_empty() {
        count(0, "file")
    } else {
        parts.join(", ")
    }
}
