//! Every message in every served version against the crate `kafka-protocol`.

use std::fmt::Debug;

use kafka_protocol::messages as oracle;
use kafka_protocol::protocol::{Decodable, Encodable, Message as OracleMessage};

use super::super::arbitrary::{Arbitrary, Gen};
use super::super::{APIS, Api, Message, Nullable, Problem, Reader, Records, Version};
use super::*;

/// How many random values of each message are tried in each version.
const SAMPLES: u64 = 40;

/// What the tests need of a message. Their bytes are leaked, for the sake of one lifetime.
trait Sample: Message<'static> + Arbitrary + PartialEq + Debug {
    fn read_all(bytes: &[u8], version: i16) -> Result<Self, Problem> {
        let bytes: &'static [u8] = Vec::leak(bytes.to_vec());
        Self::decode(bytes, version).map_err(|error| error.problem)
    }

    /// Random values with the version they are for, the same ones each time.
    fn samples() -> impl Iterator<Item = (Self, Version)> {
        Self::API.versions().flat_map(|number| {
            let v = Self::API.version(number).unwrap();
            (0..SAMPLES).map(move |seed| (Self::arbitrary(&mut Gen::new(seed), v), v))
        })
    }
}

impl<M: Message<'static> + Arbitrary + PartialEq + Debug> Sample for M {}

trait Oracle: OracleMessage + Encodable + Decodable + Default {
    fn bytes(&self, version: i16) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.encode(&mut bytes, version).unwrap();
        bytes
    }
}

impl<O: OracleMessage + Encodable + Decodable + Default> Oracle for O {}

/// Random values of ours are the oracle's, byte for byte, and come back the same.
fn agrees_on_random_values<M: Sample, O: Oracle>() {
    for (message, v) in M::samples() {
        let bytes = message.encode(v.number).unwrap();
        let mut left = &bytes[..];
        let theirs = O::decode(&mut left, v.number).unwrap();
        assert!(left.is_empty(), "{} of {message:?} left in {v:?}", left.len());
        assert_eq!(theirs.bytes(v.number), bytes, "{message:?} in {v:?}");
        assert_eq!(M::read_all(&bytes, v.number), Ok(message));
    }
}

/// The oracle's own defaults come through ours, byte for byte.
fn agrees_on_defaults<M: Sample, O: Oracle>() {
    let versions = M::API.versions();
    assert!(O::VERSIONS.min <= *versions.start() && *versions.end() <= O::VERSIONS.max);
    for version in versions {
        let bytes = O::default().bytes(version);
        let message = M::read_all(&bytes, version).unwrap();
        assert_eq!(message.encode(version).unwrap(), bytes, "{message:?} in {version}");
    }
}

fn cut_off_is_an_error<M: Sample>() {
    for (message, v) in M::samples().filter(|(message, v)| message.encode(v.number).unwrap().len() < 400) {
        let bytes: &'static [u8] = Vec::leak(message.encode(v.number).unwrap());
        for end in 0..bytes.len() {
            assert!(M::decode(&bytes[..end], v.number).is_err(), "{message:?} {v:?} {end}");
        }
        let longer = [bytes, &[0]].concat();
        assert_eq!(M::read_all(&longer, v.number), Err(Problem::Trailing(1)));
    }
}

/// Damaged and random bytes are an error or a message, and such a message is a proper one.
fn garbage_is_survived<M: Sample>() {
    let mut g = Gen::new(7);
    for (message, v) in M::samples() {
        let mut bytes = message.encode(v.number).unwrap();
        for _ in 0..=g.below(4) {
            let (at, value) = (g.below(bytes.len().max(1)), g.next());
            let value = [0, 0x7f, 0x80, 0xff, value as u8][g.below(5)];
            bytes.get_mut(at).into_iter().for_each(|byte| *byte = value);
        }
        for bytes in [bytes, g.bytes(200)] {
            if let Ok(message) = M::read_all(&bytes, v.number) {
                let again = message.encode(v.number).unwrap();
                assert_eq!(M::read_all(&again, v.number), Ok(message));
            }
        }
    }
}

/// A broker refuses with a default and an error code, so each default has a form.
fn defaults_can_be_written<M: Sample>() {
    for version in M::API.versions() {
        assert_eq!(M::default().encode(version).err(), None, "{version}");
    }
}

