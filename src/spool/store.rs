//! The folder: its segments, what is written to them and what is read.

use std::collections::VecDeque;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};

use super::frame::{self, Found};
use super::ledger::{Ledger, Marks, State};
use super::ranges::Ranges;
use crate::private;
use crate::record::Batch;

/// The longest time that what was written may be with the operating system only.
const SYNC: Duration = Duration::from_secs(1);
/// Bytes after which a segment is followed by another, unless the spool is small.
const SEGMENT: u64 = 16 << 20;
/// Segments of a small spool.
const SEGMENTS: u64 = 4;
/// Bytes written, and read, at a time.
const CHUNK: usize = 1 << 20;

/// What went wrong with a file.
#[derive(Debug, thiserror::Error)]
#[error("spool {}: {}", path.display(), plain(source))]
pub struct Error {
    path: PathBuf,
    source: io::Error,
}

/// The system's words, without its number.
fn plain(error: &io::Error) -> String {
    error.to_string().split(" (os error").next().unwrap_or_default().to_owned()
}

type Result<T> = std::result::Result<T, Error>;

fn at(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error { path, source }
}

/// Records read back, each with its number as its line.
#[derive(Debug, Default)]
pub struct Fed {
    /// The records.
    pub batch: Batch,
    /// Their numbers, and their lines of the input.
    pub lines: Vec<(u64, u64)>,
}

#[derive(Debug)]
struct Segment {
    /// Its first record's number.
    first: u64,
    /// Bytes of whole frames.
    bytes: u64,
    path: PathBuf,
}

/// Where reading goes on.
#[derive(Debug)]
struct Cursor {
    /// The first number of the segment.
    segment: u64,
    /// Bytes of it that were read.
    at: u64,
    /// The number that comes next.
    number: u64,
    file: Option<File>,
}

/// An open spool.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    /// Held as long as it is open.
    _lock: File,
    ledger: Ledger,
    segments: VecDeque<Segment>,
    /// The last segment's.
    writer: Option<File>,
    cursor: Cursor,
    /// The number of the next record.
    next: u64,
    /// Delivered by an earlier run, though records before them were not.
    done: Ranges,
    max: u64,
    /// The topic of records that name none.
    topic: String,
    scratch: Vec<u8>,
    window: Vec<u8>,
    damaged: u64,
    /// What is written and not forced to the disk yet, since then.
    dirty: Option<Instant>,
}

impl Store {
    /// Opens or creates a spool of at most `max` bytes; `topic` is that of records that name none.
    ///
    /// # Errors
    /// When another process has it open, and when a file cannot be read or written.
    pub fn open(dir: &Path, max: u64, topic: &str) -> Result<Self> {
        create(dir)?;
        let lock = lock(&dir.join("lock"))?;
        let path = dir.join("ledger");
        let (ledger, state) = Ledger::open(&path).map_err(at(&path))?;
        let mut segments = segments(dir)?;
        let done = match state {
            State::Sound => read_done(dir)?,
            State::New | State::Damaged => Ranges::default(),
        };
        let Marks { head, end } = ledger.marks;
        let first = segments.front().map_or(end, |segment| segment.first);
        // Without a ledger all that is there is to be delivered.
        let head = if state == State::Sound { head } else { first };
        let cut = segments.back_mut().map_or(Ok(end), |last| cut_tail(last, head))?;
        let mut it = Self {
            dir: dir.to_owned(),
            _lock: lock,
            ledger,
            segments,
            writer: None,
            cursor: Cursor::at_start_of(0, head),
            next: cut.max(end),
            done,
            max,
            topic: topic.to_owned(),
            scratch: Vec::new(),
            window: Vec::new(),
            damaged: 0,
            dirty: None,
        };
        it.mark(head)?;
        it.remove_done()?;
        it.cursor.segment = it.segments.front().map_or(it.next, |segment| segment.first);
        Ok(it)
    }

    fn mark(&mut self, head: u64) -> Result<()> {
        let marks = Marks { head, end: self.next };
        self.ledger.write(marks).map_err(at(&self.dir.join("ledger")))?;
        self.dirty.get_or_insert_with(Instant::now);
        Ok(())
    }

    /// Records that are not acknowledged.
    pub fn len(&self) -> u64 {
        let Marks { head, .. } = self.ledger.marks;
        self.done.missing(head..self.next).iter().map(|range| range.end - range.start).sum()
    }

    /// True when all are.
    pub fn is_empty(&self) -> bool {
        self.ledger.marks.head == self.next
    }

