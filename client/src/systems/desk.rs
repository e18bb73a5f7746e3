//! Where an adapter lays down what it found.
//!
//! Invariants: a name is one that a manifest holds, whatever the tool calls the thing; a value
//! that was withheld is in nothing that leaves here; recording without a key to withhold with
//! is an error, observing without it leaves the value unknown.

use std::{collections::BTreeSet, fmt::Write as _};

use bytes::Bytes as Buffer;
use cairn_proto::{
    manifest::{Artifact, ArtifactKind, Bytes, Digests, Withheld},
    name::ArtifactName,
    reason::Reason,
};
use serde_json::Value;

use super::strict::any_text;
use crate::{
    compare::UNKNOWN,
    detail::printable,
    sources::{
        Capture, Content, ContentSource, Covered, SourceError, TagContext, Unmeasured, looks_secret,
    },
};

/// What an adapter found so far.
pub struct Desk<'a> {
    system: &'static str,
    tags: Option<&'a TagContext>,
    recording: bool,
    objects: Vec<(ArtifactName, &'static str, Value)>,
    inputs: Vec<(Artifact, Option<Content>)>,
    withheld: Vec<ArtifactName>,
    tags_made: BTreeSet<String>,
    unmeasured: Vec<Unmeasured>,
    notes: Vec<String>,
    /// Which names what was given speaks for, and how many of them are of what was read before.
    covered: Vec<Covered>,
    covered_before: usize,
}

impl<'a> Desk<'a> {
    pub(super) fn new(system: &'static str, tags: Option<&'a TagContext>, recording: bool) -> Self {
        Self {
            system,
            tags,
            recording,
            objects: Vec::new(),
            inputs: Vec::new(),
            withheld: Vec::new(),
            tags_made: BTreeSet::new(),
            unmeasured: Vec::new(),
            notes: Vec::new(),
            covered: Vec::new(),
            covered_before: 0,
        }
    }

    /// Whether it is for the ledger: then nothing more than that is to be laid down.
    pub fn is_recording(&self) -> bool {
        self.recording
    }

    /// The artifact's name of a thing that the tool knows by several words.
    pub fn name(&self, words: &[&str]) -> Result<ArtifactName, SourceError> {
        let mut name = self.system.to_owned();
        for word in words {
            name.push('/');
            name.push_str(&segment(word));
        }
        name.parse().map_err(|_| SourceError::Name {
            path: printable(&name),
        })
    }

    /// Lays down what the tool says of one thing.
    pub fn object(&mut self, name: ArtifactName, media_type: &'static str, value: Value) {
        self.objects.push((name, media_type, value));
    }

    /// What was laid down under a name.
    pub(super) fn laid(&mut self, name: &ArtifactName) -> Option<&mut Value> {
        let mut objects = self.objects.iter_mut();
        objects.find_map(|(own, _, value)| (own == name).then_some(value))
    }

    /// Says that what was given speaks for the names below this one. Without a word of it, it
    /// speaks for all of the system's.
    pub(super) fn speaks_for(&mut self, words: &[&str]) -> Result<(), SourceError> {
        self.covered.push(Covered::Under(self.name(words)?));
        Ok(())
    }

    /// Says that what was given speaks for that name.
    pub(super) fn speaks_for_one(&mut self, name: &ArtifactName) {
        self.covered.push(Covered::Exactly(name.clone()));
    }

    /// Says that something that was given is read.
    pub(super) fn has_read(&mut self) -> Result<(), SourceError> {
        if self.covered.len() == self.covered_before {
            self.speaks_for(&[])?;
        }
        self.covered_before = self.covered.len();
        Ok(())
    }

    /// Lays down bytes that the release was made from. What looks like a secret is withheld.
    pub fn input(&mut self, words: &[&str], bytes: Vec<u8>) -> Result<(), SourceError> {
        let name = self.input_name(words)?;
        if looks_secret(name.as_str(), &bytes) {
            return self.secret_input(words, &bytes);
        }
        let (bytes, content) = stored(bytes);
        self.lay_input(name, bytes, Some(content));
        Ok(())
    }

