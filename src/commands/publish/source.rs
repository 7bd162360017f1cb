//! The input, one input after the other, as batches of records and what else there is to tell of it.

use std::collections::VecDeque;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::vec;

use anyhow::Result;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::commands::output::plain;
use crate::input::{Bad, Fd, Filled, Reader, Sips, is_full};
use crate::record::Batch;
use crate::stop::Stop;

/// Bytes of a new arena: what the reader fills, and room for one more read.
pub(super) const ARENA: usize = (512 << 10) + (128 << 10);

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

    /// True when reading it never waits for somebody else.
    pub(super) fn is_ready(&self) -> bool {
        matches!(self, Self::Message(_)) || self.metadata().is_some_and(|file| file.is_file())
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

/// What was read, in input order.
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
    /// Hand over no more at once than about so many: what was read and not sent yet is held beside what was sent.
    pub(super) at_once: usize,
}

impl Limits {
    /// No limit to what is handed over at once.
    pub(super) const ANY: usize = usize::MAX;
}

/// When a batch is handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Batching {
    /// When it is full, or when no more input is there at present: for input that is slower than the sending, or
    /// read by a thread of its own.
    Full,
    /// After every read: what was read is sent while it still is in the processor's caches.
    EachRead,
}

/// All input. Nothing is read before it is asked for.
#[derive(Debug)]
pub(super) struct Source {
    inputs: vec::IntoIter<Input>,
    /// The one being read.
    stream: Option<Stream>,
    batching: Batching,
    reader: Reader,
    batch: Batch,
    /// Records still wanted.
    left: u64,
    at_once: usize,
    /// Reads of about so many records, unless all may be taken that is there.
    sip: Option<Sip>,
    skip_bad: bool,
    stop: Stop,
    /// Batches to be filled again.
    empties: Receiver<Batch>,
    /// Read and not taken.
    out: VecDeque<Fed>,
    /// Nothing more is to be read.
    ended: bool,
}

/// Reads that bring about so many records, by the size that the last ones had.
#[derive(Debug)]
struct Sip {
    records: usize,
    bytes: usize,
    buffer: Vec<u8>,
}

impl Sip {
    /// Bytes of a read, at least and at most: what a page and what a pipe holds.
    const BYTES: (usize, usize) = (4 << 10, 64 << 10);

    fn new(records: usize) -> Self {
        Self { records, bytes: Self::BYTES.0, buffer: vec![0; Self::BYTES.1] }
    }

    fn fill(&mut self, reader: &mut Reader, fd: BorrowedFd<'_>, batch: &mut Batch) -> io::Result<Filled> {
        let before = (batch.bytes.len(), batch.len());
        let buffer = self.buffer.get_mut(..self.bytes).unwrap_or_default();
        let filled = reader.fill(&mut Sips(fd, buffer), batch);
        let (bytes, records) =
            (batch.bytes.len().saturating_sub(before.0), batch.len().saturating_sub(before.1));
        let wanted =
            bytes.checked_div(records).map_or(self.bytes * 2, |mean| mean.saturating_mul(self.records));
        self.bytes = wanted.clamp(Self::BYTES.0, Self::BYTES.1);
        filled
    }
}

/// An input of delimited records, and its name if it is a file's.
#[derive(Debug)]
struct Stream {
    file: Handle,
    name: Option<String>,
}

#[derive(Debug)]
enum Handle {
    Stdin(io::Stdin),
    File(File),
}

impl AsFd for Handle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Stdin(stdin) => stdin.as_fd(),
            Self::File(file) => file.as_fd(),
        }
    }
}

impl Source {
    pub(super) fn new(
        inputs: Vec<Input>,
        reader: Reader,
        limits: Limits,
        batching: Batching,
        stop: Stop,
        empties: Receiver<Batch>,
    ) -> Self {
        Self {
            inputs: inputs.into_iter(),
            stream: None,
            batching,
            reader,
            batch: Batch::with_capacity(ARENA),
            left: limits.count.unwrap_or(u64::MAX),
            at_once: limits.at_once,
            sip: (limits.at_once != Limits::ANY).then(|| Sip::new(limits.at_once)),
            skip_bad: limits.skip_bad,
            stop,
            empties,
            out: VecDeque::new(),
            ended: false,
        }
    }

    /// What comes next, waited for; `None` at the end of all input.
    pub(super) fn next(&mut self) -> Option<Fed> {
        while self.out.is_empty() && !self.ended {
            match self.stream.take() {
                Some(stream) => self.read(stream),
                None => self.begin(),
            }
        }
        self.out.pop_front()
    }

