//! One client that changes settings while everything else goes on, and holds the broker to them: of a topic that nobody else uses, and
//! of all brokers where that is harmless to everybody else.
//!
//! A setting holds from its acknowledgement on, over any number of deaths. One whose change was not acknowledged may hold or
//! not, and may come to hold late, for as long as the process lives that may have it in hand: so every key has a set of values that
//! it may have, and only what none of them explains is objected to. What errors, silence and lost connections hide is no
//! contradiction. Nobody else is told of the topic's records: no setting of it may cost a record that somebody counts on.

use super::peer::Peer;
use super::{Phase, Presence, Stage};
use crate::decision::Stream;
use crate::env::SimEnv;
use crate::history::{ClientId, Event};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;
use taffrail_client::admin::NewTopic;
use taffrail_client::{Admin, Client, ClientOptions, Codec};
use taffrail_env::Clock;
use taffrail_record::Offset;
use taffrail_record::batch::{BatchHeader, TimestampType, split_batch, verify_crc};
use taffrail_record::builder::{BatchBuilder, ProducerFields};
use taffrail_wire::describe_configs::DescribeConfigsResource;
use taffrail_wire::fetch::{FetchPartition, FetchTopic};
use taffrail_wire::incremental_alter_configs::{AlterConfigsResource, AlterableConfig};
use taffrail_wire::produce::{PartitionProduceData, TopicProduceData};
use taffrail_wire::{
    DescribeConfigsRequest, ErrorCode, FetchRequest, IncrementalAlterConfigsRequest,
    ProduceRequest, Records,
};

/// The topic, which is in nobody's list.
const TOPIC: &str = "tuned";
const PATIENCE: Duration = Duration::from_secs(5);
const ALTER_VERSION: i16 = 1;
const DESCRIBE_VERSION: i16 = 4;
const PRODUCE_VERSION: i16 = 9;
const FETCH_VERSION: i16 = 12;
const TOPIC_RESOURCE: i8 = 2;
const BROKER_RESOURCE: i8 = 4;
const SET: i8 = 0;
const DELETE: i8 = 1;
/// Bytes of a record's value: such that its batch keeps the smallest limit that is ever set, and such that it does not.
const SMALL: usize = 20;
const LARGE: usize = 2_000;
/// A batch may grow by so much under another codec, and be refused for that.
const GROWTH_MAX: i64 = 200;

/// What is acknowledged where records keep their own times.
const NO_TIME: i64 = -1;

const POLICY: &str = "POLICY-RESPECTED";
const COMPRESSION: &str = "compression.type";
const MESSAGE_MAX: &str = "max.message.bytes";
const TIME: &str = "message.timestamp.type";
const REPLICAS: &str = "min.insync.replicas";
const LOG_APPEND_TIME: &str = "LogAppendTime";

/// A key of a topic, and what it is set to.
struct Setting {
    key: &'static str,
    values: &'static [&'static str],
}

const SETTINGS: [Setting; 5] = [
    Setting {
        key: COMPRESSION,
        values: &["producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"],
    },
    Setting {
        key: MESSAGE_MAX,
        values: &["600"],
    },
    Setting {
        key: TIME,
        values: &[LOG_APPEND_TIME, "CreateTime"],
    },
    Setting {
        key: REPLICAS,
        values: &["1", "2"],
    },
    DELAY,
];

/// When files go is nothing to anybody who reads.
const DELAY: Setting = Setting {
    key: "file.delete.delay.ms",
    values: &["50", "60000"],
};

/// Whose setting it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Scope {
    Topic,
    EveryBroker,
}

impl Scope {
    fn resource(self) -> (i8, &'static str) {
        match self {
            Scope::Topic => (TOPIC_RESOURCE, TOPIC),
            Scope::EveryBroker => (BROKER_RESOURCE, ""),
        }
    }

