//! What `kps publish` makes of its input and its flags.
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::PATIENCE;
use crate::harness::app::{Kps, Library};
use crate::harness::client::Client;
use crate::harness::kafka::Record;
use crate::{Ctx, PerLibrary};

pub(crate) const TRIALS: &[PerLibrary] = &[
    ("publish::lines_are_records", lines_are_records),
    ("publish::bytes_go_through_unchanged", bytes_go_through_unchanged),
    ("publish::delimiters", delimiters),
    ("publish::messages_and_files", messages_and_files),
    ("publish::several_files_keep_their_order", several_files_keep_their_order),
    ("publish::keys", keys),
    ("publish::null_and_empty", null_and_empty),
    ("publish::partition_and_timestamp", partition_and_timestamp),
    ("publish::headers", headers),
    ("publish::json_lines_go_through_unchanged", json_lines_go_through_unchanged),
    ("publish::envelopes", envelopes),
    ("publish::an_input_format", an_input_format),
    ("publish::every_codec_is_read_by_another_client", every_codec_is_read_by_another_client),
    ("publish::acks_of_0_and_1", acks_of_0_and_1),
    ("publish::count_stops_the_reading", count_stops_the_reading),
    ("publish::rate_is_kept", rate_is_kept),
    ("publish::tee_prints_what_is_published", tee_prints_what_is_published),
    ("publish::receipts_say_where_each_record_is", receipts_say_where_each_record_is),
    ("publish::summaries", summaries),
    ("publish::a_slow_pipe_is_not_held_back", a_slow_pipe_is_not_held_back),
    ("publish::a_million_records_of_100_bytes_come_back", a_million_records_of_100_bytes_come_back),
    ("publish::keys_go_where_java_puts_them", keys_go_where_java_puts_them),
    ("publish::keyless_records_are_spread_in_batches", keyless_records_are_spread_in_batches),
    ("publish::closed_input_is_nothing_to_do", closed_input_is_nothing_to_do),
    ("publish::the_topic_may_be_a_url_or_a_flag", the_topic_may_be_a_url_or_a_flag),
];

/// Publishes `input` with these arguments to a new topic and returns what another client finds there.
#[track_caller]
fn published(ctx: &Ctx, library: Library, args: &[&str], input: impl AsRef<[u8]>) -> Vec<Record> {
    let topic = ctx.kafka().topic("publish", 1);
    Kps::publish(ctx.kafka(), library, &topic).args(args).input(input).run().ok().prints("");
    ctx.kafka().contents(&topic)
}

fn records<const N: usize>(values: [&str; N]) -> Vec<Record> {
    values.into_iter().map(Record::of).collect()
}

fn lines_are_records(ctx: &Ctx, library: Library) {
    assert_eq!(published(ctx, library, &[], "one\n\nthree\n"), records(["one", "", "three"]));
    assert_eq!(published(ctx, library, &[], "one\nno end"), records(["one", "no end"]));
}

fn bytes_go_through_unchanged(ctx: &Ctx, library: Library) {
    let lines: [&[u8]; 4] = [b"\xff\xfe\xc3(", b"nul \0 in it", b"cr at the end\r", b"\xe2\x82\xac"];
    let expected: Vec<_> = lines.iter().map(Record::of).collect();
    assert_eq!(published(ctx, library, &[], lines.join(&b'\n')), expected);
}

fn delimiters(ctx: &Ctx, library: Library) {
    let publish = |args: &[&str], input: &str| published(ctx, library, args, input);
    assert_eq!(publish(&["-D", "<->"], "a<-b<->c\nd<->"), records(["a<-b", "c\nd"]));
    assert_eq!(publish(&["-D", r"\x1f"], "a\x1fb"), records(["a", "b"]));
    assert_eq!(publish(&["-D", r"\t"], "a\tb\n"), records(["a", "b\n"]));
    assert_eq!(publish(&["-0"], "a\nb\0\0c\0"), records(["a\nb", "", "c"]));
    assert_eq!(publish(&["--crlf"], "a\r\nb\nc\r\r\n"), records(["a", "b", "c\r"]));
}

