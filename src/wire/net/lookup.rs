//! Questions about single things: coordinators, and offsets by time.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError};

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::cluster::Inner;
use super::metadata::Wanted;
use super::{Address, Connection, Error, Kind, Metadata, Purpose, Result, Sending, Sent};
use crate::wire::messages::{
    FindCoordinatorRequest, FindCoordinatorResponse, FindCoordinatorResult, ListOffsetsRequest,
    ListOffsetsRequestPartition, ListOffsetsRequestTopic, ListOffsetsResponse, ListOffsetsResponsePartition,
};
use crate::wire::{ErrorCode, Text};

/// The version of FindCoordinator from which on it takes several keys.
const MANY_KEYS: i16 = 4;
/// The version of ListOffsets from which on it knows [`LATEST_TIME`].
const KNOWS_LATEST_TIME: i16 = 7;
/// The timestamp that stands for the record with the latest one (KIP-734).
const LATEST_TIME: i64 = -3;

/// What a coordinator is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Coordinated {
    /// A group.
    Group = 0,
    /// A transactional id.
    Transaction = 1,
}

/// Which records are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Isolation {
    /// All.
    Uncommitted = 0,
    /// Those of no transaction or a committed one.
    Committed = 1,
}

/// A time in a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetQuery {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// The earliest time of the record sought, in ms since 1970; -1 for the end, -2 for the beginning, -3
    /// for the record with the latest time.
    pub timestamp: i64,
}

/// The offset of a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoundOffset {
    /// The offset; none if no record is that late.
    pub offset: Option<i64>,
    /// The time of the record there, in ms since 1970, if it is known.
    pub timestamp: Option<i64>,
    /// The epoch of the leader that wrote it, if it is known.
    pub leader_epoch: Option<i32>,
}

/// The numbers of the queries by the leader they go to and the request to it.
type Groups = BTreeMap<(i32, usize), Vec<usize>>;

/// What became of a query that will not fare better.
pub(super) type Found = std::result::Result<FoundOffset, ErrorCode>;

impl Inner {
    /// Asks any broker for a coordinator, once.
    pub(super) async fn find_coordinator(self: &Arc<Self>, of: Coordinated, key: &str) -> Result<i32> {
        let known = self.coordinators().get(&(of, key.to_owned())).copied();
        if let Some(id) = known.filter(|id| self.metadata.borrow().broker(*id).is_some()) {
            return Ok(id);
        }
        let connection = self.any(&Default::default()).await?;
        let (id, address) = self.ask_coordinator(&connection, of, key).await?;
        self.learn(|known| Some(known.with_broker(id, address)));
        self.coordinators().insert((of, key.to_owned()), id);
        Ok(id)
    }

    async fn ask_coordinator(
        &self,
        connection: &Connection,
        of: Coordinated,
        key: &str,
    ) -> Result<(i32, Address)> {
        let version = connection.version::<FindCoordinatorRequest<'_>>()?;
        let many = version >= MANY_KEYS;
        let request = FindCoordinatorRequest {
            key: if many { Text::default() } else { key.into() },
            key_type: of as i8,
            coordinator_keys: if many { vec![key.into()] } else { Vec::new() },
        };
        let answer = connection.send(&request, Sending::within(self.config.request_timeout)).await?;
        let told: FindCoordinatorResponse<'_> = answer.read()?;
        let told =
            if many { told.coordinators.into_iter().find(|told| told.key == key) } else { Some(one(told)) };
        let about = |error: Error| error.at(connection.address()).sent_as(Sent::Maybe);
        let told = told.ok_or_else(|| {
            about(Error::new(Kind::Protocol, "its answer to FindCoordinator is not about what was asked"))
        })?;
        let what = match of {
            Coordinated::Group => "group",
            Coordinated::Transaction => "transactional id",
        };
        ErrorCode::check(told.error_code)
            .map_err(|code| about(Error::of_code(code, format_args!("coordinator of {what} {key}"))))?;
        let address = Address::new(&told.host, told.port);
        let address =
            address.map_err(|why| about(Error::new(Kind::Protocol, why.to_string()).because(why)))?;
        Ok((told.node_id, address))
    }

