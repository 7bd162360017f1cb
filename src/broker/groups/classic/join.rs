//! JoinGroup: who may enter, and what that begins.

use super::super::super::code::Code;
use super::super::MAX_SIZE;
use super::member::{Member, Terms};
use super::{Group, JoinReply, NEW_MEMBER_TIMEOUT, Next, State, Storing, refused_join};
use crate::wire::messages::{JoinGroupRequest, JoinGroupResponse};

/// The version from which on a new member has to come back with the id that it is given (KIP-394).
const INVITES: i16 = 4;
/// The version from which on a leader can be told not to assign (KIP-814).
const SKIPS: i16 = 9;

/// The most protocols that a member may support: choosing one compares them all.
const MAX_PROTOCOLS: usize = 100;

/// A request to join, and what is known of its client.
#[derive(Debug)]
pub(in crate::broker) struct Join<'a> {
    pub(in crate::broker) request: &'a JoinGroupRequest<'a>,
    pub(in crate::broker) version: i16,
    pub(in crate::broker) client_id: &'a str,
    pub(in crate::broker) client_host: &'a str,
    /// An id that no member has, for one that comes without.
    pub(in crate::broker) fresh_id: &'a str,
}

/// A static member that has come back, and all there was before.
#[derive(Debug)]
pub(super) struct Seat {
    version: i16,
    instance_id: String,
    id: String,
    old_id: String,
    old_terms: Terms,
    old_leader: Option<String>,
}

impl Group {
    /// Takes a member in, or keeps it in. The reply is sent at once, or when the others have joined.
    pub(in crate::broker) fn join(&mut self, join: &Join<'_>, reply: JoinReply, now: i64) -> Next {
        let request = join.request;
        let (id, instance) = (&*request.member_id, request.group_instance_id.as_deref());
        if self.is_full_for(id, instance) {
            return refuse(reply, "", Code::GroupMaxSizeReached);
        }
        if !self.takes(request) {
            return refuse(reply, id, Code::InconsistentGroupProtocol);
        }
        match (id, instance) {
            ("", Some(instance)) => self.join_static(join, instance, reply, now),
            ("", None) if join.version >= INVITES => self.invite(join, reply, now),
            ("", None) => self.add(join, join.fresh_id, reply, now),
            (id, None) if self.invited.contains_key(id) => self.add(join, id, reply, now),
            (id, instance) => match self.check_member(id, instance) {
                Ok(()) => self.rejoin(join, id, reply, now),
                Err(code) => refuse(reply, id, code),
            },
        }
    }

    /// True when there is no room for one more. Members that are in stay in; in Kafka, one that comes
    /// during a rebalance may push out one that is late.
    fn is_full_for(&self, id: &str, instance: Option<&str>) -> bool {
        let is_in =
            self.members.contains_key(id) || instance.is_some_and(|name| self.instances.contains_key(name));
        let invited = if id.is_empty() { self.invited.len() } else { 0 };
        !is_in && self.members.len().max(invited) >= MAX_SIZE
    }

    /// Whether the group can take a member with these protocols.
    pub(in crate::broker) fn takes(&self, request: &JoinGroupRequest<'_>) -> bool {
        if request.protocols.len() > MAX_PROTOCOLS {
            return false;
        }
        if self.state == State::Empty {
            return !request.protocol_type.is_empty() && !request.protocols.is_empty();
        }
        let is_common = |name: &str| self.members.values().all(|member| member.supports(name));
        self.protocol_type() == request.protocol_type
            && request.protocols.iter().any(|protocol| is_common(&protocol.name))
    }

    /// Gives out an id to come back with.
    fn invite(&mut self, join: &Join<'_>, reply: JoinReply, now: i64) -> Next {
        let until = now.saturating_add(join.request.session_timeout_ms.into());
        self.invited.insert(join.fresh_id.to_owned(), until);
        refuse(reply, join.fresh_id, Code::MemberIdRequired)
    }

    /// Adds a member. Its client may be gone before it knows its id, so it has a time to wait of its own.
    fn add(&mut self, join: &Join<'_>, id: &str, reply: JoinReply, now: i64) -> Next {
        let member = Member {
            instance_id: join.request.group_instance_id.as_deref().map(str::to_owned),
            client_id: join.client_id.to_owned(),
            client_host: join.client_host.to_owned(),
            terms: Terms::of(join),
            assignment: Vec::new(),
            due: Some(now.saturating_add(NEW_MEMBER_TIMEOUT)),
            is_new: true,
            owes_sync: false,
            joining: Some(reply),
            syncing: None,
        };
        if self.members.is_empty() {
            self.protocol_type = Some(join.request.protocol_type.to_string());
        }
        self.invited.remove(id);
        self.instances.extend(member.instance_id.clone().map(|instance| (instance, id.to_owned())));
        self.leader.get_or_insert_with(|| id.to_owned());
        self.members.insert(id.to_owned(), member);
        self.go_on(now)
    }

