//! `./application.properties` that nobody named. Whoever can write to the folder wrote it (a cloned repository, a
//! shared folder), so it may choose brokers, groups and tuning, and nothing that runs code, opens files, weakens
//! security or sends what only the user knows.

use super::keys::{self, KEYS};
use super::layers::is_sensitive;
use super::mistake::shorten;
use super::properties::{Parsed, Property, list, warn_of_unprefixed};
use super::{Entry, KeyId, Layer, Mistake, Mistakes, Place, Scope, Settings, complain};

/// The file, in the current folder.
pub const FILE: &str = "application.properties";

/// How a user who trusts the file says so.
const WAY_OUT: &str = "--props ./application.properties, if you trust it";

/// The keys that the file may set: servers, library, profile, group, and keys whose values are numbers, switches or
/// words of a fixed choice and that are not about security. A new key is outside until it is listed here.
const ALLOWED: &[KeyId] = &[
    KeyId::Library,
    KeyId::Profile,
    KeyId::BootstrapServers,
    KeyId::LogFormat,
    KeyId::DrainTimeout,
    KeyId::Resilient,
    KeyId::ReconnectTries,
    KeyId::ReconnectInterval,
    KeyId::ReconnectJitter,
    KeyId::BufferMaxMessages,
    KeyId::BufferMaxBytes,
    KeyId::BufferFull,
    KeyId::SpoolMaxBytes,
    KeyId::RequestTimeout,
    KeyId::RetryBackoff,
    KeyId::SocketTimeout,
    KeyId::ConnectTimeout,
    KeyId::ReconnectBackoff,
    KeyId::ReconnectBackoffMax,
    KeyId::MetadataMaxAge,
    KeyId::AutoCreateTopics,
    KeyId::Acks,
    KeyId::Retries,
    KeyId::BatchSize,
    KeyId::BatchNumMessages,
    KeyId::Linger,
    KeyId::CompressionType,
    KeyId::CompressionLevel,
    KeyId::MaxInFlight,
    KeyId::BufferMemory,
    KeyId::QueueMaxMessages,
    KeyId::MaxRequestSize,
    KeyId::DeliveryTimeout,
    KeyId::EnableIdempotence,
    KeyId::Partitioner,
    KeyId::GroupId,
    KeyId::GroupProtocol,
    KeyId::AutoOffsetReset,
    KeyId::EnableAutoCommit,
    KeyId::AutoCommitInterval,
    KeyId::MaxPollRecords,
    KeyId::MaxPollInterval,
    KeyId::SessionTimeout,
    KeyId::HeartbeatInterval,
    KeyId::AssignmentStrategy,
    KeyId::IsolationLevel,
    KeyId::FetchMinBytes,
    KeyId::FetchMaxBytes,
    KeyId::MaxPartitionFetchBytes,
    KeyId::FetchMaxWait,
    KeyId::CheckCrcs,
];

/// Whether a key of this name is about security, known here or not.
pub(super) fn is_security(name: &str) -> bool {
    const PREFIXES: [&str; 6] = ["security.", "ssl.", "sasl.", "enable.ssl.", "enable.sasl.", "https."];
    let (_, key) = Scope::split(name, Scope::Any);
    let key = key.to_ascii_lowercase().replace('_', ".");
    PREFIXES.iter().any(|prefix| key.starts_with(prefix))
}

/// What the file sets: keys it may not set are mistakes, unknown ones (the application's own) one warning.
pub fn layer(parsed: Parsed) -> Layer {
    let Parsed { properties, mistakes } = parsed;
    let mut layer = Layer { mistakes, ..Layer::default() };
    let mut unknown = Vec::new();
    for property in &properties {
        let Some(key) = property.ours() else { continue };
        let entry = property.entry(key, Place::Found { line: property.line });
        match judge(&entry) {
            Verdict::Allowed => layer.entries.push(entry),
            Verdict::Unknown => unknown.push((property, entry)),
            Verdict::Key => {
                let message =
                    format!("{} counts only in a file that was named: {WAY_OUT}", shorten(&property.name));
                layer.mistakes.push(Mistake::new(&entry.place, message));
            }
            Verdict::Placeholder => {
                let name = shorten(&property.name);
                let message =
                    format!("{name}: ${{...}} is filled in only in a file that was named: {WAY_OUT}");
                layer.mistakes.push(Mistake::new(&entry.place, message));
            }
        }
    }
    layer.warnings.extend(warn_of_unknown(&unknown));
    if properties.iter().any(|property| property.ours().is_some()) {
        // Single words such as `profile` are as likely the application's own.
        layer.warnings.extend(warn_of_unprefixed(&properties, FILE, |property| property.name.contains('.')));
    }
    layer
}

