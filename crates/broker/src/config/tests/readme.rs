//! The README's tables of keys are what the definitions say, word for word.

use crate::config::{BrokerSettings, Definition, Scope, TopicSettings};

const README: &str = include_str!("../../../../../README.md");

/// What stands between the two marks that name a table.
fn between(name: &str) -> &'static str {
    let begin = format!("<!-- begin {name} -->\n");
    let end = format!("<!-- end {name} -->");
    let (_, after) = README
        .split_once(&begin)
        .unwrap_or_else(|| panic!("README.md has no line {begin}"));
    let (table, _) = after
        .split_once(&end)
        .unwrap_or_else(|| panic!("README.md has no line {end}"));
    table
}

/// A table with one row for each definition.
fn table(definitions: &[Definition], default: impl Fn(&str) -> Option<String>) -> String {
    let mut text = "| key | default | values | what it is |\n|---|---|---|---|\n".to_owned();
    for definition in definitions {
        let default = match default(definition.name) {
            None => "not set".to_owned(),
            Some(value) if value.is_empty() => "empty".to_owned(),
            Some(value) => format!("`{value}`"),
        };
        let words = [definition.unit.name().to_owned(), values(definition)];
        let words: Vec<String> = words.into_iter().filter(|word| !word.is_empty()).collect();
        text.push_str(&format!(
            "| `{}` | {default} | {} | {}{} |\n",
            definition.name,
            words.join(", "),
            definition.prose,
            place(definition),
        ));
    }
    text
}

fn values(definition: &Definition) -> String {
    match definition.accepts().as_str() {
        "one of " => "only empty".to_owned(),
        several if several.contains(", ") => several.to_owned(),
        other => other.replace("one of ", "only "),
    }
}

/// Which broker keys stand in for a topic's, and which broker keys may be changed while the node runs.
fn place(definition: &Definition) -> String {
    match definition.scope {
        Scope::Inherits(keys) => {
            let keys: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
            format!(" Broker key: {}.", keys.join(", "))
        }
        Scope::Dynamic => " May be changed while the node runs.".to_owned(),
        Scope::Topic | Scope::Static => String::new(),
    }
}

fn check(name: &str, expected: &str) {
    let found = between(name);
    assert!(
        found == expected,
        "between the marks of \"{name}\", README.md must hold exactly this:\n{expected}"
    );
}

#[test]
fn the_readme_tells_every_topic_key_as_it_is_defined() {
    let defaults = TopicSettings::default();
    check(
        "topic keys",
        &table(TopicSettings::DEFINITIONS, |name| defaults.text(name)),
    );
}

#[test]
fn the_readme_tells_every_broker_key_as_it_is_defined() {
    let defaults = BrokerSettings::default();
    check(
        "broker keys",
        &table(BrokerSettings::DEFINITIONS, |name| defaults.text(name)),
    );
}
