//! What a test may or may not have: time, Python, a seed that can be played again.

use std::{path::Path, process::Command, time::Duration};

use super::process::finish;

/// Whether the forms that take minutes were asked for.
pub(crate) fn long() -> bool {
    std::env::var("CAIRN_LONG").is_ok_and(|value| value == "1")
}

/// Says that something was not tried. Where tools are required, a missing one fails.
pub(crate) fn skipped(what: &str, why: &str) {
    println!("SKIPPED: {what}: {why}");
}

/// Whether a tool is installed; where tools are required, a missing one fails.
pub(crate) fn is_here(test: &str, program: &str, check: &[&str]) -> bool {
    let check = Command::new(program).args(check).output();
    if check.is_ok_and(|check| check.status.success()) {
        return true;
    }
    lacks(test, &format!("it needs {program}"));
    false
}

/// Says that a test was not tried for what this machine does not have; where that is required, it
/// fails.
pub(crate) fn lacks(test: &str, why: &str) {
    let required = std::env::var("CAIRN_REQUIRE_TOOLS").is_ok_and(|value| value == "1");
    assert!(!required, "{test}: {why}");
    skipped(test, why);
}

/// Numbers that look random and can be had again from their seed.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn of(seed: u64) -> Self {
        Self(seed)
    }

    /// From `CAIRN_SEED`, or from the clock; printed, so that a failure can be tried again.
    pub(crate) fn seeded(test: &str) -> Self {
        let given = std::env::var("CAIRN_SEED")
            .ok()
            .and_then(|seed| seed.parse().ok());
        let clock = || {
            let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            u64::from(since.unwrap().subsec_nanos()) ^ (u64::from(std::process::id()) << 32)
        };
        let seed = given.unwrap_or_else(clock);
        println!("{test}: CAIRN_SEED={seed}");
        Self(seed)
    }

    /// Splitmix64.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below a bound that is not 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next().to_le_bytes()[0]).collect()
    }
}

/// The second implementation's auditor; `None` where it cannot run here, and that was said.
pub(crate) struct Python {
    program: &'static str,
}

impl Python {
    pub(crate) fn find(test: &str) -> Option<Self> {
        for program in ["python3.11", "python3"] {
            let check = Command::new(program)
                .args([
                    "-c",
                    "import sys, blake3, cryptography; assert sys.version_info >= (3, 11)",
                ])
                .output();
            if check.is_ok_and(|check| check.status.success()) {
                return Some(Self { program });
            }
        }
        let why = "it needs python3.11 with the packages blake3 and cryptography";
        lacks(test, why);
        None
    }

    /// Audits what a URL serves; the report, once it says that nothing is wrong.
    pub(crate) fn audit(
        &self,
        url: &str,
        trust: &Path,
        levels: Option<u8>,
        patience: Duration,
    ) -> serde_json::Value {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto/vectors/cairn_reference.py");
        let mut command = Command::new(self.program);
        command
            .arg(script)
            .arg("audit")
            .arg(url)
            .arg("--trust")
            .arg(trust);
        if let Some(levels) = levels {
            command.arg("--expect-levels").arg(levels.to_string());
        }
        let ended = finish(command, patience);
        assert_eq!(ended.code, Some(0), "{}\n{}", ended.stdout, ended.stderr);
        let report: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
        assert_eq!(report["ok"], true, "{report}");
        report
    }
}

/// Whether kubectl is here; where tools are required, a missing one fails.
pub(crate) fn kubectl(test: &str) -> bool {
    is_here(test, "kubectl", &["version", "--client"])
}
