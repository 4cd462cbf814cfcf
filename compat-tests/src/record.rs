//! Records and answers as they travel between the cases and the drivers: JSON with base64 for bytes.
//! The cases build and compare them; the drivers' README describes the same shapes for the other languages.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes that may hold anything; base64 on the wire to a driver.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub Vec<u8>);

impl Bytes {
    /// The bytes of a text.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

impl std::fmt::Debug for Bytes {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = String::from_utf8_lossy(&self.0[..self.0.len().min(60)]).into_owned();
        write!(formatter, "{shown:?}({} bytes)", self.0.len())
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map(Self).map_err(serde::de::Error::custom)
    }
}

/// A record to produce.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The topic it goes to.
    pub topic: String,
    /// The partition, or the client's partitioner decides.
    pub partition: Option<i32>,
    /// The key; `None` is Kafka's null, not the empty key.
    pub key: Option<Bytes>,
    /// The value; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// Headers in order; a name may come twice, a value may be null or empty.
    pub headers: Vec<(String, Option<Bytes>)>,
    /// Milliseconds since the epoch, or the client stamps it.
    pub timestamp: Option<i64>,
}

impl Record {
    /// A record for one partition with only a value.
    #[must_use]
    pub fn new(topic: &str, partition: i32, value: &str) -> Self {
        Self {
            topic: topic.to_owned(),
            partition: Some(partition),
            value: Some(Bytes::text(value)),
            ..Self::default()
        }
    }
}

/// A record as a consumer received it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceivedRecord {
    /// The partition it came from.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Its timestamp in milliseconds.
    pub timestamp: i64,
    /// Its key.
    pub key: Option<Bytes>,
    /// Its value.
    pub value: Option<Bytes>,
    /// Its headers in order.
    pub headers: Vec<(String, Option<Bytes>)>,
}

impl ReceivedRecord {
    /// The value as text; empty for a tombstone.
    #[must_use]
    pub fn text(&self) -> String {
        self.value.as_ref().map(|value| String::from_utf8_lossy(&value.0).into_owned()).unwrap_or_default()
    }
}

/// What a producer was told about one record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Delivery {
    /// Acknowledged at this offset.
    Acknowledged {
        /// The partition that took it.
        partition: i32,
        /// Where it was appended; clients that hide the offset of all but the first record count on from it.
        offset: i64,
    },
    /// Refused.
    Refused {
        /// Kafka's error code, or the client's own below zero.
        code: i32,
        /// The client's words.
        message: String,
    },
}
