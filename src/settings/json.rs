//! The JSON form: the configuration of a publisher or of a subscriber, bare or inside a node.

use std::path::Path;

use serde_json::{Map, Value};

use super::expand::Placeholders;
use super::mistake::nearest;
use super::{Entry, Layer, Library, Mistake, Place, Scope, topic_name};

/// The members of a configuration.
const MEMBERS: &[&str] = &[
    "destination",
    "source",
    "bootstrap_servers",
    "group_id",
    "kafka_library",
    "producer_config",
    "consumer_config",
    "confluent_config",
];

/// The members of a node around it.
const NODE_MEMBERS: &[&str] = &["name", "type", "config"];

/// What a JSON file sets; `path` is its name in places. Without `kafka_library` its library is
/// rskafka, which is what this form documents.
pub fn layer(text: &str, path: &Path, placeholders: &Placeholders<'_>) -> Layer {
    let mut reader = Reader { path, placeholders, layer: Layer::default() };
    match serde_json::from_str(text) {
        Ok(Value::Object(document)) => reader.document(&document),
        Ok(_) => reader.wrong("", "is not a JSON object"),
        Err(error) => reader.broken(&error),
    }
    reader.layer
}

struct Reader<'a> {
    path: &'a Path,
    placeholders: &'a Placeholders<'a>,
    layer: Layer,
}

impl Reader<'_> {
    fn document(&mut self, document: &Map<String, Value>) {
        let Some(config) = document.get("config") else {
            self.config(document, None, "");
            return;
        };
        self.unknown_members(document, NODE_MEMBERS, "");
        let mut node = |member| document.get(member).and_then(|value| self.text(member, value));
        let (name, kind) = (node("name"), node("type"));
        match config {
            Value::Object(config) => {
                let side = self.config(config, kind.as_deref(), "config.");
                if let Some(name) = name.filter(|_| side == Scope::Consumer) {
                    let at = self.place("name");
                    self.default("group_id", Scope::Consumer, format!("{name}_group"), at);
                }
            }
            _ => self.wrong("config", "is not an object"),
        }
    }

    /// Reads a configuration; returns whose it is.
    fn config(&mut self, config: &Map<String, Value>, node: Option<&str>, prefix: &str) -> Scope {
        self.unknown_members(config, MEMBERS, prefix);
        let side = self.side(config, node, prefix);
        for (member, value) in config {
            let at = format!("{prefix}{member}");
            match member.as_str() {
                "destination" | "source" => self.topic(&at, value),
                "bootstrap_servers" => self.entry(at, "bootstrap_servers", Scope::Common, None, value),
                "group_id" => self.entry(at, "group_id", Scope::Consumer, None, value),
                "kafka_library" => self.entry(at, "library", Scope::Common, None, value),
                "producer_config" => self.dictionary(&at, Scope::Producer, Library::Rskafka, value),
                "consumer_config" => self.dictionary(&at, Scope::Consumer, Library::Rskafka, value),
                "confluent_config" => self.dictionary(&at, side, Library::Rdkafka, value),
                _ => {}
            }
        }
        let library = Library::Rskafka.name().to_owned();
        let at = self.place("");
        self.default("library", Scope::Common, library, at);
        side
    }

    /// The scope of `confluent_config`, which does not say it itself.
    fn side(&mut self, config: &Map<String, Value>, node: Option<&str>, prefix: &str) -> Scope {
        match (config.contains_key("destination"), config.contains_key("source")) {
            (true, true) => {
                self.wrong(&format!("{prefix}source"), "goes without destination: delete one of them");
                Scope::Any
            }
            (true, false) => Scope::Producer,
            (false, true) => Scope::Consumer,
            (false, false) => match node.map(str::to_ascii_lowercase) {
                Some(node) if node.contains("publish") => Scope::Producer,
                Some(node) if node.contains("subscri") => Scope::Consumer,
                _ => Scope::Any,
            },
        }
    }

    fn default(&mut self, key: &str, scope: Scope, value: String, place: Place) {
        self.layer.defaults.push(Entry { key: key.to_owned(), scope, value, place, only: None });
    }

    fn topic(&mut self, at: &str, value: &Value) {
        let Some(typed) = self.text(at, value) else { return };
        match topic_name(&typed) {
            Ok(name) => self.layer.topic = Some((name.to_owned(), self.place(at))),
            Err(wrong) => self.wrong(at, wrong),
        }
    }

    fn dictionary(&mut self, at: &str, scope: Scope, only: Library, value: &Value) {
        match value {
            Value::Null => {}
            Value::Object(values) => {
                for (key, value) in values {
                    self.entry(format!("{at}.{key}"), key, scope, Some(only), value);
                }
            }
            _ => self.wrong(at, "is not an object"),
        }
    }

    fn entry(&mut self, at: String, key: &str, scope: Scope, only: Option<Library>, value: &Value) {
        let Some(value) = self.typed(&at, value) else { return };
        let place = self.place(&at);
        match self.placeholders.fill_entry(Entry { key: key.to_owned(), scope, value, place, only }) {
            Ok(entry) => self.layer.entries.push(entry),
            Err(mistake) => self.layer.mistakes.push(mistake),
        }
    }

    /// The text of a value, its placeholders filled in.
    fn text(&mut self, at: &str, value: &Value) -> Option<String> {
        let typed = self.typed(at, value)?;
        self.placeholders.fill(&typed).map_err(|wrong| self.wrong(at, wrong)).ok()
    }

    /// The text of a value as a properties file would have it; `None` for null (not set) and for a value that is
    /// neither text, number, switch nor a list of them, which is a mistake.
    fn typed(&mut self, at: &str, value: &Value) -> Option<String> {
        let text = match value {
            Value::Null => return None,
            Value::Array(elements) => {
                let texts: Option<Vec<String>> = elements.iter().map(scalar).collect();
                texts.map(|texts| texts.join(","))
            }
            value => scalar(value),
        };
        if text.is_none() {
            self.wrong(at, "is neither text, a number, true, false nor a list of these");
        }
        text
    }

    fn unknown_members(&mut self, object: &Map<String, Value>, known: &[&str], prefix: &str) {
        for member in object.keys().filter(|member| !known.contains(&member.as_str())) {
            let near = nearest(member, known.iter().map(|name| ((*name).to_owned(), *name)));
            let advice = match near {
                Some(name) => format!(", did you mean {name}?"),
                None => format!("; there are {}", known.join(", ")),
            };
            self.wrong(&format!("{prefix}{member}"), format!("unknown member{advice}"));
        }
    }

    fn broken(&mut self, error: &serde_json::Error) {
        let place =
            Place::File { path: self.path.into(), line: u32::try_from(error.line()).ok(), member: None };
        let what = error.to_string();
        let what = what.split(" at line ").next().unwrap_or_default();
        let message = format!("broken JSON at column {}: {what}", error.column());
        self.layer.mistakes.push(Mistake::new(&place, message));
    }

    fn wrong(&mut self, at: &str, message: impl Into<String>) {
        let place = self.place(at);
        self.layer.mistakes.push(Mistake::new(&place, message));
    }

    fn place(&self, at: &str) -> Place {
        Place::File {
            path: self.path.into(),
            line: None,
            member: Some(at.to_owned()).filter(|at| !at.is_empty()),
        }
    }
}

