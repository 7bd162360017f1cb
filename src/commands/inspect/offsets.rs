//! `kps offsets`.

use std::sync::Arc;

use anyhow::Result;
use serde::Serialize;

use super::table::{Table, cell};
use super::{Report, existing, open, print, topic_names};
use crate::backends::inspector::{Found, Topic};
use crate::backends::{self, At, Inspector, TopicPartition, unknown_partition};
use crate::cli::OffsetsArgs;
use crate::commands::{Context, Exit, usage};
use crate::offset;

/// Runs the command.
pub(in crate::commands) fn run(args: &OffsetsArgs, context: &Context<'_>) -> Result<Exit> {
    let (times, typed): (Vec<&String>, Vec<&String>) =
        args.topics.iter().partition(|typed| typed.starts_with('@'));
    let at = match times.as_slice() {
        [] => None,
        [time] => Some(parse_at(time, chrono::Utc::now().timestamp_millis())?),
        [_, second, ..] => return Err(usage(format!("{second}: one @TIME is enough"))),
    };
    let mut names = topic_names(typed.into_iter().chain(&args.topic_flag))?;
    if names.is_empty() {
        let (topic, _) =
            context.layers.topic().ok_or_else(|| usage("no topic: kps offsets TOPIC... [@TIME]"))?;
        names.push(topic.clone());
    }
    let parse = |text: &String| offset::parse_partitions(text).map_err(|e| usage(format!("-p: {e}")));
    let partitions = args.partitions.as_ref().map(parse).transpose()?;
    let mut inspector = open(context)?;
    print(&gather(inspector.as_mut(), &names, partitions.as_deref(), at)?, args.report.format())
}

/// `@TIME`, or a word for an end of the partition.
fn parse_at(text: &str, now: i64) -> Result<At> {
    Ok(match text.trim_start_matches('@') {
        "earliest" | "beginning" | "start" => At::Earliest,
        "latest" | "end" => At::Latest,
        time => At::Timestamp(offset::parse_time(time, now).map_err(|e| usage(format!("{text}: {e}")))?),
    })
}

/// Partitions by topic and number.
#[derive(Debug, Serialize)]
struct Offsets {
    partitions: Vec<Row>,
    #[serde(skip)]
    with_time: bool,
}

/// A partition.
#[derive(Debug, Serialize)]
struct Row {
    topic: Arc<str>,
    partition: i32,
    /// The first offset.
    earliest: Option<i64>,
    /// The offset of the next record.
    latest: Option<i64>,
    /// Only with a time.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    at: Option<Place>,
}

/// The first record at the time or later.
#[derive(Debug, Clone, Copy, Serialize)]
struct Place {
    /// Null if there is none.
    offset: Option<i64>,
    /// In ms since 1970-01-01 UTC; null if there is none, or the place is an end of the partition.
    timestamp: Option<i64>,
}

fn gather(
    inspector: &mut dyn Inspector,
    names: &[String],
    partitions: Option<&[i32]>,
    at: Option<At>,
) -> backends::Result<Offsets> {
    let mut all = Vec::new();
    for topic in existing(inspector, names)? {
        all.extend(chosen(&topic, partitions)?);
    }
    let mut ask = |at: At| {
        let places: Vec<_> = all.iter().map(|tp: &TopicPartition| (tp.clone(), at)).collect();
        inspector.offsets(&places)
    };
    let (earliest, latest) = (ask(At::Earliest)?, ask(At::Latest)?);
    let mut found = at.map(&mut ask).transpose()?.map(Vec::into_iter);
    let row = |((tp, earliest), latest): ((TopicPartition, Found), Found)| Row {
        topic: tp.topic,
        partition: tp.partition,
        earliest: earliest.offset,
        latest: latest.offset,
        at: found
            .as_mut()
            .and_then(Iterator::next)
            .map(|Found { offset, timestamp }| Place { offset, timestamp }),
    };
    let rows = all.into_iter().zip(earliest).zip(latest).map(row).collect();
    Ok(Offsets { partitions: rows, with_time: at.is_some() })
}

