//! One partition: where its reading stands.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::frame::Assigned;
use crate::backends::ErrorKind;
use crate::wire::Uuid;

/// A partition's number: each time it is assigned it gets another.
pub(super) type Id = u64;

/// From where a partition is asked for, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) offset: i64,
    /// The leader's epoch as the metadata tells it; -1 if it does not.
    pub(super) leader_epoch: i32,
    /// The epoch of the last batch that was read; -1 if none was. With it the broker sees whether its log is
    /// still the one that was read (KIP-320, KIP-595).
    pub(super) last_epoch: i32,
    /// Bytes of batches at most.
    pub(super) bytes: i32,
}

/// What a partition waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// A place with a broker.
    Homeless,
    /// Its turn with that broker.
    At(i32),
    /// Another try, then.
    Pausing(Instant),
    /// To learn whether the topic is still the one that was read.
    Comparing,
    /// The offset to go on from.
    Resetting,
    /// Nothing: what it has cannot be read, or the reading has ended.
    Stuck,
}

/// A partition.
#[derive(Debug)]
pub(super) struct Partition {
    pub(super) of: Arc<Assigned>,
    pub(super) state: State,
    /// The next offset to fetch.
    pub(super) position: i64,
    pub(super) last_epoch: i32,
    pub(super) leader_epoch: i32,
    /// The topic's id, if the broker tells one.
    pub(super) topic_id: Option<Uuid>,
    /// Bytes of a batch that did not come whole.
    pub(super) need: i32,
    /// No answer yet, so that even "nothing there" is news.
    pub(super) is_fresh: bool,
    /// The broker has something else to be told than it knows.
    pub(super) is_changed: bool,
    /// The offset was refused, with the epoch of the last batch: asked for again without.
    pub(super) is_doubted: bool,
    /// The offset was refused, and the topic is the one that was read: the refusal is meant.
    pub(super) is_compared: bool,
    /// The end that was told last.
    pub(super) told_end: Option<i64>,
    /// A broker nearer to this client than the leader, and until when to ask it (KIP-392).
    pub(super) nearer: Option<(i32, Instant)>,
    pub(super) trouble: Option<Trouble>,
}

impl Partition {
    pub(super) fn new(of: Arc<Assigned>, position: i64) -> Self {
        Self {
            of,
            state: State::Homeless,
            position,
            last_epoch: -1,
            leader_epoch: -1,
            topic_id: None,
            need: 0,
            is_fresh: true,
            is_changed: false,
            is_doubted: false,
            is_compared: false,
            told_end: None,
            nearer: None,
            trouble: None,
        }
    }

    /// What the broker is to be told.
    pub(super) fn place(&self, bytes: i32) -> Place {
        Place {
            offset: self.position,
            leader_epoch: self.leader_epoch,
            last_epoch: if self.is_doubted { -1 } else { self.last_epoch },
            bytes: bytes.max(self.need),
        }
    }

    /// Goes on from there, in a log of which nothing was read yet.
    pub(super) fn jump(&mut self, position: i64) {
        self.position = position;
        (self.last_epoch, self.need, self.told_end) = (-1, 0, None);
        (self.is_doubted, self.is_compared, self.is_fresh) = (false, false, true);
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.of.tp.fmt(f)
    }
}

/// Something that may pass.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    pub(super) kind: ErrorKind,
    pub(super) text: String,
    /// The topic or partition is said not to be there.
    pub(super) is_unknown: bool,
}

/// How long there has been trouble with a partition.
#[derive(Debug)]
pub(super) struct Trouble {
    since: Instant,
    unknown_since: Option<Instant>,
    tries: u32,
}

/// What to do after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Try again after a pause.
    Again,
    /// The partition is gone.
    Gone,
    /// It has lasted too long.
    Enough,
}

impl Trouble {
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, unknown_since: None, tries: 0 }
    }

    pub(super) fn lasted(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }

    /// One more failure. `patience`: with a partition that is not there, and with anything.
    pub(super) fn again(
        &mut self,
        is_unknown: bool,
        now: Instant,
        patience: (Duration, Duration),
    ) -> Verdict {
        self.tries = self.tries.saturating_add(1);
        let since = is_unknown.then(|| self.unknown_since.unwrap_or(now));
        self.unknown_since = since;
        match since {
            Some(since) if now.saturating_duration_since(since) >= patience.0 => Verdict::Gone,
            _ if self.lasted(now) >= patience.1 => Verdict::Enough,
            _ => Verdict::Again,
        }
    }

    /// How long to wait: twice as long each time.
    pub(super) fn pause(&self, (first, longest): (Duration, Duration)) -> Duration {
        first.saturating_mul(1 << self.tries.saturating_sub(1).min(16)).min(longest)
    }
}
