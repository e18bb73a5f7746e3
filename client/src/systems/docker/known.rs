//! Whether a file can be nothing else than an archive of images: by the names of its members, and
//! without reading what these hold.
//!
//! Invariant: one with a member whose name no image has is a file, since as images alone nobody
//! would look at that. Whether a member that is called by a digest is reached from an image is not
//! asked.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use memchr::memmem::find;
use rustix::fs::OFlags;
use tar::{EntryType, Header};

use super::saved::Item;

/// Members that are looked at: images have a few hundred.
const MEMBERS_MAX: usize = 65_536;
/// Bytes of a table of contents, in which ten thousand images would have room.
const TABLE_BYTES_MAX: u64 = 1 << 20;
/// Bytes of notes on a member.
const NOTES_BYTES_MAX: u64 = 64 << 10;
/// What such notes say if the member is another one than its header says.
const OTHERWISE: [&[u8]; 3] = [b" path=", b" linkpath=", b" size="];
/// Bytes that fill an archive up.
const PADDING_BYTES_MAX: u64 = 1 << 20;
/// Bytes of a tar's header, and what all else is rounded up to.
const BLOCK: u64 = 512;

/// Whether a file is one. One that is packed has to be named as such.
pub(super) fn is_of_images(path: &Path) -> bool {
    // Nobody is waited for: a pipe may have come into its place.
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let is_file = |file: &File| file.metadata().is_ok_and(|it| it.is_file());
    let file = file.ok().filter(is_file);
    file.is_some_and(|file| tells(file).unwrap_or(false))
}

/// Whether all members are an image's, and one of them says so.
fn tells(mut file: File) -> io::Result<bool> {
    let mut said = false;
    for _ in 0..MEMBERS_MAX {
        let mut header = Header::new_old();
        file.read_exact(header.as_mut_bytes())?;
        if header.as_bytes().iter().all(|byte| *byte == 0) {
            return Ok(said && is_empty(file)?);
        }
        let size = header.entry_size()?;
        if header.cksum()? != sum(&header) {
            return Ok(false);
        }
        let name = header.path_bytes();
        let mut read = 0;
        let belongs = match (
            header.entry_type(),
            name.strip_prefix(b"./").unwrap_or(&name),
        ) {
            // Notes on the next member: its times, and not that it is another one.
            (EntryType::XHeader, _) => {
                read = size.min(NOTES_BYTES_MAX);
                let notes = bytes_of(&mut file, read)?;
                let mut otherwise = OTHERWISE.iter();
                read == size && !otherwise.any(|word| find(&notes, word).is_some())
            }
            (EntryType::Regular, b"manifest.json") => {
                read = size.min(TABLE_BYTES_MAX);
                let table = bytes_of(&mut file, read)?;
                let items = serde_json::from_slice::<Vec<Item>>(&table);
                said |= items.as_ref().is_ok_and(|items| !items.is_empty());
                items.is_ok()
            }
            (EntryType::Directory | EntryType::Symlink | EntryType::Regular, name) => {
                said |= name == b"oci-layout";
                belongs(name)
            }
            _ => false,
        };
        let end = size.checked_next_multiple_of(BLOCK);
        let rest = end.and_then(|end| i64::try_from(end - read).ok());
        let Some(rest) = rest.filter(|_| belongs) else {
            return Ok(false);
        };
        file.seek(SeekFrom::Current(rest))?;
    }
    Ok(false)
}

fn bytes_of(file: &mut File, count: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(count).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Whether nothing comes any more but what an archive is filled up with.
fn is_empty(mut file: File) -> io::Result<bool> {
    let rest = bytes_of(&mut file, PADDING_BYTES_MAX)?;
    let ends = file.read(&mut [0])? == 0;
    Ok(ends && rest.iter().all(|byte| *byte == 0))
}

/// The sum over a header in which that of the sum itself counts as spaces.
fn sum(header: &Header) -> u32 {
    let bytes = header.as_bytes().iter().enumerate();
    let bytes = bytes.map(|(at, byte)| match at {
        148..156 => u32::from(b' '),
        _ => u32::from(*byte),
    });
    bytes.sum()
}

/// Names that Docker, skopeo and OCI layouts give: tables of contents, and what is called by its
/// digest.
fn belongs(name: &[u8]) -> bool {
    let name = name.strip_suffix(b"/").unwrap_or(name);
    if matches!(
        name,
        b"" | b"." | b"manifest.json" | b"repositories" | b"oci-layout" | b"index.json"
    ) {
        return true;
    }
    let Ok(name) = std::str::from_utf8(name) else {
        return false;
    };
    let is_digest = |text: &str| {
        text.len() == 64
            && text
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let parts: Vec<_> = name.split('/').collect();
    match parts[..] {
        ["blobs"] | ["blobs", "sha256"] => true,
        ["blobs", "sha256", digest] => is_digest(digest),
        [file] => {
            let layer = file
                .strip_suffix(".json")
                .or_else(|| file.strip_suffix(".tar"));
            is_digest(layer.unwrap_or(file))
        }
        [layer, "layer.tar" | "json" | "VERSION"] => is_digest(layer),
        _ => false,
    }
}
