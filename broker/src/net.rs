//! Sockets: listeners, one runtime per core, connections.
//!
//! Started and stopped by `server`. Knows of the rest of the broker only [`crate::api::dispatch`] and what it
//! answers with. Invariant: a connection lives and dies on one core; nothing is shared between cores but the broker itself.

mod company;
mod connection;
mod frame_reader;
mod listener;
mod outgoing;
mod reply_queue;

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::net::TcpStream;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio_util::sync::CancellationToken;

use crate::api::{self, ConnectionInfo};
use crate::broker::Broker;
use crate::config::{Config, HostPort, ListenerConfig};
use crate::metrics::{Metrics, Present};
use crate::shutdown::{Tasks, run_on_this_thread};
use crate::virtual_nodes;
use company::Company;
use connection::{Connection, Ended, Limits};
use listener::{Accepted, Bound, Doors};

/// Connections that wait for a core which is busy; accepting waits when there are more.
const HANDOVER: usize = 256;

/// Listeners that are bound and do not accept yet.
#[derive(Debug)]
pub(crate) struct Ports {
    bound: Vec<Bound>,
}

impl Ports {
    /// Binds all, so that a port in use is known before the log is opened.
    ///
    /// # Errors
    /// The address that cannot be had, and why.
    pub(crate) fn bind(listeners: &[ListenerConfig], nodes: i32) -> Result<Self, (HostPort, io::Error)> {
        let nodes = usize::try_from(nodes).unwrap_or(1);
        let mut bound = Vec::with_capacity(nodes * listeners.len());
        for node in 0..nodes {
            for listener in listeners {
                let listener = of_node(listener, node);
                bound.push(Bound::bind(&listener, node).map_err(|error| (listener.bind, error))?);
            }
        }
        Ok(Self { bound })
    }

    /// Where each node listens, by the name of the listener.
    pub(crate) fn by_listener(&self) -> virtual_nodes::Addresses {
        let mut addresses = virtual_nodes::Addresses::new();
        for bound in &self.bound {
            let address = (bound.fixed_address(), bound.address.port);
            addresses.entry(Arc::clone(&bound.name)).or_default().push(address);
        }
        addresses
    }

    /// Where they listen, with real ports.
    pub(crate) fn addresses(&self) -> Vec<HostPort> {
        self.bound.iter().map(|bound| bound.address.clone()).collect()
    }

    /// What clients are told, one text per listener.
    pub(crate) fn advertised(&self) -> Vec<String> {
        let text = |address: Option<HostPort>| {
            address.map_or_else(|| "the address a client came by".to_owned(), |address| address.to_string())
        };
        self.bound.iter().map(|bound| text(bound.fixed_address())).collect()
    }

    /// What a client on this machine can connect to.
    pub(crate) fn client_address(&self) -> HostPort {
        self.bound.first().expect("a configuration has a listener").client_address()
    }
}

/// The listener as another node has it: the same hosts, other ports.
fn of_node(listener: &ListenerConfig, node: usize) -> ListenerConfig {
    let moved = |address: &HostPort| HostPort {
        host: address.host.clone(),
        port: virtual_nodes::port_of(address.port, node),
    };
    ListenerConfig {
        name: listener.name.clone(),
        bind: moved(&listener.bind),
        advertised: listener.advertised.as_ref().map(moved),
    }
}

/// The running network side.
#[derive(Debug)]
pub(crate) struct Net {
    stop: CancellationToken,
    threads: Vec<JoinHandle<io::Result<()>>>,
}

impl Net {
    /// Starts the cores and then accepts. Returns when clients can connect.
    ///
    /// # Errors
    /// No thread, no runtime, or a port that somebody else began to listen on in between.
    pub(crate) fn start(
        ports: Ports,
        broker: &Arc<Broker>,
        metrics: &Arc<Metrics>,
        config: &Config,
    ) -> io::Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let limits =
            Limits { frame_bytes: config.socket_request_max_bytes, idle: config.connections_max_idle };
        let mut net = Self { stop: CancellationToken::new(), threads: Vec::new() };
        let mut senders = Vec::with_capacity(cores);
        for core in 0..cores {
            let (sender, receiver) = channel(HANDOVER);
            senders.push(sender);
            let worker = Core { broker: Arc::clone(broker), metrics: Arc::clone(metrics), limits };
            let tasks = Tasks::new(net.stop.clone());
            net.spawn(format!("core-{core}"), move || run_on_this_thread(worker.serve(receiver, tasks)))?;
        }
        let limited = Arc::clone(broker);
        let limits = Box::new(move || limited.serving().connection_limits());
        let doors = Doors::new(limits, cores, Arc::clone(metrics));
        let (started, accepting) = std::sync::mpsc::sync_channel(1);
        let tasks = Tasks::new(net.stop.clone());
        net.spawn("accept".to_owned(), move || {
            run_on_this_thread(accept(ports, Arc::new(doors), senders, tasks, started))
        })?;
        match accepting.recv() {
            Ok(Ok(())) => Ok(net),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(io::Error::other("the accepting thread could not start")),
        }
    }

    fn spawn(
        &mut self,
        name: String,
        run: impl FnOnce() -> io::Result<()> + Send + 'static,
    ) -> io::Result<()> {
        self.threads.push(std::thread::Builder::new().name(name).spawn(run)?);
        Ok(())
    }

    /// Stops accepting, lets requests under way finish within the drain deadline, ends the threads.
    pub(crate) fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.stop.cancel();
        for thread in self.threads.drain(..) {
            match thread.join() {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!(%error, "a network thread could not start"),
                Err(_) => tracing::error!("a network thread panicked"),
            }
        }
    }
}

