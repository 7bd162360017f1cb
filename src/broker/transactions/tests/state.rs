use super::*;

const STATES: [State; 6] = [
    State::Empty,
    State::Ongoing,
    State::Prepare(Decision::Commit),
    State::Prepare(Decision::Abort),
    State::Complete(Decision::Commit),
    State::Complete(Decision::Abort),
];

/// Producer 7 in epoch 3, with a partition and a group while there is a transaction.
fn in_state(state: State) -> Transaction {
    let mut transaction = Transaction { state, producer: producer(7, 3), ..Transaction::new(7, 1000, 50) };
    if matches!(state, State::Ongoing | State::Prepare(_)) {
        transaction.partitions = [([1; 16], [0].into())].into();
        transaction.groups = ["g".to_owned()].into();
        transaction.started_at = 50;
    }
    transaction
}

fn no_id() -> Result<i64> {
    panic!("no id is needed")
}

fn ready(init: Init) -> Transaction {
    match init {
        Init::Ready(next) => next,
        Init::Abort(_) => panic!("to be aborted"),
    }
}

fn prepared(end: End) -> Transaction {
    match end {
        End::Prepared(next) => next,
        End::Again => panic!("it was over"),
    }
}

#[test]
fn a_new_id_begins_with_epoch_0_and_nothing_open() {
    let new = Transaction::new(9, 77, 5);
    assert_eq!((new.producer, new.state, new.timeout_ms), (producer(9, 0), State::Empty, 77));
    assert_eq!(new.due_at(), 5 + REMEMBERED_MS);
}

#[test]
fn timeouts_are_from_1_ms_to_15_minutes() {
    for (timeout, allowed) in
        [(1, true), (900_000, true), (0, false), (-1, false), (900_001, false), (i32::MAX, false)]
    {
        assert_eq!(check_timeout(timeout).is_ok(), allowed, "{timeout}");
    }
    assert_eq!(code(check_timeout(0)), Code::InvalidTransactionTimeout as i16);
}

#[test]
fn an_init_bumps_the_epoch_when_nothing_is_open() {
    for state in [State::Empty, State::Complete(Decision::Commit), State::Complete(Decision::Abort)] {
        let next = ready(in_state(state).init(None, 20, 60, no_id).unwrap());
        assert_eq!((next.producer, next.state, next.timeout_ms), (producer(7, 4), State::Empty, 20));
        assert_eq!((next.last_epoch, next.updated_at), (-1, 60));
    }
}

#[test]
fn an_init_aborts_what_is_open_in_an_epoch_of_its_own_first() {
    let Init::Abort(fenced) = in_state(State::Ongoing).init(None, 20, 60, no_id).unwrap() else { panic!() };
    assert_eq!((fenced.producer, fenced.state), (producer(7, 4), State::Prepare(Decision::Abort)));
    assert!(fenced.has(part(1, 0)) && fenced.has(Part::Offsets("g")));
    let next = ready(fenced.completed(61).init(None, 20, 62, no_id).unwrap());
    assert_eq!((next.producer, next.state), (producer(7, 5), State::Empty));
}

#[test]
fn an_init_waits_for_what_is_ending() {
    for decision in [Decision::Commit, Decision::Abort] {
        let init = in_state(State::Prepare(decision)).init(None, 20, 60, no_id);
        assert_eq!(code(init), Code::ConcurrentTransactions as i16);
    }
}

