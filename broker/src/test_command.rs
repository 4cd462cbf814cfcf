//! `onelog test`: the control API of a broker in test mode (`docs/TEST_MODE.md`) from the command line.
//!
//! Called by `main`; knows each verb's method, path and body, and nothing of what it does. Exit codes: 0 done, 1 refused or not
//! reached, 3 what was waited for did not come about in time. Invariant: a refusal is the broker's own sentence.

mod rule;
mod shown;

use std::io::{self, Write as _};
use std::process::ExitCode;

use broker::config::HostPort;
use broker::control_client::{self, Answer, Request};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use rule::RuleArguments;

/// For what was waited for and did not come about.
const TIMED_OUT: u8 = 3;
const REQUEST_TIMEOUT: u16 = 408;

/// `onelog test ...`
#[derive(Debug, Args)]
#[command(
    after_help = "The broker has to be in test mode: onelog dev --test-mode. Its address is in the second line of the ready file.\n\
    Exit code: 0 done, 1 refused or not reached, 3 what was waited for did not come in time."
)]
pub(crate) struct TestArguments {
    /// Where the broker serves its admin endpoints
    #[arg(long, value_name = "HOST:PORT", global = true, default_value = "127.0.0.1:9644")]
    admin: HostPort,
    /// The answer as it came, one JSON object
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Args)]
struct Limit {
    /// How long to wait at most, milliseconds
    #[arg(long, value_name = "MS", default_value_t = 10_000)]
    timeout_ms: u64,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show what clients sent, oldest first
    Requests {
        /// Only of this API, by name in any case
        #[arg(long, value_name = "API")]
        key: Option<String>,
        /// Only from this sequence number on
        #[arg(long, value_name = "N")]
        since: Option<u64>,
    },
    /// Make requests fail, late or lost
    #[command(subcommand)]
    Fault(Fault),
    /// Make the broker as if it had just been started empty
    Reset {
        /// A topic that stays with its records; may be given several times
        #[arg(long, value_name = "TOPIC")]
        keep_topic: Vec<String>,
    },
    /// Keep the whole broker as it is, and go back to it
    #[command(subcommand)]
    Snapshot(Snapshot),
    /// Show the broker's time, or move it forward
    Clock {
        /// By how much, milliseconds
        #[arg(long, value_name = "MS")]
        advance_ms: Option<u64>,
    },
    /// Wait until a group is in a state
    WaitGroup {
        /// The group
        group: String,
        /// As ListGroups names it: Stable, Empty, ...
        #[arg(long)]
        state: Option<String>,
        /// How many members it has
        #[arg(long, value_name = "N")]
        members: Option<u32>,
        #[command(flatten)]
        limit: Limit,
    },
    /// Take a member out of its group, as the end of its session does
    ExpireMember {
        /// The group
        group: String,
        /// Member id or group.instance.id
        member: String,
    },
    /// End an open transaction, as its timeout does
    ExpireTransaction {
        /// The transactional id
        transactional_id: String,
    },
    /// Look like an older release: kafka-2.1, kafka-2.8, kafka-3.0, kafka-3.9, kafka-4.0
    MaxVersions {
        /// The release; left out: the broker's own versions again
        profile: Option<String>,
    },
    /// Make every sync of the log take longer
    SlowDisk {
        /// By how much, milliseconds; 0 is as it was
        fsync_ms: u64,
    },
    /// Refuse records as a full disk does
    DiskFull {
        /// There is room again
        #[arg(long)]
        off: bool,
    },
    /// Wait until no request is under way
    Quiesce {
        #[command(flatten)]
        limit: Limit,
    },
    /// Delete now what is too old or too much
    Retention,
    /// Compact now what can be
    Compact,
    /// Show the virtual nodes
    Nodes,
    /// Take a virtual node down
    NodeDown {
        /// Its number
        id: i32,
    },
    /// Bring a virtual node up again
    NodeUp {
        /// Its number
        id: i32,
    },
    /// Make a virtual node the leader of a partition
    MoveLeader {
        /// The topic
        topic: String,
        /// The partition
        partition: i32,
        /// The node's number
        node: i32,
    },
}

#[derive(Debug, Subcommand)]
enum Fault {
    /// Make a rule; the answer is its number
    Add(Box<RuleArguments>),
    /// Show all rules
    List,
    /// Show one rule
    Show {
        /// Its number
        id: u64,
    },
    /// Wait until a rule was done to requests
    Wait {
        /// Its number
        id: u64,
        /// To how many
        #[arg(long, value_name = "N", default_value_t = 1)]
        hits: u64,
        #[command(flatten)]
        limit: Limit,
    },
    /// Take out one rule, or all
    Clear {
        /// Its number; left out: all
        id: Option<u64>,
    },
}

#[derive(Debug, Subcommand)]
enum Snapshot {
    /// Keep the broker as it is under a name
    Take {
        /// The name
        name: String,
        #[command(flatten)]
        limit: Limit,
    },
    /// Go back to a snapshot
    Restore {
        /// Its name
        name: String,
        #[command(flatten)]
        limit: Limit,
    },
    /// Show all snapshots
    List,
    /// Forget a snapshot
    Delete {
        /// Its name
        name: String,
    },
}

