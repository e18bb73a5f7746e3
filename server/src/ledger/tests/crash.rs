//! Every operation of the disk as a failure point, in every mode, and a second failure
//! during the recovery from the first.
//!
//! Goal: nothing acknowledged is lost or moved; no two notes disagree, whatever the order of
//! crashes; a ledger that was begun never opens empty; after an error nothing is signed until
//! a restart. Method: one life makes a ledger over a fake disk and works; at each change the
//! disks are kept that a crash there can leave, and a new life begins on each of them, whose
//! recovery is watched in the same way. Errors and a full disk are tried by living again with
//! the fault at each operation, reads included.

use std::{sync::MutexGuard, time::Instant};

use tokio::runtime::Runtime;

use super::{
    harvest::{Harvest, MODES},
    life::{Ended, Left},
    long,
    world::World,
};
use crate::disk::fake::{Plan, Unsynced};

/// What was tried.
#[derive(Debug, Default)]
struct Tally {
    operations: u64,
    singles: u64,
    disks: u64,
    errors: u64,
    full: u64,
    doubles: u64,
    double_disks: u64,
    double_errors: u64,
}

struct Trial {
    world: World,
    runtime: Runtime,
    tally: Tally,
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
}

impl Trial {
    fn new(world: World) -> Self {
        Self {
            world,
            runtime: runtime(),
            tally: Tally::default(),
        }
    }

    fn live(&self, left: &Left, plan: Plan, steps: usize) -> Ended {
        self.world.live(&self.runtime, left, plan, steps, None)
    }

    /// Lives well, and gives all disks that a crash on the way leaves.
    fn reap(&self, left: &Left, steps: usize) -> (Ended, Harvest) {
        let (harvest, witness) = Harvest::of(left);
        let world = &self.world;
        let ended = world.live(&self.runtime, left, Plan::Well, steps, Some(witness));
        let mut held: MutexGuard<'_, Harvest> = harvest.lock().unwrap();
        let harvest = std::mem::take(&mut *held);
        drop(held);
        (ended, harvest)
    }

    /// An error at each operation, then a restart of the process, or of the machine.
    fn errors(&mut self, left: &Left, steps: usize, stride: u64, offset: u64) -> Vec<Left> {
        let mut found = Vec::new();
        let mut at = offset;
        loop {
            let ended = self.live(left, Plan::ErrorAt(at), steps);
            if ended.failed.is_none() {
                break;
            }
            self.tally.errors += 1;
            for unsynced in [Unsynced::Shown, Unsynced::Lost, Unsynced::Torn(at)] {
                let mut after = ended.left.clone();
                after.platter.crash(unsynced);
                after.how = format!("{} and {unsynced:?}", after.how);
                found.push(after);
            }
            at += stride;
        }
        found
    }

    /// No room from each operation on, until somebody makes some.
    fn full(&mut self, left: &Left, steps: usize, stride: usize) {
        for at in (0..self.operations(left, steps)).step_by(stride) {
            let ended = self.live(left, Plan::FullFrom(at), steps);
            assert_eq!(ended.stopped, None, "{}", ended.left.how);
            self.tally.full += u64::from(ended.resumed);
        }
    }

    fn operations(&self, left: &Left, steps: usize) -> u64 {
        self.live(left, Plan::Well, steps).operations
    }

    /// Recovers, works on, and after a power cut all is still there.
    fn recovers(&self, left: &Left, steps: usize) {
        let mut after = self.live(left, Plan::Well, steps).left;
        after.platter.crash(Unsynced::Lost);
        after.rows.clear();
        self.live(&after, Plan::Well, 0);
    }
}

/// Steps that a life does in all, and those that follow a recovery.
const FIRST: usize = 2;
const ALL: usize = 5;

/// Every failure of a life that begins so and does so many steps, and of the lives after it.
fn fails_everywhere(mut trial: Trial, start: &Left, steps: usize, what: &str) {
    let began = Instant::now();
    let stride = |every: usize| if long() { 1 } else { every };
    let (ended, harvest) = trial.reap(start, steps);
    trial.tally.operations = ended.operations;
    trial.tally.singles = harvest.crashes();
    trial.tally.disks = harvest.left.len() as u64;
    for (number, left) in harvest.left.iter().enumerate() {
        let next = (left.outside.acknowledged.len() + 1).clamp(FIRST, ALL);
        if !number.is_multiple_of(stride(97)) {
            trial.recovers(left, next);
            continue;
        }
        let (_, second) = trial.reap(left, next);
        trial.tally.doubles += second.crashes();
        trial.tally.double_disks += second.left.len() as u64;
        for left in &second.left {
            trial.recovers(left, next);
        }
        // An error during the recovery, at operations that differ from disk to disk.
        let before = trial.tally.errors;
        let every = if long() { 1 } else { 61 };
        let offset = number as u64 % every;
        for left in trial.errors(left, next, every, offset) {
            trial.recovers(&left, next);
        }
        trial.tally.double_errors += trial.tally.errors - before;
        trial.tally.errors = before;
    }
    for left in trial.errors(start, steps, stride(13) as u64, 0) {
        let next = (left.outside.acknowledged.len() + 1).min(ALL);
        trial.recovers(&left, next);
    }
    trial.full(start, steps, stride(17));
    let tally = &trial.tally;
    assert!(tally.errors > 0 && tally.full > 0 && tally.doubles > 0);
    println!(
        "storage fake, {what}: {} operations; single failures: {} crashes in {} modes ({} \
         different disks), {} errors, {} times full; double failures: {} crashes ({} different \
         disks), {} errors; all recovered in {:?}",
        tally.operations,
        tally.singles,
        MODES.len(),
        tally.disks,
        tally.errors,
        tally.full,
        tally.doubles,
        tally.double_disks,
        tally.double_errors,
        began.elapsed()
    );
}

#[test]
fn what_was_promised_survives_any_two_failures_of_the_disk_while_a_ledger_is_made() {
    fails_everywhere(
        Trial::new(World::new()),
        &Left::nothing(),
        0,
        "making a ledger",
    );
}

#[test]
fn what_was_promised_survives_any_two_failures_of_the_disk_while_a_ledger_works() {
    let trial = Trial::new(World::new());
    let mut made = trial.live(&Left::nothing(), Plan::Well, 0).left;
    made.how = "a new ledger".to_owned();
    fails_everywhere(trial, &made, ALL, "appending to it");
}

/// Goal: what an order erases is gone from the disk for good, and nothing beside it, whatever fails
/// and when. Method: as above, with two orders; at each acknowledgement and after each start all
/// that can be read from the fake disk, now or after a crash, is searched.
#[test]
fn what_was_ordered_to_be_erased_is_gone_after_any_two_failures_of_the_disk() {
    let mut trial = Trial::new(World::erasing());
    let mut made = trial.live(&Left::nothing(), Plan::Well, 1).left;
    made.how = "a ledger with something to erase".to_owned();
    for left in trial.errors(&made, 2, 1, 0) {
        trial.recovers(&left, 3);
    }
    fails_everywhere(trial, &made, ALL, "erasing from it");
}
