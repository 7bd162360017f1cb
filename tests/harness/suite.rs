//! Runs a list of trials. What a trial needs and the machine does not have makes it ignored, with the reason; with
//! `CI=true` that is a failure.
#![allow(clippy::print_stderr, reason = "the reason for an ignored trial goes to the terminal")]
use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

use super::client::Client;
use super::{browser, java, kcat, python};

/// Runs those that were asked for on the command line, at most `parallel` at once. `ruled_out` says why a trial of a
/// name is never to run.
pub(crate) fn run(
    trials: Vec<Trial>,
    parallel: usize,
    ruled_out: impl Fn(&str) -> Option<String>,
) -> ExitCode {
    let mut args = Arguments::from_args();
    args.test_threads = Some(args.test_threads.unwrap_or(parallel).min(parallel));
    let mut unable = 0;
    let trials = trials.into_iter().map(|trial| {
        if let Some(reason) = ruled_out(trial.name()) {
            return trial.with_kind(reason).with_ignored_flag(true);
        }
        let Some(reason) = missing(trial.name()) else { return trial };
        unable += 1;
        trial.with_kind(reason).with_ignored_flag(true)
    });
    let trials = trials.collect();

    let conclusion = libtest_mimic::run(&args, trials);
    let required = std::env::var("CI").is_ok_and(|value| value == "true");
    if unable > 0 && required && !args.list {
        eprintln!("{unable} trials could not run, which CI=true makes a failure");
        return ExitCode::FAILURE;
    }
    conclusion.exit_code()
}

/// What a trial needs and this machine does not have. What a trial runs is in its name.
fn missing(name: &str) -> Option<&'static str> {
    let has = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
    let is = |kinds: &[&str]| kinds.iter().any(|kind| name.starts_with(kind));
    let without_java = Client::all().contains(&Client::Librdkafka);
    let java = has(&["java"]) || is(&["kafka::", "cluster::"]);
    let java = java || is(&["embedded::", "hostile::"]) && !without_java;
    java.then(java::missing)
        .or_else(|| has(&["kcat"]).then(kcat::missing))
        .or_else(|| has(&["confluent", "python"]).then(python::missing))
        .or_else(|| has(&["browser"]).then(browser::missing))
        .flatten()
}
