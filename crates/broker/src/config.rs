//! Every topic and broker configuration, each defined once, each honoured or refused.
//!
//! [`TopicSettings`] and [`BrokerSettings`] are what the code reads; their tables are what help, `DescribeConfigs` and
//! the README are made from. A topic's value is its own override, else the broker's dynamic value, else the
//! broker's static one, else the default. Keys that Kafka's broker knows and that have nothing to act on here are named in [`foreign`].
//! What must hold: no key is silently ignored, and no string key travels further inwards than this module.

mod broker;
mod definition;
pub mod foreign;
mod resolve;
#[cfg(test)]
mod tests;
mod topic;

pub use broker::BrokerSettings;
pub(crate) use definition::read;
pub use definition::{Definition, Kind, Refusal, Rule, Scope, Setting, Unit, nearest};
pub use foreign::Foreign;
pub(crate) use resolve::{BrokerSources, Texts, check_batch_bytes};
pub use resolve::{Resolved, Source, StaticSettings, Synonym};
pub use topic::{
    CleanupPolicy, CompressionType, Durability, ReplicationModel, TimestampType, TopicSettings,
    Validation,
};
