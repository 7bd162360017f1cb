//! Publishing through librdkafka.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::native::{Client, Code, Event, Outbox, Queue, Report, Role, TIMESTAMP_ZERO, Topic};
use super::{Health, TOPIC_WAIT, config, connect, errors, partitions_of, serve, unknown_topic};
use crate::backends::{
    Error, ErrorKind, Fate, Log, PublishPlan, Publisher, ReportSink, Result, Waker, unknown_partition,
};
use crate::record::Batch;
use crate::settings::{KeyId, Settings, Side};

/// The longest time spent inside a flush before reports are served again.
const FLUSH_SLICE: Duration = Duration::from_millis(5);
/// How long records may take to be given back after the deadline.
const PURGE_WAIT: Duration = Duration::from_secs(5);

#[derive(Debug)]
struct RdkafkaPublisher {
    outbox: Outbox,
    queue: Arc<Queue>,
    client: Client,
    health: Health,
    log: Log,
    topic: Arc<str>,
    receipts: bool,
    max_request: i64,
}

/// Connects and checks that the topic (and the partition, if one is given) is there.
///
/// # Errors
/// `Unsupported` for a setting librdkafka refuses; `Unreachable`, `Authentication`, `UnknownTopic`.
pub(crate) fn open_publisher(settings: &Settings, plan: &PublishPlan) -> Result<Box<dyn Publisher>> {
    let conf = config::native(settings, Side::Producer);
    let client = Client::new(Role::Producer, &conf).map_err(|r| config::refused(settings, r))?;
    let queue = Arc::new(client.main_queue());
    let topic = match &plan.topic {
        Some(name) => Some(open_topic(&client, &queue, name, settings, plan)?),
        None => connect(&client, &queue, None, settings, &plan.log).map(|_| None)?,
    };
    Ok(Box::new(RdkafkaPublisher {
        outbox: Outbox::new(client.clone(), topic),
        queue,
        client,
        health: Health::default(),
        log: plan.log.clone(),
        topic: plan.topic.as_deref().unwrap_or_default().into(),
        receipts: plan.receipts,
        max_request: settings.int(KeyId::MaxRequestSize),
    }))
}

fn open_topic(
    client: &Client,
    queue: &Queue,
    name: &str,
    settings: &Settings,
    plan: &PublishPlan,
) -> Result<Topic> {
    let topic = client.topic(name).map_err(|code| errors::error(code, format!("topic {name:?}")))?;
    let wait = if settings.bool(KeyId::AutoCreateTopics) { TOPIC_WAIT } else { Duration::ZERO };
    let partitions = partitions_of(client, queue, (name, &topic), wait, settings, &plan.log)?;
    match plan.partition {
        Some(p) if !partitions.contains(&p) => Err(unknown_partition(name, p, partitions.len())),
        _ => Ok(topic),
    }
}

impl RdkafkaPublisher {
    fn told<'a>(&self, sink: &'a mut dyn ReportSink) -> Teller<'a> {
        let (receipts, max_request) = (self.receipts, self.max_request);
        Teller { sink, topic: Arc::clone(&self.topic), receipts, max_request, delivered: 0, payload: 0 }
    }

    /// Serves one event, waiting up to `wait` for it; false when there was none.
    fn serve_one(&mut self, wait: Duration, tell: &mut Teller<'_>) -> bool {
        let event = self.queue.poll(wait);
        if matches!(event, Event::None) {
            return false;
        }
        if let Some(Event::Delivered(event)) = serve(event, &mut self.health, &self.log) {
            self.outbox.reports(&event, |report| tell.tell(report));
        }
        true
    }

    fn fatal(&self) -> Result<()> {
        match &self.health.fatal {
            None => Ok(()),
            Some((code, reason)) => {
                Err(Error::new(errors::kind(*code), format!("librdkafka gave up: {reason}")))
            }
        }
    }
}

impl Publisher for RdkafkaPublisher {
    fn waker(&self) -> Waker {
        let queue = Arc::clone(&self.queue);
        Arc::new(move || queue.wake())
    }

    fn send(&mut self, batch: &Arc<Batch>, records: Range<usize>) -> Result<usize> {
        Ok(self.outbox.produce(batch, records))
    }

    fn poll(&mut self, wait: Duration, sink: &mut dyn ReportSink) -> Result<usize> {
        let mut tell = self.told(sink);
        self.outbox.rejections(|report| tell.tell(report));
        let mut more = self.serve_one(wait, &mut tell);
        while more {
            more = self.serve_one(Duration::ZERO, &mut tell);
        }
        tell.finish();
        if let Some(trouble) = self.health.trouble.take() {
            sink.warn(&super::plain_reason(&trouble));
        }
        self.fatal()?;
        Ok(self.outbox.in_flight())
    }

    fn close(mut self: Box<Self>, deadline: Instant, sink: &mut dyn ReportSink) -> Result<()> {
        let mut ended = Ok(0);
        while self.outbox.in_flight() > 0 && ended.is_ok() && Instant::now() < deadline {
            self.client.flush(FLUSH_SLICE);
            ended = self.poll(Duration::ZERO, sink);
        }
        if self.outbox.in_flight() > 0 {
            self.client.purge();
            let limit = Instant::now() + PURGE_WAIT;
            let mut tell = self.told(sink);
            while self.outbox.in_flight() > 0 && Instant::now() < limit {
                self.serve_one(Duration::from_millis(100), &mut tell);
            }
            tell.finish();
        }
        ended.map(drop)
    }
}

/// Translates reports for the sink; successes are added up and told once a call.
struct Teller<'a> {
    sink: &'a mut dyn ReportSink,
    topic: Arc<str>,
    receipts: bool,
    max_request: i64,
    delivered: u64,
    payload: u64,
}

impl Teller<'_> {
    fn tell(&mut self, report: &Report<'_>) {
        if report.code != Code::NONE {
            return self.tell_failure(report);
        }
        self.delivered += 1;
        self.payload += report.payload_len() as u64;
        if self.receipts {
            report.with_record(&self.topic, |r| self.sink.placed(r));
        }
    }

    fn tell_failure(&mut self, report: &Report<'_>) {
        let line = report.batch.spans()[report.index].line;
        let fate = if report.possibly_written { Fate::Unknown } else { Fate::Failed };
        report.with_record(&self.topic, |r| {
            let error = match errors::kind(report.code) {
                _ if report.code == TIMESTAMP_ZERO => Error::new(
                    ErrorKind::Unsupported,
                    "timestamp 0 cannot be sent by rdkafka: use --library rskafka",
                ),
                ErrorKind::TooLarge => too_large(r.payload_len(), self.max_request),
                ErrorKind::UnknownTopic if r.partition >= 0 => {
                    Error::new(ErrorKind::UnknownTopic, format!("no partition {}[{}]", r.topic, r.partition))
                }
                ErrorKind::UnknownTopic => unknown_topic(r.topic),
                _ => errors::error(report.code, format!("topic {}", r.topic)),
            };
            self.sink.undelivered(r, line, report.batch.source(), fate, &error);
        });
    }

    fn finish(self) {
        if self.delivered > 0 {
            self.sink.delivered(self.delivered, self.payload);
        }
    }
}

fn too_large(bytes: usize, max_request: i64) -> Error {
    let message = if bytes as i64 > max_request {
        format!("record of {bytes} bytes is larger than max.request.size {max_request}")
    } else {
        format!("record of {bytes} bytes was refused: its batch is larger than the topic's max.message.bytes")
    };
    Error::new(ErrorKind::TooLarge, message)
}
