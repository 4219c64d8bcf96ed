//! What the drive can be told, as text.

use std::str::FromStr;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// `cut SEED`: the power fails soon; when, and what of what was not flushed is kept or lost, the seed draws.
    Cut { seed: u64 },
    /// `fail WHAT PERCENT SEED`: from now on this share of such requests fails.
    Fail {
        what: Operation,
        percent: u8,
        seed: u64,
    },
    /// `on`: power, and no failures.
    On,
    /// `state`: changes nothing.
    State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Reads,
    Writes,
    Flushes,
}

/// The text is none of the commands.
#[derive(Debug, PartialEq, Eq)]
pub struct NoCommand;

impl FromStr for Command {
    type Err = NoCommand;

    fn from_str(text: &str) -> Result<Command, NoCommand> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let number = |word: &str| word.parse::<u64>().map_err(|_| NoCommand);
        match words[..] {
            ["cut", seed] => Ok(Command::Cut {
                seed: number(seed)?,
            }),
            ["fail", what, percent, seed] => Ok(Command::Fail {
                what: match what {
                    "reads" => Operation::Reads,
                    "writes" => Operation::Writes,
                    "flushes" => Operation::Flushes,
                    _ => return Err(NoCommand),
                },
                percent: match number(percent)? {
                    percent @ 0..=100 => percent as u8,
                    _ => return Err(NoCommand),
                },
                seed: number(seed)?,
            }),
            ["on"] => Ok(Command::On),
            ["state"] => Ok(Command::State),
            _ => Err(NoCommand),
        }
    }
}
