//! Reads all accounts from their beginning as a consumer of committed records, once or again and again beside the load.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use compat_tests::{clock, wire};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use rdkafka::{Offset, TopicPartitionList};

use crate::bank::{ACCOUNTS, Bank, client_config};
use crate::checker::{self, Findings, PartitionReading, Reading};
use crate::ledger::Ledger;

/// Reading must go on at least this often; Kafka takes 12 s to come back.
const STALL_LIMIT: Duration = Duration::from_secs(40);
/// Between two readings beside the load.
const REST: Duration = Duration::from_millis(100);

/// Every partition of the accounts up to its present last stable offset.
///
/// # Errors
/// The broker does not answer, or a partition stops short.
pub(crate) fn read(socket: SocketAddr, bank: &Bank, quiet: bool) -> Result<Reading> {
    let mut config = client_config(&socket.to_string());
    config.set("group.id", "money-reader").set("isolation.level", "read_committed");
    config.set("enable.auto.commit", "false").set("check.crcs", "true").set("auto.offset.reset", "error");
    let consumer: BaseConsumer = config.set("enable.partition.eof", "true").create()?;
    let mut assignment = TopicPartitionList::new();
    let (mut partitions, mut done) = (Vec::new(), Vec::new());
    for number in 0..bank.partitions {
        let end = wire::end_offset(socket, ACCOUNTS, number, true)?;
        assignment.add_partition_offset(ACCOUNTS, number, Offset::Offset(0))?;
        partitions.push(PartitionReading { end, records: Vec::new() });
        done.push(end == 0);
    }
    consumer.assign(&assignment)?;
    let mut heard = clock::now();
    while done.contains(&false) {
        match consumer.poll(Duration::from_millis(100)) {
            None => ensure!(heard.elapsed() < STALL_LIMIT, "the reader hears nothing any more"),
            Some(Ok(message)) => {
                heard = clock::now();
                let place = usize::try_from(message.partition())?;
                let partition = &mut partitions[place];
                if message.offset() >= partition.end {
                    done[place] = true;
                    continue;
                }
                let text = std::str::from_utf8(message.payload().unwrap_or_default());
                let part = text.map_err(|_| "no text".to_owned()).and_then(str::parse);
                partition.records.push((message.offset(), part));
            }
            // Behind all that is committed: what is left below the end is markers and aborted records.
            Some(Err(KafkaError::PartitionEOF(number))) => done[usize::try_from(number)?] = true,
            Some(Err(error)) => ensure!(is_passing(&error), "reading: {error}"),
        }
    }
    Ok(Reading { partitions, quiet })
}

/// The broker is away.
fn is_passing(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{AllBrokersDown, BrokerTransportFailure, OperationTimedOut, Resolve};
    let away = [AllBrokersDown, BrokerTransportFailure, OperationTimedOut, Resolve];
    error.rdkafka_error_code().is_some_and(|code| away.contains(&code))
}

/// What came of the readings beside the load.
#[derive(Debug, Clone, Default)]
pub(crate) struct Live {
    pub(crate) findings: Findings,
    /// Readings that came to their end.
    pub(crate) readings: u64,
    /// Readings that did not, by words: nearly all because the broker was killed.
    pub(crate) broken: BTreeMap<String, u64>,
}

/// The reader beside the load.
pub(crate) struct Reader {
    stop: Arc<AtomicBool>,
    live: Arc<Mutex<Live>>,
    thread: Option<JoinHandle<()>>,
}

impl Reader {
    pub(crate) fn start(socket: SocketAddr, bank: Bank, ledger: &Ledger) -> Self {
        let (stop, live) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Live::default())));
        let (stopped, seen, ledger) = (Arc::clone(&stop), Arc::clone(&live), ledger.clone());
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let outcome = read(socket, &bank, false);
                let mut live = lock(&seen);
                match outcome {
                    Ok(reading) => {
                        live.readings += 1;
                        live.findings.add(checker::check(&ledger.snapshot(), &reading));
                        ledger.shown(reading.parts());
                    }
                    Err(error) => *live.broken.entry(format!("{error:#}")).or_default() += 1,
                }
                drop(live);
                std::thread::sleep(REST);
            }
        });
        Self { stop, live, thread: Some(thread) }
    }

    pub(crate) fn live(&self) -> Live {
        lock(&self.live).clone()
    }

    /// Waits for the reading that is under way.
    ///
    /// # Errors
    /// The reader panicked.
    pub(crate) fn stop(&mut self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        let Some(thread) = self.thread.take() else { return Ok(()) };
        thread.join().map_err(|_| anyhow!("it panicked")).context("the reader")
    }
}

fn lock(live: &Mutex<Live>) -> MutexGuard<'_, Live> {
    live.lock().unwrap_or_else(PoisonError::into_inner)
}