/// The mistake of a file that holds JSON, in which keys of librdkafka need no prefix.
pub fn refused_json() -> Mistake {
    Mistake::new(
        &Place::Found { line: None },
        format!("JSON counts only in a file that was named: {WAY_OUT}"),
    )
}

/// What is to become of an entry.
enum Verdict {
    Allowed,
    /// Neither ours nor about security: it has no effect.
    Unknown,
    /// Refused for its key.
    Key,
    /// Refused for its value.
    Placeholder,
}

fn judge(entry: &Entry) -> Verdict {
    match keys::find(&entry.key) {
        _ if entry.scope == Scope::Rdkafka => Verdict::Key,
        Some((key, _)) if !ALLOWED.contains(&key.id) => Verdict::Key,
        Some(_) if entry.value.contains("${") => Verdict::Placeholder,
        Some(_) => Verdict::Allowed,
        None if is_security(&entry.key) => Verdict::Key,
        None => Verdict::Unknown,
    }
}

fn warn_of_unknown(unknown: &[(&Property, Entry)]) -> Option<String> {
    let keys = match unknown.len() {
        0 => return None,
        1 => "an unknown key",
        _ => "unknown keys",
    };
    let shown = |(property, entry): &(&Property, Entry)| match complain::nearest_name(entry) {
        Some(near) => format!("{}, did you mean {near}?", property.shown()),
        None => property.shown(),
    };
    Some(format!("{FILE}: {keys} without effect: {}", list(unknown.iter().map(shown))))
}

impl Settings {
    /// The settings in force that the file decided, with their values.
    pub fn decided_by_found_file(&self) -> impl Iterator<Item = (KeyId, &str)> {
        let decided = KEYS.iter().filter(|key| self.is_found(key.id));
        decided.map(|key| (key.id, self.text(key.id).unwrap_or_default()))
    }

    /// Whether the file decided this setting.
    pub fn is_found(&self, key: KeyId) -> bool {
        matches!(self.place(key), Place::Found { .. })
    }

    /// Refuses a run that would give a secret to brokers that only this file names.
    ///
    /// # Errors
    /// One mistake that names the secret and its place.
    pub fn check_found_servers(&self) -> Result<(), Mistakes> {
        if !self.is_found(KeyId::BootstrapServers) || self.is_embedded() {
            return Ok(());
        }
        let Some((what, place)) = self.secret_in_use() else { return Ok(()) };
        let message = format!(
            "the brokers that this file names are not given a secret ({what}, {place}): name them with -b, or the \
             file with {WAY_OUT}"
        );
        Mistakes::none_in(vec![Mistake::new(self.place(KeyId::BootstrapServers), message)])
    }

