//! How long files and functions may be. Tables of messages and definitions stand apart: they are data.

use super::{Source, assert_none, sources};
use proc_macro2::LineColumn;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

const FILE_LINES_MAX: usize = 1000;
const FILE_LINES_MEDIAN_MAX: usize = 250;
const FUNCTION_LINES_MAX: usize = 70;
const FUNCTION_LINES_MEDIAN_MAX: usize = 10;

/// Functions over the limit that stand today. Only ever lowered.
const LONG_FUNCTIONS_RATCHET: usize = 0;

/// Data in the shape of code.
fn is_table(source: &Source) -> bool {
    source.path.starts_with("crates/wire/src/messages/") || source.path.ends_with("/error_code.rs")
}

struct Functions {
    lines: Vec<(String, usize)>,
}

impl Functions {
    fn record(&mut self, name: String, start: LineColumn, end: LineColumn) {
        self.lines.push((name, end.line + 1 - start.line));
    }
}

impl<'ast> Visit<'ast> for Functions {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        let span = item.block.span();
        self.record(item.sig.ident.to_string(), span.start(), span.end());
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        let span = item.block.span();
        self.record(item.sig.ident.to_string(), span.start(), span.end());
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            let span = block.span();
            self.record(item.sig.ident.to_string(), span.start(), span.end());
        }
        visit::visit_trait_item_fn(self, item);
    }
}

/// (path and name, lines between the braces and with them) of every function in production code.
fn functions() -> Vec<(String, usize)> {
    let mut all = Vec::new();
    for source in sources().iter().filter(|source| !source.is_test()) {
        let file = syn::parse_file(&source.text).unwrap_or_else(|e| panic!("{}: {e}", source.path));
        let mut found = Functions { lines: Vec::new() };
        found.visit_file(&file);
        all.extend(
            found
                .lines
                .into_iter()
                .map(|(name, lines)| (format!("{} {name}", source.path), lines)),
        );
    }
    assert!(
        all.len() > 500,
        "only {} functions found: the visitor is blind",
        all.len()
    );
    all
}

fn median(mut figures: Vec<usize>) -> usize {
    figures.sort_unstable();
    figures[figures.len() / 2]
}

#[test]
fn files_are_short() {
    let sizes: Vec<(String, usize)> = sources()
        .iter()
        .filter(|source| !is_table(source))
        .map(|source| (source.path.clone(), source.text.lines().count()))
        .collect();
    let complaints = sizes
        .iter()
        .filter(|(_, lines)| *lines > FILE_LINES_MAX)
        .map(|(path, lines)| format!("{path}: {lines} lines, at most {FILE_LINES_MAX}"))
        .collect();
    assert_none("files that are too long", complaints);
    let median = median(sizes.into_iter().map(|(_, lines)| lines).collect());
    assert!(
        median <= FILE_LINES_MEDIAN_MAX,
        "the median file has {median} lines, at most {FILE_LINES_MEDIAN_MAX}"
    );
}

#[test]
fn functions_are_short() {
    let all = functions();
    let long: Vec<String> = all
        .iter()
        .filter(|(_, lines)| *lines > FUNCTION_LINES_MAX)
        .map(|(name, lines)| format!("{name}: {lines} lines, at most {FUNCTION_LINES_MAX}"))
        .collect();
    assert!(
        long.len() == LONG_FUNCTIONS_RATCHET,
        "{} functions are too long, {LONG_FUNCTIONS_RATCHET} stood before (if fewer, lower the ratchet):\n  {}",
        long.len(),
        long.join("\n  ")
    );
    let median = median(all.into_iter().map(|(_, lines)| lines).collect());
    assert!(
        median <= FUNCTION_LINES_MEDIAN_MAX,
        "the median function has {median} lines"
    );
}
