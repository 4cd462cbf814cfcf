//! The road of a control request: is test mode on, which verb, what was given, and its answer as JSON.
//!
//! Called by the admin endpoints for every path under `/test`. Invariants: every answer is a JSON object; one that is an error
//! has the key `error` with a sentence that says what was wrong and what would be right; nothing is done by a request that is
//! refused here.

use std::future::Future;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE};
use hyper::{Method, Request as HttpRequest, Response, StatusCode};
use percent_encoding::percent_decode_str;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::TestMode;
use super::verbs::VERBS;
use crate::broker::Broker;

/// A rule or a list of verbs is far smaller.
const BODY_BYTES: usize = 1 << 20;
/// A body must arrive within this time.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// What a verb that waits waits at most when the caller does not say.
pub(super) const WAIT: Duration = Duration::from_secs(10);

/// One row of the table of verbs.
pub(super) struct Verb {
    pub(super) method: Method,
    /// With `{name}` for what the caller chooses.
    pub(super) path: &'static str,
    /// The query parameters that it knows.
    pub(super) query: &'static [&'static str],
    pub(super) run: Run,
}

/// How a verb is carried out.
pub(super) enum Run {
    /// At once, on the admin thread.
    Now(fn(Call) -> Outcome),
    /// In steps, between which no other broker takes the place of this one.
    Later(fn(Call) -> Pin<Box<dyn Future<Output = Outcome>>>),
    /// When something has happened; meanwhile another broker may take the place of this one.
    Waiting(fn(Call) -> Pin<Box<dyn Future<Output = Outcome>>>),
}

/// What a verb ends with.
pub(super) type Outcome = Result<Value, Failure>;

/// `value` as the answer of a verb.
///
/// # Panics
/// When it is no JSON: a map with keys that are no strings.
#[expect(clippy::unnecessary_wraps, reason = "what a verb returns")]
pub(super) fn answer(value: &impl Serialize) -> Outcome {
    Ok(serde_json::to_value(value).expect("answers are plain structs"))
}

/// A request that is refused.
#[derive(Debug)]
pub(super) struct Failure {
    status: StatusCode,
    sentence: String,
    allow: Option<String>,
}

impl Failure {
    pub(super) fn new(status: StatusCode, sentence: impl Into<String>) -> Self {
        Self { status, sentence: sentence.into(), allow: None }
    }

    /// What was given is wrong.
    pub(super) fn bad(sentence: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, sentence)
    }

    /// What is asked for is not there.
    pub(super) fn missing(sentence: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, sentence)
    }

    /// What should not happen did.
    pub(super) fn internal(sentence: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, sentence)
    }

    /// What was waited for did not come about in time.
    pub(super) fn timeout(sentence: impl Into<String>) -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, sentence)
    }
}

/// One request for a verb, with what its row of the table promises.
pub(super) struct Call {
    pub(super) broker: Arc<Broker>,
    segments: Vec<String>,
    query: Vec<(String, String)>,
    body: Bytes,
}

impl Call {
    pub(super) fn test_mode(&self) -> &TestMode {
        self.broker.test_mode.as_ref().expect("verbs run in test mode")
    }

    /// What the caller chose for the `{..}` number `index` of the path.
    pub(super) fn segment(&self, index: usize) -> &str {
        &self.segments[index]
    }