/// Text, number or switch. A number such as Python's 30000.0 is a whole one.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(on) => Some(on.to_string()),
        Value::Number(number) => {
            let text = number.to_string();
            Some(text.strip_suffix(".0").map_or(text.clone(), str::to_owned))
        }
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Choice, Environment, KeyId, Layers, Settings, Side};

    fn read(text: &str) -> Layers {
        let env: Environment = [("HOST", "h")].into_iter().collect();
        let placeholders = Placeholders::new(&env, Path::new(""));
        Layers { files: vec![layer(text, Path::new("c.json"), &placeholders)], ..Layers::default() }
    }

    fn settings(layers: &Layers, side: Side, library: Library) -> Settings {
        layers.resolve(side, library).unwrap()
    }

    fn mistakes(text: &str) -> Vec<String> {
        let found = read(text).resolve(Side::Consumer, Library::Rskafka).unwrap_err();
        found.iter().map(ToString::to_string).collect()
    }

    const PUBLISHER: &str = r#"{
        "destination": "kafka://topic/orders",
        "bootstrap_servers": ["${HOST}:1", "b:2"],
        "kafka_library": "confluent-kafka",
        "producer_config": {"acks": 1, "linger_ms": 10, "value_serializer": null, "request_timeout_ms": 30000.0},
        "confluent_config": {"acks": "all", "queue.buffering.max.kbytes": 2048, "socket.keepalive.enable": true}
    }"#;

    #[test]
    fn a_publisher_sets_what_its_library_takes() {
        let layers = read(PUBLISHER);
        let (topic, place) = layers.topic().unwrap();
        assert_eq!((topic.as_str(), place.to_string().as_str()), ("orders", "c.json: destination"));
        assert_eq!(layers.library().unwrap().0, Choice::Only(Library::Rdkafka));

        let rdkafka = settings(&layers, Side::Producer, Library::Rdkafka);
        assert_eq!(rdkafka.bootstrap(), ["h:1", "b:2"]);
        assert_eq!(rdkafka.text(KeyId::Acks), Some("all"));
        assert_eq!(rdkafka.place(KeyId::Acks).to_string(), "c.json: confluent_config.acks");
        assert_eq!(rdkafka.int(KeyId::BufferMemory), 2 << 20);
        assert_eq!(rdkafka.int(KeyId::Linger), 5);
        let (key, value, _) = &rdkafka.passthrough()[0];
        assert_eq!((key.as_str(), value.as_str()), ("socket.keepalive.enable", "true"));

        let rskafka = settings(&layers, Side::Producer, Library::Rskafka);
        assert_eq!((rskafka.text(KeyId::Acks), rskafka.int(KeyId::Linger)), (Some("1"), 10));
        assert_eq!(rskafka.passthrough(), []);
    }

    #[test]
    fn a_named_subscriber_node_has_a_library_and_a_group_by_default() {
        let node = |config: &str| {
            read(&format!(r#"{{"name": "reader", "type": "DataSubscriberNode", "config": {config}}}"#))
        };
        let group = |layers: &Layers| {
            let settings = settings(layers, Side::Consumer, Library::Rskafka);
            let group = settings.text(KeyId::GroupId).map(str::to_owned);
            (group, settings.place(KeyId::GroupId).to_string())
        };
        let layers = node(r#"{"source": "orders", "bootstrap_servers": "a:1"}"#);
        assert_eq!(group(&layers), (Some("reader_group".into()), "c.json: name".into()));
        let (library, place) = layers.library().unwrap();
        assert_eq!((library, place.to_string().as_str()), (Choice::Only(Library::Rskafka), "c.json"));

        let layers = node(r#"{"source": "orders", "group_id": "g"}"#);
        assert_eq!(group(&layers), (Some("g".into()), "c.json: config.group_id".into()));
        let layers = node(r#"{"source": "orders", "consumer_config": {"group_id": "of_library"}}"#);
        assert_eq!(group(&layers).0.as_deref(), Some("of_library"));
        let layers = node(r#"{"destination": "orders"}"#);
        assert_eq!(group(&layers).0, None);
    }

    #[test]
    fn lists_numbers_and_switches_are_values() {
        let layers = read(
            r#"{"source": "t", "consumer_config": {"partition_assignment_strategy": ["roundrobin", "range"],
                "enable_auto_commit": false, "max_poll_records": 7, "auto_offset_reset": "earliest"}}"#,
        );
        let settings = settings(&layers, Side::Consumer, Library::Rskafka);
        assert_eq!(settings.list(KeyId::AssignmentStrategy), ["roundrobin", "range"]);
        assert!(!settings.bool(KeyId::EnableAutoCommit));
        assert_eq!(settings.int(KeyId::MaxPollRecords), 7);
        assert_eq!(settings.text(KeyId::AutoOffsetReset), Some("earliest"));
    }

    #[test]
    fn mistakes_name_the_member() {
        for (text, expected) in [
            ("[]", "c.json: is not a JSON object"),
            ("{\n \"source\": }", "c.json:2: broken JSON at column 12: expected value"),
            (r#"{"sorce": "t"}"#, "c.json: sorce: unknown member, did you mean source?"),
            (r#"{"config": 1}"#, "c.json: config: is not an object"),
            (r#"{"config": {}, "nam": "x"}"#, "c.json: nam: unknown member, did you mean name?"),
            (
                r#"{"config": {}, "other": "x"}"#,
                "c.json: other: unknown member; there are name, type, config",
            ),
            (
                r#"{"source": "a", "destination": "b"}"#,
                "c.json: source: goes without destination: delete one of them",
            ),
            (
                r#"{"source": "http://topic/a"}"#,
                r#"c.json: source: "http://topic/a" is not a topic: write NAME or kafka://topic/NAME"#,
            ),
            (
                r#"{"config": {"bootstrap_servers": [{}]}}"#,
                "c.json: config.bootstrap_servers: is neither text, a number, true, false nor a list of these",
            ),
            (r#"{"group_id": "${GONE}"}"#, "c.json: group_id: $GONE is not set"),
            (r#"{"producer_config": []}"#, "c.json: producer_config: is not an object"),
            (
                r#"{"producer_config": {"lingr_ms": 1}}"#,
                "c.json: producer_config.lingr_ms: unknown key, did you mean linger_ms?",
            ),
            (
                r#"{"producer_config": {"value_serializer": "json"}}"#,
                "c.json: producer_config.value_serializer: unknown key: keys and values go through as bytes; \
                 delete it",
            ),
            (
                r#"{"consumer_config": {"acks": 1}}"#,
                "c.json: consumer_config.acks: acks is a setting of the producer",
            ),
            (
                r#"{"producer_config": {"linger_ms": true}}"#,
                "c.json: producer_config.linger_ms: \"true\" is not a whole number of milliseconds from 0 to \
                 900000",
            ),
        ] {
            assert_eq!(mistakes(text), [expected], "{text}");
        }
    }
}
