//! Creating and deleting topics.

use super::errors;
use super::inspector::WiredInspector;
use crate::backends::keeper::{Keeper, NewTopic};
use crate::backends::{Error, Result};
use crate::settings::Settings;
use crate::wire::ErrorCode;
use crate::wire::messages::{
    CreateTopicsRequest, CreateTopicsRequestTopic, CreateTopicsResponse, DeleteTopicsRequest,
    DeleteTopicsRequestTopic, DeleteTopicsResponse,
};
use crate::wire::net::{self, Answer, Whom};

/// Leaves it to the broker, from version 4 of CreateTopics on (KIP-464).
const BROKERS_CHOICE: i16 = -1;

/// Connects.
///
/// # Errors
/// As [`super::open_inspector`].
pub(in crate::backends) fn open_keeper(settings: &Settings) -> Result<Box<dyn Keeper>> {
    Ok(Box::new(WiredInspector::open(settings)?))
}

/// What became of a topic: an error that may pass is asked about again, as that of a broker that is not the
/// controller is by clusters older than KRaft.
type Outcome = std::result::Result<(), (ErrorCode, Option<String>)>;

impl Keeper for WiredInspector {
    fn create(&mut self, topic: &NewTopic) -> Result<()> {
        let request = CreateTopicsRequest {
            topics: vec![CreateTopicsRequestTopic {
                name: topic.name.as_str().into(),
                num_partitions: topic.partitions,
                replication_factor: topic.replicas.unwrap_or(BROKERS_CHOICE),
                ..Default::default()
            }],
            timeout_ms: self.timeout_ms(),
            ..Default::default()
        };
        let outcome = self.ask(Whom::Anyone, &request, created, "creating a topic")?;
        told(outcome, &topic.name, ErrorCode::TopicAlreadyExists)
    }

    fn delete(&mut self, name: &str) -> Result<()> {
        let request = DeleteTopicsRequest {
            topics: vec![DeleteTopicsRequestTopic { name: Some(name.into()), ..Default::default() }],
            topic_names: vec![name.into()],
            timeout_ms: self.timeout_ms(),
        };
        let outcome = self.ask(Whom::Anyone, &request, deleted, "deleting a topic")?;
        told(outcome, name, ErrorCode::UnknownTopicOrPartition)
    }
}

/// The outcome as an error; a request that was sent twice may find that it has been carried out.
fn told(outcome: Outcome, name: &str, done_before: ErrorCode) -> Result<(), Error> {
    match outcome {
        Err((code, detail)) if code != done_before => {
            Err(errors::of_code(format_args!("topic {name}"), code, detail.as_deref()))
        }
        _ => Ok(()),
    }
}

fn created(answer: &Answer) -> net::Result<Outcome> {
    let told: CreateTopicsResponse<'_> = answer.read()?;
    let first = told.topics.first();
    outcome(first.map(|topic| (topic.error_code, topic.error_message.as_deref())))
}

fn deleted(answer: &Answer) -> net::Result<Outcome> {
    let told: DeleteTopicsResponse<'_> = answer.read()?;
    let first = told.responses.first();
    outcome(first.map(|topic| (topic.error_code, topic.error_message.as_deref())))
}

fn outcome(told: Option<(i16, Option<&str>)>) -> net::Result<Outcome> {
    let (code, detail) = told.unwrap_or((ErrorCode::UnknownServerError as i16, None));
    match ErrorCode::check(code) {
        Ok(()) => Ok(Ok(())),
        Err(code @ ErrorCode::NotController) => Err(net::Error::of_code(code, "topics")),
        Err(code) => Ok(Err((code, detail.map(str::to_owned)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backends::ErrorKind;

    #[test]
    fn what_was_done_before_is_done() {
        let told = |code, before| told(outcome(Some((code, Some("why")))).unwrap(), "t", before);
        assert!(told(0, ErrorCode::TopicAlreadyExists).is_ok());
        assert!(told(36, ErrorCode::TopicAlreadyExists).is_ok());
        assert!(told(3, ErrorCode::UnknownTopicOrPartition).is_ok());
        let refused = told(29, ErrorCode::TopicAlreadyExists).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Authorization);
        assert!(refused.to_string().starts_with("topic t:"), "{refused}");
    }

    #[test]
    fn a_broker_that_is_not_the_controller_is_asked_about_again() {
        assert!(outcome(Some((41, None))).unwrap_err().is_retriable());
        assert!(outcome(None).unwrap().is_err());
    }
}
