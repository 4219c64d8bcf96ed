//! Zigzag varints, the integers inside records.
//!
//! Seven bits a byte, lowest first, the top bit says that more follow. A 32-bit number takes at most five
//! bytes and a 64-bit number ten; longer ones, and bits that fall off the top, are refused, because readers
//! differ in what they make of them. Almost all numbers in a batch take one or two bytes, so those are read
//! in line and the rest out of line.

/// Why bytes are no varint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VarintError {
    /// The bytes end within the number.
    EndsEarly,
    /// More than 5 (or 10) bytes, or more than 32 (or 64) bits.
    TooLong,
}

/// Reads a 32-bit number and moves `rest` past it. On an error `rest` stays where it was.
#[inline(always)]
pub fn read_i32(rest: &mut &[u8]) -> Result<i32, VarintError> {
    let (raw, tail) = match read_short(rest) {
        Some(short) => short,
        None => {
            let (raw, tail) = read_long(rest, 5, 4)?;
            (raw as u32, tail)
        }
    };
    *rest = tail;
    Ok(unzigzag_32(raw))
}

/// Reads a 64-bit number and moves `rest` past it. On an error `rest` stays where it was.
#[inline(always)]
pub fn read_i64(rest: &mut &[u8]) -> Result<i64, VarintError> {
    let (raw, tail) = match read_short(rest) {
        Some((raw, tail)) => (u64::from(raw), tail),
        None => read_long(rest, 10, 1)?,
    };
    *rest = tail;
    Ok(unzigzag_64(raw))
}

/// The number of one or two bytes at the start of `bytes`, still in zigzag, and what stands behind it. `None`
/// says nothing but that another reader has to look.
#[inline(always)]
pub(crate) fn read_short(bytes: &[u8]) -> Option<(u32, &[u8])> {
    // One look at the length serves both cases: a number is hardly ever the last byte.
    let [first, second, ..] = *bytes else {
        return None;
    };
    if first < 0x80 {
        Some((u32::from(first), &bytes[1..]))
    } else if second < 0x80 {
        Some((
            u32::from(first & 0x7f) | u32::from(second) << 7,
            &bytes[2..],
        ))
    } else {
        None
    }
}

/// What is not negative, out of zigzag.
#[inline(always)]
pub(crate) fn natural(raw: u32) -> Option<usize> {
    (raw & 1 == 0).then_some((raw >> 1) as usize)
}

/// Reads at most `bytes_max` bytes, of which the last may use its lowest `last_bits` bits, and gives what
/// stands behind them. It takes and gives slices by value: a reference to the caller's would force that out
/// of its registers, and cost the short numbers more than this costs the long ones.
#[inline(never)]
fn read_long(bytes: &[u8], bytes_max: usize, last_bits: u32) -> Result<(u64, &[u8]), VarintError> {
    let mut raw = 0u64;
    for (place, &byte) in bytes.iter().take(bytes_max).enumerate() {
        if place + 1 == bytes_max && byte >> last_bits != 0 {
            return Err(VarintError::TooLong);
        }
        raw |= u64::from(byte & 0x7f) << (7 * place);
        if byte < 0x80 {
            return Ok((raw, &bytes[place + 1..]));
        }
    }
    Err(VarintError::EndsEarly)
}

/// Writes a 32-bit number behind `out`.
pub fn write_i32(out: &mut impl bytes::BufMut, value: i32) {
    write_raw(out, u64::from(zigzag_32(value)));
}

/// Writes a 64-bit number behind `out`.
pub fn write_i64(out: &mut impl bytes::BufMut, value: i64) {
    write_raw(out, zigzag_64(value));
}

/// How many bytes [`write_i32`] takes.
pub fn len_i32(value: i32) -> usize {
    raw_len(u64::from(zigzag_32(value)))
}

/// How many bytes [`write_i64`] takes.
pub fn len_i64(value: i64) -> usize {
    raw_len(zigzag_64(value))
}

fn write_raw(out: &mut impl bytes::BufMut, mut raw: u64) {
    while raw >= 0x80 {
        out.put_u8(raw as u8 | 0x80);
        raw >>= 7;
    }
    out.put_u8(raw as u8);
}

fn raw_len(raw: u64) -> usize {
    // 0 takes one byte as 1 does.
    (64 - (raw | 1).leading_zeros() as usize).div_ceil(7)
}

fn zigzag_32(value: i32) -> u32 {
    (value << 1 ^ value >> 31) as u32
}

fn zigzag_64(value: i64) -> u64 {
    (value << 1 ^ value >> 63) as u64
}

#[inline(always)]
pub(crate) fn unzigzag_32(raw: u32) -> i32 {
    (raw >> 1) as i32 ^ -((raw & 1) as i32)
}

#[inline(always)]
fn unzigzag_64(raw: u64) -> i64 {
    (raw >> 1) as i64 ^ -((raw & 1) as i64)
}

#[cfg(test)]
mod tests;
