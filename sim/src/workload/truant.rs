//! A truant: members of another make that come into the members' group, take what they are given, and are gone.
//!
//! It asks for a member id and never joins; joins and never asks for its share; leads, gives nobody anything and falls silent; leaves
//! while it still joins; hangs up in a crowd; offers a protocol that nobody else knows. It never reads, so it owns nothing that
//! anybody else could own too: what is given to it lies unread until the group is rid of it. That the group gets rid of it, and
//! that nothing is ever done in the name of one who is gone, is what the broker owes.
//!
//! What is judged here holds whatever is lost on its way, and whenever the broker dies. Generations that nobody was given a share in are
//! soft, and so is a leave before the next generation has begun: a broker that starts again may know neither. But a member that did not
//! join anew is in no later generation than its last, in whatever order things are forgotten.

use super::group::GROUP_NAME;
use super::peer::{Answer, Peer};
use super::{Phase, Presence, Stage};
use crate::decision::Stream;
use crate::env::SimEnv;
use crate::history::ClientId;
use bytes::Bytes;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;
use taffrail_client::AssignorKind;
use taffrail_env::Clock;
use taffrail_wire::consumer_protocol::{
    ConsumerProtocolAssignment, ConsumerProtocolSubscription, TopicPartition,
};
use taffrail_wire::join_group::JoinGroupRequestProtocol;
use taffrail_wire::leave_group::MemberIdentity;
use taffrail_wire::sync_group::SyncGroupRequestAssignment;
use taffrail_wire::{
    Blob, ErrorCode, HeartbeatRequest, JoinGroupRequest, LeaveGroupRequest, SyncGroupRequest,
};

const PROTOCOL_TYPE: &str = "consumer";
/// A way to share that no member has heard of.
const STRANGE_PROTOCOL: &str = "every-other-tuesday";
/// From this version on somebody new is given an id first, and joins with it.
const ID_FIRST_SINCE: i16 = 4;
const JOIN_VERSION_MAX: i16 = 9;
/// The last version in which a new member is taken in without an id.
const JOIN_WITHOUT_ID_VERSION: i16 = 3;
/// From this version on several leave at once.
const LEAVE_TOGETHER_SINCE: i16 = 3;
/// So many connections are kept without a word.
const SILENT_MAX: usize = 4;
/// Part of every name that a truant calls itself, and so of its member ids.
const NAME: &str = "truant";

/// How it appears this time.
struct Guise {
    name: String,
    join_version: i16,
    session: Duration,
    rebalance_timeout: Duration,
    patience: Duration,
    protocol: &'static str,
    subscription: Bytes,
}

/// A place in a generation.
struct Seat {
    member_id: String,
    generation: i32,
    /// Everybody, if it leads.
    led: Option<Vec<String>>,
}

/// Somebody whose every JoinGroup was answered, and who will send no more of them.
struct Gone {
    member_id: String,
    /// The last it was in, if any.
    generation: Option<i32>,
}

struct Truant {
    env: SimEnv,
    stage: Rc<Stage>,
    id: ClientId,
    choice: Stream,
    gone: RefCell<Vec<Gone>>,
    /// The newest generation in which it was given a share: that one is durable.
    shared_out: Cell<i32>,
    /// Marks its assignments, each differently.
    assignments: Cell<u64>,
    /// Connections on which nothing is said any more.
    silent: RefCell<VecDeque<Peer>>,
}

/// Runs until the producers stop. Without members there is no group to disturb.
pub async fn run(env: SimEnv, stage: Rc<Stage>, id: ClientId) {
    let _presence = Presence::new(&stage);
    if !stage.has_members.get() {
        return;
    }
    let choice = stage
        .world
        .decisions()
        .stream(&format!("{NAME}-{id}/choice"));
    let truant = Truant {
        env,
        stage,
        id,
        choice,
        gone: RefCell::default(),
        shared_out: Cell::new(-1),
        assignments: Cell::new(0),
        silent: RefCell::default(),
    };
    while truant.stage.phase.get() == Phase::Work {
        if truant.is_wanted() {
            truant.visit().await;
        }
        // Not always close after each other: a group that is disturbed all the time reads nothing.
        let longest = [300, 1_500, 5_000][truant.draw(3) as usize];
        truant.rest(longest).await;
    }
}

impl Truant {
    fn draw(&self, n: u64) -> u64 {
        self.stage.world.decisions().below(self.choice, n)
    }

