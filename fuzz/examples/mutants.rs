//! `mutants TARGET SECONDS [SEED]`: random mutants of the seeds of a target, on any compiler. Finds less than libFuzzer, which
//! sees what code an input reaches; needs nothing but Rust. Names the seed of a run; the same seed repeats it.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use onelog_fuzz::mutants::{Random, mutant};
use onelog_fuzz::{control_batch, group_records, properties, record_batch, recovery, request};
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATIONS: PeakAlloc = PeakAlloc;

type Run = fn(&[u8]);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number =
        |at: usize, otherwise| arguments.get(at).and_then(|text| text.parse().ok()).unwrap_or(otherwise);
    let (seeds, run): (Vec<Vec<u8>>, Run) = match arguments.first().map(String::as_str) {
        Some("request") => (request::seeds(), |bytes| request::run(bytes, &ALLOCATIONS)),
        Some("record_batch") => (record_batch::seeds(), record_batch::run),
        Some("control_batch") => (control_batch::seeds(), control_batch::run),
        Some("recovery") => (recovery::seeds(), recovery::run),
        Some("properties") => (properties::seeds(), properties::run),
        Some("group_records") => (group_records::seeds(), group_records::run),
        _ => {
            eprintln!("mutants TARGET SECONDS [SEED]; targets are the files of fuzz_targets");
            return ExitCode::FAILURE;
        }
    };
    let (seconds, seed) = (number(1, 60), number(2, 1));
    let (mut random, started, mut runs) = (Random(seed), Instant::now(), 0_u64);
    let mut corpus = seeds;
    while started.elapsed() < Duration::from_secs(seconds) {
        let chosen = random.below(corpus.len());
        let input = mutant(&corpus[chosen], &mut random);
        if let Err(panic) = std::panic::catch_unwind(|| run(&input)) {
            eprintln!("after {runs} runs, seed {seed}: {input:?}");
            std::panic::resume_unwind(panic);
        }
        // Some mutants are mutated further.
        if random.below(50) == 0 && corpus.len() < 20_000 {
            corpus.push(input);
        }
        runs += 1;
    }
    println!("seed {seed}: {runs} runs, {} bytes of memory at most", ALLOCATIONS.peak_usage());
    ExitCode::SUCCESS
}
