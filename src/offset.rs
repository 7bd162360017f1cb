//! Where to start and stop reading (`-o`), points in time and lists of partitions. Pure: "now" is
//! passed in.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime};

use crate::units;

/// The most partitions a list may name; a topic has far fewer.
const MAX_PARTITIONS: usize = 100_000;

/// An offset, time or partition list that was not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OffsetError {
    /// Not in the grammar.
    #[error("'{0}' is not an offset (use [P=]FROM[:TO] with beginning, end, stored, N, -N or @TIME)")]
    Offset(String),
    /// The end comes before the start.
    #[error("'{0}' ends before it starts")]
    Backwards(String),
    /// Two starts, or two ends, for the same partitions.
    #[error("'{0}' says again what another -o has said")]
    Twice(String),
    /// Not a point in time.
    #[error(
        "'{0}' is not a time (use seconds or milliseconds since 1970, 2026-01-02, 2026-01-02T03:04:05Z, now or -1h)"
    )]
    Time(String),
    /// Not a list of partitions.
    #[error("'{0}' is not a list of partitions (use numbers and ranges, as 0,2,5-7)")]
    Partitions(String),
}

/// A place in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// The first offset still there.
    Beginning,
    /// The end as it was when the run began.
    End,
    /// What the group has committed.
    Stored,
    /// This offset.
    Absolute(i64),
    /// So many offsets before the end.
    FromEnd(i64),
    /// The first record with this timestamp (ms since 1970-01-01 UTC) or later.
    Time(i64),
}

/// From a place (inclusive) to a place (exclusive); `None` is the default of the command.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Range {
    /// Where to start.
    pub from: Option<Bound>,
    /// Where to stop, before the record there.
    pub to: Option<Bound>,
}

/// All that several `-o` say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OffsetSpec {
    /// For partitions without their own.
    pub all: Range,
    /// For single partitions.
    pub per_partition: BTreeMap<i32, Range>,
}

impl OffsetSpec {
    /// Reads the values of all `-o` of a command line. `now` is in ms since 1970-01-01 UTC.
    ///
    /// # Errors
    /// For the first that is not understood, or that contradicts one before it.
    pub fn parse<S: AsRef<str>>(texts: &[S], now: i64) -> Result<Self, OffsetError> {
        let mut spec = Self::default();
        for text in texts {
            let text = text.as_ref();
            let (partition, range) = parse(text, now)?;
            let known = match partition {
                Some(partition) => spec.per_partition.entry(partition).or_default(),
                None => &mut spec.all,
            };
            known.merge(range).ok_or_else(|| OffsetError::Twice(text.to_owned()))?;
            if known.is_backwards() {
                return Err(OffsetError::Backwards(text.to_owned()));
            }
        }
        Ok(spec)
    }

    /// The partitions that are read alone: those named by `P=` forms, when there are no others.
    pub fn partitions_alone(&self) -> Option<Vec<i32>> {
        let is_alone = self.all == Range::default() && !self.per_partition.is_empty();
        is_alone.then(|| self.per_partition.keys().copied().collect())
    }

    fn ranges(&self) -> impl Iterator<Item = &Range> {
        std::iter::once(&self.all).chain(self.per_partition.values())
    }

    /// True when nothing was said.
    pub fn is_default(&self) -> bool {
        self.ranges().all(|range| *range == Range::default())
    }

    /// True when reading ends by itself: every partition has an end.
    pub fn is_bounded(&self) -> bool {
        self.all.to.is_some()
            || !self.per_partition.is_empty() && self.per_partition.values().all(|r| r.to.is_some())
    }

    /// True when a start is the group's committed offset.
    pub fn uses_stored(&self) -> bool {
        self.ranges().any(|range| range.from == Some(Bound::Stored))
    }

    /// True when an end is the group's committed offset, which cannot be waited for.
    pub fn ends_at_stored(&self) -> bool {
        self.ranges().any(|range| range.to == Some(Bound::Stored))
    }

    /// The range of a partition: what its own `-o` leaves open is as for all.
    pub fn range(&self, partition: i32) -> Range {
        let own = self.per_partition.get(&partition).copied().unwrap_or_default();
        Range { from: own.from.or(self.all.from), to: own.to.or(self.all.to) }
    }
}

impl Range {
    /// Adds what another range says; `None` if both say the same part.
    fn merge(&mut self, other: Self) -> Option<()> {
        let both = |a: Option<Bound>, b: Option<Bound>| a.is_some() && b.is_some();
        if both(self.from, other.from) || both(self.to, other.to) {
            return None;
        }
        *self = Self { from: self.from.or(other.from), to: self.to.or(other.to) };
        Some(())
    }