    /// Lays down such bytes that may hold a secret, whether they look like it or not.
    pub fn secret_input(&mut self, words: &[&str], bytes: &[u8]) -> Result<(), SourceError> {
        let name = self.input_name(words)?;
        let tags = self.key_for(&name)?;
        let mut tagger = tags.key.tagger(&tags.environment, &name, "", length(bytes));
        tagger.update(bytes);
        self.withheld.push(name.clone());
        self.lay_input(name, Bytes::Withheld(tagger.finish()), None);
        Ok(())
    }

    fn input_name(&self, words: &[&str]) -> Result<ArtifactName, SourceError> {
        let mut all = vec!["input"];
        all.extend_from_slice(words);
        self.name(&all)
    }

    fn lay_input(&mut self, name: ArtifactName, bytes: Bytes, content: Option<Content>) {
        let content = content.filter(|content| content.size > 0);
        let artifact = identified(name, ArtifactKind::Input, bytes);
        self.inputs.push((artifact, content));
    }

    /// Says that a name, which is never to be given to anything else, stands for these bytes.
    pub fn named(
        &mut self,
        words: &[&str],
        digests: Digests,
        size: u64,
    ) -> Result<(), SourceError> {
        let mut all = vec!["name"];
        all.extend_from_slice(words);
        let bytes = Bytes::External { digests, size };
        let name = self.name(&all)?;
        let artifact = identified(name, ArtifactKind::Name, bytes);
        self.inputs.push((artifact, None));
        Ok(())
    }

    /// What stands in an object for a value that must not be guessable from the ledger.
    pub fn withhold(
        &mut self,
        name: &ArtifactName,
        pointer: &str,
        value: &[u8],
    ) -> Result<Value, SourceError> {
        if self.tags.is_none() && !self.recording {
            self.tags_made.insert(UNKNOWN.to_owned());
            return Ok(Value::from(UNKNOWN));
        }
        let tags = self.key_for(name)?;
        let mut tagger = tags
            .key
            .tagger(&tags.environment, name, pointer, length(value));
        tagger.update(value);
        let withheld = tagger.finish();
        if self.withheld.last() != Some(name) {
            self.withheld.push(name.clone());
        }
        let text = withheld.in_object();
        self.tags_made.insert(text.clone());
        Ok(Value::from(text))
    }

