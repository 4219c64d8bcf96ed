//! Which names a topic may have. Kafka's rules: 1 to 249 bytes of `[a-zA-Z0-9._-]`, neither `.` nor `..`, and
//! no two topics whose names differ only in `.` against `_`, because Kafka's metric names make them equal.

use std::fmt;

use super::METADATA_TOPIC_NAME;

/// The longest name, in bytes.
pub const NAME_BYTES_MAX: usize = 249;

/// The topics that the brokers keep for themselves. Clients may read them, and write through the APIs of
/// their coordinators alone.
pub const INTERNAL_TOPICS: [&str; 2] = ["__consumer_offsets", "__transaction_state"];

/// Whether `name` is one of [`INTERNAL_TOPICS`].
pub fn is_internal(name: &str) -> bool {
    INTERNAL_TOPICS.contains(&name)
}

/// Why a name is no topic name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameError {
    Empty,
    TooLong { bytes: usize },
    Dots,
    Character(char),
    Reserved,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NameError::Empty => write!(f, "a topic name must not be empty"),
            NameError::TooLong { bytes } => {
                write!(
                    f,
                    "a topic name must not be longer than {NAME_BYTES_MAX} bytes; this one has {bytes}"
                )
            }
            NameError::Dots => write!(f, "a topic name must be neither '.' nor '..'"),
            NameError::Character(character) => write!(
                f,
                "a topic name may hold ASCII letters and digits, '.', '_' and '-'; this one holds {character:?}"
            ),
            NameError::Reserved => write!(
                f,
                "this name is reserved for the log of the cluster's metadata"
            ),
        }
    }
}

impl std::error::Error for NameError {}

/// Whether a topic may be called `name`, whatever other topics there are.
pub fn validate_topic_name(name: &str) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(NameError::TooLong { bytes: name.len() });
    }
    if name == "." || name == ".." {
        return Err(NameError::Dots);
    }
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if let Some(character) = name.chars().find(|c| !legal(*c)) {
        return Err(NameError::Character(character));
    }
    if name == METADATA_TOPIC_NAME {
        return Err(NameError::Reserved);
    }
    Ok(())
}

/// What may not be equal for two topics.
pub(super) fn collision_key(name: &str) -> String {
    name.replace('.', "_")
}

#[cfg(test)]
mod tests {
    use super::{NameError, validate_topic_name};

    #[test]
    fn names_of_kafka_are_accepted_and_others_are_refused_with_a_reason() {
        for good in [
            "a",
            "A-b_c.9",
            "...",
            "__consumer_offsets",
            &"x".repeat(249),
        ] {
            assert_eq!(validate_topic_name(good), Ok(()), "{good}");
        }
        for (bad, why) in [
            ("", NameError::Empty),
            (".", NameError::Dots),
            ("..", NameError::Dots),
            ("a b", NameError::Character(' ')),
            ("a/b", NameError::Character('/')),
            ("grün", NameError::Character('ü')),
            ("a\0", NameError::Character('\0')),
            ("__cluster_metadata", NameError::Reserved),
            (&"x".repeat(250), NameError::TooLong { bytes: 250 }),
        ] {
            assert_eq!(validate_topic_name(bad), Err(why), "{bad}");
        }
    }
}
