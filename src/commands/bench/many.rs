//! Several runs as one: `compare`, and `--repeat`.

use std::time::Duration;

use anyhow::Result;

use super::clients::Choice;
use super::compare::Comparison;
use super::plan::{self, Plan};
use super::produce::Amount;
use super::report::{Files, Report};
use super::rounds::Program;
use super::{context, finish, one, or_signal, summary};
use crate::backends::{Purpose, available, choose};
use crate::cli::{Bench, BenchArgs, BenchOutput, Cli, CompareArgs, LoadArgs, Workload};
use crate::commands::child::Relay;
use crate::commands::{Context, Exit, check_embedded, usage};
use crate::settings::{Entry, KeyId, Library};

/// How often `compare` runs each library, unless told.
const ROUNDS: u32 = 5;
/// The latency run of a round of `compare`.
const ROUND_TIME: Duration = Duration::from_secs(5);

/// `kps bench compare`.
pub(super) fn compare(args: &CompareArgs, cli: &Cli) -> Result<Exit> {
    let both = vec![Workload::Pipeline, Workload::Latency];
    let workloads = args.workload.map_or(both, |one| vec![one]);
    several("compare", workloads, libraries(cli)?, (&args.load, ROUNDS), cli, &context(cli)?)
}

/// A workload several times.
pub(super) fn repeat(workload: Workload, load: &LoadArgs, cli: &Cli) -> Result<Exit> {
    let context = context(cli)?;
    let choice = Choice::new(&Plan::new(workload, load)?, &context)?;
    let library = match workload {
        Workload::Subscribe => choice.subscribe.library,
        Workload::Publish | Workload::Pipeline | Workload::Latency => choice.publish.library,
    };
    several(summary::name(workload), vec![workload], vec![library], (load, 1), cli, &context)
}

/// One run for a parent: `WORKLOAD/LIBRARY`, printed as JSON.
pub(super) fn run_child(typed: &str, args: &BenchArgs, load: &LoadArgs, cli: &Cli) -> Result<Exit> {
    let wrong = || usage(format!("--child {typed}: not WORKLOAD/LIBRARY"));
    let (workload, library) = typed.split_once('/').ok_or_else(wrong)?;
    let all = [Workload::Publish, Workload::Subscribe, Workload::Pipeline, Workload::Latency];
    let workload = all.into_iter().find(|it| summary::name(*it) == workload).ok_or_else(wrong)?;
    let library = Library::named(library).ok_or_else(wrong)?;
    let mut context = Context::of_child(cli)?;
    context.stop.catch_hangup()?;
    context.layers.flags.entries.push(Entry::flag("--library", KeyId::Library, library.name()));
    let mut plan = Plan::new(workload, load)?;
    if matches!(&args.what, Bench::Compare(args) if args.workload.is_none()) {
        plan = part_of_round(plan);
    }
    let run = || {
        let (run, exit) = one(&plan, &context, BenchOutput::Json)?;
        let nowhere = Files { report: None, hlog: None };
        Report::One(Box::new(run)).publish(BenchOutput::Json, nowhere)?;
        Ok(exit)
    };
    or_signal(run(), &context)
}

/// A round of `compare`: the amount is that of the pipeline run, the rate that of the latency run.
fn part_of_round(plan: Plan) -> Plan {
    match plan.workload {
        Workload::Latency => {
            let rate = plan.rate.unwrap_or(plan::LATENCY_RATE);
            // A second of it to warm up.
            Plan { amount: Amount::For(ROUND_TIME), warmup: rate as u64, rate: Some(rate), ..plan }
        }
        _ => Plan { rate: None, ..plan },
    }
}

/// The libraries to compare: those named, or all that are here.
fn libraries(cli: &Cli) -> Result<Vec<Library>> {
    let Some(typed) = &cli.global.library else { return Ok(available()) };
    let mut libraries = Vec::new();
    for name in typed.split(',') {
        let library = Library::named(name.trim());
        let library = library.ok_or_else(|| usage(format!("--library {typed}: {name:?} is no library")))?;
        if !libraries.contains(&library) {
            libraries.push(library);
        }
    }
    Ok(libraries)
}

/// Runs libraries in turn, each in processes of its own.
fn several(
    name: &str,
    workloads: Vec<Workload>,
    libraries: Vec<Library>,
    (load, rounds): (&LoadArgs, u32),
    cli: &Cli,
    context: &Context<'_>,
) -> Result<Exit> {
    if load.output == BenchOutput::KafkaPerf && libraries.len() > 1 {
        return Err(usage("--output kafka-perf: Kafka's tools have no form for a comparison"));
    }
    let broker = prepare(&workloads, &libraries, load, context)?;
    context.announce_settings();
    let libraries: Vec<String> = libraries.iter().map(ToString::to_string).collect();
    let repeat = load.repeat.unwrap_or(rounds);
    let settings = serde_json::to_vec(&context.layers.files)?;
    let program = Program { cli, libraries: libraries.clone(), workloads, repeat, broker, settings };
    match program.run(&Relay::install(&context.stop))? {
        Ok(rounds) => {
            let report = Report::Several(Box::new(Comparison::new(name, &libraries, rounds)));
            finish(report, load, Exit::Done)
        }
        Err(exit) => Ok(exit),
    }
}

/// Finds mistakes before the first child does; starts the embedded broker for all of them.
fn prepare(
    workloads: &[Workload],
    libraries: &[Library],
    load: &LoadArgs,
    context: &Context<'_>,
) -> Result<Option<String>> {
    let mut broker = None;
    for library in libraries {
        let mut layers = context.layers.clone();
        layers.flags.entries.retain(|entry| entry.key != KeyId::Library.key().java);
        layers.flags.entries.push(Entry::flag("--library", KeyId::Library, library.name()));
        let mut chosen = choose(&layers, Purpose::Publish)?;
        for workload in workloads {
            Plan::new(*workload, load)?.check_size(&chosen.settings)?;
        }
        if chosen.settings.is_embedded() {
            check_embedded(&chosen.settings)?;
            context.reach(&mut chosen.settings)?;
            broker = Some(chosen.settings.bootstrap().join(","));
        }
    }
    Ok(broker)
}
