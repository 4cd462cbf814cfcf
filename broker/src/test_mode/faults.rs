//! Rules of faults: which requests meet one, how often, and what is done to them then.
//!
//! A value without clock or socket; `TestMode` asks it for every request and carries out what it says. Invariants: a rule that
//! is taken can be carried out for every API that it names; the same rules and the same requests in the same order meet the
//! same fate, chance included.

use std::time::Duration;

use protocol::ErrorCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::errors;
use super::touched::{self, Touched};
use crate::api::{APIS, Entry};

/// A rule as it is written. What is left out matches everything, or is not done.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Spec {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    keys: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    partition: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delay_ms: Option<u64>,
    #[serde(skip_serializing_if = "is_off")]
    disconnect: bool,
    #[serde(skip_serializing_if = "is_off")]
    drop_response: bool,
    #[serde(skip_serializing_if = "is_off")]
    truncate: bool,
    #[serde(skip_serializing_if = "is_off")]
    corrupt_crc: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    throttle_ms: Option<u32>,
    #[serde(skip_serializing_if = "is_off")]
    after_apply: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nth: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    probability: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_off(flag: &bool) -> bool {
    !*flag
}

/// What becomes of a request or its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Breakage {
    /// It is only late or throttled.
    None,
    /// It is answered with an error.
    Error(ErrorCode),
    /// The connection is closed instead of an answer.
    Disconnect,
    /// There is no answer, and the connection stays.
    DropResponse,
    /// The answer breaks off in its middle, and the connection is closed.
    Truncate,
    /// Records of a fetch come with a wrong checksum.
    CorruptCrc,
}

/// What one request meets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Met {
    /// The rule.
    pub(super) id: u64,
    pub(super) breakage: Breakage,
    /// Whether the request is done first, and then delayed or broken.
    pub(super) after_apply: bool,
    pub(super) delay: Duration,
    pub(super) throttle_ms: Option<i32>,
    pub(super) only: Only,
}

/// The part of a request that a rule is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Only {
    pub(super) topic: Option<String>,
    pub(super) partition: Option<i32>,
    pub(super) group: Option<String>,
}

/// What is known of a request.
#[derive(Debug)]
pub(super) struct Facts<'a> {
    pub(super) api: &'static str,
    pub(super) touched: &'a Touched,
    pub(super) client_id: &'a str,
    pub(super) node: i32,
}

/// A rule with its history.
#[derive(Debug, Clone)]
struct Rule {
    id: u64,
    spec: Spec,
    keys: Vec<&'static str>,
    met: Met,
    seen: u64,
    /// Requests that were told to meet it.
    hits: u64,
    /// Those of them to which it was done.
    done: u64,
    chance: u64,
}

/// A rule as it is shown.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Shown {
    pub(super) id: u64,
    /// Requests that matched.
    pub(super) seen: u64,
    /// Requests to which it was done.
    pub(super) hits: u64,
    /// Whether `count` is used up.
    pub(super) spent: bool,
    pub(super) rule: Spec,
}

/// All rules, oldest first.
#[derive(Debug, Default)]
pub(super) struct Faults {
    rules: Vec<Rule>,
    last_id: u64,
}

impl Faults {
    /// Takes a rule; its number.
    ///
    /// # Errors
    /// A sentence: what of it cannot be, and what could.
    pub(super) fn add(&mut self, spec: Spec) -> Result<u64, String> {
        let keys = keys(&spec)?;
        check_matchers(&spec, &keys)?;
        check_budget(&spec)?;
        let breakage = breakage(&spec)?;
        check_actions(&spec, &keys, breakage)?;
        self.last_id += 1;
        let id = self.last_id;
        let met = Met {
            id,
            breakage,
            after_apply: spec.after_apply,
            delay: Duration::from_millis(spec.delay_ms.unwrap_or(0)),
            throttle_ms: spec.throttle_ms.map(|ms| i32::try_from(ms).unwrap_or(i32::MAX)),
            only: Only {
                topic: spec.topic.clone(),
                partition: wanted(spec.partition),
                group: spec.group.clone(),
            },
        };
        let chance = spec.seed.unwrap_or(0);
        self.rules.push(Rule { id, spec, keys, met, seen: 0, hits: 0, done: 0, chance });
        Ok(id)
    }

    /// The fate of a request: that of the first rule that wants it.
    pub(super) fn meet(&mut self, facts: &Facts<'_>) -> Option<Met> {
        self.rules.iter_mut().find_map(|rule| rule.meet(facts))
    }

