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
mod many;
mod measure;
mod merge;
mod plan;
mod produce;
mod progress;
mod rate;
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

use anyhow::{Result, anyhow};

use self::baseline::Mark;
use self::document::Run;
use self::measure::{Measured, measure};
use self::plan::Plan;
use self::report::{Files, Report};
use super::{Context, Exit, usage};
use crate::backends::ErrorKind;
use crate::cli::{Bench, BenchArgs, BenchOutput, Cli, LoadArgs, MergeArgs, Workload};
use crate::console;

/// Runs the command.
pub(super) fn run(args: &BenchArgs, cli: &Cli) -> Result<Exit> {
    if let Some(load) = args.load() {
        check(load)?;
        if let Some(child) = &load.child {
            return many::run_child(child, args, load, cli);
        }
    }
    match &args.what {
        Bench::Publish(load) => single(Workload::Publish, load, cli),
        Bench::Subscribe(load) => single(Workload::Subscribe, load, cli),
        Bench::Pipeline(load) => single(Workload::Pipeline, load, cli),
        Bench::Latency(args) if args.find_rate => rate::find(args, cli),
        Bench::Latency(args) => single(Workload::Latency, &args.load, cli),
        Bench::Compare(args) => many::compare(args, cli),
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
        return many::repeat(workload, load, cli);
    }
    let plan = Plan::new(workload, load)?;
    let context = context(cli)?;
    let run = || {
        let (run, exit) = one(&plan, &context, load.output)?;
        finish(Report::One(Box::new(run)), load, exit)
    };
    or_signal(run(), &context)
}

/// A run that was asked to end: what went wrong on the way is told, and does not change the code.
fn or_signal(exit: Result<Exit>, context: &Context<'_>) -> Result<Exit> {
    match (exit, context.stop.signal()) {
        (Err(e), Some(signal)) => {
            console::error(e);
            Ok(Exit::Signal(signal))
        }
        (exit, _) => exit,
    }
}

/// A context whose temporary topics go with the terminal, too.
fn context(cli: &Cli) -> Result<Context<'_>> {
    let context = Context::new(cli)?;
    context.stop.catch_hangup()?;
    Ok(context)
}

/// Measures, and says what went wrong on the way.
fn one(plan: &Plan, context: &Context<'_>, output: BenchOutput) -> Result<(Run, Exit)> {
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
