//! Coordinators: the state that consumer groups (and, beside them, transactions) keep in a broker.
//!
//! Every coordinator here is a plain value in the verbs of sans-IO: `handle(now, event)`, `handle_timeout(now)`,
//! `next_timeout()`, `take_effects()`. It owns decisions and nothing else: no socket, task, channel, lock, file or clock.
//! The async shell feeds it and carries out its effects; the API handlers only translate between wire and events.
//!
//! **Invariant:** what a coordinator tells a client about written state is told after the write is durable.

mod deadlines;
pub(crate) mod effect;
mod event;
pub mod group;
mod load;
pub(crate) mod markers;
mod outbox;
pub(crate) mod runtime;
pub mod share;
pub(crate) mod share_runtime;
pub(crate) mod shell;
mod state_log;
pub mod transaction;
pub(crate) mod transaction_runtime;
mod wire;

use uuid::Uuid;

/// The partition of an internal topic (`__consumer_offsets`, `__transaction_state`) that owns `key`.
///
/// The same number as Kafka's `Utils.abs(key.hashCode()) % partitions`, so that both brokers agree on every log: Java's
/// hash runs over UTF-16 units, and its `abs` maps the smallest integer to 0. With no partitions the answer is 0.
#[must_use]
pub fn partition_for(key: &str, partitions: i32) -> i32 {
    let hash =
        key.encode_utf16().fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    hash.checked_abs().unwrap_or(0).checked_rem(partitions).unwrap_or(0)
}

/// URL-safe base64 without padding, as Kafka's `Uuid.toString`: 22 characters.
pub(crate) fn base64_id(id: Uuid) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let bits = id.as_u128();
    // 128 bits are 21 groups of six and one of two, which is filled up with zeros.
    (0..22)
        .map(|group| {
            let shifted = if group < 21 { bits >> (122 - 6 * group) } else { bits << 4 };
            let six = shifted & 0x3f;
            char::from(ALPHABET[usize::try_from(six).expect("six bits")])
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{base64_id, partition_for};

    #[test]
    fn partition_is_the_one_that_java_computes() {
        // Printed by Kafka 4.3.1's own `Utils.abs(group.hashCode()) % 50`.
        let expected = [
            ("", 0),
            ("grp", 29),
            ("my-group", 12),
            ("group-é", 33),
            ("日本", 47),
            ("𝄞clef", 28),
            ("polygenelubricants", 0), // hash code Integer.MIN_VALUE
            ("connect-cluster", 13),
        ];
        for (group, partition) in expected {
            assert_eq!(partition_for(group, 50), partition, "{group}");
        }
    }

    #[test]
    fn partition_of_a_topic_without_partitions_is_zero() {
        assert_eq!(partition_for("grp", 0), 0);
    }

    #[test]
    fn ids_are_written_as_kafka_writes_them() {
        assert_eq!(base64_id(uuid::Uuid::nil()), "AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(base64_id(uuid::Uuid::max()), "_____________________w");
        // Kafka's `new Uuid(1, 2)`.
        assert_eq!(base64_id(uuid::Uuid::from_u64_pair(1, 2)), "AAAAAAAAAAEAAAAAAAAAAg");
    }
}
