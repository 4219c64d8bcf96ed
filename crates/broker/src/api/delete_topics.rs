//! DeleteTopics: committed in the metadata first, and only then destroyed on disk.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use taffrail_env::Env;
use taffrail_record::TopicId;
use taffrail_wire::ErrorCode;
use taffrail_wire::delete_topics::{
    DeletableTopicResult, DeleteTopicsRequest, DeleteTopicsResponse,
};

use super::create_topics::duplicates;
use super::{Answer, Call, code};
use crate::broker::refusal_code;
use crate::metadata::{Command, Done, Refusal, TopicKey};

/// Topics are named by name or id from this version on, by name alone before.
const TOPIC_IDS_SINCE: i16 = 6;

struct Deleted {
    name: Option<String>,
    topic_id: TopicId,
    failure: Option<(ErrorCode, String)>,
}

pub(crate) async fn handle<E: Env>(call: &Call<E>, request: DeleteTopicsRequest<'_>) -> Answer {
    let mut wanted: Vec<(Option<&str>, TopicId)> = if call.version >= TOPIC_IDS_SINCE {
        let topics = request.topics.iter();
        topics
            .map(|topic| (topic.name, TopicId(topic.topic_id)))
            .collect()
    } else {
        let names = request.topic_names.iter();
        names.map(|name| (Some(*name), TopicId::ZERO)).collect()
    };
    let twice = duplicates(wanted.iter().copied());
    // A topic is answered once, however often it is there, and by name if it is there by name and by id.
    let mut seen = BTreeSet::new();
    wanted.retain(|topic| seen.insert(*topic));
    let by_both = by_name_and_id(call, &wanted, &twice);
    wanted
        .retain(|topic| topic.0.is_some() || !by_both.contains(&topic.1) || twice.contains(topic));
    let deletions = wanted.into_iter().map(async |(name, id)| {
        let refused = match (name, id) {
            (None, TopicId::ZERO) => "Neither topic name nor id were specified.",
            (Some(_), TopicId::ZERO) if twice.contains(&(name, id)) => "Duplicate topic name.",
            (None, _) if twice.contains(&(name, id)) => "Duplicate topic id.",
            (Some(_), id) if id != TopicId::ZERO => {
                "You may not specify both topic name and topic id."
            }
            (Some(name), _) => match call.broker.topic_id(name).map(TopicId) {
                Some(known) if by_both.contains(&known) => {
                    let text = "The provided topic name maps to an ID that was already supplied.";
                    return Deleted::refused(Some(name), known, text);
                }
                _ => return delete(call, Some(name), id).await,
            },
            _ => return delete(call, name, id).await,
        };
        Deleted::refused(name, id, refused)
    });
    let deleted = join_all(deletions).await;
    let responses = deleted.iter().map(|deleted| DeletableTopicResult {
        name: match &deleted.name {
            Some(name) => Some(name),
            None if call.version >= TOPIC_IDS_SINCE => None,
            None => Some(""),
        },
        topic_id: deleted.topic_id.0,
        error_code: deleted
            .failure
            .as_ref()
            .map_or(0, |(error, _)| code(*error)),
        error_message: deleted.failure.as_ref().map(|(_, text)| text.as_str()),
    });
    call.answer(&DeleteTopicsResponse {
        responses: responses.collect(),
        ..DeleteTopicsResponse::default()
    })
}

impl Deleted {
    fn refused(name: Option<&str>, topic_id: TopicId, text: &str) -> Deleted {
        Deleted {
            name: name.map(str::to_string),
            topic_id,
            failure: Some((ErrorCode::InvalidRequest, text.to_string())),
        }
    }
}

/// The ids of topics that are there by name, once, and by id.
fn by_name_and_id<E: Env>(
    call: &Call<E>,
    wanted: &[(Option<&str>, TopicId)],
    twice: &BTreeSet<(Option<&str>, TopicId)>,
) -> BTreeSet<TopicId> {
    let ids = wanted.iter().filter(|(name, _)| name.is_none());
    let ids: BTreeSet<TopicId> = ids.map(|(_, id)| *id).collect();
    let names = wanted.iter().filter(|topic| !twice.contains(topic));
    let names = names.filter(|(_, id)| *id == TopicId::ZERO);
    let named = names.filter_map(|(name, _)| call.broker.topic_id((*name)?).map(TopicId));
    named.filter(|id| ids.contains(id)).collect()
}

async fn delete<E: Env>(call: &Call<E>, name: Option<&str>, id: TopicId) -> Deleted {
    let broker = &call.broker;
    let mut deleted = Deleted {
        name: name.map(str::to_string),
        topic_id: id,
        failure: None,
    };
    let key = match name {
        Some(name) => TopicKey::Name(name.to_string()),
        None => TopicKey::Id(id.0),
    };
    if !broker.settings.broker().delete_topic {
        // The error exists from version 3 on.
        let error = if call.version >= 3 {
            ErrorCode::TopicDeletionDisabled
        } else {
            ErrorCode::InvalidRequest
        };
        let text = "topics must not be deleted here (delete.topic.enable)".to_string();
        deleted.failure = Some((error, text));
        return deleted;
    }
    // What is not there need not be written down to be refused.
    let missing = {
        let metadata = broker.controller.metadata();
        match &key {
            TopicKey::Name(name) if metadata.topic(name).is_none() => Some(Refusal::UnknownTopic),
            TopicKey::Id(id) if metadata.topic_by_id(TopicId(*id)).is_none() => {
                Some(Refusal::UnknownTopicId)
            }
            _ => None,
        }
    };
    if let Some(refusal) = missing {
        deleted.failure = Some((refusal_code(&refusal), refusal.to_string()));
        return deleted;
    }
    match broker.submit(Command::DeleteTopic { topic: key }).await {
        Ok(Done::TopicDeleted { topic_id, name }) => {
            deleted.topic_id = TopicId(topic_id);
            deleted.name = Some(name);
        }
        Ok(other) => unreachable!("{other:?} is no answer to the deletion of a topic"),
        Err(failure) => deleted.failure = Some(failure),
    }
    deleted
}
