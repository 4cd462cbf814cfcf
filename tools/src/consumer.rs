//! `kafka-console-consumer` (Kafka class `ConsoleConsumer`): the records of topics or of one partition on stdout.
//!
//! With `--group` it joins the group (classic protocol, `range`) and commits what it printed; without, it reads all partitions by
//! itself and leaves no group behind, where Kafka's tool makes one up. `format` writes a record, `membership` is the group,
//! `reading` fetches.

mod format;
mod membership;
mod reading;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{CommandFactory as _, Parser};

use crate::client::Client;
use crate::failure::{Failure, Outcome};
use crate::partitions::{self, EARLIEST, LATEST, READ_UNCOMMITTED, TopicPartition};
use crate::{clock, options, text};
use format::Formatter;
pub(crate) use membership::assigned;
use membership::{HEARTBEAT_INTERVAL, Membership};

/// How often topics are looked for again.
const REFRESH: Duration = Duration::from_secs(30);
const COMMIT_INTERVAL: Duration = Duration::from_secs(5);

/// Print records
#[derive(Debug, Parser)]
#[command(version, infer_long_args = true)]
struct Arguments {
    /// Brokers to ask first, comma-separated
    #[arg(long, value_name = "HOST:PORT[,HOST:PORT]")]
    bootstrap_server: String,
    /// The topic
    #[arg(long, value_name = "TOPIC")]
    topic: Option<String>,
    /// Topics that match this regular expression
    #[arg(long, value_name = "REGEX", conflicts_with = "topic")]
    include: Option<String>,
    /// Only this partition
    #[arg(long, value_name = "N")]
    partition: Option<i32>,
    /// Where to begin in the partition: earliest, latest, an offset, or -N for the last N
    #[arg(long, value_name = "OFFSET", allow_hyphen_values = true)]
    offset: Option<String>,
    /// Begin with the first record where the group has no offset yet
    #[arg(long)]
    from_beginning: bool,
    /// End after this many records
    #[arg(long, value_name = "N")]
    max_messages: Option<u64>,
    /// End when no record comes for this long
    #[arg(long, value_name = "MS")]
    timeout_ms: Option<u64>,
    /// Join this group
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// read_uncommitted or read_committed
    #[arg(long, value_name = "LEVEL", default_value = "read_uncommitted")]
    isolation_level: String,
    /// File of consumer properties
    #[arg(long, visible_alias = "consumer.config", value_name = "FILE")]
    command_config: Option<PathBuf>,
    /// A consumer property: group.id, auto.offset.reset, client.id, isolation.level are used
    #[arg(long, visible_alias = "consumer-property", value_name = "NAME=VALUE", value_parser = options::key_value)]
    command_property: Vec<(String, String)>,
    /// What is printed: print.{timestamp,partition,offset,headers,key,value}, key.separator, line.separator,
    /// headers.separator, null.literal
    #[arg(long, visible_alias = "property", value_name = "NAME=VALUE", value_parser = options::key_value)]
    formatter_property: Vec<(String, String)>,
    /// File of such properties
    #[arg(long, value_name = "FILE")]
    formatter_config: Option<PathBuf>,
    /// Kafka's DefaultMessageFormatter or NoOpMessageFormatter
    #[arg(long, value_name = "CLASS")]
    formatter: Option<String>,
    /// Accepted: there is nothing to skip
    #[arg(long)]
    skip_message_on_error: bool,
}

/// The command line, for completions and manual pages.
pub(crate) fn command() -> clap::Command {
    Arguments::command()
}

pub(crate) fn run(line: Vec<OsString>, out: &mut dyn Write) -> Outcome {
    let mut arguments = Arguments::try_parse_from(line)?;
    arguments.take_properties()?;
    arguments.check()?;
    let formatter = arguments.formatter()?;
    let client = options::client(
        &arguments.bootstrap_server,
        arguments.command_config.as_ref(),
        &arguments.command_property,
    )?;
    let mut consumer = Consumer { client, printed: 0, arguments, formatter };
    let outcome = consumer.consume(out);
    out.flush()?;
    writeln!(io::stderr(), "Processed a total of {} messages", consumer.printed)?;
    outcome
}

impl Arguments {
    /// The flags win over the properties, those over the file.
    fn take_properties(&mut self) -> Outcome {
        let mut properties = match &self.command_config {
            None => Vec::new(),
            Some(path) => options::read_properties(
                &std::fs::read_to_string(path)
                    .map_err(|error| Failure::new(format!("{} cannot be read: {error}", path.display())))?,
            ),
        };
        properties.extend(self.command_property.iter().cloned());
        for (key, value) in properties {
            match key.as_str() {
                "group.id" if self.group.is_none() && self.partition.is_none() => self.group = Some(value),
                "auto.offset.reset" if value == "earliest" => self.from_beginning = true,
                "isolation.level" => self.isolation_level = value,
                _ => {}
            }
        }
        Ok(())
    }

