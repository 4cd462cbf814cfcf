//! How many bytes reach the device for each byte of a user.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use anyhow::Result;
use rustix::fs::FallocateFlags;
use serde::Serialize;

use crate::batches::{BatchShape, BatchTemplate, count};
use crate::broker_process::{Broker, Subject};
use crate::closed_loop::{self, Pace};
use crate::load::Load;
use crate::loop_device::LoopDevice;
use crate::onelog::Flush;
use crate::session::Session;
use crate::table::{Figure, Limit};
use crate::topics::TopicSet;

pub(super) const ABOUT: &str = "ext4 on a loop device, one connection with one 64 KiB batch in flight, so that every \
    batch is synced by itself; sectors written by the device until all is written back, divided by user bytes; Kafka \
    with flush.messages=1. Recycled files: a topic that keeps 32 MiB in files of 64 MiB, after as much was written before. \
    Beside it what the file system alone costs: pieces of a frame's size by pwrite and fdatasync. Each rewrites the page \
    that the last one ended in; on space that was never written three or four blocks of the journal say that it is now. \
    Needs root";

const IMAGE_BYTES: u64 = 6 << 30;
/// Enough that a file is filled and the next begun.
const BYTES: u64 = 400 << 20;
const SETTLE: Duration = Duration::from_secs(2);
/// Of a frame that is a group of its own, around its batch.
const FRAME_HEAD: usize = 72;
const PLAIN_PIECES: u64 = 1000;

#[derive(Debug, Clone, Serialize)]
struct Written {
    device_bytes: u64,
    user_bytes: u64,
    commits: u64,
}

impl Written {
    fn per_byte(&self) -> f64 {
        self.device_bytes as f64 / self.user_bytes as f64
    }
}

pub(super) fn run(session: &mut Session) -> Result<Vec<Figure>> {
    let what = "device bytes per user byte, 64 KiB groups, flush=sync";
    let limit = Some(Limit::AtMost(1.1));
    let device = match LoopDevice::mount(session.run_folder(), IMAGE_BYTES) {
        Ok(device) => device,
        Err(error) => {
            let note = format!("not run: {error:#}");
            return Ok(vec![Figure { what: what.to_owned(), unit: "B/B", limit, note, ..Figure::default() }]);
        }
    };
    let passes = [new_files(session, &device, what)?, recycled_files(session, &device, what)?];
    let mut floor = Vec::new();
    for (space, is_written) in [("written space", true), ("space never written", false)] {
        let what = format!("device bytes per user byte, the same pieces by pwrite and fdatasync, {space}");
        let run = || plain(&device, is_written);
        let written = session.measure("device-bytes", &what, Subject::Onelog, run)?.value;
        floor.push((what, written));
    }
    let mut kafka = None;
    if let Some(mut broker) = session.unstarted_kafka(Some(device.path()))? {
        broker.start()?;
        let mut topics = TopicSet::create(broker.address(), 1, &[("flush.messages", "1")])?;
        let run = || load(&broker, &device, &mut topics);
        kafka = Some(session.measure("device-bytes", what, Subject::Kafka, run)?.value.per_byte());
    }
    let figure = |(what, written): (String, Written)| Figure {
        what,
        unit: "B/B",
        onelog: Some(written.per_byte()),
        note: format!("{} commits, {:.0} MB of user bytes", written.commits, written.user_bytes as f64 / 1e6),
        ..Figure::default()
    };
    let passes = passes.into_iter().map(|pass| Figure { kafka, limit, ..figure(pass) });
    Ok(passes.chain(floor.into_iter().map(figure)).collect())
}

fn new_files(session: &mut Session, device: &LoopDevice, what: &str) -> Result<(String, Written)> {
    let mut onelog = session.unstarted_onelog(Flush::Sync, &[], Some(device.path()))?;
    onelog.start()?;
    let mut topics = TopicSet::create(onelog.address(), 1, &[])?;
    let what = format!("{what}, new files");
    let run = || load(&onelog, device, &mut topics);
    let written = session.measure("device-bytes", &what, Subject::Onelog, run)?.value;
    Ok((what, written))
}

/// A topic that keeps little, in small files: after a first load every file is one that died and was recycled.
fn recycled_files(session: &mut Session, device: &LoopDevice, what: &str) -> Result<(String, Written)> {
    let keys = [("onelog.commitlog.file.bytes", "67108864"), ("log.retention.check.interval.ms", "100")];
    let mut onelog = session.unstarted_onelog(Flush::Sync, &keys, Some(device.path()))?;
    onelog.start()?;
    let configs = [("retention.bytes", "33554432"), ("segment.bytes", "8388608")];
    let mut topics = TopicSet::create(onelog.address(), 1, &configs)?;
    load(&onelog, device, &mut topics)?;
    // What dying leaves to do in the background.
    std::thread::sleep(SETTLE);
    let what = format!("{what}, recycled files");
    let run = || load(&onelog, device, &mut topics);
    let written = session.measure("device-bytes", &what, Subject::Onelog, run)?.value;
    Ok((what, written))
}

fn shape() -> BatchShape {
    BatchShape::filling(64 << 10, 1024)
}

/// What the file system makes of the same writes without a broker.
fn plain(device: &LoopDevice, is_written: bool) -> Result<Written> {
    let user_bytes = PLAIN_PIECES * shape().value_bytes();
    let piece = vec![7; (BatchTemplate::new(shape()).bytes().len() + FRAME_HEAD).next_multiple_of(8)];
    let path = device.path().join("plain");
    let file = File::options().read(true).write(true).create_new(true).open(&path)?;
    let len = count(piece.len());
    if is_written {
        (0..=PLAIN_PIECES).try_for_each(|index| file.write_all_at(&piece, index * len))?;
    } else {
        rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, (PLAIN_PIECES + 1) * len)?;
    }
    file.sync_all()?;
    rustix::fs::sync();
    let before = device.bytes_written()?;
    for index in 0..PLAIN_PIECES {
        file.write_all_at(&piece, index * len)?;
        file.sync_data()?;
    }
    rustix::fs::sync();
    let device_bytes = device.bytes_written()? - before;
    std::fs::remove_file(path)?;
    Ok(Written { device_bytes, user_bytes, commits: PLAIN_PIECES })
}

fn load(broker: &Broker, device: &LoopDevice, topics: &mut TopicSet) -> Result<Written> {
    let load = Load { shape: shape(), batches_per_request: 1, connections: 1 };
    let pace = Pace { in_flight: 1, duration: Duration::from_secs(60), bytes: BYTES };
    let answered = AtomicU64::new(0);
    rustix::fs::sync();
    let before = device.bytes_written()?;
    let produced = closed_loop::produce(broker.address(), topics, load, pace, false, &answered)?;
    rustix::fs::sync();
    let device_bytes = device.bytes_written()? - before;
    Ok(Written { device_bytes, user_bytes: produced.bytes, commits: produced.requests })
}
