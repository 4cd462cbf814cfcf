//! The arrows between rooms: `protocol <- storage <- broker <- compat-tests, bench` with `tools` between protocol and
//! the broker's binary, and those inside the broker. One table says
//! what each room must not name; it is the only place where the arrows are written as code.

use super::Finding;
use super::rust::Code;
use super::source::SourceFile;

/// What a part of the tree must not import.
#[derive(Debug)]
struct Room {
    /// Path prefixes of the files.
    files: &'static [&'static str],
    /// Prefixes of files that are left out.
    except: &'static [&'static str],
    /// Runs of path segments that must not occur.
    banned: &'static [&'static str],
    /// Exceptions from `banned`.
    allowed: &'static [&'static str],
    /// Why, for the message.
    because: &'static str,
}

/// The pure coordinators; their shells lie beside them.
const COORDINATORS: &[&str] = &[
    "broker/src/coordinator/group",
    "broker/src/coordinator/transaction.rs",
    "broker/src/coordinator/transaction/",
    "broker/src/coordinator/share.rs",
    "broker/src/coordinator/share/",
];

const ROOMS: &[Room] = &[
    Room {
        files: &["protocol/"],
        except: &[],
        banned: &["tokio", "storage", "broker", "compat_tests"],
        allowed: &[],
        because: "protocol is the lowest crate and sans-IO: pass bytes in, return values",
    },
    Room {
        files: &["protocol/src/"],
        except: &[],
        banned: &["std::fs", "std::net", "std::thread", "std::time", "std::env", "std::process"],
        allowed: &[],
        because: "protocol has no files, sockets or clock: the caller passes what it needs",
    },
    Room {
        files: &["storage/"],
        except: &[],
        banned: &["tokio", "broker", "compat_tests", "kafka_protocol"],
        allowed: &[],
        because: "storage is synchronous and knows no Kafka API: the broker chooses threads and maps errors",
    },
    Room {
        files: &["storage/"],
        except: &[],
        banned: &["protocol"],
        allowed: &[
            "protocol::record_batch",
            "protocol::record_batch_builder",
            "protocol::record_batch_rebuild",
            "protocol::record_set",
            "protocol::record_lookup",
            "protocol::compression",
            "protocol::control_batch",
        ],
        because: "storage reads record batches and nothing else of the wire: messages are mapped in the broker",
    },
    Room {
        files: &["tools/"],
        except: &[],
        banned: &["tokio", "storage", "broker", "compat_tests", "std::thread::spawn"],
        allowed: &[],
        because: "tools are clients like any other: they know the wire and reach a broker through its socket",
    },
    Room {
        files: &["protocol/", "storage/"],
        except: &[],
        banned: &["tools"],
        allowed: &[],
        because: "only the binary calls the tools",
    },
    Room {
        files: &["broker/"],
        except: &["broker/src/main.rs"],
        banned: &["tools"],
        allowed: &[],
        because: "only the binary calls the tools",
    },
    Room {
        files: &["broker/"],
        except: &[],
        banned: &["compat_tests"],
        allowed: &[],
        because: "compat-tests is a black box: nothing imports it",
    },
    Room {
        files: COORDINATORS,
        except: &[
            "broker/src/coordinator/group/tests",
            "broker/src/coordinator/group/consumer/assignor/tests",
            "broker/src/coordinator/transaction/tests",
            "broker/src/coordinator/share/tests",
        ],
        banned: &[
            "tokio",
            "dashmap",
            "storage",
            "std::net",
            "std::fs",
            "std::thread",
            "Instant::now",
            "SystemTime",
        ],
        allowed: &[],
        because: "coordinators are values: no clock, socket, file or log inside; take `now` and events, return effects",
    },
    Room {
        files: COORDINATORS,
        except: &[],
        banned: &["std::sync"],
        allowed: &["std::sync::Arc", "std::sync::Weak"],
        because: "coordinators are values with one owner: no locks, atomics or channels inside",
    },
    Room {
        files: COORDINATORS,
        except: &[],
        banned: &["crate"],
        allowed: &["crate::coordinator"],
        because: "coordinators know only protocol and each other: the runtime is the bridge to the rest of the broker",
    },
    Room {
        files: &["broker/src/api"],
        except: &["broker/src/api/tests"],
        banned: &["crate::net", "crate::server", "crate::admin"],
        allowed: &[],
        because: "a handler never sees a socket: what it needs of the connection comes in the request's context",
    },
    Room {
        files: &[
            "broker/src/partition",
            "broker/src/topics",
            "broker/src/topic_config",
            "broker/src/coordinator",
        ],
        except: &[],
        banned: &["crate::net", "crate::api", "crate::server", "crate::admin"],
        allowed: &[],
        because: "net calls api, api calls these rooms, never back: return a value and let the handler answer",
    },
    Room {
        files: &["compat-tests/"],
        except: &[],
        banned: &["protocol", "storage", "tools", "broker", "kafka_protocol"],
        allowed: &[],
        because: "compat-tests reach the broker through its process boundary only: use a client",
    },
    Room {
        files: &["bindings/", "examples/"],
        except: &[],
        banned: &["protocol", "storage", "tools", "broker", "compat_tests", "kafka_protocol"],
        allowed: &[],
        because: "bindings drive the binary and examples use bindings: what they need is what users have",
    },
    Room {
        files: &["bench/"],
        except: &[],
        banned: &["storage", "broker", "compat_tests"],
        allowed: &[],
        because: "bench measures brokers from outside, the same way for each of them",
    },
];

