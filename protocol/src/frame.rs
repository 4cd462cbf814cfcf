//! The four bytes in front of every request and response: the size of what follows.
//!
//! Called by the broker's connections before they read a frame. Invariant: a length that is handed out lies between the
//! smallest request header and the caller's limit, so the caller may allocate it.

use thiserror::Error;

/// API key, API version and correlation id: no request is shorter.
pub const MIN_REQUEST_LEN: usize = 8;

/// Why a size prefix is refused. The connection has to be closed: where the next frame starts is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum FrameError {
    /// The size is negative.
    #[error("frame size {size} is negative (limit {limit})")]
    Negative {
        /// The size on the wire.
        size: i32,
        /// Greatest size that is allowed here.
        limit: usize,
    },
    /// The size cannot hold a request header.
    #[error("frame size {size} is below {MIN_REQUEST_LEN}, the smallest request header (limit {limit})")]
    TooSmall {
        /// The size on the wire.
        size: usize,
        /// Greatest size that is allowed here.
        limit: usize,
    },
    /// The size is above the limit.
    #[error("frame size {size} is over the limit of {limit}")]
    TooLarge {
        /// The size on the wire.
        size: usize,
        /// Greatest size that is allowed here.
        limit: usize,
    },
}

/// Bytes of the request that follows `prefix`, at most `limit`.
///
/// # Errors
/// When the size is negative, below `MIN_REQUEST_LEN` or over `limit`.
pub fn frame_len(prefix: [u8; 4], limit: usize) -> Result<usize, FrameError> {
    let wire = i32::from_be_bytes(prefix);
    let size = usize::try_from(wire).map_err(|_| FrameError::Negative { size: wire, limit })?;
    if size > limit {
        return Err(FrameError::TooLarge { size, limit });
    }
    if size < MIN_REQUEST_LEN {
        return Err(FrameError::TooSmall { size, limit });
    }
    Ok(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_from_the_smallest_header_to_the_limit_are_accepted() {
        assert_eq!(frame_len(8_i32.to_be_bytes(), 100), Ok(8));
        assert_eq!(frame_len(100_i32.to_be_bytes(), 100), Ok(100));
    }

    #[test]
    fn negative_small_and_large_sizes_are_named_in_the_error() {
        let error = frame_len((-1_i32).to_be_bytes(), 100).unwrap_err();
        assert_eq!(error, FrameError::Negative { size: -1, limit: 100 });
        let error = frame_len(7_i32.to_be_bytes(), 100).unwrap_err();
        assert_eq!(error, FrameError::TooSmall { size: 7, limit: 100 });
        let error = frame_len(101_i32.to_be_bytes(), 100).unwrap_err();
        assert_eq!(error.to_string(), "frame size 101 is over the limit of 100");
        assert!(frame_len(*b"GET ", 64 * 1024).is_err());
    }
}
