//! Against brokers that do as a script says: leaders that move, throttling, answers that make no sense.

use std::collections::BTreeSet;

use super::fake::{Does, Fake, encoded};
use super::*;
use crate::wire::messages::{ProduceResponse, ProduceResponsePartition, ProduceResponseTopic};

fn open(fake: &Fake, values: &[(&str, &str)]) -> Run {
    let mut all = vec![("retry.backoff.ms", "20"), ("reconnect.backoff.ms", "5"), ("linger.ms", "0")];
    all.extend_from_slice(values);
    Run::open(&fake.address(), &all).unwrap()
}

/// Values for partitions in turn.
fn to_partitions(run: &mut Run, values: &[(i32, &str)]) {
    let mut batch = Batch::default();
    for (partition, value) in values {
        run.line += 1;
        let value = batch.append(value.as_bytes());
        batch.push(Span { partition: *partition, ..Span::new(Slice::NULL, value, run.line) });
    }
    run.send_batch(batch);
}

#[test]
fn a_throttled_answer_slows_down_and_repeats_nothing() {
    let fake = Fake::start(1, &[Some(0)]);
    let mut run = open(&fake, &[]);
    fake.script([Does::Throttles(300)]);
    run.send(["a"]);
    run.until(|books| books.delivered == 1);
    run.send(["b"]);
    run.close().all_delivered();
    assert_eq!(fake.taken(0), ["a", "b"]);
    let came = &fake.world().came;
    assert_eq!(came.len(), 2);
    let between = came[1].at - came[0].at;
    assert!(between >= Duration::from_millis(300), "{between:?}");
}

#[test]
fn a_leader_that_is_pointed_to_is_followed_at_once() {
    let fake = Fake::start(2, &[Some(0)]);
    // Long enough to tell that nobody waits for it.
    let mut run = open(&fake, &[("retry.backoff.ms", "20000")]);
    fake.script([Does::Takes, Does::Points(0, 1)]);
    run.send(["a"]);
    run.until(|books| books.delivered == 1);
    run.send(["b"]);
    run.close().all_delivered();
    assert_eq!(fake.world().came.iter().map(|came| came.node).collect::<Vec<_>>(), [0, 0, 1]);
    assert_eq!(fake.taken(0), ["a", "b"]);
}

#[test]
fn a_leader_that_moved_is_found_by_asking() {
    let fake = Fake::start(2, &[Some(0)]);
    let mut run = open(&fake, &[]);
    run.send(["a"]);
    run.until(|books| books.delivered == 1);
    fake.script([Does::Refuses(0, 6)]);
    {
        let mut world = fake.world();
        (world.leaders[0], world.epoch) = (Some(1), 1);
    }
    run.send(["b"]);
    run.close().all_delivered();
    assert_eq!(fake.world().came.last().unwrap().node, 1);
    assert_eq!(fake.taken(0), ["a", "b"]);
}

#[test]
fn a_partition_without_a_leader_does_not_stop_the_others() {
    let fake = Fake::start(1, &[Some(0), None]);
    let mut run = open(&fake, &[]);
    to_partitions(&mut run, &[(1, "waits"), (0, "goes"), (0, "goes too")]);
    run.until(|books| books.delivered == 2);
    assert_eq!(fake.taken(0), ["goes", "goes too"]);
    fake.world().leaders[1] = Some(0);
    run.close().all_delivered();
    assert_eq!(fake.taken(1), ["waits"]);
}

#[test]
fn records_that_may_go_anywhere_avoid_a_partition_without_a_leader() {
    let fake = Fake::start(1, &[Some(0), None]);
    let mut run = open(&fake, &[("batch.size", "100")]);
    run.send(numbers(0..200));
    run.close().all_delivered();
    assert_eq!(fake.taken(0).len(), 200);
}

#[test]
fn a_partition_that_is_refused_does_not_concern_its_neighbours() {
    let fake = Fake::start(1, &[Some(0), Some(0)]);
    let mut run = open(&fake, &[("linger.ms", "20")]);
    fake.script([Does::Refuses(1, 44)]);
    to_partitions(&mut run, &[(0, "a"), (1, "b"), (0, "c")]);
    let books = run.close();
    books.check();
    assert_eq!(books.fates(), [(2, Fate::Failed, ErrorKind::Other)]);
    assert_eq!(
        (books.lost[0].partition, &*books.lost[0].error),
        (1, "t[1]: the broker answered POLICY_VIOLATION")
    );
    assert_eq!(fake.taken(0), ["a", "c"]);
}

#[test]
fn what_is_sent_again_has_the_same_sequence_numbers() {
    let fake = Fake::start(1, &[Some(0)]);
    let mut run = open(&fake, &[]);
    run.send(["first"]);
    run.until(|books| books.delivered == 1);
    fake.script([Does::Drops, Does::Closes]);
    run.send(["a", "b"]);
    run.close().all_delivered();
    let stamps: Vec<_> = fake.world().came.iter().map(|came| came.stamp).collect();
    assert_eq!(stamps, [(0, 0), (0, 1), (0, 1), (0, 1)]);
    assert_eq!(fake.taken(0), ["first", "a", "b"]);
}

