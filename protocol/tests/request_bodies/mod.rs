//! Request bodies for tests of the guard: a layout-driven writer of random valid bodies, and the codec crate behind one
//! function per question.
#![allow(dead_code, reason = "each test binary uses its part")]

pub(crate) mod codec;
pub(crate) mod generate;
