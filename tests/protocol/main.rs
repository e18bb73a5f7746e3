//! The protocol against what others say of it: vectors that a second implementation made of
//! SPEC.md alone, vectors of RFC 6962 from elsewhere, and properties that hold for all input.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod ledger;
mod merkle;
mod mutations;
mod properties;
mod properties_bytes;
mod tidy;
mod vectors;
mod vectors_bundle;
mod vectors_documents;
mod vectors_entries;
mod vectors_hosts;
mod vectors_json;
mod vectors_keys;
mod vectors_map;
mod vectors_merkle;
mod vectors_names;
mod vectors_notes;
mod vectors_orders;
mod vectors_rules;
mod vectors_succession;
mod vectors_tiles;
mod vectors_witness;
