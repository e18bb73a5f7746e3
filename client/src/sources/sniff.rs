//! Which files are withheld by default: `.env*`, private keys, Kubernetes Secret objects, and the
//! states and plans of Terraform, which hold all values in clear.
//!
//! This decides whether bytes leave the machine, so it errs towards withholding. Names
//! decide first. Then the text is scanned to its end, whatever its length, for private
//! keys and for a `kind` whose value is `Secret`, in every spelling of YAML and JSON that
//! puts both in clear; and where a word `Secret` or an escape that could spell it stands
//! elsewhere, the text is parsed. YAML or JSON that cannot be parsed and holds such a word
//! is withheld. Out of scope: secrets within archives, images and other binary files, and
//! values that nothing around them calls secret.

use memchr::memmem::{find, find_iter};
use serde_json::Value;

use crate::detail;

/// Bytes in which a text shows that it is not one: as `grep` and `git` look.
const BINARY_PROBE_BYTES: usize = 8 << 10;
/// Bytes kept of what was scanned, so that nothing hides across two reads; what stretches
/// further than that is taken for the worst.
const CARRY_BYTES: usize = 4 << 10;
/// Names of private keys as `ssh-keygen` gives them.
const KEY_NAMES: [&str; 6] = [
    "id_rsa",
    "id_dsa",
    "id_ecdsa",
    "id_ecdsa_sk",
    "id_ed25519",
    "id_ed25519_sk",
];
/// Endings of files that hold private keys, whatever their encoding.
const KEY_ENDINGS: [&str; 7] = [
    ".key",
    ".p12",
    ".pfx",
    ".ppk",
    ".jks",
    ".keystore",
    ".pkcs12",
];
/// Members of Terraform's states, plans, and what it shows of both.
const OF_STATES: [&str; 3] = ["\"lineage\"", "\"root_module\"", "\"planned_values\""];
/// Bytes in which a raw plan shows.
const PLAN_HEAD_BYTES: usize = 36;
/// Endings of files that Kubernetes' tools read.
const OBJECT_ENDINGS: [&str; 3] = [".yaml", ".yml", ".json"];

/// Whether the name alone tells that a file is a secret.
pub(super) fn is_secret_by_name(name: &str) -> bool {
    let base = name.rsplit('/').next().unwrap_or(name).to_ascii_lowercase();
    base.starts_with(".env")
        || KEY_NAMES.contains(&base.as_str())
        || KEY_ENDINGS.iter().any(|ending| base.ends_with(ending))
        || base.ends_with(".tfstate")
        || base.contains(".tfstate.")
}

/// Whether bytes that are at hand are a secret, by their name or by what they hold.
pub(crate) fn looks_secret(name: &str, bytes: &[u8]) -> bool {
    let mut sniffer = Sniffer::new(name, name);
    sniffer.update(bytes);
    is_secret_by_name(name) || sniffer.finish()
}

/// Looks at a file's bytes while they are read.
pub(super) struct Sniffer {
    /// Whether the name says YAML or JSON.
    object: bool,
    /// Whether the bytes are text; unknown before the first of them.
    text: Option<bool>,
    /// The end of what was scanned before, then what is scanned now.
    window: Vec<u8>,
    /// All of the text while it is short enough to be parsed.
    kept: Option<Vec<u8>>,
    /// A secret was found.
    found: bool,
    /// Something that could be one, if it stands in the right place.
    hint: bool,
    /// What Terraform's JSON says of itself, and what only a state or a plan has.
    terraform: (bool, bool),
    /// The first bytes of all.
    head: Vec<u8>,
}

impl Sniffer {
    /// For a file of that name, which may have another on disk.
    pub(super) fn new(name: &str, on_disk: &str) -> Self {
        let is_object = |name: &str| {
            let lower = name.to_ascii_lowercase();
            OBJECT_ENDINGS.iter().any(|ending| lower.ends_with(ending))
        };
        Self {
            object: is_object(name) || is_object(on_disk),
            text: None,
            window: Vec::new(),
            kept: Some(Vec::new()),
            found: false,
            hint: false,
            terraform: (false, false),
            head: Vec::new(),
        }
    }

    /// Takes the next bytes.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        let object = self.object;
        let missing = PLAN_HEAD_BYTES - self.head.len();
        self.head.extend(bytes.iter().take(missing));
        self.found |= is_plan(&self.head);
        if self.found || !*self.text.get_or_insert_with(|| object || is_text(bytes)) {
            return;
        }
        // UTF-16 is legal YAML: without its zero bytes, ASCII reads the same.
        let fresh = self.window.len();
        self.window
            .extend(bytes.iter().copied().filter(|byte| *byte != 0));
        if let Some(kept) = &mut self.kept {
            kept.extend_from_slice(self.window.get(fresh..).unwrap_or_default());
            if kept.len() > detail::TEXT_BYTES_MAX {
                self.kept = None;
            }
        }
        let has = |word: &&str| find(&self.window, word.as_bytes()).is_some();
        self.terraform.0 |= has(&"\"terraform_version\"");
        self.terraform.1 |= OF_STATES.iter().any(has);
        let of_terraform = self.terraform == (true, true);
        self.found = of_terraform || has_private_key(&self.window) || has_secret_kind(&self.window);
        self.hint = self.hint || has_hint(&self.window);
        let scanned = self.window.len().saturating_sub(CARRY_BYTES);
        self.window.drain(..scanned);
    }

    /// Whether the file is a secret.
    pub(super) fn finish(self) -> bool {
        if self.found || !self.hint {
            return self.found;
        }
        match self.kept.as_deref().and_then(detail::parse_documents) {
            Some(documents) => documents.iter().any(holds_secret),
            None => self.object,
        }
    }
}

