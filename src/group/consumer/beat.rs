//! Heartbeats, and what their answers mean.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::{AWAY, Ids, JOIN, LEAVE, Member, Phase, Told};
use crate::group::{Action, Fault, Request, Ticket};
use crate::wire::messages::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, ConsumerGroupHeartbeatTopic,
};
use crate::wire::{ErrorCode, Uuid};

impl Member {
    /// Whether the next heartbeat does not wait for its time: the coordinator waits to hear that the member
    /// has come to its target.
    pub(super) fn is_urgent(&self) -> bool {
        let is_news = self.told.as_ref().is_some_and(|told| told.held != self.held);
        // What failed is tried again in its own time.
        let is_trying_again = self.told.is_none();
        self.phase == Phase::Inside
            && !is_trying_again
            && !self.holding.is_revoking()
            && (self.is_target_new || is_news)
    }

    /// Sends a heartbeat, with what has changed since the last one.
    pub(super) fn beat(&mut self) {
        self.awaited = Some(match self.phase {
            Phase::Leaving => self.send_leave(),
            _ => {
                let request = self.request();
                self.out.send(Request::Consumer(request), self.terms.request_timeout)
            }
        });
    }

    fn request(&mut self) -> ConsumerGroupHeartbeatRequest<'static> {
        let wanted = self.wanted.clone().unwrap_or_default();
        let is_full = self.told.is_none();
        let differs = self.told.as_ref().is_none_or(|told| told.wanted != wanted);
        let is_moved = self.told.as_ref().is_none_or(|told| told.held != self.held);
        // Not while partitions are being given up: the coordinator takes them for given up then.
        let tells_target = self.is_target_new && !self.holding.is_revoking();
        let mut request = self.blank(self.epoch);
        if is_full {
            let timeout = self.terms.max_poll_interval.as_millis();
            request.rebalance_timeout_ms = i32::try_from(timeout).unwrap_or(i32::MAX);
            request.rack_id = self.terms.rack_id.clone().map(Into::into);
            request.server_assignor = self.manner.assignor.clone().map(Into::into);
        }
        if differs {
            request.subscribed_topic_names =
                Some(wanted.iter().map(|topic| topic.to_string().into()).collect());
        }
        if is_moved || tells_target {
            request.topic_partitions = Some(by_topic(&self.held));
        }
        self.is_target_new &= !tells_target;
        self.told = Some(Told { wanted, held: self.held.clone() });
        request
    }

    /// A heartbeat that tells nothing.
    fn blank(&self, epoch: i32) -> ConsumerGroupHeartbeatRequest<'static> {
        ConsumerGroupHeartbeatRequest {
            group_id: self.terms.group_id.clone().into(),
            member_id: self.manner.member_id.clone().into(),
            member_epoch: epoch,
            instance_id: self.terms.instance_id.clone().map(Into::into),
            ..Default::default()
        }
    }

    /// The heartbeat that leaves; for a while, if the member is a static one.
    pub(super) fn send_leave(&mut self) -> Ticket {
        let epoch = if self.terms.instance_id.is_some() { AWAY } else { LEAVE };
        let request = self.blank(epoch);
        self.out.send(Request::Consumer(request), self.terms.request_timeout)
    }

    /// Takes the answer to a heartbeat.
    pub(super) fn answered(&mut self, answer: &ConsumerGroupHeartbeatResponse<'_>, now: Instant) {
        match ErrorCode::of(answer.error_code) {
            Some(code) => self.refused(code, answer, now),
            None if self.phase == Phase::Leaving => self.done(Action::Left),
            None => self.taken(answer, now),
        }
    }

    fn taken(&mut self, answer: &ConsumerGroupHeartbeatResponse<'_>, now: Instant) {
        self.epoch = answer.member_epoch;
        (self.may_be_in, self.is_asking) = (false, false);
        let interval = Duration::from_millis(answer.heartbeat_interval_ms.max(0).unsigned_abs().into());
        // One that is told to send them without end still waits between them.
        self.beat_due = now + interval.max(self.terms.retry_backoff);
        if self.is_parting() {
            return;
        }
        self.phase = Phase::Inside;
        if let Some(assignment) = &answer.assignment {
            let target = ids(&assignment.topic_partitions);
            self.is_target_new |= target != *self.target.as_ref().unwrap_or(&self.held);
            self.target = Some(target);
        }
    }

    fn refused(&mut self, code: ErrorCode, answer: &ConsumerGroupHeartbeatResponse<'_>, now: Instant) {
        use ErrorCode::*;
        match code {
            code if self.phase == Phase::Leaving && !code.is_retriable() => self.done(Action::Left),
            // A group goes with its last member.
            GroupIdNotFound if self.epoch > JOIN => self.fenced(code, now),
            FencedMemberEpoch | UnknownMemberId => self.fenced(code, now),
            UnreleasedInstanceId if self.may_be_in => self.wait_for_name(now),
            code if code.is_retriable() => {
                if code.asks_for_coordinator() {
                    self.out.push(Action::ForgetCoordinator);
                }
                self.again(now);
            }
            code => self.fail(Fault::of_code(code, &self.terms, answer.error_message.as_deref())),
        }
    }

    /// The coordinator does not know the member, or not at this epoch. It joins anew: at once, unless that is
    /// what was refused.
    fn fenced(&mut self, code: ErrorCode, now: Instant) {
        let was_in = self.epoch > JOIN;
        self.start_over(now);
        self.may_be_in |= code == ErrorCode::FencedMemberEpoch;
        if !was_in {
            self.beat_due = now + self.terms.retry_backoff;
        }
    }

    fn wait_for_name(&mut self, now: Instant) {
        if !self.has_warned {
            self.has_warned = true;
            self.out.push(Action::Warn(format!(
                "group {}: {} (group.instance.id) is in it already, perhaps from before: trying again",
                self.terms.group_id,
                self.terms.instance_id.as_deref().unwrap_or_default()
            )));
        }
        self.again(now);
    }
}

/// Partitions by topic.
fn by_topic(ids: &Ids) -> Vec<ConsumerGroupHeartbeatTopic> {
    let mut topics: BTreeMap<Uuid, Vec<i32>> = BTreeMap::new();
    for (topic, partition) in ids {
        topics.entry(*topic).or_default().push(*partition);
    }
    let topics = topics.into_iter();
    topics.map(|(topic_id, partitions)| ConsumerGroupHeartbeatTopic { topic_id, partitions }).collect()
}

/// The reverse.
fn ids(topics: &[ConsumerGroupHeartbeatTopic]) -> Ids {
    let each = |topic: &ConsumerGroupHeartbeatTopic| {
        let id = topic.topic_id;
        topic.partitions.iter().map(move |partition| (id, *partition)).collect::<Vec<_>>()
    };
    topics.iter().flat_map(each).collect()
}
