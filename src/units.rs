//! Durations, sizes and rates: read from flags, written in summaries.

use std::time::Duration;

/// A quantity that was not understood: what was typed, and what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not a {what} ({allowed})")]
pub struct UnitError {
    text: String,
    what: &'static str,
    allowed: &'static str,
}

/// How fast to go, in units per second; never 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rate {
    /// Records per second.
    Records(f64),
    /// Bytes of keys and values per second.
    Bytes(f64),
}

/// Reads a duration: a number with `ms`, `s`, `m`, `h` or `d`; without a unit it is in seconds.
///
/// # Errors
/// For anything else, negative and infinite durations among it.
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    let seconds = |text| {
        let (number, unit) = number(text)?;
        Some(number * seconds_in(unit)?)
    };
    seconds(text).and_then(|s| Duration::try_from_secs_f64(s).ok()).ok_or_else(|| UnitError {
        text: text.to_owned(),
        what: "duration",
        allowed: "a number with ms, s, m, h or d, as 500ms, 1.5s or 2h; a bare number is in seconds",
    })
}

fn seconds_in(unit: &str) -> Option<f64> {
    Some(match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        "d" => 86400.0,
        _ => return None,
    })
}

/// Reads a number of bytes: `k`, `M`, `G` are decimal, `Ki`, `Mi`, `Gi` binary, with or without `B`.
///
/// # Errors
/// For anything else, and what does not fit 64 bits.
pub fn parse_size(text: &str) -> Result<u64, UnitError> {
    let bytes = |text| {
        let (number, unit) = number(text)?;
        let bytes = number * multiple(unit.strip_suffix(['B', 'b']).unwrap_or(unit))?;
        (bytes < u64::MAX as f64).then_some(bytes.round() as u64)
    };
    bytes(text).ok_or_else(|| UnitError {
        text: text.to_owned(),
        what: "size",
        allowed: "a number of bytes, as 500, 64kB (1000), 1.5M or 16MiB (1024)",
    })
}

fn multiple(prefix: &str) -> Option<f64> {
    const K: f64 = 1000.0;
    const KI: f64 = 1024.0;
    Some(match prefix {
        "" => 1.0,
        "k" | "K" => K,
        "m" | "M" => K * K,
        "g" | "G" => K * K * K,
        "t" | "T" => K * K * K * K,
        "ki" | "Ki" | "KI" => KI,
        "mi" | "Mi" | "MI" => KI * KI,
        "gi" | "Gi" | "GI" => KI * KI * KI,
        "ti" | "Ti" | "TI" => KI * KI * KI * KI,
        _ => return None,
    })
}

/// Reads a rate: records (`200/s`, `10k/s`, `12000/m`) or bytes (`10MB/s`, `1MiB/s`); without a
/// period it is per second.
///
/// # Errors
/// For anything else, and for a rate of 0.
pub fn parse_rate(text: &str) -> Result<Rate, UnitError> {
    let rate = |text: &str| {
        let (amount, period) = text.split_once('/').unwrap_or((text, "s"));
        let seconds = Some(period).filter(|p| !p.is_empty()).and_then(seconds_in)?;
        let (number, unit) = number(amount)?;
        let bytes = unit.strip_suffix('B');
        let rate = number * multiple(bytes.unwrap_or(unit))? / seconds;
        (rate > 0.0).then_some(if bytes.is_some() { Rate::Bytes(rate) } else { Rate::Records(rate) })
    };
    rate(text).ok_or_else(|| UnitError {
        text: text.to_owned(),
        what: "rate",
        allowed: "records or bytes per s, m or h, above 0, as 200/s, 12000/m or 10MB/s",
    })
}

/// Splits a number that is finite and not negative from what follows it.
fn number(text: &str) -> Option<(f64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number: f64 = number.parse().ok()?;
    number.is_finite().then_some((number, unit.trim_start()))
}

/// A time taken, for people: `350 ms`, `3.2 s`, `2 min 5 s`, `1 h 2 min`.
pub fn human_duration(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if time.as_millis() < 1000 {
        format!("{} ms", time.as_millis())
    } else if seconds < 119.95 {
        format!("{seconds:.1} s")
    } else if time.as_secs() < 2 * 3600 {
        format!("{} min {} s", time.as_secs() / 60, time.as_secs() % 60)
    } else {
        format!("{} h {} min", time.as_secs() / 3600, time.as_secs() / 60 % 60)
    }
}

/// Records per second, for people: `312 k msg/s`. 0 when no time has passed.
pub fn human_rate(records: u64, time: Duration) -> String {
    let (number, prefix) = scaled(per_second(records, time));
    if prefix.is_empty() { format!("{number} msg/s") } else { format!("{number} {prefix} msg/s") }
}

/// Bytes per second, for people, decimal as networks are: `31 MB/s`. 0 when no time has passed.
pub fn human_throughput(bytes: u64, time: Duration) -> String {
    let (number, prefix) = scaled(per_second(bytes, time));
    format!("{number} {prefix}B/s")
}

/// A number of bytes, for people: `3.1 GB`.
pub fn human_size(bytes: u64) -> String {
    let (number, prefix) = scaled(bytes as f64);
    format!("{number} {prefix}B")
}

