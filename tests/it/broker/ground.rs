//! A simulated machine with a broker on it, and a peer that speaks in frames.

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use taffrail_broker::{Inspection, Node, NodeConfig, start};
use taffrail_env::{Clock, Connection, Instant, Net};
use taffrail_record::Codec;
use taffrail_record::builder::{BatchBuilder, ProducerFields};
use taffrail_sim::{NodeOptions, SimConnection, SimEnv, Simulation};
use taffrail_storage::Options;
use taffrail_wire::api::ApiKey;
use taffrail_wire::create_topics::{CreatableTopic, CreatableTopicConfig};
use taffrail_wire::fetch::{FetchPartition, FetchTopic};
use taffrail_wire::header::ResponseHeader;
use taffrail_wire::metadata::MetadataRequestTopic;
use taffrail_wire::produce::{PartitionProduceData, TopicProduceData};
use taffrail_wire::{
    CreateTopicsRequest, CreateTopicsResponse, Decoder, FetchRequest, FetchResponse, Message,
    MetadataRequest, MetadataResponse, ProduceRequest, ProduceResponse, Records, Request, frame,
};

/// A configuration with small files, for a node of `shards` shards.
pub fn config(shards: usize) -> NodeConfig {
    let mut config = NodeConfig::new("/data/node".into());
    config.listen = "0.0.0.0:9092".to_string();
    config.memory_bytes = 64 << 20;
    config.shards = shards;
    config.storage = Options {
        journal_file_bytes: 1 << 20,
        journal_files: 3,
        ..Options::default()
    };
    let settings = [
        ("auto.create.topics.enable", "true"),
        ("group.initial.rebalance.delay.ms", "0"),
    ];
    for (key, value) in settings {
        set(&mut config, key, value);
    }
    config
}

/// Sets a broker key.
pub fn set(config: &mut NodeConfig, key: &str, value: &str) {
    let warning = config.settings.set(key, value);
    assert_eq!(warning, Ok(None), "{key}={value}");
}

/// Runs a story against a broker, then sees that the broker has all of its memory again and stops cleanly.
pub fn story<S, F>(config: NodeConfig, story: S)
where
    S: FnOnce(Place) -> F + Send + 'static,
    F: Future<Output = ()> + 'static,
{
    story_of_seed(1, config, story);
}

/// [`story`], with another order of things.
pub fn story_of_seed<S, F>(seed: u64, config: NodeConfig, story: S)
where
    S: FnOnce(Place) -> F + Send + 'static,
    F: Future<Output = ()> + 'static,
{
    let outcome = Simulation::new("broker", seed).run(move |world| async move {
        let machine = world.add_node(NodeOptions::named("broker"));
        let done = Rc::new(RefCell::new(false));
        let told = done.clone();
        world.start(machine, move |env| async move {
            let node = start(env.clone(), config).await.expect("the node starts");
            let place = Place {
                env: env.clone(),
                node: node.clone(),
            };
            story(place.clone()).await;
            place.comes_to_rest().await;
            node.shutdown().await.expect("a clean stop");
            *told.borrow_mut() = true;
        });
        world.exited(machine).await;
        assert!(*done.borrow(), "the story was told to its end");
    });
    assert!(outcome.failure.is_none(), "{:?}", outcome.failure);
}

/// Where a story plays.
#[derive(Clone)]
pub struct Place {
    pub env: SimEnv,
    pub node: Node<SimEnv>,
}

impl Place {
    /// A new connection to the broker.
    pub async fn peer(&self) -> Peer {
        Peer::connect(&self.env).await
    }

    /// What the node serves from memory is what its logs say, and nothing of them is gone that no snapshot holds.
    pub async fn audit(&self) {
        let audit = self.node.audit().await.expect("the log says the same");
        let covered = audit.prefixes.iter().all(|prefix| prefix.is_covered());
        assert!(covered, "{:?}", audit.prefixes);
    }

    pub async fn inspect(&self) -> Inspection {
        self.node.inspect().await
    }

    /// Once the peers are gone, nothing is reserved and nobody waits.
    pub async fn comes_to_rest(&self) {
        for _ in 0..1000 {
            let seen = self.inspect().await;
            if seen.connections == 0 {
                assert_eq!((seen.budget_used, seen.budget_waiting), (0, 0));
                return;
            }
            self.env.sleep(Duration::from_millis(100)).await;
        }
        panic!("connections are left: {:?}", self.inspect().await);
    }

