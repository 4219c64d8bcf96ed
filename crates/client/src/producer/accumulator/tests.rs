//! When batches go, where to, and that every record comes out once.

use super::*;
use crate::options::{Acks, Codec};
use taffrail_wire::ErrorCode;

const NODE: i32 = 3;
const IDENTITY: Identity = Identity {
    producer_id: 1,
    producer_epoch: 0,
};

fn accumulator(options: ProducerOptions) -> Accumulator<u64> {
    let backoff = Backoff {
        first: Duration::from_millis(100),
        max: Duration::from_secs(1),
    };
    let mut accumulator = Accumulator::new(options, backoff);
    accumulator.set_identity(IDENTITY);
    accumulator
}

fn options() -> ProducerOptions {
    ProducerOptions {
        linger: Duration::from_millis(10),
        batch_bytes: 1000,
        ..ProducerOptions::default()
    }
}

fn name(partition: i32) -> TopicPartitionName {
    TopicPartitionName::new("t", partition)
}

fn at_ms(ms: u64) -> Instant {
    Instant(ms * 1_000_000)
}

fn append(accumulator: &mut Accumulator<u64>, now: Instant, partition: i32, waiter: u64) {
    let record = Record::of_value(vec![b'x'; 100]);
    accumulator.append(now, &name(partition), &record, 5, waiter);
}

/// Drains to one node that is ready.
fn drain(accumulator: &mut Accumulator<u64>, now: Instant) -> Vec<ToSend> {
    let mut drained = accumulator.drain(now, |_| Leader::Ready(NODE));
    drained.requests.remove(&NODE).unwrap_or_default()
}

fn settled(accumulator: &mut Accumulator<u64>) -> Vec<(u64, Result<i64, SendError>)> {
    let settled = accumulator.take_settled().into_iter();
    settled
        .map(|record| (record.waiter, record.fate.map(|acked| acked.offset)))
        .collect()
}

#[test]
fn a_batch_waits_for_its_linger_and_the_deadline_says_so() {
    let mut accumulator = accumulator(options());
    append(&mut accumulator, at_ms(0), 0, 1);
    assert!(drain(&mut accumulator, at_ms(9)).is_empty());
    assert_eq!(accumulator.next_deadline(at_ms(9)), Some(at_ms(10)));
    assert_eq!(drain(&mut accumulator, at_ms(10)).len(), 1);
}

#[test]
fn a_full_batch_does_not_wait() {
    let mut accumulator = accumulator(options());
    for waiter in 0..10 {
        append(&mut accumulator, at_ms(0), 0, waiter);
    }
    let sent = drain(&mut accumulator, at_ms(0));
    assert_eq!(sent.len(), 1, "one batch of a partition in a request");
    assert!(
        drain(&mut accumulator, at_ms(0)).is_empty(),
        "the rest is not full"
    );
}

#[test]
fn a_flush_sends_everything_and_knows_when_it_is_over() {
    let mut accumulator = accumulator(options());
    append(&mut accumulator, at_ms(0), 0, 1);
    let mark = accumulator.flush();
    append(&mut accumulator, at_ms(0), 1, 2);
    let sent = drain(&mut accumulator, at_ms(0));
    assert_eq!(sent.len(), 1);
    assert!(!accumulator.is_flushed(mark));
    let outcome = Outcome::Acked {
        base_offset: 9,
        log_append_time_ms: -1,
    };
    accumulator.on_outcome(at_ms(1), &name(0), sent[0].batch_id, outcome, 0);
    assert!(accumulator.is_flushed(mark));
    assert_eq!(settled(&mut accumulator), [(1, Ok(9))]);
}

#[test]
fn records_of_a_batch_get_offsets_in_their_order() {
    let mut accumulator = accumulator(options());
    for waiter in 0..3 {
        append(&mut accumulator, at_ms(0), 0, waiter);
    }
    let sent = drain(&mut accumulator, at_ms(10));
    let outcome = Outcome::Acked {
        base_offset: 40,
        log_append_time_ms: 77,
    };
    accumulator.on_outcome(at_ms(11), &name(0), sent[0].batch_id, outcome, 0);
    let fates: Vec<_> = accumulator
        .take_settled()
        .into_iter()
        .map(|record| record.fate.expect("acknowledged"))
        .map(|acked| (acked.offset, acked.timestamp))
        .collect();
    assert_eq!(fates, [(40, 77), (41, 77), (42, 77)]);
    assert_eq!(accumulator.memory_used(), 0);
}

