//! From the words of `-o` and `--exit` to offsets, the same way for every library.

use crate::backends::{At, Result, Subscriber, TopicPartition};
use crate::console;
use crate::offset::{Bound, OffsetSpec};

use super::positions::NO_STOP;

/// What is read of one partition: `from..stop`. Without `from` the group's committed offset counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) tp: TopicPartition,
    pub(super) from: Option<i64>,
    pub(super) stop: i64,
}

/// The first offset of a partition and its end.
#[derive(Debug, Clone, Copy)]
struct Extent {
    earliest: i64,
    latest: i64,
}

/// Asks the brokers for whatever the bounds need. `default` is where partitions start of which
/// nothing was said; `exit` ends each where it ends now.
///
/// # Errors
/// As [`Subscriber::list_offsets`].
pub(super) fn resolve(
    subscriber: &mut dyn Subscriber,
    partitions: &[TopicPartition],
    spec: &OffsetSpec,
    default: Bound,
    exit: bool,
) -> Result<Vec<Bounds>> {
    let from = |tp: &TopicPartition| Some(spec.range(tp.partition).from.unwrap_or(default));
    let to = |tp: &TopicPartition| spec.range(tp.partition).to;
    let ask = |at: At| partitions.iter().map(|tp| (tp.clone(), at)).collect::<Vec<_>>();
    let earliest = subscriber.list_offsets(&ask(At::Earliest))?;
    let latest = subscriber.list_offsets(&ask(At::Latest))?;
    let extents = earliest.into_iter().zip(latest);
    let from_times = at_times(subscriber, partitions, from)?;
    let times = from_times.into_iter().zip(at_times(subscriber, partitions, to)?);
    Ok(partitions
        .iter()
        .zip(extents.zip(times))
        .map(|(tp, ((earliest, latest), (from_time, to_time)))| {
            let extent = Extent { earliest, latest };
            let from = from(tp).and_then(|bound| start(tp, bound, extent, from_time));
            let to = to(tp).and_then(|bound| place(bound, extent, to_time));
            let stop = to.unwrap_or(NO_STOP).min(if exit { latest } else { NO_STOP });
            Bounds { tp: tp.clone(), from, stop }
        })
        .collect())
}

/// The offsets of the points in time among the bounds, one of each partition.
fn at_times(
    subscriber: &mut dyn Subscriber,
    partitions: &[TopicPartition],
    bound: impl Fn(&TopicPartition) -> Option<Bound>,
) -> Result<Vec<Option<i64>>> {
    let time = |tp| if let Some(Bound::Time(ms)) = bound(tp) { Some(At::Timestamp(ms)) } else { None };
    let asked: Vec<_> = partitions.iter().filter_map(|tp| Some((tp.clone(), time(tp)?))).collect();
    let answers = if asked.is_empty() { Vec::new() } else { subscriber.list_offsets(&asked)? };
    let mut answers = answers.into_iter();
    Ok(partitions.iter().map(|tp| time(tp).and_then(|_| answers.next())).collect())
}

/// Where reading starts: never outside of what is there, and said when it was asked for.
fn start(tp: &TopicPartition, bound: Bound, extent: Extent, time: Option<i64>) -> Option<i64> {
    let asked = place(bound, extent, time)?;
    let from = asked.clamp(extent.earliest, extent.latest.max(extent.earliest));
    if from != asked && matches!(bound, Bound::Absolute(_)) {
        let Extent { earliest, latest } = extent;
        console::warn(format!(
            "{tp} has offsets {earliest} to {latest}: reading from {from} instead of {asked}"
        ));
    }
    Some(from)
}

/// The offset of a bound; `None` for the committed one.
fn place(bound: Bound, extent: Extent, time: Option<i64>) -> Option<i64> {
    match bound {
        Bound::Beginning => Some(extent.earliest),
        Bound::End => Some(extent.latest),
        Bound::Stored => None,
        Bound::Absolute(n) => Some(n),
        Bound::FromEnd(n) => Some(extent.latest.saturating_sub(n).max(extent.earliest)),
        Bound::Time(_) => time,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXTENT: Extent = Extent { earliest: 10, latest: 20 };

    fn from(bound: Bound) -> Option<i64> {
        start(&TopicPartition { topic: "t".into(), partition: 0 }, bound, EXTENT, Some(15))
    }

    #[test]
    fn every_bound_has_its_offset() {
        assert_eq!(from(Bound::Beginning), Some(10));
        assert_eq!(from(Bound::End), Some(20));
        assert_eq!(from(Bound::Stored), None);
        assert_eq!(from(Bound::Absolute(12)), Some(12));
        assert_eq!(from(Bound::FromEnd(3)), Some(17));
        assert_eq!(from(Bound::Time(99)), Some(15));
    }

    #[test]
    fn a_start_outside_of_the_partition_is_its_nearest_end() {
        assert_eq!(from(Bound::Absolute(0)), Some(10));
        assert_eq!(from(Bound::Absolute(99)), Some(20));
        assert_eq!(from(Bound::FromEnd(99)), Some(10));
    }
}
