//! A record as a line (Kafka class `DefaultMessageFormatter`).

use std::io::Write;

use crate::failure::{Failure, Outcome};
use crate::partitions::TopicPartition;

/// A record with what its batch says of it.
#[derive(Debug)]
pub(super) struct Shown<'a> {
    pub(super) offset: i64,
    pub(super) timestamp: i64,
    pub(super) is_append_time: bool,
    pub(super) leader_epoch: i32,
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: Option<&'a [u8]>,
    pub(super) headers: Vec<(&'a [u8], Option<&'a [u8]>)>,
}

/// What is printed of a record, in this order.
#[derive(Debug)]
pub(super) struct Formatter {
    silent: bool,
    timestamp: bool,
    partition: bool,
    offset: bool,
    delivery: bool,
    epoch: bool,
    headers: bool,
    key: bool,
    value: bool,
    key_separator: String,
    line_separator: String,
    headers_separator: String,
    null_literal: String,
}

impl Formatter {
    /// # Errors
    /// `class` is not one of the two that there are.
    pub(super) fn new(class: Option<&str>, properties: &[(String, String)]) -> Outcome<Self> {
        let name = class.map(|class| class.rsplit('.').next().unwrap_or(class));
        if let Some(name) =
            name.filter(|name| !["DefaultMessageFormatter", "NoOpMessageFormatter"].contains(name))
        {
            return Err(Failure::new(format!(
                "--formatter {name} is Java code: there are DefaultMessageFormatter and NoOpMessageFormatter here"
            )));
        }
        let value = |wanted: &str| {
            properties.iter().rev().find(|(key, _)| key == wanted).map(|(_, value)| value.as_str())
        };
        let flag = |name: &str, default: bool| {
            value(name).map_or(default, |value| value.trim().eq_ignore_ascii_case("true"))
        };
        let text = |name: &str, default: &str| value(name).unwrap_or(default).to_owned();
        for side in ["key.deserializer", "value.deserializer"] {
            let other = value(side).filter(|class| {
                !class.ends_with("StringDeserializer") && !class.ends_with("ByteArrayDeserializer")
            });
            if let Some(class) = other {
                return Err(Failure::new(format!(
                    "{side}={class} is Java code: bytes are printed as they are here"
                )));
            }
        }
        Ok(Self {
            silent: name == Some("NoOpMessageFormatter"),
            timestamp: flag("print.timestamp", false),
            partition: flag("print.partition", false),
            offset: flag("print.offset", false),
            delivery: flag("print.delivery", false),
            epoch: flag("print.epoch", false),
            headers: flag("print.headers", false),
            key: flag("print.key", false),
            value: flag("print.value", true),
            key_separator: text("key.separator", "\t"),
            line_separator: text("line.separator", "\n"),
            headers_separator: text("headers.separator", ","),
            null_literal: text("null.literal", "null"),
        })
    }

    /// Writes the record as one line.
    pub(super) fn write(
        &self,
        (_, partition): &TopicPartition,
        record: &Shown<'_>,
        out: &mut dyn Write,
    ) -> Outcome {
        if self.silent {
            return Ok(());
        }
        let mut fields: Vec<Vec<u8>> = Vec::new();
        if self.timestamp {
            let kind = if record.is_append_time { "LogAppendTime" } else { "CreateTime" };
            fields.push(format!("{kind}:{}", record.timestamp).into_bytes());
        }
        if self.partition {
            fields.push(format!("Partition:{partition}").into_bytes());
        }
        if self.offset {
            fields.push(format!("Offset:{}", record.offset).into_bytes());
        }
        if self.delivery {
            fields.push(b"Delivery:NOT_PRESENT".to_vec());
        }
        if self.epoch {
            fields.push(format!("Epoch:{}", record.leader_epoch).into_bytes());
        }
        if self.headers {
            fields.push(self.headers(record));
        }
        if self.key {
            fields.push(self.bytes(record.key).to_vec());
        }
        if self.value {
            fields.push(self.bytes(record.value).to_vec());
        }
        let mut line = fields.join(self.key_separator.as_bytes());
        line.extend_from_slice(self.line_separator.as_bytes());
        Ok(out.write_all(&line)?)
    }

    fn headers(&self, record: &Shown<'_>) -> Vec<u8> {
        if record.headers.is_empty() {
            return b"NO_HEADERS".to_vec();
        }
        let one = |(key, value): &(&[u8], Option<&[u8]>)| [key, &b":"[..], self.bytes(*value)].concat();
        record.headers.iter().map(one).collect::<Vec<_>>().join(self.headers_separator.as_bytes())
    }

    fn bytes<'a>(&'a self, bytes: Option<&'a [u8]>) -> &'a [u8] {
        bytes.unwrap_or(self.null_literal.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(properties: &[(&str, &str)]) -> String {
        let owned: Vec<_> = properties.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let record = Shown {
            offset: 7,
            timestamp: 123,
            is_append_time: false,
            leader_epoch: 2,
            key: None,
            value: Some(b"v"),
            headers: vec![(b"h", Some(b"1")), (b"n", None)],
        };
        let mut out = Vec::new();
        Formatter::new(None, &owned).unwrap().write(&("a".to_owned(), 3), &record, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn fields_stand_in_kafkas_order() {
        assert_eq!(line(&[]), "v\n");
        assert_eq!(line(&[("print.key", "true"), ("key.separator", "=")]), "null=v\n");
        let all = ["timestamp", "partition", "offset", "headers", "key"].map(|name| format!("print.{name}"));
        let all: Vec<_> = all.iter().map(|name| (name.as_str(), "true")).collect();
        assert_eq!(line(&all), "CreateTime:123\tPartition:3\tOffset:7\th:1,n:null\tnull\tv\n");
        assert_eq!(line(&[("print.value", "false"), ("print.key", "true"), ("null.literal", "-")]), "-\n");
    }

    #[test]
    fn java_classes_are_refused_in_words() {
        assert!(Formatter::new(Some("my.own.Formatter"), &[]).unwrap_err().to_string().contains("Java code"));
        Formatter::new(Some("org.apache.kafka.tools.consumer.DefaultMessageFormatter"), &[]).unwrap();
    }
}
