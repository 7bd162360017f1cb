//! Fetch (versions 4 to 12): batches from the segment files, as they were sent. Sessions (KIP-227):
//! `fetch_session.rs`. A request that finds less than `min_bytes` waits for appends, up to
//! `max_wait_ms`; an error of any partition is answered at once. The first batch is sent whatever its
//! size, so that every reader gets on; beyond it `max_bytes` and `partition_max_bytes` hold. Readers of
//! committed records get batches up to the last stable offset, and which transactions were aborted.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::super::code::{Code, Failure, told};
use super::super::connection::Close;
use super::super::node::{LEADER_EPOCH, Node};
use super::super::storage::{self, Slice, Topic};
use super::super::waiters::Place;
use super::fetch_session::{Session, Wanted};
use super::{Call, Reply};
use crate::wire::Records;
use crate::wire::messages::{
    FetchAbortedTransaction, FetchRequest, FetchResponse, FetchResponsePartition, FetchResponseTopic,
};

/// Bytes of batches in one answer at most, whatever is asked for: Kafka's `fetch.max.bytes` of a broker.
const MAX_BYTES: usize = 55 << 20;

/// What was found in one partition.
type Found = Result<Read, Failure>;

/// What was read from one partition.
#[derive(Debug)]
struct Read {
    high_watermark: i64,
    stable: i64,
    start: i64,
    aborted: Option<Vec<FetchAbortedTransaction>>,
    slice: Option<Slice>,
}

/// What bounds an answer.
#[derive(Debug, Clone, Copy)]
struct Limits {
    min_bytes: usize,
    max_bytes: usize,
    committed: bool,
}

pub(super) async fn answer(call: &mut Call<'_>) -> Result<Option<Reply>, Close> {
    let request: FetchRequest<'_> = call.read()?;
    let node = call.node;
    let mut session = match Session::enter(&mut call.peer.session, &request, || node.new_session_id()) {
        Ok(session) => session,
        Err(code) => {
            return call.reply(&FetchResponse { error_code: code as i16, ..Default::default() }).map(Some);
        }
    };
    let found = match call.allow() {
        Ok(()) => wait(node, &session.wanted, &request).await,
        Err(failure) => session.wanted.iter().map(|_| Err(failure.clone())).collect(),
    };
    let (response, slices) = respond(&mut session, found);
    let mut reply = call.reply(&response)?;
    reply.slices = slices;
    call.peer.session = Some(session).filter(|session| session.id != 0).or(call.peer.session.take());
    Ok(Some(reply))
}

/// Reads until it is enough or the time is over.
async fn wait(node: &Node, wanted: &[Wanted], request: &FetchRequest<'_>) -> Vec<Found> {
    let limits = Limits {
        min_bytes: usize::try_from(request.min_bytes).unwrap_or_default(),
        max_bytes: usize::try_from(request.max_bytes).unwrap_or_default().min(MAX_BYTES),
        committed: request.isolation_level == 1,
    };
    let time = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or_default());
    let mut found = read_all(node, wanted, limits);
    if time.is_zero() || is_enough(&found, limits) {
        return found;
    }
    let deadline = Instant::now() + time;
    let waiter = node.waiters.wait_at(places(node, wanted));
    loop {
        // Once more: something may have come before the waiting began.
        found = read_all(node, wanted, limits);
        if is_enough(&found, limits) || tokio::time::timeout_at(deadline, waiter.woken()).await.is_err() {
            return found;
        }
    }
}

/// Whether there is reason to answer before the time is over.
fn is_enough(found: &[Found], limits: Limits) -> bool {
    let bytes: usize = found.iter().flatten().filter_map(|read| read.slice.as_ref()).map(Slice::len).sum();
    found.is_empty() || bytes >= limits.min_bytes || found.iter().any(Result::is_err)
}

/// The places of all partitions that are there.
fn places(node: &Node, wanted: &[Wanted]) -> Vec<Place> {
    let mut topics = Topics { node, last: None };
    wanted
        .iter()
        .filter_map(|wanted| Some((topics.get(&wanted.topic).ok()?.id(), wanted.partition)))
        .collect()
}

/// Finds topics; partitions of the same one stand together.
#[derive(Debug)]
struct Topics<'a> {
    node: &'a Node,
    last: Option<Arc<Topic>>,
}

impl Topics<'_> {
    fn get(&mut self, name: &str) -> storage::Result<&Topic> {
        let topic = match self.last.take().filter(|topic| topic.name() == name) {
            Some(topic) => topic,
            None => self.node.storage.topic(name)?,
        };
        Ok(self.last.insert(topic))
    }
}

