//! Client quotas: whom they are for, which there are, how they are written down.
//!
//! Called by the two quota APIs. Kept in `Store::broker_configs`, one scope per entity (`stored_configs`). Checks and
//! sentences are those of Kafka 4.3.1's `ClientQuotaControlManager` and `ClientQuotaCache`. Nobody is throttled by them yet.
//! Pure.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

const USER: &str = "user";
const CLIENT_ID: &str = "client-id";
const IP: &str = "ip";

/// Whom a quota is for: types with names, `None` for the default of the type.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Entity(BTreeMap<String, Option<String>>);

impl Entity {
    /// From the parts of a request.
    ///
    /// # Errors
    /// Kafka's sentence; the error code is INVALID_REQUEST.
    pub(crate) fn checked(parts: impl IntoIterator<Item = (String, Option<String>)>) -> Result<Self, String> {
        let entity = Self(parts.into_iter().collect());
        if entity.0.is_empty() {
            return Err("Invalid empty client quota entity".to_owned());
        }
        for (kind, name) in &entity.0 {
            if !is_entity_type(kind) {
                return Err(format!("Unhandled client quota entity type: {kind}"));
            }
            if name.as_deref() == Some("") {
                return Err(format!("Empty {kind} not supported"));
            }
        }
        match entity.0.get(IP) {
            Some(_) if entity.0.len() > 1 => {
                Err("Invalid quota entity combination, IP entity shouldnot be combined with User or ClientId"
                    .to_owned())
            }
            // Kafka resolves names of hosts here; nothing is asked of the network for an answer.
            Some(Some(address)) if address.parse::<IpAddr>().is_err() => {
                Err(format!("{address} is not a valid IP or resolvable host."))
            }
            _ => Ok(entity),
        }
    }

    /// One word without slashes.
    pub(crate) fn stored(&self) -> String {
        let part = |(kind, name): (&String, &Option<String>)| match name {
            None => kind.clone(),
            Some(name) => format!("{kind}={}", utf8_percent_encode(name, NON_ALPHANUMERIC)),
        };
        self.0.iter().map(part).collect::<Vec<_>>().join("&")
    }

    /// What [`Entity::stored`] wrote.
    pub(crate) fn from_stored(text: &str) -> Self {
        let part = |part: &str| match part.split_once('=') {
            None => (part.to_owned(), None),
            Some((kind, name)) => {
                (kind.to_owned(), Some(percent_decode_str(name).decode_utf8_lossy().into_owned()))
            }
        };
        Self(text.split('&').map(part).collect())
    }

    pub(crate) fn parts(&self) -> impl Iterator<Item = (&String, &Option<String>)> {
        self.0.iter()
    }
}

impl fmt::Display for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |(kind, name): (&String, &Option<String>)| {
            format!("{kind}={}", name.as_deref().unwrap_or("null"))
        };
        let parts: Vec<String> = self.0.iter().map(part).collect();
        write!(f, "ClientQuotaEntity(entries={{{}}})", parts.join(", "))
    }
}

fn is_entity_type(kind: &str) -> bool {
    matches!(kind, USER | CLIENT_ID | IP)
}

/// Checks one quota that is to be set.
///
/// # Errors
/// Kafka's sentence; the error code is INVALID_REQUEST.
pub(crate) fn check(entity: &Entity, key: &str, value: f64) -> Result<(), String> {
    let of_addresses = entity.0.contains_key(IP);
    let (whole, most, kind) = match key {
        "connection_creation_rate" if of_addresses => (true, f64::from(i32::MAX), "INT"),
        "producer_byte_rate" | "consumer_byte_rate" if !of_addresses => (true, 2_f64.powi(63), "LONG"),
        "request_percentage" | "controller_mutation_rate" if !of_addresses => (false, f64::MAX, "DOUBLE"),
        _ => return Err(format!("Invalid configuration key {key}")),
    };
    if value.is_nan() || value <= 0.0 {
        return Err(format!("Quota {key} must be greater than 0"));
    }
    if value > most {
        return Err(format!("Proposed value for {key} is too large for a {kind}."));
    }
    if whole && (value % 1.0).abs() > 1e-6 {
        return Err(format!("{key} cannot be a fractional value."));
    }
    Ok(())
}

/// Which names of one entity type a filter means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Match {
    Exact(String),
    Default,
    Any,
}

/// Which entities are asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Filter {
    components: BTreeMap<String, Match>,
    strict: bool,
}

/// Why a filter cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum WrongFilter {
    /// The error code is INVALID_REQUEST.
    Request(String),
    /// The error code is UNSUPPORTED_VERSION.
    Version(String),
}

impl Filter {
    /// From the parts of a request, in their order.
    ///
    /// # Errors
    /// Kafka's sentence and which of its two codes.
    pub(crate) fn checked(
        parts: impl IntoIterator<Item = (String, Result<Match, String>)>,
        strict: bool,
    ) -> Result<Self, WrongFilter> {
        let mut components = BTreeMap::new();
        for (kind, matched) in parts {
            if kind.is_empty() {
                return Err(WrongFilter::Request("Invalid empty entity type.".to_owned()));
            }
            if components.contains_key(&kind) {
                let why = format!("Entity type {kind} cannot appear more than once in the filter.");
                return Err(WrongFilter::Request(why));
            }
            if !is_entity_type(&kind) {
                return Err(WrongFilter::Version(format!("Unsupported entity type {kind}")));
            }
            components.insert(kind, matched.map_err(WrongFilter::Request)?);
        }
        if components.contains_key(IP) && components.len() > 1 {
            let why = "Invalid entity filter component combination. IP filter component should not be used with \
                       user or clientId filter component.";
            return Err(WrongFilter::Request(why.to_owned()));
        }
        Ok(Self { components, strict })
    }

