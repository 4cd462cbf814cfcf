//! Edits of a stopped data directory, then a start, see `onelog_fuzz::recovery`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| onelog_fuzz::recovery::run(bytes));
