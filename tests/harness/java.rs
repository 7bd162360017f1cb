//! Kafka's own Java: its console and admin tools, run in the JVM that also answers requests, and its perf tools.
use std::process::Command;

use serde_json::json;

use super::client::Client;
use super::kafka::Kafka;
use super::process::{Output, Running};
use super::script::Script;

static SCRIPT: Script = Script::new("java.sh");

/// `tests/kafka/java.sh` with these arguments, using this build's target folder.
pub(crate) fn command(args: &[&str]) -> Command {
    SCRIPT.command(args)
}

/// What the tests with Java need and this machine does not have.
pub(crate) fn missing() -> Option<&'static str> {
    SCRIPT.missing()
}

/// Starts one of Kafka's tools in a JVM of its own, for what is to be killed or runs for long.
pub(crate) fn start(class: &str, args: &[&str]) -> Running {
    let args = [&[class], args].concat();
    Running::start_apart(command(&args), args.join(" "))
}

/// Runs one of Kafka's tools in a JVM of its own to its end.
pub(crate) fn run(class: &str, args: &[&str]) -> Output {
    start(class, args).wait().ok()
}

/// What a tool that ran in the JVM of the requests left.
#[derive(Debug)]
pub(crate) struct Printed {
    pub(crate) exit: i64,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Printed {
    /// Checks the exit code.
    #[track_caller]
    pub(crate) fn code(self, expected: i64) -> Self {
        assert_eq!(self.exit, expected, "{self:#?}");
        self
    }

    /// Checks all of standard output.
    #[track_caller]
    pub(crate) fn prints(self, expected: &str) -> Self {
        assert_eq!(self.out, expected, "{self:#?}");
        self
    }

    /// Checks that one of the two outputs contains `part`: some tools report errors on standard output.
    #[track_caller]
    pub(crate) fn says(self, part: &str) -> Self {
        assert!(self.out.contains(part) || self.err.contains(part), "it does not say {part:?}\n{self:#?}");
        self
    }
}

/// Runs one of Kafka's tools for `kafka` with `--bootstrap-server` and these arguments.
pub(crate) fn tool(kafka: &Kafka, class: &str, args: &[&str], input: &str) -> Printed {
    let args = [&["--bootstrap-server", kafka.address()], args].concat();
    let request = json!({
        "do": "tool", "class": format!("org.apache.kafka.tools.{class}"), "args": args, "input": input,
    });
    let answer = kafka.client(Client::Java).must(&request);
    let text = |name: &str| answer[name].as_str().unwrap().to_owned();
    Printed { exit: answer["exit"].as_i64().unwrap(), out: text("out"), err: text("err") }
}

/// `kafka-topics`.
pub(crate) fn topics(kafka: &Kafka, args: &[&str]) -> Printed {
    tool(kafka, "TopicCommand", args, "")
}

/// `kafka-consumer-groups`.
pub(crate) fn groups(kafka: &Kafka, args: &[&str]) -> Printed {
    tool(kafka, "consumer.group.ConsumerGroupCommand", args, "")
}

/// Publishes lines with `kafka-console-producer`.
pub(crate) fn console_producer(kafka: &Kafka, topic: &str, args: &[&str], input: &str) {
    tool(kafka, "ConsoleProducer", &[&["--topic", topic], args].concat(), input).code(0);
}

/// Reads `count` records from the beginning with `kafka-console-consumer`.
pub(crate) fn console_consumer(kafka: &Kafka, topic: &str, count: usize, args: &[&str]) -> Printed {
    let count = count.to_string();
    let own = ["--topic", topic, "--max-messages", &count, "--from-beginning", "--timeout-ms", "30000"];
    tool(kafka, "consumer.ConsoleConsumer", &[&own, args].concat(), "").code(0)
}
