//! `kps publish`: input to records to a publisher to the books.

mod feeder;
mod ledger;
mod pace;
mod plan;
mod source;

use std::cell::Cell;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::{ProgressBar, ProgressDrawTarget};

use self::feeder::{Ended, Feeder};
use self::ledger::Ledger;
use self::pace::Pace;
use self::plan::Plan;
use self::source::{Fed, Input};
use super::output::{Output, Written};
use super::{Context, Exit, library_log, usage};
use crate::backends::{self, PublishPlan, Publisher, Purpose};
use crate::cli::{PublishArgs, ReportFormat};
use crate::console;
use crate::format::Format;
use crate::input::Reader;
use crate::record::Batch;
use crate::settings::KeyId;
use crate::stop::Stop;
use crate::units;

pub(super) use self::plan::reads_standard_input;

/// Batches read ahead of the publisher.
const AHEAD: usize = 4;
/// The share of a resilient run's buffer that a batch may be, of which three are read and not in it.
const BESIDE: usize = 10;
/// The longest single wait: everything that matters wakes it earlier.
const IDLE: Duration = Duration::from_secs(1);
/// Beyond `delivery.timeout.ms`, for the last answers to be told.
const GRACE: Duration = Duration::from_secs(2);

/// Runs the command.
pub(super) fn run(args: &PublishArgs, context: &Context<'_>) -> Result<Exit> {
    let mut plan = Plan::new(args, context)?;
    let mut chosen = context.choose(Purpose::Publish)?;
    plan.check_headers(chosen.library)?;
    let inputs = plan.open_inputs()?;
    let failed_to = chosen.settings.text(KeyId::FailedFile).map(Path::new);
    if let Some(path) = failed_to {
        refuse_own_tail(&inputs, path)?;
    }
    let mut ledger = Ledger::new(plan.topic.as_deref(), failed_to, args.receipts)?;

    let open = PublishPlan {
        topic: plan.topic.clone(),
        partition: args.partition,
        receipts: args.receipts,
        log: library_log(),
    };
    let publisher = context.open_publisher(&mut chosen, &open)?;
    let settings = &chosen.settings;
    let largest = usize::try_from(settings.int(KeyId::MaxRequestSize)).unwrap_or(usize::MAX);
    let reader = Reader::new(plan.spec.clone(), largest);
    arm(&context.stop, &ledger, publisher.waker());
    let start = Instant::now();
    let resilient = settings.bool(KeyId::Resilient);
    let mut ahead = AHEAD;
    if resilient {
        // It holds as much as its buffer is for, and little more.
        (ahead, plan.limits.at_once) = (1, (settings.size(KeyId::BufferMaxMessages) / BESIDE).max(1));
    }
    let feeder = Feeder::start(inputs, reader, plan.limits, ahead, context.stop.clone(), publisher.waker())?;
    let tee = if args.tee { Some(Tee::new(plan.delimiter.clone(), plan.topic.as_deref())?) } else { None };
    let mut run = Run {
        feeder,
        publisher,
        tee,
        pace: Pace::new(plan.rate, start),
        progress: progress(),
        pending: None,
        end: End::No,
        drain: Drain::new(settings.duration(KeyId::DrainTimeout)),
        skip_bad: plan.limits.skip_bad,
        overhang: if settings.is_set(KeyId::SpoolDir) { Overhang::IsSpooled } else { Overhang::Fails },
        patience: if resilient { Patience::OfPublisher } else { Patience::OfRecord },
        stop: &context.stop,
    };
    let ended = run.pump(&mut ledger);
    if let Err(e) = &ended {
        run.abandon(e, &mut ledger);
    }
    let (end, closed) = run.finish(&mut ledger, settings.duration(KeyId::DeliveryTimeout));
    let flushed = ledger.flush();

    let took = start.elapsed();
    let lines = if console::writes_json() { ReportFormat::Json } else { ReportFormat::Text };
    console::note(match args.summary.unwrap_or(lines) {
        ReportFormat::Text => ledger.text(took),
        ReportFormat::Json => ledger.json(took, chosen.library.name()),
    });
    let ended = ended.and(closed).map_err(anyhow::Error::from).and(flushed);
    match context.stop.signal() {
        None => ended.map(|()| exit(&end, &ledger)),
        Some(signal) => {
            // It was asked to end: what went wrong on the way is told, and does not change the code.
            ended.unwrap_or_else(console::error);
            Ok(Exit::Signal(signal))
        }
    }
}

