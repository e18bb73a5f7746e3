//! `cairn trust`: which ledgers are trusted, and how they came to be.
//!
//! Invariant: a ledger is pinned only if a person said yes to what it is, or named its
//! genesis hash beforehand; and a name never changes hands silently.

use std::path::Path;

use cairn_client::{
    clock,
    connect::{Connection, Endpoint},
    context::{Context, Contexts},
    error::HomeError,
    trust::{self, TrustSummary, discover, tlog_policy},
};
use cairn_proto::{
    checkpoint::SignedCheckpoint, name::Label, reason::Reason, statement::Predecessor, trust::Trust,
};
use serde_json::Value;

use super::{check, cosigners, keys::lasting};
use crate::{
    cli,
    failure::Failure,
    output::{Output, complain, count},
    session::Session,
};

/// Groups of four digits of a fingerprint in a line.
const GROUPS: usize = 8;

/// `cairn trust`
pub(crate) async fn trust(session: &Session, command: &cli::TrustCommand) -> Result<u8, Failure> {
    match command {
        cli::TrustCommand::Add(args) => add(session, args).await,
        cli::TrustCommand::Show { name, tlog_policy } => show(session, name.as_ref(), *tlog_policy),
        cli::TrustCommand::Check { ask, evidence } => match evidence {
            Some(file) => check::evidence(session, file),
            None => check::check(session, ask).await,
        },
    }
}

async fn add(session: &Session, args: &cli::TrustAdd) -> Result<u8, Failure> {
    let context = kept(session, args, context_of(args)?)?;
    let endpoint = Endpoint::of(&session.home, &context)?;
    let connection = Connection::open(&endpoint)?;
    let summary = discover(&connection, args.genesis.as_ref(), clock::now()).await?;
    let pinned = pinned(session, &args.name)?;
    if let Some(pinned) = &pinned
        && !pinned.is_same_ledger(&summary.trust)
    {
        // Said before anybody is asked anything.
        return Err(taken(&args.name));
    }
    if args.genesis.is_none() && pinned.is_none() {
        describe(&summary);
        confirm(session, &summary)?;
    }
    let chosen = cosigners::chosen(&summary.trust, args)?;
    if let Some(pinned) = &pinned {
        cosigners::keep_strength(pinned, &chosen, args)?;
    }
    // Whoever names witnesses or auditors asks them, too, whether other keys took over: the next command
    // does.
    let chosen = if chosen.needs_cosigners() {
        chosen.with_first_keys()
    } else {
        chosen
    };
    trust::save(&session.home, &args.name, &chosen)?;
    Contexts::activate(&session.home, &args.name, context)?;
    // What is pinned by now: who was pinned before stays.
    let saved = trust::load(&session.home, &args.name)?;
    session.output.json(&trust_json(&saved));
    let output = session.output;
    output.fact("Trusted", summary.trust.origin());
    fingerprint(output, &summary.trust);
    cosigners::list(output, &saved);
    let text = format!("\"{}\" is active, at {}", args.name, args.url);
    output.fact("Context", text);
    Ok(0)
}

