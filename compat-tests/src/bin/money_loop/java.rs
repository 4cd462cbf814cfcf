//! A mover whose producer is Java's, in a process of its own. Its clients speak transaction version 2 (KIP-890), in which the
//! producer's epoch grows with each transaction and partitions are added by the records themselves; librdkafka speaks version 1.
//!
//! Invariant: as in `worker`, the ledger hears of a transaction before the client does, and of a commit before the broker does.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use compat_tests::{clock, setup};

use crate::bank::ACCOUNTS;
use crate::ledger::Ledger;
use crate::transfer::Part;
use crate::worker::{LONGEST_LIFE, MOST_FAILED_STARTS, PATIENCE, SHORT_TIMEOUT_MS, TIMEOUT_MS, Worker};
use crate::workers::Shared;

/// What the client made of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Answer {
    Done,
    /// The same call may be repeated.
    Again(String),
    /// The transaction must be aborted.
    Abort(String),
    /// The producer is of no use any more.
    Dead(String),
}

/// The process; it ends with its input.
struct Teller {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    ledger: Ledger,
    shared: Arc<Shared>,
    number: usize,
}

impl Teller {
    fn start(worker: &Worker) -> Result<Self> {
        let mut child = Command::new("java")
            .args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx256m", "-cp"])
            .arg(setup::program_class_path("money")?)
            .args(["Teller", &worker.address, ACCOUNTS])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("java does not start")?;
        let (input, output) = (child.stdin.take(), child.stdout.take().context("its output is piped")?);
        let (ledger, shared) = (worker.ledger.clone(), Arc::clone(&worker.shared));
        Ok(Self { child, input, output: BufReader::new(output), ledger, shared, number: worker.number })
    }

    /// Every call returns: the client's own limits are seconds.
    fn call(&mut self, call: &str) -> Result<Answer> {
        self.shared.calling(self.number, call);
        writeln!(self.input.as_ref().context("its input is open")?, "{call}")?;
        loop {
            let mut line = String::new();
            ensure!(self.output.read_line(&mut line)? > 0, "the Java producer ended: {call}");
            let (word, rest) = line.trim_end().split_once(' ').unwrap_or((line.trim_end(), ""));
            let text = || format!("{}: {rest}", call.split(' ').next().unwrap_or(call));
            match word {
                "stored" => {
                    let (offset, part) = rest.split_once(' ').context("an offset and a part")?;
                    let part: Part = part.parse().map_err(anyhow::Error::msg)?;
                    self.ledger.stored(&part, offset.parse()?);
                }
                "ok" => return Ok(Answer::Done),
                "again" => return Ok(Answer::Again(text())),
                "abort" => return Ok(Answer::Abort(text())),
                "dead" => return Ok(Answer::Dead(text())),
                _ => bail!("no answer: {line}"),
            }
        }
    }

    /// Repeats a call that may be repeated.
    fn insist(&mut self, call: &str) -> Result<Answer> {
        let deadline = clock::now() + PATIENCE;
        loop {
            let answer = self.call(call)?;
            if !matches!(answer, Answer::Again(_)) || clock::now() >= deadline {
                return Ok(answer);
            }
        }
    }

    /// Begins, and hands over the parts.
    fn write(&mut self, partitions: i32, parts: &[Part]) -> Result<Answer> {
        let mut calls = vec!["begin".to_owned()];
        calls.extend(parts.iter().map(|part| format!("send {} {part}", part.partition(partitions))));
        for call in calls {
            let answer = self.call(&call)?;
            if answer != Answer::Done {
                return Ok(answer);
            }
        }
        Ok(Answer::Done)
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        drop(self.input.take());
        self.child.wait().ok();
    }
}

impl Worker {
    /// As `run`, with Java's producer.
    ///
    /// # Errors
    /// The broker stays away, or the process fails.
    pub(crate) fn run_java(mut self) -> Result<()> {
        let mut teller = Teller::start(&self)?;
        while !self.shared.is_stopped() {
            self.live_java(&mut teller)?;
        }
        Ok(())
    }

    /// The life of one producer.
    fn live_java(&mut self, teller: &mut Teller) -> Result<()> {
        let leaves_behind = self.random.u32(..10) == 0;
        let timeout = if leaves_behind { SHORT_TIMEOUT_MS } else { TIMEOUT_MS };
        teller.call(&format!("open money-java-{}-{} {timeout}", self.number, self.left_behind))?;
        let ready = teller.insist("init")?;
        if ready != Answer::Done {
            self.noted(ready);
            self.failed_starts += 1;
            ensure!(self.failed_starts < MOST_FAILED_STARTS, "worker {} cannot begin", self.number);
            return Ok(());
        }
        self.failed_starts = 0;
        for _ in 0..self.random.usize(1..=LONGEST_LIFE) {
            self.shared.wait_while_paused();
            if self.shared.is_stopped() || !self.java_transaction(teller)? {
                return Ok(());
            }
        }
        if leaves_behind || self.random.bool() {
            let parts = self.plan(&[], true);
            let mut left = teller.write(self.bank.partitions, &parts)?;
            if left == Answer::Done {
                left = teller.call("flush")?;
            }
            if self.noted(left) {
                self.shared.count_left_open();
            }
        }
        self.left_behind += usize::from(leaves_behind);
        Ok(())
    }

    /// One transaction; false when another producer must take this one's place.
    fn java_transaction(&mut self, teller: &mut Teller) -> Result<bool> {
        let poison = self.random.u32(..100) < 15;
        let parts = self.plan(&[], poison);
        let transaction = parts[0].transaction;
        let mut answer = teller.write(self.bank.partitions, &parts)?;
        if answer == Answer::Done && poison {
            // What the broker does not have cannot be seen by mistake.
            answer = teller.call("flush")?;
            if answer == Answer::Done {
                answer = teller.insist("abort")?;
            }
            if answer == Answer::Done {
                self.shared.count_abort();
            }
        } else if answer == Answer::Done {
            self.ledger.ask(transaction);
            answer = teller.insist("commit")?;
            if answer == Answer::Done {
                self.ledger.commit(transaction);
                self.shared.count_commit();
            }
        }
        let must_abort = matches!(answer, Answer::Abort(_));
        if self.noted(answer) {
            return Ok(true);
        }
        // What the client does not know of a commit it may not abort; it says so itself.
        let aborted = if must_abort { teller.insist("abort")? } else { Answer::Dead(String::new()) };
        Ok(aborted == Answer::Done)
    }

    /// Whether it is done; notes what it is otherwise.
    fn noted(&self, answer: Answer) -> bool {
        match answer {
            Answer::Done => return true,
            Answer::Again(text) | Answer::Abort(text) | Answer::Dead(text) => self.shared.note("java", &text),
        }
        false
    }
}
