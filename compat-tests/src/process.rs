//! Child processes that never outlive the test process. Brokers, drivers and tools are all started here.
//!
//! Invariant: whatever ends the test process (a panic, a static that is never dropped, kill -9), the child is
//! killed with it. A small `sh` watchdog holds the read end of a pipe whose write end only the test process has;
//! when the pipe closes it kills the child and removes the folder it was given.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use crate::clock;

/// A process in the middle of a long system call needs as long to stop.
const FREEZE_LIMIT: Duration = Duration::from_secs(5);
const WATCHDOG: &str =
    r#"trap '' INT TERM HUP; read -r _; kill -9 "$1" 2>/dev/null; [ -z "$2" ] || rm -rf "$2""#;

/// A child process and its watchdog. Dropping it kills the child.
#[derive(Debug)]
pub struct GuardedProcess {
    child: Child,
    watchdog: Child,
}

impl GuardedProcess {
    /// Starts `command`. When the test process dies, `scratch` (if any) is removed after the child is killed.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn start(command: &mut Command, scratch: Option<&Path>) -> Result<Self> {
        let program = command.get_program().to_owned();
        let child = command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
        let watchdog = Command::new("sh")
            .args(["-c", WATCHDOG, "watchdog", &child.id().to_string()])
            .arg(scratch.unwrap_or(Path::new("")))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start the watchdog (sh)")?;
        Ok(Self { child, watchdog })
    }

    /// The child, to take its pipes.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// The exit status if the child has ended by itself.
    pub fn exit_status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Stops all threads where they are (SIGSTOP). Returns when each has stopped or is inside the kernel, which it leaves as
    /// a stopped one.
    ///
    /// # Errors
    /// The process is gone, or does not stop within five seconds.
    pub fn freeze(&mut self) -> Result<()> {
        self.freeze_until(&['T', 't', 'D', 'Z', 'X'])
    }

    /// The same, but also waits until no thread is inside the kernel: nothing is answered there meanwhile.
    ///
    /// # Errors
    /// As `freeze`.
    pub fn freeze_outside_kernel(&mut self) -> Result<()> {
        self.freeze_until(&['T', 't', 'Z', 'X'])
    }

    fn freeze_until(&mut self, states: &[char]) -> Result<()> {
        self.signal("-STOP")?;
        let tasks = Path::new("/proc").join(self.child.id().to_string()).join("task");
        let deadline = clock::now() + FREEZE_LIMIT;
        while !all_are_in(states, &tasks)? {
            ensure!(clock::now() < deadline, "the process does not stop");
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Lets it go on after a `freeze` (SIGCONT).
    ///
    /// # Errors
    /// The process is gone.
    pub fn thaw(&mut self) -> Result<()> {
        self.signal("-CONT")
    }

    fn signal(&mut self, signal: &str) -> Result<()> {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status().context("cannot run kill")?;
        ensure!(sent.success(), "the process takes no signal");
        Ok(())
    }

    /// kill -9, then waits until the process is gone. Harmless when it is gone already.
    pub fn kill(&mut self) {
        // The watchdog goes first: its pid must not be able to fire at a reused process id.
        for process in [&mut self.watchdog, &mut self.child] {
            if process.kill().is_ok() {
                process.wait().ok();
            }
        }
    }
}

/// Whether every thread is in one of `states`: T is stopped, D waits inside the kernel, Z and X are at their end.
fn all_are_in(states: &[char], tasks: &Path) -> Result<bool> {
    for task in fs::read_dir(tasks).context("the process is gone")? {
        let stat = fs::read_to_string(task?.path().join("stat")).unwrap_or_default();
        // "pid (name) STATE ..."
        let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
        if state.is_some_and(|state| !states.contains(&state)) {
            return Ok(false);
        }
    }
    Ok(true)
}

impl Drop for GuardedProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs `command` to its end without input and returns what it printed (stdout, then stderr).
///
/// # Errors
/// It cannot be started, takes longer than `limit`, or exits non-zero; the error carries its output.
pub fn run_to_end(command: &mut Command, limit: Duration) -> Result<String> {
    run_with_input(command, Stdio::null(), limit)
}

/// The same with an input.
///
/// # Errors
/// As [`run_to_end`].
pub fn run_with_input(command: &mut Command, input: Stdio, limit: Duration) -> Result<String> {
    let line = describe(command);
    let mut process =
        GuardedProcess::start(command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped()), None)?;
    let stdout = drain(process.child().stdout.take());
    let stderr = drain(process.child().stderr.take());
    let status = clock::poll_until(limit, Duration::from_millis(20), || Ok(process.exit_status()))?;
    process.kill();
    let output = format!("{}{}", stdout.join().unwrap_or_default(), stderr.join().unwrap_or_default());
    match status {
        Some(status) if status.success() => Ok(output),
        Some(status) => bail!("`{line}` ended with {status}:\n{output}"),
        None => bail!("`{line}` did not end within {limit:?}:\n{output}"),
    }
}

fn drain(pipe: Option<impl std::io::Read + Send + 'static>) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            pipe.read_to_end(&mut bytes).ok();
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn describe(command: &Command) -> String {
    let words: Vec<_> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    words.join(" ")
}
