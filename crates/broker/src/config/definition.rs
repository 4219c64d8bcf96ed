//! What a configuration key is: name, type, unit, range, default and prose, each said once.
//!
//! The macro [`settings!`](super::settings) turns one table into the typed struct that the code reads and into the
//! definitions that `--help`, `DescribeConfigs` and the README are generated from, so the two cannot differ.
//! What must hold: a value that was accepted is honoured; everything else is a [`Refusal`] that says what would be right.

use std::fmt;

/// A key's type, with the number `DescribeConfigs` has for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Boolean = 1,
    String = 2,
    Int = 3,
    Long = 5,
    Double = 6,
    List = 7,
}

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    None,
    Milliseconds,
    Minutes,
    Hours,
    Bytes,
    Messages,
    PerSecond,
}

impl Unit {
    /// The word for help texts; empty for a bare number or a text.
    pub fn name(self) -> &'static str {
        match self {
            Unit::None => "",
            Unit::Milliseconds => "milliseconds",
            Unit::Minutes => "minutes",
            Unit::Hours => "hours",
            Unit::Bytes => "bytes",
            Unit::Messages => "messages",
            Unit::PerSecond => "per second",
        }
    }
}

/// Which of the values that parse are accepted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    Any,
    /// Smallest and largest number.
    Range(f64, f64),
    /// Only these texts, and why the others, which Kafka knows, are refused here.
    Only(&'static [&'static str], &'static str),
}

/// Where a key's value comes from when it is not set, and whether it may be set while the node runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// A topic key that falls back to these broker keys, the strongest first.
    Inherits(&'static [&'static str]),
    /// A topic key that has no broker key.
    Topic,
    /// A broker key that is read once, at the start.
    Static,
    /// A broker key that may be changed while the node runs.
    Dynamic,
}

/// One key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Definition {
    pub name: &'static str,
    pub kind: Kind,
    pub unit: Unit,
    pub rule: Rule,
    /// The texts that parse, where the type has only a few.
    pub choices: &'static [&'static str],
    pub scope: Scope,
    pub prose: &'static str,
}

impl Definition {
    /// The accepted values in words: "-1 or more", "one of a, b", or nothing if every value of the type will do.
    pub fn accepts(&self) -> String {
        match self.rule {
            Rule::Only([value, ""], _) => format!("{value}, or empty"),
            Rule::Only(values, _) => format!("one of {}", values.join(", ")),
            Rule::Range(min, max) if max >= 2e9 => format!("{min} or more"),
            Rule::Range(min, max) => format!("{min} to {max}"),
            Rule::Any if self.choices.is_empty() => String::new(),
            Rule::Any => format!("one of {}", self.choices.join(", ")),
        }
    }
}

/// Why a key or a value is not accepted. Its text is one line and names what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    UnknownKey {
        key: String,
        nearest: Option<&'static str>,
    },
    /// The text is not a value of the key's type, or out of its range.
    Value {
        key: &'static str,
        value: String,
        expected: String,
    },
    /// Kafka knows the key or the value; this node cannot honour it.
    Unavailable {
        key: String,
        value: String,
        why: &'static str,
    },
    /// Two values that cannot stand together.
    Conflict(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::UnknownKey {
                key,
                nearest: Some(nearest),
            } => write!(
                f,
                "Unknown configuration key {key:?}; the nearest known one is {nearest}"
            ),
            Refusal::UnknownKey { key, nearest: None } => {
                write!(f, "Unknown configuration key {key:?}")
            }
            Refusal::Value {
                key,
                value,
                expected,
            } => write!(
                f,
                "Invalid value {value:?} for configuration {key}: must be {expected}"
            ),
            Refusal::Unavailable { key, value, why } => {
                write!(f, "Invalid value {value:?} for configuration {key}: {why}")
            }
            Refusal::Conflict(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Refusal {}

/// A type that a key can have.
pub trait Setting: Sized {
    const KIND: Kind;
    const CHOICES: &'static [&'static str] = &[];
    /// What to say when the text does not parse.
    const EXPECTED: &'static str;

    fn parse(text: &str) -> Option<Self>;

    /// The canonical text; `None` for a value that is not set.
    fn text(&self) -> Option<String>;

    /// The number that a [`Rule::Range`] bounds.
    fn number(&self) -> Option<f64> {
        None
    }
}

macro_rules! integer_setting {
    ($type:ty, $kind:ident) => {
        impl Setting for $type {
            const KIND: Kind = Kind::$kind;
            const EXPECTED: &'static str = "a whole number";

            fn parse(text: &str) -> Option<Self> {
                text.parse().ok()
            }

            fn text(&self) -> Option<String> {
                Some(self.to_string())
            }

            fn number(&self) -> Option<f64> {
                Some(*self as f64)
            }
        }
    };
}
integer_setting!(i32, Int);
integer_setting!(i64, Long);

impl Setting for f64 {
    const KIND: Kind = Kind::Double;
    const EXPECTED: &'static str = "a number";

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok().filter(|number: &f64| number.is_finite())
    }

    fn text(&self) -> Option<String> {
        Some(self.to_string())
    }

    fn number(&self) -> Option<f64> {
        Some(*self)
    }
}

