//! Sockets that listen: where they are bound, who is let in, to which core a connection goes.
//!
//! Called by `net`. Invariants: accepting never spins, whatever the system answers; a connection counts against its limits
//! from accept to drop.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream as StdStream, ToSocketAddrs as _};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio::sync::mpsc::Sender;
use tokio_util::sync::CancellationToken;

use crate::config::{HostPort, ListenerConfig};
use crate::metrics::Metrics;

/// Connections that wait for accept, as the kernel counts them.
const BACKLOG: i32 = 1024;
/// Pause after accept failed for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// With port 0 and two addresses, how often another port is tried when the second address has it taken.
const PORT_TRIES: usize = 16;

/// A bound listener that does not accept yet.
#[derive(Debug)]
pub(super) struct Bound {
    sockets: Vec<Socket>,
    pub(super) name: Arc<str>,
    /// Which of the nodes that this process plays.
    node: usize,
    /// Where it listens, with the real port.
    pub(super) address: HostPort,
    advertised: Option<HostPort>,
}

impl Bound {
    /// Binds, without listening: until [`Bound::listen`] clients are refused.
    pub(super) fn bind(listener: &ListenerConfig, node: usize) -> io::Result<Self> {
        let HostPort { host, port } = &listener.bind;
        let (sockets, port) = bind_all(&addresses(host, *port)?)?;
        Ok(Self {
            sockets,
            name: listener.name.as_str().into(),
            node,
            address: HostPort { host: host.clone(), port },
            advertised: listener.advertised.clone(),
        })
    }

    /// What clients should connect to: advertised, else where it listens, else (every address) this machine.
    pub(super) fn client_address(&self) -> HostPort {
        match self.fixed_address() {
            Some(address) => address,
            None => HostPort { host: Ipv4Addr::LOCALHOST.to_string(), port: self.address.port },
        }
    }

    /// The address that all clients are told, `None` when each is told the one by which it came in.
    pub(super) fn fixed_address(&self) -> Option<HostPort> {
        let bound = || Some(self.address.clone()).filter(|address| !address.is_wildcard());
        self.advertised.clone().or_else(bound)
    }

    /// Starts listening. Needs the tokio runtime that will accept.
    pub(super) fn listen(self) -> io::Result<Vec<Listener>> {
        let fixed = self.fixed_address();
        let listen = |socket: Socket| {
            socket.listen(BACKLOG)?;
            let socket = TcpListener::from_std(socket.into())?;
            Ok(Listener { socket, name: Arc::clone(&self.name), node: self.node, advertised: fixed.clone() })
        };
        self.sockets.into_iter().map(listen).collect()
    }
}

/// `localhost` is both loopback addresses, an empty host every address, any other name the first address it resolves to.
fn addresses(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if host.eq_ignore_ascii_case("localhost") {
        return Ok(vec![(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()]);
    }
    if host.is_empty() {
        return Ok(vec![(Ipv4Addr::UNSPECIFIED, port).into(), (Ipv6Addr::UNSPECIFIED, port).into()]);
    }
    let first = (host, port).to_socket_addrs()?.next();
    first
        .map(|address| vec![address])
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address"))
}

/// Binds all addresses to one port. A machine without IPv6 does without the second one.
fn bind_all(addresses: &[SocketAddr]) -> io::Result<(Vec<Socket>, u16)> {
    let mut tries = PORT_TRIES;
    loop {
        let first = bind(addresses[0])?;
        let port = first.local_addr()?.as_socket().map_or(addresses[0].port(), |address| address.port());
        let mut sockets = vec![first];
        let rest = addresses[1..].iter().map(|address| bind(SocketAddr::new(address.ip(), port)));
        let mut taken = None;
        for result in rest {
            match result {
                Ok(socket) => sockets.push(socket),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => taken = Some(error),
                Err(error) => {
                    tracing::debug!(%error, "an address of the listener is not there on this machine")
                }
            }
        }
        tries -= 1;
        match taken {
            None => return Ok((sockets, port)),
            Some(_) if addresses[0].port() == 0 && tries > 0 => {}
            Some(error) => return Err(error),
        }
    }
}

fn bind(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Without it a restart has to wait for the connections of the last run to leave TIME_WAIT.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// A connection on its way from accept to its core.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) stream: StdStream,
    pub(super) peer: SocketAddr,
    /// Name of the listener it came in by.
    pub(super) listener: Arc<str>,
    /// Which of the nodes that this process plays.
    pub(super) node: usize,
    /// Host and port that this client is told.
    pub(super) advertised: HostPort,
    pub(super) permit: Permit,
}

/// A socket that accepts.
#[derive(Debug)]
pub(super) struct Listener {
    socket: TcpListener,
    name: Arc<str>,
    node: usize,
    advertised: Option<HostPort>,
}

impl Listener {
    /// Accepts until `stop`, handing each connection to the core that has the fewest.
    pub(super) async fn accept_all(
        self,
        doors: Arc<Doors>,
        cores: Vec<Sender<Accepted>>,
        stop: CancellationToken,
    ) {
        let mut pausing = false;
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = self.socket.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    pausing = false;
                    self.hand_over(stream, peer, &doors, &cores).await;
                }
                Err(error) if is_about_one_client(&error) => {}
                Err(error) => {
                    if !pausing {
                        tracing::warn!(%error, "cannot accept connections; trying again until it works");
                        pausing = true;
                    }
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = tokio::time::sleep(ACCEPT_PAUSE) => {}
                    }
                }
            }
        }
    }

    async fn hand_over(
        &self,
        stream: tokio::net::TcpStream,
        peer: SocketAddr,
        doors: &Arc<Doors>,
        cores: &[Sender<Accepted>],
    ) {
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let Some(permit) = doors.enter(peer.ip()) else { return };
        let core = permit.core;
        let advertised = match &self.advertised {
            Some(advertised) => advertised.clone(),
            None => match stream.local_addr() {
                Ok(local) => HostPort { host: local.ip().to_canonical().to_string(), port: local.port() },
                Err(_) => return,
            },
        };
        // A socket that fails here was closed by its client: nothing is lost with it.
        let Ok(stream) = stream.set_nodelay(true).and_then(|()| stream.into_std()) else { return };
        // A core that is gone is one that is shutting down.
        let (listener, node) = (Arc::clone(&self.name), self.node);
        drop(cores[core].send(Accepted { stream, peer, listener, node, advertised, permit }).await);
    }
}

