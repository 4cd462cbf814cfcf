//! `onelog dev`: a broker for tests and for trying things out. It keeps its data in a temporary directory, in memory where the
//! system has one, and ends with the process that started it. What a killed one leaves in memory the next one removes.
//!
//! What it sets are only defaults: the file, the environment and flags win over them.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::Context as _;
use broker::config::Flag;
use clap::Args;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{FlockOperation, flock};
use rustix::io::retry_on_intr;
use rustix::process::{PidfdFlags, Signal, getpid, getppid, kill_process, pidfd_open};

use crate::serve;
use crate::server_arguments::ServerArguments;

/// Memory as a file system, on Linux.
const IN_MEMORY: &str = "/dev/shm";
/// Of the names of temporary directories, before the process id.
const DIRECTORY_PREFIX: &str = "onelog-dev-";

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
    let data = dir.path.join("data").display().to_string();
    let defaults = [
        ("listeners", "PLAINTEXT://127.0.0.1:0"),
        ("log.dirs", &data),
        ("onelog.flush", "os"),
        ("onelog.commitlog.file.bytes", "16777216"),
        ("offsets.topic.num.partitions", "1"),
        ("transaction.state.log.num.partitions", "1"),
        ("share.coordinator.state.topic.num.partitions", "1"),
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

/// Removed when dropped. Locked while its process lives: what a killed one left behind is told by its lock.
struct TemporaryDirectory {
    path: PathBuf,
    _lock: File,
}

impl TemporaryDirectory {
    /// # Errors
    /// `parent` is not there, or takes no directories or locks.
    fn new_in(parent: &Path) -> io::Result<Self> {
        let name =
            format!("{DIRECTORY_PREFIX}{}-{}", getpid().as_raw_nonzero(), uuid::Uuid::new_v4().simple());
        // Under its name from when it is locked: an unlocked one would be taken for a leftover.
        let (unlocked, path) = (parent.join(format!(".{name}")), parent.join(name));
        std::fs::create_dir(&unlocked)?;
        let lock = File::open(&unlocked)?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        std::fs::rename(&unlocked, &path)?;
        Ok(Self { path, _lock: lock })
    }
}

impl Drop for TemporaryDirectory {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.path) {
            tracing::warn!(%error, dir = %self.path.display(), "the temporary directory was not removed");
        }
    }
}

fn temporary_directory() -> anyhow::Result<TemporaryDirectory> {
    let memory = Path::new(IN_MEMORY);
    let parent = std::env::temp_dir();
    remove_leftovers(memory);
    TemporaryDirectory::new_in(memory)
        .or_else(|_| {
            remove_leftovers(&parent);
            TemporaryDirectory::new_in(&parent)
        })
        .with_context(|| format!("make a directory in {}", parent.display()))
}

/// Removes what brokers that were killed left in `parent`, as far as that is allowed.
fn remove_leftovers(parent: &Path) {
    let Ok(entries) = std::fs::read_dir(parent) else { return };
    let of_ours = |name: &OsStr| name.to_string_lossy().starts_with(DIRECTORY_PREFIX);
    for entry in entries.flatten().filter(|entry| of_ours(&entry.file_name())) {
        let Ok(dir) = File::open(entry.path()) else { continue };
        if flock(&dir, FlockOperation::NonBlockingLockExclusive).is_ok() {
            // Another start may be at it too.
            drop(std::fs::remove_dir_all(entry.path()));
        }
    }
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
