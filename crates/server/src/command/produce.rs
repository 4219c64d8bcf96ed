//! `taffrail produce`: each line of stdin becomes a record, byte for byte.
//!
//! Lines end at `\n` and at nothing else; the last may lack it; an empty line is an empty record. Memory is bounded by the producer's: while it
//! is full, stdin is not read.

use super::{connect, listen};
use crate::arguments::ProduceOptions;
use crate::failure::Failure;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{Either, select};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;
use taffrail_client::{
    Acks, Client, ClientError, Delivery, Producer, ProducerOptions, Record, SendError,
};
use taffrail_env::Clock;
use taffrail_os::Os;

/// The longest line: what the broker's largest frame can carry.
const LINE_BYTES_MAX: usize = 100 << 20;
/// A broker that is just being started again is waited for: whoever pipes lines in would lose them.
const PATIENCE: Duration = Duration::from_secs(10);
/// A broker that makes topics on first use has made one by then. One that does not would be asked until the record's time was up.
const TOPIC_PATIENCE: Duration = Duration::from_secs(5);
/// So long a command that is told to stop waits for acknowledgements.
const STOP_PATIENCE: Duration = Duration::from_secs(3);
/// Beyond this many, the first of the records on their way is waited for.
const DELIVERIES_MAX: usize = 1 << 17;

pub fn run(options: ProduceOptions) -> Result<(), Failure> {
    taffrail_os::run(async |os: Os| {
        let client = connect(&os, &options.brokers, PATIENCE).await?;
        produce(&os, &client, &options).await
    })
}

/// What became of the lines.
#[derive(Default)]
struct Tally {
    lines: u64,
    failed: u64,
    /// By number: a line may fail while the fate of earlier ones is not known yet.
    first_failure: Option<(u64, SendError)>,
}

impl Tally {
    fn count(&mut self, line: u64, fate: Result<taffrail_client::Acked, SendError>) {
        if let Err(error) = fate {
            self.failed += 1;
            if self
                .first_failure
                .as_ref()
                .is_none_or(|(first, _)| line < *first)
            {
                self.first_failure = Some((line, error));
            }
        }
    }

    fn verdict(self, input: Result<(), Failure>) -> Result<(), Failure> {
        let Some((line, error)) = self.first_failure else {
            return input;
        };
        let input = input.err().and_then(|failure| failure.message);
        let and_input = input
            .map(|message| format!("; {message}"))
            .unwrap_or_default();
        Err(Failure::operation(format!(
            "{} of {} lines were not acknowledged; the first is line {line}: {error}{and_input}",
            self.failed, self.lines
        )))
    }
}

async fn produce(os: &Os, client: &Client<Os>, options: &ProduceOptions) -> Result<(), Failure> {
    let acks = options.acks.acks();
    let producer = Producer::new(
        client,
        ProducerOptions {
            acks,
            idempotence: acks == Acks::All,
            codec: options.compression.codec(),
            batch_bytes: 64 << 10,
            request_bytes_max: LINE_BYTES_MAX,
            ..ProducerOptions::default()
        },
    );
    let mut tally = Tally::default();
    let read = send_lines(os, client, &producer, options, &mut tally).await;
    let lines = tally.lines;
    tally.verdict(read)?;
    if acks != Acks::None {
        return Ok(());
    }
    producer.check_connections().await.map_err(|error| {
        Failure::operation(format!(
            "not all of the lines sent with --acks 0 may be there ({lines} were): a broker refuses such a line by closing the connection, and {error}"
        ))
    })
}

/// Records on their way, by the numbers of their lines.
type Deliveries = VecDeque<(u64, Delivery)>;

/// Sends line by line, until each line's fate is known or a signal comes. The error is about the input.
async fn send_lines(
    os: &Os,
    client: &Client<Os>,
    producer: &Producer<Os>,
    options: &ProduceOptions,
    tally: &mut Tally,
) -> Result<(), Failure> {
    let mut deliveries = Deliveries::new();
    let mut signals = listen(os)?;
    let read = {
        // Whatever it waits for, a line, a topic or room, a signal ends it.
        let feed = pin!(feed(os, client, producer, options, tally, &mut deliveries));
        match select(feed, pin!(signals.next())).await {
            Either::Left((read, _)) => Ok(read),
            Either::Right((signal, _)) => Err(signal),
        }
    };
    let patience = async {
        if read.is_ok() {
            signals.next().await;
        }
        os.sleep(STOP_PATIENCE).await;
    };
    settle_all(producer, &mut deliveries, tally, patience).await;
    read.unwrap_or_else(|signal| {
        Err(Failure::operation(format!(
            "stopped by {}: lines after line {} were not sent",
            signal.name(),
            tally.lines
        )))
    })
}

