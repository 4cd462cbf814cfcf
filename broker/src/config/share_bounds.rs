//! How the configs of share groups must relate to each other (Kafka's `GroupCoordinatorConfig` and `ShareGroupConfig`), in
//! Kafka's sentences. Asked once, when the configuration is read.

use super::ConfigError;
use super::settings::Settings;

/// A value and the least and the most that it may be.
const BOUNDED: &[[&str; 3]] = &[
    [
        "group.share.heartbeat.interval.ms",
        "group.share.min.heartbeat.interval.ms",
        "group.share.max.heartbeat.interval.ms",
    ],
    [
        "group.share.session.timeout.ms",
        "group.share.min.session.timeout.ms",
        "group.share.max.session.timeout.ms",
    ],
    [
        "group.share.assignment.interval.ms",
        "group.share.min.assignment.interval.ms",
        "group.share.max.assignment.interval.ms",
    ],
    [
        "group.share.delivery.count.limit",
        "group.share.min.delivery.count.limit",
        "group.share.max.delivery.count.limit",
    ],
    [
        "group.share.partition.max.record.locks",
        "group.share.min.partition.max.record.locks",
        "group.share.max.partition.max.record.locks",
    ],
    [
        "group.share.record.lock.duration.ms",
        "group.share.min.record.lock.duration.ms",
        "group.share.max.record.lock.duration.ms",
    ],
];

const HEARTBEAT: &str = "group.share.heartbeat.interval.ms";
const SESSION: &str = "group.share.session.timeout.ms";
const SESSIONS: &str = "group.share.max.share.sessions";
const SIZE: &str = "group.share.max.size";
const ASSIGNORS: &str = "group.share.assignors";

/// # Errors
/// The first that is not as Kafka wants it.
pub(super) fn check(settings: &Settings) -> Result<(), ConfigError> {
    let refuse = |left: &str, relation: &str, right: &str| {
        Err(ConfigError(format!("{left} must be {relation} {right}")))
    };
    for [value, least, most] in BOUNDED {
        if settings.int(most) < settings.int(least) {
            return refuse(most, "greater than or equal to", least);
        }
        if settings.int(value) < settings.int(least) {
            return refuse(value, "greater than or equal to", least);
        }
        if settings.int(value) > settings.int(most) {
            return refuse(value, "less than or equal to", most);
        }
    }
    if settings.int(HEARTBEAT) >= settings.int(SESSION) {
        return refuse(HEARTBEAT, "less than", SESSION);
    }
    if settings.int(SESSIONS) < settings.int(SIZE) {
        return refuse(SESSIONS, "greater than or equal to", SIZE);
    }
    match settings.list(ASSIGNORS).as_slice() {
        ["simple"] => Ok(()),
        [other] => Err(ConfigError(format!("{ASSIGNORS} names {other}; there is only simple here"))),
        several => Err(ConfigError(format!(
            "{ASSIGNORS} must contain exactly one assignor, but found {}",
            several.len()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn values_out_of_their_bounds_are_refused_in_kafkas_words() {
        let refused = |name: &'static str, value: &'static str| {
            Config::from_properties([(name, value)]).unwrap_err().to_string()
        };
        let cases = [
            (
                "group.share.session.timeout.ms",
                "1000",
                "group.share.session.timeout.ms must be greater than or equal to group.share.min.session.timeout.ms",
            ),
            (
                "group.share.record.lock.duration.ms",
                "90000",
                "group.share.record.lock.duration.ms must be less than or equal to group.share.max.record.lock.duration.ms",
            ),
            (
                "group.share.max.heartbeat.interval.ms",
                "4000",
                "group.share.max.heartbeat.interval.ms must be greater than or equal to group.share.min.heartbeat.interval.ms",
            ),
            (
                "group.share.max.share.sessions",
                "100",
                "group.share.max.share.sessions must be greater than or equal to group.share.max.size",
            ),
            (
                "group.share.assignors",
                "a,b",
                "group.share.assignors must contain exactly one assignor, but found 2",
            ),
        ];
        for (name, value, sentence) in cases {
            assert!(refused(name, value).contains(sentence), "{}", refused(name, value));
        }
        let close = [("group.share.min.session.timeout.ms", "1"), ("group.share.session.timeout.ms", "5000")];
        let sentence = "group.share.heartbeat.interval.ms must be less than group.share.session.timeout.ms";
        assert!(Config::from_properties(close).unwrap_err().to_string().contains(sentence));
        assert!(Config::from_properties([("group.share.session.timeout.ms", "50000")]).is_ok());
    }
}
