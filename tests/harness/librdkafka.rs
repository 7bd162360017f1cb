//! librdkafka through the rdkafka crate at the service of the tests: what can be asked is that of `Helper.java`, so that
//! a machine without Java has these tests, too.
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rdkafka::admin::{
    AdminClient, AdminOptions, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::groups::GroupMemberInfo;
use rdkafka::message::{BorrowedMessage, Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use rdkafka::{ClientConfig, ClientContext, Offset, TopicPartitionList};
use serde_json::{Value, json};

use super::client::{Ask, Refusal};

const PATIENCE: Duration = Duration::from_secs(30);

/// Names of the Java client's settings that librdkafka spells in another way.
const NAMES: [(&str, &str); 2] =
    [("max.request.size", "message.max.bytes"), ("max.block.ms", "message.timeout.ms")];

type Answer = Result<Value, Refusal>;

/// A client of one broker.
pub(crate) struct Librdkafka {
    address: String,
    admin: AdminClient<DefaultClientContext>,
    /// Producers whose transaction is to stay open.
    open: Mutex<Vec<ThreadedProducer<Placed>>>,
}

impl std::fmt::Debug for Librdkafka {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "librdkafka for {}", self.address)
    }
}

impl Ask for Librdkafka {
    fn ask(&self, request: &Value) -> Answer {
        match request["do"].as_str().unwrap() {
            "create_topic" => self.create_topic(request),
            "describe_topic" => self.describe_topic(text(request, "topic")),
            "create_partitions" => self.create_partitions(request),
            "delete_topic" => self.delete_topic(text(request, "topic")),
            "topic_config" => self.topic_config(text(request, "topic")),
            "begin_offsets" => self.watermarks(text(request, "topic"), |(low, _)| low),
            "end_offsets" => self.watermarks(text(request, "topic"), |(_, high)| high),
            "offsets_at" => self.offsets_at(request),
            "delete_records" => self.delete_records(request),
            "produce" => self.produce(request),
            "consume" => self.consume(request),
            "list_groups" => self.list_groups(),
            "describe_group" => self.describe_group(text(request, "group")),
            "delete_group" => self.delete_group(text(request, "group")),
            "committed" => self.committed(request),
            "set_committed" => self.set_committed(request),
            other => panic!("{other} is not what librdkafka can be asked"),
        }
    }
}

impl Librdkafka {
    pub(crate) fn new(address: &str) -> Self {
        let address = address.to_owned();
        let admin = config(&address, &Value::Null).create().unwrap();
        Self { address, admin, open: Mutex::default() }
    }

    /// A consumer with these settings.
    fn consumer(&self, settings: &Value) -> KafkaResult<BaseConsumer> {
        config(&self.address, settings).create()
    }

