//! Parsing of config values: the types, ranges and error sentences of Kafka's `ConfigDef`, because tools compare them.
//!
//! Invariant: what [`canonical`] returns, it returns again for itself; it is what DescribeConfigs shows.

use crate::config::Kind;

const GZIP_LEVEL: &str = "compression.gzip.level";

/// `value` as Kafka writes it back: numbers without blanks or plus, booleans in small letters, list elements trimmed.
///
/// # Errors
/// Kafka's sentence for a value of the wrong type or out of range.
pub(crate) fn canonical(name: &str, kind: Kind, value: &str) -> Result<String, String> {
    let value = value.trim();
    let invalid = |why: String| Err(invalid_value(name, value, &why));
    match kind {
        Kind::Boolean => match value.to_ascii_lowercase().as_str() {
            boolean @ ("true" | "false") => Ok(boolean.to_owned()),
            _ => invalid("Expected value to be either true or false".to_owned()),
        },
        Kind::Short(min, max) => {
            integer(name, value, "SHORT", i64::from(min), i64::from(max), i16::MAX.into())
        }
        Kind::Int(..) if name == GZIP_LEVEL => gzip_level(name, value),
        Kind::Int(min, max) => integer(name, value, "INT", i64::from(min), i64::from(max), i32::MAX.into()),
        Kind::Long(min, max) => integer(name, value, "LONG", min, max, i64::MAX),
        Kind::Double(min, max) => double(name, value, min, max),
        Kind::Text | Kind::Class | Kind::Password => Ok(value.to_owned()),
        Kind::OneOf(words) if words.contains(&value) => Ok(value.to_owned()),
        Kind::OneOf(words) => invalid(format!("String must be one of: {}", words.join(", "))),
        Kind::List(words) => {
            let elements = list(value);
            let holes = value.split(',').any(|element| element.trim().is_empty());
            if !words.is_empty() && !value.is_empty() && holes {
                return Err(format!("Configuration '{name}' values must not be empty."));
            }
            match elements.iter().find(|element| !words.is_empty() && !words.contains(element)) {
                Some(element) => {
                    let why = format!("String must be one of: {}", words.join(", "));
                    Err(invalid_value(name, element, &why))
                }
                None => Ok(elements.join(",")),
            }
        }
    }
}

/// The elements of a list value, empty ones dropped.
pub(crate) fn list(value: &str) -> Vec<&str> {
    value.split(',').map(str::trim).filter(|element| !element.is_empty()).collect()
}

/// Kafka's `ConfigException` sentence.
pub(crate) fn invalid_value(name: &str, value: &str, why: &str) -> String {
    format!("Invalid value {value} for configuration {name}: {why}")
}

fn integer(name: &str, value: &str, kind: &str, min: i64, max: i64, type_max: i64) -> Result<String, String> {
    let number = value
        .parse::<i64>()
        .ok()
        .filter(|number| (-type_max - 1..=type_max).contains(number))
        .ok_or_else(|| invalid_value(name, value, &format!("Not a number of type {kind}")))?;
    if number < min {
        return Err(invalid_value(name, value, &format!("Value must be at least {min}")));
    }
    if number > max {
        return Err(invalid_value(name, value, &format!("Value must be no more than {max}")));
    }
    Ok(number.to_string())
}

/// The one integer whose range has a hole (Kafka's `GzipCompression.LevelValidator`).
fn gzip_level(name: &str, value: &str) -> Result<String, String> {
    let level = integer(name, value, "INT", i64::from(i32::MIN), i64::from(i32::MAX), i32::MAX.into())?;
    match level.parse::<i32>() {
        Ok(-1 | 1..=9) => Ok(level),
        _ => Err(invalid_value(name, value, "Value must be between 1 and 9 or equal to -1")),
    }
}

fn double(name: &str, value: &str, min: f64, max: f64) -> Result<String, String> {
    let number = value
        .parse::<f64>()
        .ok()
        .filter(|number| number.is_finite())
        .ok_or_else(|| invalid_value(name, value, "Not a number of type DOUBLE"))?;
    // `{:?}` writes 1.0 where `{}` writes 1, as Java does.
    let shown = format!("{number:?}");
    if number < min {
        return Err(invalid_value(name, &shown, &format!("Value must be at least {min}")));
    }
    if number > max {
        return Err(invalid_value(name, &shown, &format!("Value must be no more than {max}")));
    }
    Ok(shown)
}

#[cfg(test)]
mod tests {
    use super::canonical;
    use crate::topic_config::keys::{TOPIC_KEYS, find};

    fn set(name: &str, value: &str) -> Result<String, String> {
        canonical(name, find(name).expect("a topic config").kind, value)
    }

    #[test]
    fn sentences_are_those_of_kafka_4_3_1() {
        // Printed by Kafka's own `LogConfig.validate`.
        for (name, value, why) in [
            ("retention.ms", "-2", "Value must be at least -1"),
            ("retention.ms", "abc", "Not a number of type LONG"),
            ("retention.ms", "", "Not a number of type LONG"),
            ("cleanup.policy", "foo", "String must be one of: compact, delete"),
            (
                "compression.type",
                "foo",
                "String must be one of: uncompressed, zstd, lz4, snappy, gzip, producer",
            ),
            ("preallocate", "x", "Expected value to be either true or false"),
            ("segment.bytes", "12", "Value must be at least 1048576"),
            ("segment.bytes", "99999999999", "Not a number of type INT"),
            ("compression.gzip.level", "0", "Value must be between 1 and 9 or equal to -1"),
            ("compression.zstd.level", "99", "Value must be no more than 22"),
            ("min.cleanable.dirty.ratio", "x", "Not a number of type DOUBLE"),
        ] {
            let expected = format!("Invalid value {value} for configuration {name}: {why}");
            assert_eq!(set(name, value), Err(expected));
        }
        let ratio =
            "Invalid value 2.0 for configuration min.cleanable.dirty.ratio: Value must be no more than 1";
        assert_eq!(set("min.cleanable.dirty.ratio", "2"), Err(ratio.to_owned()));
    }

    #[test]
    fn values_are_written_back_as_kafka_writes_them() {
        for (name, value, canonical) in [
            ("retention.ms", " 5 ", "5"),
            ("retention.ms", "+5", "5"),
            ("preallocate", "TRUE", "true"),
            ("cleanup.policy", "compact, delete", "compact,delete"),
            ("cleanup.policy", "", ""),
            ("min.cleanable.dirty.ratio", "1", "1.0"),
            ("compression.gzip.level", "9", "9"),
        ] {
            assert_eq!(set(name, value).as_deref(), Ok(canonical));
        }
    }

    #[test]
    fn every_default_is_its_own_canonical_form() {
        for key in TOPIC_KEYS {
            assert_eq!(
                canonical(key.name, key.kind, key.default).as_deref(),
                Ok(key.default),
                "{}",
                key.name
            );
        }
    }
}
