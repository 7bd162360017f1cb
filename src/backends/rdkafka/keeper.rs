//! Creating and deleting topics through librdkafka.

use super::UNKNOWN_TOPIC_OR_PART;
use super::inspector::{RdkafkaInspector, failed};
use super::native::{AdminError, Code, TopicToCreate};
use crate::backends::keeper::{Keeper, NewTopic};
use crate::backends::{Log, Result};
use crate::settings::Settings;

const TOPIC_ALREADY_EXISTS: Code = Code(36);

/// Connects.
///
/// # Errors
/// As [`super::open_inspector`].
pub(in crate::backends) fn open_keeper(settings: &Settings, log: &Log) -> Result<Box<dyn Keeper>> {
    let keeper = RdkafkaInspector::open(settings, log)?;
    keeper.connect(None)?;
    Ok(Box::new(keeper))
}

impl Keeper for RdkafkaInspector {
    fn create(&mut self, topic: &NewTopic) -> Result<()> {
        let wanted = TopicToCreate {
            name: &topic.name,
            partitions: topic.partitions,
            // -1 leaves it to the broker (KIP-464).
            replicas: topic.replicas.map_or(-1, i32::from),
        };
        self.until_answered(|within| {
            told(self.client.create_topic(&wanted, within), &topic.name, TOPIC_ALREADY_EXISTS)
        })
    }

    fn delete(&mut self, name: &str) -> Result<()> {
        self.until_answered(|within| {
            told(self.client.delete_topic(name, within), name, UNKNOWN_TOPIC_OR_PART)
        })
    }
}

/// The outcome; a request that was sent twice may find that it has been carried out.
fn told(outcome: Result<(), AdminError>, name: &str, done_before: Code) -> Result<()> {
    match outcome {
        Err(error) if error.code != done_before => Err(failed(error, format!("topic {name}"))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backends::ErrorKind;

    #[test]
    fn what_was_done_before_is_done() {
        let refused = |code| Err(AdminError { code, reason: String::new() });
        assert!(told(Ok(()), "t", TOPIC_ALREADY_EXISTS).is_ok());
        assert!(told(refused(TOPIC_ALREADY_EXISTS), "t", TOPIC_ALREADY_EXISTS).is_ok());
        let error = told(refused(Code(29)), "t", TOPIC_ALREADY_EXISTS).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Authorization);
    }
}
