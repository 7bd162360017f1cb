//! Values: parsing what was typed by the kind of its key, and saying what would have been right.

use super::keys::{self, Key, Kind};
use super::mistake::shorten;
use crate::units;

/// A value in canonical form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Value {
    /// As the canonical spelling would have it.
    pub(super) text: String,
    /// The number, in the unit of the canonical spelling; 1 and 0 for true and false; 0 for text.
    pub(super) number: i64,
}

/// The bootstrap server that stands for the embedded broker.
pub(super) const EMBEDDED: &str = "embedded";

/// Parses `typed` for `key`; `scale` is how many canonical units one of its units is.
///
/// # Errors
/// One line that says what is allowed.
pub(super) fn parse(key: &Key, scale: i64, typed: &str) -> Result<Value, String> {
    let trimmed = meant(key, typed.trim());
    match key.kind {
        Kind::Text => Ok(text(typed)),
        Kind::Name if trimmed.is_empty() => Err(wrong(key, scale, typed)),
        Kind::Name => Ok(text(trimmed)),
        Kind::Servers => servers(trimmed).ok_or_else(|| wrong(key, scale, typed)),
        Kind::Choice(choices) => choice(choices, trimmed).map(text).ok_or_else(|| wrong(key, scale, typed)),
        Kind::List(choices) => list(key, choices, trimmed).ok_or_else(|| wrong(key, scale, typed)),
        Kind::Bool => bool(trimmed).ok_or_else(|| wrong(key, scale, typed)),
        Kind::Size(min, max) => size(trimmed, min, max).ok_or_else(|| wrong(key, scale, typed)),
        Kind::Seconds(min, max) => seconds(trimmed, min, max).ok_or_else(|| wrong(key, scale, typed)),
        Kind::Int(min, max) | Kind::Millis(min, max) | Kind::Bytes(min, max) => {
            number(trimmed, scale, min, max).ok_or_else(|| wrong(key, scale, typed))
        }
    }
}

/// host and port of one broker; port 9092 if left out, brackets around an IPv6 address kept.
fn server(typed: &str) -> Option<String> {
    let (host, port) = match typed.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port),
        _ => (typed, "9092"),
    };
    let bracketed = host.starts_with('[') && host.ends_with(']');
    let clean = !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || c.is_control() || c == '/');
    let port: u16 = port.parse().ok().filter(|port| *port != 0)?;
    (clean && (bracketed || !host.contains(':'))).then(|| format!("{host}:{port}"))
}

fn servers(typed: &str) -> Option<Value> {
    // The embedded broker's name stands for its address, which is not known yet.
    if typed == EMBEDDED {
        return Some(text(typed));
    }
    // Nor can it stand beside others: a client would mix two clusters.
    let one = |one: &str| Some(one.trim()).filter(|one| *one != EMBEDDED).and_then(server);
    let servers: Option<Vec<String>> = typed.split(',').map(one).collect();
    Some(text(&servers?.join(",")))
}

fn choice<'a>(choices: &[&'a str], typed: &str) -> Option<&'a str> {
    choices.iter().find(|choice| choice.eq_ignore_ascii_case(typed)).copied()
}

fn list(key: &Key, choices: &[&str], typed: &str) -> Option<Value> {
    let chosen: Option<Vec<&str>> =
        typed.split(',').map(|one| choice(choices, meant(key, one.trim()))).collect();
    Some(text(&chosen?.join(",")))
}

fn bool(typed: &str) -> Option<Value> {
    let on = choice(&["true", "false"], typed)?;
    Some(Value { text: on.to_owned(), number: i64::from(on == "true") })
}

fn number(typed: &str, scale: i64, min: i64, max: i64) -> Option<Value> {
    let number = typed.parse::<i64>().ok()?.checked_mul(scale)?;
    (min..=max).contains(&number).then(|| Value { text: number.to_string(), number })
}

/// Bytes, with or without a unit.
fn size(typed: &str, min: i64, max: i64) -> Option<Value> {
    let number = i64::try_from(units::parse_size(typed).ok()?).ok()?;
    (min..=max).contains(&number).then(|| Value { text: number.to_string(), number })
}

/// Seconds, or a duration with its unit; canonical as seconds, the number in milliseconds.
fn seconds(typed: &str, min: i64, max: i64) -> Option<Value> {
    let number = i64::try_from(units::parse_duration(typed).ok()?.as_millis()).ok()?;
    let text = keys::seconds(number).to_string();
    (min..=max).contains(&number).then_some(Value { text, number })
}

fn text(text: &str) -> Value {
    Value { text: text.to_owned(), number: 0 }
}

/// The value that a synonym stands for.
fn meant<'a>(key: &Key, typed: &'a str) -> &'a str {
    let synonym = key.synonyms.iter().find(|(synonym, _)| synonym.eq_ignore_ascii_case(typed));
    synonym.map_or(typed, |&(_, meant)| meant)
}

fn wrong(key: &Key, scale: i64, typed: &str) -> String {
    let shown = if key.secret { "the value" } else { &format!("{:?}", shorten(typed)) };
    format!("{shown} is not {}", allowed(key, scale))
}