/// A file that is read and appended to at the same time never ends.
fn refuse_own_tail(inputs: &[Input], failed_to: &Path) -> Result<()> {
    let Ok(there) = failed_to.metadata() else { return Ok(()) };
    let same = |file: &Metadata| file.is_file() && (file.dev(), file.ino()) == (there.dev(), there.ino());
    if inputs.iter().filter_map(Input::metadata).any(|input| same(&input)) {
        return Err(usage(format!(
            "--failed-to {}: it is being read, name another file",
            failed_to.display()
        )));
    }
    Ok(())
}

/// What the run comes to, the strongest reason first.
fn exit(end: &End, ledger: &Ledger) -> Exit {
    match end {
        End::Bad => Exit::BadRecord,
        End::Failed => Exit::Failed,
        End::No | End::Input => ledger.exit(),
    }
}

/// From here on a signal stops the reading, and the second one says what is left.
fn arm(stop: &Stop, ledger: &Ledger, waker: backends::Waker) {
    let counts = ledger.counts();
    stop.arm(move || format!("left at once: {} records read are not known to be delivered", counts.open()));
    stop.on_stop(move || waker());
    stop.on_leave(ledger.rescue());
}

/// A line on a terminal that shows that something happens; none elsewhere.
fn progress() -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    let shown = console::verbosity() >= 0;
    bar.set_draw_target(if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() });
    bar
}

/// Why no more input comes.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// It may.
    No,
    /// All was read, or enough.
    Input,
    /// A bad record, with `--on-error stop`.
    Bad,
    /// It could not be read.
    Failed,
}

/// A batch of which records `at..` have not been sent.
struct Pending {
    batch: Arc<Batch>,
    at: usize,
}

/// The loop between the reader and the publisher.
struct Run<'a> {
    feeder: Feeder,
    publisher: Box<dyn Publisher>,
    tee: Option<Tee>,
    pace: Pace,
    progress: ProgressBar,
    pending: Option<Pending>,
    end: End,
    drain: Drain,
    skip_bad: bool,
    patience: Patience,
    overhang: Overhang,
    stop: &'a Stop,
}

/// What becomes of records that were read and not sent when the run gives up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Overhang {
    Fails,
    IsSpooled,
}

/// Whose time decides that no broker is there any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Patience {
    /// Any record's that could not be delivered in it.
    OfRecord,
    /// The publisher's, which says so itself; a record alone may have been for a partition without a leader.
    OfPublisher,
}

