//! Input and output files that cannot be had, told before anything is sent.
use std::net::TcpListener;

use crate::harness::app::Kps;
use crate::one_line;

/// An address where nobody may call.
struct Untouched(TcpListener);

impl Untouched {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    fn address(&self) -> String {
        self.0.local_addr().unwrap().to_string()
    }

    #[track_caller]
    fn check(self) {
        assert!(self.0.accept().is_err(), "there was a connection");
    }
}

#[cfg(any(feature = "native", feature = "rdkafka", feature = "rskafka"))]
#[test]
fn an_input_file_that_cannot_be_read_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let good = dir.path().join("good");
    std::fs::write(&good, "record\n").unwrap();
    let good = good.to_str().unwrap();
    for args in [
        &["publish", "t", "-l", "missing.txt"][..],
        &["publish", "t", "-l", good, "-l", "missing.txt"],
        &["publish", "t", good, "missing.txt"],
        &["publish", "t", "--file-per-message", good, "missing.txt"],
        &["publish", "-t", "t", "missing.txt"],
        &["publish", "t", "--input", "envelope", "missing.txt"],
    ] {
        let broker = Untouched::new();
        let line = one_line(Kps::new(args).args(["-b", &broker.address()]), 1);
        assert_eq!(line, "missing.txt: No such file or directory", "{args:?}");
        broker.check();
    }
}

#[cfg(any(feature = "native", feature = "rdkafka", feature = "rskafka"))]
#[test]
fn a_folder_is_no_input_file() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().to_str().unwrap();
    for flag in ["-l", "--file-per-message"] {
        let broker = Untouched::new();
        let line = one_line(Kps::new(["publish", "t", flag, folder, "-b", &broker.address()]), 1);
        assert_eq!(line, format!("{folder}: is a folder"));
        broker.check();
    }
}

#[cfg(any(feature = "native", feature = "rdkafka", feature = "rskafka"))]
#[test]
fn a_failed_file_that_cannot_be_written_is_named() {
    let broker = Untouched::new();
    let args = ["publish", "t", "-m", "x", "--failed-to", "no/such/folder/failed", "-b", &broker.address()];
    let line = one_line(Kps::new(args), 1);
    assert!(line.contains("no/such/folder/failed: No such file or directory"), "{line}");
    broker.check();
}

#[cfg(any(feature = "native", feature = "rdkafka", feature = "rskafka"))]
#[test]
fn a_failed_file_that_is_also_read_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("failed");
    std::fs::write(&file, "{\"value\":\"x\"}\n").unwrap();
    let file = file.to_str().unwrap();
    let broker = Untouched::new();
    let args = ["publish", "t", "--input", "envelope", file, "--failed-to", file, "-b", &broker.address()];
    let line = one_line(Kps::new(args), 2);
    assert_eq!(line, format!("--failed-to {file}: it is being read, name another file"));
    broker.check();
}

#[test]
fn mistakes_come_before_any_connection() {
    for args in [
        &["publish", "t", "-X", "acks=7"][..],
        &["publish", "t", "-l", "missing.txt", "--rate", "x"],
        &["subscribe", "t", "-o", "bad"],
        &["subscribe", "t", "-o", "stored"],
    ] {
        let broker = Untouched::new();
        one_line(Kps::new(args).args(["-b", &broker.address()]), 2);
        broker.check();
    }
}
