//! Fetch sessions (KIP-227): a client names its partitions once, then only what changes, and is told
//! only of partitions with news.
//!
//! A session belongs to its connection, of which a client has one for fetching, and ends with it:
//! nothing is left of clients that go, and one that comes back begins a new one, as the protocol has
//! it for an unknown session.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::super::code::Code;
use crate::wire::messages::{FetchRequest, FetchRequestPartition, FetchRequestTopic};

/// Partitions of one session at most.
const MAX_PARTITIONS: usize = 100_000;

/// The epoch of a request that opens a session.
const OPEN: i32 = 0;
/// The epoch of a request outside of any session, which ends the one it names.
const OUTSIDE: i32 = -1;

/// A partition that is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) topic: Arc<str>,
    pub(super) partition: i32,
    /// Where to read from.
    pub(super) offset: i64,
    /// Bytes at most.
    pub(super) max_bytes: usize,
    /// The leader's epoch as the client knows it.
    pub(super) leader_epoch: i32,
    /// High watermark and first offset, as last told in the session.
    pub(super) told: Option<(i64, i64)>,
}

impl Wanted {
    fn new(topic: &Arc<str>, asked: &FetchRequestPartition) -> Self {
        Self {
            topic: Arc::clone(topic),
            partition: asked.partition,
            offset: asked.fetch_offset,
            max_bytes: usize::try_from(asked.partition_max_bytes).unwrap_or_default(),
            leader_epoch: asked.current_leader_epoch,
            told: None,
        }
    }
}

/// What a client reads, in the order in which it is its turn.
#[derive(Debug, Default)]
pub(in crate::broker) struct Session {
    /// 0 outside of sessions.
    pub(super) id: i32,
    /// The epoch that the next request must have.
    epoch: i32,
    /// True when only news are told.
    pub(super) is_incremental: bool,
    pub(super) wanted: Vec<Wanted>,
}

impl Session {
    /// What a request reads: in its session, which is taken from the connection and to be put back.
    ///
    /// # Errors
    /// If it names a session that is not there, or is not its next request.
    pub(super) fn enter(
        slot: &mut Option<Self>,
        request: &FetchRequest<'_>,
        new_id: impl FnOnce() -> i32,
    ) -> Result<Self, Code> {
        match request.session_epoch {
            OUTSIDE => {
                slot.take_if(|session| session.id == request.session_id);
                Ok(Self { wanted: all(&request.topics), ..Self::default() })
            }
            OPEN => {
                *slot = None;
                Ok(Self { id: new_id(), epoch: 1, is_incremental: false, wanted: all(&request.topics) })
            }
            epoch => {
                let session = slot.as_mut().filter(|session| session.id == request.session_id);
                let session = session.ok_or(Code::FetchSessionIdNotFound)?;
                if session.epoch != epoch {
                    return Err(Code::InvalidFetchSessionEpoch);
                }
                session.update(request)?;
                slot.take().ok_or(Code::FetchSessionIdNotFound)
            }
        }
    }

    /// Makes the changes that a request names.
    fn update(&mut self, request: &FetchRequest<'_>) -> Result<(), Code> {
        self.epoch = self.epoch.checked_add(1).unwrap_or(1);
        self.is_incremental = true;
        let forgotten = request.forgotten_topics_data.iter();
        let forgotten: HashSet<(&str, i32)> = forgotten
            .flat_map(|topic| topic.partitions.iter().map(|partition| (&*topic.topic, *partition)))
            .collect();
        if !forgotten.is_empty() {
            self.wanted.retain(|wanted| !forgotten.contains(&(&*wanted.topic, wanted.partition)));
        }
        if !request.topics.is_empty() {
            self.put(all(&request.topics));
        }
        if self.wanted.is_empty() {
            // Nothing is left of it: the client is told so by session 0.
            self.id = 0;
        }
        if self.wanted.len() > MAX_PARTITIONS { Err(Code::FetchSessionIdNotFound) } else { Ok(()) }
    }

