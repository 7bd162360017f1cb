//! Faults that tests ask for.

use std::time::Instant;

use super::*;
use crate::wire::ApiKey;

#[test]
fn a_fault_is_met_as_often_as_asked_and_by_its_api_alone() {
    let broker = broker();
    let mut raw = Raw::connect(broker.addr());
    raw.create("t", 1);
    broker.faults().add(ApiKey::Produce, 2, FaultKind::Error(6));
    assert_eq!(raw.offset("t", -1), (0, 0));
    assert_eq!(raw.produce("t", &batch(&["a"])), (6, -1));
    assert_eq!(raw.produce("t", &batch(&["a"])), (6, -1));
    assert_eq!(raw.produce("t", &batch(&["a"])), (0, 0));
    broker.faults().add(ApiKey::Fetch, 1, FaultKind::Error(6));
    assert_eq!(raw.fetch("t", 0).0, 6);
}

#[test]
fn a_refused_request_is_not_carried_out_and_a_dropped_one_is() {
    let broker = broker();
    for (kind, written) in [(FaultKind::Refuse, 0), (FaultKind::Drop, 1)] {
        let mut raw = Raw::connect(broker.addr());
        raw.ask(&create("t", 1, &[]), 5);
        broker.faults().add(ApiKey::Produce, 1, kind);
        let records = batch(&["a"]);
        raw.send(&produce("t", 1, &records), 9);
        assert!(raw.is_closed());
        assert_eq!(Raw::connect(broker.addr()).offset("t", -1), (0, written));
    }
}

#[test]
fn a_delay_delays_its_connection_alone() {
    let broker = broker();
    let (mut raw, mut other) = (Raw::connect(broker.addr()), Raw::connect(broker.addr()));
    broker.faults().add(ApiKey::ApiVersions, 1, FaultKind::Delay(Duration::from_millis(300)));
    let begun = Instant::now();
    raw.send(&ApiVersionsRequest::default(), 3);
    other.create("t", 1);
    assert!(begun.elapsed() < Duration::from_millis(300));
    raw.receive().unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(300));
}
