//! CreatePartitions (key 37), versions 0 to 3, flexible from 2.

use super::super::Text;

message! {
    /// Adds partitions to topics.
    pub struct CreatePartitionsRequest<'a> {
        /// The topics.
        topics: Vec<CreatePartitionsRequestTopic<'a>>;
        /// How long to wait for it, in ms.
        timeout_ms: i32;
        /// Whether only to say if it could be done.
        validate_only: bool;
    }

    /// How many partitions one topic is to have.
    pub struct CreatePartitionsRequestTopic<'a> {
        /// The topic.
        name: Text<'a>;
        /// How many partitions it is to have in all.
        count: i32;
        /// The replicas of each new partition; null leaves them to the broker.
        assignments: Option<Vec<CreatePartitionsAssignment>>;
    }

    /// The replicas of one new partition.
    pub struct CreatePartitionsAssignment {
        /// The brokers, the preferred leader first.
        broker_ids: Vec<i32>;
    }

    /// What became of the topics.
    pub struct CreatePartitionsResponse<'a> {
        /// How long the client is to wait before its next request, in ms.
        throttle_time_ms: i32;
        /// One for each asked for.
        results: Vec<CreatePartitionsResponseTopic<'a>>;
    }

    /// What became of one topic.
    pub struct CreatePartitionsResponseTopic<'a> {
        /// The topic.
        name: Text<'a>;
        /// What went wrong; 0 if nothing.
        error_code: i16;
        /// What went wrong, in words.
        error_message: Option<Text<'a>>;
    }
}
