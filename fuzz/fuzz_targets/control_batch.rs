//! Any bytes as an end-transaction marker, see `onelog_fuzz::control_batch`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| onelog_fuzz::control_batch::run(bytes));
