//! `kps bench merge`: runs that several machines made at the same time, added up. Histograms are added, not averaged.

use chrono::{DateTime, Utc};

use super::document::{HeldRate, Run, Sample, Side};
use super::latency::{Figures, Latency};
use super::tagged::Verdict;

/// Runs have to be together for so much of the time of all.
const TOGETHER: f64 = 0.8;

/// All of them as one, and what is to be said of it.
///
/// # Errors
/// In words: of different workloads, or histograms that cannot be read.
pub(super) fn merge(runs: &[Run]) -> Result<(Run, Vec<String>), String> {
    let Some(first) = runs.first() else { return Err("nothing to merge".to_owned()) };
    if let Some(other) = runs.iter().find(|run| run.workload != first.workload) {
        return Err(format!("{} and {} runs do not add up", first.workload, other.workload));
    }
    let window = Window::of(runs);
    let mut warnings = Vec::new();
    if window.common < window.whole * TOGETHER {
        warnings.push(format!(
            "the runs were at the same time for {:.1} s of {:.1} s only: start them with --start-at",
            window.common, window.whole
        ));
    }
    let mut all = first.clone();
    all.started = window.start.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    all.seconds = window.whole;
    all.publish = sides(runs, &window, |run| run.publish.as_ref())?;
    all.subscribe = sides(runs, &window, |run| run.subscribe.as_ref())?;
    all.end_to_end = figures(runs.iter().map(|run| run.end_to_end.as_ref()))?;
    all.service = figures(runs.iter().map(|run| run.service.as_ref()))?;
    all.rate = rates(runs);
    all.verified = runs.iter().filter_map(|run| run.verified).reduce(Verdict::plus);
    all.complete = runs.iter().all(|run| run.complete);
    all.over_time = over_time(runs, &window);
    gather(&mut all, runs);
    all.warnings.extend(warnings.iter().cloned());
    Ok((all, warnings))
}

/// What is a sum or a list of all.
fn gather(all: &mut Run, runs: &[Run]) {
    let sum = |of: &dyn Fn(&Run) -> f64| runs.iter().map(of).sum::<f64>();
    all.usage.usage.user_seconds = sum(&|run| run.usage.usage.user_seconds);
    all.usage.usage.system_seconds = sum(&|run| run.usage.usage.system_seconds);
    all.usage.usage.peak_memory_bytes = runs.iter().map(|run| run.usage.usage.peak_memory_bytes).sum();
    all.usage.cpu_seconds_per_million = all.usage.usage.per_million(all.records());
    all.load.messages = runs.iter().map(|run| run.load.messages).sum();
    all.load.producers = runs.iter().map(|run| run.load.producers).sum();
    all.load.consumers = runs.iter().map(|run| run.load.consumers).sum();
    all.load.rate = runs.iter().map(|run| run.load.rate).sum();
    all.warnings = Vec::new();
    for run in runs {
        let new: Vec<_> = run.warnings.iter().filter(|w| !all.warnings.contains(w)).cloned().collect();
        all.warnings.extend(new);
    }
    let mut libraries: Vec<&str> = runs.iter().map(|run| run.environment.library.as_str()).collect();
    libraries.sort_unstable();
    libraries.dedup();
    all.environment.library = libraries.join("+");
}

/// When the runs were, by the clocks of their machines.
struct Window {
    start: DateTime<Utc>,
    /// From the first start to the last end, in s.
    whole: f64,
    /// From the last start to the first end.
    common: f64,
}

impl Window {
    fn of(runs: &[Run]) -> Self {
        let start = |run: &Run| run.started.parse::<DateTime<Utc>>().unwrap_or_default();
        let first = runs.iter().map(start).min().unwrap_or_default();
        let from = |run: &Run| (start(run) - first).as_seconds_f64();
        let starts: Vec<f64> = runs.iter().map(from).collect();
        let ends: Vec<f64> = runs.iter().map(|run| from(run) + run.seconds).collect();
        let (last_start, first_end) = (max(&starts), ends.iter().copied().fold(f64::INFINITY, f64::min));
        Self { start: first, whole: max(&ends), common: (first_end - last_start).max(0.0) }
    }

    /// When a run began in it, in s.
    fn offset(&self, run: &Run) -> f64 {
        let start = run.started.parse::<DateTime<Utc>>().unwrap_or_default();
        (start - self.start).as_seconds_f64()
    }
}

