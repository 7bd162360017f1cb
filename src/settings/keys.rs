//! The key table: one row per setting, with every spelling it is known by. Everything else (parsing,
//! checks, `kps config`, the README's table) reads these rows.

use super::Side;

/// A setting. One row of [`KEYS`] each, in the same order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyId {
    // of the tool
    Library,
    Profile,
    BootstrapServers,
    LogFormat,
    DrainTimeout,
    Resilient,
    ReconnectTries,
    ReconnectInterval,
    ReconnectJitter,
    BufferMaxMessages,
    BufferMaxBytes,
    BufferFull,
    SpoolDir,
    SpoolMaxBytes,
    FailedFile,
    // both sides
    ClientId,
    ClientRack,
    RequestTimeout,
    RetryBackoff,
    SocketTimeout,
    ConnectTimeout,
    ReconnectBackoff,
    ReconnectBackoffMax,
    MetadataMaxAge,
    AutoCreateTopics,
    SecurityProtocol,
    SslCaLocation,
    SslCertificateLocation,
    SslKeyLocation,
    SslKeyPassword,
    SslEndpointIdentification,
    SaslMechanism,
    SaslUsername,
    SaslPassword,
    // producer
    Acks,
    Retries,
    BatchSize,
    BatchNumMessages,
    Linger,
    CompressionType,
    CompressionLevel,
    MaxInFlight,
    BufferMemory,
    QueueMaxMessages,
    MaxRequestSize,
    DeliveryTimeout,
    EnableIdempotence,
    TransactionalId,
    Partitioner,
    // consumer
    GroupId,
    GroupInstanceId,
    GroupProtocol,
    GroupRemoteAssignor,
    AutoOffsetReset,
    EnableAutoCommit,
    AutoCommitInterval,
    MaxPollRecords,
    MaxPollInterval,
    SessionTimeout,
    HeartbeatInterval,
    AssignmentStrategy,
    IsolationLevel,
    FetchMinBytes,
    FetchMaxBytes,
    MaxPartitionFetchBytes,
    FetchMaxWait,
    CheckCrcs,
}

impl KeyId {
    /// Its row.
    pub fn key(self) -> &'static Key {
        &KEYS[self as usize]
    }
}

/// Whose setting it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// One for the whole run.
    Tool,
    /// Publishing and subscribing have one each.
    Both,
    /// For publishing only.
    Producer,
    /// For subscribing only.
    Consumer,
}

impl Role {
    /// What stands before the key, after `kafka.`.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Tool | Self::Both => "",
            Self::Producer => "producer.",
            Self::Consumer => "consumer.",
        }
    }
}

/// What a value looks like. Ranges are in the unit of the canonical spelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any text, empty too.
    Text,
    /// Text that is not empty.
    Name,
    /// host:port, several separated by commas.
    Servers,
    /// One of these, in either case.
    Choice(&'static [&'static str]),
    /// Some of these, separated by commas, the preferred one first.
    List(&'static [&'static str]),
    /// A whole number from .. to.
    Int(i64, i64),
    /// Milliseconds from .. to.
    Millis(i64, i64),
    /// Seconds, fractions too, from .. to; the range is in milliseconds, and so is the number.
    Seconds(i64, i64),
    /// Bytes from .. to.
    Bytes(i64, i64),
    /// Bytes from .. to, with a unit if one likes (`16MiB`): of settings that no other client has.
    Size(i64, i64),
    /// `true` or `false`.
    Bool,
}

impl Kind {
    /// Which values it takes, in a few words.
    fn describe(self) -> String {
        match self {
            Self::Text | Self::Name => "text".to_owned(),
            Self::Servers => "host:port, ...".to_owned(),
            Self::Choice(choices) => format!("`{}`", choices.join("`, `")),
            Self::List(choices) => format!("list of `{}`", choices.join("`, `")),
            Self::Int(min, max) => format!("{min} to {max}"),
            Self::Millis(min, max) => format!("{min} to {max} ms"),
            Self::Seconds(min, max) => format!("{} to {} s", seconds(min), seconds(max)),
            Self::Bytes(min, max) => format!("{min} to {max} bytes"),
            Self::Size(min, max) => format!("{min} to {max} bytes, or as `16MiB`"),
            Self::Bool => "`true`, `false`".to_owned(),
        }
    }
}

