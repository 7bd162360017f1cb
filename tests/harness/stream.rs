//! Numbers that are published and read while something happens to the broker, and what has become of each of them.
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, SystemTime};

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use super::app::{Kps, Library};
use super::kafka::Kafka;
use super::process::{Output, Running};

/// Whether a run is told to go on through outages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Plain,
    Resilient,
}

impl Mode {
    pub(crate) const ALL: [Self; 2] = [Self::Plain, Self::Resilient];

    /// The resilient one hears of a broker that is silent after [`HEARS_AFTER`], and is read by a program.
    pub(crate) fn args(self) -> &'static [&'static str] {
        match self {
            Self::Plain => &[],
            Self::Resilient => &["--resilient", "-X", "request.timeout.ms=5000", "--log-format", "json"],
        }
    }
}

impl Mode {
    /// A resilient reader tells of each outage when it begins and when it is over, and of nothing else: but librdkafka's
    /// of one broker of several, as a warning.
    #[track_caller]
    pub(crate) fn tells_in_turn(self, library: Library, read: &Output) {
        if self == Self::Resilient {
            let err = read.err();
            let is_of_one = |event: &Value| library == Library::Rdkafka && event.is_null();
            let events = lines(err.as_bytes()).map(|line| line["event"].clone());
            let told: Vec<_> = events.filter(|event| !is_of_one(event)).collect();
            let is_outage = |pair: &[Value]| *pair == ["disconnected", "reconnected"];
            assert!(told.chunks(2).all(is_outage), "{}", read.err());
        }
    }
}

/// A resilient stream's `request.timeout.ms`.
pub(crate) const HEARS_AFTER: Duration = Duration::from_secs(5);

/// Lines on standard error beside those about outages.
const LINES: usize = 4;

/// What is published.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// Records a second.
    pub(crate) rate: usize,
    /// Bytes of a record.
    pub(crate) size: usize,
    /// Records; the end may come earlier.
    pub(crate) most: usize,
}

impl Default for Load {
    fn default() -> Self {
        Self { rate: 5000, size: 0, most: usize::MAX }
    }
}

/// One publishes numbers, one subscribes, until enough has happened.
#[derive(Debug)]
pub(crate) struct Stream {
    library: Library,
    topic: String,
    mode: Mode,
    publishing: Publishing,
    reader: Running,
}

impl Stream {
    /// Starts both.
    pub(crate) fn start(kafka: &Kafka, library: Library, topic: &str, mode: Mode, load: Load) -> Self {
        let reader = Kps::subscribe(kafka, library, topic).args(["-f", r"%p %s\n"]).args(mode.args());
        let publishing = Publishing::start(kafka, library, topic, mode, &[], load);
        Self { library, topic: topic.to_owned(), mode, publishing, reader: reader.spawn() }
    }

    /// Waits until so many bytes more have been read than have been now.
    #[track_caller]
    pub(crate) fn goes_on(&self, bytes: usize) {
        let before = self.reader.stdout_so_far().len();
        self.reader.until_stdout(|out| out.len() >= before + bytes);
    }

    /// Waits until both have told of an outage, if they do, and checks when their first lines came.
    #[track_caller]
    pub(crate) fn tells_of_outage(&self, since: SystemTime, within: Duration) {
        if self.mode == Mode::Plain {
            return;
        }
        for run in [&self.publishing.run, &self.reader] {
            let err = run.until_stderr(|err| lines(err).any(|line| line["event"] == "disconnected"));
            let told = lines(&err).next().unwrap();
            let at = chrono::DateTime::parse_from_rfc3339(told["time"].as_str().unwrap()).unwrap();
            let after = SystemTime::from(at).duration_since(since).unwrap_or_default();
            assert!(after <= within, "told after {after:?}: {told}");
        }
    }