    /// How long something takes.
    pub async fn timed<T>(&self, work: impl Future<Output = T>) -> (T, Duration) {
        let began: Instant = self.env.now();
        let result = work.await;
        (result, self.env.now().saturating_since(began))
    }
}

/// A client that knows frames and nothing else.
pub struct Peer {
    env: SimEnv,
    connection: SimConnection,
    buffer: BytesMut,
    correlation_id: i32,
}

/// A response's frame.
pub struct Reply {
    frame: Bytes,
    pub correlation_id: i32,
    key: ApiKey,
    version: i16,
}

impl Reply {
    /// The response.
    pub fn read<'f, M: Message<'f>>(&'f self) -> M {
        assert_eq!(M::KEY, self.key);
        self.read_as(self.version)
    }

    /// The response, in a version of its own.
    pub fn read_as<'f, M: Message<'f>>(&'f self, version: i16) -> M {
        let mut decoder = Decoder::new(&self.frame);
        ResponseHeader::decode(&mut decoder, self.key, version).expect("a header");
        M::decode(&mut decoder, version)
            .unwrap_or_else(|error| panic!("{:?} version {version}: {error}", self.key))
    }
}

impl Peer {
    pub async fn connect(env: &SimEnv) -> Peer {
        let connection = env.connect("broker:9092").await.expect("it listens");
        Peer {
            env: env.clone(),
            connection,
            buffer: BytesMut::new(),
            correlation_id: 0,
        }
    }

    /// Sends bytes as they are.
    pub async fn send_bytes(&self, bytes: impl Into<Bytes>) {
        // A broker that hangs up in the middle is for the receiving side to see.
        let _ = self.connection.write(vec![bytes.into()]).await;
    }

    /// Sends a request; answers its correlation id.
    pub async fn send<'a, R: Request<'a>>(&mut self, version: i16, request: &R) -> i32 {
        self.correlation_id += 1;
        let chunks = frame::request(request, version, self.correlation_id, Some("test"))
            .unwrap_or_else(|error| panic!("{:?} version {version}: {error}", R::KEY));
        let _ = self.connection.write(chunks).await;
        self.correlation_id
    }

    /// The next frame, without its length; `None` once the broker has closed the connection.
    pub async fn receive_frame(&mut self) -> Option<Bytes> {
        loop {
            if let Some(prefix) = self.buffer.first_chunk::<4>() {
                let length = u32::from_be_bytes(*prefix) as usize;
                if self.buffer.len() >= 4 + length {
                    self.buffer.advance(4);
                    return Some(self.buffer.split_to(length).freeze());
                }
            }
            match self.connection.read(&mut self.buffer, 64 << 10).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// The next response, which is one to a request of this API and version.
    pub async fn receive(&mut self, key: ApiKey, version: i16) -> Reply {
        let frame = self.receive_frame().await;
        let frame = frame.unwrap_or_else(|| panic!("{key:?} version {version} closed it"));
        Reply {
            correlation_id: i32::from_be_bytes(frame[..4].try_into().expect("four bytes")),
            frame,
            key,
            version,
        }
    }

    /// Sends a request and receives its response.
    pub async fn call<'a, R: Request<'a>>(&mut self, version: i16, request: &R) -> Reply {
        let sent = self.send(version, request).await;
        let reply = self.receive(R::KEY, version).await;
        assert_eq!(reply.correlation_id, sent);
        reply
    }

    /// Whether the broker closes the connection, without another frame.
    pub async fn is_closed(&mut self) -> bool {
        self.receive_frame().await.is_none()
    }

    /// Creates a topic.
    pub async fn create(&mut self, name: &str, partitions: i32, configs: &[(&str, &str)]) {
        let request = CreateTopicsRequest {
            topics: vec![new_topic(name, partitions, configs)],
            ..CreateTopicsRequest::default()
        };
        let reply = self.call(7, &request).await;
        let response: CreateTopicsResponse<'_> = reply.read();
        let topic = &response.topics[0];
        assert_eq!((topic.error_code, topic.error_message), (0, None));
    }

    /// The id of a topic.
    pub async fn topic_id(&mut self, name: &str) -> [u8; 16] {
        let request = MetadataRequest {
            topics: Some(vec![MetadataRequestTopic {
                name: Some(name),
                ..MetadataRequestTopic::default()
            }]),
            allow_auto_topic_creation: false,
            ..MetadataRequest::default()
        };
        let reply = self.call(12, &request).await;
        let response: MetadataResponse<'_> = reply.read();
        assert_eq!(response.topics[0].error_code, 0);
        response.topics[0].topic_id
    }

    /// Produces one batch; answers the error and the base offset.
    pub async fn produce(&mut self, topic: &str, partition: i32, batch: Bytes) -> (i16, i64) {
        let reply = self.call(9, &produce(topic, partition, batch, -1)).await;
        let response: ProduceResponse<'_> = reply.read();
        let partition = &response.responses[0].partition_responses[0];
        (partition.error_code, partition.base_offset)
    }

    /// Fetches once, without a session; answers the error, the high watermark and the bytes.
    pub async fn fetch(&mut self, topic: &str, partition: i32, from: i64) -> (i16, i64, Bytes) {
        let reply = self.call(12, &fetch(topic, &[(partition, from)], 0)).await;
        let response: FetchResponse<'_> = reply.read();
        let partition = &response.responses[0].partitions[0];
        let records = partition.records.clone().unwrap_or_default();
        (
            partition.error_code,
            partition.high_watermark,
            records.into_bytes(),
        )
    }
}

/// A topic to be created, with as many replicas as the broker says.
pub fn new_topic<'a>(
    name: &'a str,
    partitions: i32,
    configs: &[(&'a str, &'a str)],
) -> CreatableTopic<'a> {
    CreatableTopic {
        name,
        num_partitions: partitions,
        replication_factor: -1,
        configs: configs
            .iter()
            .map(|(name, value)| CreatableTopicConfig {
                name,
                value: Some(value),
            })
            .collect(),
        ..CreatableTopic::default()
    }
}