    fn is_backwards(&self) -> bool {
        match (self.from, self.to) {
            (Some(Bound::Absolute(from)), Some(Bound::Absolute(to)))
            | (Some(Bound::Time(from)), Some(Bound::Time(to)))
            | (Some(Bound::FromEnd(to)), Some(Bound::FromEnd(from))) => to < from,
            (Some(Bound::End), Some(Bound::Beginning | Bound::FromEnd(1..))) => true,
            _ => false,
        }
    }
}

/// Reads one `-o`: `[P=]FROM[:TO]`, and kcat's `s@MS` and `e@MS`. Each place is `beginning`
/// (`earliest`, `start`), `end` (`latest`), `stored`, an offset, `-N` from the end or `@TIME`; either
/// may be left out.
///
/// # Errors
/// For anything else, naming the forms.
pub fn parse(text: &str, now: i64) -> Result<(Option<i32>, Range), OffsetError> {
    let unknown = || OffsetError::Offset(text.to_owned());
    let (partition, rest) = match text.split_once('=') {
        Some((partition, rest)) => (Some(parse_partition(partition).ok_or_else(unknown)?), rest),
        None => (None, text),
    };
    let range = parse_range(rest, now).ok_or_else(unknown)?;
    if range.is_backwards() {
        return Err(OffsetError::Backwards(text.to_owned()));
    }
    Ok((partition, range))
}

fn parse_range(text: &str, now: i64) -> Option<Range> {
    if let Some(ms) = text.strip_prefix("s@") {
        return Some(Range { from: Some(Bound::Time(parse_natural(ms)?)), to: None });
    }
    if let Some(ms) = text.strip_prefix("e@") {
        return Some(Range { from: None, to: Some(Bound::Time(parse_natural(ms)?)) });
    }
    if let Some(from) = parse_bound(text, now) {
        return Some(Range { from: Some(from), to: None });
    }
    // Times have colons too: the split that makes sense of both sides is the right one.
    text.rmatch_indices(':').find_map(|(at, _)| {
        let side = |text: &str| if text.is_empty() { Some(None) } else { parse_bound(text, now).map(Some) };
        let range = Range { from: side(&text[..at])?, to: side(&text[at + 1..])? };
        (range != Range::default()).then_some(range)
    })
}

fn parse_bound(text: &str, now: i64) -> Option<Bound> {
    Some(match text {
        "beginning" | "earliest" | "start" => Bound::Beginning,
        "end" | "latest" => Bound::End,
        "stored" => Bound::Stored,
        _ => match (text.strip_prefix('@'), text.strip_prefix('-')) {
            (Some(time), _) => Bound::Time(parse_time(time, now).ok()?),
            (_, Some(n)) => Bound::FromEnd(parse_natural(n)?),
            _ => Bound::Absolute(parse_natural(text)?),
        },
    })
}

/// Reads a point in time as ms since 1970-01-01 UTC: a number of seconds, or from 100,000,000,000 on
/// of milliseconds (so 10 digits are seconds until the year 5138, 13 are milliseconds); RFC 3339; the
/// same without a zone, which is UTC; a date, which is its midnight in UTC; `now`; or a duration ago,
/// `-1h`.
///
/// # Errors
/// For anything else.
pub fn parse_time(text: &str, now: i64) -> Result<i64, OffsetError> {
    let ms = match text.strip_prefix('-') {
        _ if text == "now" => Some(now),
        Some(ago) => units::parse_duration(ago)
            .ok()
            .and_then(|ago| now.checked_sub(i64::try_from(ago.as_millis()).ok()?).filter(|ms| *ms >= 0)),
        None => parse_epoch(text).or_else(|| parse_calendar(text)),
    };
    ms.ok_or_else(|| OffsetError::Time(text.to_owned()))
}

fn parse_epoch(text: &str) -> Option<i64> {
    const FIRST_MS: i64 = 100_000_000_000;
    let number = parse_natural(text)?;
    Some(if number < FIRST_MS { number * 1000 } else { number })
}

fn parse_calendar(text: &str) -> Option<i64> {
    let zoned = || DateTime::parse_from_rfc3339(text).ok().map(|time| time.timestamp_millis());
    let local = |format| NaiveDateTime::parse_from_str(text, format).ok();
    let date = || Some(NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_time(NaiveTime::MIN));
    let utc = || {
        ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"]
            .into_iter()
            .find_map(local)
            .or_else(date)
            .map(|time| time.and_utc().timestamp_millis())
    };
    zoned().or_else(utc).filter(|ms| *ms >= 0)
}