#[test]
fn an_answer_that_stays_away_is_not_waited_for_longer_than_request_timeout() {
    let fake = Fake::start(1, &[Some(0)]);
    let mut run = open(&fake, &[("request.timeout.ms", "100")]);
    fake.script([Does::Sleeps]);
    run.send(["a"]);
    run.close().all_delivered();
    let world = fake.world();
    assert_ne!(world.came[0].connection, world.came[1].connection);
    assert_eq!(world.taken[&0], ["a"]);
}

#[test]
fn answers_that_make_no_sense_are_recovered_from() {
    let body = |partition| {
        let said = ProduceResponsePartition { index: partition, ..Default::default() };
        let topic = ProduceResponseTopic { name: "t".into(), partition_responses: vec![said] };
        encoded(&ProduceResponse { responses: vec![topic], ..Default::default() }, 11, 1_000_000)
    };
    let cut_off = {
        let mut bytes = body(0);
        bytes.truncate(12);
        bytes
    };
    let hostile: Vec<(&str, Does)> = vec![
        ("another correlation id", Does::Says(body(0))),
        ("no size there can be", Does::Says(vec![0x7f, 0xff, 0xff, 0xff, 0, 0])),
        ("a negative size", Does::Says(vec![0xff; 8])),
        ("nothing", Does::Says(vec![0, 0, 0, 0])),
        ("HTTP", Does::Says(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec())),
        ("half an answer, then nothing", Does::Says(cut_off)),
        ("another partition", Does::Confuses),
    ];
    for (what, does) in hostile {
        let fake = Fake::start(1, &[Some(0)]);
        let mut run = open(&fake, &[("request.timeout.ms", "200")]);
        run.send(["first"]);
        run.until(|books| books.delivered == 1);
        fake.script([does]);
        run.send(["a"]);
        let books = run.close();
        books.all_delivered();
        assert_eq!(fake.taken(0), ["first", "a"], "{what}");
    }
}

#[test]
fn a_broker_that_only_talks_nonsense_leaves_doubt_and_ends_in_time() {
    let fake = Fake::start(1, &[Some(0)]);
    let values = [("delivery.timeout.ms", "600"), ("request.timeout.ms", "100")];
    let mut run = open(&fake, &values);
    fake.script(vec![Does::Says(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()); 1000]);
    run.send(["a"]);
    let books = run.close_within(Duration::from_secs(20));
    books.check();
    assert_eq!(books.fates(), [(1, Fate::Unknown, ErrorKind::TimedOut)]);
}

#[test]
fn codes_that_nobody_knows_and_numbers_that_cannot_be_are_taken_for_what_they_are() {
    let fake = Fake::start(1, &[Some(0)]);
    let mut run = open(&fake, &[]);
    fake.script([Does::Refuses(0, 31_000), Does::Throttles(-5)]);
    run.send(["a"]);
    run.until(|books| books.lost.len() == 1);
    run.send(["b"]);
    let books = run.close();
    books.check();
    assert_eq!(books.lost[0].error, "t[0]: the broker answered UNKNOWN_SERVER_ERROR");
    assert_eq!(fake.taken(0), ["b"]);
}

#[test]
fn a_producer_that_was_replaced_ends() {
    let fake = Fake::start(1, &[Some(0)]);
    let mut run = open(&fake, &[]);
    fake.script([Does::Refuses(0, 90)]);
    run.send(["a"]);
    let books = run.close();
    books.check();
    assert_eq!(books.fates(), [(1, Fate::Failed, ErrorKind::Other)]);
    assert!(books.ended.is_some());
}

#[test]
fn a_topic_that_is_deleted_is_told_after_a_short_while() {
    let fake = Fake::start(1, &[Some(0)]);
    let mut run = open(&fake, &[]);
    run.send(["a"]);
    run.until(|books| books.delivered == 1);
    fake.script(vec![Does::Refuses(0, 3); 10_000]);
    fake.world().topic_error = 3;
    let start = Instant::now();
    run.send(["b"]);
    let books = run.close();
    books.check();
    assert_eq!(books.fates(), [(2, Fate::Failed, ErrorKind::UnknownTopic)]);
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
}

#[test]
fn without_acks_a_record_is_delivered_when_it_is_written() {
    let fake = Fake::start(1, &[Some(0)]);
    let mut run = open(&fake, &[("acks", "0")]);
    run.send(numbers(0..10));
    let books = run.close();
    books.all_delivered();
    let limit = Instant::now() + LONG;
    while fake.taken(0).len() < 10 {
        assert!(Instant::now() < limit);
        std::thread::yield_now();
    }
    assert_eq!(fake.taken(0), numbers(0..10).collect::<Vec<_>>());
}

