//! Every rule with a batch that breaks just that one.

use protocol::compression::compress;
use protocol::record_batch::HEADER_LEN;
use protocol::record_batch_builder::RecordBatchBuilder;

use super::*;

const NOW: i64 = 1_700_000_000_000;

fn config() -> TopicConfig {
    TopicConfig {
        max_message_bytes: 10_000,
        log_append_time: false,
        timestamp_before_max_ms: i64::MAX,
        timestamp_after_max_ms: 3_600_000,
        compacted: false,
        deletes: true,
        compression: None,
    }
}

fn check_with(records: &[u8], config: &TopicConfig, version: i16) -> Result<Checked, Rejection> {
    let rules = Rules { version, config, transactional_id: false, now_ms: NOW, topic: "t", partition: 0 };
    check(Some(Bytes::copy_from_slice(records)), &rules)
}

fn error_of(records: &[u8], config: &TopicConfig) -> ErrorCode {
    check_with(records, config, 9).expect_err("rejected").error
}

fn builder() -> RecordBatchBuilder {
    let mut batch = RecordBatchBuilder::new(0);
    batch.append(NOW, Some(b"key"), Some(b"value"));
    batch.append(NOW, Some(b"key"), None);
    batch
}

/// Changes bytes of a built batch and makes its checksum right again.
fn patched(at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut batch = builder().build().to_vec();
    batch[at..at + bytes.len()].copy_from_slice(bytes);
    let crc = crc(&batch);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    batch
}

/// The checksum that the batch would need, taken from the complaint about the one it has.
fn crc(batch: &[u8]) -> u32 {
    match RecordBatchView::parse(batch).unwrap().verify_crc() {
        Err(BatchError::Crc { computed, .. }) => computed,
        _ => RecordBatchView::parse(batch).unwrap().crc(),
    }
}

#[test]
fn a_sound_batch_passes_unchanged() {
    let bytes = builder().build();
    let checked = check_with(&bytes, &config(), 9).unwrap();
    assert_eq!(checked.batch.view().as_bytes(), &bytes[..]);
    assert_eq!(checked.log_append_time_ms, -1);
}

#[test]
fn partitions_carry_exactly_one_batch_of_magic_two() {
    let one = builder().build();
    assert_eq!(error_of(&[], &config()), ErrorCode::InvalidRecord);
    assert_eq!(error_of(&[&one[..], &one[..]].concat(), &config()), ErrorCode::InvalidRecord);
    assert_eq!(error_of(&one[..one.len() - 1], &config()), ErrorCode::InvalidRecord, "none is whole");
    assert_eq!(error_of(&[0, 0], &config()), ErrorCode::InvalidRecord);
    let mut old = one.to_vec();
    old[16] = 1;
    assert_eq!(error_of(&old, &config()), ErrorCode::InvalidRecord);
}

#[test]
fn what_follows_the_batch_and_is_none_is_cut_off() {
    let one = builder().build();
    for rest in [&[0_u8][..], &one[..one.len() - 1]] {
        let checked = check_with(&[&one[..], rest].concat(), &config(), 9).unwrap();
        assert_eq!(checked.batch.view().as_bytes(), &one[..]);
    }
}

#[test]
fn bytes_that_are_no_batch_of_any_magic_are_unreadable() {
    let mut bytes = builder().build().to_vec();
    assert_eq!(unreadable(&bytes), None);
    assert_eq!(unreadable(&bytes[..11]), None, "not even a size");
    bytes[16] = 3;
    assert_eq!(unreadable(&bytes).as_deref(), Some("Invalid magic found in record: 3"));
    bytes[8..12].copy_from_slice(&(-1_i32).to_be_bytes());
    let why = "Record size -1 is less than the minimum record overhead (14)";
    assert_eq!(unreadable(&bytes).as_deref(), Some(why));
    bytes[8..12].copy_from_slice(&i32::MAX.to_be_bytes());
    bytes[16] = 2;
    assert_eq!(unreadable(&bytes), None, "it is not all there");
}

#[test]
fn a_timestamp_type_of_the_client_is_cleared_where_records_keep_their_time() {
    let bytes = patched(22, &[0x08]);
    let checked = check_with(&bytes, &config(), 9).unwrap();
    assert_eq!(checked.batch.view().as_bytes(), &builder().build()[..]);
    let stamping = TopicConfig { log_append_time: true, ..config() };
    let rejection = check_with(&bytes, &stamping, 9).unwrap_err();
    assert_eq!((rejection.error, rejection.record_errors.len()), (ErrorCode::InvalidTimestamp, 2));
}