/// Reads a list of partitions, `0,2,5-7`: sorted, each once.
///
/// # Errors
/// For anything else, and for more than 100,000 partitions.
pub fn parse_partitions(text: &str) -> Result<Vec<i32>, OffsetError> {
    let mut partitions = Vec::new();
    for part in text.split(',') {
        let range =
            parse_partition_range(part.trim()).ok_or_else(|| OffsetError::Partitions(text.to_owned()))?;
        partitions.extend(range.take(MAX_PARTITIONS + 1));
        if partitions.len() > MAX_PARTITIONS {
            return Err(OffsetError::Partitions(text.to_owned()));
        }
    }
    partitions.sort_unstable();
    partitions.dedup();
    Ok(partitions)
}

fn parse_partition_range(text: &str) -> Option<std::ops::RangeInclusive<i32>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let range = parse_partition(first)?..=parse_partition(last)?;
    (!range.is_empty()).then_some(range)
}

fn parse_partition(text: &str) -> Option<i32> {
    parse_natural(text)?.try_into().ok()
}

/// Digits only: no sign, no space.
fn parse_natural(text: &str) -> Option<i64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::Bound::{Absolute, Beginning, End, FromEnd, Stored, Time};
    use super::*;

    /// 2026-03-04T05:06:07.890Z
    const NOW: i64 = 1_772_600_767_890;
    /// 2026-01-02T03:04:05Z
    const THEN: i64 = 1_767_323_045_000;
    /// 2026-01-02
    const DAY: i64 = 1_767_312_000_000;

    #[test]
    fn every_form_of_an_offset_is_read() {
        let cases = [
            ("beginning", None, Some(Beginning), None),
            ("earliest", None, Some(Beginning), None),
            ("start", None, Some(Beginning), None),
            ("end", None, Some(End), None),
            ("latest", None, Some(End), None),
            ("stored", None, Some(Stored), None),
            ("0", None, Some(Absolute(0)), None),
            ("9223372036854775807", None, Some(Absolute(i64::MAX)), None),
            ("-5", None, Some(FromEnd(5)), None),
            ("5:10", None, Some(Absolute(5)), Some(Absolute(10))),
            ("5:", None, Some(Absolute(5)), None),
            (":end", None, None, Some(End)),
            (":-5", None, None, Some(FromEnd(5))),
            ("-10:-5", None, Some(FromEnd(10)), Some(FromEnd(5))),
            ("start:end", None, Some(Beginning), Some(End)),
            ("stored:latest", None, Some(Stored), Some(End)),
            ("3=7", Some(3), Some(Absolute(7)), None),
            ("3=-1:end", Some(3), Some(FromEnd(1)), Some(End)),
            ("0=:100", Some(0), None, Some(Absolute(100))),
            ("s@1767323045000", None, Some(Time(THEN)), None),
            ("e@1767323045000", None, None, Some(Time(THEN))),
            ("2=s@5", Some(2), Some(Time(5)), None),
            ("@1767323045", None, Some(Time(THEN)), None),
            ("@1767323045000", None, Some(Time(THEN)), None),
            ("@2026-01-02T03:04:05Z", None, Some(Time(THEN)), None),
            ("@2026-01-02T03:04:05", None, Some(Time(THEN)), None),
            ("@2026-01-02T03:04", None, Some(Time(THEN - 5000)), None),
            ("@2026-01-02T03:04:05Z:@2026-01-03", None, Some(Time(THEN)), Some(Time(DAY + 86_400_000))),
            ("@2026-01-02T03:04:05:@now", None, Some(Time(THEN)), Some(Time(NOW))),
            ("@2026-01-02T04:04:05+01:00:end", None, Some(Time(THEN)), Some(End)),
            ("1=@2026-01-02:@2026-01-02T03:04:05.000Z", Some(1), Some(Time(DAY)), Some(Time(THEN))),
            ("@-1h", None, Some(Time(NOW - 3_600_000)), None),
            ("@-1h:@-30m", None, Some(Time(NOW - 3_600_000)), Some(Time(NOW - 1_800_000))),
            (":@now", None, None, Some(Time(NOW))),
        ];
        for (text, partition, from, to) in cases {
            assert_eq!(parse(text, NOW), Ok((partition, Range { from, to })), "{text}");
        }
    }

    #[test]
    fn an_unknown_word_names_the_forms() {
        let texts = [
            "",
            ":",
            "begining",
            "END",
            "5x",
            "+5",
            "--5",
            "- 5",
            "1:2:3",
            "@",
            "@yesterday",
            "x=5",
            "-1=5",
            "=5",
            "3=",
            "3=:",
            "s@",
            "s@-1h",
            "e@now",
            "99999999999999999999",
            "5:never",
            "@2026-13-01",
            "2026-01-02",
        ];
        for text in texts {
            let error = parse(text, NOW).unwrap_err();
            assert_eq!(error, OffsetError::Offset(text.to_owned()));
        }
        assert_eq!(
            parse("begining", NOW).unwrap_err().to_string(),
            "'begining' is not an offset (use [P=]FROM[:TO] with beginning, end, stored, N, -N or @TIME)"
        );
    }

    #[test]
    fn a_range_that_ends_before_it_starts_is_refused() {
        for text in ["5:4", "-5:-10", "@now:@-1h", "end:beginning", "end:-1", "0=2:1"] {
            assert_eq!(parse(text, NOW), Err(OffsetError::Backwards(text.to_owned())));
        }
        for text in ["5:5", "-5:-5", "end:end", "end:-0"] {
            parse(text, NOW).unwrap();
        }
    }

    #[test]
    fn several_offsets_add_up() {
        let spec = OffsetSpec::parse(&["s@1000", "e@2000", "3=7", "4=:9"], NOW).unwrap();
        let all = Range { from: Some(Time(1000)), to: Some(Time(2000)) };
        assert_eq!(spec.all, all);
        assert_eq!(spec.range(0), all);
        assert_eq!(spec.range(3), Range { from: Some(Absolute(7)), ..all });
        assert_eq!(spec.range(4), Range { to: Some(Absolute(9)), ..all });
        assert_eq!(spec.partitions_alone(), None);
        let none: [&str; 0] = [];
        assert_eq!(OffsetSpec::parse(&none, NOW), Ok(OffsetSpec::default()));
        assert_eq!(OffsetSpec::default().partitions_alone(), None);
        let spec = OffsetSpec::parse(&["7=end", "3=17:18", "7=:end"], NOW).unwrap();
        assert_eq!(spec.partitions_alone(), Some(vec![3, 7]));
    }

    #[test]
    fn contradicting_offsets_are_refused() {
        let twice = |texts: &[&str]| OffsetSpec::parse(texts, NOW).unwrap_err().to_string();
        assert_eq!(twice(&["5", "end"]), "'end' says again what another -o has said");
        assert_eq!(twice(&["3=5", "3=6"]), "'3=6' says again what another -o has said");
        assert_eq!(twice(&["s@2000", "e@1000"]), "'e@1000' ends before it starts");
    }

    #[test]
    fn times_are_read_in_every_form() {
        let cases = [
            ("0", 0),
            ("1767323045", THEN),
            ("1767323045000", THEN),
            ("99999999999", 99_999_999_999_000),
            ("100000000000", 100_000_000_000),
            ("2026-01-02", DAY),
            ("2026-01-02T03:04:05Z", THEN),
            ("2026-01-02T03:04:05.250Z", THEN + 250),
            ("2026-01-02t03:04:05z", THEN),
            ("2026-01-02T05:04:05+02:00", THEN),
            ("2026-01-02T03:04:05", THEN),
            ("2026-01-02 03:04:05.5", THEN + 500),
            ("now", NOW),
            ("-90", NOW - 90_000),
            ("-1.5s", NOW - 1500),
            ("-2d", NOW - 172_800_000),
        ];
        for (text, ms) in cases {
            assert_eq!(parse_time(text, NOW), Ok(ms), "{text}");
        }
        for text in [
            "",
            "-",
            "-1w",
            "1h",
            "+1h",
            "2026-02-30",
            "2026-01-02T25:00:00Z",
            "1969-12-31",
            "-99999d",
            "1.5",
        ] {
            assert_eq!(parse_time(text, NOW), Err(OffsetError::Time(text.to_owned())), "{text}");
        }
    }

    #[test]
    fn lists_of_partitions_are_read() {
        assert_eq!(parse_partitions("0,2,5-7"), Ok(vec![0, 2, 5, 6, 7]));
        assert_eq!(parse_partitions("7, 1-3,2"), Ok(vec![1, 2, 3, 7]));
        assert_eq!(parse_partitions("2147483647"), Ok(vec![i32::MAX]));
        for text in ["", ",", "1,", "-1", "1-", "3-1", "a", "2147483648", "0-2147483647", "0-99999,100000"] {
            assert_eq!(parse_partitions(text), Err(OffsetError::Partitions(text.to_owned())), "{text}");
        }
    }
}
