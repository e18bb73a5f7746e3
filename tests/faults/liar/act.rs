//! What a client is asked to do of the liar, and what it then says.

use std::path::PathBuf;

use cairn_client::{
    audit::{Audit, audit},
    clock,
    error::ClientError,
    record::Terms,
    trust::discover,
    verdict::Verdict,
    verify::{Report, Subject},
};
use cairn_proto::{
    hash::{DocumentId, Sha256},
    manifest::{Comparison, Manifest},
    name::Environment,
};

use super::base::WEB;
use crate::support::desk::{Desk, tags};

/// What the client is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    /// Compare what is there with what an environment should be.
    Verify(&'static str),
    /// Put a recorded file back.
    Restore,
    /// Record a release.
    Record,
    /// Whether a file was ever released.
    Find,
    /// The log, of an environment or (without a name) as a whole.
    Log(&'static str),
    /// A release by its reference.
    Show(&'static str),
    Status,
    /// Meet the ledger anew, knowing its genesis.
    Meet,
    Audit,
    /// A document by its digest.
    Document,
}

/// What came of it.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) verdict: String,
    pub(super) reason: String,
    /// How far the map is trusted, where that was said.
    pub(super) map: Option<String>,
    pub(super) evidence: Option<PathBuf>,
    words: String,
}

impl Seen {
    fn proven() -> Self {
        Self::of("PROVEN", "-")
    }

    /// Nothing was said to be wrong.
    fn right(right: bool) -> Self {
        if right {
            return Self::proven();
        }
        Self::of("MISLED", "-")
    }

    pub(super) fn of(verdict: &str, reason: &str) -> Self {
        Self {
            verdict: verdict.to_owned(),
            reason: reason.to_owned(),
            map: None,
            evidence: None,
            words: String::new(),
        }
    }

    fn report(report: &Report) -> Self {
        Self {
            map: Some(report.map.clone()),
            evidence: report.evidence.clone(),
            words: report.notes.join("; "),
            ..Self::of(
                report.verdict.as_str(),
                report.reason.as_deref().unwrap_or("-"),
            )
        }
    }

    pub(super) fn error(error: &ClientError) -> Self {
        let by_exit_code = || match error.exit_code() {
            3 => "UNREACHABLE",
            4 => "DENIED",
            _ => "FAILED",
        };
        let verdict = error.verdict().map(Verdict::as_str);
        Self {
            evidence: error.evidence().cloned(),
            words: error.to_string(),
            ..Self::of(verdict.unwrap_or_else(by_exit_code), error.code())
        }
    }
}

async fn verified(desk: &Desk, environment: &str) -> Result<Seen, ClientError> {
    let (inputs, tags) = (desk.inputs(), tags());
    let subject = Subject {
        systems: &[],
        inputs: &inputs,
        tags: Some(&tags),
        progress: &(),
    };
    let environment = environment.parse().unwrap();
    let report = desk.ledger.verify(&environment, &subject).await?;
    Ok(Seen::report(&report))
}

async fn recorded(desk: &Desk) -> Result<Seen, ClientError> {
    let terms = Terms {
        again: true,
        ..desk.terms()
    };
    desk.record_with(&terms).await?;
    Ok(Seen::proven())
}

/// The first alarm speaks for the audit.
pub(super) async fn audited(desk: &Desk) -> Result<Seen, ClientError> {
    let report = audit(&Audit {
        source: desk.ledger.connection().read_api(),
        trust: desk.ledger.trust(),
        home: desk.ledger.home(),
        mirror: None,
        now: clock::now(),
        progress: &(),
    })
    .await?;
    assert_eq!(report.ok, report.exit_code() == 0);
    let alarm = report.alarms.first();
    let mut seen = Seen::of(
        report.verdict().as_str(),
        alarm.map_or("-", |alarm| alarm.reason.code()),
    );
    seen.words = format!("{:?}", report.alarms);
    Ok(seen)
}

pub(super) async fn act(desk: &Desk, act: Act) -> Result<Seen, ClientError> {
    let ledger = &desk.ledger;
    let some = |name: &str| -> Option<Environment> { name.parse().ok() };
    match act {
        Act::Verify(environment) => return verified(desk, environment).await,
        Act::Record => return recorded(desk).await,
        Act::Audit => return audited(desk).await,
        Act::Restore => {
            let name = "web.yaml".parse().unwrap();
            let to = tempfile::tempdir().unwrap();
            let release = "staging#2".parse().unwrap();
            ledger.restore(&release, &name, to.path(), &()).await?;
            let restored = std::fs::read(to.path().join("web.yaml")).unwrap();
            return Ok(Seen::right(restored == WEB[1]));
        }
        Act::Find => {
            let found = ledger.find(&Sha256::of(WEB[1])).await?;
            return Ok(Seen::right(found.row.is_some()));
        }
        Act::Log(environment) => {
            let environment = some(environment);
            let logged = ledger.log(environment.as_ref(), 100).await?;
            let all = if environment.is_some() { 2 } else { 20 };
            return Ok(Seen::right(logged.len() == all));
        }
        Act::Show(release) => {
            ledger.resolve(&release.parse().unwrap()).await?;
        }
        Act::Status => {
            ledger.status().await?;
        }
        Act::Meet => {
            let pin = Some(ledger.trust().genesis());
            let met = discover(ledger.connection(), pin, clock::now()).await?;
            return Ok(Seen::right(met.trust == *ledger.trust()));
        }
        Act::Document => {
            let manifest = Manifest::new(desk.capture().artifacts, Comparison::default());
            let id = DocumentId::of(&manifest.unwrap().encode());
            ledger.document(&id).await?;
        }
    }
    Ok(Seen::proven())
}
