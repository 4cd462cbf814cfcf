//! Configurations as they are found in the world start the built binary unchanged (`configurations/README.md` has their
//! sources), every listener answers with the address that its file advertises, and what has no effect is said once.
//!
//! A file or an environment is used as it is. What a container maps is overridden by flags, and nothing else: `--data-dir`
//! for the data, and `--override listeners` for the addresses that are bound, under the same names.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);

/// Variables that begin as keys do and steer the image, Java or nothing.
const NO_KEYS: &[&str] = &["KAFKA_JMX_", "KAFKA_HEAP_OPTS", "KAFKA_OPTS", "KAFKA_SERVICE_", "KAFKA_PORT"];

/// Said once although they have an effect: keys under the names of old brokers.
const RETIRED: &[&str] = &["KAFKA_ADVERTISED_HOST_NAME", "KAFKA_ADVERTISED_PORT"];

struct Fixture {
    path: PathBuf,
    /// Name and value, as the environment or the file has them, with the words by which a message names the place.
    places: Vec<String>,
    variables: Vec<(String, String)>,
}

fn fixtures(folder: &str) -> Vec<Fixture> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/configurations").join(folder);
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|kind| kind == "env" || kind == "properties"));
    paths.sort();
    paths.into_iter().map(Fixture::read).collect()
}

impl Fixture {
    fn read(path: PathBuf) -> Self {
        let text = fs::read_to_string(&path).unwrap();
        let is_file = path.extension().is_some_and(|kind| kind == "properties");
        let (mut places, mut variables) = (Vec::new(), Vec::new());
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.starts_with('#')) {
            let (name, value) = line.split_once('=').unwrap_or_else(|| panic!("{}: {line}", path.display()));
            if is_file {
                places.push(format!("{}:{}", path.display(), index + 1));
            } else {
                variables.push((name.to_owned(), value.to_owned()));
                let is_key = name.starts_with("KAFKA_") && !NO_KEYS.iter().any(|no| name.starts_with(no));
                places.extend(is_key.then(|| name.to_owned()));
            }
        }
        Self { path, places, variables }
    }

    fn onelog(&self, words: &[&str], flags: &[String]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_onelog"));
        command.env_clear().envs(self.variables.iter().cloned()).args(words);
        if self.variables.is_empty() {
            command.arg("--config").arg(&self.path);
        }
        command.args(flags).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    /// What `config print` says about the fixture as it is: value, place and whether it is used, by key.
    fn printed(&self) -> BTreeMap<String, (String, String, bool)> {
        let mut print = self.onelog(&["config", "print", "--json"], &[]);
        let Output { status, stdout, stderr } = print.stdout(Stdio::piped()).output().unwrap();
        assert!(status.success(), "{}: {}", self.path.display(), String::from_utf8_lossy(&stderr));
        let lines = String::from_utf8(stdout).unwrap();
        let entry = |line: &str| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
            (text("key"), (text("value"), text("origin"), line["used"].as_bool().unwrap()))
        };
        lines.lines().map(entry).collect()
    }
}

/// Entries of a list of `NAME<separator>VALUE`.
fn pairs<'a>(list: &'a str, separator: &str) -> Vec<(&'a str, &'a str)> {
    let entries = list.split(',').filter(|entry| !entry.is_empty());
    entries.map(|entry| entry.split_once(separator).unwrap()).collect()
}

/// Killed when dropped.
struct Running {
    child: Child,
    bound: Vec<String>,
    /// What was logged before clients were served.
    log: Vec<String>,
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Running {
    fn start(fixture: &Fixture, listeners: &str, data: &Path) -> Self {
        let flags = ["--override".to_owned(), format!("listeners={listeners}")];
        let data = ["--data-dir".to_owned(), data.display().to_string()];
        let mut child = fixture.onelog(&[], &[flags, data].concat()).spawn().unwrap();
        let mut log = Vec::new();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        let summary =
            lines.by_ref().inspect(|line| log.push(line.clone())).find(|line| line.contains(" listens on "));
        let summary = summary.unwrap_or_else(|| panic!("{}: {}", fixture.path.display(), log.join("\n")));
        std::thread::spawn(move || lines.for_each(drop));
        let bound = summary.split_once(" listens on ").unwrap().1.split_once(", advertises ").unwrap().0;
        Self { child, bound: bound.split(" and ").map(str::to_owned).collect(), log }
    }
}

/// Host and port that Metadata (version 1, all topics) names the one broker by, and the whole answer.
fn metadata(address: &str) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(&[0, 0, 0, 14, 0, 3, 0, 1, 0, 0, 0, 7, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]).unwrap();
    let mut size = [0; 4];
    stream.read_exact(&mut size).unwrap();
    let mut answer = vec![0; usize::try_from(u32::from_be_bytes(size)).unwrap()];
    stream.read_exact(&mut answer).unwrap();
    let int = |at: usize| i32::from_be_bytes(answer[at..at + 4].try_into().unwrap());
    assert_eq!((int(0), int(4)), (7, 1), "correlation id, brokers");
    let length = usize::from(u16::from_be_bytes([answer[12], answer[13]]));
    let host = String::from_utf8(answer[14..14 + length].to_vec()).unwrap();
    let port = int(14 + length);
    (format!("{host}:{port}"), answer)
}

