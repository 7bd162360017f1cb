//! Looking at a cluster: topics and offsets. Groups are in [`groups`].

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;

use super::{config, errors, groups, reach};
use crate::backends::inspector::{Found, Group, Inspector, Listed, Partition, Topic};
use crate::backends::{At, Error, ErrorKind, Result, TopicPartition};
use crate::settings::{KeyId, Settings};
use crate::wire::messages::{
    MetadataPartition, MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataTopic,
};
use crate::wire::net::{self, Answer, Cluster, Creation, FoundOffset, Isolation, OffsetQuery, Whom};
use crate::wire::{ErrorCode, Request};

/// The largest answer to take: all that a cluster with very many partitions has to tell.
const MAX_ANSWER: usize = 128 << 20;
/// The times that stand for the end and the beginning of a partition.
const END: i64 = -1;
const BEGINNING: i64 = -2;

/// Looks by means of `wire::net`.
#[derive(Debug)]
pub(super) struct WiredInspector {
    /// Before the runtime: its tasks run there.
    cluster: Cluster,
    runtime: Runtime,
    isolation: Isolation,
    limit: Duration,
}

/// Connects.
///
/// # Errors
/// `Unreachable` within `socket.connection.setup.timeout.ms`, naming the addresses; `Authentication`.
pub(in crate::backends) fn open_inspector(settings: &Settings) -> Result<Box<dyn Inspector>> {
    Ok(Box::new(WiredInspector::open(settings)?))
}

impl Inspector for WiredInspector {
    fn topics(&mut self, names: Option<&[String]>) -> Result<Vec<Topic>> {
        let request = MetadataRequest {
            topics: names.map(|names| names.iter().map(|name| named(name)).collect()),
            allow_auto_topic_creation: false,
            ..Default::default()
        };
        self.ask(Whom::Anyone, &request, topics, "listing topics")?
    }

    fn offsets(&mut self, places: &[(TopicPartition, At)]) -> Result<Vec<Found>> {
        let query = |(tp, at): &(TopicPartition, At)| OffsetQuery {
            topic: Arc::clone(&tp.topic),
            partition: tp.partition,
            timestamp: timestamp(*at),
        };
        let queries: Vec<OffsetQuery> = places.iter().map(query).collect();
        let asked = self.cluster.list_offsets(&queries, self.isolation, self.deadline());
        let found = self.runtime.block_on(asked).map_err(|why| errors::error("listing offsets", &why))?;
        places.iter().zip(found).map(|((tp, _), found)| of_partition(tp, found)).collect()
    }

    fn groups(&mut self) -> Result<Vec<Listed>> {
        let listed = groups::list(&self.cluster, self.deadline());
        self.runtime.block_on(listed).map_err(|why| errors::error("listing groups", &why))
    }

    fn group(&mut self, name: &str) -> Result<Option<Group>> {
        let described = groups::describe(&self.cluster, name, self.deadline());
        self.runtime.block_on(described)
    }
}

impl WiredInspector {
    /// See [`open_inspector`].
    pub(super) fn open(settings: &Settings) -> Result<Self> {
        let built = Builder::new_current_thread().enable_all().build();
        let runtime =
            built.map_err(|why| Error::new(ErrorKind::Other, "cannot start the client").with_source(why))?;
        let mut config = config::cluster(settings, MAX_ANSWER, 0)?;
        // Looking creates no topics.
        config.creation = Creation::Forbidden;
        let cluster = Cluster::new(config, runtime.handle());
        runtime.block_on(reach(&cluster, settings))?;
        let committed = settings.is_set(KeyId::IsolationLevel)
            && settings.text(KeyId::IsolationLevel) == Some("read_committed");
        let isolation = if committed { Isolation::Committed } else { Isolation::Uncommitted };
        let limit = settings.duration(KeyId::RequestTimeout);
        Ok(Self { cluster, runtime, isolation, limit })
    }

    /// Asks, and asks again what may be answered later.
    pub(super) fn ask<'a, R: Request<'a>, T>(
        &self,
        whom: Whom<'_>,
        request: &R,
        read: impl Fn(&Answer) -> net::Result<T>,
        doing: &str,
    ) -> Result<T> {
        let asked = self.cluster.question(whom, request, read, self.deadline());
        self.runtime.block_on(asked).map_err(|why| errors::error(doing, &why))
    }

    /// The time limit as requests have it.
    pub(super) fn timeout_ms(&self) -> i32 {
        i32::try_from(self.limit.as_millis()).unwrap_or(i32::MAX)
    }

