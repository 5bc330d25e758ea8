//! One `quarterdeck.toml`, read whole: its values, or all of its problems.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::backup;
use super::engine::{EngineAddress, address};
use super::journal::{self, JournalStore};
use super::problem::{Problems, Source};
use super::reader::{Reader, Section, nearest};
use super::screen::{Ascii, Clock};
use super::secret::SecretRef;
use super::settings::{Settings, shown_path};
use super::value::{self, Parsed, wrong};
use super::{Gateway, GatewayUpstream, PROMETHEUS_CREDENTIALS};
use crate::domain::{
    CertificateAt, CertificateSpec, ChecklistSpec, Clean, EndpointSpec, Environment, ServiceSpec,
    Stack, Thresholds, TrafficSpec,
};

/// What a file says, before flags and variables have had their say.
#[derive(Debug, Default)]
pub(super) struct File {
    pub(super) stack: Option<Stack>,
    pub(super) address: Option<EngineAddress>,
    pub(super) tls_dir: Option<PathBuf>,
    pub(super) gateway: Option<Gateway>,
    pub(super) prometheus_token: Option<SecretRef>,
    pub(super) runbooks: Option<PathBuf>,
    pub(super) second_person: bool,
    pub(super) journal_store: Option<JournalStore>,
    pub(super) journal_password: Option<SecretRef>,
    pub(super) theme: Option<Clean>,
    pub(super) ascii: Option<Ascii>,
    pub(super) mouse: bool,
    pub(super) clock: Clock,
    pub(super) settings: Settings,
}

/// Reads the text of a file. `path` is what errors call it; relative paths in it count from `base`.
pub(super) fn parse(path: &Path, base: &Path, text: &str) -> Result<File, Problems> {
    let source = Source::file(shown_path(path), text);
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut reader = Reader {
        source: &source,
        file: path.to_owned(),
        problems: Problems::default(),
        settings: Settings::default(),
    };
    if !errors.is_empty() {
        return Err(syntax(reader, &table, base, &errors));
    }
    let file = read(&mut reader, &Section::root(table.get_ref()), base);
    if reader.problems.is_empty() {
        return Ok(File {
            settings: reader.settings,
            ..file
        });
    }
    reader.problems.sort();
    Err(reader.problems)
}

/// Text that is no TOML. What could still be read is looked at too, so that one missing quote does not hide the rest; on
/// a line that is broken, and once a header is broken, nothing more is said: it would only follow from the first.
fn syntax(
    mut reader: Reader<'_>,
    table: &Spanned<DeTable<'_>>,
    base: &Path,
    errors: &[toml::de::Error],
) -> Problems {
    let mut broken_header = false;
    let mut broken: Vec<usize> = Vec::new();
    for error in errors {
        let span = error.span().unwrap_or_default();
        let line = reader.line(&span);
        // One slip makes the parser complain more than once about a line; the first complaint is the one that helps.
        if broken.contains(&line) {
            continue;
        }
        broken_header |= error.message().contains("table");
        broken.push(line);
        // The parser takes a value that is not there for one without quotes.
        let message = match error.message() {
            message if span.is_empty() && message.contains("must be quoted") => "missing value",
            message => message,
        };
        let says = format!("this is not TOML: {message}");
        reader.wrong(&span, &says, syntax_remedy(message));
        if broken.len() > BROKEN_LINES_MAX {
            break;
        }
    }
    if !broken_header && broken.len() <= BROKEN_LINES_MAX {
        let mut second = Reader {
            source: reader.source,
            file: reader.file.clone(),
            problems: Problems::default(),
            settings: Settings::default(),
        };
        read(&mut second, &Section::root(table.get_ref()), base);
        let sure = |says: &str| !says.contains(" is missing");
        second
            .problems
            .all
            .retain(|problem| !broken.contains(&problem.line) && sure(&problem.says));
        reader.problems.append(second.problems);
    }
    reader.problems.sort();
    reader.problems
}

/// A file with more broken lines than this is something else than TOML.
const BROKEN_LINES_MAX: usize = 50;