    /// What brokers call that which stands for a topic's key.
    fn name(self, key: &'static str) -> &'static str {
        match self {
            Scope::EveryBroker if key == DELAY.key => "log.segment.delete.delay.ms",
            _ => key,
        }
    }
}

/// `None`: it is not set.
type Value = Option<&'static str>;

/// What a key is set to in one scope.
#[derive(Default)]
struct Held {
    /// As was acknowledged last.
    value: Value,
    /// Asked for without an acknowledgement, each with the last process of the broker that may have had it in hand: as long as that
    /// one lives, it may take effect after what was asked for later.
    late: Vec<(Value, u32)>,
}

impl Held {
    fn possible(&self) -> impl Iterator<Item = Value> + '_ {
        let late = self.late.iter().map(|(value, _)| *value);
        std::iter::once(self.value).chain(late)
    }
}

/// A change to be made.
#[derive(Clone, Copy)]
struct Change {
    scope: Scope,
    key: &'static str,
    value: Value,
}

/// A connection.
struct Line {
    peer: Peer,
    /// It leads to this process of the broker, or to a later one.
    since: u32,
}

struct Operator {
    env: SimEnv,
    stage: Rc<Stage>,
    choice: Stream,
    name: String,
    /// All topics are stored under the codecs that it draws.
    recompresses: bool,
    /// What the topic has where nothing is set, by key; as it was before anything was set. Empty until it is known.
    base: BTreeMap<&'static str, String>,
    held: BTreeMap<(Scope, &'static str), Held>,
    /// Repeated until it is acknowledged.
    change: Option<Change>,
}

/// Runs until the producers stop.
pub async fn run(env: SimEnv, stage: Rc<Stage>, id: ClientId) {
    let _presence = Presence::new(&stage);
    let name = format!("operator-{id}");
    let decisions = stage.world.decisions();
    let choice = decisions.stream(&format!("{name}/choice"));
    let recompresses = decisions.below(decisions.stream(&format!("{name}/recompresses")), 4) == 0;
    if recompresses {
        stage.tell(Event::Recompresses);
    }
    let mut operator = Operator {
        env,
        stage,
        choice,
        name,
        recompresses,
        base: BTreeMap::new(),
        held: BTreeMap::new(),
        change: None,
    };
    operator.make().await;
    while operator.works() {
        if let Some(mut line) = operator.connect().await {
            while operator.works() && operator.visit(&mut line).await.is_some() {
                operator.rest(300).await;
            }
            line.peer.leave();
        }
        operator.rest(100).await;
    }
}

impl Operator {
    fn works(&self) -> bool {
        self.stage.phase.get() == Phase::Work
    }

    fn draw(&self, n: usize) -> usize {
        let decisions = self.stage.world.decisions();
        decisions.below(self.choice, n as u64) as usize
    }

    async fn rest(&self, milliseconds_max: usize) {
        let pause = Duration::from_millis(self.draw(milliseconds_max) as u64);
        self.env.sleep(self.stage.rest(pause)).await;
    }

    /// The broker's processes so far.
    fn incarnation(&self) -> u32 {
        self.stage.world.incarnation(self.stage.atlas.node)
    }

    async fn connect(&self) -> Option<Line> {
        let since = self.incarnation();
        let peer = Peer::connect(&self.env, &self.stage.broker, &self.name, PATIENCE).await?;
        Some(Line { peer, since })
    }

    /// Makes the topic; it is there if a request whose answer was lost has made it.
    async fn make(&self) {
        let options = ClientOptions {
            client_id: self.name.clone(),
            operation_timeout: PATIENCE,
            ..ClientOptions::default()
        };
        let client = Client::new(&self.env, std::slice::from_ref(&self.stage.broker), options);
        let topic = NewTopic {
            name: TOPIC.to_owned(),
            partitions: Some(1),
            replication_factor: Some(1),
            configs: BTreeMap::from([("segment.bytes".to_owned(), "4096".to_owned())]),
        };
        while self.works() {
            match Admin::new(&client).create_topic(&topic, false).await {
                Ok(()) => return,
                Err(error) if error.code() == Some(ErrorCode::TopicAlreadyExists) => return,
                Err(_) => self.rest(100).await,
            }
        }
    }

