//! Bundles that travel with an image: stapled into an OCI image layout as a referrer
//! (image-spec 1.1), found there, and passed over where the layout itself is measured.
//!
//! Invariants: nothing is taken for a staple that is not byte for byte what `form` writes
//! for what it says; stapling changes no file of the image, and `index.json` only by whole
//! descriptors of that form, so that its bytes from before can be had back exactly.
//! Out of scope: whether a bundle proves anything ([`crate::verify`]), and registries.

mod error;
pub(crate) mod form;
pub(crate) mod index;
mod layout;
#[cfg(test)]
mod tests;
mod write;

pub use error::{StapleError, StapleFault};
pub use layout::{At, Found, find};
pub use write::{Stapled, staple};

/// Staples of one layout: each environment of a large firm, and several tags.
pub(crate) const STAPLES_MAX: usize = 256;
