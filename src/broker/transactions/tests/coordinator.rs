use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;

use super::*;
use crate::broker::storage::Error;

/// Topic, partition, producer id, epoch, decision.
type Marker = (u8, i32, i64, i16, Decision);

/// A disk that fails when it is told to, and remembers what it was given.
#[derive(Debug, Default)]
struct Around {
    last_id: Cell<i64>,
    journal: RefCell<BTreeMap<Vec<u8>, Vec<u8>>>,
    markers: RefCell<Vec<Marker>>,
    settled: RefCell<Vec<(i64, Decision)>>,
    lines: RefCell<Vec<String>>,
    /// How many more writes succeed.
    writes: Cell<usize>,
}

impl Around {
    fn new() -> Self {
        Self { writes: Cell::new(usize::MAX), ..Self::default() }
    }

    /// Lets so many writes succeed, and none after them.
    fn fail_after(&self, writes: usize) {
        self.writes.set(writes);
    }

    fn write(&self) -> storage::Result<()> {
        let left = self.writes.get().checked_sub(1);
        let why = std::io::ErrorKind::StorageFull.into();
        self.writes.set(left.ok_or(Error::Io { path: "disk".into(), why })?);
        Ok(())
    }

    /// What is written in the journal about an id.
    fn stored(&self, id: &str) -> Option<Transaction> {
        self.journal.borrow().get(&persist::key(id)).and_then(|value| persist::decode(value))
    }

    fn take_markers(&self) -> Vec<Marker> {
        self.markers.take()
    }

    /// The coordinator after a restart.
    fn reopen(&self) -> Transactions {
        let folder = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(&folder.path().join("meta"), storage::Fsync::Never).unwrap();
        for (key, value) in &*self.journal.borrow() {
            journal.put(key, value).unwrap();
        }
        Transactions::load(&journal)
    }
}

impl Surroundings for Around {
    fn new_producer_id(&self) -> storage::Result<i64> {
        self.write()?;
        self.last_id.set(self.last_id.get() + 1);
        Ok(self.last_id.get())
    }

    fn keep(&self, change: Change<'_>) -> storage::Result<()> {
        self.write()?;
        match change {
            Change::Put(key, value) => self.journal.borrow_mut().insert(key.to_vec(), value.to_vec()),
            Change::Delete(key) => self.journal.borrow_mut().remove(key),
        };
        Ok(())
    }

    fn mark(
        &self,
        topic: [u8; 16],
        partition: i32,
        producer: Producer,
        decision: Decision,
        _: i64,
    ) -> storage::Result<()> {
        self.write()?;
        self.markers.borrow_mut().push((topic[0], partition, producer.id, producer.epoch, decision));
        Ok(())
    }

    fn settle(&self, producer_id: i64, decision: Decision, change: Change<'_>) -> storage::Result<()> {
        self.keep(change)?;
        self.settled.borrow_mut().push((producer_id, decision));
        Ok(())
    }

    fn log(&self, line: fmt::Arguments<'_>) {
        self.lines.borrow_mut().push(line.to_string());
    }
}

/// An id "x" with a transaction of two partitions that began at 100 and may take 1000 ms.
fn begun(around: &Around) -> (Transactions, Producer) {
    let transactions = Transactions::default();
    let x = transactions.init(around, "x", 1000, None, 90).unwrap();
    transactions.add(around, "x", x, &[part(1, 0), part(1, 1)], 100).unwrap();
    (transactions, x)
}

fn commit(transactions: &Transactions, around: &Around, x: Producer, now: i64) -> Result<Producer> {
    transactions.end(around, "x", x, Decision::Commit, Protocol::V1, now)
}

#[test]
fn an_empty_id_is_no_id() {
    let (around, transactions) = (Around::new(), Transactions::default());
    let invalid = Code::InvalidRequest as i16;
    assert_eq!(code(transactions.init(&around, "", 1000, None, 0)), invalid);
    assert_eq!(code(transactions.add(&around, "", producer(1, 0), &[], 0)), invalid);
    assert_eq!(code(transactions.write("", producer(1, 0), part(1, 0), || Ok(()))), invalid);
    let end = transactions.end(&around, "", producer(1, 0), Decision::Abort, Protocol::V1, 0);
    assert_eq!(code(end), invalid);
    assert_eq!(code(transactions.init(&around, "x", 0, None, 0)), Code::InvalidTransactionTimeout as i16);
    assert!(transactions.slots().is_empty());
}

