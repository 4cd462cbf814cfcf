//! Any bytes as a record batch, see `onelog_fuzz::record_batch`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| onelog_fuzz::record_batch::run(bytes));
