//! From what was measured to the report of it.

use chrono::{DateTime, SecondsFormat};

use super::document::{Environment, HeldRate, Load, Run, SCHEMA, Setting, Side, Used};
use super::latency::{Figures, Latency};
use super::load::Values;
use super::measure::{Measured, Totals};
use super::plan::Plan;
use super::produce::Amount;
use crate::backends::{Chosen, build_of, capability};
use crate::cli::Workload;
use crate::settings::{KeyId, explain};

/// The name of a workload on the command line.
pub(super) fn name(workload: Workload) -> &'static str {
    match workload {
        Workload::Publish => "publish",
        Workload::Subscribe => "subscribe",
        Workload::Pipeline => "pipeline",
        Workload::Latency => "latency",
    }
}

/// The report of a run.
pub(super) fn report(plan: &Plan, it: &Measured) -> Run {
    let merged = |each: &mut dyn Iterator<Item = &Latency>| {
        let mut all = Latency::default();
        each.for_each(|one| all.add(one));
        all.figures()
    };
    let publish = plan.publishes().then(|| {
        let latency = merged(&mut it.published.iter().map(|published| &published.latency));
        let undelivered = it.published.iter().map(|published| published.undelivered).sum();
        Side { undelivered, ..side(it.sent_totals, latency) }
    });
    let subscribe = plan
        .subscribes()
        .then(|| side(it.received_totals, merged(&mut it.received.iter().map(|received| &received.poll))));
    let both = plan.publishes() && plan.subscribes();
    let end_to_end = both.then(|| merged(&mut it.received.iter().map(|received| &received.end_to_end)));
    let service = both.then(|| merged(&mut it.received.iter().map(|received| &received.service)));
    let records = if plan.subscribes() { it.received_totals } else { it.sent_totals }.records;
    Run {
        schema: SCHEMA.to_owned(),
        workload: name(plan.workload).to_owned(),
        started: time(it.started),
        seconds: it.seconds,
        environment: environment(plan, it),
        load: load(plan),
        settings: settings(plan, it),
        warnings: warnings(plan, it),
        publish,
        subscribe,
        end_to_end,
        service,
        rate: plan.rate.filter(|_| plan.publishes()).map(|asked| HeldRate::new(asked, reached(asked, it))),
        verified: it.verdict,
        usage: Used { usage: it.usage, cpu_seconds_per_million: it.usage.per_million(records) },
        over_time: it.samples.clone(),
        complete: it.signal.is_none(),
    }
}

fn side(totals: Totals, latency: Figures) -> Side {
    Side::new(totals.records, totals.bytes, totals.seconds, latency)
}

/// The rate at which the clients took records: of one record there is none but the one asked for.
fn reached(asked: f64, it: &Measured) -> f64 {
    let made: u64 = it.published.iter().map(|published| published.made).sum();
    if made < 2 || it.last_sent <= 0.0 { asked } else { ((made - 1) as f64 / it.last_sent).min(asked) }
}

fn time(ms: i64) -> String {
    DateTime::from_timestamp_millis(ms).unwrap_or_default().to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn environment(plan: &Plan, it: &Measured) -> Environment {
    let chosen = main_choice(plan, it);
    Environment {
        kps: env!("CARGO_PKG_VERSION").to_owned(),
        library: it.choice.library(plan),
        library_version: build_of(chosen.library).map(|(version, _)| version).unwrap_or_default(),
        os: system(),
        cpu: cpu(),
        cores: std::thread::available_parallelism().map_or(0, usize::from),
        brokers: chosen.settings.bootstrap().join(","),
        embedded_broker: it.choice.embedded,
        topic: it.topic.clone(),
        temporary_topic: it.temporary,
        partitions: it.partitions,
    }
}

fn main_choice<'a>(plan: &Plan, it: &'a Measured) -> &'a Chosen {
    if plan.publishes() { &it.choice.publish } else { &it.choice.subscribe }
}

/// System, release and machine, as uname(2) tells.
fn system() -> String {
    let it = rustix::system::uname();
    let parts = [it.sysname(), it.release(), it.machine()];
    parts.map(|part| part.to_string_lossy().into_owned()).join(" ")
}

/// The processor's name, where the system tells.
fn cpu() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    name.map_or(String::new(), |(_, name)| name.trim().to_owned())
}

fn load(plan: &Plan) -> Load {
    let (messages, duration_seconds) = match plan.amount {
        Amount::Records(records) => (Some(records), None),
        Amount::For(time) => (None, Some(time.as_secs_f64())),
    };
    let key = plan.shape.key_size.unwrap_or(0);
    Load {
        messages,
        duration_seconds,
        warmup: plan.warmup,
        value_bytes: plan.shape.payload() - key as f64,
        payload_file: plan.payload_file.as_ref().map(|(file, _)| file.clone()),
        key_bytes: plan.shape.key_size,
        headers: plan.shape.headers,
        compressibility: match plan.shape.values {
            Values::MadeUp { repeated, .. } => Some(repeated),
            Values::Lines(_) => None,
        },
        producers: plan.producers,
        consumers: plan.consumers,
        rate: plan.rate,
        seed: plan.shape.seed,
    }
}

/// All settings in force, with what the library makes of those that it does not honour as they stand.
fn settings(plan: &Plan, it: &Measured) -> Vec<Setting> {
    let (publish, subscribe) = (&it.choice.publish, &it.choice.subscribe);
    let mut unmet = Vec::new();
    for (counts, chosen) in [(plan.publishes(), publish), (plan.subscribes(), subscribe)] {
        if counts {
            unmet.extend(capability::unmet(chosen.library, &chosen.settings));
        }
    }
    let skipped =
        |key: &str| [KeyId::Library, KeyId::BootstrapServers].iter().any(|id| key.ends_with(id.key().java));
    let rows = explain::rows(&publish.settings, &subscribe.settings);
    let wanted = |row: &explain::Row| {
        let side = |name: &str| row.key.starts_with(&format!("kafka.{name}."));
        (plan.publishes() || !side("producer")) && (plan.subscribes() || !side("consumer"))
    };
    let rows = rows.into_iter().filter(|row| wanted(row) && !skipped(&row.key));
    rows.map(|row| {
        let instead = unmet.iter().find(|(id, _)| row.key.ends_with(&format!(".{}", id.key().java)));
        let value = match (row.value, instead) {
            (Some(value), Some((_, instead))) => Some(format!("{value} ({instead})")),
            (value, _) => value,
        };
        Setting { key: row.key, value, origin: row.origin.to_string() }
    })
    .collect()
}

fn warnings(plan: &Plan, it: &Measured) -> Vec<String> {
    let mut all = Vec::new();
    for (counts, chosen) in
        [(plan.publishes(), &it.choice.publish), (plan.subscribes(), &it.choice.subscribe)]
    {
        all.extend(chosen.warnings.iter().filter(|_| counts).cloned());
    }
    all.dedup();
    all
}
