//! What each library can do, as data: one table feeds the checks before a run, `kps libs` and the
//! README.

use super::Purpose;
use crate::settings::{KeyId, Library, Place, SecretKeys, Settings};

/// How far a library can do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Support {
    /// It can.
    Yes,
    /// It cannot.
    No,
    /// It does something else, which is said.
    Partly(&'static str),
}

/// Something that not every library can do.
#[derive(Debug)]
pub struct Capability {
    /// Its name in `kps libs --output json`.
    pub name: &'static str,
    /// What it is, for users.
    pub doc: &'static str,
    /// Of librdkafka.
    pub rdkafka: Support,
    /// Of rskafka.
    pub rskafka: Support,
    /// Whether a run asks for it: the setting that does. `None` for what only shows in a record.
    asked: fn(&Settings, &Purpose) -> Option<Asked>,
}

/// The setting that asks for a capability, as the user wrote it, and where.
#[derive(Debug)]
struct Asked {
    what: String,
    place: Place,
}

impl Capability {
    /// How far this library can do it.
    pub fn of(&self, library: Library) -> Support {
        match library {
            Library::Rdkafka => self.rdkafka,
            Library::Rskafka => self.rskafka,
        }
    }
}
