//! Every writer with every reader: the records come out byte for byte as they went in.
use serde_json::{Value, json};

use crate::harness::app::{Kps, Library};
use crate::harness::client::Client;
use crate::harness::kafka::{Kafka, Record};
use crate::harness::{java, kcat};
use crate::{Ctx, Named};

/// A program that publishes and reads.
#[derive(Clone, Copy)]
enum Peer {
    Kps(Library),
    Kcat,
    JavaConsole,
    Python(Client),
}

impl Peer {
    fn all() -> Vec<Self> {
        let others = [
            Self::Kcat,
            Self::JavaConsole,
            Self::Python(Client::Confluent),
            Self::Python(Client::KafkaPython),
        ];
        Library::all().into_iter().map(Self::Kps).chain(others).collect()
    }

    fn name(self) -> &'static str {
        match self {
            Self::Kps(library) => library.name(),
            Self::Kcat => "kcat",
            Self::JavaConsole => "java_console",
            Self::Python(client) => client.name(),
        }
    }

    /// Each writes with a codec of its own.
    fn codec(self) -> &'static str {
        match self {
            Self::Kps(Library::Native) => "snappy",
            Self::Kps(Library::Rdkafka) => "zstd",
            Self::Kps(Library::Rskafka) => "lz4",
            Self::Kcat => "snappy",
            Self::JavaConsole => "gzip",
            Self::Python(Client::Confluent) => "lz4",
            Self::Python(_) => "zstd",
        }
    }

    fn write(self, kafka: &Kafka, topic: &str, records: &[Record]) {
        let codec = self.codec();
        match self {
            Self::Kps(library) => {
                let args = ["--input", "envelope", "-z", codec];
                let input: String = records.iter().map(envelope).collect();
                drop(Kps::publish(kafka, library, topic).args(args).input(input).run().ok());
            }
            Self::Kcat => {
                for record in records {
                    let headers = record.headers.iter().map(|(n, v)| format!("{n}={}", text(v)));
                    let headers: Vec<_> = headers.flat_map(|header| ["-H".to_owned(), header]).collect();
                    let mut args = vec!["-P", "-t", topic, "-z", codec, "-K", "\t", "-Z"];
                    args.extend(headers.iter().map(String::as_str));
                    let input = format!("{}\t{}\n", text(&record.key), text(&record.value));
                    kcat::run(kafka, &args, input.as_bytes());
                }
            }
            Self::JavaConsole => {
                let args = ["--compression-codec", codec, "--property", "parse.key=true", "--property"];
                let more = ["parse.headers=true", "--property", "null.marker=NULL"];
                let input: String = records.iter().map(console_line).collect();
                java::console_producer(kafka, topic, &[&args[..], &more].concat(), &input);
            }
            Self::Python(client) => {
                let (records, config) = (Record::all_to_json(records), json!({"compression.type": codec}));
                let request = json!({"do": "produce", "topic": topic, "records": records, "config": config});
                kafka.client(client).must(&request);
            }
        }
    }

    fn read(self, kafka: &Kafka, topic: &str, count: usize) -> Vec<Record> {
        match self {
            Self::Kps(library) => {
                let seen = Kps::subscribe(kafka, library, topic).args(["--exit", "-J"]).run().ok();
                seen.text().lines().map(|line| from_json(line, "value")).collect()
            }
            Self::Kcat => {
                kcat::consume(kafka, topic, &["-J"]).text().lines().map(|l| from_json(l, "payload")).collect()
            }
            Self::JavaConsole => {
                let args = ["--property", "print.key=true", "--property", "print.headers=true", "--property"];
                let args = [&args[..], &["null.literal=NULL"]].concat();
                let seen = java::console_consumer(kafka, topic, count, &args);
                seen.out.lines().map(from_console_line).collect()
            }
            Self::Python(client) => {
                let seen = kafka.client(client).must(&json!({"do": "consume", "topic": topic}));
                Record::all_from_json(&seen).into_iter().map(Record::content).collect()
            }
        }
    }
}

