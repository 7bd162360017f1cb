//! Settings: layers of typed-in values with their places, resolved against the key table.

mod complain;
pub mod env;
pub mod expand;
pub mod explain;
pub mod found;
pub mod json;
pub mod keys;
mod layers;
mod mistake;
mod profile;
pub mod properties;
mod resolve;
mod rules;
mod value;

pub use env::Environment;
pub use keys::KeyId;
pub use layers::{Entry, Layer, Layers, Scope};
pub use mistake::{Mistake, Mistakes, shorten};

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use value::Value;

/// A client library.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Library {
    /// Our own, pure Rust.
    Native,
    /// librdkafka through the `rdkafka` crate.
    Rdkafka,
    /// Pure Rust, through the `rskafka` crate.
    Rskafka,
}

impl Library {
    /// All there are, in the order `auto` prefers them: ours is the fastest, librdkafka can do the most.
    pub const ALL: [Self; 3] = [Self::Native, Self::Rdkafka, Self::Rskafka];

    /// The library of this name, or of a name the Python libraries are known by.
    pub fn named(name: &str) -> Option<Self> {
        let synonyms = KeyId::Library.key().synonyms;
        let meant = synonyms.iter().find(|(typed, _)| *typed == name).map_or(name, |(_, meant)| meant);
        Self::ALL.into_iter().find(|library| library.name() == meant)
    }

    /// True when a setting that a file has for this library only is one for `other`: ours takes what is
    /// meant for the other pure-Rust one, since both know settings by their Java names.
    fn is_meant_for(self, other: Self) -> bool {
        self == other || (self, other) == (Self::Rskafka, Self::Native)
    }

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Rdkafka => "rdkafka",
            Self::Rskafka => "rskafka",
        }
    }
}

impl fmt::Display for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The library asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// The first that is built in and can do what is asked.
    Auto,
    /// This one.
    Only(Library),
}

/// What a run does: publishing or subscribing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// Publishing.
    Producer,
    /// Subscribing.
    Consumer,
}

/// Where a value was set.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Place {
    /// A flag, e.g. `--acks`.
    Flag(String),
    /// `-X KEY=`, with the key as typed.
    Override(String),
    /// An environment variable, without the `$`.
    Env(String),
    /// A line of a properties file, or (without a line) a JSON file with the path of the member.
    File { path: PathBuf, line: Option<u32>, member: Option<String> },
    /// A line of `./application.properties` that nobody named (see [`found`]).
    Found { line: Option<u32> },
    /// A profile.
    Profile(String),
    /// Nowhere: the default.
    Default,
}