#[test]
fn a_wrong_checksum_is_corrupt() {
    let mut bytes = builder().build().to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    assert_eq!(error_of(&bytes, &config()), ErrorCode::CorruptMessage);
}

#[test]
fn header_lies_are_invalid_records() {
    assert_eq!(
        error_of(&patched(0, &5_i64.to_be_bytes()), &config()),
        ErrorCode::InvalidRecord,
        "base offset"
    );
    assert_eq!(
        error_of(&patched(23, &7_i32.to_be_bytes()), &config()),
        ErrorCode::InvalidRecord,
        "last delta"
    );
    assert_eq!(error_of(&patched(57, &0_i32.to_be_bytes()), &config()), ErrorCode::InvalidRecord, "count");
    assert_eq!(
        error_of(&patched(57, &i32::MAX.to_be_bytes()), &config()),
        ErrorCode::InvalidRecord,
        "huge count"
    );
    assert_eq!(
        error_of(&patched(21, &0x20_i16.to_be_bytes()), &config()),
        ErrorCode::InvalidRecord,
        "control"
    );
    assert_eq!(error_of(&patched(43, &9_i64.to_be_bytes()), &config()), ErrorCode::InvalidRecord, "sequence");
    assert_eq!(
        error_of(&patched(21, &0x07_i16.to_be_bytes()), &config()),
        ErrorCode::UnknownServerError,
        "codec"
    );
}

#[test]
fn a_count_that_the_records_do_not_have_is_invalid() {
    let mut batch = patched(23, &2_i32.to_be_bytes());
    batch[57..61].copy_from_slice(&3_i32.to_be_bytes());
    let crc = crc(&batch);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    assert_eq!(error_of(&batch, &config()), ErrorCode::InvalidRecord);
}

#[test]
fn zstd_needs_version_seven() {
    let zstd = patched(21, &0x04_i16.to_be_bytes());
    let refused = check_with(&zstd, &config(), 6).unwrap_err();
    assert_eq!(refused.error, ErrorCode::UnsupportedCompressionType);
    assert!(check_with(&zstd, &config(), 7).is_ok(), "compressed records are not looked into");
}

#[test]
fn a_batch_over_the_limit_is_too_large_even_when_damaged() {
    let bytes = builder().build();
    let tight = TopicConfig { max_message_bytes: bytes.len() - 1, ..config() };
    let rejection = check_with(&bytes, &tight, 9).unwrap_err();
    assert_eq!(rejection.error, ErrorCode::MessageTooLarge);
    assert_eq!((rejection.message, rejection.in_log), (None, false), "as Kafka says it");
    let exact = TopicConfig { max_message_bytes: bytes.len(), ..config() };
    assert!(check_with(&bytes, &exact, 9).is_ok());
}

#[test]
fn timestamps_outside_the_limits_are_named_record_by_record() {
    let mut batch = RecordBatchBuilder::new(0);
    batch.append(NOW, None, None);
    batch.append(NOW + 3_600_001, None, None);
    let bytes = batch.build();
    let rejection = check_with(&bytes, &config(), 9).unwrap_err();
    assert_eq!(rejection.error, ErrorCode::InvalidTimestamp);
    assert_eq!(rejection.record_errors.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [1]);
    let stamping = TopicConfig { log_append_time: true, ..config() };
    assert!(check_with(&bytes, &stamping, 9).is_ok());
    let mut old = RecordBatchBuilder::new(0);
    old.append(NOW - 1001, None, None);
    let bounded = TopicConfig { timestamp_before_max_ms: 1000, ..config() };
    assert_eq!(error_of(&old.build(), &bounded), ErrorCode::InvalidTimestamp);
}

#[test]
fn records_without_timestamp_are_fine() {
    let mut batch = RecordBatchBuilder::new(0);
    batch.append(-1, None, Some(b"v"));
    let bounded = TopicConfig { timestamp_before_max_ms: 0, ..config() };
    assert!(check_with(&batch.build(), &bounded, 9).is_ok());
}

