//! `verify`: against the ledger, or against a bundle.

use std::{ffi::OsStr, path::Path};

use cairn_client::{
    clock,
    compare::{Difference, DifferenceKind},
    detail::{printable, shell_word},
    error::ClientError,
    read::Reference,
    secrets::SecretKeys,
    sources::{Input, TagContext},
    systems::{ALL, Given, Realised},
    trust,
    verdict::Verdict,
    verify::{BundleCheck, Report, Subject, WitnessReport, verify_bundle},
};
use cairn_proto::{bundle::Bundle, hash::LeafHash, name::Environment, trust::Trust};

use super::bundles::{self, read_bounded};
use crate::{
    cli,
    failure::{Failure, is_of_other_keys},
    output::{Bars, Output, count},
    session::Session,
};

/// Differences that are printed for people; scripts get all of them.
const SHOWN_MAX: usize = 50;

/// Added fields that are printed for people.
const ADDED_SHOWN_MAX: usize = 5;

/// `cairn verify`.
pub(crate) async fn verify(session: &Session, args: &cli::Verify) -> Result<u8, Failure> {
    let bars = Bars::new(session.output);
    let (report, realised) = match &args.bundle {
        Some(bundle) => (against_bundle(session, args, bundle, &bars)?, Vec::new()),
        None => Box::pin(against_ledger(session, args, &bars)).await?,
    };
    bars.done();
    session.output.json(&report);
    people(session.output, &report);
    if report.verdicts.contains(&Verdict::Drift) {
        advise(
            session.output,
            &report,
            &args.systems,
            &words_of(args, &report.environment),
        );
        for realised in realised {
            let command = printable(&realised.command);
            session.output.line(format!("  Put it back  {command}"));
        }
    }
    Ok(report.exit_code())
}

/// The paths as they were typed, to be typed again.
fn words_of(args: &cli::Verify, environment: &str) -> String {
    let named = args.words.len() > 1 && args.words.first().is_some_and(|it| it == environment);
    let skipped = usize::from(args.bundle.is_none() || named);
    let paths = args
        .words
        .iter()
        .skip(skipped)
        .map(|word| shell_word(word.as_encoded_bytes()));
    let paths = paths.chain(args.systems.words());
    paths.collect::<Vec<_>>().join(" ")
}

async fn against_ledger(
    session: &Session,
    args: &cli::Verify,
    bars: &Bars,
) -> Result<(Report, Vec<Realised>), Failure> {
    let asked = args.systems.asked();
    let (environment, paths) = match args.words.split_first() {
        Some((environment, paths)) if !paths.is_empty() || !asked.is_empty() => {
            (environment, paths)
        }
        _ => {
            return Err(Failure::usage(
                "verify takes an environment and at least one path, or a deployment tool's flag",
            ));
        }
    };
    let environment = parse_environment(environment)?;
    let inputs: Vec<Input> = paths.iter().map(|path| Input::parse(path)).collect();
    let ledger = session.ledger()?;
    let tags = tags(session, ledger.trust().genesis(), &environment)?;
    let subject = Subject {
        inputs: &inputs,
        systems: &asked,
        tags: tags.as_ref(),
        progress: bars,
    };
    let mut report = ledger.verify(&environment, &subject).await?;
    let of_other_keys = report.reason.as_deref().is_some_and(is_of_other_keys);
    if of_other_keys && session.follow_other_keys().await {
        report = session.ledger()?.verify(&environment, &subject).await?;
    }
    let of_objects = report.objects.matched < report.objects.total;
    let realised = if of_objects && report.verdicts.contains(&Verdict::Drift) {
        // The verdict stands without the advice.
        let current = Reference::Current(environment);
        ledger.realised(&current).await.unwrap_or_default()
    } else {
        Vec::new()
    };
    Ok((report, realised))
}

