//! The settings of topics and of the broker, as they are told.

use super::super::node::Node;
use super::super::storage::{self, Topic};

/// Where a value comes from, as the protocol numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i8)]
pub(super) enum Source {
    Topic = 1,
    Broker = 4,
    Default = 5,
}

/// The type of a value, as the protocol numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i8)]
pub(super) enum Kind {
    Boolean = 1,
    String = 2,
    Int = 3,
    Long = 5,
    List = 7,
}

/// A setting with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) name: &'static str,
    pub(super) value: String,
    pub(super) kind: Kind,
    pub(super) source: Source,
}

/// The settings of a topic: those that are followed, and those that have one value only.
pub(super) fn of_topic(node: &Node, topic: &Topic) -> Vec<Setting> {
    // What was accepted when the topic was created is accepted again.
    let defaults = &node.options.storage;
    let options = defaults.with_configs(topic.configs()).unwrap_or_else(|_| defaults.clone());
    let given = |name: &str| topic.configs().iter().any(|(given, _)| given == name);
    let setting = |(name, value, kind)| {
        let source = if given(name) { Source::Topic } else { Source::Default };
        Setting { name, value, kind, source }
    };
    values(&options).into_iter().map(setting).collect()
}

fn values(options: &storage::Options) -> [(&'static str, String, Kind); 8] {
    let time_type = if options.append_time { "LogAppendTime" } else { "CreateTime" };
    [
        ("cleanup.policy", "delete".into(), Kind::List),
        ("compression.type", "producer".into(), Kind::String),
        ("max.message.bytes", options.max_batch_bytes.to_string(), Kind::Int),
        ("message.timestamp.type", time_type.into(), Kind::String),
        ("min.insync.replicas", "1".into(), Kind::Int),
        ("retention.bytes", limit(options.retain_bytes), Kind::Long),
        ("retention.ms", limit(options.retain_time.map(|time| time.as_millis())), Kind::Long),
        ("segment.bytes", options.segment_bytes.to_string(), Kind::Int),
    ]
}

/// The settings of the broker.
pub(super) fn of_broker(node: &Node) -> Vec<Setting> {
    let options = &node.options;
    let storage = &options.storage;
    let values = [
        ("auto.create.topics.enable", options.auto_create.to_string(), Kind::Boolean),
        ("default.replication.factor", "1".into(), Kind::Int),
        ("log.cleanup.policy", "delete".into(), Kind::List),
        ("log.retention.bytes", limit(storage.retain_bytes), Kind::Long),
        ("log.retention.ms", limit(storage.retain_time.map(|time| time.as_millis())), Kind::Long),
        ("log.segment.bytes", storage.segment_bytes.to_string(), Kind::Int),
        ("message.max.bytes", storage.max_batch_bytes.to_string(), Kind::Int),
        ("num.partitions", options.partitions.to_string(), Kind::Int),
        ("socket.request.max.bytes", options.max_request.to_string(), Kind::Int),
    ];
    let setting = |(name, value, kind)| Setting { name, value, kind, source: Source::Broker };
    values.into_iter().map(setting).collect()
}

/// A limit as Kafka writes it: -1 is none.
fn limit(limit: Option<impl ToString>) -> String {
    limit.map_or_else(|| "-1".to_owned(), |limit| limit.to_string())
}
