//! A request as a connection gets it, without its size: header, guard, decoder, for every API that has a layout.
//!
//! What must hold besides no panic: what the guard lets pass takes no more memory to decode than the guard said.

use bytes::Bytes;
use peak_alloc::PeakAlloc;
use protocol::guard::{decode_budget, decoded_memory};
use protocol::header::RequestHeader;
use protocol::layout::Layout;
use protocol::layouts::{ALL, layout};

use request_bodies::codec;
use request_bodies::generate::{Random, body};

#[path = "../../protocol/tests/request_bodies/mod.rs"]
mod request_bodies;

/// For the error of a refused body, which has a backtrace where the environment asks for one, and the frame's owner.
const SLACK: usize = 64 * 1024;

/// Reads `bytes` as the broker does up to the handler. `allocations` is the allocator of the process.
pub fn run(bytes: &[u8], allocations: &PeakAlloc) {
    let mut frame = Bytes::copy_from_slice(bytes);
    let served = |key, version| layout(key).filter(|layout| layout.has_version(version));
    let flexible = |key, version| served(key, version).map(|layout: &Layout| layout.is_flexible(version));
    let Ok(header) = RequestHeader::parse(&mut frame, flexible) else { return };
    let Some(layout) = served(header.api_key, header.api_version) else { return };
    let Ok(promised) = decoded_memory(layout, header.api_version, &frame) else { return };
    assert!(promised <= decode_budget(frame.len()));
    let len = frame.len();
    let before = allocations.current_usage();
    allocations.reset_peak_usage();
    codec::decode(header.api_key, header.api_version, frame);
    let taken = allocations.peak_usage().saturating_sub(before);
    assert!(
        taken <= promised + SLACK,
        "{} v{}: {taken} bytes for a body of {len}, {promised} were promised",
        layout.name,
        header.api_version
    );
}

/// Valid requests of every API in every version.
pub fn seeds() -> Vec<Vec<u8>> {
    let versions = |layout: &'static Layout| {
        (layout.versions.0..=layout.versions.1).map(move |version| (layout, version))
    };
    ALL.iter()
        .flat_map(|layout| versions(layout))
        .flat_map(|(layout, version)| (0..3).map(move |seed| frame(layout, version, seed)))
        .collect()
}

fn frame(layout: &Layout, version: i16, seed: u64) -> Vec<u8> {
    let mut frame = [layout.api_key.to_be_bytes(), version.to_be_bytes()].concat();
    frame.extend(1_i32.to_be_bytes());
    frame.extend([0, 1, b'c']);
    if layout.is_flexible(version) {
        frame.push(0);
    }
    frame.extend(body(layout, version, &mut Random::new(seed), None).bytes);
    frame
}
