//! A group of the classic protocol: who is in it and what it waits for (as Kafka's `ClassicGroup`, and
//! what `GroupMetadataManager` does with it).
//!
//! ```text
//! Empty ──join──► PreparingRebalance ──all joined, or time over──► CompletingRebalance
//!   ▲                │  ▲    ▲                                          │      │
//!   └──nobody left───┘  │    └──join, leave, expiry, no sync in time────┘      │ leader's sync
//!                       └──join with news, leave, expiry──── Stable ◄──────────┘
//! ```
//!
//! What is to be told only when it is kept is told by [`Group::stored`]: a step that returns
//! [`Next::Store`] wants [`Group::value`] in the journal first. A group that is not there is called
//! `Dead`.

mod checks;
mod join;
mod member;
mod record;
mod sync;

#[cfg(test)]
mod tests;

pub(in crate::broker) use join::Join;
pub(in crate::broker) use member::{JoinReply, SyncReply, refused_join, refused_sync};

use std::collections::{BTreeMap, BTreeSet};

use super::super::code::Code;
use crate::wire::messages::{JoinGroupMember, JoinGroupResponse};
use join::Seat;
use member::Member;

/// How long a new member may wait for its first rebalance, in ms
/// (`classicGroupNewMemberJoinTimeoutMs`): its client may be gone.
const NEW_MEMBER_TIMEOUT: i64 = 5 * 60 * 1000;
/// The shortest time until a rebalance that nobody joined is tried again, in ms.
const RETRY: i64 = 1000;

/// What state a group is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::broker) enum State {
    /// It has no members.
    Empty,
    /// It waits for its members to join again.
    PreparingRebalance,
    /// It waits for the leader's assignment.
    CompletingRebalance,
    /// Its members read.
    Stable,
}

impl State {
    /// In Kafka's word.
    pub(in crate::broker) fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
        }
    }
}

/// What is to be done after a step.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::broker) enum Next {
    /// Nothing.
    Done,
    /// The group is to be written down, then [`Group::stored`] to be called.
    Store,
}

/// What is told once the group is written down.
#[derive(Debug)]
enum Storing {
    /// To all members what they read.
    Assignment,
    /// To a static member that it has its old seat.
    Seat(Box<Seat>),
}

/// A group.
#[derive(Debug)]
pub(in crate::broker) struct Group {
    state: State,
    /// When it came into this state, in ms since 1970.
    changed_at: i64,
    generation: i32,
    protocol_type: Option<String>,
    /// The protocol chosen.
    protocol: Option<String>,
    /// The member that assigns.
    leader: Option<String>,
    members: BTreeMap<String, Member>,
    /// Members by the name that the user gave them.
    instances: BTreeMap<String, String>,
    /// Ids that were given out and have not joined yet (KIP-394), and when they are void.
    invited: BTreeMap<String, i64>,
    /// When joining ends.
    join_due: Option<i64>,
    /// When those who have not asked for their assignment are out.
    sync_due: Option<i64>,
    /// The topics that the members read, as far as that can be known.
    subscribed: Option<BTreeSet<String>>,
    storing: Option<Storing>,
}

impl Group {
    /// A group without members.
    pub(in crate::broker) fn new(now: i64) -> Self {
        Self {
            state: State::Empty,
            changed_at: now,
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            members: BTreeMap::new(),
            instances: BTreeMap::new(),
            invited: BTreeMap::new(),
            join_due: None,
            sync_due: None,
            subscribed: None,
            storing: None,
        }
    }

    /// Its state.
    pub(in crate::broker) fn state(&self) -> State {
        self.state
    }

    /// What it is for; empty for a group that only keeps offsets.
    pub(in crate::broker) fn protocol_type(&self) -> &str {
        self.protocol_type.as_deref().unwrap_or_default()
    }

    /// True when it has no members.
    pub(in crate::broker) fn is_empty(&self) -> bool {
        self.state == State::Empty
    }

    fn become_state(&mut self, state: State, now: i64) {
        self.state = state;
        self.changed_at = now;
    }

    fn is_leader(&self, member_id: &str) -> bool {
        self.leader.as_deref() == Some(member_id)
    }

    fn all_joined(&self) -> bool {
        self.invited.is_empty() && self.members.values().all(|member| member.joining.is_some())
    }

