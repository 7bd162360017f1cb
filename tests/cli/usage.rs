//! What is printed on request, and what is refused for its form.
use std::process::Stdio;

use crate::harness::app::Kps;
use crate::one_line;

#[test]
fn help_tells_commands_settings_and_exit_codes() {
    for args in [&["--help"][..], &["-h"], &["help"]] {
        let help = Kps::new(args).run().ok().silent().text();
        for part in [
            "publish",
            "subscribe",
            "bench",
            "topics",
            "offsets",
            "groups",
            "libs",
            "config",
            "broker",
            "flag > -X > environment",
            "7 bad record",
        ] {
            assert!(help.contains(part), "{args:?}: no {part:?} in\n{help}");
        }
    }
    for command in ["publish", "subscribe", "bench", "topics", "offsets", "groups", "libs", "config"] {
        let help = Kps::new([command, "--help"]).run().ok().silent().text();
        for part in [command, "--bootstrap-server", "--library", "--props"] {
            assert!(help.contains(part), "{command}: no {part:?} in\n{help}");
        }
    }
}

#[test]
fn the_version_is_that_of_the_package() {
    for flag in ["--version", "-V"] {
        let text = Kps::new([flag]).run().ok().silent().text();
        let version = concat!("kps ", env!("CARGO_PKG_VERSION"));
        assert!(text.starts_with(version) && text.lines().count() == 1, "{text}");
    }
}

/// Standard output whose reader has gone.
fn closed() -> Stdio {
    let (reader, writer) = rustix::pipe::pipe().unwrap();
    drop(reader);
    writer.into()
}

#[test]
fn a_reader_that_has_gone_is_a_success() {
    for args in [&["--help"][..], &["publish", "--help"], &["--version"], &["libs"], &["config"]] {
        Kps::new(args).stdout(closed()).run().ok().silent();
    }
}

#[test]
fn a_full_disk_is_told() {
    for args in [["libs"], ["config"]] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let line = one_line(Kps::new(args).stdout(full), 1);
        assert_eq!(line, "writing to standard output: No space left on device");
    }
}

/// What is typed, and what the one line must name.
type Wrong = (&'static [&'static str], &'static [&'static str]);

#[track_caller]
fn refused(table: &[Wrong]) {
    for (args, parts) in table {
        let line = one_line(Kps::new(*args), 2);
        for part in *parts {
            assert!(line.contains(part), "{args:?}: no {part:?} in: {line}");
        }
    }
}

#[test]
fn what_the_command_line_does_not_have_is_named() {
    refused(&[
        (&[], &["no command", "publish, subscribe, bench, topics, offsets, groups, libs, config or broker"]),
        (&["frobnicate"], &["'frobnicate'"]),
        (&["publish", "t", "--no-such"], &["'--no-such'"]),
        (&["publish", "t", "--acsk", "1"], &["'--acsk'", "'--acks'"]),
        (&["publish", "t", "-g", "group"], &["'-g'"]),
        (&["subscribe", "t", "--acks", "1"], &["'--acks'"]),
        (&["publish", "t", "--acks"], &["--acks"]),
        (&["publish", "t", "--tee", "--receipts"], &["--tee", "--receipts"]),
        (&["publish", "t", "-0", "-D", ","], &["--null-delimited", "--delimiter"]),
        (&["publish", "t", "-k", "k", "-K", ":"], &["--key", "--key-delimiter"]),
        (&["subscribe", "t", "-J", "-f", "%s"], &["--json", "--format"]),
        (&["subscribe", "t", "--count", "-J"], &["--count", "--json"]),
        (&["subscribe", "t", "-g", "g", "--no-group"], &["--group", "--no-group"]),
        (&["config", "-q", "-v"], &["--quiet", "--verbose"]),
        (&["libs", "extra"], &["'extra'"]),
        (&["topics", "--output", "xml"], &["'xml'", "--output", "text, json"]),
        (&["groups", "-J", "--output", "text"], &["--json", "--output"]),
        (&["topics", "-g", "group"], &["'-g'"]),
        (&["topics", "a b"], &["\"a b\" is not a topic name"]),
        (&["topics", "http://topic/a"], &["kafka://topic/NAME"]),
        (&["offsets"], &["no topic: kps offsets TOPIC... [@TIME]"]),
        (&["offsets", "@-1h"], &["no topic"]),
        (&["offsets", "t", "@yesterday"], &["@yesterday", "'yesterday' is not a time", "-1h"]),
        (&["offsets", "t", "@"], &["@: '' is not a time"]),
        (&["offsets", "t", "@-1h", "@now"], &["@now", "one @TIME is enough"]),
        (&["offsets", "t", "-p", "3-1"], &["-p", "'3-1'", "0,2,5-7"]),
        (&["groups", ""], &["a group has a name"]),
    ]);
}

