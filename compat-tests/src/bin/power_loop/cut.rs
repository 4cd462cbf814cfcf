//! Power cuts: the file system stops in the middle of the load, loses what was not synced, and is mounted again.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use compat_tests::broker::Broker;
use compat_tests::load::{Commits, Load, Places, Tally, Violation, check_all, create_topics, spread};
use compat_tests::{clock, layout};

use crate::image::Image;
use crate::topics::Topics;
use crate::{Verdict, properties, say};

const GROUP: &str = "power-loop-group";
/// Blocks of the image are only there once they are written.
const IMAGE_BYTES: u64 = 16 << 30;
const FILE_BYTES: u64 = 16 << 20;
const EXAMPLES: usize = 20;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How often the power is cut
    #[arg(long, default_value_t = 30)]
    rounds: u32,
    /// Negative control: acknowledges without syncing, and must lose records
    #[arg(long)]
    without_sync: bool,
    /// Idempotent producers with acks=all
    #[arg(long, default_value_t = 4)]
    producers: usize,
    /// Records of about 1 KiB per second, all producers together
    #[arg(long, default_value_t = 8000)]
    rate: u64,
    /// Shortest time from ready to the cut, in milliseconds
    #[arg(long, default_value_t = 50)]
    shortest: u64,
    /// Longest time from ready to the cut, in milliseconds
    #[arg(long, default_value_t = 2000)]
    longest: u64,
    /// Read and check everything after each so many rounds too, under load; 0: only at the end
    #[arg(long, default_value_t = 10)]
    check_every: u32,
    /// Repeats the moments and places of an earlier run; its timing is the machine's
    #[arg(long)]
    seed: Option<u64>,
    /// The rounds may take this many seconds in all
    #[arg(long, default_value_t = 1800)]
    limit: u64,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Verdict> {
    ensure!(arguments.producers > 0 && arguments.rounds > 0, "there must be a load and a round");
    ensure!(arguments.shortest <= arguments.longest, "--shortest must not be above --longest");
    let seed = arguments.seed.unwrap_or_else(|| fastrand::u64(..));
    let flush = if arguments.without_sync { "acknowledging WITHOUT syncing" } else { "flush=sync" };
    say(&format!("{} power cuts, {flush}, --seed {seed}", arguments.rounds));

    let scratch = layout::scratch_dir("power")?;
    let image = Image::create(scratch.join("image"), scratch.join("mount"), IMAGE_BYTES)?;
    let data = image.folder().join("data");
    // A producer that looks for a deleted topic must not bring it back.
    let more = "auto.create.topics.enable=false\n";
    let properties = format!("{}{more}", properties(FILE_BYTES, arguments.without_sync));
    let broker = Broker::start_on(data, &properties)?;
    let address = broker.address();
    let places =
        Places { topics: (0..3).map(|number| format!("power-loop-{number}")).collect(), partitions: 4 };
    create_topics(&address, &places)?;
    if arguments.without_sync {
        // What the load needs stays: it is records that must be lost.
        image.sync()?;
    }
    let load = Load::start(&address, &places, arguments.producers, arguments.rate, seed)?;
    let commits = Commits::start(&address, GROUP, &places.topics[0])?;
    let topics = Topics::start(&address)?;
    let random = fastrand::Rng::with_seed(seed);
    let report = Report::default();
    let mut run = Run { broker, image, places, load, commits, topics, random, report };
    let finished = run.rounds(arguments).and_then(|()| run.finish(arguments.without_sync));
    let verdict = finished.map(|()| run.verdict(arguments.without_sync));
    if verdict.as_ref().map_or(true, |verdict| !verdict.passed) {
        say(&format!("the file system is kept: {}", run.image.keep().display()));
    }
    drop(run);
    std::fs::remove_dir(scratch).ok();
    verdict
}

/// Everything that lives through the rounds. The broker is dropped before its file system.
struct Run {
    broker: Broker,
    image: Image,
    places: Places,
    load: Load,
    commits: Commits,
    topics: Topics,
    random: fastrand::Rng,
    report: Report,
}

#[derive(Debug, Default)]
struct Report {
    rounds: u32,
    rounds_with_records: u32,
    rounds_with_commits: u32,
    /// From the start of the broker to its first answer, each.
    starts: Vec<Duration>,
    tally: Tally,
    commits: u64,
    topics: usize,
    /// Files of live batches copied out of mostly dead files, at the end.
    rewritten_files: usize,
    forgotten_count: usize,
    forgotten: Vec<String>,
    /// Clients that gave up.
    failures: Vec<String>,
    panics: usize,
}

