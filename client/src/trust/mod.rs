//! Trust files: what is pinned of a ledger, on disk (`cairn.trust/v1`).
//!
//! Invariant: a trust file is never replaced by one of another ledger unless the caller
//! first removes it. Nothing but these files, and no environment variable, pins anything.

mod discover;
mod succession;
pub mod tlog_policy;

use cairn_proto::{
    hash::{LeafHash, TreeSize},
    name::{Label, Origin},
    note::VerifierKey,
    trust::{Cosigners, Era, Keys, KeysError, Trust},
};
use serde::{Deserialize, Serialize};

pub(crate) use succession::nothing_seen_contradicts;
pub use succession::{follow, succeeded};

pub use discover::{DeployerSummary, KeySummary, TrustSummary, discover};

use crate::{
    error::HomeError,
    files::{self, Lock},
    home::Home,
};

const SCHEMA: &str = "cairn.trust/v1";
const FILE_BYTES_MAX: usize = 256 << 10;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct TrustFile {
    schema: String,
    origin: String,
    log_key: String,
    clock_key: String,
    genesis: String,
    /// Keys that took over, by orders that were proven.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    successors: Vec<EraFile>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    auditors: Option<CosignersFile>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    witnesses: Option<CosignersFile>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct EraFile {
    after: u64,
    log_key: String,
    clock_key: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CosignersFile {
    keys: Vec<String>,
    quorum: usize,
}

impl EraFile {
    fn of(era: &Era) -> Self {
        Self {
            after: era.after.0,
            log_key: era.keys.log.to_string(),
            clock_key: era.keys.clock.to_string(),
        }
    }
}

impl CosignersFile {
    fn of(cosigners: &Cosigners) -> Option<Self> {
        (cosigners.quorum() > 0).then(|| Self {
            keys: cosigners.keys().iter().map(ToString::to_string).collect(),
            quorum: cosigners.quorum(),
        })
    }

    fn parse(&self, name: &str) -> Result<Cosigners, String> {
        let keys = self.keys.iter().map(|text| key(text, name));
        let keys = keys.collect::<Result<_, _>>()?;
        Cosigners::new(keys, self.quorum).map_err(|error| error.to_string())
    }
}

fn key(text: &str, name: &str) -> Result<VerifierKey, String> {
    let wrong = |_| format!("`{name}` is not a verifier key");
    text.parse().map_err(wrong)
}

/// The file's text.
pub fn encode(trust: &Trust) -> String {
    let file = TrustFile {
        schema: SCHEMA.to_owned(),
        origin: trust.origin().to_string(),
        log_key: trust.first_keys().log.to_string(),
        clock_key: trust.first_keys().clock.to_string(),
        genesis: trust.genesis().to_string(),
        successors: trust.later_keys().iter().map(EraFile::of).collect(),
        auditors: CosignersFile::of(trust.auditors()),
        witnesses: CosignersFile::of(trust.witnesses()),
    };
    // A few strings cannot fail to be written into memory.
    let mut text = serde_json::to_string_pretty(&file).unwrap_or_default();
    text.push('\n');
    text
}

/// Reads a file's bytes; the error says what is wrong with them.
pub fn parse(bytes: &[u8]) -> Result<Trust, String> {
    let file: TrustFile = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if file.schema != SCHEMA {
        return Err("its schema needs a newer cairn".to_owned());
    }
    let origin: Origin = file
        .origin
        .parse()
        .map_err(|_| "`origin` is not an origin")?;
    let log_key = key(&file.log_key, "logKey")?;
    let clock_key = key(&file.clock_key, "clockKey")?;
    let genesis: LeafHash = file
        .genesis
        .parse()
        .map_err(|_| "`genesis` is not a hash")?;
    let mut trust =
        Trust::new(origin, log_key, clock_key, genesis).map_err(|error| error.to_string())?;
    for era in file.successors {
        let keys = Keys {
            log: key(&era.log_key, "successors.logKey")?,
            clock: key(&era.clock_key, "successors.clockKey")?,
        };
        let after = TreeSize(era.after);
        let succeeded = trust.succeeded_by(Era { after, keys });
        trust = succeeded.map_err(|error| error.to_string())?;
    }
    if let Some(auditors) = file.auditors {
        let auditors = auditors.parse("auditors")?;
        trust = trust
            .with_auditors(auditors)
            .map_err(|error| error.to_string())?;
    }
    if let Some(witnesses) = file.witnesses {
        let witnesses = witnesses.parse("witnesses")?;
        trust = trust
            .with_witnesses(witnesses)
            .map_err(|error| error.to_string())?;
    }
    Ok(trust)
}

/// Reads the trust file of a name.
pub fn load(home: &Home, name: &Label) -> Result<Trust, HomeError> {
    let path = home.trust_file(name);
    let bytes = files::read(&path, FILE_BYTES_MAX)?.ok_or(HomeError::NothingTrusted)?;
    parse(&bytes).map_err(|why| HomeError::Invalid { path, why })
}

/// Pins a ledger under a name; a name that stands for another ledger is refused. Auditors and
/// witnesses that are pinned already stay where `trust` names none.
pub fn save(home: &Home, name: &Label, trust: &Trust) -> Result<(), HomeError> {
    let path = home.trust_file(name);
    let _lock = Lock::of(&path)?;
    match load(home, name) {
        Ok(known) if known.is_same_ledger(trust) => {
            let invalid = |why: String| HomeError::Invalid {
                path: path.clone(),
                why,
            };
            // Keys that took over come in by `add_later_keys` alone, which is asked for more.
            let chosen = trust.clone().or_cosigners_of(&known);
            let chosen = chosen.map_err(|error| invalid(error.to_string()))?;
            let merged = known.clone().with_cosigners_of(&chosen);
            let merged = merged.map_err(|error| invalid(error.to_string()))?;
            if merged == known {
                return Ok(());
            }
            return files::write(&path, encode(&merged).as_bytes());
        }
        Ok(_) => {
            return Err(HomeError::Taken {
                name: name.to_string(),
            });
        }
        Err(HomeError::NothingTrusted) => {}
        Err(error) => return Err(error),
    }
    files::write(&path, encode(trust).as_bytes())
}

/// Pins the keys that took over, and changes nothing else of what is pinned by now.
pub(crate) fn add_later_keys(home: &Home, name: &Label, trust: &Trust) -> Result<(), HomeError> {
    let path = home.trust_file(name);
    let _lock = Lock::of(&path)?;
    let known = load(home, name)?;
    if !known.is_same_ledger(trust) {
        return Err(HomeError::Taken {
            name: name.to_string(),
        });
    }
    let merged = known.clone().with_later_keys_of(trust);
    // Somebody may have been pinned meanwhile whose key one of them is.
    let merged = merged.and_then(|merged| {
        let checked = merged.clone().with_cosigners_of(&known);
        checked.map_err(|_| KeysError)
    });
    let merged = merged.map_err(|error| HomeError::Invalid {
        path: path.clone(),
        why: error.to_string(),
    })?;
    if merged == known {
        return Ok(());
    }
    files::write(&path, encode(&merged).as_bytes())
}

/// Pins another ledger under a name that may already stand for one: a person said so.
pub fn replace(home: &Home, name: &Label, trust: &Trust) -> Result<(), HomeError> {
    let path = home.trust_file(name);
    let _lock = Lock::of(&path)?;
    files::write(&path, encode(trust).as_bytes())
}

#[cfg(test)]
mod tests {
    use cairn_proto::reason::Reason;

    use super::{encode, load, parse, replace, save};
    use crate::{home::Home, test::Log};

    /// Goal: a trust file says what was pinned, and says it back.
    #[test]
    fn a_trust_file_survives_its_text_and_refuses_damage() {
        let trust = Log::new(1).trust();
        let text = encode(&trust);
        assert_eq!(parse(text.as_bytes()).unwrap(), trust);
        assert!(parse(text.replace("logKey", "logkey").as_bytes()).is_err());
        assert!(parse(text.replace("trust/v1", "trust/v2").as_bytes()).is_err());
        assert!(parse(&text.as_bytes()[..text.len() / 2]).is_err());
    }

    /// Goal: a second ledger cannot slip in under a known name. Method: save two.
    #[test]
    fn a_name_keeps_its_ledger_until_it_is_replaced_on_purpose() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::at(directory.path());
        let name = "prod".parse().unwrap();
        let (first, second) = (Log::new(1).trust(), Log::new(2).trust());
        assert_eq!(
            load(&home, &name).unwrap_err().reason(),
            Reason::TrustMissing
        );
        save(&home, &name, &first).unwrap();
        save(&home, &name, &first).unwrap();
        assert!(save(&home, &name, &second).is_err());
        assert_eq!(load(&home, &name).unwrap(), first);
        replace(&home, &name, &second).unwrap();
        assert_eq!(load(&home, &name).unwrap(), second);
    }
}
