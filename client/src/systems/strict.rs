//! JSON that two readers cannot read differently: no member twice, no number with more digits
//! than are kept.

use std::{collections::HashSet, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor},
};
use serde_json::Value;

/// Decimal digits of which each number of 64-bit floating point keeps all.
const FLOAT_DIGITS_MAX: usize = 15;

/// Reads one JSON value, or several after each other.
pub(crate) fn parse(bytes: &[u8]) -> Result<Vec<Value>, String> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    check_numbers(bytes)?;
    let checked = serde_json::Deserializer::from_slice(bytes).into_iter::<Once>();
    for value in checked {
        value.map_err(|error| error.to_string())?;
    }
    let values = serde_json::Deserializer::from_slice(bytes).into_iter::<Value>();
    values
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())
}

/// Refuses numbers of which digits would be lost: whole ones of 64 bits are kept, and others of
/// as many digits as tell any two of them apart.
fn check_numbers(bytes: &[u8]) -> Result<(), String> {
    let (mut at, mut in_text) = (0, false);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => in_text = !in_text,
            b'\\' if in_text => at += 1,
            b'-' | b'0'..=b'9' if !in_text => {
                let rest = bytes.get(at..).unwrap_or_default();
                let in_number = |byte: &u8| {
                    byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E')
                };
                let end = rest.iter().position(|byte| !in_number(byte));
                let number = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
                let text = String::from_utf8_lossy(number);
                if loses_digits(&text) {
                    // It may be a secret that lacks its quotes.
                    let why = "has more digits than can be compared";
                    return Err(format!("the number at byte {at} {why}"));
                }
                at += number.len();
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    Ok(())
}

fn loses_digits(text: &str) -> bool {
    let whole = text.parse::<i64>().is_ok() || text.parse::<u64>().is_ok();
    !whole && Decimal::parse(text).is_some_and(|number| number.digits.len() > FLOAT_DIGITS_MAX)
}

/// Whether some text in a value is one that is looked for. Recursion is bounded by the parser's
/// limit on depth.
pub(crate) fn any_text(value: &Value, is_it: &dyn Fn(&str) -> bool) -> bool {
    match value {
        Value::String(text) => is_it(text),
        Value::Array(items) => items.iter().any(|item| any_text(item, is_it)),
        Value::Object(members) => members.values().any(|member| any_text(member, is_it)),
        _ => false,
    }
}

/// Whether two numbers, as they are written, are one.
pub(crate) fn same_number(left: &str, right: &str) -> bool {
    left == right
        || matches!((Decimal::parse(left), Decimal::parse(right)), (Some(left), Some(right)) if left == right)
}

/// A number without what its spelling adds: no zeros around its digits.
#[derive(PartialEq, Eq)]
struct Decimal {
    negative: bool,
    digits: String,
    /// Of ten, for the last digit.
    exponent: i64,
}

impl Decimal {
    fn parse(text: &str) -> Option<Self> {
        let (negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = format!("{whole}{fraction}");
        let kept = digits.trim_end_matches('0');
        let exponent = exponent
            .checked_sub(i64::try_from(fraction.len()).ok()?)?
            .checked_add(i64::try_from(digits.len().checked_sub(kept.len())?).ok()?)?;
        let kept = kept.trim_start_matches('0');
        Some(if kept.is_empty() {
            Self {
                negative: false,
                digits: String::new(),
                exponent: 0,
            }
        } else {
            Self {
                negative,
                digits: kept.to_owned(),
                exponent,
            }
        })
    }
}

/// A value none of whose objects names a member twice.
struct Once;

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Once)
    }
}

impl<'de> DeserializeSeed<'de> for Once {
    type Value = Self;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Once {
    type Value = Self;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self, A::Error> {
        while items.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self, A::Error> {
        let mut seen = HashSet::new();
        while let Some(name) = members.next_key::<String>()? {
            if seen.contains(&name) {
                return Err(A::Error::custom(format_args!(
                    "member {name:?} stands twice"
                )));
            }
            seen.insert(name);
            members.next_value_seed(Once)?;
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::{parse, same_number};

    /// Goal: what two readers could take for different things is refused, and no digit is
    /// lost. Method: one text of each sort.
    #[test]
    fn a_member_stands_once_and_numbers_keep_their_digits() {
        assert!(
            parse(br#"{"a":{"b":1,"b":2}}"#)
                .unwrap_err()
                .contains("twice")
        );
        assert!(parse(br#"[{"a":1,"\u0061":2}]"#).is_err());
        let kept = parse(br#"{"n":9007199254740993,"t":"12345678901234567890123"}"#).unwrap();
        assert_eq!(kept[0]["n"].to_string(), "9007199254740993");
        for lost in [
            "12345678901234567890123",
            "0.1234567890123456789",
            "1e2,2.00000000000000001",
        ] {
            let refused = parse(format!("[{lost}]").as_bytes()).unwrap_err();
            assert!(refused.contains("digits"), "{lost}: {refused}");
        }
        assert!(parse(br#"[1.50000000000000000000,-0.1,18446744073709551615,"\"123"]"#).is_ok());
        assert_eq!(parse(b"{\"a\":1} {\"a\":2}").unwrap().len(), 2);
        assert!(parse(b"{\"a\":1} {").is_err());
    }

    /// Goal: a number is told from another by its value alone. Method: spellings in pairs.
    #[test]
    fn numbers_are_compared_by_value() {
        for (left, right) in [("1", "1.0"), ("1e3", "1000"), ("-0", "0"), ("0.10", "1e-1")] {
            assert!(same_number(left, right), "{left} {right}");
        }
        for (left, right) in [
            ("9007199254740993", "9007199254740992"),
            ("1", "-1"),
            ("1", "10"),
            ("0.1", "0.01"),
        ] {
            assert!(!same_number(left, right), "{left} {right}");
        }
    }
}