/// What every peer can write and read: keys, values and headers that are text without tabs and line ends.
fn records() -> Vec<Record> {
    let mut records = vec![
        Record::of("v1").key("k1").header("a", Some(b"1")).header("b", Some(b"2")),
        Record::of("значение ✓").key("ключ").header("ü", Some("ö".as_bytes())),
        Record { value: None, ..Record::of("") }.key("tombstone").header("h", Some(b"t")),
        Record::of("x".repeat(200_000)).key("long").header("h", Some(b"l")),
    ];
    records.extend(
        (0..16).map(|n| Record::of(format!("value {n}")).key(format!("{n}")).header("n", Some(b"n"))),
    );
    records
}

fn text(bytes: &Option<Vec<u8>>) -> &str {
    bytes.as_deref().map_or("", |bytes| std::str::from_utf8(bytes).unwrap())
}

fn envelope(record: &Record) -> String {
    let string = |bytes: &Option<Vec<u8>>| bytes.as_ref().map(|_| text(bytes).to_owned());
    let headers: Vec<_> = record.headers.iter().map(|(name, value)| json!([name, string(value)])).collect();
    let envelope = json!({"key": string(&record.key), "value": string(&record.value), "headers": headers});
    format!("{envelope}\n")
}

/// From the JSON of kps or kcat, which call the value by another name and write headers in another way.
fn from_json(line: &str, value: &str) -> Record {
    let json: Value = serde_json::from_str(line).unwrap();
    let bytes = |json: &Value| json.as_str().map(|text| text.as_bytes().to_vec());
    let headers: Vec<(String, Option<Vec<u8>>)> = match json["headers"].as_array() {
        Some(list) if list.iter().all(Value::is_array) => {
            list.iter().map(|pair| (pair[0].as_str().unwrap().to_owned(), bytes(&pair[1]))).collect()
        }
        Some(flat) => flat.chunks(2).map(|p| (p[0].as_str().unwrap().to_owned(), bytes(&p[1]))).collect(),
        None => Vec::new(),
    };
    Record { key: bytes(&json["key"]), value: bytes(&json[value]), headers, ..Record::default() }
}

/// `NAME:VALUE,... TAB KEY TAB VALUE`, as the console tools have it.
fn console_line(record: &Record) -> String {
    let headers: Vec<_> = record.headers.iter().map(|(n, v)| format!("{n}:{}", text(v))).collect();
    let value = if record.value.is_some() { text(&record.value) } else { "NULL" };
    format!("{}\t{}\t{value}\n", headers.join(","), text(&record.key))
}

fn from_console_line(line: &str) -> Record {
    let [headers, key, value] = line.splitn(3, '\t').collect::<Vec<_>>().try_into().unwrap();
    let mut record = if value == "NULL" { Record::default() } else { Record::of(value) }.key(key);
    for header in headers.split(',') {
        let (name, value) = header.split_once(':').unwrap();
        record = record.header(name, Some(value.as_bytes()));
    }
    record
}

pub(super) fn trials() -> Vec<Named> {
    let mut all: Vec<Named> = Vec::new();
    for writer in Peer::all() {
        for reader in Peer::all() {
            let name = format!("pairs::{}_to_{}", writer.name(), reader.name());
            all.push((name, Box::new(move |ctx| exchange(ctx, writer, reader))));
        }
    }
    all
}

fn exchange(ctx: &Ctx, writer: Peer, reader: Peer) {
    let (topic, expected) = (ctx.kafka().topic("pair", 1), records());
    writer.write(ctx.kafka(), &topic, &expected);
    let seen = reader.read(ctx.kafka(), &topic, expected.len());
    let first = seen.iter().zip(&expected).find(|(seen, expected)| seen != expected);
    assert!(seen == expected, "{} records, first difference {first:?}", seen.len());
}
