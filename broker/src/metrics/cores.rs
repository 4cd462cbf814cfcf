//! How busy the threads are that serve clients.
//!
//! Each core adds its runtime when it starts; the runtime itself counts the time in which it does not wait. Written to by
//! `net`, read by `metrics`. A core reads from sockets and handles requests, so Kafka's idle shares of network and of handler
//! threads are one number here.

use std::sync::Mutex;
use std::time::Duration;

use tokio::runtime::RuntimeMetrics;

/// A share is told over at least this long, so that two scrapers do not leave each other a handful of milliseconds.
const WINDOW: Duration = Duration::from_secs(10);

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Cores {
    runtimes: Mutex<Vec<RuntimeMetrics>>,
    past: Mutex<Option<Moment>>,
}

/// What all cores together had worked at a moment.
#[derive(Debug, Clone, Copy)]
struct Moment {
    at: Duration,
    busy: Duration,
}

impl Cores {
    /// The calling thread's runtime serves clients from now on.
    pub(crate) fn add_this(&self) {
        let runtime = tokio::runtime::Handle::current().metrics();
        self.runtimes.lock().expect("nothing panics under this lock").push(runtime);
    }

    /// For each core, how long it worked since its start.
    pub(super) fn busy(&self) -> Vec<Duration> {
        let runtimes = self.runtimes.lock().expect("nothing panics under this lock");
        let busy = |runtime: &RuntimeMetrics| {
            (0..runtime.num_workers()).map(|worker| runtime.worker_total_busy_duration(worker)).sum()
        };
        runtimes.iter().map(busy).collect()
    }

    /// Which share of the time the cores waited for something to do, since the last time this was asked at least
    /// [`WINDOW`] ago, at first since `began`. `None` while there is no core or no time has passed.
    pub(super) fn idle(&self, began: Duration, now: Duration) -> Option<f64> {
        let busy = self.busy();
        let present = Moment { at: now, busy: busy.iter().sum() };
        let mut past = self.past.lock().expect("nothing panics under this lock");
        let since = *past.get_or_insert(Moment { at: began, busy: Duration::ZERO });
        if now.saturating_sub(since.at) >= WINDOW {
            *past = Some(present);
        }
        share(since, present, busy.len())
    }
}

fn share(since: Moment, present: Moment, cores: usize) -> Option<f64> {
    let had = present.at.saturating_sub(since.at) * u32::try_from(cores).ok()?;
    let worked = present.busy.saturating_sub(since.busy);
    (!had.is_zero()).then(|| 1.0 - worked.as_secs_f64().min(had.as_secs_f64()) / had.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(at_ms: u64, busy_ms: u64) -> Moment {
        Moment { at: Duration::from_millis(at_ms), busy: Duration::from_millis(busy_ms) }
    }

    #[test]
    fn idle_is_what_the_cores_did_not_work_of_the_time_that_they_had() {
        assert_eq!(share(moment(1_000, 500), moment(3_000, 1_500), 2), Some(0.75));
        assert_eq!(share(moment(0, 0), moment(1_000, 5_000), 2), Some(0.0), "clocks differ a little");
        assert_eq!(share(moment(1_000, 0), moment(1_000, 0), 2), None);
        assert_eq!(share(moment(0, 0), moment(1_000, 0), 0), None);
    }

    #[test]
    fn a_second_scraper_sees_the_same_window() {
        let cores = Cores::default();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async { cores.add_this() });
        let seconds = Duration::from_secs;
        for (now, since) in [(15, 5), (16, 15), (24, 15), (40, 15), (41, 40)] {
            assert!(cores.idle(seconds(5), seconds(now)).is_some());
            let past = cores.past.lock().unwrap().unwrap();
            let window_passed = now - since >= WINDOW.as_secs();
            assert_eq!(past.at, seconds(if window_passed { now } else { since }));
        }
    }
}
