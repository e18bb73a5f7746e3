//! `dev`: a whole ledger for trying things out, ready in a second.

use std::path::{Path, PathBuf};

use cairn_client::{
    context::{Context, Contexts},
    keys::{self, NoPassphrase},
    trust,
};
use cairn_proto::{
    hash::Version,
    key::{SecretKey, Signer as _},
    name::{Label, Origin},
    policy::{Deployer, NamedKey, Policy, Right},
    reason::Reason,
    trust::Trust,
};
use cairn_server::{
    access::Access,
    content::ContentLimits,
    ledger::{Ledger, ServerKeys},
    proposals,
    serve::Duties,
    start::{self, Place},
};
use serde::Serialize;
use std::sync::Arc;
use tokio::net::TcpListener;

use super::{
    serve::{run, shutdown},
    witnesses,
};
use crate::{cli, failure::Failure, output::Output, session::Session};

const NAME: &str = "dev";
/// Below the directory that is given: the ledger's own data.
const STORE: &str = "data";

struct Keys {
    server: ServerKeys,
    dev: SecretKey,
    dev_file: PathBuf,
}

/// `cairn dev`.
pub(crate) async fn dev(session: &Session, args: &cli::Dev) -> Result<u8, Failure> {
    if !args.listen.ip().is_loopback() {
        return Err(
            Failure::usage("dev lets everyone in, so it listens on loopback only").mended_by(
                "Use an address such as 127.0.0.1:7443, or `cairn init` and `cairn serve`.",
            ),
        );
    }
    let listener = TcpListener::bind(args.listen).await.map_err(|error| {
        Failure::usage(format!("cannot listen on {}: {error}", args.listen))
            .mended_by("Stop what listens there, or choose another with --listen.")
    })?;
    let address = listener.local_addr().map_err(Failure::usage)?;
    let url = format!("http://{address}");
    crate::terminal::raise_descriptor_limit();
    let keys = keys_in(&args.data)?;
    let (data, server_keys) = (args.data.clone(), keys.server.clone());
    let dev = keys.dev;
    let opened = tokio::task::spawn_blocking(move || open(&data, server_keys, &dev)).await;
    let ledger = opened.map_err(Failure::usage)??;
    let witnesses = args.witnesses.iter().map(|text| witnesses::flagged(text));
    let witnesses = witnesses.collect::<Result<_, _>>()?;
    let duties = witnesses::duties(&ledger, keys.server, &args.auditors, witnesses, None).await?;
    let duties = Duties {
        proposals: Some(proposals::Settings::below(&args.data.join(STORE))),
        ..duties
    };
    let moved = activate(session, ledger.trust(), &url, &keys.dev_file)?;
    let stop = shutdown();
    announce(session.output, args, &url, ledger.trust(), moved);
    run(listener, ledger, duties, Access::open(), stop).await
}

fn announce(output: Output, args: &cli::Dev, url: &str, trust: &Trust, moved: bool) {
    let data = args.data.display();
    output.line(format!("  Ledger     {url}   embedded, data in {data}"));
    output.line("  Your key   dev (throwaway, never for production)");
    output.line("  Context \"dev\" is active: other terminals need no set-up.");
    if moved {
        output.line("  It pointed to another ledger before; what was recorded there is not here.");
    }
    output.json(&DevJson {
        schema: "cairn.dev/v1",
        url,
        data: &args.data,
        origin: trust.origin().as_str(),
        genesis: trust.genesis().to_string(),
    });
}

#[derive(Serialize)]
struct DevJson<'a> {
    schema: &'static str,
    url: &'a str,
    data: &'a Path,
    origin: &'a str,
    genesis: String,
}

fn keys_in(data: &Path) -> Result<Keys, Failure> {
    use std::os::unix::fs::DirBuilderExt as _;
    let directory = &data.join("keys");
    if !start::exists(&data.join(STORE)) {
        // Keys whose ledger is gone must not sign a second history.
        for name in ["log.pem", "clock.pem"] {
            let _ = std::fs::remove_file(directory.join(name));
        }
    }
    let mut builder = std::fs::DirBuilder::new();
    builder
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|error| {
            Failure::new(
                Reason::PathUnreadable,
                format!("{}: {error}", directory.display()),
            )
        })?;
    let directory = directory.canonicalize().map_err(Failure::usage)?;
    let load = |name: &str| -> Result<(SecretKey, PathBuf), Failure> {
        let file = directory.join(name);
        if !file.exists() {
            keys::new_key_file(&file, None)?;
        }
        Ok((keys::load_file(&file, &NoPassphrase)?, file))
    };
    let (dev, dev_file) = load("dev.pem")?;
    Ok(Keys {
        server: ServerKeys {
            log: Arc::new(load("log.pem")?.0),
            clock: Arc::new(load("clock.pem")?.0),
        },
        dev,
        dev_file,
    })
}

/// The origin names the log key, so that another `dev` is another ledger.
fn origin(keys: &ServerKeys) -> Result<Origin, Failure> {
    let key = hex::encode(keys.log.public_key().as_bytes());
    let origin = format!("dev/{}", key.get(..8).unwrap_or_default());
    origin.parse().map_err(Failure::usage)
}

fn open(data: &Path, keys: ServerKeys, dev: &SecretKey) -> Result<Ledger, Failure> {
    let place = Place {
        origin: origin(&keys)?,
        data: data.join(STORE),
        anchor: None,
        limits: ContentLimits::default(),
    };
    if start::exists(&place.data) {
        match start::open(&place, keys.clone(), None) {
            Ok((ledger, _)) => return Ok(ledger),
            // An earlier start ended before the first entry was there: begin now.
            Err(error) if error.reason() == Reason::GenesisMissing => {}
            Err(error) => return Err(error.into()),
        }
    }
    let mut nonce = [0; 16];
    getrandom::fill(&mut nonce).map_err(Failure::usage)?;
    let genesis = start::genesis(&place.origin, &keys, &policy(dev)?, (nonce, None), &[dev])?;
    Ok(start::create(&place, keys, &genesis)?)
}

/// One throwaway key that may do everything.
fn policy(dev: &SecretKey) -> Result<Policy, Failure> {
    let name: Label = NAME.parse().map_err(Failure::usage)?;
    Ok(Policy {
        version: Version(1),
        admins: vec![NamedKey {
            name: name.clone(),
            key: dev.public_key(),
        }],
        threshold: 1,
        deployers: vec![Deployer {
            name,
            key: dev.public_key(),
            actions: vec![Right::Release, Right::Retire, Right::Rollback],
            environments: vec!["**".parse().map_err(Failure::usage)?],
        }],
        revoked: Vec::new(),
        rules: Vec::new(),
    })
}

/// Points the context `dev` here. Says whether it stood for another ledger before.
fn activate(session: &Session, trust: &Trust, url: &str, key: &Path) -> Result<bool, Failure> {
    let name: Label = NAME.parse().map_err(Failure::usage)?;
    let known = trust::load(&session.home, &name).ok();
    let moved = known.is_some_and(|known| !known.is_same_ledger(trust));
    if moved {
        trust::replace(&session.home, &name, trust)?;
    } else {
        // Whoever is pinned beside its keys stays.
        trust::save(&session.home, &name, trust)?;
    }
    let context = Context {
        url: url.to_owned(),
        trust: NAME.to_owned(),
        key: Some(key.to_string_lossy().into_owned()),
        token_file: None,
        ca_file: None,
        plaintext: false,
    };
    Contexts::activate(&session.home, &name, context)?;
    Ok(moved)
}
