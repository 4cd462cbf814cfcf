//! The tables in `compat-tests/differential/`. Their README explains the lines; this is their reader.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Map, Value, json};

use super::schema::Schemas;

/// Frames that belong together, on fresh connections.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Unique; names the topics and groups of the scenario too.
    pub title: String,
    /// What is done, in order.
    pub steps: Vec<Step>,
}

/// One thing to do on one connection.
#[derive(Debug, Clone)]
pub struct Step {
    /// Where it is written, `file:line`.
    pub place: String,
    /// The connection's name.
    pub connection: String,
    /// What is done.
    pub action: Action,
    /// Whether the answer is compared.
    pub compared: bool,
    /// Values of the answer to remember: name and path.
    pub captures: Vec<(String, String)>,
}

/// What a step does.
#[derive(Debug, Clone)]
pub enum Action {
    /// Sends a request and, unless told otherwise, waits for its answer.
    Request {
        /// Its name, such as `Produce`.
        api: String,
        /// Its version.
        version: i16,
        /// Its fields.
        fields: Value,
        /// Whether the answer is read.
        answer: Wait,
    },
    /// Sends bytes behind a size and waits for an answer.
    Raw(String),
    /// Reads the answer to the oldest request that has none yet.
    Receive,
    /// Lets time pass.
    Sleep(Duration),
    /// Closes the connection.
    Close,
}

/// What happens after a request is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Its answer is read.
    Once,
    /// It is sent again until no field `errorCode` of the answer is set.
    UntilOk,
    /// It is sent again until some field `errorCode` of the answer is this.
    UntilCode(i64),
    /// Nothing is read.
    Never,
}

impl Step {
    /// The request's name and version, or what else is done.
    #[must_use]
    pub fn label(&self) -> String {
        match &self.action {
            Action::Request { api, version, .. } => format!("{api} v{version}"),
            Action::Raw(_) => "raw".to_owned(),
            Action::Receive => "receive".to_owned(),
            Action::Sleep(_) => "sleep".to_owned(),
            Action::Close => "close".to_owned(),
        }
    }
}

/// All scenarios of the folder, in the order of file names and lines.
///
/// # Errors
/// A file cannot be read or a line of it is not understood; two scenarios have one title.
pub fn read_all(folder: &Path, schemas: &Schemas) -> Result<Vec<Scenario>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "scenario") {
            files.push(path);
        }
    }
    files.sort();
    let mut all: Vec<Scenario> = Vec::new();
    for file in files {
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        all.extend(parse(&name, &fs::read_to_string(&file)?, schemas)?);
    }
    let mut titles: Vec<_> = all.iter().map(|scenario| &scenario.title).collect();
    titles.sort();
    if let Some(pair) = titles.windows(2).find(|pair| pair[0] == pair[1]) {
        bail!("two scenarios are called {:?}", pair[0]);
    }
    Ok(all)
}

/// The scenarios of one file.
///
/// # Errors
/// A line is not understood; the error says which.
pub fn parse(file: &str, text: &str, schemas: &Schemas) -> Result<Vec<Scenario>> {
    let mut scenarios: Vec<Scenario> = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, first)) = lines.next() {
        let mut line = first.trim().to_owned();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let place = format!("{file}:{}", number + 1);
        if let Some(title) = line.strip_prefix("scenario ") {
            scenarios.push(Scenario { title: title.trim().to_owned(), steps: Vec::new() });
            continue;
        }
        while open_braces(&line) > 0 {
            let (_, more) = lines.next().with_context(|| format!("{place}: a brace is not closed"))?;
            line.push(' ');
            line.push_str(more.trim());
        }
        let scenario =
            scenarios.last_mut().with_context(|| format!("{place}: no scenario line before it"))?;
        scenario.steps.extend(steps(&place, &line, schemas).with_context(|| place.clone())?);
    }
    Ok(scenarios)
}

fn steps(place: &str, line: &str, schemas: &Schemas) -> Result<Vec<Step>> {
    let (head, fields, tail) = split_at_json(line)?;
    let mut words = head.split_whitespace().peekable();
    let mut step = Step {
        place: place.to_owned(),
        connection: "a".to_owned(),
        action: Action::Receive,
        compared: true,
        captures: captures(tail)?,
    };
    let mut answer = Wait::Once;
    loop {
        let word = words.next().context("nothing to do")?;
        match word {
            _ if word.starts_with('@') => step.connection = word[1..].to_owned(),
            "unchecked" => step.compared = false,
            "send" => answer = Wait::Never,
            "until-ok" => answer = Wait::UntilOk,
            _ if word.starts_with("until-code=") => answer = Wait::UntilCode(word[11..].parse()?),
            "receive" => return Ok(vec![step]),
            "close" => return Ok(vec![Step { action: Action::Close, compared: false, ..step }]),
            "sleep" => {
                let pause = Duration::from_millis(words.next().context("how long?")?.parse()?);
                return Ok(vec![Step { action: Action::Sleep(pause), compared: false, ..step }]);
            }
            "raw" => {
                let digits = words.collect::<Vec<_>>().join(" ");
                return Ok(vec![Step { action: Action::Raw(digits), ..step }]);
            }
            "topic" => return topic(&step, words.collect()),
            api => {
                let known = schemas.api(api)?;
                let versions = words.next().context("which version?")?;
                ensure!(words.next().is_none(), "a word too many before the fields");
                let versions: Vec<i16> = match (versions, versions.split_once("..")) {
                    ("*", _) => known.request.versions.iter().collect(),
                    (_, Some((first, last))) => (first.parse()?..=last.parse()?).collect(),
                    (one, None) => vec![one.parse()?],
                };
                let steps = versions.into_iter().map(|version| {
                    let (api, fields) = (api.to_owned(), fields.clone());
                    Step { action: Action::Request { api, version, fields, answer }, ..step.clone() }
                });
                return Ok(steps.collect());
            }
        }
    }
}

