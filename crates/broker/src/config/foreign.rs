//! Keys of Kafka's broker that have no setting here, and what becomes of them.
//!
//! People bring their `server.properties`. A key that tunes something this node does not have is accepted with
//! one warning; a value that would make it safer, or otherwise promise what it cannot keep, is refused. Anything else is unknown.

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
    (".count.limit", Expected::Integer),
    (".enable", Expected::Boolean),
    (".factor", Expected::Integer),
    (".fetchers", Expected::Integer),
    (".isr", Expected::Integer),
    (".locks", Expected::Integer),
    (".max.id", Expected::Integer),
    (".ms", Expected::Integer),
    (".num", Expected::Integer),
    (".num.samples", Expected::Integer),
    (".partitions", Expected::Integer),
    (".pending.tasks", Expected::Integer),
    (".per.second", Expected::Integer),
    (".per.snapshot", Expected::Integer),
    (".requests", Expected::Integer),
    (".required.acks", Expected::Integer),
    (".retries", Expected::Integer),
    (".seconds", Expected::Integer),
    (".secs", Expected::Integer),
    (".share.sessions", Expected::Integer),
    (".size", Expected::Integer),
    (".size.limit", Expected::Integer),
    (".snapshots", Expected::Integer),
    (".standby.replicas", Expected::Integer),
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
    /// Only these values, and an empty one, are accepted, with one warning: they ask for nothing. Any other is refused, and
    /// why: leaving it out silently would break a promise.
    Only(&'static [&'static str], &'static str),
}

/// Whether `text` asks for more than the values that ask for nothing.
pub fn refuses(harmless: &[&str], text: &str) -> bool {
    let text = text.replace(' ', "");
    !text.is_empty() && !harmless.iter().any(|one| one.eq_ignore_ascii_case(&text))
}

const NO_SECURITY: &str =
    "TLS, SASL and authorizers are not available; remove it, and keep the listener on loopback";
const NO_CODE: &str = "classes cannot be loaded here";
const NO_TIERS: &str = "there is no remote storage here";
const NO_QUOTAS: &str = "clients are not held to quotas here";

/// Keys that tune what this node does not have, and those that the server's own configuration judges before this table is asked:
/// which listeners, which roles and which controllers there are.
const NOTHING_TO_ACT_ON: &[&str] = &[
    "add.partitions.to.txn.",
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
    "controller.quorum.",
    "controller.quota.",
    "controller.socket.timeout.ms",
    "delete.records.purgatory.",
    "early.start.listeners",
    "fetch.purgatory.",
    "follower.fetch.",
    "group.consumer.",
    "group.coordinator.",
    "group.share.",
    "group.streams.",
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
    "log.dir.failure.timeout.ms",
    "log.flush.offset.checkpoint.interval.ms",
    "log.flush.scheduler.interval.ms",
    "log.flush.start.offset.checkpoint.interval.ms",
    "log.initial.task.delay.ms",
    "log.local.retention.",
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
    "remote.fetch.",
    "remote.list.offsets.",
    "remote.log.",
    "replica.",
    "replication.quota.",
    "request.timeout.ms",
    "reserved.broker.max.id",
    "server.max.startup.time.ms",
    "share.coordinator.",
    "share.fetch.",
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
    "unclean.leader.election.interval.ms",
    "unstable.",
    "zookeeper.",
];

