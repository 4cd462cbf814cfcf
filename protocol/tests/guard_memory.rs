//! What the guard keeps out: whatever it lets through, decoding takes no more memory than it said.
//!
//! Allocations are counted for the whole process, so the tests of this file take turns.

mod request_bodies;

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use peak_alloc::PeakAlloc;
use protocol::guard::{GuardFault, check, decode_budget, decoded_memory};
use protocol::layout::Layout;
use protocol::layouts::ALL;
use request_bodies::codec;
use request_bodies::generate::{Body, Mark, Random, Width, body};

#[global_allocator]
static ALLOCATIONS: PeakAlloc = PeakAlloc;

/// For the error of a refused body and the shared owner of the frame.
const SLACK: usize = 4 * 1024;

static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn each_version(mut visit: impl FnMut(&'static Layout, i16)) {
    for layout in ALL {
        for version in layout.versions.0..=layout.versions.1 {
            visit(layout, version);
        }
    }
}

/// Whether the guard lets `bytes` through; then decodes them and compares the memory with what the guard said.
fn passes_and_keeps_its_word(layout: &Layout, version: i16, bytes: &[u8]) -> bool {
    memory_taken(layout, version, bytes).is_some()
}

/// Most memory that decoding `bytes` took, not more than the guard said; `None` when the guard refuses them.
fn memory_taken(layout: &Layout, version: i16, bytes: &[u8]) -> Option<usize> {
    let promised = decoded_memory(layout, version, bytes).ok()?;
    assert!(promised <= decode_budget(bytes.len()));
    let body = Bytes::copy_from_slice(bytes);
    let before = ALLOCATIONS.current_usage();
    ALLOCATIONS.reset_peak_usage();
    codec::decode(layout.api_key, version, body);
    let taken = ALLOCATIONS.peak_usage().saturating_sub(before);
    assert!(
        taken <= promised + SLACK,
        "{} v{version}: {taken} bytes for a body of {}, {promised} were promised",
        layout.name,
        bytes.len()
    );
    Some(taken)
}

fn with(body: &Body, mark: Mark, replacement: &[u8]) -> Vec<u8> {
    let mut bytes = body.bytes.clone();
    bytes.splice(mark.position..mark.position + mark.len, replacement.iter().copied());
    bytes
}

#[test]
fn counts_and_lengths_that_lie_are_refused_for_every_api_and_version() {
    let _turn = turn();
    let lies = |width| -> &[&[u8]] {
        match width {
            Width::Classic16 => &[&[0x7f, 0xff], &[0x80, 0x00], &[0xff, 0xfe]],
            Width::Classic32 => &[&[0x7f, 0xff, 0xff, 0xff], &[0x80, 0, 0, 0], &[0xff, 0xff, 0xff, 0xfe]],
            Width::Compact => &[
                &[0xff, 0xff, 0xff, 0xff, 0x0f],
                &[0xff, 0xff, 0xff, 0xff, 0x07],
                &[0x80, 0x80, 0x80, 0x80, 0x08],
                &[0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
            ],
        }
    };
    let mut refused = 0;
    each_version(|layout, version| {
        for seed in 0..6 {
            let body = body(layout, version, &mut Random::new(seed), None);
            for mark in &body.marks {
                for lie in lies(mark.width) {
                    let bytes = with(&body, *mark, lie);
                    let error = check(layout, version, &bytes).expect_err("a lie");
                    assert!(error.position <= bytes.len());
                    refused += 1;
                }
            }
        }
    });
    assert!(refused > 30_000, "only {refused} lies were told");
}

#[test]
fn every_truncation_is_refused_for_every_api_and_version() {
    let _turn = turn();
    each_version(|layout, version| {
        for seed in 0..4 {
            let body = body(layout, version, &mut Random::new(seed), None).bytes;
            for len in 0..body.len() {
                assert!(check(layout, version, &body[..len]).is_err(), "{} v{version} at {len}", layout.name);
            }
        }
    });
}

#[test]
fn two_billion_of_anything_is_refused_for_every_api_and_version() {
    let _turn = turn();
    each_version(|layout, version| {
        assert!(check(layout, version, &[0x7f, 0xff, 0xff, 0xff]).is_err(), "{} v{version}", layout.name);
    });
}

#[test]
fn flipped_bytes_decode_within_what_the_guard_said() {
    let _turn = turn();
    let mut passed = 0;
    each_version(|layout, version| {
        let mut random = Random::new(u64::from(version.unsigned_abs()));
        for seed in 0..25 {
            let mut bytes = body(layout, version, &mut Random::new(seed), None).bytes;
            if bytes.is_empty() {
                continue;
            }
            for _ in 0..8 {
                let at = random.below(bytes.len());
                bytes[at] = if random.one_in(3) { 0x7f } else { random.byte() };
                if let Some(taken) = memory_taken(layout, version, &bytes) {
                    assert!(taken <= 4 * bytes.len() + 64 * 1024, "{} v{version}: {taken}", layout.name);
                    passed += 1;
                }
            }
        }
    });
    assert!(passed > 10_000, "only {passed} mutants passed the guard");
}

#[test]
fn random_bytes_decode_within_what_the_guard_said() {
    let _turn = turn();
    let mut passed = 0;
    each_version(|layout, version| {
        let mut random = Random::new(7);
        for _ in 0..200 {
            // Small values, so that counts and lengths often fit.
            let bytes: Vec<u8> = (0..random.below(40)).map(|_| random.byte() & 0x03).collect();
            passed += usize::from(passes_and_keeps_its_word(layout, version, &bytes));
        }
    });
    assert!(passed > 200, "only {passed} random bodies passed the guard");
}

#[test]
fn thousands_of_the_smallest_elements_decode_within_what_the_guard_said_or_are_refused() {
    let _turn = turn();
    let (mut passed, mut refused) = (0, 0);
    each_version(|layout, version| {
        for (seed, dense) in (0..8).zip([200, 2_000, 20_000, 20_000].into_iter().cycle()) {
            let body = body(layout, version, &mut Random::new(seed), Some(dense)).bytes;
            if passes_and_keeps_its_word(layout, version, &body) {
                passed += 1;
            } else {
                let error = check(layout, version, &body).expect_err("did not pass");
                assert!(matches!(error.fault, GuardFault::Memory { .. }), "{error}");
                refused += 1;
            }
        }
    });
    assert!(passed > 500 && refused > 20, "{passed} passed, {refused} were refused");
}

#[test]
fn unknown_tagged_fields_decode_within_what_the_guard_said() {
    let _turn = turn();
    let api_versions = protocol::layouts::layout(18).expect("ApiVersions");
    for tags in 0..=64_u8 {
        // Empty software name and version, then the tags with no content.
        let mut bytes = vec![1, 1, tags];
        bytes.extend((0..tags).flat_map(|tag| [tag, 0]));
        assert!(passes_and_keeps_its_word(api_versions, 3, &bytes), "{tags} tags");
    }
    let metadata = protocol::layouts::layout(3).expect("Metadata");
    for tags in [1, 5, 6, 11, 12, 40, 64_u8] {
        // 100 topics without a name, each with its own map of tags; then the three flags of v9 and no tags.
        let mut bytes = vec![101];
        for _ in 0..100 {
            bytes.extend([1, tags]);
            bytes.extend((0..tags).flat_map(|tag| [tag, 0]));
        }
        bytes.extend([1, 0, 0, 0]);
        assert!(passes_and_keeps_its_word(metadata, 9, &bytes), "{tags} tags");
    }
}

#[test]
fn a_body_that_passes_costs_no_allocation() {
    let _turn = turn();
    each_version(|layout, version| {
        let body = body(layout, version, &mut Random::new(3), None).bytes;
        // The test harness may allocate at the same time, but not each time.
        let untouched = (0..50).any(|_| {
            let before = ALLOCATIONS.current_usage();
            ALLOCATIONS.reset_peak_usage();
            check(layout, version, &body).expect("a valid body");
            ALLOCATIONS.peak_usage() == before
        });
        assert!(untouched, "{} v{version}", layout.name);
    });
}
