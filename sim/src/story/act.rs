//! What a line does when its turn comes.

use super::play::Play;
use std::future::Future;
use std::pin::Pin;

/// The lines of the answer; or why the story cannot go on.
pub type Answer = Result<Vec<String>, String>;

/// One command with its arguments, read and ready.
pub trait Act: Send {
    /// Whether the answer to the line before stays what the next line may be about.
    fn keeps_answer(&self) -> bool {
        false
    }

    fn run<'a>(&'a self, play: &'a Play) -> Pin<Box<dyn Future<Output = Answer> + 'a>>;
}

/// An answer of one line.
pub fn say(line: impl Into<String>) -> Answer {
    Ok(vec![line.into()])
}