    fn check(&self) -> Outcome {
        let wrong = |words: &str| Err(Failure::new(words));
        if self.topic.is_none() && self.include.is_none() {
            return wrong("Exactly one of the following arguments is required: --topic, --include");
        }
        if self.partition.is_some() && self.topic.is_none() {
            return wrong("The topic is required when partition is specified.");
        }
        if self.partition.is_some() && self.group.is_some() {
            return wrong("Options group and partition cannot be specified together.");
        }
        if self.offset.is_some() && self.partition.is_none() {
            return wrong("The partition is required when offset is specified.");
        }
        if self.offset.is_some() && self.from_beginning {
            return wrong("Options from-beginning and offset cannot be specified together.");
        }
        self.isolation().map(drop)
    }

    fn isolation(&self) -> Outcome<i8> {
        match self.isolation_level.as_str() {
            "read_uncommitted" => Ok(0),
            "read_committed" => Ok(1),
            other => Err(Failure::new(format!(
                "isolation level {other:?}: it must be read_uncommitted or read_committed"
            ))),
        }
    }

    fn formatter(&self) -> Outcome<Formatter> {
        let mut properties = match &self.formatter_config {
            None => Vec::new(),
            Some(path) => options::read_properties(
                &std::fs::read_to_string(path)
                    .map_err(|error| Failure::new(format!("{} cannot be read: {error}", path.display())))?,
            ),
        };
        properties.extend(self.formatter_property.iter().cloned());
        Formatter::new(self.formatter.as_deref(), &properties)
    }
}

/// Where to go on reading, by partition.
type Positions = BTreeMap<TopicPartition, i64>;

struct Consumer {
    client: Client,
    printed: u64,
    arguments: Arguments,
    formatter: Formatter,
}

impl Consumer {
    fn consume(&mut self, out: &mut dyn Write) -> Outcome {
        match self.arguments.group.clone() {
            None => self.alone(out),
            Some(group) => {
                let mut membership = Membership::new(group);
                let outcome = self.in_group(&mut membership, out);
                membership.leave(&mut self.client);
                outcome
            }
        }
    }

    /// All partitions of the topics, or the one that was asked for.
    fn alone(&mut self, out: &mut dyn Write) -> Outcome {
        let begin = self.begin()?;
        let mut positions = self.discover(&begin)?;
        let mut refreshed = clock::now();
        let mut last_record = clock::now();
        while !self.is_done(last_record) {
            if self.arguments.partition.is_none() && refreshed.elapsed() >= REFRESH {
                // A partition that is new has records that nobody has seen: from its beginning.
                for (partition, first) in self.discover(&EARLIEST.to_string())? {
                    positions.entry(partition).or_insert(first);
                }
                refreshed = clock::now();
            }
            if self.turn(&mut positions, last_record, out)? {
                last_record = clock::now();
            }
        }
        Ok(())
    }

    fn in_group(&mut self, membership: &mut Membership, out: &mut dyn Write) -> Outcome {
        let mut last_record = clock::now();
        let mut committed = clock::now();
        let mut positions = Positions::new();
        while !self.is_done(last_record) {
            if membership.must_join() {
                let topics = self.topics()?;
                let assigned = membership.join(&mut self.client, &topics)?;
                positions = self.committed(membership, assigned)?;
            }
            if self.turn(&mut positions, last_record, out)? {
                last_record = clock::now();
            }
            if committed.elapsed() >= COMMIT_INTERVAL {
                membership.commit(&mut self.client, &positions)?;
                committed = clock::now();
            }
            if !membership.heartbeat(&mut self.client)? {
                membership.commit(&mut self.client, &positions)?;
            }
        }
        membership.commit(&mut self.client, &positions)
    }

    /// Fetches once and prints what came; whether anything did.
    fn turn(
        &mut self,
        positions: &mut Positions,
        last_record: Instant,
        out: &mut dyn Write,
    ) -> Outcome<bool> {
        let mut wait = HEARTBEAT_INTERVAL / 4;
        if let Some(left) = self.time_left(last_record) {
            wait = wait.min(left);
        }
        if positions.is_empty() {
            clock::sleep(wait);
            return Ok(false);
        }
        let Self { client, printed, arguments, formatter } = self;
        let isolation = arguments.isolation()?;
        let most = arguments.max_messages.unwrap_or(u64::MAX);
        let before = *printed;
        let fetched = client.retry(|client| reading::fetch(client, positions, wait, isolation))?;
        for partition in fetched {
            if partition.out_of_range {
                let time = if arguments.from_beginning { EARLIEST } else { LATEST };
                let wanted = [(partition.partition.clone(), time)];
                positions.extend(partitions::offsets(client, &wanted, isolation)?);
                continue;
            }
            let next = partition.each_record(positions, |record| {
                if *printed == most {
                    return Ok(false);
                }
                formatter.write(&partition.partition, record, out)?;
                *printed += 1;
                Ok(true)
            })?;
            positions.insert(partition.partition, next);
            if *printed == most {
                break;
            }
        }
        out.flush()?;
        Ok(*printed > before)
    }

    fn is_done(&self, last_record: Instant) -> bool {
        self.arguments.max_messages.is_some_and(|most| self.printed >= most)
            || self.time_left(last_record).is_some_and(|left| left.is_zero())
    }