fn syntax_remedy(message: &str) -> &'static str {
    let has = |part: &str| message.contains(part);
    if has("duplicate key") {
        "it is set or opened twice: keep one of the two"
    } else if has("keys cannot be empty") || has("unquoted key") {
        "write key = value; a key is made of letters, digits, `_` and `-`"
    } else if has("must be quoted") || has("opening quote") {
        "put the text in quotes: \"...\""
    } else if has("unclosed table") || has("unclosed array table") {
        "close the header: [name] for one table, [[name]] for one of many"
    } else if has("unclosed array") || has("array elements") {
        "write a list as [\"a\", \"b\"], with commas between and a bracket at the end"
    } else if has("inline table") {
        "write a table on one line as { key = \"value\" }"
    } else if has("missing value") || has("key with no value") || has("missing assignment") {
        "write key = value on one line"
    } else if has("invalid basic string") || has("quote") {
        "end the text with the same quote that begins it"
    } else if has("escape") {
        "write a backslash as \\\\, or the text in single quotes"
    } else if has("leading zero") || has("number") || has("integer") || has("radix") {
        "write a plain number, such as 3 or 0.05; everything else goes in quotes"
    } else if has("recurs") {
        "write it flat: no setting here is nested so deep"
    } else {
        "write key = value, with texts in quotes"
    }
}

fn read<'t>(reader: &mut Reader<'t>, root: &Section<'t>, base: &Path) -> File {
    reader.refuse_unknown(root, super::reader::TABLES[0].1);
    let mut file = File::default();
    let stack = reader.section(root, "stack");
    let named = stack.is_there().then(|| read_stack(reader, &stack));
    read_engine(reader, root, base, &mut file);
    let gateway = read_gateway(reader, root, base);
    let services = read_services(reader, root, &stack);
    let (prometheus, token) = read_prometheus(reader, root, base);
    let stack = Stack {
        name: named
            .as_ref()
            .and_then(|(name, _)| name.clone())
            .unwrap_or_default(),
        environment: named
            .as_ref()
            .map_or(Environment::Production, |(_, environment)| {
                environment.clone()
            }),
        gateway: gateway.as_ref().and_then(|gateway| gateway.service.clone()),
        traffic: read_traffic(
            reader,
            root,
            gateway.as_ref(),
            prometheus.as_ref(),
            &services,
        ),
        endpoints: read_endpoints(reader, root, base, gateway.as_ref()),
        certificates: read_certificates(reader, root, base, gateway.as_ref()),
        backups: backup::read(reader, root, base),
        checklists: read_checklists(reader, root, base),
        disks: read_disks(reader, root, base),
        thresholds: read_thresholds(reader, root),
        services: services.into_iter().map(|(spec, _)| spec).collect(),
        prometheus,
    };
    let runbooks = reader.section(root, "runbooks");
    file.runbooks = reader.optional(&runbooks, "folder", value::path(base));
    file.second_person = reader
        .optional(&runbooks, "second_person", value::flag)
        .unwrap_or_default();
    read_journal(reader, root, base, &mut file);
    read_screen(reader, root, &mut file);
    if named.is_none() {
        refuse_without_stack(reader, root);
    }
    file.stack = named.is_some().then_some(stack);
    file.gateway = gateway;
    file.prometheus_token = token;
    file
}

/// A file may hold only `[engine]` and `[screen]`; what is watched needs a stack to belong to.
fn refuse_without_stack<'t>(reader: &mut Reader<'t>, root: &Section<'t>) {
    let of_stack = [
        "gateway",
        "service",
        "traffic",
        "endpoint",
        "certificate",
        "backup",
        "prometheus",
        "disk",
        "checklist",
        "thresholds",
    ];
    if let Some(key) = of_stack.into_iter().find(|key| root.has(key)) {
        let says = format!("`{key}` belongs to a stack, and there is no [stack]");
        reader.wrong(
            &root.span(key),
            &says,
            "add the lines: [stack] and name = \"your-compose-project\"",
        );
    }
}

fn read_stack<'t>(reader: &mut Reader<'t>, stack: &Section<'t>) -> (Option<Clean>, Environment) {
    let name = reader.required(
        stack,
        "name",
        "name = \"your-compose-project\"",
        value::name,
    );
    // Without a word for it the console is as careful as in production.
    let environment = reader.defaulted(stack, "environment", "\"production\"", value::environment);
    (name, environment)
}

fn read_engine<'t>(reader: &mut Reader<'t>, root: &Section<'t>, base: &Path, file: &mut File) {
    let engine = reader.section(root, "engine");
    file.address = reader.optional(&engine, "address", |value| address(&value::text(value)?));
    file.tls_dir = reader.optional(&engine, "tls_dir", value::path(base));
    if let (Some(EngineAddress::Unix(_) | EngineAddress::Ssh { .. }), Some(_)) =
        (&file.address, &file.tls_dir)
    {
        reader.conflict(
            &engine,
            "tls_dir",
            "TLS is for tcp:// only",
            "take the line out, or address the engine by tcp://",
        );
    }
}