    /// How long joining may take: as long as the slowest member wants.
    fn rebalance_timeout(&self) -> i64 {
        self.members.values().map(|member| member.terms.rebalance_timeout).max().unwrap_or_default()
    }

    /// When something is due.
    pub(in crate::broker) fn next_deadline(&self) -> Option<i64> {
        let sessions = self.members.values().filter_map(|member| member.due);
        let others = self.invited.values().copied().chain(self.join_due).chain(self.sync_due);
        sessions.chain(others).min()
    }

    /// Does one of the things that are due: call it until [`Self::next_deadline`] is later than now.
    pub(in crate::broker) fn expire(&mut self, now: i64) -> Next {
        let is_due = |due: &Option<i64>| due.is_some_and(|due| due <= now);
        if is_due(&self.join_due) {
            return self.complete_join(now);
        }
        if is_due(&self.sync_due) {
            return self.expire_sync(now);
        }
        let invited = self.invited.iter().find(|(_, due)| **due <= now);
        if let Some(id) = invited.map(|(id, _)| id.clone()) {
            self.remove(&id);
            return self.complete_join_when_due(now);
        }
        let member = self.members.iter().find(|(_, member)| is_due(&member.due));
        let Some(id) = member.map(|(id, _)| id.clone()) else { return Next::Done };
        self.expire_session(&id, now)
    }

    fn expire_session(&mut self, id: &str, now: i64) -> Next {
        let Some(member) = self.members.get_mut(id) else { return Next::Done };
        if member.is_excused() {
            // Its session begins anew with the answer.
            member.due = None;
            return Next::Done;
        }
        self.dismiss(id);
        self.go_on(now)
    }

    /// Members that did not ask for their assignment in time are out.
    fn expire_sync(&mut self, now: i64) -> Next {
        self.sync_due = None;
        let late = self.members.iter().filter(|(_, member)| member.owes_sync);
        let late: Vec<String> = late.map(|(id, _)| id.clone()).collect();
        if late.is_empty() {
            return Next::Done;
        }
        late.iter().for_each(|id| self.dismiss(id));
        self.rebalance(now)
    }

    /// Removes a member; if it waits for an answer, it is to join anew.
    fn dismiss(&mut self, id: &str) {
        if let Some(member) = self.members.get_mut(id) {
            member.dismiss("", Code::UnknownMemberId);
        }
        self.remove(id);
    }

    /// Removes a member or an id that was given out. The next one in order leads.
    fn remove(&mut self, id: &str) {
        self.invited.remove(id);
        if let Some(instance) = self.members.remove(id).and_then(|member| member.instance_id) {
            self.instances.remove(&instance);
        }
        if self.is_leader(id) {
            self.leader = self.members.keys().next().cloned();
        }
    }

    /// After a member has come, changed or gone: begins a rebalance, or ends the one there is.
    fn go_on(&mut self, now: i64) -> Next {
        match self.state {
            State::PreparingRebalance => self.complete_join_when_due(now),
            State::Empty | State::CompletingRebalance | State::Stable => self.rebalance(now),
        }
    }

    /// Has all members join again. Kafka waits for others before the first rebalance of a group; here
    /// it is complete at once.
    fn rebalance(&mut self, now: i64) -> Next {
        if self.state == State::CompletingRebalance {
            self.fail_assignment(Code::RebalanceInProgress, now);
        }
        self.forgive_sync();
        let is_first = self.state == State::Empty;
        self.become_state(State::PreparingRebalance, now);
        if is_first || self.all_joined() {
            return self.complete_join(now);
        }
        self.join_due = Some(now.saturating_add(self.rebalance_timeout()));
        Next::Done
    }

    fn forgive_sync(&mut self) {
        self.members.values_mut().for_each(|member| member.owes_sync = false);
        self.sync_due = None;
    }

    fn complete_join_when_due(&mut self, now: i64) -> Next {
        let is_due = self.state == State::PreparingRebalance && self.all_joined();
        if is_due { self.complete_join(now) } else { Next::Done }
    }

