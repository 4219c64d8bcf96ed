//! IncrementalAlterConfigs and AlterConfigs: settings of topics and brokers are changed, one by one or all at once.
//!
//! The edits of one resource are judged together, as the settings that would come of them, before they are committed; all of them
//! hold or none. One resource after the other is judged, against what those before it have left; whoever only wants to know waits for
//! its turn, too.

use std::collections::BTreeMap;
use std::rc::Rc;

use futures_channel::oneshot;
use futures_util::lock::OwnedMutexGuard;
use taffrail_env::Env;
use taffrail_wire::ErrorCode;
use taffrail_wire::alter_configs::{
    AlterConfigsRequest, AlterConfigsResourceResponse, AlterConfigsResponse,
};
use taffrail_wire::incremental_alter_configs::{
    AlterConfigsResourceResponse as IncrementalResponse, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
};

use super::create_topics::duplicates;
use super::describe_configs::{BROKER, TOPIC};
use super::{Answer, Call, code, in_brief};
use crate::broker::Broker;
use crate::config::{
    BrokerSettings, Kind, Refusal, Scope, TopicSettings, check_batch_bytes, foreign, nearest,
};
use crate::metadata::{Command, ConfigEdit, ConfigOperation, validate_topic_name};

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

/// Keys of Kafka's broker that are options of a node's start here.
const OPTION_KEYS: [&str; 7] = [
    "advertised.listeners",
    "broker.id",
    "controller.quorum.voters",
    "listeners",
    "log.dir",
    "log.dirs",
    "node.id",
];

type Failure = (ErrorCode, String);
type Texts = BTreeMap<String, String>;

/// An edit as it came: key, operation, value.
type Edit<'a> = (&'a str, i8, Option<&'a str>);

pub(crate) async fn handle_incremental<E: Env>(
    call: &Call<E>,
    request: IncrementalAlterConfigsRequest<'_>,
) -> Answer {
    let named = request.resources.iter();
    let twice = duplicates(named.map(|resource| (resource.resource_type, resource.resource_name)));
    let mut results = Vec::with_capacity(request.resources.len());
    for resource in &request.resources {
        if twice.contains(&(resource.resource_type, resource.resource_name)) {
            results.push(Err(named_twice()));
            continue;
        }
        let configs = resource.configs.iter();
        let edits: Vec<Edit<'_>> = configs
            .map(|config| (config.name, config.config_operation, config.value))
            .collect();
        let (kind, name) = (resource.resource_type, resource.resource_name);
        let only_judge = request.validate_only;
        let altered = alter(&call.broker, (kind, name), edits, Rest::Stays, only_judge).await;
        results.push(altered.map_err(in_brief));
    }
    let responses = request.resources.iter().zip(&results);
    let responses = responses.map(|(resource, result)| IncrementalResponse {
        error_code: result.as_ref().err().map_or(0, |(error, _)| code(*error)),
        error_message: result.as_ref().err().map(|(_, text)| text.as_str()),
        resource_type: resource.resource_type,
        resource_name: resource.resource_name,
    });
    call.answer(&IncrementalAlterConfigsResponse {
        responses: responses.collect(),
        ..IncrementalAlterConfigsResponse::default()
    })
}

pub(crate) async fn handle<E: Env>(call: &Call<E>, request: AlterConfigsRequest<'_>) -> Answer {
    let named = request.resources.iter();
    let twice = duplicates(named.map(|resource| (resource.resource_type, resource.resource_name)));
    let mut results = Vec::with_capacity(request.resources.len());
    for resource in &request.resources {
        if twice.contains(&(resource.resource_type, resource.resource_name)) {
            results.push(Err(named_twice()));
            continue;
        }
        let (kind, name) = (resource.resource_type, resource.resource_name);
        let configs = resource.configs.iter();
        let edits: Vec<Edit<'_>> = configs
            .map(|config| (config.name, SET, config.value))
            .collect();
        let only_judge = request.validate_only;
        let altered = alter(&call.broker, (kind, name), edits, Rest::Goes, only_judge).await;
        results.push(altered.map_err(in_brief));
    }
    let responses = request.resources.iter().zip(&results);
    let responses = responses.map(|(resource, result)| AlterConfigsResourceResponse {
        error_code: result.as_ref().err().map_or(0, |(error, _)| code(*error)),
        error_message: result.as_ref().err().map(|(_, text)| text.as_str()),
        resource_type: resource.resource_type,
        resource_name: resource.resource_name,
    });
    call.answer(&AlterConfigsResponse {
        responses: responses.collect(),
        ..AlterConfigsResponse::default()
    })
}

fn named_twice() -> Failure {
    let text = "Each resource must appear at most once.";
    (ErrorCode::InvalidRequest, text.to_string())
}