fn read_gateway<'t>(reader: &mut Reader<'t>, root: &Section<'t>, base: &Path) -> Option<Gateway> {
    let section = reader.section(root, "gateway");
    let service = reader.optional(&section, "service", value::name);
    let url = reader.optional(&section, "url", value::url(ENDPOINT_CREDENTIALS));
    let ca_file = reader.optional(&section, "ca_file", value::path(base));
    if let (Some(url), Some(_)) = (&url, &ca_file)
        && url.scheme != "https"
    {
        reader.conflict(
            &section,
            "ca_file",
            "the gateway's URL is not https://",
            "write https:// or take the line out",
        );
    }
    let tls = url.as_ref().filter(|url| url.scheme == "https").map(|url| {
        let host = if url.host.contains(':') {
            format!("[{}]", url.host)
        } else {
            url.host.clone()
        };
        Clean::from(format!("{host}:{}", url.port.unwrap_or(443)))
    });
    let upstream = read_upstream(reader, &section, base);
    section.is_there().then(|| Gateway {
        service,
        url: url.map(|url| url.text),
        tls,
        ca_file,
        upstream,
    })
}

fn read_upstream<'t>(
    reader: &mut Reader<'t>,
    gateway: &Section<'t>,
    base: &Path,
) -> Option<GatewayUpstream> {
    let section = reader.inner(gateway, "upstream", "gateway.upstream");
    if !section.is_there() {
        return None;
    }
    if !gateway.has("service") {
        let says = "the list of replicas is of a gateway, and `service` is missing in [gateway]";
        reader.wrong(
            &gateway.span("upstream"),
            says,
            "add the line: service = \"gateway\"",
        );
    }
    let directory = reader.required(
        &section,
        "directory",
        "directory = \"gateway/upstream\"",
        value::path(base),
    );
    let file = reader.defaulted(&section, "file", "\"api.conf\"", value::list_file);
    let default = reader.required(
        &section,
        "default",
        "default = \"gateway/upstream.default\"",
        value::path(base),
    );
    let service = reader.required(&section, "service", "service = \"server\"", value::name);
    let port = reader.required(&section, "port", "port = 5000", value::port);
    let variable = reader.defaulted(&section, "variable", "\"api\"", value::variable);
    let test = reader.list(&section, "test", value::clean);
    let in_flight_limit =
        reader.defaulted(&section, "in_flight_limit", "\"15 s\"", value::duration);
    let path = reader.defaulted(&section, "path", "\"/\"", value::plain_path);
    let health = reader.defaulted(&section, "health", "\"/healthz\"", value::plain_path);
    let test = match test {
        Some(words) if words.is_empty() => {
            let remedy =
                "name a program, such as [\"nginx\", \"-t\", \"-q\"], or take the line out";
            reader.conflict(&section, "test", "a test without a program", remedy);
            return None;
        }
        Some(words) => words.into_iter().map(|(word, _)| word).collect(),
        None => UPSTREAM_TEST.map(Clean::from).to_vec(),
    };
    Some(GatewayUpstream {
        directory: directory?,
        file,
        default: default?,
        service: service?,
        port: port?,
        variable,
        test,
        in_flight_limit,
        path,
        health,
    })
}

/// Of an nginx whose files are where nginx looks for them.
const UPSTREAM_TEST: [&str; 3] = ["nginx", "-t", "-q"];

const ENDPOINT_CREDENTIALS: &str =
    "take them out and watch an address that needs none: a probe holds no password";

