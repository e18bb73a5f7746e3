//! Where the events of a watch go: to the terminal, to a command, to a web hook.
//!
//! Invariant: an event that was not taken is an error, never passed over.

use std::{
    io::Write as _,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use cairn_client::connect::Poster;
use cairn_proto::reason::Reason;
use serde_json::{Value, json};

use super::read::extend;
use crate::{
    cli,
    failure::Failure,
    output::{Output, complain},
    session::Session,
};

/// Times that a command is run, or a hook is called, for one event.
const TRIES: u32 = 3;
/// How long a command may take.
const COMMAND_TIME: Duration = Duration::from_mins(1);

/// Whoever takes the events.
pub(super) enum Channel {
    Terminal(Output),
    Command(String),
    Hook(Box<Poster>, String),
}

impl Channel {
    pub(super) fn of(session: &Session, args: &cli::Watch) -> Result<Self, Failure> {
        Ok(match (&args.exec, &args.webhook) {
            (Some(command), _) => Self::Command(command.clone()),
            (None, Some(url)) => {
                let parsed: Option<http::Uri> = url.parse().ok();
                let scheme = parsed.as_ref().and_then(http::Uri::scheme_str);
                if !matches!(scheme, Some("http" | "https")) {
                    let why = "--webhook takes a URL that begins with https:// or http://";
                    return Err(Failure::usage(why));
                }
                Self::Hook(Box::new(Poster::new(None)?), url.clone())
            }
            (None, None) => Self::Terminal(session.output),
        })
    }

    /// Hands an event over; what does not take it is tried again, and then it is an error.
    pub(super) async fn tell(&self, event: Value, line: &str) -> Result<(), Failure> {
        let mut document = json!({ "schema": "cairn.event/v1", "text": line.trim() });
        extend(&mut document, event);
        let (what, name) = match self {
            Self::Terminal(output) => {
                output.line(format!("  {line}"));
                output.json(&document);
                return Ok(());
            }
            Self::Command(command) => ("command", format!("`{command}`")),
            // A hook's address is a secret of its own.
            Self::Hook(..) => ("hook", "the web hook".to_owned()),
        };
        let mut pause = Duration::from_millis(500);
        for attempt in 1..=TRIES {
            let taken = match self {
                Self::Hook(poster, url) => poster.notify(url, &document).await,
                Self::Command(command) => run(command, &document),
                Self::Terminal(_) => Ok(()),
            };
            match taken {
                Ok(()) => return Ok(()),
                Err(why) => complain(format!("  note      {name}: {why}, attempt {attempt}")),
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        let message = format!("the {what} failed {TRIES} times for: {line}");
        Err(Failure::new(Reason::WatchCommand, message))
    }
}

/// Runs a command with an event on standard input, for a bounded time.
fn run(command: &str, event: &Value) -> Result<(), String> {
    let text = |error: std::io::Error| error.to_string();
    let mut child = Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::piped())
        .spawn()
        .map_err(text)?;
    if let Some(mut input) = child.stdin.take() {
        let event = event.to_string();
        // Beside it: a command that does not read is no failure, and holds up nobody.
        std::thread::spawn(move || {
            let _ = writeln!(input, "{event}");
        });
    }
    let end = Instant::now() + COMMAND_TIME;
    loop {
        match child.try_wait().map_err(text)? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => return Err(status.to_string()),
            None if Instant::now() < end => std::thread::sleep(Duration::from_millis(10)),
            None => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("not done after {} s", COMMAND_TIME.as_secs()));
            }
        }
    }
}
