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
    assert_eq!(answer.read::<ConsumerGroupHeartbeatResponse<'_>>().error_code, 128);
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
