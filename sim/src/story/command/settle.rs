//! `settle`: what became of the records that a client sent and did not wait for.

use super::Command;
use crate::story::act::{Act, Answer};
use crate::story::play::Play;
use std::future::Future;
use std::pin::Pin;

pub const COMMAND: Command = Command {
    name: "settle",
    usage: "CLIENT",
    about: "waits for what a client sent, and says what became of each record",
    read: |words| Ok(Box::new(Settle(words.next("CLIENT")?.to_owned()))),
};

struct Settle(String);

impl Act for Settle {
    fn run<'a>(&'a self, play: &'a Play) -> Pin<Box<dyn Future<Output = Answer> + 'a>> {
        Box::pin(settle(play, &self.0))
    }
}

pub(super) async fn settle(play: &Play, client: &str) -> Answer {
    let open = play.open.borrow_mut().remove(client).unwrap_or_default();
    let mut answer = Vec::new();
    for sent in open {
        let mut sent = sent;
        let fate = (&mut sent.fate).await.ok();
        let words = play.judge(&*play.stage()?, &sent, fate);
        answer.push(format!("{} {words}", sent.value));
    }
    Ok(answer)
}