    /// Changes something, and looks what came of it. `None` if the connection is of no more use.
    async fn visit(&mut self, line: &mut Line) -> Option<()> {
        if self.base.is_empty() {
            return self.describe(line).await;
        }
        let change = match self.change {
            Some(change) => change,
            None => self.draw_change(),
        };
        self.change = Some(change);
        self.alter(line, change).await?;
        for _ in 0..1 + self.draw(3) {
            match self.draw(3) {
                0 => self.describe(line).await?,
                _ => self.produce(line).await?,
            }
        }
        Some(())
    }

    fn draw_change(&self) -> Change {
        let (scope, setting) = match self.draw(4) {
            0 if self.recompresses && self.draw(2) == 0 => (Scope::EveryBroker, &SETTINGS[0]),
            0 => (Scope::EveryBroker, &DELAY),
            _ => (Scope::Topic, &SETTINGS[self.draw(SETTINGS.len())]),
        };
        let value = match self.draw(3) {
            0 => None,
            _ => Some(setting.values[self.draw(setting.values.len())]),
        };
        Change {
            scope,
            key: setting.key,
            value,
        }
    }

    /// Asks for a change, and notes what may hold after that.
    async fn alter(&mut self, line: &mut Line, change: Change) -> Option<()> {
        let Change { scope, key, value } = change;
        let (resource_type, resource_name) = scope.resource();
        let request = IncrementalAlterConfigsRequest {
            resources: vec![AlterConfigsResource {
                resource_type,
                resource_name,
                configs: vec![AlterableConfig {
                    name: scope.name(key),
                    config_operation: if value.is_some() { SET } else { DELETE },
                    value,
                }],
            }],
            validate_only: false,
        };
        let answer = line.peer.call(ALTER_VERSION, &request).await;
        let code = answer.as_ref().and_then(|answer| {
            let response = answer.read::<IncrementalAlterConfigsRequest<'_>>(ALTER_VERSION)?;
            Some(response.responses.first()?.error_code)
        });
        let incarnation = self.incarnation();
        let held = self.held.entry((scope, key)).or_default();
        if code == Some(0) {
            held.value = value;
            // What an earlier process had in hand is done by now, or never will be.
            held.late.retain(|(_, last)| *last >= line.since);
            self.change = None;
            self.stage.count("settings-changed");
        } else {
            held.late.retain(|(late, _)| *late != value);
            held.late.push((value, incarnation));
            self.stage.count("settings-in-doubt");
        }
        code.map(|_| ())
    }

    /// What a key of the topic may have at present: the topic's own setting, else that of all brokers, else what there was.
    fn effective(&self, key: &'static str) -> BTreeSet<&str> {
        let possible = |scope| -> Vec<Value> {
            match self.held.get(&(scope, key)) {
                Some(held) => held.possible().collect(),
                None => vec![None],
            }
        };
        let base = self.base.get(key).map(String::as_str);
        let every_broker = possible(Scope::EveryBroker);
        let inherited = || every_broker.iter().filter_map(|value| value.or(base));
        let mut effective = BTreeSet::new();
        for own in possible(Scope::Topic) {
            match own {
                Some(own) => drop(effective.insert(own)),
                None => effective.extend(inherited()),
            }
        }
        effective
    }

    /// Objects unless some value that the key may have explains what was seen.
    fn hold(
        &self,
        invariant: &'static str,
        key: &'static str,
        seen: &str,
        explains: impl Fn(&str) -> bool,
    ) {
        let effective = self.effective(key);
        let explained = effective.iter().any(|value| explains(value));
        if !explained {
            let witness = format!("{TOPIC}: {key} may be {effective:?}; {seen}");
            self.stage.object(invariant, witness);
        }
    }