    /// Begins the next input.
    fn begin(&mut self) {
        match self.inputs.next() {
            None => {
                self.hand_over();
                self.ended = true;
            }
            Some(Input::Message(message)) => self.message(&message),
            Some(Input::Stdin) => self.start(Handle::Stdin(io::stdin()), None),
            Some(Input::File(file, path)) => self.start(Handle::File(file), Some(path.display().to_string())),
            Some(Input::Whole(file, path)) => self.whole(file, &path),
        }
    }

    /// A batch has the records of one file only.
    fn start(&mut self, file: Handle, name: Option<String>) {
        if name.is_some() {
            self.hand_over();
        }
        self.reader.start(name.as_deref());
        self.stream = Some(Stream { file, name });
    }

    /// Reads once. What is there goes out before input is waited for.
    fn read(&mut self, stream: Stream) {
        let fd = stream.file.as_fd();
        let is_due = self.batching == Batching::EachRead && !self.reader.ready();
        if is_due || self.is_full() || !self.reader.ready() && !is_readable(fd) {
            self.hand_over();
            if !self.out.is_empty() || self.ended {
                self.stream = Some(stream);
                return;
            }
        }
        if !self.reader.ready() && self.stopped_before_readable(fd) {
            return self.interrupted(fd);
        }
        let filled = match &mut self.sip {
            None => self.reader.fill(&mut Fd(fd), &mut self.batch),
            Some(sip) => sip.fill(&mut self.reader, fd, &mut self.batch),
        };
        match filled {
            Ok(Filled::More) => self.stream = Some(stream),
            Ok(Filled::Bad(bad)) => {
                self.bad(bad);
                self.stream = Some(stream);
            }
            Ok(Filled::End) => {}
            Err(e) if e.kind() == io::ErrorKind::Interrupted => self.stream = Some(stream),
            Err(e) => self.failed(stream.name.as_deref().unwrap_or("standard input"), &e),
        }
    }

    fn whole(&mut self, mut file: File, path: &Path) {
        self.hand_over();
        let name = path.display().to_string();
        self.reader.start(Some(&name));
        let mut value = Vec::new();
        match file.read_to_end(&mut value).map(|_| self.reader.whole(&value, &mut self.batch)) {
            Ok(Ok(())) => {}
            Ok(Err(bad)) => self.bad(bad),
            Err(e) => self.failed(&name, &e),
        }
    }

    fn is_full(&self) -> bool {
        is_full(&self.batch) || self.batch.len() >= self.at_once
    }

    fn message(&mut self, message: &str) {
        if self.is_full() {
            self.hand_over();
        }
        if let Err(bad) = self.reader.message(message.as_bytes(), &mut self.batch) {
            self.bad(bad);
        }
    }

    fn bad(&mut self, bad: Bad) {
        self.hand_over();
        self.tell(Fed::Bad(bad));
        self.ended |= !self.skip_bad;
    }

    fn failed(&mut self, name: &str, why: &io::Error) {
        self.hand_over();
        self.tell(Fed::Failed(format!("{name}: {}", plain(why))));
        self.ended = true;
    }

    /// Nothing is told of what comes after the records that were wanted.
    fn tell(&mut self, fed: Fed) {
        if !self.ended {
            self.out.push_back(fed);
        }
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
    fn interrupted(&mut self, file: BorrowedFd<'_>) {
        let mut byte = [0];
        while self.reader.wants_more() && is_readable(file) {
            match rustix::io::read(file, &mut byte) {
                Ok(1) => drop(self.reader.feed(byte[0], &mut self.batch)),
                Ok(_) => drop(self.reader.finish(&mut self.batch)),
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => break,
            }
        }
        let unfinished = self.reader.pending();
        self.hand_over();
        if unfinished > 0 {
            self.tell(Fed::Unfinished(unfinished));
        }
        self.ended = true;
    }

    /// Hands the batch over, as far as its records are wanted.
    fn hand_over(&mut self) {
        self.batch.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.left -= self.batch.len() as u64;
        if !self.batch.is_empty() {
            let batch = self.next_batch();
            self.out.push_back(Fed::Records(Arc::new(batch)));
        }
        self.ended |= self.left == 0;
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
}

/// True when a read would not wait.
fn is_readable(file: BorrowedFd<'_>) -> bool {
    let mut fds = [PollFd::new(&file, PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    matches!(poll(&mut fds, Some(&now)), Ok(1..))
}
