//! The settings files of a run: read once, and their effects told once.

use std::io::Read;

use anyhow::{Context as _, Result};
use serde_json::json;

use super::{publish, usage};
use crate::cli::{Cli, Command};
use crate::console::{self, Level};
use crate::props::{self, Source};
use crate::settings::keys::Role;
use crate::settings::{Environment, KeyId, Layer, Layers, Library, Side, found, shorten};

/// Reads the files of a run.
///
/// # Errors
/// Usage errors; what is wrong with a file is in its layer.
pub(super) fn read(cli: &Cli, environment: &Environment) -> Result<Vec<Layer>> {
    let global = &cli.global;
    let sources = props::locate(&global.props, global.no_props, environment);
    let from_input = sources.iter().filter(|source| **source == Source::StandardInput).count();
    let named_by = if global.props.is_empty() { "$KPS_CONFIG" } else { "--props" };
    if from_input > 1 {
        return Err(usage(format!("{named_by} -: standard input can be read only once")));
    }
    let has_records = matches!(&cli.command, Command::Publish(args) if publish::reads_standard_input(args));
    if from_input > 0 && has_records {
        return Err(usage(format!(
            "{named_by} -: standard input holds the records: name a file for the settings, or give the records with -m \
             or in a file"
        )));
    }
    Ok(props::read_all(&sources, environment))
}

/// Takes over the files that the parent of this benchmark run has read: a pipe can be read only once, and all runs
/// of a comparison must have the same settings.
///
/// # Errors
/// When standard input does not hold them.
pub(super) fn read_from_parent() -> Result<Vec<Layer>> {
    let mut text = Vec::new();
    std::io::stdin().read_to_end(&mut text).context("reading the settings of the parent")?;
    serde_json::from_slice(&text).context("the settings of the parent")
}

/// Warns of secrets that other users of this machine can read: on the command line, or in a file.
pub(super) fn warn_of_exposed_secrets(layers: &Layers) {
    for secret in layers.secrets_in_overrides() {
        console::warn(format!(
            "{}: a secret on the command line is seen by whoever lists processes: set $KPS_{} instead",
            secret.place,
            secret.key.replace('.', "_").to_uppercase()
        ));
    }
    for place in layers.files.iter().flat_map(|file| &file.exposed) {
        console::warn(format!("{place}: a secret in a file that others can read: chmod 600 it"));
    }
}

/// Says in one line which settings of this run `./application.properties` decided without having been named. A group
/// is told by the command that joins it.
pub(super) fn announce_found_file(command: &Command, layers: &Layers) {
    /// Keys that the line names.
    const NAMED_KEYS: usize = 8;
    let keys = decided_keys(command, layers);
    if keys.is_empty() {
        return;
    }
    let shown: Vec<String> = keys.iter().take(NAMED_KEYS).map(|(key, value)| shown(*key, value)).collect();
    let more = match keys.len().saturating_sub(NAMED_KEYS) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let names: Vec<&str> = keys.iter().map(|(key, _)| key.key().java).collect();
    let fields = json!({"file": found::FILE, "keys": names});
    let message = format!("using ./{}: {}{more}", found::FILE, shown.join(", "));
    console::event(Level::Info, "settings_file", fields, message);
}

/// The name of a key, and of servers their addresses, which say where records go.
fn shown(key: KeyId, value: &str) -> String {
    let name = key.key().java;
    if key == KeyId::BootstrapServers { format!("{name}={}", shorten(value)) } else { name.to_owned() }
}

/// The settings of this command that the found file decided, each once.
fn decided_keys(command: &Command, layers: &Layers) -> Vec<(KeyId, String)> {
    let (sides, inspects): (&[Side], bool) = match command {
        Command::Publish(_) => (&[Side::Producer], false),
        Command::Subscribe(_) => (&[Side::Consumer], false),
        Command::Bench(_) => (&[Side::Producer, Side::Consumer], false),
        Command::Topics(_) | Command::Offsets(_) | Command::Groups(_) => (&[Side::Consumer], true),
        Command::Libs(_) | Command::Config(_) | Command::Broker(_) => (&[], false),
    };
    let mut keys: Vec<(KeyId, String)> = Vec::new();
    for side in sides {
        // A found file has no settings for one library only, and is above those that have.
        let Ok(settings) = layers.resolve(*side, Library::ALL[0]) else { continue };
        for (key, value) in settings.decided_by_found_file() {
            // Looking at a cluster goes by few settings of a consumer.
            let counts = !inspects || key.key().role != Role::Consumer || key == KeyId::IsolationLevel;
            if counts && key != KeyId::GroupId && keys.iter().all(|(known, _)| *known != key) {
                keys.push((key, value.to_owned()));
            }
        }
    }
    keys
}