/// Whose settings are changed.
enum Target {
    Topic,
    /// One broker, or all.
    Broker(Option<i32>),
}

/// What is set now.
fn current<E: Env>(broker: &Broker<E>, kind: i8, name: &str) -> Result<(Texts, Target), Failure> {
    let metadata = broker.controller.metadata();
    match kind {
        TOPIC if name.is_empty() => {
            let text = "Default topic resources are not allowed.";
            Err((ErrorCode::InvalidRequest, text.to_string()))
        }
        TOPIC => {
            validate_topic_name(name)
                .map_err(|error| (ErrorCode::InvalidTopicException, error.to_string()))?;
            let topic = metadata.topic(name).ok_or_else(|| {
                let error = ErrorCode::UnknownTopicOrPartition;
                (error, "there is no topic of this name".to_string())
            })?;
            Ok((topic.configs.clone(), Target::Topic))
        }
        BROKER => {
            let id = match name {
                "" => None,
                name if name.parse() == Ok(broker.node_id) => Some(broker.node_id),
                _ => {
                    return Err((
                        ErrorCode::InvalidRequest,
                        format!(
                            "there is no broker {name:?}; this is broker {}",
                            broker.node_id
                        ),
                    ));
                }
            };
            let texts = metadata.broker_configs(id).cloned();
            Ok((texts.unwrap_or_default(), Target::Broker(id)))
        }
        other => Err((
            ErrorCode::InvalidRequest,
            format!("resources of kind {other} have no settings here"),
        )),
    }
}

/// What becomes of what is set and not named.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rest {
    Stays,
    Goes,
}

async fn alter<E: Env>(
    broker: &Rc<Broker<E>>,
    (kind, name): (i8, &str),
    mut edits: Vec<Edit<'_>>,
    rest: Rest,
    validate_only: bool,
) -> Result<(), Failure> {
    let turn = broker.edits.clone().lock_owned().await;
    let (texts, target) = current(broker, kind, name)?;
    if rest == Rest::Goes {
        let is_named = |key: &String| edits.iter().any(|(name, _, _)| name == key);
        let gone: Vec<&String> = texts.keys().filter(|key| !is_named(key)).collect();
        edits.extend(gone.into_iter().map(|key| (key.as_str(), DELETE, None)));
    }
    if let Some(key) = duplicates(edits.iter().map(|(key, _, _)| *key)).first() {
        let text = format!("the setting {key} is named more than once");
        return Err((ErrorCode::InvalidRequest, text));
    }
    let nulls = edits.iter().find(|(_, operation, value)| {
        matches!(*operation, SET | APPEND | SUBTRACT) && value.is_none()
    });
    if let Some((key, _, _)) = nulls {
        let text = format!("Null value not supported for : {key}");
        return Err((ErrorCode::InvalidRequest, text));
    }
    let mut after = texts.clone();
    let mut commanded = Vec::with_capacity(edits.len());
    for edit in &edits {
        let (value, edit) = judge(broker, &target, &texts, edit)?;
        match value {
            Some(value) => after.insert(edit.name.clone(), value),
            None => after.remove(&edit.name),
        };
        commanded.push(edit);
    }
    // Kafka's brokers and its controller do not agree on this code.
    let error = match target {
        Target::Topic => ErrorCode::InvalidConfig,
        Target::Broker(_) => ErrorCode::InvalidRequest,
    };
    let invalid = |refusal: Refusal| (error, refusal.to_string());
    let batch_bytes_max = broker.router.batch_bytes_max();
    let command = match target {
        Target::Topic => {
            TopicSettings::validate(&broker.settings.broker(), &after, batch_bytes_max)
                .map_err(invalid)?;
            Command::SetTopicConfigs {
                name: name.to_string(),
                edits: commanded,
            }
        }
        Target::Broker(id) => {
            let mut settings = BrokerSettings::default();
            for (key, value) in &after {
                settings.set(key, value).map_err(invalid)?;
            }
            check_batch_bytes("message.max.bytes", &after, batch_bytes_max).map_err(invalid)?;
            Command::SetBrokerConfigs {
                broker: id,
                edits: commanded,
            }
        }
    };
    if validate_only {
        return Ok(());
    }
    commit(broker, command, turn).await
}

/// Has the edits committed, also if whoever asked for them hangs up meanwhile: until then nobody else has a turn.
async fn commit<E: Env>(
    broker: &Rc<Broker<E>>,
    command: Command,
    turn: OwnedMutexGuard<()>,
) -> Result<(), Failure> {
    let (caller, outcome) = oneshot::channel();
    let submitter = broker.clone();
    broker.env.spawn(async move {
        let done = submitter.submit(command).await;
        drop(turn);
        // Whoever has gone meanwhile does not need to be told.
        drop(caller.send(done));
    });
    let stopping = || (ErrorCode::NotController, "the node is stopping".to_string());
    outcome.await.map_err(|_| stopping())?.map(|_| ())
}

