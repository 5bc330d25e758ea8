//! From a TOML value to a value of ours, or what is wrong with it and what to write instead.
//!
//! Pure leaves: no positions and no key names, the reader adds those.

use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use toml::de::DeValue;

use super::problem::sounds_secret;
use crate::domain::{Clean, Environment, Expectation};

/// What is wrong with a value, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) says: String,
    pub(super) remedy: String,
}

pub(super) type Parsed<T> = Result<T, Wrong>;

pub(super) fn wrong<T>(says: impl Into<String>, remedy: impl Into<String>) -> Parsed<T> {
    Err(Wrong {
        says: says.into(),
        remedy: remedy.into(),
    })
}

/// Longest text a setting may have. Paths and URLs end far below.
const TEXT_BYTES_MAX: usize = 2048;

/// Looking more often than this is load; more seldom than this is not watching.
const EVERY_MIN: Duration = Duration::from_millis(500);
const EVERY_MAX: Duration = Duration::from_hours(24);

/// A word of the environment stands in every header.
const ENVIRONMENT_COLUMNS: usize = 16;

/// What a person calls this value.
pub(super) fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a point",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

fn mismatch<T>(expected: &str, value: &DeValue<'_>, remedy: &str) -> Parsed<T> {
    wrong(
        format!("expected {expected}, found {}", kind(value)),
        remedy,
    )
}

/// A text that can be shown as it is: what would have to be cleaned would not be what is used.
pub(super) fn text(value: &DeValue<'_>) -> Parsed<String> {
    let DeValue::String(text) = value else {
        return mismatch("a text", value, "write it in quotes");
    };
    plain(text)
}

fn plain(text: &str) -> Parsed<String> {
    if text.trim().is_empty() {
        return wrong(
            "the text is empty",
            "write what it is, or leave the key out",
        );
    }
    if text.len() > TEXT_BYTES_MAX {
        return wrong(
            format!("the text is {} bytes long", text.len()),
            format!("write at most {TEXT_BYTES_MAX} bytes"),
        );
    }
    if Clean::line(text) != *text {
        return wrong(
            "the text holds control characters or invisible ones",
            "type it anew by hand; they are shown here as ^X and <U+NNNN>",
        );
    }
    Ok(text.to_owned())
}

/// Any text, also an empty one.
pub(super) fn any_text(value: &DeValue<'_>) -> Parsed<Clean> {
    match value {
        DeValue::String(text) if text.is_empty() => Ok(Clean::default()),
        _ => clean(value),
    }
}

pub(super) fn clean(value: &DeValue<'_>) -> Parsed<Clean> {
    text(value).map(Clean::from)
}

/// The name of a service, a stack, a theme.
pub(super) fn name(value: &DeValue<'_>) -> Parsed<Clean> {
    let name = text(value)?;
    let first = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    let rest = name
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'));
    if first && rest {
        Ok(Clean::from(name))
    } else {
        wrong(
            "this cannot be a name",
            "use letters, digits, `_`, `.` and `-`, beginning with a letter or a digit",
        )
    }
}

/// The name of a file that an nginx includes.
pub(super) fn list_file(value: &DeValue<'_>) -> Parsed<Clean> {
    let name = name(value)?;
    if name.len() > ".conf".len() && name.ends_with(".conf") {
        Ok(name)
    } else {
        wrong(
            "the gateway includes *.conf only",
            "write a name such as \"api.conf\"",
        )
    }
}

/// The longest path that a runbook takes as an answer.
const PLAIN_PATH_BYTES_MAX: usize = 121;

/// A path of a service that a runbook is handed: it goes into addresses and is shown in plans, so it is plain.
pub(super) fn plain_path(value: &DeValue<'_>) -> Parsed<Clean> {
    let path = text(value)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "._~/-".contains(c);
    if path.starts_with('/') && path.chars().all(plain) && path.len() <= PLAIN_PATH_BYTES_MAX {
        return Ok(Clean::from(path));
    }
    wrong(
        format!(
            "such a path begins with a slash and has letters, digits, `.`, `_`, `~`, `-` and slashes, {PLAIN_PATH_BYTES_MAX} at most"
        ),
        "write it as \"/api/ping\", without a query",
    )
}

/// An nginx variable, without its `$`.
pub(super) fn variable(value: &DeValue<'_>) -> Parsed<Clean> {
    let name = text(value)?;
    let first = name.starts_with(|c: char| c.is_ascii_alphabetic());
    if first && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        Ok(Clean::from(name))
    } else {
        wrong(
            "this cannot be a variable",
            "use letters, digits and `_`, without the `$`, such as \"api\"",
        )
    }
}

