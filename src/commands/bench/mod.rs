//! `kps bench`: how fast and how soon records go through a cluster, by the same way as those of the other commands.

mod alarm;
mod baseline;
mod clients;
mod compare;
mod consume;
mod document;
mod hlog;
mod latency;
mod load;
mod measure;
mod merge;
mod plan;
mod produce;
mod progress;
mod report;
mod rounds;
mod schedule;
mod search;
mod shared;
mod stats;
mod summary;
mod tagged;
mod topic;
mod usage;

use std::time::Duration;

use anyhow::{Result, anyhow};

use self::baseline::Mark;
use self::clients::Choice;
use self::compare::Comparison;
use self::document::{Run, SCHEMA};
use self::measure::{Measured, measure};
use self::plan::Plan;
use self::produce::Amount;
use self::report::{Files, Report, Searched, Step};
use self::rounds::Program;
use self::search::{Next, Search};
use super::child::Relay;
use super::{Context, Exit, usage};
use crate::backends::{ErrorKind, available};
use crate::cli::{Bench, BenchArgs, BenchOutput, Cli, LatencyArgs, LoadArgs, MergeArgs, Workload};
use crate::console;
use crate::settings::{Entry, KeyId, Library};

/// How often `compare` runs each library, unless told.
const ROUNDS: u32 = 5;
/// The latency run of a round of `compare`.
const ROUND_TIME: Duration = Duration::from_secs(5);
/// A run of `--find-rate`, unless told.
const STEP_TIME: Duration = Duration::from_secs(5);

/// Runs the command.
pub(super) fn run(args: &BenchArgs, cli: &Cli) -> Result<Exit> {
    if let Some(load) = args.load() {
        check(load)?;
        if let Some(child) = &load.child {
            return run_child(child, args, load, cli);
        }
    }
    match &args.what {
        Bench::Publish(load) => single(Workload::Publish, load, cli),
        Bench::Subscribe(load) => single(Workload::Subscribe, load, cli),
        Bench::Pipeline(load) => single(Workload::Pipeline, load, cli),
        Bench::Latency(args) if args.find_rate => find_rate(args, cli),
        Bench::Latency(args) => single(Workload::Latency, &args.load, cli),
        Bench::Compare(args) => {
            let both = [Workload::Pipeline, Workload::Latency];
            let workloads = args.workload.map_or(both.to_vec(), |one| vec![one]);
            let libraries = libraries(cli)?;
            several("compare", workloads, libraries, (&args.load, ROUNDS), cli)
        }
        Bench::Merge(args) => merged(args),
    }
}

/// Refuses what would only be found out after the measuring.
fn check(load: &LoadArgs) -> Result<()> {
    report::check_files(files(load))?;
    load.fail_if_slower.as_deref().map(baseline::percent).transpose().map_err(usage)?;
    load.baseline.as_deref().map(baseline::read).transpose().map_err(usage)?;
    Ok(())
}

fn files(load: &LoadArgs) -> Files<'_> {
    Files { report: load.report.as_deref(), hlog: load.hlog.as_deref() }
}

/// A workload of one library: in this process, or several times in others.
fn single(workload: Workload, load: &LoadArgs, cli: &Cli) -> Result<Exit> {
    if load.repeat.is_some_and(|repeat| repeat > 1) {
        let context = Context::new(cli)?;
        let choice = Choice::new(&Plan::new(workload, load)?, &context)?;
        let library = match workload {
            Workload::Subscribe => choice.subscribe.library,
            _ => choice.publish.library,
        };
        return several(summary::name(workload), vec![workload], vec![library], (load, 1), cli);
    }
    let plan = Plan::new(workload, load)?;
    let context = context(cli)?;
    let (run, exit) = one(&plan, &context, load.output)?;
    finish(Report::One(Box::new(run)), load, exit)
}

/// A context whose temporary topics go with the terminal, too.
fn context(cli: &Cli) -> Result<Context> {
    let context = Context::new(cli)?;
    context.stop.catch_hangup()?;
    Ok(context)
}

