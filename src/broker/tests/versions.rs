//! Every version of every API that is announced has an answer that can be read.

use super::*;
use crate::broker::apis::SERVED;
use crate::wire::{Api, ApiKey};

fn is_answered<'a, R: Request<'a>>(raw: &mut Raw, request: &R) {
    for version in R::API.versions() {
        let answer = raw.ask(request, version);
        R::Response::decode(&answer.body, version).unwrap_or_else(|e| panic!("{:?} {version}: {e}", R::API));
    }
}

#[test]
fn every_announced_version_of_every_api_is_answered() {
    let broker = broker();
    let mut raw = Raw::connect(broker.addr());
    raw.create("t", 2);
    let records = batch(&["a"]);
    let mut find = FindCoordinatorRequest { key: "g".into(), ..Default::default() };
    find.coordinator_keys = vec!["g".into()];
    let configs = DescribeConfigsRequest {
        resources: vec![
            DescribeConfigsResource { resource_type: 2, resource_name: "t".into(), ..Default::default() },
            DescribeConfigsResource { resource_type: 4, resource_name: "1".into(), ..Default::default() },
        ],
        include_synonyms: true,
        ..Default::default()
    };
    let times = ListOffsetsRequestTopic { name: "t".into(), partitions: vec![Default::default()] };
    let up_to = DeleteRecordsRequestTopic { name: "t".into(), partitions: vec![Default::default()] };
    let more = CreatePartitionsRequestTopic { name: "t".into(), count: 3, ..Default::default() };
    for key in SERVED {
        match key {
            ApiKey::Produce => is_answered(&mut raw, &produce("t", 1, &records)),
            ApiKey::Fetch => is_answered(&mut raw, &fetch(&[("t", 0, 0), ("none", 0, 0)])),
            ApiKey::ListOffsets => {
                let request = ListOffsetsRequest { topics: vec![times.clone()], ..Default::default() };
                is_answered(&mut raw, &request);
            }
            ApiKey::Metadata => is_answered(
                &mut raw,
                &MetadataRequest {
                    topics: Some(vec![MetadataRequestTopic { name: Some("t".into()), ..Default::default() }]),
                    ..Default::default()
                },
            ),
            ApiKey::FindCoordinator => is_answered(&mut raw, &find),
            ApiKey::OffsetCommit => is_answered(&mut raw, &commit("g", &[("t", 0, 7), ("none", 0, 7)])),
            ApiKey::OffsetFetch => {
                is_answered(&mut raw, &fetch_offsets("g", Some(&[("t", 0), ("t", 1)])));
            }
            ApiKey::JoinGroup => {
                // Each in a group of its own: nobody has to wait for another.
                for version in JoinGroupRequest::API.versions() {
                    let answer = raw.ask(&join_group(&format!("j{version}"), ""), version);
                    let joined: JoinGroupResponse<'_> = answer.read();
                    assert_eq!(joined.error_code, if version < 4 { 0 } else { 79 });
                }
            }
            ApiKey::Heartbeat => {
                is_answered(&mut raw, &HeartbeatRequest { group_id: "j".into(), ..Default::default() });
            }
            ApiKey::LeaveGroup => is_answered(
                &mut raw,
                &LeaveGroupRequest {
                    group_id: "j".into(),
                    members: vec![LeaveGroupRequestMember { member_id: "m".into(), ..Default::default() }],
                    ..Default::default()
                },
            ),
            ApiKey::SyncGroup => {
                is_answered(&mut raw, &SyncGroupRequest { group_id: "j".into(), ..Default::default() });
            }
            ApiKey::DescribeGroups => {
                let groups = vec!["g".into(), "j".into(), "none".into()];
                is_answered(&mut raw, &DescribeGroupsRequest { groups, include_authorized_operations: true });
            }
            ApiKey::ListGroups => is_answered(&mut raw, &ListGroupsRequest::default()),
            ApiKey::DeleteGroups => {
                let groups_names = vec!["none".into(), "g".into()];
                is_answered(&mut raw, &DeleteGroupsRequest { groups_names });
            }
            ApiKey::OffsetDelete => {
                let topics =
                    vec![OffsetDeleteRequestTopic { name: "t".into(), partitions: vec![Default::default()] }];
                is_answered(&mut raw, &OffsetDeleteRequest { group_id: "g".into(), topics });
            }
            ApiKey::ApiVersions => is_answered(&mut raw, &ApiVersionsRequest::default()),
            ApiKey::CreateTopics => is_answered(&mut raw, &create("u", -1, &[])),
            ApiKey::DeleteTopics => {
                let request = DeleteTopicsRequest { topic_names: vec!["u".into()], ..Default::default() };
                is_answered(&mut raw, &request);
            }
            ApiKey::DeleteRecords => {
                is_answered(&mut raw, &DeleteRecordsRequest { topics: vec![up_to.clone()], timeout_ms: 1 });
            }
            ApiKey::InitProducerId => is_answered(&mut raw, &InitProducerIdRequest::default()),
            ApiKey::AddPartitionsToTxn => {
                let topic = AddPartitionsToTxnRequestTopic { name: "t".into(), partitions: vec![0] };
                let id = "x".into();
                is_answered(
                    &mut raw,
                    &AddPartitionsToTxnRequest {
                        transactional_id: id,
                        topics: vec![topic],
                        ..Default::default()
                    },
                );
            }
            ApiKey::AddOffsetsToTxn => is_answered(&mut raw, &AddOffsetsToTxnRequest::default()),
            ApiKey::EndTxn => is_answered(&mut raw, &EndTxnRequest::default()),
            ApiKey::TxnOffsetCommit => is_answered(&mut raw, &TxnOffsetCommitRequest::default()),
            ApiKey::DescribeConfigs => is_answered(&mut raw, &configs),
            ApiKey::CreatePartitions => {
                let request = CreatePartitionsRequest { topics: vec![more.clone()], ..Default::default() };
                is_answered(&mut raw, &request);
            }
            ApiKey::DescribeCluster => is_answered(&mut raw, &DescribeClusterRequest::default()),
            ApiKey::ConsumerGroupHeartbeat => is_answered(
                &mut raw,
                &ConsumerGroupHeartbeatRequest {
                    group_id: "consumers".into(),
                    member_id: "m".into(),
                    rebalance_timeout_ms: 1000,
                    subscribed_topic_names: Some(vec!["t".into()]),
                    topic_partitions: Some(Vec::new()),
                    ..Default::default()
                },
            ),
            ApiKey::ConsumerGroupDescribe => {
                let group_ids = vec!["consumers".into(), "none".into()];
                is_answered(&mut raw, &ConsumerGroupDescribeRequest { group_ids, ..Default::default() });
            }
        }
    }
}

