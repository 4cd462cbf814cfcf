//! What reading from the device may cost: threads, memory, and the counters that tell.
//!
//! Used by fetches. Invariants: a core never waits for the device; no more than two threads of the whole process do for
//! fetches, so that the cores keep their processors; copies that are made or wait to be sent take no more than a fixed
//! amount of memory, or one batch that is larger.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use prometheus::{IntCounter, Opts};
use storage::{Clock, Position};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// One waits for the device while the other copies. They are the runtime's blocking threads, which end when idle; `storage` has
/// a thread of the idle class do that part of their work while they wait for it.
const THREADS: usize = 2;
/// Of copies that are made or wait to be sent, bytes.
const MEMORY: usize = 64 << 20;
/// A client that does not take its answers holds memory. Others wait this long for it, then do without copies.
const PATIENCE: Duration = Duration::from_secs(1);
/// While somebody writes, a thread rests this many times as long as it worked.
const REST: i64 = 3;
/// A thread rests no longer than this, ms.
const LONGEST_REST_MS: i64 = 100;
/// Of the threads that read from the device. Not more: they also give way between any two pieces of work, which costs them
/// their share wherever others want the processor.
const NICE: i32 = 5;
/// Memory is counted in these.
const UNIT: usize = 4096;
/// The network copies smaller pieces and lets go of them at once.
const LARGE: usize = 1024;

/// See the module.
pub(crate) struct ColdReads {
    clock: Arc<dyn Clock>,
    threads: Arc<Semaphore>,
    memory: Arc<Semaphore>,
    mapped_bytes: IntCounter,
    copied_bytes: IntCounter,
    device_reads: IntCounter,
}

impl ColdReads {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        let bytes = |source: &str| {
            let help = "Bytes of batches that fetches read, by where they were.";
            let name = Opts::new("onelog_read_bytes_total", help).const_label("source", source);
            IntCounter::with_opts(name).expect("a constant name is valid")
        };
        Self {
            clock,
            threads: Arc::new(Semaphore::new(THREADS)),
            memory: Arc::new(Semaphore::new(MEMORY / UNIT)),
            mapped_bytes: bytes("page_cache"),
            copied_bytes: bytes("disk"),
            device_reads: IntCounter::new(
                "onelog_device_reads_total",
                "Fetches whose batches were not in memory: a thread read them from the device.",
            )
            .expect("a constant name is valid"),
        }
    }

    /// Bytes from the page cache and bytes from the device, to be registered once.
    pub(crate) fn counters(&self) -> [IntCounter; 2] {
        [self.mapped_bytes.clone(), self.copied_bytes.clone()]
    }

    /// How often a thread read from the device, to be registered once.
    pub(crate) fn device_reads(&self) -> &IntCounter {
        &self.device_reads
    }

    /// Counts bytes that go out from the page cache.
    pub(crate) fn count_mapped(&self, bytes: usize) {
        self.mapped_bytes.inc_by(u64::try_from(bytes).expect("a count of bytes fits"));
    }

    /// Runs `work`, which copies about `bytes`, on a thread that may wait; waits for its turn first. When there is no memory
    /// for copies for long, it runs without leave to copy. When `written` moved meanwhile, the thread rests [`REST`] times
    /// as long as it worked before it takes the next turn. Dropping the future gives up the turn; work that has begun is
    /// finished.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        bytes: usize,
        written: impl Fn() -> Position + Send + 'static,
        work: impl FnOnce(&mut Memory) -> T + Send + 'static,
    ) -> T {
        self.device_reads.inc();
        let units = u32::try_from(bytes.min(MEMORY).div_ceil(UNIT)).expect("a few thousand");
        let memory = tokio::time::timeout(PATIENCE, Arc::clone(&self.memory).acquire_many_owned(units)).await;
        let permit = memory.ok().map(|memory| memory.expect("the semaphore is never closed"));
        let thread = Arc::clone(&self.threads).acquire_owned().await.expect("the semaphore is never closed");
        let mut memory = Memory { permit, copied_bytes: self.copied_bytes.clone() };
        let (answer, answered) = tokio::sync::oneshot::channel();
        let clock = Arc::clone(&self.clock);
        drop(tokio::task::spawn_blocking(move || {
            let _thread = thread;
            yield_to_cores();
            let (began_ms, before) = (clock.now_ms(), written());
            // Nobody waits for it any more when the connection is gone.
            drop(answer.send(work(&mut memory)));
            if written() != before {
                // Somebody writes: its syncs get their turn at the device.
                let rest_ms = ((clock.now_ms() - began_ms).max(1) * REST).min(LONGEST_REST_MS);
                std::thread::sleep(Duration::from_millis(rest_ms.unsigned_abs()));
            }
        }));
        answered.await.expect("reading neither panics nor is cancelled")
    }
}

