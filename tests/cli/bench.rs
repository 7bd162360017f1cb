//! `kps bench`: what it refuses before it measures, and its reports on an embedded broker.
#[cfg(feature = "broker")]
use serde_json::Value;

use crate::harness::app::{Kps, Library};
use crate::one_line;
use crate::unreachable::closed_port;

/// Each is refused in one line with exit code 2.
#[track_caller]
fn refused(args: &[&str], parts: &[&str]) {
    let line = one_line(Kps::new([&["bench"], args].concat()), 2);
    for part in parts {
        assert!(line.contains(part), "{args:?}: no {part:?} in: {line}");
    }
}

#[test]
fn what_cannot_be_meant_is_refused() {
    refused(&["publish", "--rate", "0"], &["--rate", "'0' is not a rate"]);
    refused(&["publish", "--rate", "10MB/s", "--size", "0"], &["--rate 10MB/s", "0 bytes"]);
    refused(&["pipeline", "--messages", "5", "--duration", "1s"], &["--messages", "--duration"]);
    refused(&["publish", "--messages", "0"], &["--messages"]);
    refused(&["publish", "--duration", "0"], &["--duration 0", "above 0"]);
    refused(&["publish", "--size", "x"], &["--size", "'x'"]);
    refused(&["publish", "--size", "10GB"], &["10000000000 bytes", "max.request.size"]);
    refused(&["publish", "--compressibility", "1.5"], &["--compressibility 1.5", "from 0 to 1"]);
    refused(&["publish", "--producers", "0"], &["--producers"]);
    refused(&["publish", "--topic", "a b"], &["\"a b\" is not a topic name"]);
    refused(&["publish", "--topic", "t", "--partitions", "2"], &["--partitions", "--topic"]);
    refused(&["publish", "--start-at", "2020-01-01"], &["--start-at 2020-01-01", "over"]);
    refused(&["latency", "--find-rate"], &["--p99"]);
    refused(&["latency", "--p99", "1ms"], &["--find-rate"]);
    refused(&["compare", "--library", "native,kafkaesque"], &["kafkaesque"]);
    if Library::all().len() > 1 {
        refused(&["compare", "--output", "kafka-perf"], &["--output kafka-perf"]);
    }
    refused(&["publish", "--fail-if-slower", "5%"], &["--baseline"]);
    refused(&["publish", "--no-such"], &["'--no-such'"]);
    refused(&["publish", "--report", "/no/such/folder/x.html"], &["--report /no/such/folder/x.html"]);
}

#[test]
fn files_that_are_of_no_use_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (empty, other) = (file("empty", ""), file("other", "{}"));
    refused(&["publish", "--payload-file", &empty], &["--payload-file", &empty, "empty"]);
    refused(&["publish", "--payload-file", "/no/such"], &["--payload-file /no/such", "No such file"]);
    let baseline = |path: &str, part: &str| {
        refused(&["publish", "--baseline", path, "--fail-if-slower", "5%"], &["--baseline", path, part]);
    };
    baseline(&empty, "not JSON");
    baseline(&other, "not a report");
    baseline("/no/such", "No such file");
    refused(&["publish", "--baseline", &other, "--fail-if-slower", "x"], &["--fail-if-slower", "'x'"]);
    refused(&["merge", &empty], &[&empty, "not JSON"]);
    refused(&["merge", "/no/such"], &["/no/such: No such file"]);
    refused(&["merge"], &["FILE"]);
}

#[test]
fn a_broker_that_is_not_there_is_told_before_anything_is_drawn() {
    let address = closed_port();
    for args in [&["publish"][..], &["subscribe"], &["pipeline", "--topic", "t"], &["latency"]] {
        let line = one_line(Kps::new([&["bench"], args, &["-b", &address]].concat()), 4);
        assert!(line.contains(&address), "{line}");
    }
}

/// Runs it on an embedded broker.
#[cfg(feature = "broker")]
fn embedded(args: &[&str]) -> Kps {
    Kps::new([&["bench"], args, &["-b", "embedded"]].concat())
}

#[cfg(feature = "broker")]
#[test]
fn a_pipeline_needs_no_kafka_and_says_that_the_broker_is_embedded() {
    let output = embedded(&["pipeline", "--messages", "10000"]).run().ok().says("embedded broker at ");
    let text = output.text();
    for part in [
        " on an embedded broker, temporary topic kps-bench-",
        "10000 records of 100 bytes, compressibility 0.5",
        "10000 sent, 10000 received: 0 lost, 0 duplicates, 0 reordered, 0 foreign\n",
        "the embedded broker's use of both is in these",
    ] {
        assert!(text.contains(part), "no {part:?} in\n{output}");
    }
}

#[cfg(feature = "broker")]
#[test]
fn a_baseline_that_is_missed_fails_and_one_that_is_held_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("baseline.json");
    let args = ["publish", "--messages", "2000"];
    let printed = embedded(&[&args[..], &["--output", "json"]].concat()).run().ok().text();
    let mut json: Value = serde_json::from_str(&printed).unwrap();
    let rate = json["publish"]["records_per_second"].as_f64().unwrap();
    for (factor, code) in [(1e-3, 0), (1e3, 1)] {
        json["publish"]["records_per_second"] = (rate * factor).into();
        std::fs::write(&path, json.to_string()).unwrap();
        let held = ["--baseline", path.to_str().unwrap(), "--fail-if-slower", "5%"];
        let output = embedded(&[&args[..], &held].concat()).run().code(code);
        assert_eq!(output.err().contains("slower than the baseline: "), code == 1, "{output}");
    }
}

#[cfg(feature = "broker")]
#[test]
fn rates_are_searched_until_the_highest_is_found() {
    // A limit that nothing holds, and one that all do which the machine can.
    let find = |limit: &str, rate: &str| {
        let args = ["latency", "--find-rate", "--p99", limit, "--rate", rate, "--duration", "200ms"];
        embedded(&[&args[..], &["--output", "json"]].concat())
    };
    let output = find("1us", "2/s").run().code(1);
    let json: Value = serde_json::from_str(&output.text()).unwrap();
    let rates: Vec<_> =
        json["steps"].as_array().unwrap().iter().map(|step| step["rate"].as_f64().unwrap()).collect();
    assert_eq!((rates, &json["rate"]), (vec![2.0, 2.0, 1.0, 1.0], &Value::Null));
}