    /// The setting that makes connections use a secret: SASL sends a password, token or ticket, TLS with a client
    /// key proves who the user is.
    fn secret_in_use(&self) -> Option<(String, Place)> {
        let passed = |wanted: &dyn Fn(&str) -> bool| {
            let found = self.passthrough().iter().find(|(key, ..)| wanted(key));
            found.map(|(key, _, place)| (format!("rdkafka.{key}"), place.clone()))
        };
        let set = |id: KeyId| self.is_set(id).then(|| (id.key().java.to_owned(), self.place(id).clone()));
        // librdkafka's own spelling wins where it is set.
        let protocols = self.passthrough().iter().filter(|(key, ..)| key == "security.protocol");
        let protocol = protocols.map(|(_, value, _)| value.as_str()).next();
        let protocol =
            protocol.or(self.text(KeyId::SecurityProtocol)).unwrap_or_default().to_ascii_uppercase();
        if protocol.contains("SASL") {
            return set(KeyId::SaslPassword)
                .or_else(|| passed(&|key| key.starts_with("sasl.") && is_sensitive(key)))
                .or_else(|| set(KeyId::SaslMechanism))
                .or_else(|| passed(&|key| key == "security.protocol"))
                .or_else(|| set(KeyId::SecurityProtocol));
        }
        if protocol.contains("SSL") {
            // ssl.key.location, ssl.key.pem, ssl.keystore.location; an engine holds keys, too.
            return set(KeyId::SslKeyLocation)
                .or_else(|| passed(&|key| key.starts_with("ssl.key") || key.starts_with("ssl.engine")));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::keys::Kind;
    use crate::settings::{Layers, Library, Side};

    fn read(lines: &[(&str, &str)]) -> Layer {
        let property = |(&(name, value), line): (&(&str, &str), u32)| Property {
            name: name.to_owned(),
            value: value.to_owned(),
            line: Some(line),
        };
        layer(Parsed { properties: lines.iter().zip(1..).map(property).collect(), mistakes: Vec::new() })
    }

    fn mistakes(layer: &Layer) -> Vec<String> {
        layer.mistakes.iter().map(ToString::to_string).collect()
    }

    /// The list as users know it. It is written out so that a key gets on it on purpose only.
    const MAY_SET: &[&str] = &[
        "library",
        "profile",
        "bootstrap.servers",
        "log.format",
        "drain.timeout.seconds",
        "resilient",
        "resilient.reconnect.tries",
        "resilient.reconnect.interval.seconds",
        "resilient.reconnect.jitter",
        "resilient.buffer.max.messages",
        "resilient.buffer.max.bytes",
        "resilient.buffer.full",
        "resilient.spool.max.bytes",
        "request.timeout.ms",
        "retry.backoff.ms",
        "socket.timeout.ms",
        "socket.connection.setup.timeout.ms",
        "reconnect.backoff.ms",
        "reconnect.backoff.max.ms",
        "metadata.max.age.ms",
        "allow.auto.create.topics",
        "acks",
        "retries",
        "batch.size",
        "batch.num.messages",
        "linger.ms",
        "compression.type",
        "compression.level",
        "max.in.flight.requests.per.connection",
        "buffer.memory",
        "queue.buffering.max.messages",
        "max.request.size",
        "delivery.timeout.ms",
        "enable.idempotence",
        "partitioner",
        "group.id",
        "group.protocol",
        "auto.offset.reset",
        "enable.auto.commit",
        "auto.commit.interval.ms",
        "max.poll.records",
        "max.poll.interval.ms",
        "session.timeout.ms",
        "heartbeat.interval.ms",
        "partition.assignment.strategy",
        "isolation.level",
        "fetch.min.bytes",
        "fetch.max.bytes",
        "max.partition.fetch.bytes",
        "fetch.max.wait.ms",
        "check.crcs",
    ];

    #[test]
    fn each_key_is_on_the_list_or_refused_in_every_spelling() {
        let words = [KeyId::Library, KeyId::Profile, KeyId::BootstrapServers, KeyId::GroupId];
        for key in KEYS {
            let listed = MAY_SET.contains(&key.java);
            let closed = !matches!(key.kind, Kind::Text | Kind::Name | Kind::Servers);
            let security = key.secret || is_security(key.java);
            assert!(
                !listed || (!security && (closed || words.contains(&key.id))),
                "{} must not be listed",
                key.java
            );
            // What the rule allows today is on the list, too.
            assert_eq!(listed, !security && (closed || words.contains(&key.id)), "{}", key.java);
            for (spelling, _) in key.spellings() {
                let spellings =
                    [spelling.to_owned(), spelling.replace('.', "_"), format!("consumer.{spelling}")];
                for spelling in spellings {
                    let name = format!("kafka.{spelling}");
                    let layer = read(&[(&name, "1")]);
                    assert_eq!(layer.entries.len(), usize::from(listed), "{name}");
                    let expected = format!(
                        "application.properties:1: {name} counts only in a file that was named: --props \
                         ./application.properties, if you trust it"
                    );
                    assert_eq!(mistakes(&layer), Vec::from_iter((!listed).then_some(expected)), "{name}");
                }
            }
        }
    }

    #[test]
    fn foreign_code_placeholders_and_security_unknown_here_are_refused() {
        for (name, value) in [
            ("kafka.rdkafka.plugin.library.paths", "./evil.so"),
            ("kafka.rdkafka.enable.ssl.certificate.verification", "false"),
            ("kafka.rdkafka.linger.ms", "5"),
            ("kafka.rdkafka.", "5"),
            ("kafka.enable.ssl.certificate.verification", "false"),
            ("kafka.sasl.jaas.config", "x"),
            ("kafka.producer.SSL_keystore_key", "x"),
            ("kafka.security.providers", "x"),
            ("kafka.bootstrap.servers", "${HOST}:9092"),
            ("kafka.consumer.group.id", "${file:/etc/passwd}"),
        ] {
            let layer = read(&[(name, value)]);
            assert!(layer.entries.is_empty() && layer.warnings.is_empty(), "{name}");
            let said = mistakes(&layer);
            assert_eq!(said.len(), 1, "{name}: {said:?}");
            assert!(said[0].starts_with(&format!("application.properties:1: {name}")), "{said:?}");
            assert!(said[0].contains("--props ./application.properties"), "{said:?}");
        }
    }

    #[test]
    fn keys_of_the_application_are_one_warning() {
        let layer = read(&[
            ("kafka.topic.orders", "${TOPIC}"),
            ("kafka.producer.lingr.ms", "5"),
            ("server.port", "1"),
        ]);
        assert!(layer.entries.is_empty() && layer.mistakes.is_empty());
        assert_eq!(
            layer.warnings,
            ["application.properties: unknown keys without effect: kafka.topic.orders (line 1), \
              kafka.producer.lingr.ms (line 2), did you mean kafka.producer.linger.ms?"]
        );
        let layer = read(&[("kafka.producer.acks", "1"), ("client.id", "x"), ("profile", "dev")]);
        assert_eq!(
            layer.warnings,
            [
                "application.properties: without the prefix kafka. a key does not count: client.id (line 2); write \
              kafka.client.id"
            ]
        );
        assert_eq!(read(&[("client.id", "x")]).warnings, [] as [&str; 0]);
    }

    fn settings(overrides: &[&str], side: Side) -> Settings {
        let mut layers =
            Layers { files: vec![read(&[("kafka.bootstrap.servers", "evil:1")])], ..Layers::default() };
        overrides.iter().for_each(|typed| layers.overrides.push_override(typed));
        layers.resolve(side, Library::Rdkafka).unwrap()
    }

    #[test]
    fn brokers_that_the_file_names_are_given_no_secret() {
        for (overrides, named) in [
            (&["security.protocol=SASL_PLAINTEXT", "sasl.password=x"][..], "sasl.password, -X sasl.password"),
            (&["security.protocol=sasl_ssl", "sasl.mechanism=GSSAPI"], "sasl.mechanism, -X sasl.mechanism"),
            (&["security.protocol=SASL_SSL"], "security.protocol, -X security.protocol"),
            (&["security.protocol=SSL", "ssl.key.location=k"], "ssl.key.location, -X ssl.key.location"),
            (
                &["security.protocol=SSL", "rdkafka.ssl.key.pem=k"],
                "rdkafka.ssl.key.pem, -X rdkafka.ssl.key.pem",
            ),
            (
                &["rdkafka.security.protocol=ssl", "rdkafka.ssl.keystore.location=k"],
                "rdkafka.ssl.keystore.location, -X rdkafka.ssl.keystore.location",
            ),
            (
                &["rdkafka.security.protocol=sasl_ssl"],
                "rdkafka.security.protocol, -X rdkafka.security.protocol",
            ),
            (
                &["security.protocol=SASL_SSL", "rdkafka.sasl.oauthbearer.client.secret=x"],
                "rdkafka.sasl.oauthbearer.client.secret, -X rdkafka.sasl.oauthbearer.client.secret",
            ),
        ] {
            for side in [Side::Producer, Side::Consumer] {
                let error = settings(overrides, side).check_found_servers().unwrap_err().to_string();
                assert!(error.starts_with("application.properties:1: "), "{error}");
                assert!(error.contains(&format!("({named})")), "{error}");
                assert!(
                    error.contains("-b") && error.contains("--props ./application.properties"),
                    "{error}"
                );
            }
        }
    }

    #[test]
    fn no_secret_is_at_stake_without_security_or_with_brokers_named_elsewhere() {
        for overrides in [
            &[][..],
            // Nothing sends a password in plain text without SASL.
            &["sasl.password=x"],
            &["ssl.key.location=k"],
            &["security.protocol=SSL", "ssl.ca.location=ca"],
            &["security.protocol=SASL_SSL", "sasl.password=x", "bootstrap.servers=mine:1"],
        ] {
            assert_eq!(settings(overrides, Side::Producer).check_found_servers(), Ok(()), "{overrides:?}");
        }
    }

    #[test]
    fn settings_in_force_are_told_from_those_that_were_overridden() {
        let mut layers = Layers {
            files: vec![read(&[("kafka.bootstrap.servers", "a:1"), ("kafka.producer.acks", "1")])],
            ..Layers::default()
        };
        layers.overrides.push_override("acks=all");
        let settings = layers.resolve(Side::Producer, Library::Native).unwrap();
        let decided: Vec<_> = settings.decided_by_found_file().collect();
        assert_eq!(decided, [(KeyId::BootstrapServers, "a:1")]);
    }
}
