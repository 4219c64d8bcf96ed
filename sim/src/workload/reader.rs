//! A reader: follows one partition after the other from drawn places, and tells everything that it is given.

use super::{Phase, Presence, Stage, value};
use crate::env::SimEnv;
use crate::history::{ClientId, Event};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;
use taffrail_client::OffsetSpec;
use taffrail_client::StartAt;
use taffrail_client::{
    Client, ClientOptions, ConsumeError, Consumer, ConsumerOptions, OffsetReset, TopicPartitionName,
};
use taffrail_env::Clock;
use taffrail_record::TopicPartition;

/// How a reader fetches, drawn for each visit of a partition.
fn options(stage: &Stage, id: ClientId) -> ConsumerOptions {
    let decisions = stage.world.decisions();
    let stream = decisions.stream(&format!("reader-{id}/habits"));
    let pick = |n: usize| decisions.below(stream, n as u64) as usize;
    ConsumerOptions {
        offset_reset: OffsetReset::Error,
        fetch_bytes_min: [1, 1, 500, 20_000][pick(4)],
        fetch_wait_max: Duration::from_millis([10, 200, 500][pick(3)]),
        fetch_bytes_max: [200, 5_000, 1 << 20][pick(3)],
        partition_bytes_max: [100, 2_000, 1 << 20][pick(3)],
        poll_records_max: [1, 10, 500][pick(3)],
        ..ConsumerOptions::default()
    }
}

/// Runs until the stage is quiet.
pub async fn run(env: SimEnv, stage: Rc<Stage>, id: ClientId) {
    let _presence = Presence::new(&stage);
    let client = Client::new(
        &env,
        std::slice::from_ref(&stage.broker),
        ClientOptions {
            client_id: format!("reader-{id}"),
            ..ClientOptions::default()
        },
    );
    let decisions = stage.world.decisions();
    let choice = decisions.stream(&format!("reader-{id}/partition"));
    while stage.phase.get() != Phase::Quiet {
        let partition = stage.pick_partition(choice);
        let Some(end) = end_offset(&env, &stage, &client, id, &partition).await else {
            continue;
        };
        // From the beginning, from somewhere in the middle, or from the end on.
        let start = match decisions.below(choice, 4) {
            0 => StartAt::Earliest,
            1 => StartAt::Offset(end),
            _ => StartAt::Offset(stage.pick_offset(choice, end)),
        };
        let visits = 1 + decisions.below(choice, 40);
        follow(&stage, &client, id, &partition, start, visits).await;
    }
}

/// Asks where the partition ends.
async fn end_offset(
    env: &SimEnv,
    stage: &Stage,
    client: &Client<SimEnv>,
    id: ClientId,
    partition: &TopicPartitionName,
) -> Option<i64> {
    let operation = stage.next_operation();
    stage.tell(Event::EndStarted {
        operation,
        client: id,
        partition: stage.identity(partition),
    });
    let wanted = BTreeMap::from([(partition.clone(), OffsetSpec::Latest)]);
    let found = client
        .list_offsets(&wanted, env.now() + Duration::from_secs(5))
        .await;
    let end = found
        .ok()
        .and_then(|found| found.get(partition).and_then(|found| found.offset));
    match end {
        Some(end) => {
            stage.count("ends-asked");
            stage.tell(Event::EndAcked { operation, end });
        }
        None => env.sleep(Duration::from_millis(50)).await,
    }
    end
}

async fn follow(
    stage: &Stage,
    client: &Client<SimEnv>,
    id: ClientId,
    partition: &TopicPartitionName,
    start: StartAt,
    visits: u64,
) {
    let consumer = Consumer::new(client, options(stage, id));
    let identity = stage.identity(partition);
    place(stage, &consumer, id, (partition, identity), start);
    for _ in 0..visits {
        if stage.phase.get() == Phase::Quiet
            || !poll(stage, &consumer, id, (partition, identity)).await
        {
            return;
        }
    }
}

/// Has the consumer read this partition from there on, told.
pub(super) fn place(
    stage: &Stage,
    consumer: &Consumer<SimEnv>,
    id: ClientId,
    (partition, identity): (&TopicPartitionName, TopicPartition),
    start: StartAt,
) {
    let position = match start {
        StartAt::Offset(offset) => Some(offset),
        _ => None,
    };
    stage.tell(Event::Placed {
        client: id,
        partition: identity,
        position,
    });
    consumer.assign(&[(partition.clone(), start)]);
}

/// One poll, told. Whether to go on here.
pub(super) async fn poll(
    stage: &Stage,
    consumer: &Consumer<SimEnv>,
    id: ClientId,
    (partition, identity): (&TopicPartitionName, TopicPartition),
) -> bool {
    const PATIENCE: Duration = Duration::from_millis(700);
    let known = consumer.position(partition);
    let operation = stage.next_operation();
    if let Some(position) = known {
        stage.tell(Event::PollStarted {
            operation,
            client: id,
            partition: identity,
            position,
            fresh: false,
        });
    }
    let answer = consumer.poll(PATIENCE).await;
    let Some(position) = known.or_else(|| first_offset(&answer)) else {
        return answer.is_ok();
    };
    if known.is_none() {
        // It was about to look for its beginning: the first record given is where it found it.
        stage.tell(Event::PollStarted {
            operation,
            client: id,
            partition: identity,
            position,
            fresh: false,
        });
    }
    match answer {
        Ok(records) => {
            stage.count("polls");
            let read = records
                .iter()
                .map(|record| (record.offset, value::as_read(record)))
                .collect();
            let high_watermark = consumer.high_watermark(partition).unwrap_or(-1);
            stage.tell(Event::PollAcked {
                operation,
                records: read,
                high_watermark,
            });
            true
        }
        Err(ConsumeError::OutOfRange { .. }) => {
            stage.count("polls-out-of-range");
            stage.tell(Event::PollOutOfRange { operation });
            false
        }
        Err(error) => {
            object_to_corruption(stage, &error);
            stage.count("polls-failed");
            stage.tell(Event::PollFailed { operation });
            true
        }
    }
}

/// The client looked and saw what the broker should have seen.
pub(super) fn object_to_corruption(stage: &Stage, error: &ConsumeError) {
    if let ConsumeError::Corrupt { .. } = error {
        let witness = format!("a client was given a batch that does not verify: {error}");
        stage.world.fail("NO-SILENT-CORRUPTION", witness);
    }
}

fn first_offset(answer: &Result<Vec<taffrail_client::Fetched>, ConsumeError>) -> Option<i64> {
    answer
        .as_ref()
        .ok()
        .and_then(|records| records.first())
        .map(|record| record.offset)
}
