//! Profiles: values for a purpose, under everything that is set explicitly.

use super::{Entry, KeyId, Place, Scope};

/// Many records, each of which may wait a little.
const HIGH_THROUGHPUT: &[(KeyId, &str)] = &[
    (KeyId::QueueMaxMessages, "500000"),
    (KeyId::Linger, "10"),
    (KeyId::BatchNumMessages, "50000"),
    (KeyId::CompressionType, "lz4"),
    (KeyId::Acks, "1"),
    (KeyId::FetchMinBytes, "100000"),
    (KeyId::FetchMaxBytes, "52428800"),
    (KeyId::MaxPartitionFetchBytes, "1048576"),
    (KeyId::FetchMaxWait, "100"),
];

/// Each record at once.
const LOW_LATENCY: &[(KeyId, &str)] =
    &[(KeyId::Linger, "0"), (KeyId::Acks, "1"), (KeyId::FetchMinBytes, "1")];

/// The entries of a profile; none when there is no profile of this name.
pub(super) fn entries(name: &str) -> Vec<Entry> {
    let values = match name {
        "high-throughput" => HIGH_THROUGHPUT,
        "low-latency" => LOW_LATENCY,
        _ => &[],
    };
    let entry = |&(id, value): &(KeyId, &str)| Entry {
        key: id.key().java.to_owned(),
        scope: Scope::Any,
        value: value.to_owned(),
        place: Place::Profile(name.to_owned()),
        only: None,
    };
    values.iter().map(entry).collect()
}
