//! What goes wrong with a command itself, in one line; and lines of results, which nobody has to read to their end.

use std::fmt;
use std::io::Write;
use std::path::Path;

/// Why a command did not do what it was asked for.
#[derive(Debug)]
pub struct Failure {
    text: String,
    pub code: u8,
}

impl Failure {
    /// It was understood, and could not be done.
    pub fn failed(text: impl Into<String>) -> Failure {
        Failure {
            text: text.into(),
            code: 1,
        }
    }

    /// A file could not be read or written.
    pub fn of_file(path: &Path, why: impl fmt::Display) -> Failure {
        Failure::failed(format!("{}: {why}", path.display()))
    }
}

/// It cannot be meant so.
impl From<String> for Failure {
    fn from(text: String) -> Failure {
        Failure { text, code: 2 }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The message of wrong options in one line, with its tip.
pub fn usage_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let lines = text.lines().map(str::trim);
    let told =
        lines.take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"));
    let told: Vec<&str> = told.filter(|line| !line.is_empty()).collect();
    let line = told.join(" ");
    line.strip_prefix("error: ").unwrap_or(&line).to_owned()
}

/// Prints a line of results. Once nobody reads them any more, the program ends without a word.
#[allow(
    clippy::disallowed_methods,
    reason = "the program's end, outside of every simulation"
)]
pub fn print_line(line: fmt::Arguments<'_>) {
    if writeln!(std::io::stdout().lock(), "{line}").is_err() {
        std::process::exit(1);
    }
}

/// As `println!`, but see [`print_line`].
macro_rules! say {
    ($($line:tt)*) => { $crate::failure::print_line(format_args!($($line)*)) };
}
pub(crate) use say;

/// A file that results go into. Whether it can be written is found out before anything that takes its time; if nothing is
/// written after all, it is as it was before.
pub struct Reserved<'a> {
    path: &'a Path,
    is_new: bool,
}

#[allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a file of the user's, outside of every simulation"
)]
impl Reserved<'_> {
    pub fn open(path: &Path) -> Result<Reserved<'_>, Failure> {
        let is_new = !path.exists();
        let opened = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path);
        opened.map_err(|why| Failure::of_file(path, why))?;
        Ok(Reserved { path, is_new })
    }

    pub fn write(mut self, text: &str) -> Result<(), Failure> {
        self.is_new = false;
        std::fs::write(self.path, text).map_err(|why| Failure::of_file(self.path, why))
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "a file of the user's, outside of every simulation"
)]
impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        if self.is_new {
            // It is empty. Whoever finds it nevertheless has lost nothing.
            drop(std::fs::remove_file(self.path));
        }
    }
}
