//! What a field of a message can be, and how each kind is read and written.
//!
//! Old versions write fixed-width lengths; *flexible* versions write variable-length ones and end
//! every structure with tagged fields. A kind's code knows both; the tables only name the kind.

use crate::decode::{DecodeError, DecodeReason, Decoder};
use crate::encode::{EncodeError, EncodeReason, Encoder};
use crate::records::Records;
use bytes::Bytes;

/// The longest string that the protocol allows, in bytes.
const STRING_BYTES_MAX: usize = i16::MAX as usize;

/// How a field is encoded: which version of the message it is part of, and what follows from that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// The message's version.
    pub version: i16,
    /// Whether that version is flexible.
    pub flexible: bool,
    /// Whether the field may be null in it.
    pub nullable: bool,
}

impl Shape {
    /// The shape of a message in a version.
    pub fn new(version: i16, flexible_from: i16) -> Self {
        Self {
            version,
            flexible: version >= flexible_from,
            nullable: false,
        }
    }

    /// The same for a field that may be null, or not.
    pub fn nullable(self, nullable: bool) -> Self {
        Self { nullable, ..self }
    }
}

/// A kind of field.
pub trait Field<'a>: Sized {
    /// The fewest bytes that it can take; bounds the counts of arrays.
    fn size_min(shape: Shape) -> usize;
    /// Reads one.
    fn read(decoder: &mut Decoder<'a>, shape: Shape) -> Result<Self, DecodeError>;
    /// Writes it.
    fn write(&self, encoder: &mut Encoder, shape: Shape) -> Result<(), EncodeError>;
    /// Makes one up for a test.
    #[cfg(test)]
    fn sample(sampler: &mut crate::tests::Sampler, shape: Shape) -> Self;
}

/// A kind of field that has an encoding for null; `Option` of it is a field as well.
pub trait Nullable<'a>: Field<'a> {
    /// The fewest bytes that one which may be null can take.
    fn nullable_size_min(shape: Shape) -> usize {
        Self::size_min(shape)
    }
    /// Reads one, or null.
    fn read_nullable(decoder: &mut Decoder<'a>, shape: Shape) -> Result<Option<Self>, DecodeError>;
    /// Writes one where null could be.
    fn write_present(&self, encoder: &mut Encoder, shape: Shape) -> Result<(), EncodeError> {
        self.write(encoder, shape)
    }
    /// Writes null.
    fn write_null(encoder: &mut Encoder, shape: Shape) -> Result<(), EncodeError>;
}

/// A structure of fields; implemented by the tables alone.
pub trait Composite<'a>: Field<'a> + Default + Clone + PartialEq + std::fmt::Debug {
    /// Kafka's name of it.
    const NAME: &'static str;
}

impl<'a, T: Nullable<'a>> Field<'a> for Option<T> {
    fn size_min(shape: Shape) -> usize {
        T::nullable_size_min(shape)
    }

    fn read(decoder: &mut Decoder<'a>, shape: Shape) -> Result<Self, DecodeError> {
        match T::read_nullable(decoder, shape)? {
            None if !shape.nullable => Err(decoder.error(DecodeReason::Null)),
            value => Ok(value),
        }
    }

    fn write(&self, encoder: &mut Encoder, shape: Shape) -> Result<(), EncodeError> {
        match self {
            Some(value) => value.write_present(encoder, shape),
            None if shape.nullable => T::write_null(encoder, shape),
            None => Err(EncodeError::new(EncodeReason::Null {
                version: shape.version,
            })),
        }
    }

    #[cfg(test)]
    fn sample(sampler: &mut crate::tests::Sampler, shape: Shape) -> Self {
        if shape.nullable && sampler.null() {
            None
        } else {
            Some(T::sample(sampler, shape))
        }
    }
}

/// What was read where null is not allowed.
fn present<T>(value: Option<T>, decoder: &Decoder<'_>) -> Result<T, DecodeError> {
    value.ok_or_else(|| decoder.error(DecodeReason::Null))
}

