//! Checks that an item's wording asks for. A number with a unit, a header by its name, a grade: nothing vaguer.
//!
//! A proposal is text for a person to read, to correct and to accept. It never runs by itself, and a kind of check that
//! this version does not have is proposed all the same, and says so: the criterion stands, whoever measures it.

use std::fmt::Write;
use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::measure::{
    alert_rule, compression, content_type_options, counts_match, csp, errors, frame_options,
    headers_grade, health_path, hsts, image_size, lighthouse, load_at_rate, load_of_users,
    load_through, p95, page_load, port, recovery_point, redirect, replicas, replication_lag,
    run_time, scrape_age, some_rate, tls_grade, ttfb, uptime,
};
use super::{Item, ItemId};
use crate::domain::Clean;

/// One sentence asks for a handful of things.
const PROPOSALS_MAX: usize = 12;

/// A check that could prove an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    pub kind: &'static str,
    /// The author's words it comes from.
    pub words: Clean,
    /// What stands in the block after `kind`: TOML, with comments for people.
    pub lines: Vec<String>,
}

impl Proposal {
    /// The block's text, marked as not accepted.
    pub fn toml(&self, item: &ItemId) -> String {
        let mut out = String::new();
        let _ = writeln!(out, "item = {}", quoted(&item.0));
        out.push_str("accepted = false\n");
        let _ = writeln!(out, "proposed = {}", quoted(&self.words));
        let _ = writeln!(out, "kind = {}", quoted(self.kind));
        for line in &self.lines {
            out.push_str(line);
            out.push('\n');
        }
        out
    }
}

pub(super) fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// The checks that an item's words name, in the order of the words.
pub fn propose(item: &Item) -> Vec<Proposal> {
    let mut found: Vec<Proposal> = Vec::new();
    let fields = item.fields.iter().filter(|field| is_promise(&field.name));
    let texts = std::iter::once(&item.title)
        .chain(&item.detail)
        .chain(fields.map(|field| &field.value));
    for text in texts {
        // Where two rules know the same words, the first is the closer one.
        let mut used: Vec<std::ops::Range<usize>> = Vec::new();
        let mut here: Vec<(usize, Proposal)> = Vec::new();
        for rule in RULES.iter() {
            for found in rule.pattern.captures_iter(text) {
                let Some(whole) = found.get(0) else { continue };
                let overlaps = used
                    .iter()
                    .any(|range| range.start < whole.end() && whole.start() < range.end);
                if overlaps {
                    continue;
                }
                let Some(lines) = (rule.make)(&found, text) else {
                    continue;
                };
                used.push(whole.range());
                let words = Clean::line(whole.as_str().trim());
                let kind = rule.kind;
                here.push((whole.start(), Proposal { kind, words, lines }));
            }
        }
        here.sort_by_key(|(at, _)| *at);
        for (_, proposal) in here {
            let known = found
                .iter()
                .any(|other| other.kind == proposal.kind && other.lines == proposal.lines);
            if !known && found.len() < PROPOSALS_MAX {
                found.push(proposal);
            }
        }
    }
    found
}

/// Columns that say what shall be; what is now, who owns it and what it costs is no promise.
fn is_promise(name: &str) -> bool {
    let name = name.to_lowercase();
    ["acceptance", "criteria", "target"]
        .iter()
        .any(|word| name.contains(word))
        && !name.contains("date")
}

struct Rule {
    kind: &'static str,
    pattern: Regex,
    /// The lines of the block; `None`: not in this sentence.
    make: fn(&Captures<'_>, &str) -> Option<Vec<String>>,
}

/// A threshold: sign or words, number, unit.
const UNDER: &str = r"(?:<=?|≤|under|below|less than|within|max(?:imum)?\.?)\s*";
const OVER: &str = r"(?:>=?|≥|over|above|more than|at least|min(?:imum)?\.?)\s*";
const NUMBER: &str = r"(?P<n>\d[\d,]*(?:\.\d+)?)\s*";
const TIME: &str = r"(?P<unit>ms|milliseconds?|s|secs?|seconds?|min|mins|minutes?|h|hours?)\b";
const GAP: &str = r"[^.;<>≤≥\d]{0,40}?";

static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    let mut rules = Vec::new();
    for (kind, patterns, make) in TABLE {
        for pattern in *patterns {
            let pattern = pattern
                .replace("{under}", UNDER)
                .replace("{over}", OVER)
                .replace("{n}", NUMBER)
                .replace("{time}", TIME)
                .replace("{gap}", GAP);
            rules.push(Rule {
                kind,
                pattern: Regex::new(&format!("(?i){pattern}"))
                    .expect("a pattern of ours is a pattern"),
                make: *make,
            });
        }
    }
    rules
});

