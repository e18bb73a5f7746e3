//! Generated stubs of `cairn.v1` and their conversions to `cairn-proto`'s types.
//! Nothing else: no transport, no trust. What a peer sent stays raw until proto proves it.

mod convert;
mod refusal;

#[allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::pedantic,
    reason = "generated code; the .proto documents it"
)]
/// The generated messages, client and server.
pub mod v1 {
    tonic::include_proto!("cairn.v1");
}

/// The compiled descriptors, for reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/cairn.v1.bin"));

pub use convert::{FieldError, HostAnswer, LookupAnswer, OrdersAnswer, hash_list, hashes, id32};
pub use refusal::{Refused, refused, refusing};
