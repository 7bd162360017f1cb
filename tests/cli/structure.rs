//! Rules about the sources that no lint knows: which part may use which.
use std::fs;
use std::path::{Path, PathBuf};

/// The parts of the crate and their layers: each uses only those of lower layers.
const LAYERS: [(&str, u8); 24] = [
    ("bounded_read", 0),
    ("console", 0),
    ("escape", 0),
    ("private", 0),
    ("record", 0),
    ("units", 0),
    ("filter", 1),
    ("offset", 1),
    ("settings", 1),
    ("spool", 1),
    ("stop", 1),
    ("wire", 1),
    ("group", 2),
    ("backends", 3),
    ("format", 3),
    ("props", 3),
    ("resilient", 4),
    ("input", 4),
    ("cli", 5),
    ("broker", 5),
    ("commands", 6),
    ("readme", 7),
    ("lib", 8),
    ("main", 9),
];

/// Words that stand only in these files (a path ends a folder with a slash).
const ONLY_IN: [(&str, &[&str]); 13] = [
    ("clap::", &["cli/"]),
    // The temporary folder's place is the one thing of the environment that is no setting.
    ("std::env::", &["settings/env.rs", "main.rs", "readme.rs", "broker/folder.rs"]),
    // A process is started for the user in one place, where its end and its signals are looked after.
    ("Command::new(", &["commands/child.rs"]),
    ("signal_hook::", &["stop.rs"]),
    ("process::exit", &["stop.rs"]),
    ("println!", &[]),
    ("eprint", &[]),
    ("rdkafka_sys", &["backends/rdkafka/"]),
    ("::rdkafka::", &["backends/rdkafka/"]),
    ("::rskafka::", &["backends/rskafka/"]),
    (
        "tokio::",
        &[
            "backends/grouped/",
            "backends/native/",
            "backends/rskafka/",
            "backends/wired/",
            "broker/",
            "wire/net/",
        ],
    ),
    ("wire::net", &["backends/grouped/", "backends/native/", "backends/wired/", "wire/net/"]),
    ("unsafe {", &["backends/rdkafka/native/"]),
];

/// A source file: its path under `src/`, and its code without comments and tests.
struct Source {
    path: String,
    code: String,
}

impl Source {
    fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        let code: Vec<&str> = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        let path = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
        Self { path, code: code.join("\n") }
    }

    /// The part it belongs to.
    fn part(&self) -> &str {
        self.path.split('/').next().unwrap_or_default().trim_end_matches(".rs")
    }

    /// True when `word` is in its code, and not as the end of a longer word or path.
    fn has(&self, word: &str) -> bool {
        let starts = |at: usize| !self.code[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
        self.code.match_indices(word).any(|(at, _)| starts(at))
    }

    /// The parts it uses.
    fn uses(&self) -> impl Iterator<Item = &str> {
        self.code.split("crate::").skip(1).map(|rest| {
            rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or_default()
        })
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn sources() -> Vec<Source> {
    let (mut folders, mut sources) = (vec![root()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && path.ends_with("tests") {
                continue;
            } else if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("tests.rs") {
                sources.push(Source::read(&path));
            }
        }
    }
    assert!(sources.len() > 50, "only {} sources", sources.len());
    sources
}

fn layer(part: &str) -> u8 {
    let found = LAYERS.iter().find(|(name, _)| *name == part);
    found.unwrap_or_else(|| panic!("{part} has no layer: give it one in tests/cli/structure.rs")).1
}

#[test]
fn every_part_uses_lower_layers_only() {
    for source in sources() {
        assert!(!source.code.contains("use crate::{"), "{}: one `use` for each part, please", source.path);
        for used in source.uses().filter(|used| *used != source.part()) {
            assert!(
                layer(used) < layer(source.part()),
                "{} uses crate::{used}, which is no lower layer",
                source.path
            );
        }
    }
}

#[test]
fn the_libraries_do_not_know_who_uses_them_nor_each_other() {
    for source in sources() {
        let path = &source.path;
        if path.starts_with("backends/") {
            let mut allowed = vec!["backends", "record", "settings", "units"];
            let wired = ["native", "wired", "grouped"].map(|part| format!("backends/{part}/"));
            allowed.extend(wired.iter().any(|folder| path.starts_with(folder)).then_some("wire"));
            allowed.extend(path.starts_with("backends/grouped/").then_some("group"));
            for used in source.uses() {
                assert!(allowed.contains(&used), "{path} uses {used}");
            }
        }
        for (folder, other) in [("backends/rdkafka/", "rskafka"), ("backends/rskafka/", "rdkafka")] {
            let names = [format!("super::{other}"), format!("backends::{other}")];
            let found = path.starts_with(folder) && names.iter().any(|name| source.code.contains(name));
            assert!(!found, "{path} uses {other}");
        }
        if path.starts_with("resilient/") {
            for used in source.uses() {
                assert!(
                    ["backends", "record", "resilient", "settings", "spool"].contains(&used),
                    "{path} uses {used}"
                );
            }
        }
        if path.starts_with("commands/") || path.starts_with("resilient/") {
            assert!(!source.code.contains("backends::r"), "{path} uses one library by name");
        }
    }
}

#[test]
fn commands_do_not_use_each_other() {
    for source in sources() {
        for command in ["publish", "subscribe", "bench", "inspect", "libs", "config", "broker"] {
            let mine = source.path.starts_with(&format!("commands/{command}"));
            let used = source.code.contains(&format!("commands::{command}"));
            assert!(mine || !used, "{} uses commands::{command}", source.path);
        }
    }
}

#[test]
fn some_things_have_one_place() {
    for source in sources() {
        for (word, files) in ONLY_IN {
            let allowed = files
                .iter()
                .any(|file| source.path == *file || file.ends_with('/') && source.path.starts_with(file));
            assert!(allowed || !source.has(word), "{} has `{word}`", source.path);
        }
    }
}

#[test]
fn files_stay_small() {
    for source in sources() {
        let most = if source.path == "main.rs" { 80 } else { 600 };
        let lines = source.code.lines().count();
        assert!(lines <= most, "{} has {lines} lines of code", source.path);
    }
}
