//! The tools of the `onelog` binary beside Kafka's own 4.3.1: the same command lines against the same broker, each side on a topic
//! and a group of its own. Exit codes and what is printed on stdout are compared, line by line and word by word. Kafka's tools
//! run in one JVM.

use std::fmt::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use compat_tests::broker::{Broker, BrokerKind, onelog_binary};
use compat_tests::layout::{driver_dir, log_file, unique};
use compat_tests::process::run_with_input;
use compat_tests::setup::kafka_class_path;

/// How the two outputs are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compared {
    /// Every line in its place.
    Lines,
    /// Lines in any order, and words with commas in any order of their parts: Kafka's tool prints out of hash maps.
    Rows,
    /// Only the exit code: the words are for people.
    Code,
}
use Compared::{Code, Lines, Rows};

const TOPICS: &str = "kafka-topics";
const PRODUCER: &str = "kafka-console-producer";
const CONSUMER: &str = "kafka-console-consumer";
const GROUPS: &str = "kafka-consumer-groups";
const CONFIGS: &str = "kafka-configs";
const OFFSETS: &str = "kafka-get-offsets";

/// Tool, arguments, how to compare. `T` is the side's topic, `G` its group, `M` a name that nothing has; `<` takes the rest of the
/// row as stdin.
const CASES: &[(&str, &str, Compared)] = &[
    (TOPICS, "--create --topic T --partitions 1 --replication-factor 1 --config retention.ms=-1", Lines),
    (TOPICS, "--create --topic T", Code),
    (TOPICS, "--create --topic T --if-not-exists", Lines),
    (TOPICS, "--create --topic M --config nope=3", Code),
    (TOPICS, "--create --topic M --replication-factor 3", Code),
    (TOPICS, "--list --topic T", Lines),
    (TOPICS, "--describe --topic T", Rows),
    (TOPICS, "--describe --topic T --under-replicated-partitions", Lines),
    (TOPICS, "--describe --topic T --topics-with-overrides", Rows),
    (TOPICS, "--describe --topic M", Code),
    (TOPICS, "--describe --topic M --if-exists", Lines),
    (TOPICS, "--delete --topic M", Code),
    (TOPICS, "--alter --topic T", Code),
    (TOPICS, "--list --create", Code),
    ("kafka-broker-api-versions", "", Lines),
    (
        PRODUCER,
        "--topic T --reader-property parse.key=true --reader-property key.separator=: <a:1\nb:2\nc:3\n",
        Lines,
    ),
    (PRODUCER, "--topic T --reader-property parse.headers=true <h1:x,h2:y\tvalue-4\nh1:z\tvalue-5\n", Lines),
    (PRODUCER, "--topic T --reader-property parse.key=true <no key here\n", Code),
    (
        CONSUMER,
        "--topic T --group G --from-beginning --max-messages 5 --timeout-ms 20000 --formatter-property print.key=true --formatter-property key.separator==",
        Lines,
    ),
    (
        CONSUMER,
        "--topic T --partition 0 --offset earliest --max-messages 5 --timeout-ms 20000 --formatter-property print.key=true --formatter-property print.partition=true --formatter-property print.offset=true --formatter-property print.headers=true --formatter-property null.literal=NULL",
        Lines,
    ),
    (CONSUMER, "--topic T --partition 0 --offset 3 --max-messages 2 --timeout-ms 20000", Lines),
    (CONSUMER, "--topic T --from-beginning --max-messages 2 --timeout-ms 20000", Lines),
    (CONSUMER, "--topic T --partition 0 --group G", Code),
    (CONSUMER, "--topic T --offset 3", Code),
    (GROUPS, "--describe --group G", Lines),
    (GROUPS, "--describe --group G --state", Lines),
    (GROUPS, "--describe --group G --members", Lines),
    (GROUPS, "--describe --group G --members --verbose", Lines),
    (GROUPS, "--group G --reset-offsets --topic T --to-earliest --dry-run", Rows),
    (GROUPS, "--group G --reset-offsets --topic T --to-latest --dry-run", Rows),
    (GROUPS, "--group G --reset-offsets --topic T:0 --to-offset 2 --dry-run", Rows),
    (GROUPS, "--group G --reset-offsets --topic T --shift-by -1 --dry-run", Rows),
    (GROUPS, "--group G --reset-offsets --topic T --to-datetime 2020-01-01T00:00:00.000 --dry-run", Rows),
    (GROUPS, "--group G --reset-offsets --topic T --by-duration PT1H --dry-run", Rows),
    (GROUPS, "--group G --reset-offsets --all-topics --to-current --dry-run --export", Rows),
    (GROUPS, "--group G --reset-offsets --topic T --to-offset 1 --execute", Rows),
    (GROUPS, "--describe --group G --offsets", Lines),
    (GROUPS, "--delete-offsets --group G --topic T", Lines),
    (GROUPS, "--delete --group G", Lines),
    (CONFIGS, "--entity-type topics --entity-name T --describe", Lines),
    (CONFIGS, "--topic T --describe --all", Lines),
    (
        CONFIGS,
        "--entity-type topics --entity-name T --alter --add-config max.message.bytes=20000,cleanup.policy=[compact,delete]",
        Lines,
    ),
    (CONFIGS, "--entity-type topics --entity-name T --describe", Lines),
    (CONFIGS, "--entity-type topics --entity-name T --alter --delete-config max.message.bytes", Lines),
    (CONFIGS, "--entity-type topics --entity-name T --describe", Lines),
    (CONFIGS, "--entity-type topics --entity-name M --describe", Lines),
    (CONFIGS, "--entity-type topics --entity-name T --alter --add-config nope=3", Code),
    (CONFIGS, "--entity-type brokers --describe", Lines),
    (CONFIGS, "--entity-type nope --describe", Code),
    (TOPICS, "--alter --topic T --partitions 3", Lines),
    (OFFSETS, "--topic T", Lines),
    (OFFSETS, "--topic T --time -2", Lines),
    (OFFSETS, "--topic T --time latest --partitions 0,2", Lines),
    // Which of the records is the latest depends on the milliseconds in which they came.
    (OFFSETS, "--topic T --time max-timestamp", Code),
    (OFFSETS, "--topic-partitions T:0-2", Lines),
    (OFFSETS, "--topic T --time nope", Code),
    (OFFSETS, "--topic M", Code),
    ("kafka-delete-records", "--offset-json-file F", Lines),
    (OFFSETS, "--topic T --time earliest", Lines),
    (TOPICS, "--delete --topic T", Lines),
    (TOPICS, "--delete --topic T --if-exists", Lines),
];

