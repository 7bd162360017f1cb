//! What a report looks like, a file for each form.

mod csv;
mod html;
pub(super) mod kafka_perf;
mod text;

use std::path::Path;

use anyhow::{Result, anyhow};
use serde::{Deserialize, Serialize};

use super::compare::Comparison;
use super::document::Run;
use super::hlog;
use crate::cli::BenchOutput;
use crate::commands::output::{Output, plain};
use crate::commands::{Exit, usage};
use crate::private;

/// What came of a bench.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Report {
    One(Box<Run>),
    Several(Box<Comparison>),
    Searched(Box<Searched>),
}

/// What `--find-rate` found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Searched {
    pub(super) schema: String,
    /// find-rate.
    pub(super) workload: String,
    /// The limit of the 99th percentile.
    pub(super) p99_limit_us: u64,
    /// The highest that held, in records a second.
    pub(super) rate: Option<f64>,
    pub(super) steps: Vec<Step>,
    /// The run at that rate.
    pub(super) best: Option<Run>,
}

/// A rate that was tried.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Step {
    pub(super) rate: f64,
    pub(super) reached: f64,
    pub(super) p99_us: u64,
    pub(super) holds: bool,
}

/// Where a report goes beside standard output.
#[derive(Debug, Clone, Copy)]
pub(super) struct Files<'a> {
    pub(super) report: Option<&'a Path>,
    pub(super) hlog: Option<&'a Path>,
}

impl Report {
    /// # Errors
    /// None that is known of.
    fn json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self)
    }

    /// The run that a log of latencies is of.
    fn logged(&self) -> Option<&Run> {
        match self {
            Self::One(run) => Some(run),
            Self::Several(all) => all.rounds.last().and_then(|round| round.runs.last()),
            Self::Searched(searched) => searched.best.as_ref(),
        }
    }

    /// Prints it, and writes the files.
    ///
    /// # Errors
    /// When it could not be written.
    pub(super) fn publish(&self, output: BenchOutput, files: Files<'_>) -> Result<Exit> {
        if let Some(path) = files.report {
            private::write(path, html::page(self)?.as_bytes())
                .map_err(|e| anyhow!("--report {}: {}", path.display(), plain(&e)))?;
        }
        if let (Some(path), Some(run)) = (files.hlog, self.logged()) {
            hlog::write(run, path).map_err(|e| anyhow!(e))?;
        }
        Output::print(&self.text(output)?)
    }

    fn text(&self, output: BenchOutput) -> Result<String> {
        Ok(match (output, self) {
            (BenchOutput::Json, _) => self.json()? + "\n",
            (BenchOutput::Text, Self::One(run)) => text::run(run),
            (BenchOutput::Text, Self::Several(all)) => text::several(all),
            (BenchOutput::Text, Self::Searched(searched)) => text::searched(searched),
            (BenchOutput::Csv, Self::One(run)) => csv::runs([&**run]),
            (BenchOutput::Csv, Self::Several(all)) => csv::runs(all.runs()),
            (BenchOutput::Csv, Self::Searched(searched)) => csv::runs(&searched.best),
            (BenchOutput::KafkaPerf, Self::One(run)) => kafka_perf::run(run),
            (BenchOutput::KafkaPerf, Self::Several(all)) => all.runs().map(kafka_perf::run).collect(),
            (BenchOutput::KafkaPerf, Self::Searched(searched)) => {
                searched.best.as_ref().map(kafka_perf::run).unwrap_or_default()
            }
        })
    }
}

/// Refuses files that cannot be written before anything is measured.
///
/// # Errors
/// Usage errors.
pub(super) fn check_files(files: Files<'_>) -> Result<()> {
    for (flag, path) in [("--report", files.report), ("--hlog", files.hlog)] {
        let Some(path) = path else { continue };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        if path.is_dir() || folder.is_some_and(|folder| !folder.is_dir()) {
            return Err(usage(format!("{flag} {}: no file can be written there", path.display())));
        }
    }
    Ok(())
}
