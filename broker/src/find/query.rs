//! A search as the query of a URL: `topic=..&key=..&from=..&to=..&limit=..`, percent-encoded. Keys may be any bytes.

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, percent_encode};

use super::{DEFAULT_LIMIT, KeySearch, MAX_LIMIT};

impl KeySearch {
    pub(super) fn to_query(&self) -> String {
        let encode = |bytes: &[u8]| percent_encode(bytes, NON_ALPHANUMERIC).to_string();
        let mut query =
            format!("topic={}&key={}&limit={}", encode(self.topic.as_bytes()), encode(&self.key), self.limit);
        for (name, bound) in [("from", self.from_ms), ("to", self.to_ms)] {
            if let Some(bound) = bound {
                query.push_str(&format!("&{name}={bound}"));
            }
        }
        query
    }

    /// # Errors
    /// A sentence: what is missing or wrong, and what would be right.
    pub(crate) fn from_query(query: &str) -> Result<Self, String> {
        let (mut topic, mut key, mut from_ms, mut to_ms, mut limit) = (None, None, None, None, DEFAULT_LIMIT);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value: Vec<u8> = percent_decode_str(value).collect();
            match name {
                "topic" => topic = Some(text(name, value)?),
                "key" => key = Some(value),
                "from" => from_ms = Some(number(name, value)?),
                "to" => to_ms = Some(number(name, value)?),
                "limit" => {
                    limit = usize::try_from(number(name, value)?)
                        .ok()
                        .filter(|limit| (1..=MAX_LIMIT).contains(limit))
                        .ok_or_else(|| format!("limit is a number from 1 to {MAX_LIMIT}"))?;
                }
                name => {
                    return Err(format!(
                        "there is no parameter {name}; there are topic, key, from, to and limit"
                    ));
                }
            }
        }
        let topic = topic.ok_or("topic is missing: /find?topic=NAME&key=KEY")?;
        let key = key.ok_or("key is missing: /find?topic=NAME&key=KEY")?;
        Ok(Self { topic, key, from_ms, to_ms, limit })
    }
}

fn text(name: &str, value: Vec<u8>) -> Result<String, String> {
    String::from_utf8(value).map_err(|_| format!("{name} is not UTF-8"))
}

fn number(name: &str, value: Vec<u8>) -> Result<i64, String> {
    let value = text(name, value)?;
    value.parse().map_err(|_| format!("{name} is {value:?}; give a whole number"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_wrong_with_a_query_is_said() {
        let refusal = |query| KeySearch::from_query(query).unwrap_err();
        assert!(refusal("").contains("topic is missing"));
        assert!(refusal("topic=t").contains("key is missing"));
        assert!(refusal("topic=t&key=k&from=now").contains("from is \"now\"; give a whole number"));
        assert!(refusal("topic=t&key=k&limit=0").contains("from 1 to 10000"));
        assert!(refusal("topic=t&key=k&partition=1").contains("no parameter partition"));
        assert!(refusal("topic=%ff&key=k").contains("UTF-8"));
        let plain = KeySearch::from_query("topic=t&key=a%20b+c&to=-5").unwrap();
        assert_eq!((&plain.key[..], plain.to_ms, plain.limit), (&b"a b+c"[..], Some(-5), DEFAULT_LIMIT));
    }

    proptest! {
        #[test]
        fn any_search_comes_back(
            topic: String,
            key: Vec<u8>,
            from_ms: Option<i64>,
            to_ms: Option<i64>,
            limit in 1..=MAX_LIMIT,
        ) {
            let search = KeySearch { topic, key, from_ms, to_ms, limit };
            prop_assert_eq!(KeySearch::from_query(&search.to_query()), Ok(search));
        }

        #[test]
        fn any_query_is_a_search_or_a_sentence(query: String) {
            if let Err(sentence) = KeySearch::from_query(&query) {
                prop_assert!(!sentence.is_empty());
            }
        }
    }
}
