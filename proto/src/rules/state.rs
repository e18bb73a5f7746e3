//! The ledger's state: a pure function of its leaves and their documents.

use std::{collections::HashMap, sync::Arc};

use super::{
    EnvironmentState, HostState, HostStep, Naming, PolicyChain, RuleError, SignedSubmission, Step,
    authenticate_genesis,
    environment::{approves, follows, symmetric_difference},
    hosts::Hosts,
    names::Names,
    orders::Place,
};
use crate::{
    entry::{Content, MapRecord, Submission},
    hash::{Index, KeyId, LeafHash, RootHash, Sha256, TreeSize},
    manifest::Manifest,
    map::Map,
    merkle::Frontier,
    name::Environment,
    order::OrderDocument,
    row::{DigestRow, Row, RowName},
    statement::{Action, Approval, Release},
};

/// What an applied entry changed: the rows to write down again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Effect {
    /// Which entry.
    pub index: Index,
    /// A policy, or an order of the admins: the chain, and its row.
    pub chain: bool,
    /// This environment.
    pub environment: Option<Environment>,
    /// These digest rows.
    pub digests: Vec<Sha256>,
    /// These immutable names.
    pub names: Vec<Naming>,
    /// The environment's current step was approved.
    pub approved: bool,
    /// This host.
    pub host: Option<HostStep>,
}

/// Everything that the rules read, and the map over it.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// Right edge of the log itself.
    pub(super) log: Frontier,
    pub(super) time: u64,
    pub(super) chain: Option<Arc<PolicyChain>>,
    pub(super) environments: HashMap<Environment, EnvironmentState>,
    pub(super) names: Names,
    pub(super) hosts: Hosts,
    pub(super) map: Map,
}

impl State {
    /// The state before the first leaf.
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of leaves so far.
    pub fn size(&self) -> TreeSize {
        self.log.size()
    }

    /// Root of the log so far.
    pub fn root(&self) -> RootHash {
        self.log.root()
    }

    /// Time of the last map record, Unix milliseconds.
    pub fn time(&self) -> u64 {
        self.time
    }

    /// The policies; `None` before genesis.
    pub fn chain(&self) -> Option<&Arc<PolicyChain>> {
        self.chain.as_ref()
    }

    /// An environment.
    pub fn environment(&self, name: &Environment) -> Option<&EnvironmentState> {
        self.environments.get(name)
    }

    /// Every environment, in no order.
    pub fn environments(&self) -> impl Iterator<Item = (&Environment, &EnvironmentState)> {
        self.environments.iter()
    }

    /// A host.
    pub fn host(&self, id: &KeyId) -> Option<&HostState> {
        self.hosts.get(id)
    }

    /// Every host, in no order.
    pub fn hosts(&self) -> impl Iterator<Item = (&KeyId, &HostState)> {
        self.hosts.iter()
    }

    /// The map, as of the last entry.
    pub fn map(&self) -> &Map {
        &self.map
    }

    /// Authenticates the next leaf: a genesis entry by its own policy where nothing stands
    /// before it, everything else by the policy in force.
    pub fn authenticate(&self, submission: Submission) -> Result<SignedSubmission, RuleError> {
        match (&self.chain, self.log.size().0, submission.content()) {
            (Some(chain), ..) => chain.authority().authenticate(submission),
            (None, 0, _) => authenticate_genesis(submission),
            // Leaf 0 was refused: no ledger can begin any more.
            (None, _, Content::Genesis(..)) => Err(RuleError::GenesisTwice),
            (None, ..) => Err(RuleError::GenesisMissing),
        }
    }

    /// Applies the next leaf, an entry; refused, it changes nothing.
    pub fn apply(&mut self, signed: &SignedSubmission) -> Result<Effect, RuleError> {
        let index = Index(self.log.size().0);
        let effect = match signed.submission().content() {
            Content::Genesis(..) => self.apply_genesis(signed)?,
            Content::Policy(..) | Content::Order(..) => self.apply_chain(index, signed)?,
            Content::Release(release, manifest) => {
                let chain = self.chain.as_ref().ok_or(RuleError::GenesisMissing)?;
                chain.authority().recheck(signed)?;
                self.glass_holds(chain, release)?;
                let before = self.environments.get(&release.environment);
                follows(before, release, manifest, signed.submission().subject())?;
                chain.nothing_erased(release, manifest)?;
                let names = self.names.given(release, manifest)?;
                self.apply_release(index, signed, (release, manifest), names)
            }
            Content::Approval(approval, _) => self.apply_approval(index, signed, approval)?,
            Content::Enrolment(enrolment, record) => {
                let chain = self.chain.as_ref().ok_or(RuleError::GenesisMissing)?;
                let authority = chain.authority();
                authority.recheck(signed)?;
                let step = self
                    .hosts
                    .follows(&authority, signed, (enrolment, record))?;
                let row = self.hosts.take(index, signed.submission().leaf(), &step);
                let key = RowName::Host(&step.host).key();
                self.map.insert(key, Row::Host(row));
                Effect {
                    index,
                    host: Some(step),
                    ..Effect::default()
                }
            }
        };
        self.log.push(*signed.submission().leaf());
        Ok(effect)
    }

    /// Passes over a leaf that broke a rule: it takes an index and changes nothing else.
    pub fn ignore(&mut self, leaf: LeafHash) {
        self.log.push(leaf);
    }

