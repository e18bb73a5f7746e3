//! Putting a state together from the steps that were written down when they were allowed,
//! without the entries and documents that they were taken from.
//!
//! Invariant: the result is what applying the same entries gives, but nothing is judged
//! again: the caller compares the map's root with the last map record before it relies on it.

use std::{collections::HashMap, sync::Arc};

use super::{
    EnvironmentState, HostState, HostStep, PolicyChain, State, Step, hosts::Hosts, names::Names,
};
use crate::{
    hash::{Index, LeafHash, Sha256},
    map::Map,
    merkle::{Frontier, Tree},
    name::Environment,
    row::{DigestRow, OrdersRow, Row, RowName},
};

/// A state in the making.
#[derive(Debug, Default)]
pub struct Restoring {
    environments: HashMap<Environment, EnvironmentState>,
    /// Which entry touched which sha256, in no order.
    touches: Vec<(Sha256, Index)>,
    names: Names,
    hosts: Hosts,
}

impl Restoring {
    /// Takes the step of the entry at an index. Steps come in the order of the log.
    pub fn step(&mut self, index: Index, leaf: &LeafHash, environment: Environment, step: &Step) {
        let state = self.environments.entry(environment);
        let state = state.or_insert_with(|| step.begin(leaf));
        state.take(index, leaf, step);
        self.names.take(index, &step.names);
        let touched = step.touched.iter();
        self.touches.extend(touched.map(|sha256| (*sha256, index)));
    }

    /// Takes the approval at an index; `None` where there is no such environment.
    pub fn approval(&mut self, index: Index, environment: &Environment) -> Option<()> {
        let state = self.environments.get_mut(environment)?;
        state.approvals.push(index);
        Some(())
    }

    /// Takes the enrolment or dismissal at an index. They come in the order of the log.
    pub fn host(&mut self, index: Index, leaf: &LeafHash, step: &HostStep) {
        let _ = self.hosts.take(index, leaf, step);
    }

    /// The state after a log of these leaves, whose last map record states `time`; `None` if a
    /// step is of no leaf.
    pub fn finish(mut self, tree: &Tree, time: u64, chain: Arc<PolicyChain>) -> Option<State> {
        for state in self.environments.values_mut() {
            state.digests.shrink_to_fit();
            state.releases.shrink_to_fit();
        }
        self.touches.sort_unstable();
        let map = self.map(tree, &chain)?;
        Some(State {
            log: Frontier::of(tree, tree.size())?,
            time,
            chain: Some(chain),
            environments: self.environments,
            names: self.names,
            hosts: self.hosts,
            map,
        })
    }

    /// Rows go in by their keys: one lies beside the other in memory as in the map, which is
    /// several times as fast as at random.
    fn map(&self, tree: &Tree, chain: &PolicyChain) -> Option<Map> {
        let mut sources = vec![(RowName::Policy.key(), Source::Policy)];
        for (name, state) in &self.environments {
            let key = RowName::Environment(name).key();
            sources.push((key, Source::Environment(state)));
        }
        if let Some(row) = chain.orders_row() {
            sources.push((RowName::Orders.key(), Source::Orders(row)));
        }
        for (id, state) in self.hosts.iter() {
            sources.push((RowName::Host(id).key(), Source::Host(state)));
        }
        for touches in self.touches.chunk_by(|(one, _), (other, _)| one == other) {
            let (sha256, _) = touches.first()?;
            sources.push((RowName::Digest(sha256).key(), Source::Digest(touches)));
        }
        sources.sort_unstable_by_key(|(key, _)| *key);
        let mut map = Map::default();
        for (key, source) in sources {
            let row = match source {
                Source::Policy => Row::Policy(chain.row()),
                Source::Orders(row) => Row::Orders(row),
                Source::Host(state) => Row::Host(state.row()),
                Source::Environment(state) => Row::Environment(state.row()),
                Source::Digest(touches) => Row::Digest(digest_row(touches, tree)?),
            };
            map.insert(key, row);
        }
        Some(map)
    }
}

enum Source<'a> {
    Policy,
    Orders(OrdersRow),
    Host(&'a HostState),
    Environment(&'a EnvironmentState),
    Digest(&'a [(Sha256, Index)]),
}

fn digest_row(touches: &[(Sha256, Index)], tree: &Tree) -> Option<DigestRow> {
    let mut row = None;
    for (_, index) in touches {
        row = Some(DigestRow::touched(
            row.as_ref(),
            *index,
            &tree.leaf(*index)?,
        ));
    }
    row
}