#[test]
fn a_producer_that_knows_its_epoch_goes_on_with_the_next() {
    let first = in_state(State::Complete(Decision::Abort));
    let next = ready(first.init(Some(producer(7, 3)), 20, 60, no_id).unwrap());
    assert_eq!((next.producer, next.last_epoch), (producer(7, 4), 3));
    // It did not get the answer and asks again, twice.
    let again = ready(next.init(Some(producer(7, 3)), 20, 61, no_id).unwrap());
    assert_eq!((again.producer, again.last_epoch), (producer(7, 4), 3));
    let again = ready(again.init(Some(producer(7, 3)), 20, 62, no_id).unwrap());
    assert_eq!(again.producer, producer(7, 4));
    // Once another one has begun, it is fenced.
    let other = ready(again.init(None, 20, 63, no_id).unwrap());
    assert_eq!(other.producer, producer(7, 5));
    for epoch in [3, 4, 9] {
        assert_eq!(code(other.init(Some(producer(7, epoch)), 20, 64, no_id)), Code::ProducerFenced as i16);
    }
}

#[test]
fn a_claim_of_another_id_is_fenced_in_every_state() {
    for state in STATES {
        let init = in_state(state).init(Some(producer(8, 3)), 20, 60, no_id);
        assert_eq!(code(init), Code::ProducerFenced as i16, "{state:?}");
    }
}

#[test]
fn a_replaced_producer_does_not_abort_its_successors_transaction() {
    let ongoing = in_state(State::Ongoing);
    assert_eq!(code(ongoing.init(Some(producer(7, 2)), 20, 60, no_id)), Code::ProducerFenced as i16);
    assert!(matches!(ongoing.init(Some(producer(7, 3)), 20, 60, no_id), Ok(Init::Abort(_))));
}

#[test]
fn a_producer_whose_epochs_run_out_gets_a_new_id() {
    let mut last = in_state(State::Empty);
    last.producer.epoch = i16::MAX - 2;
    let next = ready(last.init(None, 20, 60, no_id).unwrap());
    assert_eq!(next.producer, producer(7, i16::MAX - 1));
    let rotated = ready(next.init(None, 20, 60, || Ok(99)).unwrap());
    assert_eq!((rotated.producer, rotated.last_epoch, rotated.previous_id), (producer(99, 0), -1, 7));
    // The same with a claim, and asked again.
    let claim = Some(producer(7, i16::MAX - 1));
    let rotated = ready(next.init(claim, 20, 60, || Ok(99)).unwrap());
    assert_eq!(rotated.producer, producer(99, 0));
    for _ in 0..2 {
        let again = ready(rotated.init(claim, 20, 60, no_id).unwrap());
        assert_eq!(again.producer, producer(99, 0));
    }
    assert_eq!(code(rotated.init(Some(producer(7, 5)), 20, 60, no_id)), Code::ProducerFenced as i16);
    // Fencing uses the one epoch that is left.
    let mut ongoing = in_state(State::Ongoing);
    ongoing.producer.epoch = i16::MAX - 1;
    let fenced = ongoing.fenced(60);
    assert_eq!(fenced.producer, producer(7, i16::MAX));
    let next = ready(fenced.completed(60).init(None, 20, 60, || Ok(99)).unwrap());
    assert_eq!(next.producer, producer(99, 0));
}

#[test]
fn no_id_is_handed_out_when_there_is_none() {
    let mut last = in_state(State::Empty);
    last.producer.epoch = i16::MAX - 1;
    let failed = last.init(None, 20, 60, || Err(Code::NotCoordinator.into()));
    assert_eq!(code(failed), Code::NotCoordinator as i16);
}

#[test]
fn the_first_part_begins_a_transaction_and_more_join_it() {
    for state in [State::Empty, State::Complete(Decision::Commit), State::Complete(Decision::Abort)] {
        let begun = in_state(state).add(producer(7, 3), &[part(1, 0)], 60).unwrap().unwrap();
        assert_eq!((begun.state, begun.started_at, begun.due_at()), (State::Ongoing, 60, 1060));
        let more = begun.add(producer(7, 3), &[part(1, 0), part(2, 5), Part::Offsets("h")], 70);
        let more = more.unwrap().unwrap();
        assert_eq!((more.started_at, more.updated_at, more.due_at()), (60, 70, 1060));
        assert!(more.has(part(1, 0)) && more.has(part(2, 5)) && more.has(Part::Offsets("h")));
        assert!(!more.has(part(2, 0)) && !more.has(Part::Offsets("g")));
        assert_eq!(more.add(producer(7, 3), &[part(2, 5)], 80).unwrap(), None);
        assert_eq!(more.partitions().collect::<Vec<_>>(), [([1; 16], 0), ([2; 16], 5)]);
    }
}