    /// Whether `entity` has every type of the filter, and with a strict one no other.
    pub(crate) fn takes(&self, entity: &Entity) -> bool {
        if self.strict && (self.components.is_empty() || self.components.len() != entity.0.len()) {
            return false;
        }
        self.components.iter().all(|(kind, matched)| match (entity.0.get(kind), matched) {
            (None, _) => false,
            (Some(_), Match::Any) => true,
            (Some(name), Match::Default) => name.is_none(),
            (Some(name), Match::Exact(wanted)) => name.as_ref() == Some(wanted),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(pairs: &[(&str, Option<&str>)]) -> Vec<(String, Option<String>)> {
        pairs.iter().map(|(kind, name)| ((*kind).to_owned(), name.map(str::to_owned))).collect()
    }

    fn entity(pairs: &[(&str, Option<&str>)]) -> Entity {
        Entity::checked(parts(pairs)).unwrap()
    }

    /// What Kafka 4.3.1 said.
    #[test]
    fn quotas_are_judged_as_kafka_judges_them() {
        let (user, address) = (entity(&[("user", Some("a"))]), entity(&[("ip", None)]));
        assert_eq!(check(&user, "producer_byte_rate", 1000.0), Ok(()));
        assert_eq!(check(&user, "request_percentage", 12.5), Ok(()));
        assert_eq!(check(&address, "connection_creation_rate", 10.0), Ok(()));
        for (entity, key, value, why) in [
            (&user, "connection_creation_rate", 10.0, "Invalid configuration key connection_creation_rate"),
            (&user, "nope", 1.0, "Invalid configuration key nope"),
            (
                &user,
                "controller_mutation_rate",
                -1.0,
                "Quota controller_mutation_rate must be greater than 0",
            ),
            (
                &user,
                "controller_mutation_rate",
                f64::NAN,
                "Quota controller_mutation_rate must be greater than 0",
            ),
            (&user, "consumer_byte_rate", 0.5, "consumer_byte_rate cannot be a fractional value."),
            (&address, "producer_byte_rate", 1000.0, "Invalid configuration key producer_byte_rate"),
        ] {
            assert_eq!(check(entity, key, value), Err(why.to_owned()));
        }
        for (pairs, why) in [
            (&[][..], "Invalid empty client quota entity"),
            (&[("nope", Some("a"))], "Unhandled client quota entity type: nope"),
            (&[("user", Some("a")), ("nope", Some("b"))], "Unhandled client quota entity type: nope"),
            (&[("ip", Some("nosuch.invalid"))], "nosuch.invalid is not a valid IP or resolvable host."),
            (
                &[("ip", Some("1.2.3.4")), ("user", Some("a"))],
                "Invalid quota entity combination, IP entity shouldnot be combined with User or ClientId",
            ),
        ] {
            assert_eq!(Entity::checked(parts(pairs)), Err(why.to_owned()));
        }
    }

    #[test]
    fn entities_are_written_as_one_word_and_read_back() {
        for one in [
            entity(&[("user", Some("a/b&c=d %"))]),
            entity(&[("user", None), ("client-id", Some("é"))]),
            entity(&[("ip", Some("::1"))]),
        ] {
            assert!(!one.stored().contains('/'));
            assert_eq!(Entity::from_stored(&one.stored()), one);
        }
        let both = entity(&[("user", Some("a")), ("client-id", None)]);
        assert_eq!(both.to_string(), "ClientQuotaEntity(entries={client-id=null, user=a})");
    }

    #[test]
    fn filters_take_entities_that_have_their_types() {
        let all = [
            entity(&[("user", Some("a"))]),
            entity(&[("user", None)]),
            entity(&[("user", Some("a")), ("client-id", Some("c"))]),
            entity(&[("ip", Some("1.2.3.4"))]),
        ];
        let taken = |parts: &[(&str, Match)], strict| {
            let parts = parts.iter().map(|(kind, matched)| ((*kind).to_owned(), Ok(matched.clone())));
            let filter = Filter::checked(parts, strict).unwrap();
            all.iter().map(|entity| filter.takes(entity)).collect::<Vec<_>>()
        };
        assert_eq!(taken(&[], false), [true, true, true, true]);
        assert_eq!(taken(&[], true), [false; 4]);
        assert_eq!(taken(&[("user", Match::Exact("a".to_owned()))], false), [true, false, true, false]);
        assert_eq!(taken(&[("user", Match::Exact("a".to_owned()))], true), [true, false, false, false]);
        assert_eq!(taken(&[("user", Match::Default)], false), [false, true, false, false]);
        assert_eq!(taken(&[("user", Match::Any)], true), [true, true, false, false]);
        assert_eq!(taken(&[("client-id", Match::Any)], false), [false, false, true, false]);
        let any = |kinds: &[&str]| {
            Filter::checked(kinds.iter().map(|kind| ((*kind).to_owned(), Ok(Match::Any))), false)
        };
        assert_eq!(any(&["nope"]), Err(WrongFilter::Version("Unsupported entity type nope".to_owned())));
        assert!(matches!(any(&["user", "user"]), Err(WrongFilter::Request(_))));
        assert!(matches!(any(&["ip", "user"]), Err(WrongFilter::Request(_))));
        assert!(matches!(any(&[""]), Err(WrongFilter::Request(_))));
        // What is wrong with the type is told before what is wrong with the match.
        let wrong = |kind: &str| Filter::checked([(kind.to_owned(), Err("why".to_owned()))], false);
        assert!(matches!(wrong("nope"), Err(WrongFilter::Version(_))));
        assert_eq!(wrong("user"), Err(WrongFilter::Request("why".to_owned())));
    }
}
