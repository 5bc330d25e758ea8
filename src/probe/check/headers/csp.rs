//! A Content-Security-Policy, and what it leaves open.

use std::collections::BTreeMap;

use super::Modifier;

const TEST: &str = "Content-Security-Policy";

/// Sources that are no restriction.
const BROAD: [&str; 8] = [
    "ftp:",
    "http:",
    "https:",
    "*",
    "http://*",
    "http://*.*",
    "https://*",
    "https://*.*",
];

const INLINE: [&str; 2] = ["'unsafe-inline'", "data:"];

/// What names one script and no other.
const NAMED: [&str; 4] = ["'nonce-", "'sha256-", "'sha384-", "'sha512-"];

type Sources = Vec<String>;

/// Directive to its sources, all in lower case.
struct Policy(BTreeMap<String, Sources>);

/// The best of all policies: a browser obeys each of them.
pub(super) fn judge(policies: &[&str], report_only: bool, https: bool) -> Modifier {
    let all = policies.iter().flat_map(|policies| policies.split(','));
    let judged = all.map(|policy| match Policy::parse(policy) {
        Some(policy) => policy.judge(https),
        None => Modifier::new(TEST, -25, "cannot be read"),
    });
    let none = if report_only {
        "only reports, forbids nothing"
    } else {
        "is missing"
    };
    judged
        .max_by_key(|modifier| modifier.points)
        .unwrap_or_else(|| Modifier::new(TEST, -25, none))
}

/// Does a header's policy say who may frame the page?
pub(super) fn names_ancestors(policies: &[&str]) -> bool {
    let mut all = policies.iter().flat_map(|policies| policies.split(','));
    all.any(|policy| {
        Policy::parse(policy).is_some_and(|policy| policy.0.contains_key("frame-ancestors"))
    })
}

impl Policy {
    /// `None` for an empty one, and for one that names a directive twice: browsers drop the second.
    fn parse(text: &str) -> Option<Self> {
        let mut directives = BTreeMap::new();
        for directive in text.split(';') {
            let mut words = directive.split_whitespace().map(str::to_lowercase);
            let Some(name) = words.next() else { continue };
            let reports = name.starts_with("report-");
            let mut sources: Sources = words.collect();
            if sources.is_empty() && name.ends_with("-src") {
                sources.push("'none'".to_owned());
            }
            if directives.insert(name, sources).is_some() && !reports {
                return None;
            }
        }
        (!directives.is_empty()).then_some(Self(directives))
    }

    fn sources(&self, directive: &str) -> Sources {
        let own = self.0.get(directive).or_else(|| self.0.get("default-src"));
        own.cloned().unwrap_or_else(|| vec!["*".to_owned()])
    }

    /// Sources of scripts or styles as a browser of today takes them.
    fn effective(&self, directive: &str) -> Sources {
        let mut sources = self.sources(directive);
        if named(&sources) {
            sources.retain(|source| source != "'unsafe-inline'");
            if sources.iter().any(|source| source == "'strict-dynamic'") {
                let broad = |source: &String| BROAD.iter().any(|broad| source.starts_with(broad));
                sources.retain(|source| source != "'self'" && !broad(source));
            }
        }
        sources
    }

    fn judge(&self, https: bool) -> Modifier {
        let modifier = |points, why: &str| Modifier::new(TEST, points, why);
        let (script, style) = (self.effective("script-src"), self.effective("style-src"));
        let dynamic = script.iter().any(|source| source == "'strict-dynamic'");
        if dynamic && !named(&script) {
            return modifier(-25, "says 'strict-dynamic' without a nonce or a hash");
        }
        if any(&script, &BROAD) || any(&script, &INLINE) {
            return modifier(
                -20,
                "lets any script run: 'unsafe-inline', data: or a broad source in script-src",
            );
        }
        if any(&self.sources("object-src"), &BROAD) {
            return modifier(-20, "does not restrict object-src");
        }
        if https && self.plain(|directive| !passive(directive)) {
            return modifier(-20, "lets scripts, styles or frames come over plain http");
        }
        let evil = "'unsafe-eval'";
        if script.iter().chain(&style).any(|source| source == evil) {
            return modifier(-10, "allows 'unsafe-eval'");
        }
        if https && self.plain(passive) {
            return modifier(-10, "lets images or media come over plain http");
        }
        if any(&style, &BROAD) || any(&style, &INLINE) {
            return modifier(0, "is unsafe in style-src only");
        }
        match self.0.get("default-src").map(Vec::as_slice) {
            Some([only]) if only == "'none'" => modifier(10, "forbids all that it does not name"),
            _ => modifier(5, "without anything unsafe"),
        }
    }

