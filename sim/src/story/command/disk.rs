//! `disk`: a disk that is full, read-only, slow, or empty.

use super::Command;
use crate::story::act::{Act, Answer, say};
use crate::story::play::Play;
use std::future::Future;
use std::pin::Pin;

pub const COMMAND: Command = Command {
    name: "disk",
    usage: "NODE full|roomy|read-only|writable|slow|fast|empty",
    about: "fills a disk, gives it room again, remounts it, slows it down, or replaces it by an empty one",
    read: |words| {
        let node = words.next("NODE")?.to_owned();
        let change = match words.next("what to do")? {
            "full" => Change::Full,
            "roomy" => Change::Roomy,
            "read-only" => Change::ReadOnly(true),
            "writable" => Change::ReadOnly(false),
            "slow" => Change::Slow(1_000),
            "fast" => Change::Slow(1),
            "empty" => Change::Empty,
            other => return Err(format!("no disk is made `{other}`")),
        };
        Ok(Box::new(Disk { node, change }))
    },
};

enum Change {
    Full,
    Roomy,
    ReadOnly(bool),
    Slow(u64),
    Empty,
}

struct Disk {
    node: String,
    change: Change,
}

impl Act for Disk {
    fn run<'a>(&'a self, play: &'a Play) -> Pin<Box<dyn Future<Output = Answer> + 'a>> {
        Box::pin(async move {
            let node = play.node(&self.node)?;
            let disk = play.world.disk(node);
            play.strained.set(true);
            match self.change {
                Change::Full => disk.set_capacity(0),
                Change::Roomy => disk.set_capacity(u64::MAX),
                Change::ReadOnly(read_only) => disk.set_read_only(read_only),
                Change::Slow(factor) => disk.set_slow(factor),
                Change::Empty if play.world.is_running(node) => {
                    return Err("it is in use; stop the node first".to_owned());
                }
                Change::Empty => {
                    play.tell_deleted(|_| true)?;
                    play.world.wipe_disk(node);
                    play.forget_deleted(|_| true)?;
                }
            }
            say("done")
        })
    }
}