/// A produce request for one partition.
pub fn produce(topic: &str, partition: i32, batch: Bytes, acks: i16) -> ProduceRequest<'_> {
    ProduceRequest {
        transactional_id: None,
        acks,
        timeout_ms: 30_000,
        topic_data: vec![TopicProduceData {
            name: topic,
            partition_data: vec![PartitionProduceData {
                index: partition,
                records: Some(Records::from(batch)),
            }],
            ..TopicProduceData::default()
        }],
    }
}

/// A fetch without a session, of (partition, offset) of one topic.
pub fn fetch<'a>(topic: &'a str, partitions: &[(i32, i64)], max_wait_ms: i32) -> FetchRequest<'a> {
    FetchRequest {
        max_wait_ms,
        min_bytes: 1,
        max_bytes: 1 << 20,
        topics: vec![fetch_topic(topic, partitions)],
        ..FetchRequest::default()
    }
}

/// What is fetched of a topic.
pub fn fetch_topic<'a>(topic: &'a str, partitions: &[(i32, i64)]) -> FetchTopic<'a> {
    FetchTopic {
        topic,
        partitions: partitions
            .iter()
            .map(|(partition, fetch_offset)| FetchPartition {
                partition: *partition,
                fetch_offset: *fetch_offset,
                partition_max_bytes: 1 << 20,
                ..FetchPartition::default()
            })
            .collect(),
        ..FetchTopic::default()
    }
}

/// A batch of these values, stamped with the time given.
pub fn batch_at(time_ms: i64, values: &[&[u8]], producer: ProducerFields) -> Bytes {
    let mut builder = BatchBuilder::new(Codec::None, time_ms);
    for value in values {
        builder
            .append(time_ms, None, Some(value), &[])
            .expect("a small record");
    }
    builder.finish(producer).expect("a small batch").freeze()
}

impl Peer {
    /// A batch of these values, stamped with the present.
    pub fn batch(&self, values: &[&[u8]]) -> Bytes {
        batch_at(self.env.unix_ms(), values, ProducerFields::default())
    }
}

/// The values of all records in concatenated batches.
pub fn values(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut values = Vec::new();
    for batch in taffrail_record::batch::Batches::new(bytes) {
        let (_, batch) = batch.expect("a whole batch");
        let limit = taffrail_record::compression::DecompressLimit {
            output_bytes_max: 1 << 20,
        };
        taffrail_record::batch::for_each_record(batch, limit, |_, record| {
            values.push(record.value.unwrap_or_default().to_vec());
            std::ops::ControlFlow::Continue(())
        })
        .expect("records");
    }
    values
}
