//! Bounded reading of big-endian fields off the front of bytes. Called by everything here that decodes its own format.

use thiserror::Error;

/// Why bytes are not what they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum DecodeError {
    #[error("the bytes end early")]
    Short,
    #[error("text is not UTF-8")]
    Utf8,
    #[error("{0} bytes too many")]
    Trailing(usize),
    #[error("a topic of {0} partitions, which no broker accepts")]
    Partitions(u32),
    #[error("a partition at offset {offset} with {trimmed} of {appended} bytes gone")]
    Counters { offset: i64, appended: u64, trimmed: u64 },
    #[error("a consume queue page {0} that another queue has, or none can have")]
    Page(u32),
}

/// Takes fields off the front. No count or length can make it allocate more than the bytes that are there.
#[derive(Debug)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(DecodeError::Short)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        Ok(self.take(N)?.try_into().expect("take gives N bytes"))
    }

    pub(crate) fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(self.array::<1>()?[0])
    }

    pub(crate) fn i16(&mut self) -> Result<i16, DecodeError> {
        self.array().map(i16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn i32(&mut self) -> Result<i32, DecodeError> {
        self.array().map(i32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, DecodeError> {
        self.array().map(u64::from_be_bytes)
    }

    pub(crate) fn i64(&mut self) -> Result<i64, DecodeError> {
        self.array().map(i64::from_be_bytes)
    }

    /// A 32-bit length or count.
    pub(crate) fn length(&mut self) -> Result<usize, DecodeError> {
        usize::try_from(self.u32()?).map_err(|_| DecodeError::Short)
    }

    /// Text behind its 32-bit length.
    pub(crate) fn text(&mut self) -> Result<String, DecodeError> {
        let len = self.length()?;
        let text = std::str::from_utf8(self.take(len)?).map_err(|_| DecodeError::Utf8)?;
        Ok(text.to_owned())
    }

    /// # Errors
    /// `Trailing` when bytes are left.
    pub(crate) fn finish(self) -> Result<(), DecodeError> {
        if self.0.is_empty() { Ok(()) } else { Err(DecodeError::Trailing(self.0.len())) }
    }
}
