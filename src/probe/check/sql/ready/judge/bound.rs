//! Where a partition by time ends, as PostgreSQL writes it.

use chrono::{DateTime, NaiveDate, NaiveDateTime};

use crate::domain::Timestamp;

/// The end of `FOR VALUES FROM ('2026-11-01') TO ('2026-12-01')`, if it is a day or a moment.
pub(super) fn upper(bounds: &str) -> Option<Timestamp> {
    let (_, rest) = bounds.split_once(" TO ('")?;
    let (text, _) = rest.split_once('\'')?;
    let at = |ms: i64| u64::try_from(ms).ok().map(Timestamp);
    if let Ok(moment) = DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f%#z") {
        return at(moment.timestamp_millis());
    }
    if let Ok(moment) = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f") {
        return at(moment.and_utc().timestamp_millis());
    }
    let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    at(day.and_hms_opt(0, 0, 0)?.and_utc().timestamp_millis())
}

#[cfg(test)]
mod tests {
    use super::upper;
    use crate::domain::Timestamp;

    #[test]
    fn days_and_moments_are_read_and_numbers_are_not() {
        let at =
            |to: &str| upper(&format!("FOR VALUES FROM ('x') TO ('{to}')")).map(Timestamp::rfc3339);
        let day = Some("2026-12-01T00:00:00.000Z".to_owned());
        assert_eq!(at("2026-12-01"), day);
        assert_eq!(at("2026-12-01 00:00:00"), day);
        assert_eq!(at("2026-12-01 01:00:00+01"), day);
        assert_eq!(at("2026-12-01 05:30:00+05:30"), day);
        assert_eq!(at("1000"), None);
        assert_eq!(upper("DEFAULT"), None);
    }
}