    async fn rest(&self, ms_max: u64) {
        let pause = Duration::from_millis(self.draw(ms_max));
        self.env.sleep(pause).await;
    }

    /// The group may be disturbed. Not before it has committed something: until then it is forgotten together with its generations when
    /// it is empty, and generations of the same number would be of two groups.
    fn is_wanted(&self) -> bool {
        let stage = &self.stage;
        let works = stage.phase.get() == Phase::Work && !stage.steady.get();
        works && !stage.group_reach.borrow().is_empty()
    }

    async fn visit(&self) {
        let guise = self.draw_guise();
        // `None` is an answer that did not come, or a refusal: it goes all the same.
        let _ = match self.draw(10) {
            0 => self.take_id_and_go(&guise).await,
            1 => self.join_and_go(&guise).await,
            2..=4 => self.take_part(&guise).await,
            5 => self.leave_at_once(&guise).await,
            6 => self.leave_while_joining(&guise).await,
            7 => self.be_strange(&guise).await,
            8 => self.crowd(&guise).await,
            _ => self.haunt(&guise).await,
        };
    }

    fn draw_guise(&self) -> Guise {
        let stage = &self.stage;
        // Of several that could lead, the broker takes the first by name.
        let name = match self.draw(2) {
            0 => format!("a-{NAME}-{}", self.id),
            _ => format!("{NAME}-{}", self.id),
        };
        let versions = (JOIN_VERSION_MAX - ID_FIRST_SINCE + 1) as u64;
        let sessions = [
            Duration::from_millis(500),
            Duration::from_secs(1),
            stage.session,
        ];
        let assignor = [
            AssignorKind::Range,
            AssignorKind::RoundRobin,
            AssignorKind::CooperativeSticky,
        ][stage.assignor];
        Guise {
            name,
            join_version: ID_FIRST_SINCE + self.draw(versions) as i16,
            session: sessions[self.draw(3) as usize],
            rebalance_timeout: Duration::from_millis([500, 2_000, 5_000][self.draw(3) as usize]),
            patience: Duration::from_secs([3, 15][self.draw(2) as usize]),
            protocol: assignor.name(),
            subscription: self.draw_subscription(),
        }
    }

    /// It wants all topics or one, says so in any version, and claims to own nothing.
    fn draw_subscription(&self) -> Bytes {
        let topics = self.stage.topics.iter().map(|topic| topic.name.as_str());
        let mut topics: Vec<&str> = topics.collect();
        if self.draw(3) == 0 {
            topics = vec![topics[self.draw(topics.len() as u64) as usize]];
        }
        let subscription = ConsumerProtocolSubscription {
            topics,
            ..ConsumerProtocolSubscription::default()
        };
        let version = self.draw(4) as i16;
        subscription.encode(version).expect("names are short")
    }

    async fn connect(&self, guise: &Guise) -> Option<Peer> {
        Peer::connect(&self.env, &self.stage.broker, &guise.name, guise.patience).await
    }

    /// Never to come back to it: the group must forget the id, and wait for it no longer than that takes.
    async fn take_id_and_go(&self, guise: &Guise) -> Option<()> {
        let mut peer = self.connect(guise).await?;
        let member_id = self.take_id(&mut peer, guise, guise.protocol).await?.ok()?;
        self.remember(member_id, None);
        self.part_from(peer);
        Some(())
    }

    /// In a generation, and out of sight before its share.
    async fn join_and_go(&self, guise: &Guise) -> Option<()> {
        let mut peer = self.connect(guise).await?;
        let seat = self.enter(&mut peer, guise).await?;
        self.remember(seat.member_id, Some(seat.generation));
        self.part_from(peer);
        Some(())
    }

    /// A member like others for a while, but for asking for its share, sometimes. A leader gives nobody anything.
    async fn take_part(&self, guise: &Guise) -> Option<()> {
        let mut peer = self.connect(guise).await?;
        let mut seat = self.enter(&mut peer, guise).await?;
        if self.draw(4) != 0 {
            let synced = self.sync(&mut peer, guise, &seat).await;
            if synced == Some(ErrorCode::None) {
                self.claim_a_place(&mut peer).await;
            }
        } else {
            self.stage.count("truant-idlers");
        }
        let told = self.beat_on(&mut peer, guise, &seat).await;
        if told == Some(ErrorCode::RebalanceInProgress) && self.is_wanted() && self.draw(2) == 0 {
            // Perhaps into the same generation once more.
            let above = seat.generation.max(self.shared_out.get()) - 1;
            let (member_id, protocol) = (&seat.member_id, guise.protocol);
            let joined = self.join(&mut peer, guise, member_id, protocol, above);
            seat = joined.await?.ok()?;
            self.stage.count("truant-rejoins");
        }
        self.remember(seat.member_id, Some(seat.generation));
        self.part_from(peer);
        Some(())
    }

