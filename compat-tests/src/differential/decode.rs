//! The bytes of an answer to JSON, by Kafka's definition of it. What no definition explains is kept under names that begin
//! with an underscore, so that it is compared too.

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::records;
use super::schema::{Api, Field, Kind};

const API_VERSIONS: i16 = 18;

/// The answer to `api` in `version`, behind its size and correlation id.
///
/// # Errors
/// It ends early, or a length in it is not one.
pub fn response(api: &Api, version: i16, bytes: &[u8]) -> Result<Value> {
    let flexible = api.response.flexible.contains(version);
    let mut decoder = Decoder { version, flexible, rest: bytes };
    let mut header = Map::new();
    // The header of ApiVersions never has tags: a client that asks does not know yet what it can read.
    if flexible && api.key != API_VERSIONS {
        decoder.tags(&[], &mut header).context("response header")?;
    }
    let mut value = decoder.structure(&api.response.fields)?;
    if let Value::Object(object) = &mut value {
        object.extend(header.into_iter().map(|(name, value)| (format!("_header{name}"), value)));
        if !decoder.rest.is_empty() {
            object.insert("_trailing".to_owned(), Value::from(to_hex(decoder.rest)));
        }
    }
    Ok(value)
}

struct Decoder<'a> {
    version: i16,
    flexible: bool,
    rest: &'a [u8],
}

impl<'a> Decoder<'a> {
    fn structure(&mut self, fields: &[Field]) -> Result<Value> {
        let mut object = Map::new();
        let present = || fields.iter().filter(|field| field.versions.contains(self.version));
        let (mut tagged, mut plain) = (Vec::new(), Vec::new());
        for field in present() {
            match field.tagged {
                Some((tag, versions)) if versions.contains(self.version) => tagged.push((tag, field)),
                _ => plain.push(field),
            }
        }
        for field in plain {
            object.insert(field.name.clone(), self.field(field)?);
        }
        if self.flexible {
            self.tags(&tagged, &mut object)?;
        }
        Ok(Value::Object(object))
    }

    fn tags(&mut self, known: &[(u32, &Field)], object: &mut Map<String, Value>) -> Result<()> {
        for _ in 0..self.unsigned_varint()? {
            let tag = self.unsigned_varint()?;
            let size = usize::try_from(self.unsigned_varint()?)?;
            let content = self.take(size)?;
            match known.iter().find(|(number, _)| *number == tag) {
                Some((_, field)) => {
                    let outside = std::mem::replace(&mut self.rest, content);
                    let value = self.field(field)?;
                    self.rest = outside;
                    object.insert(field.name.clone(), value);
                }
                None => {
                    object.insert(format!("_tag{tag}"), Value::from(to_hex(content)));
                }
            }
        }
        Ok(())
    }

    fn field(&mut self, field: &Field) -> Result<Value> {
        let nullable = field.nullable.contains(self.version);
        self.value(&field.kind, nullable).with_context(|| format!("field {}", field.name))
    }

    fn value(&mut self, kind: &Kind, nullable: bool) -> Result<Value> {
        Ok(match kind {
            Kind::Bool => match self.take(1)? {
                [0] => Value::Bool(false),
                [1] => Value::Bool(true),
                other => json!(format!("boolean {other:?}")),
            },
            Kind::Signed(width) => Value::from(self.signed(*width)?),
            Kind::Unsigned(width) => {
                Value::from(self.take(*width)?.iter().fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte)))
            }
            Kind::Float64 => json!(f64::from_bits(u64::from_be_bytes(self.take(8)?.try_into()?))),
            Kind::Uuid => Value::from(URL_SAFE_NO_PAD.encode(self.take(16)?)),
            Kind::String => match self.length(2)? {
                None => Value::Null,
                Some(length) => Value::from(readable(self.take(length)?)),
            },
            Kind::Bytes => match self.length(4)? {
                None => Value::Null,
                Some(length) => Value::from(readable(self.take(length)?)),
            },
            Kind::Records => match self.length(4)? {
                None => Value::Null,
                Some(length) => records::describe(self.take(length)?)?,
            },
            Kind::Array(element) => match self.length(4)? {
                None => Value::Null,
                Some(count) => {
                    let mut elements = Vec::new();
                    for index in 0..count {
                        let value = self.value(element, false);
                        elements.push(value.with_context(|| format!("element {index}"))?);
                    }
                    Value::Array(elements)
                }
            },
            Kind::Struct(fields) => {
                if nullable && self.take(1)? == [0xff] {
                    return Ok(Value::Null);
                }
                self.structure(fields)?
            }
        })
    }

    fn signed(&mut self, width: usize) -> Result<i64> {
        let bytes = self.take(width)?;
        let mut wide = [if bytes.first().is_some_and(|byte| byte & 0x80 != 0) { 0xff } else { 0 }; 8];
        wide[8 - width..].copy_from_slice(bytes);
        Ok(i64::from_be_bytes(wide))
    }

    fn length(&mut self, width: usize) -> Result<Option<usize>> {
        let length = if self.flexible { i64::from(self.unsigned_varint()?) - 1 } else { self.signed(width)? };
        match length {
            -1 => Ok(None),
            length => Ok(Some(usize::try_from(length).with_context(|| format!("length {length}"))?)),
        }
    }

    fn unsigned_varint(&mut self) -> Result<u32> {
        let mut value = 0;
        for shift in (0..35).step_by(7) {
            let byte = u64::from(self.take(1)?[0]);
            value |= (byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return u32::try_from(value).context("a varint of more than 32 bits");
            }
        }
        bail!("a varint of more than five bytes")
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let (head, tail) = self
            .rest
            .split_at_checked(length)
            .with_context(|| format!("the answer ends {} bytes early", length - self.rest.len()))?;
        self.rest = tail;
        Ok(head)
    }
}

