//! What the tests of `onelog`'s commands share: a directory that no broker has open.
#![allow(unreachable_pub, clippy::unwrap_used, reason = "each test binary has its own copy")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use storage::disk::LocalDisk;
use storage::{CompactionLimits, FlushMode, LogPolicy, Store, StoreConfig, SystemClock};

/// Opens it without threads, in small files, and keeps everything.
pub fn open(dir: &Path) -> Arc<Store> {
    let config = StoreConfig {
        dir: dir.to_owned(),
        file_size: 64 * 1024,
        flush: FlushMode::Os,
        checkpoint_bytes: u64::MAX,
        producer_expiration: Arc::new(|_| Duration::MAX),
        retention_check: Duration::from_secs(u64::MAX),
        policies: Arc::new(|_, _, _| LogPolicy::default()),
        compaction: CompactionLimits::default(),
        threads: false,
    };
    Store::open(config, Arc::new(LocalDisk), Arc::new(SystemClock), Box::new(|_| {})).unwrap().0
}