/// What a name stands for already.
fn pinned(session: &Session, name: &Label) -> Result<Option<Trust>, Failure> {
    match trust::load(&session.home, name) {
        Ok(trust) => Ok(Some(trust)),
        Err(HomeError::NothingTrusted) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn taken(name: &Label) -> Failure {
    let name = name.to_string();
    Failure::from(HomeError::Taken { name })
        .mended_by("Give this ledger a name of its own with --name NAME.")
}

/// What the context has already, for the same server, stays where nothing else was said.
fn kept(session: &Session, args: &cli::TrustAdd, new: Context) -> Result<Context, Failure> {
    let contexts = Contexts::load(&session.home)?;
    let old = contexts.contexts.get(args.name.as_str());
    let Some(old) = old.filter(|old| old.url == new.url && old.trust == new.trust) else {
        return Ok(new);
    };
    Ok(Context {
        key: new.key.or_else(|| old.key.clone()),
        token_file: new.token_file.or_else(|| old.token_file.clone()),
        ca_file: new.ca_file.or_else(|| old.ca_file.clone()),
        plaintext: new.plaintext || old.plaintext,
        ..new
    })
}

/// Paths count from here, wherever the context is used later.
fn context_of(args: &cli::TrustAdd) -> Result<Context, Failure> {
    let absolute = |path: &Path| {
        std::path::absolute(path)
            .map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
    };
    let key = args.key.as_deref().map(lasting).transpose()?;
    let file = |path: &Option<_>| path.as_deref().map(absolute).transpose();
    Ok(Context {
        url: args.url.clone(),
        trust: args.name.to_string(),
        key,
        token_file: file(&args.token_file)?,
        ca_file: file(&args.ca_file)?,
        plaintext: args.plaintext,
    })
}

/// What a person is asked about goes where the question goes.
fn describe(summary: &TrustSummary) {
    let say = |word: &str, text: String| complain(format!("  {word:<9} {text}"));
    let trust = &summary.trust;
    say("Ledger", trust.origin().to_string());
    for (row, line) in groups(trust).into_iter().enumerate() {
        say(if row == 0 { "Genesis" } else { "" }, line);
    }
    say("Log key", trust.log_key().to_string());
    if let Some(predecessor) = &summary.predecessor {
        for line in continued(predecessor) {
            say("Continues", line);
        }
    }
    let size = usize::try_from(summary.size).unwrap_or(usize::MAX);
    say("Size", format!("{size} entries"));
    let admins = summary.admins();
    let text = format!(
        "version {}; {} of {} must sign another",
        summary.policy.version,
        summary.policy.threshold,
        count(admins.len(), "admin")
    );
    say("Policy", text);
    for admin in admins {
        say("Admin", format!("{} ({})", admin.name, admin.keyid));
    }
    for deployer in summary.deployers() {
        let text = format!(
            "{} ({}) may {} in {}",
            deployer.key.name,
            deployer.key.keyid,
            deployer.actions.join(", "),
            deployer.environments.join(", ")
        );
        say("Deployer", text);
    }
    for rule in &summary.policy.rules {
        say("Rule", rule.to_string());
    }
}

/// What is said of a ledger that was lost: its admins' word, and nothing more.
fn continued(predecessor: &Predecessor) -> Vec<String> {
    let note = SignedCheckpoint::parse(predecessor.checkpoint.as_bytes());
    let size = note.map_or_else(
        |_| "no checkpoint that can be read".to_owned(),
        |note| format!("{} entries", note.claimed_size()),
    );
    vec![
        format!("{}, which was lost, as of {size}", predecessor.origin),
        "what that one held is not in this one: compare with who saw more of it".to_owned(),
    ]
}

fn confirm(session: &Session, summary: &TrustSummary) -> Result<(), Failure> {
    if session.cannot_ask() {
        let fix = "Compare the genesis with what the ledger's admins told you, then run this \
                   again with --genesis HASH.";
        let why = "nobody can be asked whether this is the right ledger";
        return Err(Failure::usage(why).mended_by(fix));
    }
    let question = "Is this genesis the one that the ledger's admins told you?";
    if session.confirm(question)? {
        return Ok(());
    }
    let why = format!("{} was not trusted", summary.trust.origin());
    Err(Failure::new(Reason::TrustMissing, why).mended_by("Ask the ledger's admins."))
}

fn groups(trust: &Trust) -> Vec<String> {
    let hex = trust.genesis().to_string();
    let fours: Vec<_> = hex
        .as_bytes()
        .chunks(4)
        .map(String::from_utf8_lossy)
        .collect();
    fours.chunks(GROUPS).map(|line| line.join(" ")).collect()
}

fn fingerprint(output: Output, trust: &Trust) {
    for (row, line) in groups(trust).into_iter().enumerate() {
        output.fact(if row == 0 { "Genesis" } else { "" }, line);
    }
}

/// Exactly what the trust file says.
fn trust_json(trust: &Trust) -> Value {
    serde_json::from_str(&trust::encode(trust)).unwrap_or_default()
}

fn show(session: &Session, name: Option<&Label>, tlog_policy: bool) -> Result<u8, Failure> {
    let name = name.map_or_else(|| name_in_use(session), |name| Ok(name.clone()))?;
    let trust = trust::load(&session.home, &name).map_err(|error| match error {
        HomeError::NothingTrusted => {
            let why = format!("no ledger is trusted under the name `{name}`");
            Failure::new(Reason::TrustMissing, why)
        }
        error => error.into(),
    })?;
    let output = session.output;
    output.json(&trust_json(&trust));
    if tlog_policy {
        output.line(tlog_policy::encode(&trust).trim_end());
        return Ok(0);
    }
    output.fact("Name", &name);
    output.fact("Origin", trust.origin());
    output.fact("Log key", trust.log_key());
    output.fact("Clock key", trust.clock_key());
    fingerprint(output, &trust);
    cosigners::list(output, &trust);
    Ok(0)
}

/// The trust file of the context in use.
pub(super) fn name_in_use(session: &Session) -> Result<Label, Failure> {
    let name = session.context()?.trust;
    let wrong = |_| Failure::usage(format!("`{name}` is no name of a trust file"));
    name.parse().map_err(wrong)
}
