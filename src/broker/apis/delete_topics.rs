//! DeleteTopics (versions 1 to 6): by name, from version 6 on also by id. Records are gone at once.

use super::super::code::{Code, Failure, told};
use super::Call;
use crate::wire::messages::{
    DeleteTopicsRequest, DeleteTopicsRequestTopic, DeleteTopicsResponse, DeleteTopicsResponseTopic,
};
use crate::wire::{Text, Uuid};

pub(super) fn handle<'a>(call: &mut Call<'a>, request: DeleteTopicsRequest<'a>) -> DeleteTopicsResponse<'a> {
    let named = request.topic_names.into_iter();
    let named = named.map(|name| DeleteTopicsRequestTopic { name: Some(name), topic_id: Uuid::default() });
    let responses = request.topics.into_iter().chain(named).map(|topic| delete(call, topic)).collect();
    DeleteTopicsResponse { responses, ..Default::default() }
}

fn delete<'a>(call: &Call<'a>, asked: DeleteTopicsRequestTopic<'a>) -> DeleteTopicsResponseTopic<'a> {
    let DeleteTopicsRequestTopic { name, topic_id } = asked;
    let storage = &call.node.storage;
    let topic = call.allow().and_then(|()| match &name {
        Some(name) => storage.topic(name).map_err(Failure::from),
        None => storage.topic_by_id(topic_id.0).ok_or(Code::UnknownTopicId.into()),
    });
    let deleted =
        topic.as_deref().map_err(Clone::clone).and_then(|topic| Ok(call.node.delete_topic(topic)?));
    let (error_code, why) = told(&deleted);
    let found = topic.as_ref().ok();
    DeleteTopicsResponseTopic {
        name: name.or_else(|| found.map(|topic| Text::Owned(topic.name().to_owned()))),
        topic_id: found.map_or(topic_id, |topic| Uuid(topic.id())),
        error_code,
        error_message: why.map(|why| why.to_owned().into()),
    }
}