#[test]
fn no_more_requests_are_in_flight_than_allowed() {
    let fake = Fake::start(1, &[Some(0)]);
    let values = [("max.in.flight", "2"), ("batch.num.messages", "1"), ("request.timeout.ms", "20000")];
    let mut run = open(&fake, &values);
    run.send(["first"]);
    run.until(|books| books.delivered == 1);
    fake.script(vec![Does::Sleeps; 100]);
    run.send(numbers(0..10));
    let books = run.close_within(Duration::from_millis(300));
    books.check();
    assert_eq!(fake.world().came.len(), 3);
    let unknown = books.lost.iter().filter(|lost| lost.fate == Fate::Unknown).count();
    assert_eq!((unknown, books.lost.len()), (2, 10));
}

/// Three rounds of a value for each of so many partitions, and the connection that each partition's came over.
fn over(fake: &Fake, partitions: i32) -> Vec<usize> {
    let mut run = open(fake, &[]);
    let values: Vec<(i32, &str)> = (0..partitions).map(|partition| (partition, "x")).collect();
    for round in 1..=3 {
        to_partitions(&mut run, &values);
        run.until(|books| books.delivered == round * values.len() as u64);
    }
    run.close().all_delivered();
    let world = fake.world();
    let of = |partition| {
        let came = world.came.iter().filter(|came| came.partition == partition);
        let connections: Vec<usize> = came.map(|came| came.connection).collect();
        assert!(
            connections.len() == 3 && connections.iter().all(|it| *it == connections[0]),
            "{connections:?}"
        );
        connections[0]
    };
    (0..partitions).map(of).collect()
}

fn count(connections: &[usize]) -> usize {
    connections.iter().collect::<BTreeSet<_>>().len()
}

#[test]
fn many_partitions_have_several_connections_and_each_always_the_same() {
    let each = over(&Fake::start(1, &[Some(0); 64]), 64);
    let first = each.iter().filter(|connection| **connection == each[0]).count();
    assert_eq!((count(&each), first), (4, 8 + 56 / 4));
    // Leaders in turn, as brokers choose them.
    let leaders: Vec<_> = (0..64).map(|partition| Some(partition % 4)).collect();
    assert_eq!(count(&over(&Fake::start(4, &leaders), 64)), 4 * 4);
}

#[test]
fn a_few_partitions_share_a_connection_and_so_do_all_without_acknowledgement() {
    assert_eq!(count(&over(&Fake::start(1, &[Some(0); 8]), 8)), 1);
    let fake = Fake::start(1, &[Some(0); 64]);
    let mut run = open(&fake, &[("acks", "0"), ("enable.idempotence", "false")]);
    to_partitions(&mut run, &(0..64).map(|partition| (partition, "x")).collect::<Vec<_>>());
    run.close().all_delivered();
    while fake.world().came.len() < 64 {
        std::thread::yield_now();
    }
    assert_eq!(count(&fake.world().came.iter().map(|came| came.connection).collect::<Vec<_>>()), 1);
}

#[test]
fn a_further_connection_that_does_not_come_about_is_done_without() {
    for (most, is_silent) in [(2, false), (3, false), (3, true)] {
        let fake = Fake::start(1, &[Some(0); 64]);
        // One is for metadata.
        (fake.world().most, fake.world().is_silent_beyond) = (Some(most), is_silent);
        let begun = Instant::now();
        let each = over(&fake, 64);
        assert_eq!(count(&each), most - 1);
        assert!(begun.elapsed() < Duration::from_secs(8), "connections may take 10 s");
        assert!((0..64).all(|partition| fake.taken(partition).len() == 3));
    }
}

#[test]
fn a_full_batch_ends_a_run_and_the_next_record_begins_elsewhere() {
    let fake = Fake::start(1, &[Some(0); 4]);
    let mut run = open(&fake, &[("batch.size", "2000"), ("linger.ms", "60000")]);
    run.send(numbers(0..50_000));
    run.close().all_delivered();
    let world = fake.world();
    // When a batch is what ends a run, it has nothing but that run.
    let numbers = world.came.iter().map(|came| came.values.iter().map(|n| n.parse().unwrap()));
    let late: Vec<Vec<u64>> = numbers.map(Iterator::collect).filter(|n: &Vec<u64>| n[0] > 20_000).collect();
    assert!(late.iter().all(|n| n.windows(2).all(|pair| pair[1] == pair[0] + 1)), "{late:?}");
    let full = late.iter().map(Vec::len).max().unwrap() - 1;
    assert!(late.iter().filter(|n| n.len() < full).count() <= 1);
    let each: Vec<usize> = (0..4).map(|partition| world.taken[&partition].len()).collect();
    assert!(each.iter().max().unwrap() - each.iter().min().unwrap() <= 2 * full, "{each:?}");
}
