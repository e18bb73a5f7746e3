//! The bytes of a frame's header.
//!
//! Invariant: a header that `parse` accepts was written by this series, into this segment,
//! at this offset: its checksum is keyed with the segment's random key and covers the offset.
//! Out of scope: the payload, whose digest stands in the header.

use super::{LedgerTag, SeriesConfig};

/// Bytes of a frame's header.
pub(super) const FRAME_HEADER_BYTES: usize = 80;
const CHECKED_BYTES: usize = 64;
/// `CRNF`, so that a zero frame is never valid.
pub(super) const FRAME_MAGIC: u32 = u32::from_le_bytes(*b"CRNF");

/// A header's fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameHeader {
    pub(super) bytes: u32,
    pub(super) position: u64,
    pub(super) digest: [u8; 32],
}

/// What stands where a header may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Parsed {
    /// All zeros: the end.
    Zero,
    /// A header that was written here.
    Good(FrameHeader),
    /// Anything else.
    Bad,
}

/// Bytes that a frame takes in its file, with header and padding.
pub(super) fn frame_bytes(payload_bytes: u32) -> u64 {
    (FRAME_HEADER_BYTES as u64 + u64::from(payload_bytes)).next_multiple_of(8)
}

fn checksum(key: &[u8; 32], checked: &[u8], offset: u64) -> [u8; 16] {
    let mut sum = [0; 16];
    blake3::Hasher::new_keyed(key)
        .update(checked)
        .update(&offset.to_le_bytes())
        .finalize_xof()
        .fill(&mut sum);
    sum
}

impl FrameHeader {
    pub(super) fn encode(&self, key: &[u8; 32], ledger: LedgerTag, offset: u64) -> [u8; 80] {
        let mut out = [0; FRAME_HEADER_BYTES];
        out[..4].copy_from_slice(&FRAME_MAGIC.to_le_bytes());
        out[4..8].copy_from_slice(&self.bytes.to_le_bytes());
        out[8..16].copy_from_slice(&self.position.to_le_bytes());
        out[16..32].copy_from_slice(&ledger.0);
        out[32..CHECKED_BYTES].copy_from_slice(&self.digest);
        let sum = checksum(key, &out[..CHECKED_BYTES], offset);
        out[CHECKED_BYTES..].copy_from_slice(&sum);
        out
    }

    /// Judges the bytes at `offset`. Fewer than a whole header can only be the end, if zero.
    pub(super) fn parse(
        bytes: &[u8],
        key: &[u8; 32],
        config: &SeriesConfig,
        offset: u64,
    ) -> Parsed {
        if bytes.iter().all(|byte| *byte == 0) {
            return Parsed::Zero;
        }
        let Some(header) = bytes.first_chunk::<FRAME_HEADER_BYTES>() else {
            return Parsed::Bad;
        };
        let (checked, sum) = header.split_at(CHECKED_BYTES);
        let (mut length, mut position, mut digest) = ([0; 4], [0; 8], [0; 32]);
        length.copy_from_slice(&checked[4..8]);
        position.copy_from_slice(&checked[8..16]);
        digest.copy_from_slice(&checked[32..]);
        let length = u32::from_le_bytes(length);
        // Not a secret comparison: the checksum tells rot from frames, not friend from foe.
        let good = checked[..4] == FRAME_MAGIC.to_le_bytes()
            && (1..=config.payload_bytes_max).contains(&length)
            && checked[16..32] == config.ledger.0
            && sum == checksum(key, checked, offset);
        if good {
            let position = u64::from_le_bytes(position);
            Parsed::Good(FrameHeader {
                bytes: length,
                position,
                digest,
            })
        } else {
            Parsed::Bad
        }
    }
}
