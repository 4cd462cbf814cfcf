//! A Kafka Streams application that counts words (`drivers/ecosystem/WordCount.java`): a repartition topic, a changelog, and
//! an output topic that shows every step of every count.
//!
//! The words that go in are known, so the counts that must come out are known too: for a word that came n times, 1, 2, ...,
//! n in this order. Exactly once means that a reader of committed records sees just that although the application, or the
//! broker under it, was killed twice in the middle; at least once means that no count ends too low.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use compat_tests::broker::{Broker, BrokerKind};
use compat_tests::{clock, layout};

use crate::program::{Folder, Program};
use crate::records::{self, Isolation, Reader, Record};

/// `processing.guarantee`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guarantee {
    AtLeastOnce,
    ExactlyOnce,
}

/// Who is killed with -9, and starts again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Victim {
    Application,
    Broker,
}

const PARTITIONS: i32 = 3;
const LINES_PER_PART: usize = 15_000;
const WORDS_PER_LINE: usize = 3;
/// A running application counts one part while the broker is asked how far it is; not so many.
const PARTS_UNDER_A_BROKER: usize = 4;
/// Words.
const PART: usize = LINES_PER_PART * WORDS_PER_LINE;
const VOCABULARY: u64 = 60;
/// The last transaction of a killed application keeps readers back until it times out (5 s, looked for every 10 s), and so
/// does its membership (6 s).
const LIMIT: Duration = Duration::from_secs(240);
/// What must not come gets this long to come.
const GRACE: Duration = Duration::from_secs(2);

/// Counts the words of as many equal parts and one more; each victim is killed in the middle of its part.
pub(crate) fn run(kind: BrokerKind, guarantee: Guarantee, kills: &[Victim]) -> Result<String> {
    let mut broker = Broker::start(kind)?;
    let address = broker.address();
    let folder = Folder::new("streams")?;
    records::create_topic(&address, "lines", PARTITIONS, &[])?;
    records::create_topic(&address, "counts", PARTITIONS, &[])?;
    let mut expected = BTreeMap::new();
    let mut random = fastrand::Rng::with_seed(7);
    let mut feed = |parts: usize| -> Result<usize> {
        let lines: Vec<String> = (0..LINES_PER_PART * parts).map(|_| line(&mut random)).collect();
        for word in lines.iter().flat_map(|line| line.split(' ')) {
            *expected.entry(word.to_owned()).or_insert(0_u64) += 1;
        }
        records::produce(&address, "lines", None, &lines)?;
        Ok(lines.len() * WORDS_PER_LINE)
    };
    let name = match guarantee {
        Guarantee::AtLeastOnce => "at_least_once",
        Guarantee::ExactlyOnce => "exactly_once_v2",
    };
    let mut fed = feed(1)?;
    let arguments = [&address, &layout::unique("word-count"), name].map(OsString::from).into_iter();
    let state = folder.path("state").into_os_string();
    let mut application =
        Program::start("WordCount", arguments.chain([state, "lines".into(), "counts".into()]).collect())?;
    let mut killed_at = Vec::new();
    let end = || -> Result<i64> { Ok(records::end_offsets(&address, "counts", PARTITIONS)?.iter().sum()) };
    for victim in kills {
        if *victim == Victim::Broker {
            fed += feed(PARTS_UNDER_A_BROKER)?;
        }
        let middle = end()? + i64::try_from(PART / 4)?;
        let shown = application.until("a count in the middle", LIMIT, || {
            let shown = end()?;
            Ok((shown >= middle).then_some(shown))
        })?;
        let counted = match victim {
            Victim::Application => {
                application.kill();
                counted(&address)?
            }
            // The application goes on by itself when the broker is back, so it is asked before.
            Victim::Broker => {
                broker.kill();
                broker.restart()?;
                usize::try_from(shown)?
            }
        };
        ensure!(counted < fed, "all {fed} words were counted before the kill: it proves nothing");
        killed_at.push(format!("{counted} of {fed}"));
        fed += feed(1)?;
        if *victim == Victim::Application {
            application.restart()?;
        }
    }
    let counts = finished(&mut application, &address, guarantee, &expected)?;
    if guarantee == Guarantee::ExactlyOnce || kills.is_empty() {
        exact(&counts, &expected)?;
    }
    application.kill();
    let shown: usize = counts.values().map(Vec::len).sum();
    let killed =
        if killed_at.is_empty() { String::new() } else { format!(", killed at {}", killed_at.join(" and ")) };
    let all = records::read(&address, "counts", PARTITIONS, Isolation::Uncommitted)?.len();
    Ok(format!("{fed} words, {shown} counts shown, {all} written{killed}"))
}

/// Waits until every word has its count, and a little longer for what must not come.
fn finished(
    application: &mut Program,
    address: &str,
    guarantee: Guarantee,
    expected: &BTreeMap<String, u64>,
) -> Result<BTreeMap<String, Vec<u64>>> {
    let isolation = match guarantee {
        Guarantee::AtLeastOnce => Isolation::Uncommitted,
        Guarantee::ExactlyOnce => Isolation::Committed,
    };
    let mut reader = Reader::new(address, "counts", PARTITIONS, isolation)?;
    let mut counts: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let mut missing = String::new();
    let complete = application.until("the last count of every word", LIMIT, || {
        add(&mut counts, reader.some()?)?;
        let last = |word: &String| counts.get(word).and_then(|all| all.last().copied()).unwrap_or_default();
        let low = expected.iter().find(|(word, count)| last(word) < **count);
        missing =
            low.map(|(word, count)| format!("{word} has {} of {count}", last(word))).unwrap_or_default();
        Ok(low.is_none().then_some(()))
    });
    complete.with_context(|| missing)?;
    clock::poll_until(GRACE, GRACE / 10, || Ok(None::<()>))?;
    add(&mut counts, reader.drain()?)?;
    Ok(counts)
}

/// The sum of the highest counts shown so far, also by transactions that are open or aborted.
fn counted(address: &str) -> Result<usize> {
    let mut counts = BTreeMap::new();
    add(&mut counts, records::read(address, "counts", PARTITIONS, Isolation::Uncommitted)?)?;
    let highest: u64 = counts.values().filter_map(|all| all.iter().max()).sum();
    Ok(usize::try_from(highest)?)
}

fn add(counts: &mut BTreeMap<String, Vec<u64>>, records: Vec<Record>) -> Result<()> {
    for record in records {
        let count = record.value.parse().with_context(|| format!("a count is {:?}", record.value))?;
        counts.entry(record.key).or_default().push(count);
    }
    Ok(())
}

/// Every word was counted 1, 2, ..., and no other word at all.
fn exact(counts: &BTreeMap<String, Vec<u64>>, expected: &BTreeMap<String, u64>) -> Result<()> {
    for (word, shown) in counts {
        let wanted: Vec<u64> = (1..=expected.get(word).copied().unwrap_or_default()).collect();
        let differs = shown.iter().zip(&wanted).position(|(is, wanted)| is != wanted);
        let place = differs.unwrap_or_else(|| shown.len().min(wanted.len()));
        ensure!(
            *shown == wanted,
            "{word} came {} times and was counted {} times, the {}th of them as {:?}",
            wanted.len(),
            shown.len(),
            place + 1,
            shown.get(place)
        );
    }
    Ok(())
}

fn line(random: &mut fastrand::Rng) -> String {
    let words: Vec<String> = (0..WORDS_PER_LINE)
        // The smaller of two: some words come often, some seldom.
        .map(|_| format!("word-{}", random.u64(0..VOCABULARY).min(random.u64(0..VOCABULARY))))
        .collect();
    words.join(" ")
}
