//! Line for line what Kafka's own tools print: ProducerPerformance, ConsumerPerformance and EndToEndLatency of Apache
//! Kafka 4.1. Their MB is 2^20 bytes.

use chrono::{DateTime, Duration, Utc};

use super::super::document::{Run, Side};
use super::super::latency::Figures;
use super::super::shared::Interval;

const MIB: f64 = 1024.0 * 1024.0;

/// What ProducerPerformance prints on the way. `bytes` were acknowledged in this time.
pub(in super::super) fn window(interval: &Interval, bytes: u64, seconds: f64) -> String {
    let records = interval.records;
    format!(
        "{records} records sent, {:.1} records/sec ({:.2} MB/sec), {:.1} ms avg latency, {:.1} ms max latency.\n",
        records as f64 / seconds,
        bytes as f64 / MIB / seconds,
        interval.sum as f64 / 1e6 / records as f64,
        interval.max as f64 / 1e6,
    )
}

/// The tool that does what this run did.
pub(in super::super) fn run(run: &Run) -> String {
    match (&run.publish, &run.subscribe, &run.end_to_end) {
        (Some(_), _, Some(latency)) if run.workload == "latency" => end_to_end(latency),
        (Some(publish), Some(subscribe), _) => {
            producer(publish, run.load.warmup) + &consumer(subscribe, &run.started, run.seconds)
        }
        (Some(publish), None, _) => producer(publish, run.load.warmup),
        (None, Some(subscribe), _) => consumer(subscribe, &run.started, run.seconds),
        (None, None, _) => String::new(),
    }
}

/// The summary; with a warm-up it is that of the steady state.
fn producer(side: &Side, warmup: u64) -> String {
    let latency = &side.latency;
    format!(
        "{}{} records sent, {:.6} records/sec ({:.2} MB/sec), {:.2} ms avg latency, {:.2} ms max latency, \
         {} ms 50th, {} ms 95th, {} ms 99th, {} ms 99.9th.\n",
        side.records,
        if warmup > 0 { " steady state" } else { "" },
        side.records_per_second,
        side.bytes_per_second / MIB,
        latency.mean / 1000.0,
        latency.max as f64 / 1000.0,
        millis(latency.p50),
        millis(latency.p95),
        millis(latency.p99),
        millis(latency.p999),
    )
}

/// The tool's clock has whole milliseconds.
fn millis(us: u64) -> u64 {
    (us + 500) / 1000
}

/// Header and row. Nobody rebalances here: the partitions are read directly.
fn consumer(side: &Side, started: &str, seconds: f64) -> String {
    let start = started.parse::<DateTime<Utc>>().unwrap_or_default();
    let end = start + Duration::milliseconds((seconds * 1000.0) as i64);
    let shown = |time: DateTime<Utc>| time.format("%Y-%m-%d %H:%M:%S:%3f").to_string();
    let (mib, ms) = (side.bytes as f64 / MIB, (side.seconds * 1000.0).round());
    let per_second = |n: f64| if side.seconds > 0.0 { n / side.seconds } else { 0.0 };
    format!(
        "start.time, end.time, data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, nMsg.sec, rebalance.time.ms, \
         fetch.time.ms, fetch.MB.sec, fetch.nMsg.sec\n{}, {}, {mib:.4}, {:.4}, {}, {:.4}, 0, {ms}, {:.4}, {:.4}\n",
        shown(start),
        shown(end),
        per_second(mib),
        side.records,
        per_second(side.records as f64),
        per_second(mib),
        per_second(side.records as f64),
    )
}

fn end_to_end(latency: &Figures) -> String {
    format!(
        "Avg latency: {:.4} ms\nPercentiles: 50th = {}, 99th = {}, 99.9th = {}\n",
        latency.mean / 1000.0,
        millis(latency.p50),
        millis(latency.p99),
        millis(latency.p999),
    )
}

#[cfg(test)]
mod tests {
    use super::super::super::document::tests::run as example;
    use super::*;

    /// A million records of 100 bytes in 2 s.
    fn side() -> Side {
        let latency = Figures {
            mean: 1234.5,
            p50: 1499,
            p95: 1500,
            p99: 9_600,
            p999: 10_000,
            max: 12_340,
            ..Figures::default()
        };
        Side::new(1_000_000, 100_000_000, 2.0, latency)
    }

    #[test]
    fn a_producers_summary_is_that_of_producer_performance() {
        let mut run_ = example("publish", 1);
        run_.publish = Some(side());
        let line = "1000000 records sent, 500000.000000 records/sec (47.68 MB/sec), 1.23 ms avg latency, \
                    12.34 ms max latency, 1 ms 50th, 2 ms 95th, 10 ms 99th, 10 ms 99.9th.\n";
        assert_eq!(run(&run_), line);
        run_.load.warmup = 5;
        assert_eq!(run(&run_), line.replace(" records sent", " steady state records sent"));
    }

    #[test]
    fn a_window_is_that_of_producer_performance() {
        let interval = Interval { records: 1000, sum: 2_500_000_000, max: 9_960_000 };
        let line =
            "1000 records sent, 200.0 records/sec (0.02 MB/sec), 2.5 ms avg latency, 10.0 ms max latency.\n";
        assert_eq!(window(&interval, 100_000, 5.0), line);
    }

    #[test]
    fn a_consumers_report_is_that_of_consumer_performance() {
        let mut run_ = example("subscribe", 1);
        (run_.subscribe, run_.seconds) = (Some(side()), 2.0);
        let row = "2026-01-02 03:04:05:000, 2026-01-02 03:04:07:000, 95.3674, 47.6837, 1000000, 500000.0000, 0, 2000, \
                   47.6837, 500000.0000";
        assert_eq!(run(&run_).lines().collect::<Vec<_>>(), [HEADER, row]);
    }

    const HEADER: &str = "start.time, end.time, data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, nMsg.sec, \
                          rebalance.time.ms, fetch.time.ms, fetch.MB.sec, fetch.nMsg.sec";

    #[test]
    fn a_latency_run_is_reported_as_end_to_end_latency_does() {
        let mut run_ = example("latency", 1);
        run_.end_to_end = Some(side().latency);
        assert_eq!(run(&run_), "Avg latency: 1.2345 ms\nPercentiles: 50th = 1, 99th = 10, 99.9th = 10\n");
    }
}
