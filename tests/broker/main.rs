//! Everything `kps` does with a broker, against a real Apache Kafka, through each client library.
//!
//! One broker serves all trials; each uses topics and groups of its own. Without Java every trial is ignored by name,
//! and with `CI=true` that is a failure.
#![allow(clippy::unwrap_used, reason = "in a test, to panic is to report")]
#![allow(clippy::print_stderr, reason = "the reason for an ignored trial goes to the terminal")]
#![allow(clippy::disallowed_methods, reason = "tests read the environment themselves")]

mod bad_input;
mod cross;
mod exit;
mod groups;
#[path = "../harness/mod.rs"]
mod harness;
mod offsets;
mod peers;
mod process;
mod publish;
mod restart;
mod settings;
mod signals;
mod subscribe;

use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use libtest_mimic::{Arguments, Trial};

use harness::app::Library;
use harness::java;
use harness::kafka::Kafka;
use harness::kcat;

/// More at once only slow each other down: the broker is one JVM.
const PARALLEL: usize = 4;

/// What all trials share.
#[derive(Debug, Default)]
struct Ctx {
    kafka: OnceLock<Result<Kafka, String>>,
}

impl Ctx {
    /// The broker, started by the first trial that asks. It creates no topic by itself.
    fn kafka(&self) -> &Kafka {
        let start = || {
            let start = || Kafka::start(&["auto.create.topics.enable=false"]);
            std::panic::catch_unwind(start).map_err(|_| "the broker did not start, see above".to_owned())
        };
        self.kafka.get_or_init(start).as_ref().unwrap_or_else(|error| panic!("{error}"))
    }
}

/// Trials as they are declared: `(name, function)`.
type Once = (&'static str, fn(&Ctx));
type PerLibrary = (&'static str, fn(&Ctx, Library));

const ONCE: &[&[Once]] = &[process::TRIALS, peers::TRIALS, cross::ONCE, settings::ONCE];
const PER_LIBRARY: &[&[PerLibrary]] = &[
    publish::TRIALS,
    subscribe::TRIALS,
    offsets::TRIALS,
    exit::TRIALS,
    signals::TRIALS,
    bad_input::TRIALS,
    cross::TRIALS,
    settings::TRIALS,
    restart::TRIALS,
];
/// For libraries that have groups.
const WITH_GROUPS: &[&[PerLibrary]] = &[groups::TRIALS, settings::WITH_GROUPS];

fn trials(ctx: &Arc<Ctx>) -> Vec<Trial> {
    let mut trials = Vec::new();
    let mut add = |name: String, run: Box<dyn FnOnce(&Ctx) + Send>| {
        let ctx = Arc::clone(ctx);
        trials.push(Trial::test(name, move || {
            run(&ctx);
            Ok(())
        }));
    };
    for &(name, run) in ONCE.iter().copied().flatten() {
        add(name.to_owned(), Box::new(run));
    }
    for library in Library::all() {
        let groups = if library.has_groups() { WITH_GROUPS } else { &[] };
        for &(name, run) in PER_LIBRARY.iter().chain(groups).copied().flatten() {
            add(format!("{}::{name}", library.name()), Box::new(move |ctx| run(ctx, library)));
        }
    }
    trials
}

/// What a trial needs and this machine does not have. A trial that runs kcat says so in its name.
fn missing(trial: &Trial, java: Option<&str>, kcat: Option<&str>) -> Option<String> {
    java.or_else(|| kcat.filter(|_| trial.name().contains("kcat"))).map(str::to_owned)
}

fn main() -> ExitCode {
    let mut args = Arguments::from_args();
    args.test_threads = Some(args.test_threads.unwrap_or(PARALLEL).min(PARALLEL));
    let ctx = Arc::new(Ctx::default());
    let (java, kcat) = (java::missing(), kcat::missing());
    let mut ignored = 0;
    let trials = trials(&ctx).into_iter().map(|trial| {
        let Some(reason) = missing(&trial, java.as_deref(), kcat.as_deref()) else { return trial };
        ignored += 1;
        trial.with_kind(reason).with_ignored_flag(true)
    });
    let trials = trials.collect();

    let conclusion = libtest_mimic::run(&args, trials);
    let required = std::env::var("CI").is_ok_and(|value| value == "true");
    if ignored > 0 && required && !args.list {
        eprintln!("{ignored} trials could not run, which CI=true makes a failure");
        return ExitCode::FAILURE;
    }
    conclusion.exit_code()
}
