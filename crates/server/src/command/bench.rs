//! `taffrail bench`: how much, and how long it takes.
//!
//! With `--rate` the load is open: each record has a moment at which it is due, whatever the broker does, and its latency counts from
//! there. Without, producers send as fast as their memory lets them, and latency counts from `send`.

mod durable;
mod histogram;

use super::{offsets_of, partitions_of, with_client};
use crate::arguments::{BenchCommand, BenchProduceOptions};
use crate::failure::Failure;
use crate::output;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::{Either, join_all, select};
use futures_util::stream::FuturesUnordered;
use histogram::Histogram;
use serde_json::json;
use std::cell::RefCell;
use std::pin::pin;
use std::time::Duration;
use taffrail_client::admin::NewTopic;
use taffrail_client::{
    Acks, Admin, Client, ClientError, Consumer, ConsumerOptions, OffsetSpec, Producer,
    ProducerOptions, Record, StartAt,
};
use taffrail_env::{Clock, Entropy, Instant};
use taffrail_os::Os;

/// Records on their way that one producer waits for at the same time.
const DELIVERIES_MAX: usize = 100_000;
const POLL: Duration = Duration::from_secs(1);

pub fn run(command: BenchCommand) -> Result<(), Failure> {
    match command {
        BenchCommand::Produce(options) => {
            let brokers = options.brokers.clone();
            with_client(&brokers, async |os, client| {
                produce(os, client, &options).await
            })
        }
        BenchCommand::Durable(options) => {
            let brokers = options.brokers.clone();
            with_client(&brokers, async |os, client| {
                durable::run(os, client, &options).await
            })
        }
        BenchCommand::Fetch {
            topic,
            json,
            brokers,
        } => with_client(&brokers, async |os, client| {
            fetch(os, client, &topic, json).await
        }),
    }
}

/// What all producers found together.
#[derive(Default)]
struct Found {
    latencies: Histogram,
    acknowledged: u64,
    failed: u64,
    first_failure: Option<String>,
}

async fn produce(
    os: &Os,
    client: &Client<Os>,
    options: &BenchProduceOptions,
) -> Result<(), Failure> {
    make_topic(client, &options.topic, options.partitions).await?;
    let mut value = vec![
        0;
        usize::try_from(options.record_size.0)
            .unwrap_or(usize::MAX)
            .min(64 << 20)
    ];
    // Random bytes: a codec shall not find the same ones again and again.
    os.fill("bench value", &mut value);
    let value = Bytes::from(value);
    let found = RefCell::new(Found::default());
    let begun = os.now();
    let until = begun + Duration::from_secs(options.seconds);
    let producers = (0..options.producers).map(|place| {
        let (value, found) = (value.clone(), &found);
        async move {
            let load = Load {
                os,
                options,
                value,
                begun,
                until,
                place,
            };
            load.run(client, found).await;
        }
    });
    join_all(producers).await;
    let took = os.now().saturating_since(begun).as_secs_f64();
    report_produce(os, options, &found.into_inner(), took).await
}

async fn make_topic(client: &Client<Os>, topic: &str, partitions: i32) -> Result<(), Failure> {
    let topic = NewTopic {
        name: topic.to_owned(),
        partitions: Some(partitions),
        ..NewTopic::default()
    };
    match Admin::new(client).create_topic(&topic, false).await {
        Err(ClientError::Refused { code, .. }) if code.name() == "TOPIC_ALREADY_EXISTS" => Ok(()),
        result => Ok(result?),
    }
}

/// One producer's part.
struct Load<'a> {
    os: &'a Os,
    options: &'a BenchProduceOptions,
    value: Bytes,
    begun: Instant,
    until: Instant,
    place: u32,
}

impl Load<'_> {
    async fn run(&self, client: &Client<Os>, found: &RefCell<Found>) {
        let options = self.options;
        let acks = options.acks.acks();
        let producer = Producer::new(
            client,
            ProducerOptions {
                acks,
                idempotence: acks == Acks::All,
                codec: options.compression.codec(),
                linger: Duration::from_millis(options.linger_ms),
                batch_bytes: usize::try_from(options.batch_size.0).unwrap_or(usize::MAX),
                request_bytes_max: 80 << 20,
                memory_bytes_max: (32 << 20) / options.producers.min(8) as usize,
                ..ProducerOptions::default()
            },
        );
        let mut deliveries = FuturesUnordered::new();
        for number in 0_u64.. {
            let due = self.due(number);
            if due.unwrap_or(self.os.now()) >= self.until {
                break;
            }
            if let Some(due) = due {
                self.settle_until(due, &mut deliveries, found).await;
            }
            let start = due.unwrap_or(self.os.now());
            // Round and round over the partitions, so that each has its share.
            let partition =
                (number + u64::from(self.place)) % options.partitions.unsigned_abs() as u64;
            let record = Record::of_value(self.value.clone());
            let sent = producer
                .send(&options.topic, Some(partition as i32), record)
                .await;
            match sent {
                Ok(delivery) => deliveries.push(async move { (start, delivery.await) }),
                Err(error) => found.borrow_mut().fail(error.to_string()),
            }
            // Whatever is known already, without waiting; and with waiting while too many are on their way.
            self.settle_until(self.os.now(), &mut deliveries, found)
                .await;
            while deliveries.len() > DELIVERIES_MAX {
                let Some((start, fate)) = deliveries.next().await else {
                    break;
                };
                self.count(start, fate, found);
            }
        }
        producer.flush().await;
        while let Some((start, fate)) = deliveries.next().await {
            self.count(start, fate, found);
        }
    }

    /// When record `number` of this producer is due, if there is a rate.
    fn due(&self, number: u64) -> Option<Instant> {
        let rate = self.options.rate?;
        let overall = number
            .saturating_mul(u64::from(self.options.producers))
            .saturating_add(u64::from(self.place));
        let nanos = u128::from(overall) * 1_000_000_000 / u128::from(rate);
        Some(self.begun + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
    }

    /// Counts what becomes known before `due`.
    async fn settle_until<F>(
        &self,
        due: Instant,
        deliveries: &mut FuturesUnordered<F>,
        found: &RefCell<Found>,
    ) where
        F: Future<Output = (Instant, Fate)>,
    {
        let mut due = pin!(self.os.sleep_until(due));
        loop {
            if deliveries.is_empty() {
                return due.await;
            }
            match select(deliveries.next(), due.as_mut()).await {
                Either::Left((Some((start, fate)), _)) => self.count(start, fate, found),
                Either::Left((None, _)) => {}
                Either::Right(_) => return,
            }
        }
    }

    fn count(&self, start: Instant, fate: Fate, found: &RefCell<Found>) {
        let mut found = found.borrow_mut();
        match fate {
            Ok(_) => {
                found.acknowledged += 1;
                let took = self.os.now().saturating_since(start);
                found.latencies.record(took);
            }
            Err(error) => found.fail(error.to_string()),
        }
    }
}