#[test]
fn an_id_that_is_not_known_has_no_transaction() {
    let (around, transactions) = (Around::new(), Transactions::default());
    let unknown = Code::InvalidProducerIdMapping as i16;
    assert_eq!(code(transactions.add(&around, "x", producer(1, 0), &[], 0)), unknown);
    assert_eq!(code(transactions.write("x", producer(1, 0), part(1, 0), || Ok(()))), unknown);
    assert_eq!(code(commit(&transactions, &around, producer(1, 0), 0)), unknown);
}

#[test]
fn a_commit_is_written_down_marked_everywhere_and_settled() {
    let around = Around::new();
    let (transactions, x) = begun(&around);
    assert_eq!(around.stored("x").unwrap().state, State::Ongoing);
    assert_eq!(commit(&transactions, &around, x, 200).unwrap(), x);
    let commit_of = |partition| (1, partition, x.id, 0, Decision::Commit);
    assert_eq!(around.take_markers(), [commit_of(0), commit_of(1)]);
    assert_eq!(around.settled.take(), [(x.id, Decision::Commit)]);
    assert_eq!(around.stored("x").unwrap().state, State::Complete(Decision::Commit));
    // Asked once more it is the same, and nothing is written.
    around.fail_after(0);
    assert_eq!(commit(&transactions, &around, x, 300).unwrap(), x);
    assert!(around.take_markers().is_empty());
}

#[test]
fn a_second_producer_aborts_the_firsts_transaction_and_fences_it() {
    let around = Around::new();
    let (transactions, first) = begun(&around);
    let second = transactions.init(&around, "x", 1000, None, 200).unwrap();
    assert_eq!(second, producer(first.id, 2));
    let abort_of = |partition| (1, partition, first.id, 1, Decision::Abort);
    assert_eq!(around.take_markers(), [abort_of(0), abort_of(1)]);
    let fenced = Code::ProducerFenced as i16;
    assert_eq!(code(commit(&transactions, &around, first, 300)), fenced);
    assert_eq!(code(transactions.add(&around, "x", first, &[part(1, 0)], 300)), fenced);
    assert_eq!(code(transactions.write("x", first, part(1, 0), || Ok(()))), fenced);
    transactions.add(&around, "x", second, &[part(1, 0)], 300).unwrap();
    assert_eq!(transactions.write("x", second, part(1, 0), || Ok(5)).unwrap(), 5);
}

#[test]
fn a_producer_that_claims_its_epoch_within_its_transaction_is_fenced_as_by_kafka() {
    let around = Around::new();
    let (transactions, x) = begun(&around);
    let claimed = transactions.init(&around, "x", 1000, Some(x), 200);
    assert_eq!(code(claimed), Code::ProducerFenced as i16);
    assert_eq!(around.stored("x").unwrap().state, State::Complete(Decision::Abort));
}

#[test]
fn a_state_that_cannot_be_written_down_does_not_hold() {
    let around = Around::new();
    around.fail_after(0);
    let transactions = Transactions::default();
    let retriable = Code::NotCoordinator as i16;
    assert_eq!(code(transactions.init(&around, "x", 1000, None, 0)), retriable);
    assert!(transactions.slots().is_empty());
    let around = Around::new();
    let (transactions, x) = begun(&around);
    around.fail_after(0);
    assert_eq!(code(transactions.add(&around, "x", x, &[part(2, 0)], 150)), retriable);
    assert_eq!(code(transactions.write("x", x, part(2, 0), || Ok(()))), Code::TransactionAbortable as i16);
    assert_eq!(code(commit(&transactions, &around, x, 150)), retriable);
    assert_eq!(code(transactions.init(&around, "x", 1000, None, 150)), retriable);
    around.fail_after(usize::MAX);
    commit(&transactions, &around, x, 160).unwrap();
    assert_eq!(around.take_markers().len(), 2);
}