/// A librdkafka spelling: its name, and how many canonical units one of its units is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Native {
    /// librdkafka's own name.
    pub name: &'static str,
    /// 1, or 1024 where librdkafka counts KiB and the canonical spelling counts bytes.
    pub scale: i64,
}

/// A row of [`KEYS`].
#[derive(Debug)]
pub struct Key {
    /// Which setting.
    pub id: KeyId,
    /// The canonical spelling: the Java client's, where it has one.
    pub java: &'static str,
    /// librdkafka's spelling, `None` when librdkafka has no such setting.
    pub librdkafka: Option<Native>,
    /// kafka-python's spelling, where it is more than underscores for dots.
    pub python: Option<&'static str>,
    /// Further spellings, in the canonical unit.
    pub also: &'static [&'static str],
    /// The flag that sets it.
    pub flag: Option<&'static str>,
    /// Which values it takes.
    pub kind: Kind,
    /// Values that mean another value: (as typed, meant).
    pub synonyms: &'static [(&'static str, &'static str)],
    /// The value when nothing sets it.
    pub default: Option<&'static str>,
    /// Whose setting it is.
    pub role: Role,
    /// Never shown.
    pub secret: bool,
    /// One sentence for users.
    pub doc: &'static str,
}

/// Milliseconds as seconds.
pub(super) fn seconds(millis: i64) -> f64 {
    millis as f64 / 1000.0
}

const I32: i64 = i32::MAX as i64;
/// The longest a day, in milliseconds: waiting longer than that is another program's business.
const DAY: i64 = 86_400_000;
/// More bytes than any machine has for this.
const TEBI: i64 = 1 << 40;

