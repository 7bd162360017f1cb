//! The thread that reads the input and hands it over in batches, so that reading never waits for a
//! broker and a slow pipe is never held back.

use std::collections::VecDeque;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};

use anyhow::{Context as _, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::backends::Waker;
use crate::commands::output::plain;
use crate::input::{Bad, Fd, Filled, Reader, is_full};
use crate::record::Batch;
use crate::stop::Stop;

/// Batches read ahead of the publisher.
const AHEAD: usize = 4;
/// Bytes of a new arena: what the reader fills, and room for one more read.
const ARENA: usize = (512 << 10) + (128 << 10);

/// One thing to read.
#[derive(Debug)]
pub(super) enum Input {
    /// Standard input.
    Stdin,
    /// A file of delimited records.
    File(File, PathBuf),
    /// A file that is one record.
    Whole(File, PathBuf),
    /// A message of the command line.
    Message(String),
}

impl Input {
    /// A file of delimited records, opened and known not to be a folder.
    ///
    /// # Errors
    /// Naming the file.
    pub(super) fn file(path: &Path) -> Result<Self> {
        Ok(Self::File(open(path)?, path.to_owned()))
    }

    /// What the system knows of the file behind it.
    pub(super) fn metadata(&self) -> Option<Metadata> {
        match self {
            Self::Stdin => File::from(io::stdin().as_fd().try_clone_to_owned().ok()?).metadata().ok(),
            Self::File(file, _) | Self::Whole(file, _) => file.metadata().ok(),
            Self::Message(_) => None,
        }
    }

    /// A file that is one record.
    ///
    /// # Errors
    /// Naming the file.
    pub(super) fn whole(path: &Path) -> Result<Self> {
        Ok(Self::Whole(open(path)?, path.to_owned()))
    }
}

fn open(path: &Path) -> Result<File> {
    let named = |e: io::Error| anyhow::anyhow!("{}: {}", path.display(), plain(&e));
    let file = File::open(path).map_err(named)?;
    let kind = file.metadata().map_err(named)?;
    anyhow::ensure!(!kind.is_dir(), "{}: is a folder", path.display());
    Ok(file)
}

/// What the thread hands over, in input order.
#[derive(Debug)]
pub(super) enum Fed {
    /// Records.
    Records(Arc<Batch>),
    /// A piece of input that is no record.
    Bad(Bad),
    /// Reading failed; nothing more comes.
    Failed(String),
    /// Reading was stopped in the middle of a record, of which this many bytes were read.
    Unfinished(usize),
}

/// How the input is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Stop after so many records.
    pub(super) count: Option<u64>,
    /// Go on after a bad record.
    pub(super) skip_bad: bool,
}

/// The other end of the thread.
#[derive(Debug)]
pub(super) struct Feeder {
    fed: Receiver<Fed>,
    /// Waited for and not taken yet.
    next: Option<Fed>,
    empty: SyncSender<Batch>,
    /// Batches handed out, oldest first, to be filled again once nobody else holds them.
    lent: VecDeque<Arc<Batch>>,
}

