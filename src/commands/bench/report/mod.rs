//! What a report looks like, a file for each form.

pub(super) mod csv;
pub(super) mod kafka_perf;
pub(super) mod text;

use anyhow::Result;

use super::document::Run;
use crate::cli::BenchOutput;
use crate::commands::Exit;
use crate::commands::output::Output;

/// Prints the report of a run.
///
/// # Errors
/// When it could not be written.
pub(super) fn print(run: &Run, output: BenchOutput) -> Result<Exit> {
    Output::print(&match output {
        BenchOutput::Text => text::run(run),
        BenchOutput::Json => serde_json::to_string_pretty(run)? + "\n",
        BenchOutput::Csv => csv::runs([run]),
        BenchOutput::KafkaPerf => kafka_perf::run(run),
    })
}