fn unknown_tags_are_skipped<M: Sample>() {
    for version in M::API.versions().filter(|version| *version >= M::API.flexible) {
        let mut bytes = M::default().encode(version).unwrap();
        assert_eq!(bytes.pop(), Some(0), "no tags");
        bytes.extend([2, 90, 3, 1, 2, 3, 0xff, 0x01, 0]);
        assert_eq!(M::read_all(&bytes, version), Ok(M::default()));
    }
}

/// Runs each generic test over every message, and checks that none is left out.
macro_rules! messages {
    ($($name:ident: $request:ident, $response:ident;)*) => {
        #[test]
        #[allow(elided_lifetimes_in_paths, reason = "some messages have a lifetime, some none")]
        fn every_api_is_tested() {
            let tested = [$($request::API),*];
            assert_eq!(tested, APIS.iter().collect::<Vec<&Api>>()[..]);
        }

        $(#[allow(elided_lifetimes_in_paths, reason = "some messages have a lifetime, some none")]
        mod $name {
            use super::*;

            #[test]
            fn random_values_are_the_oracles() {
                agrees_on_random_values::<$request, oracle::$request>();
                agrees_on_random_values::<$response, oracle::$response>();
            }

            #[test]
            fn the_oracles_defaults_come_through() {
                agrees_on_defaults::<$request, oracle::$request>();
                agrees_on_defaults::<$response, oracle::$response>();
            }

            #[test]
            fn an_empty_response_can_be_written_in_every_version() {
                defaults_can_be_written::<$response>();
            }

            #[test]
            fn a_cut_off_message_is_an_error() {
                cut_off_is_an_error::<$request>();
                cut_off_is_an_error::<$response>();
            }

            #[test]
            fn garbage_neither_panics_nor_reads_as_something_unwritable() {
                garbage_is_survived::<$request>();
                garbage_is_survived::<$response>();
            }

            #[test]
            fn tags_not_known_are_skipped() {
                unknown_tags_are_skipped::<$request>();
                unknown_tags_are_skipped::<$response>();
            }
        })*
    };
}

messages! {
    produce: ProduceRequest, ProduceResponse;
    fetch: FetchRequest, FetchResponse;
    list_offsets: ListOffsetsRequest, ListOffsetsResponse;
    metadata: MetadataRequest, MetadataResponse;
    offset_commit: OffsetCommitRequest, OffsetCommitResponse;
    offset_fetch: OffsetFetchRequest, OffsetFetchResponse;
    find_coordinator: FindCoordinatorRequest, FindCoordinatorResponse;
    join_group: JoinGroupRequest, JoinGroupResponse;
    heartbeat: HeartbeatRequest, HeartbeatResponse;
    leave_group: LeaveGroupRequest, LeaveGroupResponse;
    sync_group: SyncGroupRequest, SyncGroupResponse;
    describe_groups: DescribeGroupsRequest, DescribeGroupsResponse;
    list_groups: ListGroupsRequest, ListGroupsResponse;
    api_versions: ApiVersionsRequest, ApiVersionsResponse;
    create_topics: CreateTopicsRequest, CreateTopicsResponse;
    delete_topics: DeleteTopicsRequest, DeleteTopicsResponse;
    delete_records: DeleteRecordsRequest, DeleteRecordsResponse;
    init_producer_id: InitProducerIdRequest, InitProducerIdResponse;
    add_partitions_to_txn: AddPartitionsToTxnRequest, AddPartitionsToTxnResponse;
    add_offsets_to_txn: AddOffsetsToTxnRequest, AddOffsetsToTxnResponse;
    end_txn: EndTxnRequest, EndTxnResponse;
    txn_offset_commit: TxnOffsetCommitRequest, TxnOffsetCommitResponse;
    describe_configs: DescribeConfigsRequest, DescribeConfigsResponse;
    create_partitions: CreatePartitionsRequest, CreatePartitionsResponse;
    delete_groups: DeleteGroupsRequest, DeleteGroupsResponse;
    offset_delete: OffsetDeleteRequest, OffsetDeleteResponse;
    describe_cluster: DescribeClusterRequest, DescribeClusterResponse;
    consumer_group_heartbeat: ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse;
    consumer_group_describe: ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse;
}

