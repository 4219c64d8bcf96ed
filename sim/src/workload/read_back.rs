//! Reading everything back: each partition from its start to its end, by a client that has seen nothing before.

use super::{Stage, value};
use crate::env::SimEnv;
use crate::history::{ClientId, Event, Written};
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
use taffrail_record::{Offset, TopicPartition};

/// Reads all partitions back within `patience`, but for damaged places that refuse. Answers the partitions that could
/// not be read for another reason.
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
    let id = env.node_id().0;
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
        let refusable = tell_damage(&stage, identity);
        let place = (&partition, identity);
        match read_settled(&stage, (id, &client), place, &refusable, until).await {
            Ok(Whole {
                start,
                end,
                records,
                missing,
            }) => {
                stage.count("read-back");
                if retained {
                    stage.tell(Event::StartMoved {
                        partition: identity,
                        start,
                    });
                }
                for (from, to) in missing {
                    stage.count("read-back-refused");
                    stage.tell(Event::ReadBackRefused {
                        round,
                        partition: identity,
                        from,
                        to,
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
            Err(Stuck { at, why }) => {
                stage.tell(Event::ReadBackRefused {
                    round,
                    partition: identity,
                    from: at,
                    to: Offset::MAX,
                });
                refused.push((partition, why));
            }
        }
    }
    refused
}

/// Tells which records may be refused, as spans, and answers them.
fn tell_damage(stage: &Stage, partition: TopicPartition) -> Vec<(Offset, Offset)> {
    let refusable = stage.refusable(partition);
    for (from, to) in &refusable {
        stage.tell(Event::DamageAllowed {
            node: stage.atlas.node.number(),
            partition,
            from: *from,
            to: *to,
        });
    }
    refusable
}

/// A partition from its start to its end.
struct Whole {
    start: Offset,
    end: Offset,
    records: Vec<(Offset, Written)>,
    /// Spans that were refused.
    missing: Vec<(Offset, Offset)>,
}

/// Why reading did not come to the end, and where.
struct Stuck {
    at: Offset,
    why: String,
}

/// Reads the partition whole. If its start moves meanwhile, what was read is no whole, and it is read again.
async fn read_settled(
    stage: &Stage,
    (id, client): (ClientId, &Client<SimEnv>),
    (partition, identity): (&TopicPartitionName, TopicPartition),
    refusable: &[(Offset, Offset)],
    until: Instant,
) -> Result<Whole, Stuck> {
    let mut start = place(client, partition, OffsetSpec::Earliest, until).await?;
    loop {
        let read = read(stage, client, partition, refusable, (start, until)).await;
        let operation = stage.next_operation();
        stage.tell(Event::EarliestStarted {
            operation,
            client: id,
            partition: identity,
        });
        let now = place(client, partition, OffsetSpec::Earliest, until).await?;
        stage.tell(Event::EarliestAcked {
            operation,
            start: now,
        });
        if now == start {
            return read;
        }
        start = now;
    }
}

fn options(stage: &Stage) -> ConsumerOptions {
    let decisions = stage.world.decisions();
    let narrow = decisions.below(decisions.stream("read-back/narrow"), 6) == 0;
    let mut options = ConsumerOptions {
        offset_reset: OffsetReset::Error,
        ..ConsumerOptions::default()
    };
    if narrow {
        // Less than any batch has: it is given all the same, one at a time.
        (options.fetch_bytes_max, options.partition_bytes_max) = (1, 1);
    }
    options
}

async fn read(
    stage: &Stage,
    client: &Client<SimEnv>,
    partition: &TopicPartitionName,
    refusable: &[(Offset, Offset)],
    (start, until): (Offset, Instant),
) -> Result<Whole, Stuck> {
    /// Polls without a record before a damaged place counts as refused.
    const TRIES: u32 = 3;
    let end = place(client, partition, OffsetSpec::Latest, until).await?;
    let consumer = Consumer::new(client, options(stage));
    consumer.assign(&[(partition.clone(), StartAt::Offset(start))]);
    let mut whole = Whole {
        start,
        end,
        records: Vec::new(),
        missing: Vec::new(),
    };
    let mut last_error = String::new();
    let (mut at, mut fruitless, mut step) = (start, 0, 1);
    while at < end {
        if client.env().now() >= until {
            let why = format!("stuck at {at} of {start}..{end}: {last_error}");
            return Err(Stuck { at, why });
        }
        let patience = Duration::from_millis(if refusable.is_empty() { 1000 } else { 200 });
        match consumer.poll(patience).await {
            Ok(read) if !read.is_empty() => {
                let read = read
                    .iter()
                    .map(|record| (record.offset, value::as_read(record)));
                whole.records.extend(read);
                at = whole.records.last().map_or(at, |(offset, _)| offset + 1);
                (fruitless, step) = (0, 1);
                continue;
            }
            Ok(_) => {
                // That nothing came is no refusal: somebody has to have said why.
                let Some((_, why)) = consumer.hindered() else {
                    continue;
                };
                last_error = why;
            }
            // The client looked and saw; a broker that looks itself says that it cannot read.
            Err(error @ ConsumeError::Corrupt { .. }) => {
                let witness = format!("a client was given a batch that does not verify: {error}");
                stage.world.fail("NO-SILENT-CORRUPTION", witness.clone());
                return Err(Stuck { at, why: witness });
            }
            Err(error @ ConsumeError::OutOfRange { .. }) => {
                let why = error.to_string();
                return Err(Stuck { at, why });
            }
            Err(error) => last_error = error.to_string(),
        }
        fruitless += 1;
        let damaged = refusable.iter().find(|(from, to)| *from <= at && at < *to);
        if let Some((_, to)) = damaged
            && fruitless >= TRIES
        {
            // Over the damage in growing steps, so that little that is sound is left out.
            let next = (at + step).min(*to).min(end);
            whole.missing.push((at, next));
            consumer.seek(partition, StartAt::Offset(next));
            (at, fruitless, step) = (next, 0, 2 * step);
        }
    }
    whole.records.retain(|(offset, _)| *offset < end);
    Ok(whole)
}

async fn place(
    client: &Client<SimEnv>,
    partition: &TopicPartitionName,
    spec: OffsetSpec,
    until: Instant,
) -> Result<Offset, Stuck> {
    let nowhere = |why: String| Stuck { at: 0, why };
    let wanted = BTreeMap::from([(partition.clone(), spec)]);
    let found = client
        .list_offsets(&wanted, until)
        .await
        .map_err(|error: ClientError| nowhere(error.to_string()))?;
    found
        .get(partition)
        .and_then(|found| found.offset)
        .ok_or_else(|| nowhere("no offset answered".to_owned()))
}
