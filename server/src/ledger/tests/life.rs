//! One life of a server process over a fake disk: it makes or opens the ledger, shows that
//! all is there that was ever promised, goes on with the work, and ends.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use cairn_proto::{
    checkpoint::Checkpoint,
    hash::{ContentId, TreeSize},
    merkle::root_at,
    reason::Reason,
};
use tokio::runtime::Runtime;

use super::{
    notary::{Outside, Shared},
    world::{SECRET, Step, World},
};
use crate::{
    clock::now_ms,
    content::{ContentError, ContentStore as _, Part},
    disk::fake::{Change, FakeDisk, Plan, Platter, Unsynced},
    ledger::{Ledger, Received, Refusal, open::begin, reading},
    start::{self, StartError},
    store::Store,
    view::{Shelf, View},
};

/// What a process leaves to the next one.
#[derive(Debug, Clone)]
pub(super) struct Left {
    pub(super) platter: Platter,
    pub(super) outside: Outside,
    /// The view's rows.
    pub(super) rows: Vec<(Vec<u8>, Vec<u8>)>,
    /// What happened, for whoever reads of a failure.
    pub(super) how: String,
}

impl Left {
    /// A disk that nobody has used.
    pub(super) fn nothing() -> Self {
        Self {
            platter: Platter::strict(),
            outside: Outside::default(),
            rows: Vec::new(),
            how: "a new disk".to_owned(),
        }
    }
}

/// How a life ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) left: Left,
    /// What stopped it, if anything did.
    pub(super) stopped: Option<String>,
    /// What the plan made fail, if it did.
    pub(super) failed: Option<String>,
    pub(super) operations: u64,
    /// Whether want of room was all that was ever reported, and was over once there was room.
    pub(super) resumed: bool,
}

/// Sees every change before it happens, with what the world knows at that moment.
pub(super) type Witness = Box<dyn FnMut(&Platter, &Change, &Outside, &Shelf) + Send>;

/// A life as it goes.
struct Life<'a> {
    world: &'a World,
    runtime: &'a Runtime,
    disk: FakeDisk,
    outside: Shared,
    shelf: Shelf,
    full: bool,
}

impl World {
    /// Lives once, up to so many steps.
    pub(super) fn live(
        &self,
        runtime: &Runtime,
        left: &Left,
        plan: Plan,
        steps: usize,
        watched: Option<Witness>,
    ) -> Ended {
        let life = Life {
            world: self,
            runtime,
            disk: FakeDisk::with(left.platter.clone()),
            outside: Arc::new(Mutex::new(left.outside.clone())),
            shelf: Arc::new(Mutex::new(left.rows.iter().cloned().collect())),
            full: matches!(plan, Plan::FullFrom(_)),
        };
        if let Some(mut see) = watched {
            let (told, rows) = (life.outside.clone(), life.shelf.clone());
            life.disk.watch(move |platter, change| {
                let told = told.lock().unwrap().clone();
                see(platter, change, &told, &rows);
            });
        }
        life.disk.plan(plan);
        let result = life.run(steps, plan == Plan::Well);
        let waiting = Instant::now();
        while life.disk.is_locked() {
            assert!(
                waiting.elapsed() < Duration::from_secs(20),
                "the lock stays"
            );
            std::thread::yield_now();
        }
        let outside = life.outside.lock().unwrap().clone();
        let failed = life.disk.failure();
        let how = format!("{}; then {plan:?} ({failed:?})", left.how);
        assert!(outside.faults.is_empty(), "{how}: {:?}", outside.faults);
        if plan == Plan::Well {
            assert!(result.is_ok(), "after {}: {result:?}", left.how);
        }
        Ended {
            stopped: result.err(),
            operations: life.disk.operations(),
            resumed: life.full && failed.is_some(),
            failed,
            left: Left {
                platter: life.disk.platter(),
                outside,
                rows: life.shelf.lock().unwrap().clone().into_iter().collect(),
                how,
            },
        }
    }
}

/// Whether an error says that there is no room.
fn is_full(error: &StartError) -> bool {
    error.reason() == Reason::NoSpace
}

