//! Fetch sessions (KIP-227): the broker remembers what is read, requests tell only what has changed, and answers
//! only what is new.

use std::sync::Arc;

use super::partition::{Id, Place};
use crate::record::ByPartition;
use crate::wire::messages::{FetchForgottenTopic, FetchRequest, FetchRequestPartition, FetchRequestTopic};
use crate::wire::net::Isolation;

/// What one broker knows of what is read from it.
#[derive(Debug, Default)]
pub(super) struct Session {
    /// 0 if there is none.
    id: i32,
    /// The number of the next request; 0 opens a session.
    epoch: i32,
    members: ByPartition<Member>,
}

/// A partition as the broker was told of it last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) part: Id,
    /// From where it was asked for.
    pub(super) offset: i64,
}

impl Session {
    /// Whether the next request has to name everything.
    pub(super) fn is_new(&self) -> bool {
        self.epoch == 0
    }

    /// Whether the broker remembers nothing.
    pub(super) fn is_none(&self) -> bool {
        self.id == 0
    }

    /// Takes note of what an answer says of the session.
    pub(super) fn goes_on(&mut self, id: i32) {
        self.id = id;
        self.epoch = match (id, self.epoch) {
            (0, _) => 0,
            (_, i32::MAX) => 1,
            (_, epoch) => epoch + 1,
        };
    }

    /// The broker does not know the session any more, or nobody knows what it knows.
    pub(super) fn is_lost(&mut self) {
        *self = Self::default();
    }

    /// The broker is to end the session and open another.
    pub(super) fn starts_over(&mut self) {
        self.epoch = 0;
    }

    /// The request that ends the session for good, if there is one: its number is -1.
    pub(super) fn farewell(&self, broker: i32) -> Option<Ask> {
        let (wanted, forgotten, hurry) = (Vec::new(), Vec::new(), true);
        let ask =
            Ask { broker, session_id: self.id, session_epoch: -1, max_bytes: 1, wanted, forgotten, hurry };
        (!self.is_none()).then_some(ask)
    }

    /// The partition of an answer, if it was asked for.
    pub(super) fn member(&self, topic: &str, partition: i32) -> Option<Member> {
        self.members.get(topic, partition).copied()
    }

    /// Begins a request: forgets all members if everything is to be named.
    pub(super) fn begin(&mut self, broker: i32, max_bytes: i32) -> Ask {
        if self.is_new() {
            self.members.clear();
        }
        let (session_id, session_epoch) = (self.id, self.epoch);
        let (wanted, forgotten, hurry) = (Vec::new(), Vec::new(), false);
        Ask { broker, session_id, session_epoch, max_bytes, wanted, forgotten, hurry }
    }

    /// Names a partition in a request.
    pub(super) fn name(&mut self, ask: &mut Ask, part: Id, place: Place, topic: &Arc<str>, partition: i32) {
        let member = Member { part, offset: place.offset };
        self.members.insert(topic, partition, member);
        ask.wanted.push((Arc::clone(topic), partition, place));
    }

    /// Names a partition that is not read here any more, if the broker believes it is.
    pub(super) fn forget(&mut self, ask: &mut Ask, topic: Arc<str>, partition: i32) {
        if self.members.remove(&topic, partition).is_some() {
            ask.forgotten.push((topic, partition));
        }
    }
}

/// A request to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ask {
    pub(super) broker: i32,
    pub(super) session_id: i32,
    pub(super) session_epoch: i32,
    /// Bytes of batches at most.
    pub(super) max_bytes: i32,
    pub(super) wanted: Vec<(Arc<str>, i32, Place)>,
    pub(super) forgotten: Vec<(Arc<str>, i32)>,
    /// The broker is to answer at once, whatever there is.
    pub(super) hurry: bool,
}

/// What all requests have in common.
#[derive(Debug, Clone)]
pub(super) struct Terms {
    pub(super) max_wait_ms: i32,
    pub(super) min_bytes: i32,
    pub(super) max_bytes: i32,
    pub(super) isolation: Isolation,
    /// Where this client stands (`client.rack`).
    pub(super) rack: String,
}

impl Ask {
    /// As it is sent.
    pub(super) fn request<'a>(&'a self, terms: &'a Terms) -> FetchRequest<'a> {
        let mut topics: Vec<FetchRequestTopic<'a>> = Vec::new();
        for (topic, partition, place) in &self.wanted {
            let partition = FetchRequestPartition {
                partition: *partition,
                current_leader_epoch: place.leader_epoch,
                fetch_offset: place.offset,
                last_fetched_epoch: place.last_epoch,
                log_start_offset: -1,
                partition_max_bytes: place.bytes,
            };
            match topics.last_mut().filter(|last| last.topic == **topic) {
                Some(last) => last.partitions.push(partition),
                None => {
                    topics.push(FetchRequestTopic { topic: (&**topic).into(), partitions: vec![partition] });
                }
            }
        }
        let mut forgotten: Vec<FetchForgottenTopic<'a>> = Vec::new();
        for (topic, partition) in &self.forgotten {
            match forgotten.last_mut().filter(|last| last.topic == **topic) {
                Some(last) => last.partitions.push(*partition),
                None => forgotten
                    .push(FetchForgottenTopic { topic: (&**topic).into(), partitions: vec![*partition] }),
            }
        }
        FetchRequest {
            replica_id: -1,
            max_wait_ms: if self.hurry { 0 } else { terms.max_wait_ms },
            min_bytes: terms.min_bytes,
            // The first batch comes whatever its size: what is more than usual is wanted by name.
            max_bytes: self.wanted.iter().map(|(.., place)| place.bytes).fold(self.max_bytes, i32::max),
            isolation_level: terms.isolation as i8,
            session_id: self.session_id,
            session_epoch: self.session_epoch,
            topics,
            forgotten_topics_data: forgotten,
            rack_id: terms.rack.as_str().into(),
        }
    }
}