#[test]
fn without_a_leader_the_topic_is_named_and_the_batch_stays() {
    let mut accumulator = accumulator(options());
    append(&mut accumulator, at_ms(0), 0, 1);
    let drained = accumulator.drain(at_ms(10), |_| Leader::Unknown);
    assert_eq!(drained.leaderless, ["t"]);
    assert!(drained.requests.is_empty());
    assert_eq!(drain(&mut accumulator, at_ms(10)).len(), 1);
}

#[test]
fn an_idempotent_producer_sends_nothing_before_it_has_its_id() {
    let backoff = Backoff {
        first: Duration::ZERO,
        max: Duration::ZERO,
    };
    let mut accumulator = Accumulator::new(options(), backoff);
    assert!(!accumulator.needs_identity(), "there is nothing to send");
    append(&mut accumulator, at_ms(0), 0, 1);
    assert!(accumulator.needs_identity());
    assert!(drain(&mut accumulator, at_ms(10)).is_empty());
    accumulator.set_identity(IDENTITY);
    assert_eq!(drain(&mut accumulator, at_ms(10)).len(), 1);
}

#[test]
fn a_refused_batch_is_tried_again_after_its_wait() {
    let mut accumulator = accumulator(options());
    append(&mut accumulator, at_ms(0), 0, 1);
    let sent = drain(&mut accumulator, at_ms(10));
    let outcome = Outcome::Error {
        code: ErrorCode::NotLeaderOrFollower,
        message: None,
    };
    accumulator.on_outcome(at_ms(10), &name(0), sent[0].batch_id, outcome, 0);
    assert!(drain(&mut accumulator, at_ms(11)).is_empty());
    let next = accumulator
        .next_deadline(at_ms(11))
        .expect("a retry is due");
    assert!(next > at_ms(11) && next <= at_ms(130), "{next:?}");
    assert_eq!(drain(&mut accumulator, next).len(), 1);
}

#[test]
fn every_partition_has_its_turn_when_requests_are_small() {
    let mut accumulator = accumulator(ProducerOptions {
        request_bytes_max: 400,
        ..options()
    });
    for partition in 0..4 {
        for waiter in 0..20 {
            append(&mut accumulator, at_ms(0), partition, waiter);
        }
    }
    let mut seen = Vec::new();
    for _ in 0..4 {
        let sent = drain(&mut accumulator, at_ms(0));
        assert_eq!(sent.len(), 1);
        seen.push(sent[0].partition.partition);
    }
    seen.sort_unstable();
    assert_eq!(seen, [0, 1, 2, 3]);
}

#[test]
fn memory_is_bounded_and_a_record_too_large_for_it_goes_alone() {
    let mut accumulator = accumulator(ProducerOptions {
        memory_bytes_max: 300,
        ..options()
    });
    assert!(accumulator.has_room(10_000));
    append(&mut accumulator, at_ms(0), 0, 1);
    assert!(accumulator.has_room(150));
    assert!(!accumulator.has_room(200));
    append(&mut accumulator, at_ms(0), 0, 2);
    assert_eq!(
        drain(&mut accumulator, at_ms(0)).len(),
        1,
        "pressure does not wait for the linger"
    );
}

#[test]
fn what_is_held_at_the_end_is_given_up() {
    let mut accumulator = accumulator(options());
    append(&mut accumulator, at_ms(0), 0, 1);
    drain(&mut accumulator, at_ms(10));
    append(&mut accumulator, at_ms(10), 0, 2);
    accumulator.close();
    let fates = settled(&mut accumulator);
    let closed = |may_be_written| Err(SendError::Closed { may_be_written });
    assert_eq!(fates, [(1, closed(true)), (2, closed(false))]);
    assert_eq!(accumulator.memory_used(), 0);
}

/// A small generator of numbers, so that the drawn histories are the same on every run.
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % bound
    }
}

/// One partition as a broker keeps it: judges sequences as Kafka does.
#[derive(Default)]
struct Log {
    epoch: i16,
    next_sequence: i32,
    remembered: Vec<(i16, i32, i64)>,
    records: Vec<u64>,
    /// The most records that a batch may have.
    batch_max: i32,
}

