//! The fuzz targets for record batches and markers, on mutants of valid ones; `cargo xtask fuzz` runs them for longer.
#![allow(unreachable_pub, reason = "the modules of fuzz/ are public there")]

#[path = "../../fuzz/src/control_batch.rs"]
mod control_batch;
#[path = "../../fuzz/src/mutants.rs"]
mod mutants;
#[path = "../../fuzz/src/record_batch.rs"]
mod record_batch;

use mutants::run_mutants;

#[test]
fn mutated_record_batches_are_read_consistently_or_refused() {
    run_mutants(&record_batch::seeds(), 120, record_batch::run);
}

#[test]
fn mutated_markers_are_read_consistently_or_refused() {
    run_mutants(&control_batch::seeds(), 400, control_batch::run);
}
