//! Reading and writing the primitive types of Kafka's record schemas, for the records of both coordinators.
//!
//! Bytes come from disk and from members. **Invariant:** reading never panics, never reads past the slice, and allocates
//! nothing that the remaining bytes do not hold. `flexible` selects the compact forms of KIP-482.

use bytes::{BufMut, Bytes, BytesMut};
use uuid::Uuid;

/// Longest string a record may hold: what the older, non-flexible forms can express.
pub(super) const MAX_RECORD_STRING: usize = 32_767;

/// Why bytes are not what they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum DecodeError {
    #[error("the record ends too early")]
    Truncated,
    #[error("a length or count is out of range")]
    Length,
    #[error("a string is not UTF-8")]
    Utf8,
    #[error("a field that must be set is null")]
    Null,
    #[error("version {0} is not known")]
    Version(i16),
}

/// A cursor over bytes.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) fn i16(&mut self) -> Result<i16, DecodeError> {
        self.array().map(i16::from_be_bytes)
    }

    pub(super) fn i32(&mut self) -> Result<i32, DecodeError> {
        self.array().map(i32::from_be_bytes)
    }

    pub(super) fn i64(&mut self) -> Result<i64, DecodeError> {
        self.array().map(i64::from_be_bytes)
    }

    pub(super) fn string(&mut self, flexible: bool) -> Result<String, DecodeError> {
        self.nullable_string(flexible)?.ok_or(DecodeError::Null)
    }

    pub(super) fn nullable_string(&mut self, flexible: bool) -> Result<Option<String>, DecodeError> {
        let length = if flexible { self.compact_length()? } else { length(i32::from(self.i16()?))? };
        let Some(length) = length else { return Ok(None) };
        if length > MAX_RECORD_STRING {
            return Err(DecodeError::Length);
        }
        let text = std::str::from_utf8(self.take(length)?).map_err(|_| DecodeError::Utf8)?;
        Ok(Some(text.to_owned()))
    }

    pub(super) fn bytes(&mut self, flexible: bool) -> Result<Bytes, DecodeError> {
        self.nullable_bytes(flexible)?.ok_or(DecodeError::Null)
    }

    pub(super) fn nullable_bytes(&mut self, flexible: bool) -> Result<Option<Bytes>, DecodeError> {
        let length = if flexible { self.compact_length()? } else { length(self.i32()?)? };
        length.map(|length| self.take(length).map(Bytes::copy_from_slice)).transpose()
    }

    pub(super) fn i8(&mut self) -> Result<i8, DecodeError> {
        self.array().map(i8::from_be_bytes)
    }

    pub(super) fn uuid(&mut self) -> Result<Uuid, DecodeError> {
        self.array().map(Uuid::from_bytes)
    }

    /// The count of an array whose elements take at least `smallest` bytes each.
    pub(super) fn count(&mut self, flexible: bool, smallest: usize) -> Result<usize, DecodeError> {
        self.nullable_count(flexible, smallest)?.ok_or(DecodeError::Null)
    }

    /// As `count`; `None` for an array that is null.
    pub(super) fn nullable_count(
        &mut self,
        flexible: bool,
        smallest: usize,
    ) -> Result<Option<usize>, DecodeError> {
        let count = if flexible { self.compact_length()? } else { length(self.i32()?)? };
        if count.is_some_and(|count| count > self.rest.len() / smallest) {
            return Err(DecodeError::Length);
        }
        Ok(count)
    }

    /// Skips the tagged fields of a flexible version.
    pub(super) fn skip_tagged_fields(&mut self) -> Result<(), DecodeError> {
        self.tagged_fields(|_, _| Ok(()))
    }

    /// Shows each tagged field of a flexible version: its tag and its content.
    pub(super) fn tagged_fields(
        &mut self,
        mut field: impl FnMut(u32, &mut Reader<'a>) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        for _ in 0..self.unsigned_varint()? {
            let tag = self.unsigned_varint()?;
            let length = usize::try_from(self.unsigned_varint()?).map_err(|_| DecodeError::Length)?;
            field(tag, &mut Reader::new(self.take(length)?))?;
        }
        Ok(())
    }

    /// The tagged field with tag 0, if there is one: no record of the group coordinator has another.
    pub(super) fn tagged_field(&mut self) -> Result<Option<Reader<'a>>, DecodeError> {
        let mut first = None;
        self.tagged_fields(|tag, field| {
            if tag == 0 {
                first = Some(Reader::new(field.rest));
            }
            Ok(())
        })?;
        Ok(first)
    }

    fn compact_length(&mut self) -> Result<Option<usize>, DecodeError> {
        let length_plus_one = usize::try_from(self.unsigned_varint()?).map_err(|_| DecodeError::Length)?;
        Ok(length_plus_one.checked_sub(1))
    }

    fn unsigned_varint(&mut self) -> Result<u32, DecodeError> {
        let mut value = 0_u32;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.array::<1>()?;
            let bits = u32::from(byte & 0x7f);
            if shift == 28 && bits > 0x0f {
                return Err(DecodeError::Length);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(DecodeError::Length)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (head, rest) = self.rest.split_first_chunk().ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(*head)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let (head, rest) = self.rest.split_at_checked(length).ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(head)
    }
}

