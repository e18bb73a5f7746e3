//! RFC 6962 proofs against vectors from elsewhere, which lie beside the repository.

use std::{
    fs,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use cairn_proto::{
    hash::{ContentId, Index, LeafHash, NodeHash, RootHash, TreeSize},
    merkle::{verify_consistency, verify_inclusion},
};
use serde_json::Value;

const VECTORS: usize = 196;

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            found.push(path);
        }
    }
}

fn bytes(value: &Value) -> Vec<u8> {
    STANDARD.decode(value.as_str().unwrap_or_default()).unwrap()
}

/// Some roots stand for any value, such as "don't care", and are no hash: another value that
/// is as equal to itself, and as unlike all others, takes their place.
fn hash(value: &Value) -> [u8; 32] {
    let bytes = bytes(value);
    let stand_in = ContentId::of(&bytes).0;
    bytes.try_into().unwrap_or(stand_in)
}

fn proof(case: &Value) -> Vec<NodeHash> {
    let listed = case["proof"].as_array().map_or(&[][..], Vec::as_slice);
    listed.iter().map(hash).map(NodeHash).collect()
}

/// `None` where a number is negative or a leaf is no hash: such a proof cannot be asked about.
fn inclusion_holds(case: &Value) -> Option<bool> {
    let found = verify_inclusion(
        LeafHash::from_slice(&bytes(&case["leafHash"]))?,
        Index(case["leafIdx"].as_u64()?),
        TreeSize(case["treeSize"].as_u64()?),
        &proof(case),
        &RootHash(hash(&case["root"])),
    );
    Some(found.is_ok())
}

fn consistency_holds(case: &Value) -> Option<bool> {
    let found = verify_consistency(
        TreeSize(case["size1"].as_u64()?),
        TreeSize(case["size2"].as_u64()?),
        &proof(case),
        &RootHash(hash(&case["root1"])),
        &RootHash(hash(&case["root2"])),
    );
    Some(found.is_ok())
}

#[test]
fn proofs_are_judged_as_the_vectors_from_elsewhere_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors/merkle");
    if !folder.is_dir() {
        println!("SKIPPED: there are no vectors at {}", folder.display());
        return;
    }
    let mut judged = 0;
    for kind in ["inclusion", "consistency"] {
        let mut found = Vec::new();
        files(&folder.join(kind), &mut found);
        assert!(!found.is_empty(), "{kind}");
        for path in found {
            let case: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            let holds = match kind {
                "inclusion" => inclusion_holds(&case),
                _ => consistency_holds(&case),
            };
            let wanted = !case["wantErr"].as_bool().unwrap();
            assert_eq!(holds.unwrap_or(false), wanted, "{}", path.display());
            judged += 1;
        }
    }
    assert_eq!(judged, VECTORS);
}
