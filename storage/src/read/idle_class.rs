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

/// Work of some milliseconds that waited longer than this for a processor.
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
            let done = work();
            (done, is_starved(SystemClock.elapsed() - began, waited))
        };
        let done = std::thread::scope(|scope| {
            let thread = Builder::new().name("cold-read".to_owned()).spawn_scoped(scope, on_its_thread);
            thread.ok().map(std::thread::ScopedJoinHandle::join)
        });
        let Some(done) = done else { return work() };
        let (done, is_starved) = done.unwrap_or_else(|panic| resume_unwind(panic));
        if is_starved {
            self.pause(SystemClock.elapsed());
        }
        done
    }

    fn pause(&self, now: Duration) {
        *self.paused_until.lock().expect("no panic under this lock") = now + PAUSE;
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

/// Whether work that took so long got too little of the processors. A slow device is no reason to take them from others.
fn is_starved(took: Duration, waited: impl FnOnce() -> Option<Duration>) -> bool {
    // Asking costs a little, so not without need.
    took > STARVED && waited().is_none_or(|waited| waited > STARVED)
}

/// How long this thread was ready to run and did not, in its whole life; nothing where the system does not say.
fn waited() -> Option<Duration> {
    // Nanoseconds on a processor, nanoseconds of waiting for one, how often (Documentation/scheduler/sched-stats.rst).
    let facts = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(Duration::from_nanos(facts.split(' ').nth(1)?.parse().ok()?))
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
    fn only_who_waits_for_a_processor_is_starved() {
        let ms = Duration::from_millis;
        assert!(is_starved(ms(300), || Some(ms(200))));
        assert!(is_starved(ms(300), || None), "who knows");
        assert!(!is_starved(ms(300), || Some(ms(20))), "a slow device");
        assert!(!is_starved(ms(90), || panic!("there is no need to ask")));
    }

    #[test]
    fn work_that_waited_for_something_else_leaves_the_class_as_it_is() {
        if waited().is_some() {
            let class = IdleClass::default();
            class.run(|| std::thread::sleep(STARVED * 2));
            assert!(!class.is_paused(SystemClock.elapsed()));
        }
    }

    #[test]
    fn starved_work_has_the_next_done_by_its_caller() {
        let class = IdleClass::default();
        class.pause(SystemClock.elapsed());
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
