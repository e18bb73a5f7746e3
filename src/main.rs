//! The command line of Cairn: parse, call, print. No logic worth a unit test lives here.

mod cli;
mod commands;
mod failure;
mod output;
mod session;
mod terminal;

use std::process::ExitCode;

use clap::Parser as _;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::{
    EnvFilter, Layer as _,
    filter::{FilterExt as _, filter_fn},
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

use crate::{cli::Cli, failure::Failure};

/// Exit code of a run that Ctrl-C ended.
const EXIT_INTERRUPTED: u8 = 130;
/// Exit code of one that was asked to end, as shells count.
const EXIT_TERMINATED: u8 = 143;
/// How long a command may take to clean up after Ctrl-C.
const GRACE: std::time::Duration = std::time::Duration::from_millis(200);

fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = EnvFilter::try_from_env("CAIRN_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    // AWS's SDK shows requests and answers there, with all that is secret in them.
    let filter = filter.and(filter_fn(|told| !told.target().starts_with("aws_")));
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_target(false);
    tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .init();
    let format = cli.global.output;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return Failure::usage(format!("no threads: {error}")).report(format),
    };
    // `dev`, `serve` and `witness` end in good order by themselves, and `run` when its command
    // does; all else ends here and now.
    let serves = matches!(
        cli.command,
        cli::Command::Dev(_)
            | cli::Command::Serve(_)
            | cli::Command::Witness(_)
            | cli::Command::Run(_)
    );
    if !serves {
        runtime.spawn(end_when_interrupted());
    }
    let ended = runtime.block_on(async {
        let running = commands::run(cli.command, &cli.global);
        tokio::select! {
            ended = running => ended,
            _ = tokio::signal::ctrl_c(), if !serves => {
                cairn_client::systems::abandon();
                Ok(EXIT_INTERRUPTED)
            }
        }
    });
    // Work on other threads (a walk, a hash) is not waited for.
    runtime.shutdown_background();
    match ended {
        Ok(code) => ExitCode::from(code),
        Err(failure) => failure.report(format),
    }
}

/// A command that reads files or waits for a passphrase does not yield, so that nothing but
/// another thread can end it. One that does yield has the time to clean up after itself. What it
/// cannot is done here: tools that it runs, and what private files they were given.
async fn end_when_interrupted() {
    // A hang-up stays what it is: whoever had it ignored, as `nohup` does, meant it.
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return;
    };
    let code = tokio::select! {
        heard = tokio::signal::ctrl_c() => match heard {
            Ok(()) => EXIT_INTERRUPTED,
            Err(_) => return,
        },
        _ = terminate.recv() => EXIT_TERMINATED,
    };
    tokio::time::sleep(GRACE).await;
    cairn_client::systems::abandon();
    std::process::exit(code.into());
}
