//! A line of input to headers, key and value (Kafka class `LineMessageReader`), and the partition of a key.

use crate::failure::{Failure, Outcome};

/// A header's key and value, `None` for null.
pub(super) type Header<'a> = (&'a [u8], Option<&'a [u8]>);

/// A record, borrowed from its line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parsed<'a> {
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: Option<&'a [u8]>,
    pub(super) headers: Vec<Header<'a>>,
}

/// How lines are read.
#[derive(Debug)]
pub(super) struct LineReader {
    parse_key: bool,
    parse_headers: bool,
    key_separator: Vec<u8>,
    headers_delimiter: Vec<u8>,
    headers_separator: Vec<u8>,
    headers_key_separator: Vec<u8>,
    null_marker: Option<Vec<u8>>,
    ignore_error: bool,
}

impl LineReader {
    /// # Errors
    /// A separator is empty, or two that must differ are the same.
    pub(super) fn new(properties: &[(String, String)]) -> Outcome<Self> {
        let value = |wanted: &str| {
            properties.iter().rev().find(|(key, _)| key == wanted).map(|(_, value)| value.as_str())
        };
        let flag = |name: &str| value(name).is_some_and(|value| value.trim().eq_ignore_ascii_case("true"));
        let bytes = |name: &str, default: &str| match value(name).unwrap_or(default) {
            "" => Err(Failure::new(format!("{name} is empty; it must be one character or more"))),
            text => Ok(text.as_bytes().to_vec()),
        };
        let reader = Self {
            parse_key: flag("parse.key"),
            parse_headers: flag("parse.headers"),
            key_separator: bytes("key.separator", "\t")?,
            headers_delimiter: bytes("headers.delimiter", "\t")?,
            headers_separator: bytes("headers.separator", ",")?,
            headers_key_separator: bytes("headers.key.separator", ":")?,
            null_marker: value("null.marker").map(|text| text.as_bytes().to_vec()),
            ignore_error: flag("ignore.error"),
        };
        let same = [
            ("headers.delimiter", &reader.headers_delimiter, "headers.separator", &reader.headers_separator),
            (
                "headers.delimiter",
                &reader.headers_delimiter,
                "headers.key.separator",
                &reader.headers_key_separator,
            ),
            (
                "headers.separator",
                &reader.headers_separator,
                "headers.key.separator",
                &reader.headers_key_separator,
            ),
        ];
        if let Some((a, _, b, _)) =
            same.into_iter().find(|(_, a, _, b)| a == b).filter(|_| reader.parse_headers)
        {
            return Err(Failure::new(format!("{a} and {b} may not be equal")));
        }
        Ok(reader)
    }

    /// # Errors
    /// A separator that must be there is not, unless `ignore.error` is set: then all of the rest is the value.
    pub(super) fn parse<'a>(&self, line: &'a [u8], number: u64) -> Outcome<Parsed<'a>> {
        let mut rest = line;
        let mut headers = Vec::new();
        if self.parse_headers {
            let text = self.take(&mut rest, &self.headers_delimiter, "headers delimiter", number, line)?;
            if let Some(text) = text.filter(|text| Some(*text) != self.null_marker.as_deref()) {
                headers = self.headers(text, number)?;
            }
        }
        let key = if self.parse_key {
            self.take(&mut rest, &self.key_separator, "key separator", number, line)?
        } else {
            None
        };
        let known = |bytes: &&[u8]| Some(*bytes) != self.null_marker.as_deref();
        Ok(Parsed { key: key.filter(known), value: Some(rest).filter(known), headers })
    }

    /// What stands before `separator`; `rest` is then what stands after it.
    fn take<'a>(
        &self,
        rest: &mut &'a [u8],
        separator: &[u8],
        what: &str,
        number: u64,
        line: &[u8],
    ) -> Outcome<Option<&'a [u8]>> {
        match split(rest, separator) {
            Some((before, after)) => {
                *rest = after;
                Ok(Some(before))
            }
            None if self.ignore_error => Ok(None),
            None => {
                let line = String::from_utf8_lossy(line);
                Err(Failure::new(format!("No {what} found on line number {number}: '{line}'")))
            }
        }
    }

    fn headers<'a>(&self, mut text: &'a [u8], number: u64) -> Outcome<Vec<Header<'a>>> {
        let mut headers = Vec::new();
        loop {
            let (pair, after) = split(text, &self.headers_separator)
                .map_or((text, None), |(pair, after)| (pair, Some(after)));
            match split(pair, &self.headers_key_separator) {
                Some((key, value)) => {
                    headers
                        .push((key, Some(value).filter(|value| Some(*value) != self.null_marker.as_deref())));
                }
                None if self.ignore_error => headers.push((pair, None)),
                None => {
                    let pair = String::from_utf8_lossy(pair);
                    return Err(Failure::new(format!(
                        "No header key separator found in pair '{pair}' on line number {number}"
                    )));
                }
            }
            let Some(after) = after else { return Ok(headers) };
            text = after;
        }
    }
}

