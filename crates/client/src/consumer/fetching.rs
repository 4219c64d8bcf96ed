//! Finding positions and carrying fetches: one task a request, one fetch a broker at a time.

use super::Shared;
use super::fetcher::{FetchFrom, StartAt};
use super::hindrance::Work;
use crate::client::Target;
use crate::errors::{ClientError, ConsumeError};
use crate::group::coordinator::may_pass;
use crate::metadata::NodeId;
use crate::offsets::OffsetSpec;
use crate::options::millis;
use crate::records::TopicPartitionName;
use std::collections::BTreeMap;
use std::rc::Rc;
use taffrail_env::Env;
use taffrail_record::Offset;
use taffrail_wire::ErrorCode;
use taffrail_wire::api::ApiKey;
use taffrail_wire::fetch::{FetchPartition, FetchRequest, FetchTopic, PartitionData};

/// From this version on topics are named by id.
const BY_ID_FROM: i16 = 13;
const NO_ID: [u8; 16] = [0; 16];

/// Starts whatever can be started now.
pub(super) fn start<E: Env>(shared: &Rc<Shared<E>>) {
    let client = &shared.client;
    let now = client.env().now();
    if !shared.fetcher.borrow().unplaced(now).is_empty() && !shared.placing.replace(true) {
        client.env().spawn(place(shared.clone()));
    }
    if let Err(failure) = check_topic_ids(shared) {
        shared.fail(failure);
        return;
    }
    let buffered_max = usize::try_from(shared.options.partition_bytes_max).unwrap_or(usize::MAX);
    let ready = shared.fetcher.borrow().to_fetch(now, buffered_max);
    let mut nodes: BTreeMap<NodeId, Vec<FetchFrom>> = BTreeMap::new();
    for fetch in ready {
        let name = &fetch.partition;
        match client.with_metadata(|metadata| metadata.leader(&name.topic, name.partition)) {
            Some(node) => nodes.entry(node).or_default().push(fetch),
            None => {
                shared.failed(Work::Fetching(name.clone()), no_leader(shared, name));
                client.refresh_soon(&name.topic, false);
            }
        }
    }
    for (node, fetches) in nodes {
        if !shared.fetching.borrow_mut().insert(node) {
            continue;
        }
        for fetch in &fetches {
            shared.fetcher.borrow_mut().sent(fetch);
        }
        client.env().spawn(fetch(shared.clone(), node, fetches));
    }
}

fn no_leader<E: Env>(shared: &Shared<E>, name: &TopicPartitionName) -> String {
    let error = shared.client.with_metadata(|metadata| {
        metadata
            .topic(&name.topic)
            .map_or(ErrorCode::None, |topic| topic.error)
    });
    match error {
        ErrorCode::None => format!("{name} has no leader"),
        code => format!("topic {}: {}", name.topic, code.message()),
    }
}

fn check_topic_ids<E: Env>(shared: &Shared<E>) -> Result<(), ConsumeError> {
    let partitions = shared.fetcher.borrow().partitions();
    for name in partitions {
        let id = shared
            .client
            .with_metadata(|metadata| metadata.topic(&name.topic).map(|topic| topic.id));
        if let Some(id) = id {
            let reset = shared.options.offset_reset;
            shared
                .fetcher
                .borrow_mut()
                .check_topic_id(&name, id, reset)?;
        }
    }
    Ok(())
}

/// Finds the positions of all that have none.
async fn place<E: Env>(shared: Rc<Shared<E>>) {
    let now = shared.client.env().now();
    let unplaced = shared.fetcher.borrow().unplaced(now);
    let result = place_all(&shared, &unplaced).await;
    shared.placing.set(false);
    match result {
        Ok(()) => shared.went_well(&Work::Placing),
        Err(ConsumeError::Client(error)) if may_pass(&error) => {
            shared.failed(Work::Placing, &error);
            let random = shared.client.env().random_u64("client backoff");
            let later = shared.client.env().now() + shared.client.backoff().wait(5, random);
            let mut fetcher = shared.fetcher.borrow_mut();
            for (name, _, asked) in &unplaced {
                fetcher.wait(name, *asked, later);
            }
        }
        Err(error) => shared.fail(error),
    }
    shared.arrived.notify();
}

