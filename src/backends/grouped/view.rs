//! The topics of the cluster as the membership needs to know them.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::backends::{Topics, pattern_takes};
use crate::group;
use crate::wire::net::{Metadata, Topic};

/// All topics that are there.
pub(super) fn topics(metadata: &Metadata) -> group::Topics {
    there(metadata).map(|topic| (Arc::clone(&topic.name), facts(topic))).collect()
}

/// The names of those that are wanted.
pub(super) fn wanted(topics: &Topics, metadata: &Metadata) -> BTreeSet<Arc<str>> {
    match topics {
        Topics::Names(names) => names.iter().map(|name| Arc::from(name.as_str())).collect(),
        Topics::Pattern(pattern) => {
            let matching = there(metadata).filter(|topic| pattern_takes(pattern, &topic.name));
            matching.map(|topic| Arc::clone(&topic.name)).collect()
        }
    }
}

fn there(metadata: &Metadata) -> impl Iterator<Item = &Arc<Topic>> {
    metadata.topics().filter(|topic| topic.error.is_none())
}

fn facts(topic: &Topic) -> group::Topic {
    let partitions = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
    group::Topic { id: topic.id, partitions }
}
