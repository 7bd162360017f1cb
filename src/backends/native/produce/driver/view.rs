//! What is known of the cluster: leaders, and the producer's id.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::sleep;

use super::super::fault::Fault;
use super::super::sequence::Identity;
use super::{ASK_FOR, Alarm, Asking, Driver, Event};
use crate::wire::ErrorCode;
use crate::wire::messages::{InitProducerIdRequest, InitProducerIdResponse};
use crate::wire::net::{self, Cluster, Metadata, Sending};

impl Driver {
    pub(super) fn learn(&mut self, mut metadata: watch::Receiver<Arc<Metadata>>) {
        self.tasks.push(async move {
            // It ends with the cluster, and so does this.
            if metadata.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
            Event::Learned(metadata)
        });
    }

    pub(super) fn follow_leaders(&mut self) {
        let now = Instant::now();
        for at in 0..self.routes.len() {
            let Some(route) = self.routes.get(at) else { return };
            let place = &route.lane.place;
            let leader = self.metadata.leader(&place.topic, place.partition).map(|leader| leader.id);
            let failed = self.metadata.topic(&place.topic).and_then(|topic| topic.error);
            if leader != route.way.map(|way| way.broker) {
                self.lead_by(at, leader);
            }
            if let Some(code) = failed {
                self.topic_failed(at, code, now);
            }
            self.list(at);
        }
        self.forget_replaced();
    }

    fn topic_failed(&mut self, at: usize, code: ErrorCode, now: Instant) {
        let Some(route) = self.routes.get_mut(at).filter(|route| !route.lane.is_empty()) else { return };
        let fault = Fault::of(code);
        match code {
            ErrorCode::UnknownTopicOrPartition => route.lane.unknown(&fault, now, &mut self.effects),
            code if code.is_retriable() => {}
            _ => {
                let (kind, why) = fault.reason();
                route.lane.refuse((kind, &why), &mut self.effects);
            }
        }
        self.settle(at);
    }

    /// Asks for metadata, unless that is under way.
    pub(super) fn refresh(&mut self) {
        if self.asking == Asking::UnderWay {
            return;
        }
        self.asking = Asking::UnderWay;
        let cluster = self.cluster.clone();
        self.tasks.push(async move {
            // Whatever comes of it is seen in the metadata.
            let _ = cluster.refresh(&[], tokio::time::Instant::now() + ASK_FOR).await;
            Event::Refreshed
        });
    }

    pub(super) fn refreshed(&mut self) {
        self.asking = Asking::Later;
        self.alarm(Instant::now() + self.rules.retry_backoff, Alarm::Refresh);
    }

    /// Asks again if there are batches without a leader to send them to.
    pub(super) fn refresh_again(&mut self) {
        self.asking = Asking::No;
        if self.routes.iter().any(|route| route.way.is_none() && !route.lane.is_empty()) {
            self.follow_leaders();
            self.refresh();
        }
    }

    pub(super) fn identify(&mut self) {
        if self.identifying {
            return;
        }
        self.identifying = true;
        let (cluster, rules) = (self.cluster.clone(), self.rules);
        self.tasks.push(async move {
            loop {
                match identify(&cluster, rules.request_timeout).await {
                    Err(error) if error.is_retriable() => sleep(rules.retry_backoff).await,
                    outcome => return Event::Identified(outcome),
                }
            }
        });
    }

    pub(super) fn identified(&mut self, outcome: net::Result<Identity>) {
        self.identifying = false;
        match outcome {
            Ok(identity) => {
                self.identity = Some(identity);
                (0..self.routes.len()).for_each(|at| self.list(at));
            }
            Err(error) => {
                let (kind, why) = Fault::Lost(error).reason();
                self.die(kind, &format!("no producer id: {why}"));
            }
        }
    }
}

async fn identify(cluster: &Cluster, timeout: Duration) -> net::Result<Identity> {
    let connection = cluster.any(tokio::time::Instant::now() + timeout).await?;
    let request = InitProducerIdRequest { transaction_timeout_ms: i32::MAX, ..Default::default() };
    let answer = connection.send(&request, Sending::within(timeout)).await?;
    let told: InitProducerIdResponse = answer.read()?;
    match ErrorCode::of(told.error_code) {
        None => Ok(Identity { id: told.producer_id, epoch: told.producer_epoch }),
        Some(code) => Err(net::Error::of_code(code, "InitProducerId")),
    }
}