impl Setting for bool {
    const KIND: Kind = Kind::Boolean;
    const CHOICES: &'static [&'static str] = &["true", "false"];
    const EXPECTED: &'static str = "true or false";

    fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    }

    fn text(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Setting for String {
    const KIND: Kind = Kind::String;
    const EXPECTED: &'static str = "a text";

    fn parse(text: &str) -> Option<Self> {
        Some(text.to_string())
    }

    fn text(&self) -> Option<String> {
        Some(self.clone())
    }
}

impl<T: Setting> Setting for Option<T> {
    const KIND: Kind = T::KIND;
    const CHOICES: &'static [&'static str] = T::CHOICES;
    const EXPECTED: &'static str = T::EXPECTED;

    fn parse(text: &str) -> Option<Self> {
        T::parse(text).map(Some)
    }

    fn text(&self) -> Option<String> {
        self.as_ref().and_then(T::text)
    }

    fn number(&self) -> Option<f64> {
        self.as_ref().and_then(T::number)
    }
}

/// Reads one value by its key's definition.
pub(crate) fn read<T: Setting>(definition: &Definition, text: &str) -> Result<T, Refusal> {
    let text = text.trim();
    let refused = |expected: String| Refusal::Value {
        key: definition.name,
        value: text.to_string(),
        expected,
    };
    let value = T::parse(text).ok_or_else(|| {
        let choices = definition.choices.join(", ");
        refused(if choices.is_empty() {
            T::EXPECTED.to_string()
        } else {
            format!("one of {choices}")
        })
    })?;
    match definition.rule {
        Rule::Any => Ok(value),
        Rule::Range(min, max) => match value.number() {
            Some(number) if number < min || number > max => Err(refused(definition.accepts())),
            _ => Ok(value),
        },
        Rule::Only(values, why) => {
            let canonical = value.text().unwrap_or_default();
            if values.contains(&canonical.as_str()) {
                Ok(value)
            } else {
                Err(Refusal::Unavailable {
                    key: definition.name.to_string(),
                    value: text.to_string(),
                    why,
                })
            }
        }
    }
}

/// The known key that `key` most likely means. Many a broker key is a topic's with `log.` before it, and is often written without.
/// None does if most of it would have to be another.
pub fn nearest<'n>(key: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    known
        .map(|name| {
            let short = name.strip_prefix("log.").unwrap_or(name);
            (distance(key, name).min(distance(key, short)), name)
        })
        .min()
        .filter(|(distance, name)| *distance <= key.len().max(name.len()) / 2)
        .map(|(_, name)| name)
}

/// Levenshtein's distance between two short texts.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(128).collect(), b.chars().collect());
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}

/// One table, two things: a struct of typed values with their defaults, and the definitions of its keys.
///
/// Each line is `field: type = default, "key", Unit, rule, scope, "prose";`.
macro_rules! settings {
    ($(#[$meta:meta])* pub struct $Struct:ident { $(
        $field:ident: $type:ty = $default:expr, $name:literal, $unit:ident, $rule:expr, $scope:expr, $prose:literal;
    )* }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $Struct {
            $( #[doc = $prose] pub $field: $type, )*
        }

        impl Default for $Struct {
            fn default() -> Self {
                Self { $( $field: $default, )* }
            }
        }

        impl $Struct {
            /// Every key of this table.
            pub const DEFINITIONS: &'static [$crate::config::Definition] = &[ $( $crate::config::Definition {
                name: $name,
                kind: <$type as $crate::config::Setting>::KIND,
                unit: $crate::config::Unit::$unit,
                rule: $rule,
                choices: <$type as $crate::config::Setting>::CHOICES,
                scope: $scope,
                prose: $prose,
            }, )* ];

            /// The definition of a key.
            pub fn definition(name: &str) -> Option<&'static $crate::config::Definition> {
                Self::DEFINITIONS.iter().find(|definition| definition.name == name)
            }

            /// Sets one key from its text.
            pub fn set(&mut self, name: &str, text: &str) -> Result<(), $crate::config::Refusal> {
                let Some(definition) = Self::definition(name) else {
                    return Err($crate::config::Refusal::UnknownKey {
                        key: name.to_string(),
                        nearest: $crate::config::nearest(name, Self::DEFINITIONS.iter().map(|d| d.name)),
                    });
                };
                match name {
                    $( $name => self.$field = $crate::config::read(definition, text)?, )*
                    _ => unreachable!("a definition without a field"),
                }
                Ok(())
            }

            /// The text of one key's value; `None` if there is no such key or it is not set.
            pub fn text(&self, name: &str) -> Option<String> {
                match name {
                    $( $name => <$type as $crate::config::Setting>::text(&self.$field), )*
                    _ => None,
                }
            }
        }
    };
}
pub(crate) use settings;