#[test]
fn real_configurations_start_unchanged_advertise_what_they_say_and_name_what_has_no_effect() {
    let fixtures = fixtures("");
    assert!(fixtures.len() >= 15, "{}", fixtures.len());
    for fixture in &fixtures {
        let name = fixture.path.display();
        let printed = fixture.printed();
        let value = |key: &str| printed.get(key).map(|(value, ..)| value.as_str()).unwrap_or_default();
        let listeners = match value("listeners") {
            "" => "PLAINTEXT://127.0.0.1:9092",
            set => set,
        };
        let protocols: BTreeMap<_, _> =
            pairs(value("listener.security.protocol.map"), ":").into_iter().collect();
        let controllers: Vec<_> = value("controller.listener.names").split(',').collect();
        let names: Vec<&str> = pairs(listeners, "://").into_iter().map(|(name, _)| name).collect();
        let own = names.iter().map(|name| format!("{name}://127.0.0.1:0")).collect::<Vec<_>>().join(",");
        let opened: Vec<&str> = names
            .into_iter()
            .filter(|name| !controllers.contains(name))
            .filter(|name| protocols.get(name).is_none_or(|protocol| *protocol == "PLAINTEXT"))
            .collect();

        let data = tempfile::tempdir().unwrap();
        let running = Running::start(fixture, &own, &data.path().join("data"));
        assert_eq!(running.bound.len(), opened.len(), "{name}: {:?}", running.log);
        let advertised: BTreeMap<_, _> = pairs(value("advertised.listeners"), "://").into_iter().collect();
        for (listener, bound) in opened.into_iter().zip(&running.bound) {
            let (told, answer) = metadata(bound);
            assert_eq!(told, *advertised.get(listener).unwrap_or(&bound.as_str()), "{name}: {listener}");
            let asked = fixture.variables.iter().any(|(name, _)| name == "KAFKA_CREATE_TOPICS");
            assert_eq!(asked, answer.windows(4).any(|bytes| bytes == b"demo"), "{name}: topics");
        }

        for place in &fixture.places {
            let said = running.log.iter().filter(|line| line.contains(&format!(" {place}: "))).count();
            let used = printed.values().any(|(_, origin, used)| origin == place && *used);
            let expected = usize::from(!used || RETIRED.contains(&place.as_str()));
            assert_eq!(said, expected, "{name}: {place}\n{}", running.log.join("\n"));
        }
        let unknown: Vec<_> = running.log.iter().filter(|line| line.contains("unknown key")).collect();
        assert!(unknown.is_empty(), "{name}: {unknown:?}");
    }
}

#[test]
fn configurations_that_ask_for_security_are_refused_with_what_is_missing_and_the_way_out() {
    let fixtures = fixtures("refused");
    assert!(fixtures.len() >= 4, "{}", fixtures.len());
    for fixture in &fixtures {
        let data = tempfile::tempdir().unwrap();
        let flags = ["--data-dir".to_owned(), data.path().join("data").display().to_string()];
        let Output { status, stderr, .. } = fixture.onelog(&[], &flags).output().unwrap();
        let said = String::from_utf8(stderr).unwrap();
        assert_eq!(status.code(), Some(1), "{said}");
        let error = said.lines().find(|line| line.starts_with("error: ")).unwrap_or_else(|| panic!("{said}"));
        for part in [": listeners has ", "which does not exist here yet", "in listener.security.protocol.map"]
        {
            assert!(error.contains(part), "{}: {error}", fixture.path.display());
        }
        let has_java_store = fs::read_to_string(&fixture.path).unwrap().contains(".jks");
        assert_eq!(error.contains("keytool -importkeystore"), has_java_store, "{error}");
    }
}

#[test]
fn every_configuration_has_its_source_in_the_table() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/configurations");
    let table = fs::read_to_string(folder.join("README.md")).unwrap();
    for fixture in fixtures("").into_iter().chain(fixtures("refused")) {
        let name = fixture.path.strip_prefix(&folder).unwrap().display().to_string();
        assert!(table.contains(&format!("| `{name}` | ")), "{name}");
    }
}