type Fate = Result<taffrail_client::Acked, taffrail_client::SendError>;

impl Found {
    fn fail(&mut self, why: String) {
        self.failed += 1;
        self.first_failure.get_or_insert(why);
    }
}

async fn report_produce(
    os: &Os,
    options: &BenchProduceOptions,
    found: &Found,
    took: f64,
) -> Result<(), Failure> {
    let records_per_s = found.acknowledged as f64 / took;
    let mb_per_s = records_per_s * options.record_size.0 as f64 / 1e6;
    let at = |share: f64| found.latencies.at(share).as_secs_f64() * 1e3;
    let (p50, p99, p999, max) = (at(0.5), at(0.99), at(0.999), at(1.0));
    if options.json {
        let object = json!({
            "bench": "produce",
            "records": found.acknowledged,
            "failed": found.failed,
            "seconds": took,
            "records_per_s": records_per_s,
            "mb_per_s": mb_per_s,
            "rate": options.rate,
            "partitions": options.partitions,
            "producers": options.producers,
            "record_bytes": options.record_size.0,
            "batch_bytes": options.batch_size.0,
            "latency_from": if options.rate.is_some() { "due" } else { "send" },
            "latency_ms": { "p50": p50, "p99": p99, "p99.9": p999, "max": max },
        });
        output::json(os, &object).await?;
    } else {
        let text = format!(
            "{} records in {took:.2} s: {records_per_s:.0} records/s, {mb_per_s:.1} MB/s; \
             latency ms p50 {p50:.2} p99 {p99:.2} p99.9 {p999:.2} max {max:.2}\n",
            found.acknowledged
        );
        output::text(os, text).await?;
    }
    match &found.first_failure {
        None => Ok(()),
        Some(why) => Err(Failure::operation(format!(
            "{} records were not acknowledged; the first: {why}",
            found.failed
        ))),
    }
}

async fn fetch(os: &Os, client: &Client<Os>, topic: &str, json: bool) -> Result<(), Failure> {
    let admin = Admin::new(client);
    let partitions = partitions_of(&admin, topic, None).await?;
    let ends = offsets_of(&admin, &partitions, OffsetSpec::Latest).await?;
    let consumer = Consumer::new(
        client,
        ConsumerOptions {
            partition_bytes_max: 8 << 20,
            poll_records_max: 50_000,
            ..ConsumerOptions::default()
        },
    );
    let starts: Vec<_> = partitions
        .into_iter()
        .map(|name| (name, StartAt::Earliest))
        .collect();
    consumer.assign(&starts);
    let begun = os.now();
    let (mut records, mut bytes) = (0_u64, 0_u64);
    let is_done = || {
        ends.iter().all(|(name, end)| {
            let position = consumer.position(name).unwrap_or(-1);
            position >= end.offset.unwrap_or(0)
        })
    };
    while !is_done() {
        for record in consumer.poll(POLL).await? {
            records += 1;
            let parts = [record.key.as_ref(), record.value.as_ref()];
            bytes += parts
                .into_iter()
                .flatten()
                .map(|part| part.len() as u64)
                .sum::<u64>();
        }
    }
    let took = os.now().saturating_since(begun).as_secs_f64();
    let (records_per_s, mb_per_s) = (records as f64 / took, bytes as f64 / took / 1e6);
    if json {
        let object = json!({
            "bench": "fetch",
            "records": records,
            "bytes": bytes,
            "seconds": took,
            "records_per_s": records_per_s,
            "mb_per_s": mb_per_s,
        });
        return output::json(os, &object).await;
    }
    let text = format!(
        "{records} records in {took:.2} s: {records_per_s:.0} records/s, {mb_per_s:.1} MB/s\n"
    );
    output::text(os, text).await
}