fn against_bundle(
    session: &Session,
    args: &cli::Verify,
    file: &Path,
    bars: &Bars,
) -> Result<Report, Failure> {
    let given = bundles::read(file, args)?;
    let bytes = given.bytes;
    let trust = pinned(session, args.trust.as_deref())?;
    let of = Bundle::decode(&bytes)
        .map_err(ClientError::from)?
        .environment;
    let mut words = args.words.as_slice();
    let mut expected = args.environment.clone();
    // `verify --bundle FILE ENV PATH` means the same as `--environment ENV`.
    if let (None, [first, rest @ ..]) = (&expected, words)
        && !rest.is_empty()
        && first.to_str() == Some(of.as_str())
    {
        expected = Some(of.clone());
        words = rest;
    }
    let inputs: Vec<Input> = words.iter().map(|path| Input::parse(path)).collect();
    let tags = tags(session, trust.genesis(), &of)?;
    let check = BundleCheck {
        home: &session.home,
        trust: &trust,
        environment: expected.as_ref(),
        now: clock::now(),
    };
    let subject = Subject {
        inputs: &inputs,
        systems: &args.systems.asked(),
        tags: tags.as_ref(),
        progress: bars,
    };
    let mut report = verify_bundle(&bytes, &check, &subject)?;
    if expected.is_none() {
        // Whoever made the bundle chose it, and another environment may ask for less.
        let note = "the environment is the bundle's own word: --environment says which it must be";
        report.notes.push(note.to_owned());
    }
    report.notes.extend(given.note);
    Ok(report)
}

/// The trust file that was named, or the context's.
fn pinned(session: &Session, file: Option<&Path>) -> Result<Trust, Failure> {
    if let Some(file) = file {
        let wrong = |why| Failure::usage(format!("{}: {why}", file.display()));
        return trust::parse(&read_bounded(file)?).map_err(wrong);
    }
    let context = session.context()?;
    let name = context.trust.parse().map_err(Failure::usage)?;
    Ok(trust::load(&session.home, &name)?)
}

fn parse_environment(text: &OsStr) -> Result<Environment, Failure> {
    let text = text.to_string_lossy();
    text.parse()
        .map_err(|error| Failure::usage(format!("`{text}`: {error}")))
}

fn tags(
    session: &Session,
    genesis: &LeafHash,
    environment: &Environment,
) -> Result<Option<TagContext>, Failure> {
    let keys = SecretKeys::new(session.home.secrets_directory(genesis));
    let key = keys.load(environment)?;
    Ok(key.map(|key| TagContext {
        environment: environment.clone(),
        key,
    }))
}

fn people(output: Output, report: &Report) {
    let name = name_of(report);
    output.line(format!("  {}  {name}  {}", report.verdict, headline(report)).trim_end());
    let others = report
        .verdicts
        .iter()
        .skip(1)
        .map(|verdict| verdict.as_str());
    let others = others.collect::<Vec<_>>().join(", ");
    if !others.is_empty() {
        output.line(format!("    also {others}"));
    }
    for difference in report.differences.iter().take(SHOWN_MAX) {
        output.line(format!("    {}", line_of(difference)));
    }
    if report.differences.len() > SHOWN_MAX {
        let more = report.differences.len() - SHOWN_MAX;
        output.line(format!(
            "    and {more} more (--output json lists them all)"
        ));
    }
    added(output, report);
    for note in &report.notes {
        output.line(format!("    {}", printable(note)));
    }
    if let Some(evidence) = &report.evidence {
        output.line(format!("    evidence  {}", evidence.display()));
    }
    if let Some(code) = &report.reason {
        output.line(format!("    [{code}] cairn help {code}"));
    }
    as_of(output, report);
}

/// The release that is current, or where one might be.
fn name_of(report: &Report) -> String {
    match report.sequence {
        Some(sequence) => format!("{}#{sequence}", report.environment),
        None => report.environment.clone(),
    }
}

/// Fields that something added, which is no difference, and what could not be compared at all.
fn added(output: Output, report: &Report) {
    let all = report.added.len() + report.more_added;
    for field in report.added.iter().take(ADDED_SHOWN_MAX) {
        output.line(format!("    + {}", line_of(field)));
    }
    if all > ADDED_SHOWN_MAX {
        output.line(format!(
            "    + {} more that are not recorded (--output json lists them)",
            count(all - ADDED_SHOWN_MAX, "field")
        ));
    }
    if report.inputs > 0 {
        output.line(format!(
            "    {} of the release identified, not compared",
            count(report.inputs, "input")
        ));
    }
}

/// What the verdict rests on.
fn as_of(output: Output, report: &Report) {
    if report.verdict != Verdict::Verified && report.verdict != Verdict::Unrecorded {
        return;
    }
    let Some(checkpoint) = &report.checkpoint else {
        return;
    };
    let age = match report.age {
        Some(age) => format!("{age} s"),
        None => "unknown".to_owned(),
    };
    let history = match report.history {
        Some("unlinked") => ", history: unlinked",
        _ => "",
    };
    let witnesses = report.witnesses.map(|WitnessReport { cosigned, needed }| {
        format!(", witnessed by {cosigned} of {needed} needed")
    });
    let witnesses = witnesses.unwrap_or_default();
    let accepted = match report.accepted_unmeasured {
        0 => String::new(),
        number => format!(", {number} withheld not measured"),
    };
    output.line(format!(
        "            as of checkpoint {}, age {age}, map {}{witnesses}, {} ignored{accepted}{history}",
        checkpoint.size,
        report.map,
        count(report.ignored, "field"),
    ));
}

