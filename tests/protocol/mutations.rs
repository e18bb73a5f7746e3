//! Whether the mutation check (tests/faults/mutations.sh) still fits this tree. Each patch
//! disables one safety check and names the test that must notice; to run them all takes
//! long, to see that they apply does not.

use std::{fs, path::Path};

/// Fewer would mean that some were lost.
const PATCHES_MIN: usize = 12;

/// A check that can be disabled.
struct Mutation {
    name: String,
    check: String,
    /// What `cargo test` is told.
    test: String,
    file: String,
    /// Lines that the patch expects, and those that it leaves; one of each for each hunk.
    hunks: Vec<(String, String)>,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

impl Mutation {
    fn parse(name: String, text: &str) -> Self {
        let field = |head: &str| {
            let mut found = text.lines().filter_map(|line| line.strip_prefix(head));
            let value = found
                .next()
                .unwrap_or_else(|| panic!("{name} has no {head}"));
            assert_eq!(found.next(), None, "{name} has more than one {head}");
            value.to_owned()
        };
        let hunks = text.split("\n@@ ").skip(1).map(|hunk| {
            let lines = hunk.lines().skip(1);
            let side = |dropped: char| {
                let kept = lines.clone().filter(|line| !line.starts_with(dropped));
                let kept: Vec<_> = kept.map(|line| line.get(1..).unwrap_or_default()).collect();
                kept.join("\n") + "\n"
            };
            (side('+'), side('-'))
        });
        Self {
            check: field("Check: "),
            test: field("Test: "),
            file: field("+++ b/"),
            hunks: hunks.collect(),
            name,
        }
    }

    /// Where the named test is, by its path and its name.
    fn test_function(&self) -> &str {
        self.test.rsplit("::").next().unwrap_or_default()
    }

    /// The line of it in SECURITY.md.
    fn row(&self) -> String {
        let test = self.test_function();
        format!("| {} | `{}` | `{test}` |", self.check, self.file)
    }
}

fn mutations() -> Vec<Mutation> {
    let folder = root().join("tests/faults/mutations");
    let entries = fs::read_dir(folder).expect("there are mutations");
    let mut found: Vec<_> = entries
        .map(|entry| entry.expect("it is readable").path())
        .map(|path| {
            let extension = path.extension().unwrap_or_default();
            assert_eq!(extension, "patch", "{} is none", path.display());
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            Mutation::parse(name.into_owned(), &read(&path))
        })
        .collect();
    found.sort_by(|one, other| one.name.cmp(&other.name));
    assert!(found.len() >= PATCHES_MIN, "some mutations are gone");
    found
}

/// Goal: a check that moved or changed takes its mutation along. Method: what each patch
/// expects stands in its file exactly once, and is changed by it.
#[test]
fn every_mutation_applies_to_this_tree_at_one_place() {
    for mutation in mutations() {
        let text = read(&mutation.file);
        assert!(
            !mutation.hunks.is_empty(),
            "{} changes nothing",
            mutation.name
        );
        for (before, after) in &mutation.hunks {
            assert_ne!(before, after, "{} changes nothing", mutation.name);
            let places = text.matches(before.as_str()).count();
            let (name, file) = (&mutation.name, &mutation.file);
            assert_eq!(places, 1, "{name}: {file} has this so often:\n{before}");
        }
    }
}

/// Goal: the tests that are to notice exist. Method: look for each by its name.
#[test]
fn every_mutation_names_a_test_that_there_is() {
    let mut sources = String::new();
    let mut folders: Vec<_> = ["tests", "client/src", "server/src"]
        .map(|it| root().join(it))
        .into();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder is readable") {
            let path = entry.expect("an entry is readable").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "rs") {
                sources.push_str(&read(&path));
            }
        }
    }
    for mutation in mutations() {
        let function = format!("fn {}(", mutation.test_function());
        let count = sources.matches(&function).count();
        assert_eq!(count, 1, "{}: {function}", mutation.name);
    }
}

/// Goal: what SECURITY.md says of checks and tests is what is tried. Method: compare.
#[test]
fn the_table_of_checks_and_tests_is_that_of_the_mutations() {
    let security = read("SECURITY.md");
    let table = security
        .split("| check | file | test that fails without it |\n|---|---|---|\n")
        .nth(1)
        .expect("SECURITY.md has the table");
    let rows: Vec<_> = table
        .lines()
        .take_while(|line| line.starts_with('|'))
        .collect();
    let expected: Vec<_> = mutations().iter().map(Mutation::row).collect();
    assert_eq!(rows, expected);
}