macro_rules! number {
    ($($type:ty),*) => { $(
        impl<'a> Field<'a> for $type {
            fn size_min(_: Shape) -> usize {
                size_of::<$type>()
            }

            fn read(decoder: &mut Decoder<'a>, _: Shape) -> Result<Self, DecodeError> {
                Ok(<$type>::from_be_bytes(decoder.array()?))
            }

            fn write(&self, encoder: &mut Encoder, _: Shape) -> Result<(), EncodeError> {
                encoder.put(&self.to_be_bytes());
                Ok(())
            }

            #[cfg(test)]
            fn sample(sampler: &mut crate::tests::Sampler, _: Shape) -> Self {
                sampler.number() as $type
            }
        }
    )* };
}

number!(i8, i16, u16, i32, u32, i64, f64);

impl<'a> Field<'a> for bool {
    fn size_min(_: Shape) -> usize {
        1
    }

    fn read(decoder: &mut Decoder<'a>, _: Shape) -> Result<Self, DecodeError> {
        let [byte] = decoder.array()?;
        Ok(byte != 0)
    }

    fn write(&self, encoder: &mut Encoder, _: Shape) -> Result<(), EncodeError> {
        encoder.put(&[u8::from(*self)]);
        Ok(())
    }

    #[cfg(test)]
    fn sample(sampler: &mut crate::tests::Sampler, _: Shape) -> Self {
        sampler.number() & 1 == 1
    }
}

/// A UUID.
impl<'a> Field<'a> for [u8; 16] {
    fn size_min(_: Shape) -> usize {
        16
    }

    fn read(decoder: &mut Decoder<'a>, _: Shape) -> Result<Self, DecodeError> {
        decoder.array()
    }

    fn write(&self, encoder: &mut Encoder, _: Shape) -> Result<(), EncodeError> {
        encoder.put(self);
        Ok(())
    }

    #[cfg(test)]
    fn sample(sampler: &mut crate::tests::Sampler, _: Shape) -> Self {
        std::array::from_fn(|_| sampler.number() as u8)
    }
}

impl<'a> Field<'a> for &'a str {
    fn size_min(shape: Shape) -> usize {
        if shape.flexible { 1 } else { 2 }
    }

    fn read(decoder: &mut Decoder<'a>, shape: Shape) -> Result<Self, DecodeError> {
        let string = Self::read_nullable(decoder, shape)?;
        present(string, decoder)
    }

    fn write(&self, encoder: &mut Encoder, shape: Shape) -> Result<(), EncodeError> {
        encoder.put_length::<2>(Some(self.len()), shape.flexible, STRING_BYTES_MAX)?;
        encoder.put(self.as_bytes());
        Ok(())
    }

    #[cfg(test)]
    fn sample(sampler: &mut crate::tests::Sampler, _: Shape) -> Self {
        sampler.string()
    }
}

impl<'a> Nullable<'a> for &'a str {
    fn read_nullable(decoder: &mut Decoder<'a>, shape: Shape) -> Result<Option<Self>, DecodeError> {
        let Some(length) = decoder.length::<2>(shape.flexible)? else {
            return Ok(None);
        };
        if length > STRING_BYTES_MAX {
            return Err(decoder.error(DecodeReason::StringTooLong { length }));
        }
        let bytes = decoder.take(length)?;
        match std::str::from_utf8(bytes) {
            Ok(string) => Ok(Some(string)),
            Err(_) => Err(decoder.error(DecodeReason::NotUtf8)),
        }
    }

    fn write_null(encoder: &mut Encoder, shape: Shape) -> Result<(), EncodeError> {
        encoder.put_length::<2>(None, shape.flexible, STRING_BYTES_MAX)
    }
}

impl<'a> Field<'a> for Bytes {
    fn size_min(shape: Shape) -> usize {
        if shape.flexible { 1 } else { 4 }
    }

    fn read(decoder: &mut Decoder<'a>, shape: Shape) -> Result<Self, DecodeError> {
        let bytes = Self::read_nullable(decoder, shape)?;
        present(bytes, decoder)
    }

