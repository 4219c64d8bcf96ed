//! Every command that a story may use, one file each.

mod broker;
mod bytes;
mod clock;
mod commit;
mod committed;
mod cut;
mod delete;
mod disk;
mod end;
mod expect;
mod fault;
mod forget;
mod heal;
mod join;
mod kill;
mod leave;
mod offsets;
mod pause;
mod produce;
mod read;
mod rot;
mod seen;
mod settle;
mod start;
mod stop;
mod topic;
mod verify;
mod wait;

use super::act::Act;
use super::words::Words;

pub use end::account;

/// A command, as it is looked up and explained.
pub struct Command {
    pub name: &'static str,
    /// What stands behind the name.
    pub usage: &'static str,
    pub about: &'static str,
    pub(super) read: fn(&mut Words<'_>) -> Result<Box<dyn Act>, String>,
}

/// All of them, in the order of explanations.
pub const COMMANDS: &[Command] = &[
    broker::COMMAND,
    topic::COMMAND,
    delete::COMMAND,
    forget::COMMAND,
    produce::COMMAND,
    settle::COMMAND,
    read::COMMAND,
    offsets::COMMAND,
    commit::COMMAND,
    committed::COMMAND,
    join::COMMAND,
    seen::COMMAND,
    leave::COMMAND,
    bytes::COMMAND,
    kill::KILL,
    kill::CUT_POWER,
    stop::COMMAND,
    start::COMMAND,
    verify::COMMAND,
    pause::PAUSE,
    pause::RESUME,
    cut::COMMAND,
    clock::COMMAND,
    disk::COMMAND,
    rot::COMMAND,
    fault::COMMAND,
    heal::COMMAND,
    wait::COMMAND,
    expect::COMMAND,
];

/// Reads one line.
pub(super) fn read(mut words: Words<'_>) -> Result<Box<dyn Act>, String> {
    let command = COMMANDS
        .iter()
        .find(|command| command.name == words.command);
    let Some(command) = command else {
        let names: Vec<&str> = COMMANDS.iter().map(|command| command.name).collect();
        return Err(format!(
            "no command `{}`; there are: {}",
            words.command,
            names.join(", ")
        ));
    };
    let act = (command.read)(&mut words).and_then(|act| words.end().map(|()| act));
    act.map_err(|why| format!("{why}; it is `{} {}`", command.name, command.usage))
}
