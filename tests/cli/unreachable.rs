//! Brokers that are not there: a closed port, one that accepts and stays silent, one that answers nothing at all.
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use crate::harness::app::{Kps, Library};
use crate::one_line;

/// The default of `socket.connection.setup.timeout.ms`, and the second beyond it that a run may take to end.
const DEFAULT: Duration = Duration::from_secs(10 + 1);
/// The shortest that can be set, with that second and another for a busy machine.
const SHORT: Duration = Duration::from_secs(1 + 1 + 1);

/// An address where nobody listens.
pub(crate) fn closed_port() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// A listener that the system accepts connections for, and that never says anything.
fn silent() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

/// A listener whose queue is full, so that whoever connects hears nothing; it lasts as long as what is returned.
fn black_hole() -> (TcpListener, Vec<TcpStream>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    let mut queue = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(500)) {
        queue.push(stream);
        assert!(queue.len() < 10_000, "the queue of a listener does not fill up");
    }
    (listener, queue, address.to_string())
}

/// Each command ends with exit code 4 within `limit`, naming the address.
fn given_up(address: &str, args: &[&str], limit: Duration) {
    let one = |library: Library, command: &[&str]| {
        let kps = Kps::new(command).args(["-b", address, "--library", library.name()]).args(args);
        let line = one_line(kps.limit(limit), 4);
        assert!(line.contains(address), "{line}");
        assert_eq!(line.matches("no broker reached at").count(), 1, "{line}");
    };
    thread::scope(|scope| {
        for library in Library::all() {
            scope.spawn(move || one(library, &["publish", "t", "-m", "x"]));
            scope.spawn(move || one(library, &["subscribe", "t", "--exit"]));
            scope.spawn(move || one(library, &["groups"]));
        }
    });
}

#[test]
fn a_closed_port_is_told_with_its_address() {
    given_up(&closed_port(), &[], DEFAULT);
}

#[test]
fn of_several_brokers_each_is_tried() {
    let (one, two) = (closed_port(), closed_port());
    given_up(&one, &["-X", &format!("bootstrap.servers={two}")], DEFAULT);
    given_up(&format!("{one},{two}"), &[], DEFAULT);
}

#[test]
fn a_name_that_does_not_resolve_is_told() {
    given_up("no-such-host.invalid:9092", &[], DEFAULT);
}

#[test]
fn a_broker_that_stays_silent_is_given_up_in_time() {
    let (_listener, address) = silent();
    given_up(&address, &["-X", "socket.connection.setup.timeout.ms=1000"], SHORT);
}

#[test]
fn by_default_in_ten_seconds() {
    let (_listener, address) = silent();
    given_up(&address, &[], DEFAULT);
}

#[test]
fn a_black_hole_is_given_up_in_time() {
    let (_listener, _queue, address) = black_hole();
    given_up(&address, &["-X", "socket.connection.setup.timeout.ms=1000"], SHORT);
}

/// A listener that ends each connection at once, and how many there were.
fn closing() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let count = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&count);
    // It ends with the process.
    thread::spawn(move || {
        for _ in listener.incoming() {
            counted.fetch_add(1, Relaxed);
        }
    });
    (address, count)
}

#[test]
fn in_a_resilient_run_an_outage_is_told_at_once_and_connections_are_counted() {
    const TRIES: usize = 3;
    let one = |library: Library, command: &[&str]| {
        let (address, count) = closing();
        let kps = Kps::new(command).args(["-b", &address, "--library", library.name(), "--resilient"]);
        let run = kps.args(["--reconnect-tries", "3", "--reconnect-interval", "2"]).spawn();
        let output = run.wait().code(4).says("disconnected: no broker reached at ");
        assert!(count.load(Relaxed) <= TRIES + 2, "{} connections\n{output}", count.load(Relaxed));
        assert!(output.err().lines().count() <= TRIES + 5, "{output}");
        assert!(
            output.elapsed > Duration::from_secs(5) && output.elapsed < Duration::from_secs(9),
            "{output}"
        );
    };
    thread::scope(|scope| {
        for library in Library::all() {
            scope.spawn(move || one(library, &["publish", "t", "-m", "x"]));
            scope.spawn(move || one(library, &["subscribe", "t", "--exit"]));
        }
    });
}

#[test]
fn a_resilient_run_reads_little_more_than_it_may_hold() {
    const HELD: u64 = 1000;
    let line = b"1234567\n";
    for library in Library::all() {
        let kps = Kps::new(["publish", "t", "-b", &closed_port(), "--library", library.name()]);
        let mut run = kps
            .args(["--resilient", "--buffer-max-messages", "1000", "--drain-timeout", "0.1"])
            .args(["--reconnect-tries", "2", "--reconnect-interval", "1", "--summary", "json"])
            .spawn();
        run.feed(line.repeat(500_000));
        let output = run.wait_with_open_stdin().code(4);
        let summary = output.err();
        let books = summary.lines().find_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let read = books.unwrap()["read"].as_u64().unwrap();
        // Three reads of 4 KiB are not in the buffer, and the parts of lines that they end in.
        assert!((HELD..=HELD + 3 * (512 + 1)).contains(&read), "{read} read\n{output}");
    }
}
