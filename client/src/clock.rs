//! The one place where this crate reads the clock, and how time is written and read.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

/// Unix seconds by the system's clock. Everything that judges age takes it as an argument.
pub fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.as_secs())
}

/// `YYYY-MM-DDTHH:MM:SSZ`.
pub fn time_text(seconds: u64) -> String {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    let time = Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH);
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Unix seconds of RFC 3339 text, whose seconds may be left out.
pub fn parse_time(text: &str) -> Option<u64> {
    let whole = |text: &str| text.parse::<Timestamp>().ok();
    let time = whole(text).or_else(|| {
        let minutes = text.strip_suffix('Z')?;
        whole(&format!("{minutes}:00Z"))
    })?;
    u64::try_from(time.as_second()).ok()
}

#[cfg(test)]
mod tests {
    use super::{parse_time, time_text};

    /// Goal: what is written is read. Method: known instants.
    #[test]
    fn a_time_is_read_with_and_without_seconds() {
        assert_eq!(parse_time("1970-01-01T00:01Z"), Some(60));
        assert_eq!(
            parse_time("2026-11-01T10:00:00Z"),
            parse_time("2026-11-01T10:00Z")
        );
        assert_eq!(
            parse_time("2026-11-01T12:00:00+02:00"),
            parse_time("2026-11-01T10:00Z")
        );
        assert_eq!(parse_time("yesterday"), None);
        assert_eq!(time_text(60), "1970-01-01T00:01:00Z");
    }
}
