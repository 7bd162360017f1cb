//! Fetch and ListOffsets.

use std::time::Instant;

use super::*;

#[test]
fn batches_come_back_as_they_were_sent() {
    let broker = broker();
    let mut raw = Raw::connect(broker.addr());
    raw.create("t", 1);
    let (one, two) = (batch(&["a", "b"]), batch(&["c"]));
    assert_eq!(raw.produce("t", &one), (0, 0));
    assert_eq!(raw.produce("t", &two), (0, 2));
    let all = [stored(&one, 0), stored(&two, 2)].concat();
    assert_eq!(raw.fetch("t", 0), (0, 3, all.clone()));
    assert_eq!(raw.fetch("t", 1), (0, 3, all));
    assert_eq!(raw.fetch("t", 2), (0, 3, stored(&two, 2)));
    assert_eq!(raw.fetch("t", 3), (0, 3, vec![]));
    assert_eq!(raw.fetch("t", 4).0, 1);
    assert_eq!(raw.fetch("none", 0).0, 3);
}

#[test]
fn limits_in_bytes_hold_beyond_the_first_batch() {
    let broker = broker();
    let mut raw = Raw::connect(broker.addr());
    raw.create("a", 1);
    raw.create("b", 1);
    let one = batch(&[&"x".repeat(1000)]);
    let size = one.len();
    for topic in ["a", "a", "a", "b"] {
        raw.produce(topic, &one);
    }
    for (max_bytes, partition_max_bytes, expected) in [
        (1, 1, [size, 0]),
        (size as i32 * 2, 1 << 20, [2 * size, 0]),
        (size as i32 * 9, size as i32, [size, size]),
        (size as i32 * 9, 1, [size, 0]),
        (i32::MAX, i32::MAX, [3 * size, size]),
    ] {
        let mut request = fetch(&[("a", 0, 0), ("b", 0, 0)]);
        request.max_bytes = max_bytes;
        for topic in &mut request.topics {
            topic.partitions[0].partition_max_bytes = partition_max_bytes;
        }
        let answer = raw.ask(&request, 11);
        let response: FetchResponse<'_> = answer.read();
        let sizes: Vec<usize> = response
            .responses
            .iter()
            .map(|topic| topic.partitions[0].records.unwrap().bytes().len())
            .collect();
        assert_eq!(sizes, expected, "{max_bytes} {partition_max_bytes}");
    }
}

#[test]
fn a_long_poll_is_woken_by_an_append() {
    let broker = broker();
    let (mut reader, mut writer) = (Raw::connect(broker.addr()), Raw::connect(broker.addr()));
    writer.create("t", 2);
    let mut request = fetch(&[("t", 0, 0), ("t", 1, 0)]);
    request.max_wait_ms = 20_000;
    let mut times = Vec::new();
    for n in 0..5 {
        request.topics[0].partitions[0].fetch_offset = n;
        reader.send(&request, 11);
        // The other side of a connection answers in order: now the first request waits.
        let sent = Instant::now();
        assert_eq!(writer.produce("t", &batch(&["a"])), (0, n));
        let frame = reader.receive().unwrap();
        times.push(sent.elapsed());
        assert!(frame.len() > 61, "without the batch");
    }
    times.sort_unstable();
    assert!(times[0] < Duration::from_millis(20) && times[4] < Duration::from_secs(5), "{times:?}");
}