    /// Records found to be missing or damaged.
    pub fn damaged(&self) -> u64 {
        self.damaged
    }

    /// The number behind the last one that was read back.
    pub fn fed(&self) -> u64 {
        self.cursor.number
    }

    /// The number behind the last one there is.
    pub fn end(&self) -> u64 {
        self.next
    }

    fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Appends records, as many as there is room for; they are with the operating system when this returns.
    ///
    /// # Errors
    /// When they cannot be written: then none of them is in the spool.
    pub fn append(&mut self, batch: &Batch, records: Range<usize>) -> Result<usize> {
        let mut taken = 0;
        let segment = SEGMENT.min(self.max / SEGMENTS);
        if self.writer.is_none() || self.segments.back().is_none_or(|last| last.bytes >= segment) {
            self.begin_segment()?;
            self.remove_done()?;
        }
        let room = self.max.saturating_sub(self.bytes());
        self.scratch.clear();
        for span in batch.spans().get(records).unwrap_or_default() {
            let before = self.scratch.len();
            frame::encode(&mut self.scratch, self.next + taken, batch, span, &self.topic);
            // One that is larger than all the room there ever is could never go otherwise.
            let alone = taken == 0 && self.is_empty();
            if self.scratch.len() as u64 > room && !alone {
                self.scratch.truncate(before);
                break;
            }
            taken += 1;
            if self.scratch.len() as u64 >= segment.min(CHUNK as u64) {
                break;
            }
        }
        if taken > 0 {
            self.write()?;
            self.next += taken;
            self.mark(self.ledger.marks.head)?;
        }
        Ok(taken as usize)
    }

    /// Writes what is in the scratch, behind all else.
    fn write(&mut self) -> Result<()> {
        let (Some(writer), Some(last)) = (&mut self.writer, self.segments.back_mut()) else { return Ok(()) };
        if let Err(error) = writer.write_all(&self.scratch) {
            // What is half written is not there.
            let _ = writer.set_len(last.bytes);
            return Err(at(&last.path)(error));
        }
        last.bytes += self.scratch.len() as u64;
        Ok(())
    }

    fn begin_segment(&mut self) -> Result<()> {
        self.sync()?;
        // An empty one of this name has no records.
        self.segments.retain(|segment| segment.first != self.next);
        let path = self.dir.join(format!("{:020}.spool", self.next));
        let file = private::options(&path).create(true).append(true).open(&path).map_err(at(&path))?;
        file.set_len(0).map_err(at(&path))?;
        self.writer = Some(file);
        self.segments.push_back(Segment { first: self.next, bytes: 0, path });
        Ok(())
    }

    /// The next records that were not delivered, some at a time, all of one file; none when all have been read.
    ///
    /// # Errors
    /// When a file cannot be read. Damage is none: it is counted.
    pub fn read(&mut self) -> Result<Option<Fed>> {
        let mut fed = Fed::default();
        while fed.lines.is_empty() {
            let Some(at) = self.segments.iter().position(|segment| segment.first == self.cursor.segment)
            else {
                return Ok(None);
            };
            let Some(segment) = self.segments.get(at) else { return Ok(None) };
            if self.cursor.at < segment.bytes {
                self.read_from(at, &mut fed)?;
            } else {
                let next = self.segments.get(at + 1).map(|next| next.first);
                self.passed(next.unwrap_or(self.next));
                match next {
                    None => return Ok(None),
                    Some(first) => self.cursor = Cursor::at_start_of(first, self.cursor.number),
                }
            }
        }
        Ok(Some(fed))
    }

    /// Reads a chunk of a segment.
    fn read_from(&mut self, at_segment: usize, fed: &mut Fed) -> Result<()> {
        let Some(Segment { bytes, path, .. }) = self.segments.get(at_segment) else { return Ok(()) };
        let (bytes, path) = (*bytes, path.clone());
        if self.cursor.file.is_none() {
            self.cursor.file = Some(private::options(&path).read(true).open(&path).map_err(at(&path))?);
        }
        let mut wanted = CHUNK;
        loop {
            let rest = bytes.saturating_sub(self.cursor.at);
            self.window.resize(wanted.min(usize::try_from(rest).unwrap_or(usize::MAX)), 0);
            let Some(file) = &self.cursor.file else { return Ok(()) };
            file.read_exact_at(&mut self.window, self.cursor.at).map_err(at(&path))?;
            match self.take_frames(bytes, fed) {
                Some(more) if fed.lines.is_empty() => wanted = more,
                _ => return Ok(()),
            }
        }
    }

