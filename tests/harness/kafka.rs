//! A broker under test, real or embedded, and what the tests ask of it through another client.
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::app::Kps;
use super::client::{Ask, Client, Clients};
use super::process::Running;
use super::proxy::Proxy;
use super::{FIRST_START, java, unique};

/// A kind of broker to test with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Apache Kafka, one node, by `tests/kafka/Broker.java`.
    Kafka,
    /// Our own, in this process unless it is to be killed or stopped.
    Embedded,
}

impl Kind {
    /// Those built in.
    pub(crate) fn all() -> Vec<Self> {
        let embedded = cfg!(feature = "broker").then_some(Self::Embedded);
        [Self::Kafka].into_iter().chain(embedded).collect()
    }

    /// Its name in those of trials.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::Embedded => "embedded",
        }
    }

    /// The client that the tests ask unless they name one: Java's, but of the embedded broker librdkafka where Java is
    /// not installed or `KPS_TEST_HELPER=librdkafka` says so.
    pub(crate) fn helper(self) -> Client {
        let asked = || std::env::var("KPS_TEST_HELPER").is_ok_and(|name| name == Client::Librdkafka.name());
        match self {
            Self::Embedded if java::missing().is_some() || asked() => Client::Librdkafka,
            _ => Client::Java,
        }
    }

    /// As [`Self::helper`], where a broker has one trial alone: one that starts at once, if there is any.
    fn quick_helper(self) -> Client {
        let quick = Client::all().contains(&Client::Librdkafka);
        if quick { Client::Librdkafka } else { self.helper() }
    }
}

/// A running broker; dropped, it ends and its data is removed. It also ends when this process does, however that ends.
#[derive(Debug)]
pub(crate) struct Kafka {
    kind: Kind,
    node: Node,
    helper: Client,
    clients: Clients,
    address: String,
}

#[derive(Debug)]
enum Node {
    /// A process of its own, which ends when its standard input does.
    Process(Running),
    /// In this process.
    #[cfg(feature = "broker")]
    Embedded(kps::broker::Broker, Lines),
}

/// What the embedded broker logged.
type Lines = Arc<Mutex<Vec<String>>>;

/// What Kafka's broker is started with beside its defaults: a topic is there only when a trial has created it, and
/// members of the new group protocol may be missed for a time that a test can wait for.
pub(super) const SETTINGS: [&str; 5] = [
    "auto.create.topics.enable=false",
    "group.consumer.min.session.timeout.ms=6000",
    "group.consumer.session.timeout.ms=6000",
    "group.consumer.min.heartbeat.interval.ms=1000",
    "group.consumer.heartbeat.interval.ms=1000",
];

/// With these it has rules of who may do what.
const GUARDED: [&str; 2] = [
    "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found=true",
];

/// A node that comes back is let in only when its predecessor's session is over. Without heartbeats well within that
/// time the broker would shut itself out now and then.
pub(super) const SESSION: [&str; 2] = ["broker.session.timeout.ms=2000", "broker.heartbeat.interval.ms=250"];

impl Kafka {
    /// Starts a broker that creates no topic by itself and waits until it takes requests.
    pub(crate) fn start(kind: Kind) -> Self {
        Self::launch(kind, None, None)
    }

    /// As [`Kafka::start`], with the data kept in `dir`, where the next one started there finds it, and at `address`
    /// if it is to come back there.
    pub(crate) fn start_in(kind: Kind, dir: &Path, address: Option<&str>) -> Self {
        Self::launch(kind, Some(dir), address)
    }

    /// Starts a broker that asks who may do what: everybody everything, until something is [forbidden](Self::forbid_commits).
    pub(crate) fn start_guarded(kind: Kind) -> Self {
        let (node, address) = match kind {
            Kind::Kafka => kafka_with(&GUARDED),
            Kind::Embedded => embedded(None, None, None),
        };
        Self { kind, node, helper: kind.helper(), clients: Clients::default(), address }
    }

