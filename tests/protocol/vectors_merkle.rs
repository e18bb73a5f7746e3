//! RFC 6962 roots and proofs, built and verified. SPEC.md section 2.

use cairn_proto::{
    hash::{Index, LeafHash, NodeHash, RootHash, TreeSize},
    merkle::{
        Frontier, Tree, prove_consistency, prove_inclusion, root_at, verify_consistency,
        verify_inclusion,
    },
    reason::Reason,
};
use serde_json::Value;

use crate::vectors::{Cases, base64_of, hash_of, judged, number_of};

fn tree(size: u64) -> Tree {
    let mut tree = Tree::default();
    for number in 0..size {
        tree.push(LeafHash::of(format!("leaf {number}").as_bytes()));
    }
    tree
}

fn proof(case: &Value) -> Vec<NodeHash> {
    let bytes = base64_of(case, "proof_base64");
    let (hashes, rest) = bytes.as_chunks::<32>();
    assert!(rest.is_empty());
    hashes.iter().copied().map(NodeHash).collect()
}

fn root(case: &Value) {
    let size = TreeSize(number_of(case, "size"));
    let expected = RootHash(hash_of(case, "root_hex"));
    assert_eq!(tree(size.0).root(), expected);
    assert_eq!(root_at(&tree(40), size), Some(expected));
    let mut frontier = Frontier::default();
    for number in 0..size.0 {
        frontier.push(LeafHash::of(format!("leaf {number}").as_bytes()));
    }
    assert_eq!(frontier.root(), expected);
    assert_eq!(Frontier::of(&tree(40), size), Some(frontier));
}

fn inclusion(case: &Value) {
    let (index, size) = (number_of(case, "index"), TreeSize(number_of(case, "size")));
    let leaf = LeafHash(hash_of(case, "leaf_hash_hex"));
    let expected = RootHash(hash_of(case, "root_hex"));
    let found = verify_inclusion(leaf, Index(index), size, &proof(case), &expected);
    let honest = tree(size.0).root() == expected;
    if judged(case, found.map_err(|_| Reason::InclusionUnproven)).is_some() && honest {
        let built = prove_inclusion(&tree(size.0), Index(index), size);
        assert_eq!(built, Some(proof(case)));
    }
}

fn consistency(case: &Value) {
    let old_root = RootHash(hash_of(case, "old_root_hex"));
    let root = RootHash(hash_of(case, "root_hex"));
    let from = TreeSize(number_of(case, "old_size"));
    let to = TreeSize(number_of(case, "size"));
    let found = verify_consistency(from, to, &proof(case), &old_root, &root);
    if judged(case, found.map_err(|_| Reason::ConsistencyUnproven)).is_some() {
        let built = prove_consistency(&tree(to.0), from, to);
        assert_eq!(built, Some(proof(case)));
    }
}

#[test]
fn roots_and_proofs_are_those_of_the_second_implementation() {
    let kinds = ["root", "inclusion", "consistency"];
    Cases::of("merkle.json").each(&kinds, |_, case| {
        let kind = case["op"].as_str().unwrap();
        match kind {
            "root" => root(case),
            "inclusion" => inclusion(case),
            "consistency" => consistency(case),
            other => panic!("unknown op {other}"),
        }
        kind.to_owned()
    });
}