#[test]
fn compacted_topics_want_a_key_on_every_record() {
    let compacted = TopicConfig { compacted: true, ..config() };
    assert!(check_with(&builder().build(), &compacted, 9).is_ok());
    let mut batch = builder();
    batch.append(NOW, None, Some(b"v"));
    let rejection = check_with(&batch.build(), &compacted, 9).unwrap_err();
    assert_eq!(rejection.error, ErrorCode::InvalidRecord);
    let message = "Compacted topic cannot accept message without key in topic partition t-0".to_owned();
    assert_eq!(rejection.record_errors, [(2, message)]);
    assert!(rejection.message.unwrap().ends_with(
        "at most: [RecordError(batchIndex=2, message='Compacted topic cannot accept message without key in topic partition t-0')]"
    ));
}

#[test]
fn a_greatest_timestamp_that_the_records_do_not_have_is_put_right() {
    let honest = builder().build();
    let newest = RecordBatchView::parse(&honest).unwrap().max_timestamp();
    for lie in [newest - 1, newest + 1, -1] {
        let mut lying = honest.to_vec();
        set_max_timestamp(&mut lying, lie).unwrap();
        let checked = check_with(&lying, &config(), 9).unwrap();
        assert_eq!(checked.batch.view().as_bytes(), &honest[..]);
    }
}

#[test]
fn log_append_time_stamps_attribute_timestamp_and_checksum() {
    let stamping = TopicConfig { log_append_time: true, ..config() };
    let checked = check_with(&builder().build(), &stamping, 9).unwrap();
    let view = checked.batch.view();
    assert!(view.is_log_append_time());
    assert_eq!((view.max_timestamp(), checked.log_append_time_ms), (NOW, NOW));
    assert_eq!(view.verify_crc(), Ok(()));
}

#[test]
fn transactional_batches_need_the_transactional_id_and_a_producer() {
    let transactional = builder().transactional().producer(1, 0, 0).build();
    assert_eq!(error_of(&transactional, &config()), ErrorCode::TransactionalIdAuthorizationFailed);
    let config = config();
    let rules =
        Rules { version: 9, config: &config, transactional_id: true, now_ms: NOW, topic: "t", partition: 0 };
    assert!(check(Some(transactional), &rules).unwrap().transactional);
    let nobody = builder().transactional().build();
    assert_eq!(check(Some(nobody), &rules).unwrap_err().error, ErrorCode::InvalidRecord);
}

/// `batch` with its records section replaced, and attributes that name the codec.
fn repacked(batch: &[u8], section: &[u8], codec_bits: u8) -> Vec<u8> {
    let mut out = [&batch[..HEADER_LEN], section].concat();
    let length = i32::try_from(out.len() - 12).unwrap();
    out[8..12].copy_from_slice(&length.to_be_bytes());
    out[22] |= codec_bits;
    let crc = crc(&out);
    out[17..21].copy_from_slice(&crc.to_be_bytes());
    out
}

#[test]
fn compressed_batches_of_a_compacted_topic_are_looked_into() {
    let compacted = TopicConfig { compacted: true, ..config() };
    let mut keyless = builder();
    keyless.append(NOW, None, Some(b"v"));
    let (sound, keyless) = (builder().build(), keyless.build());
    for (codec, bits) in [(Codec::Gzip, 1), (Codec::Snappy, 2), (Codec::Lz4, 3), (Codec::Zstd, 4)] {
        let packed = |batch: &[u8]| repacked(batch, &compress(codec, &batch[HEADER_LEN..]).unwrap(), bits);
        let mut lying = packed(&sound);
        set_max_timestamp(&mut lying, NOW + 5).unwrap();
        let checked = check_with(&lying, &compacted, 9).unwrap();
        assert_eq!(checked.batch.view().as_bytes(), packed(&sound), "{codec:?}");

        let rejection = check_with(&packed(&keyless), &compacted, 9).unwrap_err();
        let message = "Compacted topic cannot accept message without key in topic partition t-0".to_owned();
        assert_eq!(
            (rejection.error, rejection.record_errors),
            (ErrorCode::InvalidRecord, vec![(2, message)])
        );

        let mut twice = sound[HEADER_LEN..].to_vec();
        let half = twice.len() - 10; // the second record: ten bytes with its length, its offset delta is the fourth
        twice[half + 3] = 0;
        let rejection = check_with(&repacked(&sound, &compress(codec, &twice).unwrap(), bits), &compacted, 9)
            .unwrap_err();
        let expected = malformed(&RecordError::OffsetDelta { index: 1, found: 0 }).in_log();
        assert_eq!(rejection, expected, "{codec:?}");

        let garbage = repacked(&sound, &[0xff; 40], bits);
        assert_eq!(error_of(&garbage, &compacted), ErrorCode::UnknownServerError, "{codec:?}");
    }
}
