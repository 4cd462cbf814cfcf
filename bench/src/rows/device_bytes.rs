//! How many bytes reach the device for each byte of a user.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use crate::batches::BatchShape;
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
    with flush.messages=1. Needs root";

const IMAGE_BYTES: u64 = 6 << 30;
/// Enough that a file is filled and the next begun.
const BYTES: u64 = 400 << 20;
const SETTLE: Duration = Duration::from_secs(2);

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
    let mut onelog = session.unstarted_onelog(Flush::Sync, &[], Some(device.path()))?;
    onelog.start()?;
    let mut passes = Vec::new();
    for pass in ["new files", "after as much was deleted"] {
        let what = format!("{what}, {pass}");
        let run = || load(&onelog, &device, &[]);
        let written = session.measure("device-bytes", &what, Subject::Onelog, run)?.value;
        passes.push((what, written));
        // What deleting leaves to do in the background.
        std::thread::sleep(SETTLE);
    }
    drop(onelog);
    let mut kafka = None;
    if let Some(mut broker) = session.unstarted_kafka(Some(device.path()))? {
        broker.start()?;
        let run = || load(&broker, &device, &[("flush.messages", "1")]);
        kafka = Some(session.measure("device-bytes", what, Subject::Kafka, run)?.value.per_byte());
    }
    let figure = |(what, written): (String, Written)| Figure {
        what,
        unit: "B/B",
        onelog: Some(written.per_byte()),
        kafka,
        limit,
        note: format!("{} commits, {:.0} MB of user bytes", written.commits, written.user_bytes as f64 / 1e6),
        ..Figure::default()
    };
    Ok(passes.into_iter().map(figure).collect())
}

fn load(broker: &Broker, device: &LoopDevice, configs: &[(&str, &str)]) -> Result<Written> {
    let load = Load { shape: BatchShape::filling(64 << 10, 1024), batches_per_request: 1, connections: 1 };
    let pace = Pace { in_flight: 1, duration: Duration::from_secs(20), bytes: BYTES };
    let mut topics = TopicSet::create(broker.address(), 1, configs)?;
    let answered = AtomicU64::new(0);
    rustix::fs::sync();
    let before = device.bytes_written()?;
    let produced = closed_loop::produce(broker.address(), &mut topics, load, pace, false, &answered)?;
    rustix::fs::sync();
    let device_bytes = device.bytes_written()? - before;
    topics.delete(broker.address())?;
    Ok(Written { device_bytes, user_bytes: produced.bytes, commits: produced.requests })
}
