//! The HTTP endpoints for people and machines that watch: `/metrics` and its sisters, `/healthz`, `/readyz`, and `/find` for
//! records by key. What is under `/test` belongs to `test_mode`.
//!
//! Started and stopped by `server`, on a thread of its own so that a scrape never holds up a core. Invariant: it only reads;
//! nothing can be changed through it unless the broker is in test mode, so it needs no authentication beyond where it is bound.

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE};
use hyper::service::service_fn;
use hyper::{Method, Request as HttpRequest, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use storage::{FindError, SpaceState};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::broker::Broker;
use crate::config::HostPort;
use crate::find::{KeySearch, MORE, explain};
use crate::metrics::{Coordinators, Detail, Metrics, Observed};
use crate::shutdown::{Tasks, run_on_this_thread};
use crate::test_mode;

/// More scrapers at once are turned away.
const MOST_CONNECTIONS: usize = 64;
/// A request head must arrive within this time.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause after accept failed for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Searches for records at once: each may read much of the log.
const SEARCHES: usize = 1;

/// What the endpoints tell.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) metrics: Arc<Metrics>,
    /// What clients are told to connect to, for `kafka_broker_info`.
    pub(crate) address: String,
    /// Set once the log is open.
    pub(crate) broker: OnceLock<Arc<Broker>>,
    /// True while clients are served.
    pub(crate) ready: AtomicBool,
}

impl State {
    fn serving(&self) -> Option<Arc<Broker>> {
        self.broker.get().map(Broker::serving)
    }
}

/// The running endpoints.
#[derive(Debug)]
pub(crate) struct Admin {
    pub(crate) address: SocketAddr,
    stop: CancellationToken,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Admin {
    /// Binds and starts serving.
    ///
    /// # Errors
    /// The address cannot be had, or no thread.
    pub(crate) fn start(address: &HostPort, state: Arc<State>) -> io::Result<Self> {
        let host = if address.host.is_empty() { "0.0.0.0" } else { &address.host };
        let listener = StdListener::bind((host, address.port))?;
        listener.set_nonblocking(true)?;
        let (address, stop) = (listener.local_addr()?, CancellationToken::new());
        let tasks = Tasks::new(stop.clone());
        let run = move || run_on_this_thread(serve(listener, state, tasks)).flatten();
        let thread = std::thread::Builder::new().name("admin".to_owned()).spawn(run)?;
        Ok(Self { address, stop, thread: Some(thread) })
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        self.stop.cancel();
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(Err(error))) => tracing::error!(%error, "the admin endpoints did not work"),
            Some(Err(_)) => tracing::error!("the admin thread panicked"),
            Some(Ok(Ok(()))) | None => {}
        }
    }
}

async fn serve(listener: StdListener, state: Arc<State>, tasks: Tasks) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let searches = Arc::new(Semaphore::new(SEARCHES));
    loop {
        let accepted = tokio::select! {
            () = tasks.stop().cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) if tasks.len() < MOST_CONNECTIONS => {
                let (state, searches) = (Arc::clone(&state), Arc::clone(&searches));
                tasks.spawn(connection(stream, state, searches, tasks.stop().clone()));
            }
            Ok(_) => {}
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
    tasks.drained().await;
    Ok(())
}

