//! Settings files: finding them, reading them within bounds, and parsing `.properties` (JSON is `settings::json`'s).

use std::cell::OnceCell;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use java_properties::{LineContent, PropertiesError, PropertiesIter};

use crate::bounded_read::{self, SmallFile, TIME_LIMIT};
use crate::settings::env::Environment;
use crate::settings::expand::Placeholders;
use crate::settings::properties::{self, Parsed, Property, Reason};
use crate::settings::{Layer, Mistake, Place, found, json};

/// A settings file of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file that the user named, with `--props` or `$KPS_CONFIG`.
    Named(PathBuf),
    /// `-`, named likewise.
    StandardInput,
    /// The user's own file in the configuration folder, if it is there.
    UserFile(PathBuf),
    /// The file in the current folder, if it is there.
    Found,
}

impl Source {
    /// The file or pipe that the user named. The system's own names for standard input mean the same as `-`.
    fn named(path: &Path) -> Self {
        if is_standard_input(path) { Self::StandardInput } else { Self::Named(path.to_owned()) }
    }
}

/// Whether a path means standard input: `-`, and the system's own names for it.
pub fn is_standard_input(path: &Path) -> bool {
    ["-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"].iter().any(|name| path.as_os_str() == *name)
}

/// The files of a run, the weakest first: those of `--props`, else that of `$KPS_CONFIG`, else
/// `kps/application.properties` in `$XDG_CONFIG_HOME` (default `~/.config`) and, over it,
/// `./application.properties`. With `no_props` only files of `--props` are read.
pub fn locate(named: &[PathBuf], no_props: bool, env: &Environment) -> Vec<Source> {
    if no_props || !named.is_empty() {
        return named.iter().map(|path| Source::named(path)).collect();
    }
    if let Some(file) = env.get("KPS_CONFIG") {
        return vec![Source::named(Path::new(file))];
    }
    user_file(env).map(Source::UserFile).into_iter().chain([Source::Found]).collect()
}

/// The file in the user's configuration folder. A relative `$XDG_CONFIG_HOME` does not count (XDG base
/// directory specification), nor does a relative `$HOME`: what is in the current folder is not the user's.
fn user_file(env: &Environment) -> Option<PathBuf> {
    let absolute = |name| env.get(name).map(PathBuf::from).filter(|folder| folder.is_absolute());
    let folder = absolute("XDG_CONFIG_HOME").or_else(|| Some(absolute("HOME")?.join(".config")))?;
    Some(folder.join("kps").join(found::FILE))
}

/// Reads the files of a run, each once. What is wrong with one is in its layer's mistakes.
pub fn read_all(sources: &[Source], env: &Environment) -> Vec<Layer> {
    let mut layers = Vec::new();
    let mut user_file = None;
    for source in sources {
        match source {
            Source::Named(path) => layers.push(read_named(path, env)),
            Source::StandardInput => layers.push(read_standard_input(env)),
            Source::UserFile(path) => match bounded_read::read_found(path, TIME_LIMIT) {
                Ok(Some(file)) => {
                    user_file = Some(identity(&file.metadata));
                    layers.push(read_trusted(&file, path, env, Reason::UserFile));
                }
                Ok(None) => {}
                Err(why) => layers.push(unreadable(&file_place(path), format!("{why}; {NO_PROPS}"))),
            },
            Source::Found => match bounded_read::read_found(Path::new(found::FILE), TIME_LIMIT) {
                // In the configuration folder itself both are one file, which is the user's.
                Ok(Some(file)) if user_file != Some(identity(&file.metadata)) => {
                    layers.push(read_found(&file))
                }
                Ok(_) => {}
                Err(why) => {
                    layers.push(unreadable(&Place::Found { line: None }, format!("{why}; {NO_PROPS}")))
                }
            },
        }
    }
    layers
}

/// The way out of a file that nobody named.
const NO_PROPS: &str = "--no-props runs without it";
/// The name of standard input in places.
const STANDARD_INPUT: &str = "standard input";

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

fn read_named(path: &Path, env: &Environment) -> Layer {
    match bounded_read::read_named(path, TIME_LIMIT) {
        Ok(file) => read_trusted(&file, path, env, Reason::Named),
        Err(why) => unreadable(&file_place(path), why.to_string()),
    }
}

fn read_standard_input(env: &Environment) -> Layer {
    let path = Path::new(STANDARD_INPUT);
    match bounded_read::read_standard_input(TIME_LIMIT) {
        Ok(file) => read_trusted(&file, path, env, Reason::Named),
        Err(why) => unreadable(&file_place(path), why.to_string()),
    }
}

fn unreadable(place: &Place, why: String) -> Layer {
    let mistake = Mistake::new(place, format!("cannot be read: {why}"));
    Layer { mistakes: vec![mistake], ..Layer::default() }
}

/// A file that the user trusts: properties or JSON, placeholders filled in.
fn read_trusted(file: &SmallFile, path: &Path, env: &Environment, reason: Reason) -> Layer {
    // A pipe is in no folder that a relative path could start from, but the current one.
    let folder = path.parent().filter(|_| file.metadata.is_file()).unwrap_or(Path::new(""));
    let placeholders = Placeholders::new(env, folder);
    let text = decode(&file.bytes);
    let mut layer = if is_json(path, &text) {
        json::layer(&text, path, &placeholders)
    } else {
        let place = |line| Place::File { path: path.into(), line, member: None };
        properties::layer(parse(&text, &place), path, &placeholders, reason)
    };
    if file.metadata.is_file() && file.metadata.mode() & 0o077 != 0 {
        layer.note_exposed_secrets(&file.bytes);
    }
    layer
}

