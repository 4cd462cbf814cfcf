//! A whole broker: what `main` starts and stops, and what a test or another program embeds.
//!
//! Owns the order of both. Start: ports are bound, the admin endpoints answer, the log is opened and its state loaded, then
//! listeners open. Stop: listeners close, requests under way finish, the log is synced and checkpointed.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use storage::{FlushMode, OpenError};
use thiserror::Error;

use crate::admin::{Admin, State};
use crate::broker::Broker;
use crate::config::{Config, HostPort};
use crate::metrics::Metrics;
use crate::net::{Net, Ports};
use crate::topics;

/// Why a broker did not start. Nothing of it is left running.
#[derive(Debug, Error)]
pub enum StartError {
    /// Another program has the port.
    #[error("{address} is in use by another program; stop it or choose another address with {flag}")]
    PortInUse {
        /// As configured.
        address: HostPort,
        /// The flag that sets it.
        flag: &'static str,
    },
    /// The address cannot be listened on for another reason.
    #[error("cannot listen on {address}: {source}; choose an address of this machine with {flag}")]
    Listen {
        /// As configured.
        address: HostPort,
        /// The flag that sets it.
        flag: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// The data directory cannot be used.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// A topic of `onelog.create.topics` could not be made.
    #[error("cannot create the topics of onelog.create.topics: {0}")]
    Topics(String),
    /// The system gave no thread.
    #[error("cannot start the network threads: {0}")]
    Threads(io::Error),
}

/// A running broker.
#[derive(Debug)]
pub struct Server {
    broker: Arc<Broker>,
    net: Net,
    admin: Option<Admin>,
    state: Arc<State>,
    about: About,
}

/// What a running broker says about itself.
#[derive(Debug)]
struct About {
    listening: Vec<HostPort>,
    advertised: Vec<String>,
    client_address: HostPort,
    data_dir: PathBuf,
    flush: FlushMode,
    admin: Option<SocketAddr>,
}

impl Server {
    /// Starts a broker; returns when clients can connect.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(config: Config) -> Result<Self, StartError> {
        let ports = Ports::bind(&config.listeners, config.brokers)
            .map_err(|(address, source)| listen_error(address, "--listen", source))?;
        let metrics = Arc::new(Metrics::new());
        let state = State {
            metrics: Arc::clone(&metrics),
            address: ports.client_address().to_string(),
            broker: OnceLock::new(),
            ready: AtomicBool::new(false),
        };
        let state = Arc::new(state);
        let start_admin = |address: &HostPort| {
            Admin::start(address, Arc::clone(&state))
                .map_err(|source| listen_error(address.clone(), "--admin", source))
        };
        let admin = config.admin.as_ref().map(start_admin).transpose()?;
        let mut about = About {
            listening: ports.addresses(),
            advertised: ports.advertised(),
            client_address: ports.client_address(),
            data_dir: config.data_dir.clone(),
            flush: config.flush,
            admin: admin.as_ref().map(|admin| admin.address),
        };
        let broker = Broker::open(config)?;
        if let Some(nodes) = &broker.virtual_nodes {
            nodes.listen_on(ports.by_listener());
        }
        for (text, listener) in about.advertised.iter_mut().zip(&broker.config.listeners) {
            if let Some(address) = broker.dynamic_advertised(&listener.name) {
                *text = address.to_string();
            }
        }
        if let Err(source) = topics::create_configured(&broker) {
            close(&broker);
            return Err(StartError::Topics(source.to_string()));
        }
        let counters = broker.cold_reads.counters().into_iter().chain(broker.fetch_sessions.counters());
        counters.for_each(|counter| metrics.show(counter));
        metrics.show(broker.fetch_wait_seconds.clone());
        metrics.show(broker.cold_reads.device_reads().clone());
        state.broker.get_or_init(|| Arc::clone(&broker));
        let net = match Net::start(ports, &broker, &metrics, &broker.config) {
            Ok(net) => net,
            Err(source) => {
                close(&broker);
                return Err(start_error(about.listening, source));
            }
        };
        state.ready.store(true, Ordering::Release);
        Ok(Self { broker, net, admin, state, about })
    }

    /// Host and port to which a client on this machine can connect.
    #[must_use]
    pub fn client_address(&self) -> &HostPort {
        &self.about.client_address
    }

    /// Where the admin endpoints answer.
    #[must_use]
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.about.admin
    }

    /// One line with everything an operator wants to know first.
    #[must_use]
    pub fn summary(&self) -> String {
        self.about.to_string()
    }

    /// Stops: no new connections, answers under way are finished (at most 3 s), log synced, checkpoint written.
    ///
    /// # Errors
    /// Io while closing the log; what was acknowledged is safe, the next start recovers.
    pub fn stop(self) -> Result<(), storage::Error> {
        let Self { broker, net, admin, state, .. } = self;
        state.ready.store(false, Ordering::Release);
        net.stop();
        // Before the broker: a scrape asks its coordinators.
        drop(admin);
        let serving = broker.test_mode.as_ref().and_then(|test_mode| test_mode.take_successor());
        serving.unwrap_or(broker).close()
    }
}

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listening: Vec<String> = self.listening.iter().map(ToString::to_string).collect();
        write!(f, "onelog {} listens on {}", env!("CARGO_PKG_VERSION"), listening.join(" and "))?;
        write!(f, ", advertises {}", self.advertised.join(" and "))?;
        write!(f, ", keeps its data in {}", self.data_dir.display())?;
        match self.flush {
            FlushMode::Sync => {
                f.write_str(", flush=sync: acks=all answers when the record is on stable storage")?
            }
            FlushMode::Interval(every) => write!(
                f,
                ", flush=interval: synced every {} ms, a power failure may lose what was acknowledged since",
                every.as_millis()
            )?,
            FlushMode::Os => {
                f.write_str(", flush=os: never synced, a power failure may lose acknowledged records")?
            }
        }
        self.admin.map_or(Ok(()), |address| write!(f, ", admin on http://{address}"))
    }
}

fn listen_error(address: HostPort, flag: &'static str, source: io::Error) -> StartError {
    if source.kind() == io::ErrorKind::AddrInUse {
        return StartError::PortInUse { address, flag };
    }
    StartError::Listen { address, flag, source }
}

/// The start failed later on.
fn close(broker: &Broker) {
    if let Err(error) = broker.close() {
        tracing::warn!(%error, "the log was not closed cleanly; the next start recovers it");
    }
}

/// A port that was free when it was bound can be taken when it is listened on.
fn start_error(listening: Vec<HostPort>, source: io::Error) -> StartError {
    match listening.into_iter().next() {
        Some(address) if source.kind() == io::ErrorKind::AddrInUse => {
            listen_error(address, "--listen", source)
        }
        _ => StartError::Threads(source),
    }
}

/// Writes `address` to `path`, and a second line `admin HOST:PORT` where there are admin endpoints, in one step: whoever sees
/// the file sees all of it.
///
/// # Errors
/// The directory cannot be written.
pub fn write_ready_file(path: &Path, address: &HostPort, admin: Option<SocketAddr>) -> io::Result<()> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".tmp");
    let admin = admin.map(|admin| format!("admin {admin}\n")).unwrap_or_default();
    std::fs::write(&unfinished, format!("{address}\n{admin}"))?;
    std::fs::rename(&unfinished, path)
}
