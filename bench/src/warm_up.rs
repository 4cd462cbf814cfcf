//! Brings a JVM to its steady state: a cold one uses three to five times the CPU in its first two minutes.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use anyhow::Result;

use crate::batches::BatchShape;
use crate::broker_process::Broker;
use crate::closed_loop::{self, Pace};
use crate::load::Load;
use crate::topics::TopicSet;
use crate::{clock, readback};

const PARTITIONS: u32 = 64;
const SLICE: Duration = Duration::from_millis(1500);
const SLICE_BYTES: u64 = 1 << 30;

/// Runs every kind of load of the rows by turns, with reading back, for `time`.
///
/// # Errors
/// The broker refuses, hangs or goes away.
pub(crate) fn kafka(broker: &Broker, time: Duration) -> Result<()> {
    let shapes = [
        (BatchShape::filling(1 << 20, 1024), 4),
        (BatchShape::filling(16 << 10, 1024), 64),
        (BatchShape::single(1024), 256),
        (BatchShape::filling(1 << 20, 100), 4),
    ];
    let configs: [&[(&str, &str)]; 2] = [&[], &[("flush.messages", "1")]];
    let until = clock::now() + time;
    for turn in 0.. {
        for (shape, in_flight) in shapes {
            if clock::now() >= until {
                return Ok(());
            }
            let mut topics =
                TopicSet::create(broker.address(), PARTITIONS, configs[usize::from(turn % 3 == 2)])?;
            let load = Load { shape, batches_per_request: 1, connections: 4 };
            let pace = Pace { in_flight, duration: SLICE, bytes: SLICE_BYTES };
            let from = topics.ends.clone();
            let answered = AtomicU64::new(0);
            let produced = closed_loop::produce(broker.address(), &mut topics, load, pace, false, &answered)?;
            readback::check(broker.address(), &topics, &from, &produced)?;
            topics.delete(broker.address())?;
        }
    }
    Ok(())
}
