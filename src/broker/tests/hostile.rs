//! What no client sends: that connection is closed with a line in the log, and no other is disturbed.

use super::*;

/// Sends bytes on a connection of their own and waits until the broker closes it.
fn is_refused(broker: &Broker, bytes: &[u8]) {
    let mut raw = Raw::connect(broker.addr());
    raw.stream.write_all(bytes).unwrap();
    assert!(raw.is_closed(), "{bytes:?}");
}

#[test]
fn garbled_oversized_and_unserved_requests_close_their_connection_alone() {
    let (log, lines) = log();
    let broker = Broker::start(Options { log, ..Options::default() }).unwrap();
    let mut other = Raw::connect(broker.addr());
    other.create("t", 1);
    for (bytes, line) in [
        (&b"\x7f\xff\xff\xff"[..], "a request of 2147483647 bytes, the limit is 104857600"),
        (b"\xff\xff\xff\xff", "a request of -1 bytes, the limit is 104857600"),
        (b"GET / HTTP/1.1\r\n\r\n", "a request of 1195725856 bytes, the limit is 104857600"),
        (b"\0\0\0\x02\0\x03", "the bytes end too soon in the request header at byte 2"),
        // LeaderAndIsr, and Produce in a version of long ago.
        (b"\0\0\0\x0a\0\x04\0\0\0\0\0\x01\xff\xff", "version 0 of api 4 is not served"),
        (b"\0\0\0\x0a\0\0\0\x02\0\0\0\x01\xff\xff", "version 2 of api 0 is not served"),
        // Metadata of two billion topics.
        (
            b"\0\0\0\x0e\0\x03\0\x01\0\0\0\x01\xff\xff\x7f\xff\xff\xff",
            "a length of 2147483647 that cannot be true in MetadataRequest.topics at byte 4",
        ),
    ] {
        is_refused(&broker, bytes);
        let lines = std::mem::take(&mut *lines.lock().unwrap());
        let [only] = &lines[..] else { panic!("{line}: {lines:?}") };
        assert!(only.starts_with("connection from 127.0.0.1:") && only.ends_with(line), "{only}");
        assert_eq!(other.produce("t", &batch(&["a"])).0, 0);
    }
}

#[test]
fn bytes_behind_a_request_are_ignored() {
    let broker = broker();
    let mut raw = Raw::connect(broker.addr());
    raw.create("t", 1);
    // Metadata version 12 as librdkafka 2.12 asks for all topics.
    let frame = b"\0\0\0\x15\0\x03\0\x0c\0\0\0\x03\0\x03kps\0\0\0\0\0\0\0\0";
    raw.stream.write_all(frame).unwrap();
    let answer = Answer { body: raw.receive().unwrap()[5..].to_vec(), version: 12 };
    let response: MetadataResponse<'_> = answer.read();
    assert_eq!(response.topics[0].name.as_deref(), Some("t"));
}

#[test]
fn random_requests_are_survived() {
    let broker = broker();
    let mut state = 7_u64;
    let mut random = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as usize
    };
    for _ in 0..300 {
        let key = random() % 70;
        let version = random() % 12;
        let size = random() % 60;
        let mut frame =
            vec![0, 0, 0, 10 + size as u8, 0, key as u8, 0, version as u8, 0, 0, 0, 1, 0xff, 0xff];
        frame.extend((0..size).map(|_| random() as u8));
        let mut raw = Raw::connect(broker.addr());
        raw.stream.write_all(&frame).unwrap();
        raw.stream.shutdown(std::net::Shutdown::Write).unwrap();
        // Answered or closed, never stuck.
        while raw.receive().is_some() {}
    }
    Raw::connect(broker.addr()).create("t", 1);
}

#[test]
fn a_claimed_size_takes_no_memory_until_it_comes() {
    let broker = broker();
    let before = resident();
    let mut silent: Vec<Raw> = (0..50).map(|_| Raw::connect(broker.addr())).collect();
    for raw in &mut silent {
        raw.stream.write_all(&(100_i32 << 20).to_be_bytes()).unwrap();
        raw.stream.write_all(&[0; 100]).unwrap();
    }
    Raw::connect(broker.addr()).create("t", 1);
    assert!(resident() - before < 200 << 20, "{} bytes more", resident() - before);
}

/// Resident memory of this process in bytes, on Linux; else 0.
fn resident() -> i64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<i64>().ok()).map_or(0, |pages| pages * 4096)
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let broker = broker();
    let mut raw = Raw::connect(broker.addr());
    raw.create("t", 1);
    let mut waiting = fetch(&[("t", 0, 0)]);
    waiting.max_wait_ms = 50;
    raw.send(&waiting, 11);
    raw.send(&ApiVersionsRequest::default(), 3);
    raw.send(&MetadataRequest::default(), 9);
    let numbers: Vec<u8> = (0..3).map(|_| raw.receive().unwrap()[3]).collect();
    assert_eq!(numbers, [2, 3, 4]);
}