    /// A member joins again.
    fn rejoin(&mut self, join: &Join<'_>, id: &str, reply: JoinReply, now: i64) -> Next {
        let has_news = self.members.get(id).is_some_and(|member| {
            // Timeouts may change without a rebalance.
            member.terms.protocols != Terms::of(join).protocols
        });
        let begins = match self.state {
            State::PreparingRebalance => true,
            State::CompletingRebalance => has_news,
            // The leader may have seen what the members' protocols do not show, such as new partitions.
            State::Stable => has_news || self.is_leader(id),
            State::Empty => return refuse(reply, id, Code::UnknownMemberId),
        };
        if !begins {
            // It may not have received the first answer.
            let _ = reply.send(self.joined(id));
            return Next::Done;
        }
        self.renew(join, id, reply);
        self.go_on(now)
    }

    fn renew(&mut self, join: &Join<'_>, id: &str, reply: JoinReply) {
        if let Some(member) = self.members.get_mut(id) {
            member.terms = Terms::of(join);
            member.joining = Some(reply);
        }
    }

    fn join_static(&mut self, join: &Join<'_>, instance: &str, reply: JoinReply, now: i64) -> Next {
        let Some(old_id) = self.instances.get(instance).cloned() else {
            return self.add(join, join.fresh_id, reply, now);
        };
        let old_leader = self.leader.clone();
        self.replace(instance, &old_id, join.fresh_id);
        let Some(member) = self.members.get_mut(join.fresh_id) else { return Next::Done };
        member.touch(now);
        let old_terms = member.terms.clone();
        self.renew(join, join.fresh_id, reply);
        match self.state {
            State::Stable if self.choose_protocol() == self.protocol => {
                let (version, instance_id, id) =
                    (join.version, instance.to_owned(), join.fresh_id.to_owned());
                let seat = Seat { version, instance_id, id, old_id, old_terms, old_leader };
                self.storing = Some(Storing::Seat(Box::new(seat)));
                Next::Store
            }
            // The leader may have the old id already, and would assign to it.
            State::CompletingRebalance | State::Stable => self.rebalance(now),
            State::PreparingRebalance | State::Empty => self.complete_join_when_due(now),
        }
    }

    /// Gives a static member another id. Whoever has the old one is told that it is fenced.
    fn replace(&mut self, instance: &str, old_id: &str, id: &str) {
        let Some(mut member) = self.members.remove(old_id) else { return };
        member.dismiss(old_id, Code::FencedInstanceId);
        member.is_new = false;
        self.members.insert(id.to_owned(), member);
        self.instances.insert(instance.to_owned(), id.to_owned());
        if self.is_leader(old_id) {
            self.leader = Some(id.to_owned());
        }
    }

    /// Tells a static member that it has its old seat; if that could not be written down, gives it back.
    pub(super) fn seat(&mut self, seat: Seat, outcome: Result<(), Code>, now: i64) {
        let response = match outcome {
            Ok(()) if seat.version >= SKIPS => {
                JoinGroupResponse { skip_assignment: self.is_leader(&seat.id), ..self.joined(&seat.id) }
            }
            // It is not to take itself for the leader: a stable group would not take its assignment.
            Ok(()) => JoinGroupResponse {
                leader: seat.old_leader.unwrap_or_default().into(),
                members: Vec::new(),
                ..self.joined(&seat.id)
            },
            Err(code) => refused_join("", code),
        };
        if let Some(member) = self.members.get_mut(&seat.id) {
            member.answer_join(response);
        }
        if outcome.is_err() {
            self.replace(&seat.instance_id, &seat.id, &seat.old_id);
            if let Some(member) = self.members.get_mut(&seat.old_id) {
                member.terms = seat.old_terms;
                member.touch(now);
            }
        }
    }
}

fn refuse(reply: JoinReply, member_id: &str, code: Code) -> Next {
    // When the client has hung up, nobody is there to be told.
    let _ = reply.send(refused_join(member_id, code));
    Next::Done
}
