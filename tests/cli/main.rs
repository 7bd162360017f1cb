//! The program without a broker and without Java: the command line, settings, the choice of the library, errors before
//! and at the connection, and the structure of the sources.
#![allow(clippy::unwrap_used, reason = "in a test, to panic is to report")]

#[cfg(any(feature = "native", feature = "rdkafka", feature = "rskafka"))]
mod bench;
mod broker;
mod files;
#[path = "../harness/mod.rs"]
mod harness;
mod libraries;
mod resilience;
mod settings;
mod settings_files;
mod structure;
#[cfg(any(feature = "native", feature = "rdkafka", feature = "rskafka"))]
mod unreachable;
mod usage;

use harness::app::Kps;
use harness::process::Output;

/// Runs `kps ARGS`, which must end with `code`, print nothing and say one line that starts with `kps: `; returns it.
#[track_caller]
fn one_line(kps: Kps, code: i32) -> String {
    let output = kps.run().code(code).prints("");
    let said = output.err();
    let line = said.strip_suffix('\n').unwrap_or(&said);
    assert!(line.starts_with("kps: ") && !line.contains('\n'), "not one line of ours\n{output}");
    line["kps: ".len()..].to_owned()
}

/// Lines of standard error, each without its `kps: `.
#[track_caller]
fn lines(output: &Output) -> Vec<String> {
    let said = output.err();
    said.lines()
        .map(|line| line.strip_prefix("kps: ").unwrap_or_else(|| panic!("{line}\n{output}")).to_owned())
        .collect()
}
