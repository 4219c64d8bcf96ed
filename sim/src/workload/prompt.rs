//! A reader that waits at the end of a partition while a record is on its way there: it gets it soon, however patient it said it was.

use super::{Stage, producer};
use crate::checker::Violation;
use crate::env::SimEnv;
use crate::history::ClientId;
use futures_util::future::join;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;
use taffrail_client::{
    Client, ClientOptions, Consumer, ConsumerOptions, OffsetReset, OffsetSpec, Producer,
    ProducerOptions, StartAt, TopicPartitionName,
};
use taffrail_env::Clock;

/// So long the reader offers to wait.
const WAIT: Duration = Duration::from_secs(30);
/// So soon after the acknowledgement it has the record.
const SOON: Duration = Duration::from_secs(5);
/// So soon the acknowledgement comes, on a disk and a network that are well.
const ACK_SOON: Duration = Duration::from_secs(10);

fn late_to_consumer(why: impl Into<String>) -> Violation {
    Violation::new("LIVE-CONSUME", why.into())
}

/// Tries every partition so many times. Answers those whose reader or writer was left waiting.
pub async fn run(
    env: SimEnv,
    stage: Rc<Stage>,
    id: ClientId,
    times: u32,
    patience: Duration,
) -> Vec<(TopicPartitionName, Violation)> {
    let brokers = std::slice::from_ref(&stage.broker);
    let client = Client::new(&env, brokers, ClientOptions::default());
    let options = ProducerOptions {
        delivery_timeout: patience,
        block_max: patience,
        ..ProducerOptions::default()
    };
    let producer = Producer::new(&client, options);
    let mut left = Vec::new();
    for partition in stage.partitions() {
        for _ in 0..times {
            if let Err(why) = wait(&env, &stage, &client, &producer, (id, &partition)).await {
                left.push((partition, why));
                break;
            }
        }
    }
    left
}

async fn wait(
    env: &SimEnv,
    stage: &Rc<Stage>,
    client: &Client<SimEnv>,
    producer: &Producer<SimEnv>,
    (id, partition): (ClientId, &TopicPartitionName),
) -> Result<(), Violation> {
    let wanted = BTreeMap::from([(partition.clone(), OffsetSpec::Latest)]);
    let found = client.list_offsets(&wanted, env.now() + WAIT).await;
    let found = found.map_err(|error| late_to_consumer(error.to_string()))?;
    let end = found.get(partition).and_then(|found| found.offset);
    let options = ConsumerOptions {
        offset_reset: OffsetReset::Error,
        fetch_wait_max: WAIT,
        ..ConsumerOptions::default()
    };
    let consumer = Consumer::new(client, options);
    consumer.assign(&[(partition.clone(), StartAt::Offset(end.unwrap_or(0)))]);
    let decisions = stage.world.decisions();
    let stream = decisions.stream(&format!("prompt-{id}/pause"));
    let pauses = [
        decisions.below(stream, 3_000),
        decisions.below(stream, 3_000),
    ];
    let acked = Cell::new(None);
    let send = async {
        env.sleep(Duration::from_micros(pauses[0])).await;
        let asked = env.now();
        let (_, sent) = producer::probe_one(stage, producer, id, partition).await;
        acked.set(Some(env.now()));
        let took = env.now().saturating_since(asked);
        let invariant = "LIVE-ACK";
        match sent {
            Ok(()) if took <= ACK_SOON => Ok(()),
            Ok(()) => Err(Violation::new(
                invariant,
                format!("a record was acknowledged {took:?} after it was sent"),
            )),
            Err(why) => Err(Violation::new(invariant, why)),
        }
    };
    let read = async {
        env.sleep(Duration::from_micros(pauses[1])).await;
        let records = consumer.poll(WAIT).await;
        let records = records.map_err(|error| late_to_consumer(error.to_string()));
        (records.map(|records| records.len()), env.now())
    };
    let (sent, (read, at)) = join(send, read).await;
    sent?;
    let acked = acked.get().unwrap_or(at);
    match read? {
        0 => Err(late_to_consumer(format!(
            "nothing came within {WAIT:?} to a reader who waited at the end"
        ))),
        _ if at.saturating_since(acked) > SOON => Err(late_to_consumer(format!(
            "a reader who waited at the end got a record {:?} after it was acknowledged",
            at.saturating_since(acked)
        ))),
        _ => Ok(()),
    }
}
