//! A child process whose output is collected as it comes and which cannot hang a test.
use std::fmt;
use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use tempfile::TempDir;

use super::PATIENCE;

/// From one look at a child's memory to the next.
const LOOK: Duration = Duration::from_millis(50);

/// A running child. Dropped before [`Running::wait`], it is killed.
#[derive(Debug)]
pub(crate) struct Running {
    what: String,
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Arc<Capture>,
    stderr: Arc<Capture>,
    readers: Vec<JoinHandle<()>>,
    limit: Duration,
    /// Removed when it has ended.
    scratch: Option<TempDir>,
}

impl Running {
    /// Starts `command` with its standard input piped. `what` describes it in failures.
    pub(crate) fn start(mut command: Command, what: String) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self::start_with(command, what)
    }

    /// As [`Running::start`], with a folder of its own for temporary files, which goes with it however it ends.
    pub(crate) fn start_apart(mut command: Command, what: String) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        command.env("TMPDIR", scratch.path());
        let mut running = Self::start(command, what);
        running.scratch = Some(scratch);
        running
    }

    /// Starts `command` with the streams it already has; those that are pipes are read and written here.
    pub(crate) fn start_with(mut command: Command, what: String) -> Self {
        let mut child = command.spawn().unwrap_or_else(|e| panic!("cannot start {what}: {e}"));
        let (stdout, stderr) = (Arc::default(), Arc::default());
        let mut readers = Vec::new();
        if let Some(pipe) = child.stdout.take() {
            readers.push(collect(pipe, Arc::clone(&stdout)));
        }
        if let Some(pipe) = child.stderr.take() {
            readers.push(collect(pipe, Arc::clone(&stderr)));
        }
        let stdin = child.stdin.take();
        Self { what, child, stdin, stdout, stderr, readers, limit: PATIENCE, scratch: None }
    }

    /// Sets how long [`Running::wait`] and the like wait; [`PATIENCE`] unless told.
    pub(crate) fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Writes to standard input. A reader that has gone is not an error: its exit code tells.
    pub(crate) fn write(&mut self, data: &[u8]) {
        let stdin = self.stdin.as_mut().expect("standard input is open");
        let _ = stdin.write_all(data).and_then(|()| stdin.flush());
    }

    /// Ends standard input.
    pub(crate) fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Hands standard input to a thread that writes `data` and closes it.
    pub(crate) fn feed(&mut self, data: Vec<u8>) {
        let mut data = Some(data);
        self.feed_with(move || data.take());
    }

    /// Hands standard input to a thread that writes what `more` gives and closes it when that is nothing.
    pub(crate) fn feed_with(&mut self, mut more: impl FnMut() -> Option<Vec<u8>> + Send + 'static) {
        let stdin = self.stdin.take();
        self.readers.push(thread::spawn(move || {
            let Some(mut stdin) = stdin else { return };
            while let Some(data) = more() {
                if stdin.write_all(&data).is_err() {
                    return;
                }
            }
        }));
    }

    /// Closes standard input and gives the child some time to tidy up and end; then it is killed.
    pub(crate) fn end_within(&mut self, grace: Duration) {
        self.close_stdin();
        self.ends_within(grace);
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// The process id.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Waits until standard output satisfies `enough`, and returns all of it so far; panics when it ends before.
    pub(crate) fn until_stdout(&self, enough: impl Fn(&[u8]) -> bool) -> Vec<u8> {
        let reached = self.stdout.until(self.limit, enough);
        reached.unwrap_or_else(|| panic!("standard output did not get there\n{}", self.so_far()))
    }

    /// The next line of standard output, which is then no longer part of it; panics when there is none in time.
    pub(crate) fn take_line(&self) -> String {
        self.until_stdout(|bytes| bytes.contains(&b'\n'));
        self.shift_line()
    }

    /// As [`Running::take_line`]; an error that shows its output when it ends before.
    pub(crate) fn try_line(&self) -> Result<String, String> {
        let reached = self.stdout.until(self.limit, |bytes| bytes.contains(&b'\n'));
        reached.map(|_| self.shift_line()).ok_or_else(|| self.so_far())
    }

    fn shift_line(&self) -> String {
        let bytes = &mut self.stdout.lock().0;
        let end = bytes.iter().position(|&b| b == b'\n').unwrap();
        let line: Vec<u8> = bytes.drain(..=end).collect();
        String::from_utf8(line).unwrap().trim_end().to_owned()
    }

    /// All of standard output so far.
    pub(crate) fn stdout_so_far(&self) -> Vec<u8> {
        self.stdout.bytes()
    }

    /// All of standard error so far.
    pub(crate) fn stderr_so_far(&self) -> String {
        String::from_utf8_lossy(&self.stderr.bytes()).into_owned()
    }

    /// As [`Running::until_stdout`], for standard error.
    pub(crate) fn until_stderr(&self, enough: impl Fn(&[u8]) -> bool) -> Vec<u8> {
        let reached = self.stderr.until(self.limit, enough);
        reached.unwrap_or_else(|| panic!("standard error did not get there\n{}", self.so_far()))
    }

    /// Closes standard input, waits for the end, and returns all output. Past the limit: kills it and panics.
    #[track_caller]
    pub(crate) fn wait(self) -> Output {
        self.finish().unwrap_or_else(|killed| panic!("{killed}"))
    }

    /// As [`Running::wait`], with standard input left open: the child ends for a reason of its own.
    #[track_caller]
    pub(crate) fn wait_with_open_stdin(mut self) -> Output {
        let stdin = self.stdin.take();
        let output = self.wait();
        drop(stdin);
        output
    }

    /// As [`Running::wait`], where a child killed past its limit is an error that shows its output.
    pub(crate) fn finish(mut self) -> Result<Output, String> {
        self.close_stdin();
        let started = Instant::now();
        let (in_time, peak_memory) = self.ends_within(self.limit);
        let status = self.child.wait().unwrap();
        for reader in self.readers.drain(..) {
            reader.join().unwrap();
        }
        let output = Output {
            what: self.what.clone(),
            status,
            stdout: self.stdout.bytes(),
            stderr: self.stderr.bytes(),
            elapsed: started.elapsed(),
            peak_memory,
        };
        if in_time {
            Ok(output)
        } else {
            Err(format!("killed: still running after {:?}\n{output}", self.limit))
        }
    }

    /// Waits for the end without reaping, so that the id stays this child's; kills it when `limit` is over. Whether that
    /// was not needed, and the most memory it held.
    fn ends_within(&self, limit: Duration) -> (bool, u64) {
        let (pid, ended) = (self.pid(), Arc::new((Mutex::new(false), Condvar::new())));
        let seen = Arc::clone(&ended);
        let watchdog = thread::spawn(move || {
            let (deadline, mut peak) = (Instant::now() + limit, 0);
            let (flag, changed) = &*seen;
            let mut flag = flag.lock().unwrap();
            loop {
                peak = peak.max(peak_memory(pid));
                let left = deadline.saturating_duration_since(Instant::now());
                if *flag || left.is_zero() {
                    break;
                }
                (flag, _) = changed.wait_timeout_while(flag, left.min(LOOK), |done| !*done).unwrap();
            }
            if !*flag {
                let _ = kill_process(pid, Signal::KILL);
            }
            (*flag, peak)
        });
        waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT).unwrap();
        *ended.0.lock().unwrap() = true;
        ended.1.notify_all();
        watchdog.join().unwrap()
    }

    fn so_far(&self) -> String {
        let (stdout, stderr) = (self.stdout.bytes(), self.stderr.bytes());
        format!("{}\n--- stdout\n{}\n--- stderr\n{}", self.what, shown(&stdout), shown(&stderr))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.close_stdin();
        if let Ok(None) = self.child.try_wait() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// The most memory that a process has held so far, in bytes; 0 where the system does not tell, or not any more, or for the
/// moment in which a process that was just begun has still the memory of this one (vfork(2)).
fn peak_memory(pid: Pid) -> u64 {
    let program = std::fs::read_link(format!("/proc/{}/exe", pid.as_raw_nonzero()));
    if program.is_ok_and(|program| std::env::current_exe().is_ok_and(|own| own == program)) {
        return 0;
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero()));
    let status = status.unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.unwrap_or_default() * 1024
}

