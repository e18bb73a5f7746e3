//! What holds for all input: maps, trees and ledgers. The seeds are fixed, so a failure here
//! is the same everywhere.

use std::collections::BTreeMap;

use cairn_proto::{
    hash::{Index, LeafHash, MapKey, NodeHash, TreeSize},
    map::{Map, MapProof},
    merkle::{
        Frontier, Tree, prove_consistency, prove_inclusion, root_at, verify_consistency,
        verify_inclusion,
    },
    row::{DigestRow, Row},
    rules::{Restoring, State, Step},
    statement::Action,
};
use proptest::{
    collection::{btree_map, vec},
    prelude::*,
    sample::Index as Place,
    test_runner::RngSeed,
};

use crate::ledger::{Book, apply, environment, manifest};

pub(crate) fn config(seed: u64, cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// Keys that share long prefixes as well as keys that share none.
pub(crate) fn map_key() -> impl Strategy<Value = MapKey> {
    let near = (0_usize..32, any::<u8>()).prop_map(|(place, byte)| {
        let mut key = [0; 32];
        key[place] = byte;
        MapKey(key)
    });
    prop_oneof![near, any::<[u8; 32]>().prop_map(MapKey)]
}

pub(crate) fn row(number: u64) -> Row {
    Row::Digest(DigestRow {
        first: Index(number),
        last: Index(number),
        count: 1,
        chain: [0; 32],
    })
}

pub(crate) fn map_of(rows: &BTreeMap<MapKey, u64>) -> Map {
    let mut map = Map::default();
    for (key, number) in rows {
        map.insert(*key, row(*number));
    }
    map
}

/// The root as SPEC.md section 8.1 defines it, straight from rows in the order of their keys.
fn defined(rows: &[(&MapKey, &u64)]) -> [u8; 32] {
    let bit = |key: &MapKey, bit: usize| key.0[bit / 8] << (bit % 8) & 0x80 != 0;
    let (first, last) = match rows {
        [] => return [0; 32],
        [(key, number)] => {
            let leaf = [&[0], &key.0[..], row(**number).hash().as_bytes()].concat();
            return *blake3::hash(&leaf).as_bytes();
        }
        [(first, _), .., (last, _)] => (first, last),
    };
    let at = (0..256).find(|at| bit(first, *at) != bit(last, *at));
    let at = at.unwrap();
    let (left, right) = rows.split_at(rows.partition_point(|(key, _)| !bit(key, at)));
    let head = [1, u8::try_from(at).unwrap()];
    let inner = [&head, &defined(left)[..], &defined(right)[..]].concat();
    *blake3::hash(&inner).as_bytes()
}

proptest! {
    #![proptest_config(config(4, 24))]

    /// Goal: the root is as defined, the rows are counted and found, and a snapshot stays, after
    /// batches of any size: small ones are put in one by one, large ones by two threads.
    /// Method: a second reading of the definition, over all rows.
    #[test]
    fn batches_of_any_size_give_the_root_that_is_defined(
        batches in vec(vec((map_key(), 0_u64..9), 0..700), 1..6),
    ) {
        let (mut map, mut all) = (Map::default(), BTreeMap::new());
        for batch in batches {
            let (mut snapshot, before) = (map.clone(), map.root());
            for (key, number) in batch {
                map.insert(key, row(number));
                all.insert(key, number);
                prop_assert_eq!(map.get(&key), Some(&row(number)));
                prop_assert_eq!(map.prove(&key), None);
            }
            prop_assert_eq!(map.rows(), u64::try_from(all.len()).unwrap());
            let listed: Vec<_> = all.iter().collect();
            prop_assert_eq!(map.root().0, defined(&listed));
            prop_assert_eq!(map.rows(), u64::try_from(all.len()).unwrap());
            for (key, number) in &all {
                prop_assert_eq!(map.get(key), Some(&row(*number)));
            }
            prop_assert_eq!(snapshot.root(), before);
        }
    }
}

/// Goal: a batch that is too large to be only noted is put in meanwhile, and nothing shows that.
/// Method: more rows than are noted at most, each asked for at once.
#[test]
fn a_batch_that_is_too_large_to_be_noted_shows_nowhere() {
    let (mut map, mut all) = (Map::default(), BTreeMap::new());
    map.root();
    for number in 0..9_000_u64 {
        let key = MapKey(LeafHash::of(&number.to_be_bytes()).0);
        map.insert(key, row(number));
        all.insert(key, number);
        assert_eq!(map.get(&key), Some(&row(number)));
        assert_eq!((map.rows(), map.prove(&key)), (number + 1, None));
    }
    let listed: Vec<_> = all.iter().collect();
    assert_eq!(map.root().0, defined(&listed));
    assert_eq!(map.rows(), 9_000);
}

proptest! {
    #![proptest_config(config(1, 128))]

    /// Goal: the root is a function of the set of rows. Method: a history of inserts, with
    /// overwrites and roots asked for in between, against the last rows put in in order.
    #[test]
    fn the_root_is_a_function_of_the_rows_whatever_their_order_and_history(
        history in vec((map_key(), 0_u64..9, any::<bool>()), 0..150),
    ) {
        let (mut map, mut last) = (Map::default(), BTreeMap::new());
        let mut snapshot = map.clone();
        let mut before = BTreeMap::new();
        for (key, number, settle) in history {
            map.insert(key, row(number));
            last.insert(key, number);
            if settle {
                prop_assert_eq!(map.root(), map_of(&last).root());
                snapshot = map.clone();
                before.clone_from(&last);
            }
        }
        prop_assert_eq!(map.root(), map_of(&last).root());
        let mut reversed = Map::default();
        for (key, number) in last.iter().rev() {
            reversed.insert(*key, row(*number));
        }
        prop_assert_eq!(map.root(), reversed.root());
        prop_assert_eq!(map.rows(), u64::try_from(last.len()).unwrap());
        prop_assert_eq!(snapshot.root(), map_of(&before).root());
    }

    /// Goal: every key is provable as present or as absent, and never as the other. Method:
    /// every proof that the map can make, shown for every key.
    #[test]
    fn every_key_is_provably_present_or_absent_and_never_both(
        rows in btree_map(map_key(), 0_u64..9, 0..80),
        others in vec(map_key(), 1..6),
    ) {
        let mut map = map_of(&rows);
        let root = map.root();
        let asked: Vec<_> = rows.keys().chain(&others).copied().collect();
        let proofs: Vec<_> = asked.iter().map(|key| map.prove(key).unwrap()).collect();
        for (key, own) in asked.iter().zip(&proofs) {
            let truth = rows.get(key).map(|number| row(*number).hash());
            prop_assert_eq!(own.row_hash(&root, key), Ok(truth));
            prop_assert_eq!(MapProof::decode(&own.encode()), Ok(own.clone()));
            for proof in &proofs {
                let said = proof.row_hash(&root, key);
                prop_assert!(said.is_err() || said == Ok(truth));
            }
        }
    }

    /// Goal: what is built is what is accepted, at the place it was built for alone.
    #[test]
    fn tree_proofs_built_for_any_size_verify_there_and_nowhere_else(
        size in 1_u64..600,
        places in (any::<Place>(), any::<Place>()),
    ) {
        let mut tree = Tree::default();
        let mut frontier = Frontier::default();
        for number in 0..size {
            let leaf = LeafHash::of(&number.to_be_bytes());
            tree.push(leaf);
            frontier.push(leaf);
        }
        let root = tree.root();
        prop_assert_eq!(frontier.root(), root);
        let bound = usize::try_from(size).unwrap();
        let index = Index(u64::try_from(places.0.index(bound)).unwrap());
        let leaf = tree.leaf(index).unwrap();
        let proof = prove_inclusion(&tree, index, TreeSize(size)).unwrap();
        let verify = |index, size, proof: &[NodeHash]| {
            verify_inclusion(leaf, Index(index), TreeSize(size), proof, &root)
        };
        prop_assert!(verify(index.0, size, &proof).is_ok());
        for other in [index.0 + 1, index.0 ^ 1, size] {
            prop_assert!(verify(other, size, &proof).is_err());
        }
        let mut longer = proof.clone();
        longer.push(NodeHash(root.0));
        prop_assert!(verify(index.0, size, &longer).is_err());

        let from = TreeSize(u64::try_from(places.1.index(bound)).unwrap() + 1);
        let old = root_at(&tree, from).unwrap();
        let proof = prove_consistency(&tree, from, TreeSize(size)).unwrap();
        let verify = |from, proof: &[NodeHash], old| {
            verify_consistency(from, TreeSize(size), proof, old, &root)
        };
        prop_assert!(verify(from, &proof, &old).is_ok());
        let other = TreeSize(from.0 % size + 1);
        prop_assert_eq!(verify(other, &proof, &old).is_ok(), other == from);
        prop_assert_eq!(verify(from, &proof, &root).is_ok(), from.0 == size);
    }
}

proptest! {
    #![proptest_config(config(2, 24))]

    /// Goal: the state is a function of leaves and documents, and of the rows written down.
    /// Method: a ledger of three releases, replayed from its bytes and restored from parts.
    #[test]
    fn a_ledger_of_three_releases_replays_and_restores_to_the_same_state(
        contents in vec(btree_map("[a-c]", vec(any::<u8>(), 0..3), 1..4), 3),
        action in prop_oneof![
            Just(Action::Release), Just(Action::Rollback), Just(Action::Retire)
        ],
        records in any::<[bool; 3]>(),
    ) {
        let mut book = Book::new();
        let documents: Vec<_> = contents.iter().map(|files| manifest(files).encode()).collect();
        // A rollback repeats the first release, a retirement keeps the second.
        let third = match action {
            Action::Release => 2,
            Action::Rollback => 0,
            Action::Retire => 1,
        };
        let steps = [(Action::Release, 0), (Action::Release, 1), (action, third)];
        for ((action, document), record) in steps.into_iter().zip(records) {
            let document = documents[document].clone();
            let leaf = book.release("prod/web", action, &document);
            book.append(leaf, document).unwrap();
            if record {
                book.record(book.state.time() + 1);
            }
        }
        book.record(0);
        let mut replayed = State::new();
        for (leaf, document) in &book.leaves {
            apply(&mut replayed, leaf, document).unwrap();
        }
        let expected = book.state.map_record(0);
        prop_assert_eq!(replayed.map_record(0), expected);
        let name = environment("prod/web");
        prop_assert_eq!(replayed.environment(&name), book.state.environment(&name));
        prop_assert_eq!(replayed.chain(), book.state.chain());
        let mut restored = restored(&book);
        prop_assert_eq!(restored.map_record(0), expected);
        prop_assert_eq!(restored.environment(&name), book.state.environment(&name));
    }

    /// Goal: each place in a chain is given away once, to the entry that names the one before.
    /// Method: every leaf again at the end, and the ledger with any one leaf left out.
    #[test]
    fn no_leaf_is_accepted_twice_nor_without_its_predecessor(place in any::<Place>()) {
        let mut book = Book::new();
        let files = BTreeMap::from([("a".to_owned(), vec![1])]);
        let document = manifest(&files).encode();
        for _ in 0..3 {
            let leaf = book.release("test/web", Action::Release, &document);
            book.append(leaf, document.clone()).unwrap();
        }
        let left_out = place.index(book.leaves.len());
        let mut state = State::new();
        for (index, (leaf, document)) in book.leaves.iter().enumerate() {
            prop_assert!(apply(&mut book.state.clone(), leaf, document).is_err());
            if index == left_out {
                state.ignore(LeafHash::of(leaf));
                continue;
            }
            let accepted = apply(&mut state, leaf, document).is_ok();
            prop_assert_eq!(accepted, index < left_out);
        }
    }
}

/// The state put together from the steps that a server writes down.
fn restored(book: &Book) -> State {
    let (mut tree, mut steps) = (Tree::default(), Restoring::default());
    let mut state = State::new();
    for (index, (leaf, document)) in (0..).map(Index).zip(&book.leaves) {
        tree.push(LeafHash::of(leaf));
        let effect = apply(&mut state, leaf, document).unwrap();
        if let Some(name) = effect.environment {
            let now = state.environment(&name).unwrap();
            let step = Step {
                action: now.action,
                manifest: now.manifest,
                artifacts: now.releases.last().unwrap().artifacts,
                touched: effect.digests,
                names: effect.names,
            };
            steps.step(index, &now.leaf, name, &step);
        }
    }
    let chain = state.chain().unwrap().clone();
    steps.finish(&tree, state.time(), chain).unwrap()
}
