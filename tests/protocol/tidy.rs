//! Whether the repository keeps its own rules: sizes, words that must not stay, links,
//! commands that the documents name, layers.
//!
//! A function ends at the first line that is a closing brace at its own indentation: the
//! code is formatted by rustfmt, so nothing else ends it there.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use cairn_proto::reason::Reason;

const FILE_LINES_MAX: usize = 400;
const FUNCTION_LINES_MAX: usize = 70;

/// Hidden directories that are part of the project; the others are tools' own.
const HIDDEN: [&str; 2] = [".ci", ".github"];
/// Commands that have commands of their own.
const GROUPS: &str = "host key order policy proposal release secret-key trust witness";
/// All that the protocol is built from: hashes, signatures, encodings, error types.
const PROTO_DEPENDENCIES: [&str; 9] = [
    "base64",
    "blake3",
    "ed25519-dalek",
    "hex",
    "serde",
    "serde_json",
    "sha2",
    "thiserror",
    "zeroize",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A file of the project, by its path from the root.
struct Text {
    path: PathBuf,
    text: String,
}

impl Text {
    fn is(&self, extension: &str) -> bool {
        self.path
            .extension()
            .is_some_and(|found| found == extension)
    }

    fn at(&self, line: usize, what: impl std::fmt::Display) -> String {
        format!("{}:{}: {what}", self.path.display(), line + 1)
    }
}

/// Every text of the project.
fn texts() -> Vec<Text> {
    let mut found = Vec::new();
    let mut folders = vec![root().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the project is readable") {
            let entry = entry.expect("a folder of the project is readable");
            let name = entry.file_name().to_string_lossy().into_owned();
            let kind = entry.file_type().expect("an entry has a type");
            let hidden = name.starts_with('.') && !HIDDEN.contains(&name.as_str());
            if kind.is_dir() && !hidden && name != "target" {
                folders.push(entry.path());
            } else if kind.is_file()
                && let Ok(text) = fs::read_to_string(entry.path())
            {
                let path = entry.path();
                let path = path.strip_prefix(root()).expect("it lies below the root");
                found.push(Text {
                    path: path.to_owned(),
                    text,
                });
            }
        }
    }
    assert!(found.len() > 20, "the walk found the project");
    found
}

fn assert_none(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

/// Goal: a file is read in one sitting. Method: count lines.
#[test]
fn no_source_file_is_longer_than_a_sitting() {
    let problems: Vec<String> = texts()
        .iter()
        .filter(|file| file.is("rs"))
        .map(|file| (file, file.text.lines().count()))
        .filter(|(_, lines)| *lines > FILE_LINES_MAX)
        .map(|(file, lines)| format!("{}: {lines} lines", file.path.display()))
        .collect();
    assert_none(&problems);
}

/// Goal: a function is seen at once. Method: count from its first line to its last brace.
#[test]
fn no_function_is_longer_than_a_screen() {
    let mut problems = Vec::new();
    for file in texts().iter().filter(|file| file.is("rs")) {
        let lines: Vec<&str> = file.text.lines().collect();
        for (start, line) in lines.iter().enumerate() {
            let length = if begins_function(line) {
                function_lines(&lines[start..])
            } else {
                0
            };
            if length > FUNCTION_LINES_MAX {
                problems.push(file.at(start, format_args!("a function of {length} lines")));
            }
        }
    }
    assert_none(&problems);
}

fn begins_function(line: &str) -> bool {
    let qualifier = |word: &&str| {
        matches!(*word, "const" | "async" | "unsafe" | "extern") || word.starts_with("pub")
    };
    line.split_whitespace().find(|word| !qualifier(word)) == Some("fn")
}

/// Lines of the function that begins the slice; 0 for a declaration without a body.
fn function_lines(lines: &[&str]) -> usize {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let own = lines.first().map_or(0, |line| indent(line));
    for (count, line) in lines.iter().enumerate() {
        if line.trim().is_empty() || indent(line) != own {
            continue;
        }
        if line.trim() == "}" || (count == 0 && line.ends_with('}')) {
            return count + 1;
        }
        if line.ends_with(';') {
            return 0;
        }
    }
    lines.len()
}

/// Goal: nothing half done or switched off is left behind, and nothing names one machine.
/// Method: look for the words, which are put together here so as not to be found.
#[test]
fn nothing_unfinished_ignored_or_local_is_left() {
    let code = [
        concat!("to", "do!("),
        concat!("unimple", "mented!("),
        concat!("#[", "ignore"),
    ];
    let notes = [concat!("TO", "DO"), concat!("FIX", "ME")];
    let places = ["home", "root", "work"].map(|name| format!("/{name}/"));
    let mut problems = Vec::new();
    for file in texts() {
        for (number, line) in file.text.lines().enumerate() {
            let unfinished = code
                .iter()
                .filter(|word| file.is("rs") && line.contains(**word));
            let marked = notes.iter().filter(|word| has_word(line, word));
            let local = places.iter().filter(|place| has_path(line, place));
            let found = unfinished.chain(marked).copied();
            problems.extend(found.map(|word| file.at(number, word)));
            problems.extend(local.map(|place| file.at(number, place)));
        }
    }
    assert_none(&problems);
}

fn has_word(line: &str, word: &str) -> bool {
    line.split(|letter: char| !letter.is_alphanumeric())
        .any(|found| found == word)
}

/// Whether an absolute path begins with `place`; as a part of a longer one it may stand.
fn has_path(line: &str, place: &str) -> bool {
    line.match_indices(place).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        before.is_none_or(|letter| !letter.is_alphanumeric() && !"._-/~*+}>".contains(letter))
    })
}

