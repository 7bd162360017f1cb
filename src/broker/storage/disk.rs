//! Files: reading and writing at a place, and replacing a whole file at once. The one place of the
//! storage that knows the operating system.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::error::{Error, Result};
use crate::private;

/// When written bytes are made to outlive the machine. A killed process loses nothing under any of
/// them: what was written is the system's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fsync {
    /// Left to the system, as Kafka does by default: a power cut can lose the last half minute or so.
    #[default]
    Never,
    /// Before any append is answered.
    EveryAppend,
    /// At most this long after an append, when [`maintain`](super::Storage::maintain) is called as often.
    Interval(std::time::Duration),
}

/// Opens a file to be read and written, and makes it when it is missing.
pub(super) fn open(path: &Path) -> Result<File> {
    let mut options = private::options(path);
    options.read(true).write(true).create(true).truncate(false).open(path).map_err(Error::io(path))
}

/// Opens a file to be read.
pub(super) fn open_to_read(path: &Path) -> Result<File> {
    File::open(path).map_err(Error::io(path))
}

/// Fills the buffer with the bytes from `position` on.
pub(super) fn read_exact_at(file: &File, buffer: &mut [u8], position: u64) -> io::Result<()> {
    file.read_exact_at(buffer, position)
}

/// Reads up to a buffer of bytes from `position` on; fewer only at the end of the file.
pub(super) fn read_at(file: &File, buffer: &mut [u8], position: u64) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(free) = buffer.get_mut(filled..).filter(|free| !free.is_empty()) {
        match file.read_at(free, position + filled as u64) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
            Err(why) => return Err(why),
        }
    }
    Ok(filled)
}

/// Writes all bytes at `position`, which is the end of the file: after an error there is nothing of
/// them left.
pub(super) fn append_at(file: &File, bytes: &[u8], position: u64, sync: bool) -> io::Result<()> {
    let written = file.write_all_at(bytes, position);
    let written = written.and_then(|()| if sync { file.sync_data() } else { Ok(()) });
    written.inspect_err(|_| {
        // The error that is reported is the first; a tail left behind is cut when the log is opened.
        let _ = file.set_len(position);
    })
}

/// Puts new content in the place of a file so that at any time either the old or the new is there;
/// with `sync` also after a power cut.
pub(super) fn replace(path: &Path, content: &[u8], sync: bool) -> Result<File> {
    let new = path.with_extension("new");
    let file = open(&new)?;
    file.set_len(0).map_err(Error::io(&new))?;
    file.write_all_at(content, 0).map_err(Error::io(&new))?;
    if sync {
        file.sync_data().map_err(Error::io(&new))?;
    }
    std::fs::rename(&new, path).map_err(Error::io(path))?;
    if sync {
        // The new content is in place now, whether or not its name outlives a power cut.
        let _ = sync_folder_of(path);
    }
    Ok(file)
}

/// Makes the names in a file's folder outlive the machine.
pub(super) fn sync_folder_of(path: &Path) -> Result<()> {
    let Some(folder) = path.parent() else { return Ok(()) };
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(Error::io(folder))
}

/// Removes a file that may be gone already.
pub(super) fn remove_file(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(why) if why.kind() != io::ErrorKind::NotFound => Err(Error::io(path)(why)),
        _ => Ok(()),
    }
}