    fn deadline(&self) -> Instant {
        // The runtime's clock, which is the system's, can be read from outside of it.
        Instant::now() + self.limit
    }
}

fn named(name: &str) -> MetadataRequestTopic<'_> {
    MetadataRequestTopic { name: Some(name.into()), ..Default::default() }
}

/// Times before 1970 are those of 1970: -1 and -2 mean something else in the protocol.
fn timestamp(at: At) -> i64 {
    match at {
        At::Earliest => BEGINNING,
        At::Latest => END,
        At::Timestamp(ms) => ms.max(0),
    }
}

fn of_partition(tp: &TopicPartition, found: std::result::Result<FoundOffset, ErrorCode>) -> Result<Found> {
    match found {
        Ok(FoundOffset { offset, timestamp, .. }) => Ok(Found { offset, timestamp }),
        Err(code) => Err(errors::of_code(tp, code, None)),
    }
}

/// The topics an answer tells of; the inner error is that of one of them.
fn topics(answer: &Answer) -> net::Result<Result<Vec<Topic>>> {
    let told: MetadataResponse<'_> = answer.read()?;
    let mut topics = Vec::with_capacity(told.topics.len());
    for told in &told.topics {
        match topic(told) {
            Ok(found) => topics.extend(found),
            Err(error) => return Ok(Err(error)),
        }
    }
    topics.sort_by(|a: &Topic, b: &Topic| a.name.cmp(&b.name));
    Ok(Ok(topics))
}

/// A topic; none if it does not exist.
fn topic(told: &MetadataTopic<'_>) -> Result<Option<Topic>> {
    let Some(name) = told.name.as_deref() else { return Ok(None) };
    match ErrorCode::check(told.error_code) {
        Err(ErrorCode::UnknownTopicOrPartition | ErrorCode::InvalidTopic) => return Ok(None),
        Err(code) => return Err(errors::of_code(format_args!("topic {name}"), code, None)),
        Ok(()) => {}
    }
    let mut partitions: Vec<Partition> = told.partitions.iter().map(partition).collect();
    partitions.sort_by_key(|partition| partition.index);
    partitions.dedup_by_key(|partition| partition.index);
    Ok(Some(Topic { name: name.into(), partitions }))
}

fn partition(told: &MetadataPartition) -> Partition {
    Partition {
        index: told.partition_index,
        leader: Some(told.leader_id).filter(|id| *id >= 0),
        replicas: told.replica_nodes.clone(),
        isr: told.isr_nodes.clone(),
        offline: told.offline_replicas.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(error_code: i16, leaders: &[(i32, i32)]) -> MetadataTopic<'static> {
        let partition = |&(partition_index, leader_id): &(i32, i32)| MetadataPartition {
            partition_index,
            leader_id,
            replica_nodes: vec![2, 1],
            isr_nodes: vec![1],
            offline_replicas: vec![2],
            ..Default::default()
        };
        let partitions = leaders.iter().map(partition).collect();
        MetadataTopic { name: Some("t".into()), error_code, partitions, ..Default::default() }
    }

    #[test]
    fn partitions_come_in_the_order_of_their_numbers_each_once() {
        let found = topic(&told(0, &[(7, 1), (0, -1), (7, 3)])).unwrap().unwrap();
        let leaders: Vec<_> = found.partitions.iter().map(|p| (p.index, p.leader)).collect();
        assert_eq!(leaders, [(0, None), (7, Some(1))]);
        let first = &found.partitions[0];
        assert_eq!([&first.replicas[..], &first.isr, &first.offline], [&[2, 1][..], &[1], &[2]]);
    }

    #[test]
    fn a_topic_that_is_not_there_is_left_out_and_one_that_is_refused_is_an_error() {
        assert_eq!(topic(&told(3, &[])).unwrap(), None);
        assert_eq!(topic(&told(17, &[])).unwrap(), None);
        let refused = topic(&told(29, &[])).unwrap_err();
        assert_eq!(refused.to_string(), "topic t: no permission for this topic");
        assert_eq!(topic(&told(5, &[])).unwrap_err().kind(), ErrorKind::Unreachable);
    }

    #[test]
    fn times_before_1970_are_not_taken_for_the_ends_of_the_partition() {
        let times = [At::Timestamp(-1), At::Timestamp(5), At::Earliest, At::Latest].map(timestamp);
        assert_eq!(times, [0, 5, -2, -1]);
    }
}