impl Place {
    /// Its line in a file.
    fn line(&self) -> Option<u32> {
        match self {
            Self::File { line, .. } | Self::Found { line } => *line,
            _ => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => f.write_str(flag),
            Self::Override(key) => write!(f, "-X {key}"),
            Self::Env(name) => write!(f, "${name}"),
            Self::File { path, line, member } => {
                write!(f, "{}", path.display())?;
                if let Some(line) = line {
                    write!(f, ":{line}")?;
                }
                member.as_ref().map_or(Ok(()), |member| write!(f, ": {member}"))
            }
            Self::Found { line: Some(line) } => write!(f, "{}:{line}", found::FILE),
            Self::Found { line: None } => f.write_str(found::FILE),
            Self::Profile(name) => write!(f, "profile {name}"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// The settings of one run for one side (publishing or subscribing), resolved. A getter for a key
/// of another kind than it has is a programming error.
#[derive(Clone)]
pub struct Settings {
    side: Side,
    /// One for each row of the key table, in its order.
    rows: Vec<Setting>,
    passthrough: Vec<(String, String, Place)>,
    overridden_passthrough: Vec<(String, String, Place)>,
}

/// One setting: what is in force, and what it won over.
#[derive(Clone)]
struct Setting {
    value: Option<Value>,
    place: Place,
    overridden: Vec<(String, Place)>,
}

impl Settings {
    /// Whose settings these are.
    pub fn side(&self) -> Side {
        self.side
    }
    /// A value as text, in its canonical form (numbers in the unit of the canonical spelling); `None`
    /// when it is not set and has no default.
    pub fn text(&self, key: KeyId) -> Option<&str> {
        self.row(key).value.as_ref().map(|value| value.text.as_str())
    }
    /// A whole number; bytes for a size.
    pub fn int(&self, key: KeyId) -> i64 {
        self.row(key).value.as_ref().map_or(0, |value| value.number)
    }
    /// A duration.
    pub fn duration(&self, key: KeyId) -> Duration {
        Duration::from_millis(self.int(key).unsigned_abs())
    }
    /// A number of bytes or of things.
    pub fn size(&self, key: KeyId) -> usize {
        usize::try_from(self.int(key)).unwrap_or_default()
    }
    /// A switch.
    pub fn bool(&self, key: KeyId) -> bool {
        self.int(key) != 0
    }
    /// The elements of a list.
    pub fn list(&self, key: KeyId) -> Vec<String> {
        self.text(key).map(|text| text.split(',').map(str::to_owned).collect()).unwrap_or_default()
    }
    /// Where the value in force comes from.
    pub fn place(&self, key: KeyId) -> &Place {
        &self.row(key).place
    }
    /// True unless the value in force is the default.
    pub fn is_set(&self, key: KeyId) -> bool {
        *self.place(key) != Place::Default
    }
    /// `rdkafka.KEY` values, for librdkafka as they are: key, value, place.
    pub fn passthrough(&self) -> &[(String, String, Place)] {
        &self.passthrough
    }
    /// host:port of each bootstrap server.
    pub fn bootstrap(&self) -> Vec<String> {
        self.list(KeyId::BootstrapServers)
    }

    /// True when the embedded broker is asked for: its address is not known before it runs.
    pub fn is_embedded(&self) -> bool {
        self.text(KeyId::BootstrapServers) == Some(value::EMBEDDED)
    }
    /// Puts the embedded broker's address in the place of its name.
    pub fn set_embedded(&mut self, addr: SocketAddr) {
        self.replace(KeyId::BootstrapServers, &addr.to_string());
    }

    /// How long a first connection that is refused is tried again, since a broker may be starting. A resilient run
    /// counts its tries itself.
    pub fn refused_for(&self) -> Duration {
        const STARTING: Duration = Duration::from_secs(2);
        if self.bool(KeyId::Resilient) {
            Duration::ZERO
        } else {
            STARTING.min(self.duration(KeyId::ConnectTimeout))
        }
    }

    /// How long a library that reads goes on without an answer: `socket.timeout.ms`, in a resilient run as long as
    /// all tries.
    pub fn patience(&self) -> Duration {
        if !self.bool(KeyId::Resilient) {
            return self.duration(KeyId::SocketTimeout);
        }
        let tries = u32::try_from(self.int(KeyId::ReconnectTries)).unwrap_or(u32::MAX);
        self.duration(KeyId::ReconnectInterval).saturating_mul(tries)
    }

    /// Takes the place of `delivery.timeout.ms` and `retries`: a library whose run is resilient goes on for so
    /// long by itself.
    pub fn set_patience(&mut self, patience: Duration) {
        let ms = patience.as_millis().clamp(1, i32::MAX as u128);
        self.replace(KeyId::DeliveryTimeout, &ms.to_string());
        self.replace(KeyId::Retries, &i32::MAX.to_string());
    }

    /// Settings with these values set as by `-X`.
    ///
    /// # Panics
    /// On a mistake in them.
    #[doc(hidden)]
    pub fn for_tests(side: Side, values: &[(&str, &str)]) -> Self {
        let mut layers = Layers::default();
        for (key, value) in values {
            layers.overrides.push_override(&format!("{key}={value}"));
        }
        layers.resolve(side, Library::Rdkafka).unwrap_or_else(|mistakes| panic!("{mistakes}"))
    }

    fn row(&self, key: KeyId) -> &Setting {
        &self.rows[key as usize]
    }

    /// Replaces a value by another.
    fn replace(&mut self, id: KeyId, text: &str) {
        self.rows[id as usize].value = value::parse(id.key(), 1, text).ok();
    }
}

/// Says what is set; nothing that is secret, and no defaults.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for (key, row) in keys::KEYS.iter().zip(&self.rows).filter(|(_, row)| row.place != Place::Default) {
            let value = row.value.as_ref().map_or("", |value| &value.text);
            map.entry(&key.java, &if key.secret { HIDDEN } else { value });
        }
        for (key, value, _) in &self.passthrough {
            map.entry(key, &if layers::is_sensitive(key) { HIDDEN } else { value });
        }
        map.finish()
    }
}

/// The name of a topic typed as `NAME` or `kafka://topic/NAME`.
///
/// # Errors
/// One line that shows the right form, or says what a name may be made of.
pub fn topic_name(typed: &str) -> Result<&str, String> {
    let name = typed.strip_prefix("kafka://topic/").unwrap_or(typed);
    if name.contains("://") || (name.len() < typed.len() && name.contains(['/', '?', '#'])) {
        return Err(format!("{typed:?} is not a topic: write NAME or kafka://topic/NAME"));
    }
    // The broker's own rule (org.apache.kafka.common.internals.Topic).
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if matches!(name, "." | "..") {
        return Err(format!("{name:?}: neither . nor .. can be a topic"));
    }
    if name.is_empty() || name.len() > 249 || !name.chars().all(legal) {
        return Err(format!("{name:?} is not a topic name: 1 to 249 of the characters a-z A-Z 0-9 . _ -"));
    }
    Ok(name)
}

/// What stands for a secret wherever settings are shown.
pub const HIDDEN: &str = "[hidden]";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_shown_as_the_user_knows_them() {
        let file = |line, member: Option<&str>| Place::File {
            path: "conf/a.json".into(),
            line,
            member: member.map(str::to_owned),
        };
        for (place, expected) in [
            (Place::Flag("--acks".into()), "--acks"),
            (Place::Override("linger.ms".into()), "-X linger.ms"),
            (Place::Env("KPS_ACKS".into()), "$KPS_ACKS"),
            (file(Some(12), None), "conf/a.json:12"),
            (file(None, Some("producer_config.acks")), "conf/a.json: producer_config.acks"),
            (file(None, None), "conf/a.json"),
            (Place::Found { line: Some(12) }, "application.properties:12"),
            (Place::Found { line: None }, "application.properties"),
            (Place::Profile("high-throughput".into()), "profile high-throughput"),
            (Place::Default, "default"),
        ] {
            assert_eq!(place.to_string(), expected);
        }
    }

