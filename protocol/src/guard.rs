//! The guard: walks a request body by its layout before the codec crate decodes it.
//!
//! The crate allocates by the counts on the wire, keeps every unknown tagged field and trusts the sizes of known ones, so
//! four bytes can end the process. Called by the broker for each request, between header and decode. Invariants: a body
//! that passes is consumed to its last byte; every count, length and tag in it fits the bytes that are there; decoding it
//! takes at most `decode_budget(body.len())` bytes of memory; the walk itself allocates nothing but its error.
//!
//! UTF-8 of strings is left to the crate, which checks it without allocating.

use thiserror::Error;

use crate::header::MAX_TAGGED_FIELDS;
use crate::layout::{Field, Kind, Layout, Primitive, min_len};
use crate::wire::{Cursor, Fault};

/// Decoded bytes allowed per byte of the body. Honest requests need at most about this (a topic name of six bytes in
/// Metadata v9 is 8 bytes on the wire, 72 decoded); the smallest elements that the format allows would take 40.
pub const DECODE_FACTOR: usize = 8;
/// Decoded bytes allowed whatever the size of the body, so that small requests of small elements pass.
pub const DECODE_ALLOWANCE: usize = 1024 * 1024;

/// Kafka's own limit for a string, compact or not.
const MAX_STRING_LEN: usize = 32_767;
/// First node of the map of unknown tagged fields, and what each tag adds to it (nodes may be half full).
const TAG_MAP_NODE: usize = 512;
const TAG_MAP_ENTRY: usize = 128;

/// Memory that decoding a body of `len` bytes may take, bytes.
#[must_use]
pub const fn decode_budget(len: usize) -> usize {
    len.saturating_mul(DECODE_FACTOR).saturating_add(DECODE_ALLOWANCE)
}

/// Where and why a request body is refused. The request has to be answered by closing the connection.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{api} v{version}: {path}at byte {position}: {fault}")]
pub struct GuardError {
    /// Kafka's name of the API.
    pub api: &'static str,
    /// Version of the request.
    pub version: i16,
    /// Dotted names of the fields down to the faulty one, with indexes, and a space; empty at the top level.
    pub path: String,
    /// Where in the body the faulty field starts.
    pub position: usize,
    /// What is wrong.
    pub fault: GuardFault,
}

/// What is wrong with a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum GuardFault {
    /// The layout has no such version.
    #[error("version cannot be decoded")]
    Version,
    /// The body ends inside the field.
    #[error("body ends inside the field")]
    End,
    /// A varint of more than 32 bits.
    #[error("overlong varint")]
    Varint,
    /// A length that is negative, over the limit of its type or over what is left.
    #[error("length {length} with {remaining} bytes left")]
    Length {
        /// Length on the wire.
        length: i64,
        /// Bytes after it.
        remaining: usize,
    },
    /// Null where the version does not allow it.
    #[error("null is not allowed")]
    Null,
    /// More elements than what is left can hold, or a negative count.
    #[error("count {count} of elements of at least {element} bytes with {remaining} bytes left")]
    Count {
        /// Count on the wire.
        count: i64,
        /// Least size of one element.
        element: usize,
        /// Bytes after the count.
        remaining: usize,
    },
    /// The byte before a nullable struct is neither -1 nor 1.
    #[error("presence byte {0}")]
    Presence(i8),
    /// More tagged fields than fit or are allowed.
    #[error("{0} tagged fields")]
    TagCount(u32),
    /// Tags do not ascend.
    #[error("tag {tag} after tag {previous}")]
    TagOrder {
        /// The tag before.
        previous: u32,
        /// The tag here.
        tag: u32,
    },
    /// A known tagged field does not fill its declared size.
    #[error("tag {tag} declares {size} bytes, its field has {used}")]
    TagSize {
        /// The tag.
        tag: u32,
        /// Declared size.
        size: usize,
        /// Bytes of the field.
        used: usize,
    },
    /// Decoding would take more memory than `decode_budget` allows.
    #[error("decoding takes over {budget} bytes")]
    Memory {
        /// The budget.
        budget: usize,
    },
    /// Bytes follow the last field.
    #[error("{0} bytes follow the last field")]
    TrailingBytes(usize),
}