    /// Takes the frames of the window; how many bytes the next one needs, if it is not whole.
    fn take_frames(&mut self, bytes: u64, fed: &mut Fed) -> Option<usize> {
        let window = std::mem::take(&mut self.window);
        let (mut from, mut more) = (0, None);
        while let Some(rest) = window.get(from..).filter(|rest| !rest.is_empty()) {
            match frame::find(rest, bytes.saturating_sub(self.cursor.at)) {
                Found::More(n) => {
                    more = Some(n);
                    break;
                }
                Found::Damage(n) => self.step(&mut from, n),
                Found::Frame(n, body) => {
                    let Some(origin) = body.origin() else {
                        self.step(&mut from, n);
                        continue;
                    };
                    if !fed.lines.is_empty() && fed.batch.source() != origin.source {
                        break;
                    }
                    self.step(&mut from, n);
                    let number = origin.number;
                    if number < self.cursor.number {
                        // Acknowledged, or there before.
                        continue;
                    }
                    self.passed(number);
                    if !self.done.contains(number) {
                        if body.decode(&mut fed.batch, &self.topic).is_none() {
                            continue;
                        }
                        fed.batch.set_source(origin.source);
                        fed.lines.push((number, origin.line));
                    }
                    self.cursor.number = number + 1;
                }
            }
        }
        self.window = window;
        more
    }

    fn step(&mut self, from: &mut usize, n: usize) {
        *from += n;
        self.cursor.at += n as u64;
    }

    /// Reading goes on with this number: those before it that were not read are gone.
    fn passed(&mut self, number: u64) {
        let gone = self.done.missing(self.cursor.number..number);
        self.damaged += gone.iter().map(|range| range.end - range.start).sum::<u64>();
        self.cursor.number = self.cursor.number.max(number);
    }

    /// All records before this number are done with.
    ///
    /// # Errors
    /// When that cannot be written.
    pub fn acknowledge(&mut self, head: u64) -> Result<()> {
        if head <= self.ledger.marks.head {
            return Ok(());
        }
        self.mark(head)?;
        self.remove_done()
    }

    /// Removes segments all of whose records are done with.
    fn remove_done(&mut self) -> Result<()> {
        let head = self.ledger.marks.head;
        while self.segments.get(1).is_some_and(|second| second.first <= head) {
            // Else, after a power cut, the ledger might tell of records that are gone.
            self.sync_ledger()?;
            let Some(first) = self.segments.pop_front() else { return Ok(()) };
            fs::remove_file(&first.path).map_err(at(&first.path))?;
            if self.cursor.segment == first.first {
                let segment = self.segments.front().map_or(self.next, |segment| segment.first);
                self.cursor = Cursor::at_start_of(segment, self.cursor.number);
            }
        }
        Ok(())
    }

    /// Forces to the disk what has waited for it long enough.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn sync_when_due(&mut self) -> Result<()> {
        if self.dirty.is_some_and(|since| since.elapsed() >= SYNC) { self.sync() } else { Ok(()) }
    }

    fn sync(&mut self) -> Result<()> {
        if self.dirty.take().is_none() {
            return Ok(());
        }
        if let (Some(writer), Some(last)) = (&self.writer, self.segments.back()) {
            writer.sync_data().map_err(at(&last.path))?;
        }
        self.sync_ledger()
    }

    fn sync_ledger(&self) -> Result<()> {
        self.ledger.sync().map_err(at(&self.dir.join("ledger")))
    }

    /// Ends a run: of the records that were read, `kept` are to be delivered by the next one.
    ///
    /// # Errors
    /// When that cannot be written.
    pub fn finish(mut self, kept: &Ranges) -> Result<()> {
        let fed = self.cursor.number;
        self.acknowledge(kept.first().unwrap_or(fed).min(fed))?;
        let Marks { head, .. } = self.ledger.marks;
        let path = self.dir.join("done");
        if self.is_empty() {
            self.sync_ledger()?;
            for Segment { path, .. } in &self.segments {
                fs::remove_file(path).map_err(at(path))?;
            }
            return remove(&path);
        }
        // What an earlier run delivered is not in `kept` either.
        write_done(&path, &kept.missing(head..fed)).map_err(at(&path))?;
        self.dirty = Some(Instant::now());
        self.sync()
    }
}