#[test]
fn what_is_announced_is_what_is_served() {
    let broker = broker();
    let answer = Raw::connect(broker.addr()).ask(&ApiVersionsRequest::default(), 3);
    let response: ApiVersionsResponse<'_> = answer.read();
    let keys: Vec<i16> = response.api_keys.iter().map(|range| range.api_key).collect();
    assert_eq!(keys, SERVED.iter().map(|key| *key as i16).collect::<Vec<_>>());
    for range in &response.api_keys {
        assert_eq!(range.max_version, Api::find(range.api_key).unwrap().max);
    }
}

#[test]
fn api_versions_of_an_unknown_version_are_answered_in_version_0() {
    let broker = broker();
    let mut raw = Raw::connect(broker.addr());
    raw.stream.write_all(&[0, 0, 0, 10, 0, 18, 0, 99, 0, 0, 0, 7, 0xff, 0xff]).unwrap();
    let frame = raw.receive().unwrap();
    assert_eq!(frame[..4], [0, 0, 0, 7]);
    let response = ApiVersionsResponse::decode(&frame[4..], 0).unwrap();
    assert_eq!(response.error_code, 35);
    assert_eq!(response.api_keys, [ApiVersionRange { api_key: 18, min_version: 0, max_version: 4 }]);
    // The connection goes on.
    let answer = raw.ask(&ApiVersionsRequest::default(), 3);
    assert_eq!(answer.read::<ApiVersionsResponse<'_>>().error_code, 0);
}
