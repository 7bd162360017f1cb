//! Reads small files (settings, secrets) with a bound on size and time, so that neither a device that never ends nor
//! a pipe that nobody writes to holds a run up.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::fs::OFlags;

/// Largest file in bytes. Real ones have a few KiB; a key store of a hundred certificates has 200 KiB.
pub const MAX_BYTES: usize = 1 << 20;
/// Longest time until the end of a file. A command behind a pipe (`vault read`, `pass`) asks a server and answers
/// within seconds.
pub const TIME_LIMIT: Duration = Duration::from_secs(10);

/// A file that was read to its end.
#[derive(Debug)]
pub struct SmallFile {
    /// Its contents.
    pub bytes: Vec<u8>,
    /// Type, permissions and identity, as they were when it was opened.
    pub metadata: Metadata,
}

/// Reads a file that the user named: a regular file, a pipe or a device.
///
/// # Errors
/// As the system has them; a file that is larger than [`MAX_BYTES`] or has no end within `limit`.
pub fn read_named(path: &Path, limit: Duration) -> io::Result<SmallFile> {
    let path = path.to_owned();
    // Opening can wait, too: a FIFO opens when somebody opens its other end.
    run_within(limit, move || read_open_file(File::open(path)?))
}

/// Reads standard input to its end.
///
/// # Errors
/// As [`read_named`].
pub fn read_standard_input(limit: Duration) -> io::Result<SmallFile> {
    let input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    run_within(limit, move || read_open_file(input))
}

/// Reads a file that nobody named, if it is there. Links are followed to regular files; anything else is refused
/// without opening it, since opening alone can wait (a FIFO) or act (a tape, a watchdog).
///
/// # Errors
/// As [`read_named`]; a file that is no regular file.
pub fn read_found(path: &Path, limit: Duration) -> io::Result<Option<SmallFile>> {
    let path = path.to_owned();
    run_within(limit, move || {
        match path.metadata() {
            Ok(metadata) => require_regular(&metadata)?,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(error),
        }
        // Another file can be there by now: it must not be waited for.
        let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(path)?;
        require_regular(&file.metadata()?)?;
        read_open_file(file).map(Some)
    })
}

/// Whether no file is there, as far as this user can see: in a folder that may not be searched nobody can tell.
fn is_absent(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound, PermissionDenied};
    matches!(error.kind(), NotFound | NotADirectory | PermissionDenied)
}

fn require_regular(metadata: &Metadata) -> io::Result<()> {
    if metadata.is_file() { Ok(()) } else { Err(io::Error::other("it is not a regular file")) }
}

fn read_open_file(file: File) -> io::Result<SmallFile> {
    let metadata = file.metadata()?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > MAX_BYTES {
        return Err(io::Error::other("it is larger than 1 MiB"));
    }
    Ok(SmallFile { bytes, metadata })
}

/// Runs `read` in a thread of its own, which alone can be left behind in a system call that does not return (a FIFO
/// without a writer, a network file system without its server).
fn run_within<T: Send + 'static>(
    limit: Duration,
    read: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let (sender, receiver) = mpsc::sync_channel(1);
    let read = move || {
        // Nobody receives when the time is over.
        let _ = sender.send(read());
    };
    thread::Builder::new().name("bounded read".into()).spawn(read)?;
    receiver.recv_timeout(limit).unwrap_or_else(|_| Err(timed_out(limit)))
}

fn timed_out(limit: Duration) -> io::Error {
    let message = format!("its end did not come within {} s", limit.as_secs_f64().ceil());
    io::Error::new(io::ErrorKind::TimedOut, message)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::time::Instant;

    use rustix::fs::{CWD, Mode, mkfifoat};

    use super::*;

    fn fifo(folder: &Path) -> std::path::PathBuf {
        let path = folder.join("fifo");
        mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR).unwrap();
        path
    }

    #[test]
    fn files_and_pipes_are_read_to_their_end() {
        let folder = tempfile::tempdir().unwrap();
        let (file, fifo) = (folder.path().join("file"), fifo(folder.path()));
        std::fs::write(&file, vec![b'x'; MAX_BYTES]).unwrap();
        assert_eq!(read_named(&file, TIME_LIMIT).unwrap().bytes.len(), MAX_BYTES);
        let writer = {
            let fifo = fifo.clone();
            thread::spawn(move || {
                let mut file = OpenOptions::new().write(true).open(fifo).unwrap();
                // More than a pipe holds.
                file.write_all(&vec![b'y'; 200_000]).unwrap();
            })
        };
        let read = read_named(&fifo, TIME_LIMIT).unwrap();
        writer.join().unwrap();
        assert_eq!(read.bytes, vec![b'y'; 200_000]);
    }

    #[test]
    fn size_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, vec![b'x'; MAX_BYTES + 1]).unwrap();
        for error in [
            read_named(&file, TIME_LIMIT).unwrap_err(),
            read_found(&file, TIME_LIMIT).unwrap_err(),
            read_named(Path::new("/dev/zero"), TIME_LIMIT).unwrap_err(),
        ] {
            assert_eq!(error.to_string(), "it is larger than 1 MiB");
        }
    }

    #[test]
    fn time_is_bounded_before_and_after_a_writer_has_come() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = fifo(folder.path());
        let limit = Duration::from_millis(50);
        let started = Instant::now();
        assert_eq!(read_named(&fifo, limit).unwrap_err().kind(), io::ErrorKind::TimedOut);
        // It has the other end open and writes now and then, but never closes it.
        let writer = OpenOptions::new().read(true).write(true).open(&fifo).unwrap();
        (&writer).write_all(b"kafka.acks=all\n").unwrap();
        assert_eq!(read_named(&fifo, limit).unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(started.elapsed() < TIME_LIMIT);
    }

    #[test]
    fn what_was_only_found_is_a_regular_file_or_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        std::fs::write(&file, "x").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert_eq!(read_found(&link, TIME_LIMIT).unwrap().unwrap().bytes, b"x");
        let dangling = folder.path().join("dangling");
        std::os::unix::fs::symlink("gone", &dangling).unwrap();
        for absent in [folder.path().join("gone"), file.join("below"), dangling] {
            assert!(read_found(&absent, TIME_LIMIT).unwrap().is_none(), "{absent:?}");
        }
        let to_fifo = folder.path().join("to_fifo");
        std::os::unix::fs::symlink("fifo", &to_fifo).unwrap();
        let socket = folder.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let others = [folder.path(), &fifo(folder.path()), &to_fifo, &socket, Path::new("/dev/zero")];
        for other in others {
            let error = read_found(other, TIME_LIMIT).unwrap_err();
            assert_eq!(error.to_string(), "it is not a regular file", "{other:?}");
        }
    }
}
