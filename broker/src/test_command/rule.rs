//! A rule of faults from flags, or from JSON as the API takes it. What it means and whether it can be is the broker's to say.

use clap::Args;
use serde_json::{Map, Value, json};

/// What of requests a rule wants, and what is done to them.
#[derive(Debug, Args)]
#[group(skip)]
pub(crate) struct RuleArguments {
    /// The rule as JSON, instead of flags
    #[arg(value_name = "JSON")]
    rule: Option<String>,
    /// APIs by name in any case: Produce,Fetch
    #[arg(long, value_name = "API", value_delimiter = ',')]
    keys: Vec<String>,
    /// Requests that name this topic
    #[arg(long)]
    topic: Option<String>,
    /// And this partition; -1 is any
    #[arg(long, allow_negative_numbers = true)]
    partition: Option<i32>,
    /// Requests that name this group
    #[arg(long)]
    group: Option<String>,
    /// Requests of clients whose id fits this pattern with * and ?
    #[arg(long, value_name = "PATTERN")]
    client_id: Option<String>,
    /// Requests to this virtual node
    #[arg(long)]
    node: Option<i32>,
    /// Answer with this error, by Kafka's name or number
    #[arg(long, allow_hyphen_values = true)]
    error: Option<String>,
    /// Close the connection
    #[arg(long)]
    disconnect: bool,
    /// Do it and never answer
    #[arg(long)]
    drop_response: bool,
    /// Do it and break off in the middle of the answer
    #[arg(long)]
    truncate: bool,
    /// Answer a Fetch with wrong checksums
    #[arg(long)]
    corrupt_crc: bool,
    /// Begin it that much later
    #[arg(long, value_name = "MS")]
    delay_ms: Option<u64>,
    /// Say that the client is throttled for this time
    #[arg(long, value_name = "MS")]
    throttle_ms: Option<u64>,
    /// Do it first; then the rest happens to its answer
    #[arg(long)]
    after_apply: bool,
    /// So many times
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Not before the nth request that is wanted
    #[arg(long, value_name = "N")]
    nth: Option<u64>,
    /// Each time by chance, from 0 to 1
    #[arg(long, value_name = "P")]
    probability: Option<f64>,
    /// Of the chance
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

impl RuleArguments {
    /// As `POST /test/faults` takes it.
    ///
    /// # Errors
    /// A sentence: flags beside JSON, or what is no JSON.
    pub(crate) fn to_json(&self) -> Result<Value, String> {
        let flags = self.of_flags();
        let Some(text) = &self.rule else { return Ok(Value::Object(flags)) };
        if let Some(flag) = flags.keys().next() {
            let flag = flag.replace('_', "-");
            return Err(format!("the rule is given as JSON and by --{flag}; give one of both"));
        }
        serde_json::from_str(text).map_err(|error| format!("the rule {text} is no JSON: {error}"))
    }

    fn of_flags(&self) -> Map<String, Value> {
        let mut rule = Map::new();
        let mut given = |name: &str, value: Value| {
            if !value.is_null() && value != Value::Bool(false) && value != json!([]) {
                rule.insert(name.to_owned(), value);
            }
        };
        given("keys", json!(self.keys));
        given("topic", json!(self.topic));
        given("partition", json!(self.partition));
        given("group", json!(self.group));
        given("client_id", json!(self.client_id));
        given("node", json!(self.node));
        let number = self.error.as_ref().and_then(|error| error.parse::<i16>().ok());
        given("error", number.map_or_else(|| json!(self.error), |number| json!(number)));
        given("disconnect", json!(self.disconnect));
        given("drop_response", json!(self.drop_response));
        given("truncate", json!(self.truncate));
        given("corrupt_crc", json!(self.corrupt_crc));
        given("delay_ms", json!(self.delay_ms));
        given("throttle_ms", json!(self.throttle_ms));
        given("after_apply", json!(self.after_apply));
        given("count", json!(self.count));
        given("nth", json!(self.nth));
        given("probability", json!(self.probability));
        given("seed", json!(self.seed));
        rule
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        rule: RuleArguments,
    }

    fn rule(arguments: &[&str]) -> Result<Value, String> {
        Line::parse_from(["x"].iter().chain(arguments)).rule.to_json()
    }

    #[test]
    fn flags_are_the_fields_that_were_given_and_no_others() {
        let flags =
            ["--keys", "Produce,Fetch", "--partition", "-1", "--error", "6", "--after-apply", "--count", "2"];
        let expected = json!({"keys": ["Produce", "Fetch"], "partition": -1, "error": 6, "after_apply": true, "count": 2});
        assert_eq!(rule(&flags), Ok(expected));
        assert_eq!(rule(&["--error", "NOT_COORDINATOR"]), Ok(json!({"error": "NOT_COORDINATOR"})));
    }

    #[test]
    fn json_goes_as_it_is_and_not_beside_flags() {
        assert_eq!(rule(&[r#"{"disconnect": true}"#]), Ok(json!({"disconnect": true})));
        assert!(rule(&["{}", "--drop-response"]).unwrap_err().contains("--drop-response"));
        assert!(rule(&["{"]).unwrap_err().contains("no JSON"));
    }
}
