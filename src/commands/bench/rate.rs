//! `kps bench latency --find-rate`.

use std::time::Duration;

use anyhow::Result;

use super::document::{Run, SCHEMA};
use super::measure::measure;
use super::plan::{self, Plan};
use super::produce::Amount;
use super::report::{Report, Searched, Step};
use super::search::{Next, Search};
use super::{context, exit, finish, or_signal, summary};
use crate::cli::{BenchOutput, Cli, LatencyArgs, Workload};
use crate::commands::{Context, Exit};
use crate::console;

/// A run, unless told.
const STEP_TIME: Duration = Duration::from_secs(5);
/// How often a rate is tried before it is one that does not hold.
const TRIES: u32 = 2;

/// Runs it.
pub(super) fn find(args: &LatencyArgs, cli: &Cli) -> Result<Exit> {
    let typed = args.p99.as_deref().unwrap_or_default();
    let limit = plan::duration("--p99", typed)?;
    let mut plan = Plan::new(Workload::Latency, &args.load)?;
    if args.load.duration.is_none() {
        plan.amount = Amount::For(STEP_TIME);
    }
    let context = context(cli)?;
    let limit_us = u64::try_from(limit.as_micros()).unwrap_or(u64::MAX);
    let run = || {
        let (searched, exit) = search(&plan, limit_us, &context)?;
        let exit = if exit == Exit::Done && searched.rate.is_none() { Exit::Failed } else { exit };
        finish(Report::Searched(Box::new(searched)), &args.load, exit)
    };
    or_signal(run(), &context)
}

/// Tries rates until the highest that holds is found.
fn search(plan: &Plan, p99_limit_us: u64, context: &Context<'_>) -> Result<(Searched, Exit)> {
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
        // What else runs on the machine makes a rate fail now and then: only one that fails twice does not hold.
        let mut holds = false;
        for _ in 0..TRIES {
            let (run, exit) = try_rate(plan, rate, context)?;
            if exit != Exit::Done {
                return Ok((found, exit));
            }
            let step = step(&run, rate, p99_limit_us);
            let verdict = if step.holds { "held" } else { "not held" };
            console::say(format!("{rate:.0}/s: p99 {} us, {verdict}", step.p99_us));
            found.steps.push(step);
            holds = step.holds;
            if holds {
                let best = found.best.as_ref().and_then(|best| best.rate);
                found.best = if best.is_none_or(|best| best.asked < rate) { Some(run) } else { found.best };
                break;
            }
        }
        match search.judged(rate, holds) {
            Next::Try(next) => rate = next,
            Next::Found(rate) => {
                found.rate = rate;
                return Ok((found, Exit::Done));
            }
        }
    }
}

/// A run at a rate.
fn try_rate(plan: &Plan, rate: f64, context: &Context<'_>) -> Result<(Run, Exit)> {
    // Half a second to warm up, unless more was asked for.
    let warmup = plan.warmup.max((rate / 2.0) as u64);
    let plan = Plan { rate: Some(rate), warmup, ..plan.clone() };
    let measured = measure(&plan, context, BenchOutput::Json)?;
    Ok((summary::report(&plan, &measured), exit(&measured)))
}

fn step(run: &Run, rate: f64, p99_limit_us: u64) -> Step {
    let p99_us = run.end_to_end.as_ref().map_or(u64::MAX, |latency| latency.p99);
    let held = run.rate.is_some_and(|rate| rate.held);
    let reached = run.rate.map_or(0.0, |rate| rate.reached);
    Step { rate, reached, p99_us, holds: held && p99_us <= p99_limit_us }
}
