//! `taffrail consume`: the value of each record and a newline, and nothing else on stdout.

use super::{listen, offsets_of, partitions_of, start_of, with_client};
use crate::arguments::{ConsumeOptions, Place};
use crate::failure::{self, Failure};
use crate::output;
use crate::time;
use bytes::Bytes;
use futures_util::future::{Either, select};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::pin::pin;
use std::time::Duration;
use taffrail_client::{
    Admin, Client, ConsumeError, Consumer, ConsumerOptions, Fetched, OffsetReset, OffsetSpec,
    Rebalance, StartAt, TopicPartitionName,
};
use taffrail_os::Os;
use taffrail_os::signal::Terminations;

const POLL: Duration = Duration::from_millis(500);
/// A reader whose way has been barred for so long is told by what.
const PATIENCE: Duration = Duration::from_secs(5);
const COMMIT_INTERVAL: Duration = Duration::from_secs(1);
/// About so much is written at once.
const PIECE_BYTES: usize = 32 << 10;

pub fn run(options: ConsumeOptions) -> Result<(), Failure> {
    let consumer = consumer_options(&options)?;
    with_client(&options.brokers, async |os, client| {
        consume(os, client, &options, consumer).await
    })
}

fn consumer_options(options: &ConsumeOptions) -> Result<ConsumerOptions, Failure> {
    let defaults = ConsumerOptions {
        // A position outside of the log is told, never moved; a group's first position is where --from says.
        offset_reset: OffsetReset::Error,
        partition_bytes_max: 4 << 20,
        poll_records_max: 10_000,
        ..ConsumerOptions::default()
    };
    let Some(group) = &options.group else {
        return Ok(defaults);
    };
    let offset_reset = match options.from {
        Place::Start => OffsetReset::Earliest,
        Place::End => OffsetReset::Latest,
        Place::Offset(_) | Place::Time(_) => {
            return Err(Failure::usage(
                "--from with --group takes start or end; taffrail group reset sets a group's offsets",
            ));
        }
    };
    Ok(ConsumerOptions {
        group: Some(group.clone()),
        offset_reset,
        auto_commit_interval: Some(COMMIT_INTERVAL),
        ..defaults
    })
}

/// When to stop.
struct Stop {
    left: Option<u64>,
    exit_at_end: bool,
    /// The ends to reach, as they were when reading began.
    ends: BTreeMap<TopicPartitionName, i64>,
    /// Whether the ends are known.
    begun: bool,
}

async fn consume(
    os: &Os,
    client: &Client<Os>,
    options: &ConsumeOptions,
    consumer_options: ConsumerOptions,
) -> Result<(), Failure> {
    let admin = Admin::new(client);
    let partitions = partitions_of(&admin, &options.topic, options.partition).await?;
    let mut stop = Stop {
        left: options.count,
        exit_at_end: options.exit_at_end,
        ends: BTreeMap::new(),
        begun: false,
    };
    let consumer = Consumer::new(client, consumer_options);
    if options.group.is_some() {
        consumer.subscribe(std::slice::from_ref(&options.topic));
    } else {
        if options.exit_at_end {
            stop.learn_ends(&admin, &partitions).await?;
            stop.check_start(options.from)?;
        }
        let start = start_of(options.from);
        let starts: Vec<_> = partitions.into_iter().map(|name| (name, start)).collect();
        consumer.assign(&starts);
    }
    let mut signals = listen(os)?;
    let read = read(os, &admin, &consumer, options, &mut stop, &mut signals).await;
    // Whatever ended the reading, positions of what was printed are kept.
    let closed = consumer.close().await;
    read?;
    Ok(closed?)
}

async fn read(
    os: &Os,
    admin: &Admin<Os>,
    consumer: &Consumer<Os>,
    options: &ConsumeOptions,
    stop: &mut Stop,
    signals: &mut Terminations,
) -> Result<(), Failure> {
    let mut waiting = Waiting::default();
    loop {
        if stop.is_reached(consumer) {
            return Ok(());
        }
        let polled = {
            let poll = pin!(consumer.poll(POLL));
            match select(poll, pin!(signals.next())).await {
                Either::Left((polled, _)) => polled,
                Either::Right(_) => return Ok(()),
            }
        };
        let mut records = match polled {
            Ok(records) => records,
            Err(error) => {
                go_on_at_start(admin, consumer, options.from, error).await?;
                continue;
            }
        };
        if let Some(line) = waiting.news(consumer.hindered()) {
            failure::say(&line);
        }
        if let Some(left) = stop.left
            && let Some(first_left) = records.get(usize::try_from(left).unwrap_or(usize::MAX))
        {
            let at = TopicPartitionName::new(first_left.topic.to_string(), first_left.partition);
            tracing::debug!(partition = %at, "more was read than was asked for");
            rewind(consumer, &records[left as usize..]);
            records.truncate(left as usize);
        }
        if let Some(left) = &mut stop.left {
            *left -= records.len() as u64;
        }
        if print(os, consumer, &records, options.json, signals).await? {
            return Ok(());
        }
        if options.group.is_some() && stop.exit_at_end {
            stop.follow(admin, consumer).await?;
        }
    }
}

