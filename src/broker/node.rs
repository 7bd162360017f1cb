//! What the connections of a broker share.

use std::hash::{BuildHasher, RandomState};
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::error::{Error, Result};
use super::faults::Faults;
use super::groups::{Groups, Store};
use super::options::Options;
use super::storage::{self, Appended, Change, Fsync, Journal, MAX_PARTITIONS, Storage, Topic};
use super::transactions::{self, Transactions};
use super::waiters::Waiters;

/// The one node's id.
pub(super) const NODE_ID: i32 = 1;
/// The leader's epoch of every partition: there is no other leader.
pub(super) const LEADER_EPOCH: i32 = 0;

/// Where in the journal the cluster's id is.
const CLUSTER_ID: &[u8] = b"broker/cluster-id";
/// Where in the journal the first producer id is that was never set aside.
const PRODUCER_IDS: &[u8] = b"broker/producer-ids";
/// Producer ids set aside at once: after a kill so many at most are never used.
const PRODUCER_ID_BLOCK: i64 = 1000;

/// The broker without its connections.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) storage: Storage,
    pub(super) options: Options,
    pub(super) faults: Faults,
    pub(super) waiters: Waiters,
    pub(super) groups: Groups,
    pub(super) transactions: Transactions,
    pub(super) cluster_id: String,
    last_session: AtomicI32,
    producer_ids: Mutex<Range<i64>>,
}

impl Node {
    pub(super) fn open(folder: &Path, options: Options) -> Result<Self> {
        if !(1..=MAX_PARTITIONS).contains(&options.partitions) {
            return Err(Error::Partitions(options.partitions));
        }
        let storage = Storage::open(folder, options.storage.clone())?;
        if storage.cut_bytes() > 0 {
            let (bytes, folder) = (storage.cut_bytes(), folder.display());
            options.log.line(format_args!("cut off {bytes} bytes of unfinished writes in {folder}"));
        }
        let cluster_id = cluster_id(&mut storage.journal())?;
        let groups = Groups::load(&storage, &options.consumer_groups)?;
        let transactions = Transactions::load(&storage.journal());
        let node = Self {
            storage,
            options,
            faults: Faults::default(),
            waiters: Waiters::default(),
            groups,
            transactions,
            cluster_id,
            last_session: AtomicI32::new(0),
            producer_ids: Mutex::new(0..0),
        };
        transactions::recover(&node, now());
        Ok(node)
    }

    /// Appends a client's batches to a partition and wakes who waits for them. Returns what became of
    /// them, and the partition's first offset.
    pub(super) fn append(
        &self,
        topic: &Topic,
        partition: i32,
        batches: &mut [u8],
    ) -> storage::Result<(Appended, i64)> {
        let log = topic.partition(partition)?;
        let append = || {
            let mut log = log.lock();
            log.append(batches, now()).map(|appended| (appended, log.start_offset()))
        };
        let appended = self.writing(append)?;
        self.waiters.wake((topic.id(), partition));
        Ok(appended)
    }

    /// Runs what writes: with fsync so that other connections go on.
    pub(super) fn writing<T>(&self, write: impl FnOnce() -> T) -> T {
        if self.options.storage.fsync == Fsync::Never { write() } else { blocking(write) }
    }

    /// Creates a topic; without a number it has as many partitions as the broker gives.
    pub(super) fn create_topic(
        &self,
        name: &str,
        partitions: Option<i32>,
        configs: &[(String, String)],
    ) -> storage::Result<std::sync::Arc<Topic>> {
        let partitions = partitions.unwrap_or(self.options.partitions);
        blocking(|| self.storage.create_topic(name, partitions, configs))
    }

    /// Deletes a topic and its committed offsets, and wakes who waits for its records.
    pub(super) fn delete_topic(&self, topic: &Topic) -> storage::Result<()> {
        let deleted = blocking(|| self.storage.delete_topic(topic.name()));
        for (partition, _) in (0..).zip(topic.partitions()) {
            self.waiters.wake((topic.id(), partition));
        }
        if deleted.is_ok() {
            self.groups.with(self, |registry, store, _| registry.forget_topic(store, topic.name()));
        }
        deleted
    }

    /// A producer id that no one had before, also across restarts.
    pub(super) fn new_producer_id(&self) -> storage::Result<i64> {
        let mut ids = self.producer_ids.lock().unwrap_or_else(PoisonError::into_inner);
        if ids.is_empty() {
            let mut journal = self.storage.journal();
            let first =
                journal.get(PRODUCER_IDS).and_then(|id| id.try_into().ok()).map_or(0, i64::from_be_bytes);
            let end = first.saturating_add(PRODUCER_ID_BLOCK);
            journal.put(PRODUCER_IDS, &end.to_be_bytes())?;
            *ids = first..end;
        }
        Ok(ids.next().unwrap_or(i64::MAX))
    }

    /// The id of a new fetch session: above 0, and soon not given again.
    pub(super) fn new_session_id(&self) -> i32 {
        let last = self.last_session.fetch_add(1, Ordering::Relaxed);
        (last & i32::MAX).max(1)
    }

    /// What has to be done every few seconds.
    pub(super) fn maintain(&self) {
        for error in self.storage.maintain(now()) {
            self.options.log.line(format_args!("maintenance: {error}"));
        }
    }
}

impl Store for Node {
    fn apply(&self, changes: &[Change<'_>]) -> storage::Result<()> {
        if changes.is_empty() {
            return Ok(());
        }
        let applied = self.storage.journal().apply(changes);
        if let Err(error) = &applied {
            self.options.log.line(format_args!("groups: {error}"));
        }
        applied
    }

    fn has_partition(&self, topic: &str, partition: i32) -> bool {
        self.storage.topic(topic).is_ok_and(|topic| topic.partition(partition).is_ok())
    }
}

/// The cluster's id, made at the first start: a random UUID in Kafka's form.
fn cluster_id(journal: &mut Journal) -> storage::Result<String> {
    if let Some(id) = journal.get(CLUSTER_ID).and_then(|id| std::str::from_utf8(id).ok()) {
        return Ok(id.to_owned());
    }
    let id = random_id();
    journal.put(CLUSTER_ID, id.as_bytes())?;
    Ok(id)
}

/// A random UUID in Kafka's form. The hasher's keys are the system's random numbers.
pub(super) fn random_id() -> String {
    let [high, low] = [0, 1].map(|half: u64| RandomState::new().hash_one(half));
    URL_SAFE_NO_PAD.encode(((u128::from(high) << 64) | u128::from(low)).to_be_bytes())
}

/// Runs what waits for the disk so that other connections go on.
pub(super) fn blocking<T>(f: impl FnOnce() -> T) -> T {
    tokio::task::block_in_place(f)
}

/// Milliseconds since 1970.
pub(super) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