async fn place_all<E: Env>(
    shared: &Shared<E>,
    unplaced: &[(TopicPartitionName, StartAt, u64)],
) -> Result<(), ConsumeError> {
    let until = shared.client.env().now() + shared.client.options().request_timeout;
    let mut wanted = BTreeMap::new();
    let mut of_group = Vec::new();
    for (name, start, _) in unplaced {
        let spec = match start {
            StartAt::Offset(_) => continue,
            StartAt::Earliest => OffsetSpec::Earliest,
            StartAt::Latest => OffsetSpec::Latest,
            StartAt::Timestamp(ms) => OffsetSpec::Timestamp(*ms),
            StartAt::Committed => {
                of_group.push(name.clone());
                continue;
            }
        };
        wanted.insert(name.clone(), spec);
    }
    let mut offsets: BTreeMap<TopicPartitionName, Offset> = BTreeMap::new();
    if !of_group.is_empty() {
        let coordinator = shared.coordinator();
        offsets = coordinator.committed(Some(&of_group), until).await?;
    }
    let found = shared.client.list_offsets(&wanted, until).await?;
    let late: BTreeMap<_, _> = found
        .iter()
        .filter(|(_, found)| found.offset.is_none())
        .map(|(name, _)| (name.clone(), OffsetSpec::Latest))
        .collect();
    for found in [found, shared.client.list_offsets(&late, until).await?] {
        let placed = found
            .into_iter()
            .filter_map(|(name, found)| Some((name, found.offset?)));
        offsets.extend(placed);
    }
    let mut fetcher = shared.fetcher.borrow_mut();
    for (name, start, asked) in unplaced {
        match offsets.get(name) {
            Some(offset) => fetcher.place(name, *asked, *offset),
            None if *start == StartAt::Committed => {
                fetcher.no_commit(name, *asked, shared.options.offset_reset)?;
            }
            None => {}
        }
    }
    Ok(())
}

/// One fetch from one broker.
async fn fetch<E: Env>(shared: Rc<Shared<E>>, node: NodeId, fetches: Vec<FetchFrom>) {
    let result = exchange(&shared, node, &fetches).await;
    shared.fetching.borrow_mut().remove(&node);
    if let Err(error) = result {
        if !may_pass(&error) && error != ClientError::Closed {
            shared.fail(error.clone().into());
        }
        for fetch in &fetches {
            shared.failed(Work::Fetching(fetch.partition.clone()), &error);
            shared.try_later(fetch, true);
        }
    }
    shared.arrived.notify();
}

impl<E: Env> Shared<E> {
    /// Fetches this partition again after a wait, perhaps from another broker.
    fn try_later(&self, fetch: &FetchFrom, refresh: bool) {
        if refresh {
            self.client.refresh_soon(&fetch.partition.topic, false);
        }
        let random = self.client.env().random_u64("client backoff");
        let later = self.client.env().now() + self.client.backoff().wait(2, random);
        let mut fetcher = self.fetcher.borrow_mut();
        fetcher.wait(&fetch.partition, fetch.asked, later);
    }
}

async fn exchange<E: Env>(
    shared: &Shared<E>,
    node: NodeId,
    fetches: &[FetchFrom],
) -> Result<(), ClientError> {
    let client = &shared.client;
    let wait_max = shared.options.fetch_wait_max;
    let until = client.env().now() + client.options().request_timeout + wait_max;
    let link = client
        .link(Target::Node(node), shared.fetch_lane, until)
        .await?;
    let known: Vec<([u8; 16], i32)> = client.with_metadata(|metadata| {
        let of = |fetch: &FetchFrom| {
            let topic = metadata.topic(&fetch.partition.topic)?;
            let partition = topic.partitions.get(&fetch.partition.partition)?;
            Some((topic.id, partition.leader_epoch))
        };
        fetches
            .iter()
            .map(|fetch| of(fetch).unwrap_or((NO_ID, -1)))
            .collect()
    });
    let at_most = match known.iter().any(|(id, _)| *id == NO_ID) {
        true => BY_ID_FROM - 1,
        false => i16::MAX,
    };
    let version = link.version(ApiKey::Fetch, at_most)?;
    let request = request(shared, fetches, &known);
    let reply = link.call(&request, version, until).await?;
    let response = reply.read::<FetchRequest<'_>>()?;
    ClientError::check(response.error_code, None, "fetch")?;
    for (fetch, (id, _)) in fetches.iter().zip(&known) {
        let topic = response.responses.iter().find(|topic| match version {
            BY_ID_FROM.. => topic.topic_id == *id,
            _ => topic.topic == fetch.partition.topic,
        });
        let index = fetch.partition.partition;
        let partition = topic.and_then(|topic| {
            let mut partitions = topic.partitions.iter();
            partitions.find(|partition| partition.partition_index == index)
        });
        match partition {
            Some(partition) => shared.on_partition(fetch, partition),
            None => shared.try_later(fetch, false),
        }
    }
    Ok(())
}

