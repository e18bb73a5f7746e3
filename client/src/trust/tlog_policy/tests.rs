//! Files of the form, and files that only look like it.
#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;

use cairn_proto::{
    key::{SecretKey, Signer as _},
    limits::COSIGNERS_MAX,
    note::{SignatureType, VerifierKey},
    reason::Reason,
    trust::Cosigners,
};

use super::{BYTES_MAX, TlogPolicy, TlogPolicyError, TlogPolicyFault as Fault, encode};
use crate::test::Log;

fn key_of(seed: u8, kind: SignatureType) -> VerifierKey {
    let secret = SecretKey::from_seed(&[seed; 32]).unwrap();
    VerifierKey::new(&format!("w{seed}.example"), kind, secret.public_key()).unwrap()
}

fn key(seed: u8) -> VerifierKey {
    key_of(seed, SignatureType::Cosignature)
}

/// Lines for witnesses `a`, `b` and so on.
fn witnesses(number: u8) -> String {
    let mut text = String::new();
    for seed in 0..number {
        let name = char::from(b'a' + seed);
        writeln!(text, "witness {name} {}", key(seed + 1)).unwrap();
    }
    text
}

fn parse(text: &str) -> Result<TlogPolicy, TlogPolicyError> {
    TlogPolicy::parse(text.as_bytes())
}

/// How many of how many witnesses a file asks for.
#[track_caller]
fn count(text: &str) -> (usize, usize) {
    let read = parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let read = read.witnesses.unwrap();
    (read.quorum(), read.keys().len())
}

/// Goal: what is written is read back as it was.
#[test]
fn a_trust_survives_the_form() {
    let alone = Log::new(1).trust();
    let read = parse(&encode(&alone)).unwrap();
    assert_eq!(read.witnesses, None);
    assert_eq!(read.logs.unwrap(), [alone.log_key().clone()]);
    let witnesses = Cosigners::new(vec![key(7), key(8), key(9)], 2).unwrap();
    let trust = alone.with_witnesses(witnesses.clone()).unwrap();
    let read = parse(&encode(&trust)).unwrap();
    assert_eq!(read.witnesses, Some(witnesses));
}

/// Goal: the form's own shapes are read, white space, comments and octets included.
#[test]
fn the_shapes_of_the_specification_are_read() {
    let three = format!(" \t# three, and a URL\n\n{}", witnesses(3));
    let three = three.replacen('\n', " # still a comment\n", 1);
    for (rest, expected) in [
        ("quorum b\n", (1, 1)),
        ("group g any a b c\nquorum g\n", (1, 3)),
        ("group g all a b c\nquorum g", (3, 3)),
        ("\tgroup  g\t2 a b c \nquorum g\n", (2, 3)),
        ("group g 2 a b c\nquorum a\n", (1, 1)),
        // Groups within groups that are nothing but a number of keys.
        ("group g 2 a b\ngroup h all g c\nquorum h\n", (3, 3)),
        ("group g any a b\ngroup h 1 g c\nquorum h\n", (1, 3)),
        (
            "group g 2 a b c\ngroup h any g\ngroup i all h\nquorum i\n",
            (2, 3),
        ),
        (
            "group g any a\ngroup h all b\ngroup i 2 g h c\nquorum i\n",
            (2, 3),
        ),
        ("group g 1 a b\ngroup h all g c\nquorum c\n", (1, 1)),
    ] {
        assert_eq!(count(&format!("{three}{rest}")), expected, "{rest}");
    }
    let none = parse("quorum none").unwrap();
    assert_eq!((none.logs, none.witnesses), (None, None));
    let mut octets = format!("witness \u{212a} {} https://w.example/\u{fc}\n", key(1)).into_bytes();
    octets.extend_from_slice(format!("witness K {}\n", key(2)).as_bytes());
    octets.extend_from_slice(b"# \xff\ngroup \xfe any K \xe2\x84\xaa\nquorum \xfe\n");
    let read = TlogPolicy::parse(&octets).unwrap().witnesses.unwrap();
    assert_eq!(read.keys(), [key(2), key(1)]);
}