    fn create_topic(&self, request: &Value) -> Answer {
        let name = text(request, "topic");
        let number = |field: &str| i32::try_from(request[field].as_i64().unwrap_or(1)).unwrap();
        let mut topic =
            NewTopic::new(name, number("partitions"), TopicReplication::Fixed(number("replication")));
        let config = strings(&request["config"]);
        for (key, value) in &config {
            topic = topic.set(key, value);
        }
        one(wait(self.admin.create_topics([&topic], &AdminOptions::new()))?)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.watermarks(name, |(_, high)| high) {
                Err(refusal) if !refusal.passes() || Instant::now() > deadline => return Err(refusal),
                Err(_) => {}
                found => return found,
            }
        }
    }

    fn describe_topic(&self, topic: &str) -> Answer {
        let found = self.admin.inner().fetch_metadata(Some(topic), PATIENCE)?;
        let found = &found.topics()[0];
        if let Some(error) = found.error() {
            return Err(KafkaError::MetadataFetch(error.into()).into());
        }
        let mut partitions: Vec<_> = found.partitions().iter().collect();
        partitions.sort_by_key(|partition| partition.id());
        let described = partitions.iter().map(|partition| {
            json!({
                "partition": partition.id(), "leader": partition.leader(), "replicas": partition.replicas(),
            })
        });
        Ok(described.collect())
    }

    fn partitions(&self, topic: &str) -> Result<Vec<i32>, Refusal> {
        let found = self.describe_topic(topic)?;
        let number = |one: &Value| i32::try_from(one["partition"].as_i64().unwrap()).unwrap();
        Ok(found.as_array().unwrap().iter().map(number).collect())
    }

    fn create_partitions(&self, request: &Value) -> Answer {
        let total = usize::try_from(request["total"].as_u64().unwrap()).unwrap();
        let asked = NewPartitions::new(text(request, "topic"), total);
        one(wait(self.admin.create_partitions([&asked], &AdminOptions::new()))?)
    }

    fn delete_topic(&self, topic: &str) -> Answer {
        one(wait(self.admin.delete_topics(&[topic], &AdminOptions::new()))?)
    }

    fn topic_config(&self, topic: &str) -> Answer {
        let topic = ResourceSpecifier::Topic(topic);
        let found = wait(self.admin.describe_configs([&topic], &AdminOptions::new()))?.remove(0);
        let found = found.map_err(KafkaError::AdminOp)?;
        Ok(found.entries.iter().map(|entry| (entry.name.clone(), json!(entry.value))).collect())
    }

    fn watermarks(&self, topic: &str, which: impl Fn((i64, i64)) -> i64) -> Answer {
        let client = self.admin.inner();
        let one = |p| Ok(json!(which(client.fetch_watermarks(topic, p, PATIENCE)?)));
        self.partitions(topic)?.into_iter().map(one).collect()
    }

    fn offsets_at(&self, request: &Value) -> Answer {
        let (topic, at) = (text(request, "topic"), request["timestamp"].as_i64().unwrap());
        let mut asked = TopicPartitionList::new();
        for partition in self.partitions(topic)? {
            asked.add_partition_offset(topic, partition, Offset::Offset(at))?;
        }
        let found = self.consumer(&Value::Null)?.offsets_for_times(asked, PATIENCE)?;
        Ok(found.elements().iter().map(|one| json!(one.offset().to_raw())).collect())
    }

    fn delete_records(&self, request: &Value) -> Answer {
        let mut asked = TopicPartitionList::new();
        let before = match request["before"].as_i64().unwrap() {
            -1 => Offset::End,
            offset => Offset::Offset(offset),
        };
        asked.add_partition_offset(text(request, "topic"), partition(request), before)?;
        let found = wait(self.admin.delete_records(&asked, &AdminOptions::new()))?;
        found.elements()[0].error()?;
        Ok(Value::Null)
    }

    fn produce(&self, request: &Value) -> Answer {
        let mut config = config(&self.address, &request["config"]);
        let transaction = request["transaction"].as_str();
        if transaction.is_some() && config.get("transactional.id").is_none() {
            config.set("transactional.id", super::unique("librdkafka"));
        }
        let producer: ThreadedProducer<Placed> = config.create_with_context(Placed::default())?;
        if transaction.is_some() {
            producer.init_transactions(PATIENCE)?;
            producer.begin_transaction()?;
        }
        let records = request["records"].as_array().unwrap();
        for (at, record) in records.iter().enumerate() {
            send(&producer, text(request, "topic"), record, at)?;
        }
        producer.flush(PATIENCE)?;
        let places = producer.context().take()?;
        self.send_offsets(&producer, &request["offsets"])?;
        match transaction {
            Some("commit") => producer.commit_transaction(PATIENCE)?,
            Some("abort") => producer.abort_transaction(PATIENCE)?,
            Some(_) => self.open.lock().unwrap_or_else(PoisonError::into_inner).push(producer),
            None => {}
        }
        Ok(places)
    }

    fn send_offsets(&self, producer: &ThreadedProducer<Placed>, offsets: &Value) -> KafkaResult<()> {
        if offsets.is_null() {
            return Ok(());
        }
        let consumer = self.consumer(&json!({"group.id": offsets["group"]}))?;
        let mut place = TopicPartitionList::new();
        let offset = Offset::Offset(offsets["offset"].as_i64().unwrap());
        place.add_partition_offset(text(offsets, "topic"), partition(offsets), offset)?;
        producer.send_offsets_to_transaction(&place, &consumer.group_metadata().unwrap(), PATIENCE)
    }

    fn consume(&self, request: &Value) -> Answer {
        let topic = text(request, "topic");
        let mut config = config(&self.address, &request["config"]);
        config.set("group.id", "unused").set("enable.auto.commit", "false");
        config.set("enable.partition.eof", "true").set("fetch.wait.max.ms", "20");
        let consumer: BaseConsumer = config.create()?;
        let mut left: BTreeSet<i32> = self.partitions(topic)?.into_iter().collect();
        let mut assigned = TopicPartitionList::new();
        for &partition in &left {
            assigned.add_partition_offset(topic, partition, Offset::Beginning)?;
        }
        consumer.assign(&assigned)?;
        let (mut records, deadline) = (Vec::new(), Instant::now() + PATIENCE);
        while !left.is_empty() {
            assert!(Instant::now() < deadline, "the end was not reached");
            match consumer.poll(Duration::from_millis(500)) {
                Some(Ok(message)) => records.push(record(&message)),
                Some(Err(KafkaError::PartitionEOF(partition))) => drop(left.remove(&partition)),
                Some(Err(error)) => return Err(error.into()),
                None => {}
            }
        }
        Ok(records.into())
    }

    fn list_groups(&self) -> Answer {
        let found = self.admin.inner().fetch_group_list(None, PATIENCE)?;
        let names: BTreeSet<&str> = found.groups().iter().map(|group| group.name()).collect();
        Ok(json!(names))
    }

    fn describe_group(&self, group: &str) -> Answer {
        let found = self.admin.inner().fetch_group_list(Some(group), PATIENCE)?;
        let Some(found) = found.groups().first() else {
            return Err(KafkaError::GroupListFetch(RDKafkaErrorCode::GroupIdNotFound).into());
        };
        let members: Vec<Value> = found.members().iter().map(member).collect();
        Ok(json!({"state": found.state(), "assignor": found.protocol(), "members": members}))
    }

    fn delete_group(&self, group: &str) -> Answer {
        one(wait(self.admin.delete_groups(&[group], &AdminOptions::new()))?)
    }

    fn committed(&self, request: &Value) -> Answer {
        let topic = text(request, "topic");
        let mut asked = TopicPartitionList::new();
        for partition in self.partitions(topic)? {
            asked.add_partition(topic, partition);
        }
        let consumer = self.consumer(&json!({"group.id": request["group"]}))?;
        let found = consumer.committed_offsets(asked, PATIENCE)?;
        let place = |(at, offset)| match offset {
            Offset::Offset(offset) => Some((format!("{topic}-{at}"), json!(offset))),
            _ => None,
        };
        let offsets = found.elements().into_iter().map(|one| (one.partition(), one.offset()));
        Ok(offsets.filter_map(place).collect())
    }

    fn set_committed(&self, request: &Value) -> Answer {
        let consumer = self.consumer(&json!({"group.id": request["group"]}))?;
        let mut place = TopicPartitionList::new();
        let offset = Offset::Offset(request["offset"].as_i64().unwrap());
        let mut added = place.add_partition(text(request, "topic"), partition(request));
        added.set_offset(offset)?;
        added.set_metadata(request["metadata"].as_str().unwrap_or_default());
        consumer.commit(&place, CommitMode::Sync)?;
        Ok(Value::Null)
    }
}

