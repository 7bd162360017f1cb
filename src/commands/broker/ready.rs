//! `--ready-file`: the address in a file, as long as the broker takes connections.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};

use crate::commands::output::plain;

/// A file that says where the broker is, or that will: until then it is not there.
#[derive(Debug)]
pub(super) struct ReadyFile {
    path: PathBuf,
    /// The same folder, another name: what is renamed is there at once.
    new: PathBuf,
    file: File,
    written: Option<String>,
}

impl ReadyFile {
    /// Looks whether the file can be written, and removes the one that an earlier broker left.
    ///
    /// # Errors
    /// When it cannot, or when there is something that no broker wrote.
    pub(super) fn prepare(path: &Path) -> Result<Self> {
        let failed = |why: &dyn std::fmt::Display| anyhow!("--ready-file {}: {why}", path.display());
        match path.symlink_metadata() {
            Ok(found) if found.is_dir() => return Err(failed(&"is a folder")),
            Ok(found) if !found.is_file() => return Err(failed(&"is not a file")),
            Ok(_) if !holds_address(path) => {
                return Err(failed(&"is there, and holds something else than an address: name another file"));
            }
            Ok(_) => std::fs::remove_file(path).map_err(|e| failed(&plain(&e)))?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(failed(&plain(&e))),
        }
        let mut new = path.as_os_str().to_owned();
        new.push(format!(".{}.new", std::process::id()));
        let new = PathBuf::from(new);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new);
        Ok(Self { path: path.to_owned(), file: file.map_err(|e| failed(&plain(&e)))?, new, written: None })
    }

    /// Writes the address; the file is there with all of it, or not at all.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn write(&mut self, addr: SocketAddr) -> Result<()> {
        let line = format!("{addr}\n");
        let written =
            self.file.write_all(line.as_bytes()).and_then(|()| std::fs::rename(&self.new, &self.path));
        written.map_err(|e| anyhow!("--ready-file {}: {}", self.path.display(), plain(&e)))?;
        self.written = Some(line);
        Ok(())
    }
}

/// Removes the file, unless it is another broker's by now.
impl Drop for ReadyFile {
    fn drop(&mut self) {
        match &self.written {
            // What is gone already need not be removed.
            Some(line) if std::fs::read(&self.path).is_ok_and(|found| found == line.as_bytes()) => {
                let _ = std::fs::remove_file(&self.path);
            }
            Some(_) => {}
            None => {
                let _ = std::fs::remove_file(&self.new);
            }
        }
    }
}

/// True for a file as a broker leaves it, and for an empty one, as mktemp(1) makes it.
fn holds_address(path: &Path) -> bool {
    const MOST: u64 = 100;
    let small = path.metadata().is_ok_and(|found| found.len() <= MOST);
    let text = if small { std::fs::read_to_string(path).ok() } else { None };
    text.is_some_and(|text| text.is_empty() || text.trim_end().parse::<SocketAddr>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn addr(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn the_file_is_there_from_ready_to_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ready");
        let mut ready = ReadyFile::prepare(&path).unwrap();
        assert!(!path.exists());
        ready.write(addr(1234)).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "127.0.0.1:1234\n");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(names(folder.path()), ["ready"]);
        drop(ready);
        assert_eq!(names(folder.path()), [""; 0]);
    }

    #[test]
    fn nothing_is_left_of_a_start_that_failed() {
        let folder = tempfile::tempdir().unwrap();
        drop(ReadyFile::prepare(&folder.path().join("ready")).unwrap());
        assert_eq!(names(folder.path()), [""; 0]);
    }

    #[test]
    fn only_what_a_broker_left_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ready");
        for stale in ["", "127.0.0.1:9\n"] {
            std::fs::write(&path, stale).unwrap();
            let ready = ReadyFile::prepare(&path).unwrap();
            assert!(!path.exists());
            drop(ready);
        }
        std::fs::write(&path, "a diary\n").unwrap();
        let line = ReadyFile::prepare(&path).unwrap_err().to_string();
        assert!(line.contains("name another file"), "{line}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "a diary\n");
    }

    #[test]
    fn the_file_of_another_broker_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ready");
        let mut one = ReadyFile::prepare(&path).unwrap();
        one.write(addr(1)).unwrap();
        std::fs::write(&path, "127.0.0.1:2\n").unwrap();
        drop(one);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "127.0.0.1:2\n");
    }
}
