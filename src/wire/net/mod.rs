//! Talking to brokers: connections, and a view of the cluster. All of it runs on a tokio runtime whose
//! owner passes its handle in; what it starts ends with the last handle to it.
//!
//! - [`Connector`]: how a byte stream to an address comes about. TLS and SASL are connectors that
//!   wrap another.
//! - [`Connection`]: one such stream with pipelined requests on it.
//! - [`Cluster`]: which topics there are, who leads their partitions, and the connections to these brokers.
//! - [`Whom`]: who is asked a single question, again while it may be answered later.
//! - [`Backoff`]: how long to wait before the next attempt.

mod answer;
mod backoff;
mod buffers;
mod cluster;
mod connection;
mod error;
mod link;
mod lookup;
mod metadata;
mod question;
mod refresh;
mod session;
mod transport;
mod versions;

pub use answer::Answer;
pub use backoff::{Backoff, Random};
pub use buffers::Buffers;
pub use cluster::{Cluster, Config, Creation, Purpose};
pub use connection::{Connection, Options, Payload, Pending, Sending};
pub use error::{Error, Kind, Result, Sent};
pub use lookup::{Coordinated, FoundOffset, Isolation, OffsetQuery};
pub use metadata::{Broker, Leader, Metadata, Partition, Topic};
pub use question::Whom;
pub use transport::{Address, AddressError, BoxFuture, Connector, Plain, Stream};

#[cfg(test)]
mod tests;

use std::time::Duration;

use tokio::time::Instant;

/// Longer than anything is waited for.
const FAR: Duration = Duration::from_secs(86_400);

/// The moment so much later than now; a day later at most.
fn after(wait: Duration) -> Instant {
    Instant::now() + wait.min(FAR)
}
