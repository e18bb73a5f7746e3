//! One line of a tlog-policy, by its words.
//!
//! Invariant: names are octets and are compared as such; a key of a kind that is known here
//! is right in itself.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use cairn_proto::note::{SignatureType, VerifierKey};

use super::TlogPolicyFault;
use crate::detail::printable_bytes;

/// The predefined quorum.
pub(super) const NOBODY: &[u8] = b"none";

/// A line that says something.
pub(super) enum Line<'a> {
    Log(Key),
    Witness(&'a [u8], Key),
    Group(&'a [u8], Threshold, Vec<&'a [u8]>),
    Quorum(&'a [u8]),
}

/// A key as it was named.
pub(super) struct Key {
    /// Itself, without its type: what tells that two are the same.
    pub(super) bytes: Vec<u8>,
    /// `None`: of a type that is not known here.
    pub(super) known: Option<VerifierKey>,
}

/// How many members it takes.
#[derive(Clone, Copy)]
pub(super) enum Threshold {
    Any,
    All,
    /// `None`: no decimal number, or one beyond all bounds.
    Number(Option<usize>),
}

impl<'a> Line<'a> {
    /// Reads a line; `None` if it says nothing. Only tabs and spaces part words.
    pub(super) fn read(line: &'a [u8]) -> Result<Option<Self>, TlogPolicyFault> {
        let allowed = |byte: &u8| matches!(*byte, b'\t' | 0x20..=0x7e | 0x80..);
        if !line.iter().all(allowed) {
            return Err(TlogPolicyFault::Control);
        }
        let words = line.split(|byte| matches!(byte, b' ' | b'\t'));
        let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
        if words.first().is_none_or(|word| word.starts_with(b"#")) {
            return Ok(None);
        }
        match words.as_slice() {
            [b"log", vkey] | [b"log", vkey, _] => {
                let key = Key::read(vkey, "log", SignatureType::Ed25519)?;
                Ok(Some(Self::Log(key)))
            }
            [b"witness", name, vkey] | [b"witness", name, vkey, _] => {
                let key = Key::read(vkey, "witness", SignatureType::Cosignature)?;
                Ok(Some(Self::Witness(name, key)))
            }
            [b"group", name, threshold, members @ ..] if !members.is_empty() => {
                let threshold = Threshold::read(threshold);
                Ok(Some(Self::Group(name, threshold, members.to_vec())))
            }
            [b"quorum", name] => Ok(Some(Self::Quorum(name))),
            _ => Err(TlogPolicyFault::Line),
        }
    }
}

impl Threshold {
    /// Decimal has one spelling: no sign, no leading zero, which some take for another base.
    fn read(word: &[u8]) -> Self {
        let digits =
            |text: &&str| text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
        match word {
            b"any" => Self::Any,
            b"all" => Self::All,
            word => {
                let text = str::from_utf8(word).ok().filter(digits);
                Self::Number(text.and_then(|text| text.parse().ok()))
            }
        }
    }
}

impl Key {
    fn read(
        vkey: &[u8],
        role: &'static str,
        wanted: SignatureType,
    ) -> Result<Self, TlogPolicyFault> {
        let text = str::from_utf8(vkey).map_err(|_| TlogPolicyFault::Key)?;
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(encoded)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(TlogPolicyFault::Key);
        };
        let hex = id.len() == 8
            && id
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let typed = STANDARD.decode(encoded).map_err(|_| TlogPolicyFault::Key)?;
        let (kind, bytes) = typed.split_first().ok_or(TlogPolicyFault::Key)?;
        if name.is_empty() || !hex {
            return Err(TlogPolicyFault::Key);
        }
        let known = match text.parse::<VerifierKey>() {
            Ok(key) if key.kind() == wanted => Some(key),
            Ok(_) => return Err(TlogPolicyFault::KeyType { role }),
            // A name that is not ASCII is right, and cannot be pinned.
            Err(_) if matches!(kind, 0x01 | 0x04) && (name.is_ascii() || bytes.len() != 32) => {
                return Err(TlogPolicyFault::Key);
            }
            Err(_) => None,
        };
        Ok(Self {
            bytes: bytes.to_vec(),
            known,
        })
    }
}

/// A name as it may be shown on a terminal.
pub(super) fn shown(name: &[u8]) -> String {
    printable_bytes(name)
}
