//! Layers: what was typed, and where, before anybody asks what it means.

use std::fmt;

use memchr::memmem;
use serde::{Deserialize, Serialize};

use super::keys::{self, KeyId};
use super::{Library, Mistake, Place, Side};

/// What a value was set for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Scope {
    /// Whatever has the key: a flag, `-X KEY=`, `$KPS_KEY`.
    Any,
    /// The whole run: `kafka.KEY` in a file. Keys of one side only are not accepted here.
    Common,
    /// Publishing.
    Producer,
    /// Subscribing.
    Consumer,
    /// librdkafka, as it is.
    Rdkafka,
}

impl Scope {
    const NAMED: [Self; 3] = [Self::Producer, Self::Consumer, Self::Rdkafka];

    /// What stands before a key of this scope.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Any | Self::Common => "",
            Self::Producer => "producer.",
            Self::Consumer => "consumer.",
            Self::Rdkafka => "rdkafka.",
        }
    }

    /// Splits a scope's prefix off a key; `otherwise` is the scope of a key without one.
    pub fn split(name: &str, otherwise: Self) -> (Self, &str) {
        let named = |scope: Self| name.strip_prefix(scope.prefix()).map(|key| (scope, key));
        Self::NAMED.into_iter().find_map(named).unwrap_or((otherwise, name))
    }

    /// True unless it is the scope of the other side.
    pub(super) fn covers(self, side: Side) -> bool {
        match self {
            Self::Any | Self::Common | Self::Rdkafka => true,
            Self::Producer => side == Side::Producer,
            Self::Consumer => side == Side::Consumer,
        }
    }
}

/// A value as typed. `Debug` hides it, since even the value of a misspelt key can be a secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The key as typed, without its scope.
    pub key: String,
    /// What it was set for.
    pub scope: Scope,
    /// The value as typed, placeholders filled in.
    pub value: String,
    /// Where.
    pub place: Place,
    /// Counts only when this library runs.
    pub only: Option<Library>,
}

impl Entry {
    /// A flag's value.
    pub fn flag(flag: &str, key: KeyId, value: impl Into<String>) -> Self {
        Self {
            key: key.key().java.to_owned(),
            scope: Scope::Any,
            value: value.into(),
            place: Place::Flag(flag.to_owned()),
            only: None,
        }
    }

    /// The `KEY=VALUE` of a `-X`, the key with or without `producer.`, `consumer.`, `rdkafka.`.
    ///
    /// # Errors
    /// When there is no `=` or no key before it.
    pub fn parse_override(typed: &str) -> Result<Self, Mistake> {
        let (name, value) = typed.split_once('=').unwrap_or((typed, ""));
        let place = Place::Override(name.to_owned());
        let unprefixed = name.strip_prefix("kafka.").unwrap_or(name);
        let (scope, key) = Scope::split(unprefixed, Scope::Any);
        if key.is_empty() || name.len() == typed.len() {
            return Err(Mistake::new(&place, "-X takes KEY=VALUE"));
        }
        Ok(Self { key: key.to_owned(), scope, value: value.to_owned(), place, only: None })
    }
}

impl Entry {
    /// Whether its value must never be shown.
    pub fn is_secret(&self) -> bool {
        match self.scope {
            Scope::Rdkafka => is_sensitive(&self.key),
            _ => keys::find(&self.key).is_some_and(|(key, _)| key.secret),
        }
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, scope, value: _, place, only } = self;
        write!(f, "Entry {{ {scope:?} {key}, {place}, {only:?} }}")
    }
}

/// True when a librdkafka key of this name holds something secret (librdkafka's own list of sensitive
/// properties, by the words in their names).
pub(super) fn is_sensitive(native: &str) -> bool {
    const WORDS: [&str; 6] =
        ["password", "passphrase", "secret", "jaas", "private.key.pem", "oauthbearer.config"];
    let name = native.to_ascii_lowercase().replace('_', ".");
    WORDS.iter().any(|word| name.contains(word)) || name == "ssl.key.pem"
}

/// Values of one source.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Layer {
    /// What it sets. Of two entries for the same key the later one counts.
    pub entries: Vec<Entry>,
    /// What it sets unless anything else does.
    pub defaults: Vec<Entry>,
    /// What could not be read.
    pub mistakes: Vec<Mistake>,
    /// The topic it names.
    pub topic: Option<(String, Place)>,
    /// Keys in it that do not count, one line for a warning each.
    pub warnings: Vec<String>,
    /// Secrets in a file that other users can read.
    pub exposed: Vec<Place>,
}

impl Layer {
    /// Notes the secrets that stand in `text`, the contents of a file that other users can read. A reference to a
    /// variable or to another file is none.
    pub fn note_exposed_secrets(&mut self, text: &[u8]) {
        let stands_here =
            |secret: &str| !secret.is_empty() && memmem::find(text, secret.as_bytes()).is_some();
        let secrets = self.entries.iter().chain(&self.defaults).filter(|entry| entry.is_secret());
        let exposed = secrets.filter(|entry| stands_here(&entry.value)).map(|entry| entry.place.clone());
        self.exposed = exposed.collect();
    }

    /// Adds one of the command line's `-X`.
    pub fn push_override(&mut self, typed: &str) {
        match Entry::parse_override(typed) {
            Ok(entry) => self.entries.push(entry),
            Err(mistake) => self.mistakes.push(mistake),
        }
    }
}

/// All layers of a run. In order of precedence: flags, `-X`, environment, files (the last one first),
/// profile, defaults.
#[derive(Debug, Clone, Default)]
pub struct Layers {
    /// Flags.
    pub flags: Layer,
    /// `-X`.
    pub overrides: Layer,
    /// Environment variables.
    pub env: Layer,
    /// Files, in the order they were named.
    pub files: Vec<Layer>,
}

impl Layers {
    /// What the user said, the layer that wins first.
    pub(super) fn in_order(&self) -> impl Iterator<Item = &Layer> {
        [&self.flags, &self.overrides, &self.env].into_iter().chain(self.files.iter().rev())
    }

    /// Secrets on the command line, where whoever lists processes sees them.
    pub fn secrets_in_overrides(&self) -> impl Iterator<Item = &Entry> {
        self.overrides.entries.iter().filter(|entry| entry.is_secret())
    }

    /// The topic named in a file.
    pub fn topic(&self) -> Option<&(String, Place)> {
        self.in_order().find_map(|layer| layer.topic.as_ref())
    }
}
