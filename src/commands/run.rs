//! `run`: a deployment command, and the record of what it deployed.
//!
//! Invariants: standard input and output are the command's, and so is the exit code where it
//! fails; nothing is deployed that could not be recorded afterwards, as far as can be told
//! beforehand; with `--before` a command that fails leaves what stood before as the newest.

use std::{
    ffi::OsString,
    io::{self, IsTerminal as _},
    os::unix::process::ExitStatusExt as _,
    process::ExitStatus,
};

use cairn_client::{
    detail::printable_bytes,
    ledger::Ledger,
    read::Reference,
    record::Outcome,
    systems::{self, Given},
};
use cairn_proto::{hash::Sequence, key::Signer, reason::Reason, statement::Action};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    process::Command,
    signal::unix::{self, SignalKind, signal},
};

use super::record::{can_wait, take, tell, terms};
use crate::{cli, failure::Failure, output::complain, session::Session};

/// What is added to a signal's number, as shells do.
const SIGNALLED: i32 = 128;
/// Of the reason for undoing: a release's has at most 1,024 bytes.
const REASON_CHARS_MAX: usize = 250;

/// `cairn run`
pub(crate) async fn run(session: &Session, args: &cli::Run) -> Result<u8, Failure> {
    let session = &session.aside();
    let record = record_of(args)?;
    let ledger = session.ledger()?;
    let signers = session.signers(&args.words.keys)?;
    can_wait(&ledger, &args.words)?;
    // Who cannot be reached now would not be reached then.
    ledger.lookup(&args.environment).await?;
    if args.before {
        return recorded_first(session, &ledger, &record, &signers, args).await;
    }
    let status = carry_out(&args.command, Signals::heed()?).await?;
    if !status.success() {
        complain("  Failed    nothing was recorded");
        return Ok(code_of(status));
    }
    let outcome = take(session, &ledger, &record, &signers)
        .await
        .map_err(|failure| {
            let message = format!("the command succeeded, but {}", failure.message);
            Failure { message, ..failure }
        })?;
    tell(session, &ledger, &outcome, (args.words.witnessed, None)).await?;
    Ok(0)
}

async fn recorded_first(
    session: &Session,
    ledger: &Ledger,
    record: &cli::Record,
    signers: &[Box<dyn Signer>],
    args: &cli::Run,
) -> Result<u8, Failure> {
    let signals = Signals::heed()?;
    let outcome = take(session, ledger, record, signers).await?;
    let told = tell(session, ledger, &outcome, (args.words.witnessed, None)).await;
    let status = match told {
        Ok(()) => carry_out(&args.command, signals).await,
        // What was asked for beside the record was not had: nothing is deployed upon it.
        Err(failure) => Err(failure),
    };
    let why = match &status {
        Ok(status) if status.success() => return Ok(0),
        Ok(status) => match status.code() {
            Some(code) => format!("the command ended with exit code {code}"),
            None => format!(
                "the command was ended by signal {}",
                status.signal().unwrap_or(0)
            ),
        },
        Err(failure) => failure.message.clone(),
    };
    if let Outcome::Recorded(receipt) = &outcome {
        undo(session, ledger, signers, (args, receipt.sequence), &why).await?;
    }
    status.map(code_of)
}

/// Makes what stood before the newest again, or nothing where nothing stood.
async fn undo(
    session: &Session,
    ledger: &Ledger,
    signers: &[Box<dyn Signer>],
    (args, made): (&cli::Run, Sequence),
    why: &str,
) -> Result<(), Failure> {
    let words = cli::Words {
        reason: Some(why.chars().take(REASON_CHARS_MAX).collect()),
        // Whoever released meanwhile did not mean to be undone.
        expect: Some(made.0),
        ..args.words.clone()
    };
    let terms = terms(&words, signers, false)?;
    let environment = &args.environment;
    // What it was built upon, whoever recorded that.
    let stood = match made.0.saturating_sub(1) {
        0 => None,
        sequence => {
            let reference: Result<Reference, _> = format!("{environment}#{sequence}").parse();
            let reference = reference.map_err(|error| Failure::new(Reason::Usage, error))?;
            let release = ledger.resolve(&reference).await?.release;
            (release.action != Action::Retire).then_some(reference)
        }
    };
    let undone = match &stood {
        Some(reference) => ledger.rollback(environment, reference, &terms).await,
        None => ledger.retire(environment, &terms).await,
    };
    let undone = undone.map_err(|error| {
        let failure = Failure::from(error);
        let message = format!(
            "{why}, and {environment}#{made} still stands as the newest: {}",
            failure.message
        );
        Failure { message, ..failure }
    })?;
    complain(format!("  Failed    {why}: what stood before stands again"));
    if let Err(failure) = tell(session, ledger, &undone, (None, None)).await {
        complain(format!("  note      {}", failure.message));
    }
    Ok(())
}

