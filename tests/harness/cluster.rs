//! A real Kafka of three brokers and a controller, each a process of its own, so that each can be stopped, killed and
//! started again.
use std::ops::Deref;
use std::panic::catch_unwind;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::kafka::{Kafka, SESSION, SETTINGS};
use super::process::Running;
use super::{FIRST_START, java, unique};

/// The ids of the brokers.
pub(crate) const BROKERS: [usize; 3] = [1, 2, 3];

const CONTROLLER: &str = "node.id=100";

/// What the brokers are started with beside their defaults: each is a rack of its own, and leaders move only when a
/// trial says so.
const OF_BROKERS: [&str; 6] = [
    "process.roles=broker",
    "default.replication.factor=3",
    "offsets.topic.replication.factor=3",
    "transaction.state.log.replication.factor=3",
    "transaction.state.log.min.isr=2",
    "replica.selector.class=org.apache.kafka.common.replica.RackAwareReplicaSelector",
];
const OF_CONTROLLER: [&str; 3] =
    ["process.roles=controller", "listeners=CONTROLLER://127.0.0.1:0", "auto.leader.rebalance.enable=false"];

/// See the module; also a [`Kafka`], whose address is that of all brokers. It is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Cluster {
    brokers: [Broker; 3],
    kafka: Kafka,
    controller: String,
    dir: TempDir,
}

/// A broker, and its process unless it was killed.
#[derive(Debug)]
struct Broker {
    id: usize,
    address: String,
    running: Mutex<Option<Running>>,
}

impl Deref for Cluster {
    type Target = Kafka;

    fn deref(&self) -> &Kafka {
        &self.kafka
    }
}

impl Cluster {
    /// Starts it and waits until every broker takes requests.
    pub(crate) fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let args = [&[CONTROLLER][..], &OF_CONTROLLER, &SESSION].concat();
        let node = process(&dir.path().join("controller"), &args);
        let controller = node.take_line();
        let started = BROKERS.map(|id| launch(dir.path(), id, "127.0.0.1:0", &controller));
        let mut ids = BROKERS.into_iter();
        let brokers = started.map(|running| Broker {
            id: ids.next().unwrap(),
            address: running.take_line(),
            running: Mutex::new(Some(running)),
        });
        let address = brokers.each_ref().map(|broker| broker.address.as_str()).join(",");
        Self { brokers, kafka: Kafka::led_by(node, address), controller, dir }
    }

    fn broker(&self, id: usize) -> &Broker {
        &self.brokers[id - 1]
    }

    /// `HOST:PORT` of one broker.
    pub(crate) fn address_of(&self, id: usize) -> &str {
        &self.broker(id).address
    }

    /// Ends a broker as a power cut would.
    pub(crate) fn kill(&mut self, id: usize) {
        let broker = &mut self.brokers[id - 1];
        drop(broker.running.get_mut().unwrap().take());
    }

    /// Sends a signal to a broker, such as to stop it for a while.
    pub(crate) fn signal(&mut self, id: usize, signal: Signal) {
        self.broker(id).lock().as_ref().expect("it runs").signal(signal);
    }

    /// Starts brokers that were killed, where they were, and waits until they take requests.
    pub(crate) fn restart(&mut self, ids: &[usize]) {
        for &id in ids {
            let running = launch(self.dir.path(), id, self.address_of(id), &self.controller);
            *self.broker(id).lock() = Some(running);
        }
        for &id in ids {
            self.broker(id).lock().as_ref().unwrap().take_line();
        }
    }

    /// Starts what a trial that failed has left dead or standing still.
    fn mend(&mut self) {
        for broker in &self.brokers {
            if let Some(running) = broker.lock().as_ref() {
                running.signal(Signal::CONT);
            }
        }
        let dead: Vec<usize> =
            self.brokers.iter().filter(|broker| broker.lock().is_none()).map(|broker| broker.id).collect();
        self.restart(&dead);
    }

    /// Creates a topic of a name of its own, of which `replicas` has the brokers of each partition, the leader first. Two
    /// replicas in sync have to have what is acknowledged.
    pub(crate) fn replicated(&self, name: &str, replicas: Value) -> String {
        let topic = unique(name);
        // A setting of the topic: of that of the brokers a controller with eligible leader replicas (KIP-966) takes no note.
        let config = json!({"min.insync.replicas": "2"});
        self.helper()
            .must(&json!({"do": "create_topic", "topic": topic, "replicas": replicas, "config": config}));
        self.await_in_sync(&topic, 3);
        topic
    }

    /// Makes a replica the leader, and returns when it is.
    pub(crate) fn move_leader(&self, topic: &str, partition: u32, to: usize) {
        self.helper().must(&json!({"do": "move_leader", "topic": topic, "partition": partition, "to": to}));
    }

    /// Waits until this many replicas of every partition are in sync.
    pub(crate) fn await_in_sync(&self, topic: &str, count: usize) {
        self.helper().must(&json!({"do": "await_in_sync", "topic": topic, "count": count}));
    }

    /// Bytes that this broker has given consumers of the topic, followers not counted.
    pub(crate) fn bytes_out(&self, id: usize, topic: &str) -> u64 {
        self.metric(id, &format!("BrokerTopicMetrics,name=BytesOutPerSec,topic={topic} Count"))
    }

    /// Fetch sessions that this broker remembers, those of other brokers included.
    pub(crate) fn sessions(&self, id: usize) -> u64 {
        self.metric(id, "FetchSessionCache,name=NumIncrementalFetchSessions Value")
    }

    /// An attribute of one of a broker's metrics, by JMX; 0 of one that is not there yet.
    fn metric(&self, id: usize, name: &str) -> u64 {
        let mut running = self.broker(id).lock();
        let running = running.as_mut().expect("it runs");
        running.write(format!("kafka.server:type={name}\n").as_bytes());
        let line = running.take_line();
        if line == "null" { 0 } else { line.parse().unwrap() }
    }
}