/// The threads that look for old batches, and copy and check them where the idle class gets no processor, let those go first who
/// serve the log's end. Where the system does not allow that, nothing is lost but this.
fn yield_to_cores() {
    thread_local!(static ASKED: Cell<bool> = const { Cell::new(false) });
    if !ASKED.replace(true) {
        let thread = Some(rustix::thread::gettid());
        if let Err(error) = rustix::process::setpriority_process(thread, NICE) {
            tracing::debug!(%error, "a thread that reads from the device keeps its priority");
        }
    }
}

/// Leave to hold copies.
#[derive(Debug)]
pub(crate) struct Memory {
    permit: Option<OwnedSemaphorePermit>,
    copied_bytes: IntCounter,
}

/// A copy, and the leave for it and for those that are sent before it.
struct Held {
    bytes: Bytes,
    _permit: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Memory {
    /// Whether copies may be made; else what is read goes out from the map, whose pages are in memory once it was checked.
    pub(crate) fn may_copy(&self) -> bool {
        self.permit.is_some()
    }

    /// Ties the leave to `batches`, which are sent in this order: it is given back when the last large one is gone. What
    /// they do not need is given back at once.
    pub(crate) fn hold<'a>(&mut self, batches: impl Iterator<Item = &'a mut Bytes>) {
        let (mut bytes, mut last) = (0, None);
        for batch in batches {
            bytes += batch.len();
            if batch.len() >= LARGE || last.is_none() {
                last = Some(batch);
            }
        }
        self.copied_bytes.inc_by(u64::try_from(bytes).expect("a count of bytes fits"));
        let (Some(last), Some(mut permit)) = (last, self.permit.take()) else { return };
        drop(permit.split(permit.num_permits().saturating_sub(bytes.div_ceil(UNIT))));
        *last = Bytes::from_owner(Held { bytes: std::mem::take(last), _permit: permit });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn block_on<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
    }

    #[test]
    fn two_threads_read_at_a_time() {
        let reads = ColdReads::new(Arc::new(storage::SystemClock));
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let both = Arc::new(Barrier::new(THREADS));
        let read = || {
            let (now, most, both) = (Arc::clone(&now), Arc::clone(&most), Arc::clone(&both));
            reads.run(1, Position::default, move |_| {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                both.wait();
                now.fetch_sub(1, Ordering::SeqCst);
            })
        };
        block_on(async {
            tokio::join!(read(), read(), read(), read(), read(), read());
        });
        assert_eq!(most.load(Ordering::SeqCst), THREADS, "the barrier says at least, this says at most");
    }

    fn copy(reads: &ColdReads, len: usize) -> impl Future<Output = Vec<Bytes>> {
        reads.run(len, Position::default, move |memory| {
            let mut batches = vec![Bytes::from(vec![7; len - 10]), Bytes::from_static(b"0123456789")];
            memory.hold(batches.iter_mut());
            batches
        })
    }

    #[test]
    fn copies_wait_until_earlier_ones_were_sent() {
        const HALF: usize = MEMORY / 2;
        let reads = ColdReads::new(Arc::new(storage::SystemClock));
        block_on(async {
            let wait = |len| tokio::time::timeout(Duration::from_millis(20), copy(&reads, len));
            let (mut first, second) = (copy(&reads, HALF).await, copy(&reads, HALF).await);
            assert!(wait(UNIT).await.is_err(), "everything is held");
            drop(first.pop());
            assert!(wait(UNIT).await.is_err(), "the network copies small pieces: they say nothing");
            drop(first);
            assert_eq!(copy(&reads, HALF).await[0].len(), HALF - 10);
            assert!(wait(HALF + UNIT).await.is_err());
            assert_eq!(second.concat().len(), HALF);
            drop(second);
            // A batch that is larger than all memory has its turn too.
            assert_eq!(copy(&reads, MEMORY + 1).await[0].len(), MEMORY - 9);
        });
    }

    #[test]
    fn a_client_that_never_takes_its_answers_does_not_stop_the_others() {
        let reads = ColdReads::new(Arc::new(storage::SystemClock));
        block_on(async {
            tokio::time::pause();
            let _held = copy(&reads, MEMORY).await;
            assert!(!reads.run(UNIT, Position::default, |memory| memory.may_copy()).await);
        });
    }

    #[test]
    fn memory_that_was_not_needed_is_given_back_at_once() {
        let reads = ColdReads::new(Arc::new(storage::SystemClock));
        let kept = block_on(reads.run(MEMORY, Position::default, |memory| {
            let mut batches = [Bytes::from(vec![7; UNIT + 1])];
            memory.hold(batches.iter_mut());
            batches
        }));
        assert_eq!(reads.memory.available_permits(), MEMORY / UNIT - 2);
        drop(kept);
        assert_eq!(reads.memory.available_permits(), MEMORY / UNIT);
        block_on(reads.run(100, Position::default, |memory| memory.hold(std::iter::empty())));
        assert_eq!(reads.memory.available_permits(), MEMORY / UNIT);
        assert_eq!(reads.copied_bytes.get(), 4097);
    }
}