    /// The body. None counts as `{}`.
    ///
    /// # Errors
    /// It is no JSON or not what `T` wants.
    pub(super) fn body<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        let body: &[u8] = if self.body.is_empty() { b"{}" } else { &self.body };
        let mut json = serde_json::Deserializer::from_slice(body);
        let wrong = |what: String| Failure::bad(format!("the body is wrong: {what}"));
        let read = serde_path_to_error::deserialize(&mut json).map_err(|error| {
            let path = error.path().to_string();
            let at = if path == "." { String::new() } else { format!("field `{path}`: ") };
            wrong(format!("{at}{}", error.inner()))
        })?;
        json.end().map_err(|error| wrong(error.to_string()))?;
        Ok(read)
    }

    /// A query parameter.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let of_name = |(known, _): &&(String, String)| known == name;
        self.query.iter().find(of_name).map(|(_, value)| value.as_str())
    }

    /// A query parameter that is a whole number.
    ///
    /// # Errors
    /// It is none, or none that fits.
    pub(super) fn number<T: FromStr>(&self, name: &str) -> Result<Option<T>, Failure> {
        let parse = |text: &str| {
            text.parse().map_err(|_| {
                Failure::bad(format!("query parameter {name} is \"{text}\"; give a whole number that fits"))
            })
        };
        self.text(name).map(parse).transpose()
    }

    /// `timeout_ms` of a verb that waits.
    ///
    /// # Errors
    /// It is no number.
    pub(super) fn timeout(&self) -> Result<Duration, Failure> {
        Ok(self.number("timeout_ms")?.map_or(WAIT, Duration::from_millis))
    }
}

/// The answer to a request for a path under `/test`. `broker` is there once the log is open.
pub(crate) async fn respond(
    request: HttpRequest<Incoming>,
    broker: Option<Arc<Broker>>,
) -> Response<Full<Bytes>> {
    let (status, allow, body) = match run(request, broker).await {
        Ok(value) => (StatusCode::OK, None, value),
        Err(Failure { status, sentence, allow }) => (status, allow, json!({ "error": sentence })),
    };
    let mut response = Response::builder().status(status).header(CONTENT_TYPE, "application/json");
    if let Some(allow) = allow {
        response = response.header(ALLOW, allow);
    }
    response.body(Full::new(format!("{body}\n").into())).expect("methods are valid in a header")
}

async fn run(request: HttpRequest<Incoming>, broker: Option<Arc<Broker>>) -> Outcome {
    let starting = || Failure::new(StatusCode::SERVICE_UNAVAILABLE, "the broker is not open yet; try again");
    let broker = broker.ok_or_else(starting)?;
    if broker.test_mode.is_none() {
        return Err(Failure::new(
            StatusCode::FORBIDDEN,
            "this broker is not in test mode; start it with --test-mode (onelog dev --test-mode) and never where data matters",
        ));
    }
    let path = decoded(request.uri().path())?;
    let (verb, segments) = find(VERBS, request.method(), &path)?;
    let query = query(request.uri().query().unwrap_or_default(), verb)?;
    let body = Limited::new(request.into_body(), BODY_BYTES).collect();
    let body = match tokio::time::timeout(BODY_TIMEOUT, body).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) => return Err(Failure::bad(format!("the body cannot be read: {error}"))),
        Err(_) => return Err(Failure::timeout("the body did not arrive")),
    };
    if verb.method != Method::POST && !body.is_empty() {
        return Err(Failure::bad(format!("{} {} takes no body", verb.method, verb.path)));
    }
    // Another may have taken its place while the body came.
    let call = Call { broker: broker.serving(), segments, query, body };
    match verb.run {
        Run::Now(run) => run(call),
        Run::Waiting(run) => run(call).await,
        Run::Later(run) => {
            let broker = Arc::clone(&call.broker);
            let test_mode = broker.test_mode.as_ref().expect("looked at above");
            let _stays = test_mode.stays().await;
            run(Call { broker: broker.serving(), ..call }).await
        }
    }
}

fn decoded(text: &str) -> Result<String, Failure> {
    let text = percent_decode_str(text).decode_utf8();
    text.map(Into::into).map_err(|_| Failure::bad("the path or the query is not UTF-8 behind its %xx"))
}