    async fn leave_at_once(&self, guise: &Guise) -> Option<()> {
        let mut peer = self.connect(guise).await?;
        let seat = self.enter(&mut peer, guise).await?;
        if self.draw(2) == 0 {
            self.sync(&mut peer, guise, &seat).await;
        }
        let error = self.leave(&mut peer, &seat.member_id).await;
        if error == Some(ErrorCode::None) {
            self.stage.count("truant-leaves");
        }
        self.remember(seat.member_id, Some(seat.generation));
        self.part_from(peer);
        Some(())
    }

    /// Another connection leaves in its name while its JoinGroup is on its way, waits, or was answered: whichever came first, it is out.
    async fn leave_while_joining(&self, guise: &Guise) -> Option<()> {
        let mut joining = self.connect(guise).await?;
        let mut leaving = self.connect(guise).await?;
        let member_id = self
            .take_id(&mut joining, guise, guise.protocol)
            .await?
            .ok()?;
        let above = self.shared_out.get();
        let request = self.join_request(guise, &member_id, guise.protocol);
        joining.send(guise.join_version, &request).await?;
        self.rest(300).await;
        let error = self.leave(&mut leaving, &member_id).await;
        if error == Some(ErrorCode::None) {
            self.stage.count("truant-leaves-amid-joins");
        }
        let answer = joining.receive().await?;
        let seat = self
            .take_seat(&answer, guise, &member_id, guise.protocol, above)?
            .ok()?;
        self.remember(seat.member_id, Some(seat.generation));
        self.part_from(joining);
        self.part_from(leaving);
        Some(())
    }

    /// Offers what no member can follow. As long as there are members, it is refused; in an empty group it would be they who are, so it
    /// does not go before the group has let it go.
    async fn be_strange(&self, guise: &Guise) -> Option<()> {
        let mut peer = self.connect(guise).await?;
        let first = match self.draw(2) {
            0 => STRANGE_PROTOCOL,
            _ => guise.protocol,
        };
        let member_id = match self.take_id(&mut peer, guise, first).await? {
            Ok(member_id) => member_id,
            Err(error) => {
                self.count_strange(error);
                return None;
            }
        };
        let brief = Guise {
            name: guise.name.clone(),
            session: Duration::from_millis(500),
            rebalance_timeout: Duration::from_millis(500),
            subscription: guise.subscription.clone(),
            ..*guise
        };
        let above = self.shared_out.get();
        let joined = self
            .join(&mut peer, &brief, &member_id, STRANGE_PROTOCOL, above)
            .await;
        if let Some(Err(error)) = joined {
            self.count_strange(error);
        }
        self.part_from(peer);
        self.see_off(guise, &member_id).await;
        if let Some(Ok(seat)) = joined {
            self.stage.count("truant-strange-joins");
            self.remember(seat.member_id, Some(seat.generation));
        }
        Some(())
    }

    fn count_strange(&self, error: ErrorCode) {
        if error == ErrorCode::InconsistentGroupProtocol {
            self.stage.count("truant-refusals");
        }
    }

    /// Several come at once, each by a connection of its own, and hang up while they wait, or are answered.
    async fn crowd(&self, guise: &Guise) -> Option<()> {
        let mut peers = Vec::new();
        for _ in 0..2 + self.draw(4) {
            if !self.is_wanted() {
                break;
            }
            let mut peer = self.connect(guise).await?;
            if self.draw(3) == 0 {
                let request = self.join_request(guise, "", guise.protocol);
                peer.send(JOIN_WITHOUT_ID_VERSION, &request).await?;
            } else {
                let id = self.take_id(&mut peer, guise, guise.protocol).await?.ok()?;
                let request = self.join_request(guise, &id, guise.protocol);
                peer.send(guise.join_version, &request).await?;
            }
            peers.push(peer);
        }
        self.stage.count("truant-crowds");
        self.rest(1_000).await;
        peers.into_iter().for_each(Peer::leave);
        Some(())
    }