/// Errors that Linux's accept passes on from the one connection it was about.
fn is_about_one_client(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted, PermissionDenied, WouldBlock,
    };
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted | PermissionDenied | WouldBlock
    )
}

/// How many connections there may be in all and from one address, asked anew for each that comes.
pub(super) type ConnectionLimits = Box<dyn Fn() -> (usize, usize) + Send + Sync>;

/// Counts who is in, over all listeners. A limit that is lowered ends no connection.
pub(super) struct Doors {
    limits: ConnectionLimits,
    inside: Mutex<Inside>,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
struct Inside {
    by_address: HashMap<IpAddr, usize>,
    by_core: Vec<usize>,
    /// Preferred among cores that have as many.
    first_core: usize,
    refused: u64,
}

impl Inside {
    /// Takes a place on the core that has the fewest. Each time that all have as many another goes first: clients open
    /// their connections in pairs, a busy one behind one that only asked for metadata, or open and close one at a time.
    fn take_core(&mut self) -> usize {
        let cores = self.by_core.len();
        if self.by_core.iter().all(|count| *count == self.by_core[0]) {
            self.first_core = (self.first_core + 1) % cores;
        }
        let in_order = (0..cores).map(|turn| (self.first_core + turn) % cores);
        let core = in_order.min_by_key(|core| self.by_core[*core]).expect("there is a core");
        self.by_core[core] += 1;
        core
    }
}

impl Doors {
    pub(super) fn new(limits: ConnectionLimits, cores: usize, metrics: Arc<Metrics>) -> Self {
        let inside =
            Inside { by_address: HashMap::new(), by_core: vec![0; cores], first_core: 0, refused: 0 };
        Self { limits, inside: Mutex::new(inside), metrics }
    }

    /// Room for one more, on the core that has the fewest; `None` over a limit.
    fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Permit> {
        let (most, most_per_address) = (self.limits)();
        let mut inside = self.inside.lock().expect("nothing panics under this lock");
        let total: usize = inside.by_core.iter().sum();
        let here = inside.by_address.get(&address).copied().unwrap_or(0);
        if total >= most || here >= most_per_address {
            inside.refused += 1;
            self.metrics.connections_refused.inc();
            // Powers of two: a flood says so without becoming one in the log.
            if inside.refused.is_power_of_two() {
                let (limit, most) = if total >= most {
                    ("max.connections", most)
                } else {
                    ("max.connections.per.ip", most_per_address)
                };
                tracing::warn!(peer = %address, limit, most, refused_so_far = inside.refused, "connection refused over a limit");
            }
            return None;
        }
        *inside.by_address.entry(address).or_default() += 1;
        let core = inside.take_core();
        drop(inside);
        self.metrics.connections_accepted.inc();
        self.metrics.connections.inc();
        Some(Permit { doors: Arc::clone(self), address, core })
    }
}

impl fmt::Debug for Doors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Doors").field("inside", &self.inside).finish_non_exhaustive()
    }
}

