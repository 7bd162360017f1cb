//! `kps topics`.

use std::sync::Arc;

use anyhow::Result;
use serde::Serialize;

use super::table::{Table, cell, numbers};
use super::{Report, existing, offsets_led, open, print, topic_names};
use crate::backends::inspector::{Partition, Topic};
use crate::backends::{self, At, Inspector, TopicPartition, is_internal};
use crate::cli::TopicsArgs;
use crate::commands::{Context, Exit};

/// Runs the command.
pub(in crate::commands) fn run(args: &TopicsArgs, context: &Context<'_>) -> Result<Exit> {
    let names = topic_names(args.topics.iter().chain(&args.topic_flag))?;
    let mut inspector = open(context)?;
    if names.is_empty() {
        let mut topics = inspector.topics(None)?;
        topics.retain(|topic| args.internal || !is_internal(&topic.name));
        return print(&List { topics: topics.iter().map(Summary::of).collect() }, args.report.format());
    }
    print(&show(inspector.as_mut(), &names)?, args.report.format())
}

/// All topics, by name.
#[derive(Debug, Serialize)]
struct List {
    topics: Vec<Summary>,
}

/// A topic.
#[derive(Debug, Serialize)]
struct Summary {
    topic: Arc<str>,
    /// Whether its name begins with `__`.
    internal: bool,
    partition_count: usize,
    /// That of the first partition.
    replication_factor: usize,
}

impl Summary {
    fn of(topic: &Topic) -> Self {
        Self {
            topic: Arc::clone(&topic.name),
            internal: is_internal(&topic.name),
            partition_count: topic.partitions.len(),
            replication_factor: topic.partitions.first().map_or(0, |partition| partition.replicas.len()),
        }
    }
}

impl Report for List {
    fn text(&self) -> String {
        let mut table = Table::new(["TOPIC", "PARTITIONS", "REPLICATION"]);
        for Summary { topic, partition_count, replication_factor, .. } in &self.topics {
            table.row([topic.to_string(), partition_count.to_string(), replication_factor.to_string()]);
        }
        let mut out = String::new();
        table.print(&mut out);
        out
    }
}

/// The topics asked for, by name, with their partitions.
#[derive(Debug, Serialize)]
struct Show {
    topics: Vec<Detail>,
}

#[derive(Debug, Serialize)]
struct Detail {
    #[serde(flatten)]
    summary: Summary,
    /// In the order of their numbers.
    partitions: Vec<Row>,
}

/// A partition.
#[derive(Debug, Serialize)]
struct Row {
    partition: i32,
    /// Null while there is none.
    leader: Option<i32>,
    /// The preferred leader first.
    replicas: Vec<i32>,
    isr: Vec<i32>,
    offline: Vec<i32>,
    /// The first offset; null without a leader.
    earliest: Option<i64>,
    /// The offset of the next record; null without a leader.
    latest: Option<i64>,
}

fn show(inspector: &mut dyn Inspector, names: &[String]) -> backends::Result<Show> {
    let topics = existing(inspector, names)?;
    let all = topics.iter().flat_map(|topic| topic.partitions.iter().map(move |p| (topic, p.index)));
    let places = |at: At| {
        let place = move |(topic, partition): (&Topic, i32)| {
            (TopicPartition { topic: Arc::clone(&topic.name), partition }, at)
        };
        all.clone().map(place).collect::<Vec<_>>()
    };
    let mut earliest = offsets_led(inspector, &topics, &places(At::Earliest))?.into_iter();
    let mut latest = offsets_led(inspector, &topics, &places(At::Latest))?.into_iter();
    let mut row = |partition: &Partition| Row {
        partition: partition.index,
        leader: partition.leader,
        replicas: partition.replicas.clone(),
        isr: partition.isr.clone(),
        offline: partition.offline.clone(),
        earliest: earliest.next().flatten(),
        latest: latest.next().flatten(),
    };
    let mut detail = |topic: &Topic| Detail {
        summary: Summary::of(topic),
        partitions: topic.partitions.iter().map(&mut row).collect(),
    };
    Ok(Show { topics: topics.iter().map(&mut detail).collect() })
}

impl Report for Show {
    fn text(&self) -> String {
        let mut table =
            Table::new(["TOPIC", "PARTITION", "LEADER", "REPLICAS", "ISR", "OFFLINE", "EARLIEST", "LATEST"]);
        for Detail { summary, partitions } in &self.topics {
            for row in partitions {
                table.row([
                    summary.topic.to_string(),
                    row.partition.to_string(),
                    cell(row.leader),
                    numbers(&row.replicas),
                    numbers(&row.isr),
                    numbers(&row.offline),
                    cell(row.earliest),
                    cell(row.latest),
                ]);
            }
        }
        let mut out = String::new();
        table.print(&mut out);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Fake, topic};
    use super::*;

    #[test]
    fn topics_are_listed_by_what_they_are_made_of() {
        let list = List { topics: vec![Summary::of(&topic("a")), Summary::of(&topic("__b"))] };
        assert_eq!(
            list.text(),
            "TOPIC  PARTITIONS  REPLICATION\na      2           2\n__b    2           2\n"
        );
        let json = serde_json::to_string(&list).unwrap();
        let of = |name, internal| {
            format!(
                r#"{{"topic":"{name}","internal":{internal},"partition_count":2,"replication_factor":2}}"#
            )
        };
        assert_eq!(json, format!(r#"{{"topics":[{},{}]}}"#, of("a", false), of("__b", true)));
    }

    #[test]
    fn partitions_are_shown_with_where_they_begin_and_end() {
        let show = show(&mut Fake(vec![topic("a")], None), &["a".to_owned()]).unwrap();
        let lines: Vec<String> =
            show.text().lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(
            lines,
            [
                "TOPIC PARTITION LEADER REPLICAS ISR OFFLINE EARLIEST LATEST",
                "a 0 2 2,1 2 1 1 10",
                "a 1 - 2,1 2 1 - -",
            ]
        );
        let json = serde_json::to_string(&show).unwrap();
        let first = r#""partitions":[{"partition":0,"leader":2,"replicas":[2,1],"isr":[2],"offline":[1],"earliest":1,"latest":10},"#;
        assert!(json.contains(first), "{json}");
        assert!(json.contains(r#""leader":null"#) && json.contains(r#""latest":null"#), "{json}");
    }
}
