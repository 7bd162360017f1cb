//! Groups of KIP-848's protocol, over sockets.

use std::time::Instant;

use super::restart::copy_folder;
use super::*;
use crate::wire::ApiKey;

const GROUP_ID_NOT_FOUND: i16 = 69;
const UNKNOWN_MEMBER_ID: i16 = 25;

/// A heartbeat of this epoch with nothing new.
fn at(member: &str, epoch: i32) -> ConsumerGroupHeartbeatRequest<'_> {
    ConsumerGroupHeartbeatRequest {
        group_id: "g".into(),
        member_id: member.into(),
        member_epoch: epoch,
        ..Default::default()
    }
}

/// A full request that joins.
fn join<'a>(member: &'a str, topics: &[&'a str]) -> ConsumerGroupHeartbeatRequest<'a> {
    ConsumerGroupHeartbeatRequest {
        rebalance_timeout_ms: 60_000,
        subscribed_topic_names: Some(topics.iter().map(|topic| (*topic).into()).collect()),
        topic_partitions: Some(Vec::new()),
        ..at(member, 0)
    }
}

/// What a heartbeat is answered with: error code, epoch, partitions by number if they are told.
type Told = (i16, i32, Option<Vec<i32>>);

/// A member on a connection of its own, which does at once what it is told.
struct Member {
    raw: Raw,
    id: &'static str,
    epoch: i32,
    owned: Vec<ConsumerGroupHeartbeatTopic>,
}

impl Member {
    fn new(broker: &Broker, id: &'static str) -> Self {
        Self { raw: Raw::connect(broker.addr()), id, epoch: 0, owned: Vec::new() }
    }

    fn send(&mut self, request: &ConsumerGroupHeartbeatRequest<'_>) -> Told {
        let answer = self.raw.ask(request, 1);
        let response: ConsumerGroupHeartbeatResponse<'_> = answer.read();
        if response.error_code == 0 {
            self.epoch = response.member_epoch;
        }
        let told = response.assignment.map(|assignment| {
            self.owned = assignment.topic_partitions;
            self.owned.iter().flat_map(|topic| topic.partitions.clone()).collect()
        });
        (response.error_code, response.member_epoch, told)
    }

    fn join(&mut self, topics: &[&str]) -> Told {
        self.send(&join(self.id, topics))
    }

    /// A heartbeat that says what it has.
    fn beat(&mut self) -> Told {
        let topic_partitions = Some(self.owned.clone());
        self.send(&ConsumerGroupHeartbeatRequest { topic_partitions, ..at(self.id, self.epoch) })
    }

    fn count(&self) -> usize {
        self.owned.iter().map(|topic| topic.partitions.len()).sum()
    }
}

/// Heartbeats of all until they have so many partitions.
fn settle(members: &mut [&mut Member], counts: &[usize]) {
    let until = Instant::now() + LONG;
    while members.iter().zip(counts).any(|(member, count)| member.count() != *count) {
        let got: Vec<usize> = members.iter().map(|member| member.count()).collect();
        assert!(Instant::now() < until, "{got:?} instead of {counts:?}");
        for member in &mut *members {
            assert_eq!(member.beat().0, 0);
        }
    }
}

fn describe(raw: &mut Raw, group: &str) -> ConsumerGroupDescribeGroup<'static> {
    let request = ConsumerGroupDescribeRequest {
        group_ids: vec![group.to_owned().into()],
        include_authorized_operations: true,
    };
    let answer = raw.ask(&request, 1);
    let response: ConsumerGroupDescribeResponse<'_> = answer.read();
    let group = &response.groups[0];
    ConsumerGroupDescribeGroup {
        error_code: group.error_code,
        error_message: group.error_message.clone().map(|text| text.into_owned().into()),
        group_state: group.group_state.to_string().into(),
        group_epoch: group.group_epoch,
        authorized_operations: group.authorized_operations,
        members: group.members.iter().map(owned_member).collect(),
        ..Default::default()
    }
}