/// Keys whose promise this node cannot keep: the values that promise nothing, which are Kafka's defaults, and why others are
/// refused. A key before another that begins like it holds.
const PROMISES: &[(&str, &[&str], &str)] = &[
    ("alter.config.policy.class.name", &[], NO_CODE),
    ("authorizer.class.name", &[], NO_SECURITY),
    ("allow.everyone.if.no.acl.found", &["true"], NO_SECURITY),
    ("client.quota.callback.class", &[], NO_CODE),
    ("config.providers", &[], NO_CODE),
    ("connections.max.reauth.ms", &["0"], NO_SECURITY),
    (
        "cordoned.log.dirs",
        &[],
        "there is one directory here, which takes every new partition",
    ),
    ("create.topic.policy.class.name", &[], NO_CODE),
    (
        "delegation.token.expiry.check.interval.ms",
        &["3600000"],
        NO_SECURITY,
    ),
    (
        "delegation.token.expiry.time.ms",
        &["86400000"],
        NO_SECURITY,
    ),
    (
        "delegation.token.max.lifetime.ms",
        &["604800000"],
        NO_SECURITY,
    ),
    ("delegation.token.", &[], NO_SECURITY),
    (
        "group.coordinator.rebalance.protocols",
        &[
            "classic",
            "classic,consumer",
            "classic,consumer,share",
            "classic,consumer,share,streams",
            "classic,consumer,streams",
            "classic,consumer,streams,share",
        ],
        "groups have the classic protocol here; name classic among them, or leave it out",
    ),
    (
        "max.connection.creation.rate",
        &["2147483647"],
        "there is a limit for each address, and none for all together; use max.connection.creation.rate.per.ip",
    ),
    (
        "max.connections.per.ip.overrides",
        &[],
        "one limit holds for all addresses; use max.connections.per.ip",
    ),
    ("password.encoder.", &[], NO_SECURITY),
    (
        "principal.builder.class",
        &["org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder"],
        NO_CODE,
    ),
    ("quota.consumer.default", &[], NO_QUOTAS),
    ("quota.producer.default", &[], NO_QUOTAS),
    ("remote.log.storage.system.enable", &["false"], NO_TIERS),
    ("replica.selector.class", &[], NO_CODE),
    ("sasl.enabled.mechanisms", &["GSSAPI"], NO_SECURITY),
    ("sasl.kerberos.kinit.cmd", &["/usr/bin/kinit"], NO_SECURITY),
    (
        "sasl.kerberos.min.time.before.relogin",
        &["60000"],
        NO_SECURITY,
    ),
    (
        "sasl.kerberos.principal.to.local.rules",
        &["DEFAULT"],
        NO_SECURITY,
    ),
    ("sasl.kerberos.ticket.renew.jitter", &["0.05"], NO_SECURITY),
    (
        "sasl.kerberos.ticket.renew.window.factor",
        &["0.8"],
        NO_SECURITY,
    ),
    ("sasl.login.refresh.buffer.seconds", &["300"], NO_SECURITY),
    (
        "sasl.login.refresh.min.period.seconds",
        &["60"],
        NO_SECURITY,
    ),
    ("sasl.login.refresh.window.factor", &["0.8"], NO_SECURITY),
    ("sasl.login.refresh.window.jitter", &["0.05"], NO_SECURITY),
    ("sasl.login.retry.backoff.max.ms", &["10000"], NO_SECURITY),
    ("sasl.login.retry.backoff.ms", &["100"], NO_SECURITY),
    (
        "sasl.mechanism.controller.protocol",
        &["GSSAPI"],
        NO_SECURITY,
    ),
    (
        "sasl.mechanism.inter.broker.protocol",
        &["GSSAPI"],
        NO_SECURITY,
    ),
    (
        "sasl.oauthbearer.assertion.algorithm",
        &["RS256"],
        NO_SECURITY,
    ),
    (
        "sasl.oauthbearer.assertion.claim.exp.seconds",
        &["300"],
        NO_SECURITY,
    ),
    (
        "sasl.oauthbearer.assertion.claim.jti.include",
        &["false"],
        NO_SECURITY,
    ),
    (
        "sasl.oauthbearer.assertion.claim.nbf.seconds",
        &["60"],
        NO_SECURITY,
    ),
    ("sasl.oauthbearer.clock.skew.seconds", &["30"], NO_SECURITY),
    (
        "sasl.oauthbearer.jwks.endpoint.refresh.ms",
        &["3600000"],
        NO_SECURITY,
    ),
    (
        "sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms",
        &["10000"],
        NO_SECURITY,
    ),
    (
        "sasl.oauthbearer.jwks.endpoint.retry.backoff.ms",
        &["100"],
        NO_SECURITY,
    ),
    (
        "sasl.oauthbearer.jwt.retriever.class",
        &["org.apache.kafka.common.security.oauthbearer.DefaultJwtRetriever"],
        NO_SECURITY,
    ),
    (
        "sasl.oauthbearer.jwt.validator.class",
        &["org.apache.kafka.common.security.oauthbearer.DefaultJwtValidator"],
        NO_SECURITY,
    ),
    ("sasl.oauthbearer.scope.claim.name", &["scope"], NO_SECURITY),
    ("sasl.oauthbearer.sub.claim.name", &["sub"], NO_SECURITY),
    ("sasl.server.max.receive.size", &["524288"], NO_SECURITY),
    ("sasl.", &[], NO_SECURITY),
    (
        "security.inter.broker.protocol",
        &["PLAINTEXT"],
        NO_SECURITY,
    ),
    ("security.", &[], NO_SECURITY),
    ("ssl.allow.dn.changes", &["false"], NO_SECURITY),
    ("ssl.allow.san.changes", &["false"], NO_SECURITY),
    ("ssl.client.auth", &["none"], NO_SECURITY),
    (
        "ssl.enabled.protocols",
        &["TLSv1.2,TLSv1.3", "TLSv1.2"],
        NO_SECURITY,
    ),
    (
        "ssl.endpoint.identification.algorithm",
        &["https"],
        NO_SECURITY,
    ),
    ("ssl.keymanager.algorithm", &["SunX509"], NO_SECURITY),
    ("ssl.keystore.type", &["JKS"], NO_SECURITY),
    ("ssl.principal.mapping.rules", &["DEFAULT"], NO_SECURITY),
    ("ssl.protocol", &["TLSv1.3", "TLSv1.2"], NO_SECURITY),
    ("ssl.trustmanager.algorithm", &["PKIX"], NO_SECURITY),
    ("ssl.truststore.type", &["JKS"], NO_SECURITY),
    ("ssl.", &[], NO_SECURITY),
    ("super.users", &[], NO_SECURITY),
    (
        "transaction.two.phase.commit.enable",
        &["false"],
        "transactions are not available",
    ),
];

/// What becomes of `key`, if Kafka's broker knows it. An entry that ends in a dot stands for all keys that begin with it.
pub fn lookup(key: &str) -> Option<Foreign> {
    let names = |entry: &str| entry == key || (entry.ends_with('.') && key.starts_with(entry));
    let key_of_listener = key
        .strip_prefix("listener.name.")
        .and_then(|rest| rest.split_once('.'))
        .map(|(_, key)| key);
    if let Some(inner) = key_of_listener {
        return lookup(inner).or(Some(Foreign::Only(
            &[],
            "settings of single listeners are not available",
        )));
    }
    if let Some((_, harmless, why)) = PROMISES.iter().find(|(entry, ..)| names(entry)) {
        return Some(Foreign::Only(harmless, why));
    }
    NOTHING_TO_ACT_ON
        .iter()
        .any(|entry| names(entry))
        .then_some(Foreign::NothingToActOn)
}
