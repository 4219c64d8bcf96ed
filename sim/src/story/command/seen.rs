//! `seen`: what a member owns and has read.

use super::Command;
use crate::story::act::{Act, Answer, say};
use crate::story::actor::Hands;
use crate::story::play::Play;
use crate::story::records::text_of;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

pub const COMMAND: Command = Command {
    name: "seen",
    usage: "CLIENT",
    about: "says what a member of a group owns, and what it read since it was last asked",
    read: |words| Ok(Box::new(Seen(words.next("CLIENT")?.to_owned()))),
};

struct Seen(String);

impl Act for Seen {
    fn run<'a>(&'a self, play: &'a Play) -> Pin<Box<dyn Future<Output = Answer> + 'a>> {
        Box::pin(async move {
            let errand = |hands: Rc<Hands>| async move {
                let member = hands.member.borrow().clone()?;
                let consumer = member.consumer.borrow().clone()?;
                let owned: Vec<String> = consumer
                    .assignment()
                    .iter()
                    .map(|owned| format!("{}/{}", owned.topic, owned.partition))
                    .collect();
                let mut answer = vec![match owned.is_empty() {
                    true => "owns nothing".to_owned(),
                    false => format!("owns {}", owned.join(" ")),
                }];
                for record in member.seen.take() {
                    let (topic, partition) = (&record.topic, record.partition);
                    let (offset, value) = (record.offset, text_of(&record));
                    answer.push(format!("{topic}/{partition} {offset} {value}"));
                }
                answer.extend(member.said.take());
                Some(answer)
            };
            match play.client(&self.0)?.ask(errand).await {
                Some(Some(answer)) => Ok(answer),
                _ => say("is no member"),
            }
        })
    }
}
