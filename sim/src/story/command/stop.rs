//! `stop`: a clean stop.

use super::Command;
use crate::history::{Event, Stop as Ending};
use crate::story::act::{Act, Answer, say};
use crate::story::play::{PATIENCE, Play};
use std::future::Future;
use std::pin::Pin;

pub const COMMAND: Command = Command {
    name: "stop",
    usage: "BROKER",
    about: "stops a broker as SIGTERM does",
    read: |words| Ok(Box::new(Stop(words.next("BROKER")?.to_owned()))),
};

struct Stop(String);

impl Act for Stop {
    fn run<'a>(&'a self, play: &'a Play) -> Pin<Box<dyn Future<Output = Answer> + 'a>> {
        Box::pin(async move {
            let broker = play.broker_named(&self.0)?;
            let could = broker.is_serving() && !play.strained.get() && !play.damaged.get();
            match broker.stop(PATIENCE).await {
                // What it leaves behind is looked at by `verify`, and at the end of the story.
                Ok(()) => say("stopped cleanly"),
                Err(why) => {
                    if could {
                        play.stage()?.tell(Event::Stopped {
                            node: broker.node.number(),
                            stop: Ending::Unclean(why.clone()),
                        });
                    }
                    say(format!("stopped, but not cleanly: {why}"))
                }
            }
        })
    }
}
