//! The `taffrail` program: its options, its configuration file, the wiring of a node, and the tools of the command line.
//!
//! Nothing here decides anything about logs or protocols: `serve` wires [`taffrail_broker`] to the real environment and an admin HTTP
//! listener, the other commands are short uses of [`taffrail_client`]. The operating system is reached through [`taffrail_os`] alone.
//!
//! What must hold: a command ends with one of four exit codes; whatever goes wrong is one line on stderr that
//! says what is wrong and, where somebody can act on it, what would be right; stdout carries results and nothing else.

#![forbid(unsafe_code)]

mod arguments;
mod command;
mod config;
mod failure;
mod http;
mod logging;
mod metrics;
mod output;
mod serve;
mod time;

use arguments::{Arguments, Command};
use clap::Parser;
use failure::Failure;

/// Runs the command that `arguments` (without the program's name) ask for, and gives its exit code.
pub fn run(arguments: &[String]) -> u8 {
    taffrail_os::process::exit_on_any_panic();
    let name = std::iter::once("taffrail".to_owned());
    let parsed = Arguments::try_parse_from(name.chain(arguments.iter().cloned()));
    let result = match parsed {
        Ok(arguments) => dispatch(arguments),
        Err(error) => arguments::explain(&error),
    };
    match result {
        Ok(()) => 0,
        Err(failure) => failure.report(),
    }
}

fn dispatch(arguments: Arguments) -> Result<(), Failure> {
    logging::start(&arguments)?;
    match arguments.command {
        Command::Serve(options) => serve::run(*options),
        Command::Topic(command) => command::topic::run(command),
        Command::Produce(options) => command::produce::run(options),
        Command::Consume(options) => command::consume::run(options),
        Command::Group(command) => command::group::run(command),
        Command::Log(command) => command::log::run(command),
        Command::Bench(command) => command::bench::run(command),
    }
}