#[test]
fn parts_are_taken_of_the_right_producer_only() {
    for state in STATES {
        let transaction = in_state(state);
        let add = |producer| transaction.add(producer, &[part(1, 0)], 60);
        let check = |producer| transaction.check(producer, part(1, 0));
        assert_eq!(code(add(producer(8, 3))), Code::InvalidProducerIdMapping as i16, "{state:?}");
        assert_eq!(code(check(producer(8, 3))), Code::InvalidProducerIdMapping as i16, "{state:?}");
        for epoch in [2, 4, -1] {
            assert_eq!(code(add(producer(7, epoch))), Code::ProducerFenced as i16, "{state:?}");
            assert_eq!(code(check(producer(7, epoch))), Code::ProducerFenced as i16, "{state:?}");
        }
        if matches!(state, State::Prepare(_)) {
            assert_eq!(code(add(producer(7, 3))), Code::ConcurrentTransactions as i16);
            assert_eq!(code(check(producer(7, 3))), Code::ConcurrentTransactions as i16);
        }
    }
}

#[test]
fn only_what_is_part_of_an_open_transaction_is_written_to() {
    let ongoing = in_state(State::Ongoing);
    for (asked, allowed) in [
        (part(1, 0), true),
        (part(1, 1), false),
        (part(2, 0), false),
        (Part::Offsets("g"), true),
        (Part::Offsets("h"), false),
    ] {
        assert_eq!(ongoing.check(producer(7, 3), asked).is_ok(), allowed, "{asked:?}");
    }
    for state in [State::Empty, State::Complete(Decision::Commit), State::Complete(Decision::Abort)] {
        let checked = in_state(state).check(producer(7, 3), part(1, 0));
        assert_eq!(code(checked), Code::TransactionAbortable as i16);
    }
}

#[test]
fn an_end_prepares_then_completes_and_says_the_same_again() {
    for decision in [Decision::Commit, Decision::Abort] {
        let end = |of: &Transaction| of.end(producer(7, 3), decision, Protocol::V1, 60, no_id);
        let next = prepared(end(&in_state(State::Ongoing)).unwrap());
        assert_eq!((next.state, next.producer), (State::Prepare(decision), producer(7, 3)));
        assert!(next.has(part(1, 0)) && next.has(Part::Offsets("g")));
        assert_eq!(code(end(&next)), Code::ConcurrentTransactions as i16);
        let done = next.completed(70);
        assert_eq!((done.state, done.producer), (State::Complete(decision), producer(7, 3)));
        assert!(!done.has(part(1, 0)) && !done.has(Part::Offsets("g")));
        assert_eq!(end(&done).unwrap(), End::Again);
    }
}

#[test]
fn an_end_that_does_not_fit_the_state_is_refused() {
    let (commit, abort) = (Decision::Commit, Decision::Abort);
    for (state, decision) in [
        (State::Empty, commit),
        (State::Empty, abort),
        (State::Prepare(commit), abort),
        (State::Prepare(abort), commit),
        (State::Complete(commit), abort),
        (State::Complete(abort), commit),
    ] {
        let end = in_state(state).end(producer(7, 3), decision, Protocol::V1, 60, no_id);
        assert_eq!(code(end), Code::InvalidTxnState as i16, "{state:?} {decision:?}");
    }
    for state in STATES {
        let end = |producer| in_state(state).end(producer, commit, Protocol::V1, 60, no_id);
        assert_eq!(code(end(producer(8, 3))), Code::InvalidProducerIdMapping as i16);
        assert_eq!(code(end(producer(7, 2))), Code::ProducerFenced as i16);
        assert_eq!(code(end(producer(7, 4))), Code::ProducerFenced as i16);
    }
}

