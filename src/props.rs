//! Settings files: finding them, and reading `.properties` (JSON is `settings::json`'s).

use std::path::{Path, PathBuf};

use java_properties::{LineContent, PropertiesError, PropertiesIter};

use crate::settings::env::Environment;
use crate::settings::expand::Placeholders;
use crate::settings::{Entry, Layer, Mistake, Place, Scope, json};

/// The file that is read when none is named, here or in the user's configuration folder.
const NAME: &str = "application.properties";

/// The files to read: those of `--props`, else `$KPS_CONFIG`, else `./application.properties` if it
/// is there, else `kps/application.properties` in `$XDG_CONFIG_HOME` (default `~/.config`) if that is;
/// with `--no-props` none.
pub fn locate(named: &[PathBuf], no_props: bool, env: &Environment) -> Vec<PathBuf> {
    if no_props {
        return Vec::new();
    }
    if !named.is_empty() {
        return named.to_vec();
    }
    if let Some(file) = env.get("KPS_CONFIG") {
        return vec![file.into()];
    }
    let found = [Some(PathBuf::from(NAME)), user_file(env)];
    found.into_iter().flatten().find(|path| path.exists()).into_iter().collect()
}

/// The file in the user's configuration folder. A relative `$XDG_CONFIG_HOME` does not count (XDG base
/// directory specification).
fn user_file(env: &Environment) -> Option<PathBuf> {
    let folder = env.get("XDG_CONFIG_HOME").map(PathBuf::from).filter(|folder| folder.is_absolute());
    let folder = folder.or_else(|| Some(Path::new(env.get("HOME")?).join(".config")))?;
    Some(folder.join("kps").join(NAME))
}

/// Reads one file, properties or JSON. What is wrong with it is in the layer's mistakes.
pub fn read(path: &Path, env: &Environment) -> Layer {
    let folder = path.parent().unwrap_or(Path::new(""));
    let placeholders = Placeholders { env, folder };
    match std::fs::read(path) {
        Ok(bytes) => {
            let text = decode(&bytes);
            let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
            if is_json(path, text) {
                json::layer(text, path, placeholders)
            } else {
                properties(text, path, placeholders)
            }
        }
        Err(why) => {
            let mut layer = Layer::default();
            let place = Place::File { path: path.into(), line: None, member: None };
            layer.mistakes.push(Mistake::new(&place, format!("cannot be read: {why}")));
            layer
        }
    }
}

fn is_json(path: &Path, text: &str) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"))
        || text.trim_start().starts_with('{')
}

/// UTF-8 if it is valid as that, else ISO-8859-1, whose bytes are the first 256 characters.
fn decode(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().map(|&byte| char::from(byte)).collect(),
    }
}

/// What the keys under `kafka.` set; all others belong to an application and are not looked at.
fn properties(text: &str, path: &Path, placeholders: Placeholders<'_>) -> Layer {
    // A byte order mark makes the decoder read UTF-8. Without the newline a last line that ends in
    // a backslash would be lost.
    let text = format!("\u{feff}{}\n", join_surrogates(text));
    let mut layer = Layer::default();
    for line in PropertiesIter::new(text.as_bytes()) {
        match line {
            Ok(line) => {
                let place = place(path, Some(line.line_number()));
                if let LineContent::KVPair(name, value) = line.consume_content()
                    && let Some(key) = name.strip_prefix("kafka.")
                {
                    push(&mut layer, key, &value, place, placeholders);
                }
            }
            Err(error) => layer.mistakes.extend(malformed(&text, path, &error)),
        }
    }
    layer
}

fn push(layer: &mut Layer, key: &str, value: &str, place: Place, placeholders: Placeholders<'_>) {
    let (scope, key) = Scope::split(key, Scope::Common);
    match placeholders.fill(value) {
        Ok(value) => layer.entries.push(Entry { key: key.to_owned(), scope, value, place, only: None }),
        Err(wrong) => layer.mistakes.push(Mistake::new(&place, wrong)),
    }
}

/// The mistake of a line that is ours and cannot be read. The parser stumbles over `\u` in comments
/// and in an application's lines too (`# C:\users`): not our concern.
fn malformed(text: &str, path: &Path, error: &PropertiesError) -> Option<Mistake> {
    let number = error.line_number();
    let line = number.and_then(|number| natural_lines(text).nth(number.saturating_sub(1)));
    let ours = line.is_none_or(|line| line.trim_start_matches(BLANK).starts_with("kafka."));
    ours.then(|| {
        Mistake::new(&place(path, number), r"\u is not followed by the four hex digits of a character")
    })
}

