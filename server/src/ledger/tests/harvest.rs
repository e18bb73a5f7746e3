//! Every disk that a crash can leave while a process lives: one for each change and mode,
//! each different one once.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex},
};

use super::{
    life::{Left, Witness},
    notary::Outside,
};
use crate::{
    disk::fake::{Change, Platter, Unsynced},
    view::Shelf,
};

/// What a crash at a change leaves of it, and of what was not synced before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mode {
    /// It never began; the unsynced is lost.
    Before,
    /// It took effect; the unsynced is lost, the change with it unless it was a sync.
    NotPersisted,
    /// It took effect, and the disk got all there was.
    Persisted,
    /// It took effect and is durable, and nothing else that was unsynced is.
    Alone,
    /// Any of the unsynced sectors, sizes and names landed, and others did not.
    Torn(u64),
    /// It took effect, and the process alone died: nothing is lost, nothing more is durable.
    Killed,
}

pub(super) const MODES: [Mode; 7] = [
    Mode::Before,
    Mode::NotPersisted,
    Mode::Persisted,
    Mode::Alone,
    Mode::Torn(1),
    Mode::Torn(2),
    Mode::Killed,
];

impl Mode {
    /// The disk after the crash.
    fn leaves(self, platter: &Platter, change: &Change) -> Platter {
        let mut left = platter.clone();
        let is_sync = matches!(change, Change::Sync { .. } | Change::SyncDir(_));
        match self {
            Self::Before => left.crash(Unsynced::Lost),
            // After a sync nothing of the change itself is left to land.
            Self::Alone if !is_sync => {
                let _ = left.apply(change);
                left.crash_since(platter);
            }
            Self::Torn(seed) => {
                // A sync that was under way has not covered everything.
                if !is_sync {
                    let _ = left.apply(change);
                }
                left.crash(Unsynced::Torn(seed));
            }
            Self::Alone | Self::NotPersisted | Self::Persisted | Self::Killed => {
                let _ = left.apply(change);
                left.crash(match self {
                    Self::Persisted => Unsynced::Kept,
                    Self::Killed => Unsynced::Shown,
                    _ => Unsynced::Lost,
                });
            }
        }
        left
    }
}

/// What the crashes of some lives leave.
#[derive(Debug, Default)]
pub(super) struct Harvest {
    /// Each different disk once, with what was promised by then.
    pub(super) left: Vec<Left>,
    /// Changes at which a process crashed.
    pub(super) changes: u64,
    /// Crashes of each mode.
    pub(super) modes: BTreeMap<Mode, u64>,
    seen: HashSet<[u8; 32]>,
    how: String,
}

impl Harvest {
    pub(super) fn crashes(&self) -> u64 {
        self.modes.values().sum()
    }

    /// Watches a life that begins with what `left` says.
    pub(super) fn of(left: &Left) -> (Arc<Mutex<Self>>, Witness) {
        let harvest = Arc::new(Mutex::new(Self {
            how: left.how.clone(),
            ..Self::default()
        }));
        let shared = harvest.clone();
        let witness =
            move |platter: &Platter, change: &Change, outside: &Outside, shelf: &Shelf| {
                shared.lock().unwrap().see(platter, change, outside, shelf);
            };
        (harvest, Box::new(witness))
    }

    fn see(&mut self, platter: &Platter, change: &Change, outside: &Outside, view: &Shelf) {
        self.changes += 1;
        for mode in MODES {
            *self.modes.entry(mode).or_default() += 1;
            let mode_of_this = match mode {
                Mode::Torn(seed) => Mode::Torn(seed.wrapping_mul(0x1_0001) ^ (self.changes << 8)),
                mode => mode,
            };
            let left = mode_of_this.leaves(platter, change);
            let promised = (outside.signed.len(), outside.acknowledged.len());
            let mut print = blake3::Hasher::new();
            print.update(&left.print());
            print.update(format!("{promised:?}").as_bytes());
            if !self.seen.insert(*print.finalize().as_bytes()) {
                continue;
            }
            // The view is now kept, now lost with the machine.
            let keep = self.left.len().is_multiple_of(2);
            let rows = view.lock().unwrap().clone();
            self.left.push(Left {
                platter: left,
                outside: outside.clone(),
                rows: if keep {
                    rows.into_iter().collect()
                } else {
                    Vec::new()
                },
                how: format!("{}; crash {mode:?} at [{change}]", self.how),
            });
        }
    }
}
