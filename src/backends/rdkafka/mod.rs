//! librdkafka behind the seam.

mod config;
mod contact;
mod errors;
mod group;
mod inspector;
mod keeper;
mod look;
mod native;
mod outage;
mod positions;
mod publisher;
mod rebalance;
mod revival;
mod split;
mod subscriber;

pub(super) use inspector::open_inspector;
pub(super) use keeper::open_keeper;
pub(super) use native::build;
pub(crate) use publisher::open_publisher;
pub(crate) use subscriber::open_subscriber;

use std::time::{Duration, Instant};

use self::native::{Client, Code, Event, Metadata, Queue, Topic};
use super::{Error, ErrorKind, Log, Result, not_reached, unknown_topic};
use crate::settings::{KeyId, Settings};

/// How long a topic may take to show up after it was created by asking for it.
const TOPIC_WAIT: Duration = Duration::from_secs(5);
/// The first wait inside librdkafka while connecting, so that errors are seen: before it connects again by itself.
const SLICE: Duration = Duration::from_millis(50);

const UNKNOWN_TOPIC_OR_PART: Code = Code(3);
const LEADER_NOT_AVAILABLE: Code = Code(5);
const INVALID_TOPIC: Code = Code(17);

/// What the client has told about its connections since it was asked last.
#[derive(Debug, Default)]
struct Health {
    /// The latest reason why a broker could not be reached.
    trouble: Option<String>,
    /// Trouble that will not pass.
    permanent: Option<Code>,
    /// True once librdkafka said that no broker is left.
    all_down: bool,
    /// A broker has not answered in time.
    silent: bool,
    /// A fatal error, after which the client does nothing more.
    fatal: Option<(Code, String)>,
}

impl Health {
    /// Takes note of an error event.
    fn note(&mut self, code: Code, reason: String, fatal: bool) {
        if fatal {
            self.fatal = Some((code, reason));
        } else if code == Code(-187) {
            self.all_down = true;
        } else {
            if !errors::passes(code) {
                self.permanent = Some(code);
            }
            self.trouble = Some(reason);
        }
    }

    /// Takes note of what only the log tells.
    fn note_log(&mut self, line: &str) {
        if let Some(broker) = was_silent(line) {
            self.silent = true;
            self.trouble.get_or_insert_with(|| format!("broker {broker} has not answered in time"));
        }
    }

    /// Why no broker can be used, as an error that names the addresses asked.
    fn error(&self, settings: &Settings) -> Error {
        if let Some(code) = self.permanent.filter(|code| errors::is_of_group(*code)) {
            return errors::error(
                code,
                format!("group {}", settings.text(KeyId::GroupId).unwrap_or_default()),
            );
        }
        let kind = self.permanent.map_or(ErrorKind::Unreachable, errors::kind);
        let reason = self.trouble.as_deref().unwrap_or("no answer");
        not_reached(kind, &settings.bootstrap(), &plain_reason(reason))
    }
}

/// librdkafka's `host:port/bootstrap: Connect to ipv4#127.0.0.1:1 failed: Connection refused (after
/// 0ms in state CONNECT, ...)` without the parts that only its authors need.
fn plain_reason(reason: &str) -> String {
    let reason = reason.split(" (after ").next().unwrap_or(reason);
    let reason = reason.split_once("/bootstrap: ").map_or(reason, |(_, r)| r);
    reason.replace("ipv4#", "").replace("ipv6#", "")
}

/// The broker of librdkafka's warning of requests without an answer: `REQTMOUT: [thrd:a:1/1]: a:1/1: Timed out 2 in-flight,
/// 0 retry-queued, ...`. It makes an event of that only when no broker is left, which takes another such time.
fn was_silent(line: &str) -> Option<&str> {
    let (place, counts) = line.strip_prefix("REQTMOUT: ")?.split_once(": Timed out ")?;
    let in_flight = counts.split_once(" in-flight, ")?.0;
    let name = place.rsplit("]: ").next()?;
    let address = name.rsplit_once('/').map_or(name, |(address, _)| address);
    (in_flight != "0").then_some(address)
}

/// Serves one event that is not a report or a rebalance; gives back those that are.
fn serve(event: Event, health: &mut Health, log: &Log) -> Option<Event> {
    match event {
        Event::Error { code, reason, fatal } => health.note(code, reason, fatal),
        Event::Log { level, line } => {
            health.note_log(&line);
            log.line(level, &line);
        }
        Event::RebalanceFailed(code) => health.note(code, code.text(), false),
        Event::None | Event::Other => {}
        other => return Some(other),
    }
    None
}

