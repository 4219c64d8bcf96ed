//! One client that has a topic to itself: it makes it, fills it, cuts it short, reads it and deletes it, over and over, always under
//! the same name.
//!
//! Each life of the topic is a topic of its own to the judges, by the id that the broker gave it. All of a life's clients are new and end
//! with it, except for one reader that lives on into the next: what it is given must be of the life in which it began.
//! Deletions name the id, so that one whose answer was lost can be repeated, and takes effect late without harm. A request
//! that deletes records names the topic only: a late one may cut the next life short, and the judges are told so. What is committed
//! of a life is forgotten with it.

use super::producer::{Sender, send};
use super::{Phase, Presence, Stage, commits, reader};
use crate::decision::Stream;
use crate::env::SimEnv;
use crate::history::{ClientId, Event};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;
use taffrail_client::admin::{ConfigResource, NewTopic};
use taffrail_client::{
    Admin, Client, ClientError, ClientOptions, Consumer, ConsumerOptions, FoundOffset, OffsetReset,
    OffsetSpec, Producer, ProducerOptions, StartAt, TopicPartitionName,
};
use taffrail_env::Clock;
use taffrail_record::{Offset, TopicId, TopicPartition};
use taffrail_wire::ErrorCode;

/// What the topic is called in all its lives.
pub const TOPIC: &str = "mayfly";
/// No segment of it is larger.
pub const SEGMENT_BYTES: i64 = 4096;

/// The life that the topic is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resident {
    pub partition: TopicPartitionName,
    pub identity: TopicPartition,
    /// Records may go by retention.
    pub retained: bool,
    /// What of them is kept, as the broker says.
    pub kept: Option<Kept>,
}

/// What retention leaves of a topic whose settings are its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// So much, whatever its age.
    Bytes(u64),
    /// Nothing, while nobody writes: every record of the workload is older than any age that is drawn.
    Nothing,
}

/// What stays the same over all lives.
struct Turnover {
    env: SimEnv,
    stage: Rc<Stage>,
    id: ClientId,
    choice: Stream,
    partition: TopicPartitionName,
    configs: BTreeMap<String, String>,
    retained: bool,
    committer: Consumer<SimEnv>,
    /// A commit without an answer may take effect late, by the topic's name, in another life.
    is_in_doubt: Cell<bool>,
}

/// A reader of a life, and whether it was given anything.
struct Follower {
    consumer: Consumer<SimEnv>,
    identity: TopicPartition,
    has_read: bool,
    /// Its topic is gone, and it was told so. What it reads after that is of another.
    sent_away: bool,
}

/// Runs until producers end.
pub async fn run(env: SimEnv, stage: Rc<Stage>, id: ClientId) {
    let _presence = Presence::new(&stage);
    let decisions = stage.world.decisions();
    let choice = decisions.stream(&format!("turnover-{id}"));
    let retained = decisions.below(choice, 2) == 0;
    let mut configs = BTreeMap::from([("segment.bytes".to_owned(), SEGMENT_BYTES.to_string())]);
    if retained {
        let bytes = [0, 3000, 20_000][decisions.below(choice, 3) as usize];
        configs.insert("retention.bytes".to_owned(), bytes.to_string());
        let age_ms = [-1, -1, -1, 0, 500, 60_000][decisions.below(choice, 6) as usize];
        configs.insert("retention.ms".to_owned(), age_ms.to_string());
    }
    let committer = commits::consumer(&env, &stage, id, Duration::from_secs(5));
    let turnover = Turnover {
        committer,
        is_in_doubt: Cell::new(false),
        env,
        stage,
        id,
        choice,
        partition: TopicPartitionName::new(TOPIC, 0),
        configs,
        retained,
    };
    turnover.run().await;
}

