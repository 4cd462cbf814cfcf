//! JSON to the bytes of a message. Fields that are not given have their default; fields that the version does not have are
//! left out, so that one line of a table serves many versions.

use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::records;
use super::schema::{Api, Field, Kind, Message, Schemas};

/// A whole frame with its size: header, then the body that `fields` describe.
///
/// # Errors
/// A field has no such name, or its value is not of its kind.
pub fn request(
    schemas: &Schemas,
    api: &Api,
    version: i16,
    correlation_id: i32,
    fields: &Value,
) -> Result<Vec<u8>> {
    // A version that Kafka does not have is laid out as its newest.
    let layout = if api.request.versions.contains(version) {
        version
    } else {
        api.request.versions.last().unwrap_or(0)
    };
    let mut frame = header(api.key, version, correlation_id, api.request.flexible.contains(layout));
    frame.extend(body(schemas, &api.request, layout, fields)?);
    framed(&frame)
}

/// Request header 1, or 2 with no tags.
#[must_use]
pub fn header(key: i16, version: i16, correlation_id: i32, flexible: bool) -> Vec<u8> {
    let mut header = [&key.to_be_bytes()[..], &version.to_be_bytes(), &correlation_id.to_be_bytes()].concat();
    header.extend(b"\0\x06differ");
    if flexible {
        header.push(0);
    }
    header
}

/// `content` behind its size.
///
/// # Errors
/// It is larger than a frame can be.
pub fn framed(content: &[u8]) -> Result<Vec<u8>> {
    Ok([&i32::try_from(content.len())?.to_be_bytes()[..], content].concat())
}

/// The fields of `message` in `version`.
///
/// # Errors
/// As [`request`].
pub fn body(schemas: &Schemas, message: &Message, version: i16, fields: &Value) -> Result<Vec<u8>> {
    let mut encoder =
        Encoder { schemas, version, flexible: message.flexible.contains(version), bytes: Vec::new() };
    encoder.structure(&message.fields, fields)?;
    Ok(encoder.bytes)
}

struct Encoder<'a> {
    schemas: &'a Schemas,
    version: i16,
    flexible: bool,
    bytes: Vec<u8>,
}

