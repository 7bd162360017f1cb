//! Topics: created, described, changed and deleted.

use super::*;
use crate::wire::Uuid;

fn metadata<'a>(topics: Option<&[&'a str]>, may_create: bool) -> MetadataRequest<'a> {
    let topic = |name: &&'a str| MetadataRequestTopic { name: Some((*name).into()), ..Default::default() };
    MetadataRequest {
        topics: topics.map(|topics| topics.iter().map(topic).collect()),
        allow_auto_topic_creation: may_create,
        ..Default::default()
    }
}

/// Names, error codes and numbers of partitions.
fn described(raw: &mut Raw, request: &MetadataRequest<'_>) -> Vec<(String, i16, usize)> {
    let answer = raw.ask(request, 9);
    let response: MetadataResponse<'_> = answer.read();
    let topics = response.topics.iter();
    topics
        .map(|topic| (topic.name.as_deref().unwrap().to_owned(), topic.error_code, topic.partitions.len()))
        .collect()
}

#[test]
fn a_topic_is_created_when_it_is_asked_for_and_both_sides_allow_it() {
    let broker = Broker::start(Options { partitions: 4, ..Options::default() }).unwrap();
    let mut raw = Raw::connect(broker.addr());
    assert_eq!(described(&mut raw, &metadata(Some(&["t"]), false)), [("t".into(), 3, 0)]);
    assert_eq!(
        described(&mut raw, &metadata(Some(&["t", "a/b"]), true)),
        [("t".into(), 0, 4), ("a/b".into(), 17, 0)]
    );
    assert_eq!(described(&mut raw, &metadata(None, true)), [("t".into(), 0, 4)]);
    assert_eq!(described(&mut raw, &metadata(Some(&[]), true)), []);

    let closed = Broker::start(Options { auto_create: false, ..Options::default() }).unwrap();
    let mut raw = Raw::connect(closed.addr());
    assert_eq!(described(&mut raw, &metadata(Some(&["t"]), true)), [("t".into(), 3, 0)]);
}

#[test]
fn behind_a_proxy_the_node_is_named_by_the_address_it_is_told() {
    let advertised = Some(([127, 0, 0, 9], 9).into());
    let broker = Broker::start(Options { advertised, ..Options::default() }).unwrap();
    let mut raw = Raw::connect(broker.addr());
    let answer = raw.ask(&metadata(None, false), 12);
    let response: MetadataResponse<'_> = answer.read();
    assert_eq!((&*response.brokers[0].host, response.brokers[0].port), ("127.0.0.9", 9));
    let request = FindCoordinatorRequest { key: "g".into(), ..Default::default() };
    let answer = raw.ask(&request, 3);
    let response: FindCoordinatorResponse<'_> = answer.read();
    assert_eq!((&*response.host, response.port), ("127.0.0.9", 9));
}

#[test]
fn metadata_names_this_node_as_it_was_reached() {
    let broker = broker();
    let mut raw = Raw::connect(broker.addr());
    let answer = raw.ask(&metadata(Some(&["t"]), true), 12);
    let response: MetadataResponse<'_> = answer.read();
    assert_eq!(response.controller_id, 1);
    assert_eq!(response.cluster_id.as_ref().unwrap().len(), 22);
    let node = &response.brokers[0];
    assert_eq!((node.node_id, &*node.host, node.port), (1, "127.0.0.1", i32::from(broker.addr().port())));
    let id = response.topics[0].topic_id;
    let by_id = |topic_id, name: Option<&'static str>| MetadataRequest {
        topics: Some(vec![MetadataRequestTopic { topic_id, name: name.map(Into::into) }]),
        ..Default::default()
    };
    // Java's consumer leaves the name empty.
    for name in [None, Some("")] {
        let answer = raw.ask(&by_id(id, name), 12);
        assert_eq!(answer.read::<MetadataResponse<'_>>().topics[0].name.as_deref(), Some("t"));
        let answer = raw.ask(&by_id(Uuid([9; 16]), name), 12);
        let topic = &answer.read::<MetadataResponse<'_>>().topics[0];
        assert_eq!((topic.error_code, topic.name.as_deref()), (100, None));
    }
}

#[test]
fn topics_that_cannot_be_as_asked_are_refused() {
    let broker = broker();
    let mut raw = Raw::connect(broker.addr());
    raw.create("there", 1);
    let mut replicated = create("t", 1, &[]);
    replicated.topics[0].replication_factor = 3;
    let mut elsewhere = create("t", -1, &[]);
    elsewhere.topics[0].assignments =
        vec![CreateTopicsAssignment { partition_index: 0, broker_ids: vec![2] }];
    let mut twice = create("t", 1, &[]);
    twice.topics.push(twice.topics[0].clone());
    for (request, code) in [
        (create("there", 1, &[]), 36),
        (create("a b", 1, &[]), 17),
        (create("t", 0, &[]), 37),
        (create("t", 100_000, &[]), 37),
        (create("t", 1, &[("cleanup.policy", "compact")]), 40),
        (create("t", 1, &[("no.such", "1")]), 40),
        (replicated, 38),
        (elsewhere, 39),
        (twice, 42),
    ] {
        let answer = raw.ask(&request, 5);
        let response: CreateTopicsResponse<'_> = answer.read();
        assert_eq!(response.topics[0].error_code, code, "{response:?}");
        assert!(response.topics[0].error_message.is_some());
    }
    assert_eq!(described(&mut raw, &metadata(None, false)), [("there".into(), 0, 1)]);
}

