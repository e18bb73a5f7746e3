//! Directories of many files.

use std::fs;

use cairn_proto::{
    manifest::{ArtifactKind, Bytes},
    tree::{Tree, TreeBytes},
};

use super::*;

fn many(count: usize) -> TempDir {
    let root = directory(&[]);
    for at in 0..count {
        put(
            root.path(),
            &format!("{}/{at:05}", at % 7),
            at.to_string().as_bytes(),
        );
    }
    root
}

#[test]
fn more_files_than_a_directory_may_have_become_one_tree() {
    let root = many(1_100);
    let capture = record(root.path());
    assert_eq!(names(&capture), ["."]);
    assert_eq!(capture.artifacts[0].kind, ArtifactKind::Tree);
    assert_eq!(capture.files, 1_100);
    let note = &capture.notes[0];
    assert!(
        note.ends_with("holds 1,100 files: recorded as one tree"),
        "{note}"
    );

    let Bytes::Stored { digests, size } = capture.artifacts[0].bytes else {
        panic!("the listing is content");
    };
    let mut listing = Vec::new();
    let content = capture.content(&digests.blake3).unwrap();
    std::io::Read::read_to_end(&mut content.open(0).unwrap(), &mut listing).unwrap();
    assert_eq!(u64::try_from(listing.len()).unwrap(), size);
    let tree = Tree::decode(&listing).unwrap();
    assert_eq!(tree, capture.trees[&".".parse().unwrap()]);
    assert_eq!(tree.encode(), listing);
    assert_eq!(tree.entries().len(), 1_100);
    for (id, _) in tree.contents() {
        assert!(capture.content(&id).is_some());
    }
    manifest(&capture);
}

#[test]
fn exactly_as_many_as_allowed_stay_single() {
    let capture = record(many(1_024).path());
    assert_eq!((capture.artifacts.len(), capture.trees.len()), (1_024, 0));
}

#[test]
fn a_tree_is_named_by_its_input_among_several() {
    let (many, few) = (many(1_100), directory(&[("x", b"y")]));
    let named = |name: &str, path: &Path| Input {
        name: Some(name.into()),
        path: path.into(),
    };
    let inputs = [named("many", many.path()), named("few", few.path())];
    let options = CaptureOptions::new(Purpose::Record);
    let capture = capture(&inputs, &options, None, &()).unwrap();
    assert_eq!(names(&capture), ["few/x", "many"]);
    let tree = &capture.trees[&"many".parse().unwrap()];
    assert_eq!(tree.entries()[0].name.as_str(), "0/00000");
}

#[test]
fn verifying_repeats_the_recorded_shape_whatever_the_number_is_now() {
    let root = many(1_100);
    let recorded = manifest(&record(root.path()));
    fs::remove_dir_all(root.path().join("3")).unwrap();
    let capture = verify(root.path(), &Recorded::new(&recorded));
    assert_eq!(names(&capture), ["."]);

    let root = many(1_000);
    let recorded = manifest(&record(root.path()));
    for at in 0..200 {
        put(root.path(), &format!("more/{at}"), b"x");
    }
    let capture = verify(root.path(), &Recorded::new(&recorded));
    assert_eq!((capture.artifacts.len(), capture.trees.len()), (1_200, 0));
}

#[test]
fn a_recorded_tree_of_which_nothing_is_left_is_measured_as_an_empty_one() {
    let root = many(1_100);
    let recorded = manifest(&record(root.path()));
    let empty = directory(&[]);
    let capture = verify(empty.path(), &Recorded::new(&recorded));
    assert_eq!(names(&capture), ["."]);
    assert!(capture.trees[&".".parse().unwrap()].entries().is_empty());
}

#[test]
fn secrets_in_trees_are_tagged_by_their_full_names_and_measured_as_recorded() {
    let root = many(1_100);
    put(root.path(), "conf/.env", b"PASSWORD=hunter2");
    let capture = record(root.path());
    assert_eq!(capture.withheld.len(), 1);
    assert_eq!(capture.withheld[0].as_str(), "conf/.env");
    let find = |capture: &Capture| {
        let tree = &capture.trees[&".".parse().unwrap()];
        let mut entries = tree.entries().iter();
        let entry = entries.find(|entry| entry.name.as_str() == "conf/.env");
        entry.unwrap().bytes
    };
    let TreeBytes::Withheld(withheld) = find(&capture) else {
        panic!("withheld");
    };
    let tags = tags();
    let name = "conf/.env".parse().unwrap();
    let mut tagger = tags.key.tagger(&tags.environment, &name, "", 16);
    tagger.update(b"PASSWORD=hunter2");
    assert_eq!(tagger.finish(), withheld);

    // Recorded in plain, it is measured in plain, if the listing is to hand.
    let mut options = CaptureOptions::new(Purpose::Record);
    options.store_plain.insert("conf/.env".into());
    let capture = super::capture(&[input(root.path())], &options, None, &()).unwrap();
    let recorded = manifest(&capture);
    let mut view = Recorded::new(&recorded);
    let (name, digests) = view.listings_wanted().next().unwrap();
    let mut listing = Vec::new();
    let content = capture.content(&digests.blake3).unwrap();
    std::io::Read::read_to_end(&mut content.open(0).unwrap(), &mut listing).unwrap();
    let other = view.add_listing(name, b"other").unwrap_err();
    assert_eq!(other.reason(), Reason::ContentMismatch);
    view.add_listing(name, &listing).unwrap();
    assert!(view.listings_wanted().next().is_none());
    let capture = verify(root.path(), &view);
    assert!(matches!(find(&capture), TreeBytes::Stored { .. }));
}

/// Goal: memory that does not grow with the input. Method: 100,000 files and one of 5 GB,
/// in the long form only: `CAIRN_LONG=1 cargo test -p cairn-client many_files`.
#[test]
fn many_files_and_a_large_one_take_flat_memory() {
    if std::env::var_os("CAIRN_LONG").is_none() {
        println!("SKIPPED: 100,000 files and one of 5 GB take minutes; set CAIRN_LONG=1");
        return;
    }
    let root = many(100_000);
    let large = fs::File::create(root.path().join("large")).unwrap();
    large.set_len(5 << 30).unwrap();
    let start = std::time::Instant::now();
    let capture = record(root.path());
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .unwrap();
    println!(
        "recorded {} files in {:?}, {peak}",
        capture.files,
        start.elapsed()
    );
    let kilobytes: u64 = peak.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(kilobytes < 300_000, "{peak}");
}
