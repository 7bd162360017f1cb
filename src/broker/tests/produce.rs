//! Produce and InitProducerId.

use super::*;

#[test]
fn a_batch_sent_twice_is_written_once() {
    let broker = broker();
    let mut raw = Raw::connect(broker.addr());
    raw.create("t", 1);
    let answer = raw.ask(&InitProducerIdRequest::default(), 4);
    let InitProducerIdResponse { producer_id, producer_epoch, error_code, .. } = answer.read();
    assert_eq!((error_code, producer_epoch), (0, 0));
    let first = batch_at(&["a", "b"], 1, (producer_id, 0, 0));
    assert_eq!(raw.produce("t", &first), (0, 0));
    assert_eq!(raw.produce("t", &first), (0, 0));
    assert_eq!(raw.produce("t", &batch_at(&["c"], 1, (producer_id, 0, 2))), (0, 2));
    assert_eq!(raw.produce("t", &batch_at(&["d"], 1, (producer_id, 0, 9))), (45, -1));
    assert_eq!(raw.offset("t", -1), (0, 3));
}

#[test]
fn every_producer_has_its_own_id_also_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let mut ids = Vec::new();
    for _ in 0..2 {
        let broker = broker_at(folder.path());
        let mut raw = Raw::connect(broker.addr());
        ids.extend((0..1500).map(|_| {
            raw.ask(&InitProducerIdRequest::default(), 4).read::<InitProducerIdResponse>().producer_id
        }));
    }
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count);
}

#[test]
fn what_is_refused_says_why() {
    let broker = broker();
    let mut raw = Raw::connect(broker.addr());
    raw.create("t", 1);
    let large = batch(&[&"x".repeat(2 << 20)]);
    let mut damaged = batch(&["a"]);
    *damaged.last_mut().unwrap() ^= 1;
    for (topic, records, code) in [
        ("t", &large[..], 10),
        ("t", &damaged, 2),
        ("t", &batch(&["a"])[..30], 2),
        ("t", b"", 87),
        ("none", &batch(&["a"]), 3),
    ] {
        assert_eq!(raw.produce(topic, records), (code, -1), "{topic} {code}");
    }
    let records = batch(&["a"]);
    let answer = raw.ask(&produce("t", 2, &records), 9);
    assert_eq!(answer.read::<ProduceResponse<'_>>().responses[0].partition_responses[0].error_code, 21);
    let answer = raw.ask(&produce("t", 1, &damaged), 9);
    let response: ProduceResponse<'_> = answer.read();
    let why = response.responses[0].partition_responses[0].error_message.clone();
    assert_eq!(why.as_deref(), Some("corrupt batch: wrong checksum"));
}

#[test]
fn without_acks_there_is_no_answer_and_a_failure_closes_the_connection() {
    let broker = broker();
    let mut raw = Raw::connect(broker.addr());
    raw.create("t", 1);
    let records = batch(&["a"]);
    raw.send(&produce("t", 0, &records), 9);
    assert_eq!(raw.offset("t", -1), (0, 1));
    raw.send(&produce("none", 0, &records), 9);
    assert!(raw.is_closed());
}

#[test]
fn a_topic_with_append_time_gives_its_own_times() {
    let broker = broker();
    let mut raw = Raw::connect(broker.addr());
    raw.ask(&create("t", 1, &[("message.timestamp.type", "LogAppendTime")]), 5);
    let records = batch(&["a"]);
    let answer = raw.ask(&produce("t", 1, &records), 9);
    let time = answer.read::<ProduceResponse<'_>>().responses[0].partition_responses[0].log_append_time_ms;
    assert!(time > 1_600_000_000_000);
    assert_eq!(raw.offset("t", time), (0, 0));
}
