//! `kill` and `cut-power`: a process dies.

use super::Command;
use crate::node::{Death, Trap};
use crate::story::act::{Act, Answer, say};
use crate::story::play::Play;
use crate::story::words::Words;
use std::future::Future;
use std::pin::Pin;

const USAGE: &str = "NODE [operations=N]";

pub const KILL: Command = Command {
    name: "kill",
    usage: USAGE,
    about: "kills a process, as `kill -9` does; in the middle of its N-th disk operation from now if that is said",
    read: |words| read(words, Death::Kill),
};

pub const CUT_POWER: Command = Command {
    name: "cut-power",
    usage: USAGE,
    about: "cuts a node from power: what was not synced is lost, in part or whole",
    read: |words| read(words, Death::PowerCut),
};

fn read(words: &mut Words<'_>, death: Death) -> Result<Box<dyn Act>, String> {
    Ok(Box::new(Kill {
        node: words.next("NODE")?.to_owned(),
        operations: words.option_number("operations")?,
        death,
    }))
}

struct Kill {
    node: String,
    operations: Option<u64>,
    death: Death,
}

impl Act for Kill {
    fn run<'a>(&'a self, play: &'a Play) -> Pin<Box<dyn Future<Output = Answer> + 'a>> {
        Box::pin(async move {
            let node = play.node(&self.node)?;
            if !play.world.is_running(node) {
                return Err("it is not running".to_owned());
            }
            match (self.operations, self.death) {
                (Some(operations), death) => {
                    let trap = Trap::DiskOperations(operations);
                    play.world.set_trap(node, trap, death);
                    play.strained.set(true);
                    return say("will be dead");
                }
                (None, Death::PowerCut) => play.world.power_cut(&[node]),
                (None, _) => play.world.kill(node),
            }
            play.world.exited(node).await;
            say("dead")
        })
    }
}