impl Run<'_> {
    /// Sends all input. Ends when everything read was sent, not when it was delivered.
    fn pump(&mut self, ledger: &mut Ledger) -> backends::Result<()> {
        loop {
            if self.pending.is_none() && !self.take(ledger) {
                return Ok(());
            }
            let sent = self.send()?;
            self.check_drain()?;
            let wait = if sent { Duration::ZERO } else { self.wait() };
            if !sent {
                self.flush(ledger);
            }
            self.publisher.poll(wait, ledger)?;
            if self.patience == Patience::OfRecord {
                ledger.gone()?;
            }
            if !self.progress.is_hidden() {
                self.progress.set_message(format!("{} records published", ledger.delivered()));
            }
        }
    }

    /// An interrupted run has only so long to deliver what was read.
    fn check_drain(&mut self) -> backends::Result<()> {
        if self.stop.signal().is_none() || Instant::now() < self.drain.until() {
            return Ok(());
        }
        let text =
            format!("interrupted, and not delivered within {}", units::human_duration(self.drain.timeout));
        Err(backends::Error::new(backends::ErrorKind::TimedOut, text))
    }

    /// No record will be delivered any more: stops the reading and books what was read and not sent.
    fn abandon(&mut self, error: &backends::Error, ledger: &mut Ledger) {
        self.stop.end();
        loop {
            if let Some(Pending { batch, at }) = self.pending.take() {
                let spooled = match self.overhang {
                    Overhang::Fails => 0,
                    // Without one, it fails after all.
                    Overhang::IsSpooled => self.publisher.send(&batch, at..batch.len()).unwrap_or(0),
                };
                ledger.abandoned(&batch, at + spooled, error);
            }
            if !self.take_waiting(ledger) {
                return;
            }
        }
    }

    /// As [`Self::take`], waiting for the reader.
    fn take_waiting(&mut self, ledger: &mut Ledger) -> bool {
        self.feeder.wait();
        self.take(ledger)
    }

    /// Takes what was read; false at the end of all input.
    fn take(&mut self, ledger: &mut Ledger) -> bool {
        match self.feeder.take() {
            Ok(Some(Fed::Records(batch))) => {
                ledger.counts().add_read(batch.len() as u64);
                self.pending = Some(Pending { batch, at: 0 });
            }
            Ok(Some(Fed::Bad(bad))) => {
                ledger.bad(&bad);
                if !self.skip_bad {
                    self.end = End::Bad;
                }
            }
            Ok(Some(Fed::Failed(reason))) => {
                console::error(reason);
                self.end = End::Failed;
            }
            Ok(Some(Fed::Unfinished(n))) => {
                console::warn(format!("{n} bytes of an unfinished record were read and not published"));
            }
            Ok(None) => {}
            Err(Ended) => return false,
        }
        true
    }

    /// Offers the pending records that are due; false when none was taken.
    fn send(&mut self) -> backends::Result<bool> {
        let Some(pending) = &mut self.pending else { return Ok(false) };
        let from = pending.at;
        // An interrupted run delivers what was read, at whatever rate.
        let due = match self.stop.signal() {
            None => self.pace.due(&pending.batch, from, Instant::now()),
            Some(_) => pending.batch.len(),
        };
        let taken = if due > from { self.publisher.send(&pending.batch, from..due)? } else { 0 };
        self.pace.sent(&pending.batch, from, from + taken);
        if let Some(tee) = &mut self.tee {
            tee.write(&pending.batch, from..from + taken);
        }
        pending.at += taken;
        if pending.at == pending.batch.len() {
            self.pending = None;
        }
        Ok(taken > 0)
    }

    fn wait(&self) -> Duration {
        let due = self.pace.wait(Instant::now());
        if self.pending.is_some() && !due.is_zero() { due.min(IDLE) } else { IDLE }
    }

    /// Before waiting: receipts and tee go out.
    fn flush(&mut self, ledger: &mut Ledger) {
        if let Some(tee) = &mut self.tee {
            tee.flush();
        }
        if let Err(e) = ledger.flush() {
            console::error(e);
            self.end = End::Failed;
        }
    }

    /// Waits for the outcome of everything that was sent.
    fn finish(self, ledger: &mut Ledger, timeout: Duration) -> (End, backends::Result<()>) {
        let Self { publisher, progress, mut tee, end, drain, stop, patience, .. } = self;
        let start = Instant::now();
        let deadline = || match stop.signal() {
            None if patience == Patience::OfPublisher => Instant::now() + timeout + GRACE,
            None => start + timeout + GRACE,
            Some(_) => drain.until(),
        };
        let closed = publisher.close(&deadline, ledger);
        progress.finish_and_clear();
        if let Some(tee) = &mut tee {
            tee.flush();
        }
        let end = if end == End::No { End::Input } else { end };
        (end, closed)
    }
}

/// How long an interrupted run may go on delivering what was read.
struct Drain {
    timeout: Duration,
    until: Cell<Option<Instant>>,
}

impl Drain {
    fn new(timeout: Duration) -> Self {
        Self { timeout, until: Cell::new(None) }
    }

    /// When it gives up, counted from when this is asked first.
    fn until(&self) -> Instant {
        let until = self.until.get().unwrap_or_else(|| Instant::now() + self.timeout);
        self.until.set(Some(until));
        until
    }
}

/// `-T`: what is sent goes to standard output, too.
struct Tee {
    format: Format,
    topic: String,
    output: Output,
    failed: bool,
}

impl Tee {
    fn new(delimiter: Vec<u8>, topic: Option<&str>) -> Result<Self> {
        let (format, topic) = (Format::value(delimiter), topic.unwrap_or_default().to_owned());
        Ok(Self { format, topic, output: Output::stdout()?, failed: false })
    }

    fn write(&mut self, batch: &Batch, records: std::ops::Range<usize>) {
        for i in records {
            batch.with_record(i, &self.topic, |r| self.format.append(self.output.buffer(), r));
            if self.output.is_full() {
                self.flush();
            }
        }
    }

    /// A closed or broken standard output does not stop the publishing; it is told once.
    fn flush(&mut self) {
        match self.output.flush() {
            Ok(Written::All | Written::Closed) => {}
            Err(e) if !self.failed => {
                self.failed = true;
                console::error(e);
            }
            Err(_) => {}
        }
    }
}