/// A start that fails half way leaves no thread behind.
impl Drop for Net {
    fn drop(&mut self) {
        self.end();
    }
}

async fn accept(
    ports: Ports,
    doors: Arc<Doors>,
    cores: Vec<Sender<Accepted>>,
    tasks: Tasks,
    started: std::sync::mpsc::SyncSender<io::Result<()>>,
) {
    let listeners: io::Result<Vec<_>> = ports.bound.into_iter().map(Bound::listen).collect();
    let result = listeners.map(|listeners| {
        for listener in listeners.into_iter().flatten() {
            tasks.spawn(listener.accept_all(Arc::clone(&doors), cores.clone(), tasks.stop().clone()));
        }
    });
    drop(cores);
    if started.send(result).is_ok() {
        tasks.stop().cancelled().await;
        tasks.drained().await;
    }
}

/// Serves until the node goes down; what was not answered by then never is, as when a machine dies.
async fn until_down(connection: impl Future<Output = Ended>, down: CancellationToken) -> Ended {
    tokio::select! {
        ended = connection => ended,
        () = down.cancelled() => Ended::NodeDown,
    }
}

/// What a core needs to serve connections.
struct Core {
    broker: Arc<Broker>,
    metrics: Arc<Metrics>,
    limits: Limits,
}

impl Core {
    async fn serve(self, mut connections: Receiver<Accepted>, tasks: Tasks) {
        self.metrics.cores.add_this();
        let company = Rc::default();
        loop {
            tokio::select! {
                () = tasks.stop().cancelled() => break,
                accepted = connections.recv() => match accepted {
                    Some(accepted) => tasks.spawn(self.connection(accepted, tasks.stop(), Rc::clone(&company))),
                    None => break,
                },
            }
        }
        tasks.stop().cancelled().await;
        if !tasks.drained().await {
            tracing::warn!("connections were cut: their requests did not finish in time");
        }
    }

    /// The whole life of one connection.
    fn connection(
        &self,
        accepted: Accepted,
        stop: &CancellationToken,
        company: Rc<Company>,
    ) -> impl Future<Output = ()> + 'static {
        let Accepted { stream, peer, listener, node, advertised, permit } = accepted;
        let (broker, metrics, limits, stop) =
            (Arc::clone(&self.broker), Arc::clone(&self.metrics), self.limits, stop.clone());
        async move {
            let _inside = permit;
            let Ok(stream) = TcpStream::from_std(stream) else { return };
            let lifetime = match &broker.virtual_nodes {
                None => None,
                Some(nodes) => match nodes.lifetime(node) {
                    None => return tracing::debug!(%peer, node, "connection closed: the node is down"),
                    up => up,
                },
            };
            let mut info = ConnectionInfo::new(peer, listener, &advertised);
            let _present = Present::new(&metrics, &info.listener, &info.software);
            info.node = Some(node);
            let counted = (metrics, Arc::clone(&info.software));
            let (of_connection, id) = (Arc::clone(&broker), info.id);
            let dispatch = move |frame| match broker.successor() {
                None => api::dispatch(&broker, &info, frame),
                Some(serving) => api::dispatch(&serving, &info, frame),
            };
            let connection = Connection::new(stream, dispatch, limits, counted, &stop, company);
            let ended = match lifetime {
                None => connection.run().await,
                // Boxed: a broker of one node does not carry the state of this.
                Some(down) => Box::pin(until_down(connection.run(), down)).await,
            };
            api::connection_closed(&of_connection.serving(), id).await;
            match ended {
                Ended::Panicked => tracing::error!(%peer, reason = %Ended::Panicked, "connection closed"),
                reason @ Ended::Refused(_) => tracing::warn!(%peer, %reason, "connection closed"),
                reason => tracing::debug!(%peer, %reason, "connection closed"),
            }
        }
    }
}
