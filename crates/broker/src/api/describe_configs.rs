//! DescribeConfigs: every setting of topics and brokers, its value, and where the value comes from.

use taffrail_env::Env;
use taffrail_wire::ErrorCode;
use taffrail_wire::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult,
    DescribeConfigsResponse, DescribeConfigsResult, DescribeConfigsSynonym,
};

use super::{Answer, Call, code, in_brief};
use crate::broker::Broker;
use crate::config::{BrokerSettings, Kind, Resolved, Scope, Source, TopicSettings};
use crate::metadata::validate_topic_name;

/// Kinds of resources, by their numbers in Kafka.
pub(super) const TOPIC: i8 = 2;
pub(super) const BROKER: i8 = 4;
const BROKER_LOGGER: i8 = 8;

/// About what one resource's settings take, put together and encoded.
const RESOURCE_COST: usize = 16 << 10;
/// The same with synonyms and documentation.
const RESOURCE_COST_IN_FULL: usize = 40 << 10;

/// A setting to be described, which may be one of the options that a node is started with.
struct Described {
    name: &'static str,
    value: Option<String>,
    read_only: bool,
    kind: Kind,
    prose: &'static str,
    source: Source,
    synonyms: Vec<(&'static str, Option<String>, Source)>,
}

type Failure = (ErrorCode, String);

pub(crate) async fn handle<E: Env>(call: &Call<E>, request: DescribeConfigsRequest<'_>) -> Answer {
    let pool = &call.broker.budget.responses;
    let resource_cost = if request.include_synonyms || request.include_documentation {
        RESOURCE_COST_IN_FULL
    } else {
        RESOURCE_COST
    };
    let room = pool.total() / resource_cost;
    let cost = request.resources.len().saturating_mul(resource_cost);
    let reservation = pool.reserve(cost.min(pool.total())).await;
    let described = request.resources.iter().enumerate();
    let described: Vec<_> = described
        .map(|(place, resource)| {
            if place >= room {
                let text = format!("only {room} resources can be described at once");
                return Err((ErrorCode::InvalidRequest, text));
            }
            let mut described = describe(&call.broker, resource).map_err(in_brief)?;
            // An empty list of keys is no choice, as in Kafka.
            let keys = resource.configuration_keys.as_ref();
            if let Some(keys) = keys.filter(|keys| !keys.is_empty()) {
                described.retain(|described| keys.contains(&described.name));
            }
            Ok(described)
        })
        .collect();
    let results = request.resources.iter().zip(&described);
    let results = results.map(|(resource, described)| {
        let mut result = DescribeConfigsResult {
            resource_type: resource.resource_type,
            resource_name: resource.resource_name,
            error_message: None,
            ..DescribeConfigsResult::default()
        };
        match described {
            Ok(described) => {
                result.configs = described
                    .iter()
                    .map(|described| answer(described, &request))
                    .collect();
            }
            Err((error, text)) => {
                result.error_code = code(*error);
                result.error_message = Some(text);
            }
        }
        result
    });
    let response = DescribeConfigsResponse {
        results: results.collect(),
        ..DescribeConfigsResponse::default()
    };
    call.answer(&response).holding(Some(reservation))
}

fn answer<'r>(
    described: &'r Described,
    request: &DescribeConfigsRequest<'_>,
) -> DescribeConfigsResourceResult<'r> {
    let synonyms = described.synonyms.iter();
    let synonyms = synonyms.map(|(name, value, source)| DescribeConfigsSynonym {
        name,
        value: value.as_deref(),
        source: *source as i8,
    });
    DescribeConfigsResourceResult {
        name: described.name,
        value: described.value.as_deref(),
        read_only: described.read_only,
        config_source: described.source as i8,
        is_sensitive: false,
        synonyms: if request.include_synonyms {
            synonyms.collect()
        } else {
            Vec::new()
        },
        config_type: described.kind as i8,
        documentation: request.include_documentation.then_some(described.prose),
    }
}

