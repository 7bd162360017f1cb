//! Settings in librdkafka's terms.

use super::native::Refused;
use crate::backends::{Error, ErrorKind};
use crate::settings::keys::{KEYS, Key, Kind};
use crate::settings::{KeyId, Settings, Side};

/// What is ours whatever librdkafka's defaults are.
const ALWAYS: &[(&str, &str)] = &[
    // Off: nothing leaves the machine but what the user asked for.
    ("enable.metrics.push", "false"),
    // `rebootstrap` starts its pauses over when all brokers are down: 23 connections in 10 s instead of 3 (2.12.1), nearly
    // 200 (2.16.0). What it is for is done in [`super::revival`].
    ("metadata.recovery.strategy", "none"),
    ("socket.nagle.disable", "true"),
    ("log.queue", "true"),
    ("log.thread.name", "false"),
    // How long a topic may be unknown, as with the other libraries: it may have been created a moment ago.
    ("topic.metadata.propagation.max.ms", "5000"),
];

/// The same for publishing.
const PRODUCER: &[(&str, &str)] = &[
    // Records without a key are spread by us (native/spread.rs).
    (super::native::STICKY, "0"),
];

/// The same for subscribing. Offsets are committed by us, after the output was written.
const CONSUMER: &[(&str, &str)] = &[
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("enable.partition.eof", "true"),
    // With its queue full librdkafka pauses a partition for so long, whatever the reader does: its own
    // 1000 ms starve a fast one.
    ("fetch.queue.backoff.ms", "10"),
    // A reader creates no topics.
    ("allow.auto.create.topics", "false"),
];

/// librdkafka's own commits, which no `rdkafka.KEY` switches on: it would commit what it fetched, whether that was
/// written or not, and with `--no-commit` too.
const OWN_COMMITS: &[&str] = &["enable.auto.commit", "enable.auto.offset.store"];

/// Settings that are kept on our side of the seam.
const OURS: &[KeyId] = &[KeyId::EnableAutoCommit, KeyId::AutoCommitInterval];

/// The shortest session in ms that a broker allows unless it is told otherwise (`group.min.session.timeout.ms`).
const SESSION_LEAST: i64 = 6_000;

/// Every setting of this side, as librdkafka spells it; `rdkafka.KEY` ones last, so that they win.
pub(super) fn native(settings: &Settings, side: Side) -> Vec<(String, String)> {
    let fixed = if side == Side::Producer { PRODUCER } else { CONSUMER };
    let mut all: Vec<(String, String)> =
        ALWAYS.iter().chain(fixed).map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    for key in KEYS.iter().filter(|key| key.on(side) && !OURS.contains(&key.id)) {
        if let Some((name, value)) = translate(settings, key)
            && !all.iter().any(|(n, _)| *n == name)
        {
            all.push((name, value));
        }
    }
    fit_timeout(&mut all, settings, side);
    fit_reconnect(&mut all, settings);
    if side == Side::Consumer {
        fit_group(&mut all, settings);
    }
    if side == Side::Producer && settings.text(KeyId::TransactionalId).is_some() {
        // A record must not have more time than the transaction it is in.
        all.push(("transaction.timeout.ms".to_owned(), settings.int(KeyId::DeliveryTimeout).to_string()));
    }
    let passed = settings.passthrough().iter().filter(|(name, ..)| !OWN_COMMITS.contains(&name.as_str()));
    all.extend(passed.map(|(name, value, _)| (name.clone(), value.clone())));
    all
}

/// What to warn of: `rdkafka.KEY` settings that ask for librdkafka's own commits.
pub(super) fn ignored_commits(settings: &Settings) -> Vec<String> {
    let asked = settings
        .passthrough()
        .iter()
        .filter(|(name, value, _)| OWN_COMMITS.contains(&name.as_str()) && value != "false");
    asked.map(|(.., place)| format!("{place} has no effect: kps commits what it has written")).collect()
}