    pub(super) fn coordinators(&self) -> std::sync::MutexGuard<'_, HashMap<(Coordinated, String), i32>> {
        self.coordinators.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for the offsets that are not found yet, once; what is wrong if there are any left.
    pub(super) async fn find_offsets(
        self: &Arc<Self>,
        queries: &Arc<[OffsetQuery]>,
        isolation: Isolation,
        deadline: Instant,
        found: &mut [Option<Found>],
    ) -> Result<()> {
        let metadata = self.metadata_of(queries, found).await?;
        let (by_leader, mut failed) = by_leader(&metadata, queries, found);
        let mut questions = JoinSet::new();
        for ((leader, _), asked) in by_leader {
            let (inner, queries) = (Arc::clone(self), Arc::clone(queries));
            let question =
                async move { inner.ask_offsets(leader, &queries, asked, isolation, deadline).await };
            questions.spawn_on(question, &self.runtime);
        }
        while let Some(answered) = questions.join_next().await {
            match answered {
                Ok(Ok(outcomes)) => {
                    for (number, outcome) in outcomes {
                        failed = settle(queries, found, number, outcome).or(failed);
                    }
                }
                Ok(Err(error)) => failed = Some(error),
                Err(_) => {}
            }
        }
        if found.iter().all(Option::is_some) {
            return Ok(());
        }
        if failed.as_ref().is_some_and(Error::asks_for_metadata) {
            self.refresh(&wanted(queries, found)).await?;
        }
        Err(failed.unwrap_or_else(|| Error::new(Kind::Protocol, "offsets were left out of an answer")))
    }

    /// What is known of the topics whose offsets are to be found, asked for if need be.
    async fn metadata_of(
        self: &Arc<Self>,
        queries: &[OffsetQuery],
        found: &[Option<Found>],
    ) -> Result<Arc<Metadata>> {
        let known = Arc::clone(&self.metadata.borrow());
        let led = |(_, query): (usize, &OffsetQuery)| known.leader(&query.topic, query.partition).is_some();
        match open(queries, found).all(led) {
            true => Ok(known),
            false => self.refresh(&wanted(queries, found)).await,
        }
    }

    /// Asks a leader for the queries of these numbers.
    async fn ask_offsets(
        self: &Arc<Self>,
        leader: i32,
        queries: &[OffsetQuery],
        asked: Vec<usize>,
        isolation: Isolation,
        deadline: Instant,
    ) -> Result<Vec<(usize, Found)>> {
        let connection = self.connection(leader, Purpose::Control, deadline).await?;
        let version = connection.version::<ListOffsetsRequest<'_>>()?;
        let asked: Vec<(usize, &OffsetQuery)> =
            asked.into_iter().filter_map(|number| Some((number, queries.get(number)?))).collect();
        if version < KNOWS_LATEST_TIME && asked.iter().any(|(_, query)| query.timestamp == LATEST_TIME) {
            let text = "it cannot tell the record with the latest timestamp (Kafka 3.0 or newer can)";
            return Err(Error::new(Kind::Unsupported, text).at(connection.address()));
        }
        let request = {
            let metadata = self.metadata.borrow();
            offsets_request(&metadata, &asked, isolation)
        };
        let answer = connection.send(&request, Sending::within(self.config.request_timeout)).await?;
        let told: ListOffsetsResponse<'_> = answer.read()?;
        let numbers: HashMap<(&str, i32), usize> =
            asked.iter().map(|(number, query)| ((&*query.topic, query.partition), *number)).collect();
        let partitions = told.topics.iter().flat_map(|topic| {
            topic.partitions.iter().map(|partition| ((&*topic.name, partition.partition_index), partition))
        });
        let outcomes = partitions.filter_map(|(of, told)| Some((*numbers.get(&of)?, outcome(told))));
        Ok(outcomes.collect())
    }
}