    /// Does what only a member may do, in the name of somebody who is gone.
    async fn haunt(&self, guise: &Guise) -> Option<()> {
        let mut peer = self.connect(guise).await?;
        for _ in 0..1 + self.draw(3) {
            self.claim_a_place(&mut peer).await;
        }
        peer.leave();
        Some(())
    }

    /// Gives an id back until somebody says that it is out.
    async fn see_off(&self, guise: &Guise, member_id: &str) {
        loop {
            if let Some(mut peer) = self.connect(guise).await {
                let error = self.leave(&mut peer, member_id).await;
                peer.leave();
                if error.is_some_and(|error| !error.is_retriable()) {
                    return;
                }
            }
            self.env.sleep(Duration::from_millis(200)).await;
        }
    }

    /// Half of them hang up; the others stay on the line without a word, for as long as there are not too many.
    fn part_from(&self, peer: Peer) {
        if self.draw(2) == 0 {
            return peer.leave();
        }
        let mut silent = self.silent.borrow_mut();
        silent.push_back(peer);
        if silent.len() > SILENT_MAX {
            silent.pop_front();
        }
    }

    fn remember(&self, member_id: String, generation: Option<i32>) {
        self.gone.borrow_mut().push(Gone {
            member_id,
            generation,
        });
    }

    /// Joins in two steps.
    async fn enter(&self, peer: &mut Peer, guise: &Guise) -> Option<Seat> {
        let member_id = self.take_id(peer, guise, guise.protocol).await?.ok()?;
        let above = self.shared_out.get();
        self.join(peer, guise, &member_id, guise.protocol, above)
            .await?
            .ok()
    }

    /// Asks for a member id; what it is told instead is an error.
    async fn take_id(
        &self,
        peer: &mut Peer,
        guise: &Guise,
        protocol: &str,
    ) -> Option<Result<String, ErrorCode>> {
        let request = self.join_request(guise, "", protocol);
        let answer = peer.call(guise.join_version, &request).await?;
        let response = answer.read::<JoinGroupRequest<'_>>(guise.join_version)?;
        Some(match ErrorCode::from(response.error_code) {
            ErrorCode::MemberIdRequired => {
                self.stage.count("truant-ids");
                Ok(response.member_id.to_owned())
            }
            error => Err(error),
        })
    }

    /// Joins with an id; into a generation above this one, or not at all.
    async fn join(
        &self,
        peer: &mut Peer,
        guise: &Guise,
        member_id: &str,
        protocol: &str,
        above: i32,
    ) -> Option<Result<Seat, ErrorCode>> {
        let request = self.join_request(guise, member_id, protocol);
        let answer = peer.call(guise.join_version, &request).await?;
        self.take_seat(&answer, guise, member_id, protocol, above)
    }

