//! The commands, and the one place where an error becomes an exit code.

mod config;
mod libs;
mod output;
mod publish;
mod subscribe;

use std::fmt;
use std::process::ExitCode;

use anyhow::Result;
use thiserror::Error;

use crate::backends::{self, ErrorKind, Log, NoLibrary};
use crate::cli::{Cli, Command};
use crate::console;
use crate::settings::{Layers, Mistakes};
use crate::stop::Stop;

/// How a run ended (README, "Exit codes").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Everything asked for was done.
    Done,
    /// A failure without a code of its own; nothing found, with `--fail-if-none`.
    Failed,
    /// Usage or settings.
    Usage,
    /// Some records were not delivered.
    Undelivered,
    /// Broker not reachable, or timed out.
    Unreachable,
    /// Authentication or authorization refused.
    Refused,
    /// Unknown topic or partition.
    UnknownTopic,
    /// A bad record.
    BadRecord,
    /// Ended by this signal.
    Signal(i32),
}

impl Exit {
    /// The exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Undelivered => 3,
            Self::Unreachable => 4,
            Self::Refused => 5,
            Self::UnknownTopic => 6,
            Self::BadRecord => 7,
            Self::Signal(n) => 128u8.saturating_add(u8::try_from(n).unwrap_or(0)),
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

impl From<ErrorKind> for Exit {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Unsupported => Self::Usage,
            ErrorKind::Unreachable | ErrorKind::TimedOut => Self::Unreachable,
            ErrorKind::Authentication | ErrorKind::Authorization => Self::Refused,
            ErrorKind::UnknownTopic => Self::UnknownTopic,
            ErrorKind::BadRecord => Self::BadRecord,
            ErrorKind::TooLarge | ErrorKind::NotCommitted => Self::Undelivered,
            ErrorKind::OffsetOutOfRange | ErrorKind::Other => Self::Failed,
        }
    }
}

/// What the user typed cannot be meant; one line.
#[derive(Debug, Error)]
#[error("{0}")]
struct Usage(String);

/// A usage error as the error of a command.
fn usage(message: impl fmt::Display) -> anyhow::Error {
    Usage(message.to_string()).into()
}

/// What every command is given.
#[derive(Debug)]
struct Context {
    layers: Layers,
    stop: Stop,
}

/// Runs the command; tells errors on standard error.
pub fn run(cli: &Cli) -> Exit {
    console::set_verbosity(cli.verbosity());
    match dispatch(cli) {
        Ok(exit) => exit,
        Err(e) => {
            report(&e);
            exit_of(&e)
        }
    }
}

fn dispatch(cli: &Cli) -> Result<Exit> {
    let (flags, overrides) = cli.layers();
    if let Command::Libs(args) = &cli.command {
        return libs::run(args);
    }
    let layers = config::layers(&cli.global, flags, overrides)?;
    // Before anything else is missed because of them, such as the topic of a broken file.
    layers.check()?;
    let context = Context { layers, stop: Stop::install()? };
    match &cli.command {
        Command::Publish(args) => publish::run(args, &context),
        Command::Subscribe(args) => subscribe::run(args, &context),
        Command::Config(args) => config::run(args, &context.layers),
        Command::Libs(args) => libs::run(args),
    }
}

/// An error, a line for each mistake; causes with `-v`.
fn report(e: &anyhow::Error) {
    let mistakes = match e.downcast_ref::<NoLibrary>() {
        Some(NoLibrary::Mistakes(mistakes)) => Some(mistakes),
        _ => e.downcast_ref::<Mistakes>(),
    };
    match mistakes {
        Some(mistakes) => mistakes.iter().for_each(console::error),
        None if console::verbosity() > 0 => console::error(format!("{e:#}")),
        None => console::error(e),
    }
}

fn exit_of(e: &anyhow::Error) -> Exit {
    if e.is::<Usage>() || e.is::<Mistakes>() || e.is::<NoLibrary>() {
        return Exit::Usage;
    }
    e.downcast_ref::<backends::Error>().map_or(Exit::Failed, |e| e.kind().into())
}

/// The libraries' log goes to standard error, as far as `-v` asks for it.
fn library_log() -> Log {
    Log::new(console::log)
}

/// The name of a topic as typed: `NAME` or `kafka://topic/NAME`.
fn topic_name(typed: &str) -> Result<String> {
    crate::settings::topic_name(typed).map(str::to_owned).map_err(usage)
}
