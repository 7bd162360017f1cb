//! Kafka's own Java: one helper JVM that answers questions, and the console tools.
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use super::kafka::Kafka;
use super::process::{Output, Running};

/// `tests/kafka/java.sh` with these arguments, using this build's target folder.
pub(crate) fn command(args: &[&str]) -> Command {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kafka/java.sh");
    let mut command = Command::new(script);
    command.args(args).env("CARGO_TARGET_DIR", target());
    command
}

fn target() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().to_owned()
}

/// What the tests with a real Kafka need and this machine does not have.
pub(crate) fn missing() -> Option<String> {
    let check = command(&["--check"]).stdin(Stdio::null()).output().unwrap();
    let reason = String::from_utf8_lossy(&check.stderr).lines().next().unwrap_or("java").to_owned();
    (!check.status.success()).then_some(reason)
}

/// Runs one of Kafka's tools to its end.
pub(crate) fn tool(class: &str, args: &[&str], input: &[u8]) -> Output {
    let args = [&[class], args].concat();
    let mut tool = Running::start(command(&args), args.join(" "));
    tool.feed(input.to_vec());
    tool.wait().ok()
}

/// Publishes lines with `kafka-console-producer`.
pub(crate) fn console_producer(kafka: &Kafka, topic: &str, args: &[&str], input: &[u8]) {
    let own = ["--bootstrap-server", kafka.address(), "--topic", topic];
    tool("org.apache.kafka.tools.ConsoleProducer", &[&own, args].concat(), input);
}

/// Reads `count` records from the beginning with `kafka-console-consumer`.
pub(crate) fn console_consumer(kafka: &Kafka, topic: &str, count: usize, args: &[&str]) -> Output {
    let count = count.to_string();
    let own = ["--bootstrap-server", kafka.address(), "--topic", topic, "--max-messages", &count];
    let args = [&own, ["--from-beginning"].as_slice(), args].concat();
    tool("org.apache.kafka.tools.consumer.ConsoleConsumer", &args, b"")
}

/// A JVM that answers one request a line; see `tests/kafka/Helper.java` for what it can do.
#[derive(Debug)]
pub(crate) struct Helper {
    running: Mutex<Running>,
}

impl Helper {
    /// Starts it for the broker at `address`.
    pub(crate) fn start(address: &str) -> Self {
        let setting = format!("bootstrap.servers={address}");
        Self { running: Mutex::new(Running::start(command(&["Helper", &setting]), "java helper".to_owned())) }
    }

    /// The answer to `request`, or why there is none.
    pub(crate) fn ask(&self, request: &Value) -> Result<Value, String> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.write(format!("{request}\n").as_bytes());
        let mut answer: Value = serde_json::from_str(&running.take_line()).unwrap();
        match answer["error"].as_str() {
            Some(error) => Err(error.to_owned()),
            None => Ok(answer["ok"].take()),
        }
    }

    /// As [`Helper::ask`], where a refusal fails the test.
    #[track_caller]
    pub(crate) fn must(&self, request: &Value) -> Value {
        self.ask(request).unwrap_or_else(|error| panic!("{error}, asked for {request}"))
    }
}
