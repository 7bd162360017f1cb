//! Every transition of a classic group, with a time of our own.

use tokio::sync::oneshot::{self, Receiver};

use super::super::MAX_SIZE;
use super::super::registry::{Mode, Who};
use super::*;
use crate::wire::Writer;
use crate::wire::messages::*;

const SESSION: i64 = 10_000;
const REBALANCE: i64 = 60_000;
const PLAIN: Mode = Mode::Plain { version: 8, retention: -1 };
const TRANSACTION: Mode = Mode::Transaction { producer_id: 1 };

type Joining = Receiver<JoinGroupResponse<'static>>;
type Syncing = Receiver<SyncGroupResponse<'static>>;

/// A group, and all that is around it.
struct Table {
    group: Group,
    now: i64,
    /// True when nothing can be written down.
    is_broken: bool,
    stores: usize,
    ids: usize,
}

/// What a consumer says it reads.
fn subscription(topics: &[&str]) -> Vec<u8> {
    let mut w = Writer::new();
    w.i16(3);
    w.i32(topics.len() as i32);
    for topic in topics {
        w.short_length(Some(topic.len()));
        w.raw(topic.as_bytes());
    }
    w.raw(b"and what later versions have");
    w.finish().unwrap()
}

/// A join of a dynamic member that supports `range`.
fn request(id: &str) -> JoinGroupRequest<'static> {
    JoinGroupRequest {
        group_id: "g".into(),
        session_timeout_ms: SESSION as i32,
        rebalance_timeout_ms: REBALANCE as i32,
        member_id: id.to_owned().into(),
        protocol_type: "consumer".into(),
        protocols: protocols(&["range"]),
        ..Default::default()
    }
}

