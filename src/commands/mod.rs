//! One module a command, or a few that belong together: parse, call, print.

mod audit;
mod bundles;
mod capturing;
mod check;
mod cosigners;
mod deliver;
#[cfg(feature = "server")]
mod demo;
#[cfg(feature = "server")]
mod dev;
mod export;
mod help;
mod history;
mod hosts;
#[cfg(feature = "server")]
mod init;
mod keys;
mod orders;
mod pending;
mod policy;
mod proposals;
mod read;
mod record;
mod release;
#[cfg(feature = "server")]
mod repair;
mod restore;
mod run;
#[cfg(feature = "server")]
mod serve;
mod show;
mod status;
#[cfg(feature = "pkcs11")]
mod tokens;
mod trust;
mod verify;
mod watch;
#[cfg(feature = "server")]
mod witness;
#[cfg(feature = "server")]
mod witnesses;

use crate::{
    cli::{Command, Global},
    failure::{Failure, is_of_other_keys},
    session::Session,
};

/// Runs a command; the number is the exit code of a verdict.
pub(crate) async fn run(command: Command, global: &Global) -> Result<u8, Failure> {
    // These need no home.
    match &command {
        Command::Help(help) => return help::help(help),
        Command::Completions { shell } => return Ok(help::completions(*shell)),
        Command::Man { directory } => return help::manual(directory),
        _ => {}
    }
    let session = Session::new(global)?;
    // Other keys may have taken over from the pinned ones. What writes looks first; what only reads is
    // done once more after they were proven and pinned.
    if writes(&command) {
        Box::pin(session.look_for_other_keys()).await;
    }
    let ended = Box::pin(dispatch(&session, &command)).await;
    let Err(failure) = ended else { return ended };
    let offline = matches!(&command, Command::Verify(verify) if verify.bundle.is_some());
    let of_other_keys = is_of_other_keys(&failure.code) && !offline;
    if !of_other_keys || !session.follow_other_keys().await {
        return Err(failure);
    }
    if only_reads(&command) {
        return Box::pin(dispatch(&session, &command)).await;
    }
    Err(failure.mended_by(
        "Other keys took over, and are pinned now. See with `cairn log` what was recorded, then run it \
         again.",
    ))
}

/// Whether a command may append to the log.
fn writes(command: &Command) -> bool {
    matches!(
        command,
        Command::Record(_)
            | Command::Run(_)
            | Command::Rollback(_)
            | Command::Retire(_)
            | Command::Release(_)
            | Command::Policy(_)
            | Command::Approve(_)
            | Command::Order(_)
            | Command::Proposal(_)
            | Command::Host(_)
    )
}

/// Whether a command changes nothing, so that it can be done twice.
fn only_reads(command: &Command) -> bool {
    matches!(
        command,
        Command::Verify(_)
            | Command::Log(_)
            | Command::History(_)
            | Command::Find(_)
            | Command::Show(_)
            | Command::Diff(_)
            | Command::Restore(_)
            | Command::Export(_)
            | Command::Audit(_)
            | Command::Status
    )
}

async fn dispatch(session: &Session, command: &Command) -> Result<u8, Failure> {
    match command {
        Command::Record(record) => record::record(session, record).await,
        Command::Run(run) => run::run(session, run).await,
        Command::Rollback(rollback) => record::rollback(session, rollback).await,
        Command::Retire(retire) => record::retire(session, retire).await,
        Command::Verify(verify) => verify::verify(session, verify).await,
        Command::Release(release) => release::release(session, release).await,
        Command::Policy(policy) => policy::policy(session, policy).await,
        Command::Approve(approve) => hosts::approve(session, approve).await,
        Command::Order(order) => orders::order(session, order).await,
        Command::Proposal(proposal) => orders::proposal(session, proposal).await,
        Command::Host(host) => hosts::host(session, host).await,
        Command::Log(log) => read::log(session, log).await,
        Command::History(history) => history::history(session, history).await,
        Command::Find(find) => history::find(session, find).await,
        Command::Show(show) => read::show(session, show).await,
        Command::Diff(diff) => Box::pin(read::diff(session, diff)).await,
        Command::Restore(restore) => restore::restore(session, restore).await,
        Command::Export(export) => export::export(session, export).await,
        Command::Audit(audit) => audit::audit(session, audit).await,
        Command::Watch(watch) => watch::watch(session, watch).await,
        Command::Status => status::status(session).await,
        Command::Key(key) => keys::key(session, key),
        Command::SecretKey(key) => keys::secret_key(session, key),
        Command::Trust(trust) => trust::trust(session, trust).await,
        #[cfg(feature = "server")]
        Command::Demo(demo) => demo::demo(session, demo).await,
        #[cfg(feature = "server")]
        Command::Dev(dev) => dev::dev(session, dev).await,
        #[cfg(feature = "server")]
        Command::Init(init) => init::init(session, init),
        #[cfg(feature = "server")]
        Command::Serve(serve) => serve::serve(session, serve).await,
        #[cfg(feature = "server")]
        Command::Repair(repair) => repair::repair(session, repair).await,
        #[cfg(feature = "server")]
        Command::Witness(witness) => witness::witness(session, witness).await,
        #[cfg(not(feature = "server"))]
        Command::Demo(_)
        | Command::Dev(_)
        | Command::Init(_)
        | Command::Serve(_)
        | Command::Repair(_)
        | Command::Witness(_) => Err(Failure::usage("this build of cairn has no server in it")),
        Command::Help(_) | Command::Completions { .. } | Command::Man { .. } => Ok(0),
    }
}
