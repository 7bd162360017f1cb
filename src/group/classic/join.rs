//! Joining: JoinGroup, SyncGroup, and what their answers mean.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use super::{CONSUMER, Calling, LAPSE, Member, Memory, Phase};
use crate::group::assignors::{Assignor, Candidate, cooperative_sticky, sticky};
use crate::group::holding::Places;
use crate::group::subscription::Subscription;
use crate::group::{Action, Fault, Request, Ticket, Topics, assignment};
use crate::record::TopicPartition;
use crate::wire::ErrorCode;
use crate::wire::messages::{
    JoinGroupProtocol, JoinGroupRequest, JoinGroupResponse, SyncGroupAssignment, SyncGroupRequest,
    SyncGroupResponse,
};

/// A time as the protocol has it, in ms.
fn millis(time: std::time::Duration) -> i32 {
    i32::try_from(time.as_millis()).unwrap_or(i32::MAX)
}

impl Member {
    /// Asks to be in the group's next generation.
    pub(super) fn join(&mut self) {
        self.heart.stop();
        self.told = self.wanted.clone().unwrap_or_default();
        self.assigned_of = None;
        let protocols = self.manner.assignors.iter().map(|assignor| self.protocol(*assignor));
        let request = JoinGroupRequest {
            group_id: self.terms.group_id.clone().into(),
            session_timeout_ms: millis(self.manner.session_timeout),
            rebalance_timeout_ms: millis(self.terms.max_poll_interval),
            member_id: self.member_id.clone().into(),
            group_instance_id: self.terms.instance_id.clone().map(Into::into),
            protocol_type: CONSUMER.into(),
            protocols: protocols.collect(),
            reason: Some(self.reason).filter(|reason| !reason.is_empty()).map(Into::into),
        };
        let within = self.terms.request_timeout.max(self.terms.max_poll_interval + LAPSE);
        self.phase = Phase::Joining(self.out.send(Request::Join(request), within));
    }