/// `">= 3"`, `"contains ready"`
pub(super) fn expectation(value: &DeValue<'_>) -> Parsed<Expectation> {
    Expectation::parse(&text(value)?).or_else(|error| {
        wrong(
            error.to_string(),
            "write an expectation, such as \">= 1\" or \"contains ready\"",
        )
    })
}

pub(super) fn flag(value: &DeValue<'_>) -> Parsed<bool> {
    match value {
        DeValue::Boolean(flag) => Ok(*flag),
        DeValue::String(_) => mismatch(
            "true or false",
            value,
            "write true or false, without quotes",
        ),
        _ => mismatch("true or false", value, "write true or false"),
    }
}

fn integer(value: &DeValue<'_>) -> Parsed<i128> {
    match value {
        DeValue::Integer(number) => match i128::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Ok(number),
            Err(_) => wrong("the number is too large", "write a smaller number"),
        },
        DeValue::String(_) => mismatch("a whole number", value, "write the number without quotes"),
        _ => mismatch("a whole number", value, "write a whole number, such as 3"),
    }
}

/// A whole number from `least` to `most`.
pub(super) fn whole(least: u32, most: u32) -> impl Fn(&DeValue<'_>) -> Parsed<u32> {
    move |value| match u32::try_from(integer(value)?) {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => wrong(
            format!("the number is not between {least} and {most}"),
            format!("write a number from {least} to {most}"),
        ),
    }
}

pub(super) fn port(value: &DeValue<'_>) -> Parsed<u16> {
    whole(1, u32::from(u16::MAX))(value)
        .map(|number| u16::try_from(number).expect("whole() keeps it within a u16"))
}

pub(super) fn status(value: &DeValue<'_>) -> Parsed<u16> {
    whole(100, 599)(value)
        .map(|number| u16::try_from(number).expect("whole() keeps it within a u16"))
}

/// `"5 %"`, or a number from 0.0 to 1.0. A bare `5` could mean two things and is refused.
pub(super) fn ratio(value: &DeValue<'_>) -> Parsed<f64> {
    const REMEDY: &str = "write a part in per cent from \"0 %\" to \"100 %\", such as \"5 %\"";
    let part = match value {
        DeValue::String(text) => text
            .trim()
            .strip_suffix('%')
            .and_then(|number| decimal(number.trim()))
            .map(|p| p / 100.0),
        DeValue::Float(number) => decimal(number.as_str()),
        DeValue::Integer(number) if number.as_str() == "0" => Some(0.0),
        DeValue::Integer(number) => {
            return wrong(
                format!("a bare {} could be per cent or a multiple", number.as_str()),
                format!("write \"{0} %\" for {0} per cent", number.as_str()),
            );
        }
        _ => return mismatch("a part such as \"5 %\"", value, REMEDY),
    };
    match part {
        Some(part) if (0.0..=1.0).contains(&part) => Ok(part),
        Some(_) => wrong("the part is not between 0 % and 100 %", REMEDY),
        None => wrong("expected a part such as \"5 %\"", REMEDY),
    }
}

/// Digits and a point: `inf`, `NaN` and `1e5` are numbers to Rust, not to an operator.
fn decimal(text: &str) -> Option<f64> {
    let plain = text
        .chars()
        .all(|c| c.is_ascii_digit() || c == '.' || c == '-' || c == '_');
    plain.then(|| text.replace('_', "").parse().ok()).flatten()
}

/// Whole per cent.
pub(super) fn percent(value: &DeValue<'_>) -> Parsed<u32> {
    let part = ratio(value)?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "ratio() keeps it between 0 and 1"
    )]
    Ok((part * 100.0).round() as u32)
}

/// `"500 ms"`, `"26 h"`.
pub(super) fn duration(value: &DeValue<'_>) -> Parsed<Duration> {
    const REMEDY: &str =
        "write a number and a unit: \"500 ms\", \"5 s\", \"10 min\", \"26 h\", \"7 days\"";
    match value {
        DeValue::String(text) => match humantime::parse_duration(text) {
            Ok(span) if span.is_zero() => wrong("the time is zero", REMEDY),
            Ok(span) => Ok(span),
            Err(_) => wrong("expected a time such as \"5 s\"", REMEDY),
        },
        DeValue::Integer(number) => wrong(
            "the time has no unit",
            format!("write the unit: \"{0} s\" or \"{0} ms\"", number.as_str()),
        ),
        _ => mismatch("a time such as \"5 s\"", value, REMEDY),
    }
}

