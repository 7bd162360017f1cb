//! Python's clients: `tests/kafka/clients.py` in an environment of its own.
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// `tests/kafka/python.sh` with these arguments, using this build's target folder.
pub(crate) fn command(args: &[&str]) -> Command {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kafka/python.sh");
    let mut command = Command::new(script);
    command.args(args).env("CARGO_TARGET_DIR", super::target());
    command
}

/// What the tests with Python's clients need and this machine does not have.
pub(crate) fn missing() -> Option<&'static str> {
    static MISSING: OnceLock<Option<String>> = OnceLock::new();
    let check = || {
        let check = command(&["--check"]).stdin(Stdio::null()).output().unwrap();
        let reason = String::from_utf8_lossy(&check.stderr).lines().next().unwrap_or("python3").to_owned();
        (!check.status.success()).then_some(reason)
    };
    MISSING.get_or_init(check).as_deref()
}