fn per_second(count: u64, time: Duration) -> f64 {
    if time.is_zero() { 0.0 } else { count as f64 / time.as_secs_f64() }
}

/// Two or three digits and a decimal prefix.
fn scaled(number: f64) -> (String, &'static str) {
    let mut rest = number;
    for prefix in ["", "k", "M", "G", "T"] {
        if rest < 9.95 && (!prefix.is_empty() || rest.fract() != 0.0) {
            return (format!("{rest:.1}"), prefix);
        }
        if rest < 999.5 {
            return (format!("{rest:.0}"), prefix);
        }
        rest /= 1000.0;
    }
    (format!("{rest:.0}"), "P")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_in_every_unit() {
        let cases = [
            ("500ms", 500),
            ("2s", 2000),
            ("1.5s", 1500),
            ("2m", 120_000),
            ("1h", 3_600_000),
            ("1d", 86_400_000),
            ("3", 3000),
            ("0", 0),
            ("0.25", 250),
        ];
        for (text, ms) in cases {
            assert_eq!(parse_duration(text).unwrap(), Duration::from_millis(ms), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_named() {
        for text in ["", "s", "-1s", "1w", "1.2.3s", "1e3", "inf", "1s2", "99999999999999999999d"] {
            let error = parse_duration(text).unwrap_err().to_string();
            assert!(error.starts_with(&format!("'{text}' is not a duration (a number with ms")), "{error}");
        }
    }

    #[test]
    fn sizes_are_decimal_unless_they_say_binary() {
        let cases = [
            ("0", 0),
            ("500", 500),
            ("500B", 500),
            ("1k", 1000),
            ("1kB", 1000),
            ("1.5M", 1_500_000),
            ("2G", 2_000_000_000),
            ("1Ki", 1024),
            ("1KiB", 1024),
            ("16 MiB", 16 << 20),
            ("1GiB", 1 << 30),
        ];
        for (text, bytes) in cases {
            assert_eq!(parse_size(text).unwrap(), bytes, "{text}");
        }
        for text in ["", "k", "-1", "1X", "1kiBB", "1 k B", "99999999T"] {
            let error = parse_size(text).unwrap_err().to_string();
            assert!(error.starts_with(&format!("'{text}' is not a size (")), "{error}");
        }
    }

    #[test]
    fn rates_count_records_or_bytes() {
        let cases = [
            ("200/s", Rate::Records(200.0)),
            ("200", Rate::Records(200.0)),
            ("0.5/s", Rate::Records(0.5)),
            ("10k/s", Rate::Records(10_000.0)),
            ("12000/m", Rate::Records(200.0)),
            ("7200/h", Rate::Records(2.0)),
            ("10MB/s", Rate::Bytes(1e7)),
            ("1MiB/s", Rate::Bytes(1_048_576.0)),
            ("500B", Rate::Bytes(500.0)),
        ];
        for (text, rate) in cases {
            assert_eq!(parse_rate(text).unwrap(), rate, "{text}");
        }
        for text in ["", "0", "0/s", "0MB/s", "/s", "5/", "5/x", "5/s/s", "-5/s"] {
            let error = parse_rate(text).unwrap_err().to_string();
            assert!(error.starts_with(&format!("'{text}' is not a rate (")), "{error}");
        }
    }

    #[test]
    fn a_summary_reads_as_documented() {
        let time = Duration::from_millis(3205);
        assert_eq!(human_duration(time), "3.2 s");
        assert_eq!(human_rate(1_000_000, time), "312 k msg/s");
        assert_eq!(human_throughput(100_000_000, time), "31 MB/s");
    }

    #[test]
    fn times_are_written_for_people() {
        let cases = [
            (0, "0 ms"),
            (999, "999 ms"),
            (1000, "1.0 s"),
            (61_000, "61.0 s"),
            (119_940, "119.9 s"),
            (125_000, "2 min 5 s"),
            (7_200_000, "2 h 0 min"),
            (90_060_000, "25 h 1 min"),
        ];
        for (ms, text) in cases {
            assert_eq!(human_duration(Duration::from_millis(ms)), text);
        }
    }

    #[test]
    fn rates_and_sizes_are_written_with_two_or_three_digits() {
        let second = Duration::from_secs(1);
        let cases = [
            (0, "0 msg/s"),
            (7, "7 msg/s"),
            (999, "999 msg/s"),
            (1000, "1.0 k msg/s"),
            (9_949, "9.9 k msg/s"),
            (9_950, "10 k msg/s"),
            (999_499, "999 k msg/s"),
            (999_500, "1.0 M msg/s"),
            (1_250_000, "1.2 M msg/s"),
        ];
        for (records, text) in cases {
            assert_eq!(human_rate(records, second), text);
        }
        assert_eq!(human_rate(5, Duration::ZERO), "0 msg/s");
        assert_eq!(human_rate(1, Duration::from_secs(2)), "0.5 msg/s");
        assert_eq!(human_throughput(512, second), "512 B/s");
        assert_eq!(human_size(3_100_000_000), "3.1 GB");
    }
}
