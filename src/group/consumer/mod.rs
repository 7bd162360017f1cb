//! A member in KIP-848's protocol, as Java's `ConsumerMembershipManager` and `ConsumerHeartbeatRequestManager`
//! are: heartbeats tell the coordinator what the member wants and has, and it answers what the member is to
//! have.
//!
//! ```text
//! Outside ──heartbeat of epoch 0──► Inside ──Leave──► Parting ──all given up──► Leaving
//!    ▲                                 │
//!    └──fenced, or nothing was read────┘
//! ```
//!
//! - [`beat`]: heartbeats, and what their answers mean.
//! - [`reconcile`]: from what the member has to what it is to have.
//!
//! In one thing it is more patient than Java's: a static member whose join was not answered holds its own
//! name, and is told that it is taken. It tries again until the coordinator has given up the first one.

mod beat;
mod reconcile;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;

use super::holding::Holding;
use super::outbox::Outbox;
use super::{Action, Event, Failure, Fault, Identity, Response, Terms, Ticket, Topics};
use crate::wire::{ErrorCode, Uuid};

/// The epoch of a member that joins.
const JOIN: i32 = 0;
/// The epoch of a member that leaves.
const LEAVE: i32 = -1;
/// The epoch of a static member that leaves: its place is kept for a while.
const AWAY: i32 = -2;

/// Partitions by their topics' ids.
type Ids = BTreeSet<(Uuid, i32)>;

/// What is to be kept to in this protocol; see [`super::Protocol::Consumer`].
#[derive(Debug)]
pub(super) struct Manner {
    pub(super) member_id: String,
    pub(super) assignor: Option<String>,
}

/// How far a member has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// It is to join.
    Outside,
    /// It is in the group.
    Inside,
    /// It gives up what it has, to leave.
    Parting,
    /// It says that it leaves.
    Leaving,
    /// It is nothing any more.
    Done,
}

/// What the coordinator has been told and need not be told again.
#[derive(Debug)]
struct Told {
    wanted: BTreeSet<Arc<str>>,
    held: Ids,
}

/// A member.
#[derive(Debug)]
pub(super) struct Member {
    terms: Terms,
    manner: Manner,
    /// What the application wants; none before it has said so.
    wanted: Option<BTreeSet<Arc<str>>>,
    phase: Phase,
    epoch: i32,
    /// None when everything is to be told.
    told: Option<Told>,
    /// What it is to have, as the coordinator said last.
    target: Option<Ids>,
    /// The coordinator waits to hear that the target was come to, as far as that is possible.
    is_target_new: bool,
    holding: Holding,
    /// The same by topic ids.
    held: Ids,
    /// What of it is being given up.
    releasing: Ids,
    /// The names of topics by their ids: of all that are known, and of what is held.
    names: HashMap<Uuid, Arc<str>>,
    /// Whether it was asked for names since the last heartbeat.
    is_asking: bool,
    /// When the next heartbeat is due, and the one that is under way.
    beat_due: Instant,
    awaited: Option<Ticket>,
    /// The coordinator may have the member, though not as it is.
    may_be_in: bool,
    /// It was told that it waits for its own name.
    has_warned: bool,
    poll_due: Instant,
    /// The application has not polled, and the member left: it joins again when it has.
    is_stalled: bool,
    out: Outbox,
}

impl Member {
    pub(super) fn new(terms: Terms, manner: Manner, now: Instant) -> Self {
        Self {
            poll_due: now + terms.max_poll_interval,
            terms,
            manner,
            wanted: None,
            phase: Phase::Outside,
            epoch: JOIN,
            told: None,
            target: None,
            is_target_new: false,
            holding: Holding::default(),
            held: Ids::new(),
            releasing: Ids::new(),
            names: HashMap::new(),
            is_asking: false,
            beat_due: now,
            awaited: None,
            may_be_in: false,
            has_warned: false,
            is_stalled: false,
            out: Outbox::default(),
        }
    }

    pub(super) fn step(&mut self, event: Event<'_>, now: Instant) -> Vec<Action> {
        if self.phase != Phase::Done {
            self.note(event, now);
            self.go_on(now);
        }
        self.out.take()
    }

    pub(super) fn next_time(&self) -> Option<Instant> {
        if !self.is_active() {
            return None;
        }
        let beat = self.awaited.is_none().then_some(self.beat_due);
        let poll = self.may_stall().then_some(self.poll_due);
        beat.into_iter().chain(poll).min()
    }

    pub(super) fn identity(&self) -> Identity {
        let instance_id = self.terms.instance_id.clone();
        if self.epoch > JOIN {
            Identity { generation: self.epoch, member_id: self.manner.member_id.clone(), instance_id }
        } else {
            Identity { instance_id, ..Identity::default() }
        }
    }

