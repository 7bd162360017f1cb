//! What `kps config` shows: every setting, its value, where it comes from and what it won over.

use std::fmt::Write;

use serde_json::{Value as Json, json};

use super::keys::{KEYS, Key, Kind, Role};
use super::layers::is_sensitive;
use super::mistake::printable;
use super::{HIDDEN, Place, Setting, Settings};

/// One setting. Secrets are hidden already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its name in a properties file.
    pub key: String,
    /// The value in force.
    pub value: Option<String>,
    /// Where it comes from.
    pub origin: Place,
    /// Values that lost, the strongest first.
    pub overridden: Vec<(String, Place)>,
    kind: Kind,
}

/// A row for every setting; those of both sides once where the two are alike.
pub fn rows(producer: &Settings, consumer: &Settings) -> Vec<Row> {
    let mut rows = Vec::new();
    for (key, (publishing, subscribing)) in KEYS.iter().zip(producer.rows.iter().zip(&consumer.rows)) {
        match key.role {
            Role::Tool | Role::Producer => rows.push(row(key, publishing, key.role)),
            Role::Consumer => rows.push(row(key, subscribing, key.role)),
            Role::Both => {
                let alike = row(key, publishing, key.role);
                if alike == row(key, subscribing, key.role) {
                    rows.push(alike);
                } else {
                    rows.push(row(key, publishing, Role::Producer));
                    rows.push(row(key, subscribing, Role::Consumer));
                }
            }
        }
    }
    for settings in [producer, consumer] {
        for row in native_rows(settings) {
            if !rows.contains(&row) {
                rows.push(row);
            }
        }
    }
    rows
}

fn row(key: &Key, setting: &Setting, role: Role) -> Row {
    let shown = |value: &str| if key.secret { HIDDEN.to_owned() } else { value.to_owned() };
    Row {
        key: format!("kafka.{}{}", role.prefix(), key.java),
        value: setting.value.as_ref().map(|value| shown(&value.text)),
        origin: setting.place.clone(),
        overridden: setting.overridden.iter().map(|(value, place)| (shown(value), place.clone())).collect(),
        kind: key.kind,
    }
}

fn native_rows(settings: &Settings) -> impl Iterator<Item = Row> {
    settings.passthrough.iter().map(|(key, value, place)| {
        let shown = |value: &str| if is_sensitive(key) { HIDDEN.to_owned() } else { value.to_owned() };
        let lost = settings.overridden_passthrough.iter().filter(|(other, ..)| other == key);
        Row {
            key: format!("kafka.rdkafka.{key}"),
            value: Some(shown(value)),
            origin: place.clone(),
            overridden: lost.map(|(_, value, place)| (shown(value), place.clone())).collect(),
            kind: Kind::Text,
        }
    })
}

/// A line for each row: key, value, origin, and in brackets what lost.
pub fn text(rows: &[Row]) -> String {
    let lines: Vec<[String; 3]> = rows.iter().map(line).collect();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let (keys, values) = (width(0), width(1).min(40));
    let mut text = String::new();
    for [key, value, origin] in &lines {
        // Writing to a String does not fail.
        let _ = writeln!(text, "{key:keys$}  {value:values$}  {origin}");
    }
    text
}

fn line(row: &Row) -> [String; 3] {
    let value = row.value.as_deref().map_or_else(|| "(not set)".to_owned(), printable);
    let mut origin = row.origin.to_string();
    for (value, place) in &row.overridden {
        let _ = write!(origin, " (over {}, {place})", printable(value));
    }
    [row.key.clone(), value, origin]
}

/// An array with an object for each row: `key`, `value` (number, true, false, text, list or null),
/// `origin`, `overridden` (an array of `value`, `origin`).
pub fn json(rows: &[Row]) -> Json {
    let row = |row: &Row| {
        let lost = |(value, place): &(String, Place)| json!({"value": typed(row.kind, value), "origin": place.to_string()});
        json!({
            "key": row.key,
            "value": row.value.as_ref().map(|value| typed(row.kind, value)),
            "origin": row.origin.to_string(),
            "overridden": row.overridden.iter().map(lost).collect::<Vec<_>>(),
        })
    };
    rows.iter().map(row).collect()
}

fn typed(kind: Kind, value: &str) -> Json {
    match kind {
        Kind::Int(..) | Kind::Millis(..) | Kind::Bytes(..) | Kind::Size(..) => {
            value.parse::<i64>().map_or_else(|_| value.into(), Json::from)
        }
        Kind::Seconds(..) => value.parse::<f64>().map_or_else(|_| value.into(), Json::from),
        Kind::Bool => Json::from(value == "true"),
        Kind::Servers | Kind::List(_) => value.split(',').collect(),
        Kind::Text | Kind::Name | Kind::Choice(_) => value.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Entry, KeyId, Layers, Library, Scope, Side};

    fn explained() -> Vec<Row> {
        let mut layers = Layers::default();
        layers.flags.entries.push(Entry::flag("--acks", KeyId::Acks, "1"));
        let typed = [
            "acks=0",
            "acks=all",
            "consumer.client.id=reader",
            "sasl.password=hunter2",
            "partition.assignment.strategy=range",
            "rdkafka.ssl.keystore.password=hunter3",
            "rdkafka.debug=a\u{1b}",
        ];
        typed.iter().for_each(|one| layers.overrides.push_override(one));
        let place = Place::Env("KPS_SASL_PASSWORD".into());
        let (key, value) = ("sasl_password".to_owned(), "hunter4".to_owned());
        layers.env.entries.push(Entry { key, scope: Scope::Any, value, place, only: None });
        let of = |side| layers.resolve(side, Library::Rdkafka).unwrap();
        rows(&of(Side::Producer), &of(Side::Consumer))
    }

    #[test]
    fn text_tells_value_origin_and_what_lost() {
        let text = text(&explained());
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        for expected in [
            "kafka.producer.acks 1 --acks (over all, -X acks) (over 0, -X acks)",
            "kafka.producer.client.id kps default",
            "kafka.consumer.client.id reader -X consumer.client.id",
            "kafka.sasl.password [hidden] -X sasl.password (over [hidden], $KPS_SASL_PASSWORD)",
            "kafka.consumer.group.id (not set) default",
            "kafka.rdkafka.ssl.keystore.password [hidden] -X rdkafka.ssl.keystore.password",
            "kafka.rdkafka.debug a\\u{1b} -X rdkafka.debug",
        ] {
            let words: Vec<&str> = expected.split(' ').collect();
            assert!(lines.contains(&words), "{expected}\n{text}");
        }
        assert!(!text.contains("hunter"), "{text}");
    }

    #[test]
    fn json_has_typed_values() {
        let json = json(&explained());
        let row = |key: &str| json.as_array().unwrap().iter().find(|row| row["key"] == key).unwrap();
        assert_eq!(
            *row("kafka.producer.acks"),
            json!({"key": "kafka.producer.acks", "value": "1", "origin": "--acks", "overridden": [
                {"value": "all", "origin": "-X acks"}, {"value": "0", "origin": "-X acks"}]})
        );
        assert_eq!(row("kafka.producer.linger.ms")["value"], json!(5));
        assert_eq!(row("kafka.consumer.check.crcs")["value"], json!(true));
        assert_eq!(row("kafka.consumer.partition.assignment.strategy")["value"], json!(["range"]));
        assert_eq!(row("kafka.consumer.group.id")["value"], json!(null));
        assert!(!json.to_string().contains("hunter"));
    }
}
