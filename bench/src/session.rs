//! One run of the benchmark: its options, folder, canary, results file and brokers. Rows get it by `&mut` and nothing else.
//!
//! Invariant: every measured run is written to the results file with the canaries before and after it, whatever becomes of
//! the row later.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::broker_process::{Broker, Subject};
use crate::canary::Canary;
use crate::checker::Findings;
use crate::kafka::Jars;
use crate::kfake;
use crate::onelog::{self, Flush};
use crate::options::Options;
use crate::samples::{Sample, Sides, order};
use crate::{clock, warm_up};

/// See the module.
pub(crate) struct Session {
    pub(crate) options: Options,
    run_folder: PathBuf,
    results: File,
    results_path: PathBuf,
    canary: Canary,
    jars: Option<Jars>,
    /// Held while the session lives: two at a time would measure each other.
    _lock: File,
    kafka: Option<Rc<Broker>>,
    brokers: u32,
    id: u64,
    findings: BTreeMap<Subject, Findings>,
}

/// What is repeated on both brokers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Experiment<'a> {
    /// Name of the row.
    pub(crate) row: &'a str,
    /// What is measured, in words.
    pub(crate) what: &'a str,
    /// How often A B B A is repeated.
    pub(crate) rounds: u32,
}

/// One line of the results file.
#[derive(Debug, Serialize)]
struct ResultLine<'a, T> {
    row: &'a str,
    what: &'a str,
    subject: Subject,
    steady: bool,
    before: crate::canary::Reading,
    after: crate::canary::Reading,
    result: &'a T,
}