/// `topic NAME [partitions=N] [id=VARIABLE] [CONFIG=VALUE]...`: creates it and waits until every partition has its leader.
fn topic(step: &Step, words: Vec<&str>) -> Result<Vec<Step>> {
    let (name, options) = words.split_first().context("which topic?")?;
    let (mut partitions, mut id) = (1_i32, "id");
    let mut configs = Vec::new();
    for option in options {
        match option.split_once('=').with_context(|| format!("{option} is no NAME=VALUE"))? {
            ("partitions", count) => partitions = count.parse()?,
            ("id", variable) => id = variable,
            (config, value) => configs.push(json!({"name": config, "value": value})),
        }
    }
    let request = |api: &str, version, fields, captures| {
        let (api, answer) = (api.to_owned(), Wait::UntilOk);
        let action = Action::Request { api, version, fields, answer };
        Step { action, compared: false, captures, ..step.clone() }
    };
    let create = json!({"timeoutMs": 10_000, "topics": [
        {"name": name, "numPartitions": partitions, "replicationFactor": 1, "configs": configs}]});
    let ready: Vec<_> =
        (0..partitions).map(|index| json!({"partitionIndex": index, "timestamp": -1})).collect();
    let ready = json!({"replicaId": -1, "topics": [{"name": name, "partitions": ready}]});
    let capture = vec![(id.to_owned(), "topics.0.topicId".to_owned())];
    Ok(vec![request("CreateTopics", 7, create, capture), request("ListOffsets", 7, ready, Vec::new())])
}

/// `-> name=path name=path`.
fn captures(tail: &str) -> Result<Vec<(String, String)>> {
    let tail = tail.trim();
    if tail.is_empty() {
        return Ok(Vec::new());
    }
    let list = tail.strip_prefix("->").with_context(|| format!("what is {tail:?}?"))?;
    let pairs = list.split_whitespace().map(|pair| {
        let (name, path) = pair.split_once('=').with_context(|| format!("{pair} is no NAME=PATH"))?;
        Ok((name.to_owned(), path.to_owned()))
    });
    pairs.collect()
}

/// What is before the JSON, the JSON (an empty object when there is none), and what is after it.
fn split_at_json(line: &str) -> Result<(&str, Value, &str)> {
    let Some(start) = line.find('{') else {
        let (head, tail) = line.find("->").map_or((line, ""), |place| line.split_at(place));
        return Ok((head, Value::Object(Map::new()), tail));
    };
    let mut values = serde_json::Deserializer::from_str(&line[start..]).into_iter::<Value>();
    let fields = values.next().context("no fields")??;
    let end = start + values.byte_offset();
    Ok((&line[..start], fields, &line[end..]))
}

/// How many braces are open at the end of `line`, without those in quotes.
fn open_braces(line: &str) -> i32 {
    let (mut depth, mut quoted, mut escaped) = (0, false, false);
    for letter in line.chars() {
        match letter {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '{' if !quoted => depth += 1,
            '}' if !quoted => depth -= 1,
            _ => {}
        }
    }
    depth
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Vec<Scenario>> {
        parse("test", text, &Schemas::default())
    }

    #[test]
    fn lines_that_need_no_api_are_read() {
        let text = "# comment\nscenario one\n@b receive -> m=memberId\nsleep 20\nraw 00 12\n\
                    scenario two\nunchecked topic $t partitions=2 id=first cleanup.policy=compact\n@c close";
        let scenarios = parsed(text).unwrap();
        assert_eq!(scenarios.iter().map(|each| each.title.as_str()).collect::<Vec<_>>(), ["one", "two"]);
        let receive = &scenarios[0].steps[0];
        assert_eq!((receive.connection.as_str(), receive.place.as_str()), ("b", "test:3"));
        assert_eq!(receive.captures, [("m".to_owned(), "memberId".to_owned())]);
        assert!(matches!(&scenarios[0].steps[2].action, Action::Raw(digits) if digits == "00 12"));
        let Action::Request { fields, .. } = &scenarios[1].steps[0].action else { panic!("a request") };
        assert_eq!(fields["topics"][0]["configs"][0]["value"], "compact");
        assert_eq!(scenarios[1].steps[0].captures[0].0, "first");
    }

    #[test]
    fn mistakes_name_their_line() {
        let error = parsed("scenario one\n\nNoSuchApi 3 {}").unwrap_err();
        assert!(error.to_string().contains("test:3"), "{error:#}");
        parsed("Metadata 1 {}").unwrap_err();
        parsed("scenario one\nMetadata 1 {\"a\": 1").unwrap_err();
    }
}