    /// Asks for all keys. The first answer says what there is where nothing is set.
    async fn describe(&mut self, line: &mut Line) -> Option<()> {
        let keys = SETTINGS.iter().map(|setting| setting.key);
        let request = DescribeConfigsRequest {
            resources: vec![DescribeConfigsResource {
                resource_type: TOPIC_RESOURCE,
                resource_name: TOPIC,
                configuration_keys: Some(keys.clone().collect()),
            }],
            ..DescribeConfigsRequest::default()
        };
        let answer = line.peer.call(DESCRIBE_VERSION, &request).await?;
        let response = answer.read::<DescribeConfigsRequest<'_>>(DESCRIBE_VERSION)?;
        let result = response.results.first()?;
        if result.error_code != 0 {
            return Some(());
        }
        let told = |key| {
            let config = result.configs.iter().find(|config| config.name == key)?;
            config.value
        };
        if self.base.is_empty() {
            let found = keys.map(|key| Some((key, told(key)?.to_owned())));
            self.base = found.collect::<Option<_>>().unwrap_or_default();
            return Some(());
        }
        for key in keys {
            let told = told(key).unwrap_or_default();
            let seen = format!("it is said to be {told:?}");
            self.hold("LINEAR-READ", key, &seen, |value| value == told);
        }
        self.stage.count("settings-asked");
        Some(())
    }

    /// Produces a batch of one record, and looks whether it was taken or refused, and stored, as the settings say.
    async fn produce(&self, line: &mut Line) -> Option<()> {
        let acks = [-1, -1, 1][self.draw(3)];
        let value_bytes = [SMALL, SMALL, LARGE][self.draw(3)];
        let time = self.stage.record_time();
        let batch = batch(time, value_bytes);
        let size = batch.len() as i64;
        let request = ProduceRequest {
            transactional_id: None,
            acks,
            timeout_ms: PATIENCE.as_millis() as i32,
            topic_data: vec![TopicProduceData {
                name: TOPIC,
                partition_data: vec![PartitionProduceData {
                    index: 0,
                    records: Some(Records::from(batch)),
                }],
                ..TopicProduceData::default()
            }],
        };
        let answer = line.peer.call(PRODUCE_VERSION, &request).await?;
        let response = answer.read::<ProduceRequest<'_>>(PRODUCE_VERSION)?;
        let answer = response.responses.first()?.partition_responses.first()?;
        let seen = |what: &str| format!("a batch of {size} bytes with acks={acks} was {what}");
        match ErrorCode::from(answer.error_code) {
            ErrorCode::NotEnoughReplicas => {
                self.stage.count("tuned-refused-for-replicas");
                let seen = seen("refused for want of replicas, and there is one");
                self.hold(POLICY, REPLICAS, &seen, |least| {
                    acks == -1 && number(least).is_none_or(|least| least > 1)
                });
            }
            ErrorCode::MessageTooLarge => {
                self.stage.count("tuned-refused-for-size");
                let seen = seen("refused as too large");
                self.hold(POLICY, MESSAGE_MAX, &seen, |max| {
                    number(max).is_none_or(|max| max < size + GROWTH_MAX)
                });
            }
            ErrorCode::None => {
                self.stage.count("tuned-taken");
                let seen = seen("taken");
                self.hold(POLICY, REPLICAS, &seen, |least| {
                    acks != -1 || number(least).is_none_or(|least| least <= 1)
                });
                self.hold(POLICY, MESSAGE_MAX, &seen, |max| {
                    number(max).is_none_or(|max| max >= size)
                });
                let (offset, stamp) = (answer.base_offset, answer.log_append_time_ms);
                return self.look(line, offset, time, stamp).await;
            }
            _ => {}
        }
        Some(())
    }

