//! Our own client, pure Rust, behind the seam: records go straight from the input's arena into record
//! batches, and straight from fetched batches to whoever prints them.
//!
//! The command's thread encodes and decodes. Publishing, one worker thread of a runtime carries the connections
//! (`wire::net`), since what was sent is to be answered for however long the input takes; subscribing, the command's
//! own does while it waits. Between them pass batches and frames, never single records.

mod consume;
mod produce;

use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use super::{Error, ErrorKind, PublishPlan, Publisher, Result, SubscribePlan, Subscriber};
use crate::settings::Settings;

/// How long a topic that was just created may be unknown to some brokers.
const TOPIC_WAIT: Duration = Duration::from_secs(5);
/// How long the runtime may take to stop: as long as a batch takes to compress.
const STOP: Duration = Duration::from_secs(1);

/// Our version, and what is compiled in.
pub(super) fn build() -> (String, Vec<String>) {
    let features = ["gzip", "lz4", "snappy", "zstd"];
    (env!("CARGO_PKG_VERSION").to_owned(), features.map(str::to_owned).to_vec())
}

/// Opens a publisher.
///
/// # Errors
/// `Unreachable` within `socket.connection.setup.timeout.ms`, naming the addresses; `UnknownTopic`,
/// naming the topic or partition; `Authorization`; `Unsupported` for a setting that is not known here.
pub(super) fn open_publisher(settings: &Settings, plan: &PublishPlan) -> Result<Box<dyn Publisher>> {
    produce::open(settings, plan)
}

/// Opens a subscriber for partitions of one's own choice.
///
/// # Errors
/// `Unreachable` within `socket.connection.setup.timeout.ms`, naming the addresses.
pub(super) fn open_subscriber(settings: &Settings, plan: &SubscribePlan) -> Result<Box<dyn Subscriber>> {
    consume::open(settings, plan)
}

/// One worker: it seals, compresses, writes and reads; the command's thread does the rest.
fn runtime() -> Result<Runtime> {
    let built = Builder::new_multi_thread().worker_threads(1).thread_name("native").enable_all().build();
    built.map_err(not_started)
}

fn not_started(error: std::io::Error) -> Error {
    Error::new(ErrorKind::Other, "cannot start the client's thread").with_source(error)
}
