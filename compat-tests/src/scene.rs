//! Where one case meets one client and one broker: runs the case, records the outcome, and fails the test.
//! Called by the tests that [`crate::client_cases`] expands.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};

use crate::broker::{Broker, BrokerKind};
use crate::client::Client;
use crate::driver::{ClientError, Driver};
use crate::results::{CaseResult, Outcome};
use crate::{clock, layout, results};

/// Which broker a case gets, and with whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// The test binary's broker, beside other cases.
    Shared,
    /// The same, with no other case running: the case measures time.
    Timed,
    /// A broker of its own, to kill.
    Own,
}

/// What a case is run with.
#[derive(Debug)]
pub struct Scene {
    client: &'static Client,
    case: &'static str,
    broker: Mutex<SceneBroker>,
    address: String,
    kind: BrokerKind,
    library: Mutex<String>,
}

#[derive(Debug)]
enum SceneBroker {
    Shared(&'static Broker),
    Own(Broker),
}

/// Runs `body` as `case` of `client`; the test's whole body.
///
/// # Panics
/// The case failed.
pub fn run(client: &'static Client, case: &'static str, room: Room, body: fn(&Scene) -> Result<()>) {
    let kind = BrokerKind::from_environment().expect("COMPAT_BROKER names a broker");
    let started = clock::now();
    let mut library = String::new();
    let (outcome, detail) = match client.cannot(case, kind) {
        Some(reason) => (Outcome::Unsupported, reason.to_owned()),
        None => match run_in(room, || stage(client, case, room, kind, body, &mut library)) {
            Ok(()) => (Outcome::Ok, String::new()),
            Err(error) => (Outcome::Failed, format!("{error:#}")),
        },
    };
    let result = CaseResult {
        client: client.name.to_owned(),
        library,
        case: case.to_owned(),
        outcome,
        detail,
        seconds: started.elapsed().as_secs_f64(),
    };
    finish(kind, &result);
}

/// Writes the result down, says it, and fails the test if it failed. For the clients' cases and the tools' alike.
///
/// # Panics
/// The result is a failure.
pub fn finish(kind: BrokerKind, result: &CaseResult) {
    results::append(kind, result).expect("the results file can be written");
    let CaseResult { client, case, outcome, detail, seconds, .. } = result;
    eprintln!("{client} on {}: {case}: {outcome:?} after {seconds:.1} s {detail}", kind.name());
    assert!(*outcome != Outcome::Failed, "{client} on {}: {case}: {detail}", kind.name());
}

fn run_in(room: Room, body: impl FnOnce() -> Result<()>) -> Result<()> {
    static QUIET: RwLock<()> = RwLock::new(());
    let _shared;
    let _alone;
    if room == Room::Timed {
        _alone = QUIET.write().unwrap_or_else(PoisonError::into_inner);
    } else {
        _shared = QUIET.read().unwrap_or_else(PoisonError::into_inner);
    }
    catch_unwind(AssertUnwindSafe(body))
        .unwrap_or_else(|_| Err(anyhow!("the case itself panicked, see above")))
}

fn stage(
    client: &'static Client,
    case: &'static str,
    room: Room,
    kind: BrokerKind,
    body: fn(&Scene) -> Result<()>,
    library: &mut String,
) -> Result<()> {
    let broker = match room {
        Room::Own => SceneBroker::Own(Broker::start(kind)?),
        Room::Shared | Room::Timed => SceneBroker::Shared(Broker::shared()?),
    };
    let address = match &broker {
        SceneBroker::Own(broker) => broker.address(),
        SceneBroker::Shared(broker) => broker.address(),
    };
    let scene =
        Scene { client, case, broker: Mutex::new(broker), address, kind, library: Mutex::new(String::new()) };
    let outcome = body(&scene);
    if room == Room::Own {
        Driver::forget(&scene.address);
    }
    *library = scene.library.into_inner().unwrap_or_else(PoisonError::into_inner);
    outcome
}

impl Scene {
    /// Which broker it is.
    #[must_use]
    pub fn kind(&self) -> BrokerKind {
        self.kind
    }

