//! A header, and a line for each run.

use std::fmt::Write;

use super::super::document::Run;
use super::super::latency::{Figures, PERCENTILES};

/// Figures that every run has.
const COLUMNS: [&str; 14] = [
    "started",
    "workload",
    "library",
    "seconds",
    "published",
    "undelivered",
    "publish_records_per_second",
    "publish_bytes_per_second",
    "received",
    "subscribe_records_per_second",
    "subscribe_bytes_per_second",
    "cpu_seconds",
    "cpu_seconds_per_million",
    "peak_memory_bytes",
];
/// Latencies, each with its percentiles in microseconds.
const LATENCIES: [&str; 4] = ["end_to_end", "service", "publish", "poll"];

/// These runs.
pub(in super::super) fn runs<'a>(runs: impl IntoIterator<Item = &'a Run>) -> String {
    let mut text = COLUMNS.join(",");
    for latency in LATENCIES {
        for name in PERCENTILES.iter().map(|(name, _)| *name).chain(["max", "mean"]) {
            // Writing to a String does not fail.
            let _ = write!(text, ",{latency}_{name}_us");
        }
    }
    text.push_str(",lost,duplicates,reordered,foreign\n");
    runs.into_iter().for_each(|run| row(&mut text, run));
    text
}

fn row(text: &mut String, run: &Run) {
    let (publish, subscribe) = (run.publish.as_ref(), run.subscribe.as_ref());
    let cells = [
        quoted(&run.started),
        quoted(&run.workload),
        quoted(&run.environment.library),
        format!("{:.6}", run.seconds),
        cell(publish.map(|side| side.records)),
        cell(publish.map(|side| side.undelivered)),
        cell(publish.map(|side| format!("{:.1}", side.records_per_second))),
        cell(publish.map(|side| format!("{:.1}", side.bytes_per_second))),
        cell(subscribe.map(|side| side.records)),
        cell(subscribe.map(|side| format!("{:.1}", side.records_per_second))),
        cell(subscribe.map(|side| format!("{:.1}", side.bytes_per_second))),
        format!("{:.6}", run.usage.usage.cpu()),
        format!("{:.6}", run.usage.cpu_seconds_per_million),
        run.usage.usage.peak_memory_bytes.to_string(),
    ];
    text.push_str(&cells.join(","));
    let latencies = [
        run.end_to_end.as_ref(),
        run.service.as_ref(),
        publish.map(|side| &side.latency),
        subscribe.map(|side| &side.latency),
    ];
    latencies.into_iter().for_each(|figures| latency(text, figures));
    let v = run.verified.as_ref();
    for count in [v.map(|v| v.lost), v.map(|v| v.duplicates), v.map(|v| v.reordered), v.map(|v| v.foreign)] {
        let _ = write!(text, ",{}", cell(count));
    }
    text.push('\n');
}

fn latency(text: &mut String, figures: Option<&Figures>) {
    let values = figures.map(Figures::percentiles);
    for n in 0..PERCENTILES.len() {
        let _ = write!(text, ",{}", cell(values.and_then(|values| values.get(n).copied())));
    }
    let _ = write!(text, ",{},{}", cell(figures.map(|f| f.max)), cell(figures.map(|f| f.mean)));
}

fn cell(value: Option<impl ToString>) -> String {
    value.map_or(String::new(), |value| value.to_string())
}

/// Quoted where RFC 4180 asks for it.
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::document::tests::run;
    use super::*;

    #[test]
    fn every_line_has_a_cell_for_each_column() {
        let (one, other) = (run("publish", 10), run("pipeline", 20));
        let text = runs([&one, &other]);
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
        assert_eq!(lines.len(), 3);
        assert!(lines.iter().all(|line| line.len() == lines[0].len()), "{text}");
        let at = |line: usize, name: &str| lines[line][lines[0].iter().position(|c| *c == name).unwrap()];
        assert_eq!((at(1, "published"), at(1, "received"), at(1, "end_to_end_p99_us")), ("10", "", ""));
        assert_eq!((at(2, "received"), at(2, "end_to_end_max_us"), at(2, "poll_p50_us")), ("20", "20", "10"));
    }

    #[test]
    fn text_that_would_end_a_cell_is_quoted() {
        assert_eq!(quoted("a,\"b"), "\"a,\"\"b\"");
        assert_eq!(quoted("plain"), "plain");
    }
}