    /// Waits for the end: all is there, in order, and as often as it was written, which an idempotent library does once.
    /// Each of so many outages may have had two lines.
    #[track_caller]
    pub(crate) fn ends_well(self, kafka: &Kafka, outages: usize) {
        let Self { library, topic, mode, publishing, reader } = self;
        let published = publishing.ends_whole();
        let books = Books::of(&published);
        let count = books.read;
        let written: i64 = kafka.end_offsets(&topic).iter().sum();
        let written = usize::try_from(written).unwrap();
        reader.until_stdout(|out| memchr::memchr_iter(b'\n', out).count() >= written);
        reader.signal(Signal::TERM);
        let read = reader.wait().code(143);
        let place = |line: &str| line.split_once(' ').map(|(p, n)| (p.parse().unwrap(), number(n)));
        let seen = Seen(read.text().lines().map(|line| place(line).unwrap()).collect());
        assert_eq!(seen.0.len(), written, "read twice or not at all\n{}\n{}", read.err(), published.err());
        assert_eq!(seen.numbers(), (0..count).collect(), "lost\n{}", published.err());
        seen.in_order(library, mode);
        seen.doubled(library, &books);
        mode.tells_in_turn(library, &read);
        for run in [&published, &read] {
            assert!(run.err().lines().count() <= LINES + 2 * outages, "{}", run.err());
        }
    }
}

/// A run that publishes numbers.
#[derive(Debug)]
pub(crate) struct Publishing {
    pub(crate) run: Running,
    library: Library,
    mode: Mode,
    source: Arc<Source>,
    failed: FailedFile,
}

impl Publishing {
    /// Starts it with these arguments beside its mode's.
    pub(crate) fn start(
        kafka: &Kafka,
        library: Library,
        topic: &str,
        mode: Mode,
        args: &[&str],
        load: Load,
    ) -> Self {
        let failed = FailedFile::new();
        let run = Kps::publish(kafka, library, topic).args(["--summary", "json"]);
        let mut run = run.args(mode.args()).args(args).args(["--failed-to"]).args([failed.path()]).spawn();
        let source = Arc::new(Source { load, given: AtomicUsize::new(0), is_over: AtomicBool::new(false) });
        let theirs = Arc::clone(&source);
        run.feed_with(move || theirs.more());
        Self { run, library, mode, source, failed }
    }

    /// Waits for the end of a run that has delivered all it was given.
    #[track_caller]
    pub(crate) fn ends_whole(self) -> Output {
        let Self { run, failed, source, .. } = self;
        source.end();
        let published = run.wait().ok();
        let count = source.given.load(Relaxed);
        let books = Books::of(&published);
        let expected = Books { read: count, published: count, again: books.again, ..Books::default() };
        assert_eq!(books, expected, "{published}");
        assert_eq!(std::fs::read_to_string(failed.path()).unwrap(), "", "{published}");
        published
    }

    /// Waits for the end of a run that could not deliver all it had read.
    #[track_caller]
    pub(crate) fn ends_short(self, topic: &str, code: i32) -> Short {
        let Self { run, library, mode, failed, .. } = self;
        let output = run.wait_with_open_stdin().code(code);
        Short { library, mode, topic: topic.to_owned(), output, failed }
    }
}

/// A run that has left records undelivered.
#[derive(Debug)]
pub(crate) struct Short {
    library: Library,
    mode: Mode,
    topic: String,
    pub(crate) output: Output,
    failed: FailedFile,
}

impl Short {
    /// Checks that each record that was read is on the topic or in the failed file, as the summary has it.
    #[track_caller]
    pub(crate) fn is_accounted_for(&self, kafka: &Kafka) {
        let (books, said) = (Books::of(&self.output), self.output.err());
        assert_eq!(books.read, books.published + books.failed + books.unknown, "{said}");
        let place = |record: super::kafka::Record| {
            let value = String::from_utf8(record.value.unwrap()).unwrap();
            (record.partition.unwrap() as usize, number(&value))
        };
        let seen = Seen(kafka.consume(&self.topic).into_iter().map(place).collect());
        seen.in_order(self.library, self.mode);
        let twice = seen.doubled(self.library, &books);
        let (failed, unknown) = self.failed.fates();
        assert_eq!((failed.len(), unknown.len()), (books.failed, books.unknown), "{said}");
        let there = seen.numbers();
        assert!(there.is_disjoint(&failed), "failed, and on the topic\n{said}");
        let all: BTreeSet<usize> = there.iter().chain(&failed).chain(&unknown).copied().collect();
        assert_eq!(all, (0..books.read).collect(), "lost\n{said}");
        let doubtful = there.intersection(&unknown).count();
        assert_eq!(there.len(), books.published + doubtful, "{twice} twice\n{said}");
    }
}

