//! Settings as the connections and the cluster view need them.

use std::sync::Arc;

use crate::backends::{Error, ErrorKind, Result};
use crate::settings::{KeyId, Settings};
use crate::wire::net::{Address, Buffers, Config, Creation, Isolation, Options, Plain, Random};

/// The cluster's, for a client whose largest answer has `max_answer` bytes and that keeps `kept` bytes
/// of buffers for answers.
///
/// # Errors
/// `Unsupported` for a bootstrap address that is none.
pub(in crate::backends) fn cluster(settings: &Settings, max_answer: usize, kept: usize) -> Result<Config> {
    let setup_timeout = settings.duration(KeyId::ConnectTimeout);
    Ok(Config {
        bootstrap: bootstrap(settings)?,
        connector: Arc::new(Plain { timeout: setup_timeout }),
        options: Options {
            client_id: settings.text(KeyId::ClientId).unwrap_or(env!("CARGO_PKG_NAME")).to_owned(),
            setup_timeout,
            max_in_flight: size(settings, KeyId::MaxInFlight).max(1),
            max_answer,
            buffers: Buffers::new(kept),
        },
        request_timeout: settings.duration(KeyId::RequestTimeout),
        retry_backoff: settings.duration(KeyId::RetryBackoff),
        reconnect_backoff: (
            settings.duration(KeyId::ReconnectBackoff),
            settings.duration(KeyId::ReconnectBackoffMax),
        ),
        metadata_max_age: settings.duration(KeyId::MetadataMaxAge),
        creation: match settings.bool(KeyId::AutoCreateTopics) {
            true => Creation::Allowed,
            false => Creation::Forbidden,
        },
        random: Random::new(),
    })
}

fn bootstrap(settings: &Settings) -> Result<Vec<Address>> {
    let address = |text: String| {
        Address::parse(&text)
            .map_err(|why| Error::new(ErrorKind::Unsupported, format!("bootstrap.servers: {why}")))
    };
    settings.bootstrap().into_iter().map(address).collect()
}

/// Which records are read.
pub(in crate::backends) fn isolation(settings: &Settings) -> Isolation {
    match settings.text(KeyId::IsolationLevel) {
        Some("read_uncommitted") => Isolation::Uncommitted,
        _ => Isolation::Committed,
    }
}

/// A number of bytes or of things.
pub(in crate::backends) fn size(settings: &Settings, key: KeyId) -> usize {
    usize::try_from(settings.int(key)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Side;

    #[test]
    fn settings_reach_the_connections() {
        let values = [
            ("bootstrap.servers", "one,[::1]:2"),
            ("client.id", "me"),
            ("max.in.flight", "3"),
            ("allow.auto.create.topics", "false"),
        ];
        let config = cluster(&Settings::for_tests(Side::Producer, &values), 7, 0).unwrap();
        let addresses: Vec<String> = config.bootstrap.iter().map(ToString::to_string).collect();
        assert_eq!(addresses, ["one:9092", "[::1]:2"]);
        assert_eq!((config.options.client_id.as_str(), config.options.max_in_flight), ("me", 3));
        assert_eq!((config.options.max_answer, config.creation), (7, Creation::Forbidden));
    }
}
