//! Running a broker in this process: configuration, start, the word that it is ready, signals, stop.
//!
//! Shared by `onelog` and `onelog dev`.

use std::io::{self, IsTerminal as _, Write as _};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use anyhow::Context as _;
use broker::config::{Flag, HostPort};
use broker::server::{Server, write_ready_file};
use broker::{logging, shutdown};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::server_arguments::ServerArguments;

/// Serves until a signal. `announce` is called with the address once clients are served.
///
/// # Errors
/// A sentence about what stopped the start, or the clean end.
pub(crate) fn run(
    arguments: ServerArguments,
    defaults: &[Flag],
    announce: impl FnOnce(&HostPort) -> io::Result<()> + Send + 'static,
) -> anyhow::Result<()> {
    logging::start().map_err(anyhow::Error::msg)?;
    let (config, notices) = arguments.load(defaults)?;
    for notice in notices {
        if notice.warning {
            tracing::warn!("{}", notice.text);
        } else {
            tracing::info!("{}", notice.text);
        }
    }
    let (ready_file, node_id) = (config.ready_file.clone(), config.node_id);
    if let Some(path) = &ready_file {
        // Left by a run that was killed: nobody may take it for this one's.
        drop(std::fs::remove_file(path));
    }
    raise_open_files(config.max_connections);
    let to_write = ready_file.clone();
    let start = move || {
        let server = Server::start(config)?;
        let address = server.client_address().clone();
        let told = to_write.iter().try_for_each(|path| {
            write_ready_file(path, &address, server.admin_address())
                .with_context(|| format!("--ready-file {}", path.display()))
        });
        tracing::info!("{}", server.summary());
        tell_service_manager("READY=1");
        match told.and_then(|()| Ok(announce(&address).and_then(|()| tell_container_tools(node_id))?)) {
            Ok(()) => Ok(server),
            Err(error) => {
                server.stop().context(UNCLEAN)?;
                Err(error)
            }
        }
    };
    let stopped = shutdown::until_signalled(start, |server, signal| {
        tracing::info!(signal, "stopping");
        tell_service_manager("STOPPING=1");
        server.stop()
    });
    if let Some(path) = &ready_file {
        drop(std::fs::remove_file(path));
    }
    stopped.context("signals")??.context(UNCLEAN)?;
    tracing::info!("stopped");
    Ok(())
}

const UNCLEAN: &str = "the log was not closed cleanly; the next start recovers it";

/// One datagram to the socket that systemd names (`Type=notify`, sd_notify(3)). Nothing where there is none.
fn tell_service_manager(state: &str) {
    let Some(name) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let address = match name.as_bytes() {
        [b'@', abstract_name @ ..] => SocketAddr::from_abstract_name(abstract_name),
        _ => SocketAddr::from_pathname(&name),
    };
    let sent = address.and_then(|address| UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address));
    if let Err(error) = sent {
        tracing::warn!(%error, "the service manager was not told {state}");
    }
}

/// The lines on standard output by which container test libraries recognise that a Kafka is ready. Not on a terminal.
fn tell_container_tools(node_id: i32) -> io::Result<()> {
    let mut out = io::stdout();
    if out.is_terminal() {
        return Ok(());
    }
    let lines = format!(
        "[BrokerServer id={node_id}] Transitioning from RECOVERY to RUNNING. (kafka.server.BrokerServer)\n\
         [KafkaServer id={node_id}] started (kafka.server.KafkaServer)\n\
         Kafka Server started (kafka.server.KafkaRaftServer)\n"
    );
    match out.write_all(lines.as_bytes()).and_then(|()| out.flush()) {
        // Nobody listens.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Every connection and every log file is an open file; the soft limit of many systems is far below the hard one.
fn raise_open_files(connections: usize) {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum && setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_err() {
        tracing::debug!("the limit of open files could not be raised");
    }
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    if limit < u64::try_from(connections).unwrap_or(u64::MAX) {
        tracing::warn!(
            limit,
            connections,
            "open files are limited below max.connections; raise the limit (ulimit -n) to reach it"
        );
    }
}