/// How often to look.
pub(super) fn every(value: &DeValue<'_>) -> Parsed<Duration> {
    let span = duration(value)?;
    if (EVERY_MIN..=EVERY_MAX).contains(&span) {
        return Ok(span);
    }
    wrong(
        "this is too often or too seldom",
        "write a time from \"500 ms\" to \"24 h\"",
    )
}

/// A time counted in whole milliseconds, up to an hour.
pub(super) fn milliseconds(value: &DeValue<'_>) -> Parsed<u32> {
    const MOST: u128 = 3_600_000;
    match duration(value)?.as_millis() {
        ms @ 1..=MOST => Ok(u32::try_from(ms).expect("an hour fits")),
        _ => wrong(
            "this is no waiting time",
            "write a time from \"1 ms\" to \"1 h\"",
        ),
    }
}

/// `"10 MB"`, or a number of bytes. Units count in 1024, as the engine's own tools print them.
pub(super) fn size(value: &DeValue<'_>) -> Parsed<u64> {
    const REMEDY: &str = "write a number and a unit: \"512 B\", \"20 KB\", \"10 MB\", \"2 GB\"";
    let text = match value {
        DeValue::String(text) => text.trim(),
        DeValue::Integer(_) => {
            return match u64::try_from(integer(value)?) {
                Ok(bytes) => Ok(bytes),
                Err(_) => wrong("a size cannot be this", REMEDY),
            };
        }
        _ => return mismatch("a size such as \"10 MB\"", value, REMEDY),
    };
    let at = text
        .find(|c: char| c.is_ascii_alphabetic())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let power = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "kb" | "kib" | "k" => 1,
        "mb" | "mib" | "m" => 2,
        "gb" | "gib" | "g" => 3,
        "tb" | "tib" | "t" => 4,
        _ => return wrong(format!("unknown unit `{unit}`"), REMEDY),
    };
    match decimal(number.trim()).map(|number| number * 1024_f64.powi(power)) {
        // 2^53: up to there every whole number is exact.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the range is checked in the line above"
        )]
        Some(bytes) if (0.0..9_007_199_254_740_992.0).contains(&bytes) => Ok(bytes as u64),
        _ => wrong("expected a size such as \"10 MB\"", REMEDY),
    }
}

/// A path; a relative one counts from the folder of the file.
pub(super) fn path(base: &Path) -> impl Fn(&DeValue<'_>) -> Parsed<PathBuf> {
    move |value| {
        let text = text(value)?;
        if text.starts_with('~') {
            return wrong(
                "`~` is not expanded here",
                "write the folder out, such as /home/deploy/...",
            );
        }
        if text.contains("://") {
            return wrong("expected a path, found a URL", "write a path of this host");
        }
        Ok(joined(base, Path::new(&text)))
    }
}

/// Without the `./` that people write for clarity; `..` stays, for it may lead through a link.
pub(super) fn joined(base: &Path, path: &Path) -> PathBuf {
    base.join(path)
        .components()
        .filter(|part| !matches!(part, Component::CurDir))
        .collect()
}

/// Scheme, host and port of a URL without credentials.
pub(super) struct Url {
    pub(super) text: Clean,
    pub(super) scheme: String,
    pub(super) host: String,
    pub(super) port: Option<u16>,
    /// What follows the authority.
    pub(super) rest: String,
}

/// An `http://` or `https://` URL. `instead` says where its credentials belong.
pub(super) fn url(instead: &'static str) -> impl Fn(&DeValue<'_>) -> Parsed<Url> {
    move |value| web(&text(value)?, instead)
}

fn web(text: &str, instead: &str) -> Parsed<Url> {
    let Some((scheme, _)) = text.split_once("://") else {
        return wrong(
            "expected a URL",
            format!(
                "write the scheme: \"https://{}\"",
                super::problem::mask(text)
            ),
        );
    };
    if !matches!(scheme, "http" | "https") {
        return wrong(
            "only http:// and https:// can be asked",
            "write \"http://...\" or \"https://...\"",
        );
    }
    split(text, instead)
}

