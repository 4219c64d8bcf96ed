//! Work for an instruction counter: `instructions walk|full|header RECORDS TIMES` makes a batch of that many
//! records and looks at it that many times. Instructions a record are the difference between the counts that
//! `valgrind --tool=callgrind` gives for two values of TIMES, divided by RECORDS and by the difference of
//! TIMES; `full` less `header` is what the validation of records costs without the checksum.

// A program of its own, which takes its arguments from the system.
#![allow(clippy::disallowed_methods)]

use std::hint::black_box;
use std::ops::ControlFlow;
use taffrail_record::Codec;
use taffrail_record::batch::{TimestampType, for_each_record};
use taffrail_record::builder::{BatchBuilder, ProducerFields};
use taffrail_record::compression::DecompressLimit;
use taffrail_record::validate::{ProduceRules, ValidationMode, validate_produced};

const NOW_MS: i64 = 1_700_000_000_000;
const LIMIT: DecompressLimit = DecompressLimit {
    output_bytes_max: 64 << 20,
};

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [what, records, times] = &arguments[..] else {
        panic!("usage: instructions walk|full|header RECORDS TIMES");
    };
    let batch = batch_of(records.parse().expect("RECORDS is a number"));
    let times: usize = times.parse().expect("TIMES is a number");
    for _ in 0..times {
        match what.as_str() {
            "walk" => walk(black_box(&batch)),
            "full" => validate(black_box(&batch), ValidationMode::Full),
            "header" => validate(black_box(&batch), ValidationMode::Header),
            other => panic!("{other} is not walk, full or header"),
        }
    }
}

/// Keyed records of 100 bytes, a millisecond apart.
fn batch_of(records: i64) -> Vec<u8> {
    let mut builder = BatchBuilder::new(Codec::None, NOW_MS);
    for record in 0..records {
        let key = format!("key-{record:06}");
        builder
            .append(NOW_MS + record, Some(key.as_bytes()), Some(&[7; 100]), &[])
            .expect("a batch has room for such records");
    }
    let batch = builder.finish(ProducerFields::default());
    batch.expect("a batch of records is made").to_vec()
}

fn walk(batch: &[u8]) {
    for_each_record(batch, LIMIT, |header, record| {
        black_box((header.record_offset(&record), record.key, record.value));
        ControlFlow::Continue(())
    })
    .expect("the batch is sound");
}

fn validate(batch: &[u8], mode: ValidationMode) {
    let rules = ProduceRules {
        mode,
        batch_bytes_max: 64 << 20,
        decompress: LIMIT,
        now_ms: NOW_MS,
        timestamp_type: TimestampType::CreateTime,
        timestamp_before_max_ms: i64::MAX,
        timestamp_after_max_ms: 3_600_000,
        keys_required: true,
        zstd_allowed: true,
    };
    let rules = ProduceRules {
        keys_required: mode == ValidationMode::Full,
        ..rules
    };
    black_box(validate_produced(batch, &rules)).expect("the batch is sound");
}
