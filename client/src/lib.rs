//! What a client of a ledger does: capture and measure artifacts, compare them with what
//! was recorded, hold keys, talk to the server, keep what was seen.
//!
//! Nothing here decides whether a proof holds; `cairn-proto` does.

pub mod audit;
pub mod clock;
pub mod compare;
pub mod connect;
pub mod context;
pub mod detail;
pub mod error;
pub mod evidence;
pub mod export;
pub mod held;
pub mod home;
pub mod hosts;
pub mod keys;
pub mod ledger;
pub mod orders;
pub mod policies;
pub mod proposal;
pub mod read;
pub mod record;
pub mod secrets;
pub mod sources;
pub mod staple;
pub mod submit;
pub mod systems;
pub mod trust;
pub mod verdict;
pub mod verify;
pub mod waiting;
pub mod watch;

mod files;
#[cfg(test)]
mod test;
