//! Times and durations in ISO 8601, as Kafka's tools take them.

use crate::failure::{Failure, Outcome};

const DAY_MS: i64 = 86_400_000;

/// `2020-01-31T12:30:00.000`, with `Z` or `+hh:mm` behind it or not (then it is UTC): milliseconds since 1970.
pub(crate) fn datetime_ms(text: &str) -> Outcome<i64> {
    let wrong = || {
        Failure::new(format!(
            "{text:?} is no time; write YYYY-MM-DDThh:mm:ss.sss, such as 2020-01-31T12:30:00.000"
        ))
    };
    read_datetime(text.trim()).ok_or_else(wrong)
}

/// `P1DT2H30M5.5S`, or a part of it: milliseconds.
pub(crate) fn duration_ms(text: &str) -> Outcome<i64> {
    let wrong =
        || Failure::new(format!("{text:?} is no duration; write PnDTnHnMnS, such as P1D, PT2H or PT30M"));
    read_duration(text.trim()).ok_or_else(wrong)
}

fn read_datetime(text: &str) -> Option<i64> {
    let (date, clock) = text.split_once('T')?;
    let (clock, offset_minutes) = split_zone(clock)?;
    let mut date = date.split('-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let mut clock = clock.split(':');
    let (hour, minute) = (clock.next()?.parse::<i64>().ok()?, clock.next()?.parse::<i64>().ok()?);
    let second_ms = clock.next().map_or(Some(0), seconds_ms)?;
    let valid = (1..=12).contains(&month)
        && (1..=month_length(year, month)).contains(&day)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && second_ms < 60_000
        && (0..=9999).contains(&year)
        && date.next().is_none()
        && clock.next().is_none();
    valid.then(|| {
        days_since_1970(year, month, day) * DAY_MS
            + ((hour * 60 + minute - offset_minutes) * 60_000)
            + second_ms
    })
}

/// The time without its zone, and the zone in minutes.
fn split_zone(clock: &str) -> Option<(&str, i64)> {
    if let Some(clock) = clock.strip_suffix('Z') {
        return Some((clock, 0));
    }
    let Some(at) = clock.rfind(['+', '-']) else { return Some((clock, 0)) };
    let (clock, zone) = clock.split_at(at);
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    let digits: String = zone[1..].chars().filter(|letter| *letter != ':').collect();
    let number: i64 = digits.parse().ok()?;
    let minutes = if digits.len() <= 2 { number * 60 } else { (number / 100) * 60 + number % 100 };
    (digits.len() <= 4).then_some((clock, sign * minutes))
}

/// `5` or `5.25` seconds; digits behind the third are cut.
fn seconds_ms(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.chars().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let millis: String = fraction.chars().chain("000".chars()).take(3).collect();
    whole
        .parse::<i64>()
        .ok()
        .filter(|whole| *whole >= 0)?
        .checked_mul(1000)?
        .checked_add(millis.parse().ok()?)
}

fn read_duration(text: &str) -> Option<i64> {
    let (sign, text) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let rest = text.strip_prefix('P')?;
    let (days, clock) = rest.split_once('T').unwrap_or((rest, ""));
    let mut total = 0_i64;
    for (part, units) in [
        (days, &[('W', 7 * DAY_MS), ('D', DAY_MS)][..]),
        (clock, &[('H', 3_600_000), ('M', 60_000), ('S', 1000)]),
    ] {
        let mut part = part;
        for (letter, unit) in units {
            let Some((number, after)) = part.split_once(*letter) else { continue };
            let millis = if *letter == 'S' {
                seconds_ms(number)?
            } else {
                number.parse::<i64>().ok()?.checked_mul(*unit)?
            };
            total = total.checked_add(millis)?;
            part = after;
        }
        if !part.is_empty() {
            return None;
        }
    }
    (rest.len() > 1).then_some(sign * total)
}

fn is_leap(year: i64) -> bool {
    (year % 4 == 0 && year % 100 != 0) || year % 400 == 0
}

fn month_length(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Whole years since 1970 with their leap days, then months, then days.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let leap_days = |year: i64| year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let years = (year - 1970) * 365 + leap_days(year - 1) - leap_days(1969);
    let months: i64 = (1..month).map(|month| month_length(year, month)).sum();
    years + months + day - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_milliseconds_since_1970() {
        for (text, millis) in [
            ("1970-01-01T00:00:00.000", 0),
            ("2020-01-01T00:00:00.000", 1_577_836_800_000),
            ("2024-02-29T12:30:45.125Z", 1_709_209_845_125),
            ("2024-02-29T14:30:45.125+02:00", 1_709_209_845_125),
            ("2000-03-01T00:00", 951_868_800_000),
            ("1969-12-31T23:59:59.999", -1),
        ] {
            assert_eq!(datetime_ms(text).unwrap(), millis, "{text}");
        }
        for wrong in [
            "2020-01-01",
            "2023-02-29T00:00:00",
            "2020-13-01T00:00:00",
            "now",
            "2020-01-01T25:00:00",
            "2020-01-01T00:00:61",
        ] {
            assert!(datetime_ms(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn durations_are_milliseconds() {
        for (text, millis) in
            [("P1D", DAY_MS), ("PT1H", 3_600_000), ("P1DT2H3M4.5S", DAY_MS + 7_384_500), ("PT0S", 0)]
        {
            assert_eq!(duration_ms(text).unwrap(), millis, "{text}");
        }
        for wrong in ["", "P", "1D", "PT", "PT5", "P1H"] {
            assert!(duration_ms(wrong).is_err(), "{wrong:?}");
        }
    }
}
