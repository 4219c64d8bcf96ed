//! Where a value comes from: a topic's own setting, the broker's dynamic one, its static one, or the default.
//!
//! [`StaticSettings`] is what the node was started with. The dynamic settings and the topics' own are texts in the
//! cluster's metadata that were validated when they were set; one that this binary cannot read any more (after a
//! downgrade) is left out with a warning rather than stopping the node.

use std::collections::BTreeMap;

use super::definition::{Definition, Refusal, Scope, nearest};
use super::foreign::{self, Foreign};
use super::{BrokerSettings, TopicSettings};

/// Where a value comes from, with the number that `DescribeConfigs` has for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    Topic = 1,
    DynamicBroker = 2,
    DynamicDefaultBroker = 3,
    StaticBroker = 4,
    Default = 5,
}

/// One of the keys that a value could have come from, with what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synonym {
    pub name: &'static str,
    pub value: Option<String>,
    pub source: Source,
}

/// A key's effective value.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved {
    pub definition: &'static Definition,
    pub value: Option<String>,
    pub source: Source,
    /// What is set for it, the strongest first; the last is the default.
    pub synonyms: Vec<Synonym>,
}

/// Validated texts by key.
pub type Texts = BTreeMap<String, String>;

/// The settings a node was started with.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StaticSettings {
    set: BTreeMap<&'static str, String>,
    effective: BrokerSettings,
}

impl StaticSettings {
    /// Takes one key from the command line or the file. `Ok` carries a warning for a key that has nothing to act on.
    pub fn set(&mut self, key: &str, text: &str) -> Result<Option<String>, Refusal> {
        if let Some(definition) = BrokerSettings::definition(key) {
            self.effective.set(key, text)?;
            let canonical = self.effective.text(key);
            self.set
                .insert(definition.name, canonical.unwrap_or_default());
            return Ok(None);
        }
        let unavailable = |why| Refusal::Unavailable {
            key: key.to_string(),
            value: text.to_string(),
            why,
        };
        let warning = || {
            Ok(Some(format!(
                "{key} is accepted, but there is nothing here for it to act on"
            )))
        };
        match foreign::lookup(key) {
            Some(Foreign::NothingToActOn) => match foreign::expected(key).refuses(text) {
                Some(why) => Err(unavailable(why)),
                None => warning(),
            },
            Some(Foreign::Only(harmless, why)) if foreign::refuses(harmless, text) => {
                Err(unavailable(why))
            }
            Some(Foreign::Only(..)) => warning(),
            None => Err(Refusal::UnknownKey {
                key: key.to_string(),
                nearest: nearest(key, BrokerSettings::DEFINITIONS.iter().map(|d| d.name)),
            }),
        }
    }

    /// Whether the largest batch set at the start fits into a journal that takes `batch_bytes_max` bytes.
    pub(crate) fn check_batch_bytes(&self, batch_bytes_max: usize) -> Result<(), Refusal> {
        let key = "message.max.bytes";
        let set = self
            .set
            .get(key)
            .map(|text| (key.to_string(), text.clone()));
        check_batch_bytes(key, &set.into_iter().collect(), batch_bytes_max)
    }

    /// The values, with defaults for what is not set.
    pub fn effective(&self) -> &BrokerSettings {
        &self.effective
    }

    /// Whether the key was given, rather than left at its default.
    pub fn is_set(&self, key: &str) -> bool {
        self.set.contains_key(key)
    }
}

/// The broker's settings, from all that can set them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct BrokerSources {
    pub fixed: StaticSettings,
    /// Set while the node runs, for all brokers.
    pub every_broker: Texts,
    /// Set while the node runs, for this broker.
    pub this_broker: Texts,
}

impl BrokerSources {
    /// The values that hold.
    pub fn effective(&self) -> BrokerSettings {
        let mut settings = self.fixed.effective.clone();
        for (key, text) in self.every_broker.iter().chain(&self.this_broker) {
            if let Err(refusal) = settings.set(key, text) {
                tracing::warn!("stored broker setting left out: {refusal}");
            }
        }
        settings
    }

    /// What is set for one broker key, the strongest first, the default last.
    fn synonyms(&self, definition: &'static Definition) -> Vec<Synonym> {
        let name = definition.name;
        let layers = [
            (self.this_broker.get(name), Source::DynamicBroker),
            (self.every_broker.get(name), Source::DynamicDefaultBroker),
            (self.fixed.set.get(name), Source::StaticBroker),
        ];
        let set = layers.into_iter().filter_map(|(text, source)| {
            text.map(|text| Synonym {
                name,
                value: Some(text.clone()),
                source,
            })
        });
        let default = BrokerSettings::default().text(name).map(|text| Synonym {
            name,
            value: Some(text),
            source: Source::Default,
        });
        set.chain(default).collect()
    }

