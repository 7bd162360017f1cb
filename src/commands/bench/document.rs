//! The report of a run as JSON has it, which is what children hand to parents, and what `merge` and `--baseline`
//! read. README, "Benchmarking your cluster", lists the fields.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::latency::Figures;
use super::tagged::Verdict;
use super::usage::Usage;
use crate::commands::output::plain;

/// The name and version of the schema. A field may be added; one that goes or changes makes a new version.
pub(super) const SCHEMA: &str = "kps.bench/1";

/// The report of one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Run {
    pub(super) schema: String,
    /// publish, subscribe, pipeline or latency.
    pub(super) workload: String,
    /// When the measuring started, RFC 3339.
    pub(super) started: String,
    /// From then to the last outcome.
    pub(super) seconds: f64,
    pub(super) environment: Environment,
    pub(super) load: Load,
    pub(super) settings: Vec<Setting>,
    pub(super) warnings: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) publish: Option<Side>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) subscribe: Option<Side>,
    /// From when each record was due to its receipt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) end_to_end: Option<Figures>,
    /// From when each record was first offered to the client to its receipt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) service: Option<Figures>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) rate: Option<HeldRate>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) verified: Option<Verdict>,
    pub(super) usage: Used,
    pub(super) over_time: Vec<Sample>,
    /// False when a signal ended it early.
    pub(super) complete: bool,
}

/// Where it ran.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Environment {
    pub(super) kps: String,
    pub(super) library: String,
    pub(super) library_version: String,
    pub(super) os: String,
    pub(super) cpu: String,
    pub(super) cores: usize,
    pub(super) brokers: String,
    /// True when the broker ran in the process that measured, so that its use of the machine is counted, too.
    pub(super) embedded_broker: bool,
    pub(super) topic: String,
    pub(super) temporary_topic: bool,
    /// Of the topic, if it was asked for them.
    pub(super) partitions: Option<usize>,
}

/// What was sent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Load {
    pub(super) messages: Option<u64>,
    pub(super) duration_seconds: Option<f64>,
    pub(super) warmup: u64,
    /// Bytes of a value, on average.
    pub(super) value_bytes: f64,
    pub(super) payload_file: Option<String>,
    pub(super) key_bytes: Option<usize>,
    pub(super) headers: u32,
    /// Of made-up values.
    pub(super) compressibility: Option<f64>,
    pub(super) producers: u16,
    pub(super) consumers: u16,
    pub(super) rate: Option<f64>,
    pub(super) seed: u64,
}

/// A setting in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Setting {
    pub(super) key: String,
    pub(super) value: Option<String>,
    pub(super) origin: String,
}

/// One direction.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Side {
    /// Acknowledged, or received.
    pub(super) records: u64,
    /// Of keys and values.
    pub(super) bytes: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) undelivered: u64,
    /// From the start to the last of them.
    pub(super) seconds: f64,
    pub(super) records_per_second: f64,
    pub(super) bytes_per_second: f64,
    /// Publishing: from the first offer of a record to its acknowledgement. Subscribing: of a poll that brought
    /// records.
    pub(super) latency: Figures,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl Side {
    /// # Errors
    /// None; a time of 0 has a rate of 0.
    pub(super) fn new(records: u64, bytes: u64, seconds: f64, latency: Figures) -> Self {
        let per_second = |n: u64| if seconds > 0.0 { n as f64 / seconds } else { 0.0 };
        Self {
            records,
            bytes,
            undelivered: 0,
            seconds,
            records_per_second: per_second(records),
            bytes_per_second: per_second(bytes),
            latency,
        }
    }
}

/// A rate that was asked for, in records a second.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct HeldRate {
    pub(super) asked: f64,
    pub(super) reached: f64,
    pub(super) held: bool,
}

/// Below this share of what was asked for a rate is not held.
const HELD: f64 = 0.97;

impl HeldRate {
    pub(super) fn new(asked: f64, reached: f64) -> Self {
        Self { asked, reached, held: reached >= asked * HELD }
    }
}

/// What it took of the machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Used {
    #[serde(flatten)]
    pub(super) usage: Usage,
    pub(super) cpu_seconds_per_million: f64,
}

/// What was done by some time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Sample {
    pub(super) seconds: f64,
    pub(super) published: u64,
    pub(super) received: u64,
}

