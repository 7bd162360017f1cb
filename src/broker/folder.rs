//! The data folder: one that is given, or a temporary one, which is locked from before it has its
//! name. What a killed process left is therefore known by its lock, and removed at a later start.

use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};

use super::error::{Error, Result};

/// What the name of a temporary folder starts with.
const PREFIX: &str = "kps-broker-";

/// A folder to keep data in. A temporary one goes when this does.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// The lock of a temporary folder, until it is removed.
    temporary: Option<File>,
}

impl Folder {
    /// The folder given, or a new one that no other user can look into.
    pub(super) fn open(given: Option<&Path>) -> Result<Self> {
        match given {
            Some(path) if path.join("meta.properties").exists() => Err(Error::NotOurs(path.to_owned())),
            Some(path) => Ok(Self { path: path.to_owned(), temporary: None }),
            None => Self::temporary(&std::env::temp_dir()),
        }
    }

    fn temporary(parent: &Path) -> Result<Self> {
        let name = format!("{PREFIX}{}-{:016x}", std::process::id(), RandomState::new().hash_one(0));
        let (path, unnamed) = (parent.join(&name), parent.join(format!("new-{name}")));
        let made = std::fs::DirBuilder::new().mode(0o700).create(&unnamed).and_then(|()| {
            let lock = lock(&unnamed)?.ok_or(io::ErrorKind::WouldBlock)?;
            std::fs::rename(&unnamed, &path)?;
            Ok(lock)
        });
        match made {
            Ok(lock) => Ok(Self { path, temporary: Some(lock) }),
            Err(why) => Err(Error::Folder { path, why }),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn is_temporary(&self) -> bool {
        self.temporary.is_some()
    }

    /// Removes it if it is temporary.
    pub(super) fn close(mut self) -> Result<()> {
        self.remove().map_err(|why| Error::Folder { path: self.path.clone(), why })
    }

    fn remove(&mut self) -> io::Result<()> {
        if self.temporary.take().is_some() { std::fs::remove_dir_all(&self.path) } else { Ok(()) }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // On the way out of an error that is told.
        let _ = self.remove();
    }
}

/// Removes the temporary folders of this user that no process has any more.
pub(super) fn sweep() {
    sweep_in(&std::env::temp_dir());
}

fn sweep_in(parent: &Path) {
    let user = rustix::process::geteuid().as_raw();
    for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        let path = entry.path();
        let is_mine = |lock: &File| lock.metadata().is_ok_and(|folder| folder.uid() == user);
        // What cannot be locked or removed is left to who can.
        if let Ok(Some(_lock)) = lock(&path).map(|lock| lock.filter(is_mine)) {
            let _ = std::fs::remove_dir_all(&path);
        }
    }
}

/// Locks a folder, and no link to one; none when a process has the lock. It ends with that process.
fn lock(path: &Path) -> io::Result<Option<File>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = File::from(open(path, flags, Mode::empty())?);
    match flock(&folder, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(folder)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(why) => Err(why.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_without_a_process_are_swept() {
        let parent = tempfile::tempdir().unwrap();
        let used = Folder::temporary(parent.path()).unwrap();
        let left = Folder::temporary(parent.path()).unwrap();
        std::fs::write(left.path().join("records"), "records").unwrap();
        let other = parent.path().join("other");
        std::fs::create_dir(&other).unwrap();
        let link = parent.path().join(format!("{PREFIX}link"));
        std::os::unix::fs::symlink(&other, &link).unwrap();

        sweep_in(parent.path());
        assert!(used.path().exists() && left.path().exists());

        let path = left.path().to_owned();
        // As a kill does: the lock goes, the folder stays.
        let mut left = std::mem::ManuallyDrop::new(left);
        drop(left.temporary.take());
        sweep_in(parent.path());
        assert!(!path.exists());
        assert!(used.path().exists() && other.exists() && link.exists());

        let path = used.path().to_owned();
        used.close().unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn a_folder_of_apache_kafka_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("meta.properties"), "version=1\n").unwrap();
        let error = Folder::open(Some(folder.path())).unwrap_err().to_string();
        assert_eq!(error, format!("{} is a data folder of Apache Kafka", folder.path().display()));
    }
}
