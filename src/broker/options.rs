//! What a broker is started with.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use super::groups::consumer;
use super::storage;

/// What a broker is started with.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where to listen; port 0 finds a free one.
    pub listen: SocketAddr,
    /// What clients are told as its address, such as that of a proxy; without it the one they have reached it at.
    pub advertised: Option<SocketAddr>,
    /// Where to keep data; without it in a temporary folder that is removed at the end.
    pub data: Option<PathBuf>,
    /// The partitions of a topic when whoever creates it does not say.
    pub partitions: i32,
    /// True creates a topic when a client that allows it asks for one that is not there.
    pub auto_create: bool,
    /// Retention, segments, fsync.
    pub storage: storage::Options,
    /// Groups of KIP-848's protocol.
    pub consumer_groups: consumer::Options,
    /// The largest request in bytes; a connection that sends a larger one is closed.
    pub max_request: usize,
    /// Where log lines go.
    pub log: Log,
}

impl Default for Options {
    /// A free port of this machine only, a temporary folder, topics of one partition created when they are
    /// asked for. Records are deleted by size only: judged by time, those with timestamps of long ago,
    /// as examples and tests have them, would be gone a moment after they were written.
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            advertised: None,
            data: None,
            partitions: 1,
            auto_create: true,
            storage: storage::Options { retain_time: None, ..storage::Options::default() },
            consumer_groups: consumer::Options::default(),
            max_request: 100 << 20,
            log: Log::none(),
        }
    }
}

/// Where log lines go: one for each connection that is closed for what it sent, and for what fails
/// in the background.
#[derive(Clone)]
pub struct Log(Arc<dyn Fn(&str) + Send + Sync>);

impl Log {
    /// A log that calls `f` with each line, on the broker's threads.
    pub fn new(f: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Arc::new(f))
    }

    /// A log that forgets.
    pub fn none() -> Self {
        Self::new(|_| {})
    }

    pub(super) fn line(&self, line: fmt::Arguments<'_>) {
        (self.0)(&line.to_string());
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Log")
    }
}
