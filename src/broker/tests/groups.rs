//! Consumer groups and committed offsets, over sockets. The state machines have tests of their own,
//! beside them.

use std::net::Shutdown;
use std::time::Instant;

use super::restart::copy_folder;
use super::*;
use crate::broker::groups::{Commit, Decision, Who};
use crate::broker::node::Node;
use crate::wire::ApiKey;

impl Raw {
    /// Joins and asks for the assignment, until the group is stable. Id and generation.
    fn enter(&mut self, group: &str) -> (String, i32) {
        let answer = self.ask(&join_group(group, ""), 9);
        let invited: JoinGroupResponse<'_> = answer.read();
        assert_eq!(invited.error_code, 79);
        self.enter_as(group, &invited.member_id)
    }

    fn enter_as(&mut self, group: &str, id: &str) -> (String, i32) {
        let answer = self.ask(&join_group(group, id), 9);
        let joined: JoinGroupResponse<'_> = answer.read();
        assert_eq!(joined.error_code, 0);
        let members = joined.members.iter().map(|member| SyncGroupAssignment {
            member_id: member.member_id.clone(),
            assignment: b"all"[..].into(),
        });
        let sync =
            SyncGroupRequest { assignments: members.collect(), ..sync(group, id, joined.generation_id) };
        let answer = self.ask(&sync, 5);
        assert_eq!(answer.read::<SyncGroupResponse<'_>>().error_code, 0);
        (id.to_owned(), joined.generation_id)
    }

    fn heartbeat(&mut self, group: &str, (id, generation): (&str, i32)) -> i16 {
        let request = HeartbeatRequest {
            group_id: group.into(),
            generation_id: generation,
            member_id: id.into(),
            group_instance_id: None,
        };
        self.ask(&request, 4).read::<HeartbeatResponse>().error_code
    }

    /// Commits from outside of a group.
    fn commit(&mut self, group: &str, offsets: &[(&str, i32, i64)]) -> Vec<i16> {
        let answer = self.ask(&commit(group, offsets), 9);
        let response: OffsetCommitResponse<'_> = answer.read();
        response.topics.iter().flat_map(|topic| &topic.partitions).map(|it| it.error_code).collect()
    }

    /// Topics, partitions, offsets and error codes of a group.
    fn committed(&mut self, group: &str, stable: bool) -> Vec<(String, i32, i64, i16)> {
        let request = OffsetFetchRequest { require_stable: stable, ..fetch_offsets(group, None) };
        let answer = self.ask(&request, 9);
        let response: OffsetFetchResponse<'_> = answer.read();
        assert_eq!(response.groups[0].error_code, 0);
        places(&response.groups[0].topics)
    }

    /// Ids, types and states of all groups.
    fn groups(&mut self, request: &ListGroupsRequest<'_>) -> Vec<[String; 4]> {
        let answer = self.ask(request, 5);
        let response: ListGroupsResponse<'_> = answer.read();
        let groups = response.groups.iter();
        groups
            .map(|it| {
                [&it.group_id, &it.protocol_type, &it.group_state, &it.group_type].map(|it| it.to_string())
            })
            .collect()
    }
}

fn places(topics: &[OffsetFetchResponseTopic<'_>]) -> Vec<(String, i32, i64, i16)> {
    let of_topic = |topic: &OffsetFetchResponseTopic<'_>| -> Vec<_> {
        let partitions = topic.partitions.iter();
        partitions
            .map(|it| (topic.name.to_string(), it.partition_index, it.committed_offset, it.error_code))
            .collect()
    };
    topics.iter().flat_map(of_topic).collect()
}

fn sync<'a>(group: &'a str, id: &'a str, generation_id: i32) -> SyncGroupRequest<'a> {
    SyncGroupRequest {
        group_id: group.into(),
        generation_id,
        member_id: id.into(),
        protocol_type: Some("consumer".into()),
        protocol_name: Some("range".into()),
        ..Default::default()
    }
}

#[test]
fn a_member_goes_through_its_life() {
    let broker = broker();
    let mut raw = Raw::connect(broker.addr());
    raw.create("t", 2);
    let (id, generation) = raw.enter("g");
    assert!(id.starts_with("raw-"));
    assert_eq!(raw.heartbeat("g", (&id, generation)), 0);
    assert_eq!(raw.heartbeat("g", (&id, generation + 1)), 22);
    assert_eq!(raw.commit("g", &[("t", 0, 5)]), [25]);
    let mine = OffsetCommitRequest {
        generation_id_or_member_epoch: generation,
        member_id: id.clone().into(),
        ..commit("g", &[("t", 0, 5)])
    };
    for version in [2, 9] {
        let answer = raw.ask(&mine, version);
        assert_eq!(answer.read::<OffsetCommitResponse<'_>>().topics[0].partitions[0].error_code, 0);
    }
    assert_eq!(raw.committed("g", false), [("t".into(), 0, 5, 0)]);
    assert_eq!(raw.groups(&ListGroupsRequest::default()), [["g", "consumer", "Stable", "classic"]]);
    let describe = DescribeGroupsRequest { groups: vec!["g".into()], include_authorized_operations: true };
    let answer = raw.ask(&describe, 6);
    let group = &answer.read::<DescribeGroupsResponse<'_>>().groups[0];
    assert_eq!((&*group.group_id, &*group.group_state, &*group.protocol_data), ("g", "Stable", "range"));
    assert_eq!(group.authorized_operations, 3400);
    let member = &group.members[0];
    assert_eq!((&*member.client_id, &*member.client_host), ("raw", "/127.0.0.1"));
    assert_eq!(member.member_assignment[..], *b"all");
    let delete = DeleteGroupsRequest { groups_names: vec!["g".into()] };
    assert_eq!(raw.ask(&delete, 2).read::<DeleteGroupsResponse<'_>>().results[0].error_code, 68);
    let leave = LeaveGroupRequest { group_id: "g".into(), member_id: id.into(), ..Default::default() };
    for (version, code) in [(2, 0), (1, 25)] {
        assert_eq!(raw.ask(&leave, version).read::<LeaveGroupResponse<'_>>().error_code, code);
    }
    assert_eq!(raw.groups(&ListGroupsRequest::default()), [["g", "consumer", "Empty", "classic"]]);
    assert_eq!(raw.ask(&delete, 2).read::<DeleteGroupsResponse<'_>>().results[0].error_code, 0);
    assert_eq!(raw.committed("g", false), []);
    assert!(raw.groups(&ListGroupsRequest::default()).is_empty());
}

#[test]
fn who_waits_disturbs_no_other_connection_and_may_hang_up() {
    let broker = broker();
    let (mut first, mut second) = (Raw::connect(broker.addr()), Raw::connect(broker.addr()));
    let (id, generation) = first.enter("g");
    let answer = second.ask(&join_group("g", ""), 9);
    let other = answer.read::<JoinGroupResponse<'_>>().member_id;
    second.send(&join_group("g", &other), 9);
    // It waits for the first, which is told so, and can do everything else.
    while first.heartbeat("g", (&id, generation)) != 27 {}
    first.create("t", 1);
    assert_eq!(first.commit("h", &[("t", 0, 1)]), [0]);
    second.stream.shutdown(Shutdown::Write).unwrap();
    assert!(second.is_closed());
    // It is a member until its session ends; the group goes on.
    let answer = first.ask(&join_group("g", &id), 9);
    let joined: JoinGroupResponse<'_> = answer.read();
    assert_eq!((joined.error_code, joined.generation_id, joined.members.len()), (0, 2, 2));
    let begun = Instant::now();
    first.send(&sync("g", &id, 2), 5);
    assert_eq!(first.receive().unwrap()[8..10], [0, 0]);
    while first.heartbeat("g", (&id, 2)) == 0 {
        assert!(begun.elapsed() < LONG);
        std::thread::yield_now();
    }
    assert!(begun.elapsed() > Duration::from_millis(5900), "{:?}", begun.elapsed());
    let answer = first.ask(&join_group("g", &id), 9);
    assert_eq!(answer.read::<JoinGroupResponse<'_>>().members.len(), 1);
}

#[test]
fn a_broker_stops_while_members_wait() {
    let broker = broker();
    let (mut first, mut second) = (Raw::connect(broker.addr()), Raw::connect(broker.addr()));
    let (id, generation) = first.enter("g");
    let answer = second.ask(&join_group("g", ""), 9);
    second.send(&join_group("g", &answer.read::<JoinGroupResponse<'_>>().member_id), 9);
    while first.heartbeat("g", (&id, generation)) != 27 {}
    let begun = Instant::now();
    broker.stop().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(3));
    assert!(second.is_closed());
}

#[test]
fn offsets_are_read_in_every_form() {
    let broker = broker();
    let mut raw = Raw::connect(broker.addr());
    raw.create("t", 3);
    raw.create("u", 1);
    let noted = OffsetCommitRequest {
        topics: vec![OffsetCommitRequestTopic {
            name: "t".into(),
            partitions: vec![OffsetCommitRequestPartition {
                partition_index: 1,
                committed_offset: 7,
                committed_leader_epoch: 0,
                committed_metadata: Some("note".into()),
            }],
        }],
        ..commit("g", &[])
    };
    raw.ask(&noted, 9);
    assert_eq!(raw.commit("g", &[("u", 0, 8), ("t", 9, 1), ("none", 0, 1)]), [0, 3, 3]);
    let asked = [("t", 1), ("u", 0), ("u", 7), ("none", 0)];
    let expected = [("t", 1, 7, 0), ("u", 0, 8, 0), ("none", 0, -1, 0)];
    let expected =
        expected.map(|(topic, partition, offset, code)| (topic.to_owned(), partition, offset, code));
    for version in 1..=9 {
        let answer = raw.ask(&fetch_offsets("g", Some(&asked)), version);
        let response: OffsetFetchResponse<'_> = answer.read();
        let topics = if version < 8 { &response.topics } else { &response.groups[0].topics };
        // A topic named twice is told once.
        assert_eq!(places(topics), expected, "{version}");
        let partition = &topics[0].partitions[0];
        assert_eq!(partition.metadata.as_deref(), Some("note"));
        assert_eq!(partition.committed_leader_epoch, if version < 5 { -1 } else { 0 });
        if version >= 2 {
            let answer = raw.ask(&fetch_offsets("g", None), version);
            let response: OffsetFetchResponse<'_> = answer.read();
            let topics = if version < 8 { &response.topics } else { &response.groups[0].topics };
            assert_eq!(places(topics), expected[..2], "{version}");
        }
    }
    let several = OffsetFetchRequest {
        groups: ["g", "none", "g"].map(|group| fetch_offsets(group, None).groups.remove(0)).to_vec(),
        ..Default::default()
    };
    let answer = raw.ask(&several, 8);
    let response: OffsetFetchResponse<'_> = answer.read();
    let told: Vec<_> =
        response.groups.iter().map(|it| (&*it.group_id, it.topics.len(), it.error_code)).collect();
    assert_eq!(told, [("g", 2, 0), ("none", 0, 0)]);
}

#[test]
fn groups_are_listed_by_state_and_protocol() {
    let broker = broker();
    let mut raw = Raw::connect(broker.addr());
    raw.create("t", 1);
    raw.enter("a");
    raw.commit("b", &[("t", 0, 1)]);
    let ids = |raw: &mut Raw, states: &[&'static str], types: &[&'static str]| -> Vec<String> {
        let words = |words: &[&'static str]| words.iter().map(|word| (*word).into()).collect();
        let request = ListGroupsRequest { states_filter: words(states), types_filter: words(types) };
        raw.groups(&request).into_iter().map(|[id, ..]| id).collect()
    };
    assert_eq!(ids(&mut raw, &[], &[]), ["a", "b"]);
    assert_eq!(ids(&mut raw, &["stable"], &[]), ["a"]);
    assert_eq!(ids(&mut raw, &["Empty", "Dead"], &["Classic"]), ["b"]);
    assert!(ids(&mut raw, &[], &["consumer"]).is_empty());
    assert!(ids(&mut raw, &["PreparingRebalance"], &[]).is_empty());
    assert_eq!(raw.groups(&ListGroupsRequest::default())[1], ["b", "", "Empty", "classic"]);
}

#[test]
fn a_group_that_is_not_there_is_dead_or_an_error() {
    let broker = broker();
    let mut raw = Raw::connect(broker.addr());
    let request = DescribeGroupsRequest { groups: vec!["g".into(), "g".into()], ..Default::default() };
    let why = Some("Group g not found.");
    for (version, expected) in [(0, (0, None)), (5, (0, None)), (6, (69, why))] {
        let answer = raw.ask(&request, version);
        let response: DescribeGroupsResponse<'_> = answer.read();
        let [group] = &response.groups[..] else { panic!("{response:?}") };
        assert_eq!((group.error_code, group.error_message.as_deref()), expected);
        assert_eq!((&*group.group_id, &*group.group_state), ("g", "Dead"));
    }
}

#[test]
fn offsets_are_deleted_with_their_topic_and_by_request() {
    let broker = broker();
    let mut raw = Raw::connect(broker.addr());
    raw.create("t", 1);
    raw.create("u", 2);
    raw.commit("g", &[("t", 0, 1), ("u", 0, 2), ("u", 1, 3)]);
    raw.ask(&DeleteTopicsRequest { topic_names: vec!["t".into()], ..Default::default() }, 5);
    assert_eq!(raw.committed("g", false), [("u".into(), 0, 2, 0), ("u".into(), 1, 3, 0)]);
    let delete = |group: &'static str| OffsetDeleteRequest {
        group_id: group.into(),
        topics: [("u", 1), ("t", 0)]
            .map(|(name, partition_index)| OffsetDeleteRequestTopic {
                name: name.into(),
                partitions: vec![OffsetDeleteRequestPartition { partition_index }],
            })
            .to_vec(),
    };
    let answer = raw.ask(&delete("none"), 0);
    let response: OffsetDeleteResponse<'_> = answer.read();
    assert_eq!((response.error_code, response.topics.len()), (69, 0));
    let answer = raw.ask(&delete("g"), 0);
    let response: OffsetDeleteResponse<'_> = answer.read();
    let codes: Vec<i16> = response.topics.iter().map(|topic| topic.partitions[0].error_code).collect();
    assert_eq!((response.error_code, codes), (0, vec![0, 3]));
    assert_eq!(raw.committed("g", false), [("u".into(), 0, 2, 0)]);
}

#[test]
fn groups_and_offsets_outlive_a_broker_that_is_not_stopped() {
    let (folder, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let broker = broker_at(folder.path());
    let (mut leader, mut follower) = (Raw::connect(broker.addr()), Raw::connect(broker.addr()));
    leader.create("t", 1);
    let (one, generation) = leader.enter("g");
    let answer = follower.ask(&join_group("g", ""), 9);
    let two = answer.read::<JoinGroupResponse<'_>>().member_id;
    std::thread::scope(|scope| {
        scope.spawn(|| follower.enter_as("g", &two));
        while leader.heartbeat("g", (&one, generation)) != 27 {}
        leader.enter_as("g", &one);
    });
    leader.commit("h", &[("t", 0, 9)]);
    // The folder as a kill would leave it: nothing was closed.
    copy_folder(folder.path(), copy.path());
    let after = broker_at(copy.path());
    let mut raw = Raw::connect(after.addr());
    assert_eq!(raw.heartbeat("g", (&one, 2)), 0);
    assert_eq!(raw.heartbeat("g", (&two, 2)), 0);
    assert_eq!(raw.heartbeat("g", (&two, 1)), 22);
    let answer = raw.ask(&sync("g", &two, 2), 5);
    assert_eq!(answer.read::<SyncGroupResponse<'_>>().assignment[..], *b"all");
    assert_eq!(raw.committed("h", false), [("t".into(), 0, 9, 0)]);
    let listed = raw.groups(&ListGroupsRequest::default());
    assert_eq!(listed, [["g", "consumer", "Stable", "classic"], ["h", "", "Empty", "classic"]]);
}

#[test]
fn who_wants_stable_offsets_is_told_to_wait_for_a_transaction() {
    let folder = tempfile::tempdir().unwrap();
    let options = || Options { data: Some(folder.path().to_owned()), ..Options::default() };
    let node = Node::open(folder.path(), options()).unwrap();
    node.create_topic("t", Some(2), &[]).unwrap();
    let who = Who { member_id: "", instance_id: None, generation: -1 };
    let at = |offset| Commit { topic: "t", partition: 0, offset, leader_epoch: -1, metadata: "" };
    for producer in [7, 8] {
        let kept = node.groups.with(&node, |registry, store, now| {
            registry.commit_in_transaction(store, "g", who, producer, &[at(producer)], now)
        });
        assert_eq!(kept, [Ok(())]);
    }
    // One that is not carried out has not happened.
    drop(node.groups.end_transaction(7, Decision::Commit));
    drop(node);
    let broker = Broker::start(options()).unwrap();
    let mut raw = Raw::connect(broker.addr());
    assert_eq!(raw.committed("g", false), []);
    let asked = [("t", 0), ("t", 1)];
    let mut request = fetch_offsets("g", Some(&asked[..1]));
    for (stable, version, code) in [(true, 7, 88), (true, 9, 88), (false, 7, 0), (false, 9, 0)] {
        request.require_stable = stable;
        let answer = raw.ask(&request, version);
        let response: OffsetFetchResponse<'_> = answer.read();
        let topics = if version < 8 { &response.topics } else { &response.groups[0].topics };
        assert_eq!(places(topics), [("t".into(), 0, -1, code)]);
    }
    broker.stop().unwrap();
    let node = Node::open(folder.path(), options()).unwrap();
    for (producer, decision) in [(7, Decision::Commit), (8, Decision::Abort)] {
        let ending = node.groups.end_transaction(producer, decision);
        node.storage.journal().apply(&ending.changes()).unwrap();
        ending.done();
    }
    drop(node);
    let broker = Broker::start(options()).unwrap();
    assert_eq!(Raw::connect(broker.addr()).committed("g", true), [("t".into(), 0, 7, 0)]);
}

#[test]
fn a_fault_is_told_by_every_api_of_groups_and_nothing_is_done() {
    let broker = broker();
    let mut raw = Raw::connect(broker.addr());
    raw.create("t", 1);
    raw.commit("g", &[("t", 0, 1)]);
    let faulty = |api| {
        broker.faults().add(api, 1, FaultKind::Error(15));
        Raw::connect(broker.addr())
    };
    let answer = faulty(ApiKey::JoinGroup).ask(&join_group("j", ""), 5);
    assert_eq!(answer.read::<JoinGroupResponse<'_>>().error_code, 15);
    let answer = faulty(ApiKey::SyncGroup).ask(&sync("g", "m", 1), 5);
    assert_eq!(answer.read::<SyncGroupResponse<'_>>().error_code, 15);
    assert_eq!(faulty(ApiKey::Heartbeat).heartbeat("g", ("m", 1)), 15);
    let leave = LeaveGroupRequest { group_id: "g".into(), ..Default::default() };
    let answer = faulty(ApiKey::LeaveGroup).ask(&leave, 0);
    assert_eq!(answer.read::<LeaveGroupResponse<'_>>().error_code, 15);
    assert_eq!(faulty(ApiKey::OffsetCommit).commit("g", &[("t", 0, 5)]), [15]);
    let answer = faulty(ApiKey::OffsetFetch).ask(&fetch_offsets("g", None), 7);
    assert_eq!(answer.read::<OffsetFetchResponse<'_>>().error_code, 15);
    let delete = OffsetDeleteRequest { group_id: "g".into(), ..Default::default() };
    let answer = faulty(ApiKey::OffsetDelete).ask(&delete, 0);
    assert_eq!(answer.read::<OffsetDeleteResponse<'_>>().error_code, 15);
    let answer = faulty(ApiKey::ListGroups).ask(&ListGroupsRequest::default(), 5);
    assert_eq!(answer.read::<ListGroupsResponse<'_>>().error_code, 15);
    let describe = DescribeGroupsRequest { groups: vec!["g".into()], ..Default::default() };
    let answer = faulty(ApiKey::DescribeGroups).ask(&describe, 6);
    assert_eq!(answer.read::<DescribeGroupsResponse<'_>>().groups[0].error_code, 15);
    let delete = DeleteGroupsRequest { groups_names: vec!["g".into()] };
    let answer = faulty(ApiKey::DeleteGroups).ask(&delete, 2);
    assert_eq!(answer.read::<DeleteGroupsResponse<'_>>().results[0].error_code, 15);
    assert_eq!(raw.committed("g", false), [("t".into(), 0, 1, 0)]);
    assert_eq!(raw.groups(&ListGroupsRequest::default()).len(), 1);
}

#[test]
fn a_member_says_what_it_takes_the_group_for() {
    let broker = broker();
    let mut raw = Raw::connect(broker.addr());
    let (id, generation) = raw.enter("g");
    let silent = SyncGroupRequest { protocol_name: None, ..sync("g", &id, generation) };
    for (version, code) in [(4, 0), (5, 23)] {
        let answer = raw.ask(&silent, version);
        assert_eq!(answer.read::<SyncGroupResponse<'_>>().error_code, code);
    }
    let refused = JoinGroupRequest { group_id: "".into(), ..join_group("g", "") };
    for (version, name) in [(6, Some("")), (7, None)] {
        let answer = raw.ask(&refused, version);
        let response: JoinGroupResponse<'_> = answer.read();
        assert_eq!((response.error_code, response.protocol_name.as_deref()), (24, name));
    }
}