    /// What a request met was done to it.
    pub(super) fn done(&mut self, id: u64) {
        if let Some(rule) = self.rules.iter_mut().find(|rule| rule.id == id) {
            rule.done += 1;
        }
    }

    /// A hit that turned out to have no effect does not count.
    pub(super) fn give_back(&mut self, id: u64) {
        if let Some(rule) = self.rules.iter_mut().find(|rule| rule.id == id) {
            rule.hits = rule.hits.saturating_sub(1);
            rule.seen = rule.seen.saturating_sub(1);
        }
    }

    /// One rule.
    pub(super) fn shown(&self, id: u64) -> Option<Shown> {
        self.rules.iter().find(|rule| rule.id == id).map(Rule::shown)
    }

    /// All rules.
    pub(super) fn all(&self) -> Vec<Shown> {
        self.rules.iter().map(Rule::shown).collect()
    }

    /// Takes a rule out, as it was at the end.
    pub(super) fn remove(&mut self, id: u64) -> Option<Shown> {
        let index = self.rules.iter().position(|rule| rule.id == id)?;
        Some(self.rules.remove(index).shown())
    }

    /// Takes all rules out, as they were at the end.
    pub(super) fn remove_all(&mut self) -> Vec<Shown> {
        std::mem::take(&mut self.rules).iter().map(Rule::shown).collect()
    }
}

impl Rule {
    fn meet(&mut self, facts: &Facts<'_>) -> Option<Met> {
        if self.is_spent() || !self.matches(facts) {
            return None;
        }
        self.seen += 1;
        if self.seen < self.spec.nth.unwrap_or(1) {
            return None;
        }
        if let Some(probability) = self.spec.probability
            && next_chance(&mut self.chance) >= probability
        {
            return None;
        }
        self.hits += 1;
        Some(self.met.clone())
    }

    /// `nth` alone means that one request.
    fn is_spent(&self) -> bool {
        let count = self.spec.count.or(self.spec.nth.map(|_| 1));
        count.is_some_and(|count| self.hits >= count)
    }

    fn matches(&self, facts: &Facts<'_>) -> bool {
        let Spec { node, client_id, group, .. } = &self.spec;
        (self.keys.is_empty() || self.keys.contains(&facts.api))
            && node.is_none_or(|node| node == facts.node)
            && client_id.as_ref().is_none_or(|pattern| glob(pattern, facts.client_id))
            && group.as_ref().is_none_or(|group| facts.touched.groups.contains(group))
            && self.matches_partition(facts.touched)
    }

    fn matches_partition(&self, touched: &Touched) -> bool {
        let Only { topic, partition, .. } = &self.met.only;
        if topic.is_none() && partition.is_none() {
            return true;
        }
        touched.topics.iter().any(|named| {
            topic.as_ref().is_none_or(|topic| *topic == named.topic)
                && partition.is_none_or(|partition| {
                    named.partitions.is_empty() || named.partitions.contains(&partition)
                })
        })
    }

    fn shown(&self) -> Shown {
        let Self { id, seen, done: hits, .. } = *self;
        Shown { id, seen, hits, spent: self.is_spent(), rule: self.spec.clone() }
    }
}

/// -1 stands for any.
fn wanted(partition: Option<i32>) -> Option<i32> {
    partition.filter(|partition| *partition != -1)
}

fn entry(name: &str) -> &'static Entry {
    APIS.iter().find(|entry| entry.name() == name).expect("names were looked up in the table")
}

fn keys(spec: &Spec) -> Result<Vec<&'static str>, String> {
    spec.keys
        .iter()
        .map(|name| super::verbs::api_named(name).map_err(|what| format!("keys: {what}")))
        .collect()
}