    #[test]
    fn a_topic_is_a_name_or_its_url() {
        for (typed, expected) in [
            ("orders", Ok("orders")),
            ("kafka://topic/a.b_c-1", Ok("a.b_c-1")),
            ("http://topic/a", Err(r#""http://topic/a" is not a topic: write NAME or kafka://topic/NAME"#)),
            ("kafka://a", Err(r#""kafka://a" is not a topic: write NAME or kafka://topic/NAME"#)),
            (
                "kafka://topic/a/b",
                Err(r#""kafka://topic/a/b" is not a topic: write NAME or kafka://topic/NAME"#),
            ),
            ("a b", Err(r#""a b" is not a topic name: 1 to 249 of the characters a-z A-Z 0-9 . _ -"#)),
            (
                "kafka://topic/",
                Err(r#""" is not a topic name: 1 to 249 of the characters a-z A-Z 0-9 . _ -"#),
            ),
            ("..", Err(r#""..": neither . nor .. can be a topic"#)),
        ] {
            assert_eq!(topic_name(typed).map_err(|wrong| wrong.leak() as &str), expected, "{typed}");
        }
        assert!(topic_name(&"a".repeat(249)).is_ok() && topic_name(&"a".repeat(250)).is_err());
    }

    #[test]
    fn getters_know_their_units() {
        let values = [("linger.ms", "1500"), ("acks", "all"), ("bootstrap.servers", "a,b:1")];
        let settings = Settings::for_tests(Side::Producer, &values);
        assert_eq!(settings.duration(KeyId::Linger), Duration::from_millis(1500));
        assert_eq!(settings.int(KeyId::MaxRequestSize), 1 << 20);
        assert!(settings.bool(KeyId::EnableIdempotence));
        assert_eq!(settings.bootstrap(), ["a:9092", "b:1"]);
        assert_eq!(settings.text(KeyId::TransactionalId), None);
        assert!(settings.is_set(KeyId::Acks) && !settings.is_set(KeyId::Retries));
        assert_eq!(settings.side(), Side::Producer);
    }

    #[test]
    fn the_embedded_broker_has_an_address_once_it_runs() {
        let mut settings = Settings::for_tests(Side::Consumer, &[("bootstrap.servers", "embedded")]);
        assert!(settings.is_embedded());
        settings.set_embedded(([127, 0, 0, 1], 1234).into());
        assert!(!settings.is_embedded());
        assert_eq!(settings.bootstrap(), ["127.0.0.1:1234"]);
        assert!(settings.is_set(KeyId::BootstrapServers));
    }

    #[test]
    fn profiles_set_what_they_promise() {
        let settings =
            Settings::for_tests(Side::Producer, &[("profile", "high-throughput"), ("linger.ms", "7")]);
        let number = |key| settings.int(key);
        assert_eq!(number(KeyId::QueueMaxMessages), 500_000);
        assert_eq!(number(KeyId::BatchNumMessages), 50_000);
        assert_eq!(number(KeyId::Linger), 7);
        assert_eq!(settings.text(KeyId::CompressionType), Some("lz4"));
        assert_eq!(settings.text(KeyId::Acks), Some("1"));
        let settings = Settings::for_tests(Side::Consumer, &[("profile", "high-throughput")]);
        let number = |key| settings.int(key);
        assert_eq!(number(KeyId::FetchMinBytes), 100_000);
        assert_eq!(number(KeyId::FetchMaxBytes), 52_428_800);
        assert_eq!(number(KeyId::MaxPartitionFetchBytes), 1_048_576);
        assert_eq!(number(KeyId::FetchMaxWait), 100);
        let settings = Settings::for_tests(Side::Producer, &[("profile", "low-latency")]);
        assert_eq!((settings.int(KeyId::Linger), settings.text(KeyId::Acks)), (0, Some("1")));
    }

    #[test]
    fn debug_hides_secrets() {
        let values = [
            ("sasl.password", "hunter2"),
            ("rdkafka.ssl.keystore.password", "hunter3"),
            ("client.id", "seen"),
        ];
        let shown = format!("{:?}", Settings::for_tests(Side::Producer, &values));
        assert!(shown.contains("seen") && !shown.contains("hunter"), "{shown}");
    }
}
