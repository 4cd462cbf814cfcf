//! All index files of a store: which there are, which are missing, which have nothing left to describe.
//!
//! Held by the engine; the index thread brings it up to date in rounds, `find` and others look files up. The folder is
//! read on first use, so a start costs nothing. Invariant: a file handed out describes the commitlog file it was asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use super::IndexFile;
use super::builder::Build;
use crate::disk::Disk;
use crate::engine::Engine;
use crate::error::Error;
use crate::mapped_file::MappedFile;
use crate::space::SpaceState;

/// Between two rounds while batches are appended.
const ROUND: Duration = Duration::from_secs(1);
/// After a round failed: most likely the disk is full.
const AFTER_FAILURE: Duration = Duration::from_secs(60);
/// Topics are asked every so many rounds whether they want their keys found; there may be very many of them.
const ROUNDS_PER_LOOK_AT_TOPICS: u32 = 30;

/// See the module.
#[derive(Debug)]
pub(crate) struct IndexFiles {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    loaded: bool,
    /// By the base of the commitlog file described.
    files: BTreeMap<u64, Checked>,
    /// Base and incarnation of commitlog files that cannot be indexed: damaged ones.
    unusable: BTreeSet<(u64, u32)>,
    /// Topics that wanted their keys found when they were last asked.
    keyed: BTreeSet<u32>,
    /// Grows when topics join `keyed`.
    generation: u32,
}

#[derive(Debug)]
struct Checked {
    index: Arc<IndexFile>,
    /// It has the keys of all topics that wanted them in this generation.
    generation: Option<u32>,
}

/// The job of the index thread, until the store is closed. Sleeps while nothing is appended.
pub(crate) fn run(engine: &Arc<Engine>) {
    // Closing unparks. The first round waits, not to be in the way of a start.
    thread::park_timeout(ROUND);
    for rounds in 0_u32.. {
        let pause = match catch_up(engine, rounds.is_multiple_of(ROUNDS_PER_LOOK_AT_TOPICS)) {
            Ok(_) | Err(Error::Closed) => ROUND,
            Err(error) => {
                tracing::warn!(%error, "an index file could not be written; it is tried again in a minute");
                AFTER_FAILURE
            }
        };
        if engine.is_closed() {
            return;
        }
        thread::park_timeout(pause);
        engine.indexer.wait();
    }
}

/// Makes all index files that are missing; returns how many were made.
///
/// # Errors
/// `Io`, `Closed`; the next call goes on.
pub(crate) fn catch_up(engine: &Engine, look_at_topics: bool) -> Result<usize, Error> {
    if look_at_topics {
        engine.index_files.look_at_topics(engine);
    }
    let mut made = 0;
    while engine.index_files.make_next(engine)? {
        made += 1;
    }
    Ok(made)
}

/// Whether the records of a topic are to be found by key. False for a topic that is gone.
pub(crate) fn wants_keys(engine: &Engine, topic: u32) -> bool {
    let topic = engine.catalog.topic_by_number(topic);
    topic.is_some_and(|topic| topic.policy().get().index_keys)
}

impl IndexFiles {
    /// Touches nothing on the disk.
    pub(crate) fn new(disk: Arc<dyn Disk>, dir: PathBuf) -> Self {
        Self { disk, dir, known: Mutex::default() }
    }

    /// The index file of a commitlog file, if there is one already.
    pub(crate) fn of(&self, file: &MappedFile) -> Option<Arc<IndexFile>> {
        let known = self.known();
        known
            .files
            .get(&file.base().0)
            .map(|checked| &checked.index)
            .filter(|index| index.describes(file))
            .cloned()
    }

