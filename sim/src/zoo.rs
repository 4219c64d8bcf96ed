//! The zoo: historic bugs as patches, to be put back into a copy of the tree, where the judges must find them.
//!
//! A patch begins with lines `# key: value` (`id`, `source`, `broke`, `caught-by`, `profile`, `seeds`, all of them; further ones, such as
//! `beside`, why another invariant speaks here than there, are for people), then
//! comes a unified diff of files that exist. This is the pure part: what a patch says, and what it makes of a file.
//! `cargo sim zoo` copies, builds and searches.

use crate::checker;
use crate::profile::Profile;
use std::collections::BTreeMap;
use std::ops::Range;

/// One planted bug.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    pub id: String,
    /// The public ticket, or the class of bugs.
    pub source: String,
    /// What went wrong there, in a sentence.
    pub broke: String,
    /// The invariants that may report it.
    pub caught_by: Vec<String>,
    pub profile: String,
    /// Seeds 0 to this, left out, hold one that fails.
    pub seeds: u64,
    pub changes: Vec<Change>,
}

/// What a patch does to one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Relative to the root of the tree.
    pub path: String,
    hunks: Vec<Hunk>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Hunk {
    /// The line, from 0 on, where it applied when it was written.
    line: usize,
    before: Vec<String>,
    after: Vec<String>,
}

impl Patch {
    /// Reads a patch; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Patch, String> {
        let head: BTreeMap<&str, &str> = text
            .lines()
            .map_while(|line| line.strip_prefix("# "))
            .filter_map(|line| line.split_once(": "))
            .map(|(key, value)| (key, value.trim()))
            .collect();
        let field = |name: &str| match head.get(name) {
            Some(value) if !value.is_empty() => Ok((*value).to_owned()),
            _ => Err(format!("its head has no line `# {name}: …`")),
        };
        let seeds = field("seeds")?;
        let caught_by = field("caught-by")?;
        let patch = Patch {
            id: field("id")?,
            source: field("source")?,
            broke: field("broke")?,
            caught_by: caught_by
                .split(',')
                .map(|name| name.trim().into())
                .collect(),
            profile: field("profile")?,
            seeds: seeds
                .parse()
                .map_err(|_| format!("seeds is a number, not `{seeds}`"))?,
            changes: changes(text)?,
        };
        patch.check().map(|()| patch)
    }

    fn check(&self) -> Result<(), String> {
        Profile::named(&self.profile)?;
        let known = checker::invariants();
        if let Some(name) = self
            .caught_by
            .iter()
            .find(|name| !known.contains(&name.as_str()))
        {
            return Err(format!("no judge knows the invariant {name}"));
        }
        if self.changes.is_empty() {
            return Err("it changes nothing".into());
        }
        let foreign = |change: &&Change| !change.path.starts_with("crates/");
        match self.changes.iter().find(foreign) {
            Some(change) => Err(format!("{} is no code of the product", change.path)),
            None => Ok(()),
        }
    }

    /// The seeds to search.
    pub fn range(&self) -> Range<u64> {
        0..self.seeds
    }
}

impl Change {
    /// The file as the patch leaves it. Each hunk goes where all of its old lines stand, at the place nearest to where it was
    /// written for.
    pub fn apply(&self, original: &str) -> Result<String, String> {
        let mut lines: Vec<&str> = original.split_inclusive('\n').collect();
        let mut shift = 0_isize;
        for hunk in &self.hunks {
            let wanted = hunk.line as isize + shift;
            let at = (0..=lines.len().saturating_sub(hunk.before.len()))
                .filter(|at| stands_at(&lines[*at..], &hunk.before))
                .min_by_key(|at| (*at as isize - wanted).abs())
                .ok_or_else(|| {
                    let line = hunk.line + 1;
                    format!("the lines that it changes at {}:{line} are gone", self.path)
                })?;
            let after = hunk.after.iter().map(String::as_str);
            lines.splice(at..at + hunk.before.len(), after);
            shift = at as isize - hunk.line as isize + hunk.after.len() as isize
                - hunk.before.len() as isize;
        }
        Ok(lines.concat())
    }
}

fn stands_at(lines: &[&str], before: &[String]) -> bool {
    lines.len() >= before.len() && lines.iter().zip(before).all(|(line, old)| line == old)
}

/// The diff's files, in order.
fn changes(text: &str) -> Result<Vec<Change>, String> {
    let mut changes: Vec<Change> = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(path) = line.strip_prefix("+++ ") {
            let path = path
                .strip_prefix("b/")
                .ok_or_else(|| format!("`{path}` is not b/PATH"))?;
            changes.push(Change {
                path: path.to_owned(),
                hunks: Vec::new(),
            });
        } else if line.starts_with("@@ ") {
            let hunk = hunk(line, &mut lines)?;
            let change = changes.last_mut().ok_or("a hunk comes before any file")?;
            change.hunks.push(hunk);
        }
    }
    Ok(changes)
}

/// A hunk's lines, as many as its head `@@ -LINE,COUNT +LINE,COUNT @@` says.
fn hunk<'a>(head: &str, lines: &mut impl Iterator<Item = &'a str>) -> Result<Hunk, String> {
    let malformed = || format!("`{head}` is no head of a hunk");
    let mut ranges = head.split(' ').skip(1);
    let mut range = |sign: char| {
        let (line, count) = {
            let range = ranges.next()?.strip_prefix(sign)?;
            range.split_once(',').unwrap_or((range, "1"))
        };
        Some((line.parse::<usize>().ok()?, count.parse::<usize>().ok()?))
    };
    let (line, old) = range('-').ok_or_else(malformed)?;
    let (_, new) = range('+').ok_or_else(malformed)?;
    let mut hunk = Hunk {
        line: line.saturating_sub(1),
        before: Vec::new(),
        after: Vec::new(),
    };
    while hunk.before.len() < old || hunk.after.len() < new {
        let body = lines
            .next()
            .ok_or_else(|| format!("`{head}` ends too early"))?;
        let (mark, rest) = body.split_at_checked(1).unwrap_or((" ", ""));
        let whole = format!("{rest}\n");
        match mark {
            "-" => hunk.before.push(whole),
            "+" => hunk.after.push(whole),
            " " => {
                hunk.before.push(whole.clone());
                hunk.after.push(whole);
            }
            _ => return Err(format!("`{body}` is no line of a hunk")),
        }
    }
    Ok(hunk)
}

#[cfg(test)]
mod tests;
