//! What the outside knows of a storage that may die at any moment, and what it may then find.
//!
//! Each partition has one idempotent producer, which sends again what was not answered, and others that send once. Whatever was acknowledged
//! is there at its offset, with its bytes; whatever is there was sent; the producer's batches are there once, in order, without gap.

use super::{DIRECTORY, From, NOBODY, batch_of, partition};
use crate::testing::TestEnv;
use crate::{
    AppendError, Health, Log, LogConfig, Logs, Options, ReadError, StorageError, open, shard_of,
};
use bytes::Bytes;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;
use taffrail_env::{Clock, Spawn};
use taffrail_record::Offset;
use taffrail_record::batch::BatchHeader;

const PARTITIONS: i32 = 4;
const PRODUCER: i64 = 77;

/// One life of one partition.
#[derive(Clone, Default)]
pub struct Life {
    /// By offset: the body of the batch (everything behind what the log writes into it).
    acked: BTreeMap<Offset, Bytes>,
    sent: BTreeSet<Bytes>,
    next_sequence: i32,
    /// The producer's batches without an answer, oldest first.
    unanswered: VecDeque<(i32, u64)>,
    /// The start that was asked for, and the one that was answered.
    start_wanted: Offset,
    start: Offset,
    state: Option<(Offset, u64)>,
    states_tried: BTreeSet<(Offset, u64)>,
    created: bool,
    delete_wanted: bool,
}

#[derive(Clone, Default)]
pub struct Model {
    lives: BTreeMap<i32, Life>,
    next_payload: u64,
    pub appends_acked: u64,
}

pub type Shared = Rc<RefCell<Model>>;

fn body(batch: &[u8]) -> Bytes {
    Bytes::copy_from_slice(&batch[16..])
}

/// Bytes that nobody else sends, of a size that depends on their number.
fn payload(number: u64) -> Vec<u8> {
    let size = match number % 7 {
        0 => 3000,
        1 | 2 => 700,
        _ => 60,
    };
    let mut payload = number.to_le_bytes().to_vec();
    payload.resize(size, number as u8);
    payload
}

fn producer_batch(sequence: i32, number: u64) -> bytes::BytesMut {
    let from = From {
        producer_id: PRODUCER,
        epoch: 0,
        sequence,
    };
    batch_of(from, 1, 1_700_000_000_000 + number as i64, &payload(number))
}

/// Every shard's logs of one start.
pub struct Node {
    pub shards: Vec<Logs<TestEnv>>,
}

impl Node {
    pub async fn open(env: &TestEnv, options: Options, shards: usize) -> Node {
        let opened = open(env, Path::new(DIRECTORY), options, shards).await;
        let opened = opened.unwrap_or_else(|error| panic!("{error}"));
        let parts = opened.shards.into_iter();
        Node {
            shards: parts.map(|part| Logs::new(env, part)).collect(),
        }
    }

    pub fn logs(&self, number: i32) -> &Logs<TestEnv> {
        &self.shards[shard_of(partition(number), self.shards.len())]
    }

    /// Whether every shard has learnt of a failure.
    pub fn all_failed(&self) -> impl Fn() -> bool + 'static {
        let shards = self.shards.clone();
        move || {
            shards
                .iter()
                .all(|logs| matches!(logs.health(), Health::Failed(_)))
        }
    }

    /// `true` if every shard said that all is well.
    pub async fn shutdown(&self) -> bool {
        let mut fine = true;
        for logs in self.shards.iter().rev() {
            fine &= logs.shutdown().await.is_ok();
        }
        fine
    }
}

pub fn config() -> LogConfig {
    LogConfig {
        segment_bytes: 10 << 10,
        index_interval_bytes: 512,
        file_delete_delay_ms: 0,
        ..LogConfig::default()
    }
}

