//! The fuzz target for recovery, on what it once found and on a few mutants; `cargo xtask fuzz recovery` runs it for longer.
#![allow(clippy::unwrap_used, unreachable_pub, dead_code, reason = "the modules of fuzz/ are public there")]

#[path = "../../fuzz/src/mutants.rs"]
mod mutants;
#[path = "../../fuzz/src/recovery.rs"]
mod recovery;

use mutants::{Random, mutant};

#[test]
fn topic_with_the_greatest_number_in_a_forged_snapshot_does_not_stop_the_start() {
    recovery::run(&[255, 9, 159, 16, 221, 1, 255, 125, 7]);
    recovery::run(&[0xf7, 9, 159, 16, 221, 1, 255, 125, 7]);
}

#[test]
fn forged_file_size_of_a_log_that_is_gone_takes_no_memory() {
    recovery::run(&[
        6, 0, 5, 16, 0, 1, 255, 255, 255, 255, 255, 255, 255, 16, 0, 1, 188, 188, 188, 255, 0, 7,
    ]);
}

#[test]
fn forged_file_size_beside_files_with_damaged_headers_takes_no_memory() {
    recovery::run(&[
        0xef, 19, 159, 16, 205, 1, 55, 0, 7, 13, 19, 126, 16, 205, 1, 255, 0, 7, 0, 7, 13, 19, 126, 16,
    ]);
}

#[test]
fn counters_of_a_forged_snapshot_that_have_no_room_for_an_append_do_not_stop_the_process() {
    recovery::run(&[6, 0, 0, 0, 196, 0, 0, 255, 201, 154, 59, 255, 255, 255, 255, 255, 255, 7]);
}

#[test]
fn damaged_config_of_a_topic_does_not_stop_the_process() {
    recovery::run(&[7, 2, 159, 144, 62, 64, 64, 64, 122, 64, 1, 7]);
}

#[test]
fn mutated_directories_never_stop_the_process() {
    let (seeds, mut random) = (recovery::seeds(), Random(1));
    for _ in 0..60 {
        recovery::run(&mutant(&seeds[random.below(seeds.len())], &mut random));
    }
}