impl Cursor {
    fn at_start_of(segment: u64, number: u64) -> Self {
        Self { segment, at: 0, number, file: None }
    }
}

fn create(dir: &Path) -> Result<()> {
    if fs::symlink_metadata(dir).is_ok_and(|found| found.is_symlink()) {
        return Err(at(dir)(io::Error::other("is a symbolic link")));
    }
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(at(dir))
}

fn lock(path: &Path) -> Result<File> {
    let file = private::options(path).read(true).write(true).create(true).open(path).map_err(at(path))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => {
            Err(at(path)(io::Error::other("another process has this spool open")))
        }
        Err(error) => Err(at(path)(error.into())),
    }
}

/// The segments there are, the first one first.
fn segments(dir: &Path) -> Result<VecDeque<Segment>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(at(dir))? {
        let entry = entry.map_err(at(dir))?;
        let name = entry.file_name();
        let first = name.to_str().and_then(|name| name.strip_suffix(".spool")).and_then(|n| n.parse().ok());
        if let Some(first) = first {
            let bytes = entry.metadata().map_err(at(&entry.path()))?.len();
            found.push(Segment { first, bytes, path: entry.path() });
        }
    }
    found.sort_unstable_by_key(|segment| segment.first);
    Ok(found.into())
}

/// Cuts what is no whole frame off the end of the last segment; the number behind its last record.
fn cut_tail(last: &mut Segment, head: u64) -> Result<u64> {
    let file =
        private::options(&last.path).read(true).write(true).open(&last.path).map_err(at(&last.path))?;
    let (mut next, mut end, mut from) = (last.first.max(head), 0, 0);
    let mut window = Vec::new();
    let mut wanted = CHUNK;
    while from < last.bytes {
        let rest = last.bytes - from;
        window.resize(wanted.min(usize::try_from(rest).unwrap_or(usize::MAX)), 0);
        file.read_exact_at(&mut window, from).map_err(at(&last.path))?;
        wanted = CHUNK;
        let mut taken = 0;
        while let Some(bytes) = window.get(taken..).filter(|bytes| !bytes.is_empty()) {
            match frame::find(bytes, rest - taken as u64) {
                Found::Frame(n, body) => {
                    taken += n;
                    (next, end) = (next.max(body.number() + 1), from + taken as u64);
                }
                Found::Damage(n) => taken += n,
                Found::More(n) => {
                    wanted = n.max(CHUNK);
                    break;
                }
            }
        }
        from += taken as u64;
    }
    file.set_len(end).map_err(at(&last.path))?;
    last.bytes = end;
    Ok(next)
}

/// Reads `done`; nothing if it is damaged: then its records come twice.
fn read_done(dir: &Path) -> Result<Ranges> {
    let path = dir.join("done");
    let bytes = match private::options(&path).read(true).open(&path) {
        Ok(mut file) => {
            let mut bytes = Vec::new();
            io::Read::read_to_end(&mut file, &mut bytes).map_err(at(&path))?;
            bytes
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Ranges::default()),
        Err(error) => return Err(at(&path)(error)),
    };
    Ok(parse_done(&bytes).unwrap_or_default())
}

fn parse_done(bytes: &[u8]) -> Option<Ranges> {
    let (sum, numbers) = bytes.split_at_checked(4)?;
    let sound = crc32c::crc32c(numbers).to_le_bytes() == sum && numbers.len() % 16 == 0;
    let number = |bytes: &[u8]| bytes.try_into().ok().map(u64::from_le_bytes);
    let pairs = numbers.chunks_exact(16).filter_map(|pair| {
        let (start, end) = pair.split_at_checked(8)?;
        Some(number(start)?..number(end)?)
    });
    if sound { Ranges::of(pairs.collect()) } else { None }
}

/// Puts it in the place of the old one at once.
fn write_done(path: &Path, ranges: &[Range<u64>]) -> io::Result<()> {
    let numbers = ranges.iter().flat_map(|range| [range.start, range.end]);
    let numbers: Vec<u8> = numbers.flat_map(u64::to_le_bytes).collect();
    let new = path.with_extension("new");
    remove_quietly(&new)?;
    let mut file = private::options(&new).write(true).create_new(true).open(&new)?;
    file.write_all(&crc32c::crc32c(&numbers).to_le_bytes())?;
    file.write_all(&numbers)?;
    file.sync_data()?;
    fs::rename(&new, path)
}

fn remove(path: &Path) -> Result<()> {
    remove_quietly(path).map_err(at(path))
}

fn remove_quietly(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
