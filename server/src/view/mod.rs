//! What is derived from the journal and kept in sled, so that a restart need not replay it:
//! leaf hashes, environments, digest rows, where documents lie.
//!
//! Invariant: a view is only ever a shortcut. Every value carries a checksum; at start the
//! roots over what was loaded must equal the journal's, else all of it is dropped and
//! rebuilt. One tree, one atomic batch for each group of records, the watermark in it: what
//! is on disk is the state after some record, never between two.
//! Out of scope: the rules (`cairn-proto`), the journal.

mod load;
mod rows;
mod store;
mod table;

pub(crate) use load::Loaded;
pub(crate) use rows::{DocumentPlace, Watermark};
pub use store::ViewError;
pub(crate) use store::{Update, View};
#[cfg(test)]
pub(crate) use table::Shelf;
