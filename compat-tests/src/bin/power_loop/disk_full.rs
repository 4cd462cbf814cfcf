//! A full disk: produce is refused, reads and deletes go on, and producing resumes by itself once there is room.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use compat_tests::broker::Broker;
use compat_tests::load::{Commits, Load, Places, Tally, check_all, create_topics};
use compat_tests::{clock, layout};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};
use rdkafka::{ClientContext, Offset, TopicPartitionList};
use tokio::runtime::{Builder, Runtime};

use crate::image::{Image, fill_up};
use crate::{Verdict, properties, say};

const IMAGE_BYTES: u64 = 160 << 20;
const FILE_BYTES: u64 = 4 << 20;
/// Deleted with its topic; its records lie among those of the load, so its files must be rewritten to give room.
const DOOMED: &str = "doomed";
const DOOMED_BYTES: usize = 40 << 20;
/// Emptied by DeleteRecords; it has whole files for itself.
const EMPTIED: &str = "emptied";
const EMPTIED_BYTES: usize = 20 << 20;
const VALUE_BYTES: usize = 64 << 10;
const FULL_LIMIT: Duration = Duration::from_secs(120);
/// Producing must go on within this time.
const RESUME_LIMIT: Duration = Duration::from_secs(10);
const CALL_LIMIT: Duration = Duration::from_secs(20);

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How often the whole is done, each time on a new file system
    #[arg(long, default_value_t = 1)]
    rounds: u32,
    /// Negative control: nothing is deleted, so producing must not go on
    #[arg(long)]
    without_delete: bool,
    /// Cuts the power too: on the full disk, without a byte left, and while room is made
    #[arg(long)]
    power_cuts: bool,
    /// Records of about 1 KiB per second
    #[arg(long, default_value_t = 16_000)]
    rate: u64,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Verdict> {
    let mut whole = Verdict { passed: true, report: String::new() };
    for round in 1..=arguments.rounds {
        say(&format!("round {round}: a disk of {} MiB", IMAGE_BYTES >> 20));
        let scratch = layout::scratch_dir("disk-full")?;
        let outcome = Test::start(arguments, &scratch).and_then(|test| test.run(arguments));
        std::fs::remove_dir(scratch).ok();
        let Verdict { passed, report } = outcome.with_context(|| format!("round {round}"))?;
        whole.passed &= passed;
        whole.report.push_str(&report);
    }
    Ok(whole)
}

/// The broker is dropped before its file system.
struct Test {
    broker: Broker,
    image: Image,
    places: Places,
    load: Load,
    commits: Commits,
    report: String,
    passed: bool,
}

impl Test {
    fn start(arguments: &Arguments, scratch: &Path) -> Result<Self> {
        let image = Image::create(scratch.join("image"), scratch.join("mount"), IMAGE_BYTES)?;
        let more = "onelog.admin.listen=127.0.0.1:0\n";
        let properties = format!("{}{more}", properties(FILE_BYTES, false));
        let broker = Broker::start_on(image.folder().join("data"), &properties)?;
        let address = broker.address();
        let give = |topic: &str, bytes: usize| {
            create_topics(&address, &Places { topics: vec![topic.to_owned()], partitions: 1 })?;
            let refused = Filler::new(&address)?.send(topic, bytes / VALUE_BYTES)?;
            ensure!(refused.is_none(), "{topic} is refused: {refused:?}");
            Ok(())
        };
        give(EMPTIED, EMPTIED_BYTES)?;
        let places =
            Places { topics: vec!["disk-full-0".to_owned(), "disk-full-1".to_owned()], partitions: 4 };
        create_topics(&address, &places)?;
        let load = Load::start(&address, &places, 4, arguments.rate, 1)?;
        give(DOOMED, DOOMED_BYTES)?;
        let commits = Commits::start(&address, "disk-full-group", &places.topics[0])?;
        Ok(Self { broker, image, places, load, commits, report: String::new(), passed: true })
    }

