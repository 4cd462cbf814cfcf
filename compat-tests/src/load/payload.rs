//! The value of a record: where it belongs in words, then filler that follows from the words, so that a record tells by
//! itself whether it is in the right place and undamaged.

use std::str::FromStr;

use super::checker::Origin;

/// Values are this long, give or take an eighth, so that frames do not all end at the same places.
const TYPICAL_LEN: usize = 1024;

/// The value of record `origin` in `partition` of `topic`.
pub(super) fn encode(topic: &str, partition: i32, origin: Origin) -> Vec<u8> {
    let Origin { producer, sequence } = origin;
    let mut value = format!("{topic} {partition} {producer} {sequence} ").into_bytes();
    let seed = value.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3) // FNV-1a
    });
    let mut random = fastrand::Rng::with_seed(seed);
    let len = random.usize(TYPICAL_LEN * 7 / 8..TYPICAL_LEN * 9 / 8).max(value.len());
    // Repeats, as real values do, so that the codecs have something to find.
    let mut filler = [0; 64];
    random.fill(&mut filler);
    while value.len() < len {
        let take = filler.len().min(len - value.len());
        value.extend_from_slice(&filler[..take]);
    }
    value
}

/// Reads a value that was found in `partition` of `topic`.
///
/// # Errors
/// It was not written for that place, or it is not what was written.
pub(super) fn decode(topic: &str, partition: i32, value: &[u8]) -> Result<Origin, String> {
    let damaged =
        || format!("not a value of ours: {:?}", String::from_utf8_lossy(&value[..value.len().min(60)]));
    let mut words = value.splitn(5, |byte| *byte == b' ').map(|word| std::str::from_utf8(word).ok());
    let written_topic = words.next().flatten().ok_or_else(damaged)?;
    let written_partition: i32 = number(words.next().flatten()).ok_or_else(damaged)?;
    let producer = number(words.next().flatten()).ok_or_else(damaged)?;
    let sequence = number(words.next().flatten()).ok_or_else(damaged)?;
    let origin = Origin { producer, sequence };
    if (written_topic, written_partition) != (topic, partition) {
        return Err(format!("it belongs to {written_topic}-{written_partition}"));
    }
    if encode(topic, partition, origin) != value {
        return Err(format!("{producer}/{sequence} with other content than it was sent with"));
    }
    Ok(origin)
}

fn number<T: FromStr>(word: Option<&str>) -> Option<T> {
    word?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGIN: Origin = Origin { producer: 3, sequence: 123_456 };

    #[test]
    fn value_is_about_a_kibibyte_and_reads_back() {
        let value = encode("topic", 7, ORIGIN);
        assert!((896..1152).contains(&value.len()), "{}", value.len());
        assert_eq!(decode("topic", 7, &value), Ok(ORIGIN));
    }

    #[test]
    fn value_in_the_wrong_partition_or_topic_is_noticed() {
        let value = encode("topic", 7, ORIGIN);
        assert!(decode("topic", 8, &value).unwrap_err().contains("belongs to topic-7"));
        assert!(decode("other", 7, &value).unwrap_err().contains("belongs to topic-7"));
    }

    #[test]
    fn one_changed_or_missing_byte_is_noticed() {
        let value = encode("topic", 7, ORIGIN);
        for place in 0..value.len() {
            let mut damaged = value.clone();
            damaged[place] ^= 1;
            assert_ne!(decode("topic", 7, &damaged), Ok(ORIGIN), "byte {place}");
        }
        assert_ne!(decode("topic", 7, &value[..value.len() - 1]), Ok(ORIGIN));
    }
}
