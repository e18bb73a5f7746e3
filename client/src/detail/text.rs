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

/// Bytes as one word of a command that can be copied into a shell: as they are where a shell
/// takes them so, else quoted; what is not fit to be shown is escaped as `$'...'` has it.
pub fn shell_word(bytes: &[u8]) -> String {
    let text = std::str::from_utf8(bytes).ok();
    let Some(text) = text.filter(|text| !text.chars().any(acts)) else {
        return escaped(bytes);
    };
    // A `#` begins a comment, and a `=` a path (zsh), only at the start of a word.
    let inside = |letter| matches!(letter, '#' | '=');
    let plain = |letter: char| {
        letter.is_alphanumeric()
            || matches!(letter, '_' | '-' | '.' | '/' | ':' | ',' | '@' | '%' | '+')
    };
    let bare = !text.is_empty()
        && !text.starts_with(inside)
        && text.chars().all(|letter| plain(letter) || inside(letter));
    if bare {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

fn escaped(bytes: &[u8]) -> String {
    let mut out = "$'".to_owned();
    for byte in bytes {
        match byte {
            b'\'' | b'\\' => out.extend(['\\', char::from(*byte)]),
            b' '..=b'~' => out.push(char::from(*byte)),
            // Octal, which has three digits at most: what follows is never taken for one.
            // Writing into a string cannot fail.
            byte => {
                let _ = write!(out, "\\{byte:03o}");
            }
        }
    }
    out.push('\'');
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

#[cfg(test)]
mod tests {
    use super::shell_word;

    /// Goal: a command that is printed means what it says when it is copied. Method: words
    /// of each sort, and a shell that reads them back.
    #[test]
    fn a_word_is_read_by_a_shell_as_it_was() {
        for plain in ["staging#1", "web.yaml=./app/web-1.yaml", "gr\u{fc}n"] {
            assert_eq!(shell_word(plain.as_bytes()), plain);
        }
        assert_eq!(shell_word(b""), "''");
        assert_eq!(shell_word(b"my shop"), "'my shop'");
        assert_eq!(shell_word(b"a\x1b[31m\xff"), r"$'a\033[31m\377'");
        let hostile = [
            "$(id)", "`id`", "it's", "~", "#1", "=ls", "a;b", "a\\", "*", "a\"b",
        ];
        for word in hostile {
            let line = format!("printf %s {}", shell_word(word.as_bytes()));
            let shell = std::process::Command::new("sh")
                .args(["-c", &line])
                .output();
            assert_eq!(shell.unwrap().stdout, word.as_bytes(), "{word}");
        }
    }
}
