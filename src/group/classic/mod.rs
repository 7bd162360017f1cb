//! A member in the classic protocol, as Java's `ConsumerCoordinator` and `AbstractCoordinator` are.
//!
//! ```text
//! Outside ──JoinGroup──► Joining ──answer──► Learning ──SyncGroup──► Syncing ──answer──► Inside
//!    ▲                      │     (followers: at once)                  │                  │
//!    └──────────────────────┴───refused, or the group rebalances────────┴──────────────────┘
//! ```
//!
//! Before it joins again, a member gives up what it has: all of it in eager rebalances, what it does not want
//! any more in cooperative ones. There it also gives up what it was not assigned again, and joins once more.
//! Heartbeats go on from the answer to a JoinGroup until the next JoinGroup.
//!
//! A member that leaves in the midst of a rebalance with partitions (a cooperative one) sees it through, for a short time:
//! until it is over the coordinator takes no offsets, those of what it read last among them.
//!
//! - [`join`]: JoinGroup, SyncGroup, and what their answers mean.
//! - [`heart`]: when heartbeats are due.

mod heart;
mod join;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::assignors::{Assignor, Candidate, Counts};
use super::holding::{Holding, Places};
use super::outbox::Outbox;
use super::{Action, Event, Failure, Fault, Identity, Request, Response, Terms, Ticket, Topics};
use crate::record::TopicPartition;
use crate::wire::ErrorCode;
use crate::wire::messages::{LeaveGroupRequest, LeaveGroupRequestMember};
use heart::Heart;

/// What groups of consumers are for.
const CONSUMER: &str = "consumer";
/// How much longer than the rebalance a JoinGroup may take (Java's `JOIN_GROUP_TIMEOUT_LAPSE`).
const LAPSE: Duration = Duration::from_secs(5);
/// How long a member that leaves holds on to what it has for a rebalance to end.
const ROUND: Duration = Duration::from_millis(500);

/// What is to be kept to in this protocol; see [`super::Protocol::Classic`].
#[derive(Debug)]
pub(super) struct Manner {
    pub(super) session_timeout: Duration,
    pub(super) heartbeat_interval: Duration,
    pub(super) assignors: Vec<Assignor>,
}

/// How far a member has come. A ticket is what it waits for.
#[derive(Debug)]
enum Phase {
    /// To join as soon as that is possible, not before this time.
    Outside { not_before: Option<Instant> },
    /// For the others to join.
    Joining(Ticket),
    /// It leads, and wants to know the topics that all want.
    Learning(Ticket, Calling),
    /// For the assignment.
    Syncing(Ticket),
    /// It is in the group.
    Inside,
    /// It gives up what it has, to leave. Its first JoinGroup may be under way, whose answer tells it its id.
    Parting { joining: Option<Ticket> },
    /// It has said that it leaves.
    Leaving(Ticket),
    /// It is to say so again at this time.
    LeavingAgain(Instant),
    /// For ever.
    Done,
}

/// What a leader has to do.
#[derive(Debug)]
struct Calling {
    members: Vec<Candidate>,
    /// The assignment stays as it is (KIP-814).
    skips: bool,
}

/// What a member was assigned, and when.
#[derive(Debug)]
struct Memory {
    places: Vec<TopicPartition>,
    generation: i32,
}

/// A member.
#[derive(Debug)]
pub(super) struct Member {
    terms: Terms,
    manner: Manner,
    /// What the application wants; none before it has said so.
    wanted: Option<BTreeSet<Arc<str>>>,
    /// What the coordinator was told of that.
    told: BTreeSet<Arc<str>>,
    topics: Arc<Topics>,
    /// What the assignment was made of, if this member made it.
    assigned_of: Option<Counts>,
    phase: Phase,
    /// Why it joins (again), for the coordinator's log.
    reason: &'static str,
    generation: i32,
    member_id: String,
    /// The protocol chosen.
    assignor: Option<Assignor>,
    /// The last assignment by `sticky`, and the generation of that by `cooperative-sticky`.
    sticky: Option<Memory>,
    cooperative_generation: i32,
    holding: Holding,
    heart: Heart,
    /// When the application must have polled.
    poll_due: Instant,
    /// It has not, and the member left: it joins again when it has.
    is_stalled: bool,
    /// It leaves when the rebalance is over, at this time at the latest.
    leaves_by: Option<Instant>,
    out: Outbox,
}

