//! What members do after joining: SyncGroup, Heartbeat, LeaveGroup.

use std::collections::HashMap;

use super::super::super::code::{Code, number};
use super::{Group, Next, State, Storing, SyncReply, refused_sync};
use crate::wire::messages::{
    LeaveGroupRequestMember, LeaveGroupResponseMember, SyncGroupRequest, SyncGroupResponse,
};

impl Group {
    /// Asks for a member's assignment; from the leader it brings everyone's. The reply is sent at once,
    /// or when the leader has assigned.
    pub(in crate::broker) fn sync(&mut self, request: &SyncGroupRequest<'_>, reply: SyncReply) -> Next {
        let answer = match (self.check_sync(request), self.state) {
            (Err(code), _) => refused_sync(code),
            (Ok(()), State::Empty) => refused_sync(Code::UnknownMemberId),
            (Ok(()), State::PreparingRebalance) => refused_sync(Code::RebalanceInProgress),
            (Ok(()), State::CompletingRebalance) => return self.await_assignment(request, reply),
            (Ok(()), State::Stable) => {
                self.note_sync(&request.member_id);
                self.assigned(&request.member_id)
            }
        };
        // When the client has hung up, nobody is there to be told.
        let _ = reply.send(answer);
        Next::Done
    }

    fn check_sync(&self, request: &SyncGroupRequest<'_>) -> Result<(), Code> {
        self.check_member(&request.member_id, request.group_instance_id.as_deref())?;
        if request.generation_id != self.generation {
            return Err(Code::IllegalGeneration);
        }
        let differs = |asked: Option<&str>, own: &Option<String>| {
            asked.zip(own.as_deref()).is_some_and(|(asked, own)| asked != own)
        };
        if differs(request.protocol_type.as_deref(), &self.protocol_type)
            || differs(request.protocol_name.as_deref(), &self.protocol)
        {
            return Err(Code::InconsistentGroupProtocol);
        }
        Ok(())
    }

    fn await_assignment(&mut self, request: &SyncGroupRequest<'_>, reply: SyncReply) -> Next {
        let id = &*request.member_id;
        if let Some(member) = self.members.get_mut(id) {
            member.syncing = Some(reply);
        }
        self.note_sync(id);
        if !self.is_leader(id) {
            return Next::Done;
        }
        let assigned = request.assignments.iter().map(|it| (&*it.member_id, &*it.assignment));
        let assigned: HashMap<&str, &[u8]> = assigned.collect();
        for (id, member) in &mut self.members {
            member.assignment = assigned.get(id.as_str()).copied().unwrap_or_default().to_vec();
        }
        self.storing = Some(Storing::Assignment);
        Next::Store
    }

    fn note_sync(&mut self, id: &str) {
        if let Some(member) = self.members.get_mut(id) {
            member.owes_sync = false;
        }
        if self.members.values().all(|member| !member.owes_sync) {
            self.sync_due = None;
        }
    }

    fn assigned(&self, id: &str) -> SyncGroupResponse<'static> {
        let assignment = self.members.get(id).map(|member| member.assignment.clone());
        SyncGroupResponse {
            protocol_type: self.protocol_type.clone().map(Into::into),
            protocol_name: self.protocol.clone().map(Into::into),
            assignment: assignment.unwrap_or_default().into(),
            ..Default::default()
        }
    }

    /// Tells all who wait what they read: the group is stable.
    pub(super) fn tell_assignment(&mut self, now: i64) {
        let ids: Vec<String> = self.members.keys().cloned().collect();
        for id in ids {
            let assigned = self.assigned(&id);
            if let Some(member) = self.members.get_mut(&id)
                && member.answer_sync(assigned)
            {
                member.touch(now);
            }
        }
        self.become_state(State::Stable, now);
    }

    /// Tells all who wait for their assignment that there is none.
    pub(super) fn fail_assignment(&mut self, code: Code, now: i64) {
        for member in self.members.values_mut() {
            member.assignment.clear();
            if member.answer_sync(refused_sync(code)) {
                member.touch(now);
            }
        }
    }

    /// Takes a sign of life, and says whether the member is to join again.
    pub(in crate::broker) fn heartbeat(
        &mut self,
        member_id: &str,
        instance_id: Option<&str>,
        generation: i32,
        now: i64,
    ) -> Result<(), Code> {
        self.check_member(member_id, instance_id)?;
        if generation != self.generation {
            return Err(Code::IllegalGeneration);
        }
        self.touch(member_id, now);
        match self.state {
            State::Empty => Err(Code::UnknownMemberId),
            State::PreparingRebalance => Err(Code::RebalanceInProgress),
            State::CompletingRebalance | State::Stable => Ok(()),
        }
    }

    pub(super) fn touch(&mut self, member_id: &str, now: i64) {
        if let Some(member) = self.members.get_mut(member_id) {
            member.touch(now);
        }
    }

    /// Lets members go. Static ones may be named without their id, by an administrator.
    pub(in crate::broker) fn leave<'a>(
        &mut self,
        members: Vec<LeaveGroupRequestMember<'a>>,
        now: i64,
    ) -> (Vec<LeaveGroupResponseMember<'a>>, Next) {
        let leave = |member: LeaveGroupRequestMember<'a>| LeaveGroupResponseMember {
            error_code: number(self.let_go(&member.member_id, member.group_instance_id.as_deref())),
            member_id: member.member_id,
            group_instance_id: member.group_instance_id,
        };
        let left: Vec<_> = members.into_iter().map(leave).collect();
        let next = match self.state {
            State::Empty => Next::Done,
            _ if left.iter().all(|member| member.error_code != 0) => Next::Done,
            _ => self.go_on(now),
        };
        (left, next)
    }

    fn let_go(&mut self, id: &str, instance: Option<&str>) -> Result<(), Code> {
        let id = match (id, instance.and_then(|instance| self.instances.get(instance))) {
            ("", Some(id)) => id.clone(),
            ("", None) => return Err(Code::UnknownMemberId),
            (id, _) => id.to_owned(),
        };
        if !self.invited.contains_key(&id) {
            self.check_member(&id, instance)?;
        }
        self.dismiss(&id);
        Ok(())
    }
}