/// Sends the lines of stdin.
async fn feed(
    os: &Os,
    client: &Client<Os>,
    producer: &Producer<Os>,
    options: &ProduceOptions,
    tally: &mut Tally,
    deliveries: &mut Deliveries,
) -> Result<(), Failure> {
    let mut input = os.stdin().lines(LINE_BYTES_MAX);
    while let Some(line) = input.next().await {
        let number = tally.lines + 1;
        let line = line.map_err(|error| {
            Failure::operation(format!(
                "stdin: line {number}: {error}; nothing from there on was sent"
            ))
        })?;
        let record = record(line, options.key_separator.as_deref());
        let sent = match number {
            1 => send_first(client, producer, options, record).await,
            _ => {
                producer
                    .send(&options.topic, options.partition, record)
                    .await
            }
        };
        // Counted only now: a signal may end the sending before.
        tally.lines = number;
        match sent {
            Ok(delivery) => deliveries.push_back((number, delivery)),
            Err(error) => {
                let hopeless = matches!(
                    error,
                    SendError::NoSuchPartition { .. } | SendError::NotBegun(_)
                );
                tally.count(number, Err(error));
                if hopeless {
                    // What keeps one line from being sent keeps all of them; but the rest is still counted.
                    tally.lines += rest(&mut input, &mut tally.failed).await;
                    break;
                }
            }
        }
        settle(deliveries, tally, DELIVERIES_MAX).await;
    }
    Ok(())
}

/// Waits for the fate of all that was sent, or until `patience` is over.
async fn settle_all(
    producer: &Producer<Os>,
    deliveries: &mut Deliveries,
    tally: &mut Tally,
    patience: impl Future<Output = ()>,
) {
    let settled = {
        let all = async {
            producer.flush().await;
            settle(deliveries, tally, 0).await;
        };
        matches!(select(pin!(all), pin!(patience)).await, Either::Left(_))
    };
    if !settled {
        give_up(deliveries, tally);
    }
}

/// What has no fate yet will never be known here.
fn give_up(deliveries: &mut Deliveries, tally: &mut Tally) {
    for (line, delivery) in deliveries.drain(..) {
        let unknown = SendError::TimedOut {
            may_be_written: true,
            last: None,
        };
        tally.count(line, delivery.now_or_never().unwrap_or(Err(unknown)));
    }
}

/// The first line finds out whether there is such a topic. What else may be wrong, sending it tells.
async fn send_first(
    client: &Client<Os>,
    producer: &Producer<Os>,
    options: &ProduceOptions,
    record: Record,
) -> Result<Delivery, SendError> {
    let found = client.find_or_make_topic(&options.topic, TOPIC_PATIENCE);
    match found.await {
        Err(error @ ClientError::NotThere { .. }) => Err(SendError::NotBegun(error)),
        _ => {
            producer
                .send(&options.topic, options.partition, record)
                .await
        }
    }
}

/// Counts the lines that will not be sent.
async fn rest(input: &mut taffrail_os::stdio::Lines, failed: &mut u64) -> u64 {
    let mut lines = 0;
    while let Some(Ok(_)) = input.next().await {
        lines += 1;
    }
    *failed += lines;
    lines
}

/// Counts what is known already, and waits until no more than `max` are on their way.
async fn settle(deliveries: &mut Deliveries, tally: &mut Tally, max: usize) {
    loop {
        let waits = deliveries.len() > max;
        let Some((line, delivery)) = deliveries.front_mut() else {
            return;
        };
        // It stays in line until its fate is counted: whoever waits may be stopped.
        let fate = match delivery.now_or_never() {
            Some(fate) => fate,
            None if waits => delivery.await,
            None => return,
        };
        tally.count(*line, fate);
        deliveries.pop_front();
    }
}

/// A line as a record. Without the separator in it a line has no key.
fn record(line: Bytes, separator: Option<&str>) -> Record {
    let Some(at) = separator.and_then(|separator| find(&line, separator.as_bytes())) else {
        return Record::of_value(line);
    };
    let behind = at + separator.map_or(0, str::len);
    Record {
        key: Some(line.slice(..at)),
        value: Some(line.slice(behind..)),
        ..Record::default()
    }
}

fn find(line: &[u8], separator: &[u8]) -> Option<usize> {
    line.windows(separator.len())
        .position(|window| window == separator)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_failed_is_named_whenever_it_became_known() {
        let mut tally = Tally {
            lines: 9,
            ..Tally::default()
        };
        tally.count(7, Err(SendError::NoRoom));
        let late = SendError::TimedOut {
            may_be_written: true,
            last: None,
        };
        tally.count(2, Err(late));
        tally.count(8, Err(SendError::NoRoom));
        let failure = tally.verdict(Ok(())).expect_err("three failed");
        let line = failure.message.expect("it says so");
        assert_eq!(
            line,
            "3 of 9 lines were not acknowledged; the first is line 2: timed out: no acknowledgement"
        );
    }

    #[test]
    fn the_first_separator_ends_the_key_and_a_line_without_one_has_none() {
        let with_key = record(Bytes::from_static(b"k::v::w"), Some("::"));
        assert_eq!(with_key.key.as_deref(), Some(&b"k"[..]));
        assert_eq!(with_key.value.as_deref(), Some(&b"v::w"[..]));
        let without = record(Bytes::from_static(b"\xff\r"), Some("::"));
        assert_eq!(without.key, None);
        assert_eq!(without.value.as_deref(), Some(&b"\xff\r"[..]));
        let empty = record(Bytes::new(), None);
        assert_eq!(empty.value.as_deref(), Some(&b""[..]));
    }
}
