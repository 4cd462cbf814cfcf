//! What older brokers serve, for `POST /test/max-versions`: the versions of each API that Apache Kafka advertised to clients.
//!
//! Read from `ApiKeys` of the kafka-clients of that release, for the listener that clients use (the broker with ZooKeeper up to
//! 3.0, with KRaft from 3.9 on). A table, exempt from the file size rule. What such a broker serves and this one does not is
//! left out when it is asked: only the common part can be imitated.

/// One release.
#[derive(Debug)]
pub(crate) struct Profile {
    /// As the verb takes it.
    pub(crate) name: &'static str,
    /// Whether it told clients of the features that this broker has (`group.version` 1, `transaction.version` 2).
    pub(crate) has_features: bool,
    /// API key, first and last version.
    apis: &'static [(i16, i16, i16)],
}

impl Profile {
    /// The release called `name`.
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        PROFILES.iter().find(|profile| profile.name == name)
    }

    /// All names, for a sentence.
    pub(crate) fn names() -> String {
        PROFILES.iter().map(|profile| profile.name).collect::<Vec<_>>().join(", ")
    }

    /// First and last version of an API.
    pub(crate) fn versions(&self, key: i16) -> Option<(i16, i16)> {
        self.apis.iter().find(|(known, ..)| *known == key).map(|(_, first, last)| (*first, *last))
    }
}

