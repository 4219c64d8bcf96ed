//! A reader that waits at the end of a partition while a record is on its way there: it gets it soon, however patient it said it was.

use super::{Stage, producer};
use crate::env::SimEnv;
use crate::history::{ClientId, Owed};
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

/// Tries every partition so many times, and tells how its reader and its writer fared. Whether any of them was left waiting.
pub async fn run(
    env: SimEnv,
    stage: Rc<Stage>,
    id: ClientId,
    times: u32,
    patience: Duration,
) -> bool {
    let brokers = std::slice::from_ref(&stage.broker);
    let client = Client::new(&env, brokers, ClientOptions::default());
    let options = ProducerOptions {
        delivery_timeout: patience,
        block_max: patience,
        ..ProducerOptions::default()
    };
    let producer = Producer::new(&client, options);
    let mut any_left = false;
    for partition in stage.partitions() {
        for _ in 0..times {
            if !wait(&env, &stage, &client, &producer, (id, &partition)).await {
                any_left = true;
                break;
            }
        }
    }
    any_left
}

/// Whether both came to an end.
async fn wait(
    env: &SimEnv,
    stage: &Rc<Stage>,
    client: &Client<SimEnv>,
    producer: &Producer<SimEnv>,
    (id, partition): (ClientId, &TopicPartitionName),
) -> bool {
    let place = partition.to_string();
    let wanted = BTreeMap::from([(partition.clone(), OffsetSpec::Latest)]);
    let found = match client.list_offsets(&wanted, env.now() + WAIT).await {
        Ok(found) => found,
        Err(error) => {
            return stage.tell_wait(Owed::Delivery, place, Err(error.to_string()), SOON);
        }
    };
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
        sent.map(|()| env.now().saturating_since(asked))
    };
    let read = async {
        env.sleep(Duration::from_micros(pauses[1])).await;
        let records = consumer.poll(WAIT).await;
        (records, env.now())
    };
    let (sent, (read, at)) = join(send, read).await;
    let acked = acked.get().unwrap_or(at);
    let read = match read {
        Ok(records) if records.is_empty() => Err(format!(
            "nothing came within {WAIT:?} to a reader who waited at the end"
        )),
        Ok(_) => Ok(at.saturating_since(acked)),
        Err(error) => Err(error.to_string()),
    };
    stage.tell_wait(Owed::Ack, place.as_str(), sent, ACK_SOON)
        && stage.tell_wait(Owed::Delivery, place, read, SOON)
}