    fn write(&self, encoder: &mut Encoder, shape: Shape) -> Result<(), EncodeError> {
        encoder.put_length::<4>(Some(self.len()), shape.flexible, usize::MAX)?;
        encoder.put_shared(self);
        Ok(())
    }

    #[cfg(test)]
    fn sample(sampler: &mut crate::tests::Sampler, _: Shape) -> Self {
        sampler.bytes()
    }
}

impl<'a> Nullable<'a> for Bytes {
    fn read_nullable(decoder: &mut Decoder<'a>, shape: Shape) -> Result<Option<Self>, DecodeError> {
        match decoder.length::<4>(shape.flexible)? {
            Some(length) => decoder.take_bytes(length).map(Some),
            None => Ok(None),
        }
    }

    fn write_null(encoder: &mut Encoder, shape: Shape) -> Result<(), EncodeError> {
        encoder.put_length::<4>(None, shape.flexible, usize::MAX)
    }
}

impl<'a> Field<'a> for Records {
    fn size_min(shape: Shape) -> usize {
        Bytes::size_min(shape)
    }

    fn read(decoder: &mut Decoder<'a>, shape: Shape) -> Result<Self, DecodeError> {
        Bytes::read(decoder, shape).map(Records::from)
    }

    fn write(&self, encoder: &mut Encoder, shape: Shape) -> Result<(), EncodeError> {
        encoder.put_length::<4>(Some(self.len()), shape.flexible, usize::MAX)?;
        for chunk in self.chunks() {
            encoder.put_shared(chunk);
        }
        Ok(())
    }

    #[cfg(test)]
    fn sample(sampler: &mut crate::tests::Sampler, _: Shape) -> Self {
        Records::from(vec![sampler.bytes(), sampler.large_bytes()])
    }
}

impl<'a> Nullable<'a> for Records {
    fn read_nullable(decoder: &mut Decoder<'a>, shape: Shape) -> Result<Option<Self>, DecodeError> {
        Ok(Bytes::read_nullable(decoder, shape)?.map(Records::from))
    }

    fn write_null(encoder: &mut Encoder, shape: Shape) -> Result<(), EncodeError> {
        Bytes::write_null(encoder, shape)
    }
}

impl<'a, T: Field<'a>> Field<'a> for Vec<T> {
    fn size_min(shape: Shape) -> usize {
        if shape.flexible { 1 } else { 4 }
    }

    fn read(decoder: &mut Decoder<'a>, shape: Shape) -> Result<Self, DecodeError> {
        let elements = Self::read_nullable(decoder, shape)?;
        present(elements, decoder)
    }

    fn write(&self, encoder: &mut Encoder, shape: Shape) -> Result<(), EncodeError> {
        encoder.put_length::<4>(Some(self.len()), shape.flexible, usize::MAX)?;
        let shape = shape.nullable(false);
        self.iter()
            .try_for_each(|element| element.write(encoder, shape))
    }

    #[cfg(test)]
    fn sample(sampler: &mut crate::tests::Sampler, shape: Shape) -> Self {
        let shape = shape.nullable(false);
        (0..sampler.count())
            .map(|_| T::sample(sampler, shape))
            .collect()
    }
}

impl<'a, T: Field<'a>> Nullable<'a> for Vec<T> {
    fn read_nullable(decoder: &mut Decoder<'a>, shape: Shape) -> Result<Option<Self>, DecodeError> {
        let Some(count) = decoder.length::<4>(shape.flexible)? else {
            return Ok(None);
        };
        let shape = shape.nullable(false);
        let mut elements = decoder.room(count, T::size_min(shape))?;
        for _ in 0..count {
            elements.push(T::read(decoder, shape)?);
        }
        Ok(Some(elements))
    }

    fn write_null(encoder: &mut Encoder, shape: Shape) -> Result<(), EncodeError> {
        encoder.put_length::<4>(None, shape.flexible, usize::MAX)
    }
}
