//! PKCS#11 URIs (RFC 7512): which module, which token, which key on it.
//!
//! Invariant: what a URI says narrows what it fits, or it is refused: an attribute that is passed
//! over could let it fit another key. No PIN stands in one. Paths are absolute: a URI is kept in
//! a context and used from anywhere.

use std::{
    ffi::OsString, fmt::Write as _, os::unix::ffi::OsStringExt as _, path::PathBuf, str::FromStr,
};

use percent_encoding::{
    AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode, percent_encode_byte,
};
use thiserror::Error;

/// What a URI begins with.
pub(crate) const SCHEME: &str = "pkcs11:";
/// Bytes of a URI: a dozen attributes of some tens of bytes, and two paths.
const URI_BYTES_MAX: usize = 4 << 10;
/// What is percent-encoded where a URI is printed.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Why a text is not taken for a key on a token. No variant holds a value: it could be a PIN.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum UriError {
    /// Longer than any.
    #[error("the URI is too long")]
    TooLong,
    /// Something that is no attribute, or that must be percent-encoded.
    #[error("the URI is not made of name=value, separated by `;`, and by `&` after the `?`")]
    Syntax,
    /// A value that is not percent-encoded text.
    #[error("the value of {name} is not what it should be, percent-encoded")]
    Value {
        /// The attribute.
        name: &'static str,
    },
    /// An attribute that stands twice.
    #[error("{name} stands in the URI twice")]
    Twice {
        /// The attribute.
        name: &'static str,
    },
    /// An attribute that Cairn does not look at.
    #[error("the URI says {name}, which is not looked at here and so could not be held to")]
    Unknown {
        /// The attribute.
        name: String,
    },
    /// An object that is no key.
    #[error("the URI asks for an object that is no key: type is `private` or `public`")]
    Type,
    /// No module.
    #[error("the URI names no module: add ?module-path=/FILE")]
    NoModule,
    /// A path that counts from wherever somebody stands.
    #[error("{name} must be an absolute path")]
    Relative {
        /// The attribute.
        name: &'static str,
    },
    /// A PIN in the open.
    #[error("the URI holds a PIN, which others can read in the list of processes")]
    PinValue,
}

/// Where a key is: the module that reaches its token, what the token is called, what the key is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenUri {
    pub(super) module: PathBuf,
    pub(super) pin_source: Option<PathBuf>,
    pub(super) token: Option<String>,
    pub(super) serial: Option<String>,
    pub(super) manufacturer: Option<String>,
    pub(super) model: Option<String>,
    pub(super) slot: Option<u64>,
    pub(super) object: Option<String>,
    pub(super) id: Option<Vec<u8>>,
}

/// Whether a text is meant as such a URI.
pub(crate) fn is_uri(text: &str) -> bool {
    text.get(..SCHEME.len())
        .is_some_and(|scheme| scheme.eq_ignore_ascii_case(SCHEME))
}

impl FromStr for TokenUri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        if text.len() > URI_BYTES_MAX {
            return Err(UriError::TooLong);
        }
        let rest = text.get(SCHEME.len()..).filter(|_| is_uri(text));
        let rest = rest.ok_or(UriError::Syntax)?;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let path = path.split(';').filter(|part| !part.is_empty());
        let query = query.split('&').filter(|part| !part.is_empty());
        let pairs = path
            .map(|part| (part, false))
            .chain(query.map(|part| (part, true)));
        let mut uri = Self::default();
        let mut module = None;
        let mut kind = None;
        for (part, in_query) in pairs {
            let (name, value) = part.split_once('=').ok_or(UriError::Syntax)?;
            match (name, in_query) {
                ("pin-value", _) => return Err(UriError::PinValue),
                ("token", false) => once("token", &mut uri.token, text_of("token", value)?)?,
                ("serial", false) => once("serial", &mut uri.serial, text_of("serial", value)?)?,
                ("manufacturer", false) => {
                    let said = text_of("manufacturer", value)?;
                    once("manufacturer", &mut uri.manufacturer, said)?;
                }
                ("model", false) => once("model", &mut uri.model, text_of("model", value)?)?,
                ("slot-id", false) => once("slot-id", &mut uri.slot, slot_of(value)?)?,
                ("object", false) => once("object", &mut uri.object, text_of("object", value)?)?,
                ("id", false) => once("id", &mut uri.id, bytes_of("id", value)?)?,
                ("type", false) => once("type", &mut kind, text_of("type", value)?)?,
                ("module-path", true) => {
                    once("module-path", &mut module, path_of("module-path", value)?)?;
                }
                ("pin-source", true) => {
                    let source = value.strip_prefix("file:").unwrap_or(value);
                    let source = source.strip_prefix("//").unwrap_or(source);
                    let source = path_of("pin-source", source)?;
                    once("pin-source", &mut uri.pin_source, source)?;
                }
                _ => return Err(unknown(name)),
            }
        }
        if !matches!(kind.as_deref(), None | Some("private" | "public")) {
            return Err(UriError::Type);
        }
        uri.module = module.ok_or(UriError::NoModule)?;
        Ok(uri)
    }
}

/// A name is printed only if it looks like one: it may be a value that lost its name.
fn unknown(name: &str) -> UriError {
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte == b'-';
    if name.is_empty() || name.len() > 32 || !name.bytes().all(letter) {
        return UriError::Syntax;
    }
    UriError::Unknown {
        name: name.to_owned(),
    }
}

fn once<T>(name: &'static str, place: &mut Option<T>, value: T) -> Result<(), UriError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(UriError::Twice { name }),
    }
}

fn bytes_of(name: &'static str, value: &str) -> Result<Vec<u8>, UriError> {
    let wrong = UriError::Value { name };
    if !value.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(wrong);
    }
    let decoded: Vec<u8> = percent_decode_str(value).collect();
    // What is no escape is left as it is, and then nothing got shorter there.
    let escapes = value.bytes().filter(|byte| *byte == b'%').count();
    if decoded.len() + 2 * escapes != value.len() {
        return Err(wrong);
    }
    Ok(decoded)
}

fn text_of(name: &'static str, value: &str) -> Result<String, UriError> {
    String::from_utf8(bytes_of(name, value)?).map_err(|_| UriError::Value { name })
}

fn slot_of(value: &str) -> Result<u64, UriError> {
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let slot = digits.then(|| value.parse().ok()).flatten();
    slot.ok_or(UriError::Value { name: "slot-id" })
}

fn path_of(name: &'static str, value: &str) -> Result<PathBuf, UriError> {
    let path = PathBuf::from(OsString::from_vec(bytes_of(name, value)?));
    if !path.is_absolute() {
        return Err(UriError::Relative { name });
    }
    Ok(path)
}

/// The URI of a key, without its module and its PIN's place: what is the same on every machine.
pub(super) fn of_key(token: &str, serial: &str, object: &[u8], id: &[u8]) -> String {
    let encoded = |bytes: &[u8]| percent_encode(bytes, ENCODED).to_string();
    let mut uri = format!("{SCHEME}token={}", encoded(token.as_bytes()));
    for (name, value) in [
        ("serial", encoded(serial.as_bytes())),
        ("object", encoded(object)),
        ("id", id.iter().copied().map(percent_encode_byte).collect()),
    ] {
        if !value.is_empty() {
            let _ = write!(uri, ";{name}={value}");
        }
    }
    uri
}
