//! A transactional id in the journal. Key: [`PREFIX`] and the id. Value, big-endian: format (1), id,
//! previous id, next id (i64 each), epoch, last epoch (i16 each), timeout (i32), state (i8), times of
//! begin and last change (i64 each), topics, groups. Topics: their number (u32), for each its id (16
//! bytes), the number of partitions (u32) and these (i32 each). Groups: their number, for each length
//! and name.

use std::collections::{BTreeMap, BTreeSet};

use super::super::groups::Decision;
use super::state::{Producer, State, Transaction};
use crate::wire::Reader;

/// What the keys of transactional ids begin with.
pub(super) const PREFIX: &[u8] = b"transaction/";

const FORMAT: u8 = 1;

/// The states in the order of their numbers, which are Kafka's.
const STATES: [State; 6] = [
    State::Empty,
    State::Ongoing,
    State::Prepare(Decision::Commit),
    State::Prepare(Decision::Abort),
    State::Complete(Decision::Commit),
    State::Complete(Decision::Abort),
];

/// The key of a transactional id.
pub(super) fn key(id: &str) -> Vec<u8> {
    [PREFIX, id.as_bytes()].concat()
}

/// The transactional id of a key.
pub(super) fn id(key: &[u8]) -> Option<&str> {
    std::str::from_utf8(key.strip_prefix(PREFIX)?).ok()
}

/// The value that stands for a state.
pub(super) fn encode(of: &Transaction) -> Vec<u8> {
    let state = STATES.iter().position(|state| *state == of.state).unwrap_or_default();
    let mut bytes = vec![FORMAT];
    for number in [of.producer.id, of.previous_id, of.next_id] {
        bytes.extend(number.to_be_bytes());
    }
    bytes.extend(of.producer.epoch.to_be_bytes());
    bytes.extend(of.last_epoch.to_be_bytes());
    bytes.extend(of.timeout_ms.to_be_bytes());
    bytes.push(state as u8);
    bytes.extend(of.started_at.to_be_bytes());
    bytes.extend(of.updated_at.to_be_bytes());
    push_len(&mut bytes, of.partitions.len());
    for (topic, partitions) in &of.partitions {
        bytes.extend(topic);
        push_len(&mut bytes, partitions.len());
        partitions.iter().for_each(|partition| bytes.extend(partition.to_be_bytes()));
    }
    push_len(&mut bytes, of.groups.len());
    for group in &of.groups {
        push_len(&mut bytes, group.len());
        bytes.extend(group.as_bytes());
    }
    bytes
}

/// A length; a name or list that comes from one request is far below the limit.
fn push_len(bytes: &mut Vec<u8>, len: usize) {
    bytes.extend(u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes());
}

/// The state that a value stands for; `None` for what this version did not write.
pub(super) fn decode(value: &[u8]) -> Option<Transaction> {
    let mut r = Reader::with_budget(value, usize::MAX);
    if r.u8().ok()? != FORMAT {
        return None;
    }
    let (id, previous_id, next_id) = (r.i64().ok()?, r.i64().ok()?, r.i64().ok()?);
    let epoch = r.i16().ok()?;
    let transaction = Transaction {
        producer: Producer { id, epoch },
        previous_id,
        next_id,
        last_epoch: r.i16().ok()?,
        timeout_ms: r.i32().ok()?,
        state: *STATES.get(usize::from(r.u8().ok()?))?,
        started_at: r.i64().ok()?,
        updated_at: r.i64().ok()?,
        partitions: topics(&mut r)?,
        groups: groups(&mut r)?,
    };
    r.finish().ok()?;
    Some(transaction)
}

fn topics(r: &mut Reader<'_>) -> Option<BTreeMap<[u8; 16], BTreeSet<i32>>> {
    let mut topics = BTreeMap::new();
    for _ in 0..r.u32().ok()? {
        let topic = r.uuid().ok()?.0;
        let mut partitions = BTreeSet::new();
        for _ in 0..r.u32().ok()? {
            partitions.insert(r.i32().ok()?);
        }
        topics.insert(topic, partitions);
    }
    Some(topics)
}

fn groups(r: &mut Reader<'_>) -> Option<BTreeSet<String>> {
    let mut groups = BTreeSet::new();
    for _ in 0..r.u32().ok()? {
        let len = usize::try_from(r.u32().ok()?).ok()?;
        groups.insert(r.str(len).ok()?.to_owned());
    }
    Some(groups)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Transaction {
        let mut full = Transaction::new(7, 60_000, 5);
        full.partitions = [([9; 16], [0, 3, i32::MAX].into()), ([1; 16], [2].into())].into();
        full.groups = ["g".to_owned(), String::new(), "größe".repeat(99)].into();
        full
    }

    #[test]
    fn every_state_comes_back() {
        for state in STATES {
            let full =
                Transaction { state, previous_id: 3, next_id: 8, last_epoch: 4, started_at: 1, ..full() };
            assert_eq!(decode(&encode(&full)), Some(full));
        }
    }

    #[test]
    fn an_id_is_its_key_without_the_prefix() {
        for name in ["a", "", "/", "a/b", "ü"] {
            assert_eq!(id(&key(name)), Some(name));
        }
        assert_eq!(id(b"topic/a"), None);
    }

    #[test]
    fn what_was_not_written_here_is_not_read() {
        let value = encode(&full());
        for len in 0..value.len() {
            assert_eq!(decode(&value[..len]), None, "{len}");
        }
        assert_eq!(decode(&[&value[..], &[0]].concat()), None);
        assert_eq!(decode(&[&[2], &value[1..]].concat()), None);
    }
}
