//! For people.

use std::fmt::Write;
use std::time::Duration;

use super::super::compare::{Comparison, Ratios};
use super::super::document::{Run, Side};
use super::super::latency::{Figures, PERCENTILES};
use super::super::stats::{Ratio, Spread, Verdict};
use super::Searched;
use crate::units;

/// The report of a run. Writing to a String does not fail.
pub(in super::super) fn run(run: &Run) -> String {
    let mut text = format!("{}\n", heading(run));
    let _ = writeln!(text, "load       {}", load(run));
    let mut side = |name: &str, side: &Option<Side>| {
        if let Some(side) = side {
            let _ = writeln!(text, "{name:10} {}", throughput(side));
        }
    };
    side("publish", &run.publish);
    side("subscribe", &run.subscribe);
    if let Some(rate) = &run.rate {
        let held = if rate.held { "held" } else { "NOT HELD" };
        let (asked, reached) = (rate.asked, rate.reached);
        let _ = writeln!(text, "rate       {asked:.1}/s asked for, {reached:.1}/s reached: {held}");
    }
    latencies(&mut text, run);
    if let Some(latency) = run.main_latency().filter(|latency| latency.count > 0) {
        let _ = writeln!(text, "{}", histogram(latency));
    }
    if let Some(v) = &run.verified {
        let _ = writeln!(
            text,
            "verified   {} sent, {} received: {} lost, {} duplicates, {} reordered, {} foreign{}",
            v.sent,
            v.received,
            v.lost,
            v.duplicates,
            v.reordered,
            v.foreign,
            if v.is_clean() { "" } else { "  NOT CLEAN" }
        );
    }
    let _ = writeln!(text, "machine    {}", usage(run));
    if !run.complete {
        text.push_str("interrupted: this is of what was done until then\n");
    }
    text
}

fn heading(run: &Run) -> String {
    let e = &run.environment;
    let broker = if e.embedded_broker { "an embedded broker" } else { e.brokers.as_str() };
    let partitions = match e.partitions {
        Some(1) => ", 1 partition".to_owned(),
        Some(n) => format!(", {n} partitions"),
        None => String::new(),
    };
    let kind = if e.temporary_topic { "temporary topic" } else { "topic" };
    format!(
        "kps bench {}: {} {} on {broker}, {kind} {}{partitions}",
        run.workload, e.library, e.library_version, e.topic
    )
}

/// What was sent, in words.
pub(in super::super) fn load(run: &Run) -> String {
    let load = &run.load;
    let amount = match (load.messages, load.duration_seconds) {
        (Some(records), _) => format!("{records} records"),
        (None, seconds) => {
            format!("records for {}", units::human_duration(Duration::from_secs_f64(seconds.unwrap_or(0.0))))
        }
    };
    let mut text = amount;
    if run.publish.is_some() {
        let _ = match &load.payload_file {
            Some(file) => {
                write!(text, ", values of {} bytes on average from {file}", load.value_bytes.round())
            }
            None => write!(
                text,
                " of {} bytes, compressibility {}",
                load.value_bytes,
                load.compressibility.unwrap_or(0.0)
            ),
        };
        if let Some(key) = load.key_bytes {
            let _ = write!(text, ", keys of {key} bytes");
        }
        if load.headers > 0 {
            let _ = write!(text, ", {} headers", load.headers);
        }
        let _ = write!(text, ", {}", count(load.producers, "producer"));
    }
    if run.subscribe.is_some() {
        let _ = write!(text, ", {}", count(load.consumers, "consumer"));
    }
    if load.warmup > 0 {
        let _ = write!(text, ", after {} to warm up", load.warmup);
    }
    text
}

