//! A server that holds all of its keys and lies: one lie a run, each beside the same run
//! without it.
//!
//! Invariant of the client: VERIFIED is said only of what is true, or of what a map record
//! that is consistent in itself says; then the verdict says `map asserted`, and an audit of
//! the same server finds the lie.

mod act;
mod answers;
mod base;
mod case;
mod forged;
mod heads;
mod honest;
mod maps;
mod program;
mod reads;
mod receipts;
mod socket;
mod spliced;
mod stage;
mod sweep;
mod sweep_bundle;
mod world;

use std::collections::BTreeSet;

use base::Base;
use futures_util::{StreamExt as _, stream};

/// Lies that are told beside each other.
const BESIDE: usize = 6;

/// Goal: each lie has its own verdict and reason, and the truth before and after it has none.
/// Method: every lie over a socket of its own; the table is what was observed.
#[tokio::test(flavor = "multi_thread")]
async fn every_lie_is_told_by_its_verdict_and_reason() {
    let base = Base::new().await;
    let world = &base.world;
    let mut all = spliced::lies();
    all.extend(heads::lies());
    all.extend(maps::lies());
    all.extend(forged::lies());
    all.extend(reads::lies());
    all.extend(receipts::lies());
    let told = stream::iter(all).map(|lie| lie.run(world));
    let told: Vec<_> = told.buffered(BESIDE).collect().await;
    println!(
        "{:<58} | {:<11} | {:<20} | caught by",
        "lie", "verdict", "reason"
    );
    for row in &told {
        println!(
            "{:<58} | {:<11} | {:<20} | {}",
            row.name, row.verdict, row.reason, row.caught
        );
    }
    println!("{} lies", told.len());
    base.server.stop().await;
    let wrong: Vec<_> = told.iter().flat_map(|row| row.wrong.clone()).collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    let names: BTreeSet<_> = told.iter().map(|row| row.name).collect();
    assert_eq!(names.len(), told.len(), "each lie is another");
}
