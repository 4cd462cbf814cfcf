//! The shell around a coordinator: one thread, one bounded mailbox, one timer.
//!
//! The only bridge between a pure coordinator and the log; both coordinators run in it, each with what lies around it
//! ([`Coordinator`], in `runtime` and `transaction_runtime`). Invariants: events reach the coordinator one at a time; an
//! append's outcome is told only when the log has acknowledged it; appends of one partition keep their order; every request is
//! answered once.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use storage::VerificationGuard;
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;

use super::effect::{self, WaiterId};
use super::event;
use super::load::Entry;
use super::state_log::{Outcome, StateLog, Write};

/// Requests that may wait for the coordinator; senders wait beyond that.
const MAILBOX: usize = 4096;
/// Messages taken in before their effects are carried out together.
const ROUND: usize = 256;

pub(crate) type Event<C> = event::Event<<C as Coordinator>::Request, <C as Coordinator>::Event>;
pub(crate) type Effect<C> = effect::Effect<<C as Coordinator>::Response, <C as Coordinator>::Work>;

/// A pure coordinator and what lies around it.
pub(crate) trait Coordinator: Sized + Send + 'static {
    /// What clients ask.
    type Request: fmt::Debug + Send;
    /// What they are answered.
    type Response: fmt::Debug + Send;
    /// What happens to this coordinator only.
    type Event: Send;
    /// What only this coordinator wants done.
    type Work;
    /// The thread's name.
    const NAME: &'static str;

    fn handle(&mut self, now: Instant, event: Event<Self>);
    fn handle_timeout(&mut self, now: Instant);
    fn next_timeout(&self) -> Option<Instant>;
    fn take_effects(&mut self) -> Vec<Effect<Self>>;

    /// Whether the effects of a request are carried out before any other event comes.
    fn is_urgent(_: &Self::Request) -> bool {
        false
    }

    /// What the coordinator is told of an entry of its topic.
    fn loaded(partition: i32, entry: Entry) -> Option<Event<Self>> {
        match entry {
            Entry::Record { key, value, .. } => Some(Event::<Self>::LoadRecord { partition, key, value }),
            Entry::Marker { .. } => None,
        }
    }

    /// Waits for what happens around the coordinator, and tells it. May be dropped while it waits.
    fn happening(&mut self) -> impl Future<Output = ()>;

    /// Carries out what only this coordinator wants, in its place among the effects.
    fn work(shell: &mut Shell<Self>, work: Self::Work);

    /// Every effect that was taken is carried out, the appends are in the log.
    fn carried_out(_: &mut Shell<Self>) {}
}

enum Message<C: Coordinator> {
    Request {
        request: C::Request,
        asker: Asker<C::Response>,
    },
    Event(C::Event),
    /// Deadlines that are over by now are carried out before the answer.
    ClockMoved(oneshot::Sender<()>),
    Stop,
}

/// Who waits for an answer.
struct Asker<Response> {
    answer: oneshot::Sender<Response>,
    /// For a write in a transaction: that the transaction coordinator knows of it.
    verification: Option<VerificationGuard>,
}

/// The handlers' way to a coordinator.
pub(super) struct Mailbox<C: Coordinator>(mpsc::Sender<Message<C>>);

impl<C: Coordinator> Mailbox<C> {
    /// Asks the coordinator. Requests sent one after the other are handled in that order.
    pub(super) async fn ask(
        &self,
        request: C::Request,
        verification: Option<VerificationGuard>,
    ) -> C::Response {
        let (answer, answered) = oneshot::channel();
        self.send(Message::Request { request, asker: Asker { answer, verification } }).await;
        answered
            .await
            .expect("the coordinator answers every request once, and stops after the last connection")
    }

    /// Tells the coordinator what happened.
    pub(super) async fn tell(&self, event: C::Event) {
        self.send(Message::Event(event)).await;
    }

    /// Has the coordinator look at its deadlines, because the clock was moved; returns when those that are over are carried
    /// out. A coordinator that has stopped has none.
    pub(super) async fn clock_moved(&self) {
        let (done, handled) = oneshot::channel();
        if self.0.send(Message::ClockMoved(done)).await.is_ok() && handled.await.is_err() {
            tracing::debug!("the coordinator stopped before it looked at the clock");
        }
    }

    async fn send(&self, message: Message<C>) {
        let sent = self.0.send(message).await;
        assert!(sent.is_ok(), "the coordinator stops after the last connection");
    }

    /// Ends the coordinator's thread. Called once, outside of any runtime, when no connection is left.
    pub(super) fn stop(&self) {
        if self.0.blocking_send(Message::Stop).is_err() {
            tracing::debug!("the coordinator has ended already");
        }
    }
}

impl<C: Coordinator> Clone for Mailbox<C> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<C: Coordinator> fmt::Debug for Mailbox<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mailbox({})", C::NAME)
    }
}

/// The coordinator answers every request with its own kind.
pub(crate) fn unexpected(response: &impl fmt::Debug) -> ! {
    unreachable!("the answer to another request: {response:?}")
}

/// A coordinator whose partitions are loaded, ready to run.
pub(crate) struct Shell<C: Coordinator> {
    pub(super) coordinator: C,
    pub(super) log: StateLog,
    mailbox: mpsc::Receiver<Message<C>>,
    waiters: HashMap<WaiterId, Asker<C::Response>>,
    next_waiter: u64,
    /// Appends that are to be carried out together.
    writes: Vec<Write>,
}

impl<C: Coordinator> Shell<C> {
    /// Loads every partition of the coordinator's topic.
    pub(super) fn load(coordinator: C, log: StateLog, partitions: i32) -> (Self, Mailbox<C>) {
        let (sender, mailbox) = mpsc::channel(MAILBOX);
        let (waiters, writes) = (HashMap::new(), Vec::new());
        let mut shell = Self { coordinator, log, mailbox, waiters, next_waiter: 0, writes };
        for partition in 0..partitions {
            shell.load_partition(partition);
        }
        (shell, Mailbox(sender))
    }

