//! Child processes, one at a time: the signals that are passed on to each, and its end.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use crate::commands::Exit;
use crate::commands::output::plain;
use crate::console;
use crate::stop::{Received, Sender, Stop};

/// A command to be: the only way to one.
pub(super) fn command(program: &OsStr) -> Command {
    Command::new(program)
}

/// The child, as the signals see it.
#[derive(Debug)]
enum Stage {
    /// There is none; the first signal that came instead.
    None(Option<i32>),
    /// It runs, or has ended and keeps its id.
    Running(Pid),
}

/// Passes signals on to children from before the first is started. Made before anything that has to be put
/// away again: from here on no signal ends this process.
#[derive(Debug, Clone)]
pub(super) struct Relay(Arc<Mutex<Stage>>);

impl Relay {
    pub(super) fn install(stop: &Stop) -> Self {
        let relay = Self(Arc::new(Mutex::new(Stage::None(None))));
        let of_signals = relay.clone();
        stop.relay(move |received| of_signals.received(received));
        relay
    }

    fn received(&self, received: Received) {
        match &mut *self.stage() {
            Stage::None(first) => *first = first.or(Some(received.number)),
            Stage::Running(pid) if reaches_only_us(received.sender) => {
                if let Some(signal) = Signal::from_named_raw(received.number) {
                    // One that has ended needs none.
                    let _ = kill_process(*pid, signal);
                }
            }
            Stage::Running(_) => {}
        }
    }

    fn stage(&self) -> std::sync::MutexGuard<'_, Stage> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a command to its end.
    ///
    /// # Errors
    /// When it cannot be started.
    #[cfg(feature = "broker")]
    pub(super) fn run(&self, command: &mut Command) -> io::Result<Exit> {
        Ok(match self.spawn(command)? {
            Ok(child) => self.wait(child),
            Err(signal) => Exit::Signal(signal),
        })
    }

    /// Runs a command to its end, and gives back what it printed. It must read its input before it prints more than
    /// a pipe holds.
    ///
    /// # Errors
    /// When it cannot be started, or its output not be read.
    pub(super) fn output(&self, command: &mut Command, input: &[u8]) -> io::Result<(Exit, String)> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = match self.spawn(command)? {
            Ok(child) => child,
            Err(signal) => return Ok((Exit::Signal(signal), String::new())),
        };
        // A child that ends early says why itself.
        child.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(input)).ok();
        let mut printed = String::new();
        let read = child.stdout.take().map_or(Ok(0), |mut out| out.read_to_string(&mut printed));
        let exit = self.wait(child);
        read.map(|_| (exit, printed))
    }

    /// Starts the child, unless a signal has come before.
    fn spawn(&self, command: &mut Command) -> io::Result<Result<Child, i32>> {
        // Locked while it starts: a signal that comes now is passed on as soon as it can be.
        let mut stage = self.stage();
        if let Stage::None(Some(signal)) = *stage {
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
        *self.stage() = Stage::None(None);
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

/// The code of a command that has ended, as shells have it.
fn code(status: ExitStatus) -> u8 {
    let code = status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    u8::try_from(code).unwrap_or(u8::MAX)
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
        let relay = Relay(Arc::new(Mutex::new(Stage::None(None))));
        relay.received(Received { number: 15, sender: Sender::Process });
        relay.received(Received { number: 2, sender: Sender::Process });
        let (exit, printed) = relay.output(&mut command("/no/such/program".as_ref()), b"").unwrap();
        assert_eq!((exit, printed.as_str()), (Exit::Signal(15), ""));
    }

    #[test]
    fn what_a_command_prints_is_given_back_with_its_code() {
        let relay = Relay(Arc::new(Mutex::new(Stage::None(None))));
        for text in ["one", "other"] {
            let mut sh = command("sh".as_ref());
            let (exit, printed) =
                relay.output(sh.args(["-c", "read x; echo $x; exit 7"]), text.as_bytes()).unwrap();
            assert_eq!((exit, printed), (Exit::Command(7), format!("{text}\n")));
        }
        assert!(relay.output(&mut command("/no/such/program".as_ref()), b"").is_err());
    }
}
