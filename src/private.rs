//! Files that we write records to: only their owner may read them, since records can be secret, and no symbolic link
//! is followed to them, since who can write to the folder could have put it there.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_new_file_is_its_owners_and_a_link_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("file"), dir.path().join("link"));
        options(&file).create(true).append(true).open(&file).unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert!(options(&link).append(true).open(&link).is_err());
        assert!(options(Path::new("/dev/stderr")).append(true).open("/dev/stderr").is_ok());
    }
}
