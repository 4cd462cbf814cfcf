//! The smallest possible raw Kafka client: Metadata v1 to see that a broker serves, Fetch v10 to see the stored
//! record batches as they are. The cases use it for what every client hides: codec, producer id, sequences. `transactions`
//! has what is asked about transactions.

mod transactions;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

pub use transactions::{
    ActiveProducer, KnownTransaction, Marker, active_producers, end_offset, transactions, write_marker,
};

const FETCH: i16 = 1;
const METADATA: i16 = 3;
const MAX_RESPONSE: usize = 64 << 20;
const MAX_FETCH: i32 = 16 << 20;
const BATCH_HEADER: usize = 61;

/// The header of one stored record batch (Kafka's magic 2 layout, 61 bytes).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchHeader {
    /// Offset of the first record.
    pub base_offset: i64,
    /// Bits 0-2 codec, bit 3 log append time, bit 4 transactional, bit 5 control.
    pub attributes: i16,
    /// Minus one when the producer is not idempotent.
    pub producer_id: i64,
    /// Sequence of the first record, minus one when not idempotent.
    pub base_sequence: i32,
    /// Number of records.
    pub record_count: i32,
}

impl BatchHeader {
    /// Kafka's number of the codec: 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd.
    #[must_use]
    pub fn codec(&self) -> i16 {
        self.attributes & 7
    }
}

/// How many live brokers the broker's Metadata names; an error while it does not serve yet.
///
/// # Errors
/// No connection, or no whole answer within two seconds.
pub fn broker_count(address: SocketAddr) -> Result<i32> {
    let response = exchange(address, METADATA, 1, &0i32.to_be_bytes())?;
    Cursor(&response).i32()
}

/// All stored batches of a partition from its start.
///
/// # Errors
/// The broker does not answer, or answers with an error or bytes that are not record batches.
pub fn stored_batches(address: SocketAddr, topic: &str, partition: i32) -> Result<Vec<BatchHeader>> {
    let mut batches: Vec<BatchHeader> = Vec::new();
    let mut next_offset = 0;
    loop {
        let records = fetch(address, topic, partition, next_offset)?;
        let before = batches.len();
        next_offset = parse_batches(&records, next_offset, &mut batches)?;
        if batches.len() == before {
            return Ok(batches);
        }
    }
}

fn fetch(address: SocketAddr, topic: &str, partition: i32, offset: i64) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    body.extend((-1i32).to_be_bytes()); // replica id
    body.extend(0i32.to_be_bytes()); // max wait
    body.extend(0i32.to_be_bytes()); // min bytes
    body.extend(MAX_FETCH.to_be_bytes());
    body.push(0); // read uncommitted
    body.extend(0i32.to_be_bytes()); // no session
    body.extend((-1i32).to_be_bytes());
    body.extend(1i32.to_be_bytes());
    put_string(&mut body, topic)?;
    body.extend(1i32.to_be_bytes());
    body.extend(partition.to_be_bytes());
    body.extend((-1i32).to_be_bytes()); // any leader epoch
    body.extend(offset.to_be_bytes());
    body.extend((-1i64).to_be_bytes()); // no replica's log start
    body.extend(MAX_FETCH.to_be_bytes());
    body.extend(0i32.to_be_bytes()); // nothing to forget
    let response = exchange(address, FETCH, 10, &body)?;

    let mut cursor = Cursor(&response);
    cursor.take(4)?; // throttle time
    let error = cursor.i16()?;
    ensure!(error == 0, "Fetch answered error {error}");
    cursor.take(4)?; // session id
    ensure!(cursor.i32()? == 1, "Fetch answered another number of topics than one");
    let name_length = usize::try_from(cursor.i16()?).context("null topic name")?;
    cursor.take(name_length)?;
    ensure!(cursor.i32()? == 1, "Fetch answered another number of partitions than one");
    cursor.take(4)?; // partition
    let error = cursor.i16()?;
    ensure!(error == 0, "Fetch of {topic}-{partition} at {offset} answered error {error}");
    cursor.take(24)?; // high watermark, last stable offset, log start offset
    let aborted = usize::try_from(cursor.i32()?).unwrap_or(0);
    cursor.take(aborted * 16)?;
    let length = usize::try_from(cursor.i32()?).context("Fetch answered null records")?;
    Ok(cursor.take(length)?.to_vec())
}

