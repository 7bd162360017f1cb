//! Why a broker cannot run.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::storage;

/// A `Result` of the broker.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong at start or stop.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be listened at.
    #[error("cannot listen at {addr}: {why}")]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// What the system said.
        why: io::Error,
    },
    /// A temporary data folder cannot be made or removed.
    #[error("{}: {why}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        why: io::Error,
    },
    /// The data folder is another program's.
    #[error("{} is a data folder of Apache Kafka", .0.display())]
    NotOurs(PathBuf),
    /// The data folder cannot be used.
    #[error(transparent)]
    Storage(#[from] storage::Error),
    /// A number of partitions that topics cannot have.
    #[error("topics cannot have {0} partitions (1 to {max})", max = storage::MAX_PARTITIONS)]
    Partitions(i32),
    /// No thread or no event queue.
    #[error("cannot run the broker: {0}")]
    Runtime(io::Error),
    /// A mistake in the broker itself.
    #[error("the broker ended by a panic")]
    Panicked,
}
