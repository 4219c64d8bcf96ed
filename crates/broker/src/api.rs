//! What clients can ask for: one file per API.
//!
//! A handler gets a [`Call`], with the node and the facts of the connection, and the decoded request; it answers in the
//! request's version. Wire structures and error codes stop here. Decoding borrows from the frame, so nothing of a request
//! outlives its handler but what the handler took over on purpose.

mod alter_configs;
mod api_versions;
mod create_partitions;
mod create_topics;
mod delete_groups;
mod delete_records;
mod delete_topics;
mod describe_cluster;
mod describe_configs;
mod describe_groups;
mod describe_log_dirs;
mod describe_producers;
mod describe_topic_partitions;
mod fetch;
mod find_coordinator;
mod groups;
mod heartbeat;
mod init_producer_id;
mod join_group;
mod leave_group;
mod list_groups;
mod list_offsets;
mod metadata;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod offset_for_leader_epoch;
mod produce;
mod sync_group;

use std::cell::{Cell, RefCell};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::rc::{Rc, Weak};

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, ready};
use taffrail_env::Env;
use taffrail_wire::api::{self, ApiKey};
use taffrail_wire::header::RequestHeader;
use taffrail_wire::{DecodeError, Decoder, ErrorCode, Message, frame};

use crate::broker::Broker;
use crate::budget::Reservation;

/// Where a request came from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    pub address: SocketAddr,
    /// This node's end of the connection.
    pub local: SocketAddr,
}

/// One request, as its handler sees it.
pub(crate) struct Call<E: Env> {
    pub broker: Rc<Broker<E>>,
    pub version: i16,
    pub correlation_id: i32,
    pub client_id: Option<String>,
    pub peer: Peer,
    pub memory: RequestMemory,
}

/// What is reserved for a request that is under way.
#[derive(Clone)]
pub(crate) struct RequestMemory(Rc<Memory>);

struct Memory {
    reservation: Cell<Option<Reservation>>,
    /// Where it went, once the request is answered before all of it is done.
    left: RefCell<Weak<Reservation>>,
}

impl RequestMemory {
    pub fn new(reservation: Reservation) -> RequestMemory {
        RequestMemory(Rc::new(Memory {
            reservation: Cell::new(Some(reservation)),
            left: RefCell::default(),
        }))
    }

    /// For what goes on after the answer: what the request brought stays in memory, and reserved, until all who ask for this have dropped it. To
    /// be asked for before the first of them may have.
    pub fn outlive(&self) -> Option<Rc<Reservation>> {
        let mut left = self.0.left.borrow_mut();
        left.upgrade().or_else(|| {
            let reservation = Rc::new(self.take()?);
            *left = Rc::downgrade(&reservation);
            Some(reservation)
        })
    }

    /// For a request that was taken apart and now waits for others: their memory must not be wanted for that of this one.
    pub fn release(&self) {
        drop(self.take());
    }

    /// What is still reserved, if anything.
    pub fn take(&self) -> Option<Reservation> {
        self.0.reservation.take()
    }
}

/// What becomes of a request.
#[derive(Debug)]
pub(crate) enum Answer {
    /// To be written, with the memory that is held until then.
    Frame {
        chunks: Vec<Bytes>,
        held: Vec<Reservation>,
    },
    /// The request wants no answer.
    Nothing,
    /// The connection is to be closed, and why.
    Close(String),
}

impl Answer {
    /// Holds memory until the answer is written.
    pub fn holding(mut self, reservation: Option<Reservation>) -> Answer {
        if let Answer::Frame { held, .. } = &mut self {
            held.extend(reservation);
        }
        self
    }
}

impl<E: Env> Call<E> {
    /// The response as a frame, in the version of the request.
    pub fn answer<'r, M: Message<'r>>(&self, response: &M) -> Answer {
        self.answer_in(response, self.version)
    }

    /// The response as a frame, in another version than the request's.
    pub fn answer_in<'r, M: Message<'r>>(&self, response: &M, version: i16) -> Answer {
        match frame::response(response, version, self.correlation_id) {
            Ok(chunks) => Answer::Frame {
                chunks,
                held: Vec::new(),
            },
            Err(error) => {
                let name = M::KEY.info().name;
                tracing::error!("response of {name} version {version} not encoded: {error}");
                Answer::Close(format!("the response of {name} could not be encoded"))
            }
        }
    }

