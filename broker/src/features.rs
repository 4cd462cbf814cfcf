//! Features of the cluster that have levels (KIP-584): which there are, which levels this broker knows, which one is in effect.
//!
//! Read by UpdateFeatures, and by ApiVersions where clients are told. Levels are fixed: whoever adds a feature adds its row,
//! with the level that the code follows.

/// One feature.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Feature {
    /// Kafka's name of it.
    pub(crate) name: &'static str,
    /// First and last level that this broker knows.
    pub(crate) supported: (i16, i16),
    /// The level in effect; 0 is off.
    pub(crate) level: i16,
}

/// All of them, by name.
pub(crate) static FEATURES: &[Feature] = &[
    Feature { name: "group.version", supported: (0, 1), level: 1 },
    Feature { name: "share.version", supported: (0, 1), level: 1 },
    Feature { name: "transaction.version", supported: (0, 2), level: 2 },
];

/// How a new level may relate to the one in effect (Kafka's `UpgradeType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Up,
    SafelyDown,
    UnsafelyDown,
}

/// Whether `feature` may be given `level`.
///
/// # Errors
/// The sentence of Kafka's `FeatureControlManager`, or ours where Kafka would change the level; the error code is
/// INVALID_UPDATE_VERSION.
pub(crate) fn check(
    features: &[Feature],
    node_id: i32,
    feature: &str,
    level: i16,
    direction: Direction,
) -> Result<(), String> {
    let invalid = |why: &str| Err(format!("Invalid update version {level} for feature {feature}. {why}"));
    if level < 0 {
        return invalid("A feature version cannot be less than 0.");
    }
    let Some(known) = features.iter().find(|known| known.name == feature) else {
        return match level {
            0 => invalid(&format!("Feature {feature} not found.")),
            _ => invalid(&format!("Local controller {node_id} does not support this feature.")),
        };
    };
    let (first, last) = known.supported;
    if level != 0 && !(first..=last).contains(&level) {
        return invalid(&format!("Local controller {node_id} only supports versions {first}-{last}"));
    }
    if level < known.level && direction == Direction::Up {
        return invalid(
            "Can't downgrade the version of this feature without setting the upgrade type to either safe or unsafe downgrade.",
        );
    }
    if level != known.level {
        return invalid(&format!("This broker follows level {} and can be given no other.", known.level));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_judged_as_kafka_judges_them() {
        let features = [Feature { name: "transaction.version", supported: (0, 2), level: 2 }];
        let judged = |feature, level, direction| check(&features, 0, feature, level, direction);
        assert_eq!(judged("transaction.version", 2, Direction::Up), Ok(()));
        assert_eq!(judged("transaction.version", 2, Direction::SafelyDown), Ok(()));
        for (feature, level, why) in [
            (
                "nope",
                1,
                "Invalid update version 1 for feature nope. Local controller 0 does not support this feature.",
            ),
            ("nope", 0, "Invalid update version 0 for feature nope. Feature nope not found."),
            (
                "transaction.version",
                -1,
                "Invalid update version -1 for feature transaction.version. A feature version cannot be less than 0.",
            ),
            (
                "transaction.version",
                3,
                "Invalid update version 3 for feature transaction.version. Local controller 0 only supports versions 0-2",
            ),
            (
                "transaction.version",
                1,
                "Invalid update version 1 for feature transaction.version. Can't downgrade the version of this feature \
                 without setting the upgrade type to either safe or unsafe downgrade.",
            ),
        ] {
            assert_eq!(judged(feature, level, Direction::Up), Err(why.to_owned()));
        }
        let fixed = judged("transaction.version", 0, Direction::UnsafelyDown).unwrap_err();
        assert!(fixed.ends_with("This broker follows level 2 and can be given no other."), "{fixed}");
    }
}
