//! Accepting connections: one task each.

use std::io;
use std::net::TcpListener as StdListener;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::connection;
use super::groups;
use super::node::{Node, blocking};
use super::storage::Fsync;
use super::transactions;

/// From one look at retention to the next.
const MAINTAIN_EVERY: Duration = Duration::from_secs(1);
/// The same, however short the interval of fsync is.
const MAINTAIN_AT_MOST_EVERY: Duration = Duration::from_millis(10);
/// After no connection could be accepted: when files have run out, trying at once would spin.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);

/// Serves until it is told to stop. No task is left when it returns.
pub(super) async fn serve(
    node: &Arc<Node>,
    listener: StdListener,
    mut stopped: oneshot::Receiver<()>,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let mut connections = JoinSet::new();
    connections.spawn(groups::keep_time(Arc::clone(node)));
    connections.spawn(transactions::keep_time(Arc::clone(node)));
    let mut maintain = tokio::time::interval(maintain_every(node.options.storage.fsync));
    maintain.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = &mut stopped => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    connections.spawn(connection::serve(Arc::clone(node), stream, peer));
                }
                Err(why) => {
                    node.options.log.line(format_args!("cannot accept a connection: {why}"));
                    tokio::time::sleep(ACCEPT_AGAIN).await;
                }
            },
            Some(_) = connections.join_next() => {}
            _ = maintain.tick() => blocking(|| node.maintain()),
        }
    }
    drop(listener);
    connections.shutdown().await;
    Ok(())
}

/// Often enough for syncs by interval.
fn maintain_every(fsync: Fsync) -> Duration {
    match fsync {
        Fsync::Interval(every) => every.clamp(MAINTAIN_AT_MOST_EVERY, MAINTAIN_EVERY),
        Fsync::Never | Fsync::EveryAppend => MAINTAIN_EVERY,
    }
}
