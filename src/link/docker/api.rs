//! Versions of the engine's API, and which one both sides speak.

use std::fmt;

/// A version of the API, such as 1.41.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Api {
    pub major: u16,
    pub minor: u16,
}

impl Api {
    /// The oldest that has what every look needs.
    pub const OURS_MIN: Self = Self::new(1, 24);
    /// The newest whose replies we have read the description of.
    pub const OURS_MAX: Self = Self::new(1, 52);
    /// Below this current clients are refused by current engines; what an older one lacks shows as lacking.
    pub const CURRENT: Self = Self::new(1, 40);

    pub const fn new(major: u16, minor: u16) -> Self {
        Self { major, minor }
    }

    /// Reads `1.41`; anything else is none.
    pub fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.trim().split_once('.')?;
        let number = |t: &str| {
            if !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit()) {
                t.parse::<u16>().ok()
            } else {
                None
            }
        };
        Some(Self::new(number(major)?, number(minor)?))
    }
}

impl fmt::Display for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// What a refusal such as `client version 1.52 is too new. Maximum supported API version is 1.41` offers instead.
pub(super) fn offered_instead(message: &str) -> Option<Api> {
    let at = message.find("supported API version is")?;
    let after = &message[at + "supported API version is".len()..];
    let word = after.split_whitespace().next()?;
    Api::parse(word.trim_end_matches([',', '.', ':', ';']))
}

/// Whether an answer of status 400 is about the version at all.
pub(super) fn is_refusal(message: &str) -> bool {
    message.contains("client version") && message.contains("supported API version")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_versions_are_versions() {
        assert_eq!(Api::parse(" 1.41 "), Some(Api::new(1, 41)));
        for garbage in [
            "", "1", "1.", ".1", "1.+4", "-1.4", "1.41.2", "latest", "1.99999",
        ] {
            assert_eq!(Api::parse(garbage), None, "{garbage}");
        }
        assert!(Api::new(1, 9) < Api::new(1, 41));
    }

    #[test]
    fn a_refusal_names_what_would_be_taken() {
        let new = "client version 1.52 is too new. Maximum supported API version is 1.41";
        let old =
            "client version 1.39 is too old. Minimum supported API version is 1.44, please upgrade";
        assert_eq!(offered_instead(new), Some(Api::new(1, 41)));
        assert_eq!(offered_instead(old), Some(Api::new(1, 44)));
        assert!(is_refusal(old) && !is_refusal("invalid filter"));
    }
}