    fn time_left(&self, last_record: Instant) -> Option<Duration> {
        let limit = Duration::from_millis(self.arguments.timeout_ms?);
        Some(limit.saturating_sub(last_record.elapsed()))
    }

    fn begin(&self) -> Outcome<String> {
        let given = self.arguments.offset.as_deref().map(str::to_lowercase);
        match given.as_deref() {
            None if self.arguments.from_beginning => Ok(EARLIEST.to_string()),
            None | Some("latest") => Ok(LATEST.to_string()),
            Some("earliest") => Ok(EARLIEST.to_string()),
            Some(number) => match number.parse::<i64>() {
                Ok(count) if count < 0 => Ok(format!("last {}", -count)),
                Ok(offset) => Ok(format!("at {offset}")),
                Err(_) => Err(Failure::new(format!(
                    "--offset {number}: it must be earliest, latest, an offset, or -N for the last N records"
                ))),
            },
        }
    }

    /// Where to begin in each partition that is to be read.
    fn discover(&mut self, begin: &str) -> Outcome<Positions> {
        let topics = self.topics()?;
        let names: Vec<&str> = topics.iter().map(String::as_str).collect();
        let cluster = self.client.cluster(Some(&names))?;
        let mut chosen = partitions::all(&cluster);
        if let (Some(index), Some(topic)) = (self.arguments.partition, &self.arguments.topic) {
            cluster.leader(topic, index)?;
            chosen.retain(|(_, partition)| *partition == index);
        }
        let all_at =
            |time: i64| chosen.iter().cloned().map(|partition| (partition, time)).collect::<Vec<_>>();
        if let Some(offset) = begin.strip_prefix("at ") {
            let offset = offset.parse().unwrap_or(0);
            return Ok(chosen.into_iter().map(|partition| (partition, offset)).collect());
        }
        let isolation = self.arguments.isolation()?;
        if let Some(count) = begin.strip_prefix("last ") {
            let count: i64 = count.parse().unwrap_or(0);
            let first = partitions::offsets(&mut self.client, &all_at(EARLIEST), isolation)?;
            let mut ends = partitions::offsets(&mut self.client, &all_at(LATEST), isolation)?;
            for (partition, end) in &mut ends {
                *end = end.saturating_sub(count).max(first.get(partition).copied().unwrap_or(0));
            }
            return Ok(ends);
        }
        let wanted = all_at(begin.parse().unwrap_or(LATEST));
        partitions::offsets(&mut self.client, &wanted, isolation)
    }

    /// The group's offsets of `assigned`; where it has none, the beginning or the end.
    fn committed(&mut self, membership: &Membership, assigned: Vec<TopicPartition>) -> Outcome<Positions> {
        let mut positions = membership.offsets(&mut self.client, &assigned)?;
        let time = if self.arguments.from_beginning { EARLIEST } else { LATEST };
        let missing = assigned.into_iter().filter(|partition| !positions.contains_key(partition));
        let missing: Vec<_> = missing.map(|partition| (partition, time)).collect();
        if !missing.is_empty() {
            positions.extend(partitions::offsets(&mut self.client, &missing, READ_UNCOMMITTED)?);
        }
        Ok(positions)
    }

    /// Names of the topics to read. The one of `--topic` need not exist yet: some brokers make it by being asked.
    fn topics(&mut self) -> Outcome<Vec<String>> {
        if let Some(topic) = self.arguments.topic.clone() {
            self.client.retry(|client| client.cluster_once(Some(&[topic.as_str()]), true))?;
            return Ok(vec![topic]);
        }
        let pattern = text::topic_pattern(self.arguments.include.as_deref().unwrap_or_default())?;
        let topics = self.client.cluster(None)?.topics.into_values();
        let shown = topics.filter(|topic| !topic.internal && pattern.is_match(&topic.name));
        Ok(shown.map(|topic| topic.name).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &str) -> Outcome<Arguments> {
        let line = format!("kafka-console-consumer --bootstrap-server a:1 {words}");
        let mut arguments = Arguments::try_parse_from(line.split_whitespace())?;
        arguments.take_properties()?;
        arguments.check()?;
        Ok(arguments)
    }

    #[test]
    fn flags_of_scripts_are_read() {
        let read = parsed(
            "--topic a --from-beginning --max-messages 1 --timeout-ms 10 --consumer-property group.id=g",
        )
        .unwrap();
        assert_eq!(
            (read.group.as_deref(), read.max_messages, read.timeout_ms),
            (Some("g"), Some(1), Some(10))
        );
        parsed("--topic a --partition 0 --offset -5 --property print.key=true --formatter-property print.value=false").unwrap();
    }

    #[test]
    fn flags_that_do_not_go_together_are_refused_in_words() {
        for (line, words) in [
            ("", "--topic, --include"),
            ("--include a --partition 0", "topic is required"),
            ("--topic a --partition 0 --group g", "cannot be specified together"),
            ("--topic a --offset 3", "partition is required"),
            ("--topic a --isolation-level none", "read_committed"),
        ] {
            assert!(parsed(line).unwrap_err().to_string().contains(words), "{line}");
        }
    }
}