fn check_matchers(spec: &Spec, keys: &[&'static str]) -> Result<(), String> {
    if spec.partition.is_some_and(|partition| partition < -1) {
        return Err("partition is below -1; give a partition, or -1 for any".to_owned());
    }
    for name in keys {
        let named = touched::named_by(entry(name).layout);
        if (spec.topic.is_some() || wanted(spec.partition).is_some()) && !named.topics {
            return Err(format!(
                "{name} names no topic, so a rule with topic or partition would never match it"
            ));
        }
        if spec.group.is_some() && !named.groups {
            return Err(format!("{name} names no group, so a rule with group would never match it"));
        }
    }
    Ok(())
}

fn check_budget(spec: &Spec) -> Result<(), String> {
    if spec.count == Some(0) {
        return Err(
            "count is 0, so the rule would never fire; give 1 or more, or leave it out for always".to_owned()
        );
    }
    if spec.nth == Some(0) {
        return Err("nth is 0; the first request is 1".to_owned());
    }
    if spec.probability.is_some_and(|probability| !(probability > 0.0 && probability <= 1.0)) {
        return Err("probability is not between 0 and 1; give for example 0.5".to_owned());
    }
    if spec.seed.is_some() && spec.probability.is_none() {
        return Err("seed has no meaning without probability".to_owned());
    }
    Ok(())
}

fn breakage(spec: &Spec) -> Result<Breakage, String> {
    let error = spec.error.as_ref().map(error_code).transpose()?;
    let asked: Vec<(&str, Breakage)> = [
        error.map(|error| ("error", Breakage::Error(error))),
        spec.disconnect.then_some(("disconnect", Breakage::Disconnect)),
        spec.drop_response.then_some(("drop_response", Breakage::DropResponse)),
        spec.truncate.then_some(("truncate", Breakage::Truncate)),
        spec.corrupt_crc.then_some(("corrupt_crc", Breakage::CorruptCrc)),
    ]
    .into_iter()
    .flatten()
    .collect();
    match asked[..] {
        [] if spec.delay_ms.is_none() && spec.throttle_ms.is_none() => Err(
            "the rule does nothing; give error, delay_ms, disconnect, drop_response, truncate, corrupt_crc or throttle_ms"
                .to_owned(),
        ),
        [] => Ok(Breakage::None),
        [(_, breakage)] => Ok(breakage),
        [(one, _), (other, _), ..] => Err(format!("{one} and {other} cannot both be done to a request; make two rules")),
    }
}

fn check_actions(spec: &Spec, keys: &[&'static str], breakage: Breakage) -> Result<(), String> {
    let needs = |what: &str| Err(format!("{what} needs keys: name the APIs, for example [\"Produce\"]"));
    match breakage {
        Breakage::Error(_) if keys.is_empty() => return needs("error"),
        Breakage::Error(_) => {
            if let Some(name) = keys.iter().find(|name| errors::shape(name).is_none()) {
                return Err(format!(
                    "{name} cannot be answered with an error of choice; it can for {}",
                    errors::names()
                ));
            }
        }
        Breakage::CorruptCrc if keys != ["Fetch"] => {
            return Err("corrupt_crc is about records in answers: give keys [\"Fetch\"]".to_owned());
        }
        _ => {}
    }
    if spec.throttle_ms.is_some() {
        if keys.is_empty() {
            return needs("throttle_ms");
        }
        if let Some(name) = keys.iter().find(|name| errors::shape(name).is_none()) {
            return Err(format!("the answer of {name} cannot be throttled; it can for {}", errors::names()));
        }
    }
    Ok(())
}

fn error_code(value: &Value) -> Result<ErrorCode, String> {
    let found = match value {
        Value::String(name) => {
            return ErrorCode::ALL
                .iter()
                .find(|code| code.name().eq_ignore_ascii_case(name) && **code != ErrorCode::None)
                .copied()
                .ok_or_else(|| {
                    let distance =
                        |code: &&ErrorCode| strsim::damerau_levenshtein(code.name(), &name.to_uppercase());
                    let nearest = ErrorCode::ALL.iter().min_by_key(distance).expect("there are codes");
                    format!("error: there is no error \"{name}\"; the nearest is {}", nearest.name())
                });
        }
        Value::Number(number) => number.as_i64().and_then(|code| i16::try_from(code).ok()),
        _ => None,
    };
    found.and_then(ErrorCode::from_code).filter(|code| *code != ErrorCode::None).ok_or_else(|| {
        format!("error is {value}; give Kafka's name, for example NOT_LEADER_OR_FOLLOWER, or its number")
    })
}

/// A pattern with `*` for any text and `?` for any character.
fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    // Where to go on when what follows the last star does not fit.
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                retry = Some((p, t));
                p += 1;
            }
            Some(wanted) if *wanted == '?' || *wanted == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match retry {
                Some((star, from)) => {
                    retry = Some((star, from + 1));
                    p = star + 1;
                    t = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|rest| *rest == '*')
}

/// The next number in 0 to 1 of the sequence that `state` began with (splitmix64).
fn next_chance(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let high = u32::try_from((mixed ^ (mixed >> 31)) >> 32).expect("32 bits");
    f64::from(high) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests;