/// Measures, and says what went wrong on the way.
fn one(plan: &Plan, context: &Context, output: BenchOutput) -> Result<(Run, Exit)> {
    let measured = measure(plan, context, output)?;
    let run = summary::report(plan, &measured);
    if let Some(rate) = run.rate.filter(|rate| !rate.held) {
        let (asked, reached) = (rate.asked, rate.reached);
        console::warn(format!("the rate of {asked:.1}/s could not be held: {reached:.1}/s were reached"));
    }
    Ok((run, exit(&measured)))
}

/// What the run comes to, the strongest reason first.
fn exit(measured: &Measured) -> Exit {
    if let Some(signal) = measured.signal {
        return Exit::Signal(signal);
    }
    let failures: Vec<ErrorKind> = measured.published.iter().filter_map(|it| it.failure).collect();
    if let Some(first) = failures.first() {
        return match Exit::from(*first) {
            exit @ (Exit::Unreachable | Exit::Refused | Exit::UnknownTopic) => exit,
            _ => Exit::Undelivered,
        };
    }
    match &measured.verdict {
        Some(verdict) if !verdict.is_clean() => {
            console::error(format!(
                "{} records lost, {} duplicates, {} reordered",
                verdict.lost, verdict.duplicates, verdict.reordered
            ));
            Exit::Undelivered
        }
        _ => Exit::Done,
    }
}

/// Prints the report and holds it against the baseline.
fn finish(report: Report, load: &LoadArgs, exit: Exit) -> Result<Exit> {
    report.publish(load.output, files(load))?;
    let (Some(path), Some(percent)) = (&load.baseline, &load.fail_if_slower) else { return Ok(exit) };
    let marks = match &report {
        Report::One(run) => vec![Mark::of(run)],
        Report::Several(all) => Mark::all_of(all),
        Report::Searched(searched) => searched.best.iter().map(Mark::of).collect(),
    };
    let before = baseline::read(path).map_err(usage)?;
    let percent = baseline::percent(percent).map_err(usage)?;
    let slower = baseline::slower(&marks, &before, percent).map_err(usage)?;
    slower.iter().for_each(console::error);
    Ok(if slower.is_empty() || exit != Exit::Done { exit } else { Exit::Failed })
}

/// One run for a parent: `WORKLOAD/LIBRARY`, printed as JSON.
fn run_child(typed: &str, args: &BenchArgs, load: &LoadArgs, cli: &Cli) -> Result<Exit> {
    let wrong = || usage(format!("--child {typed}: not WORKLOAD/LIBRARY"));
    let (workload, library) = typed.split_once('/').ok_or_else(wrong)?;
    let all = [Workload::Publish, Workload::Subscribe, Workload::Pipeline, Workload::Latency];
    let workload = all.into_iter().find(|it| summary::name(*it) == workload).ok_or_else(wrong)?;
    let library = Library::named(library).ok_or_else(wrong)?;
    let mut context = context(cli)?;
    context.layers.flags.entries.push(Entry::flag("--library", KeyId::Library, library.name()));
    let mut plan = Plan::new(workload, load)?;
    if matches!(&args.what, Bench::Compare(args) if args.workload.is_none()) {
        plan = part_of_round(plan);
    }
    let (run, exit) = one(&plan, &context, BenchOutput::Json)?;
    let nowhere = Files { report: None, hlog: None };
    Report::One(Box::new(run)).publish(BenchOutput::Json, nowhere)?;
    Ok(exit)
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
) -> Result<Exit> {
    if load.output == BenchOutput::KafkaPerf && libraries.len() > 1 {
        return Err(usage("--output kafka-perf: Kafka's tools have no form for a comparison"));
    }
    let context = context(cli)?;
    let broker = prepare(&workloads, &libraries, load, &context)?;
    let libraries: Vec<String> = libraries.iter().map(ToString::to_string).collect();
    let repeat = load.repeat.unwrap_or(rounds);
    let program = Program { cli, libraries: libraries.clone(), workloads, repeat, broker };
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
    context: &Context,
) -> Result<Option<String>> {
    let mut broker = None;
    for library in libraries {
        let mut layers = context.layers.clone();
        layers.flags.entries.retain(|entry| entry.key != KeyId::Library.key().java);
        layers.flags.entries.push(Entry::flag("--library", KeyId::Library, library.name()));
        let mut chosen = crate::backends::choose(&layers, crate::backends::Purpose::Publish)?;
        for workload in workloads {
            Plan::new(*workload, load)?.check_size(&chosen.settings)?;
        }
        if chosen.settings.is_embedded() {
            super::check_embedded(&chosen.settings)?;
            context.reach(&mut chosen.settings)?;
            broker = Some(chosen.settings.bootstrap().join(","));
        }
    }
    Ok(broker)
}