/// What librdkafka calls `request.timeout.ms` is the broker's part of it only; how long it waits for answers is its
/// `socket.timeout.ms`. A transaction's must not be longer than it lasts.
fn fit_timeout(conf: &mut [(String, String)], settings: &Settings, side: Side) {
    let mut timeout = settings.int(KeyId::RequestTimeout);
    if side == Side::Producer && settings.text(KeyId::TransactionalId).is_some() {
        timeout = timeout.min(settings.int(KeyId::DeliveryTimeout));
    }
    // Within what librdkafka takes.
    let timeout = timeout.clamp(10, 300_000);
    set_default(conf, settings, KeyId::SocketTimeout, timeout.to_string());
}

/// How soon librdkafka connects again in a resilient run, in ms, unless that is set.
const RECONNECT: &str = "250";

/// A resilient run counts its connections: librdkafka is not to make another one before it is seen that the first one
/// came to nothing.
fn fit_reconnect(conf: &mut [(String, String)], settings: &Settings) {
    if settings.bool(KeyId::Resilient) && !settings.is_set(KeyId::ReconnectBackoff) {
        set_default(conf, settings, KeyId::ReconnectBackoff, RECONNECT.to_owned());
    }
}

/// Settings of groups as librdkafka takes them. It refuses those of the classic protocol with KIP-848's, and a session
/// that is longer than the time between polls, which Java's client allows: the session is as short then, or if that is
/// shorter than brokers allow both are as long as it has to be.
fn fit_group(conf: &mut Vec<(String, String)>, settings: &Settings) {
    if settings.text(KeyId::GroupProtocol) == Some("consumer") {
        let classic = [KeyId::SessionTimeout, KeyId::HeartbeatInterval, KeyId::AssignmentStrategy];
        conf.retain(|(name, _)| classic.iter().all(|id| id.key().java != name));
        return;
    }
    let (session, poll) = (settings.int(KeyId::SessionTimeout), settings.int(KeyId::MaxPollInterval));
    if poll < session {
        let session = session.min(poll.max(SESSION_LEAST));
        set_default(conf, settings, KeyId::SessionTimeout, session.to_string());
        set_default(conf, settings, KeyId::MaxPollInterval, poll.max(session).to_string());
    }
}

/// Replaces the value of a key unless the user gave librdkafka one of its own.
pub(super) fn set_default(conf: &mut [(String, String)], settings: &Settings, id: KeyId, value: String) {
    let Some(native) = id.key().librdkafka else { return };
    let theirs = |name: &str| name == native.name || name == id.key().java;
    if settings.passthrough().iter().any(|(name, ..)| theirs(name)) {
        return;
    }
    if let Some(entry) = conf.iter_mut().find(|(name, _)| *name == native.name) {
        entry.1 = value;
    }
}

fn translate(settings: &Settings, key: &Key) -> Option<(String, String)> {
    let native = key.librdkafka?;
    let text = settings.text(key.id)?;
    let producer_only = matches!(key.id, KeyId::RequestTimeout);
    if producer_only && settings.side() == Side::Consumer {
        return None;
    }
    let value = match key.kind {
        Kind::Int(..) | Kind::Millis(..) | Kind::Bytes(..) => {
            (settings.int(key.id) / native.scale).to_string()
        }
        _ if key.id == KeyId::AutoOffsetReset && text == "none" => "error".to_owned(),
        _ => text.to_owned(),
    };
    Some((native.name.to_owned(), value))
}

