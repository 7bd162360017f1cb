//! Which APIs there are here, in which versions.

use std::ops::RangeInclusive;

use super::field::{Field, Version};
use super::messages::*;
use super::reader::{DecodeError, Problem, Reader};
use super::writer::{EncodeError, Misfit, Writer};

/// One API: a request and its response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Api {
    /// Which it is.
    pub key: ApiKey,
    /// Its name in the protocol guide.
    pub name: &'static str,
    /// The oldest version served.
    pub min: i16,
    /// The newest version served.
    pub max: i16,
    /// The first flexible version; above `max` if there is none.
    pub flexible: i16,
}

impl Api {
    /// The API of a request's key, if it is served.
    pub fn find(key: i16) -> Option<&'static Self> {
        APIS.iter().find(|api| api.key as i16 == key)
    }

    /// The version of that number, if it is served.
    pub fn version(&self, number: i16) -> Option<Version> {
        self.versions().contains(&number).then_some(Version { number, flexible: number >= self.flexible })
    }

    /// The versions served.
    pub fn versions(&self) -> RangeInclusive<i16> {
        self.min..=self.max
    }

    /// The newest version that both sides know, where the other knows `min` to `max`.
    pub fn newest_in_common(&self, min: i16, max: i16) -> Option<i16> {
        let newest = self.max.min(max);
        (newest >= self.min.max(min)).then_some(newest)
    }
}

/// A request or response as a whole.
pub trait Message<'a>: Field<'a> + Default {
    /// The API it belongs to.
    const API: &'static Api;

    /// Reads all of `bytes`, what follows a header.
    ///
    /// # Errors
    /// If the version is not served, the bytes are not that message, or some are left over.
    fn decode(bytes: &'a [u8], version: i16) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        let message = Self::decode_from(&mut r, version)?;
        r.finish()?;
        Ok(message)
    }

    /// Reads the message that starts where the reader stands.
    ///
    /// # Errors
    /// If the version is not served, or the bytes are not that message.
    fn decode_from(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        r.enter(Self::API.name);
        match Self::API.version(version) {
            Some(v) => Self::read(r, v),
            None => r.fail(Problem::Version(version)),
        }
    }

    /// Appends the message to what the writer has. Fields that the version lacks are left out.
    fn encode_to(&self, w: &mut Writer, version: i16) {
        w.enter(Self::API.name);
        match Self::API.version(version) {
            Some(v) => self.write(w, v),
            None => w.fail(Misfit::Version(version)),
        }
    }

    /// The message's bytes, without a header.
    ///
    /// # Errors
    /// If the version is not served, or has no form for a value.
    fn encode(&self, version: i16) -> Result<Vec<u8>, EncodeError> {
        let mut w = Writer::new();
        self.encode_to(&mut w, version);
        w.finish()
    }
}

/// A request, which names its response.
pub trait Request<'a>: Message<'a> {
    /// What answers it.
    type Response<'r>: Message<'r>;
}

