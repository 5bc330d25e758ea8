//! The lines of each proposed check: from the words that a rule has found to the fields of a block.

use regex::Captures;

use super::propose::quoted;

/// Written above a field or a kind that this version does not know. The field is no comment: a check that leaves out
/// what was asked for would pass.
const NOT_YET: &str = "# this version cannot measure it yet";

/// The number without the commas of thousands.
fn number(found: &Captures<'_>) -> Option<String> {
    Some(found.name("n")?.as_str().replace(',', ""))
}

/// `100 ms`, in the words of an expectation.
fn time(found: &Captures<'_>) -> Option<String> {
    let unit = match found.name("unit")?.as_str().to_lowercase().as_str() {
        "ms" | "millisecond" | "milliseconds" => "ms",
        "s" | "sec" | "secs" | "second" | "seconds" => "s",
        "h" | "hour" | "hours" => "h",
        _ => "min",
    };
    Some(format!("{} {unit}", number(found)?))
}

fn line(key: &str, value: &str) -> String {
    format!("{key} = {}", quoted(value))
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "the shape of every rule of the table"
)]
fn lines<const N: usize>(lines: [String; N]) -> Option<Vec<String>> {
    Some(lines.into())
}

pub(super) fn ttfb(found: &Captures<'_>, _: &str) -> Option<Vec<String>> {
    lines([
        line("url", "/"),
        line("ttfb", &format!("< {}", time(found)?)),
    ])
}

pub(super) fn page_load(found: &Captures<'_>, _: &str) -> Option<Vec<String>> {
    lines([
        "# the page itself; what a browser loads after it is not measured".to_owned(),
        line("url", "/"),
        line("total", &format!("< {}", time(found)?)),
    ])
}

pub(super) fn p95(found: &Captures<'_>, text: &str) -> Option<Vec<String>> {
    let mut out = Vec::new();
    if text.to_lowercase().contains("average") {
        out.push("# the plan says average; p95 is stricter".to_owned());
    } else if !text.contains("95") {
        out.push("# the plan does not say of which requests; p95 is what people mean".to_owned());
    }
    out.push(line("service", "{service}"));
    out.push(line("p95", &format!("< {}", time(found)?)));
    Some(out)
}

pub(super) fn errors(found: &Captures<'_>, _: &str) -> Option<Vec<String>> {
    lines([
        line("service", "{service}"),
        line("errors", &format!("< {} %", number(found)?)),
    ])
}

pub(super) fn uptime(found: &Captures<'_>, _: &str) -> Option<Vec<String>> {
    lines([
        "# over the last 30 days, or as long as Prometheus keeps".to_owned(),
        line("query", "avg(avg_over_time(up[30d]))"),
        line("value", &format!(">= {} %", number(found)?)),
    ])
}

pub(super) fn scrape_age(found: &Captures<'_>, _: &str) -> Option<Vec<String>> {
    lines([
        line("query", "max(time() - timestamp(up))"),
        line("value", &format!("< {}", time(found)?)),
    ])
}

pub(super) fn some_rate(found: &Captures<'_>, _: &str) -> Option<Vec<String>> {
    let whole = found.get(0)?.as_str();
    let sign = if whole.contains(['>', '≥']) || whole.contains("over") {
        ">"
    } else {
        "<"
    };
    lines([
        "# which series counts it? the plan does not say".to_owned(),
        line("query", "{rate}"),
        line("value", &format!("{sign} {} %", number(found)?)),
    ])
}

pub(super) fn alert_rule(found: &Captures<'_>, _: &str) -> Option<Vec<String>> {
    let what = found.name("what")?.as_str();
    let (n, unit) = (found.name("n")?.as_str(), found.name("unit")?.as_str());
    lines([
        format!("# which rule is it? the plan says: {what}"),
        line("rule", "{rule}"),
        line("threshold", &format!("> {n} {unit}")),
    ])
}

pub(super) fn recovery_point(found: &Captures<'_>, _: &str) -> Option<Vec<String>> {
    lines([
        line("target", "{target}"),
        line("age", &format!("< {}", time(found)?)),
    ])
}

pub(super) fn run_time(found: &Captures<'_>, _: &str) -> Option<Vec<String>> {
    lines([
        "# the last good run of this runbook took no longer".to_owned(),
        line("runbook", "{runbook}"),
        line("took", &format!("< {}", time(found)?)),
    ])
}

pub(super) fn counts_match(_: &Captures<'_>, _: &str) -> Option<Vec<String>> {
    lines([
        "# name a table, and how many rows the source had".to_owned(),
        line("service", "{database_service}"),
        line("database", "{database}"),
        line("query", "select count(*) from {table}"),
        line("value", "== {rows}"),
    ])
}

