//! Random damage to a stopped directory, and what the broker, `verify` and `salvage` make of it.
//!
//! After any one mutation of any one file: a start refuses naming a file, or serves only what was acknowledged; what is
//! missing is no more than the log's tail, or `verify` says so; `verify` finds every mutation that hit a frame; `salvage`
//! keeps every batch that the mutation did not touch, and its directory opens and serves them. The negative control reads
//! the same damaged files without looking at CRCs.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "a test that cannot go on should say where")]

#[path = "mutations/mutate.rs"]
mod mutate;
mod support;
#[path = "mutations/witness.rs"]
mod witness;

use std::path::Path;
use std::sync::Arc;

use storage::SystemClock;
use storage::disk::Disk;
use storage::inspect::{Finding, InspectError, Inspection, Salvaged};

use mutate::{Mutation, mutate};
use support::Random;
use support::simulated_disk::SimulatedDisk;
use witness::{DIR, Stopped, open_at, read_back, stopped};

const SEEDS: u64 = 64;
const NEW_DIR: &str = "/salvaged";

/// Closed properly or killed, before and after files were rewritten.
fn bases() -> [Stopped; 4] {
    [(true, false), (false, false), (true, true), (false, true)]
        .map(|(clean, rewritten)| stopped(clean, rewritten))
}

fn inspection(disk: &SimulatedDisk) -> Result<Inspection, InspectError> {
    Inspection::open(Path::new(DIR), Arc::new(disk.clone()))
}

fn verify(disk: &SimulatedDisk) -> Vec<Finding> {
    let mut findings = Vec::new();
    inspection(disk).unwrap().verify(&mut |finding| findings.push(finding), &mut |_| {}).unwrap();
    findings
}

fn salvage(disk: &SimulatedDisk) -> Result<Salvaged, InspectError> {
    let (clock, new_dir) = (Arc::new(SystemClock), Path::new(NEW_DIR));
    inspection(disk)?.salvage(new_dir, clock, &mut |_| {}, &mut |_| {})
}

/// A start of the damaged directory: refused in words that name a file, or nothing but the truth is read.
fn check_start(stopped: &Stopped, disk: &SimulatedDisk, findings: &[Finding]) -> Result<(), String> {
    let store = match open_at(disk, DIR) {
        Ok(store) => store,
        Err(error) if error.to_string().contains(DIR) => return Ok(()),
        Err(error) => return Err(format!("the refusal names no file: {error}")),
    };
    let read = read_back(&store, stopped, false)?;
    let tail_begins = read.missing.iter().min();
    let tail_is_all = tail_begins.is_none_or(|first| read.found.iter().all(|found| found < first));
    match (findings.is_empty(), tail_is_all, read.unreadable) {
        (false, _, _) | (true, true, 0) => Ok(()),
        (true, tail_is_all, unreadable) => Err(format!(
            "verify found nothing, but {} batches are missing (a tail: {tail_is_all}) and {unreadable} unreadable",
            read.missing.len()
        )),
    }
}

/// Every batch that was not touched is in the salvaged directory, and no other, with and without its checkpoint.
fn check_salvage(stopped: &Stopped, disk: &SimulatedDisk, mutation: &Mutation) -> Result<(), String> {
    salvage(disk).map_err(|error| error.to_string())?;
    for replay in [false, true] {
        let disk = disk.kill();
        if replay {
            disk.remove(&Path::new(NEW_DIR).join("checkpoint")).unwrap();
        }
        let store = open_at(&disk, NEW_DIR).map_err(|error| format!("replay {replay}: {error}"))?;
        let read = read_back(&store, stopped, true)?;
        for (index, batch) in stopped.batches.iter().enumerate() {
            let touched = mutation.touches(&batch.file, batch.bytes.clone());
            if !touched && batch.readable && !read.found.contains(&index) {
                return Err(format!("replay {replay}: batch {index} was not salvaged: {batch:?}"));
            }
        }
    }
    Ok(())
}

/// `verify` must find what hit a frame or the file around it; what wiped the log from some frame on to its very end after
/// a crash is the one thing that nobody can see.
fn check_found(stopped: &Stopped, mutation: &Mutation, findings: &[Finding]) -> Result<(), String> {
    let hit = stopped.matters.iter().find(|(file, bytes)| mutation.changes(file, bytes.clone()));
    match hit {
        Some(hit) if findings.is_empty() && !stopped.wiped_tail(mutation) => {
            Err(format!("verify found nothing, though {hit:?} was hit"))
        }
        _ => Ok(()),
    }
}

fn run(seed: u64, stopped: &Stopped) -> Result<bool, String> {
    let mut random = Random(seed);
    let disk = stopped.disk.kill();
    let mutation = mutate(&disk, Path::new(DIR), &mut random);
    let said = |error| format!("{mutation}: {error}");
    let findings = verify(&disk);
    check_found(stopped, &mutation, &findings).map_err(said)?;
    check_salvage(stopped, &disk.kill(), &mutation).map_err(said)?;
    check_start(stopped, &disk.kill(), &findings).map_err(said)?;
    let wrong_without_crc = stopped.batches.iter().any(|batch| {
        let found = disk.open(&batch.file).and_then(|file| file.read(batch.payload_at, batch.payload.len()));
        found.is_ok_and(|found| found[16..] != batch.payload[16..])
    });
    Ok(wrong_without_crc)
}

#[test]
fn an_undamaged_directory_has_nothing_wrong_and_is_salvaged_whole() {
    for stopped in bases() {
        assert_eq!(verify(&stopped.disk), []);
        check_salvage(&stopped, &stopped.disk.kill(), &Mutation::default()).unwrap();
    }
}

#[test]
fn one_mutation_never_shows_wrong_records_is_found_and_salvaged_around() {
    let bases = bases();
    let mut wrong_without_crc = 0;
    for seed in 0..SEEDS {
        let stopped = &bases[usize::try_from(seed).unwrap() % bases.len()];
        let wrong = run(seed, stopped).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        wrong_without_crc += u32::from(wrong);
    }
    // The negative control: without CRCs the same damage would be served.
    assert!(wrong_without_crc >= 10, "only {wrong_without_crc} mutations changed a record");
}