/// The request that makes `kafka-protocol` ask for 121 GB and abort.
#[test]
fn a_count_that_cannot_be_true_is_refused_where_it_stands() {
    let mut bytes = [0; 22];
    bytes[..4].copy_from_slice(&i32::MAX.to_be_bytes());
    for version in 0..2 {
        let error = DeleteRecordsRequest::decode(&bytes, version).unwrap_err();
        assert_eq!(error.problem, Problem::Length(i64::from(i32::MAX)));
        assert_eq!((error.field, error.offset), ("DeleteRecordsRequest.topics", 4));
    }
    bytes[..5].copy_from_slice(&[0xff, 0xff, 0xff, 0xff, 0x07]);
    let error = DeleteRecordsRequest::decode(&bytes, 2).unwrap_err();
    assert_eq!((error.problem, error.offset), (Problem::Length(i64::from(i32::MAX) - 1), 5));
}

#[test]
fn an_array_grows_with_what_has_been_read() {
    // 1,000 bytes may be 1,000 strings, so the count passes; the first one is cut off.
    let mut bytes = vec![1; 1002];
    bytes[..2].copy_from_slice(&[0xe9, 0x07]);
    let v = Version { number: 0, flexible: true };
    let read = Vec::<super::super::Text<'_>>::read_nullable(&mut Reader::new(&bytes), v);
    let texts = read.unwrap().unwrap();
    assert_eq!(texts.len(), 1000);
    assert!(texts.capacity() < 2 * texts.len(), "{}", texts.capacity());
}

#[test]
fn what_arrays_take_in_memory_is_bounded() {
    // 30,000 topics of three bytes each, which take 48 in memory.
    let mut bytes = vec![0xb1, 0xea, 0x01];
    (0..30_000).for_each(|_| bytes.extend([1, 1, 0]));
    bytes.extend([0; 5]);
    let whole = DeleteRecordsRequest::decode(&bytes, 2).unwrap();
    assert_eq!(whole.topics.len(), 30_000);

    let mut r = Reader::with_budget(&bytes, 1 << 20);
    let error = DeleteRecordsRequest::decode_from(&mut r, 2).unwrap_err();
    assert_eq!(error.problem, Problem::Budget);
}

#[test]
fn tags_not_known_are_skipped_inside_arrays_too() {
    let theirs = {
        use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
        let topic =
            MetadataRequestTopic::default().with_unknown_tagged_field(7, b"later"[..].into()).with_name(None);
        oracle::MetadataRequest::default().with_topics(Some(vec![topic]))
    };
    let bytes = theirs.bytes(12);
    let ours = MetadataRequest::decode(&bytes, 12).unwrap();
    let topics = ours.topics.unwrap();
    assert_eq!(topics, [MetadataRequestTopic::default()]);
}

#[test]
fn a_null_where_none_is_allowed_is_an_error_both_ways() {
    let all = MetadataRequest::default();
    assert_eq!(all.encode(1).unwrap(), [0xff; 4]);
    let error = all.encode(0).unwrap_err();
    assert_eq!(error.to_string(), "a null that version 0 does not allow in MetadataRequest.topics");
    assert_eq!(MetadataRequest::decode(&[0xff; 4], 0).unwrap_err().problem, Problem::Null);
    let nameless = [0, 0, 0, 1, 0xff, 0xff];
    assert_eq!(MetadataRequest::decode(&nameless, 1).unwrap_err().problem, Problem::Null);
}

#[test]
fn records_are_lent_not_copied() {
    let records = Records::Bytes(b"batch");
    let partition = ProduceRequestPartition { index: 0, records: Some(records) };
    let topic = ProduceRequestTopic { name: "t".into(), partition_data: vec![partition] };
    let bytes = ProduceRequest { topic_data: vec![topic], ..Default::default() }.encode(9).unwrap();
    let request = ProduceRequest::decode(&bytes, 9).unwrap();
    let lent = request.topic_data[0].partition_data[0].records.unwrap().bytes();
    assert!(bytes.as_ptr_range().contains(&lent.as_ptr()));
}

#[test]
fn the_answer_to_api_versions_lists_every_api() {
    let served = ApiVersionsResponse::served();
    assert_eq!(served.len(), APIS.len());
    let produce = served.iter().find(|range| range.api_key == 0).unwrap();
    assert_eq!((produce.min_version, produce.max_version), (0, 11));
}
