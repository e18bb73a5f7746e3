//! Histories made up by a seed: the sequencer and the store over a fake disk and a clock that
//! jumps, on one thread, against a model that is an append-only vector.
//!
//! Goal: after every step the acknowledged is part of the log at its index, roots are
//! consistent, every position has one record, no two notes disagree. Method: each seed draws
//! batches (good, repeated, conflicting entries), failures of the disk at some later change,
//! crashes with any subset of the unsynced, full disks, and jumps of the clock. A seed that
//! fails is printed; `CAIRN_SEED` plays it again.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex},
};

use cairn_proto::{
    checkpoint::Checkpoint,
    entry::{Leaf, Submission},
    hash::{Index, LeafHash, TreeSize},
    merkle::root_at,
};
use tokio::sync::oneshot;

use super::{
    CLOCK, clock, long,
    notary::{Outside, Shared},
    world::{Step, World},
};
use crate::{
    disk::fake::{FakeDisk, Plan, Platter, Random, Unsynced},
    journal::Journal as _,
    ledger::{
        Placed, Queued, Refusal, commit::Committer, open::begin, reading, sequence::Candidate,
    },
    segment::StoreError,
    start,
    store::Store,
    view::{Shelf, Update, View},
};

const ENVIRONMENTS: usize = 3;
const STEPS: u64 = 40;

/// An environment's chain as its deployer knows it.
#[derive(Debug, Default)]
struct Chain {
    /// Acknowledged, in order.
    done: Vec<(Step, Index)>,
    /// Signed and sent, and not acknowledged yet.
    pending: Option<Step>,
}

/// A process that runs.
struct Running {
    committer: Committer,
    view: Arc<View>,
    /// What the view was not given yet.
    behind: Vec<Update>,
}

struct Simulation<'a> {
    world: &'a World,
    random: Random,
    disk: FakeDisk,
    outside: Shared,
    shelf: Shelf,
    chains: Vec<Chain>,
    /// The model: what is known to stand at each index.
    model: Vec<LeafHash>,
    running: Option<Running>,
    now: u64,
    /// Unique texts for manifests.
    texts: u64,
}

/// What a candidate of a batch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Good,
    Repeated,
    Conflicting,
}

