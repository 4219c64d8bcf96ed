//! Logs go to stderr. A server says what it does; the tools speak only of what goes wrong.

use crate::arguments::{Arguments, Command};
use crate::failure::Failure;
use tracing_subscriber::EnvFilter;

/// Starts logging as `--log` says.
pub fn start(arguments: &Arguments) -> Result<(), Failure> {
    let default = match arguments.command {
        Command::Serve(_) => "info",
        _ => "warn",
    };
    let wanted = arguments.log.as_deref().unwrap_or(default);
    let filter = EnvFilter::try_new(wanted).map_err(|error| {
        Failure::usage(format!(
            "--log {wanted}: {error}; expected error, warn, info, debug, trace, or a filter such as taffrail_broker=debug"
        ))
    })?;
    let installed = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .try_init();
    // A second command in one process, as in tests, goes on with the first one's logging.
    drop(installed);
    Ok(())
}