fn count(number: u16, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn throughput(side: &Side) -> String {
    let time = Duration::from_secs_f64(side.seconds);
    let undelivered =
        if side.undelivered > 0 { format!(", {} UNDELIVERED", side.undelivered) } else { String::new() };
    format!(
        "{}, {}: {} records in {}{undelivered}",
        units::human_rate(side.records, time),
        units::human_throughput(side.bytes, time),
        side.records,
        units::human_duration(time),
    )
}

fn latencies(text: &mut String, run: &Run) {
    let mut rows: Vec<(&str, &Figures)> = Vec::new();
    rows.extend(run.end_to_end.as_ref().map(|figures| ("end to end", figures)));
    rows.extend(run.service.as_ref().map(|figures| ("service", figures)));
    rows.extend(run.publish.as_ref().map(|side| ("publish", &side.latency)));
    rows.extend(run.subscribe.as_ref().map(|side| ("poll", &side.latency)));
    let _ = write!(text, "{:10}", "latency us");
    for (name, _) in PERCENTILES {
        let _ = write!(text, " {name:>9}");
    }
    let _ = writeln!(text, " {:>9} {:>9}", "max", "mean");
    for (name, figures) in rows {
        let _ = write!(text, "{name:10}");
        for value in figures.percentiles() {
            let _ = write!(text, " {value:>9}");
        }
        let _ = writeln!(text, " {:>9} {:>9.0}", figures.max, figures.mean);
    }
}

/// The report of several runs: the four rows a person asks about.
pub(in super::super) fn several(all: &Comparison) -> String {
    let rounds = all.rounds.iter().map(|round| round.round + 1).max().unwrap_or(0);
    let mut text = format!("kps bench {}: median (least to most) of {rounds} rounds\n", all.workload);
    if let Some(run) = all.runs().next() {
        let _ = writeln!(text, "load        {}", load(run));
    }
    let _ = writeln!(
        text,
        "{:11} {:>27} {:>27} {:>27} {:>27}",
        "", "throughput, records/s", "p99 latency, us", "CPU s a million records", "peak memory, MB"
    );
    for it in &all.libraries {
        let _ = writeln!(
            text,
            "{:11} {:>27} {:>27} {:>27} {:>27}",
            it.library,
            spread(&it.records_per_second, 1.0, 0),
            spread(&it.p99_us, 1.0, 0),
            spread(&it.cpu_seconds_per_million, 1.0, 2),
            spread(&it.peak_memory_bytes, 1e6, 1),
        );
    }
    for it in &all.ratios {
        let Ratios { records_per_second, p99_us, cpu_seconds_per_million, peak_memory_bytes, .. } = it;
        let _ = writeln!(text, "{} to {}:", it.library, it.to);
        for (name, of) in [
            ("throughput", records_per_second),
            ("p99 latency", p99_us),
            ("CPU", cpu_seconds_per_million),
            ("memory", peak_memory_bytes),
        ] {
            let _ = writeln!(text, "  {name:11} {}", ratio(of));
        }
    }
    if !all.differing.is_empty() {
        text.push_str("settings that are not the same for all:\n");
    }
    for it in &all.differing {
        let values = it
            .values
            .iter()
            .map(|(library, value)| format!("{library}: {}", value.as_deref().unwrap_or("not set")));
        let _ = writeln!(text, "  {}  {}", it.key, values.collect::<Vec<_>>().join("; "));
    }
    text
}

fn spread(it: &Spread, unit: f64, digits: usize) -> String {
    let Spread { median, min, max } = it;
    format!("{:.digits$} ({:.digits$} to {:.digits$})", median / unit, min / unit, max / unit)
}

/// A ratio and its spread, in words.
pub(in super::super) fn ratio(it: &Ratio) -> String {
    let Spread { median, min, max } = it.ratio;
    let figures = format!("{median:.2} ({min:.2} to {max:.2})");
    match it.verdict {
        Verdict::NoDifference => format!("{figures}: no difference, the spreads overlap"),
        Verdict::More => format!("{figures}: more"),
        Verdict::Less => format!("{figures}: less"),
    }
}

/// What was found by searching.
pub(in super::super) fn searched(it: &Searched) -> String {
    let mut text =
        format!("kps bench latency: the highest rate with a p99 of at most {} us\n", it.p99_limit_us);
    for step in &it.steps {
        let verdict = if step.holds { "held" } else { "not held" };
        let _ = writeln!(
            text,
            "{:>12.1}/s  reached {:>12.1}/s  p99 {:>9} us  {verdict}",
            step.rate, step.reached, step.p99_us
        );
    }
    match it.rate {
        Some(rate) => {
            let _ = writeln!(text, "found: {rate:.1}/s");
        }
        None => text.push_str("found: none, not even the least that was tried\n"),
    }
    if let Some(best) = &it.best {
        text.push('\n');
        text.push_str(&run(best));
    }
    text
}

/// Bars of a small histogram, the lowest first.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// So many of them.
const WIDTH: u32 = 40;

/// How often which latency was, from the least to the largest, evenly by its logarithm.
fn histogram(figures: &Figures) -> String {
    let Ok(latency) = figures.latency() else { return String::new() };
    let (least, most) = (figures.min.max(1) as f64, figures.max.max(2) as f64);
    let step = (most / least).powf(1.0 / f64::from(WIDTH)).max(1.0);
    let edge = |n: u32| (least * step.powf(f64::from(n))) as u64;
    let mut counts = vec![0u64; WIDTH as usize];
    for value in latency.histogram().iter_recorded() {
        let at = (0..WIDTH).find(|n| value.value_iterated_to() < edge(n + 1)).unwrap_or(WIDTH - 1);
        if let Some(count) = counts.get_mut(at as usize) {
            *count += value.count_at_value();
        }
    }
    let highest = counts.iter().max().copied().unwrap_or(1).max(1);
    let bar = |count: &u64| match count {
        0 => ' ',
        _ => BARS.get((count * 7 / highest) as usize).copied().unwrap_or(' '),
    };
    let bars: String = counts.iter().map(bar).collect();
    format!("           {} us |{bars}| {} us", figures.min, figures.max)
}

fn usage(run: &Run) -> String {
    let used = &run.usage;
    let mut text = format!(
        "{:.2} s user, {:.2} s system ({:.2} s a million records), peak memory {}",
        used.usage.user_seconds,
        used.usage.system_seconds,
        used.cpu_seconds_per_million,
        units::human_size(used.usage.peak_memory_bytes)
    );
    if run.environment.embedded_broker {
        text.push_str("; the embedded broker's use of both is in these");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::super::document::{HeldRate, tests::run as example};
    use super::super::super::tagged::Verdict;
    use super::*;

    #[test]
    fn a_report_says_all_that_was_measured() {
        let mut example = example("pipeline", 1000);
        example.rate = Some(HeldRate::new(2000.0, 1000.0));
        example.verified = Some(Verdict { sent: 1000, received: 999, lost: 1, ..Verdict::default() });
        example.environment.embedded_broker = true;
        let text = run(&example);
        for expected in [
            "kps bench pipeline: native 0.1.0 on an embedded broker, topic t, 1 partition\n",
            "load       1000 records of 100 bytes, compressibility 0, 1 producer, 1 consumer\n",
            "publish    1.0 k msg/s, 100 kB/s: 1000 records in 1.0 s\n",
            "rate       2000.0/s asked for, 1000.0/s reached: NOT HELD\n",
            "end to end       500       900       950       990       999      1000      1000       500\n",
            "verified   1000 sent, 999 received: 1 lost, 0 duplicates, 0 reordered, 0 foreign  NOT CLEAN\n",
            "; the embedded broker's use of both is in these\n",
        ] {
            assert!(text.contains(expected), "{expected}\n{text}");
        }
    }

    #[test]
    fn a_comparison_has_four_figures_and_says_what_is_no_difference() {
        let text = several(&super::super::super::compare::tests::comparison());
        for expected in [
            "median (least to most) of 3 rounds\n",
            "2001 (2000 to 2002)",
            "throughput  0.50 (0.50 to 0.50): less\n",
            "p99 latency 1.00 (1.00 to 1.00): no difference, the spreads overlap\n",
            "  kafka.producer.acks  native: all; rskafka: all (as it is)\n",
        ] {
            assert!(text.contains(expected), "{expected}\n{text}");
        }
    }

    #[test]
    fn a_small_histogram_has_its_highest_bar_where_most_are() {
        let latency = example("publish", 1000).publish.unwrap().latency;
        let bars = histogram(&latency);
        assert!(bars.contains("1 us |") && bars.ends_with("█| 1000 us"), "{bars}");
        assert_eq!(histogram(&Figures { count: 1, ..Figures::default() }), "");
    }
}
