//! `index.json` as text: where its descriptors stand, without staples, and with others.
//!
//! Invariant: taking staples out and putting them in moves no other byte. A staple is taken
//! out together with the comma before it, and only where it is spelled as
//! [`super::form::Claim`] spells it; so what is left is what was there before.

use std::{collections::BTreeSet, ops::Range};

use serde::{
    Deserialize,
    de::{DeserializeOwned, IgnoredAny},
};

use super::{
    STAPLES_MAX,
    form::{BUNDLE, Claim},
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Typed {
    artifact_type: Option<String>,
}

/// An index whose descriptors are told apart.
#[derive(Debug, Clone)]
pub(crate) struct Index<'a> {
    text: &'a str,
    /// Descriptors that are not taken for staples.
    pub(crate) others: Vec<&'a str>,
    pub(crate) staples: Vec<Claim>,
    /// Descriptors that say they are staples and are not of that form.
    pub(crate) odd: usize,
    /// Where the last of the others ends.
    end: usize,
    /// Where staples stand, each with the comma before it.
    cut: Vec<Range<usize>>,
}

impl<'a> Index<'a> {
    /// Reads an index; `None` if it is none that could be added to.
    pub(crate) fn read(text: &'a str) -> Option<Self> {
        let mut index = Self {
            text,
            others: Vec::new(),
            staples: Vec::new(),
            odd: 0,
            end: 0,
            cut: Vec::new(),
        };
        for place in places(text)? {
            let descriptor = text.get(place.clone())?;
            let typed: Option<Typed> = serde_json::from_str(descriptor).ok();
            let stated = typed.and_then(|typed| typed.artifact_type);
            if stated.as_deref() != Some(BUNDLE) {
                index.others.push(descriptor);
                index.end = place.end;
                continue;
            }
            let comma = place.start.checked_sub(1);
            let comma = comma.filter(|at| text.get(*at..place.start) == Some(","));
            match (Claim::read(descriptor), comma) {
                (Some(claim), Some(comma)) if index.staples.len() < STAPLES_MAX => {
                    index.staples.push(claim);
                    index.cut.push(comma..place.end);
                }
                _ => index.odd += 1,
            }
        }
        Some(index)
    }

    /// The text without its staples: the very bytes from before the first was put in.
    pub(crate) fn without(&self) -> String {
        let mut text = String::with_capacity(self.text.len());
        let mut from = 0;
        for cut in &self.cut {
            text.push_str(self.text.get(from..cut.start).unwrap_or_default());
            from = cut.end;
        }
        text.push_str(self.text.get(from..).unwrap_or_default());
        text
    }

    /// The text with these staples and no others, after the last descriptor, in one order.
    pub(crate) fn with(&self, staples: &[Claim]) -> Option<String> {
        let mut text = self.without();
        let place = |it: &Claim| (it.environment.clone(), it.sequence, it.encode());
        let staples: BTreeSet<_> = staples.iter().map(place).collect();
        let bare = Index::read(&text)?;
        if bare.others.is_empty() {
            return None;
        }
        let at = bare.end;
        let texts = staples.iter().map(|(_, _, text)| format!(",{text}"));
        text.insert_str(at, &texts.collect::<String>());
        Some(text)
    }
}

/// Where the members of the one list `manifests` of an object stand.
///
/// Only brackets, colons and commas are told apart here; values are left to the JSON reader.
/// (Its raw values would say where they stand, but have it take one member's name for something
/// else in every document of the program.)
fn places(text: &str) -> Option<Vec<Range<usize>>> {
    let mut reader = Reader { text, at: 0 };
    let mut places = None;
    reader.list(b'{', b'}', |reader| {
        let (_, name) = reader.value::<String>()?;
        reader.take(b':')?;
        if name != "manifests" {
            return reader.value::<IgnoredAny>().map(drop);
        }
        let mut found = Vec::new();
        reader.list(b'[', b']', |reader| {
            found.push(reader.value::<IgnoredAny>()?.0);
            Some(())
        })?;
        places.replace(found).is_none().then_some(())
    })?;
    reader.rest().is_empty().then_some(places).flatten()
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    /// What comes next, without white space before it.
    fn rest(&mut self) -> &'a str {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let next = rest.trim_start_matches([' ', '\t', '\n', '\r']);
        self.at += rest.len() - next.len();
        next
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        let is_next = self.rest().as_bytes().first() == Some(&byte);
        self.at += usize::from(is_next);
        is_next.then_some(())
    }

    /// One value, and where it stands.
    fn value<T: DeserializeOwned>(&mut self) -> Option<(Range<usize>, T)> {
        let rest = self.rest();
        let mut values = serde_json::Deserializer::from_str(rest).into_iter();
        let value = values.next()?.ok()?;
        let start = self.at;
        self.at += values.byte_offset();
        Some((start..self.at, value))
    }

    /// Something between brackets, parted by commas.
    fn list(
        &mut self,
        open: u8,
        close: u8,
        mut one: impl FnMut(&mut Self) -> Option<()>,
    ) -> Option<()> {
        self.take(open)?;
        if self.take(close).is_some() {
            return Some(());
        }
        loop {
            one(self)?;
            if self.take(b',').is_none() {
                return self.take(close);
            }
        }
    }
}