/// What an EndTxn of version 5 leads to: the table in Kafka's `TransactionCoordinator`.
#[test]
fn under_v2_every_end_bumps_the_epoch_and_late_ones_are_told_apart_by_it() {
    let (commit, abort) = (Decision::Commit, Decision::Abort);
    let (fenced, invalid) = (Code::ProducerFenced as i16, Code::InvalidTxnState as i16);
    let concurrent = Code::ConcurrentTransactions as i16;
    // State, decision; when late (epoch 2), when current (epoch 3). 0 is done already, -1 a new end.
    for (state, decision, late, current) in [
        (State::Empty, abort, fenced, -1),
        (State::Empty, commit, fenced, invalid),
        (State::Ongoing, abort, fenced, -1),
        (State::Ongoing, commit, fenced, -1),
        (State::Prepare(abort), abort, concurrent, fenced),
        (State::Prepare(abort), commit, invalid, fenced),
        (State::Prepare(commit), abort, invalid, fenced),
        (State::Prepare(commit), commit, concurrent, fenced),
        (State::Complete(abort), abort, 0, -1),
        (State::Complete(abort), commit, invalid, invalid),
        (State::Complete(commit), abort, invalid, -1),
        (State::Complete(commit), commit, 0, invalid),
    ] {
        for (epoch, expected) in [(2, late), (3, current), (4, fenced), (1, fenced)] {
            let end = in_state(state).end(producer(7, epoch), decision, Protocol::V2, 60, no_id);
            let got = match &end {
                Ok(End::Again) => 0,
                Ok(End::Prepared(_)) => -1,
                Err(failure) => failure.code,
            };
            assert_eq!(got, expected, "{state:?} {decision:?} {epoch}");
            if let Ok(End::Prepared(next)) = end {
                assert_eq!((next.state, next.producer), (State::Prepare(decision), producer(7, 4)));
                let done = next.completed(70);
                assert_eq!((done.state, done.producer), (State::Complete(decision), producer(7, 4)));
            }
        }
    }
}

#[test]
fn under_v2_the_end_in_the_last_epoch_gives_a_new_id() {
    let mut last = in_state(State::Ongoing);
    last.producer.epoch = i16::MAX - 1;
    let old = last.producer;
    let end = |of: &Transaction| of.end(old, Decision::Commit, Protocol::V2, 60, || Ok(99));
    let next = prepared(end(&last).unwrap());
    // Markers are the old id's, with an epoch above all others.
    assert_eq!(next.producer, producer(7, i16::MAX));
    let done = next.completed(70);
    assert_eq!((done.producer, done.previous_id), (producer(99, 0), old.id));
    assert_eq!(end(&done).unwrap(), End::Again);
    // No id is not the id before the first.
    let none = producer(-1, i16::MAX - 1);
    let new = Transaction { state: State::Complete(Decision::Commit), ..Transaction::new(7, 1000, 50) };
    let ended = new.end(none, Decision::Commit, Protocol::V2, 60, no_id);
    assert_eq!(code(ended), Code::InvalidProducerIdMapping as i16);
}

#[test]
fn everything_has_a_time_when_it_is_due() {
    assert_eq!(in_state(State::Ongoing).due_at(), 1050);
    for state in [State::Empty, State::Complete(Decision::Commit), State::Complete(Decision::Abort)] {
        assert_eq!(in_state(state).due_at(), 50 + REMEMBERED_MS);
    }
    assert_eq!(in_state(State::Prepare(Decision::Abort)).due_at(), 50);
}

#[test]
fn there_is_nothing_to_complete_without_a_decision() {
    for state in STATES.into_iter().filter(|state| !matches!(state, State::Prepare(_))) {
        assert_eq!(in_state(state).completed(99), in_state(state));
    }
}