fn protocols(names: &[&'static str]) -> Vec<JoinGroupProtocol<'static>> {
    let protocol = |name: &&'static str| JoinGroupProtocol {
        name: (*name).into(),
        metadata: subscription(&["t"]).into(),
    };
    names.iter().map(protocol).collect()
}

fn named(id: &str, instance: &'static str) -> JoinGroupRequest<'static> {
    JoinGroupRequest { group_instance_id: Some(instance.into()), ..request(id) }
}

impl Table {
    fn new() -> Self {
        Self { group: Group::new(0), now: 0, is_broken: false, stores: 0, ids: 0 }
    }

    fn run(&mut self, mut next: Next) {
        while next == Next::Store {
            self.stores += 1;
            let outcome = if self.is_broken { Err(Code::NotCoordinator) } else { Ok(()) };
            next = self.group.stored(outcome, self.now);
        }
    }

    fn join_at(&mut self, request: &JoinGroupRequest<'_>, version: i16) -> Joining {
        let (reply, replied) = oneshot::channel();
        self.ids += 1;
        let join = Join {
            request,
            version,
            client_id: "client",
            client_host: "/127.0.0.1",
            fresh_id: &format!("m{}", self.ids),
        };
        let next = self.group.join(&join, reply, self.now);
        self.run(next);
        replied
    }

    fn join(&mut self, request: &JoinGroupRequest<'_>) -> Joining {
        self.join_at(request, 9)
    }

    /// Joins with the id that is given first.
    fn enter(&mut self) -> (String, Joining) {
        let invited = self.join(&request("")).try_recv().unwrap();
        assert_eq!(invited.error_code, 79);
        let id = invited.member_id.into_owned();
        let joining = self.join(&request(&id));
        (id, joining)
    }

    fn sync(&mut self, id: &str, assignments: &[(&str, &'static [u8])]) -> Syncing {
        self.sync_as(&SyncGroupRequest {
            group_id: "g".into(),
            generation_id: self.group.generation,
            member_id: id.into(),
            assignments: assignments
                .iter()
                .map(|(id, what)| SyncGroupAssignment { member_id: (*id).into(), assignment: (*what).into() })
                .collect(),
            ..Default::default()
        })
    }

    fn sync_as(&mut self, request: &SyncGroupRequest<'_>) -> Syncing {
        let (reply, replied) = oneshot::channel();
        let next = self.group.sync(request, reply);
        self.run(next);
        replied
    }

    fn heartbeat(&mut self, id: &str) -> Result<(), Code> {
        self.group.heartbeat(id, None, self.group.generation, self.now)
    }

    fn leave(&mut self, members: &[(&str, Option<&str>)]) -> Vec<i16> {
        let member = |(id, instance): &(&str, Option<&str>)| LeaveGroupRequestMember {
            member_id: (*id).to_owned().into(),
            group_instance_id: instance.map(|instance| instance.to_owned().into()),
            reason: None,
        };
        let (left, next) = self.group.leave(members.iter().map(member).collect(), self.now);
        self.run(next);
        left.iter().map(|member| member.error_code).collect()
    }

    /// Lets time pass; whatever is due on the way is done.
    fn pass(&mut self, time: i64) {
        let end = self.now + time;
        while let Some(due) = self.group.next_deadline().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            let next = self.group.expire(self.now);
            self.run(next);
        }
        self.now = end;
    }

    /// Lets time pass in which these members are alive.
    fn live(&mut self, time: i64, ids: &[&str]) {
        for _ in 0..time / 1000 {
            for id in ids {
                let _ = self.heartbeat(id);
            }
            self.pass(1000);
        }
    }

    fn commit(&mut self, id: &str, generation: i32, mode: Mode) -> Result<(), Code> {
        let who = Who { member_id: id, instance_id: None, generation };
        self.group.check_commit(who, mode, self.now)
    }

    /// A stable group of two members, of which the first leads.
    fn stable() -> (Self, String, String) {
        let mut table = Self::new();
        let (one, _) = table.enter();
        table.sync(&one, &[]);
        let (other, mut joining) = table.enter();
        assert!(joining.try_recv().is_err());
        table.join(&request(&one));
        assert_eq!(joining.try_recv().unwrap().leader, one);
        let mut waiting = table.sync(&other, &[]);
        assert!(waiting.try_recv().is_err());
        assert_eq!(
            table.sync(&one, &[(&one, b"1"), (&other, b"2")]).try_recv().unwrap().assignment[..],
            *b"1"
        );
        assert_eq!(waiting.try_recv().unwrap().assignment[..], *b"2");
        assert_eq!((table.group.state, table.group.generation), (State::Stable, 2));
        (table, one, other)
    }

    /// A stable group of two static members: their names are `a` and `b`, `a` leads.
    fn stable_static() -> (Self, String, String) {
        let mut table = Self::new();
        let one = table.join(&named("", "a")).try_recv().unwrap().member_id.into_owned();
        let mut joining = table.join(&named("", "b"));
        table.join(&named(&one, "a"));
        let other = joining.try_recv().unwrap().member_id.into_owned();
        table.sync(&other, &[]);
        table.sync(&one, &[(&one, b"1"), (&other, b"2")]);
        assert_eq!(table.group.state, State::Stable);
        (table, one, other)
    }
}

/// An answer's error code; none while there is no answer.
fn code<T>(receiver: &mut Receiver<T>, of: impl Fn(&T) -> i16) -> Option<i16> {
    receiver.try_recv().ok().map(|response| of(&response))
}

fn join_code(joining: &mut Joining) -> Option<i16> {
    code(joining, |response| response.error_code)
}

fn sync_code(syncing: &mut Syncing) -> Option<i16> {
    code(syncing, |response| response.error_code)
}

#[test]
fn a_new_member_is_told_its_id_first_and_leads_when_it_comes_back() {
    let mut table = Table::new();
    let invited = table.join(&request("")).try_recv().unwrap();
    assert_eq!((invited.error_code, &*invited.member_id, invited.generation_id), (79, "m1", -1));
    assert_eq!(table.group.state, State::Empty);
    let joined = table.join(&request("m1")).try_recv().unwrap();
    assert_eq!(joined.error_code, 0);
    assert_eq!((joined.generation_id, &*joined.leader, &*joined.member_id), (1, "m1", "m1"));
    assert_eq!(joined.protocol_type.as_deref(), Some("consumer"));
    assert_eq!(joined.protocol_name.as_deref(), Some("range"));
    assert_eq!(joined.members.len(), 1);
    assert_eq!(joined.members[0].metadata[..], subscription(&["t"]));
    assert!(!joined.skip_assignment);
    assert_eq!(table.group.state, State::CompletingRebalance);
}

#[test]
fn old_clients_join_at_once() {
    for version in 0..4 {
        let mut table = Table::new();
        let joined = table.join_at(&request(""), version).try_recv().unwrap();
        assert_eq!((joined.error_code, &*joined.member_id), (0, "m1"));
    }
}

#[test]
fn an_id_that_is_not_used_is_void_after_its_session() {
    let mut table = Table::new();
    table.join(&request(""));
    table.pass(SESSION - 1);
    assert_eq!(table.group.invited.len(), 1);
    table.pass(1);
    assert!(table.group.invited.is_empty());
    assert_eq!(table.group.next_deadline(), None);
    assert_eq!(join_code(&mut table.join(&request("m1"))), Some(25));
}

#[test]
fn an_id_that_is_not_known_cannot_join() {
    let (mut table, one, _) = Table::stable();
    assert_eq!(join_code(&mut table.join(&request("other"))), Some(25));
    assert_eq!(join_code(&mut table.join(&named("", "a"))), None);
    assert_eq!(join_code(&mut table.join(&named(&one, "b"))), Some(25));
}

#[test]
fn members_that_are_there_have_to_join_again_when_one_comes() {
    let (mut table, one, other) = Table::stable();
    let (third, mut joining) = table.enter();
    assert_eq!(table.group.state, State::PreparingRebalance);
    assert_eq!(table.heartbeat(&one), Err(Code::RebalanceInProgress));
    assert_eq!(sync_code(&mut table.sync(&one, &[])), Some(27));
    let mut follower = table.join(&request(&other));
    assert_eq!(join_code(&mut joining), None);
    let leader = table.join(&request(&one)).try_recv().unwrap();
    assert_eq!((leader.generation_id, leader.members.len()), (3, 3));
    let follower = follower.try_recv().unwrap();
    assert_eq!((follower.generation_id, follower.members.len(), &*follower.leader), (3, 0, &*one));
    assert_eq!(joining.try_recv().unwrap().member_id, third);
    assert_eq!(table.heartbeat(&third), Ok(()));
}

#[test]
fn a_member_that_does_not_join_again_in_time_is_out() {
    let (mut table, one, other) = Table::stable();
    let (third, mut joining) = table.enter();
    table.live(REBALANCE - 1000, &[&one, &other]);
    table.join(&request(&one));
    assert_eq!(join_code(&mut joining), None);
    table.live(1000, &[&other]);
    let joined = joining.try_recv().unwrap();
    assert_eq!((joined.generation_id, &*joined.leader), (3, &*one));
    assert_eq!(table.heartbeat(&other), Err(Code::UnknownMemberId));
    assert_eq!(table.group.members.keys().collect::<Vec<_>>(), [&one, &third]);
}

#[test]
fn a_leader_that_does_not_join_again_in_time_is_followed_by_another() {
    let (mut table, one, other) = Table::stable();
    let (_, mut joining) = table.enter();
    let mut second = table.join(&request(&other));
    table.live(REBALANCE, &[&one]);
    let joined = second.try_recv().unwrap();
    assert_eq!((&*joined.leader, joined.members.len()), (&*other, 2));
    assert_eq!(joining.try_recv().unwrap().leader, other);
}

#[test]
fn the_slowest_member_says_how_long_joining_may_take() {
    let (mut table, one, _) = Table::stable();
    let slow = JoinGroupRequest { rebalance_timeout_ms: 100_000, ..request(&one) };
    table.join(&slow);
    assert_eq!(table.group.join_due, Some(100_000));
}

#[test]
fn the_rebalance_timeout_of_the_oldest_clients_is_their_session() {
    let mut table = Table::new();
    table.join_at(&JoinGroupRequest { rebalance_timeout_ms: -1, ..request("") }, 0);
    assert_eq!(table.group.rebalance_timeout(), SESSION);
    let mut table = Table::new();
    table.join_at(&JoinGroupRequest { rebalance_timeout_ms: -1, ..request("") }, 1);
    assert_eq!(table.group.rebalance_timeout(), 0);
}

#[test]
fn a_given_out_id_delays_the_others_no_longer_than_its_session() {
    let (mut table, one, other) = Table::stable();
    table.join(&request(""));
    let mut second = table.join(&request(&one));
    table.join(&request(&other));
    assert_eq!(join_code(&mut second), None);
    table.pass(SESSION);
    assert_eq!(second.try_recv().unwrap().generation_id, 3);
}

#[test]
fn a_given_out_id_that_leaves_delays_nobody() {
    let (mut table, one, other) = Table::stable();
    let third = table.join(&request("")).try_recv().unwrap().member_id;
    let mut second = table.join(&request(&one));
    table.join(&request(&other));
    assert_eq!(join_code(&mut second), None);
    assert_eq!(table.leave(&[(&third, None)]), [0]);
    assert_eq!(join_code(&mut second), Some(0));
}

#[test]
fn a_member_without_heartbeats_is_out_after_its_session() {
    let (mut table, one, other) = Table::stable();
    table.live(SESSION - 1000, &[&one]);
    assert_eq!(table.group.state, State::Stable);
    table.live(1000, &[&one]);
    assert_eq!(table.group.state, State::PreparingRebalance);
    assert_eq!(table.heartbeat(&other), Err(Code::UnknownMemberId));
    assert_eq!(table.heartbeat(&one), Err(Code::RebalanceInProgress));
    assert_eq!(table.join(&request(&one)).try_recv().unwrap().members.len(), 1);
}

#[test]
fn a_group_that_nobody_keeps_alive_is_empty() {
    let (mut table, ..) = Table::stable();
    let before = table.stores;
    table.pass(REBALANCE);
    assert_eq!((table.group.state, table.group.generation), (State::Empty, 3));
    assert_eq!((table.group.protocol_type(), table.group.protocol.as_deref()), ("consumer", None));
    assert_eq!(table.stores, before + 1);
    assert_eq!((table.group.next_deadline(), table.group.leader.as_deref()), (None, None));
}

#[test]
fn who_waits_for_the_others_needs_no_heartbeats() {
    let (mut table, one, other) = Table::stable();
    let mut joining = table.join(&request(&one));
    table.live(REBALANCE - 1000, &[&other]);
    assert_eq!(join_code(&mut joining), None);
    table.join(&request(&other));
    assert_eq!(join_code(&mut joining), Some(0));
    let mut syncing = table.sync(&other, &[]);
    table.live(SESSION * 3, &[&one]);
    assert_eq!(sync_code(&mut syncing), None);
    // With the answer its session begins anew.
    table.sync(&one, &[]);
    assert_eq!(sync_code(&mut syncing), Some(0));
    table.live(SESSION - 1000, &[&one]);
    assert_eq!(table.group.state, State::Stable);
    table.live(1000, &[&one]);
    assert_eq!(table.group.state, State::PreparingRebalance);
}

#[test]
fn a_new_member_whose_client_hung_up_waits_five_minutes_at_most() {
    let (mut table, one, other) = Table::stable();
    for id in [&one, &other] {
        let slow = JoinGroupRequest { rebalance_timeout_ms: i32::MAX, ..request(id) };
        table.join(&slow);
    }
    let (third, joining) = table.enter();
    drop(joining);
    table.live(NEW_MEMBER_TIMEOUT - 1000, &[&one, &other]);
    assert!(table.group.members.contains_key(&third));
    table.live(1000, &[&one, &other]);
    assert!(!table.group.members.contains_key(&third));
}

#[test]
fn a_joiner_that_hung_up_is_a_member_until_its_session_ends() {
    let (mut table, one, other) = Table::stable();
    let (third, joining) = table.enter();
    drop(joining);
    table.join(&request(&one));
    table.join(&request(&other));
    assert_eq!(table.group.state, State::CompletingRebalance);
    table.sync(&other, &[]);
    table.sync(&one, &[]);
    table.live(SESSION - 1000, &[&one, &other]);
    assert_eq!((table.group.state, table.group.members.len()), (State::Stable, 3));
    table.live(1000, &[&one, &other]);
    assert_eq!(table.group.state, State::PreparingRebalance);
    assert!(!table.group.members.contains_key(&third));
}

#[test]
fn who_does_not_ask_for_its_assignment_in_time_is_out() {
    let (mut table, one, other) = Table::stable();
    table.join(&request(&one));
    table.join(&request(&other));
    let mut syncing = table.sync(&other, &[]);
    table.live(REBALANCE - 1000, &[&one]);
    assert_eq!(table.group.state, State::CompletingRebalance);
    table.live(1000, &[&one]);
    assert_eq!((table.group.state, sync_code(&mut syncing)), (State::PreparingRebalance, Some(27)));
    assert_eq!(table.heartbeat(&one), Err(Code::UnknownMemberId));
    // In a stable group too.
    table.join(&request(&other));
    let (third, _) = table.enter();
    table.join(&request(&other));
    table.sync(&other, &[]);
    assert_eq!(table.group.state, State::Stable);
    table.live(REBALANCE, &[&other, &third]);
    assert_eq!(table.group.state, State::PreparingRebalance);
    assert_eq!(table.group.members.keys().collect::<Vec<_>>(), [&other]);
}

#[test]
fn whoever_asks_for_its_assignment_late_gets_it() {
    let (mut table, one, other) = Table::stable();
    table.join(&request(&one));
    table.join(&request(&other));
    table.sync(&one, &[(&other, b"late")]);
    assert_eq!(table.group.state, State::Stable);
    let synced = table.sync(&other, &[]).try_recv().unwrap();
    assert_eq!((synced.error_code, &synced.assignment[..]), (0, &b"late"[..]));
    assert_eq!(synced.protocol_type.as_deref(), Some("consumer"));
    assert_eq!(synced.protocol_name.as_deref(), Some("range"));
    assert_eq!(table.group.sync_due, None);
    // Whoever the leader has forgotten reads nothing.
    assert!(table.sync(&one, &[]).try_recv().unwrap().assignment.is_empty());
}

#[test]
fn a_sync_that_does_not_fit_is_refused() {
    let (mut table, one, _) = Table::stable();
    let good = SyncGroupRequest {
        generation_id: 2,
        member_id: one.clone().into(),
        protocol_type: Some("consumer".into()),
        protocol_name: Some("range".into()),
        ..Default::default()
    };
    assert_eq!(sync_code(&mut table.sync_as(&good)), Some(0));
    let bad = |code: i16, bad: SyncGroupRequest<'_>, table: &mut Table| {
        assert_eq!(sync_code(&mut table.sync_as(&bad)), Some(code), "{bad:?}");
    };
    bad(22, SyncGroupRequest { generation_id: 1, ..good.clone() }, &mut table);
    bad(25, SyncGroupRequest { member_id: "other".into(), ..good.clone() }, &mut table);
    bad(25, SyncGroupRequest { group_instance_id: Some("a".into()), ..good.clone() }, &mut table);
    bad(23, SyncGroupRequest { protocol_type: Some("connect".into()), ..good.clone() }, &mut table);
    bad(23, SyncGroupRequest { protocol_name: Some("sticky".into()), ..good.clone() }, &mut table);
    let mut empty = Table::new();
    assert_eq!(sync_code(&mut empty.sync("m", &[])), Some(25));
}

#[test]
fn a_follower_without_news_is_told_what_it_is_in() {
    let (mut table, one, other) = Table::stable();
    let joined = table.join(&request(&other)).try_recv().unwrap();
    assert_eq!((joined.generation_id, joined.members.len()), (2, 0));
    assert_eq!(table.group.state, State::Stable);
    // Between joining and assignment the leader, too: it may not have received the first answer.
    table.join(&request(&one));
    table.join(&request(&other));
    let joined = table.join(&request(&one)).try_recv().unwrap();
    assert_eq!((joined.generation_id, joined.members.len()), (3, 2));
    assert_eq!(table.group.state, State::CompletingRebalance);
}

#[test]
fn news_begin_a_rebalance_and_so_does_the_leader() {
    let (mut table, one, other) = Table::stable();
    let news = JoinGroupRequest { protocols: protocols(&["sticky", "range"]), ..request(&other) };
    let mut joining = table.join(&news);
    assert_eq!((table.group.state, join_code(&mut joining)), (State::PreparingRebalance, None));
    table.join(&request(&one));
    assert_eq!(join_code(&mut joining), Some(0));
    // Between joining and assignment, too; who waits for the assignment is told.
    let mut syncing = table.sync(&one, &[]);
    assert_eq!(sync_code(&mut syncing), Some(0));
    table.join(&request(&one));
    table.join(&news);
    let mut syncing = table.sync(&other, &[]);
    let mut joining =
        table.join(&JoinGroupRequest { protocols: protocols(&["range", "x"]), ..request(&one) });
    assert_eq!((sync_code(&mut syncing), join_code(&mut joining)), (Some(27), None));
    assert_eq!(table.group.state, State::PreparingRebalance);
}

#[test]
fn protocols_that_do_not_fit_are_refused() {
    let mut table = Table::new();
    for bad in [
        JoinGroupRequest { protocols: Vec::new(), ..request("") },
        JoinGroupRequest { protocol_type: "".into(), ..request("") },
        JoinGroupRequest { protocols: vec![JoinGroupProtocol::default(); 101], ..request("") },
    ] {
        assert_eq!(join_code(&mut table.join(&bad)), Some(23));
    }
    let (mut table, one, _) = Table::stable();
    for bad in [
        JoinGroupRequest { protocols: protocols(&["sticky"]), ..request("") },
        JoinGroupRequest { protocol_type: "connect".into(), ..request("") },
        JoinGroupRequest { protocols: protocols(&["sticky"]), ..request(&one) },
    ] {
        assert_eq!(join_code(&mut table.join(&bad)), Some(23));
    }
    // A group without members is free for another.
    table.pass(REBALANCE * 2);
    assert_eq!(table.group.state, State::Empty);
    let connect = JoinGroupRequest { protocol_type: "connect".into(), ..request("") };
    assert_eq!(join_code(&mut table.join_at(&connect, 3)), Some(0));
    assert_eq!(table.group.protocol_type(), "connect");
}

#[test]
fn the_protocol_is_chosen_by_votes_among_those_that_all_support() {
    let chosen = |lists: &[&[&'static str]]| {
        let mut table = Table::new();
        let request = |list: &[&'static str]| JoinGroupRequest { protocols: protocols(list), ..request("") };
        let mut last = table.join_at(&request(lists[0]), 3);
        for list in &lists[1..] {
            last = table.join_at(&request(list), 3);
            for n in 1..table.ids {
                let member = table.group.members.get(&format!("m{n}")).unwrap();
                let names = member.terms.protocols.iter().map(|it| JoinGroupProtocol {
                    name: it.name.clone().into(),
                    metadata: it.metadata.clone().into(),
                });
                let protocols: Vec<_> = names.collect();
                if member.joining.is_none() {
                    let again =
                        JoinGroupRequest { member_id: format!("m{n}").into(), protocols, ..request(&[]) };
                    let ids = table.ids;
                    table.join(&again);
                    table.ids = ids;
                }
            }
        }
        last.try_recv().unwrap().protocol_name.unwrap().into_owned()
    };
    assert_eq!(chosen(&[&["a", "b"]]), "a");
    assert_eq!(chosen(&[&["a", "b"], &["b", "c"]]), "b");
    assert_eq!(chosen(&[&["a", "b"], &["b", "a"]]), "a");
    assert_eq!(chosen(&[&["a", "b"], &["b", "a"], &["c", "b", "a"]]), "b");
}

#[test]
fn a_protocol_that_is_named_twice_counts_once() {
    let mut table = Table::new();
    let twice = JoinGroupRequest { protocols: protocols(&["range", "range"]), ..request("") };
    table.join_at(&twice, 3);
    assert_eq!(table.group.members["m1"].terms.protocols.len(), 1);
}

#[test]
fn a_full_group_takes_nobody_else() {
    let mut table = Table::new();
    // Nobody waits for the others.
    let at_once = JoinGroupRequest { rebalance_timeout_ms: 0, ..request("") };
    for _ in 0..MAX_SIZE {
        table.join_at(&at_once, 3);
    }
    assert_eq!(table.group.members.len(), MAX_SIZE);
    for full in [request(""), named("", "a"), request("other")] {
        let refused = table.join(&full).try_recv().unwrap();
        assert_eq!((refused.error_code, &*refused.member_id), (81, ""));
    }
    assert_eq!(join_code(&mut table.join(&request("m1"))), Some(0));
    let mut table = Table::new();
    for _ in 0..MAX_SIZE {
        assert_eq!(join_code(&mut table.join(&request(""))), Some(79));
    }
    assert_eq!(join_code(&mut table.join(&request(""))), Some(81));
}

#[test]
fn heartbeats_say_what_is_wrong() {
    let (mut table, one, _) = Table::stable();
    let mut beat = |id: &str, instance, generation| table.group.heartbeat(id, instance, generation, 0);
    assert_eq!(beat(&one, None, 2), Ok(()));
    assert_eq!(beat("other", None, 2), Err(Code::UnknownMemberId));
    assert_eq!(beat("", None, 2), Err(Code::UnknownMemberId));
    assert_eq!(beat(&one, None, 1), Err(Code::IllegalGeneration));
    assert_eq!(beat(&one, Some("a"), 2), Err(Code::UnknownMemberId));
    let (mut table, one, _) = Table::stable_static();
    let mut beat = |id: &str, instance, generation| table.group.heartbeat(id, instance, generation, 0);
    assert_eq!(beat(&one, Some("a"), 2), Ok(()));
    assert_eq!(beat(&one, Some("b"), 2), Err(Code::FencedInstanceId));
}

#[test]
fn members_leave_one_by_one_and_together() {
    let (mut table, one, other) = Table::stable();
    assert_eq!(table.leave(&[("other", None), ("", None)]), [25, 25]);
    assert_eq!(table.group.state, State::Stable);
    assert_eq!(table.leave(&[(&other, None)]), [0]);
    assert_eq!(table.group.state, State::PreparingRebalance);
    table.join(&request(&one));
    let (third, _) = table.enter();
    assert_eq!(table.leave(&[(&one, None), (&third, None), (&one, None)]), [0, 0, 25]);
    assert_eq!(table.group.state, State::Empty);
}

#[test]
fn whoever_is_made_to_leave_does_not_wait_any_longer() {
    let (mut table, one, other) = Table::stable();
    let mut joining = table.join(&request(&one));
    assert_eq!(table.leave(&[(&one, None)]), [0]);
    assert_eq!(join_code(&mut joining), Some(25));
    table.join(&request(&other));
    assert_eq!(table.group.leader.as_deref(), Some(&*other));
    let (third, _) = table.enter();
    table.join(&request(&other));
    let mut syncing = table.sync(&third, &[]);
    assert_eq!(table.leave(&[(&third, None)]), [0]);
    assert_eq!(sync_code(&mut syncing), Some(25));
}

#[test]
fn the_last_one_missing_ends_joining_by_leaving() {
    let (mut table, one, other) = Table::stable();
    let mut joining = table.join(&request(&one));
    assert_eq!(table.leave(&[(&other, None)]), [0]);
    assert_eq!(joining.try_recv().unwrap().members.len(), 1);
}

#[test]
fn a_static_member_takes_its_old_seat_without_a_rebalance() {
    let (mut table, one, other) = Table::stable_static();
    let generation = table.group.generation;
    let before = table.stores;
    // A follower.
    let joined = table.join(&named("", "b")).try_recv().unwrap();
    assert_eq!((joined.error_code, joined.generation_id, &*joined.leader), (0, generation, &*one));
    assert_eq!((joined.members.len(), joined.skip_assignment), (0, false));
    let new = joined.member_id.into_owned();
    assert_ne!(new, other);
    assert_eq!((table.group.state, table.stores), (State::Stable, before + 1));
    assert_eq!(table.sync(&new, &[]).try_recv().unwrap().assignment[..], *b"2");
    // Its old id is fenced by its name, and unknown without it.
    assert_eq!(table.group.heartbeat(&other, Some("b"), generation, 0), Err(Code::FencedInstanceId));
    assert_eq!(table.heartbeat(&other), Err(Code::UnknownMemberId));
    assert_eq!(table.heartbeat(&new), Ok(()));
    assert_eq!(join_code(&mut table.join(&named(&other, "b"))), Some(82));
    assert_eq!(table.leave(&[(&other, Some("b"))]), [82]);
    let sync = SyncGroupRequest {
        group_instance_id: Some("b".into()),
        member_id: other.into(),
        generation_id: generation,
        ..Default::default()
    };
    assert_eq!(sync_code(&mut table.sync_as(&sync)), Some(82));
}

#[test]
fn a_static_leader_that_comes_back_is_not_to_assign() {
    let (mut table, one, _) = Table::stable_static();
    let joined = table.join(&named("", "a")).try_recv().unwrap();
    assert_eq!(joined.leader, joined.member_id);
    assert!(joined.skip_assignment);
    assert_eq!(joined.members.len(), 2);
    assert_eq!(table.group.state, State::Stable);
    // An older client does not know that: it is told that another leads.
    let before = joined.member_id.into_owned();
    assert_ne!(before, one);
    let joined = table.join_at(&named("", "a"), 8).try_recv().unwrap();
    assert_eq!((&*joined.leader, joined.skip_assignment, joined.members.len()), (&*before, false, 0));
    assert_eq!(table.group.leader.as_deref(), Some(&*joined.member_id));
}

#[test]
fn a_static_member_that_changes_the_protocol_begins_a_rebalance() {
    let mut table = Table::new();
    let both =
        |id: &str, names: &[&'static str]| JoinGroupRequest { protocols: protocols(names), ..named(id, "a") };
    let one = table.join(&both("", &["range", "sticky"])).try_recv().unwrap();
    table.sync(&one.member_id, &[]);
    // Other metadata, same choice: it stays as it is.
    let mut same = both("", &["range", "sticky", "x"]);
    same.protocols[0].metadata = subscription(&["t", "u"]).into();
    let one = table.join(&same).try_recv().unwrap();
    assert_eq!((table.group.state, one.generation_id), (State::Stable, 1));
    let joined = table.join(&both("", &["sticky"])).try_recv().unwrap();
    assert_eq!((joined.generation_id, joined.protocol_name.as_deref()), (2, Some("sticky")));
    assert_eq!(table.group.state, State::CompletingRebalance);
}

#[test]
fn a_static_member_that_comes_back_before_the_assignment_begins_a_rebalance() {
    let (mut table, one, other) = Table::stable_static();
    table.join(&named(&one, "a"));
    table.join(&named(&other, "b"));
    assert_eq!(table.group.state, State::CompletingRebalance);
    let mut syncing = table.sync(&other, &[]);
    let mut joining = table.join(&named("", "b"));
    assert_eq!(sync_code(&mut syncing), Some(82));
    assert_eq!((table.group.state, join_code(&mut joining)), (State::PreparingRebalance, None));
    // And while the others join, it joins in another's place.
    let mut again = table.join(&named("", "b"));
    assert_eq!((join_code(&mut joining), join_code(&mut again)), (Some(82), None));
    table.join(&named(&one, "a"));
    assert_eq!(again.try_recv().unwrap().generation_id, 4);
}

#[test]
fn a_static_member_may_be_late_but_not_dead() {
    let (mut table, one, other) = Table::stable_static();
    let mut joining = table.join(&named(&one, "a"));
    table.live(REBALANCE, &[&other]);
    let joined = joining.try_recv().unwrap();
    assert_eq!((joined.members.len(), joined.generation_id), (2, 3));
    // Nobody joins: it is tried again, until the sessions are over.
    let (mut table, one, other) = Table::stable_static();
    let (third, joining) = table.enter();
    drop(joining);
    table.leave(&[(&third, None)]);
    assert_eq!(table.group.state, State::PreparingRebalance);
    table.live(REBALANCE, &[&one, &other]);
    assert_eq!((table.group.state, table.group.generation), (State::PreparingRebalance, 2));
    table.pass(REBALANCE * 2);
    assert_eq!(table.group.state, State::Empty);
}

#[test]
fn a_static_member_is_removed_by_its_name() {
    let (mut table, one, other) = Table::stable_static();
    assert_eq!(table.leave(&[("", Some("c")), (&one, Some("b")), ("", Some("b"))]), [25, 82, 0]);
    assert_eq!(table.group.state, State::PreparingRebalance);
    assert!(!table.group.members.contains_key(&other));
    assert!(!table.group.instances.contains_key("b"));
}

#[test]
fn an_assignment_that_cannot_be_kept_is_told_to_nobody() {
    let (mut table, one, other) = Table::stable();
    table.join(&request(&one));
    table.join(&request(&other));
    let mut follower = table.sync(&other, &[]);
    table.is_broken = true;
    let mut leader = table.sync(&one, &[(&other, b"2")]);
    assert_eq!((sync_code(&mut leader), sync_code(&mut follower)), (Some(16), Some(16)));
    assert_eq!(table.group.state, State::PreparingRebalance);
    assert!(table.group.members[&other].assignment.is_empty());
}

#[test]
fn a_seat_that_cannot_be_kept_is_given_back() {
    let (mut table, one, other) = Table::stable_static();
    table.is_broken = true;
    let rejoin = JoinGroupRequest { session_timeout_ms: 20_000, ..named("", "a") };
    let refused = table.join(&rejoin).try_recv().unwrap();
    assert_eq!((refused.error_code, &*refused.member_id), (16, ""));
    assert_eq!(table.group.members.keys().collect::<Vec<_>>(), [&one, &other]);
    assert_eq!(table.group.leader.as_deref(), Some(&*one));
    assert_eq!(table.group.members[&one].terms.session_timeout, SESSION);
    assert_eq!(table.heartbeat(&one), Ok(()));
}

#[test]
fn offsets_are_committed_by_members_in_their_generation() {
    let (mut table, one, other) = Table::stable();
    for mode in [PLAIN, TRANSACTION] {
        assert_eq!(table.commit(&one, 2, mode), Ok(()));
        assert_eq!(table.commit(&one, 1, mode), Err(Code::IllegalGeneration));
        assert_eq!(table.commit(&one, -1, mode), Err(Code::IllegalGeneration));
        assert_eq!(table.commit("other", 2, mode), Err(Code::UnknownMemberId));
        let who = Who { member_id: &one, instance_id: Some("a"), generation: 2 };
        assert_eq!(table.group.check_commit(who, mode, 0), Err(Code::UnknownMemberId));
    }
    // From outside only in transactions of old clients.
    assert_eq!(table.commit("", -1, PLAIN), Err(Code::UnknownMemberId));
    assert_eq!(table.commit("", -1, TRANSACTION), Ok(()));
    // While others join, members finish what they have.
    let (third, _) = table.enter();
    assert_eq!(table.commit(&one, 2, PLAIN), Ok(()));
    table.join(&request(&one));
    table.join(&request(&other));
    assert_eq!(table.group.state, State::CompletingRebalance);
    assert_eq!(table.commit(&third, 3, PLAIN), Err(Code::RebalanceInProgress));
    assert_eq!(table.commit(&third, 3, TRANSACTION), Ok(()));
    let (mut table, one, other) = Table::stable_static();
    let who = Who { member_id: &other, instance_id: Some("a"), generation: 2 };
    assert_eq!(table.group.check_commit(who, PLAIN, 0), Err(Code::FencedInstanceId));
    let who = Who { member_id: &one, instance_id: Some("a"), generation: 2 };
    assert_eq!(table.group.check_commit(who, PLAIN, 0), Ok(()));
}

#[test]
fn offsets_are_committed_from_outside_while_nobody_is_in() {
    let mut table = Table::new();
    assert_eq!(table.commit("", -1, PLAIN), Ok(()));
    assert_eq!(table.commit("anyone", -1, PLAIN), Ok(()));
    assert_eq!(table.commit("", 0, PLAIN), Err(Code::UnknownMemberId));
}

#[test]
fn a_commit_is_a_sign_of_life() {
    let (mut table, one, other) = Table::stable();
    table.live(SESSION - 1000, &[&one]);
    table.commit(&other, 2, PLAIN).unwrap();
    table.live(SESSION - 1000, &[&one]);
    assert_eq!(table.group.state, State::Stable);
    // One in a transaction is none.
    table.commit(&other, 2, TRANSACTION).unwrap();
    table.live(1000, &[&one]);
    assert_eq!(table.group.state, State::PreparingRebalance);
}

#[test]
fn topics_of_consumers_are_known_from_what_they_tell() {
    let (table, ..) = Table::stable();
    assert!(table.group.is_subscribed("t"));
    assert!(!table.group.is_subscribed("u"));
    assert_eq!(table.group.check_delete_offsets(), Ok(()));
    // What cannot be read may be anything.
    for garbled in
        [&b""[..], b"\x00\x00", b"\x00\x00\x7f\xff\xff\xff\x00\x01t", b"\x00\x00\x00\x00\x00\x01\x00\x09t"]
    {
        let mut table = Table::new();
        let mut bad = request("");
        bad.protocols[0].metadata = garbled.into();
        table.join_at(&bad, 3);
        assert!(table.group.is_subscribed("t") && table.group.is_subscribed("u"));
    }
    // Other groups do not tell.
    let mut table = Table::new();
    table.join_at(&JoinGroupRequest { protocol_type: "connect".into(), ..request("") }, 3);
    assert!(!table.group.is_subscribed("t"));
    assert_eq!(table.group.check_delete_offsets(), Err(Code::NonEmptyGroup));
    // Without members nobody reads.
    let (mut table, ..) = Table::stable();
    table.pass(REBALANCE * 2);
    assert!(!table.group.is_subscribed("t"));
}

#[test]
fn retention_counts_from_when_an_offset_could_last_be_used() {
    assert_eq!(Table::new().group.retained_from(5), Some(5));
    let (mut table, one, other) = Table::stable();
    assert_eq!(table.group.retained_from(5), Some(5));
    table.join(&request(&one));
    assert_eq!(table.group.retained_from(5), None);
    table.join(&request(&other));
    assert_eq!(table.group.retained_from(5), None);
    table.now = 777;
    table.leave(&[(&one, None), (&other, None)]);
    assert_eq!((table.group.state, table.group.retained_from(5)), (State::Empty, Some(777)));
}

#[test]
fn a_group_is_described_with_what_its_members_told_when_it_is_stable() {
    let (mut table, one, _) = Table::stable();
    let described = table.group.describe();
    assert_eq!((&*described.group_state, &*described.protocol_data), ("Stable", "range"));
    assert_eq!(described.protocol_type, "consumer");
    let member = &described.members[0];
    assert_eq!(
        (&*member.member_id, &*member.client_id, &*member.client_host),
        (&*one, "client", "/127.0.0.1")
    );
    assert_eq!(member.member_assignment[..], *b"1");
    assert_eq!(member.member_metadata[..], subscription(&["t"]));
    table.join(&request(&one));
    let described = table.group.describe();
    assert_eq!((&*described.group_state, &*described.protocol_data), ("PreparingRebalance", ""));
    assert_eq!(described.members.len(), 2);
    assert!(described.members[0].member_metadata.is_empty());
    let (table, ..) = Table::stable_static();
    assert_eq!(table.group.describe().members[1].group_instance_id.as_deref(), Some("b"));
}

#[test]
fn a_group_that_was_written_down_goes_on_where_it_was() {
    for (table, one, other) in [Table::stable(), Table::stable_static()] {
        let value = table.group.value();
        let mut again = Group::of_value(&value, 1_000_000).unwrap();
        assert_eq!(again.describe(), table.group.describe());
        assert_eq!(again.value(), value);
        assert_eq!(again.next_deadline(), Some(1_000_000 + SESSION));
        assert_eq!(again.heartbeat(&one, None, 2, 0), Ok(()));
        assert_eq!(again.heartbeat(&other, None, 2, 0), Ok(()));
        assert_eq!(again.instances, table.group.instances);
        assert!(again.is_subscribed("t") && !again.is_subscribed("u"));
        for end in 0..value.len() {
            assert!(Group::of_value(&value[..end], 0).is_none());
        }
    }
    let (mut table, ..) = Table::stable();
    table.pass(REBALANCE * 2);
    let again = Group::of_value(&table.group.value(), 0).unwrap();
    assert_eq!((again.state, again.generation, again.next_deadline()), (State::Empty, 3, None));
}

#[test]
fn a_follower_does_not_disturb_a_group_that_was_read_again() {
    let (table, one, other) = Table::stable();
    let group = Group::of_value(&table.group.value(), 0).unwrap();
    let mut table = Table { group, ..Table::new() };
    assert_eq!(table.join(&request(&other)).try_recv().unwrap().generation_id, 2);
    assert_eq!(table.sync(&other, &[]).try_recv().unwrap().assignment[..], *b"2");
    assert_eq!(table.heartbeat(&one), Ok(()));
    assert_eq!(table.group.state, State::Stable);
}

#[test]
fn the_generation_never_becomes_negative() {
    let mut table = Table::new();
    table.group.generation = i32::MAX;
    assert_eq!(table.join_at(&request(""), 3).try_recv().unwrap().generation_id, 1);
}