impl Run {
    fn rounds(&mut self, arguments: &Arguments) -> Result<()> {
        let deadline = clock::now() + Duration::from_secs(arguments.limit);
        for round in 1..=arguments.rounds {
            ensure!(clock::now() < deadline, "--limit is over after {} rounds", round - 1);
            let wait = Duration::from_millis(self.random.u64(arguments.shortest..=arguments.longest));
            self.round(wait).with_context(|| format!("round {round}"))?;
            let due = arguments.check_every > 0 && round % arguments.check_every == 0;
            if due || arguments.without_sync {
                self.report.tally = self.check()?;
                let (acknowledged, violations) =
                    (self.report.tally.acknowledged, self.report.tally.violations());
                say(&format!("after round {round}: {acknowledged} acknowledged, {violations} violations"));
                if violations > 0 {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn round(&mut self, wait: Duration) -> Result<()> {
        let (records, commits) = (self.load.acknowledged(), self.commits.acknowledged());
        std::thread::sleep(wait);
        // Processor first, then disk: ext4 lets the `fdatasync` that runs while it is shut down return success without its
        // data being safe (8 of 60 times with nothing but a loop of writes). Where power goes nobody would hear of it.
        self.broker.freeze()?;
        self.image.cut_power()?;
        self.broker.kill();
        self.report.rounds += 1;
        self.report.rounds_with_records += u32::from(self.load.acknowledged() > records);
        self.report.rounds_with_commits += u32::from(self.commits.acknowledged() > commits);
        // Whatever was answered came from before the cut.
        let (floors, known) = (self.commits.floors(), self.topics.known());
        self.image.remount()?;
        let started = clock::now();
        self.broker.restart()?;
        self.report.starts.push(started.elapsed());
        let mut forgotten = self.commits.forgotten(&floors)?;
        forgotten.extend(self.topics.forgotten(&known)?);
        self.report.forgotten_count += forgotten.len();
        self.report.forgotten.extend(forgotten);
        self.report.forgotten.truncate(EXAMPLES);
        Ok(())
    }

    fn check(&self) -> Result<Tally> {
        check_all(&self.broker.address(), &self.places, &self.load.histories())
    }

    fn finish(&mut self, without_sync: bool) -> Result<()> {
        let proven = without_sync && self.report.tally.violations() > 0;
        // Producers that were lied to may wait for ever.
        if !proven {
            let stopped = self.load.finish().and(self.commits.finish()).and(self.topics.finish());
            self.report.failures.extend(stopped.err().map(|error| format!("{error:#}")));
            self.report.failures.extend(self.load.failures());
            self.report.tally = self.check()?;
        }
        self.report.commits = self.commits.acknowledged();
        self.report.topics = self.topics.known().len();
        self.report.rewritten_files = self.rewritten_files()?;
        self.report.panics = self.broker.output().matches("panicked").count();
        Ok(())
    }

    /// Their names begin at 2^62 (`docs/STORAGE_FORMAT.md`).
    fn rewritten_files(&self) -> Result<usize> {
        let mut count = 0;
        for entry in std::fs::read_dir(self.image.folder().join("data").join("commitlog"))? {
            let name = entry?.file_name().to_string_lossy().parse::<u64>();
            count += usize::from(name.is_ok_and(|base| base >= 1 << 62));
        }
        Ok(count)
    }

    fn verdict(&self, without_sync: bool) -> Verdict {
        let report = &self.report;
        let clean = report.tally.violations() == 0
            && report.forgotten_count == 0
            && report.failures.is_empty()
            && report.panics == 0;
        let lost = report.tally.count(Violation::Lost);
        let mut text = String::new();
        writeln!(text, "power cuts             {}", report.rounds).ok();
        writeln!(text, "  with records         {}", report.rounds_with_records).ok();
        writeln!(text, "  with commits         {}", report.rounds_with_commits).ok();
        write!(text, "{}", report.tally).ok();
        writeln!(text, "commits acknowledged   {}", report.commits).ok();
        writeln!(text, "topics created         {}", report.topics).ok();
        writeln!(text, "files rewritten        {}", report.rewritten_files).ok();
        writeln!(text, "forgotten              {}", report.forgotten_count).ok();
        writeln!(text, "failures of clients    {}", report.failures.len()).ok();
        writeln!(text, "panics of the broker   {}", report.panics).ok();
        writeln!(text, "start to first answer  {}", spread(&report.starts)).ok();
        let examples = report.tally.examples.iter().chain(&report.forgotten);
        for words in examples.chain(report.failures.iter().take(EXAMPLES)) {
            writeln!(text, "  {words}").ok();
        }
        if without_sync {
            writeln!(text, "negative control: it must lose records, and lost {lost}").ok();
        }
        Verdict { passed: if without_sync { lost > 0 } else { clean }, report: text }
    }
}
