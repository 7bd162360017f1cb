//! The program under test.
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::PATIENCE;
use super::kafka::Kafka;
use super::process::{Output, Running};

/// A client library, as `--library` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Library {
    Native,
    Rdkafka,
    Rskafka,
}

impl Library {
    /// Those built in.
    pub(crate) fn all() -> Vec<Self> {
        let mut all = Vec::new();
        if cfg!(feature = "native") {
            all.push(Self::Native);
        }
        if cfg!(feature = "rdkafka") {
            all.push(Self::Rdkafka);
        }
        if cfg!(feature = "rskafka") {
            all.push(Self::Rskafka);
        }
        all
    }

    /// Its name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Rdkafka => "rdkafka",
            Self::Rskafka => "rskafka",
        }
    }

    /// Whether it has transactions.
    pub(crate) fn has_transactions(self) -> bool {
        self == Self::Rdkafka
    }
}

/// A run of `kps` to be: no environment of ours, no properties file unless asked, a time limit.
#[derive(Debug)]
pub(crate) struct Kps {
    args: Vec<OsString>,
    env: Vec<(String, String)>,
    dir: Option<PathBuf>,
    input: Vec<u8>,
    stdout: Option<Stdio>,
    props: Props,
    limit: Duration,
}

/// Whether the properties file of the current folder is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Props {
    None,
    Found,
}

impl Kps {
    /// `kps COMMAND ARGS...`
    pub(crate) fn new<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Self {
        Self {
            args: args.into_iter().map(|arg| arg.as_ref().to_owned()).collect(),
            env: Vec::new(),
            dir: None,
            input: Vec::new(),
            stdout: None,
            props: Props::None,
            limit: PATIENCE,
        }
    }

    /// `kps publish TOPIC`, through `library`, to `kafka`.
    pub(crate) fn publish(kafka: &Kafka, library: Library, topic: &str) -> Self {
        Self::new(["publish", topic]).on(kafka, library)
    }

    /// `kps subscribe TOPIC`, through `library`, from `kafka`.
    pub(crate) fn subscribe(kafka: &Kafka, library: Library, topic: &str) -> Self {
        Self::new(["subscribe", topic]).on(kafka, library)
    }

    /// Adds `-b` and `--library`.
    pub(crate) fn on(self, kafka: &Kafka, library: Library) -> Self {
        self.args(["-b", kafka.address(), "--library", library.name()])
    }

    /// Adds arguments.
    pub(crate) fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Adds an environment variable.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets the current folder, and lets the properties file in it be read.
    pub(crate) fn dir(mut self, dir: &Path) -> Self {
        self.dir = Some(dir.to_owned());
        self.props = Props::Found;
        self
    }

    /// Sets what [`Kps::run`] gives on standard input.
    pub(crate) fn input(mut self, input: impl AsRef<[u8]>) -> Self {
        self.input = input.as_ref().to_vec();
        self
    }

    /// Sends standard output elsewhere, such as to `/dev/full`.
    pub(crate) fn stdout(mut self, stdout: impl Into<Stdio>) -> Self {
        self.stdout = Some(stdout.into());
        self
    }

    /// Sets how long it may run.
    pub(crate) fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Runs it to its end.
    #[track_caller]
    pub(crate) fn run(mut self) -> Output {
        let input = std::mem::take(&mut self.input);
        let mut running = self.spawn();
        running.feed(input);
        running.wait()
    }

    /// Starts it, for input that comes bit by bit and for signals.
    pub(crate) fn spawn(mut self) -> Running {
        let (what, limit) = (self.to_string(), self.limit);
        let mut command = self.command();
        command.stdin(Stdio::piped()).stderr(Stdio::piped());
        command.stdout(self.stdout.take().unwrap_or_else(Stdio::piped));
        Running::start_with(command, what).limit(limit)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kps"));
        command.args(self.all_args()).env_clear();
        for name in ["PATH", "TMPDIR", "LLVM_PROFILE_FILE"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        if let Some(dir) = &self.dir {
            command.current_dir(dir);
        }
        command
    }

    /// The arguments, with `--no-props` behind the command's name where it reads settings.
    fn all_args(&self) -> Vec<OsString> {
        let mut args = self.args.clone();
        let settings =
            ["publish", "pub", "subscribe", "sub", "bench", "topics", "offsets", "groups", "config", "libs"];
        let reads = args.first().is_some_and(|first| settings.iter().any(|name| first == name));
        if reads && self.props == Props::None {
            args.insert(1, "--no-props".into());
        }
        args
    }
}

impl fmt::Display for Kps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.env {
            write!(f, "{name}={value} ")?;
        }
        write!(f, "kps")?;
        for arg in self.all_args() {
            write!(f, " {arg:?}")?;
        }
        Ok(())
    }
}
