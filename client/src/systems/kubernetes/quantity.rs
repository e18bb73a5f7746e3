//! Kubernetes' quantities: `1000m` is `1`, `1024Mi` is `1Gi`.

use serde_json::Value;

/// Powers of ten and of two that a suffix stands for.
const SUFFIXES: [(&str, i32, u32); 14] = [
    ("n", -9, 0),
    ("u", -6, 0),
    ("m", -3, 0),
    ("k", 3, 0),
    ("M", 6, 0),
    ("G", 9, 0),
    ("T", 12, 0),
    ("P", 15, 0),
    ("E", 18, 0),
    ("Ki", 0, 10),
    ("Mi", 0, 20),
    ("Gi", 0, 30),
    ("Ti", 0, 40),
    ("Pi", 0, 50),
];

/// Whether both are quantities, of one amount.
pub(super) fn same(left: &Value, right: &Value) -> bool {
    matches!((nanos(left), nanos(right)), (Some(left), Some(right)) if left == right)
}

/// The amount in billionths; none for what is no quantity, or not a whole number of them.
fn nanos(value: &Value) -> Option<i128> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let digits = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'+' | b'-');
    let end = text
        .bytes()
        .position(|byte| !digits(&byte))
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at_checked(end)?;
    let (ten, two) = match suffix {
        "" => (0, 0),
        "Ei" => (0, 60),
        _ => match suffix
            .strip_prefix(['e', 'E'])
            .filter(|rest| !rest.is_empty())
        {
            Some(exponent) => (exponent.parse().ok()?, 0),
            None => SUFFIXES
                .iter()
                .find(|(name, ..)| *name == suffix)
                .map(|(_, ten, two)| (*ten, *two))?,
        },
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let mantissa: i128 = format!("{whole}{fraction}").parse().ok()?;
    let power = 9_i32.checked_add(ten)?;
    let power = power.checked_sub(i32::try_from(fraction.len()).ok()?)?;
    let scaled = mantissa.checked_mul(1_i128.checked_shl(two)?)?;
    let factor = 10_i128.checked_pow(power.unsigned_abs())?;
    if power >= 0 {
        return scaled.checked_mul(factor);
    }
    (scaled % factor == 0).then_some(scaled / factor)
}

#[cfg(test)]
mod tests {
    use super::same;
    use serde_json::json;

    /// Goal: amounts are told apart by what they are and not by how they are written. Method:
    /// pairs of each sort.
    #[test]
    fn amounts_are_compared() {
        for (left, right) in [
            (json!("1000m"), json!("1")),
            (json!(1), json!("1")),
            (json!("0.5"), json!("500m")),
            (json!("1Gi"), json!("1024Mi")),
            (json!("1e3"), json!("1k")),
            (json!("1.5Gi"), json!("1536Mi")),
        ] {
            assert!(same(&left, &right), "{left} {right}");
        }
        for (left, right) in [
            (json!("1"), json!("1m")),
            (json!("1G"), json!("1Gi")),
            (json!("x"), json!("x")),
            (json!("1"), json!(true)),
            (json!("1e99999999999"), json!("1")),
            (json!("1e400"), json!("1e400")),
        ] {
            assert!(!same(&left, &right), "{left} {right}");
        }
    }
}