fn messages_and_files(ctx: &Ctx, library: Library) {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (lines, whole) = (file("lines", "a\nb"), file("whole", "one\ntwo\n"));
    let publish = |args: &[&str]| published(ctx, library, args, "not read");
    assert_eq!(publish(&["-m", "a\nb", "-m", "", "-m", "-c"]), records(["a\nb", "", "-c"]));
    assert_eq!(publish(&["-l", &lines]), records(["a", "b"]));
    assert_eq!(publish(&["--file-per-message", &whole, &lines]), records(["one\ntwo\n", "a\nb"]));
}

fn several_files_keep_their_order(ctx: &Ctx, library: Library) {
    let dir = tempfile::tempdir().unwrap();
    let mut args = Vec::new();
    for n in 0..3 {
        let path = dir.path().join(n.to_string());
        std::fs::write(&path, format!("{n}a\n{n}b")).unwrap();
        args.extend(["-l".to_owned(), path.to_str().unwrap().to_owned()]);
    }
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let expected = records(["0a", "0b", "1a", "1b", "2a", "2b"]);
    assert_eq!(published(ctx, library, &args, ""), expected);
}

fn keys(ctx: &Ctx, library: Library) {
    let keyed = |key: &str, value: &str| Record::of(value).key(key);
    assert_eq!(published(ctx, library, &["-k", "k"], "a\nb"), [keyed("k", "a"), keyed("k", "b")]);
    let input = "k1:a\nk2:b:c\n:empty\nnone\n";
    let expected = [keyed("k1", "a"), keyed("k2", "b:c"), keyed("", "empty"), Record::of("none")];
    assert_eq!(published(ctx, library, &["-K", ":"], input), expected);
    assert_eq!(published(ctx, library, &["-K", "=>"], "k=>v=>w"), [keyed("k", "v=>w")]);
}

fn null_and_empty(ctx: &Ctx, library: Library) {
    let tombstone = Record { key: Some(b"k".to_vec()), ..Record::default() };
    let expected = [tombstone, Record::of("v"), Record::default()];
    assert_eq!(published(ctx, library, &["-K", ":", "-Z"], "k:\n:v\n:\n"), expected);
    let expected = [Record::of("").key("k"), Record::of("v").key(""), Record::of("").key("")];
    assert_eq!(published(ctx, library, &["-K", ":"], "k:\n:v\n:\n"), expected);
}

fn partition_and_timestamp(ctx: &Ctx, library: Library) {
    let topic = ctx.kafka().topic("placed", 3);
    for (at, partition) in [("1700000000123", "2"), ("1700000000", "0"), ("2023-11-14T22:13:21.5Z", "1")] {
        Kps::publish(ctx.kafka(), library, &topic)
            .args(["-p", partition, "--timestamp", at, "-k", "the same key", "-m", at])
            .run()
            .ok();
    }
    let seen: Vec<_> = ctx.kafka().consume(&topic).into_iter().map(|r| (r.partition, r.timestamp)).collect();
    let expected = [(0, 1_700_000_000_000), (1, 1_700_000_001_500), (2, 1_700_000_000_123)];
    assert_eq!(seen, expected.map(|(partition, at)| (Some(partition), Some(at))));
}

fn headers(ctx: &Ctx, library: Library) {
    let one = [Record::of("v").header("a", Some(b"1")).header("b", Some(b"x=y"))];
    assert_eq!(published(ctx, library, &["-H", "a=1", "-H", "b=x=y"], "v"), one);

    let args = ["-H", "z=1", "-H", "a=", "-H", "z=2", "-H", "n"];
    let all = Record::of("v")
        .header("z", Some(b"1"))
        .header("a", Some(b""))
        .header("z", Some(b"2"))
        .header("n", None);
    match library {
        Library::Native | Library::Rdkafka => assert_eq!(published(ctx, library, &args, "v"), [all]),
        Library::Rskafka => {
            for args in [["-H", "a=1", "-H", "a=2"].as_slice(), &["-H", "n"]] {
                let topic = ctx.kafka().topic("refused", 1);
                let output = Kps::publish(ctx.kafka(), library, &topic).args(args).input("v").run();
                output.code(2).says("header").says("rdkafka");
                assert_eq!(ctx.kafka().end_offsets(&topic), [0]);
            }
        }
    }
}

