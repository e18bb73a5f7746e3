//! The Cairn protocol: everything that an auditor must read to trust a verdict.
//!
//! Pure: no I/O, no async, no clock, no randomness, no global. Time and random bytes are
//! arguments. No input panics, and none makes it allocate more than in proportion.
//! The bytes are those of `SPEC.md`; each module names its section.
#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::panic
)]

pub mod bundle;
pub mod checkpoint;
pub mod entry;
pub mod envelope;
pub mod hash;
pub mod host;
pub mod json;
pub mod key;
pub mod limits;
pub mod manifest;
pub mod map;
pub mod merkle;
pub mod name;
pub mod note;
pub mod order;
pub mod policy;
pub mod reason;
pub mod row;
pub mod rules;
pub mod secret;
pub mod statement;
pub mod tile;
pub mod tree;
pub mod trust;
pub mod verify;
pub mod witness;