    fn key_for(&self, name: &ArtifactName) -> Result<&'a TagContext, SourceError> {
        self.tags.ok_or_else(|| SourceError::KeyNeeded {
            name: name.to_string(),
        })
    }

    /// What stands for a secret value that the tool does not tell.
    pub fn untold(&mut self) -> Value {
        self.tags_made.insert(UNKNOWN.to_owned());
        Value::from(UNKNOWN)
    }

    /// How many things a secret was withheld from so far.
    pub(super) fn withheld_so_far(&self) -> usize {
        self.withheld.len()
    }

    /// Says that something of what was recorded could not be observed, and why.
    pub fn unmeasured(&mut self, name: &ArtifactName, reason: Reason, why: impl Into<String>) {
        self.unmeasured.push(Unmeasured {
            name: Some(name.clone()),
            shown: printable(name.as_str()),
            mode: None,
            reason,
            why: printable(&why.into()),
        });
    }

    /// Tells people something.
    pub fn note(&mut self, text: impl AsRef<str>) {
        self.notes.push(printable(text.as_ref()));
    }

    /// A text that looks like a tag is one that was made here.
    fn check_tags(&self) -> Result<(), SourceError> {
        let forged =
            |(_, _, value): &&(ArtifactName, &str, Value)| has_forged(value, &self.tags_made);
        match self.objects.iter().find(forged) {
            None => Ok(()),
            Some((name, ..)) => Err(SourceError::Input {
                what: printable(name.as_str()),
                why: format!(
                    "it has a text that begins with {}, which stands for a secret",
                    Withheld::IN_OBJECT
                ),
            }),
        }
    }

    /// Lays all of it beside what was captured before.
    pub(super) fn finish(mut self, onto: &mut Capture) -> Result<(), SourceError> {
        let clash = |name: &ArtifactName| SourceError::Clash {
            name: printable(name.as_str()),
        };
        if self.recording {
            self.check_tags()?;
        } else {
            // What was found and only spells a tag is a text, and no value of a secret.
            for (_, _, value) in &mut self.objects {
                disown(value, &self.tags_made);
            }
        }
        self.objects.sort_by(|left, right| left.0.cmp(&right.0));
        let pairs = self.objects.windows(2);
        for pair in pairs {
            if let [one, other] = pair
                && one.0 == other.0
            {
                return Err(SourceError::Input {
                    what: printable(one.0.as_str()),
                    why: "it is there twice".to_owned(),
                });
            }
        }
        if let Some(other) = onto.artifacts.iter().find(|other| {
            let name = other.name.as_str();
            let below = name.strip_prefix(self.system);
            below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        }) {
            return Err(clash(&other.name));
        }
        onto.objects_found += self.objects.len();
        let inputs = self.inputs.iter();
        let inputs = inputs.filter(|(artifact, _)| artifact.kind == ArtifactKind::Input);
        onto.inputs += inputs.count();
        for (name, media_type, value) in self.objects {
            let (bytes, content) = stored(encode(&value));
            if self.recording {
                onto.contents.push(content);
            } else if let ContentSource::Bytes(bytes) = content.source {
                // As bytes: taken apart it is ten times as large.
                onto.objects.insert(name.clone(), bytes);
            }
            onto.artifacts.push(Artifact {
                name,
                kind: ArtifactKind::Object,
                media_type: Some(media_type.to_owned()),
                mode: None,
                parent: None,
                platform: None,
                bytes,
            });
        }
        for (artifact, content) in self.inputs {
            onto.artifacts.push(artifact);
            onto.contents.extend(content);
        }
        onto.withheld.append(&mut self.withheld);
        onto.unmeasured.append(&mut self.unmeasured);
        onto.notes.append(&mut self.notes);
        onto.covered.append(&mut self.covered);
        onto.sort();
        Ok(())
    }
}

fn identified(name: ArtifactName, kind: ArtifactKind, bytes: Bytes) -> Artifact {
    Artifact {
        name,
        kind,
        media_type: None,
        mode: None,
        parent: None,
        platform: None,
        bytes,
    }
}

fn has_forged(value: &Value, made: &BTreeSet<String>) -> bool {
    any_text(value, &|text| {
        text.starts_with(Withheld::IN_OBJECT) && !made.contains(text)
    })
}

/// Recursion is bounded by the parser's limit on depth.
fn disown(value: &mut Value, made: &BTreeSet<String>) {
    match value {
        Value::String(text) if text.starts_with(Withheld::IN_OBJECT) && !made.contains(text) => {
            text.insert_str(0, "text ");
        }
        Value::Array(items) => items.iter_mut().for_each(|item| disown(item, made)),
        Value::Object(members) => members.values_mut().for_each(|item| disown(item, made)),
        _ => {}
    }
}

/// One spelling for one value: members by name, no white space.
fn encode(value: &Value) -> Vec<u8> {
    // A value that was read can be written.
    serde_json::to_vec(value).unwrap_or_default()
}

fn stored(bytes: Vec<u8>) -> (Bytes, Content) {
    let (digests, size) = (Digests::of(&bytes), length(&bytes));
    let content = Content {
        id: digests.blake3,
        size,
        source: ContentSource::Bytes(Buffer::from(bytes)),
    };
    (Bytes::Stored { digests, size }, content)
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

/// A word as one segment of a name: what a segment cannot hold is written `%XX`.
fn segment(word: &str) -> String {
    let mut segment = String::with_capacity(word.len());
    for letter in word.chars() {
        match letter {
            '%' | '/' | '#' => {
                let _ = write!(segment, "%{:02X}", u32::from(letter));
            }
            letter if letter.is_control() => {
                let _ = write!(segment, "%{:02X}", u32::from(letter));
            }
            letter => segment.push(letter),
        }
    }
    match segment.as_str() {
        "" => "%".to_owned(),
        "." => "%2E".to_owned(),
        ".." => "%2E%2E".to_owned(),
        _ => segment,
    }
}
