//! From layers to [`Settings`]: read every entry by the key table, then take the first that counts.

use std::collections::HashMap;

use super::keys::{self, KEYS, Key, KeyId};
use super::value::{self, Value};
use super::{Choice, Entry, Layers, Library, Mistake, Mistakes, Place, Scope, Setting, Settings, Side};
use super::{complain, profile, rules};

/// An entry and what it means.
struct Reading<'a> {
    entry: &'a Entry,
    meaning: Meaning,
}

enum Meaning {
    Setting(&'static Key, Value),
    /// For librdkafka, as it is.
    Native,
}

impl Reading<'_> {
    fn counts_for(&self, side: Side, library: Library) -> bool {
        self.entry.scope.covers(side) && self.entry.only.is_none_or(|only| only.is_meant_for(library))
    }
}

impl Layers {
    /// The settings of one side, when `library` runs.
    ///
    /// # Errors
    /// All mistakes of all layers, those of the other side and of the other library too.
    pub fn resolve(&self, side: Side, library: Library) -> Result<Settings, Mistakes> {
        self.check()?;
        let profile = self.profile();
        let (readings, _) = self.read(&profile);
        Ok(settle(&readings, side, library))
    }

    /// The library asked for, and where.
    ///
    /// # Errors
    /// As [`Layers::resolve`].
    pub fn library(&self) -> Result<(Choice, Place), Mistakes> {
        let settings = self.resolve(Side::Producer, Library::Rdkafka)?;
        let choice = match settings.text(KeyId::Library) {
            Some("native") => Choice::Only(Library::Native),
            Some("rdkafka") => Choice::Only(Library::Rdkafka),
            Some("rskafka") => Choice::Only(Library::Rskafka),
            _ => Choice::Auto,
        };
        Ok((choice, settings.place(KeyId::Library).clone()))
    }

    /// Finds every mistake there is.
    ///
    /// # Errors
    /// All of them.
    pub fn check(&self) -> Result<(), Mistakes> {
        let profile = self.profile();
        let (readings, mut mistakes) = self.read(&profile);
        // Values that do not go together are told only when each value is right by itself.
        if mistakes.is_empty() {
            for library in Library::ALL {
                for side in [Side::Producer, Side::Consumer] {
                    mistakes.extend(rules::broken(&settle(&readings, side, library)));
                }
            }
        }
        Mistakes::none_in(mistakes)
    }

    /// The entries of the profile asked for.
    fn profile(&self) -> Vec<Entry> {
        let (readings, _) = self.read(&[]);
        let settings = settle(&readings, Side::Producer, Library::Rdkafka);
        settings.text(KeyId::Profile).map(profile::entries).unwrap_or_default()
    }

    /// Reads all entries, in order of precedence.
    fn read<'a>(&'a self, profile: &'a [Entry]) -> (Vec<Reading<'a>>, Vec<Mistake>) {
        let said = self.in_order().map(|layer| (layer.entries.as_slice(), layer.mistakes.clone()));
        let defaults = self.in_order().map(|layer| (layer.defaults.as_slice(), Vec::new()));
        let (mut readings, mut mistakes) = (Vec::new(), Vec::new());
        for (entries, mut wrong) in said.chain([(profile, Vec::new())]).chain(defaults) {
            wrong.extend(twice(entries));
            readings.extend(read_entries(entries, &mut wrong));
            wrong.sort_by_key(|mistake| mistake.place.line());
            mistakes.extend(wrong);
        }
        (readings, mistakes)
    }
}

/// Reads the entries of a layer. The one that wins comes first: those for one library, then those for
/// one side; of two alike the later.
fn read_entries<'a>(entries: &'a [Entry], wrong: &mut Vec<Mistake>) -> Vec<Reading<'a>> {
    let mut readings = Vec::new();
    for entry in entries {
        match meaning(entry) {
            Ok(meaning) => readings.push(Reading { entry, meaning }),
            Err(mistake) => wrong.push(mistake),
        }
    }
    readings.reverse();
    let common = |scope| matches!(scope, Scope::Any | Scope::Common);
    readings.sort_by_key(|reading| (reading.entry.only.is_none(), common(reading.entry.scope)));
    readings
}