/// The verb for `method` and `path`, and what stands for its `{..}`.
fn find<'v>(verbs: &'v [Verb], method: &Method, path: &str) -> Result<(&'v Verb, Vec<String>), Failure> {
    let matching = |verb: &'v Verb| segments(verb.path, path).map(|segments| (verb, segments));
    let mut of_path: Vec<_> = verbs.iter().filter_map(matching).collect();
    // What is spelled out wins over what the caller chooses.
    of_path.sort_by_key(|(_, segments)| segments.len());
    if let Some(index) = of_path.iter().position(|(verb, _)| verb.method == *method) {
        return Ok(of_path.swap_remove(index));
    }
    let named = |verb: &Verb| format!("{} {}", verb.method, verb.path);
    if of_path.is_empty() {
        let nearest = verbs.iter().min_by_key(|verb| strsim::damerau_levenshtein(verb.path, path));
        let nearest = nearest.map(named).unwrap_or_default();
        let all: Vec<String> = verbs.iter().map(named).collect();
        return Err(Failure::missing(format!(
            "there is no verb {path}; the nearest is {nearest}; there are {}",
            all.join(", ")
        )));
    }
    let allow: Vec<&str> = of_path.iter().map(|(verb, _)| verb.method.as_str()).collect();
    let allow = allow.join(", ");
    let sentence = format!("{path} does not take {method}; it takes {allow}");
    Err(Failure { allow: Some(allow), ..Failure::new(StatusCode::METHOD_NOT_ALLOWED, sentence) })
}

fn segments(pattern: &str, path: &str) -> Option<Vec<String>> {
    let (mut wanted, mut given) = (pattern.split('/'), path.split('/'));
    let mut chosen = Vec::new();
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return Some(chosen),
            (Some(name), Some(text)) if name.starts_with('{') && !text.is_empty() => {
                chosen.push(text.to_owned());
            }
            (Some(name), Some(text)) if name == text => {}
            _ => return None,
        }
    }
}

fn query(text: &str, verb: &Verb) -> Result<Vec<(String, String)>, Failure> {
    let mut pairs = Vec::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = decoded(name)?;
        if !verb.query.contains(&name.as_str()) {
            let known = if verb.query.is_empty() {
                "it takes none".to_owned()
            } else {
                format!("there are {}", verb.query.join(", "))
            };
            return Err(Failure::bad(format!("{} does not know query parameter {name}; {known}", verb.path)));
        }
        pairs.push((name, decoded(&value.replace('+', " "))?));
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verb(method: Method, path: &'static str) -> Verb {
        Verb { method, path, query: &["key"], run: Run::Now(|_| Ok(Value::Null)) }
    }

    fn verbs() -> Vec<Verb> {
        vec![
            verb(Method::GET, "/test/faults/{id}"),
            verb(Method::DELETE, "/test/faults/{id}"),
            verb(Method::GET, "/test/faults/all"),
        ]
    }

    fn refused<T>(result: Result<T, Failure>) -> Failure {
        result.err().expect("refused")
    }

    #[test]
    fn a_verb_is_found_by_its_spelling_before_its_blanks() {
        let verbs = verbs();
        let found = |path| find(&verbs, &Method::GET, path).map(|(verb, segments)| (verb.path, segments));
        assert_eq!(found("/test/faults/7").unwrap(), ("/test/faults/{id}", vec!["7".to_owned()]));
        assert_eq!(found("/test/faults/all").unwrap(), ("/test/faults/all", vec![]));
    }

    #[test]
    fn a_wrong_path_gets_the_nearest_and_a_wrong_method_what_is_allowed() {
        let verbs = verbs();
        let unknown = refused(find(&verbs, &Method::GET, "/test/fault/al"));
        assert_eq!(unknown.status, StatusCode::NOT_FOUND);
        assert!(unknown.sentence.contains("the nearest is GET /test/faults/all"), "{}", unknown.sentence);
        let method = refused(find(&verbs, &Method::POST, "/test/faults/7"));
        assert_eq!(method.status, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(method.allow.as_deref(), Some("GET, DELETE"));
        assert_eq!(refused(find(&verbs, &Method::GET, "/test/faults/")).status, StatusCode::NOT_FOUND);
    }

    #[test]
    fn query_parameters_are_decoded_and_unknown_ones_refused() {
        let verb = verb(Method::GET, "/test/x");
        assert_eq!(query("key=a%20b+c", &verb).unwrap(), [("key".to_owned(), "a b c".to_owned())]);
        let sentence = refused(query("kez=1", &verb)).sentence;
        assert_eq!(sentence, "/test/x does not know query parameter kez; there are key");
        assert_eq!(refused(query("key=%ff", &verb)).status, StatusCode::BAD_REQUEST);
    }
}