fn owned_member(member: &ConsumerGroupDescribeMember<'_>) -> ConsumerGroupDescribeMember<'static> {
    ConsumerGroupDescribeMember {
        member_id: member.member_id.to_string().into(),
        client_id: member.client_id.to_string().into(),
        client_host: member.client_host.to_string().into(),
        ..Default::default()
    }
}

#[test]
fn two_members_share_and_the_one_that_stays_takes_over() {
    let broker = broker();
    Raw::connect(broker.addr()).create("t", 4);
    let (mut m, mut n) = (Member::new(&broker, "m"), Member::new(&broker, "n"));
    assert_eq!(m.join(&["t"]), (0, 1, Some(vec![0, 1, 2, 3])));
    assert_eq!(n.join(&["t"]), (0, 2, Some(vec![])));
    settle(&mut [&mut m, &mut n], &[2, 2]);
    assert_eq!(m.beat(), (0, 2, None));
    let group = describe(&mut m.raw, "g");
    assert_eq!((group.error_code, &*group.group_state, group.group_epoch), (0, "Stable", 2));
    assert_eq!(group.authorized_operations, 0b1101_0100_1000);
    let member = &group.members[1];
    assert_eq!((&*member.member_id, &*member.client_id, &*member.client_host), ("n", "raw", "/127.0.0.1"));

    assert_eq!(m.send(&at("m", -1)), (0, -1, None));
    settle(&mut [&mut n], &[4]);
    assert_eq!(m.send(&at("m", 2)).0, UNKNOWN_MEMBER_ID);
}

#[test]
fn what_no_group_takes_is_refused_in_words() {
    let broker = broker();
    let mut raw = Raw::connect(broker.addr());
    let invalid = 42;
    let joins = |member| join(member, &["t"]);
    let cases = [
        (joins(""), invalid, "MemberId can't be empty."),
        (at(" ", 1), invalid, "MemberId can't be empty."),
        (
            ConsumerGroupHeartbeatRequest { group_id: "".into(), ..joins("m") },
            invalid,
            "GroupId can't be empty.",
        ),
        (
            ConsumerGroupHeartbeatRequest { instance_id: Some("".into()), ..joins("m") },
            invalid,
            "InstanceId can't be empty.",
        ),
        (
            ConsumerGroupHeartbeatRequest { rack_id: Some(" ".into()), ..joins("m") },
            invalid,
            "RackId can't be empty.",
        ),
        (
            ConsumerGroupHeartbeatRequest { rebalance_timeout_ms: -1, ..joins("m") },
            invalid,
            "RebalanceTimeoutMs must be provided in first request.",
        ),
        (
            ConsumerGroupHeartbeatRequest { topic_partitions: None, ..joins("m") },
            invalid,
            "TopicPartitions must be empty when (re-)joining.",
        ),
        (
            ConsumerGroupHeartbeatRequest { subscribed_topic_names: None, ..joins("m") },
            invalid,
            "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.",
        ),
        (at("m", -2), invalid, "InstanceId can't be null."),
        (at("m", -3), invalid, "MemberEpoch is invalid."),
        (
            ConsumerGroupHeartbeatRequest { server_assignor: Some("sticky".into()), ..joins("m") },
            112,
            "ServerAssignor sticky is not supported. Supported assignors: uniform, range.",
        ),
        (at("m", 1), GROUP_ID_NOT_FOUND, "Group g not found."),
        (at("m", -1), GROUP_ID_NOT_FOUND, "Group g not found."),
    ];
    for (request, code, why) in cases {
        let answer = raw.ask(&request, 1);
        let response: ConsumerGroupHeartbeatResponse<'_> = answer.read();
        assert_eq!(
            (response.error_code, response.error_message.as_deref()),
            (code, Some(why)),
            "{request:?}"
        );
    }
    let pattern = ConsumerGroupHeartbeatRequest { subscribed_topic_regex: Some("(".into()), ..joins("m") };
    let answer = raw.ask(&pattern, 1);
    let response: ConsumerGroupHeartbeatResponse<'_> = answer.read();
    let why = "SubscribedTopicRegex `(` is not a valid regular expression: unclosed group";
    assert_eq!((response.error_code, response.error_message.as_deref()), (128, Some(why)));
    let group = describe(&mut raw, "g");
    assert_eq!((group.error_code, group.error_message.as_deref()), (69, Some("Group g not found.")));
}

#[test]
fn in_version_0_a_member_is_given_an_id() {
    let broker = broker();
    let mut raw = Raw::connect(broker.addr());
    let mut id = || {
        let answer = raw.ask(&join("", &["t"]), 0);
        let response: ConsumerGroupHeartbeatResponse<'_> = answer.read();
        assert_eq!(response.error_code, 0);
        response.member_id.unwrap().into_owned()
    };
    let (one, other) = (id(), id());
    assert_eq!(one.len(), 22);
    assert_ne!(one, other);
}

#[test]
fn a_member_that_is_silent_is_removed_by_the_clock() {
    let mut options = Options::default();
    options.consumer_groups.session_timeout = Duration::from_millis(1500);
    let broker = Broker::start(options).unwrap();
    Raw::connect(broker.addr()).create("t", 2);
    let (mut m, mut n) = (Member::new(&broker, "m"), Member::new(&broker, "n"));
    m.join(&["t"]);
    n.join(&["t"]);
    settle(&mut [&mut m, &mut n], &[1, 1]);
    settle(&mut [&mut n], &[2]);
    // Nobody asks any more: the group ends by itself.
    drop((m, n));
    let mut raw = Raw::connect(broker.addr());
    let until = Instant::now() + LONG;
    while &*describe(&mut raw, "g").group_state != "Empty" {
        assert!(Instant::now() < until);
    }
}

#[test]
fn topics_that_grow_and_go_are_noticed() {
    let broker = broker();
    let mut admin = Raw::connect(broker.addr());
    admin.create("t", 1);
    let mut m = Member::new(&broker, "m");
    assert_eq!(m.join(&["t", "u"]), (0, 1, Some(vec![0])));
    admin.create("u", 2);
    settle(&mut [&mut m], &[3]);
    let more = CreatePartitionsRequestTopic { name: "t".into(), count: 5, ..Default::default() };
    admin.ask(&CreatePartitionsRequest { topics: vec![more], ..Default::default() }, 1);
    settle(&mut [&mut m], &[7]);
    admin.ask(&DeleteTopicsRequest { topic_names: vec!["u".into()], ..Default::default() }, 5);
    settle(&mut [&mut m], &[5]);
}

#[test]
fn a_pattern_subscribes_to_topics_to_come() {
    let broker = broker();
    let mut admin = Raw::connect(broker.addr());
    admin.create("log-1", 1);
    admin.create("other", 1);
    let mut m = Member::new(&broker, "m");
    let request = ConsumerGroupHeartbeatRequest {
        subscribed_topic_names: None,
        subscribed_topic_regex: Some("log-.*".into()),
        ..join("m", &[])
    };
    assert_eq!(m.send(&request), (0, 1, Some(vec![0])));
    admin.create("log-2", 2);
    settle(&mut [&mut m], &[3]);
}

#[test]
fn groups_outlive_a_broker_that_is_not_stopped() {
    let (folder, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let before = broker_at(folder.path());
    Raw::connect(before.addr()).create("t", 4);
    let (mut m, mut n) = (Member::new(&before, "m"), Member::new(&before, "n"));
    m.join(&["t"]);
    n.join(&["t"]);
    settle(&mut [&mut m, &mut n], &[2, 2]);
    // The folder as a kill would leave it: nothing was closed.
    copy_folder(folder.path(), copy.path());
    let broker = broker_at(copy.path());
    for member in [&mut m, &mut n] {
        member.raw = Raw::connect(broker.addr());
        assert_eq!(member.beat(), (0, 2, None));
    }
    assert_eq!(&*describe(&mut m.raw, "g").group_state, "Stable");
    m.send(&at("m", -1));
    settle(&mut [&mut n], &[4]);
}

#[test]
fn a_heartbeat_can_be_made_to_fail() {
    let broker = broker();
    Raw::connect(broker.addr()).create("t", 1);
    let mut m = Member::new(&broker, "m");
    broker.faults().add(ApiKey::ConsumerGroupHeartbeat, 1, FaultKind::Error(16));
    assert_eq!(m.join(&["t"]).0, 16);
    assert_eq!(describe(&mut m.raw, "g").error_code, GROUP_ID_NOT_FOUND);
    assert_eq!(m.join(&["t"]), (0, 1, Some(vec![0])));
    // The answer is lost, and the request sent again.
    broker.faults().add(ApiKey::ConsumerGroupHeartbeat, 1, FaultKind::Drop);
    let mut n = Member::new(&broker, "n");
    n.raw.send(&join("n", &["t"]), 1);
    assert!(n.raw.is_closed());
    n.raw = Raw::connect(broker.addr());
    assert_eq!(n.join(&["t"]), (0, 2, Some(vec![])));
}

/// Commits offset 5 of partition 0 of `t`: the error code.
fn commit_as(raw: &mut Raw, member: &str, epoch: i32, version: i16) -> i16 {
    let request = OffsetCommitRequest {
        member_id: member.into(),
        generation_id_or_member_epoch: epoch,
        ..commit("g", &[("t", 0, 5)])
    };
    let answer = raw.ask(&request, version);
    answer.read::<OffsetCommitResponse<'_>>().topics[0].partitions[0].error_code
}

/// Asks for the offset of partition 0 of `t`: the error code of the group, the offset.
fn fetch_as(raw: &mut Raw, member: Option<&str>, epoch: i32) -> (i16, Option<i64>) {
    let mut request = fetch_offsets("g", Some(&[("t", 0)]));
    request.groups[0].member_id = member.map(Into::into);
    request.groups[0].member_epoch = epoch;
    let answer = raw.ask(&request, 9);
    let group = &answer.read::<OffsetFetchResponse<'_>>().groups[0];
    (group.error_code, group.topics.first().map(|topic| topic.partitions[0].committed_offset))
}

#[test]
fn offsets_are_for_members_at_their_epochs() {
    const STALE_MEMBER_EPOCH: i16 = 113;
    let broker = broker();
    let mut raw = Raw::connect(broker.addr());
    raw.create("t", 1);
    let mut m = Member::new(&broker, "m");
    m.join(&["t"]);
    for (member, epoch, version, code) in [
        ("m", 0, 9, STALE_MEMBER_EPOCH),
        ("m", 2, 9, STALE_MEMBER_EPOCH),
        ("n", 1, 9, UNKNOWN_MEMBER_ID),
        ("", -1, 9, UNKNOWN_MEMBER_ID),
        ("m", 1, 8, 35),
        ("m", 1, 9, 0),
    ] {
        assert_eq!(commit_as(&mut raw, member, epoch, version), code, "{member} {epoch} {version}");
    }
    assert_eq!(fetch_as(&mut raw, Some("m"), 1), (0, Some(5)));
    assert_eq!(fetch_as(&mut raw, None, -1), (0, Some(5)));
    assert_eq!(fetch_as(&mut raw, Some("m"), 2), (STALE_MEMBER_EPOCH, None));
    assert_eq!(fetch_as(&mut raw, Some("n"), 1), (UNKNOWN_MEMBER_ID, None));
    // Without members, whoever is in no group may commit.
    m.send(&at("m", -1));
    assert_eq!(commit_as(&mut raw, "", -1, 9), 0);
}

/// Group id, type and state of all groups of a type.
fn listed(raw: &mut Raw, of_type: &str) -> Vec<(String, String, String)> {
    let request = ListGroupsRequest { types_filter: vec![of_type.into()], ..Default::default() };
    let answer = raw.ask(&request, 5);
    let response: ListGroupsResponse<'_> = answer.read();
    let entry = |group: &ListGroupsEntry<'_>| {
        assert_eq!(group.protocol_type, "consumer");
        (group.group_id.to_string(), group.group_type.to_string(), group.group_state.to_string())
    };
    response.groups.iter().map(entry).collect()
}

fn delete(raw: &mut Raw) -> i16 {
    let answer = raw.ask(&DeleteGroupsRequest { groups_names: vec!["g".into()] }, 2);
    answer.read::<DeleteGroupsResponse<'_>>().results[0].error_code
}

#[test]
fn groups_are_listed_with_their_type_and_deleted_without_members() {
    let folder = tempfile::tempdir().unwrap();
    let broker = broker_at(folder.path());
    let mut raw = Raw::connect(broker.addr());
    raw.create("t", 1);
    let mut m = Member::new(&broker, "m");
    m.join(&["t"]);
    let entry = |state: &str| vec![("g".to_owned(), "consumer".to_owned(), state.to_owned())];
    assert_eq!(listed(&mut raw, "Consumer"), entry("Stable"));
    assert_eq!(listed(&mut raw, "classic"), []);
    assert_eq!(delete(&mut raw), 68);
    assert_eq!(commit_as(&mut raw, "m", 1, 9), 0);
    let place = OffsetDeleteRequestPartition { partition_index: 0 };
    let topic = OffsetDeleteRequestTopic { name: "t".into(), partitions: vec![place] };
    let request = OffsetDeleteRequest { group_id: "g".into(), topics: vec![topic] };
    let answer = raw.ask(&request, 0);
    assert_eq!(answer.read::<OffsetDeleteResponse<'_>>().topics[0].partitions[0].error_code, 86);
    m.send(&at("m", -1));
    assert_eq!(listed(&mut raw, "consumer"), entry("Empty"));
    assert_eq!(delete(&mut raw), 0);
    assert_eq!(fetch_as(&mut raw, None, -1), (0, Some(-1)));
    broker.stop().unwrap();
    let broker = broker_at(folder.path());
    assert_eq!(listed(&mut Raw::connect(broker.addr()), "consumer"), []);
}

#[test]
fn a_group_changes_its_protocol_only_without_members() {
    const INCONSISTENT_GROUP_PROTOCOL: i16 = 23;
    const MEMBER_ID_REQUIRED: i16 = 79;
    let broker = broker();
    let mut raw = Raw::connect(broker.addr());
    raw.create("t", 1);
    let mut m = Member::new(&broker, "m");
    m.join(&["t"]);
    assert_eq!(commit_as(&mut raw, "m", 1, 9), 0);
    let join_classic = |raw: &mut Raw, member: &str| {
        let answer = raw.ask(&join_group("g", member), 9);
        let response: JoinGroupResponse<'_> = answer.read();
        (response.error_code, response.member_id.into_owned())
    };
    assert_eq!(join_classic(&mut raw, "").0, INCONSISTENT_GROUP_PROTOCOL);
    m.send(&at("m", -1));

    // Now it is one of the classic protocol, and its offsets are still there.
    let (code, id) = join_classic(&mut raw, "");
    assert_eq!(code, MEMBER_ID_REQUIRED);
    assert_eq!(join_classic(&mut raw, &id).0, 0);
    assert_eq!((listed(&mut raw, "classic").len(), listed(&mut raw, "consumer").len()), (1, 0));
    assert_eq!(describe(&mut raw, "g").error_code, GROUP_ID_NOT_FOUND);
    assert_eq!(m.join(&["t"]).0, GROUP_ID_NOT_FOUND);
    assert_eq!(fetch_as(&mut raw, None, -1), (0, Some(5)));

    let leaver = LeaveGroupRequestMember { member_id: id.into(), ..Default::default() };
    raw.ask(&LeaveGroupRequest { group_id: "g".into(), members: vec![leaver], ..Default::default() }, 5);
    assert_eq!(m.join(&["t"]), (0, 1, Some(vec![0])));
    assert_eq!((listed(&mut raw, "classic").len(), listed(&mut raw, "consumer").len()), (0, 1));
    assert_eq!(fetch_as(&mut raw, None, -1), (0, Some(5)));
}