/// Packages that a manifest must not depend on, in any of its dependency tables.
const MANIFESTS: &[(&str, &[&str], &str)] = &[
    ("protocol", &["tokio", "storage", "broker", "compat-tests"], "protocol is the lowest crate and sans-IO"),
    (
        "storage",
        &["tokio", "broker", "kafka-protocol", "compat-tests"],
        "storage is synchronous and knows no Kafka API",
    ),
    (
        "tools",
        &["tokio", "storage", "broker", "compat-tests"],
        "tools are clients: they know the wire and nothing behind it",
    ),
    ("broker", &["compat-tests"], "compat-tests is a black box"),
    (
        "compat-tests",
        &["protocol", "storage", "tools", "broker", "kafka-protocol"],
        "only the process boundary is tested",
    ),
    (
        "bindings/rust",
        &["protocol", "storage", "tools", "broker", "compat-tests", "kafka-protocol"],
        "the binding drives the binary",
    ),
    ("bench", &["storage", "broker", "compat-tests"], "brokers are measured from outside"),
];

pub(super) fn check(file: &SourceFile, code: &Code) -> Vec<Finding> {
    let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| file.path.starts_with(prefix));
    let mut findings = Vec::new();
    for room in ROOMS.iter().filter(|room| starts(room.files) && !starts(room.except)) {
        for path in &code.paths {
            let banned = room.banned.iter().find(|banned| names(&path.name, banned));
            let allowed = room.allowed.iter().any(|allowed| names(&path.name, allowed));
            if let Some(banned) = banned
                && !allowed
            {
                let message = format!("`{}` names `{banned}`: {}", path.name, room.because);
                findings.push(Finding::new(file, path.line, message));
            }
        }
    }
    findings
}

/// Whether `part` is a run of whole segments of `path`. A crate or `std` is only meant at the front; `crate::net` and
/// `Instant::now` anywhere.
fn names(path: &str, part: &str) -> bool {
    let path: Vec<_> = path.split("::").collect();
    let part: Vec<_> = part.split("::").collect();
    let at_front = path.starts_with(&part);
    let type_or_function = part[0].starts_with(char::is_uppercase);
    at_front || (type_or_function && path.windows(part.len()).any(|window| window == part))
}