#[rustfmt::skip]
/// All settings.
pub const KEYS: &[Key] = &[
    row(KeyId::Library, "library", Role::Tool, Kind::Choice(&["auto", "native", "rdkafka", "rskafka"]))
        .not_librdkafka().flag("--library").default("auto")
        .synonyms(&[("confluent-kafka", "rdkafka"), ("confluent_kafka", "rdkafka"), ("librdkafka", "rdkafka"),
                    ("kafka-python", "rskafka"), ("kafka_python", "rskafka")])
        .doc("client library; `auto` takes the first that is built in and can do what is asked"),
    row(KeyId::Profile, "profile", Role::Tool, Kind::Choice(&["high-throughput", "low-latency"]))
        .not_librdkafka().flag("--profile")
        .doc("a set of values for a purpose; what is also set explicitly wins over it"),
    row(KeyId::BootstrapServers, "bootstrap.servers", Role::Both, Kind::Servers)
        .librdkafka("metadata.broker.list").also(&["bootstrap.server"])
        .flag("-b, --bootstrap-server, --brokers").default("localhost:9092")
        .doc("brokers to ask first, host:port separated by commas; port 9092 if left out; `embedded` starts one for this run"),

    row(KeyId::LogFormat, "log.format", Role::Tool, Kind::Choice(&["text", "json"]))
        .not_librdkafka().flag("--log-format").default("text")
        .doc("how lines on standard error are written: for people, or an object of JSON each"),
    row(KeyId::DrainTimeout, "drain.timeout.seconds", Role::Tool, Kind::Seconds(0, DAY))
        .not_librdkafka().flag("--drain-timeout").default("30")
        .doc("how long a run that was told to end may go on delivering what it has read"),
    row(KeyId::Resilient, "resilient", Role::Tool, Kind::Bool)
        .not_librdkafka().flag("--resilient").default("false")
        .doc("go on through outages: reconnect, keep what is read meanwhile, send it when the brokers are back; on by itself with a spool"),
    row(KeyId::ReconnectTries, "resilient.reconnect.tries", Role::Tool, Kind::Int(1, 1_000_000))
        .not_librdkafka().flag("--reconnect-tries").default("10")
        .doc("intervals without any success after which a resilient run gives up"),
    row(KeyId::ReconnectInterval, "resilient.reconnect.interval.seconds", Role::Tool, Kind::Seconds(10, DAY))
        .not_librdkafka().flag("--reconnect-interval").default("60")
        .doc("time of one try, within which connections are tried again with growing pauses"),
    row(KeyId::ReconnectJitter, "resilient.reconnect.jitter", Role::Tool, Kind::Int(0, 100))
        .not_librdkafka().flag("--reconnect-jitter").default("20")
        .doc("by how many percent, at most and at random, a pause between connections is shortened"),
    row(KeyId::BufferMaxMessages, "resilient.buffer.max.messages", Role::Tool, Kind::Int(1, I32))
        .not_librdkafka().flag("--buffer-max-messages").default("10000")
        .doc("most records that a resilient run holds: read, and without an outcome"),
    row(KeyId::BufferMaxBytes, "resilient.buffer.max.bytes", Role::Tool, Kind::Size(1024, TEBI))
        .not_librdkafka().flag("--buffer-max-bytes").default("268435456")
        .doc("most bytes of such records"),
    row(KeyId::BufferFull, "resilient.buffer.full", Role::Tool, Kind::Choice(&["block", "fail"]))
        .not_librdkafka().flag("--buffer-full").default("block")
        .doc("what a full buffer means in an outage: `block` stops reading, `fail` gives up what is read further"),
    row(KeyId::SpoolDir, "resilient.spool.dir", Role::Tool, Kind::Name)
        .not_librdkafka().flag("--spool")
        .doc("folder that keeps what was read until it is delivered, over kills and restarts"),
    row(KeyId::SpoolMaxBytes, "resilient.spool.max.bytes", Role::Tool, Kind::Size(65_536, TEBI))
        .not_librdkafka().flag("--spool-max-bytes").default("1073741824")
        .doc("most bytes that the spool may take"),
    row(KeyId::FailedFile, "resilient.failed.file", Role::Tool, Kind::Name)
        .not_librdkafka().flag("--failed-to")
        .doc("file that undelivered records are appended to, as envelopes with the error; works without `resilient`, too"),

    row(KeyId::ClientId, "client.id", Role::Both, Kind::Text)
        .default("kps").doc("name of this client in the broker's logs, metrics and quotas"),
    row(KeyId::ClientRack, "client.rack", Role::Both, Kind::Text)
        .doc("rack of this client, to read from the nearest replica"),
    row(KeyId::RequestTimeout, "request.timeout.ms", Role::Both, Kind::Millis(1, 900_000))
        .default("30000").doc("how long the broker's answer to a request may take"),
    row(KeyId::RetryBackoff, "retry.backoff.ms", Role::Both, Kind::Millis(1, 300_000))
        .default("100").doc("wait before a failed request is sent again"),
    row(KeyId::SocketTimeout, "socket.timeout.ms", Role::Both, Kind::Millis(10, 300_000))
        .default("60000").doc("time limit of network requests that have none of their own"),
    row(KeyId::ConnectTimeout, "socket.connection.setup.timeout.ms", Role::Both, Kind::Millis(1000, I32))
        .default("10000").doc("time limit for connecting, TLS and SASL included"),
    row(KeyId::ReconnectBackoff, "reconnect.backoff.ms", Role::Both, Kind::Millis(0, 3_600_000))
        .default("50").doc("first wait before connecting again; doubles each time"),
    row(KeyId::ReconnectBackoffMax, "reconnect.backoff.max.ms", Role::Both, Kind::Millis(0, 3_600_000))
        .default("10000").doc("longest wait before connecting again"),
    row(KeyId::MetadataMaxAge, "metadata.max.age.ms", Role::Both, Kind::Millis(1, 3_600_000))
        .librdkafka("topic.metadata.refresh.interval.ms")
        .default("300000").doc("age at which topics and leaders are asked for again"),
    row(KeyId::AutoCreateTopics, "allow.auto.create.topics", Role::Both, Kind::Bool)
        .default("true").doc("let the broker create a topic that does not exist, if it is set up to"),
    row(KeyId::SecurityProtocol, "security.protocol", Role::Both,
        Kind::Choice(&["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]))
        .default("PLAINTEXT").doc("whether connections use TLS and SASL"),
    row(KeyId::SslCaLocation, "ssl.ca.location", Role::Both, Kind::Name)
        .python("ssl_cafile").also(&["ssl.truststore.location"])
        .doc("PEM file of the certificate authorities to trust; the system's if not set"),
    row(KeyId::SslCertificateLocation, "ssl.certificate.location", Role::Both, Kind::Name)
        .python("ssl_certfile").doc("PEM file of the client's certificate"),
    row(KeyId::SslKeyLocation, "ssl.key.location", Role::Both, Kind::Name)
        .python("ssl_keyfile").doc("PEM file of the client's private key"),
    row(KeyId::SslKeyPassword, "ssl.key.password", Role::Both, Kind::Text)
        .python("ssl_password").secret().doc("password of the private key"),
    row(KeyId::SslEndpointIdentification, "ssl.endpoint.identification.algorithm", Role::Both,
        Kind::Choice(&["https", "none"]))
        .python("ssl_check_hostname").synonyms(&[("", "none"), ("true", "https"), ("false", "none")])
        .default("https").doc("whether the broker's certificate must be for its host name"),
    row(KeyId::SaslMechanism, "sasl.mechanism", Role::Both,
        Kind::Choice(&["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", "GSSAPI"]))
        .librdkafka("sasl.mechanisms").doc("how to log in, with a SASL_ protocol"),
    row(KeyId::SaslUsername, "sasl.username", Role::Both, Kind::Text)
        .python("sasl_plain_username").doc("user name for PLAIN and SCRAM"),
    row(KeyId::SaslPassword, "sasl.password", Role::Both, Kind::Text)
        .python("sasl_plain_password").secret().doc("password for PLAIN and SCRAM"),

    row(KeyId::Acks, "acks", Role::Producer, Kind::Choice(&["all", "1", "0"]))
        .librdkafka("request.required.acks").flag("--acks").synonyms(&[("-1", "all")])
        .default("all").doc("who must have a record before it counts as delivered: all in-sync replicas, the leader, nobody"),
    row(KeyId::Retries, "retries", Role::Producer, Kind::Int(0, I32))
        .librdkafka("message.send.max.retries")
        .default("2147483647").doc("how often a failed request is sent again within delivery.timeout.ms"),
    row(KeyId::BatchSize, "batch.size", Role::Producer, Kind::Bytes(1, I32))
        .default("1000000").doc("most bytes of records in one batch of a partition"),
    row(KeyId::BatchNumMessages, "batch.num.messages", Role::Producer, Kind::Int(1, 1_000_000))
        .default("10000").doc("most records in one batch of a partition"),
    row(KeyId::Linger, "linger.ms", Role::Producer, Kind::Millis(0, 900_000))
        .librdkafka("queue.buffering.max.ms")
        .default("5").doc("how long a record may wait for others to share a batch"),
    row(KeyId::CompressionType, "compression.type", Role::Producer,
        Kind::Choice(&["none", "gzip", "snappy", "lz4", "zstd"]))
        .librdkafka("compression.codec").flag("-z")
        .default("none").doc("codec of record batches"),
    row(KeyId::CompressionLevel, "compression.level", Role::Producer, Kind::Int(-1, 12))
        .default("-1").doc("effort of the codec: gzip 0 to 9, lz4 0 to 12, zstd 1 to 12; -1 is the codec's own default"),
    row(KeyId::MaxInFlight, "max.in.flight.requests.per.connection", Role::Producer, Kind::Int(1, 1_000_000))
        .also(&["max.in.flight"])
        .default("5").doc("requests sent on one connection without waiting for the answer"),
    row(KeyId::BufferMemory, "buffer.memory", Role::Producer, Kind::Bytes(1024, I32 * 1024))
        .librdkafka_kib("queue.buffering.max.kbytes")
        .default("33554432").doc("bytes of records that may wait for delivery"),
    row(KeyId::QueueMaxMessages, "queue.buffering.max.messages", Role::Producer, Kind::Int(1, I32))
        .default("100000").doc("records that may wait for delivery"),
    row(KeyId::MaxRequestSize, "max.request.size", Role::Producer, Kind::Bytes(1000, 1_000_000_000))
        .librdkafka("message.max.bytes")
        .default("1048576").doc("largest record and largest request"),
    row(KeyId::DeliveryTimeout, "delivery.timeout.ms", Role::Producer, Kind::Millis(1, I32))
        .librdkafka("message.timeout.ms").synonyms(&[("0", "2147483647")])
        .default("120000").doc("time a record has to be delivered, retries included; 0 is the longest there is"),
    row(KeyId::EnableIdempotence, "enable.idempotence", Role::Producer, Kind::Bool)
        .default("true").doc("no duplicates and no reordering through retries; off by itself when acks is not all, retries is 0 or more than 5 requests may be in flight"),
    row(KeyId::TransactionalId, "transactional.id", Role::Producer, Kind::Name)
        .doc("publish in transactions under this name"),
    row(KeyId::Partitioner, "partitioner", Role::Producer,
        Kind::Choice(&["murmur2_random", "murmur2", "consistent_random", "consistent", "fnv1a_random", "fnv1a", "random"]))
        .also(&["partitioner.class"])
        .synonyms(&[("org.apache.kafka.clients.producer.internals.DefaultPartitioner", "murmur2_random"),
                    ("DefaultPartitioner", "murmur2_random")])
        .default("murmur2_random").doc("how a key chooses its partition; murmur2 is the Java client's, `_random` spreads records without a key"),

    row(KeyId::GroupId, "group.id", Role::Consumer, Kind::Name)
        .flag("-g").doc("consumer group to join"),
    row(KeyId::GroupInstanceId, "group.instance.id", Role::Consumer, Kind::Name)
        .doc("name of a static member of the group"),
    row(KeyId::GroupProtocol, "group.protocol", Role::Consumer, Kind::Choice(&["classic", "consumer"]))
        .default("classic").doc("how members agree: one of them assigns, or the broker does (KIP-848)"),
    row(KeyId::GroupRemoteAssignor, "group.remote.assignor", Role::Consumer, Kind::Name)
        .doc("the broker's way of assigning, with group.protocol=consumer"),
    row(KeyId::AutoOffsetReset, "auto.offset.reset", Role::Consumer, Kind::Choice(&["latest", "earliest", "none"]))
        .synonyms(&[("smallest", "earliest"), ("beginning", "earliest"), ("largest", "latest"), ("end", "latest"),
                    ("error", "none")])
        .default("latest").doc("where a group starts without a committed offset; `none` is an error"),
    row(KeyId::EnableAutoCommit, "enable.auto.commit", Role::Consumer, Kind::Bool)
        .also(&["auto.commit.enable"])
        .default("true").doc("commit what was written, at auto.commit.interval.ms and at the end"),
    row(KeyId::AutoCommitInterval, "auto.commit.interval.ms", Role::Consumer, Kind::Millis(0, 86_400_000))
        .default("5000").doc("time between commits"),
    row(KeyId::MaxPollRecords, "max.poll.records", Role::Consumer, Kind::Int(1, I32))
        .not_librdkafka().default("500").doc("most records taken from the library at a time"),
    row(KeyId::MaxPollInterval, "max.poll.interval.ms", Role::Consumer, Kind::Millis(1, 86_400_000))
        .default("300000").doc("a member that does not read for so long leaves the group"),
    row(KeyId::SessionTimeout, "session.timeout.ms", Role::Consumer, Kind::Millis(1, 3_600_000))
        .default("45000").doc("a member not heard of for so long is out of the group"),
    row(KeyId::HeartbeatInterval, "heartbeat.interval.ms", Role::Consumer, Kind::Millis(1, 3_600_000))
        .default("500").doc("time between signs of life to the group, by which a member also learns that others came or left"),
    row(KeyId::AssignmentStrategy, "partition.assignment.strategy", Role::Consumer,
        Kind::List(&["range", "roundrobin", "cooperative-sticky", "sticky"]))
        .synonyms(&[("org.apache.kafka.clients.consumer.RangeAssignor", "range"),
                    ("org.apache.kafka.clients.consumer.RoundRobinAssignor", "roundrobin"),
                    ("org.apache.kafka.clients.consumer.CooperativeStickyAssignor", "cooperative-sticky"),
                    ("org.apache.kafka.clients.consumer.StickyAssignor", "sticky"),
                    ("RangePartitionAssignor", "range"), ("RoundRobinPartitionAssignor", "roundrobin"),
                    ("StickyPartitionAssignor", "sticky")])
        .default("range,roundrobin").doc("how a group shares out partitions, the preferred way first"),
    row(KeyId::IsolationLevel, "isolation.level", Role::Consumer, Kind::Choice(&["read_committed", "read_uncommitted"]))
        .default("read_committed").doc("whether records of open and aborted transactions are read"),
    row(KeyId::FetchMinBytes, "fetch.min.bytes", Role::Consumer, Kind::Bytes(1, 100_000_000))
        .default("1").doc("the broker answers a fetch when it has so much, or after fetch.max.wait.ms"),
    row(KeyId::FetchMaxBytes, "fetch.max.bytes", Role::Consumer, Kind::Bytes(1, I32 - 512))
        .default("52428800").doc("most bytes in one answer"),
    row(KeyId::MaxPartitionFetchBytes, "max.partition.fetch.bytes", Role::Consumer, Kind::Bytes(1, 1_000_000_000))
        .librdkafka("fetch.message.max.bytes")
        .default("1048576").doc("most bytes of one partition in one answer"),
    row(KeyId::FetchMaxWait, "fetch.max.wait.ms", Role::Consumer, Kind::Millis(0, 300_000))
        .librdkafka("fetch.wait.max.ms")
        .default("500").doc("longest wait of the broker for fetch.min.bytes"),
    row(KeyId::CheckCrcs, "check.crcs", Role::Consumer, Kind::Bool)
        .default("true").doc("check the checksum of every batch read"),
];

const fn row(id: KeyId, java: &'static str, role: Role, kind: Kind) -> Key {
    Key {
        id,
        java,
        librdkafka: Some(Native { name: java, scale: 1 }),
        python: None,
        also: &[],
        flag: None,
        kind,
        synonyms: &[],
        default: None,
        role,
        secret: false,
        doc: "",
    }
}

/// The cells of a row that not every row has.
impl Key {
    const fn librdkafka(mut self, name: &'static str) -> Self {
        self.librdkafka = Some(Native { name, scale: 1 });
        self
    }
    const fn librdkafka_kib(mut self, name: &'static str) -> Self {
        self.librdkafka = Some(Native { name, scale: 1024 });
        self
    }
    const fn not_librdkafka(mut self) -> Self {
        self.librdkafka = None;
        self
    }
    const fn python(mut self, name: &'static str) -> Self {
        self.python = Some(name);
        self
    }
    const fn also(mut self, names: &'static [&'static str]) -> Self {
        self.also = names;
        self
    }
    const fn flag(mut self, flag: &'static str) -> Self {
        self.flag = Some(flag);
        self
    }
    const fn synonyms(mut self, synonyms: &'static [(&'static str, &'static str)]) -> Self {
        self.synonyms = synonyms;
        self
    }
    const fn default(mut self, value: &'static str) -> Self {
        self.default = Some(value);
        self
    }
    const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }
    const fn doc(mut self, doc: &'static str) -> Self {
        self.doc = doc;
        self
    }
}

impl Key {
    /// Every spelling, with the canonical units that one unit of it is; the canonical one first.
    /// Underscores may stand for dots in each of them.
    pub fn spellings(&self) -> impl Iterator<Item = (&'static str, i64)> {
        let native = self.librdkafka.filter(|native| native.name != self.java);
        std::iter::once((self.java, 1))
            .chain(native.map(|native| (native.name, native.scale)))
            .chain(self.python.map(|name| (name, 1)))
            .chain(self.also.iter().map(|&name| (name, 1)))
    }

    /// True when `side` has this setting.
    pub fn on(&self, side: Side) -> bool {
        match self.role {
            Role::Tool | Role::Both => true,
            Role::Producer => side == Side::Producer,
            Role::Consumer => side == Side::Consumer,
        }
    }

    /// The canonical spelling in a properties file.
    pub fn property(&self) -> String {
        format!("kafka.{}{}", self.role.prefix(), self.java)
    }

    /// The unit of the values of the canonical spelling.
    pub fn unit(&self) -> &'static str {
        match self.kind {
            Kind::Millis(..) => "ms",
            Kind::Seconds(..) => "s",
            Kind::Bytes(..) | Kind::Size(..) => "bytes",
            _ => "",
        }
    }
}

