//! Trust in C2SP's tlog-policy form: whose log, which witnesses, how many of them.
//!
//! Every file of the form is read; a quorum over groups of groups is refused, since a trust file
//! counts witnesses and knows no groups.

use std::collections::BTreeMap;

use cairn_proto::{
    note::VerifierKey,
    trust::{Cosigners, Trust},
};
use thiserror::Error;

/// Bytes of a file.
const BYTES_MAX: usize = 64 << 10;

/// Why a file was refused, and where.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line}: {why}")]
pub struct TlogPolicyError {
    /// From 1.
    pub line: usize,
    /// What is wrong with it.
    pub why: String,
}

/// What a file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlogPolicy {
    /// The logs whose checkpoints are accepted; any, where there are none.
    pub logs: Vec<VerifierKey>,
    /// The witnesses of the quorum; none where it says `none`.
    pub witnesses: Option<Cosigners>,
}

/// A witness or a group. A key of a kind that is not known here is `None`.
enum Defined {
    Witness(Option<Box<VerifierKey>>),
    Group(usize, Vec<Vec<u8>>),
}

/// What the quorum line names.
enum Quorum {
    Nobody,
    Name(Vec<u8>),
}

#[derive(Default)]
struct Reading {
    logs: Vec<VerifierKey>,
    defined: BTreeMap<Vec<u8>, Defined>,
    /// Names that are a member of a group already.
    members: Vec<Vec<u8>>,
    keys: Vec<Vec<u8>>,
    quorum: Option<Quorum>,
}

impl TlogPolicy {
    /// Reads a file.
    pub fn parse(bytes: &[u8]) -> Result<Self, TlogPolicyError> {
        let at = |line: usize| move |why: String| TlogPolicyError { line, why };
        if bytes.len() > BYTES_MAX {
            return Err(at(1)("the file is too long".to_owned()));
        }
        let mut reading = Reading::default();
        let mut last = 1;
        for (line, number) in bytes.split(|byte| *byte == b'\n').zip(1..) {
            let allowed = |byte: &u8| matches!(*byte, b'\t' | 0x20..=0x7e | 0x80..);
            if !line.iter().all(allowed) {
                return Err(at(number)("it holds a control character".to_owned()));
            }
            let words = line.split(|byte| matches!(byte, b' ' | b'\t'));
            let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
            if words.first().is_some_and(|word| !word.starts_with(b"#")) {
                reading.line(&words).map_err(at(number))?;
                last = number;
            }
        }
        reading.end().map_err(at(last))
    }
}

impl Reading {
    fn line(&mut self, words: &[&[u8]]) -> Result<(), String> {
        match words {
            [b"log", vkey] | [b"log", vkey, _] => {
                let key = self.key(vkey)?;
                self.logs
                    .push(key.ok_or("the log's key is of no known type")?);
                Ok(())
            }
            [b"witness", name, vkey] | [b"witness", name, vkey, _] => {
                let key = self.key(vkey)?;
                self.define(name, Defined::Witness(key.map(Box::new)))
            }
            [b"group", name, threshold, members @ ..] if !members.is_empty() => {
                self.group(name, threshold, members)
            }
            [b"quorum", name] => {
                if self.quorum.is_some() {
                    return Err("there is a quorum already".to_owned());
                }
                let none = *name == b"none";
                if !none && !self.defined.contains_key(*name) {
                    return Err("the quorum names nothing that was defined before".to_owned());
                }
                self.quorum = Some(if none {
                    Quorum::Nobody
                } else {
                    Quorum::Name(name.to_vec())
                });
                Ok(())
            }
            _ => Err("it is no line of a tlog-policy".to_owned()),
        }
    }

    /// A key by its text; of a type that is not known here it is `None`, and still counts as one.
    fn key(&mut self, vkey: &[u8]) -> Result<Option<VerifierKey>, String> {
        let text = str::from_utf8(vkey).unwrap_or_default();
        let key = text.parse::<VerifierKey>().ok();
        let form = text.splitn(3, '+').filter(|part| !part.is_empty()).count() == 3;
        if key.is_none() && !form {
            return Err("not a verifier key of the form name+id+key".to_owned());
        }
        // Duplicates are told by the key itself, whatever its name.
        let id = key
            .as_ref()
            .map_or_else(|| vkey.to_vec(), |key| key.key().as_bytes().to_vec());
        if self.keys.contains(&id) {
            return Err("the key was named before".to_owned());
        }
        self.keys.push(id);
        Ok(key)
    }

    fn define(&mut self, name: &[u8], defined: Defined) -> Result<(), String> {
        if name == b"none" || self.defined.contains_key(name) {
            return Err("the name is taken".to_owned());
        }
        self.defined.insert(name.to_vec(), defined);
        Ok(())
    }

    fn group(&mut self, name: &[u8], threshold: &[u8], members: &[&[u8]]) -> Result<(), String> {
        for member in members {
            if !self.defined.contains_key(*member) {
                return Err("the group names nothing that was defined before".to_owned());
            }
            if self.members.iter().any(|known| known == member) {
                return Err("a member is in a group already".to_owned());
            }
            self.members.push(member.to_vec());
        }
        let count = members.len();
        let number = match threshold {
            b"any" => Some(1),
            b"all" => Some(count),
            _ => str::from_utf8(threshold)
                .ok()
                .and_then(|it| it.parse().ok()),
        };
        let number = number.filter(|number| (1..=count).contains(number));
        let number =
            number.ok_or("the threshold is not all, any, or 1 to the number of members")?;
        let members = members.iter().map(|member| member.to_vec()).collect();
        self.define(name, Defined::Group(number, members))
    }