async fn connection(stream: TcpStream, state: Arc<State>, searches: Arc<Semaphore>, stop: CancellationToken) {
    let service = service_fn(async |request: HttpRequest<Incoming>| {
        let get = request.method() == Method::GET || request.method() == Method::HEAD;
        let response = match request.uri().path() {
            path if path == "/test" || path.starts_with("/test/") => {
                test_mode::http::respond(request, state.serving()).await
            }
            "/metrics" if get => scrape(&state, Page::Metrics).await,
            "/metrics/detailed" if get => scrape(&state, Page::Detailed).await,
            "/public_metrics" if get => scrape(&state, Page::Public).await,
            "/find" if get => find(request.uri().query().unwrap_or_default(), &state, &searches).await,
            _ => respond(&request, &state),
        };
        Ok::<_, Infallible>(response)
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
    let result = tokio::select! {
        result = &mut connection => result,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "admin connection ended");
    }
}

fn respond(request: &HttpRequest<Incoming>, state: &State) -> Response<Full<Bytes>> {
    let (status, content_type, body) = match request.uri().path() {
        _ if request.method() != Method::GET && request.method() != Method::HEAD => {
            (StatusCode::METHOD_NOT_ALLOWED, TEXT, Bytes::from_static(b"only GET and HEAD\n"))
        }
        "/healthz" => (StatusCode::OK, TEXT, Bytes::from_static(b"ok\n")),
        "/readyz" if state.ready.load(Ordering::Acquire) => {
            (StatusCode::OK, TEXT, Bytes::from_static(b"ready\n"))
        }
        "/readyz" => (StatusCode::SERVICE_UNAVAILABLE, TEXT, Bytes::from_static(b"not serving clients\n")),
        _ => (
            StatusCode::NOT_FOUND,
            TEXT,
            Bytes::from_static(
                b"there are /metrics, /metrics/detailed, /public_metrics, /healthz, /readyz and /find\n",
            ),
        ),
    };
    let mut response = Response::builder().status(status).header(CONTENT_TYPE, content_type);
    if status == StatusCode::METHOD_NOT_ALLOWED {
        response = response.header(ALLOW, "GET, HEAD");
    }
    response.body(Full::new(body)).expect("constant parts are valid")
}

/// Searches off this thread, one after the other.
async fn find(query: &str, state: &State, searches: &Arc<Semaphore>) -> Response<Full<Bytes>> {
    let answer = |status: StatusCode, text: String| {
        let response = Response::builder().status(status).header(CONTENT_TYPE, TEXT);
        response.body(Full::new(format!("{text}\n").into())).expect("constant parts are valid")
    };
    let search = match KeySearch::from_query(query) {
        Ok(search) => search,
        Err(sentence) => return answer(StatusCode::BAD_REQUEST, sentence),
    };
    let Some(broker) = state.serving() else {
        return answer(StatusCode::SERVICE_UNAVAILABLE, "the log is not open yet".to_owned());
    };
    let turn = Arc::clone(searches).acquire_owned().await.expect("the semaphore is never closed");
    let searched = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        search.run(&broker.store)
    });
    match searched.await.expect("a search neither panics nor is cancelled") {
        Ok(found) => {
            let mut response = Response::builder().header(CONTENT_TYPE, JSON_LINES);
            if found.more {
                response = response.header(MORE, "true");
            }
            response.body(Full::new(found.lines.into())).expect("constant parts are valid")
        }
        Err(error) => {
            let status = match error {
                FindError::UnknownTopic(_) => StatusCode::NOT_FOUND,
                FindError::KeysNotIndexed(_) => StatusCode::CONFLICT,
                FindError::Log(_) => StatusCode::INTERNAL_SERVER_ERROR,
            };
            answer(status, explain(&error))
        }
    }
}

const TEXT: &str = "text/plain; charset=utf-8";
const JSON_LINES: &str = "application/jsonl";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What is scraped.
#[derive(Debug, Clone, Copy)]
enum Page {
    Metrics,
    Detailed,
    Public,
}

/// What the first listener tells clients to connect to.
fn address(state: &State, broker: &Broker) -> String {
    let first = broker.config.listeners.first();
    let changed = first.and_then(|listener| broker.dynamic_advertised(&listener.name));
    changed.map_or_else(|| state.address.clone(), |address| address.to_string())
}

/// Looks at the broker on a thread that may wait: where a group stands can be a question to the device.
async fn scrape(state: &Arc<State>, page: Page) -> Response<Full<Bytes>> {
    let text = match state.serving() {
        None => state.metrics.render(),
        Some(broker) => {
            let test_mode = broker.test_mode.clone();
            let _stays = match &test_mode {
                Some(test_mode) => Some(test_mode.stays().await),
                None => None,
            };
            let broker = broker.serving();
            let coordinators = Coordinators::ask(&broker).await;
            let state = Arc::clone(state);
            let write = move || match page {
                Page::Metrics | Page::Detailed => {
                    mirror(&state.metrics, &broker);
                    let detail = if matches!(page, Page::Detailed) { Detail::Full } else { Detail::Bounded };
                    state.metrics.page(
                        &broker,
                        &Observed::gather(&broker, &address(&state, &broker), coordinators, detail),
                    )
                }
                Page::Public => {
                    let observed =
                        Observed::gather(&broker, &address(&state, &broker), coordinators, Detail::Bounded);
                    state.metrics.public_page(&broker, &observed)
                }
            };
            tokio::task::spawn_blocking(write).await.expect("a scrape neither panics nor is cancelled")
        }
    };
    let response = Response::builder().header(CONTENT_TYPE, PROMETHEUS);
    response.body(Full::new(text.into())).expect("constant parts are valid")
}

/// Brings the gauges that mirror the log up to date.
fn mirror(metrics: &Metrics, broker: &Broker) {
    let (files, appended) = broker.store.log_size();
    let gauge = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    metrics.commitlog_file_bytes.set(gauge(files));
    metrics.commitlog_appended_bytes.set(gauge(appended));
    let space = broker.store.space();
    metrics.disk_free_bytes.set(gauge(space.free));
    metrics.disk_total_bytes.set(gauge(space.total));
    metrics.disk_state.set(match space.state {
        SpaceState::Ok => 0,
        SpaceState::Low => 1,
        SpaceState::Full => 2,
    });
    metrics.topics.set(i64::try_from(broker.store.topics().len()).unwrap_or(i64::MAX));
    metrics.partitions.set(i64::try_from(broker.store.partition_count()).unwrap_or(i64::MAX));
    let (sessions, partitions) = broker.fetch_sessions.counts();
    metrics.fetch_sessions.set(i64::try_from(sessions).unwrap_or(i64::MAX));
    metrics.fetch_session_partitions.set(i64::try_from(partitions).unwrap_or(i64::MAX));
}
