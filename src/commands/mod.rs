//! The commands, and the one place where an error becomes an exit code.

mod bench;
#[cfg(feature = "broker")]
mod broker;
mod child;
mod config;
#[cfg(feature = "broker")]
mod embedded;
mod inspect;
mod libs;
mod output;
mod publish;
mod settings_files;
mod subscribe;

use std::fmt;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Result;
use serde_json::json;
use thiserror::Error;

use crate::backends::{
    self, Chosen, ErrorKind, Keeper, Log, NoLibrary, Notice, PublishPlan, Publisher, Purpose, SubscribePlan,
    Subscriber,
};
use crate::cli::{Cli, Command, LibsArgs};
use crate::console::{self, Level};
use crate::resilient::{self, Doubt, Full, Policy, Rules};
use crate::settings::{Environment, KeyId, Layer, Layers, Library, Mistakes, Settings, Side};
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
    /// Unknown topic, partition or group.
    UnknownTopic,
    /// A bad record.
    BadRecord,
    /// Ended by this signal.
    Signal(i32),
    /// The code of the command that was run.
    Command(u8),
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
            Self::Command(code) => code,
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
            ErrorKind::UnknownTopic | ErrorKind::UnknownGroup => Self::UnknownTopic,
            ErrorKind::BadRecord => Self::BadRecord,
            ErrorKind::TooLarge | ErrorKind::NotCommitted => Self::Undelivered,
            ErrorKind::OffsetOutOfRange | ErrorKind::Later | ErrorKind::Other => Self::Failed,
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
struct Context<'a> {
    command: &'a Command,
    layers: Layers,
    stop: Stop,
    /// Set once it was said what in the settings files deserves attention.
    announced: OnceLock<()>,
    #[cfg(feature = "broker")]
    embedded: embedded::Embedded,
}

impl<'a> Context<'a> {
    fn new(cli: &'a Cli) -> Result<Self> {
        let environment = Environment::of_process();
        let files = settings_files::read(cli, &environment)?;
        let context = Self::with_files(cli, &environment, files)?;
        context.layers.files.iter().flat_map(|file| &file.warnings).for_each(console::warn);
        Ok(context)
    }

    /// The context of a benchmark run in a process of its own: its parent has read the files, and told of them.
    fn of_child(cli: &'a Cli) -> Result<Self> {
        let files = settings_files::read_from_parent()?;
        let context = Self::with_files(cli, &Environment::of_process(), files)?;
        context.announced.get_or_init(|| ());
        Ok(context)
    }

    fn with_files(cli: &'a Cli, environment: &Environment, files: Vec<Layer>) -> Result<Self> {
        let (flags, overrides) = cli.layers();
        let layers = Layers { flags, overrides, env: environment.layer(), files };
        // Mistakes are told before anything else is missed because of them, such as the topic of a broken file.
        if layers.resolve(Side::Producer, Library::ALL[0])?.text(KeyId::LogFormat) == Some("json") {
            console::write_json();
        }
        Ok(Self {
            command: &cli.command,
            layers,
            stop: Stop::install()?,
            announced: OnceLock::new(),
            #[cfg(feature = "broker")]
            embedded: embedded::Embedded::default(),
        })
    }

    /// The library of the run; its warnings are told.
    fn choose(&self, purpose: Purpose) -> Result<Chosen> {
        let chosen = backends::choose(&self.layers, purpose)?;
        if chosen.settings.is_embedded() {
            check_embedded(&chosen.settings)?;
        }
        self.announce_settings();
        chosen.warnings.iter().for_each(console::warn);
        Ok(chosen)
    }

    /// Says once what in the settings deserves attention, when the run is known to go on.
    fn announce_settings(&self) {
        self.announced.get_or_init(|| {
            settings_files::announce_found_file(self.command, &self.layers);
            settings_files::warn_of_exposed_secrets(&self.layers);
        });
    }

    /// Opens a publisher; the broker is started if it is the embedded one.
    fn open_publisher(&self, chosen: &mut Chosen, plan: &PublishPlan) -> Result<Box<dyn Publisher>> {
        self.reach(&mut chosen.settings)?;
        if !chosen.settings.bool(KeyId::Resilient) {
            return Ok(backends::open_publisher(chosen, plan)?);
        }
        let doubt = if chosen.is_idempotent() { Doubt::Unknown } else { Doubt::SendAgain };
        let mut rules = Rules::of(&chosen.settings, doubt);
        // The run gives up before any of its records: after all tries, and the time it may take to see an outage.
        let patience = rules.policy.budget() + chosen.settings.duration(KeyId::RequestTimeout) + SOONER;
        chosen.settings.set_patience(patience);
        let max = u64::try_from(chosen.settings.int(KeyId::SpoolMaxBytes)).unwrap_or(u64::MAX);
        let dir = chosen.settings.text(KeyId::SpoolDir).map(Path::new);
        let store = dir.map(|dir| resilient::open_spool(dir, max, plan.topic.as_deref())).transpose()?;
        if store.is_some() {
            // What is in the spool stays there.
            rules.limits.full = Full::Block;
        }
        let (chosen, library_plan) = (chosen.clone(), plan.clone());
        let open: resilient::Open = Arc::new(move || backends::open_publisher(&chosen, &library_plan));
        let publisher = resilient::open_publisher(open, plan.topic.as_deref(), rules)?;
        Ok(match store {
            Some(store) => resilient::spooled(store, publisher),
            None => publisher,
        })
    }

