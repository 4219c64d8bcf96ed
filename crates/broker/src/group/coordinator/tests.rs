//! Stories of groups, told to a coordinator with a clock that is moved by hand.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use taffrail_env::Instant;
use taffrail_replication::Machine;

use super::{Coordinator, Effects};
use crate::group::{
    CommitOffset, CommitRequest, GroupConfig, GroupError, GroupState, HeartbeatRequest,
    JoinRefused, JoinReply, JoinRequest, Joined, LeaveRequest, LeavingMember, Now, Protocol,
    Record, Stored, SyncReply, SyncRequest,
};

mod membership;
mod offsets;
mod rebalances;
mod replay;
mod statics;

/// A coordinator, its log, and what its members were told.
struct Story {
    coordinator: Coordinator<u32, u32>,
    now: Now,
    log: Vec<Record>,
    callers: u32,
    joined: BTreeMap<u32, JoinReply>,
    synced: BTreeMap<u32, SyncReply>,
}

fn story() -> Story {
    Story::new(GroupConfig::default())
}

/// A member that joins group `g` as a consumer of topic `t` with the protocol `range`.
fn member(member_id: &str) -> JoinRequest {
    JoinRequest {
        group_id: "g".to_string(),
        member_id: member_id.to_string(),
        instance_id: None,
        client_id: "client".to_string(),
        client_host: "/127.0.0.1".to_string(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 60_000,
        protocol_type: "consumer".to_string(),
        protocols: vec![subscribed("range", "t")],
        new_member_id: String::new(),
        member_id_required: false,
        can_skip_assignment: false,
    }
}

fn new_member(new_member_id: &str) -> JoinRequest {
    JoinRequest {
        new_member_id: new_member_id.to_string(),
        ..member("")
    }
}

fn static_member(instance_id: &str, new_member_id: &str) -> JoinRequest {
    JoinRequest {
        instance_id: Some(instance_id.to_string()),
        ..new_member(new_member_id)
    }
}

/// A protocol with the subscription to one topic as its metadata.
fn subscribed(protocol: &str, topic: &str) -> Protocol {
    let mut metadata = vec![0, 1, 0, 0, 0, 1, 0, topic.len() as u8];
    metadata.extend_from_slice(topic.as_bytes());
    metadata.extend_from_slice(&[0xff; 4]);
    Protocol {
        name: protocol.to_string(),
        metadata: metadata.into(),
    }
}

fn commit(generation: i32, member_id: &str, offset: i64) -> CommitRequest {
    CommitRequest {
        group_id: "g".to_string(),
        generation,
        member_id: member_id.to_string(),
        instance_id: None,
        retention_ms: None,
        knows_group_not_found: true,
        offsets: vec![CommitOffset {
            topic: "t".to_string(),
            topic_id: [7; 16],
            partition: 0,
            offset,
            leader_epoch: 3,
            metadata: "note".to_string(),
        }],
    }
}

impl Story {
    fn new(config: GroupConfig) -> Story {
        let now = Now {
            at: Instant(1_000_000_000_000),
            unix_ms: 1_700_000_000_000,
        };
        let coordinator = Coordinator::new(config, Stored::default(), now, &mut Effects::default());
        Story {
            coordinator,
            now,
            log: Vec::new(),
            callers: 0,
            joined: BTreeMap::new(),
            synced: BTreeMap::new(),
        }
    }

    fn act<R>(
        &mut self,
        act: impl FnOnce(&mut Coordinator<u32, u32>, Now, &mut Effects<u32, u32>) -> R,
    ) -> R {
        let mut effects = Effects::default();
        let result = act(&mut self.coordinator, self.now, &mut effects);
        self.log.append(&mut effects.records);
        for (caller, reply) in effects.joined {
            assert!(
                self.joined.insert(caller, reply).is_none(),
                "answered twice"
            );
        }
        for (caller, reply) in effects.synced {
            assert!(
                self.synced.insert(caller, reply).is_none(),
                "answered twice"
            );
        }
        self.coordinator.check().expect("consistent");
        result
    }

    /// Lets time pass, with everything that falls due on the way.
    fn wait(&mut self, time: Duration) {
        let end = self.now.at + time;
        while self.coordinator.next_deadline() <= end {
            let deadline = self.coordinator.next_deadline();
            self.move_clock(deadline);
            self.act(|coordinator, now, effects| coordinator.on_timer(now, effects));
        }
        self.move_clock(end);
    }

    fn move_clock(&mut self, to: Instant) {
        self.now.unix_ms += (to - self.now.at).as_millis() as i64;
        self.now.at = to;
    }

    fn join(&mut self, request: JoinRequest) -> u32 {
        self.callers += 1;
        let caller = self.callers;
        self.act(|coordinator, now, effects| coordinator.join(now, request, caller, effects));
        caller
    }

    /// What a member was told that has asked to join.
    fn joined(&self, caller: u32) -> &Joined {
        self.joined
            .get(&caller)
            .expect("answered")
            .as_ref()
            .expect("joined")
    }

    fn join_refused(&self, caller: u32) -> (GroupError, &str) {
        match self.joined.get(&caller).expect("answered") {
            Err(JoinRefused { error, member_id }) => (*error, member_id),
            Ok(joined) => panic!("joined: {joined:?}"),
        }
    }

    fn sync_request(member_id: &str, generation: i32, assignments: &[(&str, &str)]) -> SyncRequest {
        let assignment = |(member_id, bytes): &(&str, &str)| {
            (member_id.to_string(), Bytes::from(bytes.to_string()))
        };
        SyncRequest {
            group_id: "g".to_string(),
            generation,
            member_id: member_id.to_string(),
            instance_id: None,
            protocol_type: None,
            protocol: None,
            assignments: assignments.iter().map(assignment).collect(),
        }
    }

    fn sync(&mut self, member_id: &str, generation: i32, assignments: &[(&str, &str)]) -> u32 {
        self.sync_with(Self::sync_request(member_id, generation, assignments))
    }

    fn sync_with(&mut self, request: SyncRequest) -> u32 {
        self.callers += 1;
        let caller = self.callers;
        self.act(|coordinator, now, effects| coordinator.sync(now, request, caller, effects));
        caller
    }

    /// The assignment that a member was given that has asked for it.
    fn assignment(&self, caller: u32) -> Result<&str, GroupError> {
        let reply = self.synced.get(&caller).expect("answered");
        let assignment = reply
            .as_ref()
            .map(|synced| std::str::from_utf8(&synced.assignment).expect("text"));
        assignment.map_err(|error| *error)
    }

    fn heartbeat(&mut self, member_id: &str, generation: i32) -> Result<(), GroupError> {
        let request = HeartbeatRequest {
            group_id: "g".to_string(),
            generation,
            member_id: member_id.to_string(),
            instance_id: None,
        };
        self.act(|coordinator, now, effects| coordinator.heartbeat(now, &request, effects))
    }

    fn leave(
        &mut self,
        members: &[(&str, Option<&str>)],
    ) -> Result<Vec<Result<(), GroupError>>, GroupError> {
        let leaving = |(member_id, instance_id): &(&str, Option<&str>)| LeavingMember {
            member_id: member_id.to_string(),
            instance_id: instance_id.map(str::to_string),
        };
        let request = LeaveRequest {
            group_id: "g".to_string(),
            members: members.iter().map(leaving).collect(),
        };
        self.act(|coordinator, now, effects| coordinator.leave(now, &request, effects))
    }

    fn commit(
        &mut self,
        request: CommitRequest,
    ) -> Result<Vec<Result<(), GroupError>>, GroupError> {
        self.act(|coordinator, now, effects| coordinator.commit(now, request, effects))
    }

    /// What is committed of `t`, partition 0, by group `g`.
    fn committed(&self) -> Option<i64> {
        self.coordinator
            .offset("g", "t", 0)
            .map(|committed| committed.offset)
    }

    fn state(&self) -> GroupState {
        self.coordinator.describe("g").expect("there").state
    }

    /// Group `g` with these new members, stable in its first generation; each has its name as assignment. The
    /// first one leads.
    fn stable_group(&mut self, requests: Vec<JoinRequest>) {
        let ids: Vec<String> = requests
            .iter()
            .map(|request| request.new_member_id.clone())
            .collect();
        let callers: Vec<u32> = requests
            .into_iter()
            .map(|request| self.join(request))
            .collect();
        while !callers
            .iter()
            .all(|caller| self.joined.contains_key(caller))
        {
            self.wait(Duration::from_millis(100));
        }
        let generation = self.coordinator.groups["g"].generation;
        let assignments: Vec<(&str, &str)> =
            ids.iter().map(|id| (id.as_str(), id.as_str())).collect();
        for id in ids.iter().skip(1) {
            self.sync(id, generation, &[]);
        }
        self.sync(&ids[0], generation, &assignments);
        assert_eq!(self.state(), GroupState::Stable);
    }

    /// The state that whoever reads the log has.
    fn replayed(&self) -> Stored {
        let mut stored = Stored::default();
        for record in &self.log {
            let read = Record::decode(&record.key(), record.value().as_deref()).expect("decodes");
            assert_eq!(&read, record);
            stored.apply(&read);
        }
        stored
    }

    /// The coordinator stops, and another one begins with what the log says.
    fn restart(&mut self) {
        let stored = self.replayed();
        assert_eq!(stored.digest(), self.coordinator.stored().digest());
        self.now.at = self.now.at + Duration::from_secs(1);
        let mut effects = Effects::default();
        let config = self.coordinator.config.clone();
        self.coordinator = Coordinator::new(config, stored, self.now, &mut effects);
        assert!(effects.records.is_empty());
        self.coordinator.check().expect("consistent");
    }
}
