//! The server over a real socket: what it accepts, refuses, proves and keeps.
#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod appends;
mod client;
mod refusals;
