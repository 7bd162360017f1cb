//! What the brokers say of themselves and of topics.

use std::ffi::{CStr, c_int};
use std::ptr;
use std::time::Duration;

use ::rdkafka::bindings as rd;

use super::{Client, Code, Topic, counted, millis};

/// An answer of a broker.
#[derive(Debug)]
pub(in super::super) struct Metadata {
    /// The ids of the brokers alive.
    pub(in super::super) brokers: Vec<i32>,
    pub(in super::super) topics: Vec<TopicMeta>,
}

/// A topic as the brokers describe it.
#[derive(Debug)]
pub(in super::super) struct TopicMeta {
    pub(in super::super) name: String,
    pub(in super::super) error: Code,
    pub(in super::super) partitions: Vec<PartitionMeta>,
}

/// A partition as the brokers describe it.
#[derive(Debug)]
pub(in super::super) struct PartitionMeta {
    pub(in super::super) id: i32,
    /// Below 0 if there is none.
    pub(in super::super) leader: i32,
    pub(in super::super) replicas: Vec<i32>,
    pub(in super::super) isr: Vec<i32>,
}

impl Client {
    /// One topic or all, as the brokers have them now.
    pub(in super::super) fn metadata(&self, topic: Option<&Topic>, wait: Duration) -> Result<Metadata, Code> {
        let mut metadata = ptr::null();
        // SAFETY: on success `metadata` points to a structure that we destroy below, after copying
        // what we want out of its counted arrays.
        unsafe {
            let all = c_int::from(topic.is_none());
            let only = topic.map_or(ptr::null_mut(), |t| t.ptr.as_ptr());
            let code = rd::rd_kafka_metadata(self.ptr(), all, only, &mut metadata, millis(wait));
            if Code::of(code) != Code::NONE {
                return Err(Code::of(code));
            }
            let brokers = counted((*metadata).brokers, (*metadata).broker_cnt);
            let topics = counted((*metadata).topics, (*metadata).topic_cnt);
            let found = Metadata {
                brokers: brokers.iter().map(|broker| broker.id).collect(),
                topics: topics.iter().map(|t| topic_meta(t)).collect(),
            };
            rd::rd_kafka_metadata_destroy(metadata);
            Ok(found)
        }
    }
}

/// # Safety
/// The structure is one of librdkafka's, whole.
unsafe fn topic_meta(t: &rd::rd_kafka_metadata_topic) -> TopicMeta {
    let partition = |p: &rd::rd_kafka_metadata_partition| PartitionMeta {
        id: p.id,
        leader: p.leader,
        // SAFETY: as promised, also of its arrays.
        replicas: unsafe { counted(p.replicas, p.replica_cnt) }.to_vec(),
        // SAFETY: as above.
        isr: unsafe { counted(p.isrs, p.isr_cnt) }.to_vec(),
    };
    // SAFETY: as above. The code is read as a number, since a broker may send one that the enum lacks.
    unsafe {
        TopicMeta {
            name: CStr::from_ptr(t.topic).to_string_lossy().into_owned(),
            error: Code(ptr::addr_of!(t.err).cast::<i32>().read()),
            partitions: counted(t.partitions, t.partition_cnt).iter().map(partition).collect(),
        }
    }
}
