//! Python's clients: `tests/kafka/clients.py` in an environment of its own.
use std::process::Command;

use super::script::Script;

static SCRIPT: Script = Script::new("python.sh");

/// `tests/kafka/python.sh` with these arguments, using this build's target folder.
pub(crate) fn command(args: &[&str]) -> Command {
    SCRIPT.command(args)
}

/// What the tests with Python's clients need and this machine does not have.
pub(crate) fn missing() -> Option<&'static str> {
    SCRIPT.missing()
}
