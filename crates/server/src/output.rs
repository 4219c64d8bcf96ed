//! Results on stdout: plain tables for people, JSON for programs.

use crate::failure::Failure;
use bytes::Bytes;
use serde_json::Value;
use taffrail_os::Os;
use taffrail_os::stdio::StdioError;

/// Writes to stdout. When nobody reads any more the command ends quietly: it has done what was wanted of it.
pub async fn write(os: &Os, pieces: Vec<Bytes>) -> Result<(), Failure> {
    os.stdout().write(pieces).await.map_err(stdout_failed)
}

/// What a failed stdout means.
pub fn stdout_failed(error: StdioError) -> Failure {
    match error {
        StdioError::NoReader => Failure::quiet(),
        error => Failure::operation(format!("stdout: {error}")),
    }
}

/// One JSON value and a newline.
pub async fn json(os: &Os, value: &Value) -> Result<(), Failure> {
    write(os, vec![Bytes::from(format!("{value}\n"))]).await
}

/// Lines of text.
pub async fn text(os: &Os, text: String) -> Result<(), Failure> {
    match text.is_empty() {
        true => Ok(()),
        false => write(os, vec![Bytes::from(text)]).await,
    }
}

/// Columns as wide as their widest cell, with a head.
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(head: &[&str]) -> Table {
        Table {
            rows: vec![head.iter().map(|cell| (*cell).to_owned()).collect()],
        }
    }

    pub fn row(&mut self, cells: Vec<String>) {
        assert_eq!(
            cells.len(),
            self.rows[0].len(),
            "a row has the columns of its head"
        );
        self.rows.push(cells);
    }

    pub fn render(&self) -> String {
        let columns = self.rows[0].len();
        let width = |column: usize| {
            let widths = self.rows.iter().map(|row| row[column].chars().count());
            widths.max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for row in &self.rows {
            let cells = row.iter().zip(&widths);
            let line: Vec<String> = cells
                .map(|(cell, width)| format!("{cell:width$}"))
                .collect();
            text.push_str(line.join("  ").trim_end());
            text.push('\n');
        }
        text
    }
}

/// A number of things: one segment, two segments.
pub fn counted(count: u64, thing: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {thing}{ending}")
}

/// A cell that may have nothing in it.
pub fn cell<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_lines_have_no_tail() {
        let mut table = Table::new(&["A", "LONG"]);
        table.row(vec!["wider".into(), cell::<i32>(None)]);
        assert_eq!(table.render(), "A      LONG\nwider  -\n");
    }
}
