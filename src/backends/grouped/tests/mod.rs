//! Members around a reader that only takes note, against the embedded broker and the faults it can be asked for.

#[cfg(feature = "broker")]
mod embedded;

use super::*;
use crate::group::{Assignor, Protocol};
use crate::settings::Side;

#[test]
fn settings_reach_the_member() {
    let values = [
        ("group.id", "g"),
        ("group.instance.id", "i"),
        ("client.rack", "r"),
        ("session.timeout.ms", "10000"),
        ("heartbeat.interval.ms", "700"),
        ("max.poll.interval.ms", "5000"),
        ("partition.assignment.strategy", "org.apache.kafka.clients.consumer.StickyAssignor,roundrobin"),
    ];
    let terms = Config::of(&Settings::for_tests(Side::Consumer, &values)).unwrap().terms;
    assert_eq!(terms.group_id, "g");
    assert_eq!((terms.instance_id.as_deref(), terms.rack_id.as_deref()), (Some("i"), Some("r")));
    assert_eq!(terms.max_poll_interval, Duration::from_secs(5));
    let classic = Protocol::Classic {
        session_timeout: Duration::from_secs(10),
        heartbeat_interval: Duration::from_millis(700),
        assignors: vec![Assignor::Sticky, Assignor::RoundRobin],
    };
    assert_eq!(terms.protocol, classic);
}

#[test]
fn each_member_of_the_new_protocol_has_an_id_of_its_own() {
    let values = [("group.id", "g"), ("group.protocol", "consumer"), ("group.remote.assignor", "range")];
    let settings = Settings::for_tests(Side::Consumer, &values);
    let id = || match Config::of(&settings).unwrap().terms.protocol {
        Protocol::Consumer { member_id, assignor } if assignor.as_deref() == Some("range") => member_id,
        other => panic!("{other:?}"),
    };
    let (one, other) = (id(), id());
    assert!(one != other && one.len() == 22, "{one} {other}");
}

#[test]
fn polls_are_noted_to_the_millisecond() {
    let polls = app::Polls::new();
    let now = Instant::now() + Duration::from_millis(1234);
    polls.note(now);
    let off = now.duration_since(polls.last());
    assert!(off < Duration::from_millis(1), "{off:?}");
}
