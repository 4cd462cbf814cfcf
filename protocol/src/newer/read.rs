//! Primitives of flexible versions, read from and written to the codec crate's buffers.
//!
//! Called by the rest of `newer`. Invariant: no read passes the end of the buffer, and an array is never made longer than
//! the bytes that are left.

use anyhow::{Context as _, Result, ensure};
use bytes::Buf as _;
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::protocol::buf::{ByteBuf, ByteBufMut};
use uuid::Uuid;

pub(super) fn i8<B: ByteBuf>(buf: &mut B) -> Result<i8> {
    Ok(buf.try_get_i8()?)
}

pub(super) fn i16<B: ByteBuf>(buf: &mut B) -> Result<i16> {
    Ok(buf.try_get_i16()?)
}

pub(super) fn i32<B: ByteBuf>(buf: &mut B) -> Result<i32> {
    Ok(buf.try_get_i32()?)
}

pub(super) fn i64<B: ByteBuf>(buf: &mut B) -> Result<i64> {
    Ok(buf.try_get_i64()?)
}

pub(super) fn uuid<B: ByteBuf>(buf: &mut B) -> Result<Uuid> {
    Ok(Uuid::from_u128(buf.try_get_u128()?))
}

fn varint<B: ByteBuf>(buf: &mut B) -> Result<usize> {
    let mut value = 0_u32;
    for shift in [0, 7, 14, 21, 28] {
        let byte = buf.try_get_u8()?;
        value |= u32::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(usize::try_from(value)?);
        }
    }
    anyhow::bail!("a varint of more than five bytes")
}

pub(super) fn nullable_string<B: ByteBuf>(buf: &mut B) -> Result<Option<StrBytes>> {
    let Some(len) = varint(buf)?.checked_sub(1) else { return Ok(None) };
    Ok(Some(StrBytes::from_utf8(buf.try_get_bytes(len)?)?))
}

pub(super) fn string<B: ByteBuf>(buf: &mut B) -> Result<StrBytes> {
    nullable_string(buf)?.context("a string that may not be null")
}

pub(super) fn nullable_array<B: ByteBuf, T>(
    buf: &mut B,
    mut element: impl FnMut(&mut B) -> Result<T>,
) -> Result<Option<Vec<T>>> {
    let Some(count) = varint(buf)?.checked_sub(1) else { return Ok(None) };
    ensure!(count <= buf.remaining(), "{count} elements in {} bytes", buf.remaining());
    let mut elements = Vec::new();
    elements.try_reserve_exact(count)?;
    for _ in 0..count {
        elements.push(element(buf)?);
    }
    Ok(Some(elements))
}

pub(super) fn array<B: ByteBuf, T>(buf: &mut B, element: impl FnMut(&mut B) -> Result<T>) -> Result<Vec<T>> {
    nullable_array(buf, element)?.context("an array that may not be null")
}

pub(super) fn skip_tags<B: ByteBuf>(buf: &mut B) -> Result<()> {
    for _ in 0..varint(buf)? {
        varint(buf)?;
        let len = varint(buf)?;
        buf.try_get_bytes(len)?;
    }
    Ok(())
}

/// A length or count, as flexible versions write it.
pub(super) fn put_compact<B: ByteBufMut>(buf: &mut B, len: usize) {
    let mut value = len + 1;
    while value >= 0x80 {
        buf.put_u8(u8::try_from(value & 0x7f).expect("seven bits") | 0x80);
        value >>= 7;
    }
    buf.put_u8(u8::try_from(value).expect("below 0x80"));
}

pub(super) fn put_string<B: ByteBufMut>(buf: &mut B, text: Option<&StrBytes>) {
    match text {
        None => buf.put_u8(0),
        Some(text) => {
            put_compact(buf, text.len());
            buf.put_slice(text.as_bytes());
        }
    }
}