impl Turnover {
    async fn run(&self) {
        let client = self.client();
        let admin = Admin::new(&client);
        let mut cut_max = 0;
        let mut left_over = None;
        while let Some(id) = self.make(&admin).await {
            let identity = TopicPartition {
                topic: id,
                partition: self.partition.partition,
            };
            self.stage.tell(Event::NameResolved {
                partition: identity,
                found: Some(id),
            });
            self.stage.tell(Event::StartMoved {
                partition: identity,
                start: cut_max,
            });
            self.stage.lives.borrow_mut().push(identity);
            let kept = self.ask_retention(&admin).await;
            if let Some(Kept::Bytes(bytes)) = kept {
                self.stage.tell(Event::Retention {
                    partition: identity,
                    bytes,
                });
            }
            *self.stage.resident.borrow_mut() = Some(Resident {
                partition: self.partition.clone(),
                identity,
                retained: self.retained,
                kept,
            });
            let follower = self.live(&admin, identity, left_over.take(), &mut cut_max);
            left_over = Some(follower.await).filter(|follower| follower.has_read);
            if !self.works() {
                return;
            }
            self.recognise(&admin, identity).await;
            self.stage.resident.take();
            self.stage.tell(Event::DeleteStarted {
                partition: identity,
            });
            if !self.delete(&admin, id).await {
                return;
            }
            self.stage.tell(Event::Deleted {
                partition: identity,
            });
            self.stage.count("topics-deleted");
        }
    }

    /// What the topic keeps. Whoever asked for it first may have made it without any
    /// settings, so the broker is asked which hold; they hold as long as it lives.
    async fn ask_retention(&self, admin: &Admin<SimEnv>) -> Option<Kept> {
        if !self.retained {
            return None;
        }
        let topic = ConfigResource::Topic(TOPIC.to_owned());
        let configs = admin.describe_configs(&topic).await.ok()?;
        let number = |key: &str| -> Option<i64> {
            let config = configs.iter().find(|config| config.name == key)?;
            config.value.as_deref()?.parse().ok()
        };
        // A segment is as large as the topic's own settings say only if they came with it.
        let own = number("segment.bytes")? == SEGMENT_BYTES;
        let bytes = u64::try_from(number("retention.bytes")?).ok();
        match number("retention.ms")? {
            _ if !own => None,
            -1 => bytes.map(Kept::Bytes),
            _ => Some(Kept::Nothing),
        }
    }

    /// Asks who bears the name.
    async fn recognise(&self, admin: &Admin<SimEnv>, partition: TopicPartition) {
        let found = match admin.describe_topic(TOPIC).await {
            Ok(found) => Some(found.id),
            Err(error) if error.code() == Some(ErrorCode::UnknownTopicOrPartition) => None,
            Err(_) => return,
        };
        self.stage.tell(Event::NameResolved { partition, found });
    }

    fn works(&self) -> bool {
        self.stage.phase.get() == Phase::Work
    }

    fn below(&self, n: u64) -> u64 {
        self.stage.world.decisions().below(self.choice, n)
    }

    async fn rest(&self, milliseconds_max: u64) {
        let pause = Duration::from_millis(self.below(milliseconds_max));
        self.env.sleep(self.stage.rest(pause)).await;
    }

    fn client(&self) -> Client<SimEnv> {
        let options = ClientOptions {
            client_id: format!("turnover-{}", self.id),
            operation_timeout: Duration::from_secs(5),
            ..ClientOptions::default()
        };
        Client::new(&self.env, std::slice::from_ref(&self.stage.broker), options)
    }

    /// Makes the topic, unless it is there: a request whose answer was lost may have made it, or somebody's question for it.
    async fn make(&self, admin: &Admin<SimEnv>) -> Option<TopicId> {
        let topic = NewTopic {
            name: TOPIC.to_owned(),
            partitions: Some(1),
            replication_factor: None,
            configs: self.configs.clone(),
        };
        while self.works() {
            let made = match admin.create_topic(&topic, false).await {
                Err(error) => error.code() == Some(ErrorCode::TopicAlreadyExists),
                Ok(()) => true,
            };
            if made && let Ok(found) = admin.describe_topic(TOPIC).await {
                return Some(found.id);
            }
            self.rest(100).await;
        }
        None
    }