    /// Looks how an acknowledged batch is stored, whose record bore `time`, and which was acknowledged with the broker's `stamp`.
    async fn look(&self, line: &mut Line, offset: Offset, time: i64, stamp: i64) -> Option<()> {
        let seen = format!("offset {offset} was acknowledged with the time {stamp}");
        self.hold(POLICY, TIME, &seen, |whose| {
            // A clock may be so wrong that the time is before 1970: every other number is one.
            (whose == LOG_APPEND_TIME) == (stamp != NO_TIME)
        });
        let Some(header) = self.fetch(line, offset).await? else {
            return Some(());
        };
        self.stage.count("tuned-read");
        if let Ok(codec) = header.codec() {
            let seen = format!("the batch at offset {offset} is stored as {}", codec.name());
            self.hold(POLICY, COMPRESSION, &seen, |wanted| {
                codec_of(wanted).is_none_or(|wanted| wanted == codec)
            });
        }
        let times = (header.base_timestamp, header.max_timestamp);
        let is_stamped = header.timestamp_type() == TimestampType::LogAppendTime;
        let is_right = match is_stamped {
            true => times.1 == stamp,
            false => times == (time, time),
        };
        let seen = format!(
            "the batch at offset {offset} of time {time}, acknowledged with {stamp}, has {times:?} of type {:?}",
            header.timestamp_type()
        );
        self.hold(POLICY, TIME, &seen, |whose| {
            is_right && (whose == LOG_APPEND_TIME) == is_stamped
        });
        Some(())
    }

    /// The header of the batch at an offset, as it is stored; `Some(None)` if it is not there, or not sound, which is for others to judge.
    async fn fetch(&self, line: &mut Line, offset: Offset) -> Option<Option<BatchHeader>> {
        const BYTES_MAX: i32 = 1 << 20;
        let request = FetchRequest {
            max_wait_ms: 100,
            min_bytes: 1,
            max_bytes: BYTES_MAX,
            topics: vec![FetchTopic {
                topic: TOPIC,
                partitions: vec![FetchPartition {
                    partition: 0,
                    fetch_offset: offset,
                    partition_max_bytes: BYTES_MAX,
                    ..FetchPartition::default()
                }],
                ..FetchTopic::default()
            }],
            ..FetchRequest::default()
        };
        let answer = line.peer.call(FETCH_VERSION, &request).await?;
        let response = answer.read::<FetchRequest<'_>>(FETCH_VERSION)?;
        let answer = response.responses.first()?.partitions.first()?;
        let bytes = answer.records.clone().unwrap_or_default().into_bytes();
        let found = split_batch(&bytes).ok();
        let sound = found.filter(|(header, batch)| {
            answer.error_code == 0 && header.base_offset == offset && verify_crc(batch).is_ok()
        });
        Some(sound.map(|(header, _)| header))
    }
}

/// `None`: it is no number, and says nothing.
fn number(text: &str) -> Option<i64> {
    text.parse().ok()
}

/// Under which codec a batch that came without one is stored.
fn codec_of(setting: &str) -> Option<Codec> {
    match setting {
        "producer" | "uncompressed" => Some(Codec::None),
        name => Codec::ALL.into_iter().find(|codec| codec.name() == name),
    }
}

/// One record without a codec, of which every codec makes something else.
fn batch(time: i64, value_bytes: usize) -> Bytes {
    let value: Vec<u8> = (0..value_bytes).map(|at| (at % 7) as u8).collect();
    let mut builder = BatchBuilder::new(Codec::None, time);
    builder
        .append(time, None, Some(&value), &[])
        .expect("the record is small");
    let batch = builder.finish(ProducerFields::default());
    batch.expect("a batch with one record").freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_may_have_what_was_acknowledged_last_and_whatever_comes_late() {
        let mut held = Held::default();
        assert_eq!(held.possible().collect::<Vec<_>>(), [None]);
        held.value = Some("lz4");
        held.late.push((None, 3));
        assert_eq!(held.possible().collect::<Vec<_>>(), [Some("lz4"), None]);
    }

    #[test]
    fn settings_name_codecs() {
        assert_eq!(codec_of("uncompressed"), Some(Codec::None));
        assert_eq!(codec_of("zstd"), Some(Codec::Zstd));
        assert_eq!(codec_of("brotli"), None);
    }
}