    /// Opens a subscriber; the broker is started if it is the embedded one.
    fn open_subscriber(&self, chosen: &mut Chosen, plan: &SubscribePlan) -> Result<Box<dyn Subscriber>> {
        self.reach(&mut chosen.settings)?;
        if !chosen.settings.bool(KeyId::Resilient) {
            return Ok(backends::open_subscriber(chosen, plan)?);
        }
        let policy = Policy::of(&chosen.settings);
        let (chosen, plan) = (chosen.clone(), plan.clone());
        let open: resilient::OpenSubscriber = Arc::new(move || backends::open_subscriber(&chosen, &plan));
        Ok(resilient::open_subscriber(open, policy, Arc::new(tell))?)
    }

    /// Opens a keeper of topics; the broker is started if it is the embedded one.
    fn open_keeper(&self, chosen: &mut Chosen) -> Result<Box<dyn Keeper>> {
        self.reach(&mut chosen.settings)?;
        Ok(backends::open_keeper(chosen, &library_log())?)
    }

    #[cfg(feature = "broker")]
    fn reach(&self, settings: &mut Settings) -> Result<()> {
        if settings.is_embedded() {
            settings.set_embedded(self.embedded.addr(&self.stop)?);
        }
        Ok(())
    }

    #[cfg(not(feature = "broker"))]
    #[allow(clippy::unused_self, reason = "as with the feature")]
    fn reach(&self, _: &mut Settings) -> Result<()> {
        Ok(())
    }
}

/// Refuses what the embedded broker cannot be asked for.
fn check_embedded(settings: &Settings) -> Result<()> {
    if !cfg!(feature = "broker") {
        let place = settings.place(KeyId::BootstrapServers);
        return Err(usage(format!("{place}: embedded: {NO_BROKER}")));
    }
    match settings.text(KeyId::SecurityProtocol) {
        None | Some("PLAINTEXT") => Ok(()),
        Some(protocol) => {
            let place = settings.place(KeyId::SecurityProtocol);
            Err(usage(format!(
                "security.protocol={protocol} ({place}): the embedded broker has no TLS and no SASL, only PLAINTEXT"
            )))
        }
    }
}

/// How much sooner a resilient run gives up than a record.
const SOONER: Duration = Duration::from_secs(2);

/// What a build without the broker says.
const NO_BROKER: &str = "the embedded broker is not built in: build with --features broker";

/// Runs the command; tells errors on standard error.
pub fn run(cli: &Cli) -> Exit {
    console::set_verbosity(cli.verbosity());
    if cli.wants_json() {
        console::write_json();
    }
    match dispatch(cli) {
        Ok(exit) => exit,
        Err(e) => {
            report(&e);
            exit_of(&e)
        }
    }
}

fn dispatch(cli: &Cli) -> Result<Exit> {
    match &cli.command {
        Command::Publish(args) => publish::run(args, &Context::new(cli)?),
        Command::Subscribe(args) => subscribe::run(args, &Context::new(cli)?),
        Command::Bench(args) => bench::run(args, cli),
        Command::Topics(args) => inspect::topics(args, &Context::new(cli)?),
        Command::Offsets(args) => inspect::offsets(args, &Context::new(cli)?),
        Command::Groups(args) => inspect::groups(args, &Context::new(cli)?),
        Command::Config(args) => config::run(args, &Context::new(cli)?.layers),
        Command::Libs(LibsArgs { check: Some(name), .. }) => Ok(libs::check(name)),
        Command::Libs(args) => libs::run(args, &Context::new(cli)?.layers),
        #[cfg(feature = "broker")]
        Command::Broker(args) => {
            refuse_settings(cli)?;
            broker::run(args, &Stop::install()?)
        }
        #[cfg(not(feature = "broker"))]
        Command::Broker(_) => Err(usage(NO_BROKER)),
    }
}

/// The broker reads no settings of clients: one that is given to it is a mistake.
#[cfg(feature = "broker")]
fn refuse_settings(cli: &Cli) -> Result<()> {
    let (flags, overrides) = cli.layers();
    let mut given = flags.entries.iter().chain(&overrides.entries).map(|entry| entry.place.to_string());
    let file = cli.global.props.first().map(|_| "--props".to_owned());
    match given.next().or(file) {
        Some(given) => Err(usage(format!("{given}: a setting of clients, which the broker does not read"))),
        None => Ok(()),
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

/// Tells what happens to the connection: a line for people, an event for programs.
fn tell(notice: &Notice) {
    let ms = |time: &Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let (name, fields) = match notice {
        Notice::Lost { place, why } => ("lost", json!({"place": place, "error": why})),
        Notice::Back { place, after } => ("back", json!({"place": place, "after_ms": ms(after)})),
        Notice::Replaced { place } => ("replaced", json!({"place": place})),
        Notice::Disconnected { why } => ("disconnected", json!({"error": why})),
        Notice::Waiting { tries, of, after, buffered } => {
            ("waiting", json!({"try": tries, "tries": of, "after_ms": ms(after), "buffered": buffered}))
        }
        Notice::Reconnected { after, buffered } => {
            ("reconnected", json!({"after_ms": ms(after), "buffered": buffered}))
        }
    };
    let level = if notice.is_good() { Level::Info } else { Level::Warning };
    console::event(level, name, fields, notice);
}

/// The name of a topic as typed: `NAME` or `kafka://topic/NAME`.
fn topic_name(typed: &str) -> Result<String> {
    crate::settings::topic_name(typed).map(str::to_owned).map_err(usage)
}
