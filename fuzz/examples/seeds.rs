//! Writes the seeds of every target into `corpus/<target>` of the folder given, by default this crate's.

use std::fs;
use std::io;
use std::path::PathBuf;

fn main() -> io::Result<()> {
    let folder =
        std::env::args_os().nth(1).map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    let targets = [
        ("request", onelog_fuzz::request::seeds()),
        ("record_batch", onelog_fuzz::record_batch::seeds()),
        ("control_batch", onelog_fuzz::control_batch::seeds()),
        ("recovery", onelog_fuzz::recovery::seeds()),
        ("properties", onelog_fuzz::properties::seeds()),
        ("group_records", onelog_fuzz::group_records::seeds()),
    ];
    for (target, seeds) in targets {
        let corpus = folder.join("corpus").join(target);
        fs::create_dir_all(&corpus)?;
        for (index, seed) in seeds.into_iter().enumerate() {
            fs::write(corpus.join(format!("seed-{index:04}")), seed)?;
        }
    }
    Ok(())
}