/// What an entry means.
fn meaning(entry: &Entry) -> Result<Meaning, Mistake> {
    if entry.scope == Scope::Rdkafka && !entry.key.is_empty() {
        return Ok(Meaning::Native);
    }
    let Some((key, scale)) = keys::find(&entry.key) else {
        // A dictionary for librdkafka alone may hold keys that only librdkafka knows.
        let native = entry.only == Some(Library::Rdkafka) && complain::hint(&entry.key).is_none();
        return if native { Ok(Meaning::Native) } else { Err(complain::unknown(entry)) };
    };
    if !complain::accepts(entry.scope, key.role) {
        return Err(complain::misplaced(entry, key));
    }
    value::parse(key, scale, &entry.value)
        .map(|value| Meaning::Setting(key, value))
        .map_err(|wrong| complain::bad_value(entry, &wrong))
}

/// Settings that a layer has in two spellings.
fn twice(entries: &[Entry]) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    let mut first: HashMap<(KeyId, Scope, Option<Library>), &Entry> = HashMap::new();
    for later in entries {
        let Some((key, _)) = keys::find(&later.key) else { continue };
        let earlier = *first.entry((key.id, later.scope, later.only)).or_insert(later);
        if earlier.key != later.key {
            let message = format!(
                "{} and {} ({}) are one setting: delete one of them",
                later.key, earlier.key, earlier.place
            );
            mistakes.push(Mistake::new(&later.place, message));
        }
    }
    mistakes
}