/// `kps bench latency --find-rate`.
fn find_rate(args: &LatencyArgs, cli: &Cli) -> Result<Exit> {
    let typed = args.p99.as_deref().unwrap_or_default();
    let limit = plan::duration("--p99", typed)?;
    let mut plan = Plan::new(Workload::Latency, &args.load)?;
    if args.load.duration.is_none() {
        plan.amount = Amount::For(STEP_TIME);
    }
    let context = context(cli)?;
    let limit_us = u64::try_from(limit.as_micros()).unwrap_or(u64::MAX);
    let searched = search(&plan, limit_us, &context)?;
    let (searched, exit) = searched;
    let exit = if exit == Exit::Done && searched.rate.is_none() { Exit::Failed } else { exit };
    finish(Report::Searched(Box::new(searched)), &args.load, exit)
}

/// Tries rates until the highest that holds is found.
fn search(plan: &Plan, p99_limit_us: u64, context: &Context) -> Result<(Searched, Exit)> {
    let mut found = Searched {
        schema: SCHEMA.to_owned(),
        workload: "find-rate".to_owned(),
        p99_limit_us,
        rate: None,
        steps: Vec::new(),
        best: None,
    };
    let mut search = Search::new();
    let mut rate = plan.rate.unwrap_or(plan::LATENCY_RATE);
    loop {
        // Half a second to warm up, unless more was asked for.
        let warmup = plan.warmup.max((rate / 2.0) as u64);
        let measured =
            measure(&Plan { rate: Some(rate), warmup, ..plan.clone() }, context, BenchOutput::Json)?;
        let run = summary::report(&Plan { rate: Some(rate), warmup, ..plan.clone() }, &measured);
        let exit = exit(&measured);
        if exit != Exit::Done {
            return Ok((found, exit));
        }
        let step = step(&run, rate, p99_limit_us);
        let verdict = if step.holds { "held" } else { "not held" };
        console::say(format!("{rate:.0}/s: p99 {} us, {verdict}", step.p99_us));
        found.steps.push(step);
        if step.holds && found.best.as_ref().and_then(|best| best.rate).is_none_or(|best| best.asked < rate) {
            found.best = Some(run);
        }
        match search.judged(rate, step.holds) {
            Next::Try(next) => rate = next,
            Next::Found(rate) => {
                found.rate = rate;
                return Ok((found, Exit::Done));
            }
        }
    }
}

fn step(run: &Run, rate: f64, p99_limit_us: u64) -> Step {
    let p99_us = run.end_to_end.as_ref().map_or(u64::MAX, |latency| latency.p99);
    let held = run.rate.is_some_and(|rate| rate.held);
    let reached = run.rate.map_or(0.0, |rate| rate.reached);
    Step { rate, reached, p99_us, holds: held && p99_us <= p99_limit_us }
}

/// `kps bench merge`.
fn merged(args: &MergeArgs) -> Result<Exit> {
    let files = Files { report: args.report.as_deref(), hlog: args.hlog.as_deref() };
    report::check_files(files)?;
    let runs: Result<Vec<Run>, String> = args.files.iter().map(|path| Run::read(path)).collect();
    let (run, warnings) = merge::merge(&runs.map_err(usage)?).map_err(|e| anyhow!(e))?;
    warnings.iter().for_each(console::warn);
    let clean = run.verified.is_none_or(|verdict| verdict.is_clean());
    Report::One(Box::new(run)).publish(args.output, files)?;
    Ok(if clean { Exit::Done } else { Exit::Undelivered })
}