#[test]
fn values_that_cannot_be_meant_are_named_with_what_can() {
    refused(&[
        (&["publish", "t", "-p", "x"], &["'x'", "--partition"]),
        (&["publish", "t", "-p", "-1"], &["-1"]),
        (&["publish", "t", "-p", "2147483648"], &["'2147483648'", "--partition"]),
        (&["publish", "t", "-n", "many"], &["'many'", "--max-messages"]),
        (&["publish", "t", "--input", "xml"], &["'xml'", "--input", "lines, json, envelope, format"]),
        (&["publish", "t", "--on-error", "cry"], &["'cry'", "stop, skip"]),
        (&["publish", "t", "-D", ""], &["-D", "a delimiter is not empty"]),
        (&["publish", "t", "-K", ""], &["-K", "a delimiter is not empty"]),
        (&["publish", "t", "-D", r"a\q"], &["-D", r"character 2 of 'a\q'", r"\xNN"]),
        (&["publish", "t", "--rate", "fast"], &["--rate", "'fast'", "200/s"]),
        (&["publish", "t", "--rate", "0/s"], &["--rate", "'0/s'"]),
        (&["publish", "t", "--rate", "10XB/s"], &["--rate", "'10XB/s'", "10MB/s"]),
        (&["publish", "t", "--timestamp", "soon"], &["--timestamp", "'soon'"]),
        (&["publish", "t", "--acks", "7"], &["--acks", "\"7\"", "all, 1 or 0"]),
        (&["publish", "t", "-z", "rar"], &["-z", "\"rar\"", "zstd"]),
        (&["publish", "t", "-X", "batch.size=1MB"], &["-X batch.size", "\"1MB\"", "bytes from 1"]),
        (&["publish", "t", "-X", "linger.ms=5s"], &["-X linger.ms", "\"5s\"", "milliseconds"]),
        (&["publish", "t", "-X", "acks"], &["-X acks", "KEY=VALUE"]),
        (&["publish", "t", "-X", "=1"], &["KEY=VALUE"]),
        (&["publish", "t", "-b", "host:port"], &["-b", "\"host:port\"", "host:port,host:port"]),
        (&["publish", "t", "--library", "kafkajs"], &["--library", "\"kafkajs\"", "rskafka"]),
        (&["publish", "t", "--profile", "fast"], &["--profile", "\"fast\"", "low-latency"]),
        (&["subscribe", "t", "-o", "beginnig"], &["-o", "'beginnig'", "beginning, end, stored"]),
        (&["subscribe", "t", "-o", "10:5"], &["-o", "'10:5'", "ends before it starts"]),
        (&["subscribe", "t", "-o", "5", "-o", "6"], &["-o", "'6'", "another -o"]),
        (&["subscribe", "t", "-o", ":stored"], &["-o", "not an end"]),
        (&["subscribe", "t", "-o", "@yesterday"], &["-o", "'@yesterday'"]),
        (&["subscribe", "t", "-p", "3-1"], &["-p", "'3-1'", "0,2,5-7"]),
        (&["subscribe", "t", "--timeout", "1 fortnight"], &["--timeout", "'1 fortnight'", "500ms"]),
        (&["subscribe", "t", "--idle-timeout=-1s"], &["--idle-timeout", "'-1s'"]),
        (&["subscribe", "t", "--grep", "a("], &["--grep", "'a('", "unclosed group"]),
        (&["subscribe", "t", "--grep", "h:name"], &["--grep", "'h:name'", "h:NAME=REGEX"]),
        (&["subscribe", "--pattern", "["], &["--pattern ["]),
        (&["subscribe", "t", "--output", "xml"], &["'xml'", "--output", "value, json, raw"]),
        (&["libs", "--output", "yaml"], &["'yaml'", "text, json"]),
    ]);
}