    fn run(mut self, arguments: &Arguments) -> Result<Verdict> {
        self.fill()?;
        self.read("reads on the full disk")?;
        self.expect("disk state while full", self.disk_state()?, 2);
        let floors = self.commits.floors();
        self.broker.restart().context("the restart on the full disk")?;
        let forgotten = self.commits.forgotten(&floors)?;
        self.expect("commits forgotten", forgotten, Vec::new());
        self.read("reads after a restart on it")?;
        if arguments.power_cuts {
            self.cut_power("reads after a power cut on it")?;
        }
        self.restart_without_a_byte(arguments.power_cuts)?;
        let refused = Filler::new(&self.broker.address())?.send(DOOMED, 1)?;
        self.expect("still refused with", refused, Some(RDKafkaErrorCode::KafkaStorageError));

        let (mut before, commits) = (self.load.acknowledged(), self.commits.acknowledged());
        let begun = clock::now();
        if !arguments.without_delete {
            self.delete_topic()?;
        }
        if arguments.power_cuts {
            // Files are rewritten and given up, one after the other, for about as long.
            std::thread::sleep(Duration::from_millis(fastrand::u64(0..400)));
            before = self.cut_power("reads after one on the way")?;
        }
        let resumed = clock::poll_until(RESUME_LIMIT, Duration::from_millis(5), || {
            Ok((self.load.acknowledged() > before).then(|| begun.elapsed()))
        })?;
        let words = resumed.map_or("never".to_owned(), |after| format!("{after:.1?}"));
        writeln!(self.report, "producing goes on after       {words}").ok();
        if arguments.without_delete {
            writeln!(self.report, "negative control: nothing was deleted, so it must not go on").ok();
            return Ok(Verdict { passed: self.passed && resumed.is_none(), report: self.report });
        }
        self.passed &= resumed.is_some();
        self.delete_records()?;
        self.load.finish()?;
        let committed = clock::poll_until(CALL_LIMIT, Duration::from_millis(50), || {
            Ok((self.commits.acknowledged() > commits).then_some(()))
        })?;
        self.expect("commits go on", committed.is_some(), true);
        self.commits.finish()?;
        self.read("reads at the end")?;
        self.expect("disk state at the end below 2", self.disk_state()? < 2, true);
        self.expect("failures of clients", self.load.failures().len(), 0);
        self.expect("panics of the broker", self.broker.output().matches("panicked").count(), 0);
        let ended = self.broker.exit_status();
        self.expect("end of the broker", ended, None);
        Ok(Verdict { passed: self.passed, report: self.report })
    }

    /// Waits until a producer that does not retry is refused.
    fn fill(&mut self) -> Result<()> {
        let filler = Filler::new(&self.broker.address())?;
        let refused = clock::poll_until(FULL_LIMIT, Duration::from_millis(200), || filler.send(DOOMED, 1))?;
        self.expect("a full disk refuses with", refused, Some(RDKafkaErrorCode::KafkaStorageError));
        let lines = self.broker.output().lines().filter(|line| line.contains("disk is full")).count();
        self.expect("lines in the log about it", lines, 1);
        Ok(())
    }

    /// Somebody else takes what the broker had left over, and gives it back after the start.
    fn restart_without_a_byte(&mut self, power_cut: bool) -> Result<()> {
        let foreign = self.image.folder().join("foreign");
        fill_up(&foreign)?;
        if power_cut {
            self.cut_power("reads after one without a byte")?;
        }
        self.broker.restart().context("the restart without a byte left")?;
        self.read("reads without a byte left")?;
        std::fs::remove_file(foreign)?;
        Ok(())
    }

    /// Processor first, then disk (see `cut`). What was answered before must be there after the start. Returns how many
    /// records had been acknowledged.
    fn cut_power(&mut self, what: &str) -> Result<u64> {
        self.broker.freeze()?;
        self.image.cut_power()?;
        self.broker.kill();
        let (floors, acknowledged) = (self.commits.floors(), self.load.acknowledged());
        self.image.remount()?;
        self.broker.restart().context("the restart after the power cut")?;
        let forgotten = self.commits.forgotten(&floors)?;
        self.expect("commits forgotten", forgotten, Vec::new());
        self.read(what)?;
        Ok(acknowledged)
    }

