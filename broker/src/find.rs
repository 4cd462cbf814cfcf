//! Finding records by key, for `onelog find` and for `/find` of the admin endpoints: one search, one form of answer.
//!
//! Called by `admin` and by the command line. Invariant: what is found is written the same way whoever asked, one JSON
//! object per line, newest record of a partition first.

mod query;
mod remote;

use std::sync::Arc;

use serde_json::{Value, json};
use storage::disk::LocalDisk;
use storage::{
    CompactionLimits, FindError, FindQuery, FlushMode, FoundRecord, OpenError, Store, StoreConfig,
    SystemClock,
};
use thiserror::Error;

use crate::config::Config;
use crate::topic_config;

pub(crate) use remote::MORE;
pub use remote::{RemoteError, ask};

/// Records that one search gives at most, unless it says otherwise.
pub const DEFAULT_LIMIT: usize = 100;
/// ... and whatever it says.
pub const MAX_LIMIT: usize = 10_000;

/// What to look for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySearch {
    /// Name of the topic.
    pub topic: String,
    /// The whole key.
    pub key: Vec<u8>,
    /// Only records at least as new, ms.
    pub from_ms: Option<i64>,
    /// Only records at most as new, ms.
    pub to_ms: Option<i64>,
    /// Records at most.
    pub limit: usize,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// One JSON object per line and record.
    pub lines: String,
    /// There may be more, older records: the limit, or 64 MiB of values, was reached.
    pub more: bool,
}

/// Why a stopped directory could not be searched.
#[derive(Debug, Error)]
pub enum DirectoryError {
    /// Nothing to search.
    #[error("{0} is no onelog data directory; give one with --data-dir")]
    NotThere(String),
    /// It cannot be opened.
    #[error("{0}")]
    Open(#[from] OpenError),
    /// A broker has it.
    #[error("{0}; or ask the running broker with --admin HOST:PORT")]
    InUse(OpenError),
    /// As from a broker.
    #[error("{}", explain(.0))]
    Find(#[from] FindError),
    /// It could not be closed again.
    #[error(transparent)]
    Close(#[from] storage::Error),
}

impl KeySearch {
    /// Searches an open log. Takes as long as the part of the log that is not indexed yet needs to be read.
    ///
    /// # Errors
    /// See [`FindError`].
    pub fn run(&self, store: &Store) -> Result<Answer, FindError> {
        let (from_ms, to_ms) = (self.from_ms, self.to_ms);
        let query = FindQuery {
            topic: &self.topic,
            key: &self.key,
            from_ms,
            to_ms,
            limit: self.limit.min(MAX_LIMIT),
        };
        let found = store.find_by_key(&query)?;
        let mut lines = String::new();
        for record in &found.records {
            lines.push_str(&line(record).to_string());
            lines.push('\n');
        }
        Ok(Answer { lines, more: found.more })
    }

    /// Searches the data directory of a broker that does not run. It is opened as a broker opens it, so a log that was not
    /// closed properly is recovered first, and closed properly afterwards.
    ///
    /// # Errors
    /// See [`DirectoryError`].
    pub fn run_in_directory(&self, config: Config) -> Result<Answer, DirectoryError> {
        let dir = config.data_dir.clone();
        if !dir.join("format").is_file() {
            return Err(DirectoryError::NotThere(dir.display().to_string()));
        }
        let config = Arc::new(config);
        let store_config = StoreConfig {
            dir,
            file_size: config.commitlog_file_bytes,
            flush: FlushMode::Os,
            checkpoint_bytes: config.checkpoint_bytes,
            producer_expiration: topic_config::producer_expiration(Arc::clone(&config)),
            retention_check: config.retention_check_interval,
            policies: topic_config::policies(config),
            compaction: CompactionLimits::default(),
            threads: false,
        };
        let opened = Store::open(store_config, Arc::new(LocalDisk), Arc::new(SystemClock), Box::new(|_| {}));
        let (store, _) = opened.map_err(|error| match error {
            error @ OpenError::InUse { .. } => DirectoryError::InUse(error),
            error => DirectoryError::Open(error),
        })?;
        let answer = self.run(&store);
        store.close()?;
        Ok(answer?)
    }
}

/// What went wrong and what would be right, for a person.
pub(crate) fn explain(error: &FindError) -> String {
    match error {
        FindError::KeysNotIndexed(topic) => format!(
            "topic {topic} does not index its keys; set its config onelog.index.keys=true, for example with \
             kafka-configs --alter --entity-type topics --entity-name {topic} --add-config onelog.index.keys=true"
        ),
        FindError::UnknownTopic(_) | FindError::Log(_) => error.to_string(),
    }
}

fn line(record: &FoundRecord) -> Value {
    let headers: Vec<Value> = record
        .headers
        .iter()
        .map(|(key, value)| json!({ "key": bytes(Some(key)), "value": bytes(value.as_deref()) }))
        .collect();
    json!({
        "partition": record.partition,
        "offset": record.offset,
        "timestamp": record.timestamp,
        "value": bytes(record.value.as_deref()),
        "headers": headers,
    })
}

/// Null, or text where it is UTF-8, else hex, with the length.
fn bytes(bytes: Option<&[u8]>) -> Value {
    let Some(bytes) = bytes else { return Value::Null };
    match std::str::from_utf8(bytes) {
        Ok(text) => json!({ "text": text, "bytes": bytes.len() }),
        Err(_) => json!({ "hex": hex(bytes), "bytes": bytes.len() }),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_has_text_where_it_is_text_and_hex_where_it_is_not() {
        let record = FoundRecord {
            partition: 3,
            offset: 1 << 40,
            timestamp: -1,
            value: Some("zwölf \"12\"".into()),
            headers: vec![(vec![0xff, 0].into(), None)],
        };
        assert_eq!(
            line(&record),
            json!({
                "partition": 3,
                "offset": 1_099_511_627_776_i64,
                "timestamp": -1,
                "value": { "text": "zwölf \"12\"", "bytes": 11 },
                "headers": [{ "key": { "hex": "ff00", "bytes": 2 }, "value": null }],
            })
        );
    }
}
