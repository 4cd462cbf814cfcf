//! A device that runs out of room behind the file system's back, or breaks: pages that the kernel took cannot be written back,
//! and `fdatasync` says so once (ENOSPC, EIO). After that the page cache is a lie, so the broker must end without another
//! acknowledgement.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use compat_tests::broker::Broker;
use compat_tests::load::{Load, Places, Violation, check_all, create_topics};
use compat_tests::{clock, layout};

use crate::image::{Image, SmallDevice};
use crate::{Verdict, properties, say};

const DEVICE_BYTES: u64 = 48 << 20;
/// Of one that breaks: it has room for the image.
const WHOLE_DEVICE_BYTES: u64 = 1 << 30;
/// The file system believes that it has this much.
const IMAGE_BYTES: u64 = 512 << 20;
const FILE_BYTES: u64 = 4 << 20;
/// What the broker says when a write or sync failed.
const STOPPED: &str = "the log stops";
/// Without syncs nobody notices: the load goes on for this long then.
const UNNOTICED: Duration = Duration::from_secs(20);
const END_LIMIT: Duration = Duration::from_secs(60);
/// Before a device breaks.
const HEALTHY: Duration = Duration::from_secs(2);

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Negative control: acknowledges without syncing, and must lose records
    #[arg(long)]
    without_sync: bool,
    /// The device breaks under load: all that it is asked for fails (EIO)
    #[arg(long)]
    device_breaks: bool,
    /// Records of about 1 KiB per second
    #[arg(long, default_value_t = 8000)]
    rate: u64,
    /// Repeats the records of an earlier run; its timing is the machine's
    #[arg(long)]
    seed: Option<u64>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Verdict> {
    let flush = if arguments.without_sync { "acknowledging WITHOUT syncing" } else { "flush=sync" };
    let seed = arguments.seed.unwrap_or_else(|| fastrand::u64(..));
    let (device, image) = (DEVICE_BYTES >> 20, IMAGE_BYTES >> 20);
    let device = if arguments.device_breaks {
        "a device that breaks".to_owned()
    } else {
        format!("a device of {device} MiB that says it has {image}")
    };
    say(&format!("{device}, {flush}, --seed {seed}"));
    let scratch = layout::scratch_dir("sync-failure")?;
    let verdict = test(arguments, seed, &scratch);
    std::fs::remove_dir(scratch).ok();
    verdict
}

fn test(arguments: &Arguments, seed: u64, scratch: &Path) -> Result<Verdict> {
    let (mut device, folder) = (Device::create(arguments, scratch)?, scratch.join("mount"));
    let mut image = Image::create(device.folder().join("image"), folder, IMAGE_BYTES)?;
    image.write_page_by_page()?;
    let data = image.folder().join("data");
    let mut broker = Broker::start_on(data, &properties(FILE_BYTES, arguments.without_sync))?;
    let address = broker.address();
    let places =
        Places { topics: vec!["sync-failure-0".to_owned(), "sync-failure-1".to_owned()], partitions: 4 };
    create_topics(&address, &places)?;
    // What the load needs stays: it is records that must be lost.
    image.sync()?;
    let mut load = Load::start(&address, &places, 4, arguments.rate, seed)?;

    if let Device::Breaks(device) = &device {
        std::thread::sleep(HEALTHY);
        // In between: ext4 lets an `fdatasync` that runs while it is shut down return success (see `cut`).
        broker.while_frozen(|| device.cut_power())?;
    }
    let limit = if arguments.without_sync { UNNOTICED } else { END_LIMIT };
    let status = clock::poll_until(limit, Duration::from_millis(5), || Ok(broker.exit_status()))?;
    let acknowledged = load.acknowledged();
    let output = broker.output();
    broker.kill();
    device.mend(&mut image, scratch)?;
    broker.restart().context("the restart on a whole device")?;
    let histories = load.histories();
    let begun = clock::poll_until(END_LIMIT, Duration::from_millis(5), || {
        Ok((load.acknowledged() > acknowledged).then_some(()))
    })?;
    let mut failures = Vec::new();
    let tally = if arguments.without_sync {
        check_all(&address, &places, &histories)?
    } else {
        failures.extend(load.finish().err().map(|error| format!("{error:#}")));
        failures.extend(load.failures());
        check_all(&address, &places, &load.histories())?
    };

    let ended = status.is_some_and(|status| status.code() == Some(1));
    let line = output.lines().find(|line| line.contains(STOPPED));
    let panics = output.matches("panicked").count();
    let lost = tally.count(Violation::Lost);
    let mut report = String::new();
    let end = status.map_or("none".to_owned(), |status| status.to_string());
    writeln!(report, "end of the broker      {end}").ok();
    writeln!(report, "its words              {}", line.unwrap_or("none")).ok();
    writeln!(report, "panics                 {panics}").ok();
    writeln!(report, "acknowledged until it  {acknowledged}").ok();
    writeln!(report, "goes on after it       {}", begun.is_some()).ok();
    write!(report, "{tally}").ok();
    for words in tally.examples.iter().chain(failures.iter().take(20)) {
        writeln!(report, "  {words}").ok();
    }
    let clean = ended && line.is_some() && panics == 0 && begun.is_some() && failures.is_empty();
    if arguments.without_sync {
        writeln!(report, "negative control: it must lose records, and lost {lost}").ok();
        return Ok(Verdict { passed: lost > 0, report });
    }
    Ok(Verdict { passed: clean && acknowledged > 0 && tally.violations() == 0, report })
}

/// What the file system is in.
enum Device {
    RunsOut(SmallDevice),
    /// Itself a file system, which is shut down.
    Breaks(Image),
}

impl Device {
    fn create(arguments: &Arguments, scratch: &Path) -> Result<Self> {
        let folder = scratch.join("device");
        if arguments.device_breaks {
            return Image::create(scratch.join("device.image"), folder, WHOLE_DEVICE_BYTES).map(Self::Breaks);
        }
        SmallDevice::create(folder, DEVICE_BYTES).map(Self::RunsOut)
    }

    fn folder(&self) -> &Path {
        match self {
            Self::RunsOut(device) => device.folder(),
            Self::Breaks(device) => device.folder(),
        }
    }

    /// What `image` has on it goes on, on a device that works.
    fn mend(&mut self, image: &mut Image, scratch: &Path) -> Result<()> {
        match self {
            Self::RunsOut(_) => image.move_to(scratch.join("image")),
            Self::Breaks(device) => image.remount_over(device),
        }
    }
}