/// Takes for every key the first reading that counts.
fn settle(readings: &[Reading<'_>], side: Side, library: Library) -> Settings {
    let counting: Vec<&Reading<'_>> =
        readings.iter().filter(|reading| reading.counts_for(side, library)).collect();
    let mut of_keys: HashMap<KeyId, Vec<(&Value, &Place)>> = HashMap::new();
    for reading in &counting {
        if let Meaning::Setting(key, value) = &reading.meaning {
            of_keys.entry(key.id).or_default().push((value, &reading.entry.place));
        }
    }
    let said = |key: &Key| of_keys.get(&key.id).map(Vec::as_slice).unwrap_or_default();
    let rows = KEYS.iter().map(|key| setting(key, said(key))).collect();
    let mut settings = Settings { side, rows, passthrough: Vec::new(), overridden_passthrough: Vec::new() };
    pass_through(&counting, &mut settings);
    rules::derive(&mut settings);
    settings
}

/// The setting of a key, from its values in order of precedence.
fn setting(key: &Key, said: &[(&Value, &Place)]) -> Setting {
    let Some(((value, place), overridden)) = said.split_first() else {
        let default = key.default.and_then(|typed| value::parse(key, 1, typed).ok());
        return Setting { value: default, place: Place::Default, overridden: Vec::new() };
    };
    let overridden = overridden.iter().map(|(value, place)| (value.text.clone(), (*place).clone())).collect();
    Setting { value: Some((*value).clone()), place: (*place).clone(), overridden }
}

/// Takes for every native key the first reading.
fn pass_through(counting: &[&Reading<'_>], settings: &mut Settings) {
    let native = counting.iter().filter(|reading| matches!(reading.meaning, Meaning::Native));
    for Reading { entry, .. } in native {
        let value = (entry.key.clone(), entry.value.clone(), entry.place.clone());
        if settings.passthrough.iter().any(|(key, ..)| *key == entry.key) {
            settings.overridden_passthrough.push(value);
        } else {
            settings.passthrough.push(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Layer;

    fn line(number: u32, property: &str, value: &str) -> Entry {
        let (scope, key) = Scope::split(property, Scope::Common);
        let place = Place::File { path: "a.properties".into(), line: Some(number), member: None };
        Entry { key: key.to_owned(), scope, value: value.to_owned(), place, only: None }
    }

    fn file(lines: &[(&str, &str)]) -> Layer {
        let entries = lines.iter().zip(1..).map(|((key, value), number)| line(number, key, value)).collect();
        Layer { entries, ..Layer::default() }
    }

    fn overrides(typed: &[&str]) -> Layer {
        let mut layer = Layer::default();
        typed.iter().for_each(|one| layer.push_override(one));
        layer
    }

    fn mistakes(layers: &Layers) -> Vec<String> {
        let found = layers.resolve(Side::Producer, Library::Rdkafka).unwrap_err();
        found.iter().map(ToString::to_string).collect()
    }

    fn one_file(lines: &[(&str, &str)]) -> Layers {
        Layers { files: vec![file(lines)], ..Layers::default() }
    }

    #[test]
    fn each_layer_wins_over_those_below_it() {
        let mut layers = one_file(&[("producer.acks", "0"), ("profile", "high-throughput")]);
        let acks = |layers: &Layers| {
            let settings = layers.resolve(Side::Producer, Library::Rdkafka).unwrap();
            format!("{} {}", settings.text(KeyId::Acks).unwrap(), settings.place(KeyId::Acks))
        };
        assert_eq!(acks(&Layers::default()), "all default");
        assert_eq!(acks(&one_file(&[("profile", "low-latency")])), "1 profile low-latency");
        assert_eq!(acks(&layers), "0 a.properties:1");
        layers.files.push(file(&[("producer.acks", "all")]));
        layers.files[1].entries[0].place = Place::Env("second file".into());
        assert_eq!(acks(&layers), "all $second file");
        let mut entry = line(1, "producer.acks", "1");
        entry.place = Place::Env("KPS_ACKS".into());
        layers.env.entries.push(entry);
        assert_eq!(acks(&layers), "1 $KPS_ACKS");
        layers.overrides = overrides(&["acks=0", "acks=all"]);
        assert_eq!(acks(&layers), "all -X acks");
        layers.flags.entries.push(Entry::flag("--acks", KeyId::Acks, "1"));
        assert_eq!(acks(&layers), "1 --acks");
    }

    #[test]
    fn a_side_of_its_own_wins_over_both() {
        let layers = one_file(&[("producer.client.id", "p"), ("client.id", "both")]);
        let id = |side| {
            let settings = layers.resolve(side, Library::Rdkafka).unwrap();
            settings.text(KeyId::ClientId).unwrap().to_owned()
        };
        assert_eq!((id(Side::Producer), id(Side::Consumer)), ("p".into(), "both".into()));
    }

    #[test]
    fn an_entry_for_one_library_counts_for_that_library_only() {
        let mut layers = one_file(&[("producer.acks", "0"), ("producer.nonsense.ms", "7")]);
        layers.files[0].entries.iter_mut().for_each(|entry| entry.only = Some(Library::Rdkafka));
        let with = layers.resolve(Side::Producer, Library::Rdkafka).unwrap();
        assert_eq!((with.text(KeyId::Acks), with.passthrough().len()), (Some("0"), 1));
        let without = layers.resolve(Side::Producer, Library::Rskafka).unwrap();
        assert_eq!((without.text(KeyId::Acks), without.passthrough().len()), (Some("all"), 0));
    }

    #[test]
    fn all_mistakes_are_told_at_once_with_their_places() {
        let mut layers = one_file(&[
            ("producer.lingr.ms", "5"),
            ("consumer.acks", "all"),
            ("linger.ms", "5"),
            ("prodcer.acks", "1"),
            ("consumer.fetch_max_wait_ms", "1s"),
            ("producer.value.serializer", "x"),
            ("resilience.spool", "x"),
            ("producer.profile", "low-latency"),
            ("rdkafka.", "x"),
        ]);
        layers.overrides = overrides(&["acks", "linger.msec=3", "queue.buffering.max.kbytes=0"]);
        layers.overrides.push_override("socket.keepalive.enable=true");
        let expected = [
            "-X acks: -X takes KEY=VALUE",
            "-X linger.msec: unknown key, did you mean linger.ms?",
            "-X queue.buffering.max.kbytes: \"0\" is not a whole number of KiB from 1 to 2147483647",
            "-X socket.keepalive.enable: unknown key; librdkafka's own keys are written rdkafka.KEY",
            "a.properties:1: unknown key kafka.producer.lingr.ms, did you mean kafka.producer.linger.ms?",
            "a.properties:2: kafka.consumer.acks is a setting of the producer: write kafka.producer.acks",
            "a.properties:3: kafka.linger.ms is a setting of the producer: write kafka.producer.linger.ms",
            "a.properties:4: unknown key kafka.prodcer.acks, did you mean kafka.producer.acks?",
            "a.properties:5: kafka.consumer.fetch_max_wait_ms: \"1s\" is not a whole number of milliseconds from 0 to 300000",
            "a.properties:6: unknown key kafka.producer.value.serializer: keys and values go through as bytes; \
             delete it",
            "a.properties:7: unknown key kafka.resilience.spool; librdkafka's own keys are written kafka.rdkafka.KEY",
            "a.properties:8: kafka.producer.profile is a setting of the whole run: write kafka.profile",
            "a.properties:9: unknown key kafka.rdkafka.",
        ];
        assert_eq!(mistakes(&layers), expected);
    }

    #[test]
    fn two_spellings_in_one_layer_name_both_places() {
        let layers = one_file(&[
            ("producer.linger.ms", "5"),
            ("producer.queue.buffering.max.ms", "5"),
            ("consumer.client.id", "a"),
            ("producer.client_id", "b"),
        ]);
        assert_eq!(
            mistakes(&layers),
            ["a.properties:2: queue.buffering.max.ms and linger.ms (a.properties:1) are one setting: \
              delete one of them"]
        );
    }

    #[test]
    fn values_that_do_not_go_together_are_mistakes_of_either_side() {
        let layers = one_file(&[
            ("producer.enable.idempotence", "true"),
            ("producer.acks", "1"),
            ("consumer.session.timeout.ms", "500"),
        ]);
        assert_eq!(
            mistakes(&layers),
            [
                "a.properties:1: enable.idempotence=true (a.properties:1) does not go with acks=1 (a.properties:2)",
                "a.properties:3: heartbeat.interval.ms=500 (default) must be less than \
                 session.timeout.ms=500 (a.properties:3)",
            ]
        );
    }

    #[test]
    fn idempotence_nobody_asked_for_gives_way() {
        for (value, expected) in [("acks=all", true), ("acks=1", false), ("max.in.flight=6", false)] {
            let layers = Layers { overrides: overrides(&[value]), ..Layers::default() };
            let settings = layers.resolve(Side::Producer, Library::Rdkafka).unwrap();
            assert_eq!(settings.bool(KeyId::EnableIdempotence), expected, "{value}");
            assert!(!settings.is_set(KeyId::EnableIdempotence));
        }
    }

    #[test]
    fn library_names_of_the_python_pair_are_accepted() {
        for (typed, expected) in [
            ("confluent-kafka", Choice::Only(Library::Rdkafka)),
            ("librdkafka", Choice::Only(Library::Rdkafka)),
            ("kafka_python", Choice::Only(Library::Rskafka)),
            ("auto", Choice::Auto),
        ] {
            let (choice, place) = one_file(&[("library", typed)]).library().unwrap();
            assert_eq!((choice, place.to_string().as_str()), (expected, "a.properties:1"));
        }
        assert_eq!(Layers::default().library(), Ok((Choice::Auto, Place::Default)));
    }

    #[test]
    fn a_default_of_a_file_gives_way_to_any_file() {
        let mut layers = one_file(&[("library", "rdkafka")]);
        layers.files.push(Layer { defaults: vec![line(9, "library", "rskafka")], ..Layer::default() });
        assert_eq!(layers.library().unwrap().0, Choice::Only(Library::Rdkafka));
        layers.files.remove(0);
        assert_eq!(layers.library().unwrap().0, Choice::Only(Library::Rskafka));
    }

    #[test]
    fn native_keys_go_through_as_they_are() {
        let settings = Settings::for_tests(
            Side::Consumer,
            &[("rdkafka.Debug_x", " a "), ("rdkafka.fetch.min.bytes", "oops"), ("rdkafka.Debug_x", "b")],
        );
        let passed: Vec<_> =
            settings.passthrough().iter().map(|(k, v, _)| (k.as_str(), v.as_str())).collect();
        assert_eq!(passed, [("Debug_x", "b"), ("fetch.min.bytes", "oops")]);
    }
}
