//! `serve`: the production form.

use std::sync::Arc;

use cairn_proto::{
    hash::{RootHash, TreeSize},
    reason::Reason,
};
use cairn_server::{
    access::Access,
    config::Config,
    ledger::{Genesis, Ledger, ServerKeys},
    serve::{Duties, ServeError},
    start,
};
use serde::Serialize;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

use super::{proposals, witnesses};
use crate::{cli, failure::Failure, output::complain, session::Session};

/// `cairn serve`.
pub(crate) async fn serve(session: &Session, args: &cli::Serve) -> Result<u8, Failure> {
    crate::terminal::raise_descriptor_limit();
    let config = Config::read(&args.config).map_err(Failure::usage)?;
    let access = config.access.access().map_err(Failure::usage)?;
    let proposals = config.proposals().map_err(Failure::usage)?;
    let accept_head = args.accept_head.as_deref().map(parse_head).transpose()?;
    let keys = ServerKeys {
        log: Arc::from(session.signer(&config.log_key)?),
        clock: Arc::from(session.signer(&config.clock_key)?),
    };
    let place = config.place().map_err(Failure::usage)?;
    let listener = TcpListener::bind(config.listen)
        .await
        .map_err(|error| Failure::usage(format!("cannot listen on {}: {error}", config.listen)))?;
    let address = listener.local_addr().map_err(Failure::usage)?;
    let server_keys = keys.clone();
    let order = args.succession.as_deref().map(succession).transpose()?;
    let open = move || match order {
        Some(order) => start::take_over(&place, server_keys, accept_head, &order),
        None => start::open(&place, server_keys, accept_head),
    };
    let opened = tokio::task::spawn_blocking(open)
        .await
        .map_err(Failure::usage)?;
    let (ledger, recovery) = opened?;
    let witnesses = config.witnesses.iter();
    let witnesses = witnesses.map(|witness| witnesses::peer(&witness.url, &witness.key));
    let witnesses = witnesses.collect::<Result<_, _>>()?;
    let ca_file = config.witness_ca_file.clone();
    let duties = witnesses::duties(&ledger, keys, &config.auditors, witnesses, ca_file).await?;
    let duties = Duties {
        proposals,
        ..duties
    };
    let output = session.output;
    for (frame, damage) in &recovery.cuts {
        complain(format!(
            "  note      a torn end was cut off: {frame}: {damage}"
        ));
    }
    if recovery.records_rewritten > 0 {
        let records = recovery.records_rewritten;
        complain(format!(
            "  note      {records} unanchored records were written again"
        ));
    }
    if config.anchor.is_none() {
        complain(
            "  warning   the anchor lies in the data directory: an old copy of the whole \
             directory would look sound. Keep it elsewhere: `anchor` in the configuration.",
        );
    }
    let stop = shutdown();
    output.line(format!(
        "  Ledger     http://{address}   {}",
        ledger.trust().origin()
    ));
    output.json(&ServeJson {
        schema: "cairn.serve/v1",
        url: format!("http://{address}"),
        origin: ledger.trust().origin().as_str(),
        genesis: ledger.trust().genesis().to_string(),
    });
    run(listener, ledger, duties, access, stop).await
}

/// The order in a proposal's file, as the ledger takes it.
fn succession(file: &std::path::Path) -> Result<Genesis, Failure> {
    let proposal = proposals::read(file)?;
    Ok(Genesis {
        entry: proposal.entry()?.into(),
        document: proposal.document().to_vec().into(),
    })
}

#[derive(Serialize)]
struct ServeJson<'a> {
    schema: &'static str,
    url: String,
    origin: &'a str,
    genesis: String,
}

pub(super) fn parse_head(text: &str) -> Result<(TreeSize, RootHash), Failure> {
    let parse = || {
        let (size, root) = text.split_once(':')?;
        Some((TreeSize(size.parse().ok()?), root.parse().ok()?))
    };
    parse().ok_or_else(|| Failure::usage("--accept-head takes SIZE:ROOT, the root in hex"))
}

/// Serves until it is told to stop. A fault of the store ends the process at once: after a
/// failed sync nothing in memory may be trusted, not even the way out.
pub(super) async fn run(
    listener: TcpListener,
    ledger: Ledger,
    duties: Duties,
    access: Access,
    stop: impl Future<Output = ()>,
) -> Result<u8, Failure> {
    match cairn_server::serve::serve(listener, ledger, duties, access, stop).await {
        Ok(()) => Ok(0),
        Err(ServeError::Ledger(failure)) => {
            complain(format!("fatal: {failure}"));
            std::process::abort()
        }
        Err(error) => Err(Failure::new(Reason::Internal, error)),
    }
}

/// Resolves at Ctrl-C or SIGTERM, from the moment of this call on: whoever was told that the
/// server is there may ask it to end.
pub(super) fn shutdown() -> impl Future<Output = ()> {
    let signals = [SignalKind::interrupt(), SignalKind::terminate()].map(signal);
    async move {
        let [Ok(mut interrupted), Ok(mut terminated)] = signals else {
            // Without handlers the signals end the process by themselves.
            return std::future::pending().await;
        };
        tokio::select! {
            _ = interrupted.recv() => {}
            _ = terminated.recv() => {}
        }
    }
}
