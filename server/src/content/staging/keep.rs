//! Uploads that somebody still waits to name.

use std::time::Instant;

use super::{Staging, owner_of};

impl Staging {
    /// What this owner staged was touched just now. All of it: which uploads a tree names stands in
    /// a listing that is one of them, and their number and bytes are bounded as they are.
    pub(crate) fn keep(&self, owner: &str) {
        let mut table = self.table();
        let theirs = table.owners.get_mut(&owner_of(owner));
        for row in theirs.into_iter().flat_map(|it| it.rows.values_mut()) {
            row.touched = Instant::now();
        }
    }
}