/// Tries each of these after three lines of witnesses.
#[track_caller]
fn refused(cases: Vec<(String, usize, Fault)>) {
    let three = witnesses(3);
    for (rest, line, fault) in cases {
        let error = parse(&format!("{three}{rest}")).unwrap_err();
        assert_eq!((error.line, &error.fault), (line, &fault), "{rest:.60}");
        assert_eq!(error.reason(), Reason::TlogPolicySyntax);
    }
}

/// Goal: a name stands for one thing, that was defined before, in one group at most.
#[test]
fn names_are_defined_once_before_they_are_used_and_used_once() {
    let named = |name: &str| name.to_owned();
    let taken = |name| Fault::NameTaken { name: named(name) };
    let unknown = |name| Fault::Unknown { name: named(name) };
    let twice = |name| Fault::MemberTwice { name: named(name) };
    let cases = [
        ("quorum d\n", 4, unknown("d")),
        ("quorum g\ngroup g any a\n", 4, unknown("g")),
        ("group g any a g\nquorum g\n", 4, unknown("g")),
        ("group g any h\ngroup h any g\nquorum g\n", 4, unknown("h")),
        ("group g any a none\nquorum g\n", 4, unknown("none")),
        ("group g any a A\nquorum g\n", 4, unknown("A")),
        ("group g any a a\n", 4, twice("a")),
        ("group g any a\ngroup h any a b\n", 5, twice("a")),
        ("group a any b\n", 4, taken("a")),
        ("group none any a\n", 4, taken("none")),
        (
            "quorum none\nquorum none\n",
            5,
            Fault::QuorumTwice { before: 4 },
        ),
        ("group g any a b\n", 4, Fault::NoQuorum),
    ];
    let cases = cases.map(|(rest, line, fault)| (rest.to_owned(), line, fault));
    let mut cases = cases.to_vec();
    for name in ["a", "none"] {
        cases.push((format!("witness {name} {}\n", key(8)), 4, taken(name)));
    }
    refused(cases);
    assert_eq!(parse("").unwrap_err().fault, Fault::NoQuorum);
}

/// Goal: a threshold is a decimal number that the group can reach, spelled one way.
#[test]
fn thresholds_are_numbers_that_a_group_can_reach() {
    let large = format!("1{}", "0".repeat(9_000));
    let words = [
        "3",
        "0",
        "-1",
        "+1",
        "01",
        "0x1",
        "\u{661}",
        "ANY",
        "18446744073709551617",
        &large,
    ];
    let case = |word: &&str| {
        let fault = Fault::Threshold { members: 2 };
        (format!("group g {word} a b\nquorum g\n"), 4, fault)
    };
    refused(words.iter().map(case).collect());
}

/// Goal: a key is whole, of the type that its role signs with, and named once in its role.
#[test]
fn keys_are_whole_and_named_once() {
    let twice = Fault::KeyTwice { before: 1 };
    let log_key = key_of(9, SignatureType::Ed25519);
    let other_name = key(1).to_string().replace("w1.", "x1.");
    let renamed = VerifierKey::new("x", SignatureType::Cosignature, *key(1).key()).unwrap();
    let witness = |key: &dyn std::fmt::Display, fault| (format!("witness d {key}\n"), 4, fault);
    let mut cases = vec![
        witness(&key(1), twice.clone()),
        witness(&renamed, twice),
        witness(&other_name, Fault::Key),
        witness(&log_key, Fault::KeyType { role: "witness" }),
        (
            format!("log {}\n", key(9)),
            4,
            Fault::KeyType { role: "log" },
        ),
        (
            format!("log {log_key}\nlog {log_key} https://l.example\n"),
            5,
            Fault::KeyTwice { before: 4 },
        ),
    ];
    for text in [
        "w",
        "+00000000+AAAA",
        "w+0000000+AAAA",
        "w+00000000+",
        "w+00000000+AQ==",
    ] {
        cases.push(witness(&text, Fault::Key));
    }
    refused(cases);
}