    fn join_request<'a>(
        &self,
        guise: &'a Guise,
        member_id: &'a str,
        protocol: &'a str,
    ) -> JoinGroupRequest<'a> {
        JoinGroupRequest {
            group_id: GROUP_NAME,
            session_timeout_ms: guise.session.as_millis() as i32,
            rebalance_timeout_ms: guise.rebalance_timeout.as_millis() as i32,
            member_id,
            protocol_type: PROTOCOL_TYPE,
            protocols: vec![JoinGroupRequestProtocol {
                name: protocol,
                metadata: guise.subscription.clone(),
            }],
            ..JoinGroupRequest::default()
        }
    }

    /// What a JoinGroup was answered with.
    fn take_seat(
        &self,
        answer: &Answer,
        guise: &Guise,
        member_id: &str,
        protocol: &str,
        above: i32,
    ) -> Option<Result<Seat, ErrorCode>> {
        let response = answer.read::<JoinGroupRequest<'_>>(guise.join_version)?;
        let error = ErrorCode::from(response.error_code);
        if error.is_error() {
            return Some(Err(error));
        }
        let led_by_own_kind = response.leader.contains(NAME);
        let wrong = if response.member_id != member_id {
            Some("is taken for somebody else")
        } else if response.protocol_name != Some(protocol) {
            Some("is to follow a protocol that it did not offer")
        } else if protocol == STRANGE_PROTOCOL && !led_by_own_kind {
            Some("is led by somebody who does not know its protocol")
        } else {
            None
        };
        if let Some(wrong) = wrong {
            let witness = format!("{member_id} joined the group, and {wrong}: {response:?}");
            self.stage.object("ONE-OWNER", witness);
        }
        if response.generation_id <= above {
            let witness = format!(
                "{member_id} came into generation {}; generation {above} was over before it asked",
                response.generation_id
            );
            self.stage.object("ZOMBIE-FENCED", witness);
        }
        let everybody = response.members.iter();
        let everybody: Vec<String> = everybody.map(|one| one.member_id.to_owned()).collect();
        let leads = response.leader == member_id;
        self.judge_list(member_id, leads, &everybody);
        self.stage.count("truant-joins");
        if leads {
            self.stage.count("truant-leads");
        }
        Some(Ok(Seat {
            member_id: member_id.to_owned(),
            generation: response.generation_id,
            led: leads.then_some(everybody),
        }))
    }

    /// A leader is told of everybody, itself among them, and of nobody who did not join; others are told of nobody.
    fn judge_list(&self, member_id: &str, leads: bool, everybody: &[String]) {
        let knows_itself = everybody.iter().any(|one| one == member_id);
        if leads != knows_itself || leads == everybody.is_empty() {
            let role = if leads { "leads" } else { "follows" };
            let witness = format!("{member_id} {role}, and is told of {everybody:?}");
            self.stage.object("ONE-OWNER", witness);
        }
        let gone = self.gone.borrow();
        let is_gone = |one: &&String| gone.iter().any(|gone| gone.member_id == **one);
        if let Some(ghost) = everybody.iter().find(is_gone) {
            let witness = format!("{member_id} leads {ghost}, who did not join");
            self.stage.object("ZOMBIE-FENCED", witness);
        }
    }

    /// Asks for its share; a leader says what everybody's is.
    async fn sync(&self, peer: &mut Peer, guise: &Guise, seat: &Seat) -> Option<ErrorCode> {
        let mut assignments = Vec::new();
        if let Some(everybody) = &seat.led {
            // Those that are left out have nothing, as those that are given nothing.
            let names_all = self.draw(2) == 0;
            let keeps_all = self.draw(2) == 0;
            for member_id in everybody {
                let own = *member_id == seat.member_id;
                if own || names_all {
                    let assignment = self.draw_assignment(own && keeps_all);
                    assignments.push((member_id.as_str(), assignment));
                }
            }
        }
        let of_itself = |assigned: &&(&str, Bytes)| assigned.0 == seat.member_id;
        let expected = assignments.iter().find(of_itself);
        let expected = expected.map(|(_, assignment)| assignment.clone());
        let request = SyncGroupRequest {
            group_id: GROUP_NAME,
            generation_id: seat.generation,
            member_id: &seat.member_id,
            group_instance_id: None,
            protocol_type: Some(PROTOCOL_TYPE),
            protocol_name: Some(guise.protocol),
            assignments: assignments
                .into_iter()
                .map(|(member_id, assignment)| SyncGroupRequestAssignment {
                    member_id,
                    assignment,
                })
                .collect(),
        };
        let version = 3 + self.draw(3) as i16;
        let answer = peer.call(version, &request).await?;
        let response = answer.read::<SyncGroupRequest<'_>>(version)?;
        let error = ErrorCode::from(response.error_code);
        if error == ErrorCode::None {
            self.stage.count("truant-syncs");
            let newest = self.shared_out.get().max(seat.generation);
            self.shared_out.set(newest);
            if expected.is_some_and(|expected| expected != response.assignment) {
                let witness = format!(
                    "{} led generation {}, and was given another share than it gave itself",
                    seat.member_id, seat.generation
                );
                self.stage.object("ONE-OWNER", witness);
            }
        }
        Some(error)
    }

    /// All or nothing, in any version, and unlike any other.
    fn draw_assignment(&self, all: bool) -> Bytes {
        let number = self.assignments.get();
        self.assignments.set(number + 1);
        let topics = self.stage.topics.iter().filter(|_| all);
        let assignment = ConsumerProtocolAssignment {
            assigned_partitions: topics
                .map(|topic| TopicPartition {
                    topic: &topic.name,
                    partitions: (0..topic.partitions).collect(),
                })
                .collect(),
            user_data: Some(Bytes::copy_from_slice(&number.to_be_bytes())),
        };
        let version = self.draw(4) as i16;
        assignment.encode(version).expect("names are short")
    }

    /// Says now and then that it is alive, until it is told something else or has had enough. What it was told last.
    async fn beat_on(&self, peer: &mut Peer, guise: &Guise, seat: &Seat) -> Option<ErrorCode> {
        let mut told = None;
        for _ in 0..self.draw(10) {
            self.env.sleep(guise.session / 3).await;
            if !self.is_wanted() {
                break;
            }
            let error = self.beat(peer, &seat.member_id, seat.generation).await?;
            self.stage.count("truant-beats");
            told = Some(error);
            if error != ErrorCode::None {
                break;
            }
        }
        told
    }

    async fn beat(&self, peer: &mut Peer, member_id: &str, generation: i32) -> Option<ErrorCode> {
        let request = HeartbeatRequest {
            group_id: GROUP_NAME,
            generation_id: generation,
            member_id,
            group_instance_id: None,
        };
        let version = self.draw(5) as i16;
        let answer = peer.call(version, &request).await?;
        let response = answer.read::<HeartbeatRequest<'_>>(version)?;
        Some(ErrorCode::from(response.error_code))
    }

    /// Leaves in this name; what it is told.
    async fn leave(&self, peer: &mut Peer, member_id: &str) -> Option<ErrorCode> {
        let version = LEAVE_TOGETHER_SINCE - 1 + self.draw(4) as i16;
        let mut request = LeaveGroupRequest {
            group_id: GROUP_NAME,
            ..LeaveGroupRequest::default()
        };
        if version >= LEAVE_TOGETHER_SINCE {
            request.members.push(MemberIdentity {
                member_id,
                ..MemberIdentity::default()
            });
        } else {
            request.member_id = member_id;
        }
        let answer = peer.call(version, &request).await?;
        let response = answer.read::<LeaveGroupRequest<'_>>(version)?;
        let each = response.members.iter().map(|member| member.error_code);
        let mut errors = std::iter::once(response.error_code).chain(each);
        let error = errors.find(|error| *error != 0).unwrap_or(0);
        Some(ErrorCode::from(error))
    }

    /// Says that it is alive, or asks for its share, in the name of somebody who is gone. In a generation that is not that one's last, nobody
    /// of that name is known; and its last is over as soon as a later one has shared out.
    async fn claim_a_place(&self, peer: &mut Peer) -> Option<()> {
        let count = self.gone.borrow().len() as u64;
        if count == 0 {
            return None;
        }
        let (member_id, last) = {
            let gone = self.gone.borrow();
            let one = &gone[self.draw(count) as usize];
            (one.member_id.clone(), one.generation)
        };
        let shared_out = self.shared_out.get();
        let over = last.filter(|last| *last < shared_out && self.draw(3) == 0);
        let generation = over.unwrap_or_else(|| self.newest_generation());
        // One that has not shared out is gone with the process, and then the one before it holds again.
        if over.is_none() && last >= Some(generation) {
            return None;
        }
        let (what, error) = match self.draw(2) {
            0 => ("heartbeat", self.beat(peer, &member_id, generation).await?),
            _ => ("sync", self.sync_as(peer, &member_id, generation).await?),
        };
        self.stage.count("truant-claims");
        if error == ErrorCode::None {
            let witness = format!(
                "a {what} of {member_id} in generation {generation} was accepted, whose last generation is {last:?}, and {shared_out} has shared out"
            );
            self.stage.object("ZOMBIE-FENCED", witness);
        }
        Some(())
    }

    /// The newest in which anybody is known to have been given a share.
    fn newest_generation(&self) -> i32 {
        let memberships = self.stage.memberships.borrow();
        let told = memberships.iter().map(|member| member.generation).max();
        told.unwrap_or(-1).max(self.shared_out.get())
    }

    async fn sync_as(
        &self,
        peer: &mut Peer,
        member_id: &str,
        generation: i32,
    ) -> Option<ErrorCode> {
        let request = SyncGroupRequest {
            group_id: GROUP_NAME,
            generation_id: generation,
            member_id,
            ..SyncGroupRequest::default()
        };
        let version = 3 + self.draw(3) as i16;
        let answer = peer.call(version, &request).await?;
        let response = answer.read::<SyncGroupRequest<'_>>(version)?;
        Some(ErrorCode::from(response.error_code))
    }
}
