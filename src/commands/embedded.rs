//! `-b embedded`: a broker for the life of one command, wherever a library is opened.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Result, anyhow};

use super::output::without_number;
use crate::broker::{Broker, Error, Log, Options};
use crate::console;
use crate::stop::Stop;

/// The broker of this run, once there is one. It ends when this does.
#[derive(Debug, Default)]
pub(super) struct Embedded(Arc<Mutex<Option<Broker>>>);

impl Embedded {
    /// Its address; starts it when it does not run yet.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(super) fn addr(&self, stop: &Stop) -> Result<SocketAddr> {
        let of_signals = Arc::clone(&self.0);
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(broker) = &*slot {
            return Ok(broker.addr());
        }
        stop.on_leave(move || leave(&of_signals));
        let broker = Broker::start(Options { log: log(), ..Options::default() }).map_err(failed)?;
        let addr = broker.addr();
        *slot = Some(broker);
        drop(slot);
        console::say(format!("embedded broker at {addr}, for this run only: its records go with it"));
        Ok(addr)
    }
}

/// A signal that ends the run at once leaves no folder either, also when it comes during the start. The
/// slot stays locked: the run, whose broker is gone, cannot end with an exit code of its own.
fn leave(slot: &Mutex<Option<Broker>>) {
    let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
    drop(slot.take());
    std::mem::forget(slot);
}

impl Drop for Embedded {
    fn drop(&mut self) {
        let broker = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Err(e)) = broker.map(Broker::stop) {
            console::warn(failed(e));
        }
    }
}

/// The broker's log: one line each on standard error.
pub(super) fn log() -> Log {
    Log::new(|line| console::say(line))
}

/// An error of the broker, with the way out where there is one.
pub(super) fn failed(e: Error) -> anyhow::Error {
    let text = without_number(&e.to_string());
    match e {
        Error::Listen { why, .. } if why.kind() == std::io::ErrorKind::AddrInUse => {
            anyhow!(
                "{text}: end what listens there, or choose another address with --listen (port 0 finds a free one)"
            )
        }
        _ => anyhow!(text),
    }
}