impl Member {
    pub(super) fn new(terms: Terms, manner: Manner, now: Instant) -> Self {
        Self {
            poll_due: now + terms.max_poll_interval,
            terms,
            manner,
            wanted: None,
            told: BTreeSet::new(),
            topics: Arc::default(),
            assigned_of: None,
            phase: Phase::Outside { not_before: None },
            reason: "",
            generation: -1,
            member_id: String::new(),
            assignor: None,
            sticky: None,
            cooperative_generation: -1,
            holding: Holding::default(),
            heart: Heart::default(),
            is_stalled: false,
            leaves_by: None,
            out: Outbox::default(),
        }
    }

    pub(super) fn step(&mut self, event: Event<'_>, now: Instant) -> Vec<Action> {
        if !matches!(self.phase, Phase::Done) {
            self.note(event, now);
            self.go_on(now);
        }
        self.out.take()
    }

    pub(super) fn next_time(&self) -> Option<Instant> {
        let again = match &self.phase {
            Phase::Done => return None,
            Phase::Outside { not_before } if self.can_join() => *not_before,
            Phase::LeavingAgain(at) => Some(*at),
            _ => None,
        };
        let poll = (self.heart.is_beating() && !self.is_parting()).then_some(self.poll_due);
        let leaves_by = self.leaves_by.filter(|_| !self.is_parting());
        [again, poll, leaves_by, self.heart.due()].into_iter().flatten().min()
    }

    pub(super) fn identity(&self) -> Identity {
        Identity {
            generation: self.generation,
            member_id: self.member_id.clone(),
            instance_id: self.terms.instance_id.clone(),
        }
    }

    fn note(&mut self, event: Event<'_>, now: Instant) {
        match event {
            Event::Subscribed(wanted) => self.wanted = Some(wanted),
            Event::Topics(topics) => self.topics = topics,
            Event::Learned(ticket, topics) => self.learned(ticket, topics),
            Event::Polled => {
                self.poll_due = now + self.terms.max_poll_interval;
                self.is_stalled = false;
            }
            Event::Released(ticket) => drop(self.holding.released(ticket)),
            Event::Answered(ticket, response) => self.answered(ticket, &response, now),
            Event::Failed(ticket, failure) => self.failed(ticket, failure, now),
            Event::Refused(code, whom) => self.refused_offsets(code, &whom),
            Event::Leave => self.leave_after_round(now),
            Event::Tick => {}
        }
    }

    fn is_parting(&self) -> bool {
        matches!(self.phase, Phase::Parting { .. } | Phase::Leaving(_) | Phase::LeavingAgain(_) | Phase::Done)
    }

    fn leave_after_round(&mut self, now: Instant) {
        if self.is_in_round() && !self.holding.owned().is_empty() {
            self.leaves_by.get_or_insert(now + ROUND);
        } else {
            self.begin_parting();
        }
    }

    /// Whether a rebalance is under way.
    fn is_in_round(&self) -> bool {
        matches!(self.phase, Phase::Joining(_) | Phase::Learning(..) | Phase::Syncing(_))
    }

    /// A member that is given an id which it does not use would hold up the others for a whole session.
    fn begin_parting(&mut self) {
        let joining = match self.phase {
            Phase::Joining(ticket) if self.member_id.is_empty() => Some(ticket),
            _ => None,
        };
        if !self.is_parting() {
            self.phase = Phase::Parting { joining };
        }
    }

    fn answered(&mut self, ticket: Ticket, response: &Response<'_>, now: Instant) {
        match response {
            Response::Join(answer) if self.awaits_join(ticket) => self.joined(answer, now),
            Response::Join(answer) if self.parts_joining(ticket) => {
                self.member_id = answer.member_id.to_string();
            }
            Response::Sync(answer) if self.awaits_sync(ticket) => self.synced(answer, now),
            Response::Heartbeat(answer) if self.heart.takes(ticket) => self.beaten(answer.error_code, now),
            Response::Leave(answer) if self.awaits_leave(ticket) => {
                let member = answer.members.first().map_or(0, |member| member.error_code);
                let code = if answer.error_code == 0 { member } else { answer.error_code };
                self.left(ErrorCode::of(code), now);
            }
            // Of a request that is of no importance any more.
            _ => {}
        }
    }

