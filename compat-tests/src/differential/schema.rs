//! Kafka's message definitions (`common/message/*.json` in the jar of kafka-clients): which fields a version of a message
//! has, in which order, and how each is written. Read once; used by the codec.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

/// First and last version, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versions {
    first: i16,
    last: i16,
}

impl Versions {
    const NONE: Self = Self { first: 1, last: 0 };

    /// `3`, `3-13`, `3+` or `none`, as the definitions write it.
    fn parse(text: &str) -> Result<Self> {
        let number = |part: &str| part.trim().parse::<i16>().with_context(|| format!("versions {text:?}"));
        if text == "none" {
            return Ok(Self::NONE);
        }
        if let Some(first) = text.strip_suffix('+') {
            return Ok(Self { first: number(first)?, last: i16::MAX });
        }
        match text.split_once('-') {
            Some((first, last)) => Ok(Self { first: number(first)?, last: number(last)? }),
            None => Ok(Self { first: number(text)?, last: number(text)? }),
        }
    }

    /// Whether `version` is one of them.
    #[must_use]
    pub fn contains(self, version: i16) -> bool {
        (self.first..=self.last).contains(&version)
    }

    /// The greatest, none when there is none at all.
    #[must_use]
    pub fn last(self) -> Option<i16> {
        (self.first <= self.last).then_some(self.last)
    }

    /// All of them.
    pub fn iter(self) -> impl Iterator<Item = i16> {
        self.first..=self.last
    }
}

/// How the value of a field is written.
#[derive(Debug, Clone)]
pub enum Kind {
    /// One byte.
    Bool,
    /// Two's complement, big-endian, of so many bytes.
    Signed(usize),
    /// Big-endian, of so many bytes.
    Unsigned(usize),
    /// An IEEE double.
    Float64,
    /// Sixteen bytes, shown in URL-safe base64 as Kafka does.
    Uuid,
    /// A length and UTF-8.
    String,
    /// A length and bytes.
    Bytes,
    /// A length and record batches.
    Records,
    /// A count and values.
    Array(Box<Self>),
    /// Fields.
    Struct(Arc<Vec<Field>>),
}

/// A field of a message.
#[derive(Debug, Clone)]
pub struct Field {
    /// In lower camel case, as Kafka's JSON converters name it.
    pub name: String,
    /// How it is written.
    pub kind: Kind,
    /// The versions that have it.
    pub versions: Versions,
    /// The versions in which it may be null.
    pub nullable: Versions,
    /// Its tag and the versions in which it is a tagged field.
    pub tagged: Option<(u32, Versions)>,
    /// What it is when nobody says anything; `None` is the zero of its kind.
    pub default: Option<Value>,
}

/// A request, a response, or a structure inside a bytes field.
#[derive(Debug)]
pub struct Message {
    /// The versions that exist.
    pub versions: Versions,
    /// The versions with compact lengths and tagged fields.
    pub flexible: Versions,
    /// In the order of the wire.
    pub fields: Arc<Vec<Field>>,
}

/// One API.
#[derive(Debug)]
pub struct Api {
    /// Its number.
    pub key: i16,
    /// What is sent.
    pub request: Message,
    /// What comes back.
    pub response: Message,
}

/// All messages of one Kafka version.
#[derive(Debug, Default)]
pub struct Schemas {
    apis: BTreeMap<String, Api>,
    data: BTreeMap<String, Message>,
}

impl Schemas {
    /// Reads every definition in `folder`.
    ///
    /// # Errors
    /// A file cannot be read or is not understood.
    pub fn read(folder: &Path) -> Result<Self> {
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                let text = fs::read_to_string(&path)?;
                let value: Value = serde_json::from_str(&without_comments(&text))
                    .with_context(|| format!("{} is no JSON", path.display()))?;
                files.insert(text_of(&value, "name")?.to_owned(), value);
            }
        }
        let mut schemas = Self::default();
        for (name, value) in &files {
            let read = || -> Result<Message> { Message::parse(value) };
            match text_of(value, "type")? {
                "request" => {
                    let name = name.strip_suffix("Request").context("a request is named Request")?;
                    let response = files.get(&format!("{name}Response")).context("it has no response")?;
                    let key = value["apiKey"].as_i64().context("no apiKey")?;
                    let api = Api {
                        key: i16::try_from(key)?,
                        request: read().with_context(|| name.to_owned())?,
                        response: Message::parse(response).with_context(|| name.to_owned())?,
                    };
                    schemas.apis.insert(name.to_owned(), api);
                }
                "data" => {
                    schemas.data.insert(name.clone(), read().with_context(|| name.clone())?);
                }
                _ => {}
            }
        }
        ensure!(!schemas.apis.is_empty(), "no message definitions in {}", folder.display());
        Ok(schemas)
    }

    /// The API of this name, such as `Produce`.
    ///
    /// # Errors
    /// There is none.
    pub fn api(&self, name: &str) -> Result<&Api> {
        self.apis.get(name).with_context(|| format!("Kafka has no API {name}"))
    }

    /// The structure of this name, such as `ConsumerProtocolSubscription`.
    ///
    /// # Errors
    /// There is none.
    pub fn data(&self, name: &str) -> Result<&Message> {
        self.data.get(name).with_context(|| format!("Kafka has no structure {name}"))
    }
}

impl Message {
    fn parse(value: &Value) -> Result<Self> {
        let mut common = BTreeMap::new();
        // A common structure may use those before and after it, so they are resolved when a field asks for them.
        for structure in value["commonStructs"].as_array().into_iter().flatten() {
            common.insert(text_of(structure, "name")?, &structure["fields"]);
        }
        let flexible = value.get("flexibleVersions").and_then(Value::as_str).unwrap_or("none");
        Ok(Self {
            versions: Versions::parse(text_of(value, "validVersions")?)?,
            flexible: Versions::parse(flexible)?,
            fields: fields(&value["fields"], &common)?,
        })
    }
}