/// `None` for -1 (null).
fn length(value: i32) -> Result<Option<usize>, DecodeError> {
    match value {
        -1 => Ok(None),
        value => usize::try_from(value).map(Some).map_err(|_| DecodeError::Length),
    }
}

/// Appends a non-flexible string. Requests with longer strings are refused before they reach a record.
pub(super) fn put_string(buffer: &mut BytesMut, text: &str) {
    debug_assert!(text.len() <= MAX_RECORD_STRING, "strings are bounded where they enter the coordinator");
    let Ok(length) = i16::try_from(text.len()) else { return buffer.put_i16(0) };
    buffer.put_i16(length);
    buffer.put_slice(text.as_bytes());
}

pub(super) fn put_nullable_string(buffer: &mut BytesMut, text: Option<&str>) {
    match text {
        Some(text) => put_string(buffer, text),
        None => buffer.put_i16(-1),
    }
}

/// Appends non-flexible bytes. What does not fit a record is refused by its size long before it could overflow the length.
pub(super) fn put_bytes(buffer: &mut BytesMut, bytes: &[u8]) {
    let Ok(length) = i32::try_from(bytes.len()) else { return buffer.put_i32(0) };
    buffer.put_i32(length);
    buffer.put_slice(bytes);
}

/// Appends a compact string of at most `MAX_RECORD_STRING` bytes.
pub(super) fn put_compact_string(buffer: &mut BytesMut, text: &str) {
    debug_assert!(text.len() <= MAX_RECORD_STRING, "strings are bounded where they enter the coordinator");
    put_compact_bytes(buffer, text.as_bytes());
}

pub(super) fn put_compact_nullable_string(buffer: &mut BytesMut, text: Option<&str>) {
    match text {
        Some(text) => put_compact_string(buffer, text),
        None => buffer.put_u8(0),
    }
}

pub(super) fn put_compact_bytes(buffer: &mut BytesMut, bytes: &[u8]) {
    put_compact_length(buffer, bytes.len());
    buffer.put_slice(bytes);
}

/// Appends the length of compact bytes, or the count of a compact array.
pub(super) fn put_compact_length(buffer: &mut BytesMut, length: usize) {
    put_unsigned_varint(buffer, length + 1);
}

/// Appends tagged fields: the one with tag 0, or none.
pub(super) fn put_tagged_field(buffer: &mut BytesMut, field: Option<&[u8]>) {
    let Some(field) = field else { return buffer.put_u8(0) };
    buffer.put_slice(&[1, 0]); // one field, tag 0
    put_unsigned_varint(buffer, field.len());
    buffer.put_slice(field);
}

/// Appends the count of a compact array.
pub(super) fn put_compact_count(buffer: &mut BytesMut, count: usize) {
    put_unsigned_varint(buffer, count + 1);
}

/// Appends a number as tags, lengths and counts of flexible versions are written.
pub(super) fn put_unsigned_varint(buffer: &mut BytesMut, mut value: usize) {
    while value > 0x7f {
        let low = u8::try_from(value & 0x7f).expect("seven bits fit a byte");
        buffer.put_u8(low | 0x80);
        value >>= 7;
    }
    buffer.put_u8(u8::try_from(value).expect("the loop leaves seven bits"));
}
