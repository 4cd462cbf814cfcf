//! How tasks start and how everything ends.
//!
//! The only place that spawns: a task that is not tracked cannot be waited for. One token tells every loop to stop; the
//! order in which parts end is `server`'s.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::LocalSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long requests that are under way may take once the broker goes down.
pub(crate) const DRAIN: Duration = Duration::from_secs(3);

/// Tasks of one thread, told to stop by one token.
#[derive(Debug)]
pub(crate) struct Tasks {
    stop: CancellationToken,
    tracker: TaskTracker,
}

impl Tasks {
    pub(crate) fn new(stop: CancellationToken) -> Self {
        Self { stop, tracker: TaskTracker::new() }
    }

    /// The token that ends them.
    pub(crate) fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// Starts a task on this thread. It must end soon after the token is cancelled; what does not is dropped.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        drop(self.tracker.spawn_local(task));
    }

    /// Tasks that have not ended.
    pub(crate) fn len(&self) -> usize {
        self.tracker.len()
    }

    /// Waits for all tasks, at most [`DRAIN`]. True when none is left.
    pub(crate) async fn drained(&self) -> bool {
        self.tracker.close();
        tokio::time::timeout(DRAIN, self.tracker.wait()).await.is_ok()
    }
}

/// Runs `main` on a runtime of this thread alone, where [`Tasks`] can be spawned. What is left when it returns is dropped.
///
/// # Errors
/// The system gave no epoll descriptor.
pub(crate) fn run_on_this_thread<T>(main: impl Future<Output = T>) -> io::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(LocalSet::new().block_on(&runtime, main))
}

/// Takes the signals over, calls `start`, blocks until SIGTERM, SIGINT or SIGHUP, then calls `stop` with what was started and
/// the signal's name. A signal during a start that goes on for three seconds more, or a second signal, ends the process with
/// code 1.
///
/// The signals come first: who sees that clients are served may ask for the end in the same moment.
///
/// # Errors
/// The outer one when the signals cannot be taken over, the inner one when `start` fails; `stop` is not called then.
///
/// # Panics
/// When `start` or `stop` does.
pub fn until_signalled<S, E, T>(
    start: impl FnOnce() -> Result<S, E> + Send + 'static,
    stop: impl FnOnce(S, &'static str) -> T + Send + 'static,
) -> io::Result<Result<T, E>>
where
    S: Send + 'static,
    E: Send + 'static,
    T: Send + 'static,
{
    run_on_this_thread(async {
        let mut signals = Signals::install()?;
        let mut started = tokio::task::spawn_blocking(start);
        // Who saw that clients are served may be faster than this thread: a start that is all but done ends cleanly.
        let (outcome, early) = tokio::select! {
            outcome = &mut started => (outcome, None),
            signal = signals.next() => match tokio::time::timeout(DRAIN, started).await {
                Ok(outcome) => (outcome, Some(signal)),
                Err(_) => give_up(signal),
            },
        };
        let running = match outcome.expect("starting does not panic") {
            Ok(running) => running,
            Err(error) => return Ok(Err(error)),
        };
        let first = match early {
            Some(signal) => signal,
            None => signals.next().await,
        };
        let work = tokio::task::spawn_blocking(move || stop(running, first));
        tokio::select! {
            done = work => Ok(Ok(done.expect("stopping does not panic"))),
            second = signals.next() => give_up(second),
        }
    })?
}

fn give_up(signal: &str) -> ! {
    tracing::warn!(signal, "exiting at once, the next start recovers");
    std::process::exit(1);
}

/// The signals that ask for a controlled end, as Kafka's `LoggingSignalHandler` takes them.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn install() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.hangup.recv() => "SIGHUP",
        }
    }
}
