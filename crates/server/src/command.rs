//! The tools of the command line: each a short use of the client, or of the files on disk.

pub mod bench;
pub mod consume;
pub mod group;
pub mod log;
pub mod produce;
pub mod topic;

use crate::arguments::{Brokers, Place};
use crate::failure::Failure;
use std::collections::BTreeMap;
use std::time::Duration;
use taffrail_client::{
    Admin, Client, ClientError, ClientOptions, FoundOffset, OffsetSpec, StartAt, TopicPartitionName,
};
use taffrail_env::Clock;
use taffrail_os::Os;
use taffrail_os::signal::Terminations;

/// Between two tries to find a broker.
const CONNECT_PAUSE: Duration = Duration::from_millis(200);

/// Connects to one of `brokers`, trying again while `patience` lasts.
async fn connect(os: &Os, brokers: &Brokers, patience: Duration) -> Result<Client<Os>, Failure> {
    let until = os.now() + patience;
    loop {
        let connected = connect_once(os, brokers).await;
        match connected {
            Err(ClientError::Network(_)) if os.now() < until => os.sleep(CONNECT_PAUSE).await,
            connected => return connected.map_err(|error| no_broker(brokers, error)),
        }
    }
}

async fn connect_once(os: &Os, brokers: &Brokers) -> Result<Client<Os>, ClientError> {
    let options = ClientOptions {
        client_id: "taffrail-cli".to_owned(),
        ..ClientOptions::default()
    };
    Client::connect(os, &brokers.brokers, options).await
}

/// From now on signals do not end the process, but whoever waits for them.
pub(crate) fn listen(os: &Os) -> Result<Terminations, Failure> {
    os.terminations()
        .map_err(|error| Failure::operation(format!("signals: {error}")))
}

fn no_broker(brokers: &Brokers, error: ClientError) -> Failure {
    match error {
        ClientError::Network(error) => Failure::operation(format!(
            "no broker answers at {}: {}; start one with taffrail serve, or name another with --brokers",
            brokers.brokers.join(","),
            error.system
        )),
        error => error.into(),
    }
}

/// Runs `body` with a client.
fn with_client(
    brokers: &Brokers,
    body: impl AsyncFnOnce(&Os, &Client<Os>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    taffrail_os::run(async |os: Os| {
        let client = connect(&os, brokers, Duration::ZERO).await?;
        body(&os, &client).await
    })
}

/// A place as an offset to ask for; `None` if it is one itself.
fn spec_of(place: Place) -> Option<OffsetSpec> {
    match place {
        Place::Start => Some(OffsetSpec::Earliest),
        Place::End => Some(OffsetSpec::Latest),
        Place::Time(ms) => Some(OffsetSpec::Timestamp(ms)),
        Place::Offset(_) => None,
    }
}

/// A place as a consumer begins there.
fn start_of(place: Place) -> StartAt {
    match place {
        Place::Start => StartAt::Earliest,
        Place::End => StartAt::Latest,
        Place::Time(ms) => StartAt::Timestamp(ms),
        Place::Offset(offset) => StartAt::Offset(offset),
    }
}

/// The same question for many partitions.
async fn offsets_of(
    admin: &Admin<Os>,
    partitions: &[TopicPartitionName],
    spec: OffsetSpec,
) -> Result<BTreeMap<TopicPartitionName, FoundOffset>, ClientError> {
    let wanted = partitions.iter().map(|name| (name.clone(), spec)).collect();
    admin.list_offsets(&wanted).await
}

/// The partitions of a topic, or the one that was asked for.
async fn partitions_of(
    admin: &Admin<Os>,
    topic: &str,
    only: Option<i32>,
) -> Result<Vec<TopicPartitionName>, Failure> {
    let description = admin.describe_topic(topic).await?;
    let count = description.partitions.len();
    let all = description
        .partitions
        .iter()
        .map(|partition| partition.partition);
    let chosen: Vec<TopicPartitionName> = all
        .filter(|partition| only.is_none_or(|only| only == *partition))
        .map(|partition| TopicPartitionName::new(topic, partition))
        .collect();
    match (only, chosen.is_empty()) {
        (Some(only), true) => Err(Failure::operation(format!(
            "topic {topic} has no partition {only}, only 0 to {}",
            count.saturating_sub(1)
        ))),
        _ => Ok(chosen),
    }
}