/// The services that matter, each with its place: short names in `[stack] services`, and `[[service]]` with more.
fn read_services<'t>(
    reader: &mut Reader<'t>,
    root: &Section<'t>,
    stack: &Section<'t>,
) -> Vec<(ServiceSpec, Range<usize>)> {
    let short = reader
        .list(stack, "services", value::name)
        .unwrap_or_default();
    let mut all: Vec<(ServiceSpec, Range<usize>)> = short
        .into_iter()
        .map(|(name, span)| {
            let spec = ServiceSpec {
                name,
                replicas: None,
                matters: true,
            };
            (spec, span)
        })
        .collect();
    for section in reader.sections(root, "service") {
        let name = reader.required(&section, "name", "name = \"server\"", value::name);
        let replicas = reader.optional(&section, "replicas", value::whole(0, 1000));
        let matters = reader.defaulted(&section, "matters", "true", value::flag);
        if let Some(name) = name {
            let spec = ServiceSpec {
                name,
                replicas,
                matters,
            };
            all.push((spec, section.span("name")));
        }
    }
    let keys = all
        .iter()
        .map(|(spec, span)| (spec.name.clone(), span.clone()));
    refuse_twice(reader, keys, "service");
    all
}

/// Says of every second one of the same name where the first stands.
pub(super) fn refuse_twice<K: Ord + std::fmt::Display>(
    reader: &mut Reader<'_>,
    keys: impl Iterator<Item = (K, Range<usize>)>,
    what: &str,
) {
    let mut seen: BTreeMap<K, Range<usize>> = BTreeMap::new();
    for (key, span) in keys {
        if let Some(first) = seen.get(&key) {
            let says = format!(
                "{what} {key} is there twice, first on line {}",
                reader.line(first)
            );
            reader.wrong(
                &span,
                &says,
                "keep one of the two, or give this one another name",
            );
        } else {
            seen.insert(key, span);
        }
    }
}

fn read_prometheus<'t>(
    reader: &mut Reader<'t>,
    root: &Section<'t>,
    base: &Path,
) -> (Option<Clean>, Option<SecretRef>) {
    let section = reader.section(root, "prometheus");
    if !section.is_there() {
        return (None, None);
    }
    let url = reader.required(
        &section,
        "url",
        "url = \"http://127.0.0.1:9090\"",
        value::url(PROMETHEUS_CREDENTIALS),
    );
    let token = reader.optional(&section, "token", |value| SecretRef::parse(value, base));
    (url.map(|url| url.text), token)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Metrics,
    Prometheus,
    AccessLog,
}

impl Kind {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("metrics", Self::Metrics),
        ("prometheus", Self::Prometheus),
        ("access-log", Self::AccessLog),
    ];

    fn word(self) -> &'static str {
        match self {
            Self::Metrics => "metrics",
            Self::Prometheus => "prometheus",
            Self::AccessLog => "access-log",
        }
    }

    /// Keys that only this kind has.
    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Metrics => &["port", "path"],
            Self::Prometheus => &["url", "selector"],
            Self::AccessLog => &["gateway"],
        }
    }
}

fn read_traffic<'t>(
    reader: &mut Reader<'t>,
    root: &Section<'t>,
    gateway: Option<&Gateway>,
    prometheus: Option<&Clean>,
    services: &[(ServiceSpec, Range<usize>)],
) -> Vec<TrafficSpec> {
    let mut all = Vec::new();
    let mut keys = Vec::new();
    for section in reader.sections(root, "traffic") {
        let kind = reader.required(
            &section,
            "kind",
            "kind = \"metrics\", \"prometheus\" or \"access-log\"",
            value::one_of(Kind::WORDS),
        );
        let service = reader.required(&section, "service", "service = \"server\"", value::name);
        if let Some(service) = &service {
            refuse_near_miss(reader, &section, "service", service, services);
        }
        let Some(kind) = kind else { continue };
        refuse_other_kinds(reader, &section, kind);
        if let Some(service) = &service {
            keys.push((
                format!("{service} by {}", kind.word()),
                section.span("service"),
            ));
        }
        let spec = match kind {
            Kind::Metrics => read_metrics(reader, &section, service),
            Kind::Prometheus => read_series(reader, &section, service, prometheus),
            Kind::AccessLog => read_access_log(reader, &section, service, gateway, services),
        };
        all.extend(spec);
    }
    refuse_twice(reader, keys.into_iter(), "traffic of");
    all
}

fn refuse_other_kinds<'t>(reader: &mut Reader<'t>, section: &Section<'t>, kind: Kind) {
    for (word, other) in Kind::WORDS.iter().filter(|(_, other)| *other != kind) {
        for key in other.keys().iter().filter(|key| section.has(key)) {
            let says = format!(
                "this belongs to kind = \"{word}\", and here is kind = \"{}\"",
                kind.word()
            );
            reader.conflict(section, key, &says, "take the line out, or change the kind");
        }
    }
}