type Make = fn(&Captures<'_>, &str) -> Option<Vec<String>>;

/// What words ask for what check. The first rule that takes a word keeps it.
const TABLE: &[(&str, &[&str], Make)] = &[
    // Load first: its sentences are full of numbers that others would take.
    (
        "load",
        &[
            r"\b(?:0|zero|no)\s+failed\s+requests?(?:\s+(?:at|with|under)\s+{n}\+?\s*(?:req(?:uests?)?\s*(?:/|per )\s*s(?:ec(?:ond)?)?|rps))?",
            r"{n}\+?\s*(?:req(?:uests?)?\s*(?:/|per )\s*s(?:ec(?:ond)?)?|rps)\b(?:\s+without\s+errors?)?",
        ],
        load_at_rate,
    ),
    (
        "load",
        &[r"{n}\+?\s*(?:concurrent|simultaneous)\s+(?:users?|connections?|clients?)"],
        load_of_users,
    ),
    (
        "load",
        &[
            r"\bzero[- ]downtime(?:\s+deployments?)?",
            r"\b100\s*%\s*uptime",
        ],
        load_through,
    ),
    (
        "http",
        &[
            r"\b(?:ttfb|time to first byte)\b{gap}{under}{n}{time}",
            r"{under}{n}{time}\s*(?:ttfb|time to first byte)",
        ],
        ttfb,
    ),
    (
        "http",
        &[r"\b(?:page\s+)?load(?:ing)?\s+times?\b{gap}{under}{n}{time}"],
        page_load,
    ),
    (
        "traffic",
        &[
            r"\b(?:api\s+)?(?:response|latency|p95)\b{gap}{under}{n}{time}(?:[^.;\d]{0,30}?(?:\(p95\)|p95|95th\s+percentile|average\s+api\s+response))?",
        ],
        p95,
    ),
    (
        "prometheus",
        &[
            r"\balert\b[^.;]{0,30}?(?P<what>error rate|latency|cpu|memory|disk)[^.;\d]{0,10}?>\s*(?P<n>\d[\d.]*)\s*(?P<unit>%|ms|s)",
        ],
        alert_rule,
    ),
    (
        "traffic",
        &[
            r"\berror rate\b{gap}{under}{n}%",
            r"{under}{n}%\s+(?:of\s+)?(?:error rate|errors)",
            r"{under}{n}%\s+of\s+(?:api\s+)?requests\b[^.;]{0,20}?\b5xx",
        ],
        errors,
    ),
    (
        "promql",
        &[
            r"{n}%\s+(?:uptime|availability)",
            r"\b(?:uptime|availability)\b{gap}{n}%",
        ],
        uptime,
    ),
    (
        "promql",
        &[r"\bmetrics\b{gap}{under}{n}{time}(?:\s+latency)?"],
        scrape_age,
    ),
    (
        "promql",
        &[
            r"\b(?:cache )?hit (?:rate|ratio)s?\b{gap}{over}{n}%",
            r"\brate\b{gap}{under}{n}%",
        ],
        some_rate,
    ),
    (
        "backup",
        &[r"\b(?:rpo|recovery point objective)\b\)?{gap}{under}{n}{time}"],
        recovery_point,
    ),
    (
        "run",
        &[
            r"\b(?:rto|recovery time objective)\b(?:\s*\(rto\))?{gap}{under}{n}{time}",
            r"\b(?:failover|deployment|deploy|rollback|restore|recovery)\b(?:\s+time)?{gap}{under}{n}{time}",
        ],
        run_time,
    ),
    (
        "sql",
        &[r"\brecord counts?\s+match\b(?:\s+between\s+source\s+and\s+destination)?"],
        counts_match,
    ),
    (
        "sql",
        &[r"\breplication\s+lag\b{gap}{under}{n}{time}"],
        replication_lag,
    ),
    (
        "tls",
        &[
            r"\bssl\s*labs\b[^.;]{0,20}?(?:grade\s+)?\b(?P<grade>a\+|a\b)(?:\s*rating)?",
            r"\b(?:ssl|tls)(?:/tls)?\b[^.;]{0,20}?(?P<grade>a\+)(?:\s*(?:ssl\s+)?(?:rating|grade))?",
            r"(?P<grade>a\+)\s+(?:ssl|tls)\s+(?:rating|grade)",
        ],
        tls_grade,
    ),
    (
        "headers",
        &[r"\bsecurity headers\b[^.;]{0,20}?(?P<grade>a\+)(?:\s*(?:rating|grade))?"],
        headers_grade,
    ),
    (
        "http",
        &[
            r"\bstrict[- ]transport[- ]security\b(?:`?\s*\(hsts\))?",
            r"\bhsts\b",
        ],
        hsts,
    ),
    (
        "http",
        &[r"\bcontent-security-policy\b(?:`?\s*\(csp\))?", r"\bcsp\b"],
        csp,
    ),
    ("http", &[r"\bx-frame-options\b"], frame_options),
    (
        "http",
        &[r"\bx-content-type-options\b"],
        content_type_options,
    ),
    (
        "http",
        &[
            r"\bhttp(?:://)?`?\s*(?:->|→|to)\s*`?https(?:://)?`?(?:[^.;]{0,3}\bredirect(?:ion|s)?)?(?:\s*\(301\))?",
            r"\bredirect(?:ion|s)?\s+from\s+`?http://`?\s+to\s+`?https://",
            r"https[^.;]{0,20}auto-redirect",
        ],
        redirect,
    ),
    (
        "http",
        &[r"`(?P<path>/[a-z0-9_\-/]*health[a-z0-9_\-/]*)`\s+endpoint"],
        health_path,
    ),
    ("http", &[r"\b(?:gzip|brotli)\s+compression\b"], compression),
    (
        "containers",
        &[r"\bimage\b[^.;<]{0,20}?{under}{n}(?P<unit>mb|gb|mib|gib)\b"],
        image_size,
    ),
    (
        "containers",
        &[r"\b{n}\s+(?:(?:[a-z]+)\s+)?(?:replicas|instances)\b"],
        replicas,
    ),
    (
        "port",
        &[
            r"\blisten(?:s|ing)?(?:\s+on)?(?:\s+port)?\s+(?P<n>\d{2,5})\b",
            r"\bport\s+(?P<n>\d{2,5})\b",
        ],
        port,
    ),
    (
        "lighthouse",
        &[r"\blighthouse\b[^.;<>≥\d]{0,40}?{over}{n}"],
        lighthouse,
    ),
];