fn split<'a>(text: &'a [u8], separator: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = text.windows(separator.len()).position(|window| window == separator)?;
    Some((&text[..at], &text[at + separator.len()..]))
}

/// Where Kafka's default partitioner puts a key: murmur2 without its sign, modulo the partitions.
pub(super) fn partition_of(key: &[u8], partitions: i32) -> i32 {
    let positive = i32::try_from(murmur2(key) & 0x7fff_ffff).expect("31 bits fit");
    positive % partitions.max(1)
}

/// Kafka's `Utils.murmur2`, whose seed and little-endian words are part of the protocol between clients.
fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
    let mut h = 0x9747_b28c ^ length;
    let mut chunks = data.chunks_exact(4);
    for chunk in &mut chunks {
        let mut k = word(chunk).wrapping_mul(M);
        k ^= k >> 24;
        h = h.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    let tail = chunks.remainder();
    if !tail.is_empty() {
        h = (h ^ word(tail)).wrapping_mul(M);
    }
    h ^= h >> 13;
    h = h.wrapping_mul(M);
    h ^ (h >> 15)
}

/// Up to four bytes, the first as the lowest.
fn word(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |word, byte| (word << 8) | u32::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(properties: &[(&str, &str)]) -> LineReader {
        let owned: Vec<_> = properties.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        LineReader::new(&owned).unwrap()
    }

    #[test]
    fn murmur2_gives_kafkas_values() {
        for (key, hash) in
            [("21", -973_932_308_i32), ("foobar", -790_332_482), ("a-little-bit-long-string", -985_981_536)]
        {
            assert_eq!(murmur2(key.as_bytes()).cast_signed(), hash, "{key}");
        }
    }

    #[test]
    fn line_is_split_into_headers_key_and_value() {
        let both = reader(&[("parse.key", "true"), ("parse.headers", "true"), ("null.marker", "NULL")]);
        let parsed = both.parse(b"h1:a,h2:NULL\tk\tv\tw", 1).unwrap();
        assert_eq!(parsed.headers, [(&b"h1"[..], Some(&b"a"[..])), (b"h2", None)]);
        assert_eq!((parsed.key, parsed.value), (Some(&b"k"[..]), Some(&b"v\tw"[..])));
        let nulls = both.parse(b"NULL\tNULL\tNULL", 1).unwrap();
        assert_eq!(nulls, Parsed { key: None, value: None, headers: Vec::new() });
        let plain = reader(&[]).parse(b"a\tb", 1).unwrap();
        assert_eq!((plain.key, plain.value), (None, Some(&b"a\tb"[..])));
    }

    #[test]
    fn missing_separator_is_named_with_its_line_unless_errors_are_ignored() {
        let failure = reader(&[("parse.key", "true")]).parse(b"nokey", 3).unwrap_err().to_string();
        assert_eq!(failure, "No key separator found on line number 3: 'nokey'");
        let lenient = reader(&[("parse.key", "true"), ("ignore.error", "true")]);
        assert_eq!(lenient.parse(b"nokey", 1).unwrap().value, Some(&b"nokey"[..]));
        let same = [
            ("parse.headers".to_owned(), "true".to_owned()),
            ("headers.separator".to_owned(), ":".to_owned()),
        ];
        assert!(LineReader::new(&same).is_err());
    }
}
