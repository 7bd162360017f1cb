//! The task that fetches: one for all partitions and brokers, on the command's thread. What is fetched and
//! what answers mean is decided in [`super::fetcher`]; here are the connections, the metadata and the clock.

use std::collections::BTreeSet;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::fetcher::{Fetcher, Question, Rules};
use super::frame::{Assigned, Frame, Room, Told};
use super::partition::{Fault, Id};
use super::session::{Ask, Terms};
use crate::backends::TopicPartition;
use crate::backends::reset::Reset;
use crate::wire::ErrorCode;
use crate::wire::messages::{FetchRequest, FetchResponse};
use crate::wire::net::{self, Answer, Cluster, Kind, Metadata, OffsetQuery, Purpose, Sending, Sent};

/// Longer than anything is waited for.
const FAR: Duration = Duration::from_secs(3600);

/// How long taking leave may hold up the end.
pub(super) const FAREWELL: Duration = Duration::from_millis(100);

/// What the command's thread asks for.
#[derive(Debug)]
pub(super) enum Order {
    /// To read partitions from these offsets.
    Assign(Vec<(Arc<Assigned>, i64)>),
    /// Not to read them any more.
    Unassign(Vec<TopicPartition>),
    /// To take leave of the brokers. The sender is dropped when that is done.
    Leave(oneshot::Sender<()>),
}

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// A connection, with all that belongs to it.
    pub(super) connect: Duration,
    /// An answer, beside what the broker was told to wait.
    pub(super) request: Duration,
}

/// What was waited for.
#[derive(Debug)]
enum Done {
    Answered(i32, net::Result<Answer>),
    Found(Id, Result<i64, Fault>),
    /// Metadata was asked for.
    Refreshed,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Driver {
    cluster: Cluster,
    fetcher: Fetcher,
    terms: Arc<Terms>,
    limits: Limits,
    orders: UnboundedReceiver<Order>,
    metadata: watch::Receiver<Arc<Metadata>>,
    teller: UnboundedSender<Told>,
    room: Arc<Room>,
    tasks: JoinSet<Done>,
    /// Topics that are to be asked for, and whether some are being.
    refresh: BTreeSet<Arc<str>>,
    is_refreshing: bool,
}

impl Driver {
    pub(super) fn new(
        cluster: Cluster,
        rules: Rules,
        limits: Limits,
        orders: UnboundedReceiver<Order>,
        teller: UnboundedSender<Told>,
        room: Arc<Room>,
    ) -> Self {
        let metadata = cluster.watch();
        let terms = Arc::new(rules.terms.clone());
        let fetcher = Fetcher::new(rules, cluster.metadata());
        Self {
            cluster,
            fetcher,
            terms,
            limits,
            orders,
            metadata,
            teller,
            room,
            tasks: JoinSet::new(),
            refresh: BTreeSet::new(),
            is_refreshing: false,
        }
    }

    /// Fetches until nobody gives orders any more.
    pub(super) async fn run(mut self) {
        loop {
            let has_room = self.room.is_there();
            if has_room {
                for ask in self.fetcher.asks(Instant::now()) {
                    self.fetch(ask);
                }
            }
            self.ask_questions();
            self.tell(None);
            let alarm = self.fetcher.next_time().filter(|_| has_room);
            let alarm = alarm.unwrap_or_else(|| Instant::now() + FAR);
            tokio::select! {
                biased;
                order = self.orders.recv() => match order {
                    Some(Order::Leave(_done)) => return self.leave().await,
                    Some(order) => self.obey(order),
                    None => return,
                },
                Some(Ok(done)) = self.tasks.join_next() => self.take(done),
                Ok(()) = self.metadata.changed() => self.learn(Instant::now()),
                () = self.room.freed(), if !has_room => {}
                () = sleep_until(alarm) => self.fetcher.tick(Instant::now()),
            }
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Assign(starts) => self.fetcher.assign(starts, Instant::now()),
            Order::Unassign(partitions) => {
                for tp in partitions {
                    self.fetcher.remove(&tp.topic, tp.partition, Instant::now());
                }
            }
            Order::Leave(_) => {}
        }
    }

    /// Ends the sessions, over connections that no long poll holds up.
    async fn leave(self) {
        let mut asked = JoinSet::new();
        for ask in self.fetcher.farewells() {
            let (cluster, terms) = (self.cluster.clone(), Arc::clone(&self.terms));
            let deadline = Instant::now() + FAREWELL;
            asked.spawn(async move {
                let request = ask.request(&terms);
                cluster.ask(ask.broker, Purpose::Control, &request, deadline).await
            });
        }
        // Who does not answer forgets the session in time.
        while asked.join_next().await.is_some() {}
    }

