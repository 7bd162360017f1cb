//! Runs in child processes: each starts afresh, so that none has memory or connections of the one before, and what it
//! takes of the machine is its own.

use std::ffi::OsString;

use anyhow::{Context as _, Result, anyhow};

use super::compare::Round;
use super::document::Run;
use super::summary;
use crate::cli::{Cli, Workload};
use crate::commands::Exit;
use crate::commands::child::{self, Relay};
use crate::console;
use crate::settings::env::own_program;
use crate::units;

/// What is to be run.
pub(super) struct Program<'a> {
    pub(super) cli: &'a Cli,
    pub(super) libraries: Vec<String>,
    /// What each round is made of.
    pub(super) workloads: Vec<Workload>,
    pub(super) repeat: u32,
    /// The embedded broker's address.
    pub(super) broker: Option<String>,
    /// The settings files, for standard input: secrets in them are on no command line and in no file.
    pub(super) settings: Vec<u8>,
}

impl Program<'_> {
    /// Runs it. The order of the libraries rotates from round to round.
    ///
    /// # Errors
    /// When a child could not be run, or says what nobody understands. `Err` inside: it ended with this code.
    pub(super) fn run(&self, relay: &Relay) -> Result<Result<Vec<Round>, Exit>> {
        let mut rounds = Vec::new();
        for round in 0..self.repeat {
            for library in order(&self.libraries, round) {
                let mut runs = Vec::new();
                for &workload in &self.workloads {
                    match self.child(relay, workload, library)? {
                        Ok(run) => runs.push(run),
                        Err(exit) => return Ok(Err(exit)),
                    }
                }
                console::say(format!("round {} of {}, {library}: {}", round + 1, self.repeat, told(&runs)));
                rounds.push(Round { round, library: library.clone(), runs });
            }
        }
        Ok(Ok(rounds))
    }

    fn child(&self, relay: &Relay, workload: Workload, library: &str) -> Result<Result<Run, Exit>> {
        let mut command = child::command(&own_program().context("finding this program")?);
        command.args(self.arguments(workload, library));
        let (exit, printed) = relay.output(&mut command, &self.settings).context("starting a run")?;
        match exit {
            Exit::Command(0) => Run::parse(&printed).map(Ok).map_err(|e| anyhow!("what a run printed: {e}")),
            exit => Ok(Err(exit)),
        }
    }

    /// Those of this process, and what a child is to do of it.
    fn arguments(&self, workload: Workload, library: &str) -> Vec<OsString> {
        let mut all: Vec<OsString> = self.cli.typed.iter().skip(1).cloned().collect();
        all.push("--child".into());
        all.push(format!("{}/{library}", summary::name(workload)).into());
        if let Some(broker) = &self.broker {
            all.extend(["--child-broker".into(), broker.into()]);
        }
        all
    }
}

/// The libraries in the order of a round.
fn order(libraries: &[String], round: u32) -> impl Iterator<Item = &String> {
    let from = round as usize % libraries.len().max(1);
    libraries.iter().cycle().skip(from).take(libraries.len())
}

/// A round's figures, for who waits.
fn told(runs: &[Run]) -> String {
    let mut parts = Vec::new();
    if let Some(side) = runs.first().and_then(Run::main_side) {
        parts.push(units::human_rate(side.records, std::time::Duration::from_secs_f64(side.seconds)));
    }
    if let Some(latency) = runs.last().and_then(Run::main_latency) {
        parts.push(format!("p99 {} us", latency.p99));
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_rotates() {
        let libraries = ["a", "b", "c"].map(str::to_owned);
        let order = |round| order(&libraries, round).map(String::as_str).collect::<String>();
        assert_eq!([order(0), order(1), order(2), order(3)], ["abc", "bca", "cab", "abc"]);
    }
}