impl From<KafkaError> for Refusal {
    fn from(error: KafkaError) -> Self {
        let code = match error {
            KafkaError::AdminOp(code) => Some(code),
            _ => error.rdkafka_error_code(),
        };
        let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
        Self { code: code.map(|code| i64::from(code as i32)), text: format!("{error}{cause}") }
    }
}

/// Where records came to be, or what became of them; filled as the broker answers.
#[derive(Debug, Default)]
struct Placed(Mutex<BTreeMap<usize, KafkaResult<(i32, i64)>>>);

impl Placed {
    /// `[[partition, offset]]` in the order of sending.
    fn take(&self) -> Answer {
        let places = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let place = |place: KafkaResult<(i32, i64)>| Ok(json!(place?));
        places.into_values().map(place).collect()
    }
}

impl ClientContext for Placed {}

impl ProducerContext for Placed {
    type DeliveryOpaque = Box<usize>;

    fn delivery(&self, result: &DeliveryResult<'_>, at: Box<usize>) {
        let place = result
            .as_ref()
            .map(|message| (message.partition(), message.offset()))
            .map_err(|(error, _)| error.clone());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(*at, place);
    }
}

fn send(producer: &ThreadedProducer<Placed>, topic: &str, record: &Value, at: usize) -> KafkaResult<()> {
    let (key, value) = (bytes(&record["key"]), bytes(&record["value"]));
    let mut headers = OwnedHeaders::new();
    for header in record["headers"].as_array().into_iter().flatten() {
        let value = bytes(&header[1]);
        headers = headers.insert(Header { key: header[0].as_str().unwrap(), value: value.as_ref() });
    }
    let mut sent: BaseRecord<'_, Vec<u8>, Vec<u8>, Box<usize>> =
        BaseRecord::with_opaque_to(topic, Box::new(at)).headers(headers);
    (sent.key, sent.payload) = (key.as_ref(), value.as_ref());
    sent.partition = record["partition"].as_i64().map(|partition| i32::try_from(partition).unwrap());
    sent.timestamp = record["timestamp"].as_i64();
    producer.send(sent).map_err(|(error, _)| error)
}