/// What was to be read next may have been removed meanwhile, as retention does: that is said, and reading goes on where the log starts
/// now. Any other error ends the reading, and so does a first offset that is not there.
async fn go_on_at_start(
    admin: &Admin<Os>,
    consumer: &Consumer<Os>,
    from: Place,
    error: ConsumeError,
) -> Result<(), Failure> {
    let ConsumeError::OutOfRange {
        topic,
        partition,
        offset: Some(offset),
    } = &error
    else {
        return Err(error.into());
    };
    let name = TopicPartitionName::new(topic.clone(), *partition);
    let found = offsets_of(admin, std::slice::from_ref(&name), OffsetSpec::Earliest).await?;
    let start = found.get(&name).and_then(|found| found.offset);
    match start {
        Some(start) if start > *offset && from != Place::Offset(*offset) => {
            failure::say(&format!(
                "{topic}-{partition}: the records from offset {offset} to {} were removed before they were read",
                start - 1
            ));
            consumer.seek(&name, StartAt::Offset(start));
            Ok(())
        }
        _ => Err(error.into()),
    }
}

/// Whether it was said what is being waited for.
#[derive(Default)]
struct Waiting {
    told: bool,
}

impl Waiting {
    /// What to say now: once for each time that the way is barred.
    fn news(&mut self, hindered: Option<(Duration, String)>) -> Option<String> {
        let Some((lasting, why)) = hindered else {
            self.told = false;
            return None;
        };
        let news = lasting >= PATIENCE && !std::mem::replace(&mut self.told, lasting >= PATIENCE);
        news.then(|| format!("waiting: {why}"))
    }
}

/// Puts positions back to the first record of each partition that is not printed, so that it is not committed.
fn rewind(consumer: &Consumer<Os>, unprinted: &[Fetched]) {
    let mut seen = std::collections::BTreeSet::new();
    for record in unprinted {
        let name = TopicPartitionName::new(record.topic.to_string(), record.partition);
        if seen.insert(name.clone()) {
            consumer.seek(&name, StartAt::Offset(record.offset));
        }
    }
}

/// Prints the records, a piece at a time. What is not written, since nobody takes it or a signal came, is not read either: positions go
/// back to it. Answers whether a signal came.
async fn print(
    os: &Os,
    consumer: &Consumer<Os>,
    records: &[Fetched],
    json: bool,
    signals: &mut Terminations,
) -> Result<bool, Failure> {
    let mut left = records;
    while !left.is_empty() {
        let (text, count) = piece(left, json);
        let write = pin!(output::write(os, vec![Bytes::from(text)]));
        match select(write, pin!(signals.next())).await {
            Either::Left((Ok(()), _)) => left = &left[count..],
            Either::Left((Err(failure), _)) => {
                rewind(consumer, left);
                return Err(failure);
            }
            Either::Right(_) => {
                rewind(consumer, left);
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// The text of the first records, and how many they are: at least one.
fn piece(records: &[Fetched], json: bool) -> (Vec<u8>, usize) {
    let mut text = Vec::new();
    let mut count = 0;
    for record in records {
        if json {
            text.extend_from_slice(record_json(record).to_string().as_bytes());
        } else if let Some(value) = &record.value {
            text.extend_from_slice(value);
        }
        text.push(b'\n');
        count += 1;
        if text.len() >= PIECE_BYTES {
            break;
        }
    }
    (text, count)
}

/// A record for programs. Bytes that are not UTF-8 stand in base64 under a name that says so.
fn record_json(record: &Fetched) -> Value {
    let mut object = json!({
        "topic": &*record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp": record.timestamp,
        "time": time::format_rfc3339(record.timestamp),
    });
    put(&mut object, "key", record.key.as_ref());
    put(&mut object, "value", record.value.as_ref());
    let headers: Vec<Value> = record
        .headers
        .iter()
        .map(|header| {
            let mut object = json!({ "name": header.key });
            put(&mut object, "value", header.value.as_ref());
            object
        })
        .collect();
    object["headers"] = Value::Array(headers);
    object
}

fn put(object: &mut Value, name: &str, bytes: Option<&Bytes>) {
    match bytes.map(|bytes| (std::str::from_utf8(bytes), bytes)) {
        None => object[name] = Value::Null,
        Some((Ok(text), _)) => object[name] = Value::from(text),
        Some((Err(_), bytes)) => object[format!("{name}_base64")] = Value::from(base64(bytes)),
    }
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |place: usize| u32::from(chunk.get(place).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * place) & 63) as usize];
            let padding = place > chunk.len();
            text.push(if padding { '=' } else { char::from(digit) });
        }
    }
    text
}