/// Asks for metadata until a broker answers: of `topic`, or of all topics.
///
/// # Errors
/// `Unreachable` after `socket.connection.setup.timeout.ms`, sooner when every address refuses;
/// `Authentication` at once.
fn connect(
    client: &Client,
    queue: &Queue,
    topic: Option<&Topic>,
    settings: &Settings,
    log: &Log,
) -> Result<Metadata> {
    let start = Instant::now();
    let (limit, refused_for) = (settings.duration(KeyId::ConnectTimeout), settings.refused_for());
    let mut health = Health::default();
    loop {
        let answer = client.metadata(topic, slice(start.elapsed(), limit));
        // Served after each try: reasons are only known from events.
        loop {
            match queue.poll(Duration::ZERO) {
                Event::None => break,
                event => drop(serve(event, &mut health, log)),
            }
        }
        match answer {
            Ok(metadata) => return Ok(metadata),
            Err(code) if !errors::passes(code) => {
                return Err(errors::error(code, format!("asking {}", settings.bootstrap().join(","))));
            }
            Err(_) => {}
        }
        let refused = health.all_down && start.elapsed() >= refused_for;
        if health.permanent.is_some() || health.fatal.is_some() || refused || start.elapsed() >= limit {
            return Err(health.error(settings));
        }
    }
}

/// How long librdkafka may take to ask next. Each time it asks anew, so that an answer that takes its time on the way
/// needs a wait that is as long: it grows with what has passed.
fn slice(passed: Duration, limit: Duration) -> Duration {
    let left = limit.saturating_sub(passed);
    SLICE.max(passed / 2).min(left).max(Duration::from_millis(1))
}

/// The partitions of a topic, waiting a little for one that is being created.
///
/// # Errors
/// `UnknownTopic` when it is not there after [`TOPIC_WAIT`]; else as [`connect`].
fn partitions_of(
    client: &Client,
    queue: &Queue,
    topic: (&str, &Topic),
    wait: Duration,
    settings: &Settings,
    log: &Log,
) -> Result<Vec<i32>> {
    let start = Instant::now();
    loop {
        let metadata = connect(client, queue, Some(topic.1), settings, log)?;
        let Some(meta) = metadata.topics.into_iter().find(|t| t.name == topic.0) else {
            return Err(unknown_topic(topic.0));
        };
        match meta.error {
            Code::NONE if !meta.partitions.is_empty() => {
                return Ok(meta.partitions.iter().map(|p| p.id).collect());
            }
            Code::NONE | UNKNOWN_TOPIC_OR_PART | LEADER_NOT_AVAILABLE => {}
            INVALID_TOPIC => {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    format!("topic {:?}: not a valid name", topic.0),
                ));
            }
            code => return Err(errors::error(code, format!("topic {}", topic.0))),
        }
        if start.elapsed() >= wait {
            return Err(unknown_topic(topic.0));
        }
        // Nothing tells when a topic has been created: it is asked again after the next event, or
        // a short while.
        let mut health = Health::default();
        drop(serve(queue.poll(Duration::from_millis(100)), &mut health, log));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_is_long_on_the_way_is_waited_for() {
        let (limit, mut passed, mut longest) = (Duration::from_secs(10), Duration::ZERO, Duration::ZERO);
        while passed < limit {
            let slice = slice(passed, limit);
            assert!(slice > Duration::ZERO && slice <= SLICE.max(passed / 2), "{slice:?} after {passed:?}");
            longest = longest.max(slice);
            passed += slice;
        }
        assert!(longest > Duration::from_secs(2) && passed == limit, "{longest:?} at most, {passed:?}");
    }

    #[test]
    fn a_broker_that_does_not_answer_is_told_from_the_log() {
        let line = "REQTMOUT: [thrd:127.0.0.1:1/bootstrap]: 127.0.0.1:1/7: Timed out 2 in-flight, 0 retry-queued, 1 \
                    out-queue, 0 partially-sent requests";
        assert_eq!(was_silent(line), Some("127.0.0.1:1"));
        assert_eq!(was_silent(&line.replace("2 in-flight", "0 in-flight")), None);
        assert_eq!(was_silent("REQTMOUT: a:1/1: Timed out ProduceRequest in flight (after 5 ms)"), None);
        let mut health = Health::default();
        health.note_log(line);
        assert_eq!(health.trouble.as_deref(), Some("broker 127.0.0.1:1 has not answered in time"));
    }

    #[test]
    fn reasons_lose_the_parts_for_librdkafkas_authors() {
        let reason = "localhost:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: Connection refused (after 0ms in state CONNECT)";
        assert_eq!(plain_reason(reason), "Connect to 127.0.0.1:1 failed: Connection refused");
    }
}