#[test]
fn a_long_poll_ends_when_its_time_is_over_or_its_topic_is_gone() {
    let broker = broker();
    let (mut reader, mut other) = (Raw::connect(broker.addr()), Raw::connect(broker.addr()));
    other.create("t", 1);
    let mut request = fetch(&[("t", 0, 0)]);
    request.max_wait_ms = 30;
    let begun = Instant::now();
    reader.ask(&request, 11);
    let waited = begun.elapsed();
    assert!((Duration::from_millis(30)..Duration::from_secs(5)).contains(&waited), "{waited:?}");

    request.max_wait_ms = 20_000;
    reader.send(&request, 11);
    other.ask(&DeleteTopicsRequest { topic_names: vec!["t".into()], ..Default::default() }, 5);
    reader.receive().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[test]
fn min_bytes_are_waited_for() {
    let broker = broker();
    let (mut reader, mut writer) = (Raw::connect(broker.addr()), Raw::connect(broker.addr()));
    writer.create("t", 1);
    let one = batch(&["a"]);
    let mut request = fetch(&[("t", 0, 0)]);
    request.max_wait_ms = 20_000;
    request.min_bytes = 3 * one.len() as i32;
    reader.send(&request, 11);
    for _ in 0..3 {
        writer.produce("t", &one);
    }
    let frame = reader.receive().unwrap();
    assert!(frame.len() > 3 * one.len());
}

#[test]
fn a_session_tells_news_only() {
    let broker = broker();
    let mut raw = Raw::connect(broker.addr());
    raw.create("t", 3);
    let mut open = fetch(&[("t", 0, 0), ("t", 1, 0), ("t", 2, 0)]);
    open.session_epoch = 0;
    let answer = raw.ask(&open, 11);
    let response: FetchResponse<'_> = answer.read();
    let id = response.session_id;
    assert!(id > 0);
    assert_eq!(told(&response), [0, 1, 2]);

    let mut next = fetch(&[]);
    (next.session_id, next.session_epoch) = (id, 1);
    assert_eq!(told(&raw.ask(&next, 11).read()), [0; 0]);
    raw.produce("t", &batch(&["a"]));
    next.session_epoch = 2;
    assert_eq!(told(&raw.ask(&next, 11).read()), [0]);
    // Not read on: the same batch again, until the offset moves.
    next.session_epoch = 3;
    assert_eq!(told(&raw.ask(&next, 11).read()), [0]);
    let mut moved = fetch(&[("t", 0, 1)]);
    (moved.session_id, moved.session_epoch) = (id, 4);
    assert_eq!(told(&raw.ask(&moved, 11).read()), [0; 0]);

    let refused = raw.ask(&next, 11).read::<FetchResponse<'_>>().error_code;
    assert_eq!(refused, 71);
    let elsewhere = Raw::connect(broker.addr()).ask(&moved, 11).read::<FetchResponse<'_>>().error_code;
    assert_eq!(elsewhere, 70);
}

fn told(response: &FetchResponse<'_>) -> Vec<i32> {
    assert_eq!(response.error_code, 0);
    let partitions = response.responses.iter().flat_map(|topic| &topic.partitions);
    partitions.map(|partition| partition.partition_index).collect()
}

#[test]
fn no_partition_of_a_session_starves() {
    let broker = broker();
    let mut raw = Raw::connect(broker.addr());
    raw.create("a", 1);
    raw.create("b", 1);
    raw.produce("a", &batch(&["a"]));
    raw.produce("b", &batch(&["b"]));
    let mut open = fetch(&[("a", 0, 0), ("b", 0, 0)]);
    (open.session_epoch, open.max_bytes) = (0, 1);
    let first: Vec<String> = sent(&raw.ask(&open, 11).read());
    let mut next = fetch(&[]);
    (next.session_id, next.session_epoch, next.max_bytes) = (1, 1, 1);
    let second: Vec<String> = sent(&raw.ask(&next, 11).read());
    assert_eq!((first, second), (vec!["a".to_owned()], vec!["b".to_owned()]));
}

fn sent(response: &FetchResponse<'_>) -> Vec<String> {
    let topics = response.responses.iter();
    let sent = topics.filter(|topic| !topic.partitions[0].records.unwrap().bytes().is_empty());
    sent.map(|topic| topic.topic.to_string()).collect()
}

#[test]
fn offsets_are_found_by_time() {
    let broker = broker();
    let mut raw = Raw::connect(broker.addr());
    raw.create("t", 1);
    assert_eq!(raw.offset("t", -1), (0, 0));
    assert_eq!(raw.offset("t", -3), (0, -1));
    raw.produce("t", &batch_at(&["a", "b", "c"], 1000, (-1, -1, -1)));
    raw.produce("t", &batch_at(&["d"], 5000, (-1, -1, -1)));
    raw.produce("t", &batch_at(&["e"], 3000, (-1, -1, -1)));
    for (time, offset) in [(-1, 5), (-2, 0), (-3, 3), (0, 0), (1001, 1), (1003, 3), (5000, 3), (5001, -1)] {
        assert_eq!(raw.offset("t", time), (0, offset), "{time}");
    }
    assert_eq!(raw.offset("none", -1).0, 3);
    assert_eq!(raw.offset("t", -9).0, 35);
}
