//! `kps topics`, `kps offsets` and `kps groups`: looking at a cluster without changing anything in it. Each
//! gathers a report, whichever library asks for it, and prints it as tables or as one JSON object.

mod groups;
mod offsets;
mod table;
mod topics;

pub(super) use groups::run as groups;
pub(super) use offsets::run as offsets;
pub(super) use topics::run as topics;

use anyhow::Result;
use serde::Serialize;

use super::{Context, Exit, library_log, output::Output, topic_name, usage};
use crate::backends::inspector::Topic;
use crate::backends::{self, At, Inspector, Purpose, TopicPartition, unknown_topic};
use crate::cli::ReportFormat;
use crate::settings::KeyId;

/// Something to print. Its serialised form is its JSON: fields in their order, none missing but where said.
trait Report: Serialize {
    /// Its tables.
    fn text(&self) -> String;
}

fn print(report: &impl Report, format: ReportFormat) -> Result<Exit> {
    match format {
        ReportFormat::Text => Output::print(&report.text()),
        ReportFormat::Json => Output::print(&(serde_json::to_string_pretty(report)? + "\n")),
    }
}

/// Connects, to a broker that somebody else uses, too.
fn open(context: &Context<'_>) -> Result<Box<dyn Inspector>> {
    let chosen = context.choose(Purpose::Inspect)?;
    if chosen.settings.is_embedded() {
        let place = chosen.settings.place(KeyId::BootstrapServers);
        return Err(usage(format!(
            "{place}: embedded: a broker started for this run alone has nothing to look at: start one with `kps broker` and give its address"
        )));
    }
    Ok(backends::open_inspector(&chosen, &library_log())?)
}

/// The topics typed, by position or by flag: sorted, each once.
fn topic_names<'a>(typed: impl IntoIterator<Item = &'a String>) -> Result<Vec<String>> {
    let mut names = typed.into_iter().map(|typed| topic_name(typed)).collect::<Result<Vec<_>>>()?;
    names.sort();
    names.dedup();
    Ok(names)
}

/// These topics, all of them.
///
/// # Errors
/// `UnknownTopic`, and as [`Inspector::topics`].
fn existing(inspector: &mut dyn Inspector, names: &[String]) -> backends::Result<Vec<Topic>> {
    let topics = inspector.topics(Some(names))?;
    match names.iter().find(|name| !topics.iter().any(|topic| *topic.name == ***name)) {
        Some(missing) => Err(unknown_topic(missing)),
        None => Ok(topics),
    }
}

/// The offsets of places in partitions, in the same order; none without asking where nobody leads.
fn offsets_led(
    inspector: &mut dyn Inspector,
    topics: &[Topic],
    places: &[(TopicPartition, At)],
) -> backends::Result<Vec<Option<i64>>> {
    let led: Vec<_> = places.iter().filter(|(tp, _)| is_led(topics, tp)).cloned().collect();
    let found = if led.is_empty() { Vec::new() } else { inspector.offsets(&led)? };
    let mut found = found.into_iter();
    let offset = |(tp, _): &(TopicPartition, At)| match is_led(topics, tp) {
        true => found.next().and_then(|found| found.offset),
        false => None,
    };
    Ok(places.iter().map(offset).collect())
}

fn is_led(topics: &[Topic], tp: &TopicPartition) -> bool {
    let topic = topics.binary_search_by(|topic| topic.name.cmp(&tp.topic)).ok();
    let partitions = topic.and_then(|at| topics.get(at)).map(|topic| topic.partitions.as_slice());
    let has_leader = |all: &[backends::inspector::Partition]| {
        let at = all.binary_search_by_key(&tp.partition, |partition| partition.index);
        at.ok().and_then(|at| all.get(at)).is_some_and(|partition| partition.leader.is_some())
    };
    partitions.is_some_and(has_leader)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backends::inspector::{Found, Group, Listed, Partition};

    /// A cluster whose partition N ends at 10 + N.
    pub(super) struct Fake(pub(super) Vec<Topic>, pub(super) Option<Group>);

    impl Inspector for Fake {
        fn topics(&mut self, names: Option<&[String]>) -> backends::Result<Vec<Topic>> {
            let wanted =
                |topic: &&Topic| names.is_none_or(|names| names.iter().any(|name| **name == *topic.name));
            Ok(self.0.iter().filter(wanted).cloned().collect())
        }

        fn offsets(&mut self, places: &[(TopicPartition, At)]) -> backends::Result<Vec<Found>> {
            let find = |(tp, at): &(TopicPartition, At)| match at {
                At::Earliest => Found { offset: Some(1), timestamp: None },
                At::Latest => Found { offset: Some(10 + i64::from(tp.partition)), timestamp: None },
                At::Timestamp(ms) if *ms < 1000 => Found { offset: Some(5), timestamp: Some(ms + 1) },
                At::Timestamp(_) => Found { offset: None, timestamp: None },
            };
            Ok(places.iter().map(find).collect())
        }

        fn groups(&mut self) -> backends::Result<Vec<Listed>> {
            Ok(Vec::new())
        }

        fn group(&mut self, name: &str) -> backends::Result<Option<Group>> {
            Ok(self.1.clone().filter(|group| group.name == name))
        }
    }

    /// A topic of two partitions, the second without a leader.
    pub(super) fn topic(name: &str) -> Topic {
        let partition =
            |index, leader| Partition { index, leader, replicas: vec![2, 1], isr: vec![2], offline: vec![1] };
        Topic { name: name.into(), partitions: vec![partition(0, Some(2)), partition(1, None)] }
    }

    #[test]
    fn topics_are_named_once_and_the_first_unknown_one_is_told() {
        let typed = ["b", "kafka://topic/a", "b"].map(str::to_owned);
        let names = topic_names(&typed).unwrap();
        assert_eq!(names, ["a", "b"]);
        let mut fake = Fake(vec![topic("b")], None);
        let error = existing(&mut fake, &names).unwrap_err();
        assert_eq!(error.kind(), backends::ErrorKind::UnknownTopic);
        assert!(error.to_string().starts_with("unknown topic a:"), "{error}");
    }

    #[test]
    fn offsets_are_not_asked_for_where_nobody_leads() {
        let topics = vec![topic("a")];
        let place = |topic: &str, partition| (TopicPartition { topic: topic.into(), partition }, At::Latest);
        let places = [place("b", 0), place("a", 1), place("a", 0), place("a", 2)];
        let found = offsets_led(&mut Fake(topics.clone(), None), &topics, &places).unwrap();
        assert_eq!(found, [None, None, Some(10), None]);
    }
}
