//! kcat, the tool to be measured against.
use std::process::{Command, Stdio};

use super::kafka::Kafka;
use super::process::{Output, Running};

/// Why kcat cannot run here.
pub(crate) fn missing() -> Option<String> {
    let run = Command::new("kcat").arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status();
    run.is_err().then(|| "not installed: kcat".to_owned())
}

/// Publishes lines.
pub(crate) fn produce(kafka: &Kafka, topic: &str, args: &[&str], input: &[u8]) {
    run(kafka, &[&["-P", "-t", topic], args].concat(), input);
}

/// Reads a topic from its beginning to its end.
pub(crate) fn consume(kafka: &Kafka, topic: &str, args: &[&str]) -> Output {
    run(kafka, &[&["-C", "-t", topic, "-o", "beginning", "-e", "-q"], args].concat(), b"")
}

fn run(kafka: &Kafka, args: &[&str], input: &[u8]) -> Output {
    let mut command = Command::new("kcat");
    command.args(["-b", kafka.address()]).args(args);
    let mut running = Running::start(command, format!("kcat {}", args.join(" ")));
    running.feed(input.to_vec());
    running.wait().ok()
}
