//! `kps libs`: which client libraries are here, what each can do, which to use.

use std::fmt::Write;

use anyhow::Result;
use serde_json::{Map, Value, json};

use super::{Exit, output::Output};
use crate::backends::capability::{CAPABILITIES, Support};
use crate::backends::{Advice, advise, available, build_of, is_available};
use crate::cli::{LibsArgs, ReportFormat};
use crate::console;
use crate::settings::{Layers, Library};

/// Runs the command: the library to use is that for the settings given.
pub(super) fn run(args: &LibsArgs, layers: &Layers) -> Result<Exit> {
    let advice = advise(layers)?;
    match args.output {
        ReportFormat::Text => Output::print(&text(&advice)),
        ReportFormat::Json => Output::print(&format!("{:#}\n", report(&advice))),
    }
}

/// `--check`, which reads no settings.
pub(super) fn check(name: &str) -> Exit {
    let Some(library) = Library::named(name) else {
        // A script that asks for a library of another version wants "no", not "you mistyped".
        console::error(unknown(name));
        return Exit::Failed;
    };
    if is_available(library) { Exit::Done } else { Exit::Failed }
}

fn unknown(name: &str) -> String {
    let names: Vec<_> = Library::ALL.iter().map(|l| l.name()).collect();
    format!("--check {name}: unknown library; {} are known", names.join(", "))
}

/// What a library costs, and where the figure comes from.
fn performance(library: Library) -> &'static str {
    match library {
        Library::Native => include_str!("../../benches/figures/native.txt").trim_ascii(),
        Library::Rdkafka => include_str!("../../benches/figures/rdkafka.txt").trim_ascii(),
        Library::Rskafka => include_str!("../../benches/figures/rskafka.txt").trim_ascii(),
    }
}

fn report(advice: &Advice) -> Value {
    let libraries: Map<String, Value> = Library::ALL.iter().map(|l| (l.name().to_owned(), one(*l))).collect();
    json!({
        "available": available().iter().map(|l| l.name()).collect::<Vec<_>>(),
        "recommended": advice.library.map(Library::name),
        "because": advice.because,
        "libraries": libraries,
    })
}

fn one(library: Library) -> Value {
    let (version, features) = build_of(library).unzip();
    let capabilities: Map<String, Value> = CAPABILITIES
        .iter()
        .map(|c| {
            let support = match c.of(library) {
                Support::Yes => Value::Bool(true),
                Support::No => Value::Bool(false),
                Support::Stronger(how) => Value::String(how.to_owned()),
            };
            (c.name.to_owned(), support)
        })
        .collect();
    json!({
        "available": is_available(library),
        "version": version,
        "features": features.unwrap_or_default(),
        "performance": performance(library),
        "capabilities": capabilities,
    })
}

fn text(advice: &Advice) -> String {
    let mut out = String::new();
    for library in Library::ALL {
        let here = match build_of(library) {
            Some((version, features)) => format!("{version} ({})", features.join(", ")),
            None => format!("not built in: build with --features {library}"),
        };
        let best = if advice.library == Some(library) { "  recommended" } else { "" };
        let _ = writeln!(out, "{library:8} {here}{best}");
        let _ = writeln!(out, "{:8} {}", "", performance(library));
    }
    for lack in &advice.because {
        let _ = writeln!(out, "\n{lack}");
    }
    let _ = writeln!(out, "\n{:24} {:8} {:8} {:8} ", "capability", "native", "rdkafka", "rskafka");
    for c in CAPABILITIES {
        let cell = |s| match s {
            Support::Yes => "yes",
            Support::No => "no",
            Support::Stronger(_) => "stronger",
        };
        let doc = c.doc.replace('`', "");
        let [native, rdkafka, rskafka] = Library::ALL.map(|library| cell(c.of(library)));
        let _ = writeln!(out, "{:24} {native:8} {rdkafka:8} {rskafka:8} {doc}", c.name);
    }
    out
}
