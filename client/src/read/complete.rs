//! An environment's whole history, proven to be all of it.
//!
//! The map's row of an environment states the root of an RFC 6962 tree whose leaf i is the
//! index and the leaf hash of its step i + 1 (SPEC.md section 8.4). Steps that hash to that
//! root are all there are, in their order, each at its index.

use cairn_proto::{
    hash::{Index, LeafHash},
    merkle::Frontier,
    name::Environment,
    row::{EnvironmentRow, history_leaf},
    verify::TrustedMap,
};

use super::{Chain, Logged};
use crate::{
    error::ClientError,
    ledger::{Ledger, Looked},
    policies::Policies,
};

/// Every step of an environment.
#[derive(Debug)]
pub struct WholeHistory {
    /// Oldest first; none where nothing was ever released.
    pub steps: Vec<Logged>,
    /// The policies, to say whose signatures count.
    pub policies: Policies,
    /// Size of the checkpoint under which this is all.
    pub size: u64,
}

impl Ledger {
    /// Every step of an environment, oldest first. An answer that leaves one out, moves one, or
    /// adds one is an error.
    pub async fn history(&self, environment: &Environment) -> Result<WholeHistory, ClientError> {
        let looked = self.lookup(environment).await?;
        let row = environment_row(environment, &looked)?;
        let mut steps = Vec::new();
        let mut chain = Chain::new(self, environment, &looked)?;
        while let Some(logged) = chain.next().await? {
            steps.push(logged);
        }
        steps.reverse();
        let listed = steps.iter().map(|step| (step.index, step.leaf));
        if !is_whole(listed, row.as_ref()) {
            return Err(ClientError::Lacks {
                what: format!("the whole history of {environment}"),
            });
        }
        Ok(WholeHistory {
            steps,
            policies: Policies::of(self, &looked)?,
            size: looked.checkpoint.head().size().0,
        })
    }
}

fn environment_row(
    environment: &Environment,
    looked: &Looked,
) -> Result<Option<EnvironmentRow>, ClientError> {
    let evidence = &looked.evidence;
    let record = (&evidence.map_record, &evidence.map_record_inclusion);
    let row = (&evidence.environment_row, &evidence.environment_proof);
    TrustedMap::prove(&looked.checkpoint, record.0, record.1)
        .and_then(|map| map.environment(environment, row.0, row.1))
        .map_err(ClientError::Verify)
}

/// Whether steps are exactly those that a row's history root is over.
fn is_whole(steps: impl Iterator<Item = (Index, LeafHash)>, row: Option<&EnvironmentRow>) -> bool {
    let mut history = Frontier::default();
    steps.for_each(|(index, leaf)| history.push(history_leaf(index, &leaf)));
    match row {
        None => history.size().0 == 0,
        Some(row) => history.size().0 == row.sequence.0 && history.root() == row.history,
    }
}

#[cfg(test)]
mod tests {
    use cairn_proto::{
        hash::{Index, LeafHash, Sequence},
        merkle::Frontier,
        row::{EnvironmentRow, history_leaf},
        statement::Action,
    };

    use super::is_whole;

    /// Goal: no step can be left out, moved, changed, swapped or added. Method: each of those
    /// to a history of five.
    #[test]
    fn only_the_very_steps_are_the_whole_history() {
        let steps: Vec<_> = (1..6u8)
            .map(|number| (Index(u64::from(number) * 3), LeafHash([number; 32])))
            .collect();
        let mut history = Frontier::default();
        for (index, leaf) in &steps {
            history.push(history_leaf(*index, leaf));
        }
        let row = EnvironmentRow {
            sequence: Sequence(5),
            index: Index(15),
            leaf: LeafHash([5; 32]),
            action: Action::Release,
            history: history.root(),
        };
        let whole = |steps: &[(Index, LeafHash)]| is_whole(steps.iter().copied(), Some(&row));
        assert!(whole(&steps));
        for at in 0..steps.len() {
            let mut without = steps.clone();
            without.remove(at);
            assert!(!whole(&without), "without {at}");
            let mut moved = steps.clone();
            moved[at].0.0 += 1;
            assert!(!whole(&moved), "moved {at}");
            let mut changed = steps.clone();
            changed[at].1.0[0] ^= 1;
            assert!(!whole(&changed), "changed {at}");
            let mut twice = steps.clone();
            twice.insert(at, steps[at]);
            assert!(!whole(&twice), "twice {at}");
            let mut swapped = steps.clone();
            swapped.swap(at, (at + 1) % steps.len());
            assert!(!whole(&swapped), "swapped {at}");
        }
        assert!(!is_whole(steps.iter().copied(), None));
        assert!(is_whole(std::iter::empty(), None));
        assert!(!whole(&[]));
    }
}