/// Checks that `body`, a request body of `layout` in `version` without its header, can be decoded within
/// `decode_budget(body.len())` bytes and is exactly as long as its fields.
///
/// # Errors
/// The first field that is wrong.
pub fn check(layout: &Layout, version: i16, body: &[u8]) -> Result<(), GuardError> {
    decoded_memory(layout, version, body).map(|_| ())
}

/// As `check`; on success an upper bound on the heap memory, in bytes, that decoding `body` takes. Strings, bytes and
/// records share the memory of `body` and count with their handles only.
///
/// # Errors
/// As `check`.
pub fn decoded_memory(layout: &Layout, version: i16, body: &[u8]) -> Result<usize, GuardError> {
    let flexible = layout.is_flexible(version);
    let budget = decode_budget(body.len());
    let mut walk = Walk { cursor: Cursor::new(body), version, flexible, budget, left: budget };
    let checked = if layout.has_version(version) {
        walk.fields(layout.fields).and_then(|()| match walk.cursor.remaining() {
            0 => Ok(budget - walk.left),
            trailing => Err(Refusal::new(walk.cursor.position(), GuardFault::TrailingBytes(trailing))),
        })
    } else {
        Err(Refusal::new(0, GuardFault::Version))
    };
    checked.map_err(|refusal| refusal.into_error(layout, version))
}

/// An error on its way up; the path grows as the walk unwinds, so a body that passes costs no string.
struct Refusal {
    position: usize,
    fault: GuardFault,
    path: String,
}

impl Refusal {
    fn new(position: usize, fault: GuardFault) -> Self {
        Self { position, fault, path: String::new() }
    }

    fn inside(mut self, name: &str) -> Self {
        if !self.path.is_empty() && !self.path.starts_with('[') {
            self.path.insert(0, '.');
        }
        self.path.insert_str(0, name);
        self
    }

    fn at_index(mut self, index: usize) -> Self {
        let separator = if self.path.is_empty() { "" } else { "." };
        self.path.insert_str(0, &format!("[{index}]{separator}"));
        self
    }

    fn into_error(self, layout: &Layout, version: i16) -> GuardError {
        let mut path = self.path;
        if !path.is_empty() {
            path.push(' ');
        }
        GuardError { api: layout.name, version, path, position: self.position, fault: self.fault }
    }
}

type Checked<T> = Result<T, Refusal>;

struct Walk<'a> {
    cursor: Cursor<'a>,
    version: i16,
    flexible: bool,
    budget: usize,
    left: usize,
}

impl<'a> Walk<'a> {
    fn fields(&mut self, fields: &[Field]) -> Checked<()> {
        let version = self.version;
        for field in fields.iter().filter(|field| field.is_plain(version)) {
            self.field(field)?;
        }
        if self.flexible { self.tagged_fields(fields) } else { Ok(()) }
    }

    fn field(&mut self, field: &Field) -> Checked<()> {
        let nullable = field.nullable.contains(self.version);
        match field.kind {
            Kind::One(primitive) => self.primitive(primitive, nullable),
            Kind::Array(primitive) => self.array(primitive, nullable),
            Kind::Struct(fields) => self.structure(fields, nullable),
            Kind::Structs(fields, memory) => self.structures(fields, memory, nullable),
        }
        .map_err(|refusal| refusal.inside(field.name))
    }

    fn primitive(&mut self, primitive: Primitive, nullable: bool) -> Checked<()> {
        let position = self.cursor.position();
        if let Some(len) = primitive.fixed_len() {
            return self.read(|cursor| cursor.take(len)).map(|_| ());
        }
        let length = match (self.flexible, primitive) {
            (true, _) => self.compact()?,
            (false, Primitive::String) => self.read(Cursor::i16).map(i64::from)?,
            (false, _) => self.read(Cursor::i32).map(i64::from)?,
        };
        let remaining = self.cursor.remaining();
        let refused = |fault| Refusal::new(position, fault);
        if length == -1 {
            return if nullable { Ok(()) } else { Err(refused(GuardFault::Null)) };
        }
        let limit = if primitive == Primitive::String { remaining.min(MAX_STRING_LEN) } else { remaining };
        let len = usize::try_from(length)
            .ok()
            .filter(|len| *len <= limit)
            .ok_or(refused(GuardFault::Length { length, remaining }))?;
        self.read(|cursor| cursor.take(len)).map(|_| ())
    }

