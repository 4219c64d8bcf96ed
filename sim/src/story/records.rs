//! The records of a story, each named by its value.

use crate::history::Written;
use crate::trace::digest;
use std::cell::RefCell;
use std::collections::BTreeMap;
use taffrail_client::Fetched;
use taffrail_record::{Offset, varint};

/// Of which a key is made that is there to make a record large.
pub const FILLER: u8 = b'.';
/// How long a key is that is not there, as a record has it.
const NO_KEY: u8 = 1;
/// How many headers a record has, as it says behind its value.
const NO_HEADERS: u8 = 0;

/// Numbers of records by their values.
#[derive(Default)]
pub struct Records(RefCell<BTreeMap<String, u64>>);

impl Records {
    /// The record with this value, which no other has.
    pub fn add(&self, value: &str) -> Result<Written, String> {
        let mut records = self.0.borrow_mut();
        let number = records.len() as u64;
        match records.insert(value.to_owned(), number) {
            None => Ok(written(number, value)),
            Some(_) => Err(format!(
                "`{value}` was produced before; a value names one record"
            )),
        }
    }

    /// What was read, as judges know it.
    pub fn as_read(&self, record: &Fetched) -> (Offset, Written) {
        let value = text_of(record);
        let id = self.0.borrow().get(&value).copied();
        (
            record.offset,
            written(id.unwrap_or(Written::FOREIGN), &value),
        )
    }

    /// The numbers of all records that are in these bytes as they are: behind the end of a key, or behind its absence, a length, a value
    /// of that length, and no header.
    pub fn numbers_in(&self, bytes: &[u8]) -> Vec<u64> {
        let records = self.0.borrow();
        let ends_key = |byte: u8| byte == NO_KEY || byte == FILLER;
        let at = |begin: usize| {
            let mut rest = &bytes[begin..];
            let length = usize::try_from(varint::read_i32(&mut rest).ok()?).ok()?;
            let (value, behind) = rest.split_at_checked(length)?;
            let is_last = behind.first() == Some(&NO_HEADERS);
            let value = std::str::from_utf8(value).ok().filter(|_| is_last)?;
            records.get(value).copied()
        };
        (1..bytes.len())
            .filter(|begin| ends_key(bytes[begin - 1]))
            .filter_map(at)
            .collect()
    }
}

fn written(id: u64, value: &str) -> Written {
    Written {
        id,
        digest: digest(value.as_bytes()),
    }
}

/// A record's value as a story shows it.
pub fn text_of(record: &Fetched) -> String {
    match &record.value {
        Some(value) => String::from_utf8_lossy(value).into_owned(),
        None => "(none)".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use taffrail_record::builder::{BatchBuilder, ProducerFields};
    use taffrail_record::compression::Codec;

    #[test]
    fn records_are_found_in_the_bytes_of_a_batch() {
        let records = Records::default();
        for value in ["plain", "large", "absent"] {
            records.add(value).expect("a new value");
        }
        let mut builder = BatchBuilder::new(Codec::None, 7);
        let key = [FILLER; 100];
        for (key, value) in [
            (None, "plain"),
            (Some(&key[..]), "large"),
            (None, "plainer"),
        ] {
            let value = Some(value.as_bytes());
            builder.append(7, key, value, &[]).expect("it is small");
        }
        let batch = builder
            .finish(ProducerFields::default())
            .expect("it has records");
        assert_eq!(records.numbers_in(&batch), [0, 1]);
    }

    #[test]
    fn a_value_names_one_record() {
        let records = Records::default();
        assert!(records.add("one").is_ok());
        assert!(records.add("one").is_err());
    }
}