    fn awaits_join(&self, ticket: Ticket) -> bool {
        matches!(self.phase, Phase::Joining(awaited) if awaited == ticket)
    }

    /// Whether a member that leaves waited for this to know its id. It does not any more then.
    fn parts_joining(&mut self, ticket: Ticket) -> bool {
        match &mut self.phase {
            Phase::Parting { joining } => joining.take_if(|awaited| *awaited == ticket).is_some(),
            _ => false,
        }
    }

    fn awaits_sync(&self, ticket: Ticket) -> bool {
        matches!(self.phase, Phase::Syncing(awaited) if awaited == ticket)
    }

    fn awaits_leave(&self, ticket: Ticket) -> bool {
        matches!(self.phase, Phase::Leaving(awaited) if awaited == ticket)
    }

    fn failed(&mut self, ticket: Ticket, failure: Failure, now: Instant) {
        if self.parts_joining(ticket) {
            return;
        }
        let is_join = self.awaits_join(ticket) || self.awaits_sync(ticket);
        let (is_beat, is_leave) = (self.heart.takes(ticket), self.awaits_leave(ticket));
        if !(is_join || is_beat || is_leave) {
            return;
        }
        let lasting = match failure {
            Failure::Disconnected => None,
            Failure::Refused(code) if code.is_retriable() => None,
            Failure::Refused(code) => Some(Fault::of_code(code, &self.terms, None)),
            Failure::Unsupported => Some(Fault::unsupported(&self.terms)),
        };
        self.out.push(Action::ForgetCoordinator);
        match lasting {
            None if is_leave => self.phase = Phase::LeavingAgain(now + self.terms.retry_backoff),
            Some(_) if is_leave => self.done(Action::Left),
            Some(fault) => self.fail(fault),
            None if is_beat => self.heart.again(now + self.terms.retry_backoff),
            None => self.join_later("the coordinator could not be reached", now),
        }
    }

    /// What an error of offsets tells of the membership (Java's `OffsetCommitResponseHandler`).
    fn refused_offsets(&mut self, code: ErrorCode, whom: &Identity) {
        if matches!(code, ErrorCode::RequestTimedOut) || code.asks_for_coordinator() {
            return self.out.push(Action::ForgetCoordinator);
        }
        if *whom != self.identity() {
            return;
        }
        match code {
            ErrorCode::FencedInstanceId => self.fail(Fault::of_code(code, &self.terms, None)),
            ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration => self.thrown_out(code),
            ErrorCode::RebalanceInProgress => self.rebalance("offset commit failed in a rebalance"),
            _ => {}
        }
    }

    /// The group does not know the member, or not in this generation: what it had may be another's. Its id
    /// may still be good in the latter case.
    fn thrown_out(&mut self, code: ErrorCode) {
        if code != ErrorCode::IllegalGeneration {
            self.member_id.clear();
        }
        self.generation = -1;
        self.heart.stop();
        self.holding.lose(&mut self.out);
        if !self.is_parting() {
            self.join_now("the group does not know the member any more");
        }
    }

    /// The group rebalances: a member that is in it joins again.
    fn rebalance(&mut self, reason: &'static str) {
        if matches!(self.phase, Phase::Inside) {
            self.join_now(reason);
        }
    }

    fn join_now(&mut self, reason: &'static str) {
        self.reason = reason;
        self.phase = Phase::Outside { not_before: None };
    }

    fn join_later(&mut self, reason: &'static str, now: Instant) {
        self.reason = reason;
        self.phase = Phase::Outside { not_before: Some(now + self.terms.retry_backoff) };
    }

    /// Does whatever can be done now.
    fn go_on(&mut self, now: Instant) {
        if self.heart.is_beating() && now >= self.poll_due && !self.is_parting() {
            self.stall();
        }
        if self.leaves_by.is_some_and(|at| at <= now || !self.is_in_round()) {
            self.begin_parting();
        }
        self.notice_changes();
        if self.heart.is_due(now) {
            self.beat(now);
        }
        if self.holding.is_revoking() {
            return;
        }
        match self.phase {
            Phase::Outside { not_before } if self.can_join() && not_before.is_none_or(|at| at <= now) => {
                self.prepare();
            }
            Phase::Parting { joining: None } => self.part(),
            Phase::LeavingAgain(at) if at <= now => self.leave("the consumer is being closed"),
            _ => {}
        }
    }

