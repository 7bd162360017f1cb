//! What the tests stand on: brokers, other clients and tools, and the program itself, each with a time limit.
#![allow(dead_code, reason = "each test program uses its part of the harness")]
#![allow(clippy::unwrap_used, reason = "in a test, to panic is to report")]
#![allow(clippy::disallowed_methods, reason = "tests read the environment themselves")]

pub(crate) mod app;
pub(crate) mod browser;
pub(crate) mod client;
pub(crate) mod cluster;
pub(crate) mod java;
pub(crate) mod kafka;
pub(crate) mod kcat;
#[cfg(all(feature = "rdkafka", feature = "broker"))]
mod librdkafka;
#[cfg(feature = "broker")]
pub(crate) mod malice;
pub(crate) mod process;
pub(crate) mod proxy;
pub(crate) mod python;
pub(crate) mod script;
pub(crate) mod stream;
pub(crate) mod suite;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long anything in a test may take before it counts as hanging.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The first start of Kafka or of Python's clients on a machine downloads them.
pub(crate) const FIRST_START: Duration = Duration::from_secs(600);

/// This build's target folder.
fn target() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().to_owned()
}

/// `name` with a suffix no other call gives, in this run or another: for topics and groups.
pub(crate) fn unique(name: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros();
    format!("{name}-{time:x}-{count}")
}
