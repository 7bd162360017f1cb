//! What to say about a key that is not there, not there where it was set, or has a wrong value.

use super::keys::{KEYS, Key, Role};
use super::mistake::nearest;
use super::{Entry, Mistake, Place, Scope};

/// Keys that people have in their files and that `kps` has no use for, and what to do instead.
const HINTS: &[(&str, &str)] = &[
    ("key.serializer", BYTES),
    ("value.serializer", BYTES),
    ("key.deserializer", BYTES),
    ("value.deserializer", BYTES),
    ("ssl.keystore.location", PEM),
    ("ssl.keystore.password", PEM),
    ("ssl.truststore.password", PEM),
    ("sasl.jaas.config", "set sasl.username and sasl.password"),
    ("consumer.timeout.ms", "use the flag --idle-timeout"),
];

const PEM: &str = "use PEM files: ssl.ca.location, ssl.certificate.location, ssl.key.location";
const BYTES: &str = "keys and values go through as bytes; delete it";

/// The mistake of a value that its key does not take.
pub(super) fn bad_value(entry: &Entry, wrong: &str) -> Mistake {
    // Every other place names the key itself.
    let name = written(entry, entry.scope.prefix(), &entry.key);
    let named = if in_properties(entry) { format!("{name}: {wrong}") } else { wrong.to_owned() };
    Mistake::new(&entry.place, named)
}

/// The mistake of a key that is not known.
pub(super) fn unknown(entry: &Entry) -> Mistake {
    let name = if in_properties(entry) {
        format!("unknown key {}", written(entry, entry.scope.prefix(), &entry.key))
    } else {
        "unknown key".to_owned()
    };
    let advice = if let Some(hint) = hint(&entry.key) {
        format!(": {hint}")
    } else if let Some(meant) = nearest_name(entry) {
        format!(", did you mean {meant}?")
    } else if matches!(entry.place, Place::Env(_)) || in_json(entry) || entry.scope == Scope::Rdkafka {
        String::new()
    } else {
        format!("; librdkafka's own keys are written {}", written(entry, Scope::Rdkafka.prefix(), "KEY"))
    };
    Mistake::new(&entry.place, format!("{name}{advice}"))
}

/// The known key that an unknown one is nearest to, as one writes it where the entry is.
pub(super) fn nearest_name(entry: &Entry) -> Option<String> {
    nearest(&dotted(&entry.key), candidates(entry))
}

/// The mistake of a key that was set for a side that does not have it.
pub(super) fn misplaced(entry: &Entry, key: &Key) -> Mistake {
    let owner = match key.role {
        Role::Tool | Role::Both => "the whole run",
        Role::Producer => "the producer",
        Role::Consumer => "the consumer",
    };
    let typed = written(entry, entry.scope.prefix(), &entry.key);
    let message = if in_json(entry) {
        format!("{typed} is a setting of {owner}")
    } else {
        format!("{typed} is a setting of {owner}: write {}", written(entry, key.role.prefix(), &entry.key))
    };
    Mistake::new(&entry.place, message)
}

/// True when a key of this role may be set in this scope.
pub(super) fn accepts(scope: Scope, role: Role) -> bool {
    match scope {
        Scope::Any => true,
        Scope::Common => matches!(role, Role::Tool | Role::Both),
        Scope::Producer => matches!(role, Role::Both | Role::Producer),
        Scope::Consumer => matches!(role, Role::Both | Role::Consumer),
        Scope::Rdkafka => false,
    }
}

/// What to do about a key that `kps` has no use for, where many have it.
pub(super) fn hint(key: &str) -> Option<&'static str> {
    let key = dotted(key);
    HINTS.iter().find(|(name, _)| *name == key).map(|&(_, hint)| hint)
}

/// Every name that would have been right in this place: to compare with, and as it would be written.
fn candidates(entry: &Entry) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for key in KEYS {
        for (spelling, _) in key.spellings() {
            for scope in [entry.scope, Scope::Producer, Scope::Consumer] {
                if !accepts(scope, key.role) {
                    continue;
                }
                let compare = if scope == entry.scope { "" } else { scope.prefix() };
                all.push((dotted(&format!("{compare}{spelling}")), written(entry, scope.prefix(), spelling)));
            }
        }
    }
    all
}

fn dotted(name: &str) -> String {
    name.replace('_', ".")
}

/// A key as one writes it where the entry is.
fn written(entry: &Entry, prefix: &str, key: &str) -> String {
    match &entry.place {
        Place::Env(_) => format!("$KPS_{}", format!("{prefix}{key}").replace('.', "_").to_uppercase()),
        _ if in_properties(entry) => format!("kafka.{prefix}{key}"),
        _ if in_json(entry) && entry.key.contains('_') => key.replace('.', "_"),
        _ if in_json(entry) => key.to_owned(),
        _ => format!("{prefix}{key}"),
    }
}

fn in_properties(entry: &Entry) -> bool {
    matches!(entry.place, Place::File { member: None, .. } | Place::Found { .. })
}

fn in_json(entry: &Entry) -> bool {
    matches!(entry.place, Place::File { member: Some(_), .. })
}