impl Feeder {
    /// Starts reading these inputs, one after the other. `waker` is called for everything handed over.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(super) fn start(
        inputs: Vec<Input>,
        reader: Reader,
        limits: Limits,
        stop: Stop,
        waker: Waker,
    ) -> Result<Self> {
        let (to, fed) = sync_channel(AHEAD);
        let (empty, empties) = sync_channel(AHEAD);
        let thread = Thread {
            reader,
            batch: Batch::with_capacity(ARENA),
            left: limits.count.unwrap_or(u64::MAX),
            skip_bad: limits.skip_bad,
            stop,
            to,
            empties,
            waker: Arc::clone(&waker),
        };
        let body = move || {
            thread.run(inputs);
            // The channel is closed by now: the end is news, too.
            waker();
        };
        std::thread::Builder::new().name("input".into()).spawn(body).context("starting the input thread")?;
        Ok(Self { fed, next: None, empty, lent: VecDeque::new() })
    }

    /// What has been read; `None` when nothing is ready. `Err` at the end of all input.
    pub(super) fn take(&mut self) -> Result<Option<Fed>, Ended> {
        self.recycle();
        match self.next.take().map_or_else(|| self.fed.try_recv(), Ok) {
            Ok(fed) => {
                if let Fed::Records(batch) = &fed {
                    self.lent.push_back(Arc::clone(batch));
                }
                Ok(Some(fed))
            }
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(Ended),
        }
    }

    /// Waits until there is something to take, or nothing more will come.
    pub(super) fn wait(&mut self) {
        if self.next.is_none() {
            self.next = self.fed.recv().ok();
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

/// Nobody wants more: the other end is gone, or enough was read.
struct Enough;

struct Thread {
    reader: Reader,
    batch: Batch,
    /// Records still wanted.
    left: u64,
    skip_bad: bool,
    stop: Stop,
    to: SyncSender<Fed>,
    empties: Receiver<Batch>,
    waker: Waker,
}

impl Thread {
    fn run(mut self, inputs: Vec<Input>) {
        for input in inputs {
            let read = match input {
                Input::Stdin => self.stream(&io::stdin(), None),
                Input::File(file, path) => self.stream(&file, Some(&path)),
                Input::Whole(file, path) => self.whole(file, &path),
                Input::Message(message) => self.message(&message),
            };
            if read.is_err() {
                return;
            }
        }
        let _ = self.hand_over();
    }

    /// Reads delimited records to the end.
    fn stream(&mut self, file: &impl AsFd, path: Option<&Path>) -> Result<(), Enough> {
        let name = path.map(|p| p.display().to_string());
        if name.is_some() {
            self.hand_over()?;
        }
        self.reader.start(name.as_deref());
        loop {
            if is_full(&self.batch) || !self.reader.ready() && !is_readable(file.as_fd()) {
                self.hand_over()?;
            }
            if !self.reader.ready() && self.stopped_before_readable(file.as_fd()) {
                return self.interrupted(file);
            }
            match self.reader.fill(&mut Fd(file), &mut self.batch) {
                Ok(Filled::More) => {}
                Ok(Filled::Bad(bad)) => self.bad(bad)?,
                Ok(Filled::End) => return Ok(()),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => {
                    let name = name.as_deref().unwrap_or("standard input");
                    self.hand_over()?;
                    self.send(Fed::Failed(format!("{name}: {}", plain(&e))))?;
                    return Err(Enough);
                }
            }
        }
    }

    fn whole(&mut self, mut file: File, path: &Path) -> Result<(), Enough> {
        self.hand_over()?;
        let name = path.display().to_string();
        self.reader.start(Some(&name));
        let mut value = Vec::new();
        if let Err(e) = file.read_to_end(&mut value) {
            self.send(Fed::Failed(format!("{name}: {}", plain(&e))))?;
            return Err(Enough);
        }
        match self.reader.whole(&value, &mut self.batch) {
            Ok(()) => Ok(()),
            Err(bad) => self.bad(bad),
        }
    }

    fn message(&mut self, message: &str) -> Result<(), Enough> {
        if is_full(&self.batch) {
            self.hand_over()?;
        }
        match self.reader.message(message.as_bytes(), &mut self.batch) {
            Ok(()) => Ok(()),
            Err(bad) => self.bad(bad),
        }
    }

    fn bad(&mut self, bad: Bad) -> Result<(), Enough> {
        self.hand_over()?;
        self.send(Fed::Bad(bad))?;
        if self.skip_bad { Ok(()) } else { Err(Enough) }
    }

    /// Waits for input or for the wish to stop; true for the latter.
    fn stopped_before_readable(&self, file: BorrowedFd<'_>) -> bool {
        let stop = self.stop.fd();
        let mut fds = [PollFd::new(&file, PollFlags::IN), PollFd::new(&stop, PollFlags::IN)];
        while poll(&mut fds, None) == Err(rustix::io::Errno::INTR) {}
        fds[1].revents().contains(PollFlags::IN)
    }

    /// The reading is to stop: completes the record in hand from what the pipe holds, byte by byte so
    /// that nothing of the next one is taken.
    fn interrupted(&mut self, file: &impl AsFd) -> Result<(), Enough> {
        let mut byte = [0];
        while self.reader.wants_more() && is_readable(file.as_fd()) {
            match rustix::io::read(file, &mut byte) {
                Ok(1) => drop(self.reader.feed(byte[0], &mut self.batch)),
                Ok(_) => drop(self.reader.finish(&mut self.batch)),
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => break,
            }
        }
        let unfinished = self.reader.pending();
        self.hand_over()?;
        if unfinished > 0 {
            self.send(Fed::Unfinished(unfinished))?;
        }
        Err(Enough)
    }

    /// Hands the batch over, as far as its records are wanted.
    fn hand_over(&mut self) -> Result<(), Enough> {
        self.batch.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.left -= self.batch.len() as u64;
        if !self.batch.is_empty() {
            let batch = self.next_batch();
            self.send(Fed::Records(Arc::new(batch)))?;
        }
        if self.left == 0 { Err(Enough) } else { Ok(()) }
    }

    /// The batch to hand over. A small one is copied into memory of its size: many of them may be
    /// under way while a broker is away, and each would hold a whole arena.
    fn next_batch(&mut self) -> Batch {
        if self.batch.bytes.len() < ARENA / 8 {
            let copy = self.batch.compact();
            self.batch.clear();
            return copy;
        }
        let mut empty = self.empties.try_recv().unwrap_or_else(|_| self.batch.emptied(ARENA));
        empty.clear();
        std::mem::replace(&mut self.batch, empty)
    }

    fn send(&self, fed: Fed) -> Result<(), Enough> {
        self.to.send(fed).map_err(|_| Enough)?;
        (self.waker)();
        Ok(())
    }
}

/// True when a read would not wait.
fn is_readable(file: BorrowedFd<'_>) -> bool {
    let mut fds = [PollFd::new(&file, PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    matches!(poll(&mut fds, Some(&now)), Ok(1..))
}
