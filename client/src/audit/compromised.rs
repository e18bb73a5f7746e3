//! Releases that a later policy took the signatures from: found once the newest is known.

use std::collections::{BTreeMap, BTreeSet};

use cairn_proto::{
    entry::Content,
    hash::{Index, LeafHash},
    key::PublicKey,
    name::Environment,
    rules::{EnvironmentState, PolicyChain, SignedSubmission, State},
};
use serde::Serialize;

/// Releases that are listed; the others are counted.
const LISTED_MAX: usize = 1_000;

/// A release that nobody may rely on: a signer's key was compromised by then, and too few others
/// signed; or the break-glass order has expired under which too few did. No approval that stands
/// makes up for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Compromised {
    /// Where.
    pub environment: String,
    /// Its place in the environment's chain.
    pub sequence: u64,
    /// Where it stands in the log.
    pub index: u64,
    /// Whether it is the environment's current release.
    pub current: bool,
    /// Whose signatures count for nothing, and what is left.
    pub why: String,
}

/// Which entries each key signed.
#[derive(Debug, Default)]
pub(super) struct Signers {
    indices: BTreeMap<PublicKey, Vec<u64>>,
    /// The break-glass order that a release names, by the release's index.
    glasses: BTreeMap<u64, LeafHash>,
}

impl Signers {
    pub(super) fn add(&mut self, index: u64, signed: &SignedSubmission) {
        for key in signed.signers() {
            self.indices.entry(*key).or_default().push(index);
        }
        if let Content::Release(release, _) = signed.submission().content() {
            let named = release.break_glass;
            self.glasses.extend(named.map(|order| (index, order)));
        }
    }

    /// Who signed the entry at an index.
    fn of(&self, index: u64) -> Vec<PublicKey> {
        let keys = self.indices.iter();
        keys.filter(|(_, indices)| indices.binary_search(&index).is_ok())
            .map(|(key, _)| *key)
            .collect()
    }

    /// The releases that do not stand under the newest policy, ascending by index, and how
    /// many more there are. `now` is Unix seconds.
    pub(super) fn compromised(&self, state: &State, now: u64) -> (Vec<Compromised>, usize) {
        let Some(chain) = state.chain() else {
            return (Vec::new(), 0);
        };
        let mut struck = BTreeSet::new();
        for revocation in &chain.current().policy.revoked {
            let signed = self.indices.get(&revocation.key);
            let signed = signed.into_iter().flatten().copied();
            struck.extend(signed.filter(|index| revocation.strikes(Index(*index))));
        }
        struck.extend(self.glasses.keys().copied());
        if struck.is_empty() {
            return (Vec::new(), 0);
        }
        let mut found: Vec<Compromised> = Vec::new();
        for (environment, step) in state.environments() {
            for (mark, sequence) in step.releases.iter().zip(1..) {
                if !struck.contains(&mark.index.0) {
                    continue;
                }
                let current = step.sequence().0 == sequence;
                let signers = self.of(mark.index.0);
                let asked = (environment, self.glasses.get(&mark.index.0).copied());
                // Of what is history an expired order takes nothing.
                let at = if current { now } else { 0 };
                let standing = chain.standing(mark.index, asked, &signers, at);
                if let Err(why) = standing
                    && !(current && self.is_approved(chain, environment, step))
                {
                    found.push(Compromised {
                        environment: environment.to_string(),
                        sequence,
                        index: mark.index.0,
                        current,
                        why: why.to_string(),
                    });
                }
            }
        }
        // The current ones first: they are what must be mended.
        found.sort_by_key(|release| (!release.current, release.index));
        let more = found.len().saturating_sub(LISTED_MAX);
        found.truncate(LISTED_MAX);
        found.sort_by_key(|release| release.index);
        (found, more)
    }

    /// Whether an approval of the current release still has enough signers.
    fn is_approved(
        &self,
        chain: &PolicyChain,
        environment: &Environment,
        step: &EnvironmentState,
    ) -> bool {
        step.approvals.iter().any(|index| {
            let signers = self.of(index.0);
            chain.approved(*index, environment, &signers).is_ok()
        })
    }
}
