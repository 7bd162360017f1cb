//! An Apache Kafka of one node, started for the tests, and what they ask of it through Java's own client.
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::java::{self, Helper};
use super::process::Running;
use super::unique;

/// The first start on a machine brings Kafka's jars.
const FIRST_START: Duration = Duration::from_secs(600);

/// A running broker; dropped, it ends and its data is removed. It also ends when this process does, however that ends.
#[derive(Debug)]
pub(crate) struct Kafka {
    running: Running,
    helper: OnceLock<Helper>,
    /// `HOST:PORT` of each listener.
    pub(crate) addresses: Vec<String>,
}

impl Kafka {
    /// Starts a broker with these settings of its own (`key=value`) and waits until it takes requests.
    pub(crate) fn start(settings: &[&str]) -> Self {
        Self::launch(settings)
    }

    /// As [`Kafka::start`], with the data kept in `dir`, where the next one started there finds it. To come back on
    /// the same port, give it `listeners=PLAINTEXT://ADDRESS`.
    pub(crate) fn start_in(dir: &Path, settings: &[&str]) -> Self {
        // A node that comes back is let in only when its predecessor's session is over. Without heartbeats well within
        // that time the broker would shut itself out now and then.
        let session = ["broker.session.timeout.ms=2000", "broker.heartbeat.interval.ms=250"];
        let own = [&["--dir", dir.to_str().unwrap()], &session[..]].concat();
        Self::launch(&[&own, settings].concat())
    }

    fn launch(args: &[&str]) -> Self {
        let args = [&["Broker"], args].concat();
        let running = Running::start(java::command(&args), args.join(" ")).limit(FIRST_START);
        let addresses = running.take_line().split(' ').map(str::to_owned).collect();
        Self { running, helper: OnceLock::new(), addresses }
    }

    /// `HOST:PORT` of the first listener.
    pub(crate) fn address(&self) -> &str {
        &self.addresses[0]
    }

    /// Ends the broker as a power cut would.
    pub(crate) fn kill(self) {
        self.running.signal(Signal::KILL);
    }

    /// The last lines the broker logged.
    pub(crate) fn log_tail(&self) -> String {
        let log = self.running.stderr_so_far();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    /// Java's client for this broker.
    pub(crate) fn helper(&self) -> &Helper {
        self.helper.get_or_init(|| Helper::start(self.address()))
    }

    /// Creates a topic of a name of its own that begins with `name`; every partition is ready when this returns.
    pub(crate) fn topic(&self, name: &str, partitions: u32) -> String {
        self.topic_with(name, partitions, json!({}))
    }

    /// As [`Kafka::topic`], with topic settings such as `{"cleanup.policy": "compact"}`.
    pub(crate) fn topic_with(&self, name: &str, partitions: u32, config: Value) -> String {
        let topic = unique(name);
        self.helper()
            .must(&json!({"do": "create_topic", "topic": topic, "partitions": partitions, "config": config}));
        topic
    }

    /// Publishes through Java's producer; `config` is the producer's, such as `{"compression.type": "lz4"}`.
    pub(crate) fn produce(&self, topic: &str, records: &[Record], config: Value) {
        let records: Vec<Value> = records.iter().map(Record::to_json).collect();
        self.helper().must(&json!({"do": "produce", "topic": topic, "records": records, "config": config}));
    }

    /// Publishes in one transaction, which leaves a marker behind the records in every partition they went to.
    pub(crate) fn transaction(&self, topic: &str, records: &[Record], end: Transaction) {
        let records: Vec<Value> = records.iter().map(Record::to_json).collect();
        let end = match end {
            Transaction::Commit => "commit",
            Transaction::Abort => "abort",
            Transaction::Open => "open",
        };
        self.helper().must(&json!({"do": "produce", "topic": topic, "records": records, "transaction": end}));
    }

    /// All records of a topic as Java's consumer sees them, aborted ones left out, partition by partition.
    pub(crate) fn consume(&self, topic: &str) -> Vec<Record> {
        let config = json!({"isolation.level": "read_committed"});
        let records = self.helper().must(&json!({"do": "consume", "topic": topic, "config": config}));
        let mut records: Vec<_> = records.as_array().unwrap().iter().map(Record::from_json).collect();
        records.sort_by_key(|record| (record.partition, record.offset));
        records
    }

    /// As [`Kafka::consume`]: key, headers and value alone.
    pub(crate) fn contents(&self, topic: &str) -> Vec<Record> {
        self.consume(topic).into_iter().map(Record::content).collect()
    }

    /// The first offset of each partition.
    pub(crate) fn begin_offsets(&self, topic: &str) -> Vec<i64> {
        self.offsets("begin_offsets", topic)
    }

    /// The offset after the last record (or marker) of each partition.
    pub(crate) fn end_offsets(&self, topic: &str) -> Vec<i64> {
        self.offsets("end_offsets", topic)
    }

    fn offsets(&self, which: &str, topic: &str) -> Vec<i64> {
        let offsets = self.helper().must(&json!({"do": which, "topic": topic}));
        offsets.as_array().unwrap().iter().map(|offset| offset.as_i64().unwrap()).collect()
    }

    /// Removes what is before `offset`, so that the partition begins there.
    pub(crate) fn delete_records(&self, topic: &str, partition: u32, before: i64) {
        self.helper()
            .must(&json!({"do": "delete_records", "topic": topic, "partition": partition, "before": before}));
    }

    /// The offset a group has committed for a partition.
    pub(crate) fn committed(&self, group: &str, topic: &str, partition: u32) -> Option<i64> {
        let committed = self.helper().must(&json!({"do": "committed", "group": group}));
        committed[format!("{topic}-{partition}")].as_i64()
    }

    /// Commits for a group that has no member.
    pub(crate) fn set_committed(&self, group: &str, topic: &str, partition: u32, offset: i64) {
        self.helper().must(&json!({
            "do": "set_committed", "group": group, "topic": topic, "partition": partition, "offset": offset,
        }));
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        self.running.end_within(Duration::from_secs(10));
    }
}

/// How a transaction ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Transaction {
    Commit,
    Abort,
    /// Not at all, for the minute after which the broker aborts it.
    Open,
}

