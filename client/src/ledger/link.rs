//! Linking an offered checkpoint to the one held. SPEC.md section 9, step 2.
//!
//! A proof that is missing or wrong proves nothing, about anybody: the client then fetches
//! the leaf hashes below the larger signed root and sees for itself. Only two signed roots
//! that no single history has are a fork.

use cairn_proto::{
    checkpoint::{AdvanceError, AuthenticCheckpoint, TrustedCheckpoint},
    hash::{LeafHash, NodeHash, TreeSize},
    merkle::{Tree, prove_consistency},
    tile::{Tile, TileKind, split_hashes},
};
use futures_util::{StreamExt as _, TryStreamExt as _};

use super::Ledger;
use crate::{connect::ReadApi, error::ClientError};

/// Leaves whose hashes are fetched to settle a link: 128 MiB of tiles.
const LEAVES_MAX: u64 = 4 << 20;
/// Tiles in flight.
const FETCHES: usize = 8;

impl Ledger {
    pub(super) async fn link(
        &self,
        held: &TrustedCheckpoint,
        offered: AuthenticCheckpoint,
        proof: &[NodeHash],
    ) -> Result<TrustedCheckpoint, ClientError> {
        match held.advance(offered.clone(), proof) {
            Ok(trusted) => Ok(trusted),
            Err(error @ AdvanceError::Unproven { .. }) => {
                self.link_by_tiles(held, offered, error).await
            }
            Err(error) => Err(self.advance_error(error, &[])?),
        }
    }

    async fn link_by_tiles(
        &self,
        held: &TrustedCheckpoint,
        offered: AuthenticCheckpoint,
        unproven: AdvanceError,
    ) -> Result<TrustedCheckpoint, ClientError> {
        let sizes = (held.head().size(), offered.size());
        let (small, large) = (sizes.0.min(sizes.1), sizes.0.max(sizes.1));
        let unsettled = || {
            if sizes.1 < sizes.0 {
                // Whether or not it is a prefix, it is older than what was seen.
                return Ok(ClientError::Behind {
                    held: sizes.0.0,
                    offered: sizes.1.0,
                });
            }
            self.advance_error(unproven.clone(), &[])
        };
        // Whatever keeps the tiles away, the server did answer, and proved nothing.
        let Ok(tree) = leaf_hashes(self.connection().read_api(), large).await else {
            return Err(unsettled()?);
        };
        match held.recompute(offered, &tree) {
            Ok(trusted) => Ok(trusted),
            Err(AdvanceError::Unproven { .. }) => Err(unsettled()?),
            Err(error) => {
                let proof = prove_consistency(&tree, small, large).unwrap_or_default();
                Err(self.advance_error(error, &proof)?)
            }
        }
    }
}

/// The tree over the leaf hashes that a server states; true if it has the signed root.
async fn leaf_hashes(source: &ReadApi, size: TreeSize) -> Result<Tree, ClientError> {
    if size.0 > LEAVES_MAX {
        return Err(ClientError::TooLarge { what: "a link" });
    }
    let tiles = Tile::covering(TileKind::Hashes(0), 0, size);
    let mut fetched = futures_util::stream::iter(tiles)
        .map(|tile| async move {
            let bytes = source.tile(&tile).await?;
            split_hashes(&bytes, tile.width).map_err(|_| ClientError::Lacks {
                what: tile.to_string(),
            })
        })
        .buffered(FETCHES);
    let mut tree = Tree::default();
    while let Some(hashes) = fetched.try_next().await? {
        for hash in hashes {
            tree.push(LeafHash(hash.0));
        }
    }
    Ok(tree)
}
