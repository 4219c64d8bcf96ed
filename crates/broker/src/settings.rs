//! The settings in force: the broker's, and each topic's, worked out once and kept until they change.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use taffrail_record::TopicId;
use taffrail_storage::{Durability as LogDurability, LogConfig};

use crate::config::{self, BrokerSettings, StaticSettings, TopicSettings};
use crate::metadata::Topic;

/// What holds now.
pub(crate) struct Settings {
    sources: RefCell<config::BrokerSources>,
    broker: RefCell<Rc<BrokerSettings>>,
    topics: RefCell<BTreeMap<TopicId, Rc<TopicSettings>>>,
}

impl Settings {
    pub fn new(fixed: StaticSettings) -> Rc<Settings> {
        let sources = config::BrokerSources {
            fixed,
            ..config::BrokerSources::default()
        };
        Rc::new(Settings {
            broker: RefCell::new(Rc::new(sources.effective())),
            sources: RefCell::new(sources),
            topics: RefCell::default(),
        })
    }

    /// The broker's settings.
    pub fn broker(&self) -> Rc<BrokerSettings> {
        self.broker.borrow().clone()
    }

    /// Where the broker's settings come from.
    pub fn sources(&self) -> config::BrokerSources {
        self.sources.borrow().clone()
    }

    /// Takes over the settings that were changed while nodes ran: for every broker, and for this one.
    pub fn set_dynamic(&self, every_broker: config::Texts, this_broker: config::Texts) {
        let mut sources = self.sources.borrow_mut();
        sources.every_broker = every_broker;
        sources.this_broker = this_broker;
        *self.broker.borrow_mut() = Rc::new(sources.effective());
        self.topics.borrow_mut().clear();
    }

    /// The settings of a topic.
    pub fn topic(&self, topic: &Topic) -> Rc<TopicSettings> {
        if let Some(settings) = self.topics.borrow().get(&topic.id()) {
            return settings.clone();
        }
        let effective = TopicSettings::effective(&self.broker.borrow(), &topic.configs);
        let settings = Rc::new(effective);
        self.topics
            .borrow_mut()
            .insert(topic.id(), settings.clone());
        settings
    }

    /// The topic's own settings have changed, or the topic is gone.
    pub fn forget_topic(&self, id: TopicId) {
        self.topics.borrow_mut().remove(&id);
    }
}

impl TopicSettings {
    /// What the storage is told. The log of an internal topic moves its start by snapshots of its machine, never by age or size.
    pub(crate) fn log_config(&self, internal: bool) -> LogConfig {
        LogConfig {
            segment_bytes: self.segment_bytes as u32,
            segment_ms: self.segment_ms,
            segment_jitter_ms: self.segment_jitter_ms,
            retention_ms: if internal { -1 } else { self.retention_ms },
            retention_bytes: if internal { -1 } else { self.retention_bytes },
            index_interval_bytes: self.index_interval_bytes as u32,
            segment_index_bytes: self.segment_index_bytes as u32,
            file_delete_delay_ms: self.file_delete_delay_ms,
            preallocate: self.preallocate,
            cleanup_delete: self.cleanup_policy.delete,
            durability: match self.durability {
                config::Durability::Synced => LogDurability::Synced,
                config::Durability::Replicated => LogDurability::Replicated,
            },
            reserve_ahead_bytes: 0,
            first_offset: 0,
        }
    }
}
