//! Work that the system does only where no other thread wants the processor.
//!
//! A value inside `ColdReads`. A thread of the idle class (`SCHED_IDLE`, sched(7)) gives way the moment another wakes, and
//! others that wake are put on its processor rather than behind each other; its reads from the device are of the idle class
//! too. It must take no lock that others wait for: on a machine with no processor to spare it may hold it for long. A thread
//! cannot leave the class again without privileges, so each work has a thread of its own; that is 30 us for some
//! milliseconds of work. Invariant: work is not starved for longer than it takes to notice.

use std::panic::resume_unwind;
use std::sync::Mutex;
use std::thread::Builder;
use std::time::Duration;

use thread_priority::unix::{set_thread_priority_and_policy, thread_native_id};
use thread_priority::{NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy};

use crate::clock::{Clock as _, SystemClock};

/// Work of some milliseconds that took longer than this got no processor, or waited for a slow device.
const STARVED: Duration = Duration::from_millis(100);
/// For how long the class is not tried again then.
const PAUSE: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct IdleClass {
    /// Work is done by its caller until then, on the machine's clock: processors know no other.
    paused_until: Mutex<Duration>,
}

impl IdleClass {
    /// Does `work` on a thread of the idle class and waits for it; on the caller's own where there is no such thread or the
    /// class got too little a moment ago.
    pub(super) fn run<T: Send>(&self, work: impl Fn() -> T + Sync) -> T {
        let began = SystemClock.elapsed();
        if self.is_paused(began) {
            return work();
        }
        let on_its_thread = || {
            enter();
            work()
        };
        let done = std::thread::scope(|scope| {
            let thread = Builder::new().name("cold-read".to_owned()).spawn_scoped(scope, on_its_thread);
            thread.ok().map(std::thread::ScopedJoinHandle::join)
        });
        let ended = SystemClock.elapsed();
        if ended - began > STARVED {
            *self.paused_until.lock().expect("no panic under this lock") = ended + PAUSE;
        }
        match done {
            Some(done) => done.unwrap_or_else(|panic| resume_unwind(panic)),
            None => work(),
        }
    }

    fn is_paused(&self, now: Duration) -> bool {
        now < *self.paused_until.lock().expect("no panic under this lock")
    }
}

fn enter() {
    let class = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    let entered = set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, class);
    if let Err(error) = entered {
        // Nothing is lost but the courtesy.
        tracing::debug!(?error, "a thread that reads from the device keeps its priority");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use thread_priority::thread_schedule_policy;

    fn policy() -> ThreadSchedulePolicy {
        thread_schedule_policy().unwrap()
    }

    #[test]
    fn work_is_done_in_the_idle_class_and_its_caller_stays_where_it_was() {
        let class = IdleClass::default();
        let inside = class.run(policy);
        assert_eq!(inside, ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle));
        assert_eq!(policy(), ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Other));
    }

    #[test]
    fn work_that_took_too_long_has_the_next_done_by_its_caller() {
        let class = IdleClass::default();
        class.run(|| std::thread::sleep(STARVED));
        let caller = std::thread::current().id();
        assert_eq!(class.run(|| std::thread::current().id()), caller);
        assert!(!class.is_paused(SystemClock.elapsed() + PAUSE), "and is tried again later");
    }

    #[test]
    #[should_panic(expected = "of the work itself")]
    fn a_panic_reaches_the_caller() {
        IdleClass::default().run(|| panic!("of the work itself"));
    }
}