#[test]
fn what_is_only_to_be_checked_is_not_done() {
    let broker = broker();
    let mut raw = Raw::connect(broker.addr());
    let mut check = create("t", 2, &[]);
    check.validate_only = true;
    let answer = raw.ask(&check, 5);
    assert_eq!(answer.read::<CreateTopicsResponse<'_>>().topics[0].error_code, 0);
    raw.create("u", 2);
    let topic = CreatePartitionsRequestTopic { name: "u".into(), count: 5, ..Default::default() };
    let more = CreatePartitionsRequest { topics: vec![topic], validate_only: true, ..Default::default() };
    let answer = raw.ask(&more, 1);
    assert_eq!(answer.read::<CreatePartitionsResponse<'_>>().results[0].error_code, 0);
    assert_eq!(described(&mut raw, &metadata(None, false)), [("u".into(), 0, 2)]);
}

#[test]
fn partitions_are_added_and_never_taken() {
    let broker = broker();
    let mut raw = Raw::connect(broker.addr());
    raw.create("t", 2);
    raw.produce("t", &batch(&["a"]));
    for (count, validate_only, code) in [(2, false, 37), (1, true, 37), (5, false, 0), (9999, true, 37)] {
        let topic = CreatePartitionsRequestTopic { name: "t".into(), count, ..Default::default() };
        let request = CreatePartitionsRequest { topics: vec![topic], validate_only, timeout_ms: 1 };
        let answer = raw.ask(&request, 1);
        assert_eq!(answer.read::<CreatePartitionsResponse<'_>>().results[0].error_code, code, "{count}");
    }
    assert_eq!(described(&mut raw, &metadata(None, false)), [("t".into(), 0, 5)]);
    assert_eq!(raw.offset("t", -1), (0, 1));
}

#[test]
fn a_deleted_topic_is_gone_and_its_name_free() {
    let broker = broker();
    let mut raw = Raw::connect(broker.addr());
    raw.create("t", 1);
    raw.produce("t", &batch(&["a"]));
    let delete = DeleteTopicsRequest { topic_names: vec!["t".into()], ..Default::default() };
    for code in [0, 3] {
        let answer = raw.ask(&delete, 5);
        assert_eq!(answer.read::<DeleteTopicsResponse<'_>>().responses[0].error_code, code);
    }
    assert_eq!(raw.fetch("t", 0).0, 3);
    raw.create("t", 1);
    assert_eq!(raw.offset("t", -1), (0, 0));
}

#[test]
fn records_are_deleted_from_the_front() {
    let broker = broker();
    let mut raw = Raw::connect(broker.addr());
    raw.create("t", 1);
    raw.produce("t", &batch(&["a", "b", "c"]));
    for (offset, expected) in [(2, (2, 0)), (1, (2, 0)), (9, (-1, 1)), (-1, (3, 0))] {
        let partition = DeleteRecordsRequestPartition { partition_index: 0, offset };
        let topic = DeleteRecordsRequestTopic { name: "t".into(), partitions: vec![partition] };
        let answer = raw.ask(&DeleteRecordsRequest { topics: vec![topic], timeout_ms: 1 }, 1);
        let response: DeleteRecordsResponse<'_> = answer.read();
        let partition = &response.topics[0].partitions[0];
        assert_eq!((partition.low_watermark, partition.error_code), expected, "{offset}");
    }
    assert_eq!(raw.offset("t", -2), (0, 3));
    assert_eq!(raw.fetch("t", 0).0, 1);
}

#[test]
fn settings_are_told_with_where_they_come_from() {
    let broker = broker();
    let mut raw = Raw::connect(broker.addr());
    raw.ask(&create("t", 1, &[("retention.ms", "5000")]), 5);
    let resource = |resource_type, name: &'static str, keys: &[&'static str]| DescribeConfigsResource {
        resource_type,
        resource_name: name.into(),
        configuration_keys: Some(keys.iter().map(|key| (*key).into()).collect()),
    };
    let request = DescribeConfigsRequest {
        resources: vec![
            resource(2, "t", &["retention.ms", "cleanup.policy"]),
            resource(4, "1", &["num.partitions"]),
            resource(2, "none", &[]),
            resource(4, "7", &[]),
            resource(8, "1", &[]),
        ],
        ..Default::default()
    };
    let answer = raw.ask(&request, 2);
    let response: DescribeConfigsResponse<'_> = answer.read();
    let codes: Vec<i16> = response.results.iter().map(|result| result.error_code).collect();
    assert_eq!(codes, [0, 0, 3, 42, 42]);
    let told = |of: &DescribeConfigsResult<'_>| -> Vec<(String, String, i8)> {
        let configs = of.configs.iter();
        configs
            .map(|it| (it.name.to_string(), it.value.as_deref().unwrap().to_owned(), it.config_source))
            .collect()
    };
    assert_eq!(
        told(&response.results[0]),
        [("cleanup.policy".into(), "delete".into(), 5), ("retention.ms".into(), "5000".into(), 1)]
    );
    assert_eq!(told(&response.results[1]), [("num.partitions".into(), "1".into(), 4)]);
}
