//! A proxy between programs and a broker, which does to their connections what networks do.
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// What connections go through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weather {
    Clear,
    /// Nothing gets through and nobody is told; what was sent arrives when it is over.
    BlackHole,
    /// All arrives so much later.
    Late(Duration),
    /// So many bytes a second get through, on each connection and each way.
    Slow(usize),
    /// Each connection breaks after some bytes, most likely in the middle of a frame.
    Torn,
}

/// Bytes that are read at once, and such pieces that are on their way at most.
const PIECE: usize = 16 << 10;
const PIECES: usize = 64;

/// See the module. Its threads end with the process, its connections when this is dropped.
#[derive(Debug)]
pub(crate) struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    target: Option<SocketAddr>,
    weather: Weather,
    /// Both ends of each connection.
    open: HashMap<u64, [TcpStream; 2]>,
    opened: u64,
}

/// Accepts connections, each served by a thread, which end with the process. Returns where.
pub(super) fn listen(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, serve) = (listener.local_addr().unwrap(), Arc::new(serve));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = Arc::clone(&serve);
            thread::spawn(move || serve(stream));
        }
    });
    address
}

/// Numbers that look like chance and are the same in every run.
pub(super) fn scrambled(number: u64) -> u64 {
    let mixed = (number ^ (number >> 30)).wrapping_add(1).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

impl Proxy {
    /// Starts it in clear weather. It refuses whoever comes before it [leads](Self::lead_to) anywhere.
    pub(crate) fn start() -> Self {
        let state = State { target: None, weather: Weather::Clear, open: HashMap::new(), opened: 0 };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let theirs = Arc::clone(&shared);
        Self { address: listen(move |stream| drop(theirs.serve(stream))), shared }
    }

    /// Where clients are to connect.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where their connections lead.
    pub(crate) fn lead_to(&self, target: SocketAddr) {
        self.shared.lock().target = Some(target);
    }

    /// From now on.
    pub(crate) fn turn(&self, weather: Weather) {
        self.shared.lock().weather = weather;
        self.shared.changed.notify_all();
    }

    /// Breaks all connections.
    pub(crate) fn cut(&self) {
        for (_, ends) in self.shared.lock().open.drain() {
            part(&ends);
        }
    }

    /// Connections there have been.
    pub(crate) fn opened(&self) -> usize {
        self.shared.lock().opened as usize
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.turn(Weather::Clear);
        self.cut();
    }
}

/// Ends a connection on both sides, of which one may have ended already.
fn part(ends: &[TcpStream; 2]) {
    for end in ends {
        let _ = end.shutdown(Shutdown::Both);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The weather, once it lets anything through.
    fn weather(&self) -> Weather {
        let blocks = |state: &mut State| state.weather == Weather::BlackHole;
        let state = self.changed.wait_while(self.lock(), blocks);
        state.unwrap_or_else(PoisonError::into_inner).weather
    }

    /// Serves a connection to its end.
    fn serve(self: &Arc<Self>, client: TcpStream) -> std::io::Result<()> {
        let Some(target) = self.lock().target else { return Ok(()) };
        let broker = TcpStream::connect(target)?;
        for end in [&client, &broker] {
            end.set_nodelay(true)?;
        }
        let id = {
            let mut state = self.lock();
            let id = state.opened;
            state.opened += 1;
            state.open.insert(id, [client.try_clone()?, broker.try_clone()?]);
            id
        };
        thread::scope(|scope| {
            for (way, (from, to)) in (0..).zip([(&client, &broker), (&broker, &client)]) {
                let (pieces, arrived) = sync_channel(PIECES);
                scope.spawn(move || gather(from, &pieces));
                let ends = [from, to];
                scope.spawn(move || {
                    self.deliver(&arrived, to, scrambled(2 * id + way));
                    ends.map(|end| end.shutdown(Shutdown::Both))
                });
            }
        });
        self.lock().open.remove(&id);
        Ok(())
    }

    /// Passes on what arrives as the weather has it, until one side has ended or the connection breaks.
    fn deliver(&self, arrived: &Receiver<(Instant, Vec<u8>)>, mut to: &TcpStream, chance: u64) {
        // Enough for what a client has to know before it sends or gets records.
        let mut left = 20_000 + (chance % 200_000) as usize;
        for (at, mut bytes) in arrived {
            let weather = self.weather();
            match weather {
                Weather::Late(by) => thread::sleep((at + by).saturating_duration_since(Instant::now())),
                Weather::Slow(rate) => {
                    thread::sleep(Duration::from_secs_f64(bytes.len() as f64 / rate as f64))
                }
                Weather::Torn => bytes.truncate(left),
                Weather::Clear | Weather::BlackHole => {}
            }
            if to.write_all(&bytes).is_err() {
                return;
            }
            left = left.saturating_sub(bytes.len());
            if left == 0 && weather == Weather::Torn {
                return;
            }
        }
    }
}

fn gather(mut from: &TcpStream, pieces: &SyncSender<(Instant, Vec<u8>)>) {
    let mut buffer = vec![0; PIECE];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if pieces.send((Instant::now(), buffer[..count].to_vec())).is_err() {
            return;
        }
    }
}
