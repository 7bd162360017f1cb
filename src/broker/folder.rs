//! The data folder: one that is given, or a temporary one.

use std::hash::{BuildHasher, RandomState};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::error::{Error, Result};

/// A folder to keep data in. A temporary one goes when this does.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    is_temporary: bool,
}

impl Folder {
    /// The folder given, or a new one that no other user can look into.
    pub(super) fn open(given: Option<&Path>) -> Result<Self> {
        if let Some(path) = given {
            return Ok(Self { path: path.to_owned(), is_temporary: false });
        }
        let name = format!("kps-broker-{}-{:016x}", std::process::id(), RandomState::new().hash_one(0));
        let path = std::env::temp_dir().join(name);
        match std::fs::DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => Ok(Self { path, is_temporary: true }),
            Err(why) => Err(Error::Folder { path, why }),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes it if it is temporary.
    pub(super) fn close(mut self) -> Result<()> {
        self.remove().map_err(|why| Error::Folder { path: self.path.clone(), why })
    }

    fn remove(&mut self) -> std::io::Result<()> {
        if std::mem::take(&mut self.is_temporary) { std::fs::remove_dir_all(&self.path) } else { Ok(()) }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // On the way out of an error that is told.
        let _ = self.remove();
    }
}
