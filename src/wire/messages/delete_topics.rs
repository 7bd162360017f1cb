//! DeleteTopics (key 20), versions 1 to 6, flexible from 4.

use super::super::{Text, Uuid};

message! {
    /// Deletes topics.
    pub struct DeleteTopicsRequest<'a> {
        /// The topics, by name or by id.
        topics: Vec<DeleteTopicsRequestTopic<'a>>, in 6..;
        /// The topics, by name.
        topic_names: Vec<Text<'a>>, in ..=5;
        /// How long to wait for it, in ms.
        timeout_ms: i32;
    }

    /// A topic to delete, by name or by id.
    pub struct DeleteTopicsRequestTopic<'a> {
        /// The topic; null if it is named by its id.
        name: Option<Text<'a>>;
        /// The topic's id; all zero if it has none or is named.
        topic_id: Uuid;
    }

    /// What became of the topics.
    pub struct DeleteTopicsResponse<'a> {
        /// How long the client is to wait before its next request, in ms.
        throttle_time_ms: i32;
        /// The topics.
        responses: Vec<DeleteTopicsResponseTopic<'a>>;
    }

    /// What became of one topic.
    pub struct DeleteTopicsResponseTopic<'a> {
        /// The topic; null if it was asked for by an id that is not known.
        name: Option<Text<'a>>, null 6..;
        /// The topic's id; all zero if it has none or is named.
        topic_id: Uuid, in 6..;
        /// What went wrong; 0 if nothing.
        error_code: i16;
        /// What went wrong, in words.
        error_message: Option<Text<'a>>, in 5..;
    }
}