fn fields(list: &Value, common: &BTreeMap<&str, &Value>) -> Result<Arc<Vec<Field>>> {
    let list = list.as_array().map_or(&[][..], Vec::as_slice);
    Ok(Arc::new(list.iter().map(|value| field(value, common)).collect::<Result<_>>()?))
}

fn field(value: &Value, common: &BTreeMap<&str, &Value>) -> Result<Field> {
    let name = text_of(value, "name")?;
    let read = || -> Result<Field> {
        let versions = |key: &str| match value.get(key).and_then(Value::as_str) {
            Some(text) => Versions::parse(text),
            None => Ok(Versions::NONE),
        };
        let kind = kind(text_of(value, "type")?, value, common)?;
        let tagged = match value.get("tag").and_then(Value::as_u64) {
            Some(tag) => Some((u32::try_from(tag)?, versions("taggedVersions")?)),
            None => None,
        };
        let default = value.get("default").map(|given| default_of(&kind, given)).transpose()?;
        Ok(Field {
            name: lower_camel(name),
            versions: versions("versions")?,
            nullable: versions("nullableVersions")?,
            kind,
            tagged,
            default,
        })
    };
    read().with_context(|| format!("field {name}"))
}

fn kind(name: &str, value: &Value, common: &BTreeMap<&str, &Value>) -> Result<Kind> {
    if let Some(element) = name.strip_prefix("[]") {
        return Ok(Kind::Array(Box::new(kind(element, value, common)?)));
    }
    Ok(match name {
        "bool" => Kind::Bool,
        "int8" => Kind::Signed(1),
        "int16" => Kind::Signed(2),
        "int32" => Kind::Signed(4),
        "int64" => Kind::Signed(8),
        "uint16" => Kind::Unsigned(2),
        "uint32" => Kind::Unsigned(4),
        "float64" => Kind::Float64,
        "uuid" => Kind::Uuid,
        "string" => Kind::String,
        "bytes" => Kind::Bytes,
        "records" => Kind::Records,
        _ if value.get("fields").is_some() => Kind::Struct(fields(&value["fields"], common)?),
        _ => match common.get(name) {
            Some(list) => Kind::Struct(fields(list, common)?),
            None => bail!("there is no type {name}"),
        },
    })
}

/// The definitions write numbers and booleans as themselves or in quotes, numbers also in hexadecimal.
fn default_of(kind: &Kind, given: &Value) -> Result<Value> {
    let Value::String(text) = given else { return Ok(given.clone()) };
    Ok(match kind {
        _ if text == "null" => Value::Null,
        Kind::Bool => Value::Bool(text == "true"),
        Kind::Signed(_) | Kind::Unsigned(_) => match text.strip_prefix("0x") {
            Some(hex) => Value::from(i64::from_str_radix(hex, 16)?),
            None => Value::from(text.parse::<i64>()?),
        },
        _ => given.clone(),
    })
}

fn lower_camel(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

fn text_of<'a>(value: &'a Value, key: &str) -> Result<&'a str> {
    value[key].as_str().with_context(|| format!("no {key}"))
}

/// The definitions are JSON with `//` comments.
fn without_comments(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    for line in text.lines() {
        let mut quoted = false;
        let mut end = line.len();
        let bytes = line.as_bytes();
        for (place, byte) in bytes.iter().enumerate() {
            match byte {
                b'"' if place == 0 || bytes[place - 1] != b'\\' => quoted = !quoted,
                b'/' if !quoted && bytes.get(place + 1) == Some(&b'/') => {
                    end = place;
                    break;
                }
                _ => {}
            }
        }
        kept.push_str(&line[..end]);
        kept.push('\n');
    }
    kept
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A message definition as the jar has it, for the tests of the codec too.
    pub(crate) fn message(text: &str) -> Message {
        Message::parse(&serde_json::from_str(&without_comments(text)).unwrap()).unwrap()
    }

    #[test]
    fn versions_are_read_as_the_definitions_write_them() {
        assert!(Versions::parse("3+").unwrap().contains(99));
        assert!(!Versions::parse("3-5").unwrap().contains(6));
        assert!(Versions::parse("4").unwrap().contains(4));
        assert_eq!(Versions::parse("none").unwrap().last(), None);
        assert_eq!(Versions::parse("1-3").unwrap().iter().collect::<Vec<_>>(), [1, 2, 3]);
    }

    #[test]
    fn comments_structures_and_defaults_are_understood() {
        let message = message(
            r#"{ // a comment
              "validVersions": "0-2", "flexibleVersions": "1+",
              "fields": [
                {"name": "Path", "type": "string", "versions": "0+", "about": "a // b", "default": "null"},
                {"name": "Wait", "type": "int32", "versions": "0+", "default": "0x7f"},
                {"name": "Node", "type": "[]Shared", "versions": "1+", "tag": 3, "taggedVersions": "1+"}
              ],
              "commonStructs": [{"name": "Shared", "fields": [{"name": "Id", "type": "uuid", "versions": "0+"}]}]
            }"#,
        );
        let names: Vec<_> = message.fields.iter().map(|field| field.name.as_str()).collect();
        assert_eq!(names, ["path", "wait", "node"]);
        assert_eq!(message.fields[0].default, Some(Value::Null));
        assert_eq!(message.fields[1].default, Some(Value::from(127)));
        assert_eq!(message.fields[2].tagged.map(|(tag, _)| tag), Some(3));
        assert!(
            matches!(&message.fields[2].kind, Kind::Array(element) if matches!(**element, Kind::Struct(_)))
        );
    }
}
