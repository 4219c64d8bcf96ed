//! `join`: a client becomes a member of a group, and reads what it is given.

use super::Command;
use crate::story::act::{Act, Answer, say};
use crate::story::actor::{Hands, Member};
use crate::story::group::{Audience, Part, member_number};
use crate::story::play::Play;
use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;
use taffrail_client::{AssignorKind, Consumer, ConsumerOptions};
use taffrail_env::Spawn;

pub const COMMAND: Command = Command {
    name: "join",
    usage: "CLIENT GROUP TOPIC ... [assignor=range|roundrobin|cooperative-sticky] [instance=ID]",
    about: "joins a group, reads, and commits what it read; see `seen`",
    read: |words| {
        let assignor = match words.option("assignor") {
            None | Some("range") => AssignorKind::Range,
            Some("roundrobin") => AssignorKind::RoundRobin,
            Some("cooperative-sticky") => AssignorKind::CooperativeSticky,
            Some(other) => return Err(format!("there is no assignor `{other}`")),
        };
        Ok(Box::new(Join {
            instance: words.option("instance").map(str::to_owned),
            client: words.next("CLIENT")?.to_owned(),
            group: words.next("GROUP")?.to_owned(),
            topics: words.rest("TOPIC")?,
            assignor,
        }))
    },
};

struct Join {
    client: String,
    group: String,
    topics: Vec<String>,
    assignor: AssignorKind,
    instance: Option<String>,
}

impl Act for Join {
    fn run<'a>(&'a self, play: &'a Play) -> Pin<Box<dyn Future<Output = Answer> + 'a>> {
        Box::pin(async move {
            let options = ConsumerOptions {
                group: Some(self.group.clone()),
                group_instance_id: self.instance.clone(),
                assignors: vec![self.assignor],
                session_timeout: Duration::from_secs(6),
                rebalance_timeout: Duration::from_secs(10),
                heartbeat_interval: Duration::from_secs(1),
                ..ConsumerOptions::default()
            };
            let audience = Audience {
                stage: play.stage()?,
                groups: play.groups.clone(),
                records: play.records.clone(),
            };
            let client = play.client(&self.client)?;
            let id = member_number(client.node.0, play.world.incarnation(client.node));
            let topics = self.topics.clone();
            let what = (self.group.clone(), topics.clone(), self.instance.clone());
            let errand = move |hands: Rc<Hands>| async move {
                if hands.member.borrow().is_some() {
                    return false;
                }
                let consumer = Consumer::new(&hands.client, options);
                consumer.subscribe(&topics);
                let member = Rc::new(Member {
                    consumer: RefCell::new(Some(Rc::new(consumer))),
                    seen: RefCell::default(),
                    said: RefCell::default(),
                });
                *hands.member.borrow_mut() = Some(member.clone());
                let part = Part::begin(audience, member, id, what);
                hands.env.spawn(part.take());
                true
            };
            match client.ask(errand).await {
                Some(true) => say("joins"),
                Some(false) => Err("it is a member already".to_owned()),
                None => Err("the client died over it".to_owned()),
            }
        })
    }
}