fn allowed(key: &Key, scale: i64) -> String {
    match key.kind {
        Kind::Text => "text".to_owned(),
        Kind::Name => "a name: it is empty".to_owned(),
        Kind::Servers => "host:port or host:port,host:port, or embedded by itself".to_owned(),
        Kind::Choice(choices) => one_of(choices),
        Kind::List(choices) => format!("a list, separated by commas, of {}", choices.join(", ")),
        Kind::Bool => one_of(&["true", "false"]),
        Kind::Int(min, max) => format!("a whole number from {min} to {max}"),
        Kind::Millis(min, max) => format!("a whole number of milliseconds from {min} to {max}"),
        Kind::Seconds(min, max) => {
            format!("a number of seconds from {} to {}", keys::seconds(min), keys::seconds(max))
        }
        Kind::Size(min, max) => {
            format!("a size from {min} to {max}: a number of bytes, or one with a unit, as 16MiB")
        }
        Kind::Bytes(min, max) => {
            let unit = if scale == 1 { "bytes" } else { "KiB" };
            format!("a whole number of {unit} from {} to {}", min.div_euclid(scale), max.div_euclid(scale))
        }
    }
}

fn one_of(choices: &[&str]) -> String {
    match choices {
        [most @ .., last] if !most.is_empty() => format!("{} or {last}", most.join(", ")),
        _ => choices.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::KeyId;

    fn parsed(id: KeyId, scale: i64, typed: &str) -> Result<String, String> {
        parse(id.key(), scale, typed).map(|value| value.text)
    }

    #[test]
    fn values_become_canonical() {
        for (id, typed, expected) in [
            (KeyId::Acks, "-1", "all"),
            (KeyId::Acks, " ALL ", "all"),
            (KeyId::SecurityProtocol, "sasl_ssl", "SASL_SSL"),
            (KeyId::AutoOffsetReset, "smallest", "earliest"),
            (KeyId::Library, "Confluent-Kafka", "rdkafka"),
            (KeyId::SslEndpointIdentification, "", "none"),
            (KeyId::CheckCrcs, "True", "true"),
            (KeyId::Linger, "007", "7"),
            (KeyId::DeliveryTimeout, "0", "2147483647"),
            (KeyId::ClientId, " kept ", " kept "),
            (KeyId::GroupId, " trimmed ", "trimmed"),
            (
                KeyId::AssignmentStrategy,
                "org.apache.kafka.clients.consumer.RangeAssignor, sticky",
                "range,sticky",
            ),
            (KeyId::BootstrapServers, "a, [::1]:1 ,b:2", "a:9092,[::1]:1,b:2"),
            (KeyId::BootstrapServers, "[::1]", "[::1]:9092"),
            (KeyId::BootstrapServers, "embedded", "embedded"),
        ] {
            assert_eq!(parsed(id, 1, typed).as_deref(), Ok(expected), "{typed}");
        }
        assert_eq!(parsed(KeyId::BufferMemory, 1024, "64").as_deref(), Ok("65536"));
    }

    #[test]
    fn seconds_have_fractions_and_sizes_have_units() {
        for (id, typed, text, number) in [
            (KeyId::ReconnectInterval, "2.5", "2.5", 2500),
            (KeyId::ReconnectInterval, "60", "60", 60_000),
            (KeyId::DrainTimeout, "250ms", "0.25", 250),
            (KeyId::DrainTimeout, "0", "0", 0),
            (KeyId::BufferMaxBytes, "16MiB", "16777216", 16 << 20),
            (KeyId::BufferMaxBytes, "2048", "2048", 2048),
        ] {
            let value = parse(id.key(), 1, typed).unwrap();
            assert_eq!((value.text.as_str(), value.number), (text, number), "{typed}");
        }
    }

    #[test]
    fn wrong_values_are_told_with_what_is_allowed_and_the_unit() {
        for (id, scale, typed, expected) in [
            (KeyId::Acks, 1, "2", "\"2\" is not all, 1 or 0"),
            (KeyId::CheckCrcs, 1, "yes", "\"yes\" is not true or false"),
            (KeyId::Linger, 1, "5ms", "\"5ms\" is not a whole number of milliseconds from 0 to 900000"),
            (KeyId::Linger, 1, "-1", "\"-1\" is not a whole number of milliseconds from 0 to 900000"),
            (KeyId::BatchSize, 1, "0", "\"0\" is not a whole number of bytes from 1 to 2147483647"),
            (
                KeyId::BufferMemory,
                1024,
                "9223372036854775807",
                "\"9223372036854775807\" is not a whole number of KiB from 1 to 2147483647",
            ),
            (KeyId::ReconnectInterval, 1, "-1", "\"-1\" is not a number of seconds from 0.01 to 86400"),
            (KeyId::ReconnectInterval, 1, "nan", "\"nan\" is not a number of seconds from 0.01 to 86400"),
            (KeyId::GroupId, 1, " ", "\" \" is not a name: it is empty"),
            (
                KeyId::BootstrapServers,
                1,
                "a:1,",
                "\"a:1,\" is not host:port or host:port,host:port, or embedded by itself",
            ),
            (
                KeyId::BootstrapServers,
                1,
                "a:1, embedded",
                "\"a:1, embedded\" is not host:port or host:port,host:port, or embedded by itself",
            ),
            (
                KeyId::BootstrapServers,
                1,
                "a:0",
                "\"a:0\" is not host:port or host:port,host:port, or embedded by itself",
            ),
            (
                KeyId::BootstrapServers,
                1,
                "::1:9092",
                "\"::1:9092\" is not host:port or host:port,host:port, or embedded by itself",
            ),
            (
                KeyId::BootstrapServers,
                1,
                "x://a:1",
                "\"x://a:1\" is not host:port or host:port,host:port, or embedded by itself",
            ),
            (
                KeyId::AssignmentStrategy,
                1,
                "range,",
                "\"range,\" is not a list, separated by commas, of range, roundrobin, cooperative-sticky, sticky",
            ),
        ] {
            assert_eq!(parsed(id, scale, typed), Err(expected.to_owned()));
        }
    }
}
