//! Three measures of the machine that have nothing to do with any broker, taken before and after each run: when they moved
//! by more than a fifth, something else moved the run too.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::{clock, cpus};

const MEMORY: usize = 256 << 20;
const BLOCK: usize = 4096;
const BLOCKS: u64 = 256;
const SYNCS: u64 = 40;
const PINGS: usize = 2000;
const COPIES: usize = 3;
/// Runs between readings further apart than this are left out of the medians.
const TOLERANCE: f64 = 0.2;

/// One reading.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Reading {
    /// Round trip of 100 bytes there and 64 back over loopback TCP, both ends on one processor, median.
    pub(crate) ping_pong_us: f64,
    /// Overwriting 4 KiB of a file and `fdatasync`, median.
    pub(crate) fdatasync_us: f64,
    /// Copying 256 MiB.
    pub(crate) memcpy_gb_per_s: f64,
    /// Load average of the last minute.
    pub(crate) load_average: f64,
}

impl Reading {
    /// Whether nothing moved by more than a fifth since `before`. The load average is the run's own and does not count.
    pub(crate) fn is_steady_since(&self, before: &Self) -> bool {
        let close = |now: f64, then: f64| (now / then).max(then / now) <= 1.0 + TOLERANCE;
        close(self.ping_pong_us, before.ping_pong_us)
            && close(self.fdatasync_us, before.fdatasync_us)
            && close(self.memcpy_gb_per_s, before.memcpy_gb_per_s)
    }
}

/// What the readings are taken with, kept so that none pays for setting it up.
#[derive(Debug)]
pub(crate) struct Canary {
    file: File,
    from: Vec<u8>,
    to: Vec<u8>,
}

impl Canary {
    /// With a scratch file in `folder`.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn new(folder: &Path) -> Result<Self> {
        let path = folder.join("canary");
        let file = File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
        for block in 0..BLOCKS {
            file.write_all_at(&[1; BLOCK], block * count(BLOCK))?;
        }
        file.sync_all()?;
        Ok(Self { file, from: vec![1; MEMORY], to: vec![2; MEMORY] })
    }

    /// Takes a reading; a third of a second.
    ///
    /// # Errors
    /// The scratch file or loopback fails.
    pub(crate) fn read(&mut self) -> Result<Reading> {
        Ok(Reading {
            ping_pong_us: ping_pong()?,
            fdatasync_us: self.fdatasync()?,
            memcpy_gb_per_s: self.memcpy(),
            load_average: load_average()?,
        })
    }

    fn fdatasync(&self) -> Result<f64> {
        let mut times = Vec::new();
        for sync in 0..SYNCS {
            let began = clock::now();
            self.file.write_all_at(&[3; BLOCK], (sync * 7 % BLOCKS) * count(BLOCK))?;
            self.file.sync_data()?;
            times.push(clock::now() - began);
        }
        Ok(median_us(times))
    }

    fn memcpy(&mut self) -> f64 {
        let mut times = Vec::new();
        for _ in 0..COPIES {
            let began = clock::now();
            self.to.copy_from_slice(std::hint::black_box(&self.from));
            std::hint::black_box(&mut self.to);
            times.push(clock::now() - began);
        }
        MEMORY as f64 / (median_us(times) * 1e3)
    }
}

fn ping_pong() -> Result<f64> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let address = listener.local_addr()?;
    cpus::on_one(move || {
        // Threads inherit the processors of their parent.
        let echo = std::thread::spawn(move || -> std::io::Result<()> {
            let (mut stream, _) = listener.accept()?;
            stream.set_nodelay(true)?;
            let mut ping = [0; 100];
            for _ in 0..PINGS {
                stream.read_exact(&mut ping)?;
                stream.write_all(&[4; 64])?;
            }
            Ok(())
        });
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let mut times = Vec::with_capacity(PINGS);
        for _ in 0..PINGS {
            let began = clock::now();
            stream.write_all(&[5; 100])?;
            stream.read_exact(&mut [0; 64])?;
            times.push(clock::now() - began);
        }
        echo.join().expect("the echo thread panicked")?;
        Ok(median_us(times))
    })
}

fn load_average() -> Result<f64> {
    let text = std::fs::read_to_string("/proc/loadavg")?;
    Ok(text.split_whitespace().next().context("empty loadavg")?.parse()?)
}

fn median_us(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e6
}

fn count(number: usize) -> u64 {
    crate::batches::count(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    const READING: Reading =
        Reading { ping_pong_us: 16.0, fdatasync_us: 150.0, memcpy_gb_per_s: 14.0, load_average: 1.0 };

    #[test]
    fn a_fifth_up_or_down_is_steady_and_more_is_not() {
        assert!(READING.is_steady_since(&Reading { ping_pong_us: 19.0, load_average: 9.0, ..READING }));
        assert!(!READING.is_steady_since(&Reading { ping_pong_us: 20.0, ..READING }));
        assert!(!READING.is_steady_since(&Reading { fdatasync_us: 120.0, ..READING }));
        assert!(!READING.is_steady_since(&Reading { memcpy_gb_per_s: 20.0, ..READING }));
    }
}