impl Simulation<'_> {
    fn open(&mut self) {
        let (disk, place) = (self.disk.shared(), &self.world.place);
        CLOCK.set(self.now);
        let promised = !self.outside.lock().unwrap().signed.is_empty();
        let opened = (|| {
            let store = if promised {
                Store::open(&disk, &place.data, &place.options(None))
            } else {
                start::make(&disk, place)
            };
            let store = store.map_err(|error| format!("{error:?}"))?;
            begin(&store, (!promised).then_some(&self.world.genesis), clock)
                .map_err(|error| format!("{error:?}"))?;
            let keys = self.world.keys(&self.disk, &self.outside);
            let prepared = Committer::prepare(store, View::on(&self.shelf), keys, clock);
            prepared.map_err(|error| format!("{error:?}"))
        })();
        match opened {
            Ok((committer, view)) => {
                self.running = Some(Running {
                    committer,
                    view,
                    behind: Vec::new(),
                });
                self.learn();
                self.verify();
            }
            // It may fail only where a failure was planned; the next step ends that.
            Err(error) => assert!(self.disk.has_failed(), "does not open: {error}"),
        }
    }

    /// What stands in the log now stands there for good: it is signed.
    fn learn(&mut self) {
        let running = self.running.as_ref().unwrap();
        let tree = reading(&running.committer.shared.tree).clone();
        for (index, leaf) in self.model.iter().enumerate() {
            assert_eq!(tree.leaf(Index(index as u64)), Some(*leaf), "at {index}");
        }
        for index in self.model.len() as u64..tree.size().0 {
            self.model.push(tree.leaf(Index(index)).unwrap());
        }
    }

    fn verify(&self) {
        self.disk.quietly(|| self.look());
    }

    fn look(&self) {
        let outside = self.outside.lock().unwrap();
        assert!(outside.faults.is_empty(), "{:?}", outside.faults);
        let Some(running) = &self.running else { return };
        let shared = &running.committer.shared;
        let tree = reading(&shared.tree);
        let head = shared.head();
        assert_eq!((tree.size(), tree.root()), (head.size(), head.root()));
        for (size, text) in &outside.signed {
            let checkpoint = Checkpoint {
                origin: head.checkpoint.origin.clone(),
                size: TreeSize(*size),
                root: root_at(&*tree, TreeSize(*size)).expect("shows less than was signed"),
            };
            assert_eq!(checkpoint.text(), *text, "two histories at {size}");
        }
        for (step, index) in self.chains.iter().flat_map(|chain| &chain.done) {
            assert_eq!(tree.leaf(*index), Some(step.leaf()), "{index} was moved");
        }
        drop(tree);
        let journal = shared.store.journal();
        let (mut first, mut time) = (0, 0);
        for position in 0..journal.tail().position {
            let record = journal.read(position).unwrap();
            assert_eq!(record.first.0, first, "a record at each position");
            first = record.size.0;
            let Ok(Leaf::MapRecord(map)) = Leaf::decode(record.leaves.last().unwrap()) else {
                panic!("record {position} does not end with a map record");
            };
            assert!(map.time >= time, "time went back");
            time = map.time;
        }
        assert_eq!(first, self.model.len() as u64);
    }

    /// An entry to send for an environment, and what it is.
    fn draw(&mut self, number: usize) -> (Step, Kind) {
        let environment = format!("sim/{number}");
        let kind = match self.random.below(10) {
            0..7 => Kind::Good,
            7..9 => Kind::Repeated,
            _ => Kind::Conflicting,
        };
        // Few different texts, so that documents are named more than once.
        self.texts += 1;
        let text = format!("text {}", self.random.below(self.texts));
        let chain = &mut self.chains[number];
        let previous = chain.done.last().map(|(step, _)| step.leaf());
        let sequence = chain.done.len() as u64 + 1;
        match kind {
            Kind::Repeated if !chain.done.is_empty() => {
                let chosen = self.random.below(chain.done.len() as u64);
                let (step, _) = &chain.done[usize::try_from(chosen).unwrap()];
                (step.clone(), kind)
            }
            Kind::Conflicting if !chain.done.is_empty() => {
                let text = format!("another {text}");
                let world = self.world;
                (
                    world.release(&environment, sequence - 1, None, &text, Vec::new()),
                    kind,
                )
            }
            _ => {
                let step = chain.pending.get_or_insert_with(|| {
                    let world = self.world;
                    world.release(&environment, sequence, previous, &text, Vec::new())
                });
                (step.clone(), Kind::Good)
            }
        }
    }

    fn batch(&mut self) {
        let mut sent = Vec::new();
        for number in 0..ENVIRONMENTS {
            if self.random.coin() {
                let (step, kind) = self.draw(number);
                sent.push((number, step, kind));
            }
        }
        let Some(running) = &mut self.running else {
            return;
        };
        let chain = running.committer.shared.head().chain.clone();
        let mut queued = Vec::new();
        let mut waiting = Vec::new();
        for (number, step, kind) in sent {
            let submission = Submission::decode(&step.entry, &step.document).unwrap();
            let candidate = Candidate {
                signed: chain.authority().authenticate(submission).unwrap(),
                entry: step.entry.clone(),
                document: step.document.clone(),
            };
            let (answer, placed) = oneshot::channel();
            queued.push(Queued { candidate, answer });
            waiting.push((number, step, kind, placed));
        }
        if queued.is_empty() {
            return;
        }
        CLOCK.set(self.now);
        let committed = running.committer.commit(queued);
        match committed {
            Ok(committed) => running.behind.extend(committed),
            Err(error) => {
                assert!(self.disk.has_failed(), "{error}");
                // As the process does: nothing in memory may be trusted.
                self.running = None;
            }
        }
        for (number, step, kind, mut placed) in waiting {
            if let Ok(answer) = placed.try_recv() {
                self.answered(number, step, kind, answer);
            }
        }
        if self.running.is_some() {
            self.learn();
        }
    }

    fn answered(&mut self, number: usize, step: Step, kind: Kind, answer: Result<Placed, Refusal>) {
        let chain = &mut self.chains[number];
        match (kind, answer) {
            (Kind::Good, Ok(placed)) => {
                chain.pending = None;
                chain.done.push((step, placed.index));
            }
            (Kind::Repeated, Ok(placed)) => {
                let there = chain
                    .done
                    .iter()
                    .find(|(done, _)| done.leaf() == step.leaf());
                assert_eq!((placed.index, placed.repeated), (there.unwrap().1, true));
            }
            (Kind::Conflicting, Ok(placed)) => panic!("a conflict was recorded at {placed:?}"),
            (Kind::Conflicting, Err(Refusal::Rule(_)))
            | (_, Err(Refusal::Store(StoreError::NoSpace { .. }))) => {}
            (kind, Err(refusal)) => assert!(self.disk.has_failed(), "{kind:?}: {refusal:?}"),
        }
    }

    fn crash(&mut self, unsynced: Unsynced) {
        self.running = None;
        self.disk.crash(unsynced);
        if self.random.below(4) == 0 {
            self.shelf.lock().unwrap().clear();
        }
        self.open();
    }

    /// The view takes some of what it was not given yet, as its thread would.
    fn write_view(&mut self) {
        let Some(running) = &mut self.running else {
            return;
        };
        let count = self.random.below(running.behind.len() as u64 + 1);
        for update in running.behind.drain(..usize::try_from(count).unwrap()) {
            running.view.write(update).unwrap();
        }
    }

    fn step(&mut self) {
        match self.random.below(20) {
            0 => self.crash(Unsynced::Lost),
            1 => self.crash(Unsynced::Shown),
            2 | 3 => {
                let seed = self.random.next();
                self.crash(Unsynced::Torn(seed));
            }
            // The machine dies at one of the next changes.
            4 | 5 => self.disk.fail_after(self.random.0 % 12),
            6 => self.disk.plan(Plan::ErrorAt(self.random.0 % 20)),
            7 => self.disk.fill_up(true),
            8 => self.disk.fill_up(false),
            9 => self.now = self.now.wrapping_add(self.random.below(1 << 40)) % (1 << 50),
            10 => self.now = self.now.saturating_sub(self.random.below(1 << 40)),
            11 | 12 => self.write_view(),
            _ => self.batch(),
        }
        if self.running.is_none() {
            let seed = self.random.next();
            let unsynced = match seed % 4 {
                0 => Unsynced::Lost,
                1 => Unsynced::Shown,
                _ => Unsynced::Torn(seed),
            };
            self.disk.fill_up(false);
            self.crash(unsynced);
        }
        self.verify();
    }
}

