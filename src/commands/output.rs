//! Standard output: a buffer that is written when it is full or before waiting, and what became of
//! the writing.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::Exit;

/// Written out when it holds this many bytes.
const FULL: usize = 256 << 10;

/// How writing ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// All is with the operating system.
    All,
    /// The reader has closed the pipe: nothing more is wanted.
    Closed,
}

/// Standard output, unlocked and without the line buffering of the standard library's.
#[derive(Debug)]
pub(super) struct Output {
    file: File,
    buffer: Vec<u8>,
    closed: bool,
}

impl Output {
    /// Standard output.
    ///
    /// # Errors
    /// When it was not open.
    pub(super) fn stdout() -> io::Result<Self> {
        let file = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        Ok(Self { file, buffer: Vec::with_capacity(FULL + (64 << 10)), closed: false })
    }

    /// Prints a whole report.
    ///
    /// # Errors
    /// When it could not be written.
    pub(super) fn print(text: &str) -> anyhow::Result<Exit> {
        let mut out = Self::stdout()?;
        out.buffer().extend_from_slice(text.as_bytes());
        out.flush()?;
        Ok(Exit::Done)
    }

    /// Where to append.
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// True when it is time to write.
    pub(super) fn is_full(&self) -> bool {
        self.buffer.len() >= FULL
    }

    /// True once the reader has closed the pipe.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// True when standard output is a pipe that nobody reads any more.
    pub(super) fn reader_is_gone(&mut self) -> bool {
        let mut fds = [PollFd::new(&self.file, PollFlags::empty())];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        let gone = matches!(poll(&mut fds, Some(&now)), Ok(1..)) && fds[0].revents().contains(PollFlags::ERR);
        self.closed |= gone;
        gone
    }

    /// Writes the buffer, also to a pipe that somebody else has made non-blocking.
    fn write(&mut self) -> io::Result<()> {
        let mut rest = self.buffer.as_slice();
        while !rest.is_empty() {
            match self.file.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => rest = rest.get(n..).unwrap_or_default(),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    // Its errors come back with the next write.
                    let _ = poll(&mut [PollFd::new(&self.file, PollFlags::OUT)], None);
                }
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Writes what is in the buffer.
    ///
    /// # Errors
    /// When it could not be written (a closed pipe is no error); what was not is forgotten.
    pub(super) fn flush(&mut self) -> io::Result<Written> {
        if self.closed {
            self.buffer.clear();
            return Ok(Written::Closed);
        }
        let result = self.write();
        self.buffer.clear();
        match result {
            Ok(()) => Ok(Written::All),
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(Written::Closed)
            }
            Err(e) => Err(io::Error::new(e.kind(), format!("writing to standard output: {}", plain(&e)))),
        }
    }
}

/// The system's words for an error, without the number.
pub(super) fn plain(e: &io::Error) -> String {
    without_number(&e.to_string())
}

/// A message that ends with the system's words, without their number.
pub(super) fn without_number(text: &str) -> String {
    text.split(" (os error").next().unwrap_or(text).to_owned()
}