    fn take(&mut self, done: Done) {
        let now = Instant::now();
        match done {
            Done::Answered(at, Ok(answer)) => self.answered(at, answer, now),
            Done::Answered(at, Err(why)) => self.fetcher.failed(at, &why, now),
            Done::Found(id, found) => self.fetcher.found(id, found, now),
            Done::Refreshed => {
                self.is_refreshing = false;
                self.learn(now);
                self.fetcher.refreshed(now);
            }
        }
    }

    fn learn(&mut self, now: Instant) {
        let view = Arc::clone(&self.metadata.borrow_and_update());
        self.fetcher.learn(view, now);
    }

    fn answered(&mut self, at: i32, answer: Answer, now: Instant) {
        let spans = match answer.read::<FetchResponse<'_>>() {
            Ok(response) => self.fetcher.answered(at, &response, &answer, now),
            Err(why) => return self.fetcher.failed(at, &why, now),
        };
        if !spans.is_empty() {
            self.tell(Some(Frame::new(answer, spans, &self.room)));
        }
    }

    /// Tells what there is to tell: what is not about a frame came before it.
    fn tell(&mut self, frame: Option<Frame>) {
        for told in self.fetcher.told.drain(..).chain(frame.map(Told::Frame)) {
            // Nobody to hear it means the end, which is seen where orders come from.
            let _ = self.teller.send(told);
        }
    }

    fn fetch(&mut self, ask: Ask) {
        let (cluster, terms, limits) = (self.cluster.clone(), Arc::clone(&self.terms), self.limits);
        self.tasks.spawn(async move {
            let at = ask.broker;
            let first = fetch(&cluster, &ask, &terms, limits).await;
            let answer = match first {
                // It was closed in this moment, perhaps for having been idle: nothing was sent.
                Err(why) if why.kind() == Kind::Closed && why.sent() == Sent::No => {
                    fetch(&cluster, &ask, &terms, limits).await
                }
                first => first,
            };
            Done::Answered(at, answer)
        });
    }

    fn ask_questions(&mut self) {
        for question in mem::take(&mut self.fetcher.questions) {
            match question {
                Question::Metadata(topic) => drop(self.refresh.insert(topic)),
                Question::Offset(id, topic, partition, reset) => self.find(id, topic, partition, reset),
            }
        }
        if !self.refresh.is_empty() && !self.is_refreshing {
            self.is_refreshing = true;
            let (cluster, topics) = (self.cluster.clone(), mem::take(&mut self.refresh));
            let deadline = Instant::now() + self.limits.connect;
            self.tasks.spawn(async move {
                let topics: Vec<&str> = topics.iter().map(|topic| &**topic).collect();
                // If nobody answers, the fetches fail too, and tell.
                let _ = cluster.refresh(&topics, deadline).await;
                Done::Refreshed
            });
        }
    }

    fn find(&mut self, id: Id, topic: Arc<str>, partition: i32, reset: Reset) {
        let timestamp = if reset == Reset::Latest { -1 } else { -2 };
        let query = OffsetQuery { topic, partition, timestamp };
        let (cluster, isolation) = (self.cluster.clone(), self.terms.isolation);
        let deadline = Instant::now() + self.limits.request;
        self.tasks.spawn(async move {
            let found = cluster.list_offsets(&[query], isolation, deadline).await;
            let offset = match found.as_deref() {
                Ok([Ok(found)]) => found.offset.ok_or_else(|| Fault::of(ErrorCode::OffsetNotAvailable)),
                Ok([Err(code), ..]) => Err(Fault::of(*code)),
                Ok(_) => Err(Fault::of(ErrorCode::UnknownServerError)),
                Err(why) => Err(Fault::of_error(why)),
            };
            Done::Found(id, offset)
        });
    }
}

/// Sends one request and waits for the answer.
async fn fetch(cluster: &Cluster, ask: &Ask, terms: &Terms, limits: Limits) -> net::Result<Answer> {
    let connection = cluster.connection(ask.broker, Purpose::Fetch, Instant::now() + limits.connect).await?;
    let wait = Duration::from_millis(u64::try_from(terms.max_wait_ms).unwrap_or_default());
    let request: FetchRequest<'_> = ask.request(terms);
    let pending = connection.send(&request, Sending::within(limits.request + wait));
    drop(request);
    pending.await
}