fn json_lines_go_through_unchanged(ctx: &Ctx, library: Library) {
    let input = "{\"a\": [1,  2.50]}\n \"text\"\nnull\n1e400\n";
    let expected = records(["{\"a\": [1,  2.50]}", " \"text\"", "null", "1e400"]);
    assert_eq!(published(ctx, library, &["--input", "json"], input), expected);
}

fn envelopes(ctx: &Ctx, library: Library) {
    let input = r#"{"value":"v","key":"k","headers":[["a","1"],["b",{"base64":"/w=="}]],"timestamp":1700000000000,"offset":7}
{"key":null,"value":{"base64":"AP8="}}
{"value":{"a":[1, "x"]},"topic":"elsewhere","partition":5,"unknown":1}
{"key":"only","value":null}
"#;
    let expected = [
        Record::of("v").key("k").header("a", Some(b"1")).header("b", Some(b"\xff")),
        Record::of(b"\0\xff"),
        Record::of(r#"{"a":[1,"x"]}"#),
        Record { key: Some(b"only".to_vec()), ..Record::default() },
    ];
    assert_eq!(published(ctx, library, &["--input", "envelope"], input), expected);
}

fn an_input_format(ctx: &Ctx, library: Library) {
    let keyed = |key: &str, value: &str| Record::of(value).key(key);
    let input = "k1|v1\nk2|v|2\n";
    assert_eq!(published(ctx, library, &["-i", r"%k|%s\n"], input), [keyed("k1", "v1"), keyed("k2", "v|2")]);
    let framed = b"\0\0\0\x03a\nb\0\0\0\0\0\0\0\x01c";
    assert_eq!(
        published(ctx, library, &["--input", "format", "-i", "%R%s"], framed),
        records(["a\nb", "", "c"])
    );
}

fn every_codec_is_read_by_another_client(ctx: &Ctx, library: Library) {
    let lines: String = (0..500).map(|n| format!("line {n} of a text that repeats itself\n")).collect();
    let expected: Vec<_> = lines.lines().map(Record::of).collect();
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        assert!(published(ctx, library, &["-z", codec], &lines) == expected, "{codec}");
    }
}

fn acks_of_0_and_1(ctx: &Ctx, library: Library) {
    for acks in ["0", "1"] {
        let topic = ctx.kafka().topic("acks", 1);
        let output = Kps::publish(ctx.kafka(), library, &topic).args(["--acks", acks, "-m", "v"]).run().ok();
        let warnings = output.err().lines().filter(|line| line.contains("acks")).count();
        assert_eq!(warnings, usize::from(library == Library::Rskafka), "{output}");
        Kps::subscribe(ctx.kafka(), library, &topic).args(["-n", "1"]).run().ok().prints("v\n");
    }
}

fn count_stops_the_reading(ctx: &Ctx, library: Library) {
    assert_eq!(published(ctx, library, &["-n", "2"], "a\nb\nc\n"), records(["a", "b"]));
    assert_eq!(published(ctx, library, &["-n", "0"], "a\n"), []);

    let topic = ctx.kafka().topic("count", 1);
    let mut open = Kps::publish(ctx.kafka(), library, &topic).args(["-n", "2"]).spawn();
    open.write(b"a\nb\nc\n");
    let open = open.wait_with_open_stdin().ok();
    assert!(open.err().starts_with("2 published, 0 failed, "), "{open}");
}

fn rate_is_kept(ctx: &Ctx, library: Library) {
    let topic = ctx.kafka().topic("rate", 1);
    let lines: String = (0..60).map(|n| format!("{n}\n")).collect();
    let started = Instant::now();
    Kps::publish(ctx.kafka(), library, &topic).args(["--rate", "100/s"]).input(&lines).run().ok();
    let took = started.elapsed();
    // The first is due at once, the last after 59 intervals.
    assert!(took >= Duration::from_millis(590), "{took:?}");
    assert!(took < Duration::from_secs(6), "{took:?}");
    let times: Vec<_> = ctx.kafka().consume(&topic).into_iter().filter_map(|r| r.timestamp).collect();
    let spread = times.iter().max().unwrap() - times.iter().min().unwrap();
    assert!(times.len() == 60 && spread >= 400, "{times:?}");
}

