//! What a raw client asks about transactions: ends of partitions at both isolation levels, what the coordinator knows, who
//! writes to a partition; and a marker written past the coordinator. Used by `money_loop`.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};

use super::{Cursor, exchange, put_string};

const LIST_OFFSETS: i16 = 2;
const WRITE_TXN_MARKERS: i16 = 27;
const DESCRIBE_PRODUCERS: i16 = 61;
const LIST_TRANSACTIONS: i16 = 66;

/// The end of a partition: its last stable offset with `committed`, else its high watermark (ListOffsets v2).
///
/// # Errors
/// The broker does not answer, or answers with an error.
pub fn end_offset(address: SocketAddr, topic: &str, partition: i32, committed: bool) -> Result<i64> {
    let mut body = Vec::new();
    body.extend((-1i32).to_be_bytes()); // replica id
    body.push(u8::from(committed));
    body.extend(1i32.to_be_bytes());
    put_string(&mut body, topic)?;
    body.extend(1i32.to_be_bytes());
    body.extend(partition.to_be_bytes());
    body.extend((-1i64).to_be_bytes()); // the latest
    let response = exchange(address, LIST_OFFSETS, 2, &body)?;

    let mut cursor = Cursor(&response);
    cursor.take(4)?; // throttle time
    ensure!(cursor.i32()? == 1, "ListOffsets answered another number of topics than one");
    let name = usize::try_from(cursor.i16()?).context("null topic name")?;
    cursor.take(name)?;
    ensure!(cursor.i32()? == 1, "ListOffsets answered another number of partitions than one");
    cursor.take(4)?; // partition
    let error = cursor.i16()?;
    ensure!(error == 0, "ListOffsets of {topic}-{partition} answered error {error}");
    cursor.take(8)?; // timestamp
    cursor.i64()
}

/// A transactional id as its coordinator tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownTransaction {
    /// The transactional id.
    pub id: String,
    /// Its producer.
    pub producer_id: i64,
    /// Kafka's name of the state: Empty, Ongoing, PrepareCommit, ...
    pub state: String,
}

/// All transactional ids that the broker knows (ListTransactions v0).
///
/// # Errors
/// The broker does not answer, or answers with an error.
pub fn transactions(address: SocketAddr) -> Result<Vec<KnownTransaction>> {
    // No tags in the header, any state, any producer, no tags.
    let response = exchange(address, LIST_TRANSACTIONS, 0, &[0, 1, 1, 0])?;
    let mut cursor = Cursor(&response);
    cursor.take(5)?; // tags of the header, throttle time
    let error = cursor.i16()?;
    ensure!(error == 0, "ListTransactions answered error {error}");
    for _ in 0..compact_length(&mut cursor)? {
        compact_string(&mut cursor)?; // states that it does not know
    }
    let mut found = Vec::new();
    for _ in 0..compact_length(&mut cursor)? {
        let id = compact_string(&mut cursor)?;
        let producer_id = cursor.i64()?;
        let state = compact_string(&mut cursor)?;
        no_tags(&mut cursor)?;
        found.push(KnownTransaction { id, producer_id, state });
    }
    Ok(found)
}

/// A producer that a partition remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActiveProducer {
    /// Its id.
    pub id: i64,
    /// Its newest epoch there.
    pub epoch: i16,
    /// The coordinator's epoch in its last marker there, minus one before the first.
    pub coordinator_epoch: i32,
    /// Where its open transaction begins, minus one when it has none.
    pub transaction_start: i64,
}

/// The producers that a partition remembers (DescribeProducers v0).
///
/// # Errors
/// The broker does not answer, or answers with an error.
pub fn active_producers(address: SocketAddr, topic: &str, partition: i32) -> Result<Vec<ActiveProducer>> {
    let mut body = vec![0, 2]; // no tags in the header, one topic
    put_compact_string(&mut body, topic)?;
    body.push(2); // one partition
    body.extend(partition.to_be_bytes());
    body.extend([0, 0]); // no tags of topic and request
    let response = exchange(address, DESCRIBE_PRODUCERS, 0, &body)?;

    let mut cursor = Cursor(&response);
    cursor.take(5)?; // tags of the header, throttle time
    ensure!(
        compact_length(&mut cursor)? == 1,
        "DescribeProducers answered another number of topics than one"
    );
    compact_string(&mut cursor)?;
    ensure!(compact_length(&mut cursor)? == 1, "DescribeProducers answered not one partition");
    cursor.take(4)?; // partition
    let error = cursor.i16()?;
    ensure!(error == 0, "DescribeProducers of {topic}-{partition} answered error {error}");
    compact_string(&mut cursor)?; // message, null
    let mut found = Vec::new();
    for _ in 0..compact_length(&mut cursor)? {
        let id = cursor.i64()?;
        let epoch = i16::try_from(cursor.i32()?).context("an epoch that is none")?;
        cursor.take(12)?; // last sequence and timestamp
        let coordinator_epoch = cursor.i32()?;
        let transaction_start = cursor.i64()?;
        no_tags(&mut cursor)?;
        found.push(ActiveProducer { id, epoch, coordinator_epoch, transaction_start });
    }
    Ok(found)
}

