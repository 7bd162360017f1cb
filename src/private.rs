//! Files that we write records to: only their owner may read them, since records can be secret, and no symbolic link
//! is followed to them, since who can write to the folder could have put it there.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

/// How to open `path`. The system's own links (`/dev/stdout`, `/dev/fd/3`) are followed.
pub fn options(path: &Path) -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    if !path.starts_with("/dev") {
        options.custom_flags(OFlags::NOFOLLOW.bits() as i32);
    }
    options
}

/// Writes a file, in place of one that is there.
///
/// # Errors
/// As the system has them.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    options(path).write(true).create(true).truncate(true).open(path)?.write_all(bytes)
}

/// Makes a folder that is not there, and those it is in.
///
/// # Errors
/// As the system has them.
pub fn folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_new_folder_is_its_owners_and_one_that_is_there_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        folder(&path).unwrap();
        folder(&path).unwrap();
        for made in [&path, &dir.path().join("a")] {
            assert_eq!(made.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        }
    }

    #[test]
    fn a_new_file_is_its_owners_and_a_link_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("file"), dir.path().join("link"));
        options(&file).create(true).append(true).open(&file).unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert!(options(&link).append(true).open(&link).is_err());
        assert!(write(&link, b"x").is_err());
        write(&file, b"x").unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"x");
        assert!(options(Path::new("/dev/stderr")).append(true).open("/dev/stderr").is_ok());
    }
}
