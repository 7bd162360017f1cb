//! What the clients on `wire::net` have in common: their settings as it takes them, its errors in the terms of
//! the seam, and the first connection.

pub(in crate::backends) mod config;
pub(in crate::backends) mod errors;
#[cfg(feature = "rskafka")]
pub(in crate::backends) mod gap;
mod groups;
mod inspector;
mod keeper;

pub(super) use inspector::open_inspector;
pub(super) use keeper::open_keeper;

use std::error::Error as _;
use std::time::Duration;

use tokio::time::Instant;

use super::{ErrorKind, Result, not_reached};
use crate::settings::{KeyId, Settings};
use crate::wire::net::{self, Cluster, Kind};

/// Whether trouble with a partition that has lasted so long is worth a line: not that of a leader that moves, sooner that
/// of a broker that is not there, and at once what had no answer in time.
pub(in crate::backends) fn is_worth_a_line(kind: ErrorKind, lasted: Duration) -> bool {
    let least = match kind {
        ErrorKind::TimedOut => 0,
        ErrorKind::Unreachable => 250,
        _ => 500,
    };
    lasted >= Duration::from_millis(least)
}

/// The first connection. A refused one is tried again for [`Settings::refused_for`]; in all it takes no longer than
/// `socket.connection.setup.timeout.ms`.
///
/// # Errors
/// Naming the addresses.
pub(in crate::backends) async fn reach(cluster: &Cluster, settings: &Settings) -> Result<()> {
    let (start, refused_for) = (Instant::now(), settings.refused_for());
    let limit = start + settings.duration(KeyId::ConnectTimeout);
    let mut reached = if refused_for.is_zero() {
        cluster.any_once(limit).await
    } else {
        cluster.any(start + refused_for).await
    };
    // Not refused: nothing came of it yet.
    if reached.as_ref().is_err_and(|error| error.kind() == Kind::TimedOut) && Instant::now() < limit {
        reached = cluster.any(limit).await;
    }
    reached.map(drop).map_err(|error| {
        let kind = if error.is_retriable() { ErrorKind::Unreachable } else { errors::kind(&error) };
        // What says that no broker was reached has the last attempt as its cause.
        let last = error.source().and_then(|source| source.downcast_ref::<net::Error>());
        let reason = last.unwrap_or(&error).to_string();
        not_reached(kind, &settings.bootstrap(), &errors::printable(&reason)).with_source(error)
    })
}