    /// One broker key, as it holds.
    pub fn resolve(&self, definition: &'static Definition) -> Resolved {
        let synonyms = self.synonyms(definition);
        Resolved {
            definition,
            value: synonyms.first().and_then(|first| first.value.clone()),
            source: synonyms
                .first()
                .map_or(Source::Default, |first| first.source),
            synonyms,
        }
    }
}

/// Refuses a largest batch beyond what the journal holds: it would be accepted here and refused at every produce.
pub(crate) fn check_batch_bytes(
    key: &'static str,
    set: &Texts,
    batch_bytes_max: usize,
) -> Result<(), Refusal> {
    match set.get(key).map(|text| text.parse::<usize>()) {
        Some(Ok(bytes)) if bytes > batch_bytes_max => Err(Refusal::Value {
            key,
            value: bytes.to_string(),
            expected: format!(
                "at most {batch_bytes_max}, the largest batch that this data directory's journal takes"
            ),
        }),
        // What is no number is refused by its kind.
        _ => Ok(()),
    }
}

impl TopicSettings {
    /// The values of a topic that says nothing itself, on a broker.
    pub(crate) fn of_broker(broker: &BrokerSettings) -> TopicSettings {
        TopicSettings {
            cleanup_policy: broker.log_cleanup_policy,
            compression_gzip_level: broker.compression_gzip_level,
            compression_lz4_level: broker.compression_lz4_level,
            compression_zstd_level: broker.compression_zstd_level,
            compression_type: broker.compression_type,
            delete_retention_ms: broker.log_cleaner_delete_retention_ms,
            file_delete_delay_ms: broker.log_segment_delete_delay_ms,
            flush_messages: broker.log_flush_interval_messages,
            flush_ms: broker.log_flush_interval_ms.unwrap_or(i64::MAX),
            index_interval_bytes: broker.log_index_interval_bytes,
            max_compaction_lag_ms: broker.log_cleaner_max_compaction_lag_ms,
            max_message_bytes: broker.message_max_bytes,
            timestamp_after_max_ms: broker.log_timestamp_after_max_ms,
            timestamp_before_max_ms: broker.log_timestamp_before_max_ms,
            timestamp_type: broker.log_timestamp_type,
            min_cleanable_dirty_ratio: broker.log_cleaner_min_cleanable_ratio,
            min_compaction_lag_ms: broker.log_cleaner_min_compaction_lag_ms,
            min_insync_replicas: broker.min_insync_replicas,
            preallocate: broker.log_preallocate,
            retention_bytes: broker.log_retention_bytes,
            retention_ms: broker.retention_ms(),
            segment_bytes: broker.log_segment_bytes,
            segment_index_bytes: broker.log_index_size_max_bytes,
            segment_jitter_ms: broker.roll_jitter_ms(),
            segment_ms: broker.roll_ms(),
            unclean_leader_election: broker.unclean_leader_election,
            ..TopicSettings::default()
        }
    }

    /// The values of a topic with settings of its own, which were validated when they were set.
    pub(crate) fn effective(broker: &BrokerSettings, own: &Texts) -> TopicSettings {
        let mut settings = TopicSettings::of_broker(broker);
        for (key, text) in own {
            if let Err(refusal) = settings.set(key, text) {
                tracing::warn!("stored topic setting left out: {refusal}");
            }
        }
        settings
    }

    /// Whether `own` may be a topic's settings, on a node whose largest batch has `batch_bytes_max` bytes.
    pub(crate) fn validate(
        broker: &BrokerSettings,
        own: &Texts,
        batch_bytes_max: usize,
    ) -> Result<(), Refusal> {
        check_batch_bytes("max.message.bytes", own, batch_bytes_max)?;
        let mut settings = TopicSettings::of_broker(broker);
        for (key, text) in own {
            settings.set(key, text)?;
        }
        settings.check()
    }

    /// One topic key, as it holds.
    pub(crate) fn resolve(
        definition: &'static Definition,
        own: &Texts,
        broker: &BrokerSources,
        effective: &TopicSettings,
    ) -> Resolved {
        let name = definition.name;
        let mut synonyms: Vec<Synonym> = own
            .get(name)
            .map(|text| Synonym {
                name,
                value: Some(text.clone()),
                source: Source::Topic,
            })
            .into_iter()
            .collect();
        if let Scope::Inherits(keys) = definition.scope {
            for key in keys {
                let inherited = BrokerSettings::definition(key).map(|d| broker.synonyms(d));
                synonyms.extend(inherited.into_iter().flatten());
            }
            // A stable sort: among keys of one source the stronger key stays in front.
            synonyms.sort_by_key(|synonym| synonym.source);
        }
        let source = synonyms
            .first()
            .map_or(Source::Default, |first| first.source);
        Resolved {
            definition,
            value: effective.text(name),
            source,
            synonyms,
        }
    }
}
