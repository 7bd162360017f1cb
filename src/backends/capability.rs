//! What each library can do, as data: one table feeds the checks before a run, `kps libs` and the
//! README.

use super::{Purpose, is_available};
use crate::settings::{HIDDEN, KeyId, Library, Place, Settings};

/// How far a library can do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Support {
    /// It can.
    Yes,
    /// It cannot: a run that asks for it ends before it starts (or, where only a record shows it, at
    /// that record).
    No,
    /// It does something at least as strong instead, and one warning says so.
    Stronger(&'static str),
}

/// Something that not every library can do.
#[derive(Debug)]
pub struct Capability {
    /// Its name in `kps libs --output json`.
    pub name: &'static str,
    /// What it is, for users.
    pub doc: &'static str,
    /// Of our own.
    pub native: Support,
    /// Of librdkafka.
    pub rdkafka: Support,
    /// Of rskafka.
    pub rskafka: Support,
    /// How a run asks for it.
    asked: Asked,
}

/// How a run asks for a capability.
#[derive(Debug)]
enum Asked {
    /// By setting a key explicitly to one of these values (none listed: to any), for records.
    By(&'static [(KeyId, &'static [&'static str])]),
    /// The same, for connections: whatever they are for.
    ByConnecting(&'static [(KeyId, &'static [&'static str])]),
    /// By being a member of a group.
    ByGroup,
    /// By `rdkafka.KEY`.
    ByPassthrough,
    /// Only a record, or the broker's doing, shows it.
    InData,
}

use Asked::{By, ByConnecting, ByGroup, ByPassthrough, InData};
use Support::{No, Stronger, Yes};

/// All capabilities that differ, or that no library has yet.
pub const CAPABILITIES: &[Capability] = &[
    Capability {
        name: "groups",
        doc: "consumer groups: membership, committed offsets (`-g`, `kafka.consumer.group.id`)",
        native: Yes,
        rdkafka: Yes,
        rskafka: Yes,
        asked: ByGroup,
    },
    Capability {
        name: "acks_0_1",
        doc: "`acks` 0 and 1",
        native: Yes,
        rdkafka: Yes,
        rskafka: Stronger("runs as acks=all: stronger and slower"),
        asked: By(&[(KeyId::Acks, &["0", "1"])]),
    },
    Capability {
        name: "idempotence",
        doc: "`enable.idempotence`: no duplicates and no reordering through retries",
        native: Yes,
        rdkafka: Yes,
        rskafka: No,
        asked: By(&[(KeyId::EnableIdempotence, &["true"])]),
    },
    Capability {
        name: "transactions",
        doc: "publishing all of the input in one transaction (`transactional.id`)",
        native: No,
        rdkafka: Yes,
        rskafka: No,
        asked: By(&[(KeyId::TransactionalId, &[])]),
    },
    Capability {
        name: "compression_level",
        doc: "`compression.level`",
        native: Yes,
        rdkafka: Yes,
        rskafka: No,
        asked: By(&[(KeyId::CompressionLevel, &[])]),
    },
    Capability {
        name: "partitioners",
        doc: "partitioners other than Java's murmur2, `consistent` and `random` (`fnv1a`, `fnv1a_random`)",
        native: Yes,
        rdkafka: Yes,
        rskafka: No,
        asked: By(&[(KeyId::Partitioner, &["fnv1a", "fnv1a_random"])]),
    },
    Capability {
        name: "read_uncommitted",
        doc: "`isolation.level=read_uncommitted`",
        native: Yes,
        rdkafka: Yes,
        rskafka: No,
        asked: By(&[(KeyId::IsolationLevel, &["read_uncommitted"])]),
    },
    Capability {
        name: "skip_crc_check",
        doc: "`check.crcs=false`",
        native: Yes,
        rdkafka: Yes,
        rskafka: Stronger("checks every batch all the same"),
        asked: By(&[(KeyId::CheckCrcs, &["false"])]),
    },
    Capability {
        name: "rack",
        doc: "reading from the nearest replica (`client.rack`)",
        native: Yes,
        rdkafka: Yes,
        rskafka: No,
        asked: By(&[(KeyId::ClientRack, &[])]),
    },
    Capability {
        name: "sticky_assignor",
        doc: "`partition.assignment.strategy=sticky` (the eager one; `cooperative-sticky` is there)",
        native: Yes,
        rdkafka: No,
        rskafka: Yes,
        asked: By(&[(KeyId::AssignmentStrategy, &["sticky"])]),
    },
    Capability {
        name: "tls_sasl",
        doc: "TLS and SASL (`security.protocol` and what goes with it)",
        native: No,
        rdkafka: Yes,
        rskafka: No,
        asked: ByConnecting(&[
            (KeyId::SecurityProtocol, &["SSL", "SASL_PLAINTEXT", "SASL_SSL"]),
            (KeyId::SaslMechanism, &[]),
            (KeyId::SaslUsername, &[]),
            (KeyId::SaslPassword, &[]),
            (KeyId::SslCaLocation, &[]),
            (KeyId::SslCertificateLocation, &[]),
            (KeyId::SslKeyLocation, &[]),
            (KeyId::SslKeyPassword, &[]),
        ]),
    },
    Capability {
        name: "librdkafka_settings",
        doc: "librdkafka's own settings (`kafka.rdkafka.KEY`)",
        native: No,
        rdkafka: Yes,
        rskafka: No,
        asked: ByPassthrough,
    },
    Capability {
        name: "header_order",
        doc: "headers with order and duplicates kept, null values, names that are not UTF-8",
        native: Yes,
        rdkafka: Yes,
        rskafka: No,
        asked: InData,
    },
    Capability {
        name: "transactional_topics",
        doc: "reading topics that hold transactions, without aborted records",
        native: Yes,
        rdkafka: Yes,
        rskafka: No,
        asked: InData,
    },
    Capability {
        name: "exact_under_quota",
        doc: "no record sent again when the broker throttles the producer (a quota)",
        native: Yes,
        rdkafka: Yes,
        rskafka: No,
        asked: InData,
    },
    Capability {
        name: "unpacking_bound",
        doc: "no more than 256 MiB of memory for a compressed batch, whatever it claims to hold",
        native: Yes,
        rdkafka: No,
        rskafka: No,
        asked: InData,
    },
    Capability {
        name: "count_check",
        doc: "a batch that holds fewer records than its head says is told as damaged",
        native: Yes,
        rdkafka: No,
        rskafka: Yes,
        asked: InData,
    },
    Capability {
        name: "no_old_batches",
        doc: "batches from before the offset that was asked for are left out, however many come in one answer",
        native: Yes,
        rdkafka: No,
        rskafka: Yes,
        asked: InData,
    },
    Capability {
        name: "code_13_retried",
        doc: "NETWORK_EXCEPTION (13) as an answer is tried again; elsewhere with `--resilient` only",
        native: Yes,
        rdkafka: No,
        rskafka: Yes,
        asked: InData,
    },
    Capability {
        name: "timestamp_zero",
        doc: "publishing a record with timestamp 0",
        native: Yes,
        rdkafka: No,
        rskafka: Yes,
        asked: InData,
    },
];

impl Capability {
    /// How far this library can do it.
    pub fn of(&self, library: Library) -> Support {
        match library {
            Library::Native => self.native,
            Library::Rdkafka => self.rdkafka,
            Library::Rskafka => self.rskafka,
        }
    }

    /// The settings of this run that ask for it, as the user wrote them, each with its place.
    fn asked_by(&self, settings: &Settings, purpose: Purpose) -> Vec<(String, Place)> {
        match self.asked {
            By(_) if purpose == Purpose::Inspect => Vec::new(),
            By(keys) | ByConnecting(keys) => {
                keys.iter().filter_map(|(key, values)| set_to(settings, *key, values)).collect()
            }
            ByGroup => {
                let group = purpose.group(settings).map(|g| format!("group.id={g}"));
                group.map(|what| (what, settings.place(KeyId::GroupId).clone())).into_iter().collect()
            }
            ByPassthrough => settings
                .passthrough()
                .iter()
                .map(|(k, _, place)| (format!("rdkafka.{k}"), place.clone()))
                .collect(),
            InData => Vec::new(),
        }
    }
}

/// The settings of a run, set or by default, that this library does not honour as they stand: each with what it does
/// instead.
pub fn unmet(library: Library, settings: &Settings) -> Vec<(KeyId, String)> {
    let mut unmet = Vec::new();
    for capability in CAPABILITIES {
        let instead = match capability.of(library) {
            Yes => continue,
            No => format!("{library} has none of it"),
            Stronger(how) => format!("{library} {how}"),
        };
        if let By(keys) | ByConnecting(keys) = capability.asked {
            let asks = |(key, values): &&(KeyId, &[&str])| {
                key.key().on(settings.side()) && value_is(settings, *key, values)
            };
            unmet.extend(keys.iter().filter(asks).map(|(key, _)| (*key, instead.clone())));
        }
    }
    unmet
}

/// Whether a setting has one of these values (none listed: any).
fn value_is(settings: &Settings, id: KeyId, values: &[&str]) -> bool {
    settings.text(id).is_some_and(|value| values.is_empty() || value.split(',').any(|v| values.contains(&v)))
}

fn set_to(settings: &Settings, id: KeyId, values: &[&str]) -> Option<(String, Place)> {
    let key = id.key();
    if !key.on(settings.side()) || !settings.is_set(id) {
        return None;
    }
    let value = settings.text(id)?;
    let hit = value_is(settings, id, values);
    let shown = if key.secret { HIDDEN } else { value };
    hit.then(|| (format!("{}={shown}", key.java), settings.place(id).clone()))
}

/// What a library makes of a run.
#[derive(Debug, Default)]
pub(super) struct Check {
    /// One line for each setting it cannot honour.
    pub(super) lacks: Vec<String>,
    /// One warning for each that it honours in a stronger way.
    pub(super) warnings: Vec<String>,
}

/// Holds the settings of a run against what a library can do.
pub(super) fn check(library: Library, settings: &Settings, purpose: Purpose) -> Check {
    let mut check = Check::default();
    for capability in CAPABILITIES {
        for (what, place) in capability.asked_by(settings, purpose) {
            match capability.of(library) {
                Yes => {}
                Stronger(how) => check.warnings.push(format!("{what} ({place}) on {library} {how}")),
                No => check.lacks.push(lack(capability, library, &what, &place)),
            }
        }
    }
    check
}

fn lack(capability: &Capability, library: Library, what: &str, place: &Place) -> String {
    let can = |library: &Library| matches!(capability.of(*library), Yes | Stronger(_));
    let mut able: Vec<Library> = Library::ALL.into_iter().filter(can).collect();
    // First the one that most likely can do what is asked next as well.
    able.sort_by_key(|library| *library != Library::Rdkafka);
    let here: Vec<&str> = able.iter().filter(|l| is_available(**l)).map(|l| l.name()).collect();
    let way_out = match able.first() {
        None => "no library here can".to_owned(),
        Some(first) if here.is_empty() => format!("{first} can, build with --features {first}"),
        Some(_) => format!("--library {} can", here.join(" or ")),
    };
    format!("{what} ({place}): {library} cannot do this, {way_out}")
}

/// The table for the README.
pub fn markdown_table() -> String {
    let mut out =
        String::from("| capability | what it is | native | rdkafka | rskafka |\n|---|---|---|---|---|\n");
    for c in CAPABILITIES {
        let cell = |s| match s {
            Yes => "yes",
            No => "no",
            Stronger(how) => how,
        };
        let [native, rdkafka, rskafka] = Library::ALL.map(|library| cell(c.of(library)));
        out.push_str(&format!("| `{}` | {} | {native} | {rdkafka} | {rskafka} |\n", c.name, c.doc));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Side;

    #[test]
    fn names_are_distinct_and_documented() {
        for (i, c) in CAPABILITIES.iter().enumerate() {
            assert!(!c.doc.is_empty());
            assert!(CAPABILITIES[..i].iter().all(|other| other.name != c.name), "{} twice", c.name);
        }
    }

    #[test]
    fn a_lack_names_the_setting_its_place_and_who_can() {
        let settings = Settings::for_tests(Side::Producer, &[("compression.level", "3")]);
        let check = check(Library::Rskafka, &settings, Purpose::Publish);
        let can = match (is_available(Library::Rdkafka), is_available(Library::Native)) {
            (true, true) => "--library rdkafka or native can",
            (true, false) => "--library rdkafka can",
            (false, true) => "--library native can",
            (false, false) => "rdkafka can, build with --features rdkafka",
        };
        let expected = "compression.level=3 (-X compression.level): rskafka cannot do this";
        assert_eq!(check.lacks, [format!("{expected}, {can}")]);
    }

    #[test]
    fn weaker_acks_run_stronger_with_one_warning() {
        let settings = Settings::for_tests(Side::Producer, &[("acks", "1")]);
        let check = check(Library::Rskafka, &settings, Purpose::Publish);
        assert!(check.lacks.is_empty());
        assert_eq!(check.warnings.len(), 1);
        assert!(check.warnings[0].starts_with("acks=1 (-X acks) on rskafka runs as acks=all"));
    }

    #[test]
    fn looking_at_a_cluster_asks_only_for_what_connecting_takes() {
        let about_records =
            [("isolation.level", "read_uncommitted"), ("client.rack", "a"), ("group.id", "g")];
        let settings = Settings::for_tests(Side::Consumer, &about_records);
        assert_eq!(check(Library::Rskafka, &settings, Purpose::Inspect).lacks, [""; 0]);
        assert!(!check(Library::Rskafka, &settings, Purpose::ReadPartitions).lacks.is_empty());
        let settings = Settings::for_tests(Side::Consumer, &[("security.protocol", "SSL")]);
        assert_eq!(check(Library::Rskafka, &settings, Purpose::Inspect).lacks.len(), 1);
    }

    #[test]
    fn defaults_ask_for_nothing() {
        for (side, purpose) in [(Side::Producer, Purpose::Publish), (Side::Consumer, Purpose::Subscribe)] {
            let settings = Settings::for_tests(side, &[]);
            for library in Library::ALL {
                assert!(check(library, &settings, purpose).lacks.is_empty());
            }
        }
    }

    #[test]
    fn secrets_are_hidden() {
        let settings = Settings::for_tests(Side::Producer, &[("sasl.password", "hunter2")]);
        let check = check(Library::Rskafka, &settings, Purpose::Publish);
        assert!(check.lacks[0].contains(HIDDEN) && !check.lacks[0].contains("hunter2"));
    }
}
