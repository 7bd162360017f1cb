//! The scripts in `tests/kafka/` that bring what other clients need.
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// A script, and what of its needs is missing, once that was asked for.
#[derive(Debug)]
pub(crate) struct Script {
    name: &'static str,
    missing: OnceLock<Option<String>>,
}

impl Script {
    pub(crate) const fn new(name: &'static str) -> Self {
        Self { name, missing: OnceLock::new() }
    }

    /// Runs it with these arguments, using this build's target folder.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kafka").join(self.name);
        let mut command = Command::new(script);
        command.args(args).env("CARGO_TARGET_DIR", super::target());
        command
    }

    /// What it needs and this machine does not have.
    pub(crate) fn missing(&self) -> Option<&str> {
        let check = || {
            let check = self.command(&["--check"]).stdin(Stdio::null()).output().unwrap();
            let reason =
                String::from_utf8_lossy(&check.stderr).lines().next().unwrap_or(self.name).to_owned();
            (!check.status.success()).then_some(reason)
        };
        self.missing.get_or_init(check).as_deref()
    }
}