/// Goal: nothing but the form's lines, parted by tabs and spaces alone, and a bounded file.
#[test]
fn what_is_no_line_of_the_form_is_refused() {
    let mut cases = Vec::new();
    for text in [
        "group g any",
        "quorum a b",
        "quorum",
        "Quorum a",
        "quorum\u{a0}a",
    ] {
        cases.push((format!("{text}\n"), 4, Fault::Line));
    }
    for text in ["quorum a\r", "# \x0b", "quorum a\0", "quorum a\x7f"] {
        cases.push((format!("{text}\n"), 4, Fault::Control));
    }
    cases.push((format!("witness d {} u v\n", key(8)), 4, Fault::Line));
    cases.push(("#".repeat(BYTES_MAX), 1, Fault::TooLong));
    refused(cases);
}

/// Goal: a quorum that is no number of keys is refused, and said where. An unused one is not.
#[test]
fn what_is_no_count_of_keys_is_refused_where_it_ceases_to_be_one() {
    let six = witnesses(6);
    for (rest, line, group) in [
        (
            "group x 2 a b c\ngroup y any d e f\ngroup z all x y\nquorum z\n",
            9,
            "z",
        ),
        ("group x 2 a b c\ngroup y any x d\nquorum y\n", 8, "y"),
        ("group x any a b\ngroup y all x c\nquorum y\n", 8, "y"),
        ("group x all a b\ngroup y 1 x c\nquorum y\n", 8, "y"),
        (
            "group x any a b\ngroup y 2 x c d\ngroup z all y\nquorum z\n",
            8,
            "y",
        ),
        (
            "group x all a b\ngroup y any x c\ngroup z all y d\nquorum z\n",
            8,
            "y",
        ),
    ] {
        let error = parse(&format!("{six}{rest}")).unwrap_err();
        let name = group.to_owned();
        assert_eq!(
            (error.line, &error.fault),
            (line, &Fault::NotACount { name }),
            "{rest}"
        );
        assert_eq!(error.reason(), Reason::TlogPolicyQuorum);
        let unused = rest.replace("quorum ", "#") + "quorum f\n";
        assert_eq!(count(&format!("{six}{unused}")), (1, 1), "{unused}");
    }
}

/// Goal: keys that nobody here can verify spoil no file, and never count.
#[test]
fn a_key_of_an_unknown_type_is_read_and_cannot_be_counted() {
    let log = Log::new(1).trust();
    let unknown = "witness u u.example+0a0b0c0d+BgEC\n";
    let eight = key(8).to_string();
    let (_, encoded) = eight.rsplit_once('+').unwrap();
    let foreign = format!("witness v \u{fc}.example+0a0b0c0d+{encoded}\n");
    let two = format!("{}{unknown}{foreign}", witnesses(2));
    assert_eq!(count(&format!("{two}group g all a b\nquorum g\n")), (2, 2));
    for (name, rest) in [("u", "quorum u\n"), ("v", "group g any a v\nquorum g\n")] {
        let error = parse(&format!("{two}{rest}")).unwrap_err();
        let name = name.to_owned();
        assert_eq!(error.fault, Fault::KeyUnknown { name });
    }
    // The same key under another name, and another id.
    let twice = format!("{two}witness w w.example+01020304+BgEC\nquorum a\n");
    assert_eq!(
        parse(&twice).unwrap_err().fault,
        Fault::KeyTwice { before: 3 }
    );
    let logs = "log l.example+0a0b0c0d+BgEC\nquorum none\n";
    assert_eq!(parse(logs).unwrap().logs, Some(Vec::new()));
    let logs = format!("log {}\n{logs}", log.log_key());
    assert_eq!(parse(&logs).unwrap().logs.unwrap(), [log.log_key().clone()]);
}