/// The place of one connection; given back when dropped.
#[derive(Debug)]
pub(super) struct Permit {
    doors: Arc<Doors>,
    address: IpAddr,
    core: usize,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut inside = self.doors.inside.lock().expect("nothing panics under this lock");
        inside.by_core[self.core] -= 1;
        if let Some(count) = inside.by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                inside.by_address.remove(&self.address);
            }
        }
        self.doors.metrics.connections.dec();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn doors_hold_both_limits_and_give_places_back() {
        let most = Arc::new(AtomicUsize::new(3));
        let limits = Arc::clone(&most);
        let limits: ConnectionLimits = Box::new(move || (limits.load(Ordering::Relaxed), 2));
        let doors = Arc::new(Doors::new(limits, 2, Arc::new(Metrics::new())));
        let (here, there) = (IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 0, 0, 2]));
        let first = doors.enter(here).unwrap();
        let second = doors.enter(here).unwrap();
        assert_ne!(first.core, second.core);
        assert!(doors.enter(here).is_none(), "two per address");
        let third = doors.enter(there).unwrap();
        assert!(doors.enter(IpAddr::from([127, 0, 0, 3])).is_none(), "three in all");
        assert_eq!(doors.metrics.connections.get(), 3);
        most.store(4, Ordering::Relaxed);
        drop(doors.enter(there).expect("four in all by now"));
        most.store(1, Ordering::Relaxed);
        drop(first);
        assert!(doors.enter(here).is_none(), "two are in, and one may be");
        most.store(3, Ordering::Relaxed);
        drop(third);
        assert!(doors.enter(here).is_some());
        drop(second);
        assert_eq!(doors.metrics.connections.get(), 0);
        assert!(doors.inside.lock().unwrap().by_address.is_empty());
    }

    fn open_doors(cores: usize) -> Arc<Doors> {
        Arc::new(Doors::new(Box::new(|| (usize::MAX, usize::MAX)), cores, Arc::new(Metrics::new())))
    }

    fn enter(doors: &Arc<Doors>) -> Permit {
        doors.enter(IpAddr::from([127, 0, 0, 1])).expect("there is no limit")
    }

    #[test]
    fn connections_spread_evenly_however_they_come_and_go() {
        let doors = open_doors(2);
        let mut inside: Vec<Permit> = (0..100).map(|_| enter(&doors)).collect();
        assert_eq!(doors.inside.lock().unwrap().by_core, [50, 50]);
        inside.retain(|permit| permit.core == 0);
        inside.extend((0..50).map(|_| enter(&doors)));
        assert_eq!(doors.inside.lock().unwrap().by_core, [50, 50], "those that left are made up for");
    }

    #[test]
    fn busy_connections_of_clients_that_open_an_idle_one_first_spread_evenly() {
        for cores in [2, 4, 8] {
            let doors = open_doors(cores);
            let clients: Vec<[Permit; 2]> = (0..8 * cores).map(|_| [enter(&doors), enter(&doors)]).collect();
            for core in 0..cores {
                let busy = clients.iter().filter(|[_, busy]| busy.core == core).count();
                assert_eq!(busy, 8, "core {core} of {cores}");
            }
        }
    }

    #[test]
    fn connections_that_are_opened_one_at_a_time_take_turns_on_the_cores() {
        let doors = open_doors(2);
        let first: Vec<usize> = (0..100).map(|_| enter(&doors).core).collect();
        assert_eq!(first.iter().filter(|core| **core == 0).count(), 50);
    }

    #[test]
    fn localhost_is_bound_on_both_families_under_one_port() {
        let bind = HostPort { host: "localhost".to_owned(), port: 0 };
        let bound =
            Bound::bind(&ListenerConfig { name: "PLAINTEXT".to_owned(), bind, advertised: None }, 0).unwrap();
        assert_ne!(bound.address.port, 0);
        assert_eq!(bound.client_address().to_string(), format!("localhost:{}", bound.address.port));
        for socket in &bound.sockets {
            assert_eq!(socket.local_addr().unwrap().as_socket().unwrap().port(), bound.address.port);
        }
    }

    #[test]
    fn a_wildcard_tells_each_client_the_address_it_came_by() {
        let of = |host: &str, advertised: Option<&str>| {
            let bind = HostPort { host: host.to_owned(), port: 9092 };
            let advertised = advertised.map(|text| text.parse().unwrap());
            Bound { sockets: Vec::new(), name: "PLAINTEXT".into(), node: 0, address: bind, advertised }
        };
        assert_eq!(of("", None).fixed_address(), None);
        assert_eq!(of("0.0.0.0", None).fixed_address(), None);
        assert_eq!(of("0.0.0.0", None).client_address().to_string(), "127.0.0.1:9092");
        assert_eq!(of("", Some("h:1")).fixed_address().unwrap().to_string(), "h:1");
        assert_eq!(of("127.0.0.1", None).fixed_address().unwrap().to_string(), "127.0.0.1:9092");
    }
}
