//! Configuration files as entries: TOML, where tables and dotted keys are the same thing, and Java properties.

use super::Entry;
use crate::failure::Failure;
use std::path::Path;
use taffrail_env::disk::DiskOperation;
use taffrail_env::{DiskError, DiskErrorKind};
use taffrail_os::process;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The largest configuration file.
const FILE_BYTES_MAX: usize = 1 << 20;

/// The entries of a file, in its order.
pub fn read(path: &Path) -> Result<Vec<Entry>, Failure> {
    let name = path.display().to_string();
    let text = process::read_text(path, FILE_BYTES_MAX)
        .map_err(|error| Failure::usage(format!("--config {name}: {}", unreadable(&error))))?;
    if path
        .extension()
        .is_some_and(|extension| extension == "properties")
    {
        properties(&name, &text)
    } else {
        toml(&name, &text)
    }
}

/// A file that is no text is read to its end, and refused there.
fn unreadable(error: &DiskError) -> String {
    match error.kind {
        DiskErrorKind::Io if error.operation == DiskOperation::Read => format!(
            "{}; expected a text in UTF-8, of at most {FILE_BYTES_MAX} bytes",
            error.system
        ),
        _ => error.system.clone(),
    }
}

fn line_of(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count()
}

pub(super) fn toml(name: &str, text: &str) -> Result<Vec<Entry>, Failure> {
    let table = DeTable::parse(text).map_err(|error| {
        let line = error.span().map_or(1, |span| line_of(text, span.start));
        Failure::usage(format!("{name}:{line}: {}", error.message()))
    })?;
    let mut found = Vec::new();
    flatten(name, text, "", table.get_ref(), &mut found)?;
    // By line, so that messages and warnings come in the reader's order.
    found.sort_by_key(|(at, _)| *at);
    Ok(found.into_iter().map(|(_, entry)| entry).collect())
}

fn flatten(
    name: &str,
    text: &str,
    prefix: &str,
    table: &DeTable<'_>,
    found: &mut Vec<(usize, Entry)>,
) -> Result<(), Failure> {
    for (key, value) in table {
        let at = key.span().start;
        let key = format!("{prefix}{}", key.get_ref());
        let place = format!("{name}:{}", line_of(text, at));
        if let DeValue::Table(inner) = value.get_ref() {
            flatten(name, text, &format!("{key}."), inner, found)?;
            continue;
        }
        let value = scalars(value).ok_or_else(|| {
            Failure::usage(format!(
                "{place} {key}: expected a text, a number, true, false, or a list of these"
            ))
        })?;
        found.push((at, Entry { key, value, place }));
    }
    Ok(())
}

/// A value as the text that the command line would have; a list with commas.
fn scalars(value: &Spanned<DeValue<'_>>) -> Option<String> {
    match value.get_ref() {
        DeValue::String(text) => Some(text.to_string()),
        // Written as in the file, without the digit separators that only TOML has.
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().replace('_', "")),
        DeValue::Integer(number) => {
            let digits = number.as_str().replace('_', "");
            i64::from_str_radix(&digits, number.radix())
                .ok()
                .map(|number| number.to_string())
        }
        DeValue::Float(number) => Some(number.as_str().replace('_', "")),
        DeValue::Boolean(truth) => Some(truth.to_string()),
        DeValue::Array(values) => {
            let values: Option<Vec<String>> = values.iter().map(scalars).collect();
            values.map(|values| values.join(","))
        }
        DeValue::Datetime(_) | DeValue::Table(_) => None,
    }
}

/// Java's format: `key=value`, `key: value` or `key value`; lines that end in a backslash go on; `#` and `!` begin a comment.
pub(super) fn properties(name: &str, text: &str) -> Result<Vec<Entry>, Failure> {
    let mut entries = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let mut logical = line.trim_start().to_owned();
        if logical.is_empty() || logical.starts_with(['#', '!']) {
            continue;
        }
        while ends_open(&logical) {
            logical.pop();
            let Some((_, next)) = lines.next() else { break };
            logical.push_str(next.trim_start());
        }
        let place = format!("{name}:{}", number + 1);
        let (key, value) = split(&logical);
        let plain = |text: &str| {
            unescape(text).ok_or_else(|| {
                Failure::usage(format!(
                    "{place}: a broken \\u escape; expected four hexadecimal digits"
                ))
            })
        };
        entries.push(Entry {
            key: plain(key)?,
            value: plain(value)?.trim_end().to_owned(),
            place: place.clone(),
        });
    }
    Ok(entries)
}

/// Whether a line goes on: it ends in an odd number of backslashes.
fn ends_open(line: &str) -> bool {
    line.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1
}

fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = line.find(|character: char| {
        let ends = !escaped && (matches!(character, '=' | ':') || character.is_whitespace());
        escaped = !escaped && character == '\\';
        ends
    });
    let end = end.unwrap_or(line.len());
    let rest = line[end..].trim_start();
    let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (&line[..end], rest.trim_start())
}

fn unescape(text: &str) -> Option<String> {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        if character != '\\' {
            plain.push(character);
            continue;
        }
        match rest.next() {
            None => {}
            Some('t') => plain.push('\t'),
            Some('n') => plain.push('\n'),
            Some('r') => plain.push('\r'),
            Some('f') => plain.push('\u{c}'),
            Some('u') => {
                let digits: String = rest.by_ref().take(4).collect();
                let code = u32::from_str_radix(&digits, 16)
                    .ok()
                    .filter(|_| digits.len() == 4)?;
                plain.push(char::from_u32(code)?);
            }
            Some(other) => plain.push(other),
        }
    }
    Some(plain)
}
