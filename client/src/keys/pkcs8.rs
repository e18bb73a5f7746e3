//! Ed25519 keys in PKCS#8 (RFC 8410, RFC 5958), plain or under a passphrase.
//!
//! Invariant: every buffer with a private key in it is wiped when it is dropped.

use cairn_proto::key::{SecretKey, Signer as _};
use pkcs8::{
    AlgorithmIdentifierRef, EncryptedPrivateKeyInfoRef, LineEnding, ObjectIdentifier,
    PrivateKeyInfoRef, SecretDocument,
    der::asn1::OctetStringRef,
    pkcs5::{pbes2, scrypt},
};
use zeroize::Zeroizing;

const PLAIN: &str = "PRIVATE KEY";
const ENCRYPTED: &str = "ENCRYPTED PRIVATE KEY";
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
/// Tag and length of the OCTET STRING within the private key's OCTET STRING.
const INNER: [u8; 2] = [0x04, 0x20];
/// scrypt's cost, log2: the most that OpenSSL accepts without being given more memory.
const SCRYPT_LOG_N: u8 = 14;

/// Random bytes for an encryption; used once.
pub(super) struct Nonces {
    pub(super) salt: [u8; 16],
    pub(super) iv: [u8; 16],
}

/// What a PEM file holds.
pub(super) enum Pem {
    /// A key.
    Plain(SecretKey),
    /// A key under a passphrase.
    Locked(Locked),
}

/// A key that needs a passphrase.
pub(super) struct Locked(SecretDocument);

/// Writes a key as PEM. `None` would mean that DER cannot hold 32 bytes.
pub(super) fn encode(seed: &[u8; 32], lock: Option<(&str, &Nonces)>) -> Option<Zeroizing<String>> {
    let mut inner = Zeroizing::new([0; 34]);
    let (head, tail) = inner.split_at_mut(INNER.len());
    head.copy_from_slice(&INNER);
    tail.copy_from_slice(seed);
    let algorithm = AlgorithmIdentifierRef {
        oid: ED25519,
        parameters: None,
    };
    // Without the public key it is version 1, which every tool reads.
    let key = OctetStringRef::new(inner.as_slice()).ok()?;
    let info = PrivateKeyInfoRef::new(algorithm, key);
    let (label, document) = match lock {
        None => (PLAIN, SecretDocument::encode_msg(&info).ok()?),
        Some((passphrase, nonces)) => {
            let cost = scrypt::Params::new(SCRYPT_LOG_N, 8, 1).ok()?;
            let params =
                pbes2::Parameters::generate_scrypt_aes256cbc(cost, &nonces.salt, nonces.iv).ok()?;
            let document = info.encrypt_with_params(params, passphrase).ok()?;
            (ENCRYPTED, document)
        }
    };
    document.to_pem(label, LineEnding::LF).ok()
}

/// Reads PEM; `None` if it is not a PKCS#8 with an Ed25519 key in it.
pub(super) fn decode(pem: &[u8]) -> Option<Pem> {
    // What went through a variable or a form has more line ends, or fewer.
    let pem = std::str::from_utf8(pem).ok()?.trim_ascii();
    let (label, document) = SecretDocument::from_pem(pem).ok()?;
    match label {
        PLAIN => key_of(&document).map(Pem::Plain),
        ENCRYPTED => Some(Pem::Locked(Locked(document))),
        _ => None,
    }
}

impl Locked {
    /// Opens it; `None` if the passphrase is wrong.
    pub(super) fn open(&self, passphrase: &str) -> Option<SecretKey> {
        let info = EncryptedPrivateKeyInfoRef::try_from(self.0.as_bytes()).ok()?;
        key_of(&info.decrypt(passphrase).ok()?)
    }
}

fn key_of(document: &SecretDocument) -> Option<SecretKey> {
    let info = PrivateKeyInfoRef::try_from(document.as_bytes()).ok()?;
    if info.algorithm.oid != ED25519 || info.algorithm.parameters.is_some() {
        return None;
    }
    let seed = info.private_key.as_bytes().strip_prefix(&INNER)?;
    let key = SecretKey::from_seed(seed.try_into().ok()?).ok()?;
    let stated = info
        .public_key
        .map(|stated| stated.as_bytes().map(<[u8]>::to_vec));
    match stated {
        // A public key that is not this key's own has made other tools leak the key.
        Some(stated) if stated.as_deref() != Some(key.public_key().as_bytes()) => None,
        _ => Some(key),
    }
}