    fn end(self) -> Result<TlogPolicy, String> {
        let quorum = self.quorum.as_ref().ok_or("there is no quorum line")?;
        let witnesses = match quorum {
            Quorum::Nobody => None,
            Quorum::Name(name) => {
                let (number, members) = match self.defined.get(name) {
                    Some(Defined::Group(number, members)) => (*number, members.clone()),
                    _ => (1, vec![name.clone()]),
                };
                let keys = members.iter().map(|member| self.witness(member));
                let keys = keys.collect::<Result<Vec<_>, _>>()?;
                let cosigners = Cosigners::new(keys, number);
                Some(cosigners.map_err(|error| error.to_string())?)
            }
        };
        Ok(TlogPolicy {
            logs: self.logs,
            witnesses,
        })
    }

    fn witness(&self, name: &[u8]) -> Result<VerifierKey, String> {
        let text = String::from_utf8_lossy(name);
        match self.defined.get(name) {
            Some(Defined::Witness(Some(key))) => Ok((**key).clone()),
            Some(Defined::Witness(None)) => Err(format!(
                "the quorum takes witness {text}, whose key is of a type not known here"
            )),
            _ => Err(format!(
                "the quorum takes group {text} within a group; a trust file counts witnesses alone"
            )),
        }
    }
}

/// A ledger's trust in this form.
pub fn encode(trust: &Trust) -> String {
    let cosigners = trust.witnesses();
    let names: Vec<_> = (1..=cosigners.keys().len())
        .map(|number| format!("w{number}"))
        .collect();
    let mut lines = vec![format!("log {}", trust.log_key())];
    let pairs = names.iter().zip(cosigners.keys());
    lines.extend(pairs.map(|(name, key)| format!("witness {name} {key}")));
    if names.is_empty() {
        lines.push("quorum none".to_owned());
    } else {
        let (quorum, names) = (cosigners.quorum(), names.join(" "));
        lines.push(format!("group witnesses {quorum} {names}"));
        lines.push("quorum witnesses".to_owned());
    }
    lines.push(String::new());
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use cairn_proto::{
        key::{SecretKey, Signer as _},
        note::{SignatureType, VerifierKey},
        trust::Cosigners,
    };

    use super::{TlogPolicy, encode};
    use crate::test::Log;

    fn key(seed: u8) -> VerifierKey {
        let secret = SecretKey::from_seed(&[seed; 32]).unwrap();
        let name = format!("w{seed}.example");
        VerifierKey::new(&name, SignatureType::Cosignature, secret.public_key()).unwrap()
    }

    /// Goal: what is written is read back as it was.
    #[test]
    fn a_trust_survives_the_form() {
        let alone = Log::new(1).trust();
        let read = TlogPolicy::parse(encode(&alone).as_bytes()).unwrap();
        assert_eq!(read.witnesses, None);
        assert_eq!(read.logs, [alone.log_key().clone()]);
        let witnesses = Cosigners::new(vec![key(7), key(8), key(9)], 2).unwrap();
        let trust = alone.with_witnesses(witnesses.clone()).unwrap();
        let read = TlogPolicy::parse(encode(&trust).as_bytes()).unwrap();
        assert_eq!(read.witnesses, Some(witnesses));
    }

    /// Goal: the form's own example shapes are read, and what it forbids is refused at its line.
    #[test]
    fn every_line_is_judged() {
        let (one, two) = (key(7), key(8));
        let both = format!("# two\n\twitness a {one} https://a.example/w\n\nwitness b {two}\n");
        for (rest, quorum) in [
            ("group g any a b\nquorum g\n", 1),
            ("group g all a b\nquorum g\n", 2),
            ("group g 2 a b\nquorum g", 2),
            ("quorum b\n", 1),
        ] {
            let read = TlogPolicy::parse(format!("{both}{rest}").as_bytes()).unwrap();
            assert_eq!(read.witnesses.unwrap().quorum(), quorum, "{rest}");
        }
        for (rest, line) in [
            ("quorum c\n", 5),
            ("group g 3 a b\nquorum g\n", 5),
            ("group g 0 a b\nquorum g\n", 5),
            ("group none any a\nquorum none\n", 5),
            ("group g any a\ngroup h any a b\nquorum h\n", 6),
            ("group g any a\ngroup h any g b\nquorum h\n", 7),
            ("quorum none\nquorum none\n", 6),
            ("group g any a b\n", 5),
            ("quorum\x01 a\n", 5),
            ("witness a2 w9+00000000+AAAA\nquorum a2\n", 6),
            ("cosigner a\nquorum a\n", 5),
        ] {
            let error = TlogPolicy::parse(format!("{both}{rest}").as_bytes()).unwrap_err();
            assert_eq!(error.line, line, "{rest}: {error}");
        }
        let twice = format!("{both}witness c {one}\nquorum c\n");
        assert!(TlogPolicy::parse(twice.as_bytes()).is_err());
    }
}
