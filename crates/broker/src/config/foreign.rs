//! Keys of Kafka's broker that have no setting here, and what becomes of them.
//!
//! People bring their `server.properties`. A key that tunes something this node does not have is accepted with
//! one warning; a key that would make it safer, or otherwise promise what it cannot keep, is refused. Anything else is unknown.

/// What Kafka expects as the value of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    Integer,
    Number,
    Boolean,
    Text,
}

impl Expected {
    /// What a value has to be, unless `text` is one.
    pub fn refuses(self, text: &str) -> Option<&'static str> {
        let text = text.trim();
        let (is_one, what) = match self {
            Expected::Integer => (text.parse::<i64>().is_ok(), "must be a whole number"),
            Expected::Number => {
                let number = text.parse::<f64>();
                (number.is_ok_and(f64::is_finite), "must be a number")
            }
            Expected::Boolean => {
                let is_one = ["true", "false"]
                    .iter()
                    .any(|b| b.eq_ignore_ascii_case(text));
                (is_one, "must be true or false")
            }
            Expected::Text => (true, ""),
        };
        (!is_one).then_some(what)
    }
}

/// Ends of names by which Kafka's keys tell what they expect. The first that fits holds.
const EXPECTED: &[(&str, Expected)] = &[
    ("io.buffer.load.factor", Expected::Number),
    ("io.max.bytes.per.second", Expected::Number),
    (".backlog.size", Expected::Integer),
    (".broker.percentage", Expected::Integer),
    (".bytes", Expected::Integer),
    (".compression.codec", Expected::Integer),
    (".enable", Expected::Boolean),
    (".factor", Expected::Integer),
    (".fetchers", Expected::Integer),
    (".isr", Expected::Integer),
    (".max.id", Expected::Integer),
    (".ms", Expected::Integer),
    (".num", Expected::Integer),
    (".num.samples", Expected::Integer),
    (".partitions", Expected::Integer),
    (".requests", Expected::Integer),
    (".required.acks", Expected::Integer),
    (".retries", Expected::Integer),
    (".seconds", Expected::Integer),
    (".size", Expected::Integer),
    (".size.limit", Expected::Integer),
    (".snapshots", Expected::Integer),
    (".threads", Expected::Integer),
    (".threads.per.data.dir", Expected::Integer),
];

/// What Kafka expects of a key that [`lookup`] accepts.
pub fn expected(key: &str) -> Expected {
    let found = EXPECTED.iter().find(|(end, _)| key.ends_with(end));
    found.map_or(Expected::Text, |(_, expected)| *expected)
}

/// What becomes of a key that is no setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// Accepted with one warning: there is nothing here for it to act on.
    NothingToActOn,
    /// Refused, and why: leaving it out silently would break a promise.
    Refused(&'static str),
}

const NO_SECURITY: &str =
    "TLS, SASL and authorizers are not available; remove it, and keep the listener on loopback";
const NO_CODE: &str = "classes cannot be loaded here";
const NO_TIERS: &str = "there is no remote storage here";
const NO_QUOTAS: &str = "clients are not held to quotas here";

