//! One lie: told to a client of its own over a socket of its own, between two runs in which
//! the same server says the truth.

use std::{path::Path, time::Duration};

use cairn_client::{
    connect::{Endpoint, Timeouts},
    evidence::{Finding, judge},
    home::Home,
};
use cairn_proto::reason::Reason;
use serde_json::Value;
use tokio::time::timeout;

use super::{
    act::{Act, Seen, act, audited},
    base::WEB,
    socket::Liar,
    stage::{Lies, Stage},
    world::World,
};
use crate::support::desk::Desk;

/// Why a file of evidence does not convince a third machine, which has the trust file alone, though
/// it should; or why a damaged one does.
fn unconvincing(world: &World, file: &Path) -> Option<String> {
    let elsewhere = tempfile::tempdir().unwrap();
    let home = Home::at(elsewhere.path());
    let bytes = std::fs::read(file).unwrap();
    let value: Value = serde_json::from_slice(&bytes).unwrap();
    let kind = value["kind"].as_str().unwrap().to_owned();
    let finding = judge(&home, &world.trust, &bytes);
    let convinced = !matches!(finding, Finding::Nothing { .. });
    let expected = ["fork", "contradiction"].contains(&kind.as_str());
    if convinced != expected {
        return Some(format!("the evidence, a {kind}, is judged as {finding:?}"));
    }
    // The note is what it stands on.
    let mut bad = value;
    let note = bad["evidence"]["offered"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    bad["evidence"]["offered"] = note.replacen('\n', "x\n", 1).into();
    let finding = judge(&home, &world.trust, bad.to_string().as_bytes());
    let fooled = !matches!(finding, Finding::Nothing { .. });
    fooled.then(|| format!("a damaged {kind} is judged as {finding:?}"))
}

/// Far more than any answer takes.
const PATIENCE: Duration = Duration::from_secs(30);
/// Tries of a call that was not answered, and the longest pauses between them.
const TRIES: u32 = 4;
const PAUSES: Duration = Duration::from_secs(5);

type Tell = Box<dyn Fn(&mut Stage) + Send + Sync>;

/// A lie, and what must come of it.
pub(super) struct Lie {
    pub(super) name: &'static str,
    act: Act,
    /// What comes of the same without the lie.
    honest: &'static str,
    /// Whether it is told to one who has seen nothing of the ledger yet.
    newcomer: bool,
    /// What is there, other than what is recorded.
    files: Vec<(&'static str, &'static [u8])>,
    patience: Duration,
    verdict: &'static str,
    reason: &'static str,
    /// The alarm of an audit of the same server.
    alarm: Option<&'static str>,
    tell: Tell,
}

/// Whether the client says that something is wrong, and keeps nothing of what it was told.
fn refuted(seen: &Seen) -> bool {
    matches!(seen.verdict.as_str(), "TAMPERED" | "UNTRUSTED" | "FAILED")
}

/// A row of the table: what was observed.
pub(super) struct Observed {
    pub(super) name: &'static str,
    pub(super) verdict: String,
    pub(super) reason: String,
    pub(super) caught: String,
    /// Where that is not what must be.
    pub(super) wrong: Vec<String>,
}

/// A lie told to one who verifies `staging` and has seen the true ledger.
pub(super) fn lie(name: &'static str, tell: impl Fn(&mut Stage) + Send + Sync + 'static) -> Lie {
    Lie {
        name,
        act: Act::Verify("staging"),
        honest: "VERIFIED",
        newcomer: false,
        files: Vec::new(),
        patience: PATIENCE,
        verdict: "",
        reason: "",
        alarm: None,
        tell: Box::new(tell),
    }
}

impl Lie {
    pub(super) fn act(mut self, act: Act) -> Self {
        self.act = act;
        self.honest = match act {
            Act::Verify(_) | Act::Audit => "VERIFIED",
            _ => "PROVEN",
        };
        self
    }

    pub(super) fn of(self, environment: &'static str) -> Self {
        self.act(Act::Verify(environment))
    }

    pub(super) fn honest(mut self, verdict: &'static str) -> Self {
        self.honest = verdict;
        self
    }

    pub(super) fn newcomer(mut self) -> Self {
        self.newcomer = true;
        self
    }

    pub(super) fn files(mut self, files: &[(&'static str, &'static [u8])]) -> Self {
        self.files = files.to_vec();
        self
    }

    pub(super) fn patience(mut self, milliseconds: u64) -> Self {
        self.patience = Duration::from_millis(milliseconds);
        self
    }

    pub(super) fn gives(mut self, verdict: &'static str, reason: &'static str) -> Self {
        self.verdict = verdict;
        self.reason = reason;
        self
    }

    /// It stands in the log, or in the map, where an audit finds it.
    pub(super) fn audited(mut self, reason: &'static str) -> Self {
        self.alarm = Some(reason);
        self
    }

    pub(super) fn tell(&self, stage: &mut Stage) {
        (self.tell)(stage);
    }

    /// The environment that is asked after.
    pub(super) fn environment(&self) -> &'static str {
        match self.act {
            Act::Verify(environment) => environment,
            _ => "staging",
        }
    }

    fn desk(&self, liar: &Liar, world: &World, patience: Duration) -> Desk {
        let endpoint = Endpoint {
            timeouts: Timeouts {
                connect: PATIENCE,
                request: patience,
            },
            ..Endpoint::new(liar.url())
        };
        let desk = Desk::trusting(world.trust.clone(), &endpoint);
        desk.put("web.yaml", WEB[1]);
        desk.put("conf/api.yaml", b"port: 80\n");
        if !self.files.is_empty() {
            std::fs::remove_dir_all(desk.shop()).unwrap();
        }
        for (name, bytes) in &self.files {
            desk.put(name, bytes);
        }
        desk
    }

    /// What comes of it, in the time that all tries of a call may take.
    async fn observe(&self, desk: &Desk, patience: Duration) -> Seen {
        match timeout(patience * TRIES + PAUSES, act(desk, self.act)).await {
            Ok(Ok(seen)) => seen,
            Ok(Err(error)) => Seen::error(&error),
            Err(_) => Seen::of("WAITS", "-"),
        }
    }

    /// Tells the truth, the lie, and the truth again.
    pub(super) async fn run(self, world: &World) -> Observed {
        let liar = Liar::start(world.clone()).await;
        let mut wrong = Vec::new();
        let desk = self.desk(&liar, world, PATIENCE);
        let honest = self.observe(&desk, PATIENCE).await;
        if honest.verdict != self.honest {
            wrong.push(format!("before it {honest:?}"));
        }
        let truth = liar.world();
        // What was seen honestly is kept, unless the lie is for one who has seen nothing.
        let told = self.desk(&liar, world, self.patience);
        if !self.newcomer {
            let held = desk.ledger.home().held_file(world.trust.genesis());
            let copy = told.ledger.home().held_file(world.trust.genesis());
            std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
            if held.exists() {
                std::fs::copy(held, copy).unwrap();
            }
        }
        liar.set(|stage| self.tell(stage));
        let seen = self.observe(&told, self.patience).await;
        wrong.extend(self.misjudged(&seen));
        wrong.extend(
            seen.evidence
                .as_deref()
                .and_then(|file| unconvincing(world, file)),
        );
        let caught = self.caught(&liar, world, &seen).await;
        let caught = caught.unwrap_or_else(|error| {
            wrong.push(error);
            "nobody".to_owned()
        });
        liar.set(|stage| {
            stage.lies = Lies::default();
            if self.act != Act::Record {
                stage.world = truth;
            }
        });
        // Who believed a larger head is told by the truth that it shows less.
        if self.alarm.is_none() || refuted(&seen) {
            let again = self.observe(&told, PATIENCE).await;
            if again.verdict != self.honest {
                wrong.push(format!("after it {again:?}"));
            }
        }
        let wrong = wrong.iter().map(|what| format!("{}: {what}", self.name));
        Observed {
            name: self.name,
            verdict: seen.verdict,
            reason: seen.reason,
            caught,
            wrong: wrong.collect(),
        }
    }

    /// How what was seen differs from what must be.
    fn misjudged(&self, seen: &Seen) -> Option<String> {
        let found = (seen.verdict.as_str(), seen.reason.as_str());
        let expected = (self.verdict, self.reason);
        if found != expected {
            return Some(format!("{seen:?}, and not {expected:?}"));
        }
        let kept = seen.evidence.as_ref().is_some_and(|file| file.exists());
        let needed = seen.verdict == "TAMPERED" && self.act != Act::Audit;
        (needed && !kept).then(|| format!("no evidence is kept: {seen:?}"))
    }

    /// Who caught it. What the client could not see an audit must.
    async fn caught(&self, liar: &Liar, world: &World, seen: &Seen) -> Result<String, String> {
        let Some(alarm) = self.alarm else {
            let believed = ["VERIFIED", "PROVEN", "MISLED", self.honest];
            return if believed.contains(&seen.verdict.as_str()) {
                Err("nobody caught it".to_owned())
            } else {
                Ok("client".to_owned())
            };
        };
        let auditor = self.desk(liar, world, PATIENCE);
        let audit = audited(&auditor).await;
        let audit = audit.unwrap_or_else(|error| Seen::error(&error));
        let newer = alarm == Reason::NeedsNewerCairn.code();
        let verdict = if newer { "FAILED" } else { &audit.verdict };
        let alarmed = audit.verdict == verdict && audit.verdict != "VERIFIED";
        if !alarmed || audit.reason != alarm {
            return Err(format!("the audit says {audit:?}, and not {alarm}"));
        }
        if refuted(seen) {
            return Ok(format!("client; audit {} {alarm}", audit.verdict));
        }
        if seen.map.as_deref() == Some("asserted") {
            return Ok(format!("audit {} {alarm}; map asserted", audit.verdict));
        }
        Err("it does not say that the map is asserted".to_owned())
    }
}