    /// From now on the group may not be read nor committed for. (The embedded broker, which has no such rules, refuses
    /// all commits.)
    pub(crate) fn forbid_commits(&self, group: &str) {
        match &self.node {
            Node::Process(_) => drop(self.helper().must(&json!({"do": "deny_group", "group": group}))),
            #[cfg(feature = "broker")]
            Node::Embedded(broker, _) => {
                broker.faults().add(
                    kps::wire::ApiKey::OffsetCommit,
                    usize::MAX,
                    kps::broker::FaultKind::Error(30),
                );
            }
        }
    }

    /// As [`Kafka::start_in`], in a process of its own, for what only happens to those.
    pub(crate) fn start_apart(kind: Kind, dir: &Path, address: Option<&str>) -> Self {
        let (node, address) = match kind {
            Kind::Kafka => kafka(Some(dir), address),
            Kind::Embedded => embedded_apart(dir, address.unwrap_or("127.0.0.1:0")),
        };
        Self { kind, node, helper: kind.quick_helper(), clients: Clients::default(), address }
    }

    /// Starts a broker that clients reach at `advertised` alone, by whoever leads from there to the address that is
    /// returned beside it. [`Kafka::address`] is the former.
    pub(crate) fn start_behind(kind: Kind, advertised: SocketAddr) -> (Self, SocketAddr) {
        let (node, address) = match kind {
            Kind::Kafka => kafka_with(&[&format!("advertised.listeners=PLAINTEXT://{advertised}")]),
            Kind::Embedded => embedded(None, None, Some(advertised)),
        };
        let own = address.parse().unwrap();
        let (helper, address) = (kind.quick_helper(), advertised.to_string());
        (Self { kind, node, helper, clients: Clients::default(), address }, own)
    }

    /// Starts one that clients reach through a proxy alone.
    pub(crate) fn start_behind_proxy(kind: Kind) -> (Proxy, Self) {
        let proxy = Proxy::start();
        let (kafka, own) = Self::start_behind(kind, proxy.address());
        proxy.lead_to(own);
        (proxy, kafka)
    }

    fn launch(kind: Kind, dir: Option<&Path>, address: Option<&str>) -> Self {
        let (node, address) = match kind {
            Kind::Kafka => kafka(dir, address),
            Kind::Embedded => embedded(dir, address, None),
        };
        Self { kind, node, helper: kind.helper(), clients: Clients::default(), address }
    }

    /// The brokers at `address` as one, for as long as the process of their controller runs.
    pub(super) fn led_by(controller: Running, address: String) -> Self {
        let (kind, node) = (Kind::Kafka, Node::Process(controller));
        Self { kind, node, helper: kind.helper(), clients: Clients::default(), address }
    }

    /// What it is.
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// `HOST:PORT`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Ends the broker as a power cut would; the embedded one, which lives in this process, at least without a word
    /// to its clients.
    pub(crate) fn kill(self) {
        match &self.node {
            Node::Process(running) => running.signal(Signal::KILL),
            #[cfg(feature = "broker")]
            Node::Embedded(..) => {}
        }
    }

    /// Sends a signal to a broker [in a process of its own](Self::start_apart).
    pub(crate) fn signal(&self, signal: Signal) {
        match &self.node {
            Node::Process(running) => running.signal(signal),
            #[cfg(feature = "broker")]
            Node::Embedded(..) => panic!("it is in this process"),
        }
    }