/// Takes a URL apart. `instead` is the remedy for credentials in it.
pub(super) fn split(text: &str, instead: &str) -> Parsed<Url> {
    let Some((scheme, after)) = text.split_once("://") else {
        return wrong("expected a URL", "write \"scheme://host\"");
    };
    let end = after.find(['/', '?', '#']).unwrap_or(after.len());
    let (authority, rest) = after.split_at(end);
    // A password with a slash in it ends the authority too early: what then follows the colon is no port.
    let torn = authority.contains(':')
        && !authority.starts_with('[')
        && !numeric_port(authority)
        && rest.contains('@');
    if authority.contains('@') || torn {
        return wrong("credentials do not belong in a URL", instead);
    }
    if let Some(key) = secret_parameter(rest) {
        return wrong(format!("`{key}` in a URL is a secret in the open"), instead);
    }
    if text.contains(char::is_whitespace)
        || text.contains(['"', '<', '>', '\\', '^', '`', '{', '|', '}'])
    {
        return wrong(
            "a URL cannot hold this",
            "write it percent-encoded, such as %20 for a blank",
        );
    }
    let (host, port) = host_and_port(authority)?;
    Ok(Url {
        text: Clean::line(text),
        scheme: scheme.to_owned(),
        host,
        port,
        rest: rest.to_owned(),
    })
}

/// `host:8443`: what follows the last colon is a port, not the beginning of a password.
fn numeric_port(authority: &str) -> bool {
    authority
        .rsplit(':')
        .next()
        .is_some_and(|port| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()))
}

fn secret_parameter(rest: &str) -> Option<&str> {
    let (_, query) = rest.split_once('?')?;
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, _)| key)
        .find(|key| sounds_secret(key))
}

fn host_and_port(authority: &str) -> Parsed<(String, Option<u16>)> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(v6) => match v6.split_once(']') {
            Some((host, "")) => (host, None),
            Some((host, port)) => (host, port.strip_prefix(':').or(Some(port))),
            None => {
                return wrong(
                    "the address has no closing bracket",
                    "write an IPv6 address as [::1]:8443",
                );
            }
        },
        None => match authority.rsplit_once(':') {
            Some((host, _)) if host.contains(':') => {
                return wrong("an IPv6 address needs brackets", "write it as [::1]:8443");
            }
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let fine = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%');
    // A host that begins with a dash would be an option to `ssh`.
    if host.is_empty() || host.starts_with('-') || !host.chars().all(fine) {
        return wrong(
            "this is no host",
            "write a name or an address, such as localhost or 10.0.0.7",
        );
    }
    match port {
        None => Ok((host.to_owned(), None)),
        Some(port) => match port.parse::<u16>() {
            Ok(number) if number > 0 && port.bytes().all(|b| b.is_ascii_digit()) => {
                Ok((host.to_owned(), Some(number)))
            }
            _ => wrong(
                "this is no port",
                "write a port from 1 to 65535 after the colon",
            ),
        },
    }
}

/// `host:port`, both there.
pub(super) fn place(value: &DeValue<'_>) -> Parsed<Clean> {
    let text = text(value)?;
    if let Some((_, rest)) = text.split_once("://") {
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let host = host.rsplit('@').next().unwrap_or_default();
        let port = if numeric_port(host) && host.contains(':') {
            ""
        } else {
            ":443"
        };
        return wrong(
            "expected host:port, found a URL",
            format!("write \"{host}{port}\""),
        );
    }
    if text.contains(['/', '@', ' ']) {
        return wrong("expected host:port", "write it as \"localhost:8443\"");
    }
    match host_and_port(&text)? {
        (_, Some(_)) => Ok(Clean::from(text)),
        (_, None) => wrong("the port is missing", format!("write \"{text}:443\"")),
    }
}

const ENVIRONMENTS: [&str; 4] = ["production", "staging", "development", "training"];

/// The four known words, or another. What is nearly a known word is refused: a typo must not make production quiet.
pub(super) fn environment(value: &DeValue<'_>) -> Parsed<Environment> {
    let word = text(value)?;
    match word.as_str() {
        "production" => return Ok(Environment::Production),
        "staging" => return Ok(Environment::Staging),
        "development" => return Ok(Environment::Development),
        "training" => return Ok(Environment::Training),
        _ => {}
    }
    let low = word.to_lowercase();
    let meant = ENVIRONMENTS
        .into_iter()
        .find(|known| low.len() >= 3 && known.starts_with(&low))
        .or_else(|| (low == "live").then_some("production"))
        .or_else(|| super::reader::nearest(&low, &ENVIRONMENTS));
    if let Some(known) = meant {
        return wrong(
            format!("`{word}` is nearly `{known}`"),
            format!("did you mean \"{known}\"?"),
        );
    }
    let fine = word.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if !fine || word.len() > ENVIRONMENT_COLUMNS {
        return wrong(
            "this cannot stand in a header",
            "write production, staging, development, training, or one word of at most 16 letters and digits",
        );
    }
    Ok(Environment::Other(Clean::from(word.to_ascii_uppercase())))
}

