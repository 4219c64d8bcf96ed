//! Records that name themselves: everything in them follows from their number, so that whoever reads one can say whether
//! it is what was written.

use crate::history::Written;
use crate::trace::{digest, digest_more};
use bytes::{BufMut, Bytes, BytesMut};
use taffrail_client::{Fetched, Header, Record};
use taffrail_record::batch;
use taffrail_record::builder::BatchBuilder;

/// Bytes at the head of each value: a mark, and the number.
const HEAD_BYTES: usize = 16;
const MARK: u64 = 0x7461_6666_7261_696c;
/// The last header of records whose values are somebody's own: its value is such a head.
const HEADER: &str = "taffrail-sim-record";

/// The record with this number: its size, key and headers vary with the number, `bytes_max` bounds its padding.
pub fn record(number: u64, timestamp: i64, bytes_max: u64) -> Record {
    let spread = spread(number);
    let padding = (spread >> 8) % (bytes_max + 1);
    let mut value = BytesMut::with_capacity(HEAD_BYTES + padding as usize);
    value.put_u64(MARK);
    value.put_u64(number);
    value.extend((0..padding).map(|at| (spread >> (at % 57)) as u8 ^ at as u8));
    let key = spread
        .is_multiple_of(3)
        .then(|| Bytes::from(number.to_be_bytes().to_vec()));
    let headers = match spread % 5 {
        0 => vec![Header {
            key: "number".to_owned(),
            value: Some(Bytes::from(number.to_string())),
        }],
        1 => vec![Header {
            key: "absent".to_owned(),
            value: None,
        }],
        _ => Vec::new(),
    };
    Record {
        key,
        value: Some(value.freeze()),
        headers,
        timestamp: Some(timestamp),
    }
}

/// A record as its producer knows it.
pub fn as_written(number: u64, record: &Record) -> Written {
    let timestamp = record
        .timestamp
        .expect("the workload sets timestamps itself");
    Written {
        id: number,
        digest: contents(&record.key, &record.value, &record.headers, timestamp),
    }
}

/// Lets a record of somebody's own name itself, in one more header.
pub fn name_in_header(number: u64, record: &mut Record) -> Written {
    let written = as_written(number, record);
    let mut head = BytesMut::with_capacity(HEAD_BYTES);
    head.put_u64(MARK);
    head.put_u64(number);
    record.headers.push(Header {
        key: HEADER.to_owned(),
        value: Some(head.freeze()),
    });
    written
}

/// Takes away what [`name_in_header`] added.
pub fn take_name(record: &mut Fetched) {
    if named_in_header(&record.headers) {
        record.headers.pop();
    }
}

fn named_in_header(headers: &[Header]) -> bool {
    headers.last().is_some_and(|header| header.key == HEADER)
}

/// Adds a record to a batch of somebody who makes batches by hand.
pub fn put(builder: &mut BatchBuilder, record: &Record) {
    let headers: Vec<batch::Header<'_>> = record
        .headers
        .iter()
        .map(|header| batch::Header {
            key: header.key.as_bytes(),
            value: header.value.as_deref(),
        })
        .collect();
    let timestamp = record
        .timestamp
        .expect("the workload sets timestamps itself");
    let (key, value) = (record.key.as_deref(), record.value.as_deref());
    builder
        .append(timestamp, key, value, &headers)
        .expect("records of the workload are small");
}

/// A record as a reader sees it.
pub fn as_read(record: &Fetched) -> Written {
    let (mut headers, mut head) = (&record.headers[..], &record.value);
    if named_in_header(headers)
        && let Some((name, own)) = headers.split_last()
    {
        (headers, head) = (own, &name.value);
    }
    let digest = contents(&record.key, &record.value, headers, record.timestamp);
    Written {
        id: number_in(head.as_deref()).unwrap_or(Written::FOREIGN),
        digest,
    }
}

/// The numbers of all records whose heads are in these bytes as they are.
pub fn numbers_in(bytes: &[u8]) -> impl Iterator<Item = u64> + '_ {
    let mark = MARK.to_be_bytes();
    let mut rest = bytes;
    std::iter::from_fn(move || {
        loop {
            let at = rest.iter().position(|byte| *byte == mark[0])?;
            rest = &rest[at..];
            match number_in(Some(rest)) {
                Some(number) => {
                    rest = &rest[HEAD_BYTES..];
                    return Some(number);
                }
                None => rest = &rest[1..],
            }
        }
    })
}

fn number_in(value: Option<&[u8]>) -> Option<u64> {
    let (mark, rest) = value?.split_first_chunk()?;
    let number = rest.first_chunk()?;
    (u64::from_be_bytes(*mark) == MARK).then(|| u64::from_be_bytes(*number))
}

fn contents(key: &Option<Bytes>, value: &Option<Bytes>, headers: &[Header], timestamp: i64) -> u64 {
    let mut sum = digest(&timestamp.to_be_bytes());
    for part in [key.as_deref(), value.as_deref()] {
        sum = part_digest(sum, part);
    }
    for header in headers {
        sum = part_digest(
            part_digest(sum, Some(header.key.as_bytes())),
            header.value.as_deref(),
        );
    }
    sum
}

/// Absent, empty and full are three different things.
fn part_digest(sum: u64, part: Option<&[u8]>) -> u64 {
    match part {
        None => digest_more(sum, &[0]),
        Some(bytes) => digest_more(digest_more(sum, &[1]), bytes),
    }
}

fn spread(number: u64) -> u64 {
    let mixed = (number ^ (number >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 29)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(record: Record) -> Fetched {
        let Record {
            key,
            value,
            headers,
            timestamp,
        } = record;
        let timestamp = timestamp.expect("set");
        Fetched {
            topic: "t".into(),
            partition: 0,
            offset: 0,
            timestamp,
            key,
            value,
            headers,
        }
    }

    #[test]
    fn a_record_reads_as_it_was_written() {
        for number in 0..500 {
            let record = record(number, 7, 300);
            assert_eq!(as_written(number, &record), as_read(&read(record)));
        }
    }

    #[test]
    fn a_record_of_ones_own_is_known_by_its_header() {
        let mut own = Record::of_value("own");
        own.timestamp = Some(7);
        let written = name_in_header(3, &mut own);
        let mut fetched = read(own);
        assert_eq!(written, as_read(&fetched));
        take_name(&mut fetched);
        assert_eq!(fetched.headers, []);
        assert_eq!(as_read(&fetched).id, Written::FOREIGN);
    }

    #[test]
    fn another_number_timestamp_or_byte_reads_differently() {
        let original = as_written(5, &record(5, 7, 300));
        assert_ne!(original, as_read(&read(record(6, 7, 300))));
        assert_ne!(original, as_read(&read(record(5, 8, 300))));
        let mut damaged = record(5, 7, 300);
        let mut value = damaged.value.take().expect("a value").to_vec();
        *value.last_mut().expect("a byte") ^= 1;
        damaged.value = Some(Bytes::from(value));
        assert_ne!(original, as_read(&read(damaged)));
        let mut bare = record(5, 7, 300);
        bare.value = None;
        assert_eq!(as_read(&read(bare)).id, Written::FOREIGN);
    }
}
