//! Writes random valid bodies from a layout and remembers where their counts and lengths are.

use protocol::layout::{Field, Kind, Layout, Primitive};

/// SplitMix64: small, seeded, the same on every machine.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).expect("fits");
        usize::try_from(self.next() % bound).expect("below a usize")
    }

    pub(crate) fn one_in(&mut self, bound: usize) -> bool {
        self.below(bound) == 0
    }

    pub(crate) fn byte(&mut self) -> u8 {
        u8::try_from(self.next() & 0xff).expect("one byte")
    }
}

/// How a count or length is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Width {
    Classic16,
    Classic32,
    Compact,
}

/// Where a count or length is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    pub(crate) position: usize,
    pub(crate) len: usize,
    pub(crate) width: Width,
}

/// A valid body.
#[derive(Debug, Default)]
pub(crate) struct Body {
    pub(crate) bytes: Vec<u8>,
    pub(crate) marks: Vec<Mark>,
}

/// A random valid body of `layout` in `version`. With `dense` elements, one array of the body gets that many, as small
/// as the format allows.
pub(crate) fn body(layout: &Layout, version: i16, random: &mut Random, dense: Option<usize>) -> Body {
    let mut writer = Writer { version, flexible: layout.is_flexible(version), random, dense, small: false };
    let mut body = Body::default();
    writer.fields(layout.fields, &mut body);
    body
}

struct Writer<'a> {
    version: i16,
    flexible: bool,
    random: &'a mut Random,
    dense: Option<usize>,
    small: bool,
}

impl Writer<'_> {
    fn fields(&mut self, fields: &[Field], body: &mut Body) {
        let version = self.version;
        for field in fields.iter().filter(|field| field.is_plain(version)) {
            self.field(field, body);
        }
        if self.flexible {
            self.tags(fields, body);
        }
    }

    fn tags(&mut self, fields: &[Field], body: &mut Body) {
        let mut section: Vec<(u32, Body)> = Vec::new();
        let version = self.version;
        for field in fields.iter().filter(|field| field.is_tagged(version)) {
            if !self.small && self.random.one_in(2) {
                let mut content = Body::default();
                self.field(field, &mut content);
                section.push((field.tag.expect("tagged").0, content));
            }
        }
        section.sort_by_key(|(tag, _)| *tag);
        if !self.small && self.random.one_in(4) {
            for tag in 0..self.random.below(4) {
                let bytes = (0..self.random.below(200)).map(|_| self.random.byte()).collect();
                section.push((1000 + u32::try_from(tag).expect("small"), Body { bytes, marks: Vec::new() }));
            }
        }
        compact(body, section.len());
        for (tag, content) in section {
            put_varint(&mut body.bytes, u64::from(tag));
            compact(body, content.bytes.len());
            let base = body.bytes.len();
            body.bytes.extend(content.bytes);
            let moved = content.marks.into_iter().map(|mark| Mark { position: mark.position + base, ..mark });
            body.marks.extend(moved);
        }
    }

    fn field(&mut self, field: &Field, body: &mut Body) {
        let null = field.nullable.contains(self.version) && self.random.one_in(4);
        match field.kind {
            Kind::One(primitive) => self.primitive(primitive, null, body),
            Kind::Array(primitive) => self.array(null, body, |writer, body| {
                writer.primitive(primitive, false, body);
            }),
            Kind::Structs(fields, _) => self.array(null, body, |writer, body| writer.fields(fields, body)),
            Kind::Struct(fields) => {
                if field.nullable.contains(self.version) {
                    body.bytes.push(if null { 0xff } else { 1 });
                }
                if !null {
                    self.fields(fields, body);
                }
            }
        }
    }

    fn array(&mut self, null: bool, body: &mut Body, element: impl Fn(&mut Self, &mut Body)) {
        if null {
            return self.length(None, Width::Classic32, body);
        }
        let was_small = self.small;
        let count = match self.dense {
            _ if self.small => 0,
            Some(dense) if self.random.one_in(2) => {
                self.dense = None;
                self.small = true;
                dense
            }
            _ => self.random.below(4),
        };
        self.length(Some(count), Width::Classic32, body);
        for _ in 0..count {
            element(self, body);
        }
        self.small = was_small;
    }

    fn primitive(&mut self, primitive: Primitive, null: bool, body: &mut Body) {
        if let Some(len) = primitive.fixed_len() {
            for _ in 0..len {
                let byte = self.random.byte();
                body.bytes.push(if primitive == Primitive::Bool { byte & 1 } else { byte });
            }
            return;
        }
        let width = if primitive == Primitive::String { Width::Classic16 } else { Width::Classic32 };
        if null {
            return self.length(None, width, body);
        }
        let len = if self.small { 0 } else { self.random.below(150) };
        self.length(Some(len), width, body);
        for _ in 0..len {
            let byte = self.random.byte();
            body.bytes.push(if primitive == Primitive::String { b'a' + byte % 26 } else { byte });
        }
    }

    fn length(&mut self, length: Option<usize>, classic: Width, body: &mut Body) {
        if self.flexible {
            return compact(body, length.map_or(0, |length| length + 1));
        }
        let position = body.bytes.len();
        match classic {
            Width::Classic16 => {
                let length = length.map_or(-1, |length| i16::try_from(length).expect("short"));
                body.bytes.extend(length.to_be_bytes());
            }
            _ => {
                let length = length.map_or(-1, |length| i32::try_from(length).expect("short"));
                body.bytes.extend(length.to_be_bytes());
            }
        }
        body.marks.push(Mark { position, len: body.bytes.len() - position, width: classic });
    }
}

/// A stored varint that counts something: an array, a length, tagged fields or the size of one.
fn compact(body: &mut Body, stored: usize) {
    let position = body.bytes.len();
    put_varint(&mut body.bytes, u64::try_from(stored).expect("fits"));
    body.marks.push(Mark { position, len: body.bytes.len() - position, width: Width::Compact });
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(u8::try_from(value & 0x7f).expect("seven bits") | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).expect("below 0x80"));
}
