//! Kafka's error codes (<https://kafka.apache.org/protocol>, "Error Codes"), and those of storage's
//! errors.

use super::storage;

/// The errors that are answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i16)]
pub(super) enum Code {
    OffsetOutOfRange = 1,
    CorruptMessage = 2,
    UnknownTopicOrPartition = 3,
    MessageTooLarge = 10,
    OffsetMetadataTooLarge = 12,
    CoordinatorNotAvailable = 15,
    NotCoordinator = 16,
    InvalidTopic = 17,
    NotEnoughReplicas = 19,
    InvalidRequiredAcks = 21,
    IllegalGeneration = 22,
    InconsistentGroupProtocol = 23,
    InvalidGroupId = 24,
    UnknownMemberId = 25,
    InvalidSessionTimeout = 26,
    RebalanceInProgress = 27,
    UnsupportedVersion = 35,
    TopicAlreadyExists = 36,
    InvalidPartitions = 37,
    InvalidReplicationFactor = 38,
    InvalidReplicaAssignment = 39,
    InvalidConfig = 40,
    InvalidRequest = 42,
    UnsupportedForMessageFormat = 43,
    PolicyViolation = 44,
    OutOfOrderSequenceNumber = 45,
    InvalidProducerEpoch = 47,
    InvalidTxnState = 48,
    InvalidProducerIdMapping = 49,
    InvalidTransactionTimeout = 50,
    ConcurrentTransactions = 51,
    TransactionalIdAuthorizationFailed = 53,
    OperationNotAttempted = 55,
    KafkaStorageError = 56,
    NonEmptyGroup = 68,
    GroupIdNotFound = 69,
    FetchSessionIdNotFound = 70,
    InvalidFetchSessionEpoch = 71,
    UnknownLeaderEpoch = 75,
    MemberIdRequired = 79,
    GroupMaxSizeReached = 81,
    FencedInstanceId = 82,
    GroupSubscribedToTopic = 86,
    InvalidRecord = 87,
    UnstableOffsetCommit = 88,
    ProducerFenced = 90,
    UnknownTopicId = 100,
    FencedMemberEpoch = 110,
    UnreleasedInstanceId = 111,
    UnsupportedAssignor = 112,
    StaleMemberEpoch = 113,
    MismatchedEndpointType = 114,
    TransactionAbortable = 120,
    InvalidRegularExpression = 128,
}

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