impl Log {
    fn produce(&mut self, bytes: &Bytes) -> Outcome {
        let header = taffrail_record::batch::BatchHeader::parse(bytes).expect("a batch");
        taffrail_record::batch::verify_crc(bytes).expect("sound");
        let refusal = |code| Outcome::Error {
            code,
            message: None,
        };
        if header.record_count > self.batch_max {
            return refusal(ErrorCode::MessageTooLarge);
        }
        let (epoch, sequence) = (header.producer_epoch, header.base_sequence);
        let known = self
            .remembered
            .iter()
            .find(|known| (known.0, known.1) == (epoch, sequence));
        if let Some((_, _, base_offset)) = known {
            let base_offset = *base_offset;
            return Outcome::Acked {
                base_offset,
                log_append_time_ms: -1,
            };
        }
        if epoch < self.epoch {
            return refusal(ErrorCode::InvalidProducerEpoch);
        }
        let due = if epoch > self.epoch {
            0
        } else {
            self.next_sequence
        };
        // Of a producer that it knows nothing of, a broker takes any sequence.
        let unknown = self.remembered.is_empty();
        if sequence != due && !unknown {
            return refusal(ErrorCode::OutOfOrderSequenceNumber);
        }
        let base_offset = self.records.len() as i64;
        for record in taffrail_record::batch::records(bytes).expect("not compressed") {
            let value = record.expect("sound").value.expect("a value");
            let value: [u8; 8] = value[..8].try_into().expect("eight bytes");
            self.records.push(u64::from_be_bytes(value));
        }
        self.epoch = epoch;
        self.next_sequence = header.last_sequence() + 1;
        self.remembered.push((epoch, sequence, base_offset));
        if self.remembered.len() > 5 {
            self.remembered.remove(0);
        }
        Outcome::Acked {
            base_offset,
            log_append_time_ms: -1,
        }
    }
}

/// Whatever is lost on the way there or back, refused or delayed: acknowledged records are in the log once, at the offset that was
/// said, in order; records known not to be written are not; and nothing is in it twice.
#[test]
fn drawn_histories_write_every_record_at_most_once_and_in_order() {
    for seed in 0..400 {
        let mut draw = Draw(seed);
        let mut accumulator = accumulator(ProducerOptions {
            batch_bytes: 400,
            delivery_timeout: Duration::from_millis(2_000),
            acks: Acks::All,
            codec: Codec::None,
            ..options()
        });
        let mut log = Log {
            batch_max: [1, 2, 3, 100][seed as usize % 4],
            ..Log::default()
        };
        let mut on_their_way: Vec<ToSend> = Vec::new();
        // What a broken connection still holds, and may bring later.
        let mut stray: Vec<ToSend> = Vec::new();
        let mut next_value = 0_u64;
        let mut fates = BTreeMap::new();
        let mut ms = 0;
        while ms < 20_000 || !accumulator.is_flushed(accumulator.next_batch_id) {
            ms += 1 + draw.below(30);
            assert!(ms < 200_000, "seed {seed} does not end");
            let now = at_ms(ms);
            if ms < 20_000 && draw.below(3) == 0 {
                let mut value = next_value.to_be_bytes().to_vec();
                value.resize(90, 0);
                let record = Record::of_value(value);
                accumulator.append(now, &name(0), &record, 5, next_value);
                next_value += 1;
            }
            accumulator.expire(now);
            on_their_way.extend(drain(&mut accumulator, now));
            // One connection: the first is served first, and when it breaks all go with it. In calm stretches nothing breaks.
            let calm = ms / 3_000 % 2 == 1 || ms > 20_000;
            if !on_their_way.is_empty() && draw.below(4) > 0 {
                let mut world = World {
                    log: &mut log,
                    on_their_way: &mut on_their_way,
                    stray: &mut stray,
                };
                world.serve(&mut accumulator, &mut draw, calm, now);
            }
            if !stray.is_empty() && draw.below(8) == 0 {
                log.produce(&stray.remove(0).bytes);
            }
            for record in accumulator.take_settled() {
                assert!(fates.insert(record.waiter, record.fate).is_none());
            }
        }
        check(seed, next_value, &fates, &log.records);
    }
}

/// The broker and the network to it.
struct World<'a> {
    log: &'a mut Log,
    on_their_way: &'a mut Vec<ToSend>,
    stray: &'a mut Vec<ToSend>,
}

