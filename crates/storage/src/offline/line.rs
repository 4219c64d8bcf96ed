//! A line of a dump: words, each with what it says, for people or as one JSON object for programs.
//!
//! Both come from the same fields, so they cannot differ. A line that belongs to the one before it is indented for people; for
//! programs it carries that one's first field, and every line the file it is about.

use std::fmt::{self, Write};

/// What a word says.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Said {
    Number(i128),
    Text(String),
    /// The word stands there or it does not.
    Flag(bool),
    /// What is printed instead of the word if it is not so.
    Either(bool, &'static str),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Field {
    word: &'static str,
    /// For programs; the word with `_` between its parts if it is not given.
    key: Option<&'static str>,
    said: Said,
}

impl Field {
    fn key(&self) -> String {
        self.key
            .map_or_else(|| self.word.replace(' ', "_"), str::to_owned)
    }

    fn json(&self, object: &mut String) {
        let between = if object.len() > 1 { "," } else { "" };
        let value = match &self.said {
            Said::Number(number) => number.to_string(),
            Said::Flag(is) | Said::Either(is, _) => is.to_string(),
            Said::Text(text) => quoted(text),
        };
        object.push_str(&format!("{between}\"{}\":{value}", self.key()));
    }
}

/// How lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    Json,
}

/// See the module's head.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Line {
    /// It belongs to the line before it.
    inner: bool,
    fields: Vec<Field>,
}

impl Line {
    pub fn new() -> Line {
        Line::default()
    }

    pub fn inner() -> Line {
        Line {
            inner: true,
            ..Line::default()
        }
    }

    fn with(mut self, word: &'static str, said: Said) -> Line {
        let key = None;
        self.fields.push(Field { word, key, said });
        self
    }

    pub fn number(self, word: &'static str, number: impl Into<i128>) -> Line {
        self.with(word, Said::Number(number.into()))
    }

    pub fn text(self, word: &'static str, text: impl fmt::Display) -> Line {
        self.with(word, Said::Text(text.to_string()))
    }

    /// A number that is a sum of bits rather than a quantity.
    pub fn hex(self, word: &'static str, number: u64) -> Line {
        self.text(word, format_args!("{number:016x}"))
    }

    pub fn flag(self, word: &'static str, is: bool) -> Line {
        self.with(word, Said::Flag(is))
    }

    pub fn either(self, word: &'static str, otherwise: &'static str, is: bool) -> Line {
        self.with(word, Said::Either(is, otherwise))
    }

    /// What programs know the last word by.
    pub fn key(mut self, key: &'static str) -> Line {
        let last = self.fields.last_mut().expect("a word comes first");
        last.key = Some(key);
        self
    }

    fn people(&self) -> String {
        let mut text = String::new();
        for field in &self.fields {
            let between = match (text.is_empty(), self.inner) {
                (true, true) => "  ",
                (true, false) => "",
                (false, _) => " ",
            };
            let word = field.word;
            let written = match &field.said {
                Said::Number(number) => write!(text, "{between}{word} {number}"),
                Said::Text(said) => write!(text, "{between}{word} {said}"),
                Said::Flag(true) | Said::Either(true, _) => write!(text, "{between}{word}"),
                Said::Either(false, otherwise) => write!(text, "{between}{otherwise}"),
                Said::Flag(false) => Ok(()),
            };
            written.expect("a string takes every text");
        }
        text
    }
}

/// What the lines to come belong to.
#[derive(Default)]
pub(super) struct Context {
    pub file: Option<String>,
    outer: Option<Field>,
}

impl Context {
    /// A line as it is written, in its context.
    pub fn write(&mut self, line: &Line, form: Form) -> String {
        if !line.inner {
            self.outer = line.fields.first().cloned();
        }
        if form == Form::Text {
            return line.people();
        }
        let mut object = "{".to_owned();
        let file = self.file.as_ref().map(|file| Field {
            word: "file",
            key: None,
            said: Said::Text(file.clone()),
        });
        let outer = self.outer.as_ref().filter(|_| line.inner);
        for field in file.iter().chain(outer) {
            if !line.fields.iter().any(|own| own.key() == field.key()) {
                field.json(&mut object);
            }
        }
        for field in &line.fields {
            field.json(&mut object);
        }
        object.push('}');
        object
    }
}

/// A JSON string.
fn quoted(text: &str) -> String {
    let mut quoted = "\"".to_owned();
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            control if control < ' ' => quoted.push_str(&format!("\\u{:04x}", control as u32)),
            character => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_and_programs_are_told_the_same() {
        let mut context = Context {
            file: Some("a \"b\"\\\n".to_owned()),
            ..Context::default()
        };
        let outer = Line::new()
            .text("log", "x-0")
            .number("start", -1_i64)
            .flag("deleted", false);
        let inner = Line::inner()
            .number("largest timestamp", u64::MAX)
            .hex("chain", 255)
            .flag("sealed", true)
            .either("valid", "INVALID", false);
        assert_eq!(context.write(&outer, Form::Text), "log x-0 start -1");
        assert_eq!(
            context.write(&inner, Form::Text),
            "  largest timestamp 18446744073709551615 chain 00000000000000ff sealed INVALID"
        );
        let file = r#""file":"a \"b\"\\\u000a""#;
        assert_eq!(
            context.write(&outer, Form::Json),
            format!(r#"{{{file},"log":"x-0","start":-1,"deleted":false}}"#)
        );
        assert_eq!(
            context.write(&inner, Form::Json),
            format!(
                r#"{{{file},"log":"x-0","largest_timestamp":18446744073709551615,"chain":"00000000000000ff","sealed":true,"valid":false}}"#
            )
        );
    }
}
