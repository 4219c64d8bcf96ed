//! What a caller may choose, with the defaults of Kafka's Java client where it has one.
//!
//! Each struct is complete without reading anything else; durations and sizes carry their unit in the type or the name.

use std::time::Duration;
use taffrail_record::Sequence;
pub use taffrail_record::compression::Codec;

/// A duration as the wire has it.
pub(crate) fn millis(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

/// Choices for everything that shares one set of connections.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// Sent with every request; shows in the broker's logs.
    pub client_id: String,
    /// How long one request may take before its connection is given up.
    pub request_timeout: Duration,
    /// How long connecting, the exchange of versions included, may take.
    pub connect_timeout: Duration,
    /// How long metadata, admin and coordinator operations go on trying.
    pub operation_timeout: Duration,
    /// The first wait before connecting again after a failure, and before repeating a refused request.
    pub backoff: Duration,
    /// The longest such wait.
    pub backoff_max: Duration,
    /// Metadata older than this is asked for again.
    pub metadata_age_max: Duration,
    /// Requests on their way on one connection.
    pub in_flight_max: usize,
    /// The largest response that is read, in bytes.
    pub response_bytes_max: usize,
}

impl Default for ClientOptions {
    fn default() -> ClientOptions {
        ClientOptions {
            client_id: "taffrail".to_owned(),
            request_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
            operation_timeout: Duration::from_secs(60),
            backoff: Duration::from_millis(50),
            backoff_max: Duration::from_secs(1),
            metadata_age_max: Duration::from_secs(300),
            in_flight_max: 32,
            response_bytes_max: 128 << 20,
        }
    }
}

/// Who must have a record before its delivery counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acks {
    /// Nobody: the delivery is complete once the bytes were handed to the network.
    None,
    /// The partition's leader.
    Leader,
    /// Everybody the topic's durability counts on.
    All,
}

impl Acks {
    /// The number on the wire.
    pub fn wire(self) -> i16 {
        match self {
            Acks::None => 0,
            Acks::Leader => 1,
            Acks::All => -1,
        }
    }
}

/// Choices for a [`crate::Producer`].
#[derive(Clone, Debug)]
pub struct ProducerOptions {
    pub acks: Acks,
    /// Retries never write a record twice, and keep the order. Needs [`Acks::All`].
    pub idempotence: bool,
    /// The sequence number of an idempotent producer's first record in each partition. After 2^31-1 comes 0: a producer that
    /// begins shortly before shows in a moment what happens to others after years.
    pub first_sequence: Sequence,
    pub codec: Codec,
    /// How long a batch waits for more records.
    pub linger: Duration,
    /// A batch is sent once it has this many bytes. A larger single record makes a batch of its own.
    pub batch_bytes: usize,
    /// The largest request, in bytes; a record that would not fit is refused at once.
    pub request_bytes_max: usize,
    /// Bytes of records that wait or are on their way; `send` waits for room.
    pub memory_bytes_max: usize,
    /// How long `send` waits for metadata and room.
    pub block_max: Duration,
    /// The time from `send` until a record is given up.
    pub delivery_timeout: Duration,
    /// How long the broker may take to collect acknowledgements.
    pub ack_timeout: Duration,
}

impl Default for ProducerOptions {
    fn default() -> ProducerOptions {
        ProducerOptions {
            acks: Acks::All,
            idempotence: true,
            first_sequence: 0,
            codec: Codec::None,
            linger: Duration::from_millis(5),
            batch_bytes: 16 << 10,
            request_bytes_max: 1 << 20,
            memory_bytes_max: 32 << 20,
            block_max: Duration::from_secs(60),
            delivery_timeout: Duration::from_secs(120),
            ack_timeout: Duration::from_secs(30),
        }
    }
}

/// Where to read on when there is no valid position: no committed offset, or one that the log does not hold (any more).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetReset {
    Earliest,
    Latest,
    /// `poll` fails, and says which partition.
    Error,
}

/// How the members of a group share its partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AssignorKind {
    Range,
    RoundRobin,
    /// Moves as few partitions as it can, and only those stop being read meanwhile. Works only if every member has it alone.
    CooperativeSticky,
}

impl AssignorKind {
    /// The name in the group protocol.
    pub fn name(self) -> &'static str {
        match self {
            AssignorKind::Range => "range",
            AssignorKind::RoundRobin => "roundrobin",
            AssignorKind::CooperativeSticky => "cooperative-sticky",
        }
    }
}

/// Choices for a [`crate::Consumer`].
#[derive(Clone, Debug)]
pub struct ConsumerOptions {
    /// The group whose offsets are used, and whose members share partitions after `subscribe`.
    pub group: Option<String>,
    /// A name that lets this member come back within the session timeout without a rebalance.
    pub group_instance_id: Option<String>,
    /// In order of preference.
    pub assignors: Vec<AssignorKind>,
    pub offset_reset: OffsetReset,
    /// The broker answers a fetch once it has this many bytes,
    pub fetch_bytes_min: i32,
    /// or after this time.
    pub fetch_wait_max: Duration,
    /// Bytes of one answer; one batch is always given.
    pub fetch_bytes_max: i32,
    pub partition_bytes_max: i32,
    /// Records that one `poll` gives.
    pub poll_records_max: usize,
    pub session_timeout: Duration,
    pub rebalance_timeout: Duration,
    pub heartbeat_interval: Duration,
    /// Commit the positions of what `poll` has given this often; `None` leaves it to `commit`.
    pub auto_commit_interval: Option<Duration>,
    /// The largest batch after decompression, in bytes.
    pub decompressed_bytes_max: usize,
}

impl Default for ConsumerOptions {
    fn default() -> ConsumerOptions {
        ConsumerOptions {
            group: None,
            group_instance_id: None,
            assignors: vec![AssignorKind::Range, AssignorKind::RoundRobin],
            offset_reset: OffsetReset::Earliest,
            fetch_bytes_min: 1,
            fetch_wait_max: Duration::from_millis(500),
            fetch_bytes_max: 50 << 20,
            partition_bytes_max: 1 << 20,
            poll_records_max: 500,
            session_timeout: Duration::from_secs(45),
            rebalance_timeout: Duration::from_secs(300),
            heartbeat_interval: Duration::from_secs(3),
            auto_commit_interval: None,
            decompressed_bytes_max: 128 << 20,
        }
    }
}
