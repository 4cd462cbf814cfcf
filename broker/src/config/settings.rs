//! Keys that were set, checked one by one against the table, and typed access to them.
//!
//! Called by `config` only. Invariant: every value stored here has passed its key's check, so the typed getters cannot fail.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::ConfigError;
use super::create_topics::{self, TopicToCreate};
use super::dynamic::requirement;
use super::keys::{ACCEPTED_PREFIXES, KEYS, Kind, Role, SECURITY_PREFIXES, find};

/// Where a value came from, for messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A line of the properties file.
    File {
        /// Path as given.
        name: Arc<str>,
        /// From 1.
        line: usize,
    },
    /// An environment variable.
    Environment(Arc<str>),
    /// A command line flag.
    Flag(&'static str),
    /// Code.
    Program,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { name, line } => write!(f, "{name}:{line}"),
            Self::Environment(name) => f.write_str(name),
            Self::Flag(name) => f.write_str(name),
            Self::Program => f.write_str("configuration"),
        }
    }
}

/// A remark for the operator that does not stop the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// True when the operator may have expected something that does not happen.
    pub warning: bool,
    /// One sentence.
    pub text: String,
}

#[derive(Debug, Clone)]
pub(super) struct Setting {
    pub(super) value: String,
    pub(super) origin: Origin,
}

#[derive(Debug, Default)]
pub(super) struct Settings {
    set: BTreeMap<&'static str, Setting>,
    /// Keys that a notice was given for: once each.
    remarked: Vec<String>,
    /// Those of [`RETIRED`] that were set.
    retired: BTreeMap<&'static str, Setting>,
    /// Key and value of a store that only Java reads.
    pub(super) java_store: Option<(String, String)>,
}

/// By these brokers before Kafka 3.0 were told their one address; `listeners` makes the newer keys of them.
const RETIRED: &[&str] = &["advertised.host.name", "advertised.port", "host.name", "port"];

impl Settings {
    /// Checks and stores one value; a later one for the same key replaces it.
    pub(super) fn set(
        &mut self,
        name: &str,
        value: &str,
        origin: Origin,
    ) -> Result<Option<Notice>, ConfigError> {
        let value = value.trim();
        if let Some(name) = RETIRED.iter().find(|retired| **retired == name) {
            self.retired.insert(name, Setting { value: value.to_owned(), origin });
            return Ok(None);
        }
        if self.java_store.is_none() && is_java_store(name, value) {
            self.java_store = Some((name.to_owned(), value.to_owned()));
        }
        let Some(key) = find(name) else { return Ok(self.remark(name, unknown(name, &origin))) };
        let value =
            canonical(key.kind, value).map_err(|what| ConfigError(format!("{origin}: {name} {what}")))?;
        requirement(name, &value)
            .map_err(|what| ConfigError(format!("{origin}: {what}, but it is {value}")))?;
        let notice = (key.role == Role::Accepted).then(|| without_meaning(name, &origin));
        self.set.insert(key.name, Setting { value, origin });
        Ok(notice.and_then(|notice| self.remark(name, notice)))
    }

    fn remark(&mut self, name: &str, notice: Notice) -> Option<Notice> {
        if self.remarked.iter().any(|known| known == name) {
            return None;
        }
        self.remarked.push(name.to_owned());
        Some(notice)
    }

    pub(super) fn explicit(&self) -> BTreeMap<String, String> {
        self.set.iter().map(|(name, setting)| ((*name).to_owned(), setting.value.clone())).collect()
    }

    pub(super) fn origins(&self) -> BTreeMap<String, Origin> {
        self.set.iter().map(|(name, setting)| ((*name).to_owned(), setting.origin.clone())).collect()
    }

    /// `onelog.create.topics`.
    pub(super) fn topics_to_create(&self) -> Result<Vec<TopicToCreate>, ConfigError> {
        let Some(Setting { value, origin }) = self.setting("onelog.create.topics") else {
            return Ok(Vec::new());
        };
        create_topics::parse(value)
            .map_err(|what| ConfigError(format!("{origin}: onelog.create.topics {what}")))
    }

    pub(super) fn setting(&self, name: &str) -> Option<&Setting> {
        self.set.get(name)
    }

    /// One of [`RETIRED`].
    pub(super) fn retired(&self, name: &str) -> Option<&Setting> {
        self.retired.get(name)
    }

    pub(super) fn is_set(&self, name: &str) -> bool {
        self.set.contains_key(name)
    }

    /// Refuses values that have an effect and stand for something that a Java class would look up (KIP-421). Without
    /// `config.providers` Kafka takes `${..}` as it is too.
    ///
    /// # Errors
    /// The first such value.
    pub(super) fn refuse_references(&self) -> Result<(), ConfigError> {
        if self.text("config.providers").is_none() {
            return Ok(());
        }
        let is_used = |name: &str| find(name).is_some_and(|key| key.role == Role::Used);
        let reference = |value: &str| value.split_once("${").is_some_and(|(_, rest)| rest.contains('}'));
        match self.set.iter().find(|(name, setting)| is_used(name) && reference(&setting.value)) {
            None => Ok(()),
            Some((name, Setting { value, origin })) => Err(ConfigError(format!(
                "{origin}: {name} is \"{value}\", which one of config.providers would fill in; there are none here: \
                 give the value itself"
            ))),
        }
    }

