//! Looking at a cluster through librdkafka: its metadata and its admin calls.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use ::rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::native::{
    AdminError, Client, Code, Described, DescribedMember, ListedGroup, Metadata, PartitionMeta, Place, Queue,
    Role, TopicMeta, Within,
};
use super::{Health, INVALID_TOPIC, UNKNOWN_TOPIC_OR_PART, config, connect, errors, serve};
use crate::backends::inspector::{
    Broker, Committed, Found, Group, Inspector, Listed, Member, Partition, Protocol, Topic,
};
use crate::backends::{At, Error, ErrorKind, Log, Result, Status, TopicPartition, not_of_consumers};
use crate::settings::{KeyId, Settings, Side};

/// How long until a question that may be answered later is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(100);
/// librdkafka's own "invalid argument", which is what it calls a group of something else.
const INVALID_ARG: Code = Code(-186);
const GROUP_ID_NOT_FOUND: Code = Code(69);
/// The group's coordinator loads what it keeps, or is another one by now.
const MOVING: [Code; 2] = [Code(14), Code(16)];
/// The state of a group that is not there.
const DEAD: &str = "Dead";

#[derive(Debug)]
pub(super) struct RdkafkaInspector {
    events: Queue,
    pub(super) client: Client,
    settings: Settings,
    log: Log,
}

/// Connects.
///
/// # Errors
/// `Unsupported` for a setting librdkafka refuses; as [`connect`].
pub(in crate::backends) fn open_inspector(settings: &Settings, log: &Log) -> Result<Box<dyn Inspector>> {
    Ok(Box::new(RdkafkaInspector::open(settings, log)?))
}

impl Inspector for RdkafkaInspector {
    fn topics(&mut self, names: Option<&[String]>) -> Result<Vec<Topic>> {
        let mut topics = Vec::new();
        match names {
            None => topics = existing(&self.connect(None)?)?,
            Some(names) => {
                for name in names {
                    topics.extend(existing(&self.connect(Some(name))?)?);
                }
            }
        }
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        topics.dedup_by(|a, b| a.name == b.name);
        Ok(topics)
    }

    fn offsets(&mut self, places: &[(TopicPartition, At)]) -> Result<Vec<Found>> {
        if places.is_empty() {
            return Ok(Vec::new());
        }
        let mut list = TopicPartitionList::with_capacity(places.len());
        for (tp, at) in places {
            let at = match at {
                At::Earliest => Offset::Beginning,
                At::Latest => Offset::End,
                At::Timestamp(ms) => Offset::Offset((*ms).max(0)),
            };
            list.add_partition_offset(&tp.topic, tp.partition, at)
                .map_err(|e| Error::new(ErrorKind::Other, format!("{tp}: {e}")))?;
        }
        self.until_answered(|within| {
            let found = self.client.list_offsets(&list, within).map_err(|e| failed(e, "listing offsets"))?;
            in_order(places, found)
        })
    }

    fn groups(&mut self) -> Result<Vec<Listed>> {
        self.connect(None)?;
        let list = |within| self.client.list_groups(within).map_err(|e| failed(e, "listing groups"));
        let listed = self.until_answered(list)?;
        // After it: who is missing then is gone.
        let ask = |within: Within| {
            self.client.coordinators(within.wait).map_err(|code| refused(code, "finding coordinators"))
        };
        let mut coordinators = self.until_answered(ask)?;
        let group = |group: ListedGroup| {
            let coordinator = coordinators.remove(&group.name)?;
            let protocol = group.kind.and_then(Protocol::named);
            let coordinator = broker(coordinator);
            Some(Listed { name: group.name, state: Some(group.state), protocol, coordinator })
        };
        Ok(listed.into_iter().filter_map(group).collect())
    }

