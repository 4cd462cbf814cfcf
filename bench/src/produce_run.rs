//! One measured closed loop run: load, broker CPU meanwhile, and the read-back afterwards. The unit of most rows.

use std::sync::atomic::AtomicU64;

use anyhow::Result;
use serde::Serialize;

use crate::broker_process::Broker;
use crate::checker::Findings;
use crate::closed_loop::{self, Pace};
use crate::load::Load;
use crate::topics::TopicSet;
use crate::{process_facts, readback};

/// What one run gave.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ProduceRun {
    /// CPU time of the broker, in seconds.
    pub(crate) cpu: f64,
    /// CPU time of the load generator.
    pub(crate) load_cpu: f64,
    /// Wall time, in seconds.
    pub(crate) seconds: f64,
    pub(crate) requests: u64,
    pub(crate) batches: u64,
    pub(crate) records: u64,
    /// User bytes.
    pub(crate) bytes: u64,
    /// What the read-back found.
    pub(crate) findings: Findings,
}

impl ProduceRun {
    /// Broker CPU seconds per 10^9 user bytes.
    pub(crate) fn cpu_per_gb(&self) -> f64 {
        self.cpu / (self.bytes as f64 / 1e9)
    }

    /// Broker CPU seconds per million records.
    pub(crate) fn cpu_per_million(&self) -> f64 {
        self.cpu / (self.records as f64 / 1e6)
    }

    /// Broker CPU microseconds per batch.
    pub(crate) fn cpu_us_per_batch(&self) -> f64 {
        self.cpu * 1e6 / self.batches as f64
    }

    /// User MB per second.
    pub(crate) fn mb_per_second(&self) -> f64 {
        self.bytes as f64 / 1e6 / self.seconds
    }

    /// How much of one processor the broker used, in percent.
    pub(crate) fn busy(&self) -> f64 {
        100.0 * self.cpu / self.seconds
    }

    /// How much of one processor the load generator used, in percent.
    pub(crate) fn load_busy(&self) -> f64 {
        100.0 * self.load_cpu / self.seconds
    }
}

/// Loads `topics` on `broker`, both pinned to their processors, and checks everything that was written.
///
/// # Errors
/// The broker refuses, hangs or goes away.
pub(crate) fn run(broker: &Broker, topics: &mut TopicSet, load: Load, pace: Pace) -> Result<ProduceRun> {
    broker.pin()?;
    let from = topics.ends.clone();
    let answered = AtomicU64::new(0);
    let ((produced, load_cpu), cpu) = process_facts::cpu_time_of(broker.pid()?, || {
        process_facts::cpu_time_of(std::process::id(), || {
            closed_loop::produce(broker.address(), topics, load, pace, true, &answered)
        })
    })?;
    let findings = readback::check(broker.address(), topics, &from, &produced)?;
    Ok(ProduceRun {
        cpu: cpu.as_secs_f64(),
        load_cpu: load_cpu.as_secs_f64(),
        seconds: produced.elapsed.as_secs_f64(),
        requests: produced.requests,
        batches: produced.batches,
        records: produced.records,
        bytes: produced.bytes,
        findings,
    })
}
