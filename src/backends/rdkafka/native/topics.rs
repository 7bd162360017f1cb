//! librdkafka's admin calls that create and delete a topic.

use std::ffi::c_char;

use ::rdkafka::bindings as rd;
use rd::rd_kafka_admin_op_t as Op;

use super::admin::{AdminError, Within, array, c_string};
use super::{Client, Code, text};

/// A topic to create.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct TopicToCreate<'a> {
    pub(in super::super) name: &'a str,
    pub(in super::super) partitions: i32,
    /// -1 leaves it to the broker.
    pub(in super::super) replicas: i32,
}

impl Client {
    /// Creates a topic.
    pub(in super::super) fn create_topic(
        &self,
        topic: &TopicToCreate<'_>,
        within: Within,
    ) -> Result<(), AdminError> {
        let name = c_string(topic.name)?;
        let mut reason = [0 as c_char; 512];
        // SAFETY: the strings outlive the call; the buffer is as long as said.
        let mut wanted = unsafe {
            let (partitions, replicas) = (topic.partitions, topic.replicas);
            rd::rd_kafka_NewTopic_new(name.as_ptr(), partitions, replicas, reason.as_mut_ptr(), 512)
        };
        if wanted.is_null() {
            let code = Code::of(rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__INVALID_ARG);
            // SAFETY: librdkafka has written a string there.
            return Err(AdminError { code, reason: unsafe { text(reason.as_ptr()) } });
        }
        // SAFETY: the topic is copied by the call and destroyed after it.
        let event = self.ask(Op::RD_KAFKA_ADMIN_OP_CREATETOPICS, within, |options, queue| unsafe {
            rd::rd_kafka_CreateTopics(self.ptr(), &mut wanted, 1, options, queue);
            rd::rd_kafka_NewTopic_destroy(wanted);
        })?;
        let mut count = 0;
        // SAFETY: the event is of that kind; what is in it lives as long as it does.
        unsafe {
            let result = rd::rd_kafka_event_CreateTopics_result(event.0.as_ptr());
            outcome(array(rd::rd_kafka_CreateTopics_result_topics(result, &mut count), count))
        }
    }

    /// Deletes a topic.
    pub(in super::super) fn delete_topic(&self, name: &str, within: Within) -> Result<(), AdminError> {
        let name = c_string(name)?;
        // SAFETY: the name is copied by the first call and the topic by the second, after which it is destroyed.
        let event = self.ask(Op::RD_KAFKA_ADMIN_OP_DELETETOPICS, within, |options, queue| unsafe {
            let mut topic = rd::rd_kafka_DeleteTopic_new(name.as_ptr());
            rd::rd_kafka_DeleteTopics(self.ptr(), &mut topic, 1, options, queue);
            rd::rd_kafka_DeleteTopic_destroy(topic);
        })?;
        let mut count = 0;
        // SAFETY: the event is of that kind; what is in it lives as long as it does.
        unsafe {
            let result = rd::rd_kafka_event_DeleteTopics_result(event.0.as_ptr());
            outcome(array(rd::rd_kafka_DeleteTopics_result_topics(result, &mut count), count))
        }
    }
}

/// What became of the one topic.
///
/// # Safety
/// The results are librdkafka's, alive.
unsafe fn outcome(results: &[*const rd::rd_kafka_topic_result_t]) -> Result<(), AdminError> {
    let Some(result) = results.first().copied().filter(|result| !result.is_null()) else {
        return Ok(());
    };
    // SAFETY: as promised.
    unsafe {
        match Code::of(rd::rd_kafka_topic_result_error(result)) {
            Code::NONE => Ok(()),
            code => Err(AdminError { code, reason: text(rd::rd_kafka_topic_result_error_string(result)) }),
        }
    }
}
