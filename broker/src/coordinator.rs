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

#[cfg(test)]
mod tests {
    use super::partition_for;

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
}
