//! What is told while a run goes on: a bar on a terminal, the lines of Kafka's tools every 5 s, and samples for the
//! report.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::document::Sample;
use super::produce::Amount;
use super::report::kafka_perf;
use super::shared::Interval;
use crate::cli::BenchOutput;
use crate::commands::output::Output;
use crate::console;
use crate::units;

/// Samples of a report; when there are more, every second one goes.
const SAMPLES: usize = 400;
/// How often Kafka's ProducerPerformance reports (`--reporting-interval`).
const REPORT_EVERY: f64 = 5.0;

/// Follows a run.
pub(super) struct Progress {
    bar: ProgressBar,
    amount: Amount,
    samples: Vec<Sample>,
    /// The least distance of two samples, in s.
    distance: f64,
    kafka_perf: Option<Windows>,
}

/// The windows of Kafka's tool.
#[derive(Debug, Default)]
struct Windows {
    interval: Interval,
    since: f64,
    bytes: u64,
}

impl Progress {
    /// With a bar unless standard error is no terminal.
    pub(super) fn new(title: String, amount: Amount, output: BenchOutput) -> Self {
        let shown = console::verbosity() >= 0;
        let bar = match amount {
            Amount::Records(records) => ProgressBar::new(records),
            Amount::For(time) => ProgressBar::new(millis(time.as_secs_f64())),
        };
        bar.set_draw_target(if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() });
        if let Ok(style) = ProgressStyle::with_template("{prefix} [{bar:30}] {percent:>3}% {msg}") {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_prefix(title);
        let kafka_perf = (output == BenchOutput::KafkaPerf).then(Windows::default);
        Self { bar, amount, samples: Vec::new(), distance: 0.1, kafka_perf }
    }

    /// Takes note of how far the run is.
    pub(super) fn at(&mut self, sample: Sample, bytes: u64, interval: Interval) {
        let last = self.samples.last().map_or(0.0, |last| last.seconds);
        if sample.seconds - last >= self.distance {
            self.samples.push(sample);
            self.thin();
        }
        let done = sample.received.max(sample.published);
        self.bar.set_position(match self.amount {
            Amount::Records(_) => done,
            Amount::For(_) => millis(sample.seconds),
        });
        if !self.bar.is_hidden() {
            let time = Duration::from_secs_f64(sample.seconds);
            self.bar.set_message(format!("{done} records, {}", units::human_rate(done, time)));
        }
        if let Some(windows) = &mut self.kafka_perf {
            windows.at(sample.seconds, bytes, interval);
        }
    }

    fn thin(&mut self) {
        if self.samples.len() > SAMPLES {
            let mut keep = false;
            self.samples.retain(|_| {
                keep = !keep;
                !keep
            });
            self.distance *= 2.0;
        }
    }

    /// The end: the samples, the last one among them.
    pub(super) fn finish(mut self, last: Sample) -> Vec<Sample> {
        self.bar.finish_and_clear();
        self.samples.retain(|sample| sample.seconds < last.seconds);
        self.samples.push(last);
        self.samples
    }
}

impl Windows {
    fn at(&mut self, seconds: f64, bytes: u64, interval: Interval) {
        self.interval.plus(interval);
        let passed = seconds - self.since;
        if passed < REPORT_EVERY || self.interval.records == 0 {
            return;
        }
        let line = kafka_perf::window(&self.interval, bytes.saturating_sub(self.bytes), passed);
        // A reader that is gone is told of by the report itself.
        let _ = Output::print(&line);
        *self = Self { interval: Interval::default(), since: seconds, bytes };
    }
}

fn millis(seconds: f64) -> u64 {
    (seconds * 1000.0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(n: u32) -> Sample {
        Sample { seconds: f64::from(n) / 10.0, published: n.into(), received: n.into() }
    }

    #[test]
    fn samples_stay_few_and_cover_all_of_the_run() {
        let mut progress = Progress::new("t".into(), Amount::Records(1), BenchOutput::Text);
        for n in 1..=36_000 {
            progress.at(sample(n), 0, Interval::default());
        }
        let samples = progress.finish(sample(36_001));
        assert!(samples.len() <= SAMPLES + 1, "{}", samples.len());
        assert!(samples[0].seconds < 60.0 && samples.last() == Some(&sample(36_001)));
        assert!(samples.is_sorted_by(|a, b| a.seconds < b.seconds));
    }
}