/// The row of a spelling, and the canonical units that one unit of that spelling is.
pub fn find(name: &str) -> Option<(&'static Key, i64)> {
    KEYS.iter().find_map(|key| {
        key.spellings().find(|(spelling, _)| same_name(spelling, name)).map(|(_, scale)| (key, scale))
    })
}

/// True when the two differ at most in underscores for dots (kafka-python's way).
fn same_name(a: &str, b: &str) -> bool {
    let dotted = |byte: u8| if byte == b'_' { b'.' } else { byte };
    a.len() == b.len() && a.bytes().map(dotted).eq(b.bytes().map(dotted))
}

/// The table as the README has it.
pub fn markdown_table() -> String {
    let mut table = "| key, after `kafka.` | flag | also spelt | value | default | |\n\
                     |---|---|---|---|---|---|\n"
        .to_owned();
    for key in KEYS {
        let flag = key.flag.map_or_else(String::new, |flag| format!("`{}`", flag.replace(", ", "`, `")));
        let also: Vec<String> = key.spellings().skip(1).map(|(name, _)| format!("`{name}`")).collect();
        let default = key.default.map_or_else(String::new, |value| format!("`{value}`"));
        let cells = [
            format!("`{}{}`", key.role.prefix(), key.java),
            flag,
            also.join(", "),
            key.kind.describe(),
            default,
            key.doc.to_owned(),
        ];
        table.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    table
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::settings::value;

    #[test]
    fn rows_are_in_the_order_of_their_ids() {
        for (i, key) in KEYS.iter().enumerate() {
            assert_eq!(key.id as usize, i, "{}", key.java);
        }
        assert_eq!(KEYS.len(), KeyId::CheckCrcs as usize + 1);
    }

    #[test]
    fn no_spelling_means_two_settings() {
        let mut seen = HashMap::new();
        for key in KEYS {
            for (name, _) in key.spellings() {
                assert_eq!(seen.insert(name.replace('_', "."), key.id), None, "{name}");
            }
        }
    }

    #[test]
    fn defaults_and_synonyms_parse_by_their_own_kind_and_are_canonical() {
        for key in KEYS {
            for typed in key.default.iter().chain(key.synonyms.iter().map(|(_, meant)| meant)) {
                let parsed = value::parse(key, 1, typed).map(|value| value.text);
                assert_eq!(parsed.as_deref(), Ok(*typed), "{}", key.java);
            }
        }
    }

    #[test]
    fn numbers_and_switches_have_a_default() {
        for key in KEYS {
            let number = matches!(
                key.kind,
                Kind::Int(..)
                    | Kind::Millis(..)
                    | Kind::Seconds(..)
                    | Kind::Bytes(..)
                    | Kind::Size(..)
                    | Kind::Bool
            );
            assert!(!number || key.default.is_some(), "{}", key.java);
        }
    }

    #[test]
    fn every_row_is_documented_without_a_full_stop() {
        for key in KEYS {
            assert!(!key.doc.is_empty() && !key.doc.ends_with('.'), "{}", key.java);
        }
    }

    #[test]
    fn passwords_are_secret() {
        for key in KEYS {
            assert_eq!(key.secret, key.java.contains("password"), "{}", key.java);
        }
    }

    #[test]
    fn every_spelling_finds_its_row() {
        for (name, id, scale) in [
            ("linger.ms", KeyId::Linger, 1),
            ("linger_ms", KeyId::Linger, 1),
            ("queue.buffering.max.ms", KeyId::Linger, 1),
            ("queue.buffering.max.kbytes", KeyId::BufferMemory, 1024),
            ("buffer_memory", KeyId::BufferMemory, 1),
            ("ssl_cafile", KeyId::SslCaLocation, 1),
            ("request.required.acks", KeyId::Acks, 1),
            ("bootstrap_servers", KeyId::BootstrapServers, 1),
        ] {
            let found = find(name).map(|(key, scale)| (key.id, scale));
            assert_eq!(found, Some((id, scale)), "{name}");
        }
        assert!(find("linger").is_none());
    }

    #[test]
    fn the_markdown_table_has_six_cells_in_every_row() {
        let table = markdown_table();
        assert_eq!(table.lines().count(), KEYS.len() + 2);
        for line in table.lines() {
            assert_eq!(line.matches('|').count(), 7, "{line}");
        }
        assert!(
            table.contains(
                "| `producer.acks` | `--acks` | `request.required.acks` | `all`, `1`, `0` | `all` |"
            )
        );
    }
}
