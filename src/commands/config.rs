//! `kps config`, and where every command gets its layers of settings from.

use anyhow::Result;

use super::{Exit, output::Output};
use crate::backends::available;
use crate::cli::{ConfigArgs, GlobalArgs, ReportFormat};
use crate::props;
use crate::settings::{Choice, Environment, Layer, Layers, Library, Side, explain};

/// All layers of a run.
///
/// # Errors
/// When a file named on the command line cannot be read.
pub(super) fn layers(global: &GlobalArgs, flags: Layer, overrides: Layer) -> Result<Layers> {
    let environment = Environment::of_process();
    let files = props::locate(&global.props, global.no_props, &environment);
    let files = files.iter().map(|path| props::read(path, &environment)).collect();
    Ok(Layers { flags, overrides, env: environment.layer(), files })
}

/// Runs the command: the settings as the library that would run gets them.
pub(super) fn run(args: &ConfigArgs, layers: &Layers) -> Result<Exit> {
    let library = match layers.library()?.0 {
        Choice::Only(library) => library,
        Choice::Auto => available().first().copied().unwrap_or(Library::Rdkafka),
    };
    let producer = layers.resolve(Side::Producer, library)?;
    let consumer = layers.resolve(Side::Consumer, library)?;
    let rows = explain::rows(&producer, &consumer);
    let text = match args.output {
        ReportFormat::Text => explain::text(&rows),
        ReportFormat::Json => format!("{:#}\n", explain::json(&rows)),
    };
    Output::print(&text)
}