fn tee_prints_what_is_published(ctx: &Ctx, library: Library) {
    let topic = ctx.kafka().topic("tee", 1);
    Kps::publish(ctx.kafka(), library, &topic).args(["-T"]).input("a\nb").run().ok().prints("a\nb\n");
    assert_eq!(ctx.kafka().contents(&topic), records(["a", "b"]));
}

fn receipts_say_where_each_record_is(ctx: &Ctx, library: Library) {
    let topic = ctx.kafka().topic("receipts", 3);
    let lines: String = (0..300).map(|n| format!("{n}\n")).collect();
    let output = Kps::publish(ctx.kafka(), library, &topic)
        .args(["--receipts", "-K", ":"])
        .input(lines.replace('\n', ":v\n"))
        .run()
        .ok();
    let mut receipts: Vec<_> = output.text().lines().map(|line| receipt(line, &topic)).collect();
    receipts.sort_unstable();
    let place = |r: Record| (i64::from(r.partition.unwrap()), r.offset.unwrap(), r.timestamp.unwrap());
    let found: Vec<_> = ctx.kafka().consume(&topic).into_iter().map(place).collect();
    assert!(receipts == found, "{receipts:?}\n{found:?}");
}

fn receipt(line: &str, topic: &str) -> (i64, i64, i64) {
    let receipt: Value = serde_json::from_str(line).unwrap();
    assert_eq!(receipt["topic"], topic);
    let number = |name: &str| receipt[name].as_i64().unwrap();
    (number("partition"), number("offset"), number("timestamp"))
}

fn summaries(ctx: &Ctx, library: Library) {
    let topic = ctx.kafka().topic("summary", 1);
    let publish = || Kps::publish(ctx.kafka(), library, &topic).input("one\nthree\n");
    let text = publish().run().ok();
    assert!(text.err().starts_with("2 published, 0 failed, ") && text.err().lines().count() == 1, "{text}");
    publish().args(["-q"]).run().ok().silent();
    let output = publish().args(["--summary", "json"]).run().ok();
    let summary: Value = serde_json::from_str(&output.err()).unwrap();
    for (field, expected) in [
        ("published", json!(2)),
        ("failed", json!(0)),
        ("bytes", json!(8)),
        ("topic", json!(topic)),
        ("library", json!(library.name())),
    ] {
        assert_eq!(summary[field], expected, "{field}");
    }
}

fn a_slow_pipe_is_not_held_back(ctx: &Ctx, library: Library) {
    let topic = ctx.kafka().topic("slow", 1);
    let reader = Kps::subscribe(ctx.kafka(), library, &topic).args(["-n", "3"]).spawn();
    let mut writer = Kps::publish(ctx.kafka(), library, &topic).spawn();
    writer.write(b"first\n");
    reader.until_stdout(|out| out == b"first\n");
    writer.write(b"second\nhalf a ");
    reader.until_stdout(|out| out == b"first\nsecond\n");
    writer.write(b"line");
    let summary = writer.wait().ok();
    assert!(summary.err().starts_with("3 published"), "{summary}");
    reader.wait().ok().prints("first\nsecond\nhalf a line\n");
}

fn a_million_records_of_100_bytes_come_back(ctx: &Ctx, library: Library) {
    const COUNT: usize = 1_000_000;
    let topic = ctx.kafka().topic("million", 3);
    // Records of 100 bytes.
    let numbers: String = (1..=COUNT).map(|n| format!("{n:0>100}\n")).collect();
    let publish = Kps::publish(ctx.kafka(), library, &topic).limit(2 * PATIENCE);
    let published = publish.input(numbers).run().ok();
    assert!(published.err().starts_with("1000000 published, 0 failed"), "{published}");
    let subscribe = Kps::subscribe(ctx.kafka(), library, &topic).limit(2 * PATIENCE);
    let output = subscribe.args(["--exit"]).run().ok();
    let mut seen = vec![false; COUNT];
    for line in output.text().lines() {
        assert_eq!(line.len(), 100, "{line}");
        let number: usize = line.parse().unwrap();
        assert!(!std::mem::replace(&mut seen[number - 1], true), "{number} came twice");
    }
    let missing = seen.iter().filter(|seen| !**seen).count();
    assert_eq!(missing, 0);
}

