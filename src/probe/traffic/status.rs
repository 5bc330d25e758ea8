//! What a status label says about a request.

/// Labels under which exporters write the status, most usual first.
pub(super) const LABELS: [&str; 4] = ["status", "code", "status_code", "http_response_status_code"];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Class {
    /// 1xx to 3xx.
    Fine,
    /// 4xx.
    Client,
    /// 5xx, or no answer at all (`0`).
    Server,
}

/// Reads `503`, `5xx`, `5XX` or `0`. `None`: no status, so it is not known how the request ended.
pub(super) fn class(label: &str) -> Option<Class> {
    if matches!(label, "0" | "000") {
        return Some(Class::Server);
    }
    let (first, rest) = label.split_at_checked(1)?;
    let is_rest = rest.len() == 2
        && (rest.bytes().all(|b| b.is_ascii_digit()) || rest.eq_ignore_ascii_case("xx"));
    match first {
        "1" | "2" | "3" if is_rest => Some(Class::Fine),
        "4" if is_rest => Some(Class::Client),
        "5" if is_rest => Some(Class::Server),
        _ => None,
    }
}

/// The class of a code as the gateway wrote it; no code is no answer.
pub(super) fn class_of(code: Option<u16>) -> Class {
    match code {
        Some(100..=399) => Class::Fine,
        Some(400..=499) => Class::Client,
        _ => Class::Server,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_classes_are_read_and_words_are_not() {
        for (label, expected) in [
            ("200", Some(Class::Fine)),
            ("2xx", Some(Class::Fine)),
            ("404", Some(Class::Client)),
            ("5XX", Some(Class::Server)),
            ("503", Some(Class::Server)),
            ("0", Some(Class::Server)),
            ("", None),
            ("OK", None),
            ("5", None),
            ("5é", None),
            ("600", None),
        ] {
            assert_eq!(class(label), expected, "{label}");
        }
        assert_eq!(class_of(None), Class::Server);
        assert_eq!(class_of(Some(499)), Class::Client);
    }
}
