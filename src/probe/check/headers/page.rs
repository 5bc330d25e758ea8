//! A page, as far as its headers are concerned: the scripts it loads and what it says in place of a header.
//!
//! Not a parser of HTML: it finds start tags outside comments and reads their attributes.

use super::Modifier;
use crate::link::url::{Scheme, Url};

const TEST: &str = "Subresource Integrity";

/// Tags that are read; a page of 64 KB has fewer.
const TAGS_MAX: usize = 5_000;

/// A start tag of interest.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Tag {
    name: String,
    attributes: Vec<(String, String)>,
}

impl Tag {
    fn attribute(&self, name: &str) -> Option<&str> {
        let mut attributes = self.attributes.iter();
        let found = attributes.find(|(attribute, _)| attribute == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// What a page says for itself.
#[derive(Debug, Clone, Default)]
pub(super) struct Page {
    tags: Vec<Tag>,
}

impl Page {
    pub(super) fn read(html: &str) -> Self {
        Self {
            tags: tags(html).into_iter().take(TAGS_MAX).collect(),
        }
    }

    /// Values of `<meta http-equiv=…>`, where a page may say what a header says.
    pub(super) fn said<'a>(&'a self, header: &'a str) -> impl Iterator<Item = &'a str> {
        let metas = self.tags.iter().filter(|tag| tag.name == "meta");
        metas
            .filter(move |tag| {
                let name = tag.attribute("http-equiv");
                name.is_some_and(|name| name.eq_ignore_ascii_case(header))
            })
            .filter_map(|tag| tag.attribute("content"))
    }

    /// `<meta name="referrer">`.
    pub(super) fn referrer(&self) -> Option<&str> {
        let mut metas = self.tags.iter().filter(|tag| tag.name == "meta");
        metas
            .find(|tag| {
                tag.attribute("name")
                    .is_some_and(|name| name.eq_ignore_ascii_case("referrer"))
            })
            .and_then(|tag| tag.attribute("content"))
    }

    /// Are scripts of others what they were when they were chosen?
    pub(super) fn integrity(&self, base: &Url) -> Modifier {
        let scripts = self.tags.iter().filter(|tag| tag.name == "script");
        let sources: Vec<(&str, bool)> = scripts
            .filter_map(|tag| {
                let whole = tag
                    .attribute("integrity")
                    .is_some_and(|sum| !sum.trim().is_empty());
                Some((tag.attribute("src")?.trim(), whole))
            })
            .collect();
        if sources.is_empty() {
            return Modifier::new(TEST, 0, "is not needed: no script is loaded");
        }
        let foreign: Vec<(&str, bool, bool)> = sources
            .iter()
            .filter_map(|(source, whole)| Some((*source, *whole, foreign(source, base)?)))
            .collect();
        let named = |which: fn(bool, bool) -> bool| {
            let mut bad = foreign.iter();
            bad.find(|(_, whole, secure)| which(*whole, *secure))
                .map(|(source, ..)| *source)
        };
        if let Some(source) = named(|whole, secure| !whole && !secure) {
            let why = format!("is missing for {source}, which does not come over https");
            return Modifier::new(TEST, -50, why);
        }
        if let Some(source) = named(|whole, secure| whole && !secure) {
            return Modifier::new(TEST, -20, format!("{source} does not come over https"));
        }
        if let Some(source) = named(|whole, _| !whole) {
            return Modifier::new(TEST, -5, format!("is missing for {source}"));
        }
        let secure = base.scheme == Scheme::Https;
        if !foreign.is_empty() || secure && sources.iter().any(|(_, whole)| *whole) {
            return Modifier::new(TEST, 5, "for every script of others");
        }
        Modifier::new(TEST, 0, "is not needed: all scripts are the site's own")
    }
}

/// Does a script come from elsewhere (`None`: it does not), and then over https?
fn foreign(source: &str, base: &Url) -> Option<bool> {
    // Whatever the page's own scheme is today, this follows it.
    if source.starts_with("//") {
        return Some(false);
    }
    let lower = source.to_ascii_lowercase();
    if !lower.starts_with("http://") && !lower.starts_with("https://") {
        return None;
    }
    let secure = lower.starts_with("https://");
    match Url::parse(source) {
        Ok(url) if site(&url.place.host) == site(&base.place.host) => None,
        _ => Some(secure),
    }
}

/// The last two labels: who owns a name, as far as it can be told without the list of public suffixes.
fn site(host: &str) -> &str {
    if host.parse::<std::net::IpAddr>().is_ok() {
        return host;
    }
    match host.rmatch_indices('.').nth(1) {
        Some((at, _)) => &host[at + 1..],
        None => host,
    }
}

fn tags(html: &str) -> Vec<Tag> {
    let mut found = Vec::new();
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        if let Some(comment) = rest.strip_prefix("!--") {
            rest = comment.split_once("-->").map_or("", |(_, after)| after);
            continue;
        }
        if !rest.starts_with(|c: char| c.is_ascii_alphabetic()) {
            continue;
        }
        let (tag, after) = tag(rest);
        rest = after;
        // What is inside a script is no HTML.
        if tag.name == "script"
            && let Some(end) = end_of_script(rest)
        {
            rest = &rest[end..];
        }
        if matches!(tag.name.as_str(), "script" | "meta") {
            found.push(tag);
        }
    }
    found
}

fn end_of_script(rest: &str) -> Option<usize> {
    const END: &[u8] = b"</script";
    rest.as_bytes()
        .windows(END.len())
        .position(|window| window.eq_ignore_ascii_case(END))
}

/// One start tag from its name on, and what follows it.
fn tag(text: &str) -> (Tag, &str) {
    let end = text.find(|c: char| c.is_whitespace() || c == '>' || c == '/');
    let (name, mut rest) = text.split_at(end.unwrap_or(text.len()));
    let mut tag = Tag {
        name: name.to_ascii_lowercase(),
        attributes: Vec::new(),
    };
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '/' || c == '=');
        if rest.is_empty() {
            return (tag, rest);
        }
        if let Some(after) = rest.strip_prefix('>') {
            return (tag, after);
        }
        let end = rest.find(|c: char| c.is_whitespace() || matches!(c, '=' | '>' | '/'));
        let (name, after) = rest.split_at(end.unwrap_or(rest.len()));
        let (value, after) = value(after);
        tag.attributes
            .push((name.to_ascii_lowercase(), value.to_owned()));
        rest = after;
    }
}

