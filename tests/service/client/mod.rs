//! The client against a real server over a real socket: record, verify, read, audit, and
//! what it says of servers that show less, or another history.

mod auditing;
mod contents;
mod histories;
mod liar;
mod liars;
mod reading;
mod recording;
mod verifying;

use crate::support::desk;
