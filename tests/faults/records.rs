//! What `cairn record` said is there, `cairn verify` sees at once.

use std::{fs, time::Duration};

use crate::support::process::{Dev, Ended, cairn, finish};

const TIMES: u64 = 50;

fn run(dev: &Dev, words: &[&str]) -> (Ended, serde_json::Value) {
    let mut command = cairn(&dev.home);
    command.args(words).args(["--output", "json", "--no-input"]);
    let ended = finish(command, Duration::from_mins(1));
    let json = serde_json::from_str(&ended.stdout).unwrap_or_default();
    (ended, json)
}

/// Goal: no reader lags behind a writer's receipt. Method: record, then verify with nothing
/// between, many times; each program is a process of its own.
#[test]
fn a_record_is_verified_at_once_fifty_times() {
    let directory = tempfile::tempdir().unwrap();
    let dev = Dev::below(directory.path());
    let served = dev.start();
    let shop = directory.path().join("shop");
    fs::create_dir(&shop).unwrap();
    let path = shop.to_str().unwrap();
    for time in 1..=TIMES {
        fs::write(shop.join("web.yaml"), format!("replicas: {time}\n")).unwrap();
        let (recorded, receipt) = run(&dev, &["record", "staging", path]);
        assert_eq!(recorded.code, Some(0), "{}", recorded.stderr);
        assert_eq!(receipt["sequence"], time);
        let (verified, report) = run(&dev, &["verify", "staging", path]);
        assert_eq!(
            verified.code,
            Some(0),
            "{}{}",
            verified.stdout,
            verified.stderr
        );
        assert_eq!(
            (&report["verdict"], &report["sequence"]),
            (&"VERIFIED".into(), &time.into())
        );
        assert_eq!(report["index"], receipt["index"]);
    }
    let (audited, report) = run(&dev, &["audit"]);
    assert_eq!(audited.code, Some(0), "{}", audited.stderr);
    assert_eq!(report["ok"], true);
    served.stop();
}