/// Keys that tune what this node does not have.
const NOTHING_TO_ACT_ON: &[&str] = &[
    "alter.log.dirs.",
    "auto.leader.rebalance.enable",
    "background.threads",
    "broker.heartbeat.interval.ms",
    "broker.id.generation.enable",
    "broker.rack",
    "broker.session.timeout.ms",
    "connection.failed.authentication.delay.ms",
    "control.plane.",
    "controlled.shutdown.",
    "controller.listener.names",
    "controller.quorum.append.linger.ms",
    "controller.quorum.bootstrap.servers",
    "controller.quorum.election.",
    "controller.quorum.fetch.timeout.ms",
    "controller.quorum.request.timeout.ms",
    "controller.quorum.retry.backoff.ms",
    "controller.quota.",
    "controller.socket.timeout.ms",
    "delete.records.purgatory.",
    "fetch.purgatory.",
    "follower.fetch.",
    "group.consumer.",
    "group.coordinator.append.linger.ms",
    "group.coordinator.threads",
    "group.share.",
    "initial.broker.registration.timeout.ms",
    "inter.broker.",
    "kafka.metrics.",
    "leader.imbalance.",
    "listener.security.protocol.map",
    "log.cleaner.backoff.ms",
    "log.cleaner.dedupe.buffer.size",
    "log.cleaner.enable",
    "log.cleaner.io.",
    "log.cleaner.threads",
    "log.flush.offset.checkpoint.interval.ms",
    "log.flush.scheduler.interval.ms",
    "log.flush.start.offset.checkpoint.interval.ms",
    "log.initial.task.delay.ms",
    "log.message.downconversion.enable",
    "log.message.format.version",
    "max.request.partition.size.limit",
    "metadata.log.",
    "metadata.max.",
    "metric.reporters",
    "metrics.",
    "min.incremental.fetch.",
    "node.rack",
    "num.io.threads",
    "num.network.threads",
    "num.recovery.threads.per.data.dir",
    "num.replica.",
    "offsets.commit.",
    "offsets.load.buffer.size",
    "offsets.topic.compression.codec",
    "offsets.topic.replication.factor",
    "process.roles",
    "producer.id.expiration.check.interval.ms",
    "producer.purgatory.",
    "queued.max.",
    "quota.",
    "quotas.",
    "replica.",
    "replication.quota.",
    "request.timeout.ms",
    "reserved.broker.max.id",
    "server.max.startup.time.ms",
    "share.coordinator.",
    "socket.connection.setup.timeout.",
    "socket.listen.backlog.size",
    "socket.receive.buffer.bytes",
    "socket.send.buffer.bytes",
    "telemetry.",
    "transaction.abort.timed.out.",
    "transaction.max.timeout.ms",
    "transaction.partition.verification.enable",
    "transaction.remove.expired.",
    "transaction.state.log.",
    "transactional.id.expiration.ms",
    "unstable.",
    "zookeeper.",
];

/// Keys whose promise this node cannot keep.
const REFUSED: &[(&str, &str)] = &[
    ("alter.config.policy.class.name", NO_CODE),
    ("authorizer.class.name", NO_SECURITY),
    ("allow.everyone.if.no.acl.found", NO_SECURITY),
    ("client.quota.callback.class", NO_CODE),
    ("config.providers", NO_CODE),
    ("create.topic.policy.class.name", NO_CODE),
    ("delegation.token.", NO_SECURITY),
    ("early.start.listeners", NO_SECURITY),
    (
        "max.connections.per.ip.overrides",
        "one limit holds for all addresses; use max.connections.per.ip",
    ),
    ("password.encoder.", NO_SECURITY),
    ("principal.builder.class", NO_SECURITY),
    ("quota.consumer.default", NO_QUOTAS),
    ("quota.producer.default", NO_QUOTAS),
    ("remote.log.", NO_TIERS),
    ("replica.selector.class", NO_CODE),
    ("sasl.", NO_SECURITY),
    ("security.", NO_SECURITY),
    ("ssl.", NO_SECURITY),
    ("super.users", NO_SECURITY),
];

/// What becomes of `key`, if Kafka's broker knows it. An entry that ends in a dot stands for all keys that begin with it.
pub fn lookup(key: &str) -> Option<Foreign> {
    let names = |entry: &str| entry == key || (entry.ends_with('.') && key.starts_with(entry));
    let key_of_listener = key
        .strip_prefix("listener.name.")
        .and_then(|rest| rest.split_once('.'))
        .map(|(_, key)| key);
    if let Some(inner) = key_of_listener {
        return lookup(inner).or(Some(Foreign::Refused(
            "settings of single listeners are not available",
        )));
    }
    if let Some((_, why)) = REFUSED.iter().find(|(entry, _)| names(entry)) {
        return Some(Foreign::Refused(why));
    }
    NOTHING_TO_ACT_ON
        .iter()
        .any(|entry| names(entry))
        .then_some(Foreign::NothingToActOn)
}
