//! The keys of a .properties file that the user trusts: one that was named, or the user's own.

use std::path::Path;

use super::expand::Placeholders;
use super::keys::{self, Role};
use super::mistake::shorten;
use super::{Entry, Layer, Mistake, Place, Scope, complain, found};

/// Keys with this prefix are ours; the others belong to the application that shares the file.
const PREFIX: &str = "kafka.";
/// Keys that one warning names. A file that was written for another tool can have dozens.
pub(super) const NAMED_KEYS: usize = 8;

/// A key and its value as typed, escapes resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Property {
    /// The key, with whatever prefix it has.
    pub name: String,
    /// The value.
    pub value: String,
    /// The line that it begins in.
    pub line: Option<u32>,
}

impl Property {
    /// The key without [`PREFIX`]; `None` for a key that is not ours.
    pub(super) fn ours(&self) -> Option<&str> {
        self.name.strip_prefix(PREFIX)
    }

    /// The entry that this property is under the name `key`.
    pub(super) fn entry(&self, key: &str, place: Place) -> Entry {
        let (scope, key) = Scope::split(key, Scope::Common);
        Entry { key: key.to_owned(), scope, value: self.value.clone(), place, only: None }
    }

    /// The name and line, as a warning shows them.
    pub(super) fn shown(&self) -> String {
        let name = shorten(&self.name);
        self.line.map_or_else(|| name.clone(), |line| format!("{name} (line {line})"))
    }
}

/// The properties of a file, and the lines of ours that could not be read.
#[derive(Debug, Default)]
pub struct Parsed {
    /// In the order of the file.
    pub properties: Vec<Property>,
    /// Lines that are ours and cannot be read.
    pub mistakes: Vec<Mistake>,
}

/// Why a file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The user named it for this run: it must have something to say.
    Named,
    /// It is the user's own file, in the configuration folder.
    UserFile,
}

/// What a trusted file sets. A named file without any key of ours is a mistake: the run would go to the default
/// servers in plain text, whatever the file was meant to say.
pub fn layer(parsed: Parsed, path: &Path, placeholders: &Placeholders<'_>, reason: Reason) -> Layer {
    let Parsed { properties, mistakes } = parsed;
    let mut layer = Layer { mistakes, ..Layer::default() };
    let place = |line| Place::File { path: path.into(), line, member: None };
    for property in &properties {
        let Some(key) = property.ours() else { continue };
        match placeholders.fill_entry(property.entry(key, place(property.line))) {
            Ok(entry) => layer.entries.push(entry),
            Err(mistake) => layer.mistakes.push(mistake),
        }
    }
    let sets_nothing = layer.entries.is_empty() && layer.mistakes.is_empty();
    if sets_nothing && reason == Reason::Named {
        layer.mistakes.push(nothing_set(&properties, &place));
    } else {
        let file = path.display().to_string();
        layer.warnings.extend(warn_of_unprefixed(&properties, &file, |_| true));
    }
    layer
}

/// The mistake of a named file in which no key begins with `kafka.`.
fn nothing_set(properties: &[Property], place: &impl Fn(Option<u32>) -> Place) -> Mistake {
    let known = properties.iter().find_map(|property| Some((property, prefixed(&property.name)?)));
    if let Some((property, prefixed)) = known {
        let name = &property.name;
        let message = format!(
            "no key in this file begins with kafka., so none of them counts: write {name} as {prefixed}, or give \
             the settings with -b and -X"
        );
        return Mistake::new(&place(property.line), message);
    }
    let security = properties.iter().find_map(|property| Some((property, security_hint(&property.name)?)));
    if let Some((property, hint)) = security {
        let name = shorten(&property.name);
        let message =
            format!("no key in this file begins with kafka., so none of them counts; {name}: {hint}");
        return Mistake::new(&place(property.line), message);
    }
    let message = "no key in this file begins with kafka., as in kafka.bootstrap.servers=HOST:PORT, so it sets \
                   nothing; --no-props runs without a file";
    Mistake::new(&place(None), message)
}

/// The advice for a key of other clients' files that has no counterpart of the same name here.
fn security_hint(name: &str) -> Option<&'static str> {
    let hint = complain::hint(name);
    hint.or_else(|| found::is_security(name).then_some("the keys known here are listed by `kps config`"))
}

/// One warning that names keys which would be ours with the prefix.
pub(super) fn warn_of_unprefixed(
    properties: &[Property],
    file: &str,
    counts: impl Fn(&Property) -> bool,
) -> Option<String> {
    let found: Vec<(&Property, String)> = properties
        .iter()
        .filter(|property| counts(property))
        .filter_map(|property| Some((property, prefixed(&property.name)?)))
        .collect();
    let (_, example) = found.first()?;
    let names = list(found.iter().map(|(property, _)| property.shown()));
    Some(format!("{file}: without the prefix kafka. a key does not count: {names}; write {example}"))
}