/// Appends the whole batches of `records` to `batches` and returns the offset after the last one.
fn parse_batches(records: &[u8], from: i64, batches: &mut Vec<BatchHeader>) -> Result<i64> {
    let mut cursor = Cursor(records);
    let mut next_offset = from;
    while cursor.0.len() >= BATCH_HEADER {
        let base_offset = cursor.i64()?;
        let length = usize::try_from(cursor.i32()?).context("negative batch length")?;
        let Ok(batch) = cursor.take(length) else { break };
        let mut batch = Cursor(batch);
        batch.take(4)?; // leader epoch
        ensure!(batch.take(1)? == [2], "a stored batch is not of magic 2");
        batch.take(4)?; // crc
        let attributes = batch.i16()?;
        let last_offset_delta = batch.i32()?;
        batch.take(16)?; // base and max timestamp
        let producer_id = batch.i64()?;
        batch.take(2)?; // producer epoch
        let base_sequence = batch.i32()?;
        let record_count = batch.i32()?;
        next_offset = base_offset + i64::from(last_offset_delta) + 1;
        batches.push(BatchHeader { base_offset, attributes, producer_id, base_sequence, record_count });
    }
    Ok(next_offset)
}

/// Sends one request with header v1 and returns the body after the correlation id.
fn exchange(address: SocketAddr, api_key: i16, api_version: i16, body: &[u8]) -> Result<Vec<u8>> {
    let limit = Duration::from_secs(2);
    let mut stream = TcpStream::connect_timeout(&address, limit)?;
    stream.set_read_timeout(Some(limit))?;
    let mut frame = Vec::new();
    frame.extend(api_key.to_be_bytes());
    frame.extend(api_version.to_be_bytes());
    frame.extend(1i32.to_be_bytes()); // correlation id
    put_string(&mut frame, "compat-tests")?;
    frame.extend(body);
    stream.write_all(&i32::try_from(frame.len())?.to_be_bytes())?;
    stream.write_all(&frame)?;

    let mut size = [0; 4];
    stream.read_exact(&mut size)?;
    let size = usize::try_from(i32::from_be_bytes(size)).context("negative response size")?;
    ensure!((4..MAX_RESPONSE).contains(&size), "a response of {size} bytes");
    let mut response = vec![0; size];
    stream.read_exact(&mut response)?;
    Ok(response.split_off(4))
}

fn put_string(frame: &mut Vec<u8>, text: &str) -> Result<()> {
    frame.extend(i16::try_from(text.len())?.to_be_bytes());
    frame.extend(text.as_bytes());
    Ok(())
}

/// Reads big-endian fields from the front of a slice.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let Some((head, tail)) = self.0.split_at_checked(length) else {
            bail!("the answer ends {} bytes early", length - self.0.len());
        };
        self.0 = tail;
        Ok(head)
    }

    fn i16(&mut self) -> Result<i16> {
        Ok(i16::from_be_bytes(self.take(2)?.try_into()?))
    }

    fn i32(&mut self) -> Result<i32> {
        Ok(i32::from_be_bytes(self.take(4)?.try_into()?))
    }

    fn i64(&mut self) -> Result<i64> {
        Ok(i64::from_be_bytes(self.take(8)?.try_into()?))
    }
}

#[cfg(test)]
mod tests {
    use super::{BatchHeader, parse_batches};

    fn batch(base_offset: i64, attributes: i16, record_count: i32) -> Vec<u8> {
        let mut bytes = base_offset.to_be_bytes().to_vec();
        bytes.extend(49i32.to_be_bytes());
        bytes.extend(0i32.to_be_bytes());
        bytes.push(2);
        bytes.extend(0i32.to_be_bytes());
        bytes.extend(attributes.to_be_bytes());
        bytes.extend((record_count - 1).to_be_bytes());
        bytes.extend([0; 16]);
        bytes.extend(77i64.to_be_bytes());
        bytes.extend(0i16.to_be_bytes());
        bytes.extend(5i32.to_be_bytes());
        bytes.extend(record_count.to_be_bytes());
        bytes
    }

    #[test]
    fn whole_batches_are_read_and_a_cut_one_ends_them() {
        let mut records = [batch(10, 3, 4), batch(14, 4, 1)].concat();
        records.extend(&batch(15, 0, 1)[..60]);
        let mut found = Vec::new();
        assert_eq!(parse_batches(&records, 10, &mut found).unwrap(), 15);
        let first = BatchHeader {
            base_offset: 10,
            attributes: 3,
            producer_id: 77,
            base_sequence: 5,
            record_count: 4,
        };
        assert_eq!(found, [first, BatchHeader { base_offset: 14, attributes: 4, record_count: 1, ..first }]);
        assert_eq!(found[1].codec(), 4);
    }
}