/// What a finished process left.
#[derive(Debug)]
pub(crate) struct Output {
    what: String,
    /// How it ended.
    pub(crate) status: ExitStatus,
    /// All of standard output, unless it was sent elsewhere.
    pub(crate) stdout: Vec<u8>,
    /// All of standard error.
    pub(crate) stderr: Vec<u8>,
    /// From the call of [`Running::wait`] to the end.
    pub(crate) elapsed: Duration,
    /// Most memory it held, in bytes, as it was seen meanwhile; 0 where the system does not tell.
    pub(crate) peak_memory: u64,
}

impl Output {
    /// Checks the exit code.
    #[track_caller]
    pub(crate) fn code(self, expected: i32) -> Self {
        assert_eq!(self.status.code(), Some(expected), "unexpected exit ({})\n{self}", self.status);
        self
    }

    /// Checks for exit code 0.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        self.code(0)
    }

    /// Checks all of standard output.
    #[track_caller]
    pub(crate) fn prints(self, expected: impl AsRef<[u8]>) -> Self {
        let expected = expected.as_ref();
        assert!(self.stdout == expected, "unexpected output, not\n{}\n{self}", shown(expected));
        self
    }

    /// Checks that standard error contains `part`.
    #[track_caller]
    pub(crate) fn says(self, part: &str) -> Self {
        assert!(self.err().contains(part), "standard error does not say {part:?}\n{self}");
        self
    }

    /// Checks that standard error is empty.
    #[track_caller]
    pub(crate) fn silent(self) -> Self {
        assert!(self.stderr.is_empty(), "standard error is not empty\n{self}");
        self
    }

    /// Standard output as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text.
    pub(crate) fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// The lines of standard output, sorted: for topics of several partitions.
    pub(crate) fn sorted_lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.text().lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n--- {} after {:?}", self.what, self.status, self.elapsed)?;
        write!(f, "--- stdout\n{}\n--- stderr\n{}", shown(&self.stdout), shown(&self.stderr))
    }
}

