//! The README says what the program does: its generated tables are compared byte by byte, and what it
//! names must exist. `KPS_TEST_BLESS=1 cargo test --lib readme` writes the tables.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::backends::capability;
#[cfg(feature = "broker")]
use crate::broker;
use crate::cli;
use crate::settings::keys;

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("README.md")
}

fn readme() -> String {
    std::fs::read_to_string(path()).unwrap()
}

/// The text between the markers of a table, with what is before and after it.
fn split<'a>(text: &'a str, name: &str) -> (&'a str, &'a str, &'a str) {
    let (begin, end) = (format!("<!-- {name}: begin -->\n"), format!("<!-- {name}: end -->\n"));
    let start = text.find(&begin).unwrap() + begin.len();
    let stop = text.find(&end).unwrap();
    (&text[..start], &text[start..stop], &text[stop..])
}

#[test]
#[allow(clippy::disallowed_methods, reason = "a switch of this test, no setting")]
fn the_tables_are_those_the_program_has() {
    let mut text = readme();
    let bless = std::env::var_os("KPS_TEST_BLESS").is_some();
    for (name, table) in [
        ("keys", keys::markdown_table()),
        ("capabilities", capability::markdown_table()),
        #[cfg(feature = "broker")]
        ("apis", broker::markdown_table()),
        #[cfg(feature = "broker")]
        ("differences", broker::differences::markdown_table()),
    ] {
        let (before, found, after) = split(&text, name);
        if bless {
            text = format!("{before}{table}{after}");
        } else {
            let lines = found.lines().zip(table.lines()).find(|(found, expected)| found != expected);
            let how = "write it with KPS_TEST_BLESS=1 cargo test --lib readme";
            assert!(found == table, "{name}: {how}; first difference: {lines:?}");
        }
    }
    if bless {
        std::fs::write(path(), text).unwrap();
    }
}

#[test]
fn its_first_commands_are_the_two_to_begin_with() {
    let text = readme();
    let block = text.split("```sh\n").nth(1).unwrap().split("```").next().unwrap();
    assert_eq!(block, "examples/quickstart.sh\ntests/run.sh\n");
}

/// Flags of cargo and other tools that the README shows.
const FOREIGN: &[&str] = &[
    "--describe",
    "--lib",
    "--test",
    "--locked",
    "--path",
    "--release",
    "--features",
    "--no-default-features",
    "--exec",
    "--bin",
    // Of the comparison with other tools.
    "--codec",
    "--tools",
    "--rounds",
];

#[test]
fn every_long_flag_it_names_exists() {
    let mut root = cli::command();
    root.build();
    let mut known: BTreeSet<String> = FOREIGN.iter().map(|&flag| flag.to_owned()).collect();
    let commands = root.get_subcommands().flat_map(|command| command.get_subcommands().chain([command]));
    for arg in commands.flat_map(|command| command.get_arguments()) {
        let aliases = arg.get_visible_aliases().unwrap_or_default();
        known.extend(arg.get_long().into_iter().chain(aliases).map(|name| format!("--{name}")));
    }
    let text = readme();
    let (before, _, after) = split(&text, "keys");
    for part in [before, after] {
        for (at, _) in part.match_indices("--") {
            let starts = part[..at].ends_with([' ', '`', '(', '\n', '[']);
            let flag: String =
                part[at..].chars().take_while(|c| c.is_ascii_lowercase() || *c == '-').collect();
            if starts && flag.len() > 3 {
                assert!(known.contains(&flag), "the README names {flag}");
            }
        }
    }
}

#[test]
fn every_flag_of_the_program_is_in_it() {
    let mut root = cli::command();
    root.build();
    let text = readme();
    for command in root.get_subcommands().filter(|c| c.get_name() != "help") {
        for arg in command.get_arguments().filter(|arg| !["help", "version"].contains(&arg.get_id().as_str()))
        {
            let long = arg.get_long().map(|long| format!("--{long}"));
            let short = arg.get_short().map(|short| format!("-{short}"));
            let named = [long, short].into_iter().flatten().any(|flag| names(&text, &flag));
            let positional = arg.is_positional();
            assert!(
                named || positional,
                "the README does not name {} of {}",
                arg.get_id(),
                command.get_name()
            );
        }
    }
}

/// True when `flag` is in the text as a word.
fn names(text: &str, flag: &str) -> bool {
    text.match_indices(flag).any(|(at, _)| {
        let after = text[at + flag.len()..].chars().next();
        let before = text[..at].chars().next_back();
        before.is_some_and(|c| " `(\n".contains(c))
            && after.is_none_or(|c| !c.is_ascii_alphanumeric() && c != '-')
    })
}