/// A name that is nearly one of the services is a typo; one that is like none of them may be a service of no matter.
fn refuse_near_miss<'t>(
    reader: &mut Reader<'t>,
    section: &Section<'t>,
    key: &str,
    name: &str,
    services: &[(ServiceSpec, Range<usize>)],
) {
    let names: Vec<&str> = services
        .iter()
        .map(|(spec, _)| spec.name.as_str())
        .collect();
    if !names.contains(&name)
        && let Some(near) = nearest(name, &names)
    {
        reader.conflict(
            section,
            key,
            &format!("there is no service `{name}`"),
            &format!("did you mean \"{near}\"?"),
        );
    }
}

fn read_metrics<'t>(
    reader: &mut Reader<'t>,
    section: &Section<'t>,
    service: Option<Clean>,
) -> Option<TrafficSpec> {
    let port = reader.required(
        section,
        "port",
        "port = 9100, where every replica serves its metrics",
        value::port,
    );
    let path = reader.defaulted(section, "path", "\"/metrics\"", absolute);
    let every = reader.defaulted(section, "every", "\"5 s\"", value::every);
    Some(TrafficSpec::Metrics {
        service: service?,
        port: port?,
        path,
        every,
    })
}

fn absolute(value: &DeValue<'_>) -> Parsed<Clean> {
    let path = value::clean(value)?;
    if path.starts_with('/') && !path.contains(char::is_whitespace) {
        return Ok(path);
    }
    wrong(
        "a path of a URL begins with a slash and has no blanks",
        "write it as \"/metrics\"",
    )
}

fn read_series<'t>(
    reader: &mut Reader<'t>,
    section: &Section<'t>,
    service: Option<Clean>,
    prometheus: Option<&Clean>,
) -> Option<TrafficSpec> {
    let url = match (section.has("url"), prometheus) {
        (false, Some(url)) => Some(url.clone()),
        _ => reader
            .required(
                section,
                "url",
                "url = \"http://127.0.0.1:9090\", or a [prometheus] table",
                value::url(PROMETHEUS_CREDENTIALS),
            )
            .map(|url| url.text),
    };
    let selector = reader.defaulted(section, "selector", "\"\"", selector);
    let every = reader.defaulted(section, "every", "\"10 s\"", value::every);
    Some(TrafficSpec::Prometheus {
        service: service?,
        url: url?,
        selector,
        every,
    })
}

fn selector(value: &DeValue<'_>) -> Parsed<Clean> {
    let text = value::any_text(value)?;
    if text.contains(['{', '}']) {
        return wrong(
            "only what stands between the braces belongs here",
            "write it as 'job=\"server\"'",
        );
    }
    Ok(text)
}

fn read_access_log<'t>(
    reader: &mut Reader<'t>,
    section: &Section<'t>,
    service: Option<Clean>,
    gateway: Option<&Gateway>,
    services: &[(ServiceSpec, Range<usize>)],
) -> Option<TrafficSpec> {
    let name = match (
        section.has("gateway"),
        gateway.and_then(|gateway| gateway.service.clone()),
    ) {
        (false, Some(name)) => Some(name),
        _ => reader.required(
            section,
            "gateway",
            "gateway = \"gateway\", or service in a [gateway] table",
            value::name,
        ),
    };
    if let Some(name) = &name
        && section.has("gateway")
    {
        refuse_near_miss(reader, section, "gateway", name, services);
    }
    let every = reader.defaulted(section, "every", "\"5 s\"", value::every);
    Some(TrafficSpec::AccessLog {
        gateway: name?,
        service: service?,
        every,
    })
}

fn read_endpoints<'t>(
    reader: &mut Reader<'t>,
    root: &Section<'t>,
    base: &Path,
    gateway: Option<&Gateway>,
) -> Vec<EndpointSpec> {
    let mut all: Vec<EndpointSpec> = Vec::new();
    let mut keys = Vec::new();
    for section in reader.sections(root, "endpoint") {
        if let Some(spec) = read_endpoint(reader, &section, base) {
            let span = if section.has("name") {
                section.span("name")
            } else {
                section.span("url")
            };
            keys.push((spec.name.clone(), span));
            all.push(spec);
        }
    }
    refuse_twice(reader, keys.into_iter(), "endpoint");
    let implied = gateway.and_then(gateway_endpoint);
    if let Some(implied) = implied
        && !all
            .iter()
            .any(|spec| spec.url == implied.url || spec.name == implied.name)
    {
        all.insert(0, implied);
    }
    all
}