/// The start of `bytes`, as text.
fn shown(bytes: &[u8]) -> String {
    const MOST: usize = 4000;
    let text = String::from_utf8_lossy(bytes.get(..MOST).unwrap_or(bytes)).into_owned();
    if bytes.len() > MOST { format!("{text}... ({} bytes)", bytes.len()) } else { text }
}

/// Bytes that arrive while others wait for them.
#[derive(Debug, Default)]
struct Capture {
    state: Mutex<(Vec<u8>, bool)>,
    changed: Condvar,
}

impl Capture {
    fn lock(&self) -> MutexGuard<'_, (Vec<u8>, bool)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bytes(&self) -> Vec<u8> {
        self.lock().0.clone()
    }

    fn add(&self, bytes: &[u8]) {
        self.lock().0.extend_from_slice(bytes);
        self.changed.notify_all();
    }

    fn end(&self) {
        self.lock().1 = true;
        self.changed.notify_all();
    }

    fn until(&self, limit: Duration, enough: impl Fn(&[u8]) -> bool) -> Option<Vec<u8>> {
        let state = self.lock();
        let waiting = |(bytes, ended): &mut (Vec<u8>, bool)| !*ended && !enough(bytes);
        let (state, _) = self.changed.wait_timeout_while(state, limit, waiting).unwrap();
        enough(&state.0).then(|| state.0.clone())
    }
}

fn collect(mut pipe: impl Read + Send + 'static, into: Arc<Capture>) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut buffer = [0; 64 * 1024];
        while let Ok(count @ 1..) = pipe.read(&mut buffer) {
            into.add(&buffer[..count]);
        }
        into.end();
    })
}
