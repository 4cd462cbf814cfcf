//! `onelog dev`: a broker for tests and for trying things out. It keeps its data in a temporary directory, in memory where the
//! system has one, and ends with the process that started it.
//!
//! What it sets are only defaults: the file, the environment and flags win over them.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::Context as _;
use broker::config::Flag;
use clap::Args;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::retry_on_intr;
use rustix::process::{PidfdFlags, Signal, getpid, getppid, kill_process, pidfd_open};

use crate::serve;
use crate::server_arguments::ServerArguments;

/// Memory as a file system, on Linux.
const IN_MEMORY: &str = "/dev/shm";

/// A broker for tests: data in memory, any free port (printed on standard output), ends with its parent
#[derive(Debug, Args)]
pub(crate) struct DevArguments {
    /// Go on when the process that started this one ends
    #[arg(long)]
    outlive_parent: bool,
    #[command(flatten)]
    server: Box<ServerArguments>,
}

/// # Errors
/// As a broker that is started without `dev`; no temporary directory can be made.
pub(crate) fn run(arguments: DevArguments) -> anyhow::Result<()> {
    if !arguments.outlive_parent {
        end_with_parent().context("watch the parent process")?;
    }
    let dir = temporary_directory()?;
    let data = dir.0.join("data").display().to_string();
    let defaults = [
        ("listeners", "PLAINTEXT://127.0.0.1:0"),
        ("log.dirs", &data),
        ("onelog.flush", "os"),
        ("onelog.commitlog.file.bytes", "16777216"),
        ("offsets.topic.num.partitions", "1"),
        ("transaction.state.log.num.partitions", "1"),
        ("group.initial.rebalance.delay.ms", "0"),
        ("group.min.session.timeout.ms", "1"),
    ];
    let default = |(key, value): (&str, &str)| Flag {
        name: "onelog dev",
        key: key.to_owned(),
        value: value.to_owned(),
    };
    let defaults: Vec<Flag> = defaults.into_iter().map(default).collect();
    serve::run(*arguments.server, &defaults, |address| {
        let mut out = io::stdout();
        writeln!(out, "{address}")?;
        out.flush()
    })
}

/// Removed when dropped.
struct TemporaryDirectory(PathBuf);

impl Drop for TemporaryDirectory {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, dir = %self.0.display(), "the temporary directory was not removed");
        }
    }
}

fn temporary_directory() -> anyhow::Result<TemporaryDirectory> {
    let memory = Path::new(IN_MEMORY);
    let name = format!("onelog-dev-{}-{}", getpid().as_raw_nonzero(), uuid::Uuid::new_v4().simple());
    let made = |parent: &Path| {
        let dir = parent.join(&name);
        std::fs::create_dir(&dir).map(|()| TemporaryDirectory(dir))
    };
    let parent = std::env::temp_dir();
    made(memory)
        .or_else(|_| made(&parent))
        .with_context(|| format!("make a directory in {}", parent.display()))
}

/// Asks this process to end, as Ctrl-C does, once its parent has ended. Not `PR_SET_PDEATHSIG`: that fires when the *thread*
/// that started this process ends, and test runners start processes from threads that come and go.
fn end_with_parent() -> io::Result<()> {
    let Some(parent) = getppid() else { return Ok(()) };
    let parent = pidfd_open(parent, PidfdFlags::empty())?;
    let watch = move || {
        let ended = retry_on_intr(|| poll(&mut [PollFd::new(&parent, PollFlags::IN)], None)).is_ok();
        if !ended || kill_process(getpid(), Signal::TERM).is_err() {
            tracing::error!("this process can no longer end with the one that started it");
        }
    };
    thread::Builder::new().name("parent".to_owned()).spawn(watch).map(drop)
}
