//! What may be asked for: `http` and `https` URLs and `host:port` places, read strictly.
//!
//! A URL with credentials in it is refused, and the refusal does not repeat them: what is shown on screen and kept in
//! a report must not hold a password. Names are ASCII; an international name is written in punycode, raw, so that two
//! names that look alike are told apart.

use std::fmt;
use std::net::IpAddr;

use hyper::Uri;

use crate::domain::{Clean, Fault, FaultKind};

/// RFC 1035: a name on the wire is at most so long.
const HOST_BYTES_MAX: usize = 253;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    Http,
    Https,
}

impl Scheme {
    pub fn word(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    pub fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }

    fn of(uri: &Uri) -> Option<Self> {
        match uri.scheme_str()? {
            "http" => Some(Self::Http),
            "https" => Some(Self::Https),
            _ => None,
        }
    }
}

/// A host and a port: lower case, without brackets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    pub host: String,
    pub port: u16,
}

impl Place {
    /// Reads `host:port`, `[::1]:port` and, with a default port, the host alone.
    pub fn parse(text: &str, port_default: Option<u16>) -> Result<Self, Fault> {
        let (host, port) = split_port(text).ok_or_else(|| bad_place(text))?;
        let host = read_host(host)?;
        let port = match port {
            Some(digits) => read_port(digits).ok_or_else(|| bad_place(text))?,
            None => port_default.ok_or_else(|| bad_place(text))?,
        };
        Ok(Self { host, port })
    }

    /// The literal address, if the host is one.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", bracketed(&self.host), self.port)
    }
}

/// An absolute `http` or `https` URL.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Url {
    pub scheme: Scheme,
    pub place: Place,
    /// Begins with a slash; holds no fragment.
    pub path: String,
}

impl Url {
    pub fn parse(text: &str) -> Result<Self, Fault> {
        if has_credentials(text) {
            return Err(
                Fault::new(FaultKind::Misconfigured, "the URL holds credentials")
                    .remedy("take them out of the URL and reference a secret instead"),
            );
        }
        let uri: Uri = text.parse().map_err(|_| bad_url(text))?;
        let scheme = Scheme::of(&uri).ok_or_else(|| bad_scheme(text))?;
        let authority = uri.authority().ok_or_else(|| bad_url(text))?;
        let place = Place::parse(authority.as_str(), Some(scheme.default_port()))
            .map_err(|fault| Fault::new(fault.kind, format!("{text:?}: {}", fault.text)))?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let path = if path.starts_with('/') {
            path.to_owned()
        } else {
            format!("/{path}")
        };
        Ok(Self {
            scheme,
            place,
            path,
        })
    }

    /// Where a `Location` leads from here.
    pub fn join(&self, location: &str) -> Result<Self, Fault> {
        let location = location.split('#').next().unwrap_or_default();
        if names_scheme(location) {
            return Self::parse(location);
        }
        if location.starts_with("//") {
            return Self::parse(&format!("{}:{location}", self.scheme.word()));
        }
        let path = self.resolve(location);
        Self::parse(&format!("{}{path}", self.origin()))
    }

    /// Scheme, host and port: `https://shop.eu`.
    pub fn origin(&self) -> String {
        format!("{}://{}", self.scheme.word(), self.authority())
    }

    /// For the `Host` header: the port is named when it is not the scheme's own.
    pub fn authority(&self) -> String {
        if self.place.port == self.scheme.default_port() {
            bracketed(&self.place.host)
        } else {
            self.place.to_string()
        }
    }

    fn resolve(&self, relative: &str) -> String {
        let own = self.path.split('?').next().unwrap_or("/");
        match relative.chars().next() {
            None => self.path.clone(),
            Some('/') => without_dots(relative),
            Some('?') => format!("{own}{relative}"),
            Some(_) => {
                let folder = own.rsplit_once('/').map_or("", |(folder, _)| folder);
                without_dots(&format!("{folder}/{relative}"))
            }
        }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin(), self.path)
    }
}

/// Between the scheme and the next slash, an `@` parts credentials from the host.
fn has_credentials(text: &str) -> bool {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    rest.split(['/', '?', '#'])
        .next()
        .is_some_and(|authority| authority.contains('@'))
}

/// Does the text begin with `name:`, as `file:` and `javascript:` do?
fn names_scheme(text: &str) -> bool {
    let Some((name, _)) = text.split_once(':') else {
        return false;
    };
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

/// Removes `.` and `..` from the path and leaves the query alone (RFC 3986, 5.2.4).
fn without_dots(path: &str) -> String {
    let (path, query) = match path.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (path, None),
    };
    let mut kept: Vec<&str> = Vec::new();
    for part in path.split('/').skip(1) {
        match part {
            "." => {}
            ".." => {
                kept.pop();
            }
            part => kept.push(part),
        }
    }
    let mut out = format!("/{}", kept.join("/"));
    let ends_in_folder = path.ends_with("/.") || path.ends_with("/..");
    if ends_in_folder && !out.ends_with('/') {
        out.push('/');
    }
    match query {
        Some(query) => format!("{out}?{query}"),
        None => out,
    }
}

/// Parts a port off: `[::1]:80`, `host:80`, `host`, and a bare IPv6 address.
fn split_port(text: &str) -> Option<(&str, Option<&str>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        return match rest {
            "" => Some((host, None)),
            rest => Some((host, Some(rest.strip_prefix(':')?))),
        };
    }
    match text.split_once(':') {
        None => Some((text, None)),
        // More than one colon and no brackets: an IPv6 address without a port, or nothing.
        Some((_, port)) if port.contains(':') => Some((text, None)),
        Some((host, port)) => Some((host, Some(port))),
    }
}