#[rustfmt::skip]
static PROFILES: &[Profile] = &[
    Profile {
        name: "kafka-2.1",
        has_features: false,
        apis: &[
            (0, 0, 7), (1, 0, 10), (2, 0, 4), (3, 0, 7), (8, 0, 6), (9, 0, 5), (10, 0, 2), (11, 0, 3), (12, 0, 2),
            (13, 0, 2), (14, 0, 2), (15, 0, 2), (16, 0, 2), (17, 0, 1), (18, 0, 2), (19, 0, 3), (20, 0, 3), (21, 0, 1),
            (22, 0, 1), (23, 0, 2), (24, 0, 1), (25, 0, 1), (26, 0, 1), (27, 0, 0), (28, 0, 2), (29, 0, 1), (30, 0, 1),
            (31, 0, 1), (32, 0, 2), (33, 0, 1), (34, 0, 1), (35, 0, 1), (36, 0, 0), (37, 0, 1), (38, 0, 1), (39, 0, 1),
            (40, 0, 1), (41, 0, 1), (42, 0, 1),
        ],
    },
    Profile {
        name: "kafka-2.8",
        has_features: false,
        apis: &[
            (0, 0, 9), (1, 0, 12), (2, 0, 6), (3, 0, 11), (8, 0, 8), (9, 0, 7), (10, 0, 3), (11, 0, 7), (12, 0, 4),
            (13, 0, 4), (14, 0, 5), (15, 0, 5), (16, 0, 4), (17, 0, 1), (18, 0, 3), (19, 0, 7), (20, 0, 6), (21, 0, 2),
            (22, 0, 4), (23, 0, 4), (24, 0, 3), (25, 0, 3), (26, 0, 3), (27, 0, 1), (28, 0, 3), (29, 0, 2), (30, 0, 2),
            (31, 0, 2), (32, 0, 4), (33, 0, 2), (34, 0, 2), (35, 0, 2), (36, 0, 2), (37, 0, 3), (38, 0, 2), (39, 0, 2),
            (40, 0, 2), (41, 0, 2), (42, 0, 2), (43, 0, 2), (44, 0, 1), (45, 0, 0), (46, 0, 0), (47, 0, 0), (48, 0, 1),
            (49, 0, 1), (50, 0, 0), (51, 0, 0), (57, 0, 0), (60, 0, 0), (61, 0, 0),
        ],
    },
    Profile {
        name: "kafka-3.0",
        has_features: false,
        apis: &[
            (0, 0, 9), (1, 0, 12), (2, 0, 7), (3, 0, 11), (8, 0, 8), (9, 0, 8), (10, 0, 4), (11, 0, 7), (12, 0, 4),
            (13, 0, 4), (14, 0, 5), (15, 0, 5), (16, 0, 4), (17, 0, 1), (18, 0, 3), (19, 0, 7), (20, 0, 6), (21, 0, 2),
            (22, 0, 4), (23, 0, 4), (24, 0, 3), (25, 0, 3), (26, 0, 3), (27, 0, 1), (28, 0, 3), (29, 0, 2), (30, 0, 2),
            (31, 0, 2), (32, 0, 4), (33, 0, 2), (34, 0, 2), (35, 0, 2), (36, 0, 2), (37, 0, 3), (38, 0, 2), (39, 0, 2),
            (40, 0, 2), (41, 0, 2), (42, 0, 2), (43, 0, 2), (44, 0, 1), (45, 0, 0), (46, 0, 0), (47, 0, 0), (48, 0, 1),
            (49, 0, 1), (50, 0, 0), (51, 0, 0), (57, 0, 0), (60, 0, 0), (61, 0, 0), (65, 0, 0), (66, 0, 0),
        ],
    },
    Profile {
        name: "kafka-3.9",
        has_features: false,
        apis: &[
            (0, 0, 11), (1, 0, 17), (2, 0, 9), (3, 0, 12), (8, 0, 9), (9, 0, 9), (10, 0, 6), (11, 0, 9), (12, 0, 4),
            (13, 0, 5), (14, 0, 5), (15, 0, 5), (16, 0, 5), (17, 0, 1), (18, 0, 4), (19, 0, 7), (20, 0, 6), (21, 0, 2),
            (22, 0, 5), (23, 0, 4), (24, 0, 5), (25, 0, 4), (26, 0, 4), (27, 0, 1), (28, 0, 4), (29, 0, 3), (30, 0, 3),
            (31, 0, 3), (32, 0, 4), (33, 0, 2), (34, 0, 2), (35, 0, 4), (36, 0, 2), (37, 0, 3), (38, 0, 3), (39, 0, 2),
            (40, 0, 2), (41, 0, 3), (42, 0, 2), (43, 0, 2), (44, 0, 1), (45, 0, 0), (46, 0, 0), (47, 0, 0), (48, 0, 1),
            (49, 0, 1), (50, 0, 0), (51, 0, 0), (55, 0, 2), (57, 0, 1), (60, 0, 1), (61, 0, 0), (64, 0, 0), (65, 0, 0),
            (66, 0, 1), (68, 0, 0), (69, 0, 0), (71, 0, 0), (72, 0, 0), (74, 0, 0), (75, 0, 0), (80, 0, 0), (81, 0, 0),
        ],
    },
    Profile {
        name: "kafka-4.0",
        has_features: true,
        apis: &[
            (0, 0, 12), (1, 4, 17), (2, 1, 10), (3, 0, 13), (8, 2, 9), (9, 1, 9), (10, 0, 6), (11, 2, 9), (12, 0, 4),
            (13, 0, 5), (14, 0, 5), (15, 0, 6), (16, 0, 5), (17, 0, 1), (18, 0, 4), (19, 2, 7), (20, 1, 6), (21, 0, 2),
            (22, 0, 5), (23, 2, 4), (24, 0, 5), (25, 0, 4), (26, 0, 5), (27, 1, 1), (28, 0, 5), (29, 1, 3), (30, 1, 3),
            (31, 1, 3), (32, 1, 4), (33, 0, 2), (34, 1, 2), (35, 1, 4), (36, 0, 2), (37, 0, 3), (38, 1, 3), (39, 1, 2),
            (40, 1, 2), (41, 1, 3), (42, 0, 2), (43, 0, 2), (44, 0, 1), (45, 0, 0), (46, 0, 0), (47, 0, 0), (48, 0, 1),
            (49, 0, 1), (50, 0, 0), (51, 0, 0), (55, 0, 2), (57, 0, 2), (60, 0, 2), (61, 0, 0), (64, 0, 0), (65, 0, 0),
            (66, 0, 1), (68, 0, 1), (69, 0, 1), (71, 0, 0), (72, 0, 0), (74, 0, 0), (75, 0, 0), (80, 0, 0), (81, 0, 0),
        ],
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::APIS;

    #[test]
    fn every_release_has_a_version_in_common_with_what_is_served() {
        for profile in PROFILES {
            for entry in APIS {
                // Brokers ask it of each other; its first version is gone.
                let is_for_brokers = entry.name() == "WriteTxnMarkers";
                if let Some((first, last)) = profile.versions(entry.key).filter(|_| !is_for_brokers) {
                    assert!(first <= last && entry.versions.0 <= last, "{} {}", profile.name, entry.name());
                }
            }
            assert!(Profile::named(profile.name).is_some());
        }
        assert!(Profile::named("kafka-9.9").is_none());
    }

    #[test]
    fn releases_know_what_they_knew() {
        let versions = |name: &str, key| Profile::named(name).and_then(|profile| profile.versions(key));
        assert_eq!(versions("kafka-2.1", 0), Some((0, 7)), "zstd came with Produce 7");
        assert_eq!(versions("kafka-2.8", 18), Some((0, 3)));
        assert_eq!(versions("kafka-2.8", 68), None, "no new consumer groups");
        assert_eq!(versions("kafka-4.0", 0), Some((0, 12)), "advertised from 0 for librdkafka");
        assert_eq!(versions("kafka-4.0", 68), Some((0, 1)));
    }
}
