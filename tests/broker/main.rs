//! Everything `kps` does with a broker, and what brokers do with other clients: one list of trials, run against a real
//! Apache Kafka and against the embedded broker, through each client.
//!
//! One broker of each kind serves all its trials; each uses topics and groups of its own. What needs several brokers has a
//! real cluster. What a trial needs and the
//! machine does not have makes it ignored, with the reason; with `CI=true` that is a failure. The embedded broker needs
//! nothing: without Java its trials ask librdkafka what they otherwise ask Java's client.
#![allow(clippy::unwrap_used, reason = "in a test, to panic is to report")]
#![allow(clippy::disallowed_methods, reason = "tests read the environment themselves")]

mod bad_input;
mod bench;
mod changes;
mod cluster;
mod commits;
mod conformance;
mod cross;
mod damage;
mod differences;
mod exit;
mod groups;
#[path = "../harness/mod.rs"]
mod harness;
mod inspect;
mod members;
mod offsets;
mod peers;
mod process;
mod publish;
mod resilience;
mod restart;
mod settings;
mod signals;
mod subscribe;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use libtest_mimic::Trial;

use differences::DIFFERENCES;
use harness::app::Library;
use harness::client::Client;
use harness::cluster::Shared;
use harness::kafka::{Kafka, Kind};
use harness::suite;

/// More at once only slow each other down: the real broker is one JVM.
const PARALLEL: usize = 4;

/// What all trials on one kind of broker share.
#[derive(Debug)]
struct Ctx {
    kind: Kind,
    kafka: OnceLock<Result<Kafka, String>>,
}

impl Ctx {
    /// The broker, started by the first trial that asks. It creates no topic by itself.
    fn kafka(&self) -> &Kafka {
        // A broker that did not start is not used again, and nothing else is shared.
        let start = AssertUnwindSafe(|| Kafka::start(self.kind));
        let start = || catch_unwind(start).map_err(|_| "the broker did not start, see above".to_owned());
        self.kafka.get_or_init(start).as_ref().unwrap_or_else(|error| panic!("{error}"))
    }
}

/// Trials as they are declared: `(name, function)`.
type Once = (&'static str, fn(&Ctx));
type PerLibrary = (&'static str, fn(&Ctx, Library));
type OnCluster = (&'static str, fn(&Shared, Library));
type PerClient = (&'static str, fn(&Ctx, Client));

const ONCE: &[&[Once]] =
    &[bench::ONCE, peers::TRIALS, cross::ONCE, settings::ONCE, inspect::ONCE, differences::TRIALS];
const PER_LIBRARY: &[&[PerLibrary]] = &[
    publish::TRIALS,
    subscribe::TRIALS,
    offsets::TRIALS,
    inspect::TRIALS,
    exit::TRIALS,
    signals::TRIALS,
    bad_input::TRIALS,
    bench::TRIALS,
    cross::TRIALS,
    settings::TRIALS,
    restart::TRIALS,
    resilience::TRIALS,
    groups::TRIALS,
    members::TRIALS,
    commits::TRIALS,
    changes::TRIALS,
    damage::TRIALS,
    damage::WITH_GROUPS,
];
/// For libraries that have transactions.
const WITH_TRANSACTIONS: &[&[PerLibrary]] = &[settings::WITH_TRANSACTIONS];

/// A trial with its whole name but for the broker's.
type Named = (String, Box<dyn FnOnce(&Ctx) + Send>);

/// The trials of every kind of broker, under their names without its name.
fn declared() -> Vec<Named> {
    let mut all: Vec<Named> = Vec::new();
    for &(name, run) in ONCE.iter().chain(conformance::ONCE).copied().flatten() {
        all.push((name.to_owned(), Box::new(run)));
    }
    for library in Library::all() {
        let transactions = if library.has_transactions() { WITH_TRANSACTIONS } else { &[] };
        let own = PER_LIBRARY.iter().chain(transactions);
        for &(name, run) in own.copied().flatten() {
            all.push((format!("{}::{name}", library.name()), Box::new(move |ctx| run(ctx, library))));
        }
    }
    for client in Client::all() {
        for &(name, run) in conformance::PER_CLIENT.iter().copied().flatten() {
            all.push((format!("{}::{name}", client.name()), Box::new(move |ctx| run(ctx, client))));
        }
    }
    all.extend(conformance::named());
    all
}

/// Trials of how long something takes: they run alone among those of a broker.
const TIMED: &[&str] = &[
    "members::one_is_killed_and_the_other_loses_nothing",
    "members::one_is_interrupted_and_the_other_takes_over",
];
static QUIET: RwLock<()> = RwLock::new(());

fn trials() -> Vec<Trial> {
    let apart = process::TRIALS.iter().chain(differences::APART).chain(bench::APART);
    let mut trials: Vec<Trial> = apart
        .map(|&(name, run)| {
            Trial::test(name, move || {
                run();
                Ok(())
            })
        })
        .collect();
    let shared = Arc::new(Shared::default());
    for library in Library::all() {
        let native = if library == Library::Native { cluster::NATIVE } else { &[] };
        for &(name, run) in cluster::TRIALS.iter().chain(native) {
            let shared = Arc::clone(&shared);
            trials.push(Trial::test(format!("cluster::{}::{name}", library.name()), move || {
                run(&shared, library);
                Ok(())
            }));
        }
    }
    for kind in Kind::all() {
        let ctx = Arc::new(Ctx { kind, kafka: OnceLock::new() });
        for (name, run) in declared() {
            let ctx = Arc::clone(&ctx);
            let timed = TIMED.iter().any(|timed| name.ends_with(timed));
            trials.push(Trial::test(format!("{}::{name}", kind.name()), move || {
                // One that panics has been reported, and leaves nothing half done here.
                if timed {
                    let _alone = QUIET.write().unwrap_or_else(PoisonError::into_inner);
                    run(&ctx);
                } else {
                    let _others = QUIET.read().unwrap_or_else(PoisonError::into_inner);
                    run(&ctx);
                }
                Ok(())
            }));
        }
    }
    trials
}

/// Why the embedded broker is not to pass a trial.
fn differs(name: &str) -> Option<String> {
    let name = name.strip_prefix("embedded::")?;
    let (_, difference) = DIFFERENCES.iter().find(|(trial, _)| name.ends_with(trial))?;
    Some(format!("not in the embedded broker: {difference}"))
}

fn main() -> ExitCode {
    suite::run(trials(), PARALLEL, differs)
}