/// Some names, and how many more there are.
pub(super) fn list(names: impl ExactSizeIterator<Item = String>) -> String {
    let more = names.len().saturating_sub(NAMED_KEYS);
    let named: Vec<String> = names.take(NAMED_KEYS).collect();
    let named = named.join(", ");
    if more == 0 { named } else { format!("{named} and {more} more") }
}

/// How a key without the prefix is written with it; `None` for a key that is not one of ours.
fn prefixed(name: &str) -> Option<String> {
    let (scope, key) = Scope::split(name, Scope::Any);
    if scope == Scope::Rdkafka {
        return Some(format!("{PREFIX}{}", shorten(name)));
    }
    let (row, _) = keys::find(key)?;
    let side = match (scope, row.role) {
        (Scope::Any, role) => role.prefix(),
        (_, Role::Tool) => "",
        (scope, _) => scope.prefix(),
    };
    Some(format!("{PREFIX}{side}{key}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Environment;

    fn read(lines: &[(&str, &str)], reason: Reason) -> Layer {
        let property = |(&(name, value), line): (&(&str, &str), u32)| Property {
            name: name.to_owned(),
            value: value.to_owned(),
            line: Some(line),
        };
        let properties = lines.iter().zip(1..).map(property).collect();
        let env = Environment::default();
        let placeholders = Placeholders::new(&env, Path::new(""));
        layer(Parsed { properties, mistakes: Vec::new() }, Path::new("f"), &placeholders, reason)
    }

    #[test]
    fn a_named_file_without_our_prefix_is_a_mistake_that_shows_the_way_out() {
        for (lines, expected) in [
            (&[][..], "f: no key in this file begins with kafka., as in kafka.bootstrap.servers="),
            (&[("server.port", "1"), ("kafka", "x")], "f: no key in this file begins with kafka., as in "),
            (
                &[("server.port", "1"), ("bootstrap.servers", "a")],
                "f:2: no key in this file begins with kafka., so none of them counts: write bootstrap.servers as \
                 kafka.bootstrap.servers, or give the settings with -b and -X",
            ),
            (
                &[("acks", "1")],
                "f:1: no key in this file begins with kafka., so none of them counts: write acks as kafka.producer.acks,",
            ),
            (
                &[("producer.client.id", "1")],
                "f:1: no key in this file begins with kafka., so none of them counts: write producer.client.id as kafka.producer.client.id,",
            ),
            (
                &[("metadata.broker.list", "a")],
                "f:1: no key in this file begins with kafka., so none of them counts: write metadata.broker.list as kafka.metadata.broker.list,",
            ),
            (
                &[("rdkafka.debug", "a")],
                "f:1: no key in this file begins with kafka., so none of them counts: write rdkafka.debug as kafka.rdkafka.debug,",
            ),
            (
                &[("sasl.jaas.config", "secret")],
                "f:1: no key in this file begins with kafka., so none of them counts; sasl.jaas.config: set ",
            ),
            (
                &[("ssl.keystore.key", "secret")],
                "f:1: no key in this file begins with kafka., so none of them counts; ssl.keystore.key: the keys known here",
            ),
        ] {
            let layer = read(lines, Reason::Named);
            let said: Vec<String> = layer.mistakes.iter().map(ToString::to_string).collect();
            assert_eq!(said.len(), 1, "{lines:?}");
            assert!(said[0].starts_with(expected) && !said[0].contains("secret"), "{said:?}");
            // The user's own file may be empty, and is warned about else.
            let own = read(lines, Reason::UserFile);
            assert!(own.mistakes.is_empty(), "{lines:?}");
        }
    }

    #[test]
    fn keys_without_our_prefix_beside_others_are_one_warning() {
        let lines =
            [("kafka.client.id", "a"), ("acks", "1"), ("server.port", "2"), ("bootstrap.servers", "s")];
        for reason in [Reason::Named, Reason::UserFile] {
            assert_eq!(
                read(&lines, reason).warnings,
                [
                    "f: without the prefix kafka. a key does not count: acks (line 2), bootstrap.servers (line 4); \
                  write kafka.producer.acks"
                ]
            );
        }
        assert_eq!(
            read(&[("kafka.client.id", "a"), ("server.port", "2")], Reason::Named).warnings,
            [] as [&str; 0]
        );
        let many: Vec<_> = std::iter::once(("kafka.client.id", "a")).chain([("acks", "1"); 11]).collect();
        let warnings = read(&many, Reason::Named).warnings;
        assert!(warnings[0].contains("acks (line 9) and 3 more; "), "{warnings:?}");
    }
}
