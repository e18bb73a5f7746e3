//! Texts that look like secrets, where a text may stand in clear: an argument, a step of a build.
//!
//! Errs on the side of secrecy: what is withheld without need can still be compared.

use serde_json::Value;

use crate::sources::looks_secret;

/// Words that announce a secret. Of the shorter ones a word must consist, or be joined from.
const WORDS: [&str; 12] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "credential",
    "apikey",
    "api-key",
    "api_key",
    "private-key",
    "private_key",
    "access-key",
];
const SHORT: [&str; 6] = ["pass", "pwd", "pw", "auth", "key", "psk"];
/// Characters of a text in which nothing but such a value has so many without a break.
const UNBROKEN: usize = 32;

/// Variables that images set, and whose values nobody keeps to himself.
const PLAIN: [&str; 8] = [
    "PATH",
    "LANG",
    "LANGUAGE",
    "LC_ALL",
    "HOME",
    "TZ",
    "TERM",
    "DEBIAN_FRONTEND",
];

/// Whether an index, a manifest or a configuration may be kept in clear: a configuration has
/// the image's variables and the steps of its build, with what was given to them.
pub(super) fn is_harmless(document: &[u8]) -> bool {
    let Ok(value) = serde_json::from_slice::<Value>(document) else {
        return false;
    };
    let list = |pointer: &str| {
        let items = value.pointer(pointer).and_then(Value::as_array);
        items.into_iter().flatten()
    };
    let plain = |variable: &Value| {
        let name = variable.as_str().and_then(|it| it.split('=').next());
        name.is_some_and(|name| PLAIN.contains(&name))
    };
    let step = |step: &Value| {
        let by = step.get("created_by").and_then(Value::as_str);
        // `|1 NAME=value` are arguments of the build.
        by.is_none_or(|by| !by.contains('|'))
    };
    list("/config/Env").all(plain)
        && list("/container_config/Env").all(plain)
        && list("/history").all(step)
        && is_quiet(&value)
}

/// No text anywhere in it looks like a secret, or is named as one.
fn is_quiet(value: &Value) -> bool {
    match value {
        Value::String(text) => !is_secret(text),
        Value::Array(items) => items.iter().all(is_quiet),
        Value::Object(members) => members.iter().all(|(name, value)| {
            let named = is_name(name) && value.as_str().is_some_and(|text| !text.is_empty());
            !named && is_quiet(value)
        }),
        _ => true,
    }
}

/// Whether a name is that of a secret.
fn is_name(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let mut parts = lower.split(|letter: char| !letter.is_ascii_alphanumeric());
    WORDS.iter().any(|word| lower.contains(word)) || parts.any(|part| SHORT.contains(&part))
}

/// Whether what comes after this argument is a secret: `--password`.
pub(super) fn announces(argument: &str) -> bool {
    argument.starts_with('-') && !argument.contains('=') && is_name(argument)
        || argument == "-p"
        || argument == "-u"
}

/// Whether a text holds a secret.
pub(super) fn is_secret(text: &str) -> bool {
    let assigned = text.split(['=', ' ', '?', '&', ';', ',', '"', '\'', ':']);
    let named = text.contains(['=', ' ', ':']) && assigned.into_iter().any(is_name);
    // `-phunter2` and `-u bob:S3cret` are passwords, whatever else they might be.
    let glued = |word: &str| {
        let flag = word.starts_with("-p") || word.starts_with("-u");
        flag && word.len() > 2 && !word.contains('=')
    };
    let words: Vec<_> = text.split_whitespace().collect();
    let split = words
        .windows(2)
        .any(|pair| matches!(pair, ["-u" | "-p", _]));
    named
        || split
        || words.iter().any(|word| glued(word))
        || has_userinfo(text)
        || looks_secret("text", text.as_bytes())
        || is_random(text)
}

/// `https://user:password@host`.
fn has_userinfo(text: &str) -> bool {
    let mut parts = text.split("://").skip(1);
    parts.any(|part| {
        let end = part.find(['/', ' ', '?', '"']).unwrap_or(part.len());
        part.get(..end).is_some_and(|host| host.contains('@'))
    })
}

/// A long run of letters and digits of all sorts, which is no digest and no path.
fn is_random(text: &str) -> bool {
    let joined = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '+' | '_' | '-');
    text.split(|letter| !joined(letter)).any(|run| {
        let has = |sort: fn(&u8) -> bool| run.bytes().any(|byte| sort(&byte));
        run.len() >= UNBROKEN
            && has(u8::is_ascii_digit)
            && has(u8::is_ascii_lowercase)
            && has(u8::is_ascii_uppercase)
    })
}

#[cfg(test)]
mod tests {
    use super::{announces, is_harmless, is_secret};

    /// Goal: only a document without anything that could be a secret is kept in clear. Method:
    /// ordinary ones, and one secret in each place.
    #[test]
    fn a_configuration_with_a_secret_is_not_harmless() {
        for plain in [
            r#"{"config":{"Env":["PATH=/usr/sbin:/usr/bin"],"Cmd":["nginx","-g","daemon off;"]}}"#,
            r#"{"history":[{"created_by":"/bin/sh -c apt-get install -y nginx=1.2"}]}"#,
            r#"{"config":{"digest":"sha256:0123456789abcdef0123456789abcdef0123456789abcdef01"},
                "annotations":{"org.opencontainers.image.source":"https://git.example/shop"}}"#,
        ] {
            assert!(is_harmless(plain.as_bytes()), "{plain}");
        }
        for secret in [
            r#"{"config":{"Env":["ANYTHING=x"]}}"#,
            r#"{"config":{"Env":[1]}}"#,
            r#"{"config":{"Labels":{"npm.token":"x"}}}"#,
            r#"{"history":[{"created_by":"|1 NPM=x /bin/sh -c make"}]}"#,
            r#"{"manifests":[{"annotations":{"note":"password=x"}}]}"#,
            r#"{"config":{"OnBuild":["ENV DB_PASS=x"]}}"#,
            "{",
        ] {
            assert!(!is_harmless(secret.as_bytes()), "{secret}");
        }
    }

    /// Goal: what looks like a secret is found, and ordinary arguments stay legible. Method: a
    /// table of both.
    #[test]
    fn secrets_among_arguments_are_found() {
        for text in [
            "--password=hunter2",
            "DB_PASS=hunter2",
            "mysql://root:hunter2@db/shop",
            "sh -c 'export API_TOKEN=abc; run'",
            "Authorization: Bearer-Token abc",
            "aGVsbG8gd29ybGQgMTIzNDU2Nzg5MEFCQ0RF",
            "-----BEGIN RSA PRIVATE KEY-----",
        ] {
            assert!(is_secret(text), "{text}");
        }
        for text in [
            "nginx",
            "-g",
            "daemon off;",
            "--port=80",
            "/usr/bin/keychain",
            "http://db:5432/shop",
            "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            "registry.example:5000/team/shop:1",
        ] {
            assert!(!is_secret(text), "{text}");
        }
        assert!(announces("--db-password") && announces("-p"));
        assert!(!announces("--port") && !announces("--password=x"));
    }
}