/// One edit: what it makes of its key (`None`: not set any more), and the edit to be committed.
fn judge<E: Env>(
    broker: &Broker<E>,
    target: &Target,
    texts: &Texts,
    (key, operation, value): &Edit<'_>,
) -> Result<(Option<String>, ConfigEdit), Failure> {
    let (definition, default) = match target {
        Target::Topic => {
            let inherited = TopicSettings::of_broker(&broker.settings.broker()).text(key);
            (TopicSettings::definition(key), inherited)
        }
        Target::Broker(_) => {
            let inherited = broker.settings.broker().text(key);
            (BrokerSettings::definition(key), inherited)
        }
    };
    let Some(definition) = definition else {
        let known = match target {
            Target::Topic => TopicSettings::DEFINITIONS,
            Target::Broker(_) => BrokerSettings::DEFINITIONS,
        };
        // A key that is no longer known must still be removable; what is not set is not set afterwards either.
        if *operation == DELETE {
            return Ok((None, edit(key, ConfigOperation::Delete)));
        }
        if matches!(target, Target::Broker(_)) && is_known_elsewhere(key) {
            let text = format!("{key} cannot be changed while the node runs");
            return Err((ErrorCode::InvalidRequest, text));
        }
        let refusal = Refusal::UnknownKey {
            key: key.to_string(),
            nearest: nearest(key, known.iter().map(|definition| definition.name)),
        };
        return Err((ErrorCode::InvalidConfig, refusal.to_string()));
    };
    if definition.scope == Scope::Static && *operation == DELETE && !texts.contains_key(*key) {
        return Ok((None, edit(key, ConfigOperation::Delete)));
    }
    if definition.scope == Scope::Static {
        let text = format!("{key} is read at the start and cannot be changed while the node runs");
        return Err((ErrorCode::InvalidRequest, text));
    }
    if *operation == DELETE {
        return Ok((None, edit(key, ConfigOperation::Delete)));
    }
    // An operation that does not exist may come without a value.
    let value = value.unwrap_or_default().trim();
    let values = value.to_string();
    match *operation {
        SET => {
            let value = canonical(target, key, value);
            let operation = ConfigOperation::Set(value.clone());
            Ok((Some(value), edit(key, operation)))
        }
        APPEND | SUBTRACT if definition.kind != Kind::List => Err((
            ErrorCode::InvalidConfig,
            format!("{key} is no list, so nothing can be added to it or taken from it"),
        )),
        APPEND | SUBTRACT => {
            let default = default.unwrap_or_default();
            let current = texts.get(*key).unwrap_or(&default);
            let after = combine(current, value, *operation == APPEND);
            let operation = if *operation == APPEND {
                ConfigOperation::Append { values, default }
            } else {
                ConfigOperation::Subtract { values, default }
            };
            Ok((Some(after), edit(key, operation)))
        }
        other => Err((
            ErrorCode::InvalidRequest,
            format!("there is no operation {other}"),
        )),
    }
}

/// A value as it is kept: as its type writes it (`true` for `TRUE`). What is no value stays as it is, to be refused.
fn canonical(target: &Target, key: &str, value: &str) -> String {
    if let Target::Topic = target {
        return canonical_of_topic(key, value);
    }
    let mut settings = BrokerSettings::default();
    let set = settings.set(key, value).ok();
    let canonical = set.and_then(|()| settings.text(key));
    canonical.unwrap_or_else(|| value.to_string())
}

/// The same of a topic's value.
pub(super) fn canonical_of_topic(key: &str, value: &str) -> String {
    let mut settings = TopicSettings::default();
    let set = settings.set(key, value).ok();
    let canonical = set.and_then(|()| settings.text(key));
    canonical.unwrap_or_else(|| value.to_string())
}

/// Whether it is a key of Kafka's broker that is no setting here: an option of the start, or one that nothing here acts on.
fn is_known_elsewhere(key: &str) -> bool {
    OPTION_KEYS.contains(&key) || foreign::lookup(key).is_some()
}

fn edit(key: &str, operation: ConfigOperation) -> ConfigEdit {
    ConfigEdit {
        name: key.to_string(),
        operation,
    }
}

/// A comma-separated list with values added or taken away, as the metadata machine does it.
fn combine(list: &str, values: &str, append: bool) -> String {
    let split = |text: &str| -> Vec<String> {
        text.split(',')
            .map(|word| word.trim().to_string())
            .filter(|word| !word.is_empty())
            .collect()
    };
    let (mut list, values) = (split(list), split(values));
    if append {
        for value in values {
            if !list.contains(&value) {
                list.push(value);
            }
        }
    } else {
        list.retain(|present| !values.contains(present));
    }
    list.join(",")
}
