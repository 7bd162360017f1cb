//! Cost per record of printing: the value, `-J`, `-f`, and of `--grep`: `cargo bench --bench formats`. Records of 100
//! bytes that look like log lines, with a short key and a header; a JSON value for `--parse-json`.
#![allow(clippy::unwrap_used, reason = "a benchmark, not reachable by input")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kps::filter::Filter;
use kps::format::{Envelope, Format, Template};
use kps::record::{RecordRef, TimestampType};

/// As many as are printed between two writes.
const RECORDS: usize = 500;

/// Values of 100 bytes.
fn lines() -> Vec<String> {
    let line = |n: usize| {
        let id = (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let start =
            format!("2026-01-01T00:00:00.{:03}Z INFO GET /api/v1/items/{} status=200 id=", n % 1000, n % 977);
        format!("{start}{id:064x}").chars().take(100).collect()
    };
    (0..RECORDS).map(line).collect()
}

/// Values of about 100 bytes that are JSON.
fn objects() -> Vec<String> {
    let object = |n: usize| {
        format!(
            r#"{{"time":"2026-01-01T00:00:00.{:03}Z","path":"/api/v1/items/{n}","status":200,"ok":true,"ms":[1,22,{n}]}}"#,
            n % 1000
        )
    };
    (0..RECORDS).map(object).collect()
}

/// Lends each value as a record.
fn lend(values: &[String], mut each: impl FnMut(&RecordRef<'_>)) {
    let headers: &[(&[u8], Option<&[u8]>)] = &[(b"trace", Some(b"4bf92f3577b34da6"))];
    for (n, value) in values.iter().enumerate() {
        each(&RecordRef {
            topic: "requests",
            partition: 3,
            offset: 1_000_000 + n as i64,
            timestamp: 1_767_225_600_000 + n as i64 / 50,
            timestamp_type: TimestampType::Create,
            key: Some(b"customer-17"),
            value: Some(value.as_bytes()),
            headers: &headers,
        });
    }
}

fn print(c: &mut Criterion) {
    let mut group = c.benchmark_group("print");
    group.throughput(Throughput::Elements(RECORDS as u64));
    let template = |text| Format::template(Template::parse(text).unwrap());
    let json = |parse_json| Format::json(Envelope { parse_json });
    let (lines, objects) = (lines(), objects());
    for (name, format, values) in [
        ("value", Format::value(b"\n".to_vec()), &lines),
        ("-J", json(false), &lines),
        ("-J of JSON", json(false), &objects),
        ("-J --parse-json", json(true), &objects),
        (r"-f %s\n", template(r"%s\n"), &lines),
        (r"-f %t[%p]@%o %T %k %h %s\n", template(r"%t[%p]@%o %T %k %h %s\n"), &lines),
        (r"-f %s{base64}\n", template(r"%s{base64}\n"), &lines),
        (r"-f %T{rfc3339} %s\n", template(r"%T{rfc3339} %s\n"), &lines),
    ] {
        let mut out = Vec::new();
        group.bench_function(name, |b| {
            b.iter(|| {
                out.clear();
                lend(black_box(values), |record| format.append(&mut out, record));
                out.len()
            });
        });
    }
}

fn grep(c: &mut Criterion) {
    let mut group = c.benchmark_group("grep");
    group.throughput(Throughput::Elements(RECORDS as u64));
    let values = lines();
    for pattern in ["status=500", "!status=500", r"items/\d+7 ", "k:^customer-1", "h:trace=^4bf9"] {
        let filter = Filter::parse(&[pattern]).unwrap();
        group.bench_function(pattern, |b| {
            b.iter(|| {
                let mut found = 0;
                lend(black_box(&values), |record| found += usize::from(filter.matches(record)));
                found
            });
        });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = print, grep
}
criterion_main!(benches);
