//! What is derived from the journal and kept in sled, so that a restart need not judge it
//! again: leaf hashes, which documents are where, which step each entry took.
//!
//! Invariant: a view is only ever a shortcut. Every value carries a checksum; at start the
//! roots over what was loaded must equal the journal's, else all of it is dropped and
//! rebuilt. One tree, one atomic batch for each group of records, the watermark in it: what
//! is on disk is the state after some record, never between two.
//!
//! Keys are record positions, so that rows are only ever added at the end: a row at a random
//! place costs sled ten times as much, for each of the dozen things that a release touches.
//! Nothing is looked up here while the ledger runs; what must be is in RAM.
//! Out of scope: the rules (`cairn-proto`), the journal.

mod documents;
mod load;
mod rows;
mod store;
mod table;
#[cfg(test)]
mod tests;

pub(crate) use documents::{DocumentIndex, DocumentPlace};
pub(crate) use load::Loaded;
pub(crate) use rows::{Update, Watermark};
pub(crate) use store::View;
pub use store::ViewError;
#[cfg(test)]
pub(crate) use table::Shelf;
