//! Reading everything back: each partition from its start to its end, by a client that has seen nothing before.

use super::{Stage, value};
use crate::env::SimEnv;
use crate::history::{Event, Written};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;
use taffrail_client::OffsetSpec;
use taffrail_client::StartAt;
use taffrail_client::{
    Client, ClientError, ClientOptions, ConsumeError, Consumer, ConsumerOptions, OffsetReset,
    TopicPartitionName,
};
use taffrail_env::{Clock, Instant};

/// Reads all partitions back within `patience`. What could not be read whole is told as refused, with the reason in the answer.
pub async fn run(
    env: SimEnv,
    stage: Rc<Stage>,
    round: u32,
    patience: Duration,
) -> Vec<(TopicPartitionName, String)> {
    let client = Client::new(
        &env,
        std::slice::from_ref(&stage.broker),
        ClientOptions::default(),
    );
    let until = env.now() + patience;
    let mut refused = Vec::new();
    let resident = stage.resident.borrow().clone();
    let resident =
        resident.map(|resident| (resident.partition, resident.identity, resident.retained));
    let lasting = stage.partitions().into_iter().map(|partition| {
        let identity = stage.identity(&partition);
        (partition, identity, false)
    });
    for (partition, identity, retained) in lasting.chain(resident) {
        match read_settled(&client, &partition, until).await {
            Ok((start, end, records)) => {
                stage.count("read-back");
                if retained {
                    stage.tell(Event::StartMoved {
                        partition: identity,
                        start,
                    });
                }
                stage.tell(Event::ReadBack {
                    round,
                    partition: identity,
                    start,
                    end,
                    records,
                });
            }
            Err(why) => {
                stage.tell(Event::ReadBackRefused {
                    round,
                    partition: identity,
                });
                refused.push((partition, why));
            }
        }
    }
    refused
}

type Whole = (i64, i64, Vec<(i64, Written)>);

/// Reads the partition whole. If its start moves meanwhile, what was read is no whole, and it is read again.
async fn read_settled(
    client: &Client<SimEnv>,
    partition: &TopicPartitionName,
    until: Instant,
) -> Result<Whole, String> {
    let mut start = place(client, partition, OffsetSpec::Earliest, until).await?;
    loop {
        let read = read(client, partition, start, until).await;
        let now = place(client, partition, OffsetSpec::Earliest, until).await?;
        if read.is_ok() || now == start {
            return read;
        }
        start = now;
    }
}

async fn read(
    client: &Client<SimEnv>,
    partition: &TopicPartitionName,
    start: i64,
    until: Instant,
) -> Result<Whole, String> {
    let end = place(client, partition, OffsetSpec::Latest, until).await?;
    let options = ConsumerOptions {
        offset_reset: OffsetReset::Error,
        ..ConsumerOptions::default()
    };
    let consumer = Consumer::new(client, options);
    consumer.assign(&[(partition.clone(), StartAt::Offset(start))]);
    let mut records = Vec::new();
    let mut last_error = String::new();
    while consumer.position(partition).unwrap_or(start) < end {
        if client.env().now() >= until {
            let position = consumer.position(partition).unwrap_or(start);
            return Err(format!(
                "stuck at {position} of {start}..{end}: {last_error}"
            ));
        }
        match consumer.poll(Duration::from_secs(1)).await {
            Ok(read) => records.extend(
                read.iter()
                    .map(|record| (record.offset, value::as_read(record))),
            ),
            Err(error @ (ConsumeError::OutOfRange { .. } | ConsumeError::Corrupt { .. })) => {
                return Err(error.to_string());
            }
            Err(error) => last_error = error.to_string(),
        }
    }
    records.retain(|(offset, _)| *offset < end);
    Ok((start, end, records))
}

async fn place(
    client: &Client<SimEnv>,
    partition: &TopicPartitionName,
    spec: OffsetSpec,
    until: Instant,
) -> Result<i64, String> {
    let wanted = BTreeMap::from([(partition.clone(), spec)]);
    let found = client
        .list_offsets(&wanted, until)
        .await
        .map_err(|error: ClientError| error.to_string())?;
    found
        .get(partition)
        .and_then(|found| found.offset)
        .ok_or_else(|| "no offset answered".to_owned())
}