/// Goal: large files are read in no time, and quorums that cannot be pinned are refused.
/// Method: as many witnesses as fit, in one group, and one group in another, thousands deep.
#[test]
fn large_files_are_bounded() {
    let mut text = String::new();
    let number = u8::try_from(COSIGNERS_MAX).unwrap() + 1;
    let names: Vec<_> = (0..number).map(|at| format!("n{at}")).collect();
    for (at, name) in (0..number).zip(&names) {
        writeln!(text, "witness {name} {}", key(at + 1)).unwrap();
    }
    let all = format!("{text}group g 2 {}\nquorum g\n", names.join(" "));
    let number = names.len();
    assert_eq!(parse(&all).unwrap_err().fault, Fault::TooMany { number });
    let some = format!("{text}group g 2 {}\nquorum g\n", names[1..].join(" "));
    assert_eq!(count(&some), (2, COSIGNERS_MAX));
    let mut deep = format!("{}group g0 2 a b c\n", witnesses(3));
    let mut at = 0;
    while deep.len() < BYTES_MAX - 100 {
        at += 1;
        writeln!(deep, "group g{at} all g{}", at - 1).unwrap();
    }
    assert_eq!(count(&format!("{deep}quorum g{at}\n")), (2, 3));
}

/// A quorum in the making: its lines, its name, and what it means.
struct Tree {
    lines: String,
    name: String,
    holds: Box<dyn Fn(u32) -> bool>,
}

/// Goal: a file is taken as a count exactly where it is one. Method: many quorums over
/// up to seven keys; each is tried with every set of keys that cosigned.
#[test]
fn a_quorum_is_a_count_exactly_where_every_set_of_keys_agrees() {
    let mut state = 7_u64;
    let mut below = move |bound: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % bound
    };
    let mut tally = [0, 0];
    for _ in 0..1_500 {
        let number = 1 + below(7);
        let mut trees: Vec<Tree> = (0..number)
            .map(|at| Tree {
                lines: String::new(),
                name: char::from(b'a' + u8::try_from(at).unwrap()).to_string(),
                holds: Box::new(move |set| set >> at & 1 == 1),
            })
            .collect();
        let mut group = 0;
        while trees.len() > 1 || (group < 2 && below(3) == 0) {
            let take = 1 + below(trees.len());
            let taken: Vec<_> = (0..take)
                .map(|_| trees.swap_remove(below(trees.len())))
                .collect();
            let needed = [1, take, 1 + below(take)][below(3)];
            group += 1;
            let names: Vec<_> = taken.iter().map(|tree| tree.name.clone()).collect();
            let mut lines: String = taken.iter().map(|tree| tree.lines.as_str()).collect();
            writeln!(lines, "group g{group} {needed} {}", names.join(" ")).unwrap();
            let holds = move |set| taken.iter().filter(|tree| (tree.holds)(set)).count() >= needed;
            trees.push(Tree {
                lines,
                name: format!("g{group}"),
                holds: Box::new(holds),
            });
        }
        let tree = trees.pop().unwrap();
        let text = format!("{}{}quorum {}\n", witnesses(7), tree.lines, tree.name);
        let sets = || 0..1_u32 << number;
        let size = |set: u32| usize::try_from(set.count_ones()).unwrap();
        let least = sets()
            .filter(|set| (tree.holds)(*set))
            .map(size)
            .min()
            .unwrap();
        let is_count = sets().all(|set| (tree.holds)(set) == (size(set) >= least));
        match parse(&text) {
            Ok(read) => {
                let read = read.witnesses.unwrap();
                assert!(is_count, "{text}");
                assert_eq!(
                    (read.quorum(), read.keys().len()),
                    (least, number),
                    "{text}"
                );
                tally[0] += 1;
            }
            Err(error) => {
                assert!(matches!(error.fault, Fault::NotACount { .. }), "{error}");
                assert!(!is_count, "{text}");
                tally[1] += 1;
            }
        }
    }
    assert!(tally.iter().all(|times| *times > 150), "{tally:?}");
}