    /// The broker's address for the raw client of [`crate::wire`].
    ///
    /// # Errors
    /// Never for an address that a broker reported.
    pub fn socket(&self) -> Result<std::net::SocketAddr> {
        Ok(self.address.parse()?)
    }

    /// A process of the client.
    ///
    /// # Errors
    /// Its language is not set up or it does not start.
    pub fn driver(&self) -> Result<Driver> {
        self.introduced(Driver::borrow(self.client, &self.address)?)
    }

    /// A process of the client that knows nothing yet.
    ///
    /// # Errors
    /// As [`Self::driver`].
    pub fn fresh_driver(&self) -> Result<Driver> {
        self.introduced(Driver::start(self.client, &self.address)?)
    }

    fn introduced(&self, mut driver: Driver) -> Result<Driver> {
        *self.library.lock().unwrap_or_else(PoisonError::into_inner) = driver.library()?;
        Ok(driver)
    }

    /// A topic or group name that nobody else uses.
    #[must_use]
    pub fn unique_name(&self) -> String {
        let words: Vec<_> = self.case.split('_').take(3).collect();
        layout::unique(&format!("{}.{}", words.join("-"), self.client.name))
    }

    /// Creates a topic through the client and waits as long as the broker is allowed to take to show it.
    ///
    /// # Errors
    /// The client's error, or the topic does not show in time.
    pub fn new_topic(
        &self,
        driver: &mut Driver,
        partitions: i32,
        configs: &[(&str, &str)],
    ) -> Result<String> {
        let topic = self.unique_name();
        driver.create_topic(&topic, partitions, configs)?;
        self.settle(&format!("topic {topic} with leaders"), || {
            let found = without_code(driver.describe_topic(&topic), 3)?.unwrap_or_default();
            Ok(found.len() == usize::try_from(partitions)? && found.iter().all(|one| one.leader >= 0))
        })?;
        Ok(topic)
    }

    /// Waits until an answered admin call shows; for Onelog it must show at once.
    ///
    /// # Errors
    /// `shows` failed, or it never came true.
    pub fn settle(&self, what: &str, mut shows: impl FnMut() -> Result<bool>) -> Result<()> {
        let shown = clock::poll_until(self.kind.settle_limit(), Duration::from_millis(100), || {
            Ok(shows()?.then_some(()))
        })?;
        shown.with_context(|| format!("the admin call is answered, but it does not show: {what}"))
    }

    /// kill -9 of the case's own broker, and a start on the same data and port.
    ///
    /// # Errors
    /// The case shares its broker, or the broker does not come back.
    pub fn kill_broker_and_restart(&self) -> Result<()> {
        match &mut *self.broker.lock().unwrap_or_else(PoisonError::into_inner) {
            SceneBroker::Own(broker) => broker.restart(),
            SceneBroker::Shared(_) => bail!("a case on the shared broker must not kill it"),
        }
    }
}

/// `None` if the client reported Kafka's error `code`; other errors stay errors.
///
/// # Errors
/// Any other error.
pub fn without_code<T>(result: Result<T>, code: i32) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error_code(&error) == Some(code) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Succeeds only if the client reported Kafka's error `code`.
///
/// # Errors
/// It succeeded, or failed otherwise.
pub fn expect_code<T: std::fmt::Debug>(result: Result<T>, code: i32, what: &str) -> Result<()> {
    match result {
        Err(error) if error_code(&error) == Some(code) => Ok(()),
        Err(error) => Err(error.context(format!("{what} must be error {code}, but is another"))),
        Ok(value) => bail!("{what} must be error {code}, but is answered {value:?}"),
    }
}

fn error_code(error: &anyhow::Error) -> Option<i32> {
    error.downcast_ref::<ClientError>().and_then(|error| error.code)
}