fn describe<E: Env>(
    broker: &Broker<E>,
    resource: &DescribeConfigsResource<'_>,
) -> Result<Vec<Described>, Failure> {
    match resource.resource_type {
        TOPIC => describe_topic(broker, resource.resource_name),
        BROKER if resource.resource_name.is_empty() => Ok(every_broker(broker)),
        BROKER => describe_broker(broker, resource.resource_name),
        // What is logged is chosen at the start, for all of the node: there is no logger to be set.
        BROKER_LOGGER => describe_broker(broker, resource.resource_name).map(|_| Vec::new()),
        other => Err((
            ErrorCode::InvalidRequest,
            format!("resources of kind {other} have no settings here"),
        )),
    }
}

fn describe_topic<E: Env>(broker: &Broker<E>, name: &str) -> Result<Vec<Described>, Failure> {
    validate_topic_name(name)
        .map_err(|error| (ErrorCode::InvalidTopicException, error.to_string()))?;
    let metadata = broker.controller.metadata();
    let topic = metadata.topic(name).ok_or_else(|| {
        let error = ErrorCode::UnknownTopicOrPartition;
        (error, "there is no topic of this name".to_string())
    })?;
    let sources = broker.settings.sources();
    let effective = broker.topic_settings(topic);
    Ok(TopicSettings::DEFINITIONS
        .iter()
        .map(|definition| {
            let resolved = TopicSettings::resolve(definition, &topic.configs, &sources, &effective);
            described(resolved, false)
        })
        .collect())
}

fn described(resolved: Resolved, read_only: bool) -> Described {
    Described {
        name: resolved.definition.name,
        value: resolved.value,
        read_only,
        kind: resolved.definition.kind,
        prose: resolved.definition.prose,
        source: resolved.source,
        synonyms: resolved
            .synonyms
            .into_iter()
            .map(|synonym| (synonym.name, synonym.value, synonym.source))
            .collect(),
    }
}

/// What is set for all brokers while they run.
fn every_broker<E: Env>(broker: &Broker<E>) -> Vec<Described> {
    let sources = broker.settings.sources();
    let set = sources.every_broker.keys();
    set.filter_map(|key| BrokerSettings::definition(key))
        .map(|definition| {
            let mut described = described(sources.resolve(definition), false);
            described
                .synonyms
                .retain(|(_, _, source)| *source >= Source::DynamicDefaultBroker);
            described.value = sources.every_broker.get(definition.name).cloned();
            described.source = Source::DynamicDefaultBroker;
            described
        })
        .collect()
}

fn describe_broker<E: Env>(broker: &Broker<E>, name: &str) -> Result<Vec<Described>, Failure> {
    if name.parse() != Ok(broker.node_id) {
        return Err((
            ErrorCode::InvalidRequest,
            format!(
                "there is no broker {name:?}; this is broker {}",
                broker.node_id
            ),
        ));
    }
    let sources = broker.settings.sources();
    let mut all: Vec<Described> = BrokerSettings::DEFINITIONS
        .iter()
        .map(|definition| {
            let mut described = described(
                sources.resolve(definition),
                definition.scope == Scope::Static,
            );
            if definition.name == "auto.create.topics.enable" {
                described.value = Some(broker.creates_topics().to_string());
            }
            described
        })
        .collect();
    let option = |name, value: String, kind, prose| Described {
        name,
        value: Some(value.clone()),
        read_only: true,
        kind,
        prose,
        source: Source::StaticBroker,
        synonyms: vec![(name, Some(value), Source::StaticBroker)],
    };
    let id = broker.node_id.to_string();
    all.push(option(
        "broker.id",
        id.clone(),
        Kind::Int,
        "The number of this node.",
    ));
    all.push(option("node.id", id, Kind::Int, "The number of this node."));
    let data = broker.data.clone();
    all.push(option(
        "log.dirs",
        data,
        Kind::String,
        "The data directory.",
    ));
    all.sort_by_key(|described| described.name);
    Ok(all)
}