    /// The last lines the broker logged.
    pub(crate) fn log_tail(&self) -> String {
        let lines: Vec<String> = match &self.node {
            Node::Process(running) => running.stderr_so_far().lines().map(str::to_owned).collect(),
            #[cfg(feature = "broker")]
            Node::Embedded(_, lines) => lines.lock().unwrap().clone(),
        };
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    /// The client that the tests ask.
    pub(crate) fn helper(&self) -> &dyn Ask {
        self.client(self.helper)
    }

    /// This client for this broker.
    pub(crate) fn client(&self, client: Client) -> &dyn Ask {
        self.clients.get(client, &self.address)
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

    /// Publishes; `config` is the producer's, such as `{"compression.type": "lz4"}`.
    pub(crate) fn produce(&self, topic: &str, records: &[Record], config: Value) {
        let records = Record::all_to_json(records);
        self.helper().must(&json!({"do": "produce", "topic": topic, "records": records, "config": config}));
    }

    /// Publishes in one transaction, which leaves a marker behind the records in every partition they went to.
    pub(crate) fn transaction(&self, topic: &str, records: &[Record], end: Transaction) {
        let (records, end) = (Record::all_to_json(records), end.name());
        self.helper().must(&json!({"do": "produce", "topic": topic, "records": records, "transaction": end}));
    }

    /// All records of a topic, aborted ones left out, partition by partition.
    pub(crate) fn consume(&self, topic: &str) -> Vec<Record> {
        let config = json!({"isolation.level": "read_committed"});
        Record::all_from_json(
            &self.helper().must(&json!({"do": "consume", "topic": topic, "config": config})),
        )
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
        let committed = self.helper().must(&json!({"do": "committed", "group": group, "topic": topic}));
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
        match &mut self.node {
            Node::Process(running) => running.end_within(Duration::from_secs(10)),
            #[cfg(feature = "broker")]
            Node::Embedded(..) => {}
        }
    }
}

fn kafka(dir: Option<&Path>, address: Option<&str>) -> (Node, String) {
    let listener = address.map(|address| format!("listeners=PLAINTEXT://{address}"));
    let mut args = vec!["Broker"];
    if let Some(dir) = dir {
        args.extend(["--dir", dir.to_str().unwrap()]);
        args.extend(SESSION);
    }
    args.extend(listener.as_deref());
    kafka_with(&args[1..])
}

fn kafka_with(more: &[&str]) -> (Node, String) {
    let args = [&["Broker"], more, &SETTINGS].concat();
    // The port it has chosen for its controller may be taken by a connection of another trial, which ends the process.
    for attempt in 1.. {
        let running = Running::start_apart(java::command(&args), args.join(" ")).limit(FIRST_START);
        match running.try_line() {
            Ok(address) => return (Node::Process(running), address),
            Err(shown) => assert!(attempt < 3 && shown.contains("Address already in use"), "{shown}"),
        }
    }
    unreachable!("it starts or it does not")
}

/// Our broker as the program runs it: as long as a command that ends when its standard input does.
fn embedded_apart(dir: &Path, address: &str) -> (Node, String) {
    let script = r#"echo "$KPS_BOOTSTRAP_SERVER"; exec cat >/dev/null"#;
    let run = Kps::new(["broker", "--no-auto-create", "--listen", address, "--data"]).args([dir]);
    let running = run.args(["--", "sh", "-c", script]).spawn();
    let address = running.take_line();
    (Node::Process(running), address)
}

#[cfg(feature = "broker")]
fn embedded(dir: Option<&Path>, address: Option<&str>, advertised: Option<SocketAddr>) -> (Node, String) {
    use kps::broker::{Broker, Log, Options};
    let lines = Lines::default();
    let log = Arc::clone(&lines);
    let mut options = Options {
        data: dir.map(Path::to_owned),
        advertised,
        auto_create: false,
        log: Log::new(move |line| log.lock().unwrap().push(line.to_owned())),
        ..Options::default()
    };
    options.consumer_groups.session_timeout = Duration::from_secs(6);
    options.consumer_groups.heartbeat_interval = Duration::from_secs(1);
    if let Some(address) = address {
        options.listen = address.parse().unwrap();
    }
    let broker = Broker::start(options).unwrap();
    let address = broker.addr().to_string();
    (Node::Embedded(broker, lines), address)
}

#[cfg(not(feature = "broker"))]
fn embedded(_: Option<&Path>, _: Option<&str>, _: Option<SocketAddr>) -> (Node, String) {
    unreachable!("not among all()")
}

/// How a transaction ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Transaction {
    Commit,
    Abort,
    /// Not at all, for the minute after which the broker aborts it.
    Open,
}

impl Transaction {
    /// Its name in requests.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::Abort => "abort",
            Self::Open => "open",
        }
    }
}

/// A record as clients take and give it. To publish, `partition` and `timestamp` may be left out.
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

    /// As requests have them.
    pub(crate) fn all_to_json(records: &[Self]) -> Value {
        records.iter().map(Self::to_json).collect()
    }

    /// From an answer, partition by partition.
    pub(crate) fn all_from_json(records: &Value) -> Vec<Self> {
        let mut records: Vec<_> = records.as_array().unwrap().iter().map(Self::from_json).collect();
        records.sort_by_key(|record| (record.partition, record.offset));
        records
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
