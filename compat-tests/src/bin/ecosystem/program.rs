//! A Java program under the guard of the harness: started, watched, killed with -9, started again.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use compat_tests::process::GuardedProcess;
use compat_tests::{clock, layout, setup};

const POLL: Duration = Duration::from_millis(50);
const LAST_LINES: usize = 25;

/// A program that is meant to run until it is killed. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Program {
    class_path: OsString,
    class: &'static str,
    arguments: Vec<OsString>,
    log: PathBuf,
    process: Option<GuardedProcess>,
}

impl Program {
    /// Starts `class` of the ecosystem's class path.
    pub(crate) fn start(class: &'static str, arguments: Vec<OsString>) -> Result<Self> {
        Self::start_with(setup::ecosystem_class_path()?, class, arguments)
    }

    /// Starts `class` of another class path.
    pub(crate) fn start_with(
        class_path: OsString,
        class: &'static str,
        arguments: Vec<OsString>,
    ) -> Result<Self> {
        let log = layout::log_file(class)?;
        let mut program = Self { class_path, class, arguments, log, process: None };
        program.launch()?;
        Ok(program)
    }

    /// kill -9.
    pub(crate) fn kill(&mut self) {
        self.process = None;
    }

    /// kill -9 if it runs, then the same command line again.
    pub(crate) fn restart(&mut self) -> Result<()> {
        self.kill();
        self.launch()
    }

    /// Polls `attempt` until it answers `Some`.
    ///
    /// # Errors
    /// `attempt` failed, the program ended by itself, or `limit` passed; the last two with the end of what it printed.
    pub(crate) fn until<T>(
        &mut self,
        what: &str,
        limit: Duration,
        mut attempt: impl FnMut() -> Result<Option<T>>,
    ) -> Result<T> {
        let found = clock::poll_until(limit, POLL, || {
            if let Some(status) = self.process.as_mut().and_then(GuardedProcess::exit_status) {
                bail!("{} ended with {status} before {what}:\n{}", self.class, self.last_words());
            }
            attempt()
        })?;
        found.with_context(|| {
            format!("{what} did not come within {limit:?}; {}:\n{}", self.class, self.last_words())
        })
    }

    fn launch(&mut self) -> Result<()> {
        let output = File::options().create(true).append(true).open(&self.log)?;
        let mut command = Command::new("java");
        command.args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto", "-Xmx384m"]);
        command.args(["-Dorg.apache.logging.log4j.level=WARN", "-cp"]).arg(&self.class_path);
        command.arg(self.class).args(&self.arguments);
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        self.process = Some(GuardedProcess::start(&mut command, None)?);
        Ok(())
    }

    fn last_words(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        format!(
            "{} ends with\n{}",
            self.log.display(),
            lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
        )
    }
}

/// A folder that is removed with everything in it when this is dropped.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Result<Self> {
        layout::scratch_dir(name).map(Self)
    }

    /// The path of `name` in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes `text` to `name` in it and returns the path.
    pub(crate) fn file(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.path(name);
        fs::write(&path, text)?;
        Ok(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}
