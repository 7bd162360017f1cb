//! SIGINT, SIGTERM, and readers that go away.
use std::io::{BufRead, BufReader};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use crate::harness::app::{Kps, Library};
use crate::harness::kafka::Record;
use crate::{Ctx, PerLibrary};

pub(crate) const TRIALS: &[PerLibrary] = &[
    ("signals::publishing_delivers_what_was_read", publishing_delivers_what_was_read),
    ("signals::publishing_ends_while_it_waits_for_input", publishing_ends_while_it_waits_for_input),
    ("signals::subscribing_writes_what_was_read", subscribing_writes_what_was_read),
    ("signals::a_signal_while_connecting_ends_it", a_signal_while_connecting_ends_it),
    ("signals::head_ends_a_long_output", head_ends_a_long_output),
    ("signals::head_ends_a_run_that_follows", head_ends_a_run_that_follows),
    ("signals::a_full_disk_is_an_error", a_full_disk_is_an_error),
];

fn publishing_delivers_what_was_read(ctx: &Ctx, library: Library) {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let topic = ctx.kafka().topic("interrupted", 3);
        let mut run = Kps::publish(ctx.kafka(), library, &topic).args(["--receipts"]).spawn();
        run.feed("0123456789\n".repeat(3_000_000).into_bytes());
        run.until_stdout(|out| !out.is_empty());
        run.signal(signal);
        let output = run.wait().code(code);
        // Before it may be told of the record that was read in part when the pipe happened to be empty.
        let said = output.err();
        let summary = said.lines().last().unwrap();
        let published: i64 = summary.split(' ').next().unwrap().parse().unwrap_or_else(|_| panic!("{said}"));
        let offsets: i64 = ctx.kafka().end_offsets(&topic).iter().sum();
        assert_eq!(published, offsets, "{}", output.err());
        assert!(published < 3_000_000 && output.err().contains(" published, 0 failed"), "{}", output.err());
        let receipts = output.stdout.iter().filter(|&&b| b == b'\n').count();
        assert_eq!(receipts as i64, published);
    }
}

fn publishing_ends_while_it_waits_for_input(ctx: &Ctx, library: Library) {
    let topic = ctx.kafka().topic("waiting", 1);
    let mut run = Kps::publish(ctx.kafka(), library, &topic).args(["-T"]).spawn();
    run.write(b"a\nb\n");
    run.until_stdout(|out| out == b"a\nb\n");
    run.signal(Signal::INT);
    let output = run.wait_with_open_stdin().code(130);
    assert!(output.err().starts_with("2 published, 0 failed"), "{output}");
    assert_eq!(ctx.kafka().end_offsets(&topic), [2]);
}

fn subscribing_writes_what_was_read(ctx: &Ctx, library: Library) {
    let topic = ctx.kafka().topic("reading", 1);
    Kps::publish(ctx.kafka(), library, &topic).input("0123456789\n".repeat(300_000)).run().ok();
    let run = Kps::subscribe(ctx.kafka(), library, &topic).spawn();
    run.until_stdout(|out| !out.is_empty());
    run.signal(Signal::INT);
    let output = run.wait().code(130).silent();
    assert!(output.stdout.chunks(11).all(|line| line == b"0123456789\n"));
}

fn a_signal_while_connecting_ends_it(_: &Ctx, library: Library) {
    // Takes connections and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    for command in ["publish", "subscribe"] {
        let run = Kps::new([command, "t", "-b", &address, "--library", library.name()]).spawn();
        // The next one in line is this run's first or second connection.
        let connection = silent.accept().unwrap();
        let asked = Instant::now();
        run.signal(Signal::TERM);
        run.wait_with_open_stdin().code(143);
        assert!(asked.elapsed() < Duration::from_secs(5), "{command}: {:?}", asked.elapsed());
        drop(connection);
        silent.set_nonblocking(true).unwrap();
        while silent.accept().is_ok() {}
        silent.set_nonblocking(false).unwrap();
    }
}

/// Reads a line and closes the pipe.
fn head(reader: std::io::PipeReader) -> String {
    let mut line = String::new();
    BufReader::new(reader).read_line(&mut line).unwrap();
    line
}

fn head_ends_a_long_output(ctx: &Ctx, library: Library) {
    let topic = ctx.kafka().topic("long", 1);
    Kps::publish(ctx.kafka(), library, &topic).input("0123456789\n".repeat(300_000)).run().ok();
    for args in [[].as_slice(), &["--exit"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        let run = Kps::subscribe(ctx.kafka(), library, &topic).args(args).stdout(writer).spawn();
        assert_eq!(head(reader), "0123456789\n");
        run.wait().ok().silent();
    }
}

fn head_ends_a_run_that_follows(ctx: &Ctx, library: Library) {
    let topic = ctx.kafka().topic("short", 1);
    ctx.kafka().produce(&topic, &[Record::of("only")], json!({}));
    let (reader, writer) = std::io::pipe().unwrap();
    let run = Kps::subscribe(ctx.kafka(), library, &topic).stdout(writer).spawn();
    assert_eq!(head(reader), "only\n");
    let closed = Instant::now();
    run.wait().ok().silent();
    assert!(closed.elapsed() < Duration::from_secs(4), "{:?}", closed.elapsed());
}

fn a_full_disk_is_an_error(ctx: &Ctx, library: Library) {
    let topic = ctx.kafka().topic("full", 1);
    ctx.kafka().produce(&topic, &[Record::of("a")], json!({}));
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let run =
        |args: &[&str]| Kps::subscribe(ctx.kafka(), library, &topic).args(args).stdout(full()).run().code(1);
    run(&["--exit"]).says("No space left on device");
    run(&[]).says("No space left on device");
    run(&["--exit", "--count"]).says("No space left on device");
}