fn headline(report: &Report) -> String {
    let tallies = [
        (report.files, "file"),
        (report.images, "image"),
        (report.objects, "object"),
    ];
    match report.verdict {
        Verdict::Verified | Verdict::Stale => {
            let tallies = tallies.into_iter();
            let parts = tallies.filter(|(tally, _)| tally.total > 0);
            let parts: Vec<_> = parts
                .map(|(tally, noun)| format!("{} of {}", tally.matched, count(tally.total, noun)))
                .collect();
            if parts.is_empty() {
                "0 of 0 files".to_owned()
            } else {
                parts.join(", ")
            }
        }
        Verdict::Drift => {
            let mut parts = Vec::new();
            for (tally, noun) in tallies {
                if tally.matched < tally.total {
                    let differing = tally.total - tally.matched;
                    parts.push(format!("{differing} of {}", count(tally.total, noun)));
                }
            }
            let added = report.differences.iter();
            let added = added
                .filter(|difference| difference.kind == DifferenceKind::Added)
                .count();
            let differs = match parts.as_slice() {
                [] => String::new(),
                [one] if one.starts_with("1 ") => format!("{one} differs"),
                parts => format!("{} differ", parts.join(", ")),
            };
            match (differs.is_empty(), added) {
                (_, 0) => differs,
                (true, added) => format!("{added} not recorded"),
                (false, added) => format!("{differs}, {added} not recorded"),
            }
        }
        Verdict::Superseded => match report.stands {
            Some(older) => format!("what is here is {}#{older}", report.environment),
            None => String::new(),
        },
        Verdict::Unrecorded if report.sequence.is_some() => {
            "nothing of what is here was ever released".to_owned()
        }
        Verdict::Unrecorded => "was never released to".to_owned(),
        _ => String::new(),
    }
}

fn line_of(difference: &Difference) -> String {
    let artifact = printable(&difference.artifact);
    let path = printable(&difference.path);
    let recorded = difference.recorded.as_deref().map(printable);
    let found = difference.found.as_deref().map(printable);
    let words = match difference.kind {
        DifferenceKind::Missing => "is missing".to_owned(),
        DifferenceKind::Unverifiable => match found {
            Some(why) => format!("could not be measured: {why}"),
            None => "could not be measured".to_owned(),
        },
        DifferenceKind::Added if path.is_empty() => "is not recorded".to_owned(),
        _ => {
            let side =
                |word: &str, value: Option<String>| value.map(|value| format!("{word} {value}"));
            let sides = [side("recorded", recorded), side("found", found)];
            sides.into_iter().flatten().collect::<Vec<_>>().join("  ")
        }
    };
    let parts = [artifact, path, words];
    let parts = parts.iter().filter(|part| !part.is_empty());
    parts.map(String::as_str).collect::<Vec<_>>().join("  ")
}

/// How to mend a drift, in both directions.
fn advise(output: Output, report: &Report, systems: &cli::Systems, paths: &str) {
    let asked = systems.asked();
    let is_object = |difference: &&Difference| {
        // What a tool deployed is put back by the tool.
        let (system, _) = difference.artifact.split_once('/').unwrap_or_default();
        ALL.iter().any(|known| known.name() == system) && report.objects.total > 0
    };
    let kept = |name: &str| report.erased.iter().all(|it| it.artifact != name);
    let fixable = report.differences.iter();
    let fixable = fixable
        .filter(|it| it.kind != DifferenceKind::Added && !is_object(it) && kept(&it.artifact))
        .find(|difference| difference.kind != DifferenceKind::Unverifiable);
    if let Some(difference) = fixable {
        let artifact = shell_word(difference.artifact.as_bytes());
        let name = name_of(report);
        output.line(format!(
            "  Put it back  cairn restore {name} {artifact} --to {paths}"
        ));
    }
    let environment = &report.environment;
    // What is live is recorded from what was deployed, not from itself.
    if asked
        .iter()
        .any(|asked| matches!(asked.given, Given::Live(_)))
    {
        return;
    }
    output.line(format!(
        "  Accept it    cairn record {environment} {paths} --reason \"...\""
    ));
}
