//! How a command ends when it does not end well: an exit code and one line.

use std::fmt::{self, Write as _};
use std::io::Write as _;

/// The exit codes that scripts may rely on; 0 is success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nobody is there to read the rest.
    Quiet = 0,
    /// The operation failed.
    Operation = 1,
    /// Wrong usage or configuration, a directory of another program or version, a port in use.
    Usage = 2,
    /// The data directory is damaged beyond what the node may repair alone.
    Damaged = 3,
}

/// Why a command failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub kind: Kind,
    /// `None` if there is nothing to say.
    pub message: Option<String>,
}

impl Failure {
    pub fn operation(message: impl fmt::Display) -> Failure {
        Failure::new(Kind::Operation, message)
    }

    pub fn usage(message: impl fmt::Display) -> Failure {
        Failure::new(Kind::Usage, message)
    }

    pub fn damaged(message: impl fmt::Display) -> Failure {
        Failure::new(Kind::Damaged, message)
    }

    /// Nobody reads the results any more: the command ends, and nothing went wrong.
    pub fn quiet() -> Failure {
        Failure {
            kind: Kind::Quiet,
            message: None,
        }
    }

    fn new(kind: Kind, message: impl fmt::Display) -> Failure {
        Failure {
            kind,
            message: Some(one_line(&message.to_string())),
        }
    }

    /// Says it on stderr, and gives the exit code.
    pub fn report(self) -> u8 {
        if let Some(message) = self.message {
            // A closed stderr leaves the exit code to say it.
            drop(writeln!(std::io::stderr(), "taffrail: {message}"));
        }
        self.kind as u8
    }
}

/// One line on stderr from a command that goes on.
pub fn say(line: &str) {
    // A closed stderr: then nobody wants to know.
    drop(writeln!(std::io::stderr(), "taffrail: {}", one_line(line)));
}

impl From<taffrail_client::ClientError> for Failure {
    fn from(error: taffrail_client::ClientError) -> Failure {
        Failure::operation(error)
    }
}

impl From<taffrail_client::ConsumeError> for Failure {
    fn from(error: taffrail_client::ConsumeError) -> Failure {
        Failure::operation(error)
    }
}

impl From<taffrail_env::DiskError> for Failure {
    fn from(error: taffrail_env::DiskError) -> Failure {
        Failure::operation(error)
    }
}

/// The same text without line ends and other control characters, which a peer or a file may have put there.
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.trim_end().chars() {
        match character {
            '\n' | '\t' => line.push(' '),
            character if character.is_control() => {
                write!(line, "\\u{{{:x}}}", character as u32).expect("a string takes every text");
            }
            character => line.push(character),
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_whatever_a_peer_put_into_it() {
        assert_eq!(one_line("a\nb\x1b[2Jc\n"), "a b\\u{1b}[2Jc");
    }

    #[test]
    fn exit_codes_are_those_that_scripts_know() {
        assert_eq!(Kind::Operation as u8, 1);
        assert_eq!(Kind::Usage as u8, 2);
        assert_eq!(Kind::Damaged as u8, 3);
    }
}
