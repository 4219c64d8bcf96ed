//! The error codes of the protocol, each with its name, whether trying again can help, and what it
//! means.
//!
//! Numbers, names and the judgement whether an error is retriable are Kafka's, because its clients
//! act on them.

use std::fmt;

macro_rules! error_codes {
    ($( $variant:ident = $number:literal, $name:literal, $kind:ident, $message:literal; )*) => {
        /// An error code.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(i16)]
        pub enum ErrorCode {
            $( #[doc = $message] $variant = $number, )*
        }

        impl ErrorCode {
            /// All of them, by number.
            pub const ALL: &'static [ErrorCode] = &[$( Self::$variant, )*];

            /// Kafka's name for it.
            pub fn name(self) -> &'static str {
                match self { $( Self::$variant => $name, )* }
            }

            /// What it means, in words.
            pub fn message(self) -> &'static str {
                match self { $( Self::$variant => $message, )* }
            }

            /// Whether the same request may succeed later, or at another broker.
            pub fn is_retriable(self) -> bool {
                match self { $( Self::$variant => is_retriable!($kind), )* }
            }

            /// The code of a number, if there is one.
            pub fn from_number(number: i16) -> Option<Self> {
                match number {
                    $( $number => Some(Self::$variant), )*
                    _ => None,
                }
            }
        }
    };
}

macro_rules! is_retriable {
    (retriable) => {
        true
    };
    (final) => {
        false
    };
}

impl ErrorCode {
    /// Whether it is an error at all.
    pub fn is_error(self) -> bool {
        self != Self::None
    }
}

/// Numbers that this version does not know become [`ErrorCode::UnknownServerError`].
impl From<i16> for ErrorCode {
    fn from(number: i16) -> Self {
        Self::from_number(number).unwrap_or(Self::UnknownServerError)
    }
}

impl From<ErrorCode> for i16 {
    fn from(code: ErrorCode) -> Self {
        code as i16
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name(), self.message())
    }
}

