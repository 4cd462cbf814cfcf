//! kcat as Debian ships it, with librdkafka 2.0: the oldest one that is still installed by a distribution's package manager.

use std::fs::File;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use compat_tests::broker::{Broker, BrokerKind};
use compat_tests::process::{run_to_end, run_with_input};

use crate::program::Folder;
use crate::records;

const LIMIT: Duration = Duration::from_secs(60);
const RECORDS: usize = 5000;

/// Produces with every codec, lists, asks for offsets, consumes, and reads as a group that resumes where it committed.
pub(crate) fn run(kind: BrokerKind) -> Result<String> {
    let version =
        run_to_end(Command::new("kcat").arg("-V"), LIMIT).context("`kcat` does not run (Debian: kcat)")?;
    let library = version.split_once("librdkafka ").and_then(|(_, rest)| rest.split_whitespace().next());
    let library = library.context("kcat does not name its librdkafka")?;
    let broker = Broker::start(kind)?;
    let kcat = Kcat { address: broker.address(), folder: Folder::new("kcat")? };
    records::create_topic(&kcat.address, "kcat", 2, &[])?;

    let listed = kcat.run(&["-L"], "")?;
    ensure!(listed.contains("topic \"kcat\" with 2 partitions"), "-L says:\n{listed}");
    let lines =
        |codec: &str| -> Vec<String> { (0..RECORDS).map(|number| format!("{codec}-{number}")).collect() };
    let codecs = ["none", "gzip", "snappy", "lz4", "zstd"];
    for codec in codecs {
        let input: String = lines(codec).iter().map(|line| format!("key:{line}\n")).collect();
        let produce = ["-P", "-t", "kcat", "-p", "0", "-K:", "-z", codec, "-X", "enable.idempotence=true"];
        kcat.run(&produce, &input)?;
    }
    let wanted: Vec<String> = codecs.iter().flat_map(|codec| lines(codec)).collect();
    let offsets = kcat.run(&["-Q", "-t", "kcat:0:-1", "-t", "kcat:1:-1"], "")?;
    ensure!(offsets.contains(&format!("kcat [0] offset {}", wanted.len())), "-Q says:\n{offsets}");
    ensure!(offsets.contains("kcat [1] offset 0"), "-Q says:\n{offsets}");

    let consume = ["-C", "-q", "-e", "-t", "kcat", "-p", "0", "-o", "beginning", "-f", "%o %k %s\n"];
    let consumed = kcat.run(&consume, "")?;
    let expected: String =
        (0..).zip(&wanted).map(|(offset, line)| format!("{offset} key {line}\n")).collect();
    ensure!(consumed == expected, "{} of {} lines came, or others", consumed.lines().count(), wanted.len());

    let first = kcat.group(1000)?;
    let second = kcat.group(wanted.len() - 1000)?;
    ensure!(
        first.iter().chain(&second).eq(&wanted),
        "the group read {} and then {}",
        first.len(),
        second.len()
    );
    let committed = records::committed(&kcat.address, "kcat-group", "kcat", 1)?;
    ensure!(committed == [Some(i64::try_from(wanted.len())?)], "the group committed {committed:?}");
    Ok(format!("librdkafka {library}; {} records with five codecs, idempotent, read twice", wanted.len()))
}

struct Kcat {
    address: String,
    folder: Folder,
}

impl Kcat {
    fn run(&self, arguments: &[&str], input: &str) -> Result<String> {
        let input = File::open(self.folder.file("input", input)?)?;
        run_with_input(
            Command::new("kcat").args(["-b", &self.address]).args(arguments),
            Stdio::from(input),
            LIMIT,
        )
    }

    /// Reads `count` records as a member of a group and leaves; values.
    fn group(&self, count: usize) -> Result<Vec<String>> {
        let count = count.to_string();
        let group = ["-G", "kcat-group", "-q", "-c", &count, "-X", "auto.offset.reset=earliest", "kcat"];
        Ok(self.run(&group, "")?.lines().map(str::to_owned).collect())
    }
}