    fn apply_genesis(&mut self, signed: &SignedSubmission) -> Result<Effect, RuleError> {
        if self.log.size() != TreeSize(0) || self.chain.is_some() {
            return Err(RuleError::GenesisTwice);
        }
        self.chain = Some(Arc::new(PolicyChain::begin(signed)?));
        Ok(self.chain_rows(Index(0)))
    }

    /// A policy, or an order of the admins.
    fn apply_chain(
        &mut self,
        index: Index,
        signed: &SignedSubmission,
    ) -> Result<Effect, RuleError> {
        let at = Place {
            index,
            root: self.log.root(),
            time: self.time,
        };
        let chain = self.chain.as_mut().ok_or(RuleError::GenesisMissing)?;
        let mut longer = (**chain).clone();
        match signed.submission().content() {
            Content::Order(..) => longer.take_order(signed, &at)?,
            _ => longer.extend(index, signed)?,
        }
        *chain = Arc::new(longer);
        Ok(self.chain_rows(index))
    }

    fn chain_rows(&mut self, index: Index) -> Effect {
        if let Some(chain) = &self.chain {
            let row = Row::Policy(chain.row());
            self.map.insert(RowName::Policy.key(), row);
            if let Some(row) = chain.orders_row() {
                self.map.insert(RowName::Orders.key(), Row::Orders(row));
            }
        }
        Effect {
            index,
            chain: true,
            ..Effect::default()
        }
    }

    /// The break-glass order that a release names has not expired by the last map record.
    fn glass_holds(&self, chain: &PolicyChain, release: &Release) -> Result<(), RuleError> {
        let Some(named) = release.break_glass else {
            return Ok(());
        };
        match chain.order(&named).map(|step| &step.order) {
            Some(OrderDocument::BreakGlass(glass)) => {
                let expires = glass.expires;
                let holds = self.time < expires.saturating_mul(1_000);
                holds
                    .then_some(())
                    .ok_or(RuleError::BreakGlassExpired { expires })
            }
            _ => Err(RuleError::BreakGlassUnknown),
        }
    }

    fn apply_approval(
        &mut self,
        index: Index,
        signed: &SignedSubmission,
        approval: &Approval,
    ) -> Result<Effect, RuleError> {
        let chain = self.chain.as_ref().ok_or(RuleError::GenesisMissing)?;
        chain.authority().recheck(signed)?;
        let state = self.environments.get_mut(&approval.environment);
        approves(state.as_deref(), approval, signed.submission().subject())?;
        if let Some(state) = state {
            state.approvals.push(index);
        }
        Ok(Effect {
            index,
            environment: Some(approval.environment.clone()),
            approved: true,
            ..Effect::default()
        })
    }

    fn apply_release(
        &mut self,
        index: Index,
        signed: &SignedSubmission,
        (release, manifest): (&Release, &Manifest),
        names: Vec<Naming>,
    ) -> Effect {
        let leaf = *signed.submission().leaf();
        let subject = *signed.submission().subject();
        let retired = release.action == Action::Retire;
        let digests: Vec<Sha256> = if retired {
            Vec::new()
        } else {
            manifest.sha256_set().into_iter().collect()
        };
        let before = self.environments.get(&release.environment);
        let step = Step {
            action: release.action,
            manifest: subject,
            artifacts: (!retired).then(|| manifest.artifacts_digest()),
            touched: match before {
                Some(state) => symmetric_difference(&state.digests, &digests),
                None => digests,
            },
            names,
        };
        let state = self.environments.entry(release.environment.clone());
        let state = state.or_insert_with(|| step.begin(&leaf));
        state.take(index, &leaf, &step);
        self.names.take(index, &step.names);
        let touched = step.touched;
        let name = RowName::Environment(&release.environment);
        self.map.insert(name.key(), Row::Environment(state.row()));
        for sha256 in &touched {
            let key = RowName::Digest(sha256).key();
            let before = match self.map.get(&key) {
                Some(Row::Digest(row)) => Some(*row),
                _ => None,
            };
            let row = DigestRow::touched(before.as_ref(), index, &leaf);
            self.map.insert(key, Row::Digest(row));
        }
        Effect {
            index,
            environment: Some(release.environment.clone()),
            digests: touched,
            names: step.names,
            ..Effect::default()
        }
    }

    /// What the next leaf must say if it is a map record; `now` in Unix milliseconds.
    pub fn map_record(&mut self, now: u64) -> MapRecord {
        MapRecord {
            covers: self.log.size().0,
            root: self.map.root(),
            rows: self.map.rows(),
            time: now.max(self.time),
        }
    }

    /// Applies the next leaf, a map record.
    pub fn apply_map_record(&mut self, record: &MapRecord) -> Result<(), RuleError> {
        if self.chain.is_none() {
            return Err(RuleError::GenesisMissing);
        }
        // Any time from the last record's on is allowed: `now` is what the leaf states.
        let expected = self.map_record(record.time);
        if *record != expected {
            return Err(RuleError::MapRecordWrong {
                found: Box::new(*record),
                expected: Box::new(expected),
            });
        }
        self.time = record.time;
        self.log.push(LeafHash::of(&record.encode()));
        Ok(())
    }
}
