//! CreateTopics (key 19), versions 2 to 7, flexible from 5.

use super::super::{Text, Uuid};

message! {
    /// Creates topics.
    pub struct CreateTopicsRequest<'a> {
        /// The topics.
        topics: Vec<CreateTopicsRequestTopic<'a>>;
        /// How long to wait for it, in ms.
        timeout_ms: i32 = 60000;
        /// Whether only to say if it could be done.
        validate_only: bool;
    }

    /// A topic to create.
    pub struct CreateTopicsRequestTopic<'a> {
        /// The topic.
        name: Text<'a>;
        /// How many partitions; -1 leaves it to the broker.
        num_partitions: i32;
        /// How many replicas; -1 leaves it to the broker.
        replication_factor: i16;
        /// The replicas of each partition; empty leaves them to the broker.
        assignments: Vec<CreateTopicsAssignment>;
        /// Its settings.
        configs: Vec<CreateTopicsConfig<'a>>;
    }

    /// The replicas of one partition.
    pub struct CreateTopicsAssignment {
        /// The partition.
        partition_index: i32;
        /// The brokers, the preferred leader first.
        broker_ids: Vec<i32>;
    }

    /// One setting of a topic.
    pub struct CreateTopicsConfig<'a> {
        /// Its name.
        name: Text<'a>;
        /// Its value; null for the default.
        value: Option<Text<'a>>;
    }

    /// What became of the topics.
    pub struct CreateTopicsResponse<'a> {
        /// How long the client is to wait before its next request, in ms.
        throttle_time_ms: i32;
        /// The topics.
        topics: Vec<CreateTopicsResponseTopic<'a>>;
    }

    /// What became of one topic.
    pub struct CreateTopicsResponseTopic<'a> {
        /// The topic.
        name: Text<'a>;
        /// The topic's id; all zero if it has none or is named.
        topic_id: Uuid, in 7..;
        /// What went wrong; 0 if nothing.
        error_code: i16;
        /// What went wrong, in words.
        error_message: Option<Text<'a>>;
        /// How many partitions it has; -1 if not known.
        num_partitions: i32 = -1, in 5..;
        /// How many replicas it has; -1 if not known.
        replication_factor: i16 = -1, in 5..;
        /// All its settings.
        configs: Option<Vec<CreateTopicsConfigResult<'a>>>, in 5..;
        /// Why there are no settings; 0 if there are.
        topic_config_error_code: i16, in 5.., tag 0;
    }

    /// One setting of a topic that was created.
    pub struct CreateTopicsConfigResult<'a> {
        /// Its name.
        name: Text<'a>;
        /// Its value; null if it is a secret.
        value: Option<Text<'a>>;
        /// Whether it cannot be changed.
        read_only: bool;
        /// Where the value comes from: 1 topic, 2 and 3 broker at run time, 4 broker file, 5 default.
        config_source: i8 = -1;
        /// Whether the value is a secret, and withheld.
        is_sensitive: bool;
    }
}