    /// Runs until it is stopped or the last [`Mailbox`] is dropped.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn spawn(self) -> io::Result<thread::JoinHandle<()>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        thread::Builder::new().name(C::NAME.to_owned()).spawn(move || {
            let _guard = EndsProcessOnPanic(C::NAME);
            runtime.block_on(self.run());
        })
    }

    async fn run(mut self) {
        self.carry_out_effects();
        while self.wait().await {
            for _ in 0..ROUND {
                let Ok(message) = self.mailbox.try_recv() else { break };
                if !self.take_in(message) {
                    return;
                }
            }
            self.carry_out_effects();
        }
    }

    /// Waits for the next thing to happen and takes it in; false when it is time to stop.
    async fn wait(&mut self) -> bool {
        let timer = over(self.coordinator.next_timeout().map(|at| self.log.until(at)));
        let settled = self.log.oldest_settled();
        tokio::select! {
            message = self.mailbox.recv() => return message.is_some_and(|message| self.take_in(message)),
            () = timer => {
                self.tell_wall_clock();
                self.coordinator.handle_timeout(self.log.now());
            }
            outcome = settled => {
                let settled = self.log.take_settled(outcome);
                self.tell(settled);
            }
            () = self.coordinator.happening() => {}
        }
        true
    }

    /// False for `Stop`.
    fn take_in(&mut self, message: Message<C>) -> bool {
        self.tell_wall_clock();
        match message {
            Message::Request { request, asker } => {
                self.next_waiter += 1;
                let (waiter, is_urgent) = (WaiterId(self.next_waiter), C::is_urgent(&request));
                self.waiters.insert(waiter, asker);
                self.handle(Event::<C>::Request { waiter, request });
                if is_urgent {
                    self.carry_out_effects();
                }
            }
            Message::Event(event) => self.handle(Event::<C>::Own(event)),
            Message::ClockMoved(done) => {
                self.coordinator.handle_timeout(self.log.now());
                self.carry_out_effects();
                if done.send(()).is_err() {
                    tracing::debug!("whoever moved the clock does not wait");
                }
            }
            Message::Stop => return false,
        }
        true
    }

    pub(super) fn handle(&mut self, event: Event<C>) {
        self.coordinator.handle(self.log.now(), event);
    }

    fn tell(&mut self, outcomes: Vec<Outcome>) {
        for (ticket, result) in outcomes {
            self.handle(Event::<C>::AppendOutcome { ticket, result });
        }
    }

    fn tell_wall_clock(&mut self) {
        self.handle(Event::<C>::WallClock { epoch_ms: self.log.wall_clock_ms() });
    }

    /// Until nothing is left to do at once: carrying out effects can cause new ones.
    fn carry_out_effects(&mut self) {
        loop {
            let effects = self.coordinator.take_effects();
            let idle = effects.is_empty();
            for effect in effects {
                match effect {
                    Effect::<C>::Respond { waiter, response } => self.respond(waiter, response),
                    Effect::<C>::Append { partition, records, ticket } => {
                        self.writes.push(Write { partition, ticket, records });
                    }
                    Effect::<C>::Reload { partition } => self.log.reload(partition),
                    Effect::<C>::Work(work) => C::work(self, work),
                }
            }
            self.write();
            C::carried_out(self);
            let reloaded = self.reload();
            if idle && !reloaded {
                return;
            }
        }
    }

    /// Brings the appends before this into the log.
    pub(super) fn write(&mut self) {
        let writes = std::mem::take(&mut self.writes);
        let failed = self.log.write(writes);
        self.tell(failed);
    }

    fn respond(&mut self, waiter: WaiterId, response: C::Response) {
        let asker = self.waiters.remove(&waiter).expect("the coordinator answers every waiter once");
        if asker.answer.send(response).is_err() {
            tracing::debug!(waiter = waiter.0, "the client left before its answer");
        }
    }

    /// What was verified for the request.
    pub(super) fn verification(&self, waiter: WaiterId) -> Option<VerificationGuard> {
        self.waiters.get(&waiter)?.verification
    }

    /// Reads partitions again whose appends are all settled; returns whether there were any.
    fn reload(&mut self) -> bool {
        let ready = self.log.take_reloads();
        for partition in &ready {
            self.load_partition(*partition);
        }
        !ready.is_empty()
    }

    fn load_partition(&mut self, partition: i32) {
        let coordinator = &mut self.coordinator;
        let loaded = self.log.read(partition, |entry| {
            if let Some(event) = C::loaded(partition, entry) {
                coordinator.handle(self.log.now(), event);
            }
        });
        match loaded {
            Ok(()) => self.handle(Event::<C>::LoadFinished { partition }),
            // Half a partition may hand out offsets that are too old, or show a decided transaction as open.
            Err(error) => {
                let topic = self.log.topic();
                tracing::error!(topic, partition, %error, "cannot be read; what is in it stays unavailable");
            }
        }
    }
}

/// A coordinator whose state may be half changed must not answer anybody: crash-only.
struct EndsProcessOnPanic(&'static str);

impl Drop for EndsProcessOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            tracing::error!(
                coordinator = self.0,
                "a coordinator panicked; the process ends, its state is recovered at the next start"
            );
            std::process::exit(1);
        }
    }
}

/// Resolves after `wait`; never without one. A move of the clock is a message.
async fn over(wait: Option<Duration>) {
    match wait {
        Some(wait) => sleep(wait).await,
        None => std::future::pending().await,
    }
}
