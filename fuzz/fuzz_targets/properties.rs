//! Any text as a file of settings or as variables, see `onelog_fuzz::properties`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| onelog_fuzz::properties::run(bytes));
