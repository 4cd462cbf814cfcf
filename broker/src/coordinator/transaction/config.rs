//! What the transaction coordinator is configured with. Read once at start by the shell; the value never changes it.

use std::time::Duration;

/// Settings of the transaction coordinator, with Kafka's defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionConfig {
    /// Partitions of `__transaction_state` (`transaction.state.log.num.partitions`).
    pub partitions: i32,
    /// Largest timeout a producer may ask for, milliseconds (`transaction.max.timeout.ms`).
    pub max_timeout_ms: i32,
    /// How often transactions are looked through for those past their timeout
    /// (`transaction.abort.timed.out.transaction.cleanup.interval.ms`).
    pub timeout_check_interval: Duration,
    /// Age at which an id without an open transaction is forgotten (`transactional.id.expiration.ms`).
    pub id_expiration: Duration,
    /// How late that may be noticed (`transaction.remove.expired.transaction.cleanup.interval.ms`).
    pub id_expiration_check_interval: Duration,
    /// How long partitions that a produce request adds wait for the previous transaction to complete
    /// (`add.partitions.to.txn.retry.backoff.max.ms`).
    pub completion_patience: Duration,
    /// Pause before markers that could not be written are tried again.
    pub marker_retry: Duration,
    /// Most transactional ids; a request that would create one more is answered POLICY_VIOLATION.
    pub max_ids: usize,
    /// Most bytes of one record; at most `max.message.bytes` of `__transaction_state`, less the batch header. A transaction
    /// that does not fit is refused as Kafka refuses it on append, with UNKNOWN_SERVER_ERROR.
    pub max_append_bytes: usize,
}

impl Default for TransactionConfig {
    fn default() -> Self {
        Self {
            partitions: 50,
            max_timeout_ms: 900_000,
            timeout_check_interval: Duration::from_secs(10),
            id_expiration: Duration::from_hours(7 * 24),
            id_expiration_check_interval: Duration::from_hours(1),
            completion_patience: Duration::from_millis(100),
            marker_retry: Duration::from_millis(100),
            max_ids: 1_000_000,
            max_append_bytes: 1_000_000,
        }
    }
}