/// Goal: a code means one thing and `cairn help CODE` has something to say.
/// Method: compare the codes with each other, and with those that the protocol names.
#[test]
fn every_reason_has_a_code_of_its_own_and_an_explanation() {
    let mut codes = BTreeSet::new();
    for reason in Reason::ALL {
        let code = reason.code();
        let spelled = |letter: char| letter.is_ascii_uppercase() || letter == '_';
        assert!(
            code.chars().all(spelled),
            "{code} is not spelled like a code"
        );
        assert!(codes.insert(code), "{code} stands for two reasons");
        assert_eq!(code.parse(), Ok(*reason), "{code} is not read back");
        for sentence in [reason.meaning(), reason.mend()] {
            let whole = sentence.len() > 10 && sentence.ends_with(['.', '`']);
            assert!(whole, "{code}: {sentence:?} explains nothing");
        }
    }
    let spec = fs::read_to_string(root().join("proto/SPEC.md")).expect("SPEC.md is there");
    let named = spec.split(|letter: char| !letter.is_ascii_uppercase() && letter != '_');
    let unknown: Vec<String> = named
        .filter(|word| word.trim_matches('_').contains('_') && !codes.contains(word))
        .map(|word| format!("SPEC.md names {word}, which is no reason"))
        .collect();
    assert_none(&unknown);
}

/// Goal: a document leads where it says. Method: look for every relative link's target.
#[test]
fn every_relative_link_leads_to_a_file() {
    let mut problems = Vec::new();
    for file in texts().iter().filter(|file| file.is("md")) {
        let folder = file.path.parent().unwrap_or(Path::new(""));
        for part in code_and_prose(&file.text).filter(|part| !part.code) {
            for link in part.text.split("](").skip(1) {
                let target = link.split([')', '#', ' ']).next().unwrap_or_default();
                let elsewhere = target.contains("://") || target.starts_with("mailto:");
                if !elsewhere && !root().join(folder).join(target).exists() {
                    problems.push(file.at(part.line, format_args!("no {target}")));
                }
            }
        }
    }
    assert_none(&problems);
}

/// A piece of a Markdown line.
struct Part<'a> {
    line: usize,
    code: bool,
    text: &'a str,
}

/// The lines of a document in pieces: code (of a shell or unnamed language) and prose.
fn code_and_prose(text: &str) -> impl Iterator<Item = Part<'_>> {
    let mut fence: Option<&str> = None;
    text.lines().enumerate().flat_map(move |(line, whole)| {
        if let Some(language) = whole.trim_start().strip_prefix("```") {
            fence = fence.xor(Some(language.trim()));
            return Vec::new();
        }
        let part = |code, text| Part { line, code, text };
        match fence {
            Some("" | "sh" | "bash" | "console" | "text") => vec![part(true, whole)],
            Some(_) => Vec::new(),
            None if whole.starts_with("    ") => vec![part(true, whole)],
            None => whole
                .split('`')
                .enumerate()
                .map(|(piece, text)| part(piece % 2 == 1, text))
                .collect(),
        }
    })
}