/// Sends again what was not answered, then does `steps` random things.
pub async fn work(env: &TestEnv, node: &Node, model: &Shared, steps: u64) {
    for number in 0..PARTITIONS {
        if let Some(log) = node.logs(number).get(partition(number)) {
            log.set_config(config());
            resend(env, model, &log, number);
        }
    }
    for _ in 0..steps {
        let number = env.0.dice.below(PARTITIONS as u64) as i32;
        let Some(log) = node.logs(number).get(partition(number)) else {
            create(node, model, number).await;
            continue;
        };
        match env.0.dice.below(40) {
            0 => advance(env, model, &log, number).await,
            1 => node.logs(number).housekeep().await,
            2 => save(env, model, &log, number).await,
            3 if env.0.dice.below(3) == 0 => delete(node, model, number).await,
            4 | 5 => check_log(model, &log, number).await,
            6 => env.sleep(Duration::from_millis(5)).await,
            7..=20 => send_as_producer(env, model, &log, number),
            _ => send_once(env, model, &log, number).await,
        }
    }
}

async fn create(node: &Node, model: &Shared, number: i32) {
    model.borrow_mut().lives.insert(number, Life::default());
    match node.logs(number).create(partition(number), config()).await {
        Ok(_) => {
            if let Some(life) = model.borrow_mut().lives.get_mut(&number) {
                life.created = true;
            }
        }
        Err(StorageError::Failed(_) | StorageError::Exists) => {}
        Err(error) => panic!("{error}"),
    }
}

fn life<T>(model: &Shared, number: i32, f: impl FnOnce(&mut Life) -> T) -> T {
    let mut model = model.borrow_mut();
    f(model.lives.entry(number).or_default())
}

fn next_payload(model: &Shared) -> u64 {
    let mut model = model.borrow_mut();
    model.next_payload += 1;
    model.next_payload
}

async fn send_once(env: &TestEnv, model: &Shared, log: &Log<TestEnv>, number: i32) {
    let payload_number = next_payload(model);
    let time = 1_700_000_000_000 + payload_number as i64;
    let batch = batch_of(NOBODY, 1, time, &payload(payload_number));
    let sent = body(&batch);
    life(model, number, |life| life.sent.insert(sent.clone()));
    let append = log.append(batch, env.unix_ms());
    let model = model.clone();
    let answer = async move {
        match append.await {
            Ok(appended) => note_acked(&model, number, appended.base_offset, sent),
            Err(AppendError::Failed(_) | AppendError::Deleted | AppendError::NoSpace(_)) => {}
            Err(error) => panic!("{error}"),
        }
    };
    if env.0.dice.below(3) == 0 {
        answer.await;
    } else {
        env.spawn(answer);
    }
}

fn note_acked(model: &Shared, number: i32, offset: Offset, sent: Bytes) {
    model.borrow_mut().appends_acked += 1;
    life(model, number, |life| {
        // A late answer from before a deletion says nothing about the life that came after.
        if life.sent.contains(&sent)
            && let Some(before) = life.acked.insert(offset, sent.clone())
        {
            assert_eq!(before, sent, "two batches were acknowledged at {offset}");
        }
    });
}

fn send_as_producer(env: &TestEnv, model: &Shared, log: &Log<TestEnv>, number: i32) {
    let payload_number = next_payload(model);
    let sequence = life(model, number, |life| {
        let sequence = life.next_sequence;
        if life.unanswered.len() >= 5 {
            return None;
        }
        life.next_sequence += 1;
        life.unanswered.push_back((sequence, payload_number));
        Some(sequence)
    });
    if let Some(sequence) = sequence {
        send_sequence(env, model, log, number, sequence, payload_number);
    }
}

fn resend(env: &TestEnv, model: &Shared, log: &Log<TestEnv>, number: i32) {
    let unanswered = life(model, number, |life| life.unanswered.clone());
    for (sequence, payload_number) in unanswered {
        send_sequence(env, model, log, number, sequence, payload_number);
    }
}