/// Lives through one seed; how many entries it acknowledged.
fn simulate(world: &World, seed: u64) -> usize {
    let mut simulation = Simulation {
        world,
        random: Random(seed),
        disk: FakeDisk::with(Platter::strict()),
        outside: Arc::new(Mutex::new(Outside::default())),
        shelf: Shelf::default(),
        chains: (0..ENVIRONMENTS).map(|_| Chain::default()).collect(),
        model: Vec::new(),
        running: None,
        now: 1_700_000_000_000,
        texts: 1,
    };
    simulation.open();
    for _ in 0..STEPS {
        simulation.step();
    }
    simulation.disk.fill_up(false);
    simulation.crash(Unsynced::Lost);
    simulation.verify();
    simulation.chains.iter().map(|chain| chain.done.len()).sum()
}

#[test]
fn no_history_that_a_seed_makes_up_loses_or_forks_anything() {
    let given = std::env::var("CAIRN_SEED").ok();
    let given: Option<u64> = given.and_then(|seed| seed.parse().ok());
    let seeds = match given {
        Some(seed) => vec![seed],
        None => (0..if long() { 1_000 } else { 50 }).collect(),
    };
    let world = World::new();
    let (count, mut acknowledged) = (seeds.len(), 0);
    for seed in seeds {
        let lived = catch_unwind(AssertUnwindSafe(|| simulate(&world, seed)));
        acknowledged += lived.unwrap_or_else(|_| panic!("play it again with CAIRN_SEED={seed}"));
    }
    println!("simulation: {count} seeds of {STEPS} steps, {acknowledged} entries acknowledged");
    assert!(acknowledged > count, "hardly anything was appended");
}