    fn read(&mut self, what: &str) -> Result<()> {
        let histories = self.load.histories();
        let tally: Tally = check_all(&self.broker.address(), &self.places, &histories)?;
        let (acknowledged, violations) = (tally.acknowledged, tally.violations());
        writeln!(self.report, "{what:<29} {acknowledged} acknowledged, {violations} violations").ok();
        for words in &tally.examples {
            writeln!(self.report, "  {words}").ok();
        }
        self.passed &= violations == 0 && acknowledged > 0;
        Ok(())
    }

    fn delete_topic(&self) -> Result<()> {
        let (admin, options, runtime) = self.admin()?;
        for deleted in runtime.block_on(admin.delete_topics(&[DOOMED], &options)).context("DeleteTopics")? {
            deleted.map_err(|(topic, code)| anyhow!("{topic} is not deleted: {code}"))?;
        }
        Ok(())
    }

    fn delete_records(&self) -> Result<()> {
        let (admin, options, runtime) = self.admin()?;
        let mut upto = TopicPartitionList::new();
        upto.add_partition_offset(EMPTIED, 0, Offset::End)?;
        let emptied = runtime.block_on(admin.delete_records(&upto, &options)).context("DeleteRecords")?;
        emptied.elements().iter().try_for_each(|element| element.error()).context("DeleteRecords")
    }

    fn admin(&self) -> Result<(AdminClient<DefaultClientContext>, AdminOptions, Runtime)> {
        let mut config = ClientConfig::new();
        let admin = config.set("bootstrap.servers", self.broker.address()).create()?;
        let options = AdminOptions::new().request_timeout(Some(CALL_LIMIT));
        Ok((admin, options, Builder::new_current_thread().enable_all().build()?))
    }

    /// `onelog_disk_state` of the metrics.
    fn disk_state(&self) -> Result<u8> {
        let output = self.broker.output();
        let (_, address) = output.rsplit_once("admin on http://").context("no admin endpoint in the log")?;
        let address = address.split_whitespace().next().unwrap_or_default();
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(CALL_LIMIT))?;
        write!(stream, "GET /metrics HTTP/1.1\r\nHost: onelog\r\nConnection: close\r\n\r\n")?;
        let mut metrics = String::new();
        stream.read_to_string(&mut metrics)?;
        let value = metrics.lines().find_map(|line| line.strip_prefix("onelog_disk_state "));
        Ok(value.context("no onelog_disk_state in the metrics")?.parse()?)
    }

    fn expect<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, found: T, expected: T) {
        let right = found == expected;
        let remark = if right { String::new() } else { format!(", NOT {expected:?}") };
        writeln!(self.report, "{what:<29} {found:?}{remark}").ok();
        self.passed &= right;
    }
}

/// A producer that takes the first answer for an answer.
struct Filler(BaseProducer<Answers>);

#[derive(Default)]
struct Answers(Arc<Mutex<Option<RDKafkaErrorCode>>>);

impl ClientContext for Answers {}

impl ProducerContext for Answers {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = error.rdkafka_error_code();
        }
    }
}

impl Filler {
    fn new(address: &str) -> Result<Self> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", address).set("acks", "all").set("retries", "0");
        Ok(Self(config.create_with_context(Answers::default())?))
    }

    /// Sends `count` values and returns the last refusal.
    fn send(&self, topic: &str, count: usize) -> Result<Option<RDKafkaErrorCode>> {
        let mut value = vec![0; VALUE_BYTES];
        let begun: Instant = clock::now();
        for _ in 0..count {
            fastrand::fill(&mut value);
            let mut record = BaseRecord::<(), [u8]>::to(topic).partition(0).payload(&value);
            while let Err((error, back)) = self.0.send(record) {
                ensure!(error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull), "{error}");
                ensure!(begun.elapsed() < FULL_LIMIT, "{topic} takes no records");
                record = back;
                self.0.poll(Duration::from_millis(5));
            }
            self.0.poll(Duration::ZERO);
        }
        self.0.flush(FULL_LIMIT)?;
        let answers = &self.0.client().context().0;
        Ok(answers.lock().unwrap_or_else(PoisonError::into_inner).take())
    }
}