#[test]
fn a_decision_stands_when_the_disk_fails_after_it_and_is_carried_out_later() {
    // Writes of a commit: the decision, two markers, the end.
    for writes in 1..4 {
        let around = Around::new();
        let (transactions, x) = begun(&around);
        around.fail_after(writes);
        assert_eq!(commit(&transactions, &around, x, 200).unwrap(), x);
        assert_eq!(around.lines.borrow().len(), 1);
        // Meanwhile it is neither changed nor begun anew.
        let concurrent = Code::ConcurrentTransactions as i16;
        assert_eq!(code(commit(&transactions, &around, x, 210)), concurrent);
        assert_eq!(code(transactions.init(&around, "x", 1000, None, 210)), concurrent);
        assert_eq!(code(transactions.add(&around, "x", x, &[part(2, 0)], 210)), concurrent);
        assert_eq!(code(transactions.write("x", x, part(1, 0), || Ok(()))), concurrent);
        let abort = transactions.end(&around, "x", x, Decision::Abort, Protocol::V1, 210);
        assert_eq!(code(abort), Code::InvalidTxnState as i16);
        // The next attempt is a second later, not at once.
        assert_eq!(transactions.tick(&around, 1199), 1200);
        assert_eq!(transactions.tick(&around, 1200), 2200);
        around.fail_after(usize::MAX);
        transactions.tick(&around, 2200);
        assert_eq!(around.take_markers().len(), 2, "each marker once");
        assert_eq!(around.settled.take(), [(x.id, Decision::Commit)]);
        assert_eq!(commit(&transactions, &around, x, 2300).unwrap(), x);
    }
}

#[test]
fn a_restart_goes_on_with_a_decision_from_wherever_it_was() {
    for writes in 1..4 {
        let around = Around::new();
        let (transactions, x) = begun(&around);
        around.fail_after(writes);
        commit(&transactions, &around, x, 200).unwrap();
        around.fail_after(usize::MAX);
        around.markers.take();
        let transactions = around.reopen();
        transactions.tick(&around, 300);
        assert_eq!(around.take_markers().len(), 2);
        assert_eq!(around.settled.take(), [(x.id, Decision::Commit)]);
        assert_eq!(around.stored("x").unwrap().state, State::Complete(Decision::Commit));
        assert_eq!(commit(&transactions, &around, x, 310).unwrap(), x);
    }
}

#[test]
fn an_open_transaction_goes_on_after_a_restart() {
    let around = Around::new();
    let (_, x) = begun(&around);
    let transactions = around.reopen();
    assert_eq!(transactions.tick(&around, 500), 1100);
    assert_eq!(transactions.open(), [(x.id, [1; 16], 0), (x.id, [1; 16], 1)].into());
    transactions.write("x", x, part(1, 1), || Ok(())).unwrap();
    transactions.add(&around, "x", x, &[part(2, 0)], 600).unwrap();
    commit(&transactions, &around, x, 700).unwrap();
    assert_eq!(around.take_markers().len(), 3);
    assert!(transactions.open().is_empty());
    let transactions = around.reopen();
    assert_eq!(transactions.init(&around, "x", 1000, None, 800).unwrap(), producer(x.id, 1));
}

#[test]
fn a_transaction_that_takes_too_long_is_aborted_when_its_time_is_over() {
    let around = Around::new();
    let (transactions, x) = begun(&around);
    assert_eq!(transactions.tick(&around, 1099), 1100);
    assert!(around.take_markers().is_empty());
    transactions.tick(&around, 1100);
    let abort_of = |partition| (1, partition, x.id, 1, Decision::Abort);
    assert_eq!(around.take_markers(), [abort_of(0), abort_of(1)]);
    assert_eq!(around.lines.take(), ["transaction of \"x\" aborted: it took longer than 1000 ms"]);
    assert_eq!(code(commit(&transactions, &around, x, 1200)), Code::ProducerFenced as i16);
    assert_eq!(code(transactions.init(&around, "x", 1000, Some(x), 1200)), Code::ProducerFenced as i16);
    assert_eq!(transactions.init(&around, "x", 1000, None, 1200).unwrap(), producer(x.id, 2));
}

