//! `Strict-Transport-Security`: for how long a browser insists on `https`.

use crate::link::http::Answer;

/// Six months as everybody counts them.
pub(super) const LONG_SECONDS: u64 = 15_552_000;

/// What the header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Hsts {
    Absent,
    Seconds(u64),
    /// No `max-age`, one that is no number, or the header twice: browsers take none of it.
    Invalid,
}

pub(super) fn of(answer: &Answer) -> Hsts {
    let mut headers = answer
        .headers
        .iter()
        .filter(|(name, _)| *name == "strict-transport-security");
    let Some((_, value)) = headers.next() else {
        return Hsts::Absent;
    };
    if value.contains(',') || headers.next().is_some() {
        return Hsts::Invalid;
    }
    let mut ages = value.split(';').filter_map(max_age);
    match (ages.next(), ages.next()) {
        (Some(age), None) => age.parse().map_or(Hsts::Invalid, Hsts::Seconds),
        _ => Hsts::Invalid,
    }
}

/// The directive's value, if it is that directive; RFC 6797 allows quotes around it.
fn max_age(directive: &str) -> Option<&str> {
    let (name, value) = directive.split_once('=')?;
    let is_age = name.trim().eq_ignore_ascii_case("max-age");
    is_age.then(|| value.trim().trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&str]) -> Hsts {
        let header = |value: &&str| ("strict-transport-security".into(), (*value).into());
        of(&Answer {
            headers: values.iter().map(header).collect(),
            ..Answer::default()
        })
    }

    #[test]
    fn an_age_is_read_as_browsers_read_it() {
        let long = Hsts::Seconds(31_536_000);
        assert_eq!(
            read(&["max-age=31536000; includeSubDomains; preload"]),
            long
        );
        assert_eq!(read(&["includeSubDomains; Max-Age = \"31536000\""]), long);
        assert_eq!(read(&["max-age=0"]), Hsts::Seconds(0));
        assert_eq!(read(&[]), Hsts::Absent);
    }

    #[test]
    fn what_browsers_pass_over_is_invalid() {
        for values in [
            &["includeSubDomains"][..],
            &["max-age=soon"],
            &["max-age=-1"],
            &["max-age=1; max-age=2"],
            &["max-age=1, max-age=1"],
            &["max-age=1", "max-age=1"],
            &[""],
        ] {
            assert_eq!(read(values), Hsts::Invalid, "{values:?}");
        }
    }
}
