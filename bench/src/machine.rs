//! What the machine is, for the head of the table.

use std::fs;
use std::process::Command;

use anyhow::Result;

use crate::cpus;
use crate::process_facts::number_after;

/// Processor, cores, memory and kernel in one line.
///
/// # Errors
/// `/proc` cannot be read.
pub(crate) fn describe() -> Result<String> {
    let processors = fs::read_to_string("/proc/cpuinfo")?;
    let model =
        processors.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown processor");
    let memory = number_after(&fs::read_to_string("/proc/meminfo")?, "MemTotal:").unwrap_or(0);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    Ok(format!(
        "{}, {} cores, {:.0} GiB RAM, Linux {}",
        model.trim_start_matches([' ', '\t', ':']),
        cpus::available(),
        memory as f64 / f64::from(1 << 20),
        kernel.trim()
    ))
}

/// What a program says to `--version`, its first line; why not, if it does not run.
pub(crate) fn version_of(program: &std::path::Path) -> String {
    let output = Command::new(program).arg("--version").output();
    match output {
        Ok(output) => {
            let text = if output.stdout.is_empty() { output.stderr } else { output.stdout };
            String::from_utf8_lossy(&text).lines().next().unwrap_or("unknown").to_owned()
        }
        Err(error) => format!("does not run: {error}"),
    }
}
