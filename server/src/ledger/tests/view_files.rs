//! Damage of the files that sled keeps the view in.
//!
//! Goal: whatever became of them, the ledger opens with what the journal has. Method: each
//! file of a finished view is deleted, cut, emptied, filled with garbage, flipped at places
//! all over it; a half-written snapshot is left behind; then the view is opened and replayed
//! over, and once more after that.

use std::{collections::BTreeMap, fs, path::Path};

use super::{long, view::Case};
use crate::{ledger::replay::Replay, view::View};

type Files = BTreeMap<String, Vec<u8>>;

fn read(directory: &Path) -> Files {
    let mut files = Files::new();
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_file() {
            let name = entry.file_name().into_string().unwrap();
            files.insert(name, fs::read(entry.path()).unwrap());
        }
    }
    files
}

/// Opens a view of these files twice: right both times.
fn heals(case: &Case, files: &Files, what: &str) {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("view");
    fs::create_dir(&directory).unwrap();
    for (name, bytes) in files {
        fs::write(directory.join(name), bytes).unwrap();
    }
    for _ in 0..2 {
        let (replay, _) = Replay::run(&case.store, View::open(&directory).unwrap()).unwrap();
        case.is_right(&replay, what);
    }
}

/// A view in sled that was closed in good order.
fn closed(case: &Case) -> Files {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("view");
    let (replay, view) = Replay::run(&case.store, View::open(&directory).unwrap()).unwrap();
    case.is_right(&replay, "a new view");
    drop((replay, view));
    let files = read(&directory);
    assert!(files.contains_key("db") && files.contains_key("conf"));
    files
}

#[test]
fn damaged_files_of_the_view_cost_a_rebuild_and_no_answer() {
    let case = Case::new();
    let files = closed(&case);
    heals(&case, &files, "left as they are");
    heals(&case, &Files::new(), "all gone");
    let mut half = files.clone();
    half.insert("snap.0000000000000042.generating".to_owned(), vec![1; 100]);
    heals(&case, &half, "a half-written snapshot");
    for (name, bytes) in &files {
        let mut less = files.clone();
        less.remove(name);
        heals(&case, &less, &format!("{name} deleted"));
        let end = bytes.len();
        for length in [
            0,
            1,
            end / 4,
            end / 2,
            end.saturating_sub(512),
            end.saturating_sub(1),
        ] {
            let mut cut = files.clone();
            cut.insert(name.clone(), bytes[..length.min(end)].to_vec());
            heals(&case, &cut, &format!("{name} cut to {length} of {end}"));
        }
        let mut garbage = files.clone();
        garbage.insert(name.clone(), vec![0x5a; end]);
        heals(&case, &garbage, &format!("{name} is garbage"));
        // Only where something stands: zeros after the end are the same everywhere.
        let used = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0) + 1;
        let flips = if long() { 300 } else { 12 };
        for at in (0..used).step_by((used / flips).max(1)) {
            let mut flipped = files.clone();
            flipped.get_mut(name).unwrap()[at] ^= 1 << (at % 8);
            heals(
                &case,
                &flipped,
                &format!("{name} flipped at {at} of {used}"),
            );
        }
    }
}
