//! The tables hold together, and refusals say what would be right.

mod readme;

use super::resolve::{BrokerSources, Texts};
use super::*;

#[test]
fn every_default_is_a_value_its_own_rule_accepts() {
    for definition in TopicSettings::DEFINITIONS {
        let text = TopicSettings::default().text(definition.name);
        let text = text.expect("every topic key has a default");
        TopicSettings::default()
            .set(definition.name, &text)
            .unwrap_or_else(|refusal| panic!("{refusal}"));
    }
    for definition in BrokerSettings::DEFINITIONS {
        if let Some(text) = BrokerSettings::default().text(definition.name) {
            BrokerSettings::default()
                .set(definition.name, &text)
                .unwrap_or_else(|refusal| panic!("{refusal}"));
        }
    }
}

#[test]
fn a_topic_that_says_nothing_has_the_defaults_on_a_broker_that_says_nothing() {
    let inherited = TopicSettings::of_broker(&BrokerSettings::default());
    assert_eq!(inherited, TopicSettings::default());
}

#[test]
fn every_key_a_topic_inherits_is_a_broker_key_and_reaches_the_topic() {
    for definition in TopicSettings::DEFINITIONS {
        let Scope::Inherits(keys) = definition.scope else {
            continue;
        };
        for key in keys {
            let broker = BrokerSettings::definition(key)
                .unwrap_or_else(|| panic!("{} inherits an unknown {key}", definition.name));
            if broker.name != "compression.gzip.level" && matches!(broker.rule, Rule::Only(..)) {
                continue;
            }
            let value = match broker.kind {
                Kind::Boolean => "true",
                Kind::Double => "0.25",
                Kind::String if broker.choices.contains(&"zstd") => "zstd",
                Kind::String => "LogAppendTime",
                _ if definition.name == "compression.gzip.level" => "7",
                _ if definition.name.starts_with("compression.") => "11",
                _ => "8192",
            };
            let mut settings = BrokerSettings::default();
            settings.set(key, value).expect("a valid value");
            let topic = TopicSettings::of_broker(&settings);
            assert_ne!(
                topic.text(definition.name),
                TopicSettings::default().text(definition.name),
                "{key} does not reach {}",
                definition.name
            );
        }
    }
}

#[test]
fn keys_are_unique_and_described() {
    for table in [TopicSettings::DEFINITIONS, BrokerSettings::DEFINITIONS] {
        let mut names: Vec<_> = table.iter().map(|definition| definition.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), table.len());
        assert!(
            table
                .iter()
                .all(|definition| definition.prose.ends_with('.'))
        );
    }
    for definition in BrokerSettings::DEFINITIONS {
        assert_eq!(
            foreign::lookup(definition.name),
            None,
            "{}",
            definition.name
        );
    }
}

#[test]
fn nothing_is_a_cleanup_policy_and_a_comma_is_none() {
    let mut topic = TopicSettings::default();
    topic.set("cleanup.policy", "").expect("keeps everything");
    assert!(!topic.cleanup_policy.delete && !topic.cleanup_policy.compact);
    assert_eq!(topic.text("cleanup.policy").as_deref(), Some(""));
    for value in [",", "delete,", ",delete"] {
        let refused = topic.set("cleanup.policy", value).unwrap_err();
        assert!(matches!(refused, Refusal::Value { .. }), "{value}");
    }
    topic
        .set("cleanup.policy", " delete ")
        .expect("the default");
    assert!(topic.cleanup_policy.delete);
}

#[test]
fn refusals_name_what_would_be_right() {
    let mut topic = TopicSettings::default();
    for (key, value, text) in [
        (
            "retention.md",
            "1",
            "Unknown configuration key \"retention.md\"; the nearest known one is retention.ms",
        ),
        (
            "retention.ms",
            "soon",
            "Invalid value \"soon\" for configuration retention.ms: must be a whole number",
        ),
        (
            "retention.ms",
            "-2",
            "Invalid value \"-2\" for configuration retention.ms: must be -1 or more",
        ),
        (
            "segment.bytes",
            "1",
            "Invalid value \"1\" for configuration segment.bytes: must be 4096 or more",
        ),
        (
            "cleanup.policy",
            "compact",
            "Invalid value \"compact\" for configuration cleanup.policy: compaction is not available; use delete, or nothing at all to keep every record",
        ),
        (
            "compression.type",
            "rar",
            "Invalid value \"rar\" for configuration compression.type: must be one of producer, uncompressed, gzip, snappy, lz4, zstd",
        ),
        (
            "compression.gzip.level",
            "10",
            "Invalid value \"10\" for configuration compression.gzip.level: gzip has levels 1 to 9, and -1 for its own default",
        ),
    ] {
        assert_eq!(topic.set(key, value).unwrap_err().to_string(), text);
    }
    assert_eq!(
        topic,
        TopicSettings::default(),
        "a refused value changes nothing"
    );
}