/// Dependencies are looked at too: an unused one is an arrow that waits to be taken.
pub(super) fn check_manifest(file: &SourceFile) -> Vec<Finding> {
    let Some((_, banned, because)) =
        MANIFESTS.iter().find(|(folder, ..)| file.path == format!("{folder}/Cargo.toml"))
    else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    let mut in_dependencies = false;
    for (index, line) in file.text.lines().enumerate() {
        if let Some(table) = line.strip_prefix('[') {
            let table = table.trim_end_matches(']');
            in_dependencies = table.ends_with("dependencies");
            let one = table.split_once("dependencies.").map(|(_, package)| package);
            findings.extend(one.filter(|package| banned.contains(package)).map(|package| (index, package)));
        } else if in_dependencies {
            let package = line.split(['.', '=', ' ']).next().unwrap_or_default();
            findings.extend(banned.contains(&package).then_some((index, package)));
        }
    }
    let message = |package| format!("`{package}` must not be a dependency here: {because}");
    findings.into_iter().map(|(index, package)| Finding::new(file, index + 1, message(package))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(path: &str, text: &str) -> Vec<String> {
        let file = SourceFile::new(path, text);
        let code = Code::parse(&file).expect("it is Rust");
        check(&file, &code).into_iter().map(|finding| finding.message).collect()
    }

    #[test]
    fn upward_imports_are_found_in_every_crate() {
        for (path, text) in [
            ("protocol/src/a.rs", "use storage::Store;"),
            ("protocol/src/a.rs", "fn f() { std::fs::read(1); }"),
            ("storage/src/a.rs", "use tokio::sync::mpsc;"),
            ("storage/tests/a.rs", "#[tokio::test] async fn f() {}"),
            ("storage/src/a.rs", "use protocol::{record_batch::Header, messages::ProduceRequest};"),
            ("broker/src/a.rs", "use compat_tests::wire;"),
            ("broker/src/api/fetch.rs", "use crate::{broker::Broker, net::Connection};"),
            ("broker/src/partition/waits.rs", "fn f() -> crate::api::Reply {}"),
            ("compat-tests/src/wire.rs", "use protocol::frame;"),
        ] {
            assert_eq!(messages(path, text).len(), 1, "{path}: {text}");
        }
    }

    #[test]
    fn coordinator_reads_no_clock_and_takes_no_lock() {
        let room = "broker/src/coordinator/group/join.rs";
        for text in [
            "fn f() { let now = Instant::now(); }",
            "fn f() { std::time::Instant::now() }",
            "use std::sync::{Arc, Mutex};",
            "use std::sync::atomic::AtomicU64;",
            "use std::net::SocketAddr;",
            "use crate::topics::Topics;",
        ] {
            assert_eq!(messages(room, text).len(), 1, "{text}");
            assert_eq!(messages("broker/src/coordinator/transaction/end.rs", text).len(), 1, "{text}");
        }
    }

    #[test]
    fn arrows_that_point_down_are_fine() {
        for (path, text) in [
            ("protocol/src/a.rs", "use kafka_protocol::messages::ApiKey;"),
            ("storage/src/a.rs", "use protocol::record_batch::RecordBatchView; use std::time::Duration;"),
            (
                "broker/src/coordinator/group/join.rs",
                "use std::sync::Arc; use std::time::{Duration, Instant};",
            ),
            ("broker/src/coordinator/group/tests/join.rs", "fn start() -> Instant { Instant::now() }"),
            ("broker/src/coordinator/runtime.rs", "use crate::partition::Partition; use tokio::sync::mpsc;"),
            ("broker/src/net/connection.rs", "use crate::api::dispatch; use storage::Store;"),
        ] {
            assert_eq!(messages(path, text), Vec::<String>::new(), "{path}: {text}");
        }
    }

    #[test]
    fn manifests_are_checked_in_every_dependency_table() {
        let text = "[package]\ntokio = 1\n[dependencies]\nbytes = \"1\"\ntokio.workspace = true\n\
                    [dev-dependencies]\nbroker = { path = \"../broker\" }\n[dependencies.kafka-protocol]\nversion = \"1\"\n";
        let found = check_manifest(&SourceFile::new("storage/Cargo.toml", text));
        let lines: Vec<_> = found.iter().map(|finding| finding.line).collect();
        assert_eq!(lines, [5, 7, 8]);
        assert_eq!(check_manifest(&SourceFile::new("xtask/Cargo.toml", text)), []);
    }
}
