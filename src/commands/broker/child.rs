//! `-- COMMAND`: a child with the broker's address, the signals that are passed on to it, and its end.

use std::ffi::{OsStr, OsString};
use std::io;
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use crate::commands::Exit;
use crate::commands::output::plain;
use crate::console;
use crate::settings::Environment;
use crate::settings::env::own_folder;
use crate::stop::{Received, Sender, Stop};

/// Where programs are when there is no PATH, as the C library has it.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// The child, as the signals see it.
#[derive(Debug)]
enum Stage {
    /// It has not been started; the first signal that came instead.
    Before(Option<i32>),
    /// It runs, or has ended and keeps its id.
    Running(Pid),
    /// Its id may be another's.
    After,
}

/// Passes signals on to a child from before it is started. Made before anything that has to be put
/// away again: from here on no signal ends this process.
#[derive(Debug, Clone)]
pub(super) struct Relay(Arc<Mutex<Stage>>);

impl Relay {
    pub(super) fn install(stop: &Stop) -> Self {
        let relay = Self(Arc::new(Mutex::new(Stage::Before(None))));
        let of_signals = relay.clone();
        stop.relay(move |received| of_signals.received(received));
        relay
    }

    fn received(&self, received: Received) {
        match &mut *self.stage() {
            Stage::Before(first) => *first = first.or(Some(received.number)),
            Stage::Running(pid) if reaches_only_us(received.sender) => {
                if let Some(signal) = Signal::from_named_raw(received.number) {
                    // One that has ended needs none.
                    let _ = kill_process(*pid, signal);
                }
            }
            Stage::Running(_) | Stage::After => {}
        }
    }

    fn stage(&self) -> std::sync::MutexGuard<'_, Stage> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a command to its end.
    pub(super) fn run(&self, words: &[OsString], addr: SocketAddr) -> Exit {
        let Some((program, args)) = words.split_first() else { return Exit::Done };
        let mut command = Command::new(program);
        command.args(args).env("KPS_BOOTSTRAP_SERVER", addr.to_string()).env("PATH", path());
        match self.spawn(&mut command) {
            Ok(Ok(child)) => self.wait(child),
            Ok(Err(signal)) => Exit::Signal(signal),
            Err(e) => not_started(program, &e),
        }
    }

    /// Starts the child, unless a signal has come before.
    fn spawn(&self, command: &mut Command) -> io::Result<Result<Child, i32>> {
        // Locked while it starts: a signal that comes now is passed on as soon as it can be.
        let mut stage = self.stage();
        if let Stage::Before(Some(signal)) = *stage {
            return Ok(Err(signal));
        }
        let child = command.spawn()?;
        *stage = Stage::Running(Pid::from_child(&child));
        Ok(Ok(child))
    }

    /// Waits for the child's end. Its id is given up only when no signal is sent to it any more.
    fn wait(&self, mut child: Child) -> Exit {
        let pid = Pid::from_child(&child);
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while let Err(rustix::io::Errno::INTR) = waitid(WaitId::Pid(pid), options) {}
        *self.stage() = Stage::After;
        match child.wait() {
            Ok(status) => Exit::Command(code(status)),
            Err(e) => {
                console::error(format!("waiting for the command: {}", plain(&e)));
                Exit::Failed
            }
        }
    }
}

/// The terminal sends its signals to all processes in its foreground, the child among them: a second
/// one would make it leave at once. sudo(8) goes by the same rule.
fn reaches_only_us(sender: Sender) -> bool {
    sender == Sender::Process
}

/// PATH with our own folder first.
fn path() -> OsString {
    let environment = Environment::of_process();
    let rest = environment.get("PATH").unwrap_or(OsStr::new(DEFAULT_PATH)).to_owned();
    match own_folder() {
        Ok(mut path) => {
            path.push(":");
            path.push(rest);
            path
        }
        Err(e) => {
            console::warn(format!("kps is not put on PATH: {}", plain(&e)));
            rest
        }
    }
}

/// The code of a command that has ended, as shells have it.
fn code(status: ExitStatus) -> u8 {
    let code = status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    u8::try_from(code).unwrap_or(u8::MAX)
}

/// One line about a command that cannot be run, and the code that shells give it.
fn not_started(program: &OsStr, e: &io::Error) -> Exit {
    let name = program.to_string_lossy();
    let is_missing = e.kind() == io::ErrorKind::NotFound;
    if is_missing && !name.contains('/') {
        console::error(format!("{name}: command not found"));
    } else {
        console::error(format!("{name}: {}", plain(e)));
    }
    Exit::Command(if is_missing { 127 } else { 126 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_terminal_has_sent_its_signals_to_the_command_itself() {
        assert!(!reaches_only_us(Sender::Terminal));
        assert!(reaches_only_us(Sender::Process));
    }

    #[test]
    fn a_command_ends_with_its_code_or_128_and_its_signal() {
        assert_eq!(code(ExitStatus::from_raw(0)), 0);
        assert_eq!(code(ExitStatus::from_raw(7 << 8)), 7);
        assert_eq!(code(ExitStatus::from_raw(255 << 8)), 255);
        assert_eq!(code(ExitStatus::from_raw(15)), 143);
    }

    #[test]
    fn a_command_is_not_started_after_a_signal() {
        let relay = Relay(Arc::new(Mutex::new(Stage::Before(None))));
        relay.received(Received { number: 15, sender: Sender::Process });
        relay.received(Received { number: 2, sender: Sender::Process });
        let exit = relay.run(&["/no/such/program".into()], ([127, 0, 0, 1], 1).into());
        assert_eq!(exit, Exit::Signal(15));
    }
}
