//! What counts for a share group at this moment: its own configs, else the broker's.
//!
//! Asked by the handlers of ShareFetch and ShareAcknowledge for every request, so a change counts from the next one on.

use std::time::Duration;

use crate::broker::Broker;
use crate::coordinator::share::Limits;
use crate::group_config;
use crate::topic_config::BrokerLayers;

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ShareSettings {
    pub(crate) limits: Limits,
    /// `share.isolation.level`: what is not committed is not read.
    pub(crate) committed: bool,
    /// `share.auto.offset.reset`.
    pub(crate) reset: Reset,
}

/// Where a group begins that never read a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reset {
    /// At the end.
    Latest,
    /// At the beginning.
    Earliest,
    /// With records that are not older than this, ms.
    ByDuration(i64),
}

impl ShareSettings {
    /// What counts for `group` now.
    pub(crate) fn of(broker: &Broker, group: &str) -> Self {
        let dynamic = broker.store.broker_configs();
        let layers = BrokerLayers { config: &broker.config, dynamic: &dynamic };
        let text = |name| group_config::effective(&layers, group, name).unwrap_or_default();
        let number = |name, default: i64| text(name).parse().unwrap_or(default);
        let limits = Limits {
            lock: Duration::from_millis(number("share.record.lock.duration.ms", 30_000).unsigned_abs()),
            deliveries: i16::try_from(number("share.delivery.count.limit", 5)).unwrap_or(i16::MAX),
            in_flight: number("share.partition.max.record.locks", 2000),
            renew: text("share.renew.acknowledge.enable") != "false",
        };
        let committed = text("share.isolation.level").eq_ignore_ascii_case("read_committed");
        Self { limits, committed, reset: reset(&text("share.auto.offset.reset")) }
    }

    /// How long a lock is, as answers say it.
    pub(crate) fn lock_timeout_ms(&self) -> i32 {
        i32::try_from(self.limits.lock.as_millis()).unwrap_or(i32::MAX)
    }
}

fn reset(text: &str) -> Reset {
    match text.strip_prefix("by_duration:").and_then(group_config::duration_ms) {
        Some(ms) => Reset::ByDuration(ms),
        None if text.eq_ignore_ascii_case("earliest") => Reset::Earliest,
        None => Reset::Latest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_begins_where_its_config_says() {
        assert_eq!(reset("earliest"), Reset::Earliest);
        assert_eq!(reset("latest"), Reset::Latest);
        assert_eq!(reset("by_duration:P1DT2H3M4.5S"), Reset::ByDuration(93_784_500));
        assert_eq!(reset("by_duration:PT0.25S"), Reset::ByDuration(250));
    }
}