fn request<'a, E: Env>(
    shared: &'a Shared<E>,
    fetches: &'a [FetchFrom],
    known: &[([u8; 16], i32)],
) -> FetchRequest<'a> {
    let options = &shared.options;
    let mut topics: Vec<FetchTopic<'a>> = Vec::new();
    // In the order given: the broker fills its answer from the front.
    for (fetch, (id, leader_epoch)) in fetches.iter().zip(known) {
        let partition = FetchPartition {
            partition: fetch.partition.partition,
            current_leader_epoch: *leader_epoch,
            fetch_offset: fetch.offset,
            partition_max_bytes: options.partition_bytes_max,
            ..FetchPartition::default()
        };
        let name = fetch.partition.topic.as_str();
        match topics.iter_mut().find(|topic| topic.topic == name) {
            Some(topic) => topic.partitions.push(partition),
            None => topics.push(FetchTopic {
                topic: name,
                topic_id: *id,
                partitions: vec![partition],
            }),
        }
    }
    FetchRequest {
        max_wait_ms: millis(options.fetch_wait_max),
        min_bytes: options.fetch_bytes_min,
        max_bytes: options.fetch_bytes_max,
        topics,
        ..FetchRequest::default()
    }
}

impl<E: Env> Shared<E> {
    fn on_partition(&self, fetch: &FetchFrom, partition: &PartitionData) {
        let code = ErrorCode::from(partition.error_code);
        let result = match code {
            ErrorCode::None => {
                self.went_well(&Work::Fetching(fetch.partition.clone()));
                let records = partition.records.clone().unwrap_or_default().into_bytes();
                let mut fetcher = self.fetcher.borrow_mut();
                fetcher.on_fetched(fetch, &records, partition.high_watermark)
            }
            ErrorCode::OffsetOutOfRange => {
                let reset = self.options.offset_reset;
                self.fetcher.borrow_mut().on_out_of_range(fetch, reset)
            }
            // Damage at rest does not go away by asking again: it is told. Whoever polls on will ask again all the same.
            ErrorCode::CorruptMessage => {
                self.try_later(fetch, false);
                Err(ConsumeError::Unreadable {
                    topic: fetch.partition.topic.clone(),
                    partition: fetch.partition.partition,
                    offset: fetch.offset,
                })
            }
            code if code.is_retriable() || asks_for_metadata(code) => {
                let why = format!("{}: {}", fetch.partition, code.message());
                self.failed(Work::Fetching(fetch.partition.clone()), why);
                self.try_later(fetch, asks_for_metadata(code));
                Ok(())
            }
            code => {
                self.try_later(fetch, false);
                let subject = fetch.partition.to_string();
                Err(ConsumeError::Client(ClientError::Refused {
                    code,
                    message: None,
                    subject,
                }))
            }
        };
        if let Err(failure) = result {
            self.fail(failure);
        }
    }
}

fn asks_for_metadata(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::NotLeaderOrFollower
            | ErrorCode::UnknownTopicOrPartition
            | ErrorCode::UnknownTopicId
            | ErrorCode::InconsistentTopicId
            | ErrorCode::LeaderNotAvailable
            | ErrorCode::KafkaStorageError
            | ErrorCode::FencedLeaderEpoch
            | ErrorCode::UnknownLeaderEpoch
            | ErrorCode::ReplicaNotAvailable
    )
}