pub(super) fn replication_lag(found: &Captures<'_>, _: &str) -> Option<Vec<String>> {
    lines([
        line("service", "{database_service}"),
        line("database", "{database}"),
        line(
            "query",
            "select coalesce(max(extract(epoch from replay_lag)), 0) from pg_stat_replication",
        ),
        line("value", &format!("< {}", time(found)?)),
    ])
}

pub(super) fn tls_grade(found: &Captures<'_>, _: &str) -> Option<Vec<String>> {
    let grade = found.name("grade")?.as_str().to_uppercase();
    lines([
        line("endpoint", "{address}:443"),
        line("days", "> 21"),
        line("grade", &format!(">= {grade}")),
    ])
}

pub(super) fn headers_grade(found: &Captures<'_>, _: &str) -> Option<Vec<String>> {
    let grade = found.name("grade")?.as_str().to_uppercase();
    lines([line("url", "/"), line("grade", &format!(">= {grade}"))])
}

fn header(name: &str, expected: &str) -> Option<Vec<String>> {
    lines([
        line("url", "/"),
        format!("header = {{ {name} = {} }}", quoted(expected)),
    ])
}

pub(super) fn hsts(_: &Captures<'_>, _: &str) -> Option<Vec<String>> {
    header("strict-transport-security", "contains max-age")
}

pub(super) fn csp(_: &Captures<'_>, _: &str) -> Option<Vec<String>> {
    header("content-security-policy", "contains -src")
}

pub(super) fn frame_options(_: &Captures<'_>, _: &str) -> Option<Vec<String>> {
    header("x-frame-options", "matches (?i)^(deny|sameorigin)$")
}

pub(super) fn content_type_options(_: &Captures<'_>, _: &str) -> Option<Vec<String>> {
    header("x-content-type-options", "contains nosniff")
}

pub(super) fn compression(_: &Captures<'_>, _: &str) -> Option<Vec<String>> {
    header("content-encoding", "matches ^(gzip|br)$")
}

pub(super) fn redirect(_: &Captures<'_>, text: &str) -> Option<Vec<String>> {
    if !text.to_lowercase().contains("redirect") {
        return None;
    }
    let status = if text.contains("301") {
        "== 301"
    } else {
        "between 301 and 308"
    };
    lines([
        line("url", "http://{address}/"),
        line("status", status),
        format!("header = {{ location = {} }}", quoted("matches ^https://")),
    ])
}

pub(super) fn health_path(found: &Captures<'_>, _: &str) -> Option<Vec<String>> {
    lines([
        line("url", found.name("path")?.as_str()),
        line("status", "== 200"),
    ])
}

pub(super) fn image_size(found: &Captures<'_>, _: &str) -> Option<Vec<String>> {
    let unit = found.name("unit")?.as_str().to_uppercase().replace('I', "");
    lines([
        line("service", "{service}"),
        line("image_size", &format!("< {} {unit}", number(found)?)),
    ])
}

pub(super) fn replicas(found: &Captures<'_>, _: &str) -> Option<Vec<String>> {
    lines([
        line("service", "{service}"),
        line("healthy", &format!(">= {}", number(found)?)),
    ])
}

pub(super) fn port(found: &Captures<'_>, _: &str) -> Option<Vec<String>> {
    let port: u16 = number(found)?.parse().ok()?;
    lines([
        line("address", &format!("{{address}}:{port}")),
        "open = true".to_owned(),
    ])
}

pub(super) fn lighthouse(found: &Captures<'_>, _: &str) -> Option<Vec<String>> {
    lines([
        "# could not run: a score of Lighthouse needs a browser, and there is none here".to_owned(),
        line("url", "/"),
        line("score", &format!("> {}", number(found)?)),
    ])
}

pub(super) fn load_at_rate(found: &Captures<'_>, _: &str) -> Option<Vec<String>> {
    let failed = line("failed", "== 0");
    match number(found) {
        Some(rate) => lines([format!("rate = {rate}"), failed]),
        None => lines([
            "# requests a second: the plan does not say how many".to_owned(),
            "rate = 50".to_owned(),
            failed,
        ]),
    }
}

pub(super) fn load_of_users(found: &Captures<'_>, _: &str) -> Option<Vec<String>> {
    let users = number(found)?;
    lines([format!("users = {users}"), line("failed", "== 0")])
}

pub(super) fn load_through(_: &Captures<'_>, _: &str) -> Option<Vec<String>> {
    lines([
        NOT_YET.to_owned(),
        "# users' requests while this runbook runs".to_owned(),
        line("while_run", "{runbook}"),
        line("failed", "== 0"),
    ])
}