/// What follows an attribute's name, if it has a value.
fn value(rest: &str) -> (&str, &str) {
    let Some(after) = rest.trim_start().strip_prefix('=') else {
        return ("", rest);
    };
    let after = after.trim_start();
    for quote in ['"', '\''] {
        if let Some(quoted) = after.strip_prefix(quote) {
            return quoted.split_once(quote).unwrap_or((quoted, ""));
        }
    }
    let end = after.find(|c: char| c.is_whitespace() || c == '>');
    after.split_at(end.unwrap_or(after.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(html: &str, points: i32, says: &str) {
        let base = Url::parse("https://www.shop.eu/").unwrap();
        let modifier = Page::read(html).integrity(&base);
        assert_eq!(modifier.points, points, "{modifier:?}");
        assert!(modifier.why.contains(says), "{modifier:?}");
    }

    #[test]
    fn scripts_of_others_are_held_to_their_sums() {
        let sum = "integrity='sha384-x'";
        check("<p>hello", 0, "no script");
        check(
            "<script>alert('<script src=//evil.eu>')</script>",
            0,
            "no script",
        );
        check("<!-- <script src=http://evil.eu/a.js> -->", 0, "no script");
        check("<script src='/a.js'></script>", 0, "own");
        check(
            "<script src=https://static.shop.eu/a.js></script>",
            0,
            "own",
        );
        check(&format!("<script src='/a.js' {sum}></script>"), 5, "");
        check(
            &format!("<SCRIPT SRC='https://cdn.eu/a.js' {sum}></SCRIPT>"),
            5,
            "every script",
        );
        check(
            "<script src='https://cdn.eu/a.js'></script>",
            -5,
            "https://cdn.eu/a.js",
        );
        check(
            &format!("<script {sum} src='http://cdn.eu/a.js'></script>"),
            -20,
            "over https",
        );
        check(
            "<script src='//cdn.eu/a.js'></script>",
            -50,
            "does not come",
        );
        check(
            "<script src='http://cdn.eu/a.js'/><script src='https://cdn.eu/b.js'>",
            -50,
            "a.js",
        );
    }

    #[test]
    fn a_page_may_say_what_a_header_says() {
        let page = Page::read(
            "<head><META Http-Equiv=Content-Security-Policy content=\"default-src 'none'\"><meta name=referrer content=no-referrer>",
        );
        let said: Vec<&str> = page.said("content-security-policy").collect();
        assert_eq!(said, ["default-src 'none'"]);
        assert_eq!(page.referrer(), Some("no-referrer"));
    }

    proptest! {
        #[test]
        fn any_page_is_read(html in "[<>=\"'/! a-zä-]{0,200}|(<script|<meta| src=|>|</script>|<!--|-->|\"|'){0,30}") {
            let base = Url::parse("https://shop.eu/").unwrap();
            prop_assert!(Page::read(&html).integrity(&base).points <= 5);
        }
    }
}
