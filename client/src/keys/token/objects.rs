//! The key objects of a token, and how tokens spell Ed25519.
//!
//! Invariant: a public key that leaves here passed the rules of `PublicKey`. That it belongs to
//! the private key beside it is not known until a signature verifies.

use cairn_proto::key::PublicKey;
use cryptoki::{
    object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle},
    session::Session,
};

use super::{
    error::TokenError,
    module::Token,
    uri::{self, TokenUri},
};

/// Keys that are looked at on one token.
const KEYS_MAX: usize = 1024;

/// DER of the curve's name, as PKCS#11 3.0 has it.
pub(super) const CURVE_NAME: &[u8] = b"\x13\x0cedwards25519";
/// DER of the object identifiers 1.3.101.112 (RFC 8410), and the one that came before it.
pub(super) const CURVE_OID: &[u8] = &[0x06, 0x03, 0x2b, 0x65, 0x70];
const CURVE_OLD_OID: &[u8] = &[
    0x06, 0x09, 0x2b, 0x06, 0x01, 0x04, 0x01, 0xda, 0x47, 0x0f, 0x01,
];
/// What stands before a point that is wrapped as an OCTET STRING of 32 bytes.
const OCTETS: &[u8] = &[0x04, 0x20];

/// A key object: where it is, and what it is called.
#[derive(Debug)]
pub(super) struct Object {
    pub(super) handle: ObjectHandle,
    pub(super) label: Vec<u8>,
    pub(super) id: Vec<u8>,
    curve: Option<Vec<u8>>,
    point: Option<Vec<u8>>,
    pub(super) asks_always: bool,
}

impl Object {
    /// Whether it is a key of the one curve.
    pub(super) fn is_ed25519(&self) -> bool {
        let known = [CURVE_NAME, CURVE_OID, CURVE_OLD_OID];
        // Where the token keeps the curve to itself, its signatures will tell.
        self.curve
            .as_deref()
            .is_none_or(|curve| known.contains(&curve))
    }

    /// What it says of its point; `None` if nothing.
    pub(super) fn public_key(&self, token: &Token) -> Result<Option<PublicKey>, TokenError> {
        let Some(point) = &self.point else {
            return Ok(None);
        };
        let token = token.label();
        let Some(bytes) = point_of(point) else {
            return Err(TokenError::NoPublic { token });
        };
        let key = PublicKey::parse(&bytes).map_err(|_| TokenError::Weak { token })?;
        Ok(Some(key))
    }

    /// The URI that names it among the keys of its token.
    pub(super) fn uri(&self, token: &Token) -> String {
        let info = &token.info;
        uri::of_key(info.label(), info.serial_number(), &self.label, &self.id)
    }
}

/// A point's 32 bytes: tokens of PKCS#11 2.40 wrap them as an OCTET STRING, those of 3.0 do not.
pub(super) fn point_of(point: &[u8]) -> Option<[u8; 32]> {
    let bare = point.try_into().ok();
    bare.or_else(|| point.strip_prefix(OCTETS)?.try_into().ok())
}

/// What a key is looked for by.
pub(super) fn named(uri: &TokenUri) -> Vec<Attribute> {
    let label = uri.object.as_ref();
    let label = label.map(|label| Attribute::Label(label.as_bytes().to_vec()));
    let id = uri.id.as_ref().map(|id| Attribute::Id(id.clone()));
    label.into_iter().chain(id).collect()
}

/// The Ed25519 keys of a class that a session sees.
pub(super) fn find(
    session: &Session,
    class: ObjectClass,
    named: &[Attribute],
) -> Result<Vec<Object>, TokenError> {
    let mut template = vec![
        Attribute::Class(class),
        Attribute::KeyType(KeyType::EC_EDWARDS),
    ];
    template.extend_from_slice(named);
    let objects = handles(session, &template)?.into_iter();
    objects.map(|handle| read(session, handle)).collect()
}

/// Whether there are keys of a class, of whatever kind.
pub(super) fn any(
    session: &Session,
    class: ObjectClass,
    named: &[Attribute],
) -> Result<bool, TokenError> {
    let mut template = vec![Attribute::Class(class)];
    template.extend_from_slice(named);
    Ok(!handles(session, &template)?.is_empty())
}

/// All handles first: a token runs one search at a time in a session.
fn handles(session: &Session, template: &[Attribute]) -> Result<Vec<ObjectHandle>, TokenError> {
    let found = session.iter_objects(template)?.take(KEYS_MAX);
    Ok(found.collect::<Result<_, _>>()?)
}

fn read(session: &Session, handle: ObjectHandle) -> Result<Object, TokenError> {
    let mut object = Object {
        handle,
        label: Vec::new(),
        id: Vec::new(),
        curve: None,
        point: None,
        asks_always: false,
    };
    // An attribute that an object does not have is left out of the answer.
    let wanted = [
        AttributeType::Label,
        AttributeType::Id,
        AttributeType::EcParams,
        AttributeType::EcPoint,
        AttributeType::AlwaysAuthenticate,
    ];
    for attribute in session.get_attributes(handle, &wanted)? {
        match attribute {
            Attribute::Label(label) => object.label = label,
            Attribute::Id(id) => object.id = id,
            Attribute::EcParams(curve) => object.curve = Some(curve),
            Attribute::EcPoint(point) if !point.is_empty() => object.point = Some(point),
            Attribute::AlwaysAuthenticate(always) => object.asks_always = always,
            _ => {}
        }
    }
    Ok(object)
}

/// The public half of a private key: an object beside it with its id (its label, where it has no
/// id), or what the private key itself says of its point.
pub(super) fn public_half(
    session: &Session,
    token: &Token,
    private: &Object,
) -> Result<PublicKey, TokenError> {
    let same = if private.id.is_empty() {
        Attribute::Label(private.label.clone())
    } else {
        Attribute::Id(private.id.clone())
    };
    let mut found: Option<PublicKey> = None;
    for beside in find(session, ObjectClass::PUBLIC_KEY, &[same])? {
        let key = beside.public_key(token)?;
        match (found, key) {
            (Some(one), Some(other)) if one != other => {
                return Err(TokenError::ManyKeys {
                    fitting: vec![private.uri(token), beside.uri(token)],
                });
            }
            (None, key) => found = key,
            _ => {}
        }
    }
    let found = match found {
        Some(found) => Some(found),
        None => private.public_key(token)?,
    };
    found.ok_or_else(|| TokenError::NoPublic {
        token: token.label(),
    })
}
