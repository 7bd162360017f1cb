//! Transactions by every client that has them.
use serde_json::{Value, json};

use crate::harness::app::{Kps, Library};
use crate::harness::client::{Ask, Client};
use crate::harness::kafka::{Record, Transaction};
use crate::harness::unique;
use crate::{Ctx, PerClient};

pub(crate) const TRIALS: &[PerClient] = &[
    ("transactions::what_was_aborted_is_not_read", what_was_aborted_is_not_read),
    ("transactions::offsets_count_when_it_is_committed", offsets_count_when_it_is_committed),
    ("transactions::a_successor_aborts_what_was_open", a_successor_aborts_what_was_open),
    ("transactions::over_several_partitions", over_several_partitions),
];

/// Publishes one record of this value to partition 0 in a transaction.
fn send(client: &dyn Ask, topic: &str, value: &str, end: Transaction, more: Value) {
    let records = Record::all_to_json(&[Record::of(value).to(0)]);
    let mut request = json!({"do": "produce", "topic": topic, "records": records, "transaction": end.name()});
    request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    client.must(&request);
}

/// The values that a consumer of this isolation reads.
fn read(client: &dyn Ask, topic: &str, isolation: &str) -> Vec<String> {
    let config = json!({"isolation.level": isolation});
    let records = client.must(&json!({"do": "consume", "topic": topic, "config": config}));
    let text = |record: Record| String::from_utf8(record.value.unwrap()).unwrap();
    Record::all_from_json(&records).into_iter().map(text).collect()
}

fn what_was_aborted_is_not_read(ctx: &Ctx, client: Client) {
    let (topic, with) = (ctx.kafka().topic("isolated", 1), ctx.kafka().client(client));
    ctx.kafka().produce(&topic, &[Record::of("plain")], json!({}));
    send(with, &topic, "aborted", Transaction::Abort, json!({}));
    send(with, &topic, "committed", Transaction::Commit, json!({}));
    send(with, &topic, "aborted too", Transaction::Abort, json!({}));
    for reader in [with, ctx.kafka().helper()] {
        assert_eq!(read(reader, &topic, "read_committed"), ["plain", "committed"]);
        let all = ["plain", "aborted", "committed", "aborted too"];
        assert_eq!(read(reader, &topic, "read_uncommitted"), all);
    }
    // Each left a marker.
    assert_eq!(ctx.kafka().end_offsets(&topic), [7]);
    if cfg!(feature = "rdkafka") {
        let kps = Kps::subscribe(ctx.kafka(), Library::Rdkafka, &topic).args(["--exit"]).run();
        kps.ok().prints("plain\ncommitted\n");
    }
}

fn offsets_count_when_it_is_committed(ctx: &Ctx, client: Client) {
    let (topic, group) = (ctx.kafka().topic("offsets", 1), unique("group"));
    ctx.kafka().produce(&topic, &[Record::of("a"), Record::of("b"), Record::of("c")], json!({}));
    let send = |offset: i64, end| {
        let offsets = json!({"group": group, "topic": topic, "partition": 0, "offset": offset});
        send(ctx.kafka().client(client), &topic, "x", end, json!({"offsets": offsets}));
    };
    send(1, Transaction::Abort);
    assert_eq!(ctx.kafka().committed(&group, &topic, 0), None);
    send(2, Transaction::Commit);
    // The marker reaches the group a moment after the answer.
    while ctx.kafka().committed(&group, &topic, 0).is_none() {}
    assert_eq!(ctx.kafka().committed(&group, &topic, 0), Some(2));
    send(3, Transaction::Abort);
    assert_eq!(ctx.kafka().committed(&group, &topic, 0), Some(2));
}

fn a_successor_aborts_what_was_open(ctx: &Ctx, client: Client) {
    let (topic, with) = (ctx.kafka().topic("fenced", 1), ctx.kafka().client(client));
    let id = || json!({"config": {"transactional.id": topic}});
    send(with, &topic, "open", Transaction::Open, id());
    assert_eq!(read(with, &topic, "read_committed"), [""; 0]);
    send(with, &topic, "successor", Transaction::Commit, id());
    assert_eq!(read(with, &topic, "read_committed"), ["successor"]);
    assert_eq!(read(with, &topic, "read_uncommitted"), ["open", "successor"]);
}

fn over_several_partitions(ctx: &Ctx, client: Client) {
    let (topic, with) = (ctx.kafka().topic("several", 3), ctx.kafka().client(client));
    for (end, expected) in [(Transaction::Abort, 0), (Transaction::Commit, 30)] {
        let records: Vec<_> = (0..30).map(|n| Record::of(format!("{n}")).to(n % 3)).collect();
        let records = Record::all_to_json(&records);
        with.must(&json!({"do": "produce", "topic": topic, "records": records, "transaction": end.name()}));
        assert_eq!(read(with, &topic, "read_committed").len(), expected);
    }
    assert_eq!(ctx.kafka().end_offsets(&topic), [22, 22, 22]);
}
