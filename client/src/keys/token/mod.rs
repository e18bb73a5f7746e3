//! Keys on PKCS#11 tokens: smart cards, HSMs, the HSMs of clouds. The private half stays there.
//!
//! Invariant: a signature that a token returns was verified with the public key before anybody
//! sees it, so a token that is broken, or whose key objects do not belong together, can only fail.
//! Out of scope: other curves, certificates, setting tokens up. A module is code of its vendor's
//! that runs in this process: how long it takes, and what it does, is its own affair.

mod error;
mod module;
mod objects;
mod pin;
#[cfg(test)]
mod tests;
pub(super) mod uri;

use std::sync::{Mutex, PoisonError};

use cairn_proto::key::{PublicKey, SignError, Signer};
use cryptoki::{
    error::{Error, RvError},
    mechanism::{
        Mechanism,
        eddsa::{EddsaParams, EddsaSignatureScheme},
    },
    object::{Attribute, ObjectClass, ObjectHandle},
    session::Session,
};

pub use self::{
    error::{TokenError, TriesLeft},
    uri::{TokenUri, UriError},
};
use self::{
    module::Token,
    objects::{Object, any, find, named, public_half},
};
use super::{AskPassphrase, NoPassphrase};

/// What a new key signs to show that it can: no payload that is ever signed begins so.
const TRIAL: &[u8] = b"cairn: does this key sign?";
/// Bytes of the id of a new key.
const ID_BYTES: usize = 8;

/// A key that a token holds.
pub(super) struct TokenSigner {
    uri: TokenUri,
    /// One call at a time: a session does one thing at once.
    held: Mutex<Held>,
    public_key: PublicKey,
    token: String,
}

/// A session and what is in it.
struct Held {
    session: Session,
    key: ObjectHandle,
    /// Why it is not opened again: its PIN was refused, and would be each time.
    given_up: Option<String>,
}

impl TokenSigner {
    /// Finds the one key that fits, logged in.
    pub(super) fn open(uri: &TokenUri, ask: &dyn AskPassphrase) -> Result<Self, TokenError> {
        let token = Token::choose(uri)?;
        let session = token.module.open_ro_session(token.slot)?;
        pin::log_in(&token, &session, uri, ask)?;
        let private = private_key(&token, &session, uri)?;
        if private.asks_always {
            return Err(TokenError::AlwaysAuthenticate);
        }
        let public_key = public_half(&session, &token, &private)?;
        let key = private.handle;
        Ok(Self {
            uri: uri.clone(),
            held: Mutex::new(Held {
                session,
                key,
                given_up: None,
            }),
            public_key,
            token: token.label(),
        })
    }

    /// What the token makes of a message. A session that was lost, as an HSM that was started again
    /// loses them, is opened again once, with the PIN's file: nobody is asked in mid-work.
    fn signed(&self, message: &[u8]) -> Result<Vec<u8>, String> {
        let params = EddsaParams::new(EddsaSignatureScheme::Ed25519);
        let sign = |held: &Held| {
            let mechanism = Mechanism::Eddsa(params);
            held.session.sign(&mechanism, held.key, message)
        };
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let error = match sign(&held) {
            Ok(signature) => return Ok(signature),
            Err(error) => error,
        };
        if !is_lost(&error) {
            return Err(error::said(&error));
        }
        if let Some(why) = &held.given_up {
            return Err(why.clone());
        }
        let again = match Self::open(&self.uri, &NoPassphrase) {
            Ok(again) => again,
            Err(why) => {
                let said = format!("{}, and then {why}", error::said(&error));
                if matches!(why, TokenError::PinWrong { .. }) {
                    held.given_up = Some(said.clone());
                }
                return Err(said);
            }
        };
        if again.public_key != self.public_key {
            return Err("its key is another now".to_owned());
        }
        *held = again
            .held
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        sign(&held).map_err(|error| error::said(&error))
    }
}

/// Whether a call failed because the session, or the login in it, is no more.
fn is_lost(error: &Error) -> bool {
    let Error::Pkcs11(value, _) = error else {
        return false;
    };
    matches!(
        value,
        RvError::SessionHandleInvalid
            | RvError::SessionClosed
            | RvError::KeyHandleInvalid
            | RvError::UserNotLoggedIn
            | RvError::DeviceRemoved
            | RvError::TokenNotPresent
    )
}

/// The one private key that fits.
fn private_key(token: &Token, session: &Session, uri: &TokenUri) -> Result<Object, TokenError> {
    let named = named(uri);
    let mut fitting = find(session, ObjectClass::PRIVATE_KEY, &named)?;
    let found = !fitting.is_empty() || any(session, ObjectClass::PRIVATE_KEY, &named)?;
    fitting.retain(Object::is_ed25519);
    let label = token.label();
    match fitting.pop() {
        None if found => Err(TokenError::OtherKind { token: label }),
        None => Err(TokenError::NoKey { token: label }),
        Some(only) if fitting.is_empty() => Ok(only),
        Some(last) => {
            let all = fitting.iter().chain([&last]);
            let fitting = all.map(|object| object.uri(token)).collect();
            Err(TokenError::ManyKeys { fitting })
        }
    }
}