    fn can_join(&self) -> bool {
        self.wanted.is_some() && !self.is_stalled && !self.holding.is_revoking()
    }

    /// The application does not read: its partitions are for others (Java's `handlePollTimeoutExpiry`).
    fn stall(&mut self) {
        self.out.push(Action::Warn(format!(
            "group {}: nothing was read for {} ms (max.poll.interval.ms): left it until reading goes on",
            self.terms.group_id,
            self.terms.max_poll_interval.as_millis()
        )));
        // A static member's place is kept until its session ends.
        if self.terms.instance_id.is_none() {
            self.send_leave("consumer poll timeout has expired");
        }
        self.is_stalled = true;
        self.thrown_out(ErrorCode::UnknownMemberId);
        self.reason = "consumer pro-actively leaving the group";
    }

    /// A member that is in the group joins again when it wants other topics, or made the assignment of what
    /// has changed since.
    fn notice_changes(&mut self) {
        if !matches!(self.phase, Phase::Inside) {
            return;
        }
        if self.wanted.as_ref().is_some_and(|wanted| *wanted != self.told) {
            self.join_now("the subscription has changed");
        } else if self.assigned_of.as_ref().is_some_and(|counts| *counts != self.counts(counts.keys())) {
            self.join_now("cached metadata has changed");
        }
    }

    /// How many partitions these topics have; of one that is not there, none.
    fn counts<'a>(&self, topics: impl Iterator<Item = &'a Arc<str>>) -> Counts {
        let count = |topic: &Arc<str>| self.topics.get(topic).map_or(0, |known| known.partitions);
        topics.map(|topic| (Arc::clone(topic), count(topic))).collect()
    }

    /// Gives up what is to be given up before joining, then joins (Java's `onJoinPrepare`).
    fn prepare(&mut self) {
        if self.generation < 0 || self.member_id.is_empty() {
            self.holding.lose(&mut self.out);
        }
        let is_unwanted = |place: &TopicPartition| {
            !self.is_cooperative() || self.wanted.as_ref().is_none_or(|it| !it.contains(&place.topic))
        };
        let unwanted: Places = self.holding.owned().iter().filter(|it| is_unwanted(it)).cloned().collect();
        if unwanted.is_empty() {
            self.join();
        } else {
            self.holding.revoke(unwanted, &mut self.out);
        }
    }

    fn is_cooperative(&self) -> bool {
        self.manner.assignors.iter().all(|assignor| assignor.is_cooperative())
    }

    /// Gives up everything, then leaves.
    fn part(&mut self) {
        if self.holding.owned().is_empty() {
            self.leave("the consumer is being closed");
        } else {
            self.holding.revoke(self.holding.owned().clone(), &mut self.out);
        }
    }

    /// Says that it leaves, if there is anyone to be told: a static member's place is kept.
    fn leave(&mut self, reason: &'static str) {
        self.heart.stop();
        if self.terms.instance_id.is_some() || self.member_id.is_empty() {
            self.done(Action::Left);
        } else {
            let ticket = self.send_leave(reason);
            self.phase = Phase::Leaving(ticket);
        }
    }

    fn send_leave(&mut self, reason: &'static str) -> Ticket {
        let member = LeaveGroupRequestMember {
            member_id: self.member_id.clone().into(),
            group_instance_id: None,
            reason: Some(reason.into()),
        };
        let request = LeaveGroupRequest {
            group_id: self.terms.group_id.clone().into(),
            member_id: self.member_id.clone().into(),
            members: vec![member],
        };
        self.out.send(Request::Leave(request), self.terms.request_timeout)
    }

    /// The answer to a LeaveGroup: whatever it is, there is nothing to go on for, unless it was not heard.
    fn left(&mut self, code: Option<ErrorCode>, now: Instant) {
        match code {
            Some(code) if code.is_retriable() => {
                if code.asks_for_coordinator() {
                    self.out.push(Action::ForgetCoordinator);
                }
                self.phase = Phase::LeavingAgain(now + self.terms.retry_backoff);
            }
            _ => self.done(Action::Left),
        }
    }

    fn fail(&mut self, fault: Fault) {
        self.holding.lose(&mut self.out);
        self.done(Action::Fail(fault));
    }

    fn done(&mut self, last: Action) {
        self.heart.stop();
        (self.generation, self.phase) = (-1, Phase::Done);
        self.member_id.clear();
        self.out.push(last);
    }
}
