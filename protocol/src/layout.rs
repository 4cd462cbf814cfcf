//! The static description of a request's fields, version by version.
//!
//! The tables in `layouts` are written in these terms and `guard` walks them. Invariant: a layout is data only; it nests
//! as deep as the schema does and holds no cycle.

/// Fields of one request, for the versions that the codec crate decodes.
#[derive(Debug)]
pub struct Layout {
    /// Which API.
    pub api_key: i16,
    /// Kafka's name of the API, without `Request`.
    pub name: &'static str,
    /// Least and greatest version that can be decoded.
    pub versions: (i16, i16),
    /// First version with compact lengths, tagged fields and request header v2; `None` when there is none in `versions`.
    pub flexible_from: Option<i16>,
    /// Top-level fields in wire order.
    pub fields: &'static [Field],
}

impl Layout {
    /// Whether `version` can be decoded.
    #[must_use]
    pub fn has_version(&self, version: i16) -> bool {
        Versions::new(self.versions.0, self.versions.1).contains(version)
    }

    /// Whether `version` has compact lengths, tagged fields and request header v2.
    #[must_use]
    pub fn is_flexible(&self, version: i16) -> bool {
        self.flexible_from.is_some_and(|from| version >= from)
    }
}

/// One field of a struct.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Kafka's name.
    pub name: &'static str,
    /// What its bytes look like.
    pub kind: Kind,
    /// Versions that have the field.
    pub versions: Versions,
    /// Versions in which it may be null.
    pub nullable: Versions,
    /// Tag number and the versions in which the field is tagged.
    pub tag: Option<(u32, Versions)>,
}

/// A range of versions, both ends included; may be empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versions {
    min: i16,
    max: i16,
}

impl Versions {
    const EMPTY: Self = Self::new(0, -1);

    /// From `min` to `max`, both included.
    #[must_use]
    pub const fn new(min: i16, max: i16) -> Self {
        Self { min, max }
    }

    /// Whether `version` lies in the range.
    #[must_use]
    pub const fn contains(self, version: i16) -> bool {
        self.min <= version && version <= self.max
    }
}

/// What a field's bytes look like.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// One primitive.
    One(Primitive),
    /// A counted array of primitives.
    Array(Primitive),
    /// A nested struct.
    Struct(&'static [Field]),
    /// A counted array of structs, and the bytes that one of them takes in the codec crate's `Vec`.
    Structs(&'static [Field], usize),
}

/// A type without fields of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Primitive {
    /// One byte.
    Bool,
    /// One byte.
    Int8,
    /// Two bytes.
    Int16,
    /// Two bytes.
    Uint16,
    /// Four bytes.
    Int32,
    /// Four bytes.
    Uint32,
    /// Eight bytes.
    Int64,
    /// Eight bytes.
    Float64,
    /// Sixteen bytes.
    Uuid,
    /// UTF-8 with a length of 16 bits, or compact.
    String,
    /// Bytes with a length of 32 bits, or compact. Record sets are `Bytes` too.
    Bytes,
}

impl Primitive {
    /// Bytes on the wire; `None` for types with a length of their own.
    #[must_use]
    pub const fn fixed_len(self) -> Option<usize> {
        match self {
            Self::Bool | Self::Int8 => Some(1),
            Self::Int16 | Self::Uint16 => Some(2),
            Self::Int32 | Self::Uint32 => Some(4),
            Self::Int64 | Self::Float64 => Some(8),
            Self::Uuid => Some(16),
            Self::String | Self::Bytes => None,
        }
    }

    /// Least bytes on the wire.
    #[must_use]
    pub const fn min_len(self, flexible: bool) -> usize {
        match (self, self.fixed_len()) {
            (_, Some(len)) => len,
            (_, None) if flexible => 1,
            (Self::String, None) => 2,
            (_, None) => 4,
        }
    }

    /// Bytes that one element takes in a decoded `Vec`. Strings and bytes share the frame's memory and cost a handle.
    #[must_use]
    pub const fn memory(self) -> usize {
        match self.fixed_len() {
            Some(len) => len,
            None => size_of::<bytes::Bytes>(),
        }
    }
}

/// Least bytes that a struct of `fields` takes on the wire.
#[must_use]
pub fn min_len(fields: &[Field], version: i16, flexible: bool) -> usize {
    let mut total = usize::from(flexible);
    for field in fields.iter().filter(|field| field.is_plain(version)) {
        total += match field.kind {
            Kind::One(primitive) => primitive.min_len(flexible),
            Kind::Array(_) | Kind::Structs(..) if flexible => 1,
            Kind::Array(_) | Kind::Structs(..) => 4,
            Kind::Struct(_) if field.nullable.contains(version) => 1,
            Kind::Struct(fields) => min_len(fields, version, flexible),
        };
    }
    total
}

impl Field {
    /// Whether `version` has the field among the plain ones, in order.
    #[must_use]
    pub const fn is_plain(&self, version: i16) -> bool {
        self.versions.contains(version) && !self.is_tagged(version)
    }

    /// Whether `version` has the field in the tag section.
    #[must_use]
    pub const fn is_tagged(&self, version: i16) -> bool {
        match self.tag {
            Some((_, versions)) => versions.contains(version),
            None => false,
        }
    }

    /// The same field, nullable in versions `min` to `max`.
    #[must_use]
    pub const fn nullable(mut self, min: i16, max: i16) -> Self {
        self.nullable = Versions::new(min, max);
        self
    }

    /// The same field, tagged with `number` in versions `min` to `max`.
    #[must_use]
    pub const fn tagged(mut self, number: u32, min: i16, max: i16) -> Self {
        self.tag = Some((number, Versions::new(min, max)));
        self
    }
}

/// A plain field of versions `min` to `max` that is never null.
#[must_use]
pub const fn field(name: &'static str, kind: Kind, min: i16, max: i16) -> Field {
    Field { name, kind, versions: Versions::new(min, max), nullable: Versions::EMPTY, tag: None }
}
