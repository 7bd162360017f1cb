//! Clients that do what the tests ask, each by its own means: one list of requests, four implementations.
use std::fmt;
use std::process::Command;
use std::sync::{Mutex, OnceLock, PoisonError};

use serde_json::Value;

use super::process::Running;
use super::{java, python};

/// A client that answers requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Client {
    /// Kafka's own, by `tests/kafka/Helper.java`, which says what can be asked.
    Java,
    /// The rdkafka crate, in this process.
    Librdkafka,
    /// confluent-kafka, by `tests/kafka/clients.py`.
    Confluent,
    /// kafka-python, by the same.
    KafkaPython,
}

impl Client {
    /// Those built in, installed or not.
    pub(crate) fn all() -> Vec<Self> {
        let mut all = vec![Self::Java, Self::Confluent, Self::KafkaPython];
        if cfg!(all(feature = "rdkafka", feature = "broker")) {
            all.push(Self::Librdkafka);
        }
        all
    }

    /// Its name in those of trials.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Java => "java",
            Self::Librdkafka => "librdkafka",
            Self::Confluent => "confluent",
            Self::KafkaPython => "kafka_python",
        }
    }

    /// Starts it for the broker at `address`.
    pub(crate) fn start(self, address: &str) -> Box<dyn Ask> {
        let setting = format!("bootstrap.servers={address}");
        let process = |command, what: &str| Box::new(Process::start(command, what.to_owned()));
        match self {
            Self::Java => process(java::command(&["Helper", &setting]), "java helper"),
            #[cfg(all(feature = "rdkafka", feature = "broker"))]
            Self::Librdkafka => Box::new(super::librdkafka::Librdkafka::new(address)),
            #[cfg(not(all(feature = "rdkafka", feature = "broker")))]
            Self::Librdkafka => unreachable!("not among all()"),
            Self::Confluent | Self::KafkaPython => {
                process(python::command(&[self.name(), "serve", &setting]), self.name())
            }
        }
    }
}

/// Something that answers requests.
pub(crate) trait Ask: fmt::Debug + Send + Sync {
    /// The answer to `request`, or why there is none.
    fn ask(&self, request: &Value) -> Result<Value, Refusal>;

    /// As [`Ask::ask`], where a refusal fails the test.
    #[track_caller]
    fn must(&self, request: &Value) -> Value {
        self.ask(request).unwrap_or_else(|refusal| panic!("{}, asked for {request}", refusal.text))
    }
}

/// Why a request was not answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The error as the protocol numbers it; below 0 one of the client's own.
    pub(crate) code: Option<i64>,
    pub(crate) text: String,
}

impl Refusal {
    /// True of what is answered until every node knows a new topic: unknown, without a leader, with another.
    pub(crate) fn passes(&self) -> bool {
        matches!(self.code, Some(3 | 5 | 6))
    }
}

/// A process that answers one request a line.
#[derive(Debug)]
struct Process {
    running: Mutex<Running>,
}

impl Process {
    fn start(command: Command, what: String) -> Self {
        Self { running: Mutex::new(Running::start_apart(command, what).limit(super::FIRST_START)) }
    }
}

impl Ask for Process {
    fn ask(&self, request: &Value) -> Result<Value, Refusal> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.write(format!("{request}\n").as_bytes());
        let mut answer: Value = serde_json::from_str(&running.take_line()).unwrap();
        match answer["error"].as_str() {
            Some(error) => Err(Refusal { code: answer["code"].as_i64(), text: error.to_owned() }),
            None => Ok(answer["ok"].take()),
        }
    }
}

/// Clients of one broker, each started by the first who asks.
#[derive(Debug, Default)]
pub(crate) struct Clients([OnceLock<Box<dyn Ask>>; 4]);

impl Clients {
    /// `client` for the broker at `address`, always the same.
    pub(crate) fn get(&self, client: Client, address: &str) -> &dyn Ask {
        self.0[client as usize].get_or_init(|| client.start(address)).as_ref()
    }
}