    /// Adds partitions, or changes from where they are read.
    fn put(&mut self, changed: Vec<Wanted>) {
        let known = self.wanted.iter().enumerate();
        let places: HashMap<(Arc<str>, i32), usize> =
            known.map(|(at, wanted)| ((Arc::clone(&wanted.topic), wanted.partition), at)).collect();
        for new in changed {
            let place = places.get(&(Arc::clone(&new.topic), new.partition));
            match place.and_then(|at| self.wanted.get_mut(*at)) {
                Some(old) => *old = Wanted { told: old.told, ..new },
                None => self.wanted.push(new),
            }
        }
    }
}

/// The partitions that a request names.
fn all(topics: &[FetchRequestTopic<'_>]) -> Vec<Wanted> {
    let mut wanted = Vec::new();
    for asked in topics {
        let topic: Arc<str> = Arc::from(&*asked.topic);
        wanted.extend(asked.partitions.iter().map(|partition| Wanted::new(&topic, partition)));
    }
    wanted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::messages::FetchForgottenTopic;

    fn request(session: (i32, i32), partitions: &[(i32, i64)]) -> FetchRequest<'static> {
        let partitions = partitions.iter().map(|(partition, fetch_offset)| FetchRequestPartition {
            partition: *partition,
            fetch_offset: *fetch_offset,
            ..Default::default()
        });
        let topic = FetchRequestTopic { topic: "t".into(), partitions: partitions.collect() };
        FetchRequest {
            session_id: session.0,
            session_epoch: session.1,
            topics: if topic.partitions.is_empty() { vec![] } else { vec![topic] },
            ..Default::default()
        }
    }

    fn places(session: &Session) -> Vec<(i32, i64)> {
        session.wanted.iter().map(|wanted| (wanted.partition, wanted.offset)).collect()
    }

    #[test]
    fn a_session_remembers_what_is_not_named_again() {
        let mut slot = None;
        let opened = Session::enter(&mut slot, &request((0, 0), &[(0, 5), (1, 6)]), || 9).unwrap();
        assert_eq!((opened.id, opened.is_incremental), (9, false));
        slot = Some(opened);
        let mut next = request((9, 1), &[(1, 8), (2, 0)]);
        next.forgotten_topics_data = vec![FetchForgottenTopic { topic: "t".into(), partitions: vec![0] }];
        let entered = Session::enter(&mut slot, &next, || 10).unwrap();
        assert_eq!((entered.id, entered.is_incremental), (9, true));
        assert_eq!(places(&entered), [(1, 8), (2, 0)]);
        assert!(slot.is_none());
    }

    #[test]
    fn another_session_or_epoch_is_refused_and_changes_nothing() {
        let mut slot = Some(Session::enter(&mut None, &request((0, 0), &[(0, 5)]), || 9).unwrap());
        let refused =
            |slot: &mut _, session| Session::enter(slot, &request(session, &[(0, 7)]), || 10).unwrap_err();
        assert_eq!(refused(&mut slot, (8, 1)), Code::FetchSessionIdNotFound);
        assert_eq!(refused(&mut slot, (9, 2)), Code::InvalidFetchSessionEpoch);
        let entered = Session::enter(&mut slot, &request((9, 1), &[]), || 10).unwrap();
        assert_eq!(places(&entered), [(0, 5)]);
    }

    #[test]
    fn a_session_ends_when_it_is_left_or_empty() {
        let open = || Some(Session::enter(&mut None, &request((0, 0), &[(0, 5)]), || 9).unwrap());
        let mut slot = open();
        let outside = Session::enter(&mut slot, &request((9, -1), &[(3, 1)]), || 10).unwrap();
        assert_eq!((outside.id, places(&outside)), (0, vec![(3, 1)]));
        assert!(slot.is_none());

        let mut slot = open();
        let mut last = request((9, 1), &[]);
        last.forgotten_topics_data = vec![FetchForgottenTopic { topic: "t".into(), partitions: vec![0] }];
        assert_eq!(Session::enter(&mut slot, &last, || 10).unwrap().id, 0);
    }
}
