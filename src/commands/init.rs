//! `init`: a production ledger's keys, first policy, genesis entry and configuration.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
    sync::Arc,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use cairn_client::keys::{self, NoPassphrase};
use cairn_proto::{
    checkpoint::SignedCheckpoint,
    hash::Version,
    key::{PublicKey, Signer},
    name::{Label, Pattern},
    policy::{Deployer, NamedKey, Policy, Right, Rule},
    reason::Reason,
    statement::Predecessor,
};
use cairn_server::{
    content::ContentLimits,
    ledger::ServerKeys,
    start::{self, Place},
};
use serde::Serialize;

use super::keys::lasting;
use crate::{cli, failure::Failure, session::Session};

/// `cairn init`.
pub(crate) fn init(session: &Session, args: &cli::Init) -> Result<u8, Failure> {
    let place = Place {
        origin: args.origin.clone(),
        data: args.data.join("data"),
        anchor: args.anchor.clone(),
        limits: ContentLimits::default(),
    };
    if start::exists(&place.data) {
        let message = format!("{} holds a ledger already", args.data.display());
        return Err(Failure::usage(message).mended_by("Choose another directory with --data."));
    }
    let admins = admins(session, &args.admins)?;
    let policy = policy(args, &admins)?;
    let predecessor = args.predecessor.as_deref().map(predecessor).transpose()?;
    let directory = args.data.join("keys");
    make_directory(&directory)?;
    let file = |name| directory.join(name);
    let (log_key, log) = server_key(session, args.log_key.as_deref(), &file("log.pem"))?;
    let (clock_key, clock) = server_key(session, args.clock_key.as_deref(), &file("clock.pem"))?;
    let keys = ServerKeys { log, clock };
    let mut nonce = [0; 16];
    getrandom::fill(&mut nonce).map_err(Failure::usage)?;
    let signers: Vec<&dyn Signer> = admins.iter().map(|(_, signer)| signer.as_ref()).collect();
    let genesis = start::genesis(
        &args.origin,
        &keys,
        &policy,
        (nonce, predecessor.clone()),
        &signers,
    )?;
    let ledger = start::create(&place, keys, &genesis)?;
    let config = args.data.join("server.toml");
    write_new(&config, &configuration(args, &place, &log_key, &clock_key)?)?;
    let output = session.output;
    output.fact("Ledger", &args.origin);
    output.fact("Genesis", ledger.trust().genesis());
    if let Some(Predecessor { origin, .. }) = &predecessor {
        output.fact(
            "Continues",
            format!("{origin}, which was lost; nothing of it is in this one"),
        );
    }
    output.fact("Keys", directory.display());
    output.fact("Next", format!("cairn serve --config {}", config.display()));
    output.json(&InitJson {
        schema: "cairn.init/v1",
        origin: args.origin.as_str(),
        genesis: ledger.trust().genesis().to_string(),
        log_key: ledger.trust().log_key().to_string(),
        clock_key: ledger.trust().clock_key().to_string(),
        config: &config,
    });
    Ok(0)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InitJson<'a> {
    schema: &'static str,
    origin: &'a str,
    genesis: String,
    log_key: String,
    clock_key: String,
    config: &'a Path,
}

/// The last known checkpoint of a ledger that was lost.
fn predecessor(file: &Path) -> Result<Predecessor, Failure> {
    let wrong = |why: String| Failure::usage(format!("--predecessor {}: {why}", file.display()));
    let note = std::fs::read(file).map_err(|error| wrong(error.to_string()))?;
    let signed = SignedCheckpoint::parse(&note).map_err(|error| wrong(error.to_string()))?;
    let origin = signed.text().lines().next().unwrap_or_default().parse();
    let predecessor = Predecessor {
        origin: origin.map_err(|_| wrong("it names no origin".to_owned()))?,
        checkpoint: String::from_utf8(note).map_err(|error| wrong(error.to_string()))?,
    };
    Ok(predecessor)
}

type Admin = (Label, Box<dyn Signer>);

fn admins(session: &Session, words: &[String]) -> Result<Vec<Admin>, Failure> {
    let mut admins = words
        .iter()
        .map(|word| {
            let wrong = || Failure::usage("--admin takes NAME=KEY");
            let (name, key) = word.split_once('=').ok_or_else(wrong)?;
            let name = name
                .parse()
                .map_err(|error| Failure::usage(format!("--admin takes NAME=KEY: {error}")))?;
            Ok((name, session.signer(key)?))
        })
        .collect::<Result<Vec<Admin>, Failure>>()?;
    admins.sort_by(|left, right| left.0.cmp(&right.0));
    Ok(admins)
}

