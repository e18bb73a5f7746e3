//! Text from files and names, made safe to show.
//!
//! Invariant: what leaves here holds no control character, no character that reorders or
//! hides text, and no invalid UTF-8, so that a file's bytes cannot drive a terminal.

use std::fmt::Write as _;

/// Text with every character escaped that could act on a terminal or mislead a reader.
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    text.chars().for_each(|letter| push(&mut out, letter));
    out
}

/// Bytes as text; what is not UTF-8 is written `\xNN`.
pub fn printable_bytes(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        chunk
            .valid()
            .chars()
            .for_each(|letter| push(&mut out, letter));
        for byte in chunk.invalid() {
            // Writing into a string cannot fail.
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

/// [`printable`], cut after `chars_max` characters of the text.
pub fn shortened(text: &str, chars_max: usize) -> String {
    let mut letters = text.chars();
    let mut out = String::new();
    letters
        .by_ref()
        .take(chars_max)
        .for_each(|letter| push(&mut out, letter));
    if letters.next().is_some() {
        out.push('…');
    }
    out
}

fn push(out: &mut String, letter: char) {
    match letter {
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        letter if acts(letter) => out.extend(letter.escape_unicode()),
        letter => out.push(letter),
    }
}

/// Control characters (C1 too: U+009B begins an escape sequence), line separators, and
/// those that reorder, join or hide what stands around them.
fn acts(letter: char) -> bool {
    letter.is_control()
        || matches!(
            letter,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}
