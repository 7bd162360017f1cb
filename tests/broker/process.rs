//! The harness's own promises about processes: without them a hanging program would hang the suite.
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use crate::harness::process::Running;
pub(crate) const TRIALS: &[(&str, fn())] = &[
    ("process::one_that_hangs_is_killed_and_shown", one_that_hangs_is_killed_and_shown),
    ("process::output_is_seen_as_it_comes", output_is_seen_as_it_comes),
    ("process::signals_arrive", signals_arrive),
    ("process::what_is_shown_has_both_outputs", what_is_shown_has_both_outputs),
];

fn sh(script: &str) -> Running {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    Running::start(command, format!("sh -c {script:?}"))
}

fn one_that_hangs_is_killed_and_shown() {
    let limit = Duration::from_millis(300);
    let complaint = sh("echo begun; exec sleep 1000").limit(limit).finish().unwrap_err();
    assert!(complaint.contains("killed: still running") && complaint.contains("begun"), "{complaint}");
}

fn output_is_seen_as_it_comes() {
    let mut cat = sh("exec cat");
    cat.write(b"first\n");
    cat.until_stdout(|out| out == b"first\n");
    cat.write(b"second\n");
    cat.wait().ok().prints("first\nsecond\n").silent();
}

fn signals_arrive() {
    let running = sh("trap 'exit 130' INT; echo ready; while :; do read -r line || :; done");
    running.until_stdout(|out| out == b"ready\n");
    running.signal(Signal::INT);
    running.wait().code(130);
}

fn what_is_shown_has_both_outputs() {
    let shown = sh("echo out; echo err >&2; exit 3").wait().code(3).to_string();
    for part in ["sh -c", "exit status: 3", "--- stdout\nout", "--- stderr\nerr"] {
        assert!(shown.contains(part), "{part:?} is not in {shown}");
    }
}