fn send_sequence(
    env: &TestEnv,
    model: &Shared,
    log: &Log<TestEnv>,
    number: i32,
    sequence: i32,
    payload_number: u64,
) {
    let batch = producer_batch(sequence, payload_number);
    let sent = body(&batch);
    life(model, number, |life| life.sent.insert(sent.clone()));
    let append = log.append(batch, env.unix_ms());
    let model = model.clone();
    env.spawn(async move {
        match append.await {
            Ok(appended) => {
                note_acked(&model, number, appended.base_offset, sent);
                life(&model, number, |life| {
                    life.unanswered
                        .retain(|unanswered| *unanswered != (sequence, payload_number));
                });
            }
            Err(AppendError::Failed(_) | AppendError::Deleted) => {}
            Err(error) => panic!("sequence {sequence} of {number}: {error}"),
        }
    });
}

async fn advance(env: &TestEnv, model: &Shared, log: &Log<TestEnv>, number: i32) {
    let (start, end) = (log.log_start_offset(), log.high_watermark());
    let to = start + env.0.dice.below((end - start + 1) as u64) as i64;
    life(model, number, |life| {
        life.start_wanted = life.start_wanted.max(to);
    });
    match log.advance_log_start(to).await {
        Ok(start) => life(model, number, |life| life.start = life.start.max(start)),
        Err(StorageError::Failed(_) | StorageError::Deleted) => {}
        Err(error) => panic!("{error}"),
    }
}

async fn save(env: &TestEnv, model: &Shared, log: &Log<TestEnv>, number: i32) {
    let content = env.0.dice.roll();
    let end = log.high_watermark();
    let newer = life(model, number, |life| {
        life.states_tried.insert((end, content));
        life.state.is_none_or(|(before, _)| end > before)
    });
    if !newer {
        return;
    }
    let pieces = vec![Bytes::copy_from_slice(&content.to_le_bytes())];
    match log.save_state(end, pieces).await {
        Ok(()) => life(model, number, |life| life.state = Some((end, content))),
        Err(StorageError::Failed(_) | StorageError::Deleted) => {}
        Err(error) => panic!("{error}"),
    }
}

async fn delete(node: &Node, model: &Shared, number: i32) {
    life(model, number, |life| life.delete_wanted = true);
    match node.logs(number).delete(partition(number)).await {
        Ok(()) => {
            assert!(node.logs(number).get(partition(number)).is_none());
            model.borrow_mut().lives.remove(&number);
        }
        Err(StorageError::Failed(_)) => {}
        Err(error) => panic!("{error}"),
    }
}

/// Everything of every partition.
pub async fn check(node: &Node, model: &Shared) {
    for number in 0..PARTITIONS {
        let log = node.logs(number).get(partition(number));
        let expected = model
            .borrow()
            .lives
            .get(&number)
            .map(|life| (life.created, life.delete_wanted));
        match (log, expected) {
            (Some(log), Some(_)) => check_log(model, &log, number).await,
            (None, Some((true, false))) => panic!("partition {number} is gone"),
            (Some(_), None) => panic!("partition {number} came back"),
            // What was being made when the disk failed may be found by the next start.
            (None, _) if matches!(node.logs(number).health(), Health::Failed(_)) => {}
            (None, _) => {
                model.borrow_mut().lives.remove(&number);
            }
        }
    }
}

async fn check_log(model: &Shared, log: &Log<TestEnv>, number: i32) {
    // Moves of the start that come while this reads would be misunderstood.
    let (start, end) = (log.log_start_offset(), log.high_watermark());
    let (start_known, start_wanted) = life(model, number, |life| (life.start, life.start_wanted));
    assert!(
        start_known <= start && start <= start_wanted.max(start_known),
        "partition {number} starts at {start}, not within {start_known}..={start_wanted}"
    );
    let mut found = BTreeMap::new();
    let mut at = start;
    while at < end {
        let read = match log.read(at, 2500, true).await {
            Ok(read) => read,
            // Deleted in memory, and the disk failed before it was so on disk.
            Err(ReadError::Deleted) if life(model, number, |life| life.delete_wanted) => return,
            Err(error) => panic!("partition {number} at {at} of {start}..{end}: {error}"),
        };
        assert!(
            read.next_offset > at,
            "partition {number} stands still at {at}"
        );
        for batch in &read.batches {
            let header = BatchHeader::parse(batch).expect("a batch");
            assert!(header.base_offset <= at.max(header.base_offset));
            found.insert(header.base_offset, (header, body(batch)));
        }
        at = read.next_offset;
    }
    life(model, number, |life| {
        check_found(life, number, start, end, &found)
    });
    let (end, last) = (
        log.high_watermark(),
        life(model, number, |life| life.acked.keys().last().copied()),
    );
    assert!(
        last.is_none_or(|last| last < end),
        "partition {number} ends at {end}, and {last:?} was acknowledged"
    );
    check_times(log, number, &found).await;
    check_state(model, log, number).await;
}