/// The end of a transaction in one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marker {
    /// Whose.
    pub producer_id: i64,
    /// Of the transaction.
    pub producer_epoch: i16,
    /// Commit, or abort.
    pub committed: bool,
    /// Of the coordinator that decided.
    pub coordinator_epoch: i32,
}

/// Writes a marker to one partition behind the coordinator's back (WriteTxnMarkers v1). For negative controls: this tears
/// transactions.
///
/// # Errors
/// The broker does not answer, or answers with an error.
pub fn write_marker(address: SocketAddr, topic: &str, partition: i32, marker: Marker) -> Result<()> {
    let mut body = vec![0, 2]; // no tags in the header, one marker
    body.extend(marker.producer_id.to_be_bytes());
    body.extend(marker.producer_epoch.to_be_bytes());
    body.push(u8::from(marker.committed));
    body.push(2); // one topic
    put_compact_string(&mut body, topic)?;
    body.push(2); // one partition
    body.extend(partition.to_be_bytes());
    body.push(0); // no tags of the topic
    body.extend(marker.coordinator_epoch.to_be_bytes());
    body.extend([0, 0]); // no tags of marker and request
    let response = exchange(address, WRITE_TXN_MARKERS, 1, &body)?;

    let mut cursor = Cursor(&response);
    cursor.take(1)?; // tags of the header
    ensure!(compact_length(&mut cursor)? == 1, "WriteTxnMarkers answered not one marker");
    cursor.take(8)?; // producer id
    ensure!(compact_length(&mut cursor)? == 1, "WriteTxnMarkers answered not one topic");
    compact_string(&mut cursor)?;
    ensure!(compact_length(&mut cursor)? == 1, "WriteTxnMarkers answered not one partition");
    cursor.take(4)?; // partition
    let error = cursor.i16()?;
    ensure!(error == 0, "WriteTxnMarkers to {topic}-{partition} answered error {error}");
    Ok(())
}

/// Length of a compact array or string; null counts as empty. Longer than three bytes of varint say is an error.
fn compact_length(cursor: &mut Cursor<'_>) -> Result<usize> {
    let mut length = 0;
    for shift in [0, 7, 14] {
        let byte = cursor.take(1)?[0];
        length |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(length.saturating_sub(1));
        }
    }
    anyhow::bail!("a length above two million")
}

fn compact_string(cursor: &mut Cursor<'_>) -> Result<String> {
    let length = compact_length(cursor)?;
    Ok(String::from_utf8_lossy(cursor.take(length)?).into_owned())
}

fn no_tags(cursor: &mut Cursor<'_>) -> Result<()> {
    ensure!(cursor.take(1)? == [0], "tags where none are known");
    Ok(())
}

fn put_compact_string(frame: &mut Vec<u8>, text: &str) -> Result<()> {
    ensure!(text.len() < 127, "a name that long needs a longer varint");
    frame.push(u8::try_from(text.len() + 1)?);
    frame.extend(text.as_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Cursor, compact_length, compact_string};

    #[test]
    fn compact_lengths_are_one_more_than_they_say_and_null_is_empty() {
        assert_eq!(compact_length(&mut Cursor(&[0])).unwrap(), 0);
        assert_eq!(compact_length(&mut Cursor(&[1])).unwrap(), 0);
        assert_eq!(compact_length(&mut Cursor(&[0x80, 1])).unwrap(), 127);
        assert!(compact_length(&mut Cursor(&[0xff, 0xff, 0xff, 0xff])).is_err());
        assert_eq!(compact_string(&mut Cursor(&[3, b'o', b'k'])).unwrap(), "ok");
        assert!(compact_string(&mut Cursor(&[9, b'o', b'k'])).is_err());
    }
}