impl Run {
    /// Reads one that was printed before.
    ///
    /// # Errors
    /// In words that name the file.
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let named = |e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
        let text = std::fs::read_to_string(path).map_err(|e| named(&plain(&e)))?;
        Self::parse(&text).map_err(|e| named(&e))
    }

    /// # Errors
    /// In words.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let json: serde_json::Value =
            serde_json::from_str(text).map_err(|e| format!("not JSON, as --output json prints it: {e}"))?;
        match json.get("schema").and_then(|schema| schema.as_str()) {
            Some(SCHEMA) => {}
            Some(other) => return Err(format!("schema {other} is not {SCHEMA}")),
            None => return Err("not a report of kps bench".to_owned()),
        }
        if json.get("rounds").is_some() || json.get("steps").is_some() {
            return Err("it has several runs: a report of one is needed".to_owned());
        }
        serde_json::from_value(json).map_err(|e| format!("not a report of a run: {e}"))
    }

    /// Records that went all the way this workload has.
    pub(super) fn records(&self) -> u64 {
        self.main_side().map_or(0, |side| side.records)
    }

    /// The direction whose throughput is that of the run: the end of the way.
    pub(super) fn main_side(&self) -> Option<&Side> {
        self.subscribe.as_ref().or(self.publish.as_ref())
    }

    /// The latency of the run: end to end where there is one, else until the acknowledgement.
    pub(super) fn main_latency(&self) -> Option<&Figures> {
        self.end_to_end.as_ref().or(self.publish.as_ref().map(|side| &side.latency))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::commands::bench::latency::Latency;

    /// A run of so many records a second, in a second.
    pub(in crate::commands::bench) fn run(workload: &str, records: u64) -> Run {
        let mut latency = Latency::default();
        (1..=records).for_each(|n| latency.record(0, n * 1000));
        let figures = latency.figures();
        let side = || Side::new(records, records * 100, 1.0, figures.clone());
        let publishes = workload != "subscribe";
        let subscribes = workload != "publish";
        let both = (publishes && subscribes).then(|| figures.clone());
        Run {
            schema: SCHEMA.to_owned(),
            workload: workload.to_owned(),
            started: "2026-01-02T03:04:05.000Z".to_owned(),
            seconds: 1.0,
            environment: Environment {
                kps: "0.1.0".into(),
                library: "native".into(),
                library_version: "0.1.0".into(),
                cores: 2,
                topic: "t".into(),
                partitions: Some(1),
                ..Environment::default()
            },
            load: Load {
                messages: Some(records),
                value_bytes: 100.0,
                producers: 1,
                consumers: 1,
                ..Load::default()
            },
            settings: vec![Setting {
                key: "kafka.producer.acks".into(),
                value: Some("all".into()),
                origin: "default".into(),
            }],
            warnings: Vec::new(),
            publish: publishes.then(side),
            subscribe: subscribes.then(side),
            end_to_end: both.clone(),
            service: both,
            rate: None,
            verified: None,
            usage: Used::default(),
            over_time: vec![Sample { seconds: 1.0, published: records, received: records }],
            complete: true,
        }
    }

    #[test]
    fn a_report_goes_through_its_json() {
        for workload in ["publish", "subscribe", "pipeline"] {
            let run = run(workload, 1000);
            assert_eq!(Run::parse(&serde_json::to_string(&run).unwrap()), Ok(run));
        }
    }

    #[test]
    fn what_is_no_report_of_a_run_is_named() {
        for (text, expected) in [
            ("x", "not JSON"),
            ("{}", "not a report of kps bench"),
            (r#"{"schema":"kps.bench/9"}"#, "schema kps.bench/9 is not kps.bench/1"),
            (r#"{"schema":"kps.bench/1","rounds":[]}"#, "several runs"),
            (r#"{"schema":"kps.bench/1"}"#, "not a report of a run"),
        ] {
            let error = Run::parse(text).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn the_end_of_the_way_is_what_counts() {
        let mut run = run("pipeline", 10);
        run.publish = Some(Side::new(11, 0, 1.0, Figures::default()));
        assert_eq!(run.records(), 10);
        run.subscribe = None;
        assert_eq!(run.records(), 11);
    }

    #[test]
    fn a_rate_is_held_when_it_is_nearly_reached() {
        assert!(HeldRate::new(1000.0, 985.0).held);
        assert!(!HeldRate::new(1000.0, 900.0).held);
    }
}
