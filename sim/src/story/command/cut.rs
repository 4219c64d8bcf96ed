//! `cut`: nothing gets through between two nodes.

use super::Command;
use crate::story::act::{Act, Answer, say};
use crate::story::play::Play;
use std::future::Future;
use std::pin::Pin;

pub const COMMAND: Command = Command {
    name: "cut",
    usage: "FROM TO [ways=1]",
    about: "holds back everything between two nodes, or from the first to the second; see `heal`",
    read: |words| {
        let both = match words.option("ways") {
            None | Some("2") => true,
            Some("1") => false,
            Some(other) => return Err(format!("ways={other}: it is 1 or 2")),
        };
        Ok(Box::new(Cut {
            from: words.next("FROM")?.to_owned(),
            to: words.next("TO")?.to_owned(),
            both,
        }))
    },
};

struct Cut {
    from: String,
    to: String,
    both: bool,
}

impl Act for Cut {
    fn run<'a>(&'a self, play: &'a Play) -> Pin<Box<dyn Future<Output = Answer> + 'a>> {
        Box::pin(async move {
            let (from, to) = (play.node(&self.from)?, play.node(&self.to)?);
            if from == to {
                return Err(format!("{} cannot be cut off from itself", self.from));
            }
            play.world.set_link(from, to, true);
            if self.both {
                play.world.set_link(to, from, true);
            }
            say("cut")
        })
    }
}