fn max(values: &[f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}

/// One direction of all runs that have it, over the time that any of them took.
fn sides<'a>(
    runs: &'a [Run],
    window: &Window,
    of: impl Fn(&'a Run) -> Option<&'a Side>,
) -> Result<Option<Side>, String> {
    let sides: Vec<(&Run, &Side)> = runs.iter().filter_map(|run| Some((run, of(run)?))).collect();
    let Some(latency) = figures(sides.iter().map(|(_, side)| Some(&side.latency)))? else { return Ok(None) };
    let ends: Vec<f64> = sides.iter().map(|(run, side)| window.offset(run) + side.seconds).collect();
    let (records, bytes) =
        (sides.iter().map(|(_, s)| s.records).sum(), sides.iter().map(|(_, s)| s.bytes).sum());
    let undelivered = sides.iter().map(|(_, side)| side.undelivered).sum();
    Ok(Some(Side { undelivered, ..Side::new(records, bytes, max(&ends), latency) }))
}

fn figures<'a>(each: impl Iterator<Item = Option<&'a Figures>>) -> Result<Option<Figures>, String> {
    let mut all: Option<Latency> = None;
    for figures in each.flatten() {
        all.get_or_insert_default().add(&figures.latency()?);
    }
    Ok(all.map(|all| all.figures()))
}

fn rates(runs: &[Run]) -> Option<HeldRate> {
    let rates: Vec<HeldRate> = runs.iter().filter_map(|run| run.rate).collect();
    let sum = |of: fn(&HeldRate) -> f64| rates.iter().map(of).sum();
    (!rates.is_empty()).then(|| HeldRate::new(sum(|rate| rate.asked), sum(|rate| rate.reached)))
}

/// What all had done by each time at which any was looked at.
fn over_time(runs: &[Run], window: &Window) -> Vec<Sample> {
    let offsets: Vec<f64> = runs.iter().map(|run| window.offset(run)).collect();
    let mut times: Vec<f64> = Vec::new();
    for (run, offset) in runs.iter().zip(&offsets) {
        times.extend(run.over_time.iter().map(|sample| sample.seconds + offset));
    }
    times.sort_by(f64::total_cmp);
    times.dedup();
    let by = |time: f64| {
        let mut sum = Sample { seconds: time, ..Sample::default() };
        for (run, offset) in runs.iter().zip(&offsets) {
            let past = run.over_time.iter().rev().find(|sample| sample.seconds + offset <= time);
            sum.published += past.map_or(0, |sample| sample.published);
            sum.received += past.map_or(0, |sample| sample.received);
        }
        sum
    };
    times.into_iter().map(by).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::bench::document::tests::run;

    fn at(mut run: Run, started: &str) -> Run {
        run.started = started.to_owned();
        run
    }

    #[test]
    fn histograms_and_records_add_up() {
        let (one, other) = (run("pipeline", 1000), run("pipeline", 3000));
        let (all, warnings) = merge(&[one, other]).unwrap();
        assert!(warnings.is_empty());
        let latency = all.end_to_end.as_ref().unwrap();
        // Of 1..=1000 and 1..=3000 together; the mean of both medians would be 1000.
        assert!(latency.count == 4000 && (999..=1001).contains(&latency.p50), "{latency:?}");
        let side = all.subscribe.as_ref().unwrap();
        assert_eq!((side.records, side.bytes, side.records_per_second), (4000, 400_000, 4000.0));
        assert_eq!((all.load.messages, all.load.producers), (Some(4000), 2));
        assert_eq!(all.over_time, [Sample { seconds: 1.0, published: 4000, received: 4000 }]);
    }

    #[test]
    fn runs_that_were_not_at_the_same_time_are_told_and_take_the_time_of_both() {
        let one = at(run("publish", 100), "2026-01-01T00:00:00Z");
        let other = at(run("publish", 100), "2026-01-01T00:00:03Z");
        let (all, warnings) = merge(&[other, one]).unwrap();
        assert!(warnings[0].contains("0.0 s of 4.0 s"), "{warnings:?}");
        assert_eq!((all.seconds, all.publish.unwrap().records_per_second), (4.0, 50.0));
        assert_eq!(all.started, "2026-01-01T00:00:00.000Z");
        assert_eq!(all.over_time.iter().map(|s| s.published).collect::<Vec<_>>(), [100, 200]);
    }

    #[test]
    fn different_workloads_do_not_add_up() {
        let error = merge(&[run("publish", 1), run("latency", 1)]).unwrap_err();
        assert_eq!(error, "publish and latency runs do not add up");
        assert!(merge(&[]).is_err());
    }

    #[test]
    fn a_broken_histogram_is_an_error() {
        let mut broken = run("publish", 1);
        if let Some(side) = &mut broken.publish {
            side.latency.histogram = "!".to_owned();
        }
        assert!(merge(&[broken]).is_err());
    }
}