    /// The client's name for itself; empty if it has none.
    pub fn client_id(&self) -> &str {
        self.client_id.as_deref().unwrap_or_default()
    }
}

/// The front of a request.
#[derive(Debug)]
pub(crate) struct Header {
    pub key: ApiKey,
    pub version: i16,
    pub correlation_id: i32,
    pub client_id: Option<String>,
    /// Where the request itself begins.
    pub body_at: usize,
}

/// Reads what stands in front of a request. A version that is not supported passes for ApiVersions alone, whose answer
/// then says so.
pub(crate) fn read_header(frame: &BytesMut) -> Result<Header, String> {
    let number = |at: usize| i16::from_be_bytes([frame[at], frame[at + 1]]);
    let (key, version) = (number(0), number(2));
    let Some(info) = api::lookup(key) else {
        return Err(format!("a request of the unknown API {key}"));
    };
    if !info.supports(version) {
        if info.key == ApiKey::ApiVersions {
            return Ok(Header {
                key: info.key,
                version,
                correlation_id: i32::from_be_bytes([frame[4], frame[5], frame[6], frame[7]]),
                client_id: None,
                body_at: frame.len(),
            });
        }
        return Err(format!(
            "a request of {} version {version}, where {} to {} are supported",
            info.name, info.min, info.max
        ));
    }
    // Only the header is looked at, and it is short: its copy is cheaper than sharing the frame.
    let front = Bytes::copy_from_slice(&frame[..frame.len().min(HEADER_MAX)]);
    let mut decoder = Decoder::new(&front);
    let header = RequestHeader::decode(&mut decoder)
        .map_err(|error| format!("a malformed request header: {error}"))?;
    Ok(Header {
        key: info.key,
        version,
        correlation_id: header.correlation_id,
        client_id: header.client_id.map(str::to_string),
        body_at: front.len() - decoder.remaining(),
    })
}

/// Longer than any header: a client id of 32 KiB and its surroundings.
const HEADER_MAX: usize = 33 << 10;

/// Memory for the lists in a Produce request, however large its batches make it: some ten thousand partitions.
const PRODUCE_LISTS_MAX: usize = 2 << 20;

/// The decoded body of a request.
pub(super) fn decode<'f, R: Message<'f>>(
    frame: &'f Bytes,
    body_at: usize,
    version: i16,
) -> Result<R, DecodeError> {
    let mut decoder = Decoder::new(frame);
    if R::KEY == ApiKey::Produce {
        decoder = decoder.heap_at_most(PRODUCE_LISTS_MAX);
    }
    decoder.take(body_at)?;
    R::decode(&mut decoder, version)
}

fn malformed(key: ApiKey, version: i16, error: &DecodeError) -> Answer {
    let name = key.info().name;
    Answer::Close(format!("a malformed {name} version {version}: {error}"))
}

/// Starts a request. What has to happen in the order of the connection's requests has happened when this returns; what
/// comes back is ready when the answer is.
pub(crate) async fn start<E: Env>(
    call: Call<E>,
    key: ApiKey,
    frame: BytesMut,
    body_at: usize,
) -> LocalBoxFuture<'static, Answer> {
    tracing::trace!(
        api = key.info().name,
        version = call.version,
        client = call.client_id(),
        peer = %call.peer.address,
        "request"
    );
    if key == ApiKey::Produce {
        return produce::start(call, frame, body_at).await;
    }
    if !key.info().supports(call.version) {
        return ready(api_versions::unsupported(&call)).boxed_local();
    }
    serve(call, key, frame.freeze(), body_at).boxed_local()
}

