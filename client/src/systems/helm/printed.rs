//! A release as `helm get all` prints it for people: its parts stand one behind the other, each
//! below a heading that values, objects and notes could hold as well.
//!
//! Values and hooks are texts here, and compared as the texts that helm prints of the release
//! that runs: what their YAML means is not asked. Invariant: a part that could begin or end at
//! two places is none, and nothing is taken.

use granit_parser::Parser;

use super::{
    Id, input,
    release::{Release, Told},
};
use crate::{detail::printable, sources::SourceError};

/// What it begins with.
const BEGINS: &[u8] = b"NAME: ";
/// The headings of the parts behind the first, in their order.
const HEADINGS: [&str; 4] = [
    "USER-SUPPLIED VALUES:",
    "COMPUTED VALUES:",
    "HOOKS:",
    "MANIFEST:",
];
/// The heading of what may stand behind all of them.
const NOTES: &str = "NOTES:";

/// Reads a release; `None` if it is not printed so.
pub(super) fn read(from: &str, bytes: &[u8]) -> Result<Option<Release>, SourceError> {
    let wrong = |why: String| {
        let why = format!("as what `helm get all` prints: {why}: give the release's Secret");
        input(from, &printable(&why))
    };
    if !bytes.starts_with(BEGINS) {
        if memchr::memmem::find(bytes, HEADINGS[0].as_bytes()).is_none() {
            return Ok(None);
        }
        let why = "something stands before its first line: keep what helm prints, and not what \
                   it complains of";
        return Err(wrong(why.to_owned()));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| wrong(error.to_string()))?;
    parse(text).map(Some).map_err(wrong)
}

fn parse(text: &str) -> Result<Release, String> {
    if text.contains('\r') {
        return Err("it has carriage returns, its own or those of another program".to_owned());
    }
    let [head, values, _computed, hooks, rest] = parts(text)?;
    let manifest = match lines(rest, NOTES).as_slice() {
        [] => rest,
        // helm prints no heading where there are no notes: it may be a chart's own line.
        [(_, behind)] if could_be_objects(rest, *behind) => {
            return Err(format!("what stands below {NOTES} could be objects"));
        }
        [(at, _)] => rest.get(..*at).unwrap_or_default(),
        _ => return Err(format!("{NOTES} stands there twice")),
    };
    let whole = manifest == "\n" || manifest.ends_with("\n\n");
    if !whole {
        return Err("its manifest is cut, or ends within a line".to_owned());
    }
    let of = |key: &str| {
        let mut own = head.lines().filter_map(|line| line.strip_prefix(key));
        match (own.next(), own.next()) {
            (Some(value), None) => Ok(value.to_owned()),
            (None, _) => Err(format!("it has no {key}... (helm prints all from 3.17 on)")),
            _ => Err(format!("{key}stands there twice")),
        }
    };
    let id = Id::new(&of("NAMESPACE: ")?, &of("NAME: ")?);
    let revision = of("REVISION: ")?.parse();
    Ok(Release {
        id: id.ok_or("its name is one that Helm does not allow")?,
        status: of("STATUS: ")?,
        revision: revision.map_err(|_| "its revision is no number")?,
        rollback_to: None,
        chart: [of("CHART: ")?, of("VERSION: ")?, of("APP_VERSION: ")?],
        manifest: without_end(manifest)?,
        told: Told::Printed {
            values: without_end(values)?,
            hooks: hooks.to_owned(),
        },
    })
}

/// What stands before the first heading, and below each.
fn parts(text: &str) -> Result<[&str; 5], String> {
    let mut parts = [""; 5];
    let mut from = 0;
    for (part, heading) in HEADINGS.into_iter().enumerate() {
        let found = lines(text, heading);
        let [(at, behind)] = found.as_slice() else {
            let why = if found.is_empty() {
                "is missing"
            } else {
                "stands there twice"
            };
            return Err(format!("{heading} {why}"));
        };
        let own = text.get(from..*at);
        parts[part] = own.ok_or_else(|| format!("{heading} is not in its place"))?;
        from = *behind;
    }
    parts[4] = text.get(from..).unwrap_or_default();
    Ok(parts)
}

/// Whether what stands behind a heading could go on what stands before it: it begins another
/// document, or it has what could be a member of an object, and all is one stream of YAML.
fn could_be_objects(rest: &str, behind: usize) -> bool {
    let notes = rest.get(behind..).unwrap_or_default();
    let begins = |line: &str| {
        let document = line.strip_prefix("---");
        document.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t']))
            || line.starts_with("# Source:")
    };
    let mut events = Parser::new_from_str(rest);
    let mut is_yaml = || events.all(|event| event.is_ok());
    notes.lines().any(begins) || (notes.lines().any(could_be_member) && is_yaml())
}

/// Whether a line could begin a member of an object of Kubernetes: their names have no spaces.
fn could_be_member(line: &str) -> bool {
    let first = line.chars().next().unwrap_or(' ');
    if first.is_whitespace() || first == '#' {
        return false;
    }
    let key = line.split_once(':').map(|(key, _)| key.trim_end());
    "\"'?!&*{[%".contains(first) || key.is_some_and(|key| !key.contains(char::is_whitespace))
}

/// Where a line stands: its beginning, and what comes behind it.
fn lines(text: &str, line: &str) -> Vec<(usize, usize)> {
    let mut at = 0;
    let mut found = Vec::new();
    for own in text.split_inclusive('\n') {
        let behind = at + own.len();
        if own.strip_suffix('\n') == Some(line) {
            found.push((at, behind));
        }
        at = behind;
    }
    found
}

/// helm ends both values and manifest with a line end that is not theirs.
fn without_end(text: &str) -> Result<String, String> {
    let own = text.strip_suffix('\n').ok_or("it is cut")?;
    Ok(own.to_owned())
}
