//! The one thing the coordinator reads in a subscription: its topics (`ConsumerProtocolSubscription` of the consumer
//! protocol, any version, all of which begin alike). Needed to know which offsets are in use.
//!
//! ```text
//! version int16 | topics: count int32, then each: length int16, name | user data and newer fields, not read
//! ```

use super::wire::Reader;

/// The topics, or `None` for bytes that are no subscription. Nothing is allocated by a length the bytes do not hold.
pub(super) fn subscribed_topics(metadata: &[u8]) -> Option<Vec<String>> {
    let mut reader = Reader::new(metadata);
    let version = reader.i16().ok()?;
    if version < 0 {
        return None;
    }
    let count = reader.count(false, 2).ok()?;
    (0..count).map(|_| reader.string(false).ok()).collect()
}