fn check_found(
    life: &Life,
    number: i32,
    start: Offset,
    end: Offset,
    found: &BTreeMap<Offset, (BatchHeader, Bytes)>,
) {
    let mut next = start;
    let mut last_sequence = None;
    for (offset, (header, body)) in found {
        assert_eq!(*offset, next, "partition {number} has a gap");
        next = header.next_offset();
        assert!(
            life.sent.contains(body),
            "partition {number} at {offset}: nobody sent this"
        );
        if header.producer_id == PRODUCER {
            let expected = last_sequence.map_or(header.base_sequence, |last| last + 1);
            assert_eq!(
                header.base_sequence, expected,
                "partition {number} at {offset}: not the producer's next batch"
            );
            last_sequence = Some(header.base_sequence);
        }
    }
    assert!(next >= end, "partition {number} ends at {next}, not {end}");
    for (offset, sent) in life.acked.range(start..end) {
        let there = found.get(offset).map(|(_, body)| body);
        assert!(
            there == Some(sent),
            "partition {number}: what was acknowledged at {offset} is {}",
            there.map_or("not there", |_| "something else")
        );
    }
}

async fn check_times(
    log: &Log<TestEnv>,
    number: i32,
    found: &BTreeMap<Offset, (BatchHeader, Bytes)>,
) {
    let largest = found.values().map(|(header, _)| header.max_timestamp).max();
    let Some((_, (middle, _))) = found.iter().nth(found.len() / 2) else {
        return;
    };
    let first = found
        .values()
        .find(|(header, _)| header.max_timestamp >= middle.max_timestamp)
        .map(|(header, _)| header.base_offset);
    let answer = log
        .offset_for_timestamp(middle.max_timestamp)
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    let end = found.values().map(|(header, _)| header.next_offset()).max();
    // Others may append while this asks; what was there before must be found.
    if log.log_start_offset() <= first.unwrap_or(0) {
        assert_eq!(
            answer.map(|(_, offset, _)| offset),
            first,
            "partition {number}, offset for a timestamp"
        );
    }
    if Some(log.high_watermark()) == end
        && log.log_start_offset() == *found.keys().next().unwrap_or(&0)
    {
        let answer = log
            .max_timestamp()
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        if Some(log.high_watermark()) == end {
            assert_eq!(answer.map(|(timestamp, _)| timestamp), largest);
        }
    }
}

async fn check_state(model: &Shared, log: &Log<TestEnv>, number: i32) {
    let found = match log.load_state().await {
        Ok(found) => found,
        Err(StorageError::Failed(_)) => return,
        Err(error) => panic!("{error}"),
    };
    let found = found.map(|(offset, bytes)| {
        let content: [u8; 8] = bytes[..].try_into().expect("eight bytes");
        (offset, u64::from_le_bytes(content))
    });
    life(model, number, |life| {
        if let Some(saved) = life.state {
            let found = found.expect("a snapshot was saved");
            assert!(found.0 >= saved.0, "an older snapshot came back");
            assert!(life.states_tried.contains(&found));
        }
        // On a disk that has failed nothing that is found can be made to last.
        if log.shard.health() == Health::Serving {
            life.state = found;
        }
    });
}
