//! What passes between the command's thread and the membership's.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::backends::mailbox::Mailbox;
use crate::backends::{Error, Notice, Offsets, Result, StartOrigin, Starts, TopicPartition, Topics, Waker};
use crate::group::Ticket;

/// What the command's thread asks for. Numbers come back with the answers.
pub(super) enum Order {
    /// To join the group, and where to start.
    Join(Topics, Arc<Starts>),
    /// To look for topics that came or went.
    Look,
    /// It polls, after a long pause.
    Polled,
    /// The partitions of that revocation are given up.
    Released(Ticket),
    /// To commit these offsets by then, read when partitions had been lost so often.
    Commit(u64, Offsets, Instant, u64),
    /// To tell the committed offsets by then.
    Committed(u64, Vec<TopicPartition>, Instant),
    /// To give up everything and leave.
    Leave,
}

/// The way of orders. When the membership has ended they go nowhere.
#[derive(Debug)]
pub(super) struct Orders {
    sender: UnboundedSender<Order>,
    number: u64,
}

impl Orders {
    /// The two ends. It is never full: the command's thread waits for what it orders.
    pub(super) fn new() -> (Self, UnboundedReceiver<Order>) {
        let (sender, inbox) = unbounded_channel();
        (Self { sender, number: 0 }, inbox)
    }

    pub(super) fn give(&self, order: Order) {
        // Why it has ended was told.
        let _ = self.sender.send(order);
    }

    pub(super) fn next_number(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    /// Whether the membership has ended.
    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }
}

/// What the membership tells, in the order in which it happened.
#[derive(Debug)]
pub(super) enum Told {
    /// These partitions are the member's now, too.
    Assigned(Vec<TopicPartition>),
    /// From where assigned partitions are to be read, and who chose each offset.
    Start(Vec<(TopicPartition, i64, StartOrigin)>),
    /// These are to be given up; the answer is [`Order::Released`].
    Revoked(Ticket, Vec<TopicPartition>),
    /// These are gone.
    Lost(Vec<TopicPartition>),
    /// To be told the user.
    Warn(String),
    /// The coordinator cannot be reached: to be told if nothing else shows it.
    Trouble(Notice),
    /// The membership has ended with an error.
    Failed(Error),
    /// It has ended as it should.
    Left,
}

/// The answer to a numbered order.
#[derive(Debug)]
pub(super) enum Reply {
    Committed(u64, Result<()>),
    Offsets(u64, Result<Vec<Option<i64>>>),
}

impl Reply {
    pub(super) fn number(&self) -> u64 {
        match self {
            Self::Committed(number, _) | Self::Offsets(number, _) => *number,
        }
    }
}

/// The command's thread as the membership's sees it.
pub(super) struct App {
    pub(super) told: Mailbox<Vec<Told>>,
    pub(super) replies: Arc<Mailbox<Vec<Reply>>>,
    pub(super) polls: Polls,
    /// Wakes it where it waits for records.
    waker: Waker,
}

impl App {
    pub(super) fn new(waker: Waker) -> Self {
        Self { told: Mailbox::default(), replies: Arc::default(), polls: Polls::new(), waker }
    }

    pub(super) fn tell(&self, told: Told) {
        self.told.put(|all| all.push(told));
        (self.waker)();
    }

    pub(super) fn reply(&self, reply: Reply) {
        self.replies.put(|all| all.push(reply));
    }
}

/// When the application polled last: noted without waking anybody, some ten thousand times a second.
#[derive(Debug)]
pub(super) struct Polls {
    base: Instant,
    /// Milliseconds since then.
    last: AtomicU64,
}

impl Polls {
    pub(super) fn new() -> Self {
        Self { base: Instant::now(), last: AtomicU64::new(0) }
    }

    pub(super) fn note(&self, now: Instant) {
        let since = now.saturating_duration_since(self.base).as_millis();
        self.last.store(u64::try_from(since).unwrap_or(u64::MAX), Ordering::Release);
    }

    pub(super) fn last(&self) -> Instant {
        self.base + Duration::from_millis(self.last.load(Ordering::Acquire))
    }
}