    fn array(&mut self, primitive: Primitive, nullable: bool) -> Checked<()> {
        let element = primitive.min_len(self.flexible);
        let Some(count) = self.count(element, primitive.memory(), nullable)? else {
            return Ok(());
        };
        if primitive.fixed_len().is_some() {
            return self.read(|cursor| cursor.take(count * element)).map(|_| ());
        }
        for index in 0..count {
            self.primitive(primitive, false).map_err(|refusal| refusal.at_index(index))?;
        }
        Ok(())
    }

    fn structure(&mut self, fields: &[Field], nullable: bool) -> Checked<()> {
        if nullable {
            let position = self.cursor.position();
            match self.read(Cursor::i8)? {
                -1 => return Ok(()),
                1 => {}
                other => return Err(Refusal::new(position, GuardFault::Presence(other))),
            }
        }
        self.fields(fields)
    }

    fn structures(&mut self, fields: &[Field], memory: usize, nullable: bool) -> Checked<()> {
        let element = min_len(fields, self.version, self.flexible).max(1);
        let Some(count) = self.count(element, memory, nullable)? else {
            return Ok(());
        };
        for index in 0..count {
            self.fields(fields).map_err(|refusal| refusal.at_index(index))?;
        }
        Ok(())
    }

    /// An array's count, `None` for null, charged to the budget: `element` bytes at least of each are on the wire, and
    /// each takes `memory` bytes once decoded.
    fn count(&mut self, element: usize, memory: usize, nullable: bool) -> Checked<Option<usize>> {
        let position = self.cursor.position();
        let refused = |fault| Refusal::new(position, fault);
        let count = if self.flexible { self.compact()? } else { self.read(Cursor::i32).map(i64::from)? };
        if count == -1 {
            return if nullable { Ok(None) } else { Err(refused(GuardFault::Null)) };
        }
        let remaining = self.cursor.remaining();
        let fitting = usize::try_from(count)
            .ok()
            .filter(|count| *count <= remaining / element)
            .ok_or(refused(GuardFault::Count { count, element, remaining }))?;
        self.charge(fitting.saturating_mul(memory), position)?;
        Ok(Some(fitting))
    }

    fn tagged_fields(&mut self, fields: &[Field]) -> Checked<()> {
        let position = self.cursor.position();
        let count = self.read(Cursor::unsigned_varint)?;
        let mut previous: Option<u32> = None;
        let mut unknown = 0;
        for _ in 0..count {
            let tag_at = self.cursor.position();
            let tag = self.read(Cursor::unsigned_varint)?;
            if let Some(previous) = previous.filter(|previous| tag <= *previous) {
                return Err(Refusal::new(tag_at, GuardFault::TagOrder { previous, tag }));
            }
            previous = Some(tag);
            let size = self.tag_size()?;
            let known = fields.iter().find(|field| {
                field.is_tagged(self.version) && field.tag.is_some_and(|(number, _)| number == tag)
            });
            match known {
                Some(field) => self.known_tag(field, tag, size)?,
                None => {
                    unknown += 1;
                    if unknown > MAX_TAGGED_FIELDS {
                        return Err(Refusal::new(position, GuardFault::TagCount(count)));
                    }
                    let node = if unknown == 1 { TAG_MAP_NODE } else { 0 };
                    self.charge(node + TAG_MAP_ENTRY, tag_at)?;
                    self.read(|cursor| cursor.take(size))?;
                }
            }
        }
        Ok(())
    }