const ENDPOINT_EVERY: Duration = Duration::from_secs(10);

/// The gateway's own URL is watched without being listed.
fn gateway_endpoint(gateway: &Gateway) -> Option<EndpointSpec> {
    Some(EndpointSpec {
        name: gateway
            .service
            .clone()
            .unwrap_or_else(|| Clean::from("gateway")),
        url: gateway.url.clone()?,
        method: Clean::from("GET"),
        status: None,
        headers: BTreeMap::new(),
        redirect_to: None,
        follow: false,
        content_type: None,
        ttfb_ms: None,
        ca_file: gateway.ca_file.clone(),
        connect_to: None,
        every: ENDPOINT_EVERY,
    })
}

fn read_endpoint<'t>(
    reader: &mut Reader<'t>,
    section: &Section<'t>,
    base: &Path,
) -> Option<EndpointSpec> {
    let url = reader.required(
        section,
        "url",
        "url = \"https://localhost:8443/health\"",
        value::url(ENDPOINT_CREDENTIALS),
    );
    let name = reader.optional(section, "name", value::clean);
    let status = reader.optional(section, "status", value::status);
    let redirect_to = reader.optional(section, "redirect_to", redirect);
    let follow = reader.defaulted(section, "follow", "false", value::flag);
    let ca_file = reader.optional(section, "ca_file", value::path(base));
    if follow && redirect_to.is_some() {
        reader.conflict(
            section,
            "redirect_to",
            "a redirect that is followed is not seen",
            "take out this line or `follow`",
        );
    }
    if follow && status.is_some_and(|status| (300..400).contains(&status)) {
        reader.conflict(
            section,
            "status",
            "a redirect that is followed is not seen",
            "expect the last answer, or take out `follow`",
        );
    }
    if ca_file.is_some() && url.as_ref().is_some_and(|url| url.scheme != "https") {
        reader.conflict(
            section,
            "ca_file",
            "the URL is not https://",
            "write https:// or take the line out",
        );
    }
    let method = reader.defaulted(section, "method", "\"GET\"", method);
    let headers = read_headers(reader, section);
    let content_type = reader.optional(section, "content_type", value::clean);
    let ttfb_ms = reader.optional(section, "ttfb", value::milliseconds);
    let connect_to = reader.optional(section, "connect_to", value::place);
    let every = reader.defaulted(section, "every", "\"10 s\"", value::every);
    let url = url?.text;
    Some(EndpointSpec {
        name: name.unwrap_or_else(|| url.clone()),
        url,
        method,
        status,
        headers,
        redirect_to,
        follow,
        content_type,
        ttfb_ms,
        ca_file,
        connect_to,
        every,
    })
}

fn method(value: &DeValue<'_>) -> Parsed<Clean> {
    let word = value::text(value)?;
    match word.as_str() {
        "GET" | "HEAD" => Ok(Clean::from(word)),
        "get" | "head" => wrong(
            "methods are written large",
            format!("write \"{}\"", word.to_uppercase()),
        ),
        _ => wrong(
            "a probe never changes anything",
            "write \"GET\" or \"HEAD\"",
        ),
    }
}

fn redirect(value: &DeValue<'_>) -> Parsed<Clean> {
    let text = value::clean(value)?;
    if text.starts_with('/') || text.starts_with("http://") || text.starts_with("https://") {
        return Ok(text);
    }
    wrong(
        "this is no place to be sent to",
        "write a URL, or a path that begins with a slash",
    )
}

fn read_headers<'t>(reader: &mut Reader<'t>, section: &Section<'t>) -> BTreeMap<Clean, Clean> {
    let mut headers = BTreeMap::new();
    let Some(value) = section.get("headers") else {
        return headers;
    };
    let DeValue::Table(table) = value.get_ref() else {
        let says = format!("expected a table, found {}", value::kind(value.get_ref()));
        reader.conflict(
            section,
            "headers",
            &says,
            "write { \"strict-transport-security\" = \"max-age\" }",
        );
        return headers;
    };
    let mut keys = Vec::new();
    for (key, value) in table {
        let name: &str = key.get_ref();
        let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        if name.is_empty() || !name.chars().all(token) {
            reader.wrong(
                &key.span(),
                "this is no name of a header",
                "write a name such as \"content-security-policy\"",
            );
            continue;
        }
        match value::any_text(value.get_ref()) {
            Ok(text) => {
                keys.push((name.to_ascii_lowercase(), key.span()));
                headers.insert(Clean::line(name), text);
            }
            Err(wrong) => {
                let says = format!("header `{name}` in [[endpoint]]: {}", wrong.says);
                reader.wrong(
                    &value.span(),
                    &says,
                    "write the text it must contain, or \"\" if it only must be there",
                );
            }
        }
    }
    refuse_twice(reader, keys.into_iter(), "header");
    headers
}

