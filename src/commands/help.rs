//! `cairn help`, completions and manual pages: all from the same table of commands.

use std::path::Path;

use cairn_client::{error::ClientError, verdict::Verdict};
use cairn_proto::reason::Reason;
use clap::CommandFactory as _;

use crate::{
    cli::{self, Cli, Format},
    failure::Failure,
    output::Output,
};

/// How many letters a mistyped topic may be off.
const TYPOS_MAX: usize = 3;

fn print(text: impl AsRef<str>) {
    Output::new(Format::Text).line(text.as_ref().trim_end());
}

/// `cairn help [TOPIC]`
pub(crate) fn help(args: &cli::Help) -> Result<u8, Failure> {
    let mut root = Cli::command();
    root.build();
    let Some(first) = args.topic.first() else {
        print(root.render_help().ansi().to_string());
        return Ok(0);
    };
    // `secret-key` is the command; `SECRET_KEY` is the code.
    let is_command = root.find_subcommand(first).is_some();
    if args.topic.len() == 1 && !is_command && explain(first) {
        return Ok(0);
    }
    let mut command = &mut root;
    for (depth, word) in args.topic.iter().enumerate() {
        let names: Vec<_> = command
            .get_subcommands()
            .map(|it| it.get_name().to_owned())
            .collect();
        command = command
            .find_subcommand_mut(word)
            .ok_or_else(|| unknown(word, &names, depth == 0))?;
    }
    print(command.render_long_help().ansi().to_string());
    Ok(0)
}

/// Prints what a code or a verdict means; `false` if it is neither.
fn explain(topic: &str) -> bool {
    let code = topic.to_ascii_uppercase().replace('-', "_");
    let (reason, verdict) = (code.parse::<Reason>().ok(), verdict_of(&code));
    if let Some(verdict) = verdict {
        print_verdict(verdict);
    }
    if let Some(reason) = reason {
        print_reason(reason);
    }
    reason.is_some() || verdict.is_some()
}

fn unknown(word: &str, commands: &[String], codes_too: bool) -> Failure {
    let word = cairn_client::detail::shortened(word, 64);
    let codes = Reason::ALL.iter().map(|reason| reason.code());
    let codes: Vec<_> = codes.filter(|_| codes_too).collect();
    let known = commands.iter().map(String::as_str).chain(codes);
    let close = known
        .map(|name| {
            (
                distance(&name.to_ascii_lowercase(), &word.to_ascii_lowercase()),
                name,
            )
        })
        .filter(|(letters, name)| *letters <= TYPOS_MAX.min(name.len() / 2))
        .min();
    let fix = match close {
        Some((_, name)) => format!("Did you mean `cairn help {name}`?"),
        None => "`cairn help` lists the commands.".to_owned(),
    };
    Failure::usage(format!("there is no command and no code `{word}`")).mended_by(fix)
}

/// Letters to change, add or leave out to make one word of the other.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (above, letter) in left.chars().enumerate() {
        let mut diagonal = above;
        let mut before = above + 1;
        let mut next = vec![before];
        for (other, below) in right.iter().zip(row.iter().skip(1)) {
            let changed = diagonal + usize::from(*other != letter);
            before = changed.min(below + 1).min(before + 1);
            diagonal = *below;
            next.push(before);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

fn verdict_of(text: &str) -> Option<Verdict> {
    let named =
        |verdict: &&Verdict| verdict.as_str() == text || verdict.exit_code().to_string() == text;
    Verdict::PRECEDENCE.iter().find(named).copied()
}

fn print_verdict(verdict: Verdict) {
    let meaning = match verdict {
        Verdict::Verified => "Matches the current release; every step was proven.",
        Verdict::Drift => "Something differs from the release; each difference is listed.",
        Verdict::Unrecorded => "The environment, or the digest, is proven to be in no release.",
        Verdict::Untrusted => "A signature is bad, or its signer was not allowed.",
        Verdict::Tampered => "Bytes contradict a signed checkpoint; the evidence is saved.",
        Verdict::Stale => "The newest proof is older than allowed, or than what was seen before.",
        Verdict::Superseded => "This is exactly an older release, or the environment is retired.",
        Verdict::Unverifiable => "Something could not be measured; it never counts as a match.",
        _ => "Nothing was proven either way.",
    };
    print(format!(
        "{verdict}\n  {meaning}\n  Exit code  {}",
        verdict.exit_code()
    ));
}

fn print_reason(reason: Reason) {
    print(format!(
        "{}\n  {}\n  Fix        {}\n  Exit code  {}",
        reason.code(),
        reason.meaning(),
        reason.mend(),
        exits(reason)
    ));
}

/// The exit code of a command that ends with it.
fn exits(reason: Reason) -> String {
    let told = ClientError::Refused(cairn_grpc::Refused {
        code: reason.code().to_owned(),
        reason: Some(reason),
        message: String::new(),
        retry_after: None,
    });
    let told = told.exit_code().max(Failure::new(reason, "").exit);
    match judged(reason) {
        None => told.to_string(),
        Some(verdict) if is_proven(reason) => format!("{} ({verdict})", verdict.exit_code()),
        Some(verdict) => format!(
            "{told}, or {} ({verdict}) where a proof shows it",
            verdict.exit_code()
        ),
    }
}

/// What is only ever said of a ledger, with a proof in hand.
fn is_proven(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::Forked | Reason::MapRecordWrong | Reason::Stale | Reason::RolledBack
    )
}

/// What verification calls it.
fn judged(reason: Reason) -> Option<Verdict> {
    match reason {
        Reason::Forked
        | Reason::ContentMismatch
        | Reason::DocumentMismatch
        | Reason::MapRecordWrong
        | Reason::RowMismatch => Some(Verdict::Tampered),
        Reason::BadSignature
        | Reason::UnknownSigner
        | Reason::SignerNotAllowed
        | Reason::TooFewApprovals
        | Reason::TooFewSignatures
        | Reason::SignerCompromised
        | Reason::NoteSignature => Some(Verdict::Untrusted),
        Reason::Stale | Reason::RolledBack => Some(Verdict::Stale),
        _ => None,
    }
}

/// `cairn completion SHELL`
pub(crate) fn completions(shell: clap_complete::Shell) -> u8 {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "cairn", &mut script);
    print(String::from_utf8_lossy(&script));
    0
}

/// `cairn man DIRECTORY`
pub(crate) fn manual(directory: &Path) -> Result<u8, Failure> {
    let written = std::fs::create_dir_all(directory)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), directory));
    written.map_err(|error| {
        let path = directory.to_owned();
        Failure::from(ClientError::File { path, error })
    })?;
    print(format!(
        "  Wrote     the manual pages to {}",
        directory.display()
    ));
    Ok(0)
}