    /// Ends joining: dynamic members that have not joined are out, the others enter the next generation.
    /// Static members may be on their way back.
    fn complete_join(&mut self, now: i64) -> Next {
        self.join_due = None;
        let late = self.members.iter().filter(|(_, m)| m.joining.is_none() && m.instance_id.is_none());
        let late: Vec<String> = late.map(|(id, _)| id.clone()).collect();
        late.iter().for_each(|id| self.remove(id));
        if self.members.is_empty() {
            return self.become_empty(now);
        }
        if !self.elect() {
            self.join_due = Some(now.saturating_add(self.rebalance_timeout().max(RETRY)));
            return Next::Done;
        }
        self.begin_generation(now);
        Next::Done
    }

    /// Sees to a leader that has joined. False when nobody has.
    fn elect(&mut self) -> bool {
        let has_joined = |id: &String| self.members.get(id).is_some_and(|member| member.joining.is_some());
        if self.leader.as_ref().is_some_and(has_joined) {
            return true;
        }
        let joined = self.members.iter().find(|(_, member)| member.joining.is_some());
        let Some(id) = joined.map(|(id, _)| id.clone()) else { return false };
        self.leader = Some(id);
        true
    }

    fn next_generation(&mut self) {
        self.generation = self.generation.checked_add(1).unwrap_or(1);
    }

    fn become_empty(&mut self, now: i64) -> Next {
        self.next_generation();
        self.protocol = None;
        self.subscribed = self.subscriptions();
        self.become_state(State::Empty, now);
        Next::Store
    }

    /// Tells all who have joined who they are; from the leader an assignment is expected.
    fn begin_generation(&mut self, now: i64) {
        self.next_generation();
        self.protocol = self.choose_protocol();
        self.subscribed = self.subscriptions();
        self.become_state(State::CompletingRebalance, now);
        self.sync_due = Some(now.saturating_add(self.rebalance_timeout()));
        let ids: Vec<String> = self.members.keys().cloned().collect();
        for id in ids {
            let joined = self.joined(&id);
            if let Some(member) = self.members.get_mut(&id) {
                member.answer_join(joined);
                member.touch(now);
                member.is_new = false;
                member.owes_sync = true;
            }
        }
    }

    /// The protocol with the most votes of those that all members support; the leader decides a draw.
    fn choose_protocol(&self) -> Option<String> {
        let leader = self.leader.as_ref().and_then(|id| self.members.get(id))?;
        let names = leader.terms.protocols.iter().map(|protocol| protocol.name.as_str());
        let is_common = |name: &&str| self.members.values().all(|member| member.supports(name));
        let candidates: Vec<&str> = names.filter(is_common).collect();
        let votes = |name: &str| {
            self.members.values().filter(|member| member.vote(&candidates) == Some(name)).count()
        };
        let most = candidates.iter().map(|name| votes(name)).max()?;
        candidates.iter().find(|name| votes(name) == most).map(|name| (*name).to_owned())
    }

    /// The answer to a member that is in the generation.
    fn joined(&self, member_id: &str) -> JoinGroupResponse<'static> {
        let members = if self.is_leader(member_id) { self.described() } else { Vec::new() };
        JoinGroupResponse {
            generation_id: self.generation,
            protocol_type: self.protocol_type.clone().map(Into::into),
            protocol_name: self.protocol.clone().map(Into::into),
            leader: self.leader.clone().unwrap_or_default().into(),
            member_id: member_id.to_owned().into(),
            members,
            ..Default::default()
        }
    }

    /// The members, for the leader.
    fn described(&self) -> Vec<JoinGroupMember<'static>> {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let describe = |(id, member): (&String, &Member)| JoinGroupMember {
            member_id: id.clone().into(),
            group_instance_id: member.instance_id.clone().map(Into::into),
            metadata: member.metadata(protocol).to_vec().into(),
        };
        self.members.iter().map(describe).collect()
    }

    /// Goes on after the group was to be written down.
    pub(in crate::broker) fn stored(&mut self, outcome: Result<(), Code>, now: i64) -> Next {
        match (self.storing.take(), outcome) {
            (Some(Storing::Assignment), Ok(())) => {
                self.tell_assignment(now);
                Next::Done
            }
            (Some(Storing::Assignment), Err(code)) => {
                self.fail_assignment(code, now);
                self.go_on(now)
            }
            (Some(Storing::Seat(seat)), outcome) => {
                self.seat(*seat, outcome, now);
                Next::Done
            }
            // What is not written down is an earlier generation, without members that count.
            (None, _) => Next::Done,
        }
    }
}
