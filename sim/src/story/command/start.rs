//! `start`: the broker's next process.

use super::Command;
use crate::cluster::Broker;
use crate::node::{Death, Trap};
use crate::story::act::{Act, Answer, say};
use crate::story::play::{PATIENCE, Play};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

pub const COMMAND: Command = Command {
    name: "start",
    usage: "BROKER [operations=N]",
    about: "starts a broker that was stopped, killed or cut from power; and kills it in its N-th disk operation if that is said",
    read: |words| {
        Ok(Box::new(Start {
            broker: words.next("BROKER")?.to_owned(),
            operations: words.option_number("operations")?,
        }))
    },
};

struct Start {
    broker: String,
    operations: Option<u64>,
}

impl Act for Start {
    fn run<'a>(&'a self, play: &'a Play) -> Pin<Box<dyn Future<Output = Answer> + 'a>> {
        Box::pin(async move {
            let broker = play.broker_named(&self.broker)?;
            if play.world.is_running(broker.node) {
                return Err("it is running".to_owned());
            }
            serve(play, &broker, self.operations).await
        })
    }
}

/// Starts the broker, and says what it has to say.
pub(super) async fn serve(play: &Play, broker: &Rc<Broker>, killed_in: Option<u64>) -> Answer {
    broker.start(&play.stage()?);
    if let Some(operations) = killed_in {
        let trap = Trap::DiskOperations(operations);
        play.world.set_trap(broker.node, trap, Death::Kill);
        play.strained.set(true);
    }
    let end = play.world.elapsed() + PATIENCE;
    while !broker.is_serving() {
        if !play.world.is_running(broker.node) {
            if killed_in.is_some() {
                return say("dies while it starts");
            }
            return say(format!("does not start: {}", broker.why_absent()));
        }
        if play.world.elapsed() >= end {
            return say(format!("is not there after {PATIENCE:?}"));
        }
        play.world.sleep(std::time::Duration::from_millis(1)).await;
    }
    say("serves")
}
