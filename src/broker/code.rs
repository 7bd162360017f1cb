//! The error codes of storage's errors.

use super::storage;
pub(super) use crate::wire::ErrorCode as Code;

/// Why something was not done: the code for the client's program, the words for its user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) code: i16,
    pub(super) why: Option<String>,
}

impl Failure {
    pub(super) fn new(code: Code, why: impl Into<String>) -> Self {
        Self { code: code as i16, why: Some(why.into()) }
    }

    /// The same with one code in place of another, for clients that do not know it.
    pub(super) fn instead(mut self, of: Code, code: Code) -> Self {
        if self.code == of as i16 {
            self.code = code as i16;
        }
        self
    }
}

impl From<Code> for Failure {
    fn from(code: Code) -> Self {
        Self { code: code as i16, why: None }
    }
}

impl From<storage::Error> for Failure {
    fn from(error: storage::Error) -> Self {
        Self::new(Code::from(&error), error.to_string())
    }
}

impl From<&storage::Error> for Code {
    fn from(error: &storage::Error) -> Self {
        match error {
            storage::Error::OffsetOutOfRange { .. } => Self::OffsetOutOfRange,
            storage::Error::CorruptMessage(_) => Self::CorruptMessage,
            storage::Error::UnknownTopic(_) | storage::Error::UnknownPartition { .. } => {
                Self::UnknownTopicOrPartition
            }
            storage::Error::MessageTooLarge { .. } => Self::MessageTooLarge,
            storage::Error::InvalidTopic(_) => Self::InvalidTopic,
            storage::Error::TopicExists(_) => Self::TopicAlreadyExists,
            storage::Error::InvalidPartitions { .. } => Self::InvalidPartitions,
            storage::Error::InvalidConfig { .. } => Self::InvalidConfig,
            storage::Error::UnsupportedFormat(_) => Self::UnsupportedForMessageFormat,
            storage::Error::OutOfOrderSequence { .. } => Self::OutOfOrderSequenceNumber,
            storage::Error::InvalidProducerEpoch { .. } => Self::InvalidProducerEpoch,
            storage::Error::InvalidTxnState(_) => Self::InvalidTxnState,
            storage::Error::InvalidRecord(_) => Self::InvalidRecord,
            storage::Error::Locked(_) | storage::Error::Io { .. } => Self::KafkaStorageError,
        }
    }
}

/// The code of an outcome that has no words; 0 if it went well.
pub(super) fn number<T>(outcome: Result<T, Code>) -> i16 {
    outcome.err().map_or(0, |code| code as i16)
}

/// The code and the words of an outcome; 0 and none if it went well.
pub(super) fn told<T>(outcome: &Result<T, Failure>) -> (i16, Option<&str>) {
    outcome.as_ref().err().map_or((0, None), |failure| (failure.code, failure.why.as_deref()))
}