    fn protocol(&self, assignor: Assignor) -> JoinGroupProtocol<'static> {
        let user_data = match assignor {
            Assignor::Range | Assignor::RoundRobin => None,
            Assignor::Sticky => {
                self.sticky.as_ref().map(|memory| sticky::user_data(&memory.places, memory.generation))
            }
            Assignor::CooperativeSticky => Some(cooperative_sticky::user_data(self.cooperative_generation)),
        };
        let subscription = Subscription {
            topics: self.told.clone(),
            user_data,
            owned: self.holding.owned().iter().cloned().collect(),
            generation: Some(self.generation).filter(|generation| *generation >= 0),
            rack_id: self.terms.rack_id.clone(),
        };
        // Names of topics that a broker told of are never too long for its protocol.
        let metadata = subscription.encode().unwrap_or_default();
        JoinGroupProtocol { name: assignor.name().into(), metadata: metadata.into() }
    }

    /// Takes the answer to a JoinGroup (Java's `JoinGroupResponseHandler`).
    pub(super) fn joined(&mut self, answer: &JoinGroupResponse<'_>, now: Instant) {
        let had_id = !self.member_id.is_empty();
        match ErrorCode::of(answer.error_code) {
            None => self.entered(answer, now),
            Some(ErrorCode::MemberIdRequired) if !had_id => {
                self.generation = -1;
                self.member_id = answer.member_id.to_string();
                self.join_now("need to re-join with the given member-id");
            }
            Some(code @ (ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration)) if had_id => {
                self.thrown_out(code);
            }
            Some(
                ErrorCode::RebalanceInProgress
                | ErrorCode::MemberIdRequired
                | ErrorCode::UnknownMemberId
                | ErrorCode::IllegalGeneration,
            ) => self.join_later("the group did not take the member", now),
            Some(code) => self.not_taken(code, now),
        }
    }

    /// A JoinGroup or SyncGroup was refused, and not because of who this is.
    fn not_taken(&mut self, code: ErrorCode, now: Instant) {
        if !code.is_retriable() {
            return self.fail(Fault::of_code(code, &self.terms, None));
        }
        if code.asks_for_coordinator() {
            self.out.push(Action::ForgetCoordinator);
        }
        self.join_later("the coordinator was not available", now);
    }

    /// The member is in a new generation. A leader has to assign, the others ask what they get.
    fn entered(&mut self, answer: &JoinGroupResponse<'_>, now: Instant) {
        let protocol = answer.protocol_name.as_deref().unwrap_or_default();
        let assignor = self.manner.assignors.iter().copied().find(|known| known.name() == protocol);
        let is_consumer = answer.protocol_type.as_deref().is_none_or(|kind| kind == CONSUMER);
        let (Some(assignor), true) = (assignor, is_consumer) else {
            return self.fail(Fault::of_code(ErrorCode::InconsistentGroupProtocol, &self.terms, None));
        };
        self.generation = answer.generation_id;
        self.member_id = answer.member_id.to_string();
        self.assignor = Some(assignor);
        self.heart.start(self.manner.heartbeat_interval, self.manner.session_timeout, now);
        if answer.leader != answer.member_id {
            return self.sync(Vec::new());
        }
        let calling = self.calling(answer);
        let topics: BTreeSet<Arc<str>> =
            calling.members.iter().flat_map(|member| member.subscription.topics.iter().cloned()).collect();
        self.phase = Phase::Learning(self.out.learn(topics), calling);
    }

    /// Reads what the members told. One that cannot be read gets nothing.
    fn calling(&mut self, answer: &JoinGroupResponse<'_>) -> Calling {
        let mut members = Vec::new();
        for member in &answer.members {
            let subscription = Subscription::decode(&member.metadata).unwrap_or_else(|why| {
                self.out.push(Action::Warn(format!(
                    "group {}: cannot read what its member {} wants: {why}",
                    self.terms.group_id, member.member_id
                )));
                Subscription::default()
            });
            members.push(Candidate {
                id: member.member_id.to_string(),
                instance_id: member.group_instance_id.as_deref().map(str::to_owned),
                subscription,
            });
        }
        Calling { members, skips: answer.skip_assignment }
    }

    /// The topics are known: the leader assigns.
    pub(super) fn learned(&mut self, ticket: Ticket, topics: Arc<Topics>) {
        self.topics = topics;
        let Phase::Learning(awaited, calling) = &self.phase else { return };
        let Some(assignor) = self.assignor.filter(|_| *awaited == ticket) else { return };
        let wanted = calling.members.iter().flat_map(|member| &member.subscription.topics);
        let counts = self.counts(wanted);
        let mut assignments = Vec::new();
        if !calling.skips {
            let mut there = counts.clone();
            there.retain(|_, count| *count > 0);
            for (member_id, places) in assignor.assign(&calling.members, &there) {
                // As with subscriptions, names are not too long.
                let assignment = assignment::encode(&places).unwrap_or_default().into();
                assignments.push(SyncGroupAssignment { member_id: member_id.into(), assignment });
            }
        }
        self.assigned_of = Some(counts);
        self.sync(assignments);
    }

    fn sync(&mut self, assignments: Vec<SyncGroupAssignment<'static>>) {
        let request = SyncGroupRequest {
            group_id: self.terms.group_id.clone().into(),
            generation_id: self.generation,
            member_id: self.member_id.clone().into(),
            group_instance_id: self.terms.instance_id.clone().map(Into::into),
            protocol_type: Some(CONSUMER.into()),
            protocol_name: self.assignor.map(|assignor| assignor.name().into()),
            assignments,
        };
        self.phase = Phase::Syncing(self.out.send(Request::Sync(request), self.terms.request_timeout));
    }

    /// Takes the answer to a SyncGroup (Java's `SyncGroupResponseHandler`).
    pub(super) fn synced(&mut self, answer: &SyncGroupResponse<'_>, now: Instant) {
        match ErrorCode::of(answer.error_code) {
            None => self.read_assignment(answer),
            Some(code @ (ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration)) => self.thrown_out(code),
            Some(ErrorCode::RebalanceInProgress) => self.join_now("the group began another rebalance"),
            Some(code) => self.not_taken(code, now),
        }
    }

    fn read_assignment(&mut self, answer: &SyncGroupResponse<'_>) {
        let differs = |told: Option<&str>, own: Option<&str>| told.is_some_and(|told| Some(told) != own);
        let own = self.assignor.map(Assignor::name);
        if differs(answer.protocol_type.as_deref(), Some(CONSUMER))
            || differs(answer.protocol_name.as_deref(), own)
        {
            return self.fail(Fault::of_code(ErrorCode::InconsistentGroupProtocol, &self.terms, None));
        }
        match assignment::decode(&answer.assignment) {
            Ok(places) => self.assigned(places),
            Err(why) => {
                let what = format!("cannot read what its leader assigned: {why}");
                self.fail(Fault::nonsense(&self.terms, &what));
            }
        }
    }

    /// The member knows what it gets (Java's `onJoinComplete`).
    fn assigned(&mut self, places: Vec<TopicPartition>) {
        self.phase = Phase::Inside;
        if self.leaves_by.is_some() {
            return;
        }
        let wanted = self.wanted.clone().unwrap_or_default();
        if places.iter().any(|place| !wanted.contains(&place.topic)) {
            return self.join_now("received assignment does not match the current subscription");
        }
        let assigned: Places = places.iter().cloned().collect();
        match self.assignor {
            Some(Assignor::Sticky) => {
                self.sticky = Some(Memory { places, generation: self.generation });
            }
            Some(Assignor::CooperativeSticky) => self.cooperative_generation = self.generation,
            _ => {}
        }
        let revoked: Places = self.holding.owned().difference(&assigned).cloned().collect();
        let added: Places = assigned.difference(self.holding.owned()).cloned().collect();
        if !revoked.is_empty() {
            self.holding.revoke(revoked, &mut self.out);
            self.join_now("need to revoke partitions and re-join");
        }
        self.holding.assign(added, &mut self.out);
    }
}