    /// Is something loaded over plain http, by these directives?
    fn plain(&self, which: impl Fn(&str) -> bool) -> bool {
        let directives = self.0.iter().filter(|(directive, _)| which(directive));
        let mut sources = directives.flat_map(|(_, sources)| sources);
        sources.any(|source| source.starts_with("http:") || source.starts_with("ftp:"))
    }
}

fn passive(directive: &str) -> bool {
    matches!(directive, "img-src" | "media-src")
}

fn named(sources: &[String]) -> bool {
    sources
        .iter()
        .any(|source| NAMED.iter().any(|name| source.starts_with(name)))
}

fn any(sources: &[String], of: &[&str]) -> bool {
    sources.iter().any(|source| of.contains(&source.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(policy: &str, points: i32, says: &str) {
        let modifier = judge(&[policy], false, true);
        assert_eq!(modifier.points, points, "{modifier:?}");
        assert!(modifier.why.contains(says), "{modifier:?}");
    }

    #[test]
    fn a_policy_is_worth_what_it_leaves_open() {
        check("default-src 'none'", 10, "forbids all");
        check(
            "default-src 'none'; script-src 'self'; img-src 'self'",
            10,
            "forbids all",
        );
        check("default-src 'self'", 5, "without anything unsafe");
        check(
            "default-src 'self'; style-src 'self' 'unsafe-inline'",
            0,
            "style-src only",
        );
        check(
            "default-src 'self'; script-src 'self' 'unsafe-eval'",
            -10,
            "unsafe-eval",
        );
        check("default-src 'self'; img-src http:", -10, "images");
        check(
            "default-src 'self'; script-src 'unsafe-inline'",
            -20,
            "any script",
        );
        check("default-src 'self' data:", -20, "any script");
        check("default-src https:", -20, "any script");
        check("script-src 'self'", -20, "object-src");
        check("img-src 'self'", -20, "any script");
        check(
            "default-src 'self'; frame-src http://a.eu",
            -20,
            "plain http",
        );
    }

    #[test]
    fn nonces_and_hashes_take_the_place_of_what_is_unsafe() {
        check(
            "default-src 'self'; script-src 'nonce-abc' 'unsafe-inline'",
            5,
            "",
        );
        check(
            "object-src 'none'; script-src 'nonce-abc' 'strict-dynamic' https: 'unsafe-inline'",
            0,
            "",
        );
        check(
            "default-src 'none'; script-src 'sha256-abc' 'strict-dynamic' https:",
            10,
            "",
        );
        check(
            "default-src 'none'; script-src 'strict-dynamic'",
            -25,
            "strict-dynamic",
        );
    }

    #[test]
    fn what_is_no_policy_forbids_nothing() {
        check("", -25, "cannot be read");
        check(
            "default-src 'self'; default-src 'none'",
            -25,
            "cannot be read",
        );
        check("default-src 'none'; report-uri /a; report-uri /b", 10, "");
        assert_eq!(judge(&[], false, true).why, "is missing");
        assert!(judge(&[], true, true).why.contains("reports"));
    }

    #[test]
    fn of_several_the_strictest_counts() {
        let both = ["default-src https:", "default-src 'none'"];
        assert_eq!(judge(&both, false, true).points, 10);
        assert_eq!(
            judge(&["default-src https:, default-src 'self'"], false, true).points,
            5
        );
        assert!(names_ancestors(&[
            "default-src 'self'; frame-ancestors 'none'"
        ]));
        assert!(!names_ancestors(&["default-src 'self'"]));
    }
}