    fn note(&mut self, event: Event<'_>, now: Instant) {
        match event {
            Event::Subscribed(wanted) => self.wanted = Some(wanted),
            Event::Topics(topics) | Event::Learned(_, topics) => self.name(&topics),
            Event::Polled => {
                self.poll_due = now + self.terms.max_poll_interval;
                self.is_stalled = false;
            }
            Event::Released(ticket) => self.released(ticket),
            Event::Answered(ticket, response) => {
                if let Response::Consumer(answer) = response
                    && self.awaited.take_if(|awaited| *awaited == ticket).is_some()
                {
                    self.answered(&answer, now);
                }
            }
            Event::Failed(ticket, failure) => {
                if self.awaited.take_if(|awaited| *awaited == ticket).is_some() {
                    self.failed(failure, now);
                }
            }
            Event::Refused(code, _) => {
                if code.asks_for_coordinator() || code == ErrorCode::RequestTimedOut {
                    self.out.push(Action::ForgetCoordinator);
                }
            }
            Event::Leave if self.is_parting() => {}
            Event::Leave => self.phase = Phase::Parting,
            Event::Tick => {}
        }
    }

    fn is_parting(&self) -> bool {
        matches!(self.phase, Phase::Parting | Phase::Leaving | Phase::Done)
    }

    /// Whether there is anything to tell the coordinator.
    fn is_active(&self) -> bool {
        match self.phase {
            Phase::Outside | Phase::Inside => self.wanted.is_some() && !self.is_stalled,
            Phase::Parting | Phase::Leaving => true,
            Phase::Done => false,
        }
    }

    fn may_stall(&self) -> bool {
        self.wanted.is_some() && !self.is_stalled && !self.is_parting()
    }

    /// Takes note of what topics are called.
    fn name(&mut self, topics: &Topics) {
        let held: BTreeSet<Uuid> = self.held.iter().map(|(id, _)| *id).collect();
        self.names.retain(|id, _| held.contains(id));
        self.names.extend(topics.iter().map(|(name, topic)| (topic.id, Arc::clone(name))));
    }

    /// Does whatever can be done now.
    fn go_on(&mut self, now: Instant) {
        if self.may_stall() && now >= self.poll_due {
            self.stall(now);
        }
        match self.phase {
            Phase::Inside => self.reconcile(),
            Phase::Parting => self.part(now),
            _ => {}
        }
        if self.is_active() && self.awaited.is_none() && (now >= self.beat_due || self.is_urgent()) {
            self.beat();
        }
    }

    /// The application does not read: its partitions are for others.
    fn stall(&mut self, now: Instant) {
        self.out.push(Action::Warn(format!(
            "group {}: nothing was read for {} ms (max.poll.interval.ms): left it until reading goes on",
            self.terms.group_id,
            self.terms.max_poll_interval.as_millis()
        )));
        if self.phase == Phase::Inside || self.awaited.is_some() {
            // Whatever the answer is.
            let _ = self.send_leave();
        }
        self.is_stalled = true;
        self.awaited = None;
        self.start_over(now);
        // Nobody waits to hear whether it left.
        self.may_be_in = true;
    }

    /// Out of the group: what the member had may be another's. It joins anew, unless it leaves.
    fn start_over(&mut self, now: Instant) {
        if !self.is_parting() {
            self.phase = Phase::Outside;
        }
        (self.epoch, self.beat_due, self.may_be_in) = (JOIN, now, false);
        self.forget();
    }

    fn forget(&mut self) {
        (self.told, self.target, self.is_target_new) = (None, None, false);
        self.held.clear();
        self.releasing.clear();
        self.holding.lose(&mut self.out);
    }

    /// Gives up everything, then leaves. A heartbeat that is under way is waited for: were it a join that
    /// came after the departure, no one would ever leave for it.
    fn part(&mut self, now: Instant) {
        if self.holding.is_revoking() {
            return;
        }
        if !self.holding.owned().is_empty() {
            self.releasing = self.held.clone();
            return self.holding.revoke(self.holding.owned().clone(), &mut self.out);
        }
        if self.awaited.is_some() {
            return;
        }
        if self.epoch > JOIN || self.may_be_in {
            (self.phase, self.beat_due) = (Phase::Leaving, now);
        } else {
            self.done(Action::Left);
        }
    }

    fn failed(&mut self, failure: Failure, now: Instant) {
        let lasting = match failure {
            Failure::Disconnected => None,
            Failure::Refused(code) if code.is_retriable() => None,
            Failure::Refused(code) => Some(Fault::of_code(code, &self.terms, None)),
            Failure::Unsupported => Some(Fault::unsupported(&self.terms)),
        };
        self.out.push(Action::ForgetCoordinator);
        match lasting {
            Some(_) if self.is_parting() => self.done(Action::Left),
            Some(fault) => self.fail(fault),
            None => {
                self.may_be_in |= failure == Failure::Disconnected && self.epoch == JOIN;
                self.again(now);
            }
        }
    }

    /// Tells everything once more after a while. What it is to have comes back with the answer; it takes nothing
    /// before that, as the answer that was missed may have said that it is not to have it any more.
    fn again(&mut self, now: Instant) {
        (self.told, self.target) = (None, None);
        self.beat_due = now + self.terms.retry_backoff;
    }

    fn fail(&mut self, fault: Fault) {
        self.forget();
        self.done(Action::Fail(fault));
    }

    fn done(&mut self, last: Action) {
        (self.phase, self.epoch) = (Phase::Done, JOIN);
        self.out.push(last);
    }
}
