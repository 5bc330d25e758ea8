//! What each header is worth after the HTTP Observatory, and what all together are.
//!
//! Not here: the list of sites that browsers know to insist on https, which is theirs to keep.

use serde::Serialize;

use super::csp;
use super::page::Page;
use crate::domain::{Clean, Grade, Hop};
use crate::link::http::Answer;
use crate::link::url::{Scheme, Url};
use crate::probe::check::cookie::{Cookie, CookieFlag, SameSite, cookies};
use crate::probe::check::hsts::{self, Hsts, LONG_SECONDS};

/// Bonuses count from here on.
const BONUS_FROM: i32 = 90;

/// One test's share of the score.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Modifier {
    pub(super) test: &'static str,
    pub(super) points: i32,
    pub(super) why: Clean,
}

impl Modifier {
    pub(super) fn new(test: &'static str, points: i32, why: impl Into<Clean>) -> Self {
        Self {
            test,
            points,
            why: why.into(),
        }
    }

    /// `-25: Content-Security-Policy is missing`
    pub(super) fn words(&self) -> String {
        format!("{:+}: {} {}", self.points, self.test, self.why)
    }
}

/// What is judged.
#[derive(Debug, Clone, Copy)]
pub(super) struct Site<'a> {
    /// The page, at the end of its redirects.
    pub(super) answer: &'a Answer,
    pub(super) url: &'a Url,
    /// What plain http says; or why it says nothing.
    pub(super) plain: Result<&'a Answer, &'a Clean>,
    /// The page as it is given to another site's script.
    pub(super) foreign: &'a Answer,
    /// Of that other site.
    pub(super) origin: &'a str,
}

/// All tests together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scored {
    pub(super) score: i32,
    pub(super) grade: Grade,
    /// Worst first.
    pub(super) modifiers: Vec<Modifier>,
}

impl Scored {
    pub(super) fn of(site: &Site<'_>) -> Self {
        let html = String::from_utf8_lossy(&site.answer.body);
        let page = if is_html(site.answer) {
            Page::read(&html)
        } else {
            Page::default()
        };
        Self::sum(vec![
            policy(site, &page),
            cookie(site),
            sharing(site),
            redirection(site.plain),
            referrer(site.answer, &page),
            transport(site),
            page.integrity(site.url),
            content_type(site.answer),
            framing(site.answer),
            resource(site.answer),
            isolation(
                site.answer,
                "Cross-Origin-Embedder-Policy",
                &["require-corp", "credentialless"],
            ),
            isolation(
                site.answer,
                "Cross-Origin-Opener-Policy",
                &[
                    "same-origin",
                    "same-origin-allow-popups",
                    "noopener-allow-popups",
                ],
            ),
        ])
    }

    fn sum(mut modifiers: Vec<Modifier>) -> Self {
        modifiers.sort_by_key(|modifier| modifier.points);
        let points = modifiers.iter().map(|modifier| modifier.points);
        let plain = 100 + points.clone().filter(|points| *points < 0).sum::<i32>();
        let bonus: i32 = points.filter(|points| *points > 0).sum();
        let score = match plain {
            BONUS_FROM.. => plain + bonus,
            _ => plain.max(0),
        };
        Self {
            score,
            grade: letter(score),
            modifiers,
        }
    }
}

fn letter(score: i32) -> Grade {
    match score {
        100.. => Grade::APlus,
        90..100 => Grade::A,
        85..90 => Grade::AMinus,
        80..85 => Grade::BPlus,
        70..80 => Grade::B,
        65..70 => Grade::BMinus,
        60..65 => Grade::CPlus,
        50..60 => Grade::C,
        45..50 => Grade::CMinus,
        40..45 => Grade::DPlus,
        30..40 => Grade::D,
        25..30 => Grade::DMinus,
        ..25 => Grade::F,
    }
}