/// The file in the current folder that nobody named.
fn read_found(file: &SmallFile) -> Layer {
    let text = decode(&file.bytes);
    if text.trim_start().starts_with('{') {
        return Layer { mistakes: vec![found::refused_json()], ..Layer::default() };
    }
    found::layer(parse(&text, &|line| Place::Found { line }))
}

fn is_json(path: &Path, text: &str) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"))
        || text.trim_start().starts_with('{')
}

/// UTF-8 if it is valid as that, else ISO-8859-1, whose bytes are the first 256 characters; without a byte order
/// mark.
fn decode(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text).to_owned(),
        Err(_) => bytes.iter().map(|&byte| char::from(byte)).collect(),
    }
}

/// All properties of a file. `place` makes a place of a line.
fn parse(text: &str, place: &dyn Fn(Option<u32>) -> Place) -> Parsed {
    // A byte order mark makes the decoder read UTF-8. Without the newline a last line that ends in
    // a backslash would be lost.
    let text = format!("\u{feff}{}\n", join_surrogates(text));
    let mut parsed = Parsed::default();
    let number = |line: usize| u32::try_from(line).ok();
    let lines: OnceCell<Vec<&str>> = OnceCell::new();
    for line in PropertiesIter::new(text.as_bytes()) {
        match line {
            Ok(line) => {
                let at = number(line.line_number());
                if let LineContent::KVPair(name, value) = line.consume_content() {
                    parsed.properties.push(Property { name, value, line: at });
                }
            }
            Err(error) => {
                let lines = lines.get_or_init(|| natural_lines(&text).collect());
                if is_ours(lines, &error) {
                    let place = place(error.line_number().and_then(number));
                    parsed.mistakes.push(Mistake::new(&place, MALFORMED));
                }
            }
        }
    }
    parsed
}

/// The only error of the parser in text that is valid UTF-8.
const MALFORMED: &str = r"\u is not followed by the four hex digits of a character";

/// Whether a line that cannot be read is ours. The parser stumbles over `\u` in comments and in an application's lines
/// too (`# C:\users`): these do not matter.
fn is_ours(lines: &[&str], error: &PropertiesError) -> bool {
    let line = error.line_number().and_then(|number| lines.get(number.saturating_sub(1)));
    line.is_none_or(|line| line.trim_start_matches(BLANK).starts_with("kafka."))
}

/// Lines as Java counts them: ended by `\n`, `\r` or `\r\n`.
fn natural_lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n').flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'))
}

/// What may stand before a key, the mark at the start of the text included.
const BLANK: [char; 4] = [' ', '\t', '\x0c', '\u{feff}'];

fn file_place(path: &Path) -> Place {
    Place::File { path: path.into(), line: None, member: None }
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

    /// One named file.
    fn read(path: &Path, env: &Environment) -> Layer {
        read_all(&[Source::Named(path.to_owned())], env).remove(0)
    }

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
    fn named_files_are_read_alone_and_found_ones_over_the_users() {
        let env = |variables: &[(&str, &str)]| -> Environment { variables.iter().copied().collect() };
        let all = env(&[("KPS_CONFIG", "c"), ("XDG_CONFIG_HOME", "/xdg"), ("HOME", "/home/me")]);
        let files = |names: &[&str]| names.iter().map(|name| Source::Named(name.into())).collect::<Vec<_>>();
        let named = [PathBuf::from("a"), PathBuf::from("b")];
        assert_eq!(locate(&named, false, &all), files(&["a", "b"]));
        assert_eq!(locate(&named, true, &all), files(&["a", "b"]));
        assert_eq!(locate(&[], true, &all), []);
        assert_eq!(locate(&[], false, &all), files(&["c"]));
        let over = |user: &str| [Source::UserFile(user.into()), Source::Found];
        let xdg = env(&[("XDG_CONFIG_HOME", "/xdg"), ("HOME", "/home/me")]);
        assert_eq!(locate(&[], false, &xdg), over("/xdg/kps/application.properties"));
        let home = env(&[("XDG_CONFIG_HOME", "relative"), ("HOME", "/home/me")]);
        assert_eq!(locate(&[], false, &home), over("/home/me/.config/kps/application.properties"));
        assert_eq!(locate(&[], false, &env(&[("HOME", ".")])), [Source::Found]);
        for input in ["-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"] {
            assert_eq!(locate(&[input.into()], false, &all), [Source::StandardInput], "{input}");
        }
    }

    #[test]
    fn secrets_that_stand_in_a_file_of_others_are_noted() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let (path, json) = (folder.path().join("f"), folder.path().join("f.json"));
        std::fs::write(
            &path,
            "kafka.sasl.username=u\nkafka.sasl.password=s3cret\nkafka.ssl.key.password=${K}\n",
        )
        .unwrap();
        std::fs::write(&json, r#"{"confluent_config": {"sasl.password": "s3cret"}}"#).unwrap();
        let exposed = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
            let layer = read(path, &[("K", "other")].into_iter().collect());
            layer.exposed.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(exposed(&path, 0o644), [format!("{}:2", path.display())]);
        assert_eq!(exposed(&json, 0o640), [format!("{}: confluent_config.sasl.password", json.display())]);
        assert_eq!(exposed(&path, 0o600), [] as [String; 0]);
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
