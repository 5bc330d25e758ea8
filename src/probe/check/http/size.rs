//! Does a server compress, and does it help?

use crate::domain::{Clean, Fault, FaultKind};
use crate::link::http::{Answer, BODY_BYTES_MAX};

/// How much of the plain body is left, or why it is not compressed.
pub(super) fn compressed(squeezed: &Answer, plain: &Answer) -> Result<Result<f64, Clean>, Fault> {
    let encoding = header(squeezed, "content-encoding");
    if encoding.is_none_or(|encoding| encoding.eq_ignore_ascii_case("identity")) {
        return Ok(Err("not compressed: no content-encoding".into()));
    }
    let Some(small) = size(squeezed) else {
        let text = format!(
            "the compressed body is over {BODY_BYTES_MAX} bytes and does not say how long it is"
        );
        return Err(Fault::new(FaultKind::TooLarge, text).remedy("ask for a smaller file"));
    };
    // Of a long plain body its least size is known, which makes the part no smaller than it is.
    let large = size(plain).unwrap_or(BODY_BYTES_MAX as u64);
    if large == 0 {
        return Ok(Err("not compressed: the body is empty".into()));
    }
    Ok(Ok(real(small) / real(large)))
}

#[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
fn real(bytes: u64) -> f64 {
    bytes as f64
}

/// What is announced, else what was read to its end.
fn size(answer: &Answer) -> Option<u64> {
    let announced = header(answer, "content-length").and_then(|length| length.parse().ok());
    announced.or((!answer.body_cut).then_some(answer.body_bytes))
}

pub(super) fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a Clean> {
    let mut headers = answer.headers.iter();
    headers
        .find(|(header, _)| *header == name)
        .map(|(_, value)| value)
}

/// `max-age` of all `Cache-Control` headers, in seconds; or why nothing may be kept.
pub(super) fn max_age(answer: &Answer) -> Result<f64, Clean> {
    let headers = answer.headers.iter();
    let directives: Vec<&str> = headers
        .filter(|(name, _)| *name == "cache-control")
        .flat_map(|(_, value)| value.split(','))
        .map(str::trim)
        .collect();
    let forbidden = ["no-store", "no-cache"];
    let found = |word: &&&str| directives.iter().any(|one| one.eq_ignore_ascii_case(word));
    if let Some(word) = forbidden.iter().find(found) {
        return Err(format!("not cached: cache-control says {word}").into());
    }
    let age = directives.iter().find_map(|directive| {
        let (name, value) = directive.split_once('=')?;
        let is_age = name.trim().eq_ignore_ascii_case("max-age");
        is_age.then(|| value.trim().trim_matches('"').parse::<u32>().ok())
    });
    match age {
        Some(Some(seconds)) => Ok(f64::from(seconds)),
        Some(None) => Err("not cached: max-age is no number".into()),
        None => Err("not cached: no max-age in cache-control".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(headers: &[(&str, &str)], body_bytes: u64, body_cut: bool) -> Answer {
        Answer {
            headers: headers
                .iter()
                .map(|(name, value)| ((*name).into(), (*value).into()))
                .collect(),
            body_bytes,
            body_cut,
            ..Answer::default()
        }
    }

    #[test]
    fn compression_must_be_named_and_must_help() {
        let gzip = [("content-encoding", "gzip")];
        let part = |squeezed: &Answer, plain: &Answer| {
            let compressed = compressed(squeezed, plain).unwrap();
            compressed
                .map(|part| format!("{part:.3}"))
                .map_err(|why| why.to_string())
        };
        let plain = answer(&[], 1000, false);
        assert_eq!(part(&answer(&gzip, 300, false), &plain), Ok("0.300".into()));
        assert_eq!(
            part(&answer(&gzip, 1100, false), &plain),
            Ok("1.100".into())
        );
        let named = [("content-encoding", "gzip"), ("content-length", "131072")];
        let cut = answer(&named, 65_536, true);
        let long = answer(&[("content-length", "262144")], 65_536, true);
        assert_eq!(part(&cut, &long), Ok("0.500".into()));
        assert_eq!(
            part(&answer(&gzip, 32_768, false), &answer(&[], 65_536, true)),
            Ok("0.500".into())
        );
        assert!(
            part(&answer(&[], 1000, false), &plain)
                .unwrap_err()
                .contains("no content-encoding")
        );
        assert!(
            part(&answer(&gzip, 0, false), &answer(&[], 0, false))
                .unwrap_err()
                .contains("empty")
        );
        assert!(compressed(&answer(&gzip, 65_536, true), &plain).is_err());
    }

    #[test]
    fn an_age_is_read_unless_keeping_is_forbidden() {
        let age = |value: &str| max_age(&answer(&[("cache-control", value)], 0, false));
        assert_eq!(
            age("public, Max-Age=3600").map(|age| age.to_string()),
            Ok("3600".into())
        );
        assert!(
            age("max-age=3600, no-store")
                .unwrap_err()
                .contains("no-store")
        );
        assert!(age("public").unwrap_err().contains("no max-age"));
        assert!(age("max-age=soon").unwrap_err().contains("no number"));
        assert!(max_age(&Answer::default()).is_err());
    }
}
