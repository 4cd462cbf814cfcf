//! The control API of a broker in test mode: one HTTP request with JSON either way.

use std::io;
use std::time::Duration;

use serde_json::Value;

/// Verbs that wait give up by themselves before.
const LIMIT: Duration = Duration::from_secs(60);

/// Why a control request was not carried out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// The broker was started without it.
    #[error("the control API is not served: start the broker with test_mode()")]
    NotServed,
    /// The broker refuses, in its own words.
    #[error("{method} {path}: {sentence}")]
    Refused {
        /// The request's method.
        method: String,
        /// The request's path.
        path: String,
        /// The broker's sentence.
        sentence: String,
    },
    /// There was no answer.
    #[error("{path}: no answer")]
    NoAnswer {
        /// The request's path.
        path: String,
        /// Why.
        source: Box<ureq::Error>,
    },
    /// The thread that asks cannot be started.
    #[error("no thread to ask from")]
    NoThread(#[from] io::Error),
}

/// Asks `admin`, the address of the admin endpoints.
///
/// # Errors
/// See [`ControlError`].
pub(crate) fn ask(
    admin: &str,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> Result<Value, ControlError> {
    let sent = send(admin, method, path, body);
    let (accepted, answer) =
        sent.map_err(|source| ControlError::NoAnswer { path: path.to_owned(), source: Box::new(source) })?;
    if accepted {
        return Ok(answer);
    }
    let sentence = answer["error"].as_str().map_or_else(|| answer.to_string(), str::to_owned);
    Err(ControlError::Refused { method: method.to_owned(), path: path.to_owned(), sentence })
}

fn send(admin: &str, method: &str, path: &str, body: Option<&Value>) -> Result<(bool, Value), ureq::Error> {
    // The broker is on this machine: no proxy.
    let config =
        ureq::Agent::config_builder().http_status_as_error(false).proxy(None).timeout_global(Some(LIMIT));
    let agent = config.build().new_agent();
    let request = ureq::http::Request::builder().method(method).uri(format!("http://{admin}{path}"));
    let mut response = match body {
        Some(body) => agent.run(request.body(body.to_string())?)?,
        None => agent.run(request.body(())?)?,
    };
    let text = response.body_mut().read_to_string()?;
    // What is no JSON is shown as it is.
    let answer = serde_json::from_str(&text).unwrap_or(Value::String(text));
    Ok((response.status().is_success(), answer))
}