/// The coordinator that an answer for one key tells.
fn one(told: FindCoordinatorResponse<'_>) -> FindCoordinatorResult<'_> {
    FindCoordinatorResult {
        key: Text::default(),
        node_id: told.node_id,
        host: told.host,
        port: told.port,
        error_code: told.error_code,
        error_message: told.error_message,
    }
}

/// The queries without an outcome, and their numbers.
fn open<'q>(
    queries: &'q [OffsetQuery],
    found: &'q [Option<Found>],
) -> impl Iterator<Item = (usize, &'q OffsetQuery)> {
    queries
        .iter()
        .zip(found)
        .enumerate()
        .filter_map(|(n, (query, found))| found.is_none().then_some((n, query)))
}

fn wanted(queries: &[OffsetQuery], found: &[Option<Found>]) -> Wanted {
    Wanted::Named(open(queries, found).map(|(_, query)| Arc::clone(&query.topic)).collect())
}

/// Sorts the open queries by leader. A partition that is asked for several times needs as many requests,
/// since no request may have it twice. Topics that are refused have their outcome; the error is that
/// of a partition without a leader.
fn by_leader(
    metadata: &Metadata,
    queries: &[OffsetQuery],
    found: &mut [Option<Found>],
) -> (Groups, Option<Error>) {
    let (mut groups, mut failed) = (Groups::new(), None);
    let mut times = HashMap::<(&str, i32), usize>::new();
    let open = queries.iter().zip(found).enumerate().filter(|(_, (_, found))| found.is_none());
    for (number, (query, found)) in open {
        match leader(metadata, query) {
            Ok(leader) => {
                let time = times.entry((&query.topic, query.partition)).or_default();
                groups.entry((leader, *time)).or_default().push(number);
                *time += 1;
            }
            Err(code) if code.is_retriable() => {
                failed = Some(Error::of_code(code, format_args!("{}[{}]", query.topic, query.partition)));
            }
            Err(code) => *found = Some(Err(code)),
        }
    }
    (groups, failed)
}

/// The leader of a query's partition, or why there is none.
fn leader(metadata: &Metadata, query: &OffsetQuery) -> std::result::Result<i32, ErrorCode> {
    let topic = metadata.topic(&query.topic).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let partition = topic.partition(query.partition);
    let partition = partition.ok_or(topic.error.unwrap_or(ErrorCode::UnknownTopicOrPartition))?;
    partition.leader.ok_or(ErrorCode::LeaderNotAvailable)
}

/// Keeps an outcome that will not get better; the error of one that may.
fn settle(
    queries: &[OffsetQuery],
    found: &mut [Option<Found>],
    number: usize,
    outcome: Found,
) -> Option<Error> {
    match (outcome, queries.get(number), found.get_mut(number)) {
        (Err(code), Some(query), _) if code.is_retriable() => {
            Some(Error::of_code(code, format_args!("offset in {}[{}]", query.topic, query.partition)))
        }
        (outcome, _, Some(place)) => {
            *place = Some(outcome);
            None
        }
        _ => None,
    }
}

fn offsets_request<'q>(
    metadata: &Metadata,
    asked: &[(usize, &'q OffsetQuery)],
    isolation: Isolation,
) -> ListOffsetsRequest<'q> {
    let mut topics = BTreeMap::<&str, Vec<ListOffsetsRequestPartition>>::new();
    for (_, query) in asked {
        let leader = metadata.leader(&query.topic, query.partition);
        topics.entry(&query.topic).or_default().push(ListOffsetsRequestPartition {
            partition_index: query.partition,
            current_leader_epoch: leader.map_or(-1, |leader| leader.epoch),
            timestamp: query.timestamp,
        });
    }
    let topic = |(name, partitions): (&'q str, _)| ListOffsetsRequestTopic { name: name.into(), partitions };
    ListOffsetsRequest {
        replica_id: -1,
        isolation_level: isolation as i8,
        topics: topics.into_iter().map(topic).collect(),
    }
}

fn outcome(told: &ListOffsetsResponsePartition) -> Found {
    ErrorCode::check(told.error_code)?;
    Ok(FoundOffset {
        offset: Some(told.offset).filter(|offset| *offset >= 0),
        timestamp: Some(told.timestamp).filter(|timestamp| *timestamp >= 0),
        leader_epoch: Some(told.leader_epoch).filter(|epoch| *epoch >= 0),
    })
}