    async fn delete(&self, admin: &Admin<SimEnv>, id: TopicId) -> bool {
        while self.works() {
            match admin.delete_topic_with_id(id).await {
                Ok(()) => return true,
                Err(error) if error.code() == Some(ErrorCode::UnknownTopicId) => return true,
                Err(_) => self.rest(100).await,
            }
        }
        false
    }

    /// One life. Answers its reader.
    async fn live(
        &self,
        admin: &Admin<SimEnv>,
        identity: TopicPartition,
        mut left_over: Option<Follower>,
        cut_max: &mut Offset,
    ) -> Follower {
        let options = ProducerOptions {
            linger: Duration::from_millis(self.below(5)),
            block_max: Duration::from_secs(2),
            delivery_timeout: Duration::from_secs(10),
            ..ProducerOptions::default()
        };
        let producer = Producer::new(&self.client(), options);
        let mut follower = self.follow(identity);
        // Of a life that has just begun nothing is committed yet, whatever was of the one before.
        self.ask_committed(identity).await;
        for _ in 0..1 + self.below(30) {
            if !self.works() {
                break;
            }
            match self.below(11) {
                9 => self.commit(&follower).await,
                10 => self.ask_committed(identity).await,
                0..3 => self.fill(&producer, identity).await,
                3..6 => self.read(&mut follower).await,
                6 if self.below(4) == 0 => self.cut_too_much(admin, identity).await,
                6 => self.cut(admin, &follower, cut_max).await,
                7 => self.ask_start(admin, identity).await,
                _ => {
                    if let Some(left_over) = &mut left_over {
                        self.stage.count("polls-of-a-former-topic");
                        self.read(left_over).await;
                    }
                }
            }
            self.rest(20).await;
        }
        if self.below(2) == 0 {
            producer.flush().await;
        }
        follower
    }

    /// Commits how far it has read, for a group of its own.
    async fn commit(&self, follower: &Follower) {
        if let Some(position) = follower.consumer.position(&self.partition)
            && !self.is_in_doubt.get()
        {
            let place = (&self.partition, follower.identity);
            let taken = commits::commit(&self.stage, &self.committer, self.id, place, position);
            self.is_in_doubt.set(!taken.await);
        }
    }

    /// What was committed of a topic is nothing to the next one of its name.
    async fn ask_committed(&self, identity: TopicPartition) {
        if !self.is_in_doubt.get() {
            let place = (&self.partition, identity);
            self.stage.count("commits-of-a-life-asked");
            commits::ask(&self.stage, &self.committer, self.id, place).await;
        }
    }

    fn follow(&self, identity: TopicPartition) -> Follower {
        let options = ConsumerOptions {
            offset_reset: OffsetReset::Error,
            fetch_wait_max: Duration::from_millis(20),
            ..ConsumerOptions::default()
        };
        let consumer = Consumer::new(&self.client(), options);
        let place = (&self.partition, identity);
        reader::place(&self.stage, &consumer, self.id, place, StartAt::Earliest);
        Follower {
            consumer,
            identity,
            has_read: false,
            sent_away: false,
        }
    }

    async fn fill(&self, producer: &Producer<SimEnv>, identity: TopicPartition) {
        let sender = Sender {
            producer,
            client: self.id,
            idempotent: true,
            bytes_max: 700,
        };
        for _ in 0..1 + self.below(20) {
            send(&self.env, &self.stage, sender, &self.partition, identity).await;
        }
    }

    async fn read(&self, follower: &mut Follower) {
        if follower.sent_away {
            return;
        }
        let place = (&self.partition, follower.identity);
        let consumer = &follower.consumer;
        let before = consumer.position(&self.partition);
        if !reader::poll(&self.stage, consumer, self.id, place).await {
            // Sent away, since the start moved, or since the topic is gone.
            let is_resident = |resident: &Resident| resident.identity == follower.identity;
            if self
                .stage
                .resident
                .borrow()
                .as_ref()
                .is_some_and(is_resident)
            {
                *follower = self.follow(follower.identity);
            } else {
                follower.sent_away = true;
            }
            return;
        }
        let after = consumer.position(&self.partition);
        follower.has_read |= before.is_some() && after > before;
    }