    /// `read`, or `None` when it found the index file damaged: it is removed then, to be made anew.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn unless_damaged<T>(
        &self,
        index: &IndexFile,
        read: Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        match read {
            Err(error @ Error::Corrupt { .. }) => {
                tracing::warn!(%error, "an index file is damaged; it is removed and made anew");
                let mut known = self.known();
                known.files.retain(|_, checked| checked.index.path != index.path);
                self.remove(&index.path)?;
                Ok(None)
            }
            read => read.map(Some),
        }
    }

    /// Asks the topics which of them want their keys found.
    fn look_at_topics(&self, engine: &Engine) {
        let numbers = engine.catalog.topics().into_iter().map(|topic| topic.number());
        let keyed: BTreeSet<u32> = numbers.filter(|number| wants_keys(engine, *number)).collect();
        let mut known = self.known();
        if !keyed.is_subset(&known.keyed) {
            known.generation += 1;
        }
        known.keyed = keyed;
    }

    /// Removes index files of commitlog files that are gone, then makes one that is missing or lacks keys that are wanted
    /// now. False when there is none.
    fn make_next(&self, engine: &Engine) -> Result<bool, Error> {
        let synced = engine.log.synced();
        let mut sealed = engine.log.sealed();
        sealed.retain(|file| file.base().is_rewritten() || file.end() <= synced);
        self.remove_orphans(&sealed)?;
        if engine.log.space().state == SpaceState::Full {
            // What is left is for what gives room back; searches do without.
            return Ok(false);
        }
        for file in sealed {
            if self.needs_index(&file)? {
                return self.make(engine, &file).map(|()| true);
            }
        }
        Ok(false)
    }

    fn remove_orphans(&self, sealed: &[Arc<MappedFile>]) -> Result<(), Error> {
        let mut known = self.known();
        let described = |index: &IndexFile| {
            let at = sealed.binary_search_by_key(&index.header.base, |file| file.base());
            at.is_ok_and(|at| index.describes(&sealed[at]))
        };
        let gone = known.files.values().filter(|checked| !described(&checked.index));
        let gone: Vec<Arc<IndexFile>> = gone.map(|checked| Arc::clone(&checked.index)).collect();
        for index in gone {
            self.remove(&index.path)?;
            known.files.remove(&index.header.base.0);
        }
        known.unusable.retain(|(base, incarnation)| {
            sealed.iter().any(|file| (file.base().0, file.incarnation()) == (*base, *incarnation))
        });
        Ok(())
    }

    fn needs_index(&self, file: &MappedFile) -> Result<bool, Error> {
        let (index, keyed, generation) = {
            let known = self.known();
            if known.unusable.contains(&(file.base().0, file.incarnation())) {
                return Ok(false);
            }
            let Some(checked) = known.files.get(&file.base().0) else { return Ok(true) };
            if checked.generation == Some(known.generation) {
                return Ok(false);
            }
            (Arc::clone(&checked.index), known.keyed.clone(), known.generation)
        };
        for topic in keyed {
            let rows = self.unless_damaged(&index, index.rows_of(topic))?;
            if rows.is_none_or(|rows| !rows.have_keys()) {
                return Ok(true);
            }
        }
        if let Some(checked) = self.known().files.get_mut(&file.base().0) {
            checked.generation = Some(generation);
        }
        Ok(false)
    }

    fn make(&self, engine: &Engine, file: &MappedFile) -> Result<(), Error> {
        let generation = self.known().generation;
        let create = self.disk.create_dir_all(&self.dir);
        create.map_err(|error| Error::io("create", &self.dir, error))?;
        self.remove_temporaries()?;
        let (name, created_ms) = self.new_name(engine.clock.now_ms());
        let build = Build {
            disk: &*self.disk,
            dir: &self.dir,
            name,
            created_ms,
            file,
            wants_keys: &|topic| wants_keys(engine, topic),
            stopped: &|| engine.is_closed(),
        };
        let index = match build.run() {
            Ok(index) => Arc::new(index),
            Err(error @ Error::Corrupt { .. }) => {
                tracing::warn!(%error, "a commitlog file cannot be indexed; searches read it instead");
                self.known().unusable.insert((file.base().0, file.incarnation()));
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        tracing::debug!(file = %index.path.display(), keys = index.keys(), bytes = index.len(), "index file made");
        let checked = Checked { index, generation: Some(generation) };
        let replaced = self.known().files.insert(file.base().0, checked);
        replaced.map_or(Ok(()), |replaced| self.remove(&replaced.index.path))
    }

    /// What is known, after the folder was read.
    fn known(&self) -> MutexGuard<'_, Known> {
        let mut known = self.known.lock().expect("no panic under this lock");
        if !known.loaded {
            known.loaded = true;
            if let Err(error) = self.load(&mut known) {
                tracing::warn!(%error, "index files could not be read; they are made anew");
            }
        }
        known
    }

    /// Of two that describe the same file the later one counts; those that are none are removed.
    fn load(&self, known: &mut Known) -> Result<(), Error> {
        self.remove_temporaries()?;
        let mut names = self.names()?;
        names.retain(|name| is_index_name(name));
        names.sort_unstable();
        for name in names {
            let path = self.dir.join(name);
            match IndexFile::open(&*self.disk, &path) {
                Ok(index) => {
                    let base = index.header.base.0;
                    let checked = Checked { index: Arc::new(index), generation: None };
                    if let Some(older) = known.files.insert(base, checked) {
                        self.remove(&older.index.path)?;
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "an index file is unusable; it is removed and made anew");
                    self.remove(&path)?;
                }
            }
        }
        Ok(())
    }

    fn remove_temporaries(&self) -> Result<(), Error> {
        let mut names = self.names()?.into_iter().filter(|name| name.ends_with(".tmp"));
        names.try_for_each(|name| self.remove(&self.dir.join(name)))
    }

    fn names(&self) -> Result<Vec<String>, Error> {
        match self.disk.list(&self.dir) {
            Ok(names) => Ok(names),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(Error::io("list", &self.dir, error)),
        }
    }

    fn remove(&self, path: &Path) -> Result<(), Error> {
        match self.disk.remove(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", path, error)),
            _ => Ok(()),
        }
    }

    /// A name that no index file has, after the time or shortly after it.
    fn new_name(&self, now_ms: i64) -> (String, i64) {
        let known = self.known();
        let latest = known.files.values().map(|checked| checked.index.header.created_ms).max();
        let created_ms = latest.map_or(now_ms, |latest| now_ms.max(latest.saturating_add(1)));
        (time_name(created_ms), created_ms)
    }
}

/// RocketMQ's way of naming index files: `yyyyMMddHHmmssSSS`, here in UTC.
fn time_name(ms: i64) -> String {
    let (days, of_day) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000));
    let (year, month, day) = civil_date(days);
    let (seconds, millis) = (of_day / 1000, of_day % 1000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}{millis:03}")
}

/// Year, month and day of a number of days since 1970-01-01. Years are counted from March, so that the leap day is the
/// last one; 400 of them have 146 097 days.
fn civil_date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468; // since 0000-03-01
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day_of_month = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + i64::from(month <= 2), month, day_of_month)
}

fn is_index_name(name: &str) -> bool {
    name.len() == 17 && name.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_time_of_their_making() {
        assert_eq!(time_name(0), "19700101000000000");
        assert_eq!(time_name(951_782_400_000), "20000229000000000");
        assert_eq!(time_name(1_735_689_599_999), "20241231235959999");
        assert_eq!(time_name(1_709_251_200_000), "20240301000000000");
        assert!(is_index_name(&time_name(1_795_000_000_123)));
        assert!(!is_index_name("20240301000000000.tmp") && !is_index_name("2024030100000000x"));
    }
}