/// A record as Java's client takes and gives it. To publish, `partition` and `timestamp` may be left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) partition: Option<u32>,
    pub(crate) offset: Option<i64>,
    /// Milliseconds since 1970.
    pub(crate) timestamp: Option<i64>,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
    pub(crate) value: Option<Vec<u8>>,
}

impl Record {
    /// A record of a value only.
    pub(crate) fn of(value: impl AsRef<[u8]>) -> Self {
        Self { value: Some(value.as_ref().to_vec()), ..Self::default() }
    }

    /// Gives it a key.
    pub(crate) fn key(mut self, key: impl AsRef<[u8]>) -> Self {
        self.key = Some(key.as_ref().to_vec());
        self
    }

    /// Adds a header; `None` is a null value.
    pub(crate) fn header(mut self, name: &str, value: Option<&[u8]>) -> Self {
        self.headers.push((name.to_owned(), value.map(<[u8]>::to_vec)));
        self
    }

    /// Chooses the partition.
    pub(crate) fn to(mut self, partition: u32) -> Self {
        self.partition = Some(partition);
        self
    }

    /// Sets the time, in milliseconds since 1970.
    pub(crate) fn at(mut self, timestamp: i64) -> Self {
        self.timestamp = Some(timestamp);
        self
    }

    /// Key, headers and value alone: what was published, wherever it went.
    pub(crate) fn content(self) -> Self {
        Self { partition: None, offset: None, timestamp: None, ..self }
    }

    fn to_json(&self) -> Value {
        let bytes = |bytes: &Option<Vec<u8>>| bytes.as_ref().map(|bytes| STANDARD.encode(bytes));
        let headers: Vec<Value> =
            self.headers.iter().map(|(name, value)| json!([name, bytes(value)])).collect();
        json!({
            "partition": self.partition, "timestamp": self.timestamp,
            "key": bytes(&self.key), "value": bytes(&self.value), "headers": headers,
        })
    }

    fn from_json(json: &Value) -> Self {
        let bytes = |json: &Value| json.as_str().map(|text| STANDARD.decode(text).unwrap());
        let header = |pair: &Value| (pair[0].as_str().unwrap().to_owned(), bytes(&pair[1]));
        Self {
            partition: json["partition"].as_u64().map(|partition| u32::try_from(partition).unwrap()),
            offset: json["offset"].as_i64(),
            timestamp: json["timestamp"].as_i64(),
            key: bytes(&json["key"]),
            headers: json["headers"].as_array().unwrap().iter().map(header).collect(),
            value: bytes(&json["value"]),
        }
    }
}
