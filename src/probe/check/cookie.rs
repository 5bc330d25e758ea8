//! A cookie as a server sets it. Its value is nobody's business and is not kept.

use serde::{Deserialize, Serialize};

use crate::domain::Clean;
use crate::link::http::Answer;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cookie {
    pub(super) name: String,
    pub(super) secure: bool,
    pub(super) http_only: bool,
    pub(super) same_site: Option<SameSite>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SameSite {
    Strict,
    Lax,
    None,
    /// A word that browsers do not know.
    Unknown,
}

/// What a cookie should carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CookieFlag {
    Secure,
    HttpOnly,
    /// `Strict` or `Lax`; `None` asks for nothing.
    SameSite,
}

impl CookieFlag {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Secure => "Secure",
            Self::HttpOnly => "HttpOnly",
            Self::SameSite => "SameSite",
        }
    }
}

impl Cookie {
    /// Of one `Set-Cookie`. `None` for what is no cookie.
    pub(super) fn parse(header: &str) -> Option<Self> {
        let mut parts = header.split(';');
        let (name, _) = parts.next()?.split_once('=')?;
        let mut cookie = Self {
            name: name.trim().to_owned(),
            secure: false,
            http_only: false,
            same_site: None,
        };
        for part in parts {
            let (attribute, value) = part.split_once('=').unwrap_or((part, ""));
            match attribute.trim().to_ascii_lowercase().as_str() {
                "secure" => cookie.secure = true,
                "httponly" => cookie.http_only = true,
                "samesite" => cookie.same_site = Some(same_site(value.trim())),
                _ => {}
            }
        }
        (!cookie.name.is_empty()).then_some(cookie)
    }

    pub(super) fn has(&self, flag: CookieFlag) -> bool {
        match flag {
            CookieFlag::Secure => self.secure,
            CookieFlag::HttpOnly => self.http_only,
            CookieFlag::SameSite => {
                matches!(self.same_site, Some(SameSite::Strict | SameSite::Lax))
            }
        }
    }

    pub(super) fn label(&self) -> Clean {
        Clean::line(&self.name)
    }
}

fn same_site(value: &str) -> SameSite {
    match value.to_ascii_lowercase().as_str() {
        "strict" => SameSite::Strict,
        "lax" => SameSite::Lax,
        "none" => SameSite::None,
        _ => SameSite::Unknown,
    }
}

/// All that an answer sets.
pub(super) fn cookies(answer: &Answer) -> Vec<Cookie> {
    let headers = answer.headers.iter();
    headers
        .filter(|(name, _)| *name == "set-cookie")
        .filter_map(|(_, value)| Cookie::parse(value))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_read_as_browsers_read_them() {
        let cookie = Cookie::parse("sid=a=b; path=/; SECURE; httponly ; SameSite=lax").unwrap();
        assert_eq!(
            (cookie.name.as_str(), cookie.secure, cookie.http_only),
            ("sid", true, true)
        );
        assert!(cookie.has(CookieFlag::SameSite));
        let plain = Cookie::parse("theme=Secure").unwrap();
        assert!(!plain.has(CookieFlag::Secure) && !plain.has(CookieFlag::HttpOnly));
        let none = |text: &str| Cookie::parse(text).unwrap().same_site;
        assert_eq!(none("a=1; SameSite=None"), Some(SameSite::None));
        assert_eq!(none("a=1; SameSite"), Some(SameSite::Unknown));
        assert_eq!(none("a=1"), None);
        assert_eq!(Cookie::parse("Secure; HttpOnly"), None);
        assert_eq!(Cookie::parse("=1"), None);
    }
}