impl Broker {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn launch(dir: &Path, id: usize, address: &str, controller: &str) -> Running {
    let (node, rack) = (format!("node.id={id}"), format!("broker.rack=rack-{id}"));
    let listener = format!("listeners=PLAINTEXT://{address}");
    let voters = format!("controller.quorum.voters=100@{controller}");
    let own = [&*node, &rack, &listener, &voters];
    process(&dir.join(id.to_string()), &[&own[..], &OF_BROKERS, &SETTINGS, &SESSION].concat())
}

/// A node that keeps its data in `dir`; it has little to do, and little memory.
fn process(dir: &Path, settings: &[&str]) -> Running {
    let args = [&["Broker", "--dir", dir.to_str().unwrap()], settings].concat();
    let mut command: Command = java::command(&args);
    let more = std::env::var("KPS_TEST_JAVA_OPTS").unwrap_or_default();
    command.env("KPS_TEST_JAVA_OPTS", format!("-Xmx192m {more}"));
    Running::start_apart(command, args.join(" ")).limit(FIRST_START)
}

/// A cluster for many trials, started by the first that asks.
#[derive(Debug, Default)]
pub(crate) struct Shared(OnceLock<Option<RwLock<Cluster>>>);

impl Shared {
    fn get(&self) -> &RwLock<Cluster> {
        // One that did not start is not started again.
        let start = || catch_unwind(|| RwLock::new(Cluster::start())).ok();
        self.0.get_or_init(start).as_ref().expect("the cluster did not start, see above")
    }

    /// For a trial that other trials do not disturb, and that disturbs none.
    pub(crate) fn together(&self) -> RwLockReadGuard<'_, Cluster> {
        if self.get().is_poisoned() {
            drop(self.alone());
        }
        self.get().read().unwrap_or_else(PoisonError::into_inner)
    }

    /// For a trial that kills brokers.
    pub(crate) fn alone(&self) -> RwLockWriteGuard<'_, Cluster> {
        let mut cluster = self.get().write().unwrap_or_else(PoisonError::into_inner);
        cluster.mend();
        self.get().clear_poison();
        cluster
    }
}