fn read_port(digits: &str) -> Option<u16> {
    let plain = digits.bytes().all(|b| b.is_ascii_digit());
    digits.parse().ok().filter(|&port| plain && port != 0)
}

fn read_host(host: &str) -> Result<String, Fault> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(ip.to_string());
    }
    if !host.is_ascii() {
        return Err(Fault::new(
            FaultKind::Misconfigured,
            format!("the host {host:?} is not ASCII"),
        )
        .remedy("write it in punycode: xn--…"));
    }
    let bytes_fit = (1..=HOST_BYTES_MAX).contains(&host.len());
    let labels_fit = host.trim_end_matches('.').split('.').all(is_label);
    if bytes_fit && labels_fit {
        Ok(host.to_ascii_lowercase())
    } else {
        Err(Fault::new(
            FaultKind::Misconfigured,
            format!("{host:?} is no host name"),
        ))
    }
}

fn is_label(label: &str) -> bool {
    /// RFC 1035: one part of a name.
    const LABEL_BYTES_MAX: usize = 63;
    (1..=LABEL_BYTES_MAX).contains(&label.len())
        && label
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

fn bracketed(host: &str) -> String {
    if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    }
}

fn bad_place(text: &str) -> Fault {
    Fault::new(
        FaultKind::Misconfigured,
        format!("{text:?} is not host:port"),
    )
    .remedy("write it like shop.eu:443 or [::1]:443")
}

fn bad_url(text: &str) -> Fault {
    Fault::new(FaultKind::Misconfigured, format!("{text:?} is no URL"))
        .remedy("write it like https://shop.eu/health")
}

fn bad_scheme(text: &str) -> Fault {
    let shown = match text.split_once(':') {
        Some((scheme, _)) => format!("{scheme}: is not asked for, only http and https are"),
        None => format!("{text:?} names no scheme"),
    };
    Fault::new(FaultKind::Misconfigured, Clean::from(shown))
        .remedy("write it like https://shop.eu/health")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, read: &str) {
        assert_eq!(Url::parse(text).unwrap().to_string(), read);
    }

    #[track_caller]
    fn refused(text: &str, says: &str) {
        let fault = Url::parse(text).unwrap_err();
        assert_eq!(fault.kind, FaultKind::Misconfigured);
        assert!(fault.to_string().contains(says), "{fault}");
    }

    #[test]
    fn urls_are_read_with_their_defaults() {
        check("http://shop.eu", "http://shop.eu/");
        check("https://SHOP.eu:443/a?b=c#d", "https://shop.eu/a?b=c");
        check("https://shop.eu:8443?x", "https://shop.eu:8443/?x");
        check("http://[::1]:8080/x", "http://[::1]:8080/x");
        check("http://[::1]/x", "http://[::1]/x");
    }

    #[test]
    fn a_url_with_credentials_is_refused_without_repeating_them() {
        for url in ["https://bob:hunter2@shop.eu/", "hunter2@shop.eu"] {
            let fault = Url::parse(url).unwrap_err();
            assert!(!fault.to_string().contains("hunter2"), "{fault}");
            assert!(fault.to_string().contains("reference a secret"), "{fault}");
        }
        check("http://shop.eu/@bob", "http://shop.eu/@bob");
    }

    #[test]
    fn only_http_and_https_are_asked_for() {
        refused("file:///etc/passwd", "no URL");
        refused("ftp://shop.eu/", "only http and https");
        refused("gopher://shop.eu/", "only http and https");
        refused("shop.eu/health", "no URL");
        refused("", "no URL");
        refused("http://bücher.eu/", "no URL");
        refused("http://shop.eu:0/", "host:port");
        refused("http://shop.eu:99999/", "");
    }

    #[test]
    fn a_location_is_followed_as_a_browser_reads_it() {
        let here = Url::parse("https://shop.eu/a/b?q=1").unwrap();
        let lead = |location: &str| here.join(location).unwrap().to_string();
        assert_eq!(lead("/x?y#z"), "https://shop.eu/x?y");
        assert_eq!(lead("c"), "https://shop.eu/a/c");
        assert_eq!(lead("../c/./d"), "https://shop.eu/c/d");
        assert_eq!(lead("../../../etc"), "https://shop.eu/etc");
        assert_eq!(lead("?z"), "https://shop.eu/a/b?z");
        assert_eq!(lead("//other.eu/x"), "https://other.eu/x");
        assert_eq!(lead("http://shop.eu:80/"), "http://shop.eu/");
        assert_eq!(lead(""), "https://shop.eu/a/b?q=1");
        assert!(here.join("file:///etc/passwd").is_err());
        assert!(here.join("javascript:alert(1)").is_err());
    }

    #[test]
    fn places_are_read_in_both_families() {
        let read = |text| Place::parse(text, Some(443)).map(|p| p.to_string());
        assert_eq!(read("Shop.eu:8443").unwrap(), "shop.eu:8443");
        assert_eq!(read("shop.eu").unwrap(), "shop.eu:443");
        assert_eq!(read("[::1]:80").unwrap(), "[::1]:80");
        assert_eq!(read("::1").unwrap(), "[::1]:443");
        assert_eq!(read("127.0.0.1:1").unwrap(), "127.0.0.1:1");
        for wrong in ["", ":80", "a b:80", "shop.eu:x", "[::1", "a..b:1", "-:+1"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        assert!(Place::parse("shop.eu", None).is_err());
    }

    #[test]
    fn an_international_name_wants_punycode() {
        let fault = Place::parse("bücher.eu:443", None).unwrap_err();
        assert!(fault.to_string().contains("punycode"), "{fault}");
    }
}
