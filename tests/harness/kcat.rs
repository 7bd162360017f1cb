//! kcat, the tool to be measured against.
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use super::kafka::Kafka;
use super::process::{Output, Running};

/// Why kcat cannot run here.
pub(crate) fn missing() -> Option<&'static str> {
    static MISSING: OnceLock<bool> = OnceLock::new();
    let run = || Command::new("kcat").arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status();
    MISSING.get_or_init(|| run().is_err()).then_some("not installed: kcat")
}

/// Publishes lines.
pub(crate) fn produce(kafka: &Kafka, topic: &str, args: &[&str], input: &[u8]) {
    run(kafka, &[&["-P", "-t", topic], args].concat(), input);
}

/// Reads a topic from its beginning to its end.
pub(crate) fn consume(kafka: &Kafka, topic: &str, args: &[&str]) -> Output {
    run(kafka, &[&["-C", "-t", topic, "-o", "beginning", "-e", "-q"], args].concat(), b"")
}

/// Starts it with these arguments.
pub(crate) fn start(kafka: &Kafka, args: &[&str]) -> Running {
    let mut command = Command::new("kcat");
    command.args(["-b", kafka.address()]).args(args);
    Running::start(command, format!("kcat {}", args.join(" ")))
}

/// Runs it with these arguments to its end.
pub(crate) fn run(kafka: &Kafka, args: &[&str], input: &[u8]) -> Output {
    let mut running = start(kafka, args);
    running.feed(input.to_vec());
    running.wait().ok()
}