/// librdkafka's refusal of a setting, with the place where the user set it.
pub(super) fn refused(settings: &Settings, refused: Refused) -> Error {
    let Refused { name, reason } = refused;
    let ours = KEYS.iter().find(|key| key.librdkafka.is_some_and(|native| native.name == name));
    let place = settings
        .passthrough()
        .iter()
        .find(|(key, ..)| *key == name)
        .map(|(_, _, place)| place)
        .or(ours.map(|key| settings.place(key.id)));
    let place = place.map_or(String::new(), |place| format!("{place}: "));
    let what = match ours {
        Some(key) if key.secret => format!("{}: not accepted", key.java),
        _ => reason,
    };
    Error::new(ErrorKind::Unsupported, format!("{place}librdkafka refuses a setting: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value<'a>(conf: &'a [(String, String)], name: &str) -> Option<&'a str> {
        conf.iter().rev().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    #[test]
    fn units_and_names_are_librdkafkas() {
        let settings =
            Settings::for_tests(Side::Producer, &[("buffer.memory", "1048576"), ("linger.ms", "7")]);
        let conf = native(&settings, Side::Producer);
        assert_eq!(value(&conf, "queue.buffering.max.kbytes"), Some("1024"));
        assert_eq!(value(&conf, "queue.buffering.max.ms"), Some("7"));
        assert_eq!(value(&conf, "partitioner"), Some("murmur2_random"));
    }

    #[test]
    fn offsets_are_never_stored_by_the_library() {
        let settings = Settings::for_tests(Side::Consumer, &[("enable.auto.commit", "true")]);
        let conf = native(&settings, Side::Consumer);
        assert_eq!(value(&conf, "enable.auto.commit"), Some("false"));
        assert_eq!(value(&conf, "enable.auto.offset.store"), Some("false"));
        assert!(ignored_commits(&settings).is_empty());
        let own = [("rdkafka.enable.auto.commit", "true"), ("rdkafka.enable.auto.offset.store", "true")];
        let settings = Settings::for_tests(Side::Consumer, &own);
        let conf = native(&settings, Side::Consumer);
        assert_eq!(value(&conf, "enable.auto.commit"), Some("false"));
        assert_eq!(value(&conf, "enable.auto.offset.store"), Some("false"));
        assert_eq!(ignored_commits(&settings).len(), 2);
        let off = Settings::for_tests(Side::Consumer, &[("rdkafka.enable.auto.offset.store", "false")]);
        assert!(ignored_commits(&off).is_empty());
    }

    #[test]
    fn answers_are_waited_for_as_long_as_a_request_may_take() {
        let of = |side, set: &[(&str, &str)]| {
            let conf = native(&Settings::for_tests(side, set), side);
            value(&conf, "socket.timeout.ms").unwrap().to_owned()
        };
        for side in [Side::Producer, Side::Consumer] {
            assert_eq!(of(side, &[]), "30000");
            assert_eq!(of(side, &[("request.timeout.ms", "5000")]), "5000");
            assert_eq!(of(side, &[("request.timeout.ms", "1")]), "10");
            assert_eq!(of(side, &[("rdkafka.socket.timeout.ms", "7000")]), "7000");
        }
        let transaction = [("transactional.id", "t"), ("delivery.timeout.ms", "8000")];
        assert_eq!(of(Side::Producer, &transaction), "8000");
    }

    #[test]
    fn a_session_is_no_longer_than_the_time_between_polls() {
        let of = |session: &str, poll: &str| {
            let set = [("session.timeout.ms", session), ("max.poll.interval.ms", poll)];
            let conf = native(&Settings::for_tests(Side::Consumer, &set), Side::Consumer);
            ["session.timeout.ms", "max.poll.interval.ms"].map(|n| value(&conf, n).unwrap().to_owned())
        };
        assert_eq!(of("45000", "300000"), ["45000", "300000"]);
        assert_eq!(of("45000", "10000"), ["10000", "10000"]);
        assert_eq!(of("45000", "2000"), ["6000", "6000"]);
        assert_eq!(of("3000", "2000"), ["3000", "3000"]);
    }

    #[test]
    fn what_the_broker_sets_is_not_given_to_librdkafka() {
        let set = [("group.protocol", "consumer")];
        let conf = native(&Settings::for_tests(Side::Consumer, &set), Side::Consumer);
        for name in ["session.timeout.ms", "heartbeat.interval.ms", "partition.assignment.strategy"] {
            assert_eq!(value(&conf, name), None, "{name}");
        }
        assert_eq!(value(&conf, "group.protocol"), Some("consumer"));
    }

    #[test]
    fn passthrough_wins() {
        let settings = Settings::for_tests(Side::Producer, &[("rdkafka.linger.ms", "99")]);
        let conf = native(&settings, Side::Producer);
        assert_eq!(conf.last(), Some(&("linger.ms".to_owned(), "99".to_owned())));
    }
}