/// Goal: what the documents, the units and the errors tell people to type exists.
/// Method: ask the program for help on each command, and look there for each option.
#[test]
fn every_command_that_is_written_down_exists() {
    let mut wanted: BTreeMap<Vec<String>, BTreeSet<String>> = BTreeMap::new();
    for file in texts() {
        if file.is("md") {
            for part in code_and_prose(&file.text).filter(|part| part.code) {
                note_commands(part.text, &mut wanted);
            }
        } else if file.is("service") {
            let starts = file.text.lines().filter(|line| line.starts_with("Exec"));
            starts.for_each(|line| note_commands(line, &mut wanted));
        }
    }
    for reason in Reason::ALL {
        let quoted = reason.mend().split('`').skip(1).step_by(2);
        quoted.for_each(|command| note_commands(command, &mut wanted));
    }
    let mut problems = Vec::new();
    for (command, options) in wanted {
        let help = Command::new(env!("CARGO_BIN_EXE_cairn"))
            .args(&command)
            .arg("--help")
            .output()
            .expect("the program runs");
        let said = String::from_utf8_lossy(&help.stdout);
        let words: BTreeSet<&str> = said
            .split(|letter: char| !letter.is_alphanumeric() && letter != '-')
            .collect();
        let command = command.join(" ");
        if !help.status.success() {
            problems.push(format!("there is no cairn {command}"));
        }
        let missing = options
            .iter()
            .filter(|option| !words.contains(option.as_str()));
        problems.extend(missing.map(|option| format!("cairn {command} has no {option}")));
    }
    assert_none(&problems);
}

/// Notes each `cairn COMMAND ... --option` of a line.
fn note_commands(line: &str, wanted: &mut BTreeMap<Vec<String>, BTreeSet<String>>) {
    let is_program = |word: &&str| *word == "cairn" || word.ends_with("/bin/cairn");
    let is_command = |word: &&&str| {
        let letter = |letter: char| letter.is_ascii_lowercase() || letter == '-';
        word.starts_with(|first: char| first.is_ascii_lowercase()) && word.chars().all(letter)
    };
    for single in line.split([';', '|', '&', '(', ')', '#', '"', '\'']) {
        let words: Vec<&str> = single.split_whitespace().collect();
        let program = words.iter().position(is_program);
        let Some(rest) = program.map(|at| &words[at + 1..]) else {
            continue;
        };
        let Some(first) = rest.first().filter(is_command) else {
            continue;
        };
        let mut command = vec![(*first).to_owned()];
        if GROUPS.split(' ').any(|group| group == *first) {
            command.extend(
                rest.get(1)
                    .filter(is_command)
                    .map(|word| (*word).to_owned()),
            );
        }
        let option = |word: &&str| word.split('=').next().unwrap_or_default().to_owned();
        let options = rest
            .iter()
            .filter(|word| word.starts_with("--") && word.len() > 2);
        wanted
            .entry(command)
            .or_default()
            .extend(options.map(option));
    }
}

/// Goal: an auditor reads the protocol and little else. Method: compare its dependencies.
#[test]
fn the_protocol_depends_on_nothing_but_hashes_signatures_and_encodings() {
    let file = fs::read_to_string(root().join("proto/Cargo.toml")).expect("it is there");
    let table = file
        .split("[dependencies]\n")
        .nth(1)
        .expect("it has dependencies");
    let names: Vec<&str> = table
        .lines()
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split(['.', ' ', '=']).next())
        .filter(|name| !name.is_empty() && !name.starts_with('#'))
        .collect();
    assert_eq!(names, PROTO_DEPENDENCIES);
}

/// Goal: no crate escapes the lints. Method: look for the line that takes them over.
#[test]
fn every_crate_is_held_to_the_workspace_lints() {
    let problems: Vec<String> = texts()
        .iter()
        .filter(|file| file.path.ends_with("Cargo.toml"))
        .filter(|file| !file.text.contains("[lints]\nworkspace = true"))
        .map(|file| file.at(0, "does not take the workspace's lints"))
        .collect();
    assert_none(&problems);
}

/// Goal: whoever reads the README can test as it says. Method: find the marked block.
#[test]
fn the_readme_marks_the_command_that_runs_the_tests() {
    let readme = fs::read_to_string(root().join("README.md")).expect("there is a README");
    let after = readme.split("<!-- test-command -->").nth(1);
    let block = after.and_then(|text| text.trim_start().strip_prefix("```"));
    let command = block.and_then(|text| text.split("```").next());
    let command = command.and_then(|text| text.split_once('\n'));
    assert!(command.is_some_and(|(_, lines)| lines.contains("cargo test")));
}

/// Goal: the example fits the transcript of the README. Method: count and compare.
#[test]
fn the_example_shop_is_the_one_of_the_transcript() {
    let shop: Vec<Text> = texts()
        .into_iter()
        .filter(|file| file.path.starts_with("examples/shop"))
        .collect();
    assert_eq!(shop.len(), 13, "with the image's own file they are 14");
    let web = shop.iter().find(|file| file.path.ends_with("web.yaml"));
    let web = web.expect("there is a web.yaml");
    assert_eq!(web.text.matches("replicas: 3\n").count(), 1);
}
