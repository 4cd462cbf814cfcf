//! The cases: what a Kafka broker owes every client, each written once in the driver's verbs. The list is
//! [`crate::with_all_cases`]. Cases compare whole values, so that a failure shows what came instead.

pub mod admin;
pub mod compression;
pub mod crash;
pub mod group;
pub mod idempotence;
pub mod limits;
pub mod long_poll;
pub mod round_trip;
pub mod timestamps;

use anyhow::{Result, ensure};

use crate::record::Delivery;

/// The offsets of `deliveries`; an error if one was refused.
fn offsets(deliveries: &[Delivery]) -> Result<Vec<i64>> {
    let mut offsets = Vec::with_capacity(deliveries.len());
    for (number, delivery) in deliveries.iter().enumerate() {
        match delivery {
            Delivery::Acknowledged { offset, .. } => offsets.push(*offset),
            Delivery::Refused { code, message } => {
                anyhow::bail!("record {number} of {} was refused with {code}: {message}", deliveries.len())
            }
        }
    }
    Ok(offsets)
}

/// Every record of a single partition must have got its number as its offset.
fn expect_offsets_from_zero(deliveries: &[Delivery]) -> Result<()> {
    expect_equal("offsets", &offsets(deliveries)?, &(0..i64::try_from(deliveries.len())?).collect())
}

fn expect_equal<T: PartialEq + std::fmt::Debug>(what: &str, actual: &T, expected: &T) -> Result<()> {
    let (expected_text, actual_text) = (format!("{expected:?}"), format!("{actual:?}"));
    let same = expected_text.chars().zip(actual_text.chars()).take_while(|(one, other)| one == other).count();
    let excerpt = |text: &str| text.chars().skip(same.saturating_sub(100)).take(400).collect::<String>();
    ensure!(
        actual == expected,
        "{what} (shown from about where they differ): expected {}, but got {}",
        excerpt(&expected_text),
        excerpt(&actual_text)
    );
    Ok(())
}