fn keys_go_where_java_puts_them(ctx: &Ctx, library: Library) {
    const PARTITIONS: u32 = 7;
    let topic = ctx.kafka().topic("murmur2", PARTITIONS);
    let mut keys: Vec<Vec<u8>> = (0..60).map(|n| format!("key-{n}").into_bytes()).collect();
    keys.extend(["a", "ab", "abc", "abcd", "Ünïcødé", "кафка", " "].map(|key| key.as_bytes().to_vec()));
    keys.extend([b"".as_slice(), b"\xff\xfe", b"\0", b"\x80\x81\x82\x83\x84"].map(<[u8]>::to_vec));
    let envelopes: String =
        keys.iter().map(|key| format!("{}\n", json!({"key": base64(key), "value": null}))).collect();
    Kps::publish(ctx.kafka(), library, &topic).args(["--input", "envelope"]).input(envelopes).run().ok();

    let records = ctx.kafka().consume(&topic);
    assert_eq!(records.len(), keys.len());
    for record in records {
        let key = record.key.unwrap();
        let request = json!({"do": "partition_for", "key": encode(&key), "partitions": PARTITIONS});
        let java = ctx.kafka().client(Client::Java).must(&request);
        let expected = java["partition"].as_u64();
        assert_eq!(record.partition.map(u64::from), expected, "{key:?}");
    }
}

fn base64(bytes: &[u8]) -> Value {
    json!({"base64": encode(bytes)})
}

fn encode(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn keyless_records_are_spread_in_batches(ctx: &Ctx, library: Library) {
    const COUNT: usize = 200_000;
    let topic = ctx.kafka().topic("spread", 7);
    let numbers: String = (0..COUNT).map(|n| format!("{n}\n")).collect();
    Kps::publish(ctx.kafka(), library, &topic).input(numbers).run().ok();
    let output = Kps::subscribe(ctx.kafka(), library, &topic).args(["--exit", "-f", r"%p %s\n"]).run().ok();
    let mut partitions = vec![0; COUNT];
    for line in output.text().lines() {
        let (partition, number) = line.split_once(' ').unwrap();
        partitions[number.parse::<usize>().unwrap()] = partition.parse::<usize>().unwrap();
    }
    let used: std::collections::HashSet<_> = partitions.iter().collect();
    let switches = partitions.windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert!(used.len() >= 3, "{used:?}");
    assert!(switches < COUNT / 100, "{switches} switches");
}

fn closed_input_is_nothing_to_do(ctx: &Ctx, library: Library) {
    let topic = ctx.kafka().topic("closed", 1);
    let output = Kps::publish(ctx.kafka(), library, &topic).run().ok().prints("");
    assert!(output.err().starts_with("0 published, 0 failed"), "{output}");
    assert_eq!(ctx.kafka().end_offsets(&topic), [0]);
}

fn the_topic_may_be_a_url_or_a_flag(ctx: &Ctx, library: Library) {
    let topic = ctx.kafka().topic("named", 1);
    let url = format!("kafka://topic/{topic}");
    Kps::publish(ctx.kafka(), library, &url).args(["-m", "url"]).run().ok();
    Kps::new(["pub", "-t", &topic, "-m", "flag"]).on(ctx.kafka(), library).run().ok();
    assert_eq!(ctx.kafka().contents(&topic), records(["url", "flag"]));
    Kps::subscribe(ctx.kafka(), library, &url).args(["--exit"]).run().ok().prints("url\nflag\n");
    Kps::new(["sub", "--topic", &topic, "-e"]).on(ctx.kafka(), library).run().ok().prints("url\nflag\n");
    Kps::subscribe(ctx.kafka(), library, "kafka://queue/x").run().code(2).says("kafka://topic/NAME");
}