#[derive(Debug)]
struct Ended {
    code: i32,
    stdout: String,
}

/// The names that stand for `T`, `G`, `M` and the file of `F`.
struct Side {
    names: [(&'static str, String); 4],
    address: String,
}

impl Side {
    fn new(side: &str, address: String) -> Result<Self> {
        let topic = unique(&format!("tools-{side}"));
        let file = log_file(&format!("delete-records-{side}"))?;
        let text =
            format!(r#"{{"partitions":[{{"topic":"{topic}","partition":0,"offset":2}}],"version":1}}"#);
        std::fs::write(&file, text)?;
        let file = file.to_str().context("the target folder's path is UTF-8")?.to_owned();
        let (group, missing) = (format!("group-{topic}"), format!("missing-{topic}"));
        Ok(Self { names: [("M", missing), ("G", group), ("T", topic), ("F", file)], address })
    }

    /// The arguments of a case, and its stdin.
    fn words<'a>(&self, arguments: &'a str) -> (Vec<String>, Option<&'a str>) {
        let (arguments, input) =
            arguments.split_once('<').map_or((arguments, None), |(a, input)| (a, Some(input)));
        let word = |word: &str| {
            let named = self.names.iter().find(|(letter, _)| {
                word == *letter || word.strip_prefix(letter).is_some_and(|rest| rest.starts_with(':'))
            });
            named.map_or_else(|| word.to_owned(), |(letter, name)| word.replacen(letter, name, 1))
        };
        let words = ["--bootstrap-server".to_owned(), self.address.clone()];
        (words.into_iter().chain(arguments.split_whitespace().map(word)).collect(), input)
    }

    /// What was printed, without what differs between two sides or two runs.
    fn plain(&self, ended: &Ended, compared: Compared) -> Vec<Vec<String>> {
        let mut text = ended.stdout.clone();
        for (letter, name) in &self.names {
            text = text.replace(name, letter);
        }
        let mut lines: Vec<Vec<String>> = text.lines().map(|line| plain_words(line, compared)).collect();
        if compared == Rows {
            lines.sort();
        }
        lines
    }
}

fn plain_words(line: &str, compared: Compared) -> Vec<String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let masked = words.iter().enumerate().map(|(place, word)| {
        if place > 0 && words[place - 1] == "TopicId:" {
            return "ID".to_owned();
        }
        // Each side's own client: Kafka's may know a newer version.
        if place > 0 && words[place - 1] == "[usable:" {
            return "N".to_owned();
        }
        let mut parts: Vec<&str> = word.split(',').collect();
        if compared == Rows {
            parts.sort_unstable();
        }
        parts.join(",")
    });
    masked.collect()
}

fn class(tool: &str) -> &'static str {
    match tool {
        TOPICS => "org.apache.kafka.tools.TopicCommand",
        PRODUCER => "org.apache.kafka.tools.ConsoleProducer",
        CONSUMER => "org.apache.kafka.tools.consumer.ConsoleConsumer",
        GROUPS => "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
        CONFIGS => "kafka.admin.ConfigCommand",
        OFFSETS => "org.apache.kafka.tools.GetOffsetShell",
        "kafka-broker-api-versions" => "org.apache.kafka.tools.BrokerApiVersionsCommand",
        "kafka-delete-records" => "org.apache.kafka.tools.DeleteRecordsCommand",
        other => unreachable!("no class is known for {other}"),
    }
}

