//! What a client of a ledger does: capture and measure artifacts, compare them with what
//! was recorded, hold keys, talk to the server, keep what was seen.
//!
//! Nothing here decides whether a proof holds; `cairn-proto` does.

pub mod compare;
pub mod detail;
pub mod keys;
pub mod secrets;
pub mod sources;
