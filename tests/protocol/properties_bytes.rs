//! What holds for all bytes: nothing panics, one spelling, and a byte changed on the way is
//! seen or says the same.

use std::collections::BTreeMap;

use cairn_proto::{
    bundle::Bundle,
    checkpoint::{Checkpoint, SignedCheckpoint},
    entry::{Leaf, MapRecord},
    envelope::Envelope,
    hash::{Index, LeafHash, NodeHash, RootHash, Sha256, TreeSize},
    json::{Value, parse_canonical},
    key::PublicKey,
    manifest::Manifest,
    map::MapProof,
    merkle::{
        Tree, prove_consistency, prove_inclusion, root_at, verify_consistency, verify_inclusion,
    },
    name::{ArtifactName, Environment, Label, Origin, Pattern, TimeText},
    note::{Note, VerifierKey},
    policy::Policy,
    row::RowName,
    statement::{Action, Statement},
    tile::{Tile, split_documents, split_entries, split_hashes},
    tree::Tree as Listing,
    trust::Trust,
};
use proptest::{
    collection::{btree_map, vec},
    prelude::*,
    sample::Index as Place,
};

use crate::{
    ledger::{self, Book, manifest},
    properties::{config, map_key, map_of},
    vectors_bundle,
};

fn json() -> impl Strategy<Value = Value<'static>> {
    let bound = 9_007_199_254_740_991_i64;
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        (-bound..=bound).prop_map(Value::Integer),
        any::<String>().prop_map(|text| Value::Text(text.into())),
    ];
    leaf.prop_recursive(6, 40, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::Array),
            btree_map(any::<String>(), inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Every decoder of the protocol, on the same bytes.
fn decode_all(bytes: &[u8]) {
    if let Ok(value) = parse_canonical(bytes) {
        assert_eq!(value.encode(), bytes);
    }
    if let Ok(leaf) = Leaf::decode(bytes) {
        match leaf {
            Leaf::Entry(entry) => assert_eq!(entry.envelope().encode(), bytes),
            Leaf::MapRecord(record) => assert_eq!(record.encode(), bytes),
        }
    }
    if let Ok(envelope) = Envelope::parse(bytes) {
        assert_eq!(envelope.encode(), bytes);
    }
    if let Ok(statement) = Statement::parse(bytes) {
        assert_eq!(statement.encode(), bytes);
    }
    if let Ok(policy) = Policy::decode(bytes) {
        assert_eq!(policy.encode(), bytes);
    }
    if let Ok(manifest) = Manifest::decode(bytes) {
        assert_eq!(manifest.encode(), bytes);
    }
    if let Ok(listing) = Listing::decode(bytes) {
        assert_eq!(listing.encode(), bytes);
    }
    if let Ok(bundle) = Bundle::decode(bytes) {
        assert_eq!(bundle.encode().unwrap(), bytes);
    }
    if let Ok(proof) = MapProof::decode(bytes) {
        assert_eq!(proof.encode(), bytes);
    }
    let sha256 = Sha256::of(bytes);
    let environment = ledger::environment("a");
    for name in [
        RowName::Policy,
        RowName::Digest(&sha256),
        RowName::Environment(&environment),
    ] {
        if let Some(row) = name.decode(bytes) {
            assert_eq!(row.encode(), bytes);
        }
    }
    let _ = (
        Note::parse(bytes),
        SignedCheckpoint::parse(bytes),
        MapRecord::decode(bytes),
    );
    for width in [0, 1, 2, 255, 256] {
        let _ = (split_entries(bytes, width), split_hashes(bytes, width));
        let tile = Tile {
            width,
            ..Tile::parse("documents/000").unwrap()
        };
        let _ = split_documents(bytes, &tile);
    }
    if let Some(key) = bytes.first_chunk::<32>() {
        let _ = PublicKey::parse(key).map(|key| key.verify(bytes, &[1; 64]));
    }
    if let Ok(text) = str::from_utf8(bytes) {
        parse_all(text);
    }
}

fn parse_all(text: &str) {
    if let Ok(tile) = Tile::parse(text) {
        assert_eq!(tile.to_string(), text);
    }
    if let Ok(key) = text.parse::<VerifierKey>() {
        assert_eq!(key.to_string(), text);
    }
    let environment = text.parse::<Environment>();
    if let (Ok(environment), Ok(pattern)) = (environment, text.parse::<Pattern>()) {
        assert!(pattern.matches(&environment));
    }
    let _ = (
        text.parse::<Label>(),
        text.parse::<Origin>(),
        text.parse::<TimeText>(),
    );
    let _ = (text.parse::<ArtifactName>(), text.parse::<Sha256>());
}

/// Well-formed bytes of every kind, to be damaged.
fn samples() -> Vec<Vec<u8>> {
    let mut book = Book::new();
    let files = BTreeMap::from([("a".to_owned(), vec![1]), ("b".to_owned(), vec![2])]);
    let document = manifest(&files).encode();
    let leaf = book.release("prod/web", Action::Release, &document);
    book.append(leaf, document).unwrap();
    book.record(7);
    let mut samples = Vec::new();
    for (leaf, document) in &book.leaves {
        if let Ok(envelope) = Envelope::parse(leaf) {
            samples.push(envelope.payload().to_vec());
        }
        samples.extend([leaf.clone(), document.clone()]);
    }
    let name = RowName::Policy;
    samples.push(book.state.map().prove(&name.key()).unwrap().encode());
    samples.push(book.state.map().get(&name.key()).unwrap().encode());
    samples.push(note(3));
    samples.push(vectors_bundle::first().0.into_bytes());
    samples.extend(["tile/0/x001/067.p/8", "prod/eu-1/shop"].map(Into::into));
    samples
}

fn checkpoint(size: u64) -> Checkpoint {
    Checkpoint {
        origin: ledger::ORIGIN.parse().unwrap(),
        size: TreeSize(size),
        root: RootHash([7; 32]),
    }
}

fn note(size: u64) -> Vec<u8> {
    let (log, clock) = (ledger::key(8), ledger::key(9));
    checkpoint(size).sign(&log, &clock, 1_000).unwrap()
}

fn flip(bytes: &mut [u8], place: Place, bit: u8) {
    let place = place.index(bytes.len());
    bytes[place] ^= 1 << bit;
}

proptest! {
    #![proptest_config(config(3, 256))]

    #[test]
    fn json_reads_back_as_the_value_that_was_written(value in json()) {
        let bytes = value.encode();
        prop_assert_eq!(parse_canonical(&bytes), Ok(value));
    }

    #[test]
    fn decoders_survive_random_bytes(bytes in vec(any::<u8>(), 0..300)) {
        decode_all(&bytes);
    }

    #[test]
    fn decoders_survive_text_that_looks_like_theirs(
        text in r#"(\{|\}|\[|\]|"|:|,|\\u[0-9a-f]{2,4}|-|\.|0|1|e|/|\+|\n|"payload"|"cairn":|\x{2014} |[a-z]){0,60}"#,
    ) {
        decode_all(text.as_bytes());
    }

    /// Method: bytes cut out, doubled or flipped in well-formed samples.
    #[test]
    fn decoders_survive_damage(
        sample in any::<Place>(), from in any::<Place>(), to in any::<Place>(),
        bit in 0_u8..8, how in 0..3,
    ) {
        let samples = samples();
        let mut bytes = samples[sample.index(samples.len())].clone();
        prop_assume!(!bytes.is_empty());
        let (from, to) = (from.index(bytes.len()), to.index(bytes.len()));
        let range = from.min(to)..from.max(to);
        match how {
            0 => drop(bytes.drain(range)),
            1 => bytes.extend_from_within(range),
            _ => bytes[from] ^= 1 << bit,
        }
        decode_all(&bytes);
    }

    #[test]
    fn a_flipped_bit_of_a_map_proof_is_refused_or_says_the_same(
        rows in btree_map(map_key(), 0_u64..9, 1..12), asked in map_key(),
        present in any::<bool>(), place in any::<Place>(), bit in 0_u8..8,
    ) {
        let mut map = map_of(&rows);
        let root = map.root();
        let first = rows.keys().next().copied().unwrap();
        let asked = if present { first } else { asked };
        let proof = map.prove(&asked).unwrap();
        let truth = proof.row_hash(&root, &asked);
        let mut bytes = proof.encode();
        flip(&mut bytes, place, bit);
        if let Ok(changed) = MapProof::decode(&bytes) {
            let said = changed.row_hash(&root, &asked);
            prop_assert!(said.is_err() || said == truth);
        }
    }

    #[test]
    fn a_flipped_bit_of_a_tree_proof_is_refused(
        size in 2_u64..80, at in any::<Place>(), from in any::<Place>(),
        place in any::<Place>(), bit in 0_u8..8,
    ) {
        let mut tree = Tree::default();
        for number in 0..size {
            tree.push(LeafHash::of(&[u8::try_from(number).unwrap()]));
        }
        let bound = usize::try_from(size).unwrap();
        let damaged = |proof: &[NodeHash]| -> Vec<NodeHash> {
            let mut bytes: Vec<u8> = proof.iter().flat_map(|hash| hash.0).collect();
            flip(&mut bytes, place, bit);
            bytes.as_chunks::<32>().0.iter().copied().map(NodeHash).collect()
        };
        let (root, size) = (tree.root(), TreeSize(size));
        let index = Index(u64::try_from(at.index(bound)).unwrap());
        let proof = damaged(&prove_inclusion(&tree, index, size).unwrap());
        let leaf = tree.leaf(index).unwrap();
        prop_assert!(verify_inclusion(leaf, index, size, &proof, &root).is_err());
        let from = TreeSize(u64::try_from(from.index(bound - 1)).unwrap() + 1);
        let old = root_at(&tree, from).unwrap();
        let proof = damaged(&prove_consistency(&tree, from, size).unwrap());
        prop_assert!(verify_consistency(from, size, &proof, &old, &root).is_err());
    }

    /// Goal: a note changed on the way never says another size, root or time. A line that
    /// became a stranger's is ignored, so the time may be lost.
    #[test]
    fn a_flipped_bit_of_a_note_is_refused_or_says_the_same(
        size in any::<u64>(), place in any::<Place>(), bit in 0_u8..8,
    ) {
        let trust = trust();
        let mut bytes = note(size);
        flip(&mut bytes, place, bit);
        let parsed = SignedCheckpoint::parse(&bytes);
        if let Ok(head) = parsed.and_then(|signed| signed.authenticate(&trust, 1_000)) {
            let wanted = checkpoint(size);
            prop_assert_eq!((head.size(), head.root()), (wanted.size, &wanted.root));
            prop_assert!(matches!(head.time(), None | Some(1_000)));
        }
    }
}

fn trust() -> Trust {
    let book = Book::new();
    book.state.chain().unwrap().identity().unwrap()
}

proptest! {
    #![proptest_config(config(4, 300))]

    /// Goal: nobody can change an entry or its document. Method: a bit flipped in either.
    #[test]
    fn a_flipped_bit_of_an_entry_or_its_document_is_refused(
        document_too in any::<bool>(), place in any::<Place>(), bit in 0_u8..8,
    ) {
        let book = Book::new();
        let files = BTreeMap::from([("a".to_owned(), vec![1])]);
        let mut document = manifest(&files).encode();
        let mut leaf = book.release("prod/web", Action::Release, &document);
        prop_assert!(ledger::apply(&mut book.state.clone(), &leaf, &document).is_ok());
        let damaged = if document_too { &mut document } else { &mut leaf };
        flip(damaged, place, bit);
        prop_assert!(ledger::apply(&mut book.state.clone(), &leaf, &document).is_err());
    }

    /// Goal: a bundle changed on the way is refused, and one changed and sealed again by
    /// somebody who can count is refused or says the same.
    #[test]
    fn a_flipped_bit_of_a_bundle_is_refused_or_says_the_same(
        place in any::<Place>(), bit in 0_u8..8,
    ) {
        let (text, verify) = vectors_bundle::first();
        let truth = verify(text.as_bytes()).unwrap();
        let mut bytes = text.clone().into_bytes();
        flip(&mut bytes, place, bit);
        prop_assert!(verify(&bytes).is_err());
        let end = text.find("blake3 ").unwrap();
        if let Ok(changed) = String::from_utf8(bytes) && changed.is_char_boundary(end) {
            let said = verify(&vectors_bundle::sealed(&changed[..end]));
            prop_assert!(said.is_err() || said == Ok(truth));
        }
    }
}
