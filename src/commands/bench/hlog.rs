//! `--hlog`: latencies as an HdrHistogram log (V2), which HistogramLogAnalyzer and others read.

use std::path::Path;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

use super::document::Run;
use super::latency::Figures;
use crate::commands::output::plain;
use crate::private;

/// Values are in microseconds, and the largest of each line is told in milliseconds, as other writers do.
const MICROS_IN_A_MILLI: f64 = 1000.0;

/// Writes the latencies of a run, one interval each, under tags that name them.
///
/// # Errors
/// In words.
pub(super) fn write(run: &Run, path: &Path) -> Result<(), String> {
    let bytes = log(run)?;
    private::write(path, &bytes).map_err(|e| format!("--hlog {}: {}", path.display(), plain(&e)))
}

fn log(run: &Run) -> Result<Vec<u8>, String> {
    let started: SystemTime = run.started.parse::<DateTime<Utc>>().unwrap_or_default().into();
    let mut bytes = Vec::new();
    let mut serializer = V2DeflateSerializer::new();
    let failed = |e: &dyn std::fmt::Debug| format!("--hlog: {e:?}");
    let mut log = IntervalLogWriterBuilder::new()
        .add_comment(&format!("kps bench {}, microseconds", run.workload))
        .with_start_time(started)
        .with_base_time(started)
        .with_max_value_divisor(MICROS_IN_A_MILLI)
        .begin_log_with(&mut bytes, &mut serializer)
        .map_err(|e| failed(&e))?;
    let time = Duration::from_secs_f64(run.seconds.max(0.0));
    for (name, figures) in latencies(run) {
        let latency = figures.latency()?;
        log.write_histogram(latency.histogram(), Duration::ZERO, time, Tag::new(name))
            .map_err(|e| failed(&e))?;
    }
    Ok(bytes)
}

/// All latencies of a run, by name.
pub(super) fn latencies(run: &Run) -> Vec<(&'static str, &Figures)> {
    let sides = [
        ("end_to_end", run.end_to_end.as_ref()),
        ("service", run.service.as_ref()),
        ("publish", run.publish.as_ref().map(|side| &side.latency)),
        ("poll", run.subscribe.as_ref().map(|side| &side.latency)),
    ];
    sides.into_iter().filter_map(|(name, figures)| Some((name, figures?))).collect()
}

#[cfg(test)]
mod tests {
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    use super::*;
    use crate::commands::bench::document::tests::run;
    use crate::commands::bench::latency::Latency;

    #[test]
    fn the_log_has_an_interval_for_each_latency() {
        let run = run("pipeline", 1000);
        let bytes = log(&run).unwrap();
        let mut found = Vec::new();
        for entry in IntervalLogIterator::new(&bytes) {
            if let LogEntry::Interval(interval) = entry.unwrap() {
                let latency = Latency::decoded(interval.encoded_histogram()).unwrap();
                assert_eq!(latency.figures().p99, 990);
                assert!((interval.max() - 1.0).abs() < 0.01, "{}", interval.max());
                found.push(interval.tag().unwrap().as_str().to_owned());
            }
        }
        assert_eq!(found, ["end_to_end", "service", "publish", "poll"]);
    }
}
