//! Bytes on their way to one client: small pieces gathered, large ones shared, one system call for up to 1024 of them.
//!
//! Called by `net::connection`. Invariant: bytes leave in the order they were pushed.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use crate::api::Response;

/// Below this a copy is cheaper than another slice.
const COPY_BELOW: usize = 1024;
/// What one `writev` takes (IOV_MAX).
const MOST_SLICES: usize = 1024;

#[derive(Debug, Default)]
pub(super) struct Outgoing {
    slices: VecDeque<Bytes>,
    /// Small pieces behind `slices`.
    tail: BytesMut,
    len: usize,
}

/// A response that the size prefix cannot express.
#[derive(Debug, thiserror::Error)]
#[error("response of {0} bytes does not fit a frame")]
pub(super) struct TooLong(usize);

impl Outgoing {
    /// Appends one response: size prefix, header, body.
    pub(super) fn push(&mut self, header: &[u8], body: Response) -> Result<(), TooLong> {
        let len = header.len() + body.len();
        let prefix = i32::try_from(len).map_err(|_| TooLong(len))?;
        self.tail.put_i32(prefix);
        self.tail.put_slice(header);
        for chunk in body.chunks {
            if chunk.len() < COPY_BELOW {
                self.tail.put_slice(&chunk);
            } else {
                self.close_tail();
                self.slices.push_back(chunk);
            }
        }
        self.len += 4 + len;
        Ok(())
    }

    /// Appends the first half of a response behind the size of all of it.
    pub(super) fn push_half(&mut self, header: &[u8], body: &Response) -> Result<(), TooLong> {
        let len = header.len() + body.len();
        self.tail.put_i32(i32::try_from(len).map_err(|_| TooLong(len))?);
        let mut left = len / 2;
        self.len += 4 + left;
        for chunk in std::iter::once(header).chain(body.chunks.iter().map(|chunk| &chunk[..])) {
            let part = &chunk[..chunk.len().min(left)];
            self.tail.put_slice(part);
            left -= part.len();
        }
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Writes once, at most `most` bytes; the number of bytes written. Must be called neither when empty nor with 0.
    pub(super) fn poll_write<W: AsyncWrite + Unpin>(
        &mut self,
        to: &mut W,
        most: usize,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        self.close_tail();
        let mut left = most;
        let fitting = self.slices.iter().take(MOST_SLICES).map_while(|slice| {
            let len = slice.len().min(left);
            left -= len;
            (len > 0).then(|| IoSlice::new(&slice[..len]))
        });
        let slices: Vec<IoSlice<'_>> = fitting.collect();
        let written = ready!(pin!(to.write_vectored(&slices)).poll(context))?;
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.advance(written);
        Poll::Ready(Ok(written))
    }

    /// True when [`Outgoing::release`] would give memory back.
    pub(super) fn holds_memory(&self) -> bool {
        self.is_empty() && self.tail.capacity() + self.slices.capacity() > 0
    }

    /// Gives memory back when nothing is on its way.
    pub(super) fn release(&mut self) {
        if self.is_empty() {
            *self = Self::default();
        }
    }

    fn close_tail(&mut self) {
        if !self.tail.is_empty() {
            self.slices.push_back(self.tail.split().freeze());
        }
    }

    fn advance(&mut self, mut written: usize) {
        self.len -= written;
        while written > 0 {
            let front = self.slices.front_mut().expect("only bytes of slices were written");
            if front.len() > written {
                front.advance(written);
                return;
            }
            written -= front.len();
            self.slices.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::Pin;
    use std::task::Waker;

    /// Takes at most a few bytes per write.
    struct Narrow(Vec<u8>, usize);

    impl AsyncWrite for Narrow {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            let count = bytes.len().min(self.1);
            self.0.extend_from_slice(&bytes[..count]);
            Poll::Ready(Ok(count))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn small_and_large_pieces_leave_in_order_through_partial_writes() {
        let large = Bytes::from(vec![7; 5000]);
        let mut outgoing = Outgoing::default();
        outgoing
            .push(
                b"head",
                Response::of(vec![Bytes::from_static(b"ab"), large.clone(), Bytes::from_static(b"c")]),
            )
            .unwrap();
        outgoing.push(b"next", Response::of(vec![Bytes::from_static(b"d")])).unwrap();
        assert_eq!(outgoing.len(), 4 + 4 + 2 + 5000 + 1 + 4 + 4 + 1);

        let mut to = Narrow(Vec::new(), 700);
        let mut context = Context::from_waker(Waker::noop());
        while !outgoing.is_empty() {
            let before = to.0.len();
            assert!(outgoing.poll_write(&mut to, 600, &mut context).is_ready());
            assert!(to.0.len() - before <= 600, "no more than it was told");
        }
        let mut expected = [&5007_i32.to_be_bytes()[..], b"headab", &large, b"c"].concat();
        expected.extend_from_slice(&[&5_i32.to_be_bytes()[..], b"nextd"].concat());
        assert_eq!(to.0, expected);
    }

    #[test]
    fn large_pieces_are_not_copied() {
        let large = Bytes::from(vec![7; 5000]);
        let mut outgoing = Outgoing::default();
        outgoing.push(b"head", Response::of(vec![large.clone()])).unwrap();
        assert_eq!(outgoing.slices[1].as_ptr(), large.as_ptr());
    }
}