/// Runs the command; the exit code.
pub(crate) fn run(arguments: TestArguments) -> ExitCode {
    let TestArguments { admin, json, verb } = arguments;
    let told = |sentence: String, code| {
        // A closed terminal is nobody to tell.
        drop(writeln!(io::stderr(), "error: {sentence}"));
        code
    };
    let request = match request(verb) {
        Ok(request) => request,
        Err(sentence) => return told(sentence, ExitCode::FAILURE),
    };
    match control_client::ask(&admin, &request) {
        Err(error) => told(error.to_string(), ExitCode::FAILURE),
        Ok(Answer { status: 200, body }) => {
            let text = if json { format!("{body}\n") } else { shown::text(&body) };
            match io::stdout().write_all(text.as_bytes()) {
                Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                    told(format!("standard output: {error}"), ExitCode::FAILURE)
                }
                _ => ExitCode::SUCCESS,
            }
        }
        Ok(Answer { status, body }) => {
            let sentence = body["error"].as_str().map_or_else(|| body.to_string(), str::to_owned);
            let code = if status == REQUEST_TIMEOUT { ExitCode::from(TIMED_OUT) } else { ExitCode::FAILURE };
            told(sentence, code)
        }
    }
}

/// What a verb is in HTTP.
///
/// # Errors
/// A sentence: a rule that cannot be read.
fn request(verb: Verb) -> Result<Request, String> {
    let post = |path: &[&str], body: Value| Request::new("POST", path).body(body);
    Ok(match verb {
        Verb::Requests { key, since } => {
            Request::new("GET", &["requests"]).query("key", key).query("since", since)
        }
        Verb::Fault(fault) => return of_fault(fault),
        Verb::Reset { keep_topic } => post(&["reset"], json!({ "keep_topics": keep_topic })),
        Verb::Snapshot(snapshot) => of_snapshot(snapshot),
        Verb::Clock { advance_ms: None } => Request::new("GET", &["clock"]),
        Verb::Clock { advance_ms: Some(ms) } => post(&["clock"], json!({ "advance_ms": ms })),
        Verb::WaitGroup { group, state, members, limit } => Request::new("GET", &["groups", &group, "wait"])
            .query("state", state)
            .query("members", members)
            .query("timeout_ms", Some(limit.timeout_ms)),
        Verb::ExpireMember { group, member } => post(&["members", &group, &member, "expire"], json!({})),
        Verb::ExpireTransaction { transactional_id } => {
            post(&["txn", &transactional_id, "expire"], json!({}))
        }
        Verb::MaxVersions { profile } => post(&["max-versions"], json!({ "profile": profile })),
        Verb::SlowDisk { fsync_ms } => post(&["slow-disk"], json!({ "fsync_ms": fsync_ms })),
        Verb::DiskFull { off } => post(&["disk-full"], json!({ "full": !off })),
        Verb::Quiesce { limit } => post(&["quiesce"], json!({})).query("timeout_ms", Some(limit.timeout_ms)),
        Verb::Retention => post(&["retention"], json!({})),
        Verb::Compact => post(&["compact"], json!({})),
        Verb::Nodes => Request::new("GET", &["nodes"]),
        Verb::NodeDown { id } => post(&["nodes", &id.to_string(), "down"], json!({})),
        Verb::NodeUp { id } => post(&["nodes", &id.to_string(), "up"], json!({})),
        Verb::MoveLeader { topic, partition, node } => {
            post(&["partitions", &topic, &partition.to_string(), "leader"], json!({ "node": node }))
        }
    })
}

fn of_fault(fault: Fault) -> Result<Request, String> {
    Ok(match fault {
        Fault::Add(rule) => Request::new("POST", &["faults"]).body(rule.to_json()?),
        Fault::List => Request::new("GET", &["faults"]),
        Fault::Show { id } => Request::new("GET", &["faults", &id.to_string()]),
        Fault::Wait { id, hits, limit } => Request::new("GET", &["faults", &id.to_string(), "wait"])
            .query("hits", Some(hits))
            .query("timeout_ms", Some(limit.timeout_ms)),
        Fault::Clear { id: None } => Request::new("DELETE", &["faults"]),
        Fault::Clear { id: Some(id) } => Request::new("DELETE", &["faults", &id.to_string()]),
    })
}

fn of_snapshot(snapshot: Snapshot) -> Request {
    match snapshot {
        Snapshot::Take { name, limit } => Request::new("POST", &["snapshots"])
            .body(json!({ "name": name }))
            .query("timeout_ms", Some(limit.timeout_ms)),
        Snapshot::Restore { name, limit } => Request::new("POST", &["snapshots", &name, "restore"])
            .body(json!({}))
            .query("timeout_ms", Some(limit.timeout_ms)),
        Snapshot::List => Request::new("GET", &["snapshots"]),
        Snapshot::Delete { name } => Request::new("DELETE", &["snapshots", &name]),
    }
}