#[test]
fn a_format_is_refused_at_its_place() {
    refused(&[
        (&["subscribe", "t", "-f", "%s %q"], &["-f", "%q", "character 4 of '%s %q'"]),
        (&["subscribe", "t", "-f", "100%"], &["-f", "character 4 of '100%'"]),
        (&["subscribe", "t", "-f", "%o{hex}"], &["-f", "hex", "of '%o{hex}'"]),
        (&["subscribe", "t", "-f", "%s{base64"], &["-f", "of '%s{base64'"]),
        (&["subscribe", "t", "-f", r"%s\x4"], &["-f", r"character 3 of '%s\x4'"]),
        (&["publish", "t", "-i", "%q"], &["-i", "character 1 of '%q'"]),
        (&["publish", "t", "-i", "%s%k"], &["-i", "of '%s%k'"]),
    ]);
}

#[test]
fn flags_that_do_not_go_together_are_named() {
    refused(&[
        (&["publish", "t", "-m", "a", "-l", "f"], &["-m and files"]),
        (&["publish", "t", "-m", "a", "--file-per-message", "f"], &["-m and files"]),
        (&["publish", "t", "-m", "a", "f"], &["-m and files"]),
        (&["publish", "t", "--input", "format"], &["--input format", "-i"]),
        (&["publish", "t", "--input", "lines", "-i", "%s"], &["-i", "--input format"]),
        (&["subscribe", "t", "--parse-json"], &["--parse-json", "--output json"]),
        (&["subscribe", "t", "-g", "g", "-p", "0"], &["-p with -g"]),
        (&["subscribe", "t", "--pattern", "x"], &["--pattern and topics"]),
    ]);
}

#[test]
fn topics_are_names_or_urls_of_one_form() {
    refused(&[
        (&["publish"], &["no topic", "kps publish TOPIC"]),
        (&["subscribe"], &["no topic", "kps subscribe TOPIC"]),
        (&["publish", ""], &["\"\"", "topic"]),
        (&["publish", "a b"], &["\"a b\"", "a-z A-Z 0-9 . _ -"]),
        (&["publish", ".."], &["\"..\""]),
        (&["publish", "-t", "a/b"], &["\"a/b\""]),
        (&["publish", "kafka://topic/"], &["topic name"]),
        (&["publish", "kafka://t"], &["\"kafka://t\"", "kafka://topic/NAME"]),
        (&["publish", "http://topic/t"], &["\"http://topic/t\"", "kafka://topic/NAME"]),
        (&["subscribe", "ok", "kafka://topic/a/b"], &["a/b"]),
    ]);
    let long = "x".repeat(250);
    let line = one_line(Kps::new(["publish", &long]), 2);
    assert!(line.contains("1 to 249"), "{line}");
}

#[test]
fn whatever_is_typed_stays_on_its_line() {
    for args in [
        ["publish", "a\nb\u{1b}[31m", "-q"],
        ["publish", "t", "--no\nsuch"],
        ["publish", "t", "-Xa\nb=1"],
        ["subscribe", "t", "-fa\n%q"],
        ["subscribe", "t", "-oa\nb"],
    ] {
        let line = one_line(Kps::new(args), 2);
        assert!(!line.contains(char::is_control), "{line:?}");
    }
}

#[test]
fn what_the_reports_on_a_cluster_consist_of_is_in_their_help() {
    for (command, parts) in [
        ("topics", &["--internal", "partition_count", "earliest, latest"][..]),
        (
            "offsets",
            &["@TIME", "-1h", "RFC 3339", "earliest or latest", "offset and timestamp", "last stable offset"],
        ),
        (
            "groups",
            &["LAG is END - COMMITTED", "member_id, instance_id, client_id, host", "committed, end, lag"],
        ),
    ] {
        let help = Kps::new([command, "--help"]).run().ok().silent().text();
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        for part in parts.iter().chain(&["--output", "--json", "--bootstrap-server", "Examples:"]) {
            assert!(help.contains(part), "{command}: no {part:?} in\n{help}");
        }
    }
}

#[cfg(any(feature = "native", feature = "rdkafka", feature = "rskafka"))]
#[test]
fn a_broker_for_one_run_has_nothing_to_look_at() {
    for command in [&["topics"][..], &["offsets", "t"], &["groups"]] {
        let line = one_line(Kps::new(command).args(["-b", "embedded"]), 2);
        let expected =
            if cfg!(feature = "broker") { "start one with `kps broker`" } else { "--features broker" };
        assert!(line.starts_with("-b: embedded: ") && line.contains(expected), "{line}");
    }
}
