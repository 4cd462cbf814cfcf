//! Where log lines go: standard error, filtered by `ONELOG_LOG` (directives as in `RUST_LOG`), `info` unless told otherwise.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// Starts logging. Once per process.
///
/// # Errors
/// A sentence about a filter that cannot be understood.
pub fn start() -> Result<(), String> {
    let directives = std::env::var("ONELOG_LOG").unwrap_or_default();
    let builder = EnvFilter::builder().with_default_directive(LevelFilter::INFO.into());
    let filter = builder.parse(&directives).map_err(|error| {
        format!(
            "ONELOG_LOG is \"{directives}\", which is no filter: {error}; give a level (error, warn, info, debug, trace) \
             or target=level, comma separated"
        )
    })?;
    let stderr = std::io::stderr;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr)
        .with_ansi(stderr().is_terminal())
        .init();
    Ok(())
}
