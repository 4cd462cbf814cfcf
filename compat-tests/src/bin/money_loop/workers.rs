//! All workers: started together, held still for a quiet reading, stopped together; and what they count.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use compat_tests::clock;

use crate::bank::Bank;
use crate::ledger::Ledger;
use crate::worker::Worker;

/// A worker ends its transaction first, and the broker may be on its way back.
const IDLE_LIMIT: Duration = Duration::from_secs(90);
const PAUSE: Duration = Duration::from_millis(5);

/// Counts of what the workers did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Acknowledged.
    pub(crate) commits: u64,
    /// Acknowledged.
    pub(crate) aborts: u64,
    pub(crate) left_open: u64,
}

/// Between the workers and who directs them.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    stop: AtomicBool,
    pause: AtomicBool,
    idle: AtomicUsize,
    commits: AtomicU64,
    aborts: AtomicU64,
    left_open: AtomicU64,
    /// Errors of the client by words, with their number.
    errors: Mutex<BTreeMap<String, u64>>,
    /// By worker with Java's producer: its newest call, and when it began.
    calls: Mutex<BTreeMap<usize, (String, Instant)>>,
}

impl Shared {
    pub(crate) fn calling(&self, worker: usize, call: &str) {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.insert(worker, (call.to_owned(), clock::now()));
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    pub(crate) fn wait_while_paused(&self) {
        if !self.pause.load(Ordering::SeqCst) {
            return;
        }
        self.idle.fetch_add(1, Ordering::SeqCst);
        while self.pause.load(Ordering::SeqCst) && !self.is_stopped() {
            std::thread::sleep(PAUSE);
        }
        self.idle.fetch_sub(1, Ordering::SeqCst);
    }

    pub(crate) fn count_commit(&self) {
        self.commits.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_abort(&self) {
        self.aborts.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_left_open(&self) {
        self.left_open.fetch_add(1, Ordering::Relaxed);
    }

    /// An error that the client did not get over by itself.
    pub(crate) fn note(&self, what: &str, error: &impl std::fmt::Display) {
        let mut errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        *errors.entry(format!("{what}: {error}")).or_default() += 1;
    }
}

/// The running workers.
pub(crate) struct Workers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<Result<()>>>,
}

impl Workers {
    pub(crate) fn start(address: &str, bank: Bank, ledger: &Ledger, seed: u64) -> Self {
        let shared = Arc::new(Shared::default());
        let start = |(number, seed): (usize, u64)| {
            let worker = Worker {
                number,
                address: address.to_owned(),
                bank,
                ledger: ledger.clone(),
                random: fastrand::Rng::with_seed(seed),
                shared: Arc::clone(&shared),
                left_behind: 0,
                failed_starts: 0,
            };
            let is_java = number < bank.java_movers;
            std::thread::spawn(move || if is_java { worker.run_java() } else { worker.run() })
        };
        let threads = (0..bank.workers).zip(seed..).map(start).collect();
        Self { shared, threads }
    }

    pub(crate) fn counts(&self) -> Counts {
        Counts {
            commits: self.shared.commits.load(Ordering::Relaxed),
            aborts: self.shared.aborts.load(Ordering::Relaxed),
            left_open: self.shared.left_open.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn errors(&self) -> BTreeMap<String, u64> {
        self.shared.errors.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until every worker has ended its transaction and holds still.
    ///
    /// # Errors
    /// One does not within a minute and a half, or has given up.
    pub(crate) fn pause(&self) -> Result<()> {
        self.shared.pause.store(true, Ordering::SeqCst);
        let idle = || Ok((self.shared.idle.load(Ordering::SeqCst) == self.threads.len()).then_some(()));
        let resting = clock::poll_until(IDLE_LIMIT, PAUSE, idle)?;
        resting.with_context(|| {
            let ended: Vec<_> = self.threads.iter().map(JoinHandle::is_finished).collect();
            let calls = self.shared.calls.lock().unwrap_or_else(PoisonError::into_inner);
            let calls: Vec<_> = calls.iter().map(|(_, (call, since))| (call, since.elapsed())).collect();
            let errors = self.errors();
            format!("a worker does not come to rest: ended {ended:?}, newest Java calls {calls:?}, errors {errors:?}")
        })
    }

    pub(crate) fn resume(&self) {
        self.shared.pause.store(false, Ordering::SeqCst);
    }

    /// Has every worker end its transaction, and waits for all.
    ///
    /// # Errors
    /// One gave up earlier.
    pub(crate) fn stop(&mut self) -> Result<()> {
        self.shared.stop.store(true, Ordering::SeqCst);
        for (number, thread) in self.threads.drain(..).enumerate() {
            let ended = thread.join().map_err(|_| anyhow!("worker {number} panicked"))?;
            ended.with_context(|| format!("worker {number}"))?;
        }
        Ok(())
    }
}