#[test]
fn kafkas_own_keys_are_honoured_warned_about_or_refused() {
    let mut settings = StaticSettings::default();
    assert_eq!(settings.set("num.partitions", "3"), Ok(None));
    assert_eq!(settings.effective().num_partitions, 3);
    assert!(settings.is_set("num.partitions"));
    let warning = settings.set("num.io.threads", "8").expect("accepted");
    assert!(warning.expect("with a warning").contains("num.io.threads"));
    for (key, value) in [
        ("num.network.threads", "abc"),
        ("num.network.threads", ""),
        ("broker.heartbeat.interval.ms", "2s"),
        ("log.cleaner.io.buffer.load.factor", "much"),
        ("controlled.shutdown.enable", "yes"),
        ("quota.producer.default", "1000"),
        ("quota.consumer.default", "1000"),
        ("ssl.keystore.location", "/k"),
        ("ssl.client.auth", "required"),
        ("security.inter.broker.protocol", "SSL"),
        ("authorizer.class.name", "some.Authorizer"),
        ("max.connections.per.ip.overrides", "127.0.0.1:5"),
        ("max.connection.creation.rate", "10"),
        ("remote.log.storage.system.enable", "true"),
        ("group.coordinator.rebalance.protocols", "consumer"),
        ("transaction.two.phase.commit.enable", "true"),
        ("connections.max.reauth.ms", "1000"),
    ] {
        let refusal = settings.set(key, value);
        assert!(
            matches!(refusal, Err(Refusal::Unavailable { .. })),
            "{key}={value}: {refusal:?}"
        );
    }
    for (key, value) in [
        ("log.cleaner.io.buffer.load.factor", "0.9"),
        (
            "log.cleaner.io.max.bytes.per.second",
            "1.7976931348623157E308",
        ),
        ("controlled.shutdown.enable", "TRUE"),
        ("ssl.client.auth", "None"),
        ("security.inter.broker.protocol", "PLAINTEXT"),
        ("authorizer.class.name", ""),
        ("max.connections.per.ip.overrides", ""),
        ("remote.log.storage.system.enable", "false"),
        ("group.coordinator.rebalance.protocols", "classic, consumer"),
        ("socket.send.buffer.bytes", "-1"),
        ("replica.socket.timeout.ms", "30000"),
    ] {
        let warning = settings.set(key, value).expect("accepted");
        assert!(warning.is_some(), "{key}={value}");
    }
    assert!(
        settings
            .set("listener.name.internal.ssl.client.auth", "required")
            .is_err()
    );
    assert_eq!(
        settings.set("num.partitons", "3").unwrap_err(),
        Refusal::UnknownKey {
            key: "num.partitons".into(),
            nearest: Some("num.partitions")
        }
    );
    for (key, near) in [
        ("retnetion.ms", "log.retention.ms"),
        ("log.retnetion.ms", "log.retention.ms"),
        ("massage.max.bites", "message.max.bytes"),
    ] {
        let refusal = settings.set(key, "1").unwrap_err();
        let expected = Refusal::UnknownKey {
            key: key.into(),
            nearest: Some(near),
        };
        assert_eq!(refusal, expected);
    }
}

/// Kafka's own list of its broker's keys, with the values that they have where nobody sets them.
const KAFKAS_KEYS: &str = include_str!("../../../../fixtures/kafka-broker-keys.properties");

/// Keys that are options of the start: the server's configuration reads them.
const OPTIONS: [&str; 7] = [
    "advertised.listeners",
    "broker.id",
    "controller.quorum.voters",
    "listeners",
    "log.dir",
    "log.dirs",
    "node.id",
];

#[test]
fn every_key_of_kafkas_broker_is_known_and_its_default_harmless() {
    let lines = KAFKAS_KEYS.lines().filter(|line| !line.starts_with('#'));
    let mut keys = 0;
    for line in lines {
        keys += 1;
        let (key, default) = line.split_once('=').unwrap_or((line, ""));
        if OPTIONS.contains(&key) {
            continue;
        }
        let mut settings = StaticSettings::default();
        let taken = settings.set(key, default);
        let is_set = line.contains('=');
        let known = match &taken {
            Ok(None) => BrokerSettings::definition(key).is_some(),
            Ok(Some(warning)) => warning.starts_with(key),
            Err(Refusal::UnknownKey { .. }) => false,
            // Kafka has no value there either, and takes no empty text for one.
            Err(_) => !is_set,
        };
        assert!(known, "{line}: {taken:?}");
    }
    assert_eq!(keys, 340, "as many as Kafka 4.3.1 has");
}

#[test]
fn the_strongest_source_holds_and_is_described() {
    let mut sources = BrokerSources::default();
    sources
        .fixed
        .set("log.retention.hours", "1")
        .expect("valid");
    let own = Texts::new();
    let describe = |sources: &BrokerSources, own: &Texts| {
        let definition = TopicSettings::definition("retention.ms").expect("known");
        let effective = TopicSettings::effective(&sources.effective(), own);
        TopicSettings::resolve(definition, own, sources, &effective)
    };
    let resolved = describe(&sources, &own);
    assert_eq!(resolved.value.as_deref(), Some("3600000"));
    assert_eq!(resolved.source, Source::StaticBroker);

    sources
        .every_broker
        .insert("log.retention.ms".into(), "7000".into());
    let resolved = describe(&sources, &own);
    assert_eq!(resolved.value.as_deref(), Some("7000"));
    assert_eq!(resolved.source, Source::DynamicDefaultBroker);

    let own = Texts::from([("retention.ms".to_string(), "5".to_string())]);
    let resolved = describe(&sources, &own);
    assert_eq!(resolved.value.as_deref(), Some("5"));
    assert_eq!(resolved.source, Source::Topic);
    let names: Vec<_> = resolved.synonyms.iter().map(|s| s.name).collect();
    assert_eq!(
        names,
        [
            "retention.ms",
            "log.retention.ms",
            "log.retention.hours",
            "log.retention.hours"
        ]
    );
}

#[test]
fn settings_that_cannot_stand_together_are_refused() {
    let own = Texts::from([
        ("min.compaction.lag.ms".to_string(), "10".to_string()),
        ("max.compaction.lag.ms".to_string(), "5".to_string()),
    ]);
    let refusal = TopicSettings::validate(&BrokerSettings::default(), &own, usize::MAX);
    assert!(matches!(refusal, Err(Refusal::Conflict(_))));
}
