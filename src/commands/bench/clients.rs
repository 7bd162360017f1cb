//! The clients of a run and the topic they work on, opened the way the other commands open theirs.

use anyhow::Result;

use super::plan::Plan;
use super::topic::{Cluster, Temporary};
use crate::backends::{
    At, Chosen, Offsets, PublishPlan, Publisher, Purpose, SubscribePlan, Subscriber, TopicPartition, Topics,
};
use crate::commands::{Context, library_log};
use crate::console;

/// What a run is opened with: chosen and checked, and nothing reached yet.
#[derive(Debug)]
pub(super) struct Choice {
    pub(super) publish: Chosen,
    pub(super) subscribe: Chosen,
    /// The broker is one of this run's own.
    pub(super) embedded: bool,
}

impl Choice {
    /// # Errors
    /// Usage errors: what no library can do, records that are too large.
    pub(super) fn new(plan: &Plan, context: &Context<'_>) -> Result<Self> {
        let publish = context.choose(Purpose::Publish)?;
        let subscribe = context.choose(Purpose::ReadPartitions)?;
        plan.check_size(&publish.settings)?;
        let embedded = publish.settings.is_embedded();
        Ok(Self { publish, subscribe, embedded })
    }

    /// The library, or both where each side has its own.
    pub(super) fn library(&self, plan: &Plan) -> String {
        let (publish, subscribe) = (self.publish.library, self.subscribe.library);
        match (plan.publishes(), plan.subscribes()) {
            (true, true) if publish != subscribe => format!("{publish}+{subscribe}"),
            (true, _) => publish.to_string(),
            (false, _) => subscribe.to_string(),
        }
    }
}

/// The clients, and where they work. The topic goes last.
pub(super) struct Clients {
    pub(super) publishers: Vec<Box<dyn Publisher>>,
    /// Each with the partitions it reads, and from where.
    pub(super) subscribers: Vec<(Box<dyn Subscriber>, Offsets)>,
    /// All partitions of the topic, if it was asked for them.
    pub(super) partitions: Option<usize>,
    pub(super) topic: RunTopic,
}

/// The topic of a run.
#[derive(Debug)]
pub(super) struct RunTopic {
    pub(super) name: String,
    /// Deleted at the end. The embedded broker's topics go with it.
    pub(super) temporary: Option<Temporary>,
}

impl RunTopic {
    /// The named topic, or a new one.
    ///
    /// # Errors
    /// As the broker has them.
    pub(super) fn open(plan: &Plan, choice: &mut Choice, context: &Context<'_>) -> Result<Self> {
        if let Some(name) = &plan.topic {
            return Ok(Self { name: name.clone(), temporary: None });
        }
        let chosen = if plan.publishes() { &mut choice.publish } else { &mut choice.subscribe };
        let keeper = context.open_keeper(chosen)?;
        let of = if choice.embedded { Cluster::Embedded } else { Cluster::Lasting(&context.stop) };
        let temporary = Temporary::create(keeper, plan.partitions, plan.replicas, of)?;
        console::say(format!("temporary topic {}: it is deleted at the end", temporary.name()));
        Ok(Self { name: temporary.name().to_owned(), temporary: Some(temporary) })
    }
}

/// Opens so many publishers to a topic.
///
/// # Errors
/// As [`Context::open_publisher`].
pub(super) fn open_publishers(
    number: u16,
    topic: &str,
    choice: &mut Choice,
    context: &Context<'_>,
) -> Result<Vec<Box<dyn Publisher>>> {
    let open = PublishPlan {
        topic: Some(topic.to_owned()),
        partition: None,
        // Which record was acknowledged, and so how long it took.
        receipts: true,
        log: library_log(),
    };
    (0..number).map(|_| context.open_publisher(&mut choice.publish, &open)).collect()
}

impl Clients {
    /// # Errors
    /// As the broker and the libraries have them.
    pub(super) fn open(
        plan: &Plan,
        topic: RunTopic,
        choice: &mut Choice,
        context: &Context<'_>,
    ) -> Result<Self> {
        let publishers = match plan.publishes() {
            true => open_publishers(plan.producers, &topic.name, choice, context)?,
            false => Vec::new(),
        };
        let mut clients = Self { publishers, subscribers: Vec::new(), partitions: None, topic };
        if plan.subscribes() {
            clients.open_subscribers(plan, choice, context)?;
        }
        Ok(clients)
    }

    /// Opens consumers, and shares the partitions out between them.
    fn open_subscribers(&mut self, plan: &Plan, choice: &mut Choice, context: &Context<'_>) -> Result<()> {
        let open = SubscribePlan { grouped: false, log: library_log() };
        let mut first = context.open_subscriber(&mut choice.subscribe, &open)?;
        let topics = Topics::Names(vec![self.topic.name.clone()]);
        let partitions = first.partitions(&topics)?;
        let place = if plan.publishes() { At::Latest } else { At::Earliest };
        let places: Vec<_> = partitions.iter().map(|tp| (tp.clone(), place)).collect();
        let starts = first.list_offsets(&places)?;
        let starts: Offsets = partitions.into_iter().zip(starts).collect();
        self.partitions = Some(starts.len());
        let shares = share_out(&starts, usize::from(plan.consumers));
        warn_of_idle(&self.topic.name, starts.len(), usize::from(plan.consumers));
        let mut first = Some(first);
        for share in shares {
            let subscriber = match first.take() {
                Some(first) => first,
                None => context.open_subscriber(&mut choice.subscribe, &open)?,
            };
            self.subscribers.push((subscriber, share));
        }
        Ok(())
    }
}

fn warn_of_idle(topic: &str, partitions: usize, consumers: usize) {
    if partitions < consumers {
        let idle = consumers - partitions;
        console::warn(format!(
            "topic {topic} has {partitions} partition{} for {consumers} consumers: {idle} of them idle",
            if partitions == 1 { "" } else { "s" }
        ));
    }
}

/// What each of several consumers reads, in turn; nobody reads nothing.
fn share_out(starts: &[(TopicPartition, i64)], consumers: usize) -> Vec<Offsets> {
    let mut shares = vec![Offsets::new(); consumers.min(starts.len())];
    let number = shares.len().max(1);
    for (n, start) in starts.iter().enumerate() {
        if let Some(share) = shares.get_mut(n % number) {
            share.push(start.clone());
        }
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_shared_out_and_nobody_reads_nothing() {
        let starts: Offsets =
            (0..5).map(|partition| (TopicPartition { topic: "t".into(), partition }, 7)).collect();
        let sizes = |consumers| share_out(&starts, consumers).iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!([sizes(1), sizes(2), sizes(9)], [vec![5], vec![3, 2], vec![1; 5]]);
        assert_eq!(share_out(&[], 3), Vec::<Offsets>::new());
    }
}
