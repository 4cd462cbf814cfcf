//! Any bytes as a request, see `onelog_fuzz::request`; what decoding allocates is counted.

#![no_main]

use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATIONS: PeakAlloc = PeakAlloc;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| onelog_fuzz::request::run(bytes, &ALLOCATIONS));