impl Signer for TokenSigner {
    fn public_key(&self) -> PublicKey {
        self.public_key
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
        let failed = |why: &str| SignError(format!("the token {} {why}", self.token));
        let signed = self.signed(message);
        let signature = signed.map_err(|why| failed(&format!("did not sign: {why}")))?;
        let at_fault = || failed("is at fault: what it signed does not verify with its public key");
        let signature: [u8; 64] = signature.try_into().map_err(|_| at_fault())?;
        let verified = self.public_key.verify(message, &signature);
        verified.map_err(|_| at_fault())?;
        Ok(signature)
    }
}

/// A key that a token shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// What names it, without module and PIN.
    pub uri: String,
    /// Its public half; `None` if the token shows none that could be used.
    pub public_key: Option<PublicKey>,
}

/// The Ed25519 keys that fit: without a PIN's file those whose public half everybody sees, with one
/// those that can sign.
pub(super) fn list(uri: &TokenUri, ask: &dyn AskPassphrase) -> Result<Vec<Listed>, TokenError> {
    let tokens = match uri.pin_source {
        // Nothing but the one token that is meant is given the PIN.
        Some(_) => vec![Token::choose(uri)?],
        None => Token::all(uri)?,
    };
    let mut listed = Vec::new();
    for token in &tokens {
        let session = token.module.open_ro_session(token.slot)?;
        let mut class = ObjectClass::PUBLIC_KEY;
        if uri.pin_source.is_some() {
            pin::log_in(token, &session, uri, ask)?;
            class = ObjectClass::PRIVATE_KEY;
        }
        let mut keys = find(&session, class, &named(uri))?;
        keys.retain(Object::is_ed25519);
        for key in &keys {
            let public_key = match class {
                ObjectClass::PRIVATE_KEY => public_half(&session, token, key).ok(),
                _ => key.public_key(token).ok().flatten(),
            };
            listed.push(Listed {
                uri: key.uri(token),
                public_key,
            });
        }
    }
    Ok(listed)
}

/// Makes a key on a token, which never leaves it, and sees it sign.
pub(super) fn generate(uri: &TokenUri, ask: &dyn AskPassphrase) -> Result<Listed, TokenError> {
    let label = uri.object.as_ref().filter(|label| !label.is_empty());
    let label = label.ok_or(TokenError::NoName)?.as_bytes();
    let token = Token::choose(uri)?;
    let session = token.module.open_rw_session(token.slot)?;
    pin::log_in(&token, &session, uri, ask)?;
    let id = match &uri.id {
        Some(id) => id.clone(),
        None => new_id()?,
    };
    for taken in [Attribute::Label(label.to_vec()), Attribute::Id(id.clone())] {
        for class in [ObjectClass::PRIVATE_KEY, ObjectClass::PUBLIC_KEY] {
            if any(&session, class, std::slice::from_ref(&taken))? {
                let token = token.label();
                return Err(TokenError::Exists { token });
            }
        }
    }
    let both = [
        Attribute::Token(true),
        Attribute::Label(label.to_vec()),
        Attribute::Id(id.clone()),
    ];
    generate_pair(&session, &both)?;
    let made = TokenUri {
        id: Some(id.clone()),
        ..uri.clone()
    };
    // While the session lives its login does, and nobody is asked twice.
    let signer = TokenSigner::open(&made, ask)?;
    drop(session);
    signer.sign(TRIAL).map_err(|error| TokenError::Faulty {
        token: token.label(),
        why: error.0,
    })?;
    let info = &token.info;
    Ok(Listed {
        uri: uri::of_key(info.label(), info.serial_number(), label, &id),
        public_key: Some(signer.public_key),
    })
}

fn new_id() -> Result<Vec<u8>, TokenError> {
    let mut id = vec![0; ID_BYTES];
    getrandom::fill(&mut id).map_err(|_| TokenError::Random)?;
    Ok(id)
}

/// Tokens differ in how the curve is named to them; what one of them refused made nothing.
fn generate_pair(session: &Session, both: &[Attribute]) -> Result<(), TokenError> {
    let mut private = both.to_vec();
    private.extend([
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
    ]);
    let generate = |curve: &[u8]| {
        let mut public = both.to_vec();
        public.extend([
            Attribute::Private(false),
            Attribute::Verify(true),
            Attribute::EcParams(curve.to_vec()),
        ]);
        session.generate_key_pair(&Mechanism::EccEdwardsKeyPairGen, &public, &private)
    };
    let first = generate(objects::CURVE_NAME);
    let made = first.or_else(|error| generate(objects::CURVE_OID).map_err(|_| error));
    made.map(|_| ()).map_err(TokenError::from)
}