    /// The crate decodes a known tagged field without looking at its size; here the two have to agree.
    fn known_tag(&mut self, field: &Field, tag: u32, size: usize) -> Checked<()> {
        let start = self.cursor.position();
        self.field(field)?;
        let used = self.cursor.position() - start;
        if used == size {
            return Ok(());
        }
        Err(Refusal::new(start, GuardFault::TagSize { tag, size, used }).inside(field.name))
    }

    fn tag_size(&mut self) -> Checked<usize> {
        let position = self.cursor.position();
        let length = self.read(Cursor::unsigned_varint)?;
        let remaining = self.cursor.remaining();
        usize::try_from(length)
            .ok()
            .filter(|size| *size <= remaining)
            .ok_or(Refusal::new(position, GuardFault::Length { length: i64::from(length), remaining }))
    }

    fn charge(&mut self, bytes: usize, position: usize) -> Checked<()> {
        let over = Refusal::new(position, GuardFault::Memory { budget: self.budget });
        self.left = self.left.checked_sub(bytes).ok_or(over)?;
        Ok(())
    }

    /// A length or count of a flexible version: stored plus one, 0 is null, which is -1 here.
    fn compact(&mut self) -> Checked<i64> {
        self.read(Cursor::unsigned_varint).map(|stored| i64::from(stored) - 1)
    }