/// What to record once the command succeeded: as the flags say, or as the command itself shows.
fn record_of(args: &cli::Run) -> Result<cli::Record, Failure> {
    let mut what = args.what.clone();
    let asked = what.systems.asked();
    if asked
        .iter()
        .any(|asked| matches!(asked.given, Given::Stdin(_)))
    {
        let why = "standard input is the command's: give what it deploys as a file";
        return Err(Failure::usage(why));
    }
    if asked.is_empty() && args.paths.is_empty() {
        let deployed = systems::deployed_by(&args.command).ok_or_else(|| {
            let command = args
                .command
                .first()
                .map(|it| it.to_string_lossy().into_owned());
            let command = command.unwrap_or_default();
            Failure::usage(format!(
                "what `{command}` deploys does not show from its arguments"
            ))
            .mended_by(
                "Say what it deploys: --path PATH, or a tool's flag: --kubernetes=FILE, \
                 --helm=live:NAMESPACE/NAME, --terraform=live:DIR, --docker.",
            )
        })?;
        what.systems = cli::Systems::of(deployed);
    }
    let shown = asked.is_empty();
    let asked = what.systems.asked();
    let mut afterwards = asked
        .iter()
        .filter(|it| !it.system.is_beforehand(&it.given) || (shown && !it.system.is_read_by_it()));
    if let (true, Some(asked)) = (args.before, afterwards.next()) {
        let system = asked.system.name();
        let why = format!("what {system} has is there after the command, and not before it");
        return Err(Failure::usage(why).mended_by(
            "Give what it deploys as a file or by its reference, or leave out --before.",
        ));
    }
    Ok(cli::Record {
        environment: args.environment.clone(),
        paths: args.paths.clone(),
        what,
        words: args.words.clone(),
    })
}

/// The signals that would end this process: from when they are heeded, they are the command's.
struct Signals {
    interrupt: unix::Signal,
    terminate: unix::Signal,
    hang_up: unix::Signal,
}

impl Signals {
    fn heed() -> Result<Self, Failure> {
        let heed = |kind| signal(kind).map_err(|error| Failure::new(Reason::ToolFailed, error));
        Ok(Self {
            interrupt: heed(SignalKind::interrupt())?,
            terminate: heed(SignalKind::terminate())?,
            hang_up: heed(SignalKind::hangup())?,
        })
    }
}

/// Runs the command to its end, whatever happens to this process.
async fn carry_out(command: &[OsString], mut signals: Signals) -> Result<ExitStatus, Failure> {
    let failed = |error: io::Error| Failure::new(Reason::ToolFailed, error);
    let (program, arguments) = command
        .split_first()
        .ok_or_else(|| Failure::usage("no command"))?;
    let mut child = Command::new(program)
        .args(arguments)
        .spawn()
        .map_err(|error| {
            let program = printable_bytes(program.as_encoded_bytes());
            Failure::new(Reason::ToolFailed, format!("cannot run {program}: {error}"))
                .mended_by("Check the command that stands after `--`.")
        })?;
    let id = child.id().and_then(|id| i32::try_from(id).ok());
    let id = id.and_then(Pid::from_raw);
    loop {
        let passed = tokio::select! {
            ended = child.wait() => return ended.map_err(failed),
            // A terminal sends it to both.
            _ = signals.interrupt.recv() => (!has_terminal()).then_some(Signal::INT),
            _ = signals.terminate.recv() => Some(Signal::TERM),
            _ = signals.hang_up.recv() => Some(Signal::HUP),
        };
        if let (Some(id), Some(passed)) = (id, passed) {
            let _ = kill_process(id, passed);
        }
    }
}

fn has_terminal() -> bool {
    io::stdin().is_terminal() || io::stdout().is_terminal() || io::stderr().is_terminal()
}

fn code_of(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| Some(SIGNALLED + status.signal()?));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}
