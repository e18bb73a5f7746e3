//! What a ledger survives: kills, frozen and second writers, old copies, flipped bytes. Real
//! processes and real files; every round ends with the same question: is all there that was
//! acknowledged, and is it proven?
#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod chains;
mod damage;
mod fleet;
mod kill;
mod liar;
mod old_copy;
mod records;
mod storm;
mod transfers;
mod two_servers;