    /// The value, or the default; an empty one counts as none.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let value = self.set.get(name).map(|setting| setting.value.as_str());
        value
            .or_else(|| find(name).expect("only keys of the table are asked for").default)
            .filter(|value| !value.is_empty())
    }

    fn parsed<T: std::str::FromStr>(&self, name: &str) -> T {
        let value = self.text(name).and_then(|value| value.parse().ok());
        value.unwrap_or_else(|| panic!("{name}: the table's type and range admit only what its reader takes"))
    }

    /// Each word of a list.
    pub(super) fn list(&self, name: &str) -> Vec<&str> {
        self.text(name).into_iter().flat_map(|text| text.split(',')).map(str::trim).collect()
    }

    pub(super) fn boolean(&self, name: &str) -> bool {
        self.text(name) == Some("true")
    }

    pub(super) fn int(&self, name: &str) -> i32 {
        self.parsed(name)
    }

    pub(super) fn count(&self, name: &str) -> u32 {
        self.parsed(name)
    }

    pub(super) fn size(&self, name: &str) -> usize {
        self.parsed(name)
    }

    pub(super) fn bytes(&self, name: &str) -> u64 {
        self.parsed(name)
    }

    pub(super) fn millis(&self, name: &str) -> Duration {
        Duration::from_millis(self.parsed(name))
    }

    /// `None` when negative.
    pub(super) fn optional_millis(&self, name: &str) -> Option<Duration> {
        u64::try_from(self.parsed::<i64>(name)).ok().map(Duration::from_millis)
    }

    /// `log.dirs`, else `log.dir`, else `./onelog-data`.
    pub(super) fn data_dir(&self) -> Result<PathBuf, ConfigError> {
        let Some(dirs) = self.setting("log.dirs").filter(|setting| !setting.value.is_empty()) else {
            return Ok(PathBuf::from(self.text("log.dir").unwrap_or("onelog-data")));
        };
        let several = dirs.value.contains(',') && !matches!(dirs.origin, Origin::Flag(_));
        if several {
            let Setting { value, origin } = dirs;
            return Err(ConfigError(format!(
                "{origin}: log.dirs is \"{value}\", more than one directory; all partitions share one log here: give one directory"
            )));
        }
        Ok(PathBuf::from(&dirs.value))
    }
}

/// A key of a keystore or truststore that says, by type or by name of the file, that the store is in Java's own format.
fn is_java_store(name: &str, value: &str) -> bool {
    let value = value.to_ascii_lowercase();
    let stores = ["ssl.keystore.", "ssl.truststore."];
    let what = stores.iter().find_map(|store| name.split_once(store).map(|(_, what)| what));
    match what {
        Some("type") => value == "jks",
        Some("location" | "filename") => value.ends_with(".jks"),
        _ => false,
    }
}

fn is_in(family: &[&str], name: &str) -> bool {
    family.iter().any(|prefix| name.starts_with(prefix))
}

fn without_meaning(name: &str, origin: &Origin) -> Notice {
    let warning = is_in(SECURITY_PREFIXES, name);
    let text = if warning {
        format!("{origin}: {name} has no effect: this broker has no security yet, every client is let in")
    } else {
        format!("{origin}: {name} is accepted and has no meaning here")
    };
    Notice { warning, text }
}

fn unknown(name: &str, origin: &Origin) -> Notice {
    if is_in(SECURITY_PREFIXES, name) || is_in(ACCEPTED_PREFIXES, name) {
        return without_meaning(name, origin);
    }
    let nearest = KEYS
        .iter()
        .min_by_key(|key| strsim::damerau_levenshtein(key.name, name))
        .expect("the table is not empty");
    Notice {
        warning: true,
        text: format!("{origin}: unknown key {name} is ignored; the nearest known key is {}", nearest.name),
    }
}

/// `value` as Kafka writes it; else what is wrong and what would be right, to be put behind the key's name.
fn canonical(kind: Kind, value: &str) -> Result<String, String> {
    match kind {
        Kind::Boolean => match value.to_ascii_lowercase() {
            word if word == "true" || word == "false" => Ok(word),
            _ => Err(format!("is \"{value}\"; give true or false")),
        },
        Kind::Short(min, max) => whole(value, i64::from(min), i64::from(max)),
        Kind::Int(min, max) => whole(value, i64::from(min), i64::from(max)),
        Kind::Long(min, max) => whole(value, min, max),
        Kind::Double(min, max) => match value.parse::<f64>() {
            Ok(number) if (min..=max).contains(&number) => Ok(value.to_owned()),
            _ => Err(format!("is \"{value}\"; give a number from {min} to {max}")),
        },
        Kind::OneOf(words) if !words.contains(&value) => {
            Err(format!("is \"{value}\"; give one of {}", words.join(", ")))
        }
        Kind::List(words) => {
            let wrong =
                value.split(',').map(str::trim).find(|word| !words.is_empty() && !words.contains(word));
            match wrong {
                Some(word) => {
                    Err(format!("contains \"{word}\"; give some of {}, comma separated", words.join(", ")))
                }
                None => Ok(value.to_owned()),
            }
        }
        Kind::Text | Kind::OneOf(_) | Kind::Class | Kind::Password => Ok(value.to_owned()),
    }
}

fn whole(value: &str, min: i64, max: i64) -> Result<String, String> {
    match value.parse::<i64>() {
        Ok(number) if (min..=max).contains(&number) => Ok(number.to_string()),
        Ok(_) => Err(format!("is {value}, out of range; give a whole number from {min} to {max}")),
        Err(_) => Err(format!("is \"{value}\"; give a whole number from {min} to {max}")),
    }
}

/// Used by tests of the table: a default must satisfy its own key.
#[cfg(test)]
pub(super) fn default_is_valid(key: &super::Key) -> bool {
    key.default
        .is_none_or(|value| value.is_empty() || canonical(key.kind, value).is_ok_and(|same| same == value))
}
