//! Reads the input while what was read before is being sent: by a thread of its own, so that reading never waits
//! for a broker and a slow pipe is never held back; or, where reading never waits, in turn with the sending.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};

use anyhow::{Context as _, Result};

use super::source::{ARENA, Batching, Fed, Input, Limits, Source};
use crate::backends::Waker;
use crate::input::Reader;
use crate::record::Batch;
use crate::stop::Stop;

/// What is read, and what it was read into.
#[derive(Debug)]
pub(super) struct Feeder {
    reading: Reading,
    /// Waited for and not taken yet.
    next: Option<Fed>,
    empty: SyncSender<Batch>,
    /// Batches handed out, oldest first, to be filled again once nobody else holds them.
    lent: VecDeque<Arc<Batch>>,
}

#[derive(Debug)]
enum Reading {
    /// By a thread, whose other end this is.
    Ahead(Receiver<Fed>),
    /// Whenever more is wanted: files are read so, which saves handing their bytes from one processor to another.
    InTurn(Box<Source>),
}

impl Feeder {
    /// Starts reading these inputs, one after the other, `ahead` batches before they are taken. `waker` is called
    /// for everything handed over.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(super) fn start(
        inputs: Vec<Input>,
        reader: Reader,
        limits: Limits,
        ahead: usize,
        stop: Stop,
        waker: Waker,
    ) -> Result<Self> {
        let (empty, empties) = sync_channel(ahead);
        let in_turn = inputs.iter().all(Input::is_ready);
        let batching = if in_turn { Batching::EachRead } else { Batching::Full };
        let source = Source::new(inputs, reader, limits, batching, stop, empties);
        let reading =
            if in_turn { Reading::InTurn(Box::new(source)) } else { read_ahead(source, ahead, waker)? };
        Ok(Self { reading, next: None, empty, lent: VecDeque::new() })
    }

    /// What has been read; `None` when nothing is ready. `Err` at the end of all input.
    pub(super) fn take(&mut self) -> Result<Option<Fed>, Ended> {
        self.recycle();
        let fed = match (self.next.take(), &mut self.reading) {
            (Some(fed), _) => fed,
            (None, Reading::InTurn(source)) => source.next().ok_or(Ended)?,
            (None, Reading::Ahead(fed)) => match fed.try_recv() {
                Ok(fed) => fed,
                Err(TryRecvError::Empty) => return Ok(None),
                Err(TryRecvError::Disconnected) => return Err(Ended),
            },
        };
        if let Fed::Records(batch) = &fed {
            self.lent.push_back(Arc::clone(batch));
        }
        Ok(Some(fed))
    }

    /// Waits until there is something to take, or nothing more will come.
    pub(super) fn wait(&mut self) {
        if let (None, Reading::Ahead(fed)) = (&self.next, &self.reading) {
            self.next = fed.recv().ok();
        }
    }

    /// Gives arenas that are no longer used back to the reader.
    fn recycle(&mut self) {
        while let Some(batch) = self.lent.pop_front() {
            match Arc::try_unwrap(batch) {
                Ok(batch) if batch.bytes.capacity() >= ARENA => drop(self.empty.try_send(batch)),
                Ok(_) => {}
                Err(batch) => return self.lent.push_front(batch),
            }
        }
    }
}

/// All input was handed over.
#[derive(Debug)]
pub(super) struct Ended;

/// Starts a thread that reads ahead.
fn read_ahead(mut source: Source, ahead: usize, waker: Waker) -> Result<Reading> {
    let (to, fed) = sync_channel(ahead);
    let body = move || {
        while let Some(fed) = source.next()
            && to.send(fed).is_ok()
        {
            waker();
        }
        // The end is news, too, and is there once the channel is closed.
        drop(to);
        waker();
    };
    std::thread::Builder::new().name("input".into()).spawn(body).context("starting the input thread")?;
    Ok(Reading::Ahead(fed))
}