    fn group(&mut self, name: &str) -> Result<Option<Group>> {
        self.connect(None)?;
        let names = [name.to_owned()];
        let Some(found) = self.until_answered(|within| self.describe(&names, within))?.pop().flatten() else {
            return Ok(None);
        };
        let about = || format!("group {name}");
        let ask = |within| self.client.group_offsets(name, within).map_err(|e| failed(e, about()));
        let committed = self.until_answered(ask)?.into_iter().filter_map(committed).collect::<Result<_>>()?;
        Ok(Some(Group {
            name: found.name,
            state: found.state,
            protocol: found.kind.and_then(Protocol::named).unwrap_or(Protocol::Classic),
            assignor: Some(found.assignor).filter(|assignor| !assignor.is_empty()),
            coordinator: broker(found.coordinator),
            members: found.members.into_iter().map(member).collect(),
            committed,
        }))
    }
}

impl RdkafkaInspector {
    /// See [`open_inspector`].
    pub(super) fn open(settings: &Settings, log: &Log) -> Result<Self> {
        let mut conf = config::native(settings, Side::Consumer);
        conf.retain(|(name, _)| name != "group.id" && name != "group.instance.id");
        let client =
            Client::new(Role::Consumer, &conf).map_err(|refused| config::refused(settings, refused))?;
        let events = client.main_queue();
        Ok(Self { events, client, settings: settings.clone(), log: log.clone() })
    }

    /// What the brokers say of a topic, or of all.
    pub(super) fn connect(&self, topic: Option<&str>) -> Result<Metadata> {
        let handle =
            topic.map(|name| self.client.topic(name).map_err(|e| errors::error(e, format!("topic {name}"))));
        let handle = handle.transpose()?;
        connect(&self.client, &self.events, handle.as_ref(), &self.settings, &self.log)
    }

    /// Asks again after what may pass, until the time limit.
    pub(super) fn until_answered<T>(&self, ask: impl Fn(Within) -> Result<T>) -> Result<T> {
        let committed = self.settings.is_set(KeyId::IsolationLevel)
            && self.settings.text(KeyId::IsolationLevel) == Some("read_committed");
        let deadline = Instant::now() + self.settings.duration(KeyId::RequestTimeout);
        loop {
            let wait = deadline.saturating_duration_since(Instant::now());
            match ask(Within { wait, committed }) {
                Err(e) if e.status() == Status::Temporary && Instant::now() < deadline => {
                    // Asked again after the next event, or a short while.
                    drop(serve(self.events.poll(ASK_AGAIN), &mut Health::default(), &self.log));
                }
                answer => return answer,
            }
        }
    }

    /// These groups, in their order; none for one that is not there.
    fn describe(&self, names: &[String], within: Within) -> Result<Vec<Option<Described>>> {
        let found = self.client.describe_groups(names, within).map_err(|e| failed(e, "describing groups"))?;
        let check = |found: Described| match &found.error {
            Some(error) if error.code == GROUP_ID_NOT_FOUND => Ok(None),
            Some(error) if error.code == INVALID_ARG => Err(not_of_consumers(&found.name)),
            Some(error) => Err(refused(error.code, format!("group {}", found.name))),
            None if found.state == DEAD => Ok(None),
            None => Ok(Some(found)),
        };
        found.into_iter().map(check).collect()
    }
}

/// The topics that are there.
fn existing(metadata: &Metadata) -> Result<Vec<Topic>> {
    let topic = |told: &TopicMeta| match told.error {
        UNKNOWN_TOPIC_OR_PART | INVALID_TOPIC => None,
        Code::NONE => Some(Ok(topic(told, &metadata.brokers))),
        code => Some(Err(errors::error(code, format!("topic {}", told.name)))),
    };
    metadata.topics.iter().filter_map(topic).collect()
}

fn topic(told: &TopicMeta, brokers: &[i32]) -> Topic {
    let partition = |told: &PartitionMeta| Partition {
        index: told.id,
        leader: Some(told.leader).filter(|id| *id >= 0),
        replicas: told.replicas.clone(),
        isr: told.isr.clone(),
        offline: told.replicas.iter().copied().filter(|id| !brokers.contains(id)).collect(),
    };
    let mut partitions: Vec<Partition> = told.partitions.iter().map(partition).collect();
    partitions.sort_by_key(|partition| partition.index);
    partitions.dedup_by_key(|partition| partition.index);
    Topic { name: told.name.as_str().into(), partitions }
}

