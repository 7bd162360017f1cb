//! `kps bench`: how fast and how soon records go through a cluster, by the same way as those of the other commands.

mod alarm;
mod clients;
mod consume;
mod document;
mod latency;
mod load;
mod measure;
mod plan;
mod produce;
mod progress;
mod report;
mod schedule;
mod shared;
mod summary;
mod tagged;
mod topic;
mod usage;

use anyhow::Result;

use self::measure::{Measured, measure};
use self::plan::Plan;
use super::{Context, Exit, usage};
use crate::backends::ErrorKind;
use crate::cli::{Bench, BenchArgs, BenchOutput, Cli, LoadArgs, Workload};
use crate::console;

/// Runs the command.
pub(super) fn run(args: &BenchArgs, cli: &Cli) -> Result<Exit> {
    match &args.what {
        Bench::Publish(load) => once(Workload::Publish, load, cli),
        Bench::Subscribe(load) => once(Workload::Subscribe, load, cli),
        Bench::Pipeline(load) => once(Workload::Pipeline, load, cli),
        Bench::Latency(args) => once(Workload::Latency, &args.load, cli),
        Bench::Compare(_) | Bench::Merge(_) => Err(usage("not yet")),
    }
}

/// One run in this process.
fn once(workload: Workload, load: &LoadArgs, cli: &Cli) -> Result<Exit> {
    let plan = Plan::new(workload, load)?;
    let context = Context::new(cli)?;
    context.stop.catch_hangup()?;
    let (run, exit) = one(&plan, &context, load.output)?;
    report::print(&run, load.output)?;
    Ok(exit)
}

/// Measures, and says what went wrong on the way.
fn one(plan: &Plan, context: &Context, output: BenchOutput) -> Result<(document::Run, Exit)> {
    let measured = measure(plan, context, output)?;
    let run = summary::report(plan, &measured);
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
