//! `kill -9` of a loaded server, at any moment, also while it starts.
//!
//! A kill never tests a sync: the page cache survives it. That is tried with a storage fake
//! in the server's own tests; here it is the order of everything else.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use cairn_client::{
    audit::{Audit, audit},
    connect::{Endpoint, ReadApi},
    home::Home,
};

use crate::{
    fleet::Fleet,
    support::{
        audit::audit_by,
        http::{Browser, Version},
        process::{Dev, Served},
        prove,
        tools::{Python, Random, long},
    },
};

/// What happens to the view between two rounds: it is only ever a shortcut.
fn harm_the_view(store: &Path, random: &mut Random) -> &'static str {
    let view = store.join("view");
    let harm = random.below(5);
    if harm < 2 || !view.exists() {
        return "left as it is";
    }
    if harm == 2 {
        fs::remove_dir_all(view).unwrap();
        return "deleted";
    }
    let mut files = Vec::new();
    let mut folders = vec![view];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let list = if entry.file_type().unwrap().is_dir() {
                &mut folders
            } else {
                &mut files
            };
            list.push(entry.path());
        }
    }
    for file in files {
        let mut bytes = fs::read(&file).unwrap();
        if bytes.is_empty() {
            continue;
        }
        if harm == 3 {
            for _ in 0..20 {
                let at = usize::try_from(random.below(bytes.len() as u64)).unwrap();
                bytes[at] ^= 1 << random.below(8);
            }
        } else {
            bytes.truncate(bytes.len() / 2);
        }
        fs::write(&file, bytes).unwrap();
    }
    if harm == 3 { "flipped" } else { "cut in half" }
}

/// Kills starts at moments of their own: recovery must survive its own death.
fn die_while_starting(dev: &Dev, random: &mut Random) -> u64 {
    let deaths = random.below(3);
    for _ in 0..deaths {
        let starting = dev.spawn();
        std::thread::sleep(Duration::from_millis(random.below(60)));
        starting.kill();
    }
    deaths
}

/// The whole log, read by three programs of which no two share their code for it.
async fn audit_by_all(dev: &Dev, served: &Served, test: &str) {
    let trust = dev.trust();
    let mut browser = Browser::open(served.address, Version::One).await;
    let audited = audit_by(&mut browser, &trust).await;
    let source = ReadApi::of(&Endpoint::new(served.url())).unwrap();
    let home = Home::at(dev.home.join("auditor"));
    let job = Audit {
        source: &source,
        trust: &trust,
        home: &home,
        mirror: None,
        now: prove::now(),
        progress: &(),
    };
    let report = audit(&job).await.unwrap();
    assert!(report.ok, "{:?}", report.alarms);
    assert_eq!(report.entries, audited.head.size().0);
    if let Some(python) = Python::find(test) {
        let patience = Duration::from_mins(4);
        let (url, trust) = (served.url(), dev.trust_file());
        let read = tokio::task::block_in_place(|| python.audit(&url, &trust, None, patience));
        assert_eq!(read["size"], audited.head.size().0);
    }
}

/// How often, and on how many ledgers: each is begun anew before its rebuilds become slow.
struct Plan {
    ledgers: usize,
    rounds: usize,
    /// Acknowledged entries of each chain that are asked for again after a round.
    sample: u64,
    /// The same when a ledger's last round is over.
    last: u64,
}

impl Plan {
    fn of() -> Self {
        if long() {
            Self {
                ledgers: 6,
                rounds: 50,
                sample: 2,
                last: 100,
            }
        } else {
            Self {
                ledgers: 1,
                rounds: 5,
                sample: 20,
                last: u64::MAX,
            }
        }
    }

    /// Mostly soon, when little is in flight; now and then in full swing.
    fn moment(&self, random: &mut Random) -> Duration {
        let longest = if self.rounds < 10 || random.below(8) == 0 {
            600
        } else {
            120
        };
        Duration::from_millis(10 + random.below(longest))
    }
}

/// Kills a loaded server again and again; how many entries it acknowledged by the end.
async fn kill_one_ledger(plan: &Plan, random: &mut Random, ledger: usize) -> usize {
    let directory = tempfile::tempdir().unwrap();
    let dev = Dev::below(directory.path());
    let mut served = tokio::task::block_in_place(|| dev.start());
    let mut fleet = Fleet::new(dev.trust(), dev.key(), random.clone());
    for round in 0..plan.rounds {
        let moment = plan.moment(random);
        fleet
            .work(served, |served| {
                std::thread::sleep(moment);
                served.kill();
            })
            .await;
        let view = harm_the_view(&dev.store(), random);
        let deaths = die_while_starting(&dev, random);
        let start = Instant::now();
        served = tokio::task::block_in_place(|| dev.start());
        let started = start.elapsed();
        let asking = Instant::now();
        fleet.ask_again(&served, plan.sample).await;
        println!(
            "ledger {ledger}, round {round}: killed after {moment:?}, view {view}, {deaths} deaths \
             while starting, up in {started:?}, {} acknowledged, asked in {:?}",
            fleet.acknowledged(),
            asking.elapsed()
        );
    }
    fleet.ask_again(&served, plan.last).await;
    audit_by_all(&dev, &served, "kill").await;
    let ended = served.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    fleet.acknowledged()
}

/// Goal: nothing that was acknowledged is lost or moved by a kill. Method: clients append
/// over unary calls and streams, with contents; at a random moment the process is killed, and
/// its view is damaged; after the restart, which may be killed as well, the words that it gave
/// are asked for again.
#[tokio::test(flavor = "multi_thread")]
async fn everything_acknowledged_is_there_and_proven_after_each_kill() {
    let plan = Plan::of();
    let mut random = Random::seeded("kill");
    let began = Instant::now();
    let mut acknowledged = 0;
    for ledger in 0..plan.ledgers {
        acknowledged += kill_one_ledger(&plan, &mut random, ledger).await;
    }
    println!(
        "kill: {} rounds over {} ledgers, {acknowledged} entries acknowledged and all there, in \
         {:?}",
        plan.ledgers * plan.rounds,
        plan.ledgers,
        began.elapsed()
    );
}