fn read_certificates<'t>(
    reader: &mut Reader<'t>,
    root: &Section<'t>,
    base: &Path,
    gateway: Option<&Gateway>,
) -> Vec<CertificateSpec> {
    let mut all: Vec<CertificateSpec> = Vec::new();
    let mut keys = Vec::new();
    for section in reader.sections(root, "certificate") {
        if let Some(spec) = read_certificate(reader, &section, base) {
            let (place, key) = match &spec.at {
                CertificateAt::Endpoint(place) => (place.clone(), "endpoint"),
                CertificateAt::File(path) => (shown_path(path), "file"),
            };
            let name = spec
                .name
                .as_ref()
                .map(|name| format!(" as {name}"))
                .unwrap_or_default();
            keys.push((format!("{place}{name}"), section.span(key)));
            all.push(spec);
        }
    }
    refuse_twice(reader, keys.into_iter(), "certificate");
    if let Some(implied) = gateway.and_then(gateway_certificate)
        && !all.iter().any(|spec| spec.at == implied.at)
    {
        all.insert(0, implied);
    }
    all
}

/// Certificates change by the month; what renews them may fail to load by the hour.
const CERTIFICATE_EVERY: Duration = Duration::from_mins(5);

fn gateway_certificate(gateway: &Gateway) -> Option<CertificateSpec> {
    Some(CertificateSpec {
        at: CertificateAt::Endpoint(gateway.tls.clone()?),
        name: None,
        ca_file: gateway.ca_file.clone(),
        on_disk: None,
        self_signed: false,
        every: CERTIFICATE_EVERY,
    })
}

fn read_certificate<'t>(
    reader: &mut Reader<'t>,
    section: &Section<'t>,
    base: &Path,
) -> Option<CertificateSpec> {
    let endpoint = reader.optional(section, "endpoint", value::place);
    let file = reader.optional(section, "file", value::path(base));
    let name = reader.optional(section, "name", value::clean);
    let ca_file = reader.optional(section, "ca_file", value::path(base));
    let on_disk = reader.optional(section, "on_disk", value::path(base));
    let self_signed = reader.defaulted(section, "self_signed", "false", value::flag);
    let every = reader.defaulted(section, "every", "\"5 min\"", value::every);
    match (section.has("endpoint"), section.has("file")) {
        (true, true) => reader.conflict(
            section,
            "file",
            "a certificate is at an endpoint or in a file",
            "keep one; `on_disk` names the file behind an endpoint",
        ),
        (false, false) => {
            reader.wrong(
                &section.span("endpoint"),
                "`endpoint` or `file` is missing in [[certificate]]",
                "add the line: endpoint = \"localhost:8443\"",
            );
        }
        (true, false) | (false, true) => {}
    }
    if section.has("file") && on_disk.is_some() {
        reader.conflict(
            section,
            "on_disk",
            "this is for a certificate at an endpoint",
            "take the line out",
        );
    }
    Some(CertificateSpec {
        at: endpoint
            .map(CertificateAt::Endpoint)
            .or_else(|| file.map(CertificateAt::File))?,
        name,
        ca_file,
        on_disk,
        self_signed,
        every,
    })
}

fn read_checklists<'t>(
    reader: &mut Reader<'t>,
    root: &Section<'t>,
    base: &Path,
) -> Vec<ChecklistSpec> {
    let mut keys = Vec::new();
    let mut specs = Vec::new();
    for section in reader.sections(root, "checklist") {
        if let Some(file) = reader.required(
            &section,
            "file",
            "file = \"checklists/go-live.md\"",
            value::path(base),
        ) {
            keys.push((shown_path(&file), section.span("file")));
            let max_age = reader.defaulted(&section, "max_age", "\"24 h\"", value::duration);
            specs.push(ChecklistSpec { file, max_age });
        }
    }
    refuse_twice(reader, keys.into_iter(), "checklist");
    specs
}

