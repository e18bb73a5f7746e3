//! Modules and the tokens that they reach.
//!
//! Invariant: a module is loaded once and stays until the process ends: two copies would end
//! each other's sessions. No token is asked for anything, and above all given no PIN, unless it is
//! the only one that fits.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11},
    error::{Error, RvError},
    slot::{Slot, TokenInfo},
};
use rustix::process::geteuid;

use super::{
    error::{TokenError, said},
    uri::{self, TokenUri},
};
use crate::keys::file::shown;

/// Tokens that are looked at: a rack of HSMs has tens of partitions.
const TOKENS_MAX: usize = 1024;

static LOADED: Mutex<BTreeMap<PathBuf, Pkcs11>> = Mutex::new(BTreeMap::new());

/// A token that a URI chose.
pub(super) struct Token {
    pub(super) module: Pkcs11,
    pub(super) slot: Slot,
    pub(super) info: TokenInfo,
}

impl Token {
    /// The one token that fits.
    pub(super) fn choose(uri: &TokenUri) -> Result<Self, TokenError> {
        let (module, mut fitting) = fitting(uri)?;
        let Some((slot, info)) = fitting.pop() else {
            let present = tokens(&module)?;
            let present = present.iter().map(|(_, info)| name_of(info)).collect();
            return Err(TokenError::NoToken { present });
        };
        if !fitting.is_empty() {
            fitting.push((slot, info));
            let fitting = fitting.iter().map(|(_, info)| name_of(info)).collect();
            return Err(TokenError::ManyTokens { fitting });
        }
        Ok(Self { module, slot, info })
    }

    /// All that fit, to be listed.
    pub(super) fn all(uri: &TokenUri) -> Result<Vec<Self>, TokenError> {
        let (module, fitting) = fitting(uri)?;
        let of = |(slot, info)| Self {
            module: module.clone(),
            slot,
            info,
        };
        Ok(fitting.into_iter().map(of).collect())
    }

    /// What people call it.
    pub(super) fn label(&self) -> String {
        crate::detail::printable(self.info.label())
    }
}

fn name_of(info: &TokenInfo) -> String {
    uri::of_key(info.label(), info.serial_number(), &[], &[])
}

type Slots = Vec<(Slot, TokenInfo)>;

fn fitting(uri: &TokenUri) -> Result<(Pkcs11, Slots), TokenError> {
    let module = load(&uri.module)?;
    let mut tokens = tokens(&module)?;
    tokens.retain(|(slot, info)| fits(uri, *slot, info));
    Ok((module, tokens))
}

fn fits(uri: &TokenUri, slot: Slot, info: &TokenInfo) -> bool {
    let same = |said: &Option<String>, is: &str| said.as_ref().is_none_or(|said| said == is);
    same(&uri.token, info.label())
        && same(&uri.serial, info.serial_number())
        && same(&uri.manufacturer, info.manufacturer_id())
        && same(&uri.model, info.model())
        && uri.slot.is_none_or(|said| said == slot.id())
}

/// The tokens that hold something. One that was pulled out meanwhile is none.
fn tokens(module: &Pkcs11) -> Result<Slots, TokenError> {
    let slots = module.get_slots_with_token()?;
    let known = slots.into_iter().take(TOKENS_MAX).filter_map(|slot| {
        let info = module.get_token_info(slot).ok()?;
        info.token_initialized().then_some((slot, info))
    });
    Ok(known.collect())
}

fn load(path: &Path) -> Result<Pkcs11, TokenError> {
    let real = fs::canonicalize(path).map_err(|error| TokenError::module(path, error))?;
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(module) = loaded.get(&real) {
        return Ok(module.clone());
    }
    only_ours(&real)?;
    let module = Pkcs11::new(&real).map_err(|error| match &error {
        Error::LibraryLoading(why) => TokenError::module(path, why),
        other => TokenError::module(path, said(other)),
    })?;
    match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
        Err(error) => return Err(TokenError::module(path, said(&error))),
    }
    loaded.insert(real, module.clone());
    Ok(module)
}

/// A file that others may change would let them sign, and do whatever else this user may.
fn only_ours(real: &Path) -> Result<(), TokenError> {
    let metadata = fs::metadata(real).map_err(|error| TokenError::module(real, error))?;
    if !metadata.is_file() {
        return Err(TokenError::module(real, "it is not a regular file"));
    }
    let ours = [0, geteuid().as_raw()].contains(&metadata.uid());
    if !ours || metadata.mode() & 0o022 != 0 {
        return Err(TokenError::ModuleLoose { path: shown(real) });
    }
    Ok(())
}