fn is_text(bytes: &[u8]) -> bool {
    let probe = bytes.get(..BINARY_PROBE_BYTES).unwrap_or(bytes);
    probe.starts_with(&[0xff, 0xfe]) || probe.starts_with(&[0xfe, 0xff]) || !probe.contains(&0)
}

/// Whether bytes begin as a raw plan of Terraform: an archive whose first file has that name.
fn is_plan(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04")
        && bytes.get(26..28) == Some(&[6, 0])
        && bytes.get(30..36) == Some(b"tfplan")
}

/// A PEM block of any kind of private key, or a key as `age` and `PuTTY` write it.
fn has_private_key(window: &[u8]) -> bool {
    let pem = find_iter(window, b"PRIVATE KEY").any(|at| {
        let line = window.get(at.saturating_sub(48)..at).unwrap_or_default();
        let rest = window.get(at + b"PRIVATE KEY".len()..).unwrap_or_default();
        find(line, b"-----BEGIN ").is_some()
            && (rest.starts_with(b"-----") || rest.starts_with(b" BLOCK-----"))
    });
    pem || find(window, b"AGE-SECRET-KEY-1").is_some()
        || find(window, b"PuTTY-User-Key-File-").is_some()
}

/// Whether some `kind` has the value `Secret`.
fn has_secret_kind(window: &[u8]) -> bool {
    find_iter(window, b"kind").any(|at| {
        let rest = window.get(at + b"kind".len()..).unwrap_or_default();
        match value_of_kind(rest) {
            Some(verdict) => verdict,
            // The window ends before the value does. It comes again with the next bytes,
            // unless the value is so far away that somebody hides it.
            None => rest.len() > CARRY_BYTES / 2,
        }
    })
}

/// Whether what follows a `kind` makes it a Secret; `None` if that is not in the window.
fn value_of_kind(rest: &[u8]) -> Option<bool> {
    let filler = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b'\\');
    let mut at = rest.iter().position(|byte| !filler(byte))?;
    if rest.get(at) != Some(&b':') {
        return Some(false);
    }
    at += 1;
    loop {
        let here = rest.get(at..)?;
        let next = *here.first()?;
        let until = |stop: &dyn Fn(&u8) -> bool| here.iter().position(stop);
        at += match next {
            b'\\' if hides_letters(here)? => return Some(true),
            byte if filler(&byte) => 1,
            b'#' => until(&|byte| matches!(byte, b'\n' | b'\r'))?,
            b'&' => until(&|byte| byte.is_ascii_whitespace())?,
            b'!' => {
                let tag = here.get(..until(&|byte| byte.is_ascii_whitespace())?)?;
                if find(tag, b"binary").is_some() {
                    return Some(true);
                }
                tag.len()
            }
            b'>' | b'|' => until(&|byte| byte.is_ascii_whitespace())?,
            // An alias may stand for anything.
            b'*' => return Some(true),
            _ => break,
        };
    }
    let word = rest.get(at..)?;
    let length = word.iter().position(|byte| !in_word(*byte))?;
    let hidden = word.get(length) == Some(&b'\\') && hides_letters(word.get(length..)?)?;
    Some(hidden || matches!(word.get(..length)?, b"Secret" | b"SecretList"))
}

/// Whether a backslash begins an escape that can stand for a letter, or for nothing.
fn hides_letters(escape: &[u8]) -> Option<bool> {
    Some(matches!(escape.get(1)?, b'u' | b'U' | b'x' | b'\n' | b'\r'))
}

fn in_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/')
}

/// A word `Secret`, or a spelling that could yield one: worth parsing.
fn has_hint(window: &[u8]) -> bool {
    let bounded = |at: usize| {
        let before = at.checked_sub(1).and_then(|place| window.get(place));
        let rest = window.get(at + b"Secret".len()..).unwrap_or_default();
        let after = rest.strip_prefix(b"List").unwrap_or(rest).first();
        !before.is_some_and(|byte| in_word(*byte)) && !after.is_some_and(|byte| in_word(*byte))
    };
    let letter = |at: usize| {
        let escape = window.get(at + 1..).unwrap_or_default();
        let high = |place: usize| matches!(escape.get(place), Some(b'4'..=b'7'));
        match escape.first() {
            Some(b'x') => high(1),
            Some(b'u') => escape.get(1..3) == Some(b"00") && high(3),
            Some(b'U') => escape.get(1..7) == Some(b"000000") && high(7),
            Some(b'\n' | b'\r') => true,
            _ => false,
        }
    };
    find_iter(window, b"Secret").any(bounded)
        || memchr::memchr_iter(b'\\', window).any(letter)
        || find(window, b"!!binary").is_some()
        || find(window, b"yaml.org,2002:binary").is_some()
}

/// Whether any object within is a Secret, at any depth: lists of objects hold them too.
fn holds_secret(value: &Value) -> bool {
    match value {
        Value::Array(values) => values.iter().any(holds_secret),
        Value::Object(members) => {
            let kind = members.get("kind").and_then(Value::as_str);
            matches!(kind, Some("Secret" | "SecretList")) || members.values().any(holds_secret)
        }
        _ => false,
    }
}
