//! `cairn key` and `cairn secret-key`.
//!
//! Invariant: a private key is never printed; the key of withheld values only by `export`,
//! which is for that.

use std::{io::Read as _, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use cairn_client::{
    detail::printable_bytes,
    keys::{self, KeyError, KeySpec},
    secrets::SecretKeys,
    trust,
};
use cairn_proto::{
    key::PublicKey,
    name::Environment,
    note::{SignatureType, VerifierKey},
    reason::Reason,
};
use serde_json::json;
use zeroize::Zeroizing;

#[cfg(feature = "pkcs11")]
use super::tokens;
use super::trust::name_in_use;
use crate::{cli, failure::Failure, output::complain, session::Session};

/// Bytes read from standard input: such a key has less than 100.
const SECRET_BYTES_MAX: usize = 4 << 10;

/// `cairn key`
pub(crate) fn key(session: &Session, command: &cli::Key) -> Result<u8, Failure> {
    match command {
        cli::Key::New { file, passphrase } => new(session, file, *passphrase),
        cli::Key::Show { key, name } => show(session, key.as_deref(), name.as_deref()),
        #[cfg(feature = "pkcs11")]
        cli::Key::List { uri } => tokens::list(session, uri),
    }
}

fn new(session: &Session, file: &Path, locked: bool) -> Result<u8, Failure> {
    match file.to_str().map(str::parse::<KeySpec>) {
        #[cfg(feature = "pkcs11")]
        Some(Ok(KeySpec::Token(uri))) => return tokens::new(session, &uri, locked),
        // A file may have any other name.
        #[cfg(feature = "pkcs11")]
        Some(Err(error @ KeyError::Token(_))) => return Err(error.into()),
        #[cfg(not(feature = "pkcs11"))]
        Some(Err(error @ KeyError::NoTokens)) => return Err(error.into()),
        _ => {}
    }
    let passphrase = locked.then(|| new_passphrase(session)).transpose()?;
    let passphrase = passphrase.as_ref().map(|text| text.as_str());
    let public = keys::new_key_file(file, passphrase)?;
    print_json(session, &public);
    let output = session.output;
    let name = printable_bytes(file.as_os_str().as_encoded_bytes());
    output.fact("Made", format_args!("{name}, which only you can read"));
    output.fact("Public", base64_of(&public));
    output.fact("Key id", public.id());
    let next = format!("cairn init --deployer NAME={}:PATTERN", base64_of(&public));
    output.fact("Next", next);
    Ok(0)
}

fn new_passphrase(session: &Session) -> Result<Zeroizing<String>, Failure> {
    let ask = |prompt: &str| {
        session.ask_passphrase(prompt).ok_or_else(|| {
            Failure::usage("nobody can be asked for a passphrase")
                .mended_by("Run this on a terminal, without --no-input.")
        })
    };
    let first = ask("New passphrase:")?;
    if first.is_empty() {
        let fix = "Type one, or leave out --passphrase.";
        return Err(Failure::usage("the passphrase is empty").mended_by(fix));
    }
    if *ask("Once more:")? != *first {
        return Err(Failure::usage("the two are not the same").mended_by("Try again."));
    }
    Ok(first)
}

/// A key's name that means the same wherever it is used later: a file's path counts from here.
pub(super) fn lasting(key: &str) -> Result<String, Failure> {
    let KeySpec::File(path) = key.parse()? else {
        return Ok(key.to_owned());
    };
    let path = std::path::absolute(&path)
        .map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
    let text = path.into_os_string().into_string();
    text.map_err(|_| Failure::usage("the key's path is not UTF-8"))
}

/// The base64 alone goes to standard output: `$(cairn key show FILE)` is what `init` takes.
fn show(session: &Session, key: Option<&str>, name: Option<&str>) -> Result<u8, Failure> {
    let signer = match key {
        Some(key) => session.signer(key)?,
        None => session.signers(&[])?.remove(0),
    };
    let public = signer.public_key();
    if let Some(name) = name {
        let vkey = VerifierKey::new(name, SignatureType::Cosignature, public)
            .map_err(|error| Failure::usage(format!("--as {name}: {error}")))?;
        session.output.line(vkey.to_string());
        session.output.json(&json!({
            "schema": "cairn.key/v1",
            "public": base64_of(&public),
            "keyid": public.id().to_string(),
            "vkey": vkey.to_string(),
        }));
        return Ok(0);
    }
    print_json(session, &public);
    session.output.line(base64_of(&public));
    if !session.output.is_json() {
        complain(format!("  keyid     {}", public.id()));
    }
    Ok(0)
}

pub(super) fn base64_of(public: &PublicKey) -> String {
    STANDARD.encode(public.as_bytes())
}

fn print_json(session: &Session, public: &PublicKey) {
    session.output.json(&json!({
        "schema": "cairn.key/v1",
        "public": base64_of(public),
        "keyid": public.id().to_string(),
    }));
}

/// `cairn secret-key`
pub(crate) fn secret_key(session: &Session, command: &cli::SecretKey) -> Result<u8, Failure> {
    match command {
        cli::SecretKey::New { environment } => new_secret(session, environment),
        cli::SecretKey::Export { environment } => export(session, environment),
        cli::SecretKey::Import { environment, file } => import(session, environment, file),
    }
}

/// The keys of the ledger in use.
fn secrets(session: &Session) -> Result<SecretKeys, Failure> {
    let trust = trust::load(&session.home, &name_in_use(session)?)?;
    let directory = session.home.secrets_directory(trust.genesis());
    Ok(SecretKeys::new(directory))
}

fn new_secret(session: &Session, environment: &Environment) -> Result<u8, Failure> {
    let secrets = secrets(session)?;
    if secrets.load(environment)?.is_some() {
        let why = format!("there is a key for the withheld values of {environment} already");
        let fix = format!(
            "Releases so far may be recorded with it. To begin with another, move {} away first, and \
             record with --new-secret-key.",
            secrets.path(environment).display()
        );
        return Err(Failure::new(Reason::SecretKey, why).mended_by(fix));
    }
    let key = secrets.create(environment)?;
    let id = hex::encode(key.id());
    session.output.json(&json!({
        "schema": "cairn.secret-key/v1",
        "environment": environment.to_string(),
        "keyId": id,
    }));
    session.output.fact(
        "Made",
        format!("the key of the withheld values of {environment}"),
    );
    session.output.fact("Key id", id);
    session.output.fact(
        "Next",
        format!("cairn secret-key export {environment}, for its hosts"),
    );
    Ok(0)
}

fn export(session: &Session, environment: &Environment) -> Result<u8, Failure> {
    let key = secrets(session)?.export(environment)?;
    session.output.json(&json!({
        "schema": "cairn.secret-key/v1",
        "environment": environment.to_string(),
        "key": key.trim_end(),
    }));
    session.output.line(key.trim_end());
    Ok(0)
}

fn import(session: &Session, environment: &Environment, file: &Path) -> Result<u8, Failure> {
    let secrets = secrets(session)?;
    if file == Path::new("-") {
        // One allocation of the largest size: a vector that grows leaves copies behind.
        let mut text = Zeroizing::new(Vec::with_capacity(SECRET_BYTES_MAX + 1));
        let limit = u64::try_from(SECRET_BYTES_MAX).unwrap_or(u64::MAX);
        std::io::stdin()
            .take(limit)
            .read_to_end(&mut text)
            .map_err(|error| Failure::usage(format!("standard input: {error}")))?;
        secrets.import(environment, &text)?;
    } else {
        secrets.import_file(environment, file)?;
    }
    session.output.json(&json!({
        "schema": "cairn.secret-key/v1",
        "environment": environment.to_string(),
    }));
    let text = format!("the key of the withheld values of {environment}");
    session.output.fact("Imported", text);
    Ok(0)
}