impl Life<'_> {
    fn run(&self, steps: usize, well: bool) -> Result<(), String> {
        let ledger = match self.open() {
            Err(error) if self.full && self.disk.failure().is_some() => {
                assert!(is_full(&error), "{error} is not for want of room");
                self.disk.relieve();
                self.open().map_err(|error| format!("{error:?}"))?
            }
            result => result.map_err(|error| format!("{error:?}"))?,
        };
        if well {
            self.hold(&ledger);
        }
        for number in 0..steps {
            let done = self
                .outside
                .lock()
                .unwrap()
                .acknowledged
                .contains_key(&number);
            let step = &self.world.steps[number];
            if done {
                continue;
            }
            match self.append(&ledger, number, step) {
                Ok(()) => {}
                // A full disk refuses, and goes on once there is room.
                Err(refusal) if self.full && self.disk.failure().is_some() => {
                    let full = refusal.reason() == Reason::NoSpace;
                    assert!(full, "{refusal:?} is not for want of room");
                    self.disk.relieve();
                    self.append(&ledger, number, step)
                        .map_err(|refusal| format!("after there was room: {refusal:?}"))?;
                }
                Err(refusal) => {
                    self.stays_stopped(&ledger);
                    return Err(format!("step {number}: {refusal:?}"));
                }
            }
        }
        Ok(())
    }

    /// As `init` and `serve` do: what was promised to nobody may be begun anew.
    fn open(&self) -> Result<Ledger, StartError> {
        let (disk, place) = (self.disk.shared(), &self.world.place);
        let promised = !self.outside.lock().unwrap().signed.is_empty();
        let store = if promised {
            Store::open(&disk, &place.data, &place.options(None))?
        } else {
            start::make(&disk, place)?
        };
        let keys = self.world.keys(&self.disk, &self.outside);
        let genesis = (!promised).then_some(&self.world.genesis);
        begin(&store, genesis, now_ms)?;
        Ok(Ledger::start(store, View::on(&self.shelf), keys, now_ms)?)
    }

    /// After a change failed, nothing is accepted and nothing is signed until a restart.
    fn stays_stopped(&self, ledger: &Ledger) {
        if self.disk.failed_change().is_none() {
            return;
        }
        let before = self.outside.lock().unwrap().signed.clone();
        let keys = self.world.keys(&self.disk, &self.outside);
        ledger.renew(&keys).unwrap();
        let count = self.outside.lock().unwrap().acknowledged.len();
        for (number, step) in self.world.steps.iter().enumerate().skip(count) {
            let again = self.append(ledger, number, step);
            assert!(again.is_err(), "accepted after a failed change");
        }
        assert_eq!(self.outside.lock().unwrap().signed, before);
    }

    fn append(&self, ledger: &Ledger, number: usize, step: &Step) -> Result<(), Refusal> {
        for content in &step.contents {
            send(ledger, content)?;
        }
        for content in &step.erases {
            stage_half(ledger, content)?;
        }
        let received = Received::decode(step.entry.clone())?;
        let document = step.document.clone();
        let caller = World::caller();
        let placed = self
            .runtime
            .block_on(ledger.append(received, document, &caller))?;
        let mut outside = self.outside.lock().unwrap();
        outside.acknowledged.insert(number, placed.index);
        let signed = outside.signed.contains_key(&placed.head.size().0);
        assert!(signed && placed.index.0 < placed.head.size().0);
        drop(outside);
        if !step.erases.is_empty() {
            self.is_gone(step);
        }
        Ok(())
    }

    /// All that was ever promised is there, and every note is a prefix of what is shown now.
    fn hold(&self, ledger: &Ledger) {
        let outside = self.outside.lock().unwrap().clone();
        let head = ledger.head();
        for (size, text) in &outside.signed {
            assert!(*size <= head.size().0, "shows less than {size}");
            let root = root_at(&*reading(&ledger.shared.tree), TreeSize(*size)).unwrap();
            let checkpoint = Checkpoint {
                origin: head.checkpoint.origin.clone(),
                size: TreeSize(*size),
                root,
            };
            assert_eq!(checkpoint.text(), *text, "two histories at {size}");
        }
        for (number, index) in &outside.acknowledged {
            let step = &self.world.steps[*number];
            let there = ledger.entry(*index).unwrap();
            assert_eq!(there, (step.entry.clone(), step.document.clone()));
            let received = Received::decode(step.entry.clone()).unwrap();
            let caller = World::caller();
            let again = ledger.append(received, step.document.clone(), &caller);
            let again = self.runtime.block_on(again).unwrap();
            assert_eq!((again.index, again.repeated), (*index, true));
            for content in &step.contents {
                let (id, length) = (ContentId::of(content), content.len() as u64);
                let read = ledger.store().content().read(&id, 0..length);
                if ledger.erased(&id).is_some() {
                    assert!(matches!(read, Err(ContentError::Erased { .. })));
                } else {
                    assert!(read.unwrap() == content, "a content is not what was sent");
                }
            }
            step.erases.iter().for_each(|content| {
                assert!(ledger.erased(&ContentId::of(content)).is_some());
            });
        }
        // An order that nobody was told of may be in the log all the same.
        let erased = |content: &Vec<u8>| ledger.erased(&ContentId::of(content)).is_some();
        let steps = self.world.steps.iter();
        let carried_out = steps.filter(|step| step.erases.iter().any(erased));
        carried_out.for_each(|step| self.is_gone(step));
    }

    /// Nothing that anybody can read from this disk, now or after a crash, has a byte of it.
    fn is_gone(&self, step: &Step) {
        let seen = self.disk.platter();
        let mut durable = seen.clone();
        durable.crash(Unsynced::Lost);
        for content in &step.erases {
            let text = content.get(..SECRET.len() + 3).unwrap();
            let found = [seen.mentions(text), durable.mentions(text)];
            assert!(found.concat().is_empty(), "still in {found:?}");
        }
    }
}

/// Somebody else began to send it, and went away.
fn stage_half(ledger: &Ledger, content: &[u8]) -> Result<(), Refusal> {
    let id = ContentId::of(content);
    let half = content.get(..content.len() / 2).unwrap();
    let staging = ledger.store().content().staging();
    match staging.write("somebody", id, 0, half, Part::More) {
        Err(ContentError::Offset { .. } | ContentError::Erased { .. }) => Ok(()),
        written => ledger.heed(written),
    }
}

/// Uploads as a client does: goes on where an earlier process stopped, as far as what that
/// one left still hashes right.
fn send(ledger: &Ledger, content: &[u8]) -> Result<(), Refusal> {
    let (id, caller) = (ContentId::of(content), World::caller());
    if ledger.store().content().size(&id).is_some() {
        return Ok(());
    }
    let staging = ledger.store().content().staging();
    ledger.heed(staging.claimed(caller.owner(), &id))?;
    let kept = usize::try_from(staging.kept(caller.owner(), &id)).unwrap();
    let rest = content.get(kept..).unwrap_or_default();
    let written = staging.write(caller.owner(), id, kept as u64, rest, Part::Last);
    let misled = matches!(
        written,
        Err(ContentError::Mismatch { .. } | ContentError::Offset { .. })
    );
    assert!(!misled, "{written:?} after {kept} bytes");
    ledger.heed(written)
}