/// Decodes a request and has its handler answer it.
async fn serve<E: Env>(call: Call<E>, key: ApiKey, frame: Bytes, body_at: usize) -> Answer {
    macro_rules! handle {
        ($Request:ident, $($handler:tt)*) => {
            match decode::<taffrail_wire::$Request>(&frame, body_at, call.version) {
                Ok(request) => $($handler)*(&call, request).await,
                Err(error) => malformed(key, call.version, &error),
            }
        };
    }
    // Of a request that waits for others only what is needed is kept.
    macro_rules! take {
        ($take:expr, $($handler:tt)*) => {{
            let request = decode(&frame, body_at, call.version).map($take);
            drop(frame);
            match request {
                Ok(request) => $($handler)*(&call, request).await,
                Err(error) => malformed(key, call.version, &error),
            }
        }};
    }
    match key {
        ApiKey::AlterConfigs => handle!(AlterConfigsRequest, alter_configs::handle),
        ApiKey::ApiVersions => handle!(ApiVersionsRequest, api_versions::handle),
        ApiKey::CreatePartitions => handle!(CreatePartitionsRequest, create_partitions::handle),
        ApiKey::CreateTopics => handle!(CreateTopicsRequest, create_topics::handle),
        ApiKey::DeleteGroups => handle!(DeleteGroupsRequest, delete_groups::handle),
        ApiKey::DeleteRecords => handle!(DeleteRecordsRequest, delete_records::handle),
        ApiKey::DeleteTopics => handle!(DeleteTopicsRequest, delete_topics::handle),
        ApiKey::DescribeCluster => handle!(DescribeClusterRequest, describe_cluster::handle),
        ApiKey::DescribeConfigs => handle!(DescribeConfigsRequest, describe_configs::handle),
        ApiKey::DescribeGroups => handle!(DescribeGroupsRequest, describe_groups::handle),
        ApiKey::DescribeLogDirs => handle!(DescribeLogDirsRequest, describe_log_dirs::handle),
        ApiKey::DescribeProducers => handle!(DescribeProducersRequest, describe_producers::handle),
        ApiKey::DescribeTopicPartitions => {
            handle!(
                DescribeTopicPartitionsRequest,
                describe_topic_partitions::handle
            )
        }
        ApiKey::Fetch => handle!(FetchRequest, fetch::handle),
        ApiKey::FindCoordinator => handle!(FindCoordinatorRequest, find_coordinator::handle),
        ApiKey::Heartbeat => handle!(HeartbeatRequest, heartbeat::handle),
        ApiKey::IncrementalAlterConfigs => {
            handle!(
                IncrementalAlterConfigsRequest,
                alter_configs::handle_incremental
            )
        }
        ApiKey::InitProducerId => handle!(InitProducerIdRequest, init_producer_id::handle),
        ApiKey::JoinGroup => take!(
            |request| join_group::take(&call, request),
            join_group::handle
        ),
        ApiKey::LeaveGroup => handle!(LeaveGroupRequest, leave_group::handle),
        ApiKey::ListGroups => handle!(ListGroupsRequest, list_groups::handle),
        ApiKey::ListOffsets => handle!(ListOffsetsRequest, list_offsets::handle),
        ApiKey::Metadata => handle!(MetadataRequest, metadata::handle),
        ApiKey::OffsetCommit => handle!(OffsetCommitRequest, offset_commit::handle),
        ApiKey::OffsetDelete => handle!(OffsetDeleteRequest, offset_delete::handle),
        ApiKey::OffsetFetch => handle!(OffsetFetchRequest, offset_fetch::handle),
        ApiKey::OffsetForLeaderEpoch => {
            handle!(OffsetForLeaderEpochRequest, offset_for_leader_epoch::handle)
        }
        ApiKey::SyncGroup => take!(sync_group::take, sync_group::handle),
        // Started before it is decoded, because it has to take its place in the order.
        ApiKey::Produce => Answer::Close("a Produce request out of its order".to_string()),
    }
}

/// What a request has for partitions, by topic, in the order in which each is there first. Of what it has for one partition the last counts,
/// as in Kafka.
pub(super) fn by_topic<K: Ord + Clone, V>(
    items: impl Iterator<Item = (K, i32, V)>,
) -> Vec<(K, Vec<(i32, V)>)> {
    let mut topics: Vec<(K, Vec<(i32, V)>)> = Vec::new();
    let mut places = BTreeMap::new();
    let mut places_within = BTreeMap::new();
    for (topic, partition, value) in items {
        let place = *places.entry(topic.clone()).or_insert_with(|| {
            topics.push((topic, Vec::new()));
            topics.len() - 1
        });
        let of_topic = &mut topics[place].1;
        match places_within.entry((place, partition)) {
            Entry::Vacant(vacant) => {
                vacant.insert(of_topic.len());
                of_topic.push((partition, value));
            }
            Entry::Occupied(there) => of_topic[*there.get()].1 = value,
        }
    }
    topics
}

