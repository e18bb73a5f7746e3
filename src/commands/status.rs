//! `cairn status`: which ledger is in use, and how fresh it is.

use cairn_client::detail::printable;
use serde_json::json;

use crate::{failure::Failure, output::count, session::Session};

/// `cairn status`
pub(crate) async fn status(session: &Session) -> Result<u8, Failure> {
    let (name, context) = (session.context_name()?, session.context()?);
    let ledger = session.ledger()?;
    let trust = ledger.trust();
    let output = session.output;
    // What is known here is said before anybody is asked: it helps where nobody answers.
    output.fact("Context", &name);
    output.fact("URL", printable(&context.url));
    output.fact("Origin", trust.origin());
    output.fact("Genesis", trust.genesis());
    let status = ledger.status().await?;
    output.json(&json!({
        "schema": "cairn.status/v1",
        "context": name,
        "url": context.url,
        "origin": trust.origin().to_string(),
        "genesis": trust.genesis().to_string(),
        "size": status.size.0,
        "root": status.root.to_string(),
        "age": status.age,
        "held": status.held.map(|size| size.0),
        "serverVersion": status.server_version,
    }));
    let age = match status.age {
        Some(age) => format!("{age} s old"),
        None => "of unknown age".to_owned(),
    };
    output.fact("Size", format_args!("{}, {age}", entries(status.size.0)));
    output.fact("Root", status.root);
    let held = match status.held {
        Some(held) => format!("{} before; nothing of it was rewritten", entries(held.0)),
        None => "nothing before".to_owned(),
    };
    output.fact("Seen", held);
    output.fact("Server", format_args!("cairn {}", status.server_version));
    Ok(0)
}

fn entries(number: u64) -> String {
    let number = usize::try_from(number).unwrap_or(usize::MAX);
    match number {
        1 => count(1, "entry"),
        number => format!("{number} entries"),
    }
}