    /// Tells what is answered to a question for the start.
    async fn start_told<T>(
        &self,
        partition: TopicPartition,
        question: impl Future<Output = Result<T, ClientError>>,
        start: impl FnOnce(&T) -> Option<Offset>,
    ) -> Option<T> {
        let operation = self.stage.next_operation();
        self.stage.tell(Event::EarliestStarted {
            operation,
            client: self.id,
            partition,
        });
        let answer = question.await.ok()?;
        if let Some(start) = start(&answer) {
            self.stage.tell(Event::EarliestAcked { operation, start });
        }
        Some(answer)
    }

    async fn ask_start(&self, admin: &Admin<SimEnv>, identity: TopicPartition) {
        let wanted = BTreeMap::from([(self.partition.clone(), OffsetSpec::Earliest)]);
        let found = |found: &BTreeMap<TopicPartitionName, FoundOffset>| {
            found.get(&self.partition).and_then(|found| found.offset)
        };
        let asked = self.start_told(identity, admin.list_offsets(&wanted), found);
        let Some(answer) = asked.await else { return };
        self.stage.count("starts-asked");
        if let Some(start) = found(&answer) {
            self.ask_by_time(admin, identity, start).await;
        }
    }

    /// No question for a time leads to before the start.
    async fn ask_by_time(&self, admin: &Admin<SimEnv>, identity: TopicPartition, start: Offset) {
        let spec = match self.below(2) {
            0 => OffsetSpec::MaxTimestamp,
            _ => OffsetSpec::Timestamp(0),
        };
        let wanted = BTreeMap::from([(self.partition.clone(), spec)]);
        let Ok(answer) = admin.list_offsets(&wanted).await else {
            return;
        };
        let found = answer.get(&self.partition).and_then(|found| found.offset);
        // By the name alone: it may be another topic's by now.
        let is_resident = |resident: &Resident| resident.identity == identity;
        let resident = self.stage.resident.borrow();
        if let Some(found) = found
            && found < start
            && resident.as_ref().is_some_and(is_resident)
        {
            let witness = format!("{identity:?} starts at {start}, and {spec:?} lies at {found}");
            self.stage.object("OFFSET-RANGE-TRUTH", witness);
        }
    }

    /// Nothing can be deleted that is not there yet.
    async fn cut_too_much(&self, admin: &Admin<SimEnv>, identity: TopicPartition) {
        let far = self.stage.first_offset.get() + (1 << 40);
        self.stage.count("deletions-beyond-the-end");
        if admin
            .delete_records(&self.partition, Some(far))
            .await
            .is_ok()
        {
            let witness = format!(
                "{identity:?}: what lies before {far} was deleted, which is beyond its end"
            );
            self.stage.object("OFFSET-RANGE-TRUTH", witness);
        }
    }

    /// Deletes the records before some place that was read.
    async fn cut(&self, admin: &Admin<SimEnv>, follower: &Follower, cut_max: &mut Offset) {
        let position = follower.consumer.position(&self.partition).unwrap_or(0);
        let offset = self.stage.pick_offset(self.choice, position);
        *cut_max = (*cut_max).max(offset);
        self.stage.tell(Event::StartMoved {
            partition: follower.identity,
            start: offset,
        });
        let deletion = admin.delete_records(&self.partition, Some(offset));
        let told = self.start_told(follower.identity, deletion, |start| Some(*start));
        if let Some(start) = told.await {
            self.stage.count("records-deleted");
            if start < offset {
                let witness = format!(
                    "{:?} starts at {start} after what lies before {offset} was deleted",
                    follower.identity
                );
                self.stage.object("OFFSET-ORDER", witness);
            }
        }
    }
}