#[test]
fn a_failed_abort_is_tried_again_after_a_while() {
    let around = Around::new();
    let (transactions, _) = begun(&around);
    around.fail_after(0);
    assert_eq!(transactions.tick(&around, 1100), 2100);
    around.fail_after(usize::MAX);
    transactions.tick(&around, 2100);
    assert_eq!(around.take_markers().len(), 2);
}

#[test]
fn an_id_that_is_not_used_is_forgotten_and_begins_anew() {
    let around = Around::new();
    let (transactions, x) = begun(&around);
    commit(&transactions, &around, x, 200).unwrap();
    let due = 200 + REMEMBERED_MS;
    assert_eq!(transactions.tick(&around, due - 1), due);
    around.fail_after(0);
    assert_eq!(transactions.tick(&around, due), due + 1000);
    around.fail_after(usize::MAX);
    assert_eq!(transactions.tick(&around, due + 1000), i64::MAX);
    assert!(around.stored("x").is_none() && transactions.slots().is_empty());
    assert_eq!(code(commit(&transactions, &around, x, due + 1001)), Code::InvalidProducerIdMapping as i16);
    assert_eq!(transactions.init(&around, "x", 1000, Some(x), due + 1002).unwrap(), producer(x.id + 1, 0));
}

#[test]
fn under_v2_the_answer_is_the_producer_that_goes_on() {
    let around = Around::new();
    let (transactions, x) = begun(&around);
    let end = |producer| transactions.end(&around, "x", producer, Decision::Commit, Protocol::V2, 200);
    let next = producer(x.id, 1);
    assert_eq!((end(x).unwrap(), end(x).unwrap()), (next, next));
    assert_eq!(around.take_markers()[0], (1, 0, x.id, 1, Decision::Commit));
    // So it is when the markers have to wait.
    transactions.add(&around, "x", next, &[part(1, 0)], 300).unwrap();
    around.fail_after(1);
    assert_eq!(end(next).unwrap(), producer(x.id, 2));
}

#[test]
fn an_id_that_is_used_by_many_at_once_has_one_producer_in_the_end() {
    struct Ids(std::sync::atomic::AtomicI64);
    impl Surroundings for Ids {
        fn new_producer_id(&self) -> storage::Result<i64> {
            Ok(self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
        }
        fn keep(&self, _: Change<'_>) -> storage::Result<()> {
            Ok(())
        }
        fn mark(&self, _: [u8; 16], _: i32, _: Producer, _: Decision, _: i64) -> storage::Result<()> {
            Ok(())
        }
        fn settle(&self, _: i64, _: Decision, _: Change<'_>) -> storage::Result<()> {
            Ok(())
        }
        fn log(&self, _: fmt::Arguments<'_>) {}
    }
    let (ids, transactions) = (Ids(0.into()), Transactions::default());
    let init = || transactions.init(&ids, "x", 1000, None, 0).unwrap();
    let mut epochs = std::thread::scope(|scope| {
        // One thread forgets it all the time; that must not lose a producer or give an epoch twice.
        let forget = scope.spawn(|| (0..1000).for_each(|_| _ = transactions.tick(&ids, REMEMBERED_MS)));
        let inits: Vec<_> = (0..4).map(|_| scope.spawn(|| (0..250).map(|_| init()).collect())).collect();
        forget.join().unwrap();
        let all: Vec<Vec<Producer>> = inits.into_iter().map(|init| init.join().unwrap()).collect();
        all.concat()
    });
    let count = epochs.len();
    epochs.sort_unstable_by_key(|producer| (producer.id, producer.epoch));
    epochs.dedup();
    assert_eq!(epochs.len(), count);
    transactions.init(&ids, "x", 1000, None, 0).unwrap();
    assert_eq!(transactions.slots().len(), 1);
}