/// What was found, in the order of the places.
fn in_order(places: &[(TopicPartition, At)], found: Vec<Place>) -> Result<Vec<Found>> {
    let mut by_partition: HashMap<(String, i32), Place> =
        found.into_iter().map(|found| ((found.topic.clone(), found.partition), found)).collect();
    let take = |(tp, _): &(TopicPartition, At)| {
        let found = by_partition.remove(&(tp.topic.to_string(), tp.partition));
        let found = found.ok_or_else(|| Error::new(ErrorKind::Other, format!("{tp}: no offset was told")))?;
        if found.error != Code::NONE {
            return Err(errors::error(found.error, tp.to_string()));
        }
        Ok(Found {
            offset: Some(found.offset).filter(|offset| *offset >= 0),
            timestamp: Some(found.timestamp).filter(|timestamp| *timestamp >= 0),
        })
    };
    places.iter().map(take).collect()
}

/// A committed offset; none where there is none.
fn committed(told: Place) -> Option<Result<Committed>> {
    let of = TopicPartition { topic: told.topic.as_str().into(), partition: told.partition };
    if told.error != Code::NONE {
        return Some(Err(errors::error(told.error, of.to_string())));
    }
    (told.offset >= 0).then_some(Ok(Committed { of, offset: told.offset, metadata: told.metadata }))
}

fn member(told: DescribedMember) -> Member {
    let tp = |place: Place| TopicPartition { topic: place.topic.as_str().into(), partition: place.partition };
    Member {
        id: told.id,
        instance_id: told.instance_id,
        client_id: told.client_id,
        host: told.host,
        partitions: told.partitions.into_iter().map(tp).collect(),
    }
}

fn broker((id, host, port): (i32, String, u16)) -> Broker {
    Broker { id, host, port }
}

pub(super) fn failed(error: AdminError, doing: impl Into<String>) -> Error {
    refused(error.code, doing).with_source(std::io::Error::other(error.reason))
}

/// The error of a code; what a coordinator says while it moves passes.
fn refused(code: Code, doing: impl Into<String>) -> Error {
    let error = errors::error(code, doing);
    if MOVING.contains(&code) { error.with_status(Status::Temporary) } else { error }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(partition: i32, offset: i64, error: Code) -> Place {
        Place { topic: "t".to_owned(), partition, offset, timestamp: -1, metadata: String::new(), error }
    }

    fn asked(partition: i32) -> (TopicPartition, At) {
        (TopicPartition { topic: "t".into(), partition }, At::Latest)
    }

    #[test]
    fn offsets_come_in_the_order_they_were_asked_for() {
        let found = vec![place(0, 5, Code::NONE), place(1, -1, Code::NONE)];
        let found = in_order(&[asked(1), asked(0)], found).unwrap();
        assert_eq!(found.iter().map(|found| found.offset).collect::<Vec<_>>(), [None, Some(5)]);
        assert!(in_order(&[asked(2)], vec![place(0, 5, Code::NONE)]).is_err());
        let refused = in_order(&[asked(0)], vec![place(0, -1, Code(29))]).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Authorization);
    }

    #[test]
    fn replicas_on_brokers_that_are_gone_are_offline() {
        let partition = PartitionMeta { id: 0, leader: -1, replicas: vec![1, 2], isr: vec![2] };
        let told = TopicMeta { name: "t".to_owned(), error: Code::NONE, partitions: vec![partition] };
        let found = topic(&told, &[1, 3]);
        assert_eq!((found.partitions[0].leader, found.partitions[0].offline.as_slice()), (None, &[2][..]));
    }

    #[test]
    fn a_topic_that_is_not_there_is_left_out() {
        let told = |name: &str, error| TopicMeta { name: name.to_owned(), error, partitions: Vec::new() };
        let metadata = |topics| Metadata { brokers: vec![1], topics };
        let found =
            existing(&metadata(vec![told("a", UNKNOWN_TOPIC_OR_PART), told("b", Code::NONE)])).unwrap();
        assert_eq!(found.iter().map(|topic| &*topic.name).collect::<Vec<_>>(), ["b"]);
        assert_eq!(
            existing(&metadata(vec![told("a", Code(29))])).unwrap_err().kind(),
            ErrorKind::Authorization
        );
    }
}
