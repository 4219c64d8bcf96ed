//! What the APIs of groups share: refusals as the protocol's errors, topics as their names and ids.

use taffrail_env::Env;
use taffrail_record::TopicId;
use taffrail_wire::ErrorCode;

use super::operations;
use crate::broker::Broker;
use crate::group::GroupError;
use crate::metadata::RawTopicId;

/// The operations that may be done with a group, as a bit field: all that Kafka has for groups, since nobody is
/// refused.
pub(super) const GROUP_OPERATIONS: i32 = operations(&[3, 6, 8, 10, 11]);

/// The protocol's error for what a coordinator refuses.
pub(super) fn error(refused: GroupError) -> ErrorCode {
    match refused {
        GroupError::InvalidGroupId => ErrorCode::InvalidGroupId,
        GroupError::InvalidSessionTimeout => ErrorCode::InvalidSessionTimeout,
        GroupError::InconsistentProtocol => ErrorCode::InconsistentGroupProtocol,
        GroupError::MemberIdRequired => ErrorCode::MemberIdRequired,
        GroupError::UnknownMember => ErrorCode::UnknownMemberId,
        GroupError::FencedInstance => ErrorCode::FencedInstanceId,
        GroupError::IllegalGeneration => ErrorCode::IllegalGeneration,
        GroupError::RebalanceInProgress => ErrorCode::RebalanceInProgress,
        GroupError::GroupFull => ErrorCode::GroupMaxSizeReached,
        GroupError::GroupNotFound => ErrorCode::GroupIdNotFound,
        GroupError::GroupNotEmpty => ErrorCode::NonEmptyGroup,
        GroupError::SubscribedToTopic => ErrorCode::GroupSubscribedToTopic,
        GroupError::OffsetMetadataTooLarge => ErrorCode::OffsetMetadataTooLarge,
        GroupError::StateTooLarge => ErrorCode::InvalidCommitOffsetSize,
        GroupError::Loading => ErrorCode::CoordinatorLoadInProgress,
        GroupError::NotAvailable => ErrorCode::CoordinatorNotAvailable,
        GroupError::NotCoordinator => ErrorCode::NotCoordinator,
    }
}

impl<E: Env> Broker<E> {
    /// The id of the topic that has this name now.
    pub(super) fn topic_id(&self, name: &str) -> Option<RawTopicId> {
        self.controller
            .metadata()
            .topic(name)
            .map(|topic| topic.id().0)
    }

    /// The name of the topic of this id.
    pub(super) fn topic_name(&self, id: RawTopicId) -> Option<String> {
        self.controller
            .metadata()
            .topic_by_id(TopicId(id))
            .map(|topic| topic.name.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::GROUP_OPERATIONS;

    #[test]
    fn the_operations_of_groups_are_those_that_kafka_lists() {
        assert_eq!(GROUP_OPERATIONS, 0b1101_0100_1000);
    }
}