/// Lines as Java counts them: ended by `\n`, `\r` or `\r\n`.
fn natural_lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n').flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'))
}

/// What may stand before a key, the mark at the start of the text included.
const BLANK: [char; 4] = [' ', '\t', '\x0c', '\u{feff}'];

fn place(path: &Path, line: Option<usize>) -> Place {
    Place::File { path: path.into(), line: line.and_then(|line| u32::try_from(line).ok()), member: None }
}

/// Replaces the two `\uXXXX` that Java writes for a character beyond U+FFFF by that character: the
/// parser takes each by itself and refuses it.
fn join_surrogates(text: &str) -> String {
    let mut joined = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        joined.push_str(before);
        rest = match surrogates(escape) {
            Some((character, after)) => {
                joined.push(character);
                after
            }
            None => {
                // The escaped character with it, so that its backslash starts nothing.
                let length = escape.chars().take(2).map(char::len_utf8).sum();
                let (kept, after) = escape.split_at(length);
                joined.push_str(kept);
                after
            }
        };
    }
    joined + rest
}

/// The character of two `\uXXXX` at the start of the text, and what follows.
fn surrogates(text: &str) -> Option<(char, &str)> {
    let unit = |text: &str| u16::from_str_radix(text.strip_prefix("\\u")?, 16).ok();
    let units = [unit(text.get(..6)?)?, unit(text.get(6..12)?)?];
    let character = char::decode_utf16(units).next()?.ok().filter(|character| *character > '\u{ffff}')?;
    Some((character, text.get(12..)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Choice, KeyId, Layers, Library, Settings, Side};

    fn layers(text: &[u8], variables: &[(&str, &str)]) -> Layers {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.properties");
        std::fs::write(&path, text).unwrap();
        let mut layer = read(&path, &variables.iter().copied().collect());
        // Only the name: the folder is another one each time.
        let short = |place: &mut Place| {
            if let Place::File { path, .. } = place {
                *path = path.file_name().unwrap().into();
            }
        };
        layer.entries.iter_mut().for_each(|entry| short(&mut entry.place));
        layer.mistakes.iter_mut().for_each(|mistake| short(&mut mistake.place));
        Layers { files: vec![layer], ..Layers::default() }
    }

    fn client_id(text: &[u8]) -> String {
        let settings = layers(text, &[]).resolve(Side::Producer, Library::Rdkafka).unwrap();
        settings.text(KeyId::ClientId).unwrap().to_owned()
    }

    fn mistakes(text: &[u8]) -> Vec<String> {
        let found = layers(text, &[]).resolve(Side::Producer, Library::Rdkafka).unwrap_err();
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_file_of_the_python_pair_works_as_it_stands() {
        let layers = layers(
            b"kafka.library=confluent-kafka\n\
              kafka.bootstrap.servers=localhost:9092,localhost:9093\n\
              kafka.producer.acks=all\n\
              kafka.producer.retries=3\n\
              kafka.consumer.group.id=my_app_group\n\
              kafka.consumer.auto.offset.reset=earliest\n",
            &[],
        );
        let (library, place) = layers.library().unwrap();
        assert_eq!(library, Choice::Only(Library::Rdkafka));
        assert_eq!(place.to_string(), "a.properties:1");
        let of = |side| -> Settings { layers.resolve(side, Library::Rdkafka).unwrap() };
        let (producer, consumer) = (of(Side::Producer), of(Side::Consumer));
        assert_eq!(producer.bootstrap(), ["localhost:9092", "localhost:9093"]);
        assert_eq!(producer.text(KeyId::Acks), Some("all"));
        assert_eq!(producer.int(KeyId::Retries), 3);
        assert_eq!(consumer.text(KeyId::GroupId), Some("my_app_group"));
        assert_eq!(consumer.text(KeyId::AutoOffsetReset), Some("earliest"));
        assert_eq!(consumer.place(KeyId::AutoOffsetReset).to_string(), "a.properties:6");
    }

    #[test]
    fn values_are_read_as_java_reads_them() {
        for (text, expected) in [
            (&b"kafka.client.id = a b"[..], "a b"),
            (b"kafka.client.id:a", "a"),
            (b"  kafka.client.id a", "a"),
            (b"kafka.client.id=a\\\n   b\\\r\nc", "abc"),
            (b"kafka.client.id=a\\", "a"),
            (br"kafka.client.id=\u0041\t\:\q", "A\t:q"),
            (br"kafka.client.id=\ud83d\ude00\ud83d\ude00", "\u{1f600}\u{1f600}"),
            (br"kafka.client.id=\\ud83d\\ude00", r"\ud83d\ude00"),
            (b"kafka.client.id=caf\xe9 \x80", "caf\u{e9} \u{80}"),
            ("kafka.client.id=caf\u{e9} \u{20ac}".as_bytes(), "caf\u{e9} \u{20ac}"),
            ("\u{feff}kafka.client.id=bom".as_bytes(), "bom"),
            (b"kafka.client.id=first\nkafka.client.id=last", "last"),
            (b"# kafka.client.id=comment\n! x\\\nkafka.client.id=a", "a"),
        ] {
            assert_eq!(client_id(text), expected, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn lines_of_an_application_are_not_looked_at() {
        let text = br"# C:\users
            app.path=C:\users
            spring.kafka.producer.lingr.ms=${NOT_SET}
            kafka=x
            kafka.client.id=a";
        assert_eq!(client_id(text), "a");
    }

    #[test]
    fn mistakes_name_the_line() {
        let text = b"# comment\n\nkafka.producer.acks=\\\n  2\r\nkafka.client.id=\\u00zz\rkafka.clientid=a\n\
            kafka.client.rack=${GONE}\n";
        assert_eq!(
            mistakes(text),
            [
                "a.properties:3: kafka.producer.acks: \"2\" is not all, 1 or 0",
                "a.properties:5: \\u is not followed by the four hex digits of a character",
                "a.properties:6: unknown key kafka.clientid, did you mean kafka.client.id?",
                "a.properties:7: $GONE is not set",
            ]
        );
    }

    #[test]
    fn placeholders_are_filled_in_from_the_environment_and_from_files_beside() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("password"), "s3cret\n").unwrap();
        let path = folder.path().join("f");
        std::fs::write(&path, "kafka.client.id=${WHO:x}-${N}\nkafka.sasl.password=${file:password}\n")
            .unwrap();
        let layer = read(&path, &[("N", "7")].into_iter().collect());
        let layers = Layers { files: vec![layer], ..Layers::default() };
        let settings = layers.resolve(Side::Producer, Library::Rdkafka).unwrap();
        assert_eq!(settings.text(KeyId::ClientId), Some("x-7"));
        assert_eq!(settings.text(KeyId::SaslPassword), Some("s3cret"));
        assert!(!format!("{layers:?} {settings:?}").contains("s3cret"));
    }

    #[test]
    fn json_is_known_by_its_name_or_its_first_character() {
        let layers = layers(b" \n{\"source\": \"t\"}", &[]);
        assert_eq!(layers.topic().unwrap().0, "t");
        assert!(is_json(Path::new("a.JSON"), "") && !is_json(Path::new("a"), "kafka.x={"));
    }

    #[test]
    fn a_file_that_cannot_be_read_is_a_mistake_with_its_name() {
        let layer = read(Path::new("no/such.properties"), &Environment::default());
        assert_eq!(
            layer.mistakes[0].to_string(),
            "no/such.properties: cannot be read: No such file or directory (os error 2)"
        );
    }

    #[test]
    fn the_first_file_named_or_there_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let user = folder.path().join("kps").join(NAME);
        std::fs::create_dir(folder.path().join("kps")).unwrap();
        std::fs::write(&user, "").unwrap();
        let xdg = ("XDG_CONFIG_HOME", folder.path().to_str().unwrap());
        let env = |variables: &[(&str, &str)]| -> Environment { variables.iter().copied().collect() };
        let all = env(&[("KPS_CONFIG", "c"), xdg]);
        let named = [PathBuf::from("a"), PathBuf::from("b")];
        assert_eq!(locate(&named, true, &all), [] as [PathBuf; 0]);
        assert_eq!(locate(&named, false, &all), named);
        assert_eq!(locate(&[], false, &all), [PathBuf::from("c")]);
        assert_eq!(locate(&[], false, &env(&[xdg])), [user]);
        assert_eq!(locate(&[], false, &env(&[("XDG_CONFIG_HOME", "relative")])), [] as [PathBuf; 0]);
        assert_eq!(locate(&[], false, &env(&[("HOME", "/nowhere")])), [] as [PathBuf; 0]);
    }

    #[test]
    fn the_example_file_is_right_with_every_key_in_it_turned_on() {
        let text = include_str!("../examples/application.properties");
        let on = text.replace("#kafka.", "kafka.").replace("${file:/run/secrets/kafka}", "x");
        for text in [text, &on] {
            let layers = layers(text.as_bytes(), &[("KAFKA_USER", "me")]);
            let settings = layers.resolve(Side::Consumer, Library::Rdkafka).unwrap();
            assert_eq!(settings.bootstrap(), ["localhost:9092"]);
        }
    }
}
