//! The embedded broker: one node that speaks Kafka's protocol, for trying out and for tests.
//!
//! It shares nothing with `backends`, so that it cannot share the mistakes it is to show. It runs on a
//! thread and a runtime of its own: a client that blocks cannot starve it.
//!
//! - [`storage`]: what is on disk.
//! - `server`, `connection`: frames in, frames out.
//! - `node`: what the connections share.
//! - `groups`: consumer groups and committed offsets.
//! - `transactions`: the producers of transactional ids, and how their transactions end.
//! - `apis`: what is answered, one file per API.
//! - [`differences`]: what is not.

mod apis;
mod code;
mod connection;
pub mod differences;
mod error;
mod faults;
mod folder;
mod groups;
mod node;
mod options;
mod server;
pub mod storage;
mod table;
mod transactions;
mod waiters;

#[cfg(test)]
mod tests;

pub use error::{Error, Result};
#[doc(hidden)]
pub use faults::{FaultKind, Faults};
pub use groups::consumer::Options as ConsumerGroups;
pub use options::{Log, Options};
#[doc(hidden)]
pub use table::markdown_table;

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

use folder::Folder;
use node::Node;

/// Threads that carry the connections, beside the one that owns them.
const WORKERS: usize = 2;

/// A broker that runs until it is stopped or dropped.
#[derive(Debug)]
pub struct Broker {
    addr: SocketAddr,
    folder: PathBuf,
    faults: Faults,
    running: Option<(oneshot::Sender<()>, JoinHandle<Result<()>>)>,
}

impl Broker {
    /// Opens the data folder, binds the address and serves. When this returns, clients can connect.
    ///
    /// # Errors
    /// If the data folder cannot be used, or the address.
    pub fn start(options: Options) -> Result<Self> {
        let folder = Folder::open(options.data.as_deref())?;
        let path = folder.path().to_owned();
        let listen = options.listen;
        let unusable = |why| Error::Listen { addr: listen, why };
        let listener = TcpListener::bind(listen).map_err(unusable)?;
        listener.set_nonblocking(true).map_err(unusable)?;
        let addr = listener.local_addr().map_err(unusable)?;
        let node = Arc::new(Node::open(folder.path(), options)?);
        let faults = node.faults.clone();
        let runtime = runtime().map_err(Error::Runtime)?;
        let (stop, stopped) = oneshot::channel();
        let run = move || run(runtime, &node, listener, stopped, folder);
        let thread = thread::Builder::new().name("broker".into()).spawn(run).map_err(Error::Runtime)?;
        Ok(Self { addr, folder: path, faults, running: Some((stop, thread)) })
    }

    /// Where its data is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where it listens; with the port that was found when 0 was asked for.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The faults to be injected; for tests.
    #[doc(hidden)]
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Closes all connections, then the data folder; a temporary one is removed. Dropping it does the same
    /// without a word about errors.
    ///
    /// # Errors
    /// If the data folder could not be closed in order. No record that was acknowledged is lost then.
    pub fn stop(mut self) -> Result<()> {
        self.halt()
    }

    fn halt(&mut self) -> Result<()> {
        let Some((stop, thread)) = self.running.take() else { return Ok(()) };
        // It may have ended by itself: that is told by the thread.
        let _ = stop.send(());
        thread.join().unwrap_or(Err(Error::Panicked))
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // Whoever wants to know calls `stop`.
        let _ = self.halt();
    }
}

fn runtime() -> std::io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(WORKERS).thread_name("broker-io").enable_all().build()
}

/// The broker's own thread: serves until it is told to stop, then puts everything away.
fn run(
    runtime: Runtime,
    node: &Arc<Node>,
    listener: TcpListener,
    stopped: oneshot::Receiver<()>,
    folder: Folder,
) -> Result<()> {
    if folder.is_temporary() {
        // A thread of its own: there may be much to remove, and nobody waits for it.
        let _ = thread::Builder::new().name("broker-sweep".into()).spawn(folder::sweep);
    }
    let served = runtime.block_on(server::serve(node, listener, stopped)).map_err(Error::Runtime);
    drop(runtime);
    let closed = node.storage.close().map_err(Error::from);
    served.and(closed).and(folder.close())
}
