//! The server over a real socket: what it accepts, refuses, proves and keeps.
#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod abuse;
mod access;
mod appends;
mod auditor;
mod client;
mod erasure;
mod fill;
mod fishing;
mod frames;
mod http;
mod large_log;
mod limits;
mod noise;
mod proposals;
mod queries;
mod refusals;
mod retry_storm;
mod stream;
mod uploads;
mod watch;
