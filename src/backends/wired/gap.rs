//! What stands at an offset for which a broker sends something in which a library finds no record.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::Instant;

use super::{config, errors};
use crate::backends::{Result, TopicPartition};
use crate::settings::{KeyId, Settings};
use crate::wire::batch::{Batch, BatchHead, Batches};
use crate::wire::messages::{FetchRequest, FetchRequestPartition, FetchRequestTopic, FetchResponse};
use crate::wire::net::{self, Cluster, Config, Creation, Kind, Purpose};
use crate::wire::{ErrorCode, Text};

/// What stands there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::backends) enum Gap {
    /// Nothing.
    Nothing,
    /// What has no record from there up to this offset, as compaction leaves it.
    Empty(i64),
    /// What should have records, and why it has not.
    Flawed(String),
}

/// Looks at what brokers send, on connections of its own.
#[derive(Debug, Clone)]
pub(in crate::backends) struct Looks {
    config: Config,
    bytes: i32,
    limit: Duration,
}

impl Looks {
    /// At `bytes` of a partition at a time, which are a part of the largest answer.
    ///
    /// # Errors
    /// `Unsupported` for a bootstrap address that is none.
    pub(in crate::backends) fn of(settings: &Settings, bytes: i32, max_answer: usize) -> Result<Self> {
        let mut config = config::cluster(settings, max_answer, 0)?;
        config.creation = Creation::Forbidden;
        Ok(Self { config, bytes, limit: settings.duration(KeyId::RequestTimeout) })
    }

    /// What stands at an offset.
    ///
    /// # Errors
    /// As the requests have it.
    pub(in crate::backends) async fn at(&self, place: &TopicPartition, offset: i64) -> Result<Gap> {
        self.look(place, offset).await.map_err(|why| errors::error(place, &why))
    }

    async fn look(&self, place: &TopicPartition, offset: i64) -> net::Result<Gap> {
        let deadline = Instant::now() + self.limit;
        let cluster = Cluster::new(self.config.clone(), &Handle::current());
        let topic = cluster.topic(&place.topic, deadline).await?;
        let leader = topic.partition(place.partition).and_then(|partition| partition.leader);
        let leader = leader.ok_or_else(|| net::Error::of_code(ErrorCode::LeaderNotAvailable, place))?;
        let answer = cluster.ask(leader, Purpose::Fetch, &self.request(place, offset), deadline).await?;
        let told: FetchResponse<'_> = answer.read()?;
        ErrorCode::check(told.error_code).map_err(|code| net::Error::of_code(code, place))?;
        let partition = told.responses.iter().flat_map(|topic| &topic.partitions).next();
        let partition =
            partition.ok_or_else(|| net::Error::new(Kind::Protocol, "an answer without the partition"))?;
        ErrorCode::check(partition.error_code).map_err(|code| net::Error::of_code(code, place))?;
        Ok(Gap::of(partition.records.unwrap_or_default().bytes(), offset))
    }

    fn request<'a>(&self, place: &'a TopicPartition, offset: i64) -> FetchRequest<'a> {
        let partition = FetchRequestPartition {
            partition: place.partition,
            fetch_offset: offset,
            partition_max_bytes: self.bytes,
            ..Default::default()
        };
        let topic = FetchRequestTopic { topic: Text::Borrowed(&*place.topic), partitions: vec![partition] };
        FetchRequest { max_bytes: self.bytes, topics: vec![topic], ..Default::default() }
    }
}

impl Gap {
    /// What the batches of an answer are to who asked from this offset on. The first of them is always sent as a whole.
    fn of(bytes: &[u8], from: i64) -> Self {
        let (mut next, mut flaw) = (from, None);
        let mut batches = Batches::new(bytes);
        for batch in batches.by_ref() {
            match batch {
                Ok(Batch { head, .. }) if has_nothing(&head, from) => next = next.max(head.next_offset()),
                Ok(Batch { head, .. }) => {
                    flaw = Some(format!("its {} records cannot be found", head.records_count));
                    break;
                }
                Err(why) => flaw = Some(why.to_string()),
            }
        }
        if next > from {
            return Self::Empty(next);
        }
        match (flaw, BatchHead::read(batches.rest())) {
            (Some(flaw), _) => Self::Flawed(flaw),
            // Of one that was passed over it is known how far it goes.
            (None, Ok(Some(head))) if head.base_offset < from && head.next_offset() > from => {
                Self::Empty(head.next_offset())
            }
            (None, Ok(Some(head))) => Self::Flawed(format!("it claims {} bytes", head.size())),
            (None, _) if bytes.is_empty() => Self::Nothing,
            (None, _) => Self::Flawed("it is cut off".to_owned()),
        }
    }
}

/// Whether no record of a batch is expected: it has none, none that is a client's, or none that is left.
fn has_nothing(head: &BatchHead, from: i64) -> bool {
    head.records_count == 0 || head.is_control() || head.base_offset < from
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOUND: BatchHead = BatchHead {
        base_offset: 5,
        batch_length: 49,
        partition_leader_epoch: 0,
        crc: 0,
        attributes: 0,
        last_offset_delta: 3,
        base_timestamp: 0,
        max_timestamp: 0,
        producer_id: -1,
        producer_epoch: -1,
        base_sequence: -1,
        records_count: 0,
    };

    fn bytes(heads: &[BatchHead]) -> Vec<u8> {
        let mut all = Vec::new();
        for &(mut head) in heads {
            let mut batch = vec![0; 61];
            head.write(&mut batch);
            all.append(&mut batch);
        }
        all
    }

    #[test]
    fn what_compaction_leaves_is_passed_over_as_far_as_it_goes() {
        let next = BatchHead { base_offset: 9, ..SOUND };
        let full = BatchHead { base_offset: 13, records_count: 2, ..SOUND };
        assert_eq!(Gap::of(&bytes(&[SOUND]), 5), Gap::Empty(9));
        assert_eq!(Gap::of(&bytes(&[SOUND, next, full]), 5), Gap::Empty(13));
        // The last records of a batch are gone, those before were read.
        assert_eq!(Gap::of(&bytes(&[BatchHead { records_count: 2, ..SOUND }]), 7), Gap::Empty(9));
        assert_eq!(Gap::of(&[], 5), Gap::Nothing);
    }

    #[test]
    fn what_should_have_records_is_flawed() {
        let flawed = |head: BatchHead, from| match Gap::of(&bytes(&[head]), from) {
            Gap::Flawed(why) => why,
            gap => panic!("{gap:?}"),
        };
        assert_eq!(flawed(BatchHead { records_count: 7, ..SOUND }, 5), "its 7 records cannot be found");
        assert_eq!(flawed(BatchHead { batch_length: 1_000_000, ..SOUND }, 5), "it claims 1000012 bytes");
        assert!(flawed(BatchHead { batch_length: 3, ..SOUND }, 5).contains("too short"));
        // Passed over once, its end is known.
        assert_eq!(Gap::of(&bytes(&[BatchHead { batch_length: 1_000_000, ..SOUND }]), 6), Gap::Empty(9));
    }
}
