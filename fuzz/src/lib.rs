//! What every fuzz target does with its bytes, and the seeds it starts from.
//!
//! The programs in `fuzz_targets` hand libFuzzer's bytes to `run` of one of these modules; `examples/seeds.rs` writes the
//! seeds. Tests of the other crates take modules in by path and run them on a few thousand mutants, on any compiler.
//! Invariant: `run` panics on a bug of the product and on nothing else.

pub mod control_batch;
pub mod group_records;
pub mod mutants;
pub mod properties;
pub mod record_batch;
pub mod recovery;
pub mod request;