impl Stop {
    async fn learn_ends(
        &mut self,
        admin: &Admin<Os>,
        partitions: &[TopicPartitionName],
    ) -> Result<(), Failure> {
        let ends = offsets_of(admin, partitions, OffsetSpec::Latest).await?;
        let ends = ends
            .into_iter()
            .map(|(name, found)| (name, found.offset.unwrap_or(0)));
        self.ends.extend(ends);
        self.begun = true;
        Ok(())
    }

    /// An offset beyond the end is not "at the end": nothing would say that it was never there.
    fn check_start(&self, from: Place) -> Result<(), Failure> {
        let Place::Offset(offset) = from else {
            return Ok(());
        };
        match self.ends.iter().find(|(_, end)| offset > **end) {
            None => Ok(()),
            Some((name, end)) => Err(Failure::operation(format!(
                "offset {offset} is not in {name}, which ends at {end}"
            ))),
        }
    }

    /// Learns the ends of partitions that the group gave, and forgets those that it took.
    async fn follow(&mut self, admin: &Admin<Os>, consumer: &Consumer<Os>) -> Result<(), Failure> {
        for rebalance in consumer.take_rebalances() {
            match rebalance {
                // A member whom the group gives nothing is told that, and has nothing to wait for.
                Rebalance::Assigned { partitions, .. } => {
                    self.learn_ends(admin, &partitions).await?;
                }
                Rebalance::Held { .. } => {}
                Rebalance::Revoked(names) | Rebalance::Lost(names) => {
                    self.ends.retain(|name, _| !names.contains(name));
                }
            }
        }
        Ok(())
    }

    fn is_reached(&self, consumer: &Consumer<Os>) -> bool {
        if self.left == Some(0) {
            return true;
        }
        self.exit_at_end
            && self.begun
            && self.ends.iter().all(|(name, end)| {
                consumer
                    .position(name)
                    .is_some_and(|position| position >= *end)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_the_usual_one() {
        for (bytes, text) in [
            (&b""[..], ""),
            (b"f", "Zg=="),
            (b"fo", "Zm8="),
            (b"foo", "Zm9v"),
            (b"foobar", "Zm9vYmFy"),
            (b"\xff\xfe", "//4="),
        ] {
            assert_eq!(base64(bytes), text);
        }
    }

    #[test]
    fn what_is_waited_for_is_said_once_after_a_while() {
        let mut waiting = Waiting::default();
        let mut after = |seconds| waiting.news(Some((Duration::from_secs(seconds), "x".into())));
        let news = [after(1), after(5), after(6), after(60)];
        assert_eq!(news, [None, Some("waiting: x".into()), None, None]);
        assert_eq!(waiting.news(None), None);
        let again = waiting.news(Some((Duration::from_secs(9), "y".into())));
        assert_eq!(again, Some("waiting: y".into()));
    }

    #[test]
    fn a_piece_has_whole_records_and_at_least_one() {
        let record = |len: usize| Fetched {
            topic: "t".into(),
            partition: 0,
            offset: 0,
            timestamp: 0,
            key: None,
            value: Some(Bytes::from(vec![b'x'; len])),
            headers: Vec::new(),
        };
        let records = [record(3), record(PIECE_BYTES), record(3)];
        let (text, count) = piece(&records, false);
        assert_eq!((text.len(), count), (4 + PIECE_BYTES + 1, 2));
        assert_eq!(piece(&records[2..], false), (b"xxx\n".to_vec(), 1));
    }

    #[test]
    fn a_record_for_programs_keeps_every_byte() {
        let record = Fetched {
            topic: "t".into(),
            partition: 1,
            offset: 7,
            timestamp: 0,
            key: None,
            value: Some(Bytes::from_static(b"\xff")),
            headers: Vec::new(),
        };
        let object = record_json(&record);
        assert_eq!(object["value_base64"], "/w==");
        assert_eq!(object["key"], Value::Null);
        assert_eq!(object["time"], "1970-01-01T00:00:00.000Z");
        assert!(object.get("value").is_none());
    }
}