error_codes! {
    UnknownServerError = -1, "UNKNOWN_SERVER_ERROR", final, "the broker failed in a way that it cannot name";
    None = 0, "NONE", final, "no error";
    OffsetOutOfRange = 1, "OFFSET_OUT_OF_RANGE", final, "the offset lies outside of the partition's log";
    CorruptMessage = 2, "CORRUPT_MESSAGE", retriable, "the record batch is damaged, or no batch that this topic allows";
    UnknownTopicOrPartition = 3, "UNKNOWN_TOPIC_OR_PARTITION", retriable, "the broker does not host this topic or partition";
    InvalidFetchSize = 4, "INVALID_FETCH_SIZE", final, "the fetch size is invalid";
    LeaderNotAvailable = 5, "LEADER_NOT_AVAILABLE", retriable, "the partition has no leader at present";
    NotLeaderOrFollower = 6, "NOT_LEADER_OR_FOLLOWER", retriable, "the broker is not the leader, or no replica, of the partition";
    RequestTimedOut = 7, "REQUEST_TIMED_OUT", retriable, "the request was not done in time";
    BrokerNotAvailable = 8, "BROKER_NOT_AVAILABLE", final, "the broker is not available";
    ReplicaNotAvailable = 9, "REPLICA_NOT_AVAILABLE", retriable, "the replica is not available";
    MessageTooLarge = 10, "MESSAGE_TOO_LARGE", final, "the record batch is larger than the topic allows";
    StaleControllerEpoch = 11, "STALE_CONTROLLER_EPOCH", final, "the controller has changed";
    OffsetMetadataTooLarge = 12, "OFFSET_METADATA_TOO_LARGE", final, "the metadata of the committed offset is too large";
    NetworkException = 13, "NETWORK_EXCEPTION", retriable, "the connection was lost before the response came";
    CoordinatorLoadInProgress = 14, "COORDINATOR_LOAD_IN_PROGRESS", retriable, "the coordinator is still loading";
    CoordinatorNotAvailable = 15, "COORDINATOR_NOT_AVAILABLE", retriable, "the coordinator is not available";
    NotCoordinator = 16, "NOT_COORDINATOR", retriable, "the broker does not coordinate this group or transaction";
    InvalidTopicException = 17, "INVALID_TOPIC_EXCEPTION", final, "the topic's name is invalid, or the topic does not allow this";
    RecordListTooLarge = 18, "RECORD_LIST_TOO_LARGE", final, "the record batch is larger than a segment";
    NotEnoughReplicas = 19, "NOT_ENOUGH_REPLICAS", retriable, "fewer replicas are in sync than the topic requires; nothing was written";
    NotEnoughReplicasAfterAppend = 20, "NOT_ENOUGH_REPLICAS_AFTER_APPEND", retriable, "the batch was written, but to fewer replicas in sync than the topic requires";
    InvalidRequiredAcks = 21, "INVALID_REQUIRED_ACKS", final, "acks is none of -1, 0 and 1";
    IllegalGeneration = 22, "ILLEGAL_GENERATION", final, "the group is in another generation";
    InconsistentGroupProtocol = 23, "INCONSISTENT_GROUP_PROTOCOL", final, "no protocol suits this member and the rest of the group";
    InvalidGroupId = 24, "INVALID_GROUP_ID", final, "the group id is invalid";
    UnknownMemberId = 25, "UNKNOWN_MEMBER_ID", final, "the group has no such member";
    InvalidSessionTimeout = 26, "INVALID_SESSION_TIMEOUT", final, "the session timeout is outside of what the broker allows";
    RebalanceInProgress = 27, "REBALANCE_IN_PROGRESS", final, "the group rebalances; its members have to join again";
    InvalidCommitOffsetSize = 28, "INVALID_COMMIT_OFFSET_SIZE", final, "the committed offset is too large to be kept";
    TopicAuthorizationFailed = 29, "TOPIC_AUTHORIZATION_FAILED", final, "not allowed on this topic";
    GroupAuthorizationFailed = 30, "GROUP_AUTHORIZATION_FAILED", final, "not allowed on this group";
    ClusterAuthorizationFailed = 31, "CLUSTER_AUTHORIZATION_FAILED", final, "not allowed on this cluster";
    InvalidTimestamp = 32, "INVALID_TIMESTAMP", final, "the timestamp is outside of what the topic allows";
    UnsupportedSaslMechanism = 33, "UNSUPPORTED_SASL_MECHANISM", final, "the SASL mechanism is not supported";
    IllegalSaslState = 34, "ILLEGAL_SASL_STATE", final, "the request does not belong into this state of the SASL exchange";
    UnsupportedVersion = 35, "UNSUPPORTED_VERSION", final, "the API or its version is not supported";
    TopicAlreadyExists = 36, "TOPIC_ALREADY_EXISTS", final, "a topic of this name exists";
    InvalidPartitions = 37, "INVALID_PARTITIONS", final, "the number of partitions is invalid";
    InvalidReplicationFactor = 38, "INVALID_REPLICATION_FACTOR", final, "the replication factor is below 1 or above the number of brokers";
    InvalidReplicaAssignment = 39, "INVALID_REPLICA_ASSIGNMENT", final, "the assignment of replicas is invalid";
    InvalidConfig = 40, "INVALID_CONFIG", final, "a config is invalid";
    NotController = 41, "NOT_CONTROLLER", retriable, "the broker is not the controller";
    InvalidRequest = 42, "INVALID_REQUEST", final, "the request is invalid";
    UnsupportedForMessageFormat = 43, "UNSUPPORTED_FOR_MESSAGE_FORMAT", final, "the format of the stored records does not allow this";
    PolicyViolation = 44, "POLICY_VIOLATION", final, "a policy forbids this";
    OutOfOrderSequenceNumber = 45, "OUT_OF_ORDER_SEQUENCE_NUMBER", final, "sequence numbers are missing in front of this batch";
    DuplicateSequenceNumber = 46, "DUPLICATE_SEQUENCE_NUMBER", final, "the batch was written before";
    InvalidProducerEpoch = 47, "INVALID_PRODUCER_EPOCH", final, "the producer's epoch is out of date";
    InvalidTxnState = 48, "INVALID_TXN_STATE", final, "the transaction is not in a state that allows this";
    InvalidProducerIdMapping = 49, "INVALID_PRODUCER_ID_MAPPING", final, "the producer id does not belong to this transactional id";
    InvalidTransactionTimeout = 50, "INVALID_TRANSACTION_TIMEOUT", final, "the transaction timeout is longer than the broker allows";
    ConcurrentTransactions = 51, "CONCURRENT_TRANSACTIONS", retriable, "another operation on this transaction is still going on";
    TransactionCoordinatorFenced = 52, "TRANSACTION_COORDINATOR_FENCED", final, "the transaction's coordinator is no longer its coordinator";
    TransactionalIdAuthorizationFailed = 53, "TRANSACTIONAL_ID_AUTHORIZATION_FAILED", final, "not allowed on this transactional id";
    SecurityDisabled = 54, "SECURITY_DISABLED", final, "security features are switched off";
    OperationNotAttempted = 55, "OPERATION_NOT_ATTEMPTED", final, "not attempted, because something else in the request failed";
    KafkaStorageError = 56, "KAFKA_STORAGE_ERROR", retriable, "the disk failed";
    LogDirNotFound = 57, "LOG_DIR_NOT_FOUND", final, "the log directory does not exist";
    SaslAuthenticationFailed = 58, "SASL_AUTHENTICATION_FAILED", final, "authentication failed";
    UnknownProducerId = 59, "UNKNOWN_PRODUCER_ID", final, "nothing is known of this producer id";
    ReassignmentInProgress = 60, "REASSIGNMENT_IN_PROGRESS", final, "the partition is being reassigned";
    DelegationTokenAuthDisabled = 61, "DELEGATION_TOKEN_AUTH_DISABLED", final, "delegation tokens are switched off";
    DelegationTokenNotFound = 62, "DELEGATION_TOKEN_NOT_FOUND", final, "the delegation token does not exist";
    DelegationTokenOwnerMismatch = 63, "DELEGATION_TOKEN_OWNER_MISMATCH", final, "the delegation token belongs to somebody else";
    DelegationTokenRequestNotAllowed = 64, "DELEGATION_TOKEN_REQUEST_NOT_ALLOWED", final, "a connection of this kind must not ask for delegation tokens";
    DelegationTokenAuthorizationFailed = 65, "DELEGATION_TOKEN_AUTHORIZATION_FAILED", final, "not allowed on this delegation token";
    DelegationTokenExpired = 66, "DELEGATION_TOKEN_EXPIRED", final, "the delegation token has expired";
    InvalidPrincipalType = 67, "INVALID_PRINCIPAL_TYPE", final, "the type of principal is not supported";
    NonEmptyGroup = 68, "NON_EMPTY_GROUP", final, "the group has members";
    GroupIdNotFound = 69, "GROUP_ID_NOT_FOUND", final, "the group does not exist";
    FetchSessionIdNotFound = 70, "FETCH_SESSION_ID_NOT_FOUND", retriable, "the fetch session does not exist";
    InvalidFetchSessionEpoch = 71, "INVALID_FETCH_SESSION_EPOCH", retriable, "the request is not the next one of its fetch session";
    ListenerNotFound = 72, "LISTENER_NOT_FOUND", retriable, "the leader has no listener of this name";
    TopicDeletionDisabled = 73, "TOPIC_DELETION_DISABLED", final, "topics must not be deleted on this cluster";
    FencedLeaderEpoch = 74, "FENCED_LEADER_EPOCH", retriable, "the leader epoch is older than the broker's";
    UnknownLeaderEpoch = 75, "UNKNOWN_LEADER_EPOCH", retriable, "the leader epoch is newer than the broker's";
    UnsupportedCompressionType = 76, "UNSUPPORTED_COMPRESSION_TYPE", final, "the client does not support the codec of this partition's records";
    StaleBrokerEpoch = 77, "STALE_BROKER_EPOCH", final, "the broker's epoch is out of date";
    OffsetNotAvailable = 78, "OFFSET_NOT_AVAILABLE", retriable, "the leader is new and does not know its high watermark yet";
    MemberIdRequired = 79, "MEMBER_ID_REQUIRED", final, "the member has to join again with the id that it was given";
    PreferredLeaderNotAvailable = 80, "PREFERRED_LEADER_NOT_AVAILABLE", retriable, "the preferred leader is not available";
    GroupMaxSizeReached = 81, "GROUP_MAX_SIZE_REACHED", final, "the group has as many members as it may have";
    FencedInstanceId = 82, "FENCED_INSTANCE_ID", final, "another member has taken this instance id";
    EligibleLeadersNotAvailable = 83, "ELIGIBLE_LEADERS_NOT_AVAILABLE", retriable, "no replica that may become leader is available";
    ElectionNotNeeded = 84, "ELECTION_NOT_NEEDED", retriable, "the partition has the leader that it should have";
    NoReassignmentInProgress = 85, "NO_REASSIGNMENT_IN_PROGRESS", final, "the partition is not being reassigned";
    GroupSubscribedToTopic = 86, "GROUP_SUBSCRIBED_TO_TOPIC", final, "the group is subscribed to the topic";
    InvalidRecord = 87, "INVALID_RECORD", final, "a record is invalid";
    UnstableOffsetCommit = 88, "UNSTABLE_OFFSET_COMMIT", retriable, "offsets of an undecided transaction are in the way";
    ThrottlingQuotaExceeded = 89, "THROTTLING_QUOTA_EXCEEDED", retriable, "the quota is used up";
    ProducerFenced = 90, "PRODUCER_FENCED", final, "another producer has taken this transactional id";
    ResourceNotFound = 91, "RESOURCE_NOT_FOUND", final, "a resource named in the request does not exist";
    DuplicateResource = 92, "DUPLICATE_RESOURCE", final, "a resource is named twice";
    UnacceptableCredential = 93, "UNACCEPTABLE_CREDENTIAL", final, "the credential is not good enough";
    InconsistentVoterSet = 94, "INCONSISTENT_VOTER_SET", final, "the sender or the receiver is no voter";
    InvalidUpdateVersion = 95, "INVALID_UPDATE_VERSION", final, "the version to update to is invalid";
    FeatureUpdateFailed = 96, "FEATURE_UPDATE_FAILED", final, "the features were not updated";
    PrincipalDeserializationFailure = 97, "PRINCIPAL_DESERIALIZATION_FAILURE", final, "the principal of a forwarded request is unreadable";
    SnapshotNotFound = 98, "SNAPSHOT_NOT_FOUND", final, "the snapshot does not exist";
    PositionOutOfRange = 99, "POSITION_OUT_OF_RANGE", final, "the position lies outside of the snapshot";
    UnknownTopicId = 100, "UNKNOWN_TOPIC_ID", retriable, "the broker does not host a topic of this id";
    DuplicateBrokerRegistration = 101, "DUPLICATE_BROKER_REGISTRATION", final, "another broker has this id";
    BrokerIdNotRegistered = 102, "BROKER_ID_NOT_REGISTERED", final, "no broker of this id is registered";
    InconsistentTopicId = 103, "INCONSISTENT_TOPIC_ID", retriable, "the topic's log has another id";
    InconsistentClusterId = 104, "INCONSISTENT_CLUSTER_ID", final, "this is another cluster";
    TransactionalIdNotFound = 105, "TRANSACTIONAL_ID_NOT_FOUND", final, "the transactional id does not exist";
    FetchSessionTopicIdError = 106, "FETCH_SESSION_TOPIC_ID_ERROR", retriable, "the fetch session mixes topic names and topic ids";
    IneligibleReplica = 107, "INELIGIBLE_REPLICA", final, "a replica must not be among those in sync";
    NewLeaderElected = 108, "NEW_LEADER_ELECTED", final, "the change was made, but the partition has a new leader";
    OffsetMovedToTieredStorage = 109, "OFFSET_MOVED_TO_TIERED_STORAGE", final, "the offset has moved to tiered storage";
    FencedMemberEpoch = 110, "FENCED_MEMBER_EPOCH", final, "the member's epoch is fenced; it has to join again";
    UnreleasedInstanceId = 111, "UNRELEASED_INSTANCE_ID", final, "the instance id is still taken by another member";
    UnsupportedAssignor = 112, "UNSUPPORTED_ASSIGNOR", final, "the assignor is not supported by the group";
    StaleMemberEpoch = 113, "STALE_MEMBER_EPOCH", final, "the member's epoch is out of date";
    MismatchedEndpointType = 114, "MISMATCHED_ENDPOINT_TYPE", final, "the endpoint is of another type";
    UnsupportedEndpointType = 115, "UNSUPPORTED_ENDPOINT_TYPE", final, "the type of endpoint is not supported";
    UnknownControllerId = 116, "UNKNOWN_CONTROLLER_ID", final, "the controller id is unknown";
    UnknownSubscriptionId = 117, "UNKNOWN_SUBSCRIPTION_ID", final, "the telemetry subscription is unknown or out of date";
    TelemetryTooLarge = 118, "TELEMETRY_TOO_LARGE", final, "the telemetry is larger than the broker takes";
    InvalidRegistration = 119, "INVALID_REGISTRATION", final, "the broker's registration is invalid";
    TransactionAbortable = 120, "TRANSACTION_ABORTABLE", final, "the transaction failed and has to be aborted";
    InvalidRecordState = 121, "INVALID_RECORD_STATE", final, "the record is not in a state that allows this";
    ShareSessionNotFound = 122, "SHARE_SESSION_NOT_FOUND", retriable, "the share session does not exist";
    InvalidShareSessionEpoch = 123, "INVALID_SHARE_SESSION_EPOCH", retriable, "the request is not the next one of its share session";
    FencedStateEpoch = 124, "FENCED_STATE_EPOCH", final, "the state epoch is out of date";
    InvalidVoterKey = 125, "INVALID_VOTER_KEY", final, "the voter's key is another one";
    DuplicateVoter = 126, "DUPLICATE_VOTER", final, "the voter is a voter already";
    VoterNotFound = 127, "VOTER_NOT_FOUND", final, "no such voter exists";
    InvalidRegularExpression = 128, "INVALID_REGULAR_EXPRESSION", final, "the regular expression is invalid";
    RebootstrapRequired = 129, "REBOOTSTRAP_REQUIRED", final, "the client has to start again from its bootstrap servers";
    StreamsInvalidTopology = 130, "STREAMS_INVALID_TOPOLOGY", final, "the topology is invalid";
    StreamsInvalidTopologyEpoch = 131, "STREAMS_INVALID_TOPOLOGY_EPOCH", final, "the epoch of the topology is invalid";
    StreamsTopologyFenced = 132, "STREAMS_TOPOLOGY_FENCED", final, "the topology is out of date";
    ShareSessionLimitReached = 133, "SHARE_SESSION_LIMIT_REACHED", retriable, "the broker has as many share sessions as it may have";
}