fn theirs(side: &Side) -> Result<Vec<Ended>> {
    let mut lines = String::new();
    for (tool, arguments, _) in CASES {
        let (words, input) = side.words(arguments);
        write!(lines, "{}\t{}", class(tool), words.join("\t"))?;
        if let Some(input) = input {
            let file = log_file("batch-input")?;
            std::fs::write(&file, input)?;
            write!(lines, "\t<{}", file.display())?;
        }
        lines.push('\n');
    }
    let file = log_file("batch")?;
    std::fs::write(&file, lines)?;
    let mut command = Command::new("java");
    command.args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx512m", "-cp"]);
    command.arg(kafka_class_path()?).arg(driver_dir("tools").join("Batch.java"));
    let printed =
        run_with_input(&mut command, Stdio::from(std::fs::File::open(file)?), Duration::from_secs(400))?;
    // What follows is stderr.
    let (printed, _) = printed.split_once("#### end").context("Kafka's tools did not come to their end")?;
    let blocks = printed.split("#### ").skip(1);
    let ended = |block: &str| {
        let (code, stdout) = block.split_once('\n').context("a code and a line end")?;
        Ok(Ended { code: code.trim().parse()?, stdout: stdout.to_owned() })
    };
    blocks.map(ended).collect()
}

fn ours(side: &Side) -> Result<Vec<Ended>> {
    let binary = onelog_binary()?;
    let mut all = Vec::new();
    for (tool, arguments, _) in CASES {
        let (words, input) = side.words(arguments);
        let file = log_file("tool-input")?;
        std::fs::write(&file, input.unwrap_or_default())?;
        let mut command = Command::new(binary);
        command.args(["tool", tool]).args(words).stdin(Stdio::from(std::fs::File::open(file)?));
        let output = command.output().with_context(|| format!("{tool} does not start"))?;
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        all.push(Ended { code: output.status.code().unwrap_or(-1), stdout });
    }
    Ok(all)
}

/// Always on Onelog: on Kafka what one tool changed is not yet there for the next.
#[test]
fn tools_print_the_same_columns_and_end_with_the_same_codes_as_kafkas() -> Result<()> {
    let broker = Broker::start(BrokerKind::Onelog)?;
    let address = broker.address();
    let (their_side, our_side) = (Side::new("k", address.clone())?, Side::new("o", address)?);
    let (theirs, ours) = (theirs(&their_side)?, ours(&our_side)?);
    ensure!(theirs.len() == CASES.len(), "{} of {} tools of Kafka ended", theirs.len(), CASES.len());
    let mut different = String::new();
    for (((tool, arguments, compared), theirs), ours) in CASES.iter().zip(&theirs).zip(&ours) {
        let same =
            *compared == Code || their_side.plain(theirs, *compared) == our_side.plain(ours, *compared);
        if !same || theirs.code != ours.code {
            write!(
                different,
                "\n{tool} {arguments}\nKafka's ends with {}:\n{}ours with {}:\n{}",
                theirs.code, theirs.stdout, ours.code, ours.stdout
            )?;
        }
    }
    ensure!(different.is_empty(), "{different}");
    Ok(())
}
