//! A real ledger over a fake disk: crashes at every change, damage of the view, histories
//! made up by a seed.
#![allow(clippy::unwrap_used)]

mod crash;
mod harvest;
mod life;
mod notary;
mod read_back;
mod simulation;
mod view;
mod view_files;
mod world;

use std::cell::Cell;

thread_local! {
    static CLOCK: Cell<u64> = const { Cell::new(0) };
}

/// This thread's time, as the test set it.
fn clock() -> u64 {
    CLOCK.get()
}

/// Whether the forms that take minutes were asked for.
fn long() -> bool {
    std::env::var("CAIRN_LONG").is_ok_and(|value| value == "1")
}