fn read_disks<'t>(reader: &mut Reader<'t>, root: &Section<'t>, base: &Path) -> Vec<PathBuf> {
    let section = reader.section(root, "disk");
    if !section.has("paths") {
        return vec![reader.defaulted(&section, "paths[1]", "\"/\"", value::path(base))];
    }
    let paths = reader
        .list(&section, "paths", value::path(base))
        .unwrap_or_default();
    refuse_twice(
        reader,
        paths
            .iter()
            .map(|(path, span)| (shown_path(path), span.clone())),
        "disk",
    );
    paths.into_iter().map(|(path, _)| path).collect()
}

fn read_thresholds<'t>(reader: &mut Reader<'t>, root: &Section<'t>) -> Thresholds {
    let section = reader.section(root, "thresholds");
    let certificate_days = read_days(reader, &section);
    let disk_free_poor = reader.defaulted(&section, "disk_free_poor", "\"15 %\"", value::ratio);
    let disk_free_bad = reader.defaulted(&section, "disk_free_bad", "\"5 %\"", value::ratio);
    if disk_free_bad > disk_free_poor {
        let key = if section.has("disk_free_bad") {
            "disk_free_bad"
        } else {
            "disk_free_poor"
        };
        reader.conflict(
            &section,
            key,
            "a disk would be bad before it is poor",
            "make `disk_free_poor` the larger of the two",
        );
    }
    Thresholds {
        error_ratio: reader.defaulted(&section, "errors", "\"5 %\"", value::ratio),
        latency_ms: f64::from(reader.defaulted(
            &section,
            "latency",
            "\"500 ms\"",
            value::milliseconds,
        )),
        share_off: reader.defaulted(&section, "share_off", "\"50 %\"", value::ratio),
        ttfb_ms: f64::from(reader.defaulted(&section, "ttfb", "\"100 ms\"", value::milliseconds)),
        certificate_days,
        disk_free_poor,
        disk_free_bad,
        memory_ratio: reader.defaulted(&section, "memory", "\"90 %\"", value::ratio),
        restarts: reader.defaulted(&section, "restarts", "3", value::whole(1, 100_000)),
    }
}

/// Notice, bad, urgent: three numbers that fall.
fn read_days<'t>(reader: &mut Reader<'t>, section: &Section<'t>) -> [u32; 3] {
    reader.defaulted(section, "certificate_days", "[21, 7, 3]", |value| {
        const REMEDY: &str = "write three numbers of days that fall: [21, 7, 3]";
        let DeValue::Array(items) = value else {
            return wrong(
                format!("expected a list, found {}", value::kind(value)),
                REMEDY,
            );
        };
        let days: Vec<u32> = items
            .iter()
            .map(|item| value::whole(0, 3650)(item.get_ref()))
            .collect::<Parsed<_>>()?;
        match <[u32; 3]>::try_from(days) {
            Ok(days) if days[0] > days[1] && days[1] > days[2] => Ok(days),
            Ok(_) => wrong("the days do not fall: notice, bad, urgent", REMEDY),
            Err(days) => wrong(
                format!("expected three numbers, found {}", days.len()),
                REMEDY,
            ),
        }
    })
}

fn read_journal<'t>(reader: &mut Reader<'t>, root: &Section<'t>, base: &Path, file: &mut File) {
    let section = reader.section(root, "journal");
    file.journal_store = reader.optional(&section, "store", journal::store(base));
    file.journal_password =
        reader.optional(&section, "password", |value| SecretRef::parse(value, base));
    let needs_none = match file.journal_store {
        Some(JournalStore::Sqlite(_)) => true,
        Some(JournalStore::Postgres(_)) => false,
        None => !section.has("store"),
    };
    if section.has("password") && needs_none {
        reader.conflict(
            &section,
            "password",
            "only PostgreSQL asks for one",
            "take the line out, or write store = \"postgres://host/database?user=name\"",
        );
    }
}

fn read_screen<'t>(reader: &mut Reader<'t>, root: &Section<'t>, file: &mut File) {
    let section = reader.section(root, "screen");
    file.theme = reader.optional(&section, "theme", value::name);
    file.ascii = reader.optional(&section, "ascii", Ascii::parse);
    file.mouse = reader.defaulted(&section, "mouse", "false", value::flag);
    file.clock = reader.defaulted(&section, "time", "\"utc\"", value::one_of(Clock::WORDS));
}
