//! Paths of the read API, entry bundles, document bundles, hash tiles. SPEC.md section 6.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use cairn_proto::{
    hash::{ContentId, LeafHash, TreeSize},
    merkle::Tree,
    reason::Reason,
    tile::{
        Tile, TileError, TileKind, document_head, push_entry, split_documents, split_entries,
        split_hashes,
    },
};
use serde_json::Value;

use crate::vectors::{Cases, base64_of, judged, number_of, text_of};

/// No code is named for these: a path that is none is a plain 404.
fn any(_: TileError) -> Reason {
    Reason::NotFound
}

fn width_of(case: &Value) -> u16 {
    u16::try_from(number_of(case, "width")).unwrap()
}

fn path(case: &Value) {
    let path = text_of(case, "path");
    let parsed = path
        .strip_prefix('/')
        .ok_or(TileError)
        .and_then(Tile::parse);
    let Some(tile) = judged(case, parsed.map_err(any)) else {
        return;
    };
    let what = match tile.kind {
        TileKind::Hashes(level) => Value::from(level),
        TileKind::Entries => Value::from("entries"),
        TileKind::Documents => Value::from("documents"),
    };
    assert_eq!(what, case["what"], "{path}");
    assert_eq!(tile.index, number_of(case, "number"), "{path}");
    assert_eq!(tile.width, width_of(case), "{path}");
    assert_eq!(format!("/{tile}"), path);
}

fn texts(values: &Value) -> Vec<Vec<u8>> {
    let values = values.as_array().unwrap().iter();
    let decode = |value: &Value| STANDARD.decode(value.as_str().unwrap()).unwrap();
    values.map(decode).collect()
}

fn entries(case: &Value) {
    let bundle = base64_of(case, "bundle_base64");
    let split = split_entries(&bundle, width_of(case)).map_err(any);
    let Some(entries) = judged(case, split) else {
        return;
    };
    assert_eq!(entries, texts(&case["entries_base64"]));
    let mut again = Vec::new();
    for entry in entries {
        push_entry(&mut again, entry);
    }
    assert_eq!(again, bundle);
}

fn documents(case: &Value) {
    let bundle = base64_of(case, "bundle_base64");
    let tile = Tile {
        kind: TileKind::Documents,
        index: 3,
        width: width_of(case),
    };
    let Some(found) = judged(case, split_documents(&bundle, &tile).map_err(any)) else {
        return;
    };
    let offsets = case["offsets"].as_array().unwrap();
    let listed: Vec<_> = offsets
        .iter()
        .map(|value| value.as_u64().unwrap())
        .collect();
    let indices: Vec<_> = found.iter().map(|(index, _)| index.0 - 768).collect();
    assert_eq!(indices, listed);
    let mut again = Vec::new();
    for (index, document) in &found {
        let offset = u8::try_from(index.0 - 768).unwrap();
        again.extend(document_head(
            offset,
            u32::try_from(document.len()).unwrap(),
        ));
        again.extend(document);
    }
    assert_eq!(again, bundle);
    let contents: Vec<_> = found.into_iter().map(|(_, document)| document).collect();
    assert_eq!(contents, texts(&case["documents_base64"]));
}

fn hashes(case: &Value) {
    let mut tree = Tree::default();
    for number in 0..number_of(case, "size") {
        tree.push(LeafHash::of(format!("leaf {number}").as_bytes()));
    }
    let kind = TileKind::Hashes(u8::try_from(number_of(case, "level")).unwrap());
    let number = number_of(case, "number");
    let size = TreeSize(number_of(case, "size"));
    let mut tiles = Tile::covering(kind, number * 256, size);
    let tile = tiles.next().unwrap();
    assert_eq!(format!("/{tile}"), text_of(case, "path"));
    assert!(tile.within(size));
    let bytes = tile.hashes(&tree).unwrap();
    let digest = ContentId::of(&bytes).to_string();
    assert_eq!(digest, text_of(case, "tile_blake3_hex"));
    assert_eq!(
        split_hashes(&bytes, tile.width).unwrap().len() * 32,
        bytes.len()
    );
}

#[test]
fn paths_and_tiles_have_one_spelling() {
    let kinds = ["path", "entries", "documents", "tile"];
    Cases::of("tiles.json").each(&kinds, |_, case| {
        let kind = case["op"].as_str().unwrap();
        match kind {
            "path" => path(case),
            "entries" => entries(case),
            "documents" => documents(case),
            "tile" => hashes(case),
            other => panic!("unknown op {other}"),
        }
        kind.to_owned()
    });
}