    fn read<T>(&mut self, read: impl FnOnce(&mut Cursor<'a>) -> Result<T, Fault>) -> Checked<T> {
        let position = self.cursor.position();
        read(&mut self.cursor).map_err(|fault| {
            let fault = match fault {
                Fault::End => GuardFault::End,
                Fault::Varint => GuardFault::Varint,
            };
            Refusal::new(position, fault)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layouts::cluster::API_VERSIONS;
    use crate::layouts::data::{DESCRIBE_TOPIC_PARTITIONS, FETCH, METADATA, PRODUCE};

    fn fault(layout: &Layout, version: i16, body: &[u8]) -> GuardFault {
        check(layout, version, body).expect_err("refused").fault
    }

    #[test]
    fn four_bytes_that_claim_two_billion_topics_are_refused() {
        let error = check(&METADATA, 1, &[0x7f, 0xff, 0xff, 0xff]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "Metadata v1: Topics at byte 0: count 2147483647 of elements of at least 2 bytes with 0 bytes left"
        );
    }

    #[test]
    fn null_and_empty_topics_follow_the_version() {
        assert_eq!(fault(&METADATA, 0, &[0xff; 4]), GuardFault::Null);
        assert_eq!(check(&METADATA, 1, &[0xff; 4]), Ok(()));
        assert_eq!(check(&METADATA, 0, &[0; 4]), Ok(()));
        assert_eq!(
            fault(&METADATA, 1, &[0xff, 0xff, 0xff, 0xfe]),
            GuardFault::Count { count: -2, element: 2, remaining: 0 }
        );
    }

    #[test]
    fn path_names_fields_and_indexes_down_to_the_fault() {
        // null transactional id, acks, timeout; one topic "t" with one partition whose records claim 9 bytes
        let body =
            [0xff, 0xff, 0, 1, 0, 0, 0, 9, 0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 1];
        let error = check(&PRODUCE, 3, &body).unwrap_err();
        assert_eq!(error.path, "TopicData[0].PartitionData[0].Records ");
        assert_eq!((error.position, error.fault), (23, GuardFault::Length { length: 9, remaining: 1 }));
    }

    #[test]
    fn versions_outside_the_layout_are_refused() {
        assert_eq!(fault(&PRODUCE, 2, &[]), GuardFault::Version);
        assert_eq!(fault(&PRODUCE, 14, &[]), GuardFault::Version);
    }

    #[test]
    fn bytes_after_the_last_field_are_refused() {
        assert_eq!(fault(&METADATA, 1, &[0, 0, 0, 0, 9]), GuardFault::TrailingBytes(1));
        assert_eq!(fault(&API_VERSIONS, 0, &[0]), GuardFault::TrailingBytes(1));
    }

    /// ApiVersions v3: software name and version empty, then `tags`.
    fn api_versions(tags: &[u8]) -> Vec<u8> {
        [&[1, 1][..], tags].concat()
    }

    #[test]
    fn unknown_tags_ascend_fit_and_are_at_most_64() {
        assert_eq!(check(&API_VERSIONS, 3, &api_versions(&[2, 7, 0, 9, 1, 5])), Ok(()));
        let twice = fault(&API_VERSIONS, 3, &api_versions(&[2, 7, 0, 7, 0]));
        assert_eq!(twice, GuardFault::TagOrder { previous: 7, tag: 7 });
        let long = fault(&API_VERSIONS, 3, &api_versions(&[1, 7, 2, 5]));
        assert_eq!(long, GuardFault::Length { length: 2, remaining: 1 });
        for (count, allowed) in [(64_u8, true), (65, false)] {
            let mut tags = vec![count];
            (0..count).for_each(|tag| tags.extend([tag, 0]));
            assert_eq!(check(&API_VERSIONS, 3, &api_versions(&tags)).is_ok(), allowed);
        }
        assert_eq!(fault(&API_VERSIONS, 3, &api_versions(&[0xff, 0xff, 0xff, 0xff, 0x0f])), GuardFault::End);
    }

    /// Fetch v12 without topics, then `tags`.
    fn fetch(tags: &[u8]) -> Vec<u8> {
        let mut body = vec![0; 4 + 4 + 4 + 4 + 1 + 4 + 4];
        body.extend([1, 1, 1]);
        body.extend(tags);
        body
    }

    #[test]
    fn known_tag_has_to_fill_its_declared_size() {
        assert_eq!(check(&FETCH, 12, &fetch(&[1, 0, 3, 3, b'i', b'd'])), Ok(()));
        let short = fault(&FETCH, 12, &fetch(&[1, 0, 4, 3, b'i', b'd', 0]));
        assert_eq!(short, GuardFault::TagSize { tag: 0, size: 4, used: 3 });
        let long = fault(&FETCH, 12, &fetch(&[1, 0, 1, 3, b'i', b'd']));
        assert_eq!(long, GuardFault::TagSize { tag: 0, size: 1, used: 3 });
    }

    #[test]
    fn presence_byte_of_a_nullable_struct_is_minus_one_or_one() {
        // no topics, partition limit, cursor, no tags
        let body = |cursor: &[u8]| [&[1, 0, 0, 0, 1][..], cursor, &[0]].concat();
        assert_eq!(check(&DESCRIBE_TOPIC_PARTITIONS, 0, &body(&[0xff])), Ok(()));
        assert_eq!(check(&DESCRIBE_TOPIC_PARTITIONS, 0, &body(&[1, 2, b't', 0, 0, 0, 0, 0])), Ok(()));
        assert_eq!(fault(&DESCRIBE_TOPIC_PARTITIONS, 0, &body(&[0])), GuardFault::Presence(0));
    }

    #[test]
    fn a_million_empty_names_are_over_the_memory_budget_and_ten_thousand_real_ones_are_not() {
        let request = |count: u32, name: &[u8]| {
            let mut body = Vec::new();
            crate::wire::put_unsigned_varlong(&mut body, u64::from(count) + 1);
            for _ in 0..count {
                crate::wire::put_unsigned_varlong(&mut body, name.len() as u64 + 1);
                body.extend_from_slice(name);
                body.push(0);
            }
            body.extend([1, 0, 0, 0]);
            body
        };
        let empty = request(1_000_000, b"");
        let budget = decode_budget(empty.len());
        assert_eq!(fault(&METADATA, 9, &empty), GuardFault::Memory { budget });
        assert_eq!(check(&METADATA, 9, &request(100_000, b"topic1")), Ok(()));
    }

    #[test]
    fn string_over_32767_bytes_is_refused() {
        let mut body = vec![0x81, 0x80, 0x02]; // length 32768
        body.extend([b'x'; 32_768]);
        body.extend([1, 0]);
        assert!(matches!(fault(&API_VERSIONS, 3, &body), GuardFault::Length { length: 32_768, .. }));
    }
}