fn policy(args: &cli::Init, admins: &[Admin]) -> Result<Policy, Failure> {
    let mut deployers = args
        .deployers
        .iter()
        .map(|word| deployer(word))
        .collect::<Result<Vec<_>, _>>()?;
    deployers.sort_by(|left, right| left.name.cmp(&right.name));
    let policy = Policy {
        version: Version(1),
        admins: admins
            .iter()
            .map(|(name, signer)| NamedKey {
                name: name.clone(),
                key: signer.public_key(),
            })
            .collect(),
        threshold: args.threshold,
        deployers,
        revoked: Vec::new(),
        rules: rules(args)?,
    };
    // Read back as every verifier will: what it would refuse is refused before it is signed.
    Policy::decode(&policy.encode()).map_err(|error| Failure::new(error.reason, &error))
}

fn deployer(word: &str) -> Result<Deployer, Failure> {
    let wrong = || Failure::usage(format!("--deployer {word}: not NAME=PUBLIC:PATTERN"));
    let (name, rest) = word.split_once('=').ok_or_else(wrong)?;
    let (key, patterns) = rest.rsplit_once(':').ok_or_else(wrong)?;
    let bytes = STANDARD
        .decode(key)
        .ok()
        .and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    let key = PublicKey::parse(&bytes.ok_or_else(wrong)?)
        .map_err(|error| Failure::new(Reason::KeyWeak, error))?;
    let mut environments = patterns
        .split(',')
        .map(|pattern| pattern.parse().map_err(|_| wrong()))
        .collect::<Result<Vec<Pattern>, _>>()?;
    environments.sort();
    Ok(Deployer {
        name: name.parse().map_err(|_| wrong())?,
        key,
        actions: vec![Right::Release, Right::Retire, Right::Rollback],
        environments,
    })
}

fn rules(args: &cli::Init) -> Result<Vec<Rule>, Failure> {
    let mut rules: BTreeMap<Pattern, Rule> = BTreeMap::new();
    let numbers = [
        ("approvals", &args.approvals),
        ("max-staleness", &args.max_staleness),
        ("witnesses", &args.witnesses),
    ];
    for (flag, words) in numbers {
        for word in words {
            let wrong = || Failure::usage(format!("--{flag} {word}: not PATTERN=NUMBER"));
            let (pattern, number) = word.split_once('=').ok_or_else(wrong)?;
            let environments: Pattern = pattern.parse().map_err(|_| wrong())?;
            let rule = rules.entry(environments.clone());
            let rule = rule.or_insert_with(|| Rule::on(environments));
            match flag {
                "approvals" => rule.approvals = Some(number.parse().map_err(|_| wrong())?),
                "witnesses" => rule.witnesses = Some(number.parse().map_err(|_| wrong())?),
                _ => rule.max_staleness = Some(number.parse().map_err(|_| wrong())?),
            }
        }
    }
    Ok(rules.into_values().collect())
}

fn unwritable(path: &Path) -> impl FnOnce(std::io::Error) -> Failure {
    let path = path.to_owned();
    move |error| {
        Failure::new(
            Reason::PathUnreadable,
            format!("{}: {error}", path.display()),
        )
    }
}

fn make_directory(path: &Path) -> Result<(), Failure> {
    let mut builder = std::fs::DirBuilder::new();
    builder
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(unwritable(path))
}

/// A key of the server, and how its configuration names it: the one that was given, or a new file.
fn server_key(
    session: &Session,
    given: Option<&str>,
    path: &Path,
) -> Result<(String, Arc<dyn Signer>), Failure> {
    if let Some(key) = given {
        return Ok((lasting(key)?, Arc::from(session.signer(key)?)));
    }
    // An earlier attempt may have made it; a key that nothing names yet is as good as new.
    if !path.exists() {
        keys::new_key_file(path, None)?;
    }
    let path = path.canonicalize().map_err(unwritable(path))?;
    let key = keys::load_file(&path, &NoPassphrase)?;
    Ok((path.to_string_lossy().into_owned(), Arc::new(key)))
}

fn write_new(path: &Path, text: &str) -> Result<(), Failure> {
    let mut options = std::fs::OpenOptions::new();
    let file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path);
    let mut file = file.map_err(unwritable(path))?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(unwritable(path))
}

fn configuration(
    args: &cli::Init,
    place: &Place,
    log_key: &str,
    clock_key: &str,
) -> Result<String, Failure> {
    let data = place.data.canonicalize().map_err(unwritable(&place.data))?;
    let quoted = |text: &str| serde_json::to_string(text).unwrap_or_default();
    let mut text = format!(
        "origin = {}\ndata = {}\nlisten = \"{}\"\nlog_key = {}\nclock_key = {}\n",
        quoted(args.origin.as_str()),
        quoted(&data.to_string_lossy()),
        args.listen,
        quoted(log_key),
        quoted(clock_key),
    );
    if let Some(anchor) = &args.anchor {
        let anchor = anchor.canonicalize().map_err(unwritable(anchor))?;
        let _ = writeln!(text, "anchor = {}", quoted(&anchor.to_string_lossy()));
    }
    text.push_str(
        "\n# Who may call. Signatures decide what may be released; tokens decide who may\n\
         # read content and send anything at all.\n[access]\nlog = \"public\"\n\
         anonymous_read = []\nanonymous_write = []\n",
    );
    Ok(text)
}
