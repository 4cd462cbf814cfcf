//! Any records as the log of consumer groups, see `onelog_fuzz::group_records`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| onelog_fuzz::group_records::run(bytes));