/// One of a few words.
pub(super) fn one_of<T: Copy>(
    words: &'static [(&'static str, T)],
) -> impl Fn(&DeValue<'_>) -> Parsed<T> {
    move |value| {
        let text = text(value)?;
        if let Some((_, found)) = words.iter().find(|(word, _)| *word == text) {
            return Ok(*found);
        }
        let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let listed = names
            .iter()
            .map(|name| format!("\"{name}\""))
            .collect::<Vec<_>>()
            .join(", ");
        let remedy = match super::reader::nearest(&text, &names) {
            Some(near) => format!("did you mean \"{near}\"? It is one of {listed}"),
            None => format!("write one of {listed}"),
        };
        wrong(format!("`{text}` is not known here"), remedy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T>(parse: impl Fn(&DeValue<'_>) -> Parsed<T>, toml: &str) -> Option<T> {
        parse(DeValue::parse(toml).unwrap().get_ref()).ok()
    }

    #[test]
    fn parts_are_per_cent_or_a_number_up_to_one() {
        assert_eq!(read(ratio, "'5 %'"), Some(0.05));
        assert_eq!(read(ratio, "'5%'"), Some(0.05));
        assert_eq!(read(ratio, "0.05"), Some(0.05));
        assert_eq!(read(ratio, "0"), Some(0.0));
        for bad in [
            "5", "'5'", "'101 %'", "-0.1", "inf", "nan", "'nan %'", "1.5",
        ] {
            assert_eq!(read(ratio, bad), None, "{bad}");
        }
    }

    #[test]
    fn times_need_a_unit() {
        assert_eq!(read(duration, "'500 ms'"), Some(Duration::from_millis(500)));
        assert_eq!(read(duration, "'26 h'"), Some(Duration::from_hours(26)));
        for bad in [
            "500",
            "'500'",
            "'soon'",
            "'0 s'",
            "'99999999999999999999 y'",
            "''",
        ] {
            assert_eq!(read(duration, bad), None, "{bad}");
        }
    }

    #[test]
    fn sizes_count_in_1024() {
        assert_eq!(read(size, "'10 MB'"), Some(10 * 1024 * 1024));
        assert_eq!(read(size, "'1.5 KiB'"), Some(1536));
        assert_eq!(read(size, "4096"), Some(4096));
        for bad in ["-1", "'10 XB'", "'MB'", "'99999999 TB'", "1.5"] {
            assert_eq!(read(size, bad), None, "{bad}");
        }
    }

    #[test]
    fn urls_without_credentials_are_taken_apart() {
        let parts = |text: &str| split(text, "").map(|u| (u.host, u.port, u.rest)).ok();
        let is = |host: &str, port, rest: &str| Some((host.to_owned(), port, rest.to_owned()));
        assert_eq!(parts("https://h:8443/a?b#c"), is("h", Some(8443), "/a?b#c"));
        assert_eq!(parts("https://[::1]:8443"), is("::1", Some(8443), ""));
        assert_eq!(parts("https://h/@scope/pkg"), is("h", None, "/@scope/pkg"));
        for bad in [
            "https://u:p@h/",
            "https://u:p/q@h/",
            "https://u@h/",
            "https://h/?token=x",
            "https://:80",
            "https://h:0",
            "https://h:x",
            "https://::1/",
            "https://[::1",
            "https://h/a b",
            "nothing",
        ] {
            assert_eq!(parts(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_typo_never_makes_production_quiet() {
        assert_eq!(
            read(environment, "'production'"),
            Some(Environment::Production)
        );
        assert_eq!(
            read(environment, "'demo'"),
            Some(Environment::Other(Clean::from("DEMO")))
        );
        for bad in [
            "'prod'",
            "'Production'",
            "'producton'",
            "'live'",
            "'stag'",
            "'two words'",
        ] {
            assert_eq!(read(environment, bad), None, "{bad}");
        }
    }
}
