//! `kps config`: the settings in force.

use anyhow::Result;

use super::{Exit, output::Output};
use crate::backends::available;
use crate::cli::{ConfigArgs, ReportFormat};
use crate::console;
use crate::settings::{Choice, Layers, Library, Side, explain};

/// Runs the command: the settings as the library that would run gets them.
pub(super) fn run(args: &ConfigArgs, layers: &Layers) -> Result<Exit> {
    let library = match layers.library()?.0 {
        Choice::Only(library) => library,
        Choice::Auto => available().first().copied().unwrap_or(Library::Rdkafka),
    };
    let producer = layers.resolve(Side::Producer, library)?;
    let consumer = layers.resolve(Side::Consumer, library)?;
    if let Err(refused) = producer.check_found_servers().and_then(|()| consumer.check_found_servers()) {
        // Nothing is sent here, and the settings explain why a run is refused.
        console::warn(refused);
    }
    let rows = explain::rows(&producer, &consumer);
    let text = match args.output {
        ReportFormat::Text => explain::text(&rows),
        ReportFormat::Json => format!("{:#}\n", explain::json(&rows)),
    };
    Output::print(&text)
}