fn values<'a>(answer: &'a Answer, name: &'a str) -> Vec<&'a str> {
    let headers = answer.headers.iter();
    headers
        .filter(|(header, _)| header.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
        .collect()
}

fn first<'a>(answer: &'a Answer, name: &'a str) -> Option<&'a str> {
    values(answer, name).first().copied()
}

fn is_html(answer: &Answer) -> bool {
    let kind = answer.content_type.split(';').next().unwrap_or_default();
    matches!(kind.trim(), "" | "text/html" | "application/xhtml+xml")
}

fn policy(site: &Site<'_>, page: &Page) -> Modifier {
    let name = "content-security-policy";
    let mut policies = values(site.answer, name);
    policies.extend(page.said(name));
    let reports = first(site.answer, "content-security-policy-report-only").is_some();
    csp::judge(&policies, reports, site.url.scheme == Scheme::Https)
}

fn cookie(site: &Site<'_>) -> Modifier {
    const TEST: &str = "Cookies";
    let cookies = cookies(site.answer);
    let safe = site.url.scheme == Scheme::Https
        && matches!(hsts::of(site.answer), Hsts::Seconds(LONG_SECONDS..));
    let worst = cookies.iter().filter_map(|cookie| bad_cookie(cookie, safe));
    if let Some((points, why)) = worst.min_by_key(|(points, _)| *points) {
        return Modifier::new(TEST, points, why);
    }
    match cookies.iter().all(|cookie| cookie.same_site.is_some()) {
        _ if cookies.is_empty() => Modifier::new(TEST, 0, "are not set"),
        true => Modifier::new(
            TEST,
            5,
            "are all Secure, HttpOnly where it matters, and SameSite",
        ),
        false => Modifier::new(TEST, 0, "are Secure, but not all are SameSite"),
    }
}

/// What is wrong with a cookie, where `safe` browsers come over https anyway.
fn bad_cookie(cookie: &Cookie, safe: bool) -> Option<(i32, String)> {
    let name = cookie.name.to_ascii_lowercase();
    let session = name.contains("sess") || name.contains("login");
    let label = cookie.label();
    let secure = cookie.has(CookieFlag::Secure);
    let lost = matches!(
        (cookie.same_site, secure),
        (Some(SameSite::Unknown), _) | (Some(SameSite::None), false)
    );
    [
        (
            session && !secure && !safe,
            -40,
            "is a session without Secure",
        ),
        (
            session && !cookie.http_only,
            -30,
            "is a session without HttpOnly",
        ),
        (
            name.contains("csrf") && cookie.same_site.is_none(),
            -20,
            "guards forms, without SameSite",
        ),
        (lost, -20, "has a SameSite that browsers drop"),
        (!secure && !safe, -20, "is without Secure"),
        (
            session && !secure,
            -10,
            "is a session without Secure, but HSTS protects it",
        ),
        (!secure, -5, "is without Secure, but HSTS protects it"),
    ]
    .into_iter()
    .find(|(bad, ..)| *bad)
    .map(|(_, points, why)| (points, format!("{label} {why}")))
}

fn sharing(site: &Site<'_>) -> Modifier {
    const TEST: &str = "CORS";
    let allowed = first(site.foreign, "access-control-allow-origin");
    let credentials = first(site.foreign, "access-control-allow-credentials");
    let trusts = credentials.is_some_and(|word| word.eq_ignore_ascii_case("true"));
    match allowed {
        None => Modifier::new(TEST, 0, "gives nothing to other sites"),
        Some("*") => Modifier::new(TEST, 0, "gives the page to every site, without cookies"),
        Some(origin) if origin == site.origin && trusts => Modifier::new(
            TEST,
            -50,
            "gives the page to every site, with the visitor's cookies",
        ),
        Some(_) => Modifier::new(TEST, 0, "gives the page to sites it names"),
    }
}

fn redirection(plain: Result<&Answer, &Clean>) -> Modifier {
    const TEST: &str = "Redirection";
    let answer = match plain {
        Ok(answer) => answer,
        Err(why) => return Modifier::new(TEST, 0, format!("is not needed: {why}")),
    };
    if answer.status == 0 {
        return Modifier::new(TEST, -20, "leads to a certificate that is not trusted");
    }
    let [start, ..] = answer.hops.as_slice() else {
        return Modifier::new(TEST, -20, "to https is missing");
    };
    let (Some(from), Some(to)) = (parse(start), target(start)) else {
        return Modifier::new(TEST, -20, "to https is missing");
    };
    let end = answer
        .hops
        .last()
        .and_then(|hop| target(hop).or_else(|| parse(hop)));
    let secure = end.is_some_and(|url| url.scheme == Scheme::Https);
    match (to.scheme, secure) {
        (_, false) => Modifier::new(TEST, -20, "does not end at https"),
        (Scheme::Http, true) => Modifier::new(TEST, -10, "goes over plain http first"),
        (Scheme::Https, true) if to.place.host != from.place.host => {
            Modifier::new(TEST, -5, "goes to another host before https of its own")
        }
        (Scheme::Https, true) => Modifier::new(TEST, 0, "goes to https at once"),
    }
}

fn parse(hop: &Hop) -> Option<Url> {
    Url::parse(&hop.url).ok()
}

fn target(hop: &Hop) -> Option<Url> {
    parse(hop)?.join(hop.location.as_ref()?).ok()
}

fn referrer(answer: &Answer, page: &Page) -> Modifier {
    const TEST: &str = "Referrer-Policy";
    const PRIVATE: [&str; 4] = [
        "no-referrer",
        "same-origin",
        "strict-origin",
        "strict-origin-when-cross-origin",
    ];
    const OPEN: [&str; 4] = [
        "origin",
        "origin-when-cross-origin",
        "unsafe-url",
        "no-referrer-when-downgrade",
    ];
    let mut said = values(answer, "referrer-policy");
    said.extend(page.referrer());
    if said.is_empty() {
        return Modifier::new(TEST, 0, "is missing: browsers have a safe default");
    }
    let words = said.iter().flat_map(|value| value.split(','));
    let words = words.map(|word| word.trim().to_ascii_lowercase());
    // Browsers take the last one they know.
    let mut known =
        words.filter(|word| PRIVATE.contains(&word.as_str()) || OPEN.contains(&word.as_str()));
    match known.next_back() {
        Some(word) if PRIVATE.contains(&word.as_str()) => {
            Modifier::new(TEST, 5, format!("is {word}"))
        }
        Some(word) => Modifier::new(TEST, -5, format!("is {word}: addresses leak")),
        None => Modifier::new(TEST, -5, "is no policy that browsers know"),
    }
}

fn transport(site: &Site<'_>) -> Modifier {
    const TEST: &str = "Strict-Transport-Security";
    if site.url.scheme == Scheme::Http {
        return Modifier::new(TEST, -20, "cannot be: the page comes over plain http");
    }
    if site.answer.status == 0 {
        return Modifier::new(TEST, -20, "does not count: the certificate is not trusted");
    }
    match hsts::of(site.answer) {
        Hsts::Seconds(LONG_SECONDS..) => Modifier::new(TEST, 0, "holds for six months or more"),
        Hsts::Seconds(seconds) => {
            let why = format!(
                "holds for {} days only, 180 are asked for",
                seconds / 86_400
            );
            Modifier::new(TEST, -10, why)
        }
        Hsts::Invalid => Modifier::new(TEST, -20, "is not valid"),
        Hsts::Absent => Modifier::new(TEST, -20, "is missing"),
    }
}

fn content_type(answer: &Answer) -> Modifier {
    const TEST: &str = "X-Content-Type-Options";
    match first(answer, TEST) {
        Some(value) if value.eq_ignore_ascii_case("nosniff") => {
            Modifier::new(TEST, 0, "is nosniff")
        }
        Some(_) => Modifier::new(TEST, -5, "is not nosniff"),
        None => Modifier::new(TEST, -5, "is missing"),
    }
}

fn framing(answer: &Answer) -> Modifier {
    const TEST: &str = "X-Frame-Options";
    if csp::names_ancestors(&values(answer, "content-security-policy")) {
        return Modifier::new(TEST, 5, "is not needed: the policy names frame-ancestors");
    }
    let value = first(answer, TEST).map(str::to_ascii_lowercase);
    match value.as_deref() {
        Some("deny" | "sameorigin") => Modifier::new(TEST, 5, "lets no other site frame the page"),
        Some(value) if value.starts_with("allow-from") => {
            Modifier::new(TEST, 0, "is ALLOW-FROM, which browsers have given up")
        }
        Some(_) => Modifier::new(TEST, -20, "is neither DENY nor SAMEORIGIN"),
        None => Modifier::new(TEST, -20, "is missing, and no policy names frame-ancestors"),
    }
}

fn resource(answer: &Answer) -> Modifier {
    const TEST: &str = "Cross-Origin-Resource-Policy";
    let value = first(answer, TEST).map(str::to_ascii_lowercase);
    match value.as_deref() {
        Some("same-origin" | "same-site") => Modifier::new(TEST, 10, "keeps others out"),
        Some("cross-origin") => Modifier::new(TEST, 0, "lets everybody in"),
        Some(_) => Modifier::new(TEST, -5, "is no policy that browsers know"),
        None => Modifier::new(TEST, 0, "is missing"),
    }
}

fn isolation(answer: &Answer, test: &'static str, strict: &[&str]) -> Modifier {
    match values(answer, test).as_slice() {
        [] => Modifier::new(test, 0, "is missing"),
        [value] => {
            let word = value.split(';').next().unwrap_or_default().trim();
            match word {
                _ if strict.contains(&word) => Modifier::new(test, 10, format!("is {word}")),
                "unsafe-none" => Modifier::new(test, 0, "is unsafe-none"),
                _ => Modifier::new(test, -5, "is no policy that browsers know"),
            }
        }
        _ => Modifier::new(test, -5, "is there twice"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: (&str, &str) = ("strict-transport-security", "max-age=31536000");

    /// A page with these headers, on https, with a sound redirect from http.
    struct Case {
        headers: Vec<(&'static str, &'static str)>,
        body: &'static str,
        plain: Vec<(&'static str, u16, Option<&'static str>)>,
        foreign: Vec<(&'static str, &'static str)>,
        url: &'static str,
    }

    fn case(headers: &[(&'static str, &'static str)]) -> Case {
        Case {
            headers: headers.to_vec(),
            body: "<p>hello</p>",
            plain: vec![("http://shop.eu/", 301, Some("https://shop.eu/"))],
            foreign: Vec::new(),
            url: "https://shop.eu/",
        }
    }

    fn answer(headers: &[(&str, &str)]) -> Answer {
        Answer {
            status: 200,
            content_type: "text/html; charset=utf-8".into(),
            headers: headers
                .iter()
                .map(|(name, value)| ((*name).into(), (*value).into()))
                .collect(),
            ..Answer::default()
        }
    }

    impl Case {
        fn scored(&self) -> Scored {
            let mut page = answer(&self.headers);
            page.body = self.body.into();
            let mut plain = answer(&[]);
            plain.hops = self
                .plain
                .iter()
                .map(|(url, status, location)| Hop {
                    url: (*url).into(),
                    status: *status,
                    location: location.map(Clean::from),
                })
                .collect();
            let closed = Clean::from("nothing listens on port 80");
            Scored::of(&Site {
                answer: &page,
                url: &Url::parse(self.url).unwrap(),
                plain: if self.plain.is_empty() {
                    Err(&closed)
                } else {
                    Ok(&plain)
                },
                foreign: &answer(&self.foreign),
                origin: "https://other.invalid",
            })
        }

        #[track_caller]
        fn is(&self, score: i32, grade: &str, says: &str) {
            let scored = self.scored();
            let words: Vec<String> = scored.modifiers.iter().map(Modifier::words).collect();
            assert_eq!(
                (scored.score, scored.grade.word()),
                (score, grade),
                "{words:#?}"
            );
            assert!(words.iter().any(|word| word.contains(says)), "{words:#?}");
            assert_eq!(scored.modifiers.len(), 12);
        }
    }

    /// Everything a careful site sends.
    const ALL: [(&str, &str); 9] = [
        LONG,
        (
            "content-security-policy",
            "default-src 'none'; frame-ancestors 'none'",
        ),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-resource-policy", "same-origin"),
        ("cross-origin-embedder-policy", "require-corp"),
        ("cross-origin-opener-policy", "same-origin"),
        ("set-cookie", "session=x; Secure; HttpOnly; SameSite=Lax"),
    ];

    fn without(name: &str) -> Case {
        let left: Vec<_> = ALL
            .into_iter()
            .filter(|(header, _)| *header != name)
            .collect();
        case(&left)
    }

    fn with(name: &'static str, value: &'static str) -> Case {
        let mut case = without(name);
        case.headers.push((name, value));
        case
    }

    #[test]
    fn a_bare_page_fails_and_a_careful_one_has_every_bonus() {
        case(&[]).is(30, "D", "-25: Content-Security-Policy is missing");
        // 100 and policy 10, cookies 5, referrer 5, framing 5, and three of 10.
        case(&ALL).is(155, "A+", "+10: Content-Security-Policy forbids all");
    }

    #[test]
    fn bonuses_count_only_from_ninety_on() {
        without("strict-transport-security").is(
            80,
            "B+",
            "-20: Strict-Transport-Security is missing",
        );
        with("strict-transport-security", "max-age=86400").is(90 + 55, "A+", "1 days only");
        without("x-content-type-options").is(95 + 55, "A+", "-5: X-Content-Type-Options");
        let mut both = with("strict-transport-security", "max-age=86400");
        both.headers
            .retain(|(name, _)| *name != "x-content-type-options");
        both.is(85, "A-", "-10");
    }

    #[test]
    fn each_header_is_worth_its_share() {
        without("content-security-policy").is(75, "B", "is missing");
        with("content-security-policy", "default-src 'unsafe-inline'").is(80, "B+", "any script");
        let mut frameable = without("x-frame-options");
        frameable
            .headers
            .retain(|(name, _)| *name != "content-security-policy");
        frameable.is(55, "C", "no policy names frame-ancestors");
        with("referrer-policy", "unsafe-url").is(95 + 50, "A+", "addresses leak");
        with("referrer-policy", "nonsense, no-referrer").is(155, "A+", "is no-referrer");
        with("cross-origin-resource-policy", "maybe").is(95 + 45, "A+", "no policy");
        with("cross-origin-opener-policy", "unsafe-none").is(145, "A+", "is unsafe-none");
        with("strict-transport-security", "max-age=x").is(80, "B+", "is not valid");
    }

    #[test]
    fn cookies_are_judged_by_the_worst() {
        let cookie = |value| with("set-cookie", value);
        cookie("theme=1; Secure").is(150, "A+", "not all are SameSite");
        cookie("theme=1").is(95 + 50, "A+", "but HSTS protects it");
        cookie("session=1; HttpOnly").is(90 + 50, "A+", "session is a session without Secure, but");
        cookie("session=1; Secure; SameSite=Lax").is(70, "B", "without HttpOnly");
        cookie("csrftoken=1; Secure").is(80, "B+", "guards forms");
        cookie("a=1; Secure; SameSite=Nope").is(80, "B+", "browsers drop");
        let mut short = cookie("session=1; SameSite=Lax");
        short
            .headers
            .retain(|(name, _)| *name != "strict-transport-security");
        short.is(40, "D+", "is a session without Secure");
    }

    #[test]
    fn sharing_with_everybody_is_the_worst() {
        let mut case = case(&ALL);
        case.foreign = vec![
            ("access-control-allow-origin", "https://other.invalid"),
            ("access-control-allow-credentials", "true"),
        ];
        case.is(50, "C", "-50: CORS gives the page to every site");
        case.foreign = vec![("access-control-allow-origin", "*")];
        case.is(155, "A+", "without cookies");
    }

    #[test]
    fn the_way_to_https_counts() {
        let way = |plain: &[(&'static str, u16, Option<&'static str>)]| Case {
            plain: plain.to_vec(),
            ..case(&ALL)
        };
        way(&[]).is(155, "A+", "nothing listens");
        way(&[("http://shop.eu/", 200, None)]).is(80, "B+", "to https is missing");
        way(&[("http://shop.eu/", 301, Some("https://www.shop.eu/"))]).is(
            150,
            "A+",
            "another host",
        );
        way(&[
            ("http://shop.eu/", 301, Some("http://shop.eu/a")),
            ("http://shop.eu/a", 301, Some("https://shop.eu/a")),
        ])
        .is(145, "A+", "plain http first");
        way(&[
            ("http://shop.eu/", 302, Some("/a")),
            ("http://shop.eu/a", 200, None),
        ])
        .is(80, "B+", "does not end");
    }

    #[test]
    fn plain_http_cannot_insist_on_https() {
        let mut case = case(&ALL);
        case.url = "http://shop.eu/";
        case.is(80, "B+", "comes over plain http");
    }

    #[test]
    fn a_page_speaks_for_itself_and_its_scripts() {
        let mut case = without("content-security-policy");
        case.body = "<meta http-equiv='content-security-policy' content=\"default-src 'self'\"><script src='https://cdn.eu/a.js'>";
        case.is(
            95 + 50,
            "A+",
            "-5: Subresource Integrity is missing for https://cdn.eu/a.js",
        );
    }

    #[test]
    fn letters_follow_the_chart() {
        let letters = [
            100, 95, 90, 85, 80, 75, 70, 65, 60, 55, 45, 40, 30, 25, 24, 0,
        ]
        .map(letter);
        let words: Vec<&str> = letters.iter().map(|grade| grade.word()).collect();
        let chart = "A+ A A A- B+ B B B- C+ C C- D+ D D- F F";
        assert_eq!(words.join(" "), chart);
    }
}
