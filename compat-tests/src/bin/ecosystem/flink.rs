//! Apache Flink with its Kafka connector (`drivers/flink/FlinkCopy.java`): a job copies a topic in transactions that end with
//! its checkpoints, and is killed with -9 twice in the middle.
//!
//! Its producers do what no other program here does: a new process takes up a transaction of the killed one with the producer
//! id and epoch that the checkpoint names and commits it, without InitProducerId, and aborts what else was left open. The
//! values that go in are known: a reader of committed records must see each of them once, although transactions time out only
//! after the test.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use compat_tests::broker::{Broker, BrokerKind};
use compat_tests::{clock, layout, setup};

use crate::program::{Folder, Program};
use crate::records::{self, Isolation, Reader};

const PARTITIONS: i32 = 3;
const PART: usize = 2_000;
const KILLS: usize = 2;
const LIMIT: Duration = Duration::from_secs(90);
/// What must not come gets this long to come.
const GRACE: Duration = Duration::from_secs(2);

/// `naming` is the connector's `TransactionNamingStrategy`.
pub(crate) fn run(kind: BrokerKind, naming: &str) -> Result<String> {
    let broker = Broker::start(kind)?;
    let address = broker.address();
    let folder = Folder::new("flink")?;
    records::create_topic(&address, "input", PARTITIONS, &[])?;
    records::create_topic(&address, "output", PARTITIONS, &[])?;
    let feed = |part: usize| {
        let values: Vec<String> =
            (part * PART..(part + 1) * PART).map(|number| format!("value {number}")).collect();
        records::produce(&address, "input", None, &values)
    };
    feed(0)?;
    let arguments = [&address, &layout::unique("flink-copy"), naming].map(Into::into).into_iter();
    let places = [folder.path("checkpoints").into_os_string(), "input".into(), "output".into()];
    let mut job =
        Program::start_with(setup::flink_class_path()?, "FlinkCopy", arguments.chain(places).collect())?;
    let mut reader = Reader::new(&address, "output", PARTITIONS, Isolation::Committed)?;
    let mut everything = Reader::new(&address, "output", PARTITIONS, Isolation::Uncommitted)?;
    let mut written = 0;
    let mut copied: BTreeMap<String, usize> = BTreeMap::new();
    for part in 1..=KILLS {
        // Committed values come only with a checkpoint, so there is one to go on from, and the next is a while away.
        reach(&mut job, &mut reader, &mut copied, part * PART)?;
        written += everything.drain()?.len();
        let middle = written + PART / 4;
        feed(part)?;
        job.until("a value in the middle", LIMIT, || {
            written += everything.some()?.len();
            Ok((written >= middle).then_some(()))
        })?;
        job.restart()?;
    }
    reach(&mut job, &mut reader, &mut copied, (KILLS + 1) * PART)?;
    clock::poll_until(GRACE, GRACE / 10, || Ok(None::<()>))?;
    count(&mut copied, reader.drain()?);
    job.kill();
    let twice = copied.iter().find(|(_, times)| **times != 1);
    ensure!(twice.is_none() && copied.len() == (KILLS + 1) * PART, "{} values, {twice:?}", copied.len());
    // Values of transactions that were open when the job was killed are there, aborted.
    written += everything.drain()?.len();
    ensure!(written > copied.len(), "no transaction was open at a kill: it proves nothing");
    Ok(format!("{} values, {written} written, killed {KILLS} times", copied.len()))
}

/// Reads until so many different values were committed.
fn reach(
    job: &mut Program,
    reader: &mut Reader,
    copied: &mut BTreeMap<String, usize>,
    values: usize,
) -> Result<()> {
    let reached = job.until("the last value", LIMIT, || {
        count(copied, reader.some()?);
        Ok((copied.len() >= values).then_some(()))
    });
    reached.with_context(|| format!("{} of {values} values", copied.len()))
}

fn count(copied: &mut BTreeMap<String, usize>, records: Vec<records::Record>) {
    for record in records {
        *copied.entry(record.value).or_default() += 1;
    }
}