/// The partitions asked for, or all.
fn chosen(topic: &Topic, wanted: Option<&[i32]>) -> backends::Result<Vec<TopicPartition>> {
    let there: Vec<i32> = topic.partitions.iter().map(|partition| partition.index).collect();
    let numbers = wanted.unwrap_or(&there);
    if let Some(missing) = numbers.iter().find(|number| !there.contains(number)) {
        return Err(unknown_partition(&topic.name, *missing, there.len()));
    }
    let of = |&partition| TopicPartition { topic: Arc::clone(&topic.name), partition };
    Ok(numbers.iter().map(of).collect())
}

impl Report for Offsets {
    fn text(&self) -> String {
        let mut out = String::new();
        let plain = |row: &Row| {
            [row.topic.to_string(), row.partition.to_string(), cell(row.earliest), cell(row.latest)]
        };
        if !self.with_time {
            let mut table = Table::new(["TOPIC", "PARTITION", "EARLIEST", "LATEST"]);
            self.partitions.iter().for_each(|row| table.row(plain(row)));
            table.print(&mut out);
            return out;
        }
        let mut table = Table::new(["TOPIC", "PARTITION", "EARLIEST", "LATEST", "OFFSET", "TIMESTAMP"]);
        for row in &self.partitions {
            let [topic, partition, earliest, latest] = plain(row);
            let offset = cell(row.at.and_then(|place| place.offset));
            let timestamp = cell(row.at.and_then(|place| place.timestamp));
            table.row([topic, partition, earliest, latest, offset, timestamp]);
        }
        table.print(&mut out);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Fake, topic};
    use super::*;

    fn gathered(partitions: Option<&[i32]>, at: Option<At>) -> backends::Result<Offsets> {
        gather(&mut Fake(vec![topic("a")], None), &["a".to_owned()], partitions, at)
    }

    #[test]
    fn partitions_are_shown_with_their_ends() {
        let found = gathered(None, None).unwrap();
        assert_eq!(
            found.text(),
            "TOPIC  PARTITION  EARLIEST  LATEST\na      0          1         10\na      1          1         11\n"
        );
        let json = serde_json::to_string(&found).unwrap();
        let row = |n| format!(r#"{{"topic":"a","partition":{n},"earliest":1,"latest":{}}}"#, 10 + n);
        assert_eq!(json, format!(r#"{{"partitions":[{},{}]}}"#, row(0), row(1)));
    }

    #[test]
    fn with_a_time_there_is_the_record_there_or_nothing() {
        let found = gathered(Some(&[1]), Some(At::Timestamp(500))).unwrap();
        let last = found.text().lines().last().unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(last, "a 1 1 11 5 501");
        let json = serde_json::to_string(&gathered(Some(&[1]), Some(At::Timestamp(5000))).unwrap()).unwrap();
        let row = r#"{"topic":"a","partition":1,"earliest":1,"latest":11,"offset":null,"timestamp":null}"#;
        assert_eq!(json, format!(r#"{{"partitions":[{row}]}}"#));
    }

    #[test]
    fn a_partition_that_is_not_there_is_named() {
        let error = gathered(Some(&[0, 7]), None).unwrap_err();
        assert_eq!(error.to_string(), "no partition a[7]: the topic has 0 to 1");
    }

    #[test]
    fn a_time_may_be_a_word_and_a_wrong_one_is_a_usage_error() {
        assert_eq!(parse_at("@earliest", 0).unwrap(), At::Earliest);
        assert_eq!(parse_at("@latest", 0).unwrap(), At::Latest);
        assert_eq!(parse_at("@-1h", 3_600_001).unwrap(), At::Timestamp(1));
        let error = parse_at("@soon", 0).unwrap_err();
        assert!(error.to_string().starts_with("@soon: 'soon' is not a time"), "{error}");
    }
}
