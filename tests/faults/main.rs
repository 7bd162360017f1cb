//! What breaks between `kps` and a broker, and what becomes of every record meanwhile: brokers that are killed or stand
//! still, networks that are slow or cut, and a broker that lies. Each library publishes and subscribes through each fault,
//! with `--resilient` and without.
//!
//! One broker has one trial alone, a cluster of three serves those about brokers that die one after the other. What is on
//! the topic and in the failed file is compared with what the summaries say.
#![allow(clippy::unwrap_used, reason = "in a test, to panic is to report")]
#![allow(clippy::disallowed_methods, reason = "tests read the environment themselves")]

mod cluster;
#[path = "../harness/mod.rs"]
mod harness;
#[cfg(feature = "broker")]
mod hostile;
mod outages;
mod weather;

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::Trial;

use harness::app::Library;
use harness::cluster::Shared;
use harness::kafka::Kind;
use harness::suite;

/// Most of the time they wait.
const PARALLEL: usize = 8;

/// Trials as they are declared: `(name, function)`.
type OnBroker = (&'static str, fn(Kind, Library));
type OnCluster = (&'static str, fn(&Shared, Library));

fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    let mut add = |name: String, run: Box<dyn FnOnce() + Send>| {
        trials.push(Trial::test(name, move || {
            run();
            Ok(())
        }));
    };
    // Those that wait longest come first: the list is worked off in order.
    let shared = Arc::new(Shared::default());
    for library in Library::all() {
        for &(name, run) in cluster::TRIALS {
            let shared = Arc::clone(&shared);
            add(format!("cluster::{}::{name}", library.name()), Box::new(move || run(&shared, library)));
        }
        for kind in Kind::all() {
            for &(name, run) in outages::TRIALS.iter().chain(weather::TRIALS) {
                let name = format!("{}::{}::{name}", kind.name(), library.name());
                add(name, Box::new(move || run(kind, library)));
            }
        }
        #[cfg(feature = "broker")]
        add(
            format!("hostile::{}::a_batch_that_is_cut_off_is_named", library.name()),
            Box::new(move || hostile::a_batch_that_is_cut_off_is_named(library)),
        );
        #[cfg(feature = "broker")]
        for (name, malice) in hostile::all() {
            let name = format!("hostile::{}::{name}", library.name());
            add(name, Box::new(move || hostile::is_survived(malice, library)));
        }
    }
    trials
}

fn main() -> ExitCode {
    suite::run(trials(), PARALLEL, |_| None)
}
