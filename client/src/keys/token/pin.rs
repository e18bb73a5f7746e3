//! Logging in to a token.
//!
//! Invariant: a PIN that was refused is not tried again, and one from a file is never tried when the
//! token says that a wrong one would lock it. It is wiped, and stands in no error.

use std::path::Path;

use cryptoki::{
    error::{Error, RvError},
    session::{Session, SessionState, UserType},
    slot::TokenInfo,
    types::AuthPin,
};
use zeroize::Zeroizing;

use super::{
    error::{TokenError, TriesLeft},
    module::Token,
    uri::TokenUri,
};
use crate::keys::{
    AskPassphrase,
    file::{self, shown},
};

/// Makes sure that a session's user is logged in. Another session of this process may have done
/// so: a login is the token's, not the session's.
pub(super) fn log_in(
    token: &Token,
    session: &Session,
    uri: &TokenUri,
    ask: &dyn AskPassphrase,
) -> Result<(), TokenError> {
    let state = session.get_session_info()?.session_state();
    let logged_in = matches!(state, SessionState::RoUser | SessionState::RwUser);
    if logged_in || !token.info.login_required() {
        return Ok(());
    }
    // Asked for again: a login in between may have failed.
    let info = token.module.get_token_info(token.slot)?;
    if info.user_pin_locked() {
        return Err(TokenError::PinLocked {
            token: token.label(),
        });
    }
    let pin = pin(token, &info, uri, ask)?;
    match session.login(UserType::User, pin.as_ref()) {
        Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(()),
        Err(Error::Pkcs11(
            RvError::PinIncorrect | RvError::PinLenRange | RvError::PinInvalid,
            _,
        )) => Err(TokenError::PinWrong {
            token: token.label(),
            left: tries_left(token),
        }),
        Err(Error::Pkcs11(RvError::PinLocked, _)) => Err(TokenError::PinLocked {
            token: token.label(),
        }),
        Err(error) => Err(error.into()),
    }
}

/// The PIN; `None` where the token has keys of its own to type it on.
fn pin(
    token: &Token,
    info: &TokenInfo,
    uri: &TokenUri,
    ask: &dyn AskPassphrase,
) -> Result<Option<AuthPin>, TokenError> {
    let last = info.user_pin_final_try();
    if let Some(path) = &uri.pin_source {
        if last {
            return Err(TokenError::LastTry {
                token: token.label(),
            });
        }
        return from_file(path).map(Some);
    }
    let warning = if last {
        ", the last try before it is locked"
    } else {
        ""
    };
    let label = token.label();
    let named = format!("{label}{warning}");
    if info.protected_authentication_path() && ask.pin_on_token(&named) {
        return Ok(None);
    }
    let typed = ask.pin(&named).filter(|pin| !pin.is_empty());
    match typed {
        Some(pin) => Ok(Some(AuthPin::from(pin.as_str()))),
        None => Err(TokenError::PinMissing { token: label }),
    }
}

/// One line of a file that nobody else may read.
fn from_file(path: &Path) -> Result<AuthPin, TokenError> {
    let bytes: Zeroizing<Vec<u8>> = file::read(path).map_err(TokenError::PinFile)?;
    let text = std::str::from_utf8(&bytes).ok();
    let line = text.map(|text| {
        let text = text.strip_suffix('\n').unwrap_or(text);
        text.strip_suffix('\r').unwrap_or(text)
    });
    let line = line.filter(|line| !line.is_empty() && !line.contains(['\n', '\r', '\0']));
    line.map(AuthPin::from)
        .ok_or_else(|| TokenError::PinSyntax { path: shown(path) })
}

fn tries_left(token: &Token) -> TriesLeft {
    match token.module.get_token_info(token.slot) {
        Ok(info) if info.user_pin_locked() => TriesLeft::Locked,
        Ok(info) if info.user_pin_final_try() => TriesLeft::One,
        Ok(info) if info.user_pin_count_low() => TriesLeft::Fewer,
        _ => TriesLeft::Unsaid,
    }
}