fn record(message: &BorrowedMessage<'_>) -> Value {
    let encoded = |bytes: Option<&[u8]>| bytes.map(|bytes| STANDARD.encode(bytes));
    let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
    let headers: Vec<_> = headers.map(|header| json!([header.key, encoded(header.value)])).collect();
    json!({
        "partition": message.partition(), "offset": message.offset(),
        "timestamp": message.timestamp().to_millis(),
        "key": encoded(message.key()), "value": encoded(message.payload()), "headers": headers,
    })
}

fn member(member: &GroupMemberInfo) -> Value {
    let partitions = member.assignment().and_then(assigned).unwrap_or_default();
    json!({"member_id": member.id(), "client_id": member.client_id(), "partitions": partitions})
}

/// `topic-N` for each partition of an assignment as a member was sent it: version, then topics with partitions.
fn assigned(mut bytes: &[u8]) -> Option<BTreeSet<String>> {
    fn number<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
        let (number, rest) = bytes.split_first_chunk()?;
        *bytes = rest;
        Some(*number)
    }
    let _version: [u8; 2] = number(&mut bytes)?;
    let mut all = BTreeSet::new();
    for _ in 0..i32::from_be_bytes(number(&mut bytes)?) {
        let length = usize::from(u16::from_be_bytes(number(&mut bytes)?));
        let topic = String::from_utf8_lossy(bytes.get(..length)?);
        bytes = bytes.get(length..)?;
        for _ in 0..i32::from_be_bytes(number(&mut bytes)?) {
            all.insert(format!("{topic}-{}", i32::from_be_bytes(number(&mut bytes)?)));
        }
    }
    Some(all)
}

fn config(address: &str, settings: &Value) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", address);
    for (name, value) in strings(settings) {
        let own = NAMES.iter().find(|(java, _)| *java == name).map_or(&*name, |(_, own)| own);
        config.set(own, value);
    }
    config
}

/// Waits for what an administrative call comes to.
fn wait<T>(call: impl Future<Output = KafkaResult<T>>) -> KafkaResult<T> {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(call)
}

/// The one result of an administrative call.
fn one(results: Vec<Result<String, (String, RDKafkaErrorCode)>>) -> Answer {
    let result = results.into_iter().next().unwrap();
    result.map(|_| Value::Null).map_err(|(_, code)| KafkaError::AdminOp(code).into())
}

fn text<'a>(request: &'a Value, field: &str) -> &'a str {
    request[field].as_str().unwrap_or_else(|| panic!("no {field} in {request}"))
}

fn partition(request: &Value) -> i32 {
    i32::try_from(request["partition"].as_i64().unwrap_or_default()).unwrap()
}

fn strings(object: &Value) -> BTreeMap<String, String> {
    let fields = object.as_object().into_iter().flatten();
    fields
        .map(|(name, value)| (name.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
        .collect()
}

fn bytes(base64: &Value) -> Option<Vec<u8>> {
    base64.as_str().map(|text| STANDARD.decode(text).unwrap())
}