impl World<'_> {
    fn serve(
        &mut self,
        accumulator: &mut Accumulator<u64>,
        draw: &mut Draw,
        calm: bool,
        now: Instant,
    ) {
        if !calm && draw.below(12) == 0 {
            self.break_connection(accumulator, draw, now);
            return;
        }
        let first = self.on_their_way.remove(0);
        let refusal = |code| Outcome::Error {
            code,
            message: None,
        };
        let outcome = match if calm { 9 } else { draw.below(11) } {
            0 => refusal(ErrorCode::NotEnoughReplicas),
            1 => refusal(ErrorCode::NotLeaderOrFollower),
            2 => refusal(ErrorCode::MessageTooLarge),
            3 => Outcome::Unsent("refused".to_owned()),
            _ => self.log.produce(&first.bytes),
        };
        accumulator.on_outcome(now, &first.partition, first.batch_id, outcome, 7);
    }

    /// A part of what was written arrived, and the rest may arrive late.
    fn break_connection(
        &mut self,
        accumulator: &mut Accumulator<u64>,
        draw: &mut Draw,
        now: Instant,
    ) {
        // Only one connection's bytes stray at a time: what an earlier one still held is lost.
        self.stray.clear();
        let arrived = draw.below(self.on_their_way.len() as u64 + 1) as usize;
        for (place, sent) in self.on_their_way.drain(..).enumerate() {
            if place < arrived {
                self.log.produce(&sent.bytes);
            } else {
                self.stray.push(sent.clone());
            }
            let outcome = Outcome::Unanswered("reset".to_owned());
            accumulator.on_outcome(now, &sent.partition, sent.batch_id, outcome, 7);
        }
    }
}

fn check(seed: u64, sent: u64, fates: &BTreeMap<u64, Result<Acked, SendError>>, records: &[u64]) {
    assert_eq!(
        fates.len() as u64,
        sent,
        "seed {seed}: every record has one fate"
    );
    let mut sorted = records.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(
        sorted.len(),
        records.len(),
        "seed {seed}: a record is there twice"
    );
    assert!(records.is_sorted(), "seed {seed}: out of order");
    for (value, fate) in fates {
        match fate {
            Ok(acked) if acked.offset >= 0 => {
                assert_eq!(
                    records.get(acked.offset as usize),
                    Some(value),
                    "seed {seed}"
                );
            }
            Ok(_) => assert!(records.contains(value), "seed {seed}"),
            Err(error) if !error.may_be_written() => {
                assert!(!records.contains(value), "seed {seed}: {value} {error:?}");
            }
            Err(_) => {}
        }
    }
}

#[test]
fn partitions_that_hold_nothing_are_not_looked_at() {
    let mut accumulator = accumulator(options());
    for partition in 0..2_000 {
        append(&mut accumulator, at_ms(0), partition, 1);
    }
    let mut sent = drain(&mut accumulator, at_ms(10));
    while let Some(batch) = sent.pop() {
        let acked = Outcome::Acked {
            base_offset: 0,
            log_append_time_ms: -1,
        };
        accumulator.on_outcome(at_ms(11), &batch.partition, batch.batch_id, acked, 0);
        if sent.is_empty() {
            sent = drain(&mut accumulator, at_ms(11));
        }
    }
    assert_eq!(settled(&mut accumulator).len(), 2_000);
    assert!(accumulator.held.is_empty());
    append(&mut accumulator, at_ms(20), 1_234, 1);
    let mut asked = 0;
    let drained = accumulator.drain(at_ms(30), |_| {
        asked += 1;
        Leader::Ready(NODE)
    });
    assert_eq!((asked, drained.requests.len()), (1, 1));
    assert_eq!(accumulator.held.len(), 1);
    accumulator.expire(at_ms(1_000_000_000));
    assert_eq!(settled(&mut accumulator).len(), 1);
    assert!(accumulator.held.is_empty());
    assert_eq!(accumulator.next_deadline(at_ms(30)), None);
}

#[test]
fn only_a_record_that_begins_or_fills_a_batch_is_news() {
    let mut accumulator = accumulator(options());
    let record = Record::of_value(vec![b'x'; 100]);
    let news: Vec<bool> = (0..20)
        .map(|_| accumulator.append(at_ms(0), &name(0), &record, 5, 1))
        .collect();
    let told = news.iter().filter(|news| **news).count();
    assert!(news[0] && !news[1] && (2..=6).contains(&told), "{news:?}");
}
