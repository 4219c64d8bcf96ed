//! `expect`: what the last answer must hold.

use super::Command;
use crate::story::act::{Act, Answer};
use crate::story::play::Play;
use std::future::Future;
use std::pin::Pin;

pub const COMMAND: Command = Command {
    name: "expect",
    usage: "WORDS ...",
    about: "breaks the story off unless these words are in the answer to the line before",
    read: |words| Ok(Box::new(Expect(words.rest("WORDS")?.join(" ")))),
};

struct Expect(String);

/// Whether `words` stand in `text` as whole words: offset 1 is not offset 10.
fn holds(text: &str, words: &str) -> bool {
    let is_letter = |letter: Option<char>| letter.is_some_and(char::is_alphanumeric);
    let bounded = |begin: usize, end: usize| {
        let starts =
            is_letter(words.chars().next()) && is_letter(text[..begin].chars().next_back());
        let goes_on = is_letter(words.chars().next_back()) && is_letter(text[end..].chars().next());
        !starts && !goes_on
    };
    let mut found = text.match_indices(words);
    found.any(|(begin, _)| bounded(begin, begin + words.len()))
}

impl Act for Expect {
    /// Several expectations may follow one line.
    fn keeps_answer(&self) -> bool {
        true
    }

    fn run<'a>(&'a self, play: &'a Play) -> Pin<Box<dyn Future<Output = Answer> + 'a>> {
        Box::pin(async move {
            let last = play.last.borrow().clone();
            match holds(&last.join("\n"), &self.0) {
                true => Ok(Vec::new()),
                false if last.is_empty() => Err("the line before has no answer".to_owned()),
                false => Err(format!("the answer was: {}", last.join("; "))),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_whole() {
        let answer = "k acknowledged at offset 10\n  0 first, 1 second";
        assert!(holds(answer, "at offset 10"));
        assert!(holds(answer, "1 second"));
        assert!(holds(answer, ", 1"));
        assert!(!holds(answer, "at offset 1"));
        assert!(!holds(answer, "0 firs"));
        assert!(!holds(answer, "acked"));
    }
}
