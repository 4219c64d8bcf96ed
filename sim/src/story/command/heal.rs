//! `heal`: links are whole, disks work, and nothing is drawn any more.

use super::Command;
use crate::fault::Rates;
use crate::story::act::{Act, Answer, say};
use crate::story::play::Play;
use std::future::Future;
use std::pin::Pin;

pub const COMMAND: Command = Command {
    name: "heal",
    usage: "",
    about: "ends everything that the story broke and that can be mended",
    read: |_| Ok(Box::new(Heal)),
};

struct Heal;

impl Act for Heal {
    fn run<'a>(&'a self, play: &'a Play) -> Pin<Box<dyn Future<Output = Answer> + 'a>> {
        Box::pin(async move {
            heal(play);
            say("healed")
        })
    }
}

/// What was damaged at rest stays damaged; who is dead stays dead.
pub(super) fn heal(play: &Play) {
    let world = &play.world;
    world.faults().set_rates(Rates::none());
    world.heal_links();
    for node in world.nodes() {
        world.clear_trap(node);
        world.resume(node);
        world.freeze_clock(node, false);
        world.disk(node).heal();
        world.disk(node).set_capacity(u64::MAX);
    }
}
