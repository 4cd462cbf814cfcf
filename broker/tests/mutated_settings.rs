//! The fuzz targets for settings and group records, on mutants of valid ones; `cargo xtask fuzz` runs them for longer.
#![allow(
    unreachable_pub,
    clippy::disallowed_methods,
    reason = "the modules of fuzz/ are public there, and take any time"
)]

#[path = "../../fuzz/src/group_records.rs"]
mod group_records;
#[path = "../../fuzz/src/mutants.rs"]
mod mutants;
#[path = "../../fuzz/src/properties.rs"]
mod properties;

use mutants::run_mutants;

#[test]
fn mutated_settings_are_taken_or_refused() {
    run_mutants(&properties::seeds(), 40, properties::run);
}

#[test]
fn mutated_group_records_never_stop_the_coordinator() {
    run_mutants(&group_records::seeds(), 30, group_records::run);
}