/// Text where it is text, hexadecimal digits behind `hex:` where it is not.
pub(super) fn readable(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(|letter| letter.is_control() && letter != '\n') => text.to_owned(),
        _ => format!("hex:{}", to_hex(bytes)),
    }
}

/// Two hexadecimal digits a byte.
#[must_use]
pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::differential::encode;
    use crate::differential::schema::Schemas;
    use crate::differential::schema::tests::message;

    const EVERYTHING: &str = r#"{
        "validVersions": "0-1", "flexibleVersions": "1+",
        "fields": [
            {"name": "Flag", "type": "bool", "versions": "0+"},
            {"name": "Number", "type": "int16", "versions": "0+", "default": "-1"},
            {"name": "Port", "type": "uint16", "versions": "0+"},
            {"name": "Rate", "type": "float64", "versions": "0+"},
            {"name": "Id", "type": "uuid", "versions": "0+"},
            {"name": "Text", "type": "string", "versions": "0+", "nullableVersions": "0+"},
            {"name": "List", "type": "[]Item", "versions": "0+", "fields": [
                {"name": "Late", "type": "string", "versions": "1+"},
                {"name": "Blob", "type": "bytes", "versions": "0+"}]},
            {"name": "Maybe", "type": "Item2", "versions": "1+", "nullableVersions": "1+", "default": "null",
             "fields": [{"name": "Deep", "type": "int64", "versions": "1+"}]},
            {"name": "Tagged", "type": "int32", "versions": "1+", "tag": 4, "taggedVersions": "1+"}
        ]}"#;

    fn api() -> Api {
        Api { key: 3, request: message(EVERYTHING), response: message(EVERYTHING) }
    }

    fn round_trip(version: i16, value: &Value) -> Value {
        let api = api();
        let mut bytes = encode::body(&Schemas::default(), &api.request, version, value).unwrap();
        if version == 1 {
            bytes.insert(0, 0);
        }
        response(&api, version, &bytes).unwrap()
    }

    #[test]
    fn every_kind_of_field_survives_a_round_trip() {
        let id = "AAECAwQFBgcICQoLDA0ODw";
        let value = json!({"flag": true, "number": -300, "port": 65_000, "rate": 1.5, "id": id, "text": null,
            "list": [{"late": "é", "blob": "hex:00ff"}], "maybe": {"deep": -5}, "tagged": 9});
        assert_eq!(round_trip(1, &value), value);
        let mut classic = value.clone();
        for late in ["maybe", "tagged"] {
            classic.as_object_mut().unwrap().remove(late);
        }
        classic["list"][0].as_object_mut().unwrap().remove("late");
        assert_eq!(round_trip(0, &value), classic, "fields that the version lacks are left out");
    }

    #[test]
    fn what_is_not_given_has_its_default() {
        let zero = "AAAAAAAAAAAAAAAAAAAAAA";
        let expected = json!({"flag": false, "number": -1, "port": 0, "rate": 0.0, "id": zero, "text": "",
            "list": [], "maybe": null});
        assert_eq!(round_trip(1, &json!({})), expected);
    }

    #[test]
    fn a_misspelt_field_is_an_error() {
        let error = encode::body(&Schemas::default(), &api().request, 0, &json!({"flog": true})).unwrap_err();
        assert!(error.to_string().contains("flog"), "{error}");
    }

    #[test]
    fn bytes_behind_the_last_field_and_cut_answers_are_seen() {
        let api = api();
        let mut bytes = encode::body(&Schemas::default(), &api.request, 0, &json!({})).unwrap();
        bytes.push(7);
        assert_eq!(response(&api, 0, &bytes).unwrap()["_trailing"], "07");
        response(&api, 0, &bytes[..5]).unwrap_err();
    }
}