/// Where the numbers come from.
#[derive(Debug)]
struct Source {
    load: Load,
    given: AtomicUsize,
    is_over: AtomicBool,
}

impl Source {
    /// Some numbers more, if more are wanted, at the rate of the load.
    fn more(&self) -> Option<Vec<u8>> {
        const AT_ONCE: usize = 100;
        let first = self.given.load(Relaxed);
        if self.is_over.load(Relaxed) || first >= self.load.most {
            return None;
        }
        thread::sleep(Duration::from_secs_f64(AT_ONCE as f64 / self.load.rate as f64));
        let end = self.load.most.min(first + AT_ONCE);
        self.given.store(end, Relaxed);
        let line = |n: usize| format!("{:<width$}\n", n, width = self.load.size.saturating_sub(1));
        Some((first..end).map(line).collect::<String>().into_bytes())
    }

    /// No more are wanted, unless it is known how many.
    fn end(&self) {
        self.is_over.store(self.load.most == usize::MAX, Relaxed);
    }
}

fn number(value: &str) -> usize {
    value.trim_end().parse().unwrap()
}

/// The summary of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Books {
    pub(crate) read: usize,
    pub(crate) published: usize,
    pub(crate) failed: usize,
    pub(crate) unknown: usize,
    /// Sent again.
    pub(crate) again: usize,
}

impl Books {
    /// That of a run with `--summary json`.
    #[track_caller]
    pub(crate) fn of(output: &Output) -> Self {
        let said = output.err();
        let summary = said.lines().rev().find_map(|line| serde_json::from_str::<Value>(line).ok());
        let summary = summary.filter(|line| line["published"].is_u64());
        let summary = summary.unwrap_or_else(|| panic!("no summary\n{output}"));
        let field = |name: &str| usize::try_from(summary[name].as_u64().unwrap()).unwrap();
        let [read, published] = [field("read"), field("published")];
        let [failed, unknown, again] = [field("failed"), field("unknown"), field("sent_again")];
        Self { read, published, failed, unknown, again }
    }
}

/// The lines of `--log-format json`.
fn lines(err: &[u8]) -> impl Iterator<Item = Value> {
    let lines = err.split(|byte| *byte == b'\n');
    lines.filter_map(|line| serde_json::from_slice(line).ok())
}

/// Partitions and numbers, in the order of each partition.
struct Seen(Vec<(usize, usize)>);

impl Seen {
    fn numbers(&self) -> BTreeSet<usize> {
        self.0.iter().map(|(_, number)| *number).collect()
    }

    /// The first times of the numbers are in order. (rskafka, which has no idempotence, keeps it only when told to go on
    /// through outages.)
    #[track_caller]
    fn in_order(&self, library: Library, mode: Mode) {
        if (library, mode) == (Library::Rskafka, Mode::Plain) {
            return;
        }
        let (mut seen, mut last) = (BTreeSet::new(), BTreeMap::new());
        for &(partition, number) in &self.0 {
            if seen.insert(number) {
                let before = last.insert(partition, number);
                assert!(before < Some(number), "{number} after {before:?} in partition {partition}");
            }
        }
    }

    /// How many are there again, which may be as many as were sent again, by a library that is not idempotent.
    #[track_caller]
    fn doubled(&self, library: Library, books: &Books) -> usize {
        let twice = self.0.len() - self.numbers().len();
        let most = if library == Library::Rskafka { books.again } else { 0 };
        assert!(twice <= most, "{twice} twice: {books:?}");
        twice
    }
}

/// What `--failed-to` names.
#[derive(Debug)]
struct FailedFile(TempDir);

impl FailedFile {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("failed.json")
    }

    /// The numbers that failed, and those that nobody knows of.
    #[track_caller]
    fn fates(&self) -> (BTreeSet<usize>, BTreeSet<usize>) {
        let text = std::fs::read_to_string(self.path()).unwrap();
        let (mut failed, mut unknown) = (BTreeSet::new(), BTreeSet::new());
        for line in text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
            assert!(line["error"].is_string() && line["attempts"].is_u64(), "{line}");
            let fate = match line["fate"].as_str() {
                Some("failed") => &mut failed,
                Some("unknown") => &mut unknown,
                _ => panic!("{line}"),
            };
            assert!(fate.insert(number(line["value"].as_str().unwrap())), "twice: {line}");
        }
        (failed, unknown)
    }
}