/// Reads all partitions, in their order.
fn read_all(node: &Node, wanted: &[Wanted], limits: Limits) -> Vec<Found> {
    let mut topics = Topics { node, last: None };
    let (mut left, mut is_first) = (limits.max_bytes, true);
    let mut read = |wanted: &Wanted| {
        let found = topics.get(&wanted.topic).map_err(Failure::from);
        let mut found = found.and_then(|topic| read(topic, wanted, left, limits.committed))?;
        // The log gives one batch at least. Only the first of an answer may be too large for it.
        found.slice = found.slice.filter(|slice| is_first || slice.len() <= left.min(wanted.max_bytes));
        if let Some(slice) = &found.slice {
            left = left.saturating_sub(slice.len());
            is_first = false;
        }
        Ok(found)
    };
    wanted.iter().map(&mut read).collect()
}

fn read(topic: &Topic, wanted: &Wanted, left: usize, committed: bool) -> Found {
    if wanted.leader_epoch > LEADER_EPOCH {
        return Err(Code::UnknownLeaderEpoch.into());
    }
    let log = topic.partition(wanted.partition)?.lock();
    let (high_watermark, stable) = (log.next_offset(), log.stable_offset());
    let up_to = if committed { stable } else { high_watermark };
    let slice = log.read(wanted.offset, left.min(wanted.max_bytes), up_to)?;
    let aborted = committed.then(|| {
        let range = slice.as_ref().map(|slice| (slice.base_offset(), slice.next_offset()));
        let aborted = range.map(|(from, up_to)| log.aborted(from, up_to)).unwrap_or_default();
        let wire = aborted.iter().map(|aborted| FetchAbortedTransaction {
            producer_id: aborted.producer_id,
            first_offset: aborted.first_offset,
        });
        wire.collect()
    });
    Ok(Read { high_watermark, stable, start: log.start_offset(), aborted, slice })
}

/// The response and the batches that belong into it.
fn respond<'a>(session: &mut Session, found: Vec<Found>) -> (FetchResponse<'a>, Vec<Slice>) {
    let mut responses: Vec<FetchResponseTopic<'a>> = Vec::new();
    let mut slices = Vec::new();
    let mut has_sent = Vec::with_capacity(found.len());
    for (wanted, found) in session.wanted.iter_mut().zip(found) {
        let news = found.as_ref().ok().map(|read| (read.high_watermark, read.start));
        let has_slice = found.as_ref().is_ok_and(|read| read.slice.is_some());
        has_sent.push(has_slice);
        let is_old = news.is_some() && wanted.told == news;
        wanted.told = news;
        if session.is_incremental && is_old && !has_slice {
            continue;
        }
        let (partition, slice) = told_of(wanted.partition, found);
        slices.extend(slice);
        match responses.last_mut().filter(|topic| topic.topic == *wanted.topic) {
            Some(topic) => topic.partitions.push(partition),
            None => responses.push(FetchResponseTopic {
                topic: wanted.topic.to_string().into(),
                partitions: vec![partition],
            }),
        }
    }
    take_turns(&mut session.wanted, &has_sent);
    (FetchResponse { session_id: session.id, responses, ..Default::default() }, slices)
}

/// Puts the partitions that had something behind the others, so that none starves when answers are
/// full.
fn take_turns(wanted: &mut Vec<Wanted>, has_sent: &[bool]) {
    if !has_sent.contains(&true) || !has_sent.contains(&false) {
        return;
    }
    let turns = std::mem::take(wanted).into_iter().zip(has_sent);
    let (sent, waiting): (Vec<_>, Vec<_>) = turns.partition(|(_, has_sent)| **has_sent);
    wanted.extend(waiting.into_iter().chain(sent).map(|(wanted, _)| wanted));
}

fn told_of<'a>(partition_index: i32, found: Found) -> (FetchResponsePartition<'a>, Option<Slice>) {
    let (error_code, _) = told(&found);
    let Ok(read) = found else {
        return (
            FetchResponsePartition { partition_index, error_code, high_watermark: -1, ..Default::default() },
            None,
        );
    };
    let partition = FetchResponsePartition {
        partition_index,
        high_watermark: read.high_watermark,
        last_stable_offset: read.stable,
        log_start_offset: read.start,
        aborted_transactions: read.aborted,
        records: Some(read.slice.as_ref().map_or_else(Records::default, |slice| Records::Gap(slice.len()))),
        ..Default::default()
    };
    (partition, read.slice)
}
