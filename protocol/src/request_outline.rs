//! Visits every field of a request body by its layout, without the codec.
//!
//! For whoever wants to know of any request what it is about (names, numbers, ids) and has no use for its type. Invariants:
//! nothing is allocated but the path; a body that `guard::check` refuses ends the visit early and harms nothing.

use crate::layout::{Field, Kind, Layout, Primitive};
use crate::wire::{Cursor, Fault};

/// One value of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// Whole numbers and booleans.
    Number(i64),
    /// A string that is not null. What is not UTF-8 is left out.
    Text(&'a str),
    /// An id.
    Uuid([u8; 16]),
}

/// Calls `visit` with the names of the fields from the top level down and the value, in wire order. Nulls, bytes and floats
/// are left out.
pub fn visit(layout: &Layout, version: i16, body: &[u8], visit: &mut dyn FnMut(&[&'static str], Value<'_>)) {
    let flexible = layout.is_flexible(version);
    let mut walk = Walk { cursor: Cursor::new(body), version, flexible, path: Vec::new(), visit };
    // What is cut short was visited as far as it goes.
    walk.fields(layout.fields).unwrap_or_default();
}

struct Walk<'a, 'v> {
    cursor: Cursor<'a>,
    version: i16,
    flexible: bool,
    path: Vec<&'static str>,
    visit: &'v mut dyn FnMut(&[&'static str], Value<'_>),
}

impl Walk<'_, '_> {
    fn fields(&mut self, fields: &[Field]) -> Result<(), Fault> {
        let version = self.version;
        for field in fields.iter().filter(|field| field.is_plain(version)) {
            self.field(field)?;
        }
        if self.flexible { self.tagged(fields) } else { Ok(()) }
    }

    fn field(&mut self, field: &Field) -> Result<(), Fault> {
        self.path.push(field.name);
        let nullable = field.nullable.contains(self.version);
        match field.kind {
            Kind::One(primitive) => self.primitive(primitive)?,
            Kind::Array(primitive) => {
                for _ in 0..self.count()? {
                    self.primitive(primitive)?;
                }
            }
            Kind::Struct(fields) => {
                if !nullable || self.cursor.i8()? == 1 {
                    self.fields(fields)?;
                }
            }
            Kind::Structs(fields, _) => {
                for _ in 0..self.count()? {
                    self.fields(fields)?;
                }
            }
        }
        self.path.pop();
        Ok(())
    }

    fn primitive(&mut self, primitive: Primitive) -> Result<(), Fault> {
        let value = match primitive {
            Primitive::Bool | Primitive::Int8 => Value::Number(self.cursor.i8()?.into()),
            Primitive::Int16 => Value::Number(self.cursor.i16()?.into()),
            Primitive::Uint16 => Value::Number(u16::from_be_bytes(self.cursor.array()?).into()),
            Primitive::Int32 => Value::Number(self.cursor.i32()?.into()),
            Primitive::Uint32 => Value::Number(u32::from_be_bytes(self.cursor.array()?).into()),
            Primitive::Int64 => Value::Number(i64::from_be_bytes(self.cursor.array()?)),
            Primitive::Uuid => Value::Uuid(self.cursor.array()?),
            Primitive::Float64 => return self.cursor.take(8).map(|_| ()),
            Primitive::String | Primitive::Bytes => {
                let length = match (self.flexible, primitive) {
                    (true, _) => i64::from(self.cursor.unsigned_varint()?) - 1,
                    (false, Primitive::String) => self.cursor.i16()?.into(),
                    (false, _) => self.cursor.i32()?.into(),
                };
                let Ok(length) = usize::try_from(length) else { return Ok(()) };
                let bytes = self.cursor.take(length)?;
                match std::str::from_utf8(bytes) {
                    Ok(text) if primitive == Primitive::String => Value::Text(text),
                    _ => return Ok(()),
                }
            }
        };
        (self.visit)(&self.path, value);
        Ok(())
    }

    fn count(&mut self) -> Result<i64, Fault> {
        if self.flexible {
            return Ok(i64::from(self.cursor.unsigned_varint()?) - 1);
        }
        self.cursor.i32().map(i64::from)
    }

    fn tagged(&mut self, fields: &[Field]) -> Result<(), Fault> {
        for _ in 0..self.cursor.unsigned_varint()? {
            let tag = self.cursor.unsigned_varint()?;
            let size = usize::try_from(self.cursor.unsigned_varint()?).map_err(|_| Fault::End)?;
            let named = |field: &&Field| field.tag.is_some_and(|(number, _)| number == tag);
            match fields.iter().filter(|field| field.is_tagged(self.version)).find(named) {
                Some(field) => self.field(field)?,
                None => {
                    self.cursor.take(size)?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layouts::data::PRODUCE;

    fn values(version: i16, body: &[u8]) -> Vec<String> {
        let mut seen = Vec::new();
        visit(&PRODUCE, version, body, &mut |path, value| seen.push(format!("{} {value:?}", path.join("."))));
        seen
    }

    const PRODUCE_V3: &[u8] =
        &[0xff, 0xff, 0, 1, 0, 0, 0, 9, 0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 1, 0, 0, 0, 5, 0, 0, 0, 1, 1];

    #[test]
    fn values_come_with_the_path_to_them_and_nulls_and_bytes_do_not_come() {
        let expected = [
            "Acks Number(1)",
            "TimeoutMs Number(9)",
            "TopicData.Name Text(\"t\")",
            "TopicData.PartitionData.Index Number(5)",
        ];
        assert_eq!(values(3, PRODUCE_V3), expected);
    }

    #[test]
    fn a_body_cut_anywhere_is_visited_as_far_as_it_goes() {
        for len in 0..PRODUCE_V3.len() {
            assert!(values(3, &PRODUCE_V3[..len]).len() <= 4);
        }
        assert_eq!(values(3, &PRODUCE_V3[..15]).len(), 3);
    }
}
