//! A cursor over bytes from outside: every read is checked, nothing is allocated.
//!
//! Shared by the request header, the guard and the record walk. Invariant: the position never passes the end; a failed
//! read leaves it where the field started.

/// Why a primitive could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The bytes end inside the field.
    End,
    /// A varint has more bits than its type.
    Varint,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    pub(crate) fn position(&self) -> usize {
        self.position
    }

    pub(crate) fn remaining(&self) -> usize {
        self.bytes.len() - self.position
    }

    /// The next `len` bytes.
    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], Fault> {
        let rest = &self.bytes[self.position..];
        let taken = rest.get(..len).ok_or(Fault::End)?;
        self.position += len;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let rest = &self.bytes[self.position..];
        let taken = rest.first_chunk::<N>().ok_or(Fault::End)?;
        self.position += N;
        Ok(*taken)
    }

    pub(crate) fn i8(&mut self) -> Result<i8, Fault> {
        self.array().map(i8::from_be_bytes)
    }

    pub(crate) fn i16(&mut self) -> Result<i16, Fault> {
        self.array().map(i16::from_be_bytes)
    }

    pub(crate) fn i32(&mut self) -> Result<i32, Fault> {
        self.array().map(i32::from_be_bytes)
    }

    /// At most five bytes, 32 bits (lengths, counts and tags of flexible versions).
    pub(crate) fn unsigned_varint(&mut self) -> Result<u32, Fault> {
        let start = self.position;
        let value = self.unsigned_varlong_of(5)?;
        u32::try_from(value).map_err(|_| {
            self.position = start;
            Fault::Varint
        })
    }

    /// Zigzag, 32 bits (record lengths and offset deltas).
    pub(crate) fn varint(&mut self) -> Result<i32, Fault> {
        let zigzag = self.unsigned_varint()?;
        Ok((zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed())
    }

    /// Zigzag, 64 bits (timestamp deltas).
    pub(crate) fn varlong(&mut self) -> Result<i64, Fault> {
        let zigzag = self.unsigned_varlong_of(10)?;
        Ok((zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed())
    }

    fn unsigned_varlong_of(&mut self, max_bytes: usize) -> Result<u64, Fault> {
        let rest = &self.bytes[self.position..];
        let mut value = 0_u64;
        for (index, byte) in rest.iter().take(max_bytes).enumerate() {
            let bits = u64::from(byte & 0x7f);
            // The tenth byte of a 64-bit varint has room for one bit.
            if index == 9 && bits > 1 {
                return Err(Fault::Varint);
            }
            value |= bits << (7 * index);
            if byte & 0x80 == 0 {
                self.position += index + 1;
                return Ok(value);
            }
        }
        Err(if rest.len() < max_bytes { Fault::End } else { Fault::Varint })
    }
}

/// Appends `value` as a zigzag varint of up to 64 bits.
pub(crate) fn put_varlong(out: &mut Vec<u8>, value: i64) {
    put_unsigned_varlong(out, ((value << 1) ^ (value >> 63)).cast_unsigned());
}

/// Appends `value` as an unsigned varint.
pub(crate) fn put_unsigned_varlong(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(low_seven_bits(value) | 0x80);
        value >>= 7;
    }
    out.push(low_seven_bits(value));
}

fn low_seven_bits(value: u64) -> u8 {
    u8::try_from(value & 0x7f).expect("seven bits fit a byte")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn varlongs_read_back_as_written(value: i64) {
            let mut bytes = Vec::new();
            put_varlong(&mut bytes, value);
            let mut cursor = Cursor::new(&bytes);
            prop_assert_eq!(cursor.varlong(), Ok(value));
            prop_assert_eq!(cursor.remaining(), 0);
        }

        #[test]
        fn varints_read_back_as_written(value: i32) {
            let mut bytes = Vec::new();
            put_varlong(&mut bytes, i64::from(value));
            prop_assert_eq!(Cursor::new(&bytes).varint(), Ok(value));
        }
    }

    #[test]
    fn overlong_and_cut_varints_are_told_apart() {
        assert_eq!(Cursor::new(&[0x80; 4]).unsigned_varint(), Err(Fault::End));
        assert_eq!(Cursor::new(&[0x80; 5]).unsigned_varint(), Err(Fault::Varint));
        assert_eq!(Cursor::new(&[0xff, 0xff, 0xff, 0xff, 0x0f]).unsigned_varint(), Ok(u32::MAX));
        assert_eq!(Cursor::new(&[0xff, 0xff, 0xff, 0xff, 0x10]).unsigned_varint(), Err(Fault::Varint));
        assert_eq!(Cursor::new(&[0xff; 10]).varlong(), Err(Fault::Varint));
    }

    #[test]
    fn a_failed_read_leaves_the_position_alone() {
        let mut cursor = Cursor::new(&[1, 2, 3]);
        assert_eq!(cursor.i32(), Err(Fault::End));
        assert_eq!(cursor.take(4), Err(Fault::End));
        assert_eq!(cursor.position(), 0);
        assert_eq!(cursor.i16(), Ok(0x0102));
        assert_eq!(cursor.remaining(), 1);
    }
}
