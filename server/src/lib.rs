//! The untrusted prover: admission, the journal, views, gRPC and HTTP.
//!
//! Nothing that this crate answers is to be believed unseen: clients prove it with
//! `cairn-proto`. What it must do is never lose what it acknowledged and never sign two
//! histories.

pub mod access;
pub mod anchor;
mod clock;
pub mod config;
pub mod content;
pub mod disk;
mod gate;
mod http;
mod intake;
pub mod journal;
pub mod ledger;
pub mod proposals;
pub mod segment;
pub mod serve;
mod service;
pub mod start;
pub mod store;
mod view;
pub mod witness;
pub mod witnessing;
