//! Settings: layers of typed-in values with their places, resolved against the key table.

mod keys;

pub use keys::KeyId;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// A client library.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Library {
    /// librdkafka through the `rdkafka` crate.
    Rdkafka,
    /// Pure Rust, through the `rskafka` crate.
    Rskafka,
}

/// Where a value was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A flag, e.g. `--acks`.
    Flag(String),
    /// `-X KEY=`, with the key as typed.
    Override(String),
    /// An environment variable, without the `$`.
    Env(String),
    /// A line of a properties file, or (without a line) a JSON file with the path of the member.
    File { path: PathBuf, line: Option<u32>, member: Option<String> },
    /// A profile.
    Profile(String),
    /// Nowhere: the default.
    Default,
}

/// The settings of one run for one side (publishing or subscribing), resolved. A getter for a key
/// of another kind than it has is a programming error.
#[derive(Debug)]
pub struct Settings {}

impl Settings {
    /// A text value; `None` when it is not set and has no default.
    pub fn text(&self, _key: KeyId) -> Option<&str> {
        unimplemented!()
    }
    /// A whole number.
    pub fn int(&self, _key: KeyId) -> i64 {
        unimplemented!()
    }
    /// A duration.
    pub fn duration(&self, _key: KeyId) -> Duration {
        unimplemented!()
    }
    /// A switch.
    pub fn bool(&self, _key: KeyId) -> bool {
        unimplemented!()
    }
    /// Where the value in force comes from.
    pub fn place(&self, _key: KeyId) -> &Place {
        unimplemented!()
    }
    /// True unless the value in force is the default.
    pub fn is_set(&self, key: KeyId) -> bool {
        *self.place(key) != Place::Default
    }
    /// `rdkafka.KEY` values, for librdkafka as they are: key, value, place.
    pub fn passthrough(&self) -> &[(String, String, Place)] {
        unimplemented!()
    }
    /// host:port of each bootstrap server.
    pub fn bootstrap(&self) -> Vec<String> {
        unimplemented!()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        unimplemented!()
    }
}
