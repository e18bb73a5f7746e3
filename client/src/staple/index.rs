//! `index.json` as text: where its descriptors stand, without staples, and with others.
//!
//! Invariant: taking staples out and putting them in moves no other byte. A staple is taken
//! out together with the comma before it, and only where it is spelled as
//! [`super::form::Claim`] spells it; so what is left is what was there before.

use std::{collections::BTreeSet, ops::Range};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    STAPLES_MAX,
    form::{BUNDLE, Claim},
};

#[derive(Deserialize)]
struct Top<'a> {
    #[serde(borrow)]
    manifests: Vec<&'a RawValue>,
}

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
    /// Where staples stand, each with the comma before it.
    cut: Vec<Range<usize>>,
}

impl<'a> Index<'a> {
    /// Reads an index; `None` if it is none that could be added to.
    pub(crate) fn read(text: &'a str) -> Option<Self> {
        let top: Top<'a> = serde_json::from_str(text).ok()?;
        let mut index = Self {
            text,
            others: Vec::new(),
            staples: Vec::new(),
            odd: 0,
            cut: Vec::new(),
        };
        for descriptor in top.manifests {
            let descriptor = descriptor.get();
            let typed: Option<Typed> = serde_json::from_str(descriptor).ok();
            let stated = typed.and_then(|typed| typed.artifact_type);
            if stated.as_deref() != Some(BUNDLE) {
                index.others.push(descriptor);
                continue;
            }
            let place = index.with_comma(descriptor);
            match (Claim::read(descriptor), place) {
                (Some(claim), Some(place)) if index.staples.len() < STAPLES_MAX => {
                    index.staples.push(claim);
                    index.cut.push(place);
                }
                _ => index.odd += 1,
            }
        }
        Some(index)
    }

    /// Where a descriptor stands, with the comma that must be right before it.
    fn with_comma(&self, descriptor: &str) -> Option<Range<usize>> {
        let end = self.end_of(descriptor)?;
        let start = end.checked_sub(descriptor.len())?.checked_sub(1)?;
        let found = self.text.get(start..end)?;
        (found.strip_prefix(',') == Some(descriptor)).then_some(start..end)
    }

    /// Where a descriptor ends: it is a part of the text.
    fn end_of(&self, descriptor: &str) -> Option<usize> {
        let start = descriptor.as_ptr().addr();
        let start = start.checked_sub(self.text.as_ptr().addr())?;
        let end = start.checked_add(descriptor.len())?;
        (self.text.get(start..end) == Some(descriptor)).then_some(end)
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
        let at = bare.end_of(bare.others.last()?)?;
        let texts = staples.iter().map(|(_, _, text)| format!(",{text}"));
        text.insert_str(at, &texts.collect::<String>());
        Some(text)
    }
}