/// What a request asks for, each topic once and each of its partitions once, in the order in which each is there first.
pub(super) fn distinct<'p, K: Ord + Copy>(
    topics: impl Iterator<Item = (K, &'p [i32])>,
) -> Vec<(K, Vec<i32>)> {
    let mut merged: Vec<(K, Vec<i32>)> = Vec::new();
    let mut places = BTreeMap::new();
    for (topic, partitions) in topics {
        let place = *places.entry(topic).or_insert_with(|| {
            merged.push((topic, Vec::new()));
            merged.len() - 1
        });
        merged[place].1.extend_from_slice(partitions);
    }
    for (_, partitions) in &mut merged {
        let mut seen = BTreeSet::new();
        partitions.retain(|partition| seen.insert(*partition));
    }
    merged
}

/// The most that an answer says of an error, in bytes.
const ERROR_TEXT_MAX: usize = 1024;

/// What is said of an error, cut if it is long: it may repeat what a request says, and with an answer that has no encoding the
/// client would learn nothing of the rest of its request either.
pub(super) fn brief(mut text: String) -> String {
    const CUT: &str = "...";
    if text.len() > ERROR_TEXT_MAX {
        let mut ends = (0..=ERROR_TEXT_MAX - CUT.len()).rev();
        let end = ends.find(|end| text.is_char_boundary(*end));
        text.truncate(end.unwrap_or(0));
        text.push_str(CUT);
    }
    text
}

/// The same of an error with its code.
pub(super) fn in_brief((error, text): (ErrorCode, String)) -> (ErrorCode, String) {
    (error, brief(text))
}

/// An error as the wire has it.
pub(super) fn code(error: ErrorCode) -> i16 {
    error as i16
}

/// The operations that may be done with a topic, as a bit field: all that Kafka has for topics, since nobody is refused.
pub(super) const TOPIC_OPERATIONS: i32 = operations(&[3, 4, 5, 6, 7, 8, 10, 11]);
/// The same for the cluster.
pub(super) const CLUSTER_OPERATIONS: i32 = operations(&[5, 7, 8, 9, 10, 11, 12]);
/// What stands for operations that were not asked for.
pub(super) const NO_OPERATIONS: i32 = i32::MIN;

const fn operations(codes: &[u32]) -> i32 {
    let (mut bits, mut next) = (0, 0);
    while next < codes.len() {
        bits |= 1 << codes[next];
        next += 1;
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::{ERROR_TEXT_MAX, RequestMemory, brief, distinct};
    use crate::budget::Budget;

    #[test]
    fn what_a_request_leaves_behind_stays_reserved_until_the_last_of_it_is_done() {
        let pool = Budget::new(64 << 20).small_requests;
        let memory = RequestMemory::new(pool.reserve_now(1_000).expect("there is room"));
        let (first, second) = (memory.outlive(), memory.outlive());
        // The answer is written: what is held for it goes.
        drop(memory.take());
        drop(memory);
        assert_eq!(pool.used(), 1_000);
        drop(first);
        assert_eq!(pool.used(), 1_000);
        drop(second);
        assert_eq!(pool.used(), 0);
    }

    #[test]
    fn long_texts_are_cut_between_two_characters() {
        let whole = "x".repeat(ERROR_TEXT_MAX);
        assert_eq!(brief(whole.clone()), whole);
        let cut = brief(whole + "x");
        assert_eq!((cut.len(), cut.ends_with("x...")), (ERROR_TEXT_MAX, true));
        for begin in ["", "x", "xx", "xxx"] {
            let cut = brief(format!("{begin}{}", "😀".repeat(10_000)));
            assert!(cut.ends_with("😀..."), "{cut}");
            assert!((ERROR_TEXT_MAX - 3..=ERROR_TEXT_MAX).contains(&cut.len()));
        }
    }

    #[test]
    fn topics_and_partitions_are_asked_for_once_each_in_their_order() {
        let topics: [(&str, &[i32]); 4] = [
            ("b", &[3, 1, 3]),
            ("a", &[]),
            ("b", &[1, 2]),
            ("a", &[0, 0]),
        ];
        let expected = vec![("b", vec![3, 1, 2]), ("a", vec![0])];
        assert_eq!(distinct(topics.into_iter()), expected);
    }
}