impl Session {
    /// Makes the folders and the results file, and fetches Kafka unless it is not wanted.
    ///
    /// # Errors
    /// Another benchmark is running, a folder cannot be made, or Kafka cannot be fetched.
    pub(crate) fn new(options: Options) -> Result<Self> {
        let id = clock::since_epoch().as_secs();
        let run_folder = options.folder.join(format!("run-{id}"));
        let lock = alone_in(&options.folder)?;
        for folder in [options.folder.join("logs"), run_folder.clone()] {
            fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        let results_path = options.folder.join(format!("results-{id}.jsonl"));
        let jars =
            (!options.no_kafka).then(|| Jars::install(&options.kafka_pom, &options.folder)).transpose()?;
        Ok(Self {
            results: File::create(&results_path)?,
            results_path,
            canary: Canary::new(&run_folder)?,
            run_folder,
            jars,
            _lock: lock,
            kafka: None,
            brokers: 0,
            id,
            findings: BTreeMap::new(),
            options,
        })
    }

    /// Whether short runs were asked for.
    pub(crate) fn is_quick(&self) -> bool {
        self.options.quick
    }

    /// Where the raw results are.
    pub(crate) fn results_path(&self) -> &Path {
        &self.results_path
    }

    /// A folder for whatever a row needs besides brokers; removed with the session.
    pub(crate) fn run_folder(&self) -> &Path {
        &self.run_folder
    }

    /// Kafka's version, if it takes part.
    pub(crate) fn kafka_version(&self) -> Option<&str> {
        self.jars.as_ref().map(|jars| jars.version.as_str())
    }

    /// A new Onelog on an empty folder, serving.
    ///
    /// # Errors
    /// It does not start.
    pub(crate) fn onelog(&mut self, flush: Flush, keys: &[(&str, &str)]) -> Result<Broker> {
        let mut broker = self.unstarted_onelog(flush, keys, None)?;
        broker.start()?;
        Ok(broker)
    }

    /// The same, not started yet, and with its folder below `place` if one is given.
    ///
    /// # Errors
    /// There is no binary.
    pub(crate) fn unstarted_onelog(
        &mut self,
        flush: Flush,
        keys: &[(&str, &str)],
        place: Option<&Path>,
    ) -> Result<Broker> {
        let launch = onelog::launch(&self.options.onelog, flush, keys)?;
        let (folder, log) = self.place(Subject::Onelog, place);
        Broker::new(Subject::Onelog, folder, log, launch)
    }

    /// A new `onelog dev`, not started, with the control API on the port `admin` if one is given.
    ///
    /// # Errors
    /// There is no binary.
    pub(crate) fn unstarted_dev(&mut self, admin: Option<u16>) -> Result<Broker> {
        let launch = onelog::launch_dev(&self.options.onelog, admin)?;
        let (folder, log) = self.place(Subject::Onelog, None);
        Broker::new(Subject::Onelog, folder, log, launch)
    }

    /// A new kfake, not started.
    ///
    /// # Errors
    /// It does not build.
    pub(crate) fn unstarted_kfake(&mut self) -> Result<Broker> {
        let launch = kfake::launch(&self.options.kfake_module, &self.options.folder)?;
        let (folder, log) = self.place(Subject::Kfake, None);
        Broker::new(Subject::Kfake, folder, log, launch)
    }

    /// A new Kafka on an empty folder, not started; `None` when Kafka takes no part.
    ///
    /// # Errors
    /// It cannot be set up.
    pub(crate) fn unstarted_kafka(&mut self, place: Option<&Path>) -> Result<Option<Broker>> {
        let Some(jars) = self.jars.clone() else { return Ok(None) };
        let (folder, log) = self.place(Subject::Kafka, place);
        Ok(Some(Broker::new(Subject::Kafka, folder, log, jars.launch()?)?))
    }

    /// The Kafka that all rows share, started and warmed at its first use; `None` when Kafka takes no part.
    ///
    /// # Errors
    /// It does not start or breaks while it is warmed.
    pub(crate) fn kafka(&mut self) -> Result<Option<Rc<Broker>>> {
        if self.kafka.is_none()
            && let Some(mut broker) = self.unstarted_kafka(None)?
        {
            broker.start()?;
            crate::say(&format!("warming Kafka for {} s", self.options.warm_up().as_secs()));
            warm_up::kafka(&broker, self.options.warm_up())?;
            self.kafka = Some(Rc::new(broker));
        }
        Ok(self.kafka.clone())
    }

    /// Runs `body` between two readings of the canary and keeps what it returns. What earlier runs left to be written to the
    /// disk is waited for first: the kernel slows down whoever writes while much is dirty.
    ///
    /// # Errors
    /// Those of `body`.
    pub(crate) fn measure<T: Serialize>(
        &mut self,
        row: &str,
        what: &str,
        subject: Subject,
        body: impl FnOnce() -> Result<T>,
    ) -> Result<Sample<T>> {
        rustix::fs::sync();
        let before = self.canary.read()?;
        let value = body().with_context(|| format!("{what} on {subject:?}"))?;
        let after = self.canary.read()?;
        let steady = after.is_steady_since(&before);
        let line = ResultLine { row, what, subject, steady, before, after, result: &value };
        let text = serde_json::to_string(&line)?;
        writeln!(self.results, "{text}")?;
        crate::say(&format!("  {what}, {subject:?}: {}", serde_json::to_string(&value)?));
        Ok(Sample { value, steady })
    }

    /// Runs the same on both brokers by turns.
    ///
    /// # Errors
    /// Those of `run`.
    pub(crate) fn compare<T: Serialize>(
        &mut self,
        experiment: Experiment<'_>,
        onelog: &Broker,
        kafka: Option<&Broker>,
        mut run: impl FnMut(&Broker) -> Result<T>,
    ) -> Result<Sides<T>> {
        let mut sides = Sides::default();
        for subject in order(experiment.rounds, kafka.is_some()) {
            let broker = match subject {
                Subject::Onelog => onelog,
                Subject::Kafka | Subject::Kfake => kafka.context("Kafka has a turn only when it is there")?,
            };
            let sample = self.measure(experiment.row, experiment.what, subject, || run(broker))?;
            sides.of_mut(subject).0.push(sample);
        }
        Ok(sides)
    }

    /// Adds what was found when the records of a run were read back.
    pub(crate) fn add_findings(&mut self, subject: Subject, findings: Findings) {
        self.findings.entry(subject).or_default().add(findings);
    }

    /// The sum of all that was read back from a broker.
    pub(crate) fn findings(&self, subject: Subject) -> Option<Findings> {
        self.findings.get(&subject).copied()
    }

    fn place(&mut self, subject: Subject, place: Option<&Path>) -> (PathBuf, PathBuf) {
        self.brokers += 1;
        let name = format!("{subject:?}-{}", self.brokers).to_lowercase();
        let folder = place.unwrap_or(&self.run_folder).join(&name);
        (folder, self.options.folder.join("logs").join(format!("{}-{name}.log", self.id)))
    }
}

/// Locks the folder and removes what a run that was killed left in it.
fn alone_in(folder: &Path) -> Result<File> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let lock = File::create(folder.join("lock"))?;
    lock.try_lock().context("another benchmark is running")?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("run-") {
            fs::remove_dir_all(entry.path())
                .with_context(|| format!("cannot remove {}", entry.path().display()))?;
        }
    }
    Ok(lock)
}

impl Drop for Session {
    fn drop(&mut self) {
        self.kafka = None;
        drop(fs::remove_dir_all(&self.run_folder));
    }
}