impl Encoder<'_> {
    fn structure(&mut self, fields: &[Field], value: &Value) -> Result<()> {
        let given = value.as_object().with_context(|| format!("{value} should be an object"))?;
        if let Some(unknown) = given.keys().find(|key| !fields.iter().any(|field| field.name == **key)) {
            let names: Vec<_> = fields.iter().map(|field| field.name.as_str()).collect();
            bail!("there is no field {unknown:?}; there are: {}", names.join(", "));
        }
        let mut tags: Vec<(u32, Vec<u8>)> = Vec::new();
        let version = self.version;
        for field in fields.iter().filter(|field| field.versions.contains(version)) {
            let said = given.get(&field.name);
            match field.tagged.filter(|(_, versions)| versions.contains(version)) {
                None => self.field(field, said)?,
                Some((tag, _)) if said.is_some() => {
                    let outside = std::mem::take(&mut self.bytes);
                    self.field(field, said)?;
                    tags.push((tag, std::mem::replace(&mut self.bytes, outside)));
                }
                Some(_) => {}
            }
        }
        if self.flexible {
            tags.sort_by_key(|(tag, _)| *tag);
            self.unsigned_varint(tags.len())?;
            for (tag, content) in tags {
                self.unsigned_varint(usize::try_from(tag)?)?;
                self.unsigned_varint(content.len())?;
                self.bytes.extend(content);
            }
        }
        Ok(())
    }

    fn field(&mut self, field: &Field, said: Option<&Value>) -> Result<()> {
        let nullable = field.nullable.contains(self.version);
        let value = match said.or(field.default.as_ref()) {
            // A default of null holds only in the versions that can write it.
            Some(Value::Null) if said.is_none() && !nullable => zero(&field.kind),
            Some(value) => value.clone(),
            None => zero(&field.kind),
        };
        self.value(&field.kind, nullable, &value).with_context(|| format!("field {}", field.name))
    }

    fn value(&mut self, kind: &Kind, nullable: bool, value: &Value) -> Result<()> {
        match kind {
            Kind::Bool => self.bytes.push(u8::from(value.as_bool().context("not a boolean")?)),
            Kind::Signed(width) => self.integer(*width, value)?,
            Kind::Unsigned(width) => self.integer(*width, value)?,
            Kind::Float64 => {
                self.bytes.extend(value.as_f64().context("not a number")?.to_bits().to_be_bytes());
            }
            Kind::Uuid => self.bytes.extend(uuid(value)?),
            Kind::String if value.is_null() => self.length(None, 2)?,
            Kind::String => {
                let text = text(value)?;
                self.length(Some(text.len()), 2)?;
                self.bytes.extend(text.as_bytes());
            }
            Kind::Bytes | Kind::Records if value.is_null() => self.length(None, 4)?,
            Kind::Bytes => {
                let content = self.opaque(value)?;
                self.length(Some(content.len()), 4)?;
                self.bytes.extend(content);
            }
            Kind::Records => {
                let content = records::build(value)?;
                self.length(Some(content.len()), 4)?;
                self.bytes.extend(content);
            }
            Kind::Array(_) if value.is_null() => self.length(None, 4)?,
            Kind::Array(element) => {
                let elements = value.as_array().with_context(|| format!("{value} should be an array"))?;
                self.length(Some(elements.len()), 4)?;
                for (index, inner) in elements.iter().enumerate() {
                    self.value(element, false, inner).with_context(|| format!("element {index}"))?;
                }
            }
            Kind::Struct(_) if nullable && value.is_null() => self.bytes.push(0xff),
            Kind::Struct(fields) => {
                if nullable {
                    self.bytes.push(1);
                }
                self.structure(fields, value)?;
            }
        }
        Ok(())
    }

    fn integer(&mut self, width: usize, value: &Value) -> Result<()> {
        let number = match value {
            Value::String(text) => text.parse::<i64>().with_context(|| format!("{text:?} is no number"))?,
            _ => value.as_i64().with_context(|| format!("{value} is no whole number"))?,
        };
        let bytes = number.to_be_bytes();
        let (high, low) = bytes.split_at(8 - width);
        ensure!(high.iter().all(|byte| [0, 0xff].contains(byte)), "{number} does not fit {width} bytes");
        self.bytes.extend(low);
        Ok(())
    }

    /// A length or count: compact, or in so many bytes; `None` is null.
    fn length(&mut self, length: Option<usize>, width: usize) -> Result<()> {
        if self.flexible {
            return self.unsigned_varint(length.map_or(0, |length| length + 1));
        }
        let number = length.map_or(Ok(-1), i64::try_from)?;
        self.integer(width, &Value::from(number))
    }

    fn unsigned_varint(&mut self, value: usize) -> Result<()> {
        let mut rest = u32::try_from(value)?;
        while rest >= 0x80 {
            self.bytes.push(u8::try_from(rest & 0x7f)? | 0x80);
            rest >>= 7;
        }
        self.bytes.push(u8::try_from(rest)?);
        Ok(())
    }

    /// `{"message": NAME, "version": N, "fields": {..}}` is one of Kafka's structures behind its version; anything else is
    /// text or `hex:`.
    fn opaque(&self, value: &Value) -> Result<Vec<u8>> {
        let Some(name) = value.get("message").and_then(Value::as_str) else {
            let text = text(value)?;
            return match text.strip_prefix("hex:") {
                Some(digits) => hex(digits),
                None => Ok(text.into_bytes()),
            };
        };
        let version = i16::try_from(value["version"].as_i64().unwrap_or(0))?;
        let mut bytes = version.to_be_bytes().to_vec();
        bytes.extend(body(self.schemas, self.schemas.data(name)?, version, &value["fields"])?);
        Ok(bytes)
    }
}

fn zero(kind: &Kind) -> Value {
    match kind {
        Kind::Bool => Value::Bool(false),
        Kind::Signed(_) | Kind::Unsigned(_) => Value::from(0),
        Kind::Float64 => Value::from(0.0),
        Kind::Uuid | Kind::String | Kind::Bytes => Value::from(""),
        Kind::Records => Value::Null,
        Kind::Array(_) => Value::Array(Vec::new()),
        Kind::Struct(_) => Value::Object(Map::new()),
    }
}

/// `{"repeat": TEXT, "times": N}` spares a table the long ones.
pub(super) fn text(value: &Value) -> Result<String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Object(object) => {
            let times = object.get("times").and_then(Value::as_u64).context("no times")?;
            let unit = object.get("repeat").and_then(Value::as_str).context("no repeat")?;
            Ok(unit.repeat(usize::try_from(times)?))
        }
        _ => bail!("{value} is no text"),
    }
}

/// Nothing is the zero id.
fn uuid(value: &Value) -> Result<[u8; 16]> {
    let text = value.as_str().context("not an id")?;
    if text.is_empty() {
        return Ok([0; 16]);
    }
    let bytes = URL_SAFE_NO_PAD.decode(text).with_context(|| format!("{text:?} is no id"))?;
    bytes.try_into().ok().with_context(|| format!("{text:?} is no id of 16 bytes"))
}

/// Hexadecimal digits, with white space where it helps.
///
/// # Errors
/// Something else is in between.
pub fn hex(digits: &str) -> Result<Vec<u8>> {
    let digits: Vec<u8> = digits.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    ensure!(digits.len().is_multiple_of(2), "an odd number of hexadecimal digits");
    let pairs = digits.chunks_exact(2).map(|pair| {
        let text = std::str::from_utf8(pair)?;
        u8::from_str_radix(text, 16).with_context(|| format!("{text:?} is not hexadecimal"))
    });
    pairs.collect()
}
