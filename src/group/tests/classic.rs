//! A member of the classic protocol on its ways.

use super::*;
use crate::wire::ErrorCode;
use crate::wire::messages::*;

/// Requests and answers of the protocol.
impl Desk {
    fn classic(assignors: &[Assignor]) -> Self {
        Self::new(classic(assignors))
    }

    pub(super) fn join(&mut self) -> (Ticket, JoinGroupRequest<'static>) {
        match self.sent() {
            (ticket, Request::Join(request)) => (ticket, request),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn sync(&mut self) -> (Ticket, SyncGroupRequest<'static>) {
        match self.sent() {
            (ticket, Request::Sync(request)) => (ticket, request),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn heartbeat(&mut self) -> (Ticket, HeartbeatRequest<'static>) {
        match self.sent() {
            (ticket, Request::Heartbeat(request)) => (ticket, request),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn departure(&mut self) -> (Ticket, LeaveGroupRequest<'static>) {
        match self.sent() {
            (ticket, Request::Leave(request)) => (ticket, request),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn answer_join(&mut self, ticket: Ticket, answer: JoinGroupResponse<'_>) {
        self.tell(Event::Answered(ticket, Response::Join(answer)));
    }

    pub(super) fn answer_sync(&mut self, ticket: Ticket, places: &[TopicPartition]) {
        let assignment = assignment::encode(places).unwrap().into();
        self.tell(Event::Answered(
            ticket,
            Response::Sync(SyncGroupResponse { assignment, ..Default::default() }),
        ));
    }

    pub(super) fn answer_heartbeat(&mut self, ticket: Ticket, error_code: i16) {
        self.tell(Event::Answered(
            ticket,
            Response::Heartbeat(HeartbeatResponse { error_code, ..Default::default() }),
        ));
    }

    pub(super) fn answer_departure(&mut self, ticket: Ticket, error_code: i16) {
        let answer = LeaveGroupResponse { error_code, ..Default::default() };
        self.tell(Event::Answered(ticket, Response::Leave(answer)));
    }

    /// Joins with the id `m1` that is given first; the JoinGroup that it comes back with.
    pub(super) fn enter(&mut self) -> (Ticket, JoinGroupRequest<'static>) {
        self.subscribe(&["t"]);
        let (ticket, request) = self.join();
        assert_eq!(request.member_id, "");
        self.answer_join(ticket, refused(79));
        self.join()
    }

    /// Joins as a follower and gets these partitions.
    pub(super) fn settle(&mut self, share: &[TopicPartition]) {
        let (ticket, _) = self.enter();
        self.follow(ticket, 1, share);
    }

    /// Follows in a generation and gets these partitions.
    pub(super) fn follow(&mut self, ticket: Ticket, generation: i32, share: &[TopicPartition]) {
        self.answer_join(ticket, joined(generation, self.assignor, "m2", &[]));
        let (ticket, request) = self.sync();
        assert_eq!((request.generation_id, &*request.member_id), (generation, "m1"));
        assert!(request.assignments.is_empty());
        self.answer_sync(ticket, share);
    }

    pub(super) fn assigned(&mut self, places: &[TopicPartition]) {
        assert_eq!(self.next(), Action::Assign(places.to_vec()));
    }
}

/// What a coordinator answers to a JoinGroup of `m1` that it refuses.
pub(super) fn refused(error_code: i16) -> JoinGroupResponse<'static> {
    JoinGroupResponse { error_code, member_id: "m1".into(), ..Default::default() }
}

/// What it answers to one that it accepts.
pub(super) fn joined(
    generation_id: i32,
    assignor: Assignor,
    leader: &'static str,
    members: &[(&'static str, Subscription)],
) -> JoinGroupResponse<'static> {
    let member = |(id, subscription): &(&'static str, Subscription)| JoinGroupMember {
        member_id: (*id).into(),
        metadata: subscription.encode().unwrap().into(),
        ..Default::default()
    };
    JoinGroupResponse {
        generation_id,
        protocol_type: Some("consumer".into()),
        protocol_name: Some(assignor.name().into()),
        leader: leader.into(),
        member_id: "m1".into(),
        members: members.iter().map(member).collect(),
        ..Default::default()
    }
}

pub(super) fn wants(topics: &[&str]) -> Subscription {
    Subscription { topics: names(topics), ..Default::default() }
}

fn shares(request: &SyncGroupRequest<'_>) -> Vec<(String, Vec<TopicPartition>)> {
    let share = |it: &SyncGroupAssignment<'_>| {
        (it.member_id.to_string(), assignment::decode(&it.assignment).unwrap())
    };
    request.assignments.iter().map(share).collect()
}

fn told(request: &JoinGroupRequest<'_>) -> Subscription {
    Subscription::decode(&request.protocols[0].metadata).unwrap()
}

#[test]
fn nothing_happens_before_something_is_wanted() {
    let mut desk = Desk::classic(&[Assignor::Range]);
    desk.tell(Event::Polled);
    desk.pass(MAX_POLL * 2);
    desk.nothing();
    assert_eq!(desk.member.identity(), Identity::default());
    desk.tell(Event::Leave);
    assert_eq!(desk.next(), Action::Left);
}

#[test]
fn a_new_member_joins_with_the_id_that_it_is_given_and_follows() {
    let mut desk = Desk::classic(&[Assignor::Range, Assignor::RoundRobin]);
    let (ticket, request) = desk.enter();
    assert_eq!((&*request.group_id, &*request.member_id), ("g", "m1"));
    assert_eq!((request.session_timeout_ms, request.rebalance_timeout_ms), (45_000, 300_000));
    assert_eq!((&*request.protocol_type, request.group_instance_id.clone()), ("consumer", None));
    let protocols: Vec<&str> = request.protocols.iter().map(|protocol| &*protocol.name).collect();
    assert_eq!(protocols, ["range", "roundrobin"]);
    assert_eq!(told(&request), wants(&["t"]));
    desk.follow(ticket, 7, &places("t", 0..2));
    desk.assigned(&places("t", 0..2));
    let identity = Identity { generation: 7, member_id: "m1".into(), instance_id: None };
    assert_eq!(desk.member.identity(), identity);
    desk.nothing();
}

#[test]
fn a_join_may_take_as_long_as_the_rebalance_and_other_requests_as_long_as_requests() {
    let mut desk = Desk::classic(&[Assignor::Range]);
    let limit = |desk: &mut Desk| match desk.next() {
        Action::Send { within, ticket, .. } => (ticket, within),
        other => panic!("{other:?}"),
    };
    desk.subscribe(&["t"]);
    let (ticket, within) = limit(&mut desk);
    assert_eq!(within, MAX_POLL + Duration::from_secs(5));
    desk.answer_join(ticket, joined(1, Assignor::Range, "m2", &[]));
    assert_eq!(limit(&mut desk).1, REQUEST);
    desk.pass(INTERVAL);
    // As long as the session lasts, if that is less.
    assert_eq!(limit(&mut desk).1, REQUEST.min(SESSION - INTERVAL));
}

#[test]
fn a_leader_learns_the_topics_of_all_and_assigns() {
    let mut desk = Desk::classic(&[Assignor::Range]);
    let (ticket, _) = desk.enter();
    let members = [("m1", wants(&["t"])), ("m2", wants(&["t", "u"]))];
    desk.answer_join(ticket, joined(1, Assignor::Range, "m1", &members));
    let Action::Learn { ticket, topics: asked } = desk.next() else { panic!() };
    assert_eq!(asked, names(&["t", "u"]));
    desk.nothing();
    desk.tell(Event::Learned(ticket, topics(&[("t", 3), ("u", 1), ("other", 5)])));
    let (ticket, request) = desk.sync();
    let second: Vec<TopicPartition> = [places("t", 2..3), places("u", 0..1)].concat();
    assert_eq!(shares(&request), [("m1".to_owned(), places("t", 0..2)), ("m2".to_owned(), second)]);
    desk.answer_sync(ticket, &places("t", 0..2));
    desk.assigned(&places("t", 0..2));
}

#[test]
fn a_leader_whose_assignment_stays_brings_none_but_watches_the_topics() {
    let mut desk = Desk::classic(&[Assignor::Range]);
    let (ticket, _) = desk.enter();
    let answer = joined(1, Assignor::Range, "m1", &[("m1", wants(&["t"]))]);
    desk.answer_join(ticket, JoinGroupResponse { skip_assignment: true, ..answer });
    let ticket = desk.asked();
    desk.tell(Event::Learned(ticket, topics(&[("t", 3)])));
    let (ticket, request) = desk.sync();
    assert!(request.assignments.is_empty());
    desk.answer_sync(ticket, &places("t", 0..1));
    desk.assigned(&places("t", 0..1));
    desk.tell(Event::Topics(topics(&[("t", 4)])));
    desk.revoked(&places("t", 0..1));
}

#[test]
fn a_leader_gives_nothing_to_a_member_that_it_cannot_read() {
    let mut desk = Desk::classic(&[Assignor::Range]);
    let (ticket, _) = desk.enter();
    let mut answer = joined(1, Assignor::Range, "m1", &[("m1", wants(&["t"])), ("m2", wants(&["t"]))]);
    answer.members[1].metadata = b"\0".into();
    desk.answer_join(ticket, answer);
    let Action::Warn(line) = desk.next() else { panic!() };
    assert!(line.starts_with("group g: cannot read what its member m2 wants"), "{line}");
    let ticket = desk.asked();
    desk.tell(Event::Learned(ticket, topics(&[("t", 2)])));
    let (_, request) = desk.sync();
    assert_eq!(shares(&request)[0].1, places("t", 0..2));
    assert_eq!(shares(&request)[1].1, []);
}

#[test]
fn only_a_leader_joins_again_when_topics_change() {
    for (leader, joins) in [("m1", true), ("m2", false)] {
        let mut desk = Desk::classic(&[Assignor::CooperativeSticky]);
        let (ticket, _) = desk.enter();
        let members = [("m1", wants(&["t"])), ("m2", wants(&["u"]))];
        desk.answer_join(ticket, joined(1, Assignor::CooperativeSticky, leader, &members));
        if joins {
            let ticket = desk.asked();
            desk.tell(Event::Learned(ticket, topics(&[("t", 2), ("u", 1)])));
        }
        let (ticket, _) = desk.sync();
        desk.answer_sync(ticket, &[]);
        // Of no one in the group.
        desk.tell(Event::Topics(topics(&[("t", 2), ("u", 1), ("other", 1)])));
        desk.nothing();
        // A topic of another member.
        desk.tell(Event::Topics(topics(&[("t", 2)])));
        if joins {
            assert_eq!(desk.join().1.reason.as_deref(), Some("cached metadata has changed"));
        }
        desk.nothing();
    }
}

#[test]
fn an_eager_member_gives_everything_up_before_it_joins_again() {
    let mut desk = Desk::classic(&[Assignor::Range]);
    desk.settle(&places("t", 0..2));
    desk.assigned(&places("t", 0..2));
    desk.pass(INTERVAL);
    let (ticket, _) = desk.heartbeat();
    desk.answer_heartbeat(ticket, 27);
    let revocation = desk.revoked(&places("t", 0..2));
    // Still as the member of the generation before, so that it can commit.
    assert_eq!(desk.member.identity().generation, 1);
    desk.tell(Event::Released(revocation));
    let (ticket, request) = desk.join();
    assert_eq!(request.reason.as_deref(), Some("group is already rebalancing"));
    assert_eq!(told(&request), Subscription { generation: Some(1), ..wants(&["t"]) });
    desk.follow(ticket, 2, &places("t", 1..3));
    desk.assigned(&places("t", 1..3));
}

#[test]
fn heartbeats_go_on_while_partitions_are_given_up_and_end_with_the_join() {
    let mut desk = Desk::classic(&[Assignor::Range]);
    desk.settle(&places("t", 0..2));
    desk.assigned(&places("t", 0..2));
    desk.subscribe(&["u"]);
    let revocation = desk.revoked(&places("t", 0..2));
    for _ in 0..3 {
        desk.pass(INTERVAL);
        let (ticket, _) = desk.heartbeat();
        desk.answer_heartbeat(ticket, 27);
        desk.nothing();
    }
    desk.tell(Event::Released(revocation));
    assert_eq!(told(&desk.join().1).topics, names(&["u"]));
    desk.pass(INTERVAL * 20);
    desk.nothing();
}

#[test]
fn a_cooperative_member_keeps_what_it_has_and_gives_up_what_it_did_not_get_again() {
    let mut desk = Desk::classic(&[Assignor::CooperativeSticky]);
    desk.settle(&places("t", 0..4));
    desk.assigned(&places("t", 0..4));
    desk.pass(INTERVAL);
    let (ticket, _) = desk.heartbeat();
    desk.answer_heartbeat(ticket, 27);
    let (ticket, request) = desk.join();
    let mine = Subscription {
        owned: places("t", 0..4),
        generation: Some(1),
        user_data: Some(vec![0, 0, 0, 1]),
        ..wants(&["t"])
    };
    assert_eq!(told(&request), mine);
    desk.follow(ticket, 2, &places("t", 2..5));
    let revocation = desk.revoked(&places("t", 0..2));
    desk.assigned(&places("t", 4..5));
    desk.nothing();
    desk.tell(Event::Released(revocation));
    let (ticket, request) = desk.join();
    assert_eq!(request.reason.as_deref(), Some("need to revoke partitions and re-join"));
    assert_eq!(told(&request).owned, places("t", 2..5));
    desk.follow(ticket, 3, &places("t", 2..5));
    desk.nothing();
}

#[test]
fn a_cooperative_member_gives_up_what_it_does_not_want_any_more_before_it_joins_again() {
    let mut desk = Desk::classic(&[Assignor::CooperativeSticky]);
    desk.settle(&places("t", 0..2));
    desk.assigned(&places("t", 0..2));
    desk.subscribe(&["u"]);
    let revocation = desk.revoked(&places("t", 0..2));
    desk.tell(Event::Released(revocation));
    let (_, request) = desk.join();
    assert_eq!((told(&request).topics, told(&request).owned), (names(&["u"]), vec![]));
}

#[test]
fn a_member_is_cooperative_only_if_all_its_assignors_are() {
    let mut desk = Desk::classic(&[Assignor::Range, Assignor::CooperativeSticky]);
    desk.settle(&places("t", 0..2));
    desk.assigned(&places("t", 0..2));
    desk.subscribe(&["t", "u"]);
    desk.revoked(&places("t", 0..2));
}

#[test]
fn a_sticky_member_tells_what_it_had() {
    let mut desk = Desk::classic(&[Assignor::Sticky]);
    let (ticket, request) = desk.enter();
    assert_eq!(told(&request).user_data, None);
    desk.follow(ticket, 5, &places("t", 1..3));
    desk.assigned(&places("t", 1..3));
    desk.subscribe(&["t", "u"]);
    let revocation = desk.revoked(&places("t", 1..3));
    desk.tell(Event::Released(revocation));
    let (_, request) = desk.join();
    let data = told(&request).user_data.unwrap();
    let data = StickyUserData::decode(&data).unwrap();
    assert_eq!(data.generation, 5);
    assert_eq!(data.previous_assignment[0].partitions, [1, 2]);
    assert_eq!(told(&request).owned, []);
}

#[test]
fn what_was_not_wanted_is_not_taken() {
    let mut desk = Desk::classic(&[Assignor::Range]);
    let (ticket, _) = desk.enter();
    desk.answer_join(ticket, joined(1, Assignor::Range, "m2", &[]));
    let (ticket, _) = desk.sync();
    desk.subscribe(&["u"]);
    desk.answer_sync(ticket, &places("t", 0..2));
    assert_eq!(told(&desk.join().1).topics, names(&["u"]));
    desk.nothing();
}

#[test]
fn an_assignment_of_nothing_is_none_and_one_that_cannot_be_read_is_fatal() {
    let mut desk = Desk::classic(&[Assignor::Range]);
    desk.settle(&[]);
    desk.nothing();
    let mut desk = Desk::classic(&[Assignor::Range]);
    let (ticket, _) = desk.enter();
    desk.answer_join(ticket, joined(1, Assignor::Range, "m2", &[]));
    let (ticket, _) = desk.sync();
    let answer = SyncGroupResponse { assignment: b"\0\0\0".into(), ..Default::default() };
    desk.tell(Event::Answered(ticket, Response::Sync(answer)));
    let fault = desk.failed();
    assert_eq!((fault.kind, fault.code), (FaultKind::Other, None));
}

#[test]
fn another_protocol_than_ones_own_is_fatal() {
    let fault_of = |answer: JoinGroupResponse<'static>| {
        let mut desk = Desk::classic(&[Assignor::Range]);
        let (ticket, _) = desk.enter();
        desk.answer_join(ticket, answer);
        desk.failed()
    };
    let good = joined(1, Assignor::Range, "m2", &[]);
    let connect = JoinGroupResponse { protocol_type: Some("connect".into()), ..good.clone() };
    let sticky = JoinGroupResponse { protocol_name: Some("sticky".into()), ..good.clone() };
    let none = JoinGroupResponse { protocol_name: None, ..good };
    for answer in [connect, sticky, none] {
        assert_eq!(fault_of(answer).kind, FaultKind::Settings);
    }
    for (kind, name) in [("connect", "range"), ("consumer", "sticky")] {
        let mut desk = Desk::classic(&[Assignor::Range]);
        let (ticket, _) = desk.enter();
        desk.answer_join(ticket, joined(1, Assignor::Range, "m2", &[]));
        let (ticket, _) = desk.sync();
        let answer = SyncGroupResponse {
            protocol_type: Some(kind.into()),
            protocol_name: Some(name.into()),
            ..Default::default()
        };
        desk.tell(Event::Answered(ticket, Response::Sync(answer)));
        assert_eq!(desk.failed().kind, FaultKind::Settings);
    }
}

#[test]
fn who_does_not_read_leaves_and_joins_again_when_it_reads() {
    let mut desk = Desk::classic(&[Assignor::Range]);
    desk.settle(&places("t", 0..2));
    desk.assigned(&places("t", 0..2));
    desk.now += MAX_POLL - INTERVAL;
    desk.tell(Event::Polled);
    let (ticket, _) = desk.heartbeat();
    desk.answer_heartbeat(ticket, 0);
    desk.now += MAX_POLL - INTERVAL;
    desk.tell(Event::Tick);
    desk.heartbeat();
    desk.nothing();
    desk.pass(INTERVAL);
    let Action::Warn(line) = desk.next() else { panic!() };
    assert_eq!(
        line,
        "group g: nothing was read for 300000 ms (max.poll.interval.ms): left it until reading goes on"
    );
    let (_, request) = desk.departure();
    assert_eq!(&*request.members[0].member_id, "m1");
    assert_eq!(desk.next(), Action::Lose(places("t", 0..2)));
    desk.pass(MAX_POLL * 3);
    desk.nothing();
    assert_eq!(desk.member.identity(), Identity::default());
    desk.tell(Event::Polled);
    assert_eq!(desk.join().1.member_id, "");
}

#[test]
fn a_static_member_bears_its_name_and_leaves_without_a_word() {
    let mut desk = Desk::new(Terms { instance_id: Some("i".into()), ..classic(&[Assignor::Range]) });
    desk.subscribe(&["t"]);
    let (ticket, request) = desk.join();
    assert_eq!(request.group_instance_id.as_deref(), Some("i"));
    desk.answer_join(ticket, joined(1, Assignor::Range, "m2", &[]));
    let (ticket, request) = desk.sync();
    assert_eq!(request.group_instance_id.as_deref(), Some("i"));
    desk.answer_sync(ticket, &places("t", 0..1));
    desk.assigned(&places("t", 0..1));
    desk.pass(INTERVAL);
    assert_eq!(desk.heartbeat().1.group_instance_id.as_deref(), Some("i"));
    assert_eq!(desk.member.identity().instance_id.as_deref(), Some("i"));
    desk.tell(Event::Leave);
    let revocation = desk.revoked(&places("t", 0..1));
    desk.tell(Event::Released(revocation));
    assert_eq!(desk.next(), Action::Left);
}

#[test]
fn a_member_gives_everything_up_before_it_leaves() {
    let mut desk = Desk::classic(&[Assignor::Range]);
    desk.settle(&places("t", 0..2));
    desk.assigned(&places("t", 0..2));
    desk.tell(Event::Leave);
    let revocation = desk.revoked(&places("t", 0..2));
    assert_eq!(desk.member.identity().generation, 1);
    desk.tell(Event::Leave);
    desk.nothing();
    // It is still in the group, whatever the application takes its time for.
    desk.pass(INTERVAL);
    let (ticket, _) = desk.heartbeat();
    desk.answer_heartbeat(ticket, 27);
    desk.nothing();
    desk.tell(Event::Released(revocation));
    let (ticket, request) = desk.departure();
    assert_eq!((&*request.members[0].member_id, &*request.member_id), ("m1", "m1"));
    desk.pass(INTERVAL * 3);
    desk.nothing();
    desk.answer_departure(ticket, 0);
    assert_eq!(desk.next(), Action::Left);
    desk.subscribe(&["u"]);
    desk.pass(MAX_POLL);
    desk.nothing();
    assert_eq!(desk.member.next_time(), None);
}

#[test]
fn a_departure_waits_for_a_revocation_that_is_under_way() {
    let mut desk = Desk::classic(&[Assignor::CooperativeSticky]);
    desk.settle(&places("t", 0..4));
    desk.assigned(&places("t", 0..4));
    desk.subscribe(&["u", "t"]);
    let (ticket, _) = desk.join();
    desk.follow(ticket, 2, &places("t", 0..2));
    let first = desk.revoked(&places("t", 2..4));
    desk.tell(Event::Leave);
    desk.nothing();
    desk.tell(Event::Released(first));
    let second = desk.revoked(&places("t", 0..2));
    desk.tell(Event::Released(first));
    desk.nothing();
    desk.tell(Event::Released(second));
    desk.departure();
}

/// A member with `t`'s first two partitions that leaves while it joins again, and its JoinGroup.
fn leaving_in_a_round() -> (Desk, Ticket) {
    let mut desk = Desk::classic(&[Assignor::CooperativeSticky]);
    desk.settle(&places("t", 0..2));
    desk.assigned(&places("t", 0..2));
    desk.subscribe(&["u", "t"]);
    let (ticket, _) = desk.join();
    desk.tell(Event::Leave);
    desk.nothing();
    (desk, ticket)
}

#[test]
fn a_member_that_leaves_with_partitions_sees_the_rebalance_through_for_a_while() {
    let (mut desk, ticket) = leaving_in_a_round();
    desk.follow(ticket, 2, &places("t", 1..3));
    let revocation = desk.revoked(&places("t", 0..2));
    assert_eq!(desk.member.identity().generation, 2);
    desk.tell(Event::Released(revocation));
    desk.departure();
    let (mut desk, _) = leaving_in_a_round();
    desk.pass(Duration::from_millis(500));
    desk.revoked(&places("t", 0..2));
    let (mut desk, ticket) = leaving_in_a_round();
    desk.answer_join(ticket, refused(25));
    assert_eq!(desk.next(), Action::Lose(places("t", 0..2)));
    assert_eq!(desk.next(), Action::Left);
}

#[test]
fn a_member_that_leaves_while_it_joins_waits_for_its_id_only() {
    let mut desk = Desk::classic(&[Assignor::Range]);
    desk.subscribe(&["t"]);
    let (ticket, _) = desk.join();
    desk.tell(Event::Leave);
    desk.nothing();
    desk.answer_join(ticket, refused(79));
    assert_eq!(&*desk.departure().1.members[0].member_id, "m1");
    // No one who might know it.
    let mut desk = Desk::classic(&[Assignor::Range]);
    desk.subscribe(&["t"]);
    let (ticket, _) = desk.join();
    desk.tell(Event::Leave);
    desk.tell(Event::Failed(ticket, Failure::Disconnected));
    assert_eq!(desk.next(), Action::Left);
    // It knows its id.
    let mut desk = Desk::classic(&[Assignor::Range]);
    let (join, _) = desk.enter();
    desk.tell(Event::Leave);
    let (ticket, _) = desk.departure();
    desk.answer_join(join, joined(1, Assignor::Range, "m2", &[]));
    desk.nothing();
    desk.answer_departure(ticket, 0);
    assert_eq!(desk.next(), Action::Left);
}

#[test]
fn what_comes_late_is_of_no_importance() {
    let mut desk = Desk::classic(&[Assignor::Range]);
    let (join, _) = desk.enter();
    desk.follow(join, 1, &places("t", 0..2));
    desk.assigned(&places("t", 0..2));
    desk.pass(INTERVAL);
    let (beat, _) = desk.heartbeat();
    desk.subscribe(&["t", "u"]);
    let revocation = desk.revoked(&places("t", 0..2));
    desk.tell(Event::Released(revocation));
    let (again, _) = desk.join();
    desk.answer_heartbeat(beat, 25);
    desk.answer_join(join, refused(25));
    desk.tell(Event::Failed(beat, Failure::Disconnected));
    desk.tell(Event::Released(revocation));
    desk.answer_sync(again, &[]);
    desk.nothing();
    desk.follow(again, 2, &places("t", 0..1));
    desk.assigned(&places("t", 0..1));
    let before = desk.member.identity();
    desk.tell(Event::Refused(ErrorCode::UnknownMemberId, Identity { generation: 1, ..before.clone() }));
    desk.tell(Event::Refused(ErrorCode::FencedInstanceId, Identity { generation: 1, ..before }));
    desk.nothing();
}

#[test]
fn refused_offsets_tell_of_the_membership() {
    let refused = |code: ErrorCode| {
        let mut desk = Desk::classic(&[Assignor::Range]);
        desk.settle(&places("t", 0..2));
        desk.assigned(&places("t", 0..2));
        let identity = desk.member.identity();
        desk.tell(Event::Refused(code, identity));
        desk
    };
    let mut desk = refused(ErrorCode::UnknownMemberId);
    assert_eq!(desk.next(), Action::Lose(places("t", 0..2)));
    assert_eq!(desk.join().1.member_id, "");
    let mut desk = refused(ErrorCode::IllegalGeneration);
    assert_eq!(desk.next(), Action::Lose(places("t", 0..2)));
    assert_eq!(desk.join().1.member_id, "m1");
    refused(ErrorCode::RebalanceInProgress).revoked(&places("t", 0..2));
    let mut desk = refused(ErrorCode::FencedInstanceId);
    assert_eq!(desk.next(), Action::Lose(places("t", 0..2)));
    assert_eq!(desk.failed().kind, FaultKind::Fenced);
    assert_eq!(refused(ErrorCode::NotCoordinator).next(), Action::ForgetCoordinator);
    assert_eq!(refused(ErrorCode::RequestTimedOut).next(), Action::ForgetCoordinator);
    refused(ErrorCode::TopicAuthorizationFailed).nothing();
}