/// Makes the table of APIs, and ties each request and response to its row.
macro_rules! apis {
    ($($(#[$doc:meta])* $name:ident = $key:literal, $min:literal..=$max:literal, flexible $flexible:literal,
        $request:ident $(<$lt:lifetime>)? => $response:ident $(<$rt:lifetime>)?;)*) => {
        /// What a request is for: the first number in its header.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(i16)]
        pub enum ApiKey {$(
            $(#[$doc])*
            $name = $key,
        )*}

        impl ApiKey {
            /// Its versions.
            pub const fn api(self) -> &'static Api {
                match self {$(
                    Self::$name => &Api {
                        key: Self::$name,
                        name: stringify!($name),
                        min: $min,
                        max: $max,
                        flexible: $flexible,
                    },
                )*}
            }
        }

        /// The APIs served and asked for, in the order of their keys.
        pub const APIS: &[Api] = &[$(*ApiKey::$name.api()),*];

        $(
            impl<'a> Message<'a> for $request $(<$lt>)? {
                const API: &'static Api = ApiKey::$name.api();
            }

            impl<'a> Message<'a> for $response $(<$rt>)? {
                const API: &'static Api = ApiKey::$name.api();
            }

            impl<'a> Request<'a> for $request $(<$lt>)? {
                type Response<'r> = apis!(@lifetime $response $(<$rt>)?);
            }
        )*
    };
    (@lifetime $response:ident) => { $response };
    (@lifetime $response:ident <$rt:lifetime>) => { $response<'r> };
}

apis! {
    /// Writes record batches.
    Produce = 0, 3..=11, flexible 9, ProduceRequest<'a> => ProduceResponse<'a>;
    /// Reads record batches.
    Fetch = 1, 4..=12, flexible 12, FetchRequest<'a> => FetchResponse<'a>;
    /// Finds offsets by time.
    ListOffsets = 2, 1..=8, flexible 6, ListOffsetsRequest<'a> => ListOffsetsResponse<'a>;
    /// Describes topics and who leads their partitions.
    Metadata = 3, 0..=12, flexible 9, MetadataRequest<'a> => MetadataResponse<'a>;
    /// Keeps a group's offsets.
    OffsetCommit = 8, 2..=9, flexible 8, OffsetCommitRequest<'a> => OffsetCommitResponse<'a>;
    /// Reads a group's offsets.
    OffsetFetch = 9, 1..=9, flexible 6, OffsetFetchRequest<'a> => OffsetFetchResponse<'a>;
    /// Finds the broker that coordinates a group or a transactional id.
    FindCoordinator = 10, 0..=6, flexible 3, FindCoordinatorRequest<'a> => FindCoordinatorResponse<'a>;
    /// Enters a group.
    JoinGroup = 11, 0..=9, flexible 6, JoinGroupRequest<'a> => JoinGroupResponse<'a>;
    /// Keeps a membership alive.
    Heartbeat = 12, 0..=4, flexible 4, HeartbeatRequest<'a> => HeartbeatResponse;
    /// Leaves a group.
    LeaveGroup = 13, 0..=5, flexible 4, LeaveGroupRequest<'a> => LeaveGroupResponse<'a>;
    /// Hands out a group's assignments.
    SyncGroup = 14, 0..=5, flexible 4, SyncGroupRequest<'a> => SyncGroupResponse<'a>;
    /// Describes groups.
    DescribeGroups = 15, 0..=6, flexible 5, DescribeGroupsRequest<'a> => DescribeGroupsResponse<'a>;
    /// Lists groups.
    ListGroups = 16, 0..=5, flexible 3, ListGroupsRequest<'a> => ListGroupsResponse<'a>;
    /// Tells which APIs a broker serves.
    ApiVersions = 18, 0..=4, flexible 3, ApiVersionsRequest<'a> => ApiVersionsResponse<'a>;
    /// Creates topics.
    CreateTopics = 19, 2..=7, flexible 5, CreateTopicsRequest<'a> => CreateTopicsResponse<'a>;
    /// Deletes topics.
    DeleteTopics = 20, 1..=6, flexible 4, DeleteTopicsRequest<'a> => DeleteTopicsResponse<'a>;
    /// Deletes the oldest records of partitions.
    DeleteRecords = 21, 0..=2, flexible 2, DeleteRecordsRequest<'a> => DeleteRecordsResponse<'a>;
    /// Gives a producer its id.
    InitProducerId = 22, 0..=5, flexible 2, InitProducerIdRequest<'a> => InitProducerIdResponse;
    /// Makes partitions part of a transaction.
    AddPartitionsToTxn = 24, 0..=3, flexible 3,
        AddPartitionsToTxnRequest<'a> => AddPartitionsToTxnResponse<'a>;
    /// Makes a group's offsets part of a transaction.
    AddOffsetsToTxn = 25, 0..=4, flexible 3, AddOffsetsToTxnRequest<'a> => AddOffsetsToTxnResponse;
    /// Commits or aborts a transaction.
    EndTxn = 26, 0..=5, flexible 3, EndTxnRequest<'a> => EndTxnResponse;
    /// Keeps a group's offsets when a transaction is committed.
    TxnOffsetCommit = 28, 0..=5, flexible 3, TxnOffsetCommitRequest<'a> => TxnOffsetCommitResponse<'a>;
    /// Tells the configuration of topics and brokers.
    DescribeConfigs = 32, 1..=4, flexible 4, DescribeConfigsRequest<'a> => DescribeConfigsResponse<'a>;
    /// Adds partitions to topics.
    CreatePartitions = 37, 0..=3, flexible 2, CreatePartitionsRequest<'a> => CreatePartitionsResponse<'a>;
    /// Deletes groups.
    DeleteGroups = 42, 0..=2, flexible 2, DeleteGroupsRequest<'a> => DeleteGroupsResponse<'a>;
    /// Deletes a group's offsets of partitions. Has no flexible version.
    OffsetDelete = 47, 0..=0, flexible 1, OffsetDeleteRequest<'a> => OffsetDeleteResponse<'a>;
    /// Describes the brokers.
    DescribeCluster = 60, 0..=2, flexible 0, DescribeClusterRequest => DescribeClusterResponse<'a>;
    /// Keeps a membership alive in a group of KIP-848's protocol, and carries its assignment.
    ConsumerGroupHeartbeat = 68, 0..=1, flexible 0,
        ConsumerGroupHeartbeatRequest<'a> => ConsumerGroupHeartbeatResponse<'a>;
    /// Describes groups of KIP-848's protocol.
    ConsumerGroupDescribe = 69, 0..=1, flexible 0,
        ConsumerGroupDescribeRequest<'a> => ConsumerGroupDescribeResponse<'a>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_and_consistent() {
        assert!(APIS.is_sorted_by(|a, b| a.key < b.key));
        for api in APIS {
            assert!(0 <= api.min && api.min <= api.max, "{api:?}");
            assert!(api.flexible <= api.max || api.key == ApiKey::OffsetDelete, "{api:?}");
            assert_eq!(Api::find(api.key as i16), Some(api));
        }
    }

    #[test]
    fn the_newest_version_in_common_is_taken() {
        let fetch = ApiKey::Fetch.api();
        assert_eq!(fetch.newest_in_common(0, 17), Some(12));
        assert_eq!(fetch.newest_in_common(0, 11), Some(11));
        assert_eq!(fetch.newest_in_common(0, 3), None);
        assert_eq!(fetch.newest_in_common(13, 17), None);
    }

    #[test]
    fn a_version_that_is_not_served_is_an_error_both_ways() {
        let read = HeartbeatRequest::decode(&[], 5).unwrap_err();
        assert_eq!(read.to_string(), "version 5 that is not served in Heartbeat at byte 0");
        let written = HeartbeatRequest::default().encode(-1).unwrap_err();
        assert_eq!(written.problem, Misfit::Version(-1));
    }
}
