//! The first `quarterdeck.toml` of a stack, written from what `quarterdeck init` found: a file to read and to edit.
//!
//! Text in, text out. What was found is set; what can only be guessed stands there as a comment.

use std::fmt::Write;
use std::path::PathBuf;

use crate::domain::Clean;

/// One service of the project.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FoundService {
    pub name: Clean,
    /// Containers of it that there are now.
    pub replicas: u32,
    /// Ports published on this host: host's, container's.
    pub published: Vec<(u16, u16)>,
    /// Ports where it may serve metrics.
    pub metrics_ports: Vec<u16>,
}

/// What was found out about a project.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    pub project: Clean,
    /// Of the Compose file.
    pub working_dir: Option<PathBuf>,
    pub services: Vec<FoundService>,
    /// The service that looks like the entrance, and its published TLS port.
    pub gateway: Option<(Clean, Option<u16>)>,
    /// The authority that signed the gateway's certificate, where the system does not know it and it was found.
    pub ca_file: Option<PathBuf>,
    /// The gateway writes the JSON access log, and sends requests to this service.
    pub access_log_of: Option<Clean>,
    /// Published port of something that answers like Prometheus.
    pub prometheus_port: Option<u16>,
}

/// Renders a commented `quarterdeck.toml` that parses without a problem.
pub fn write_example(found: &Found) -> String {
    let parts = [
        head(found),
        services(found),
        gateway(found),
        traffic(found),
        prometheus(found),
        BACKUPS.to_owned(),
        THRESHOLDS.to_owned(),
    ];
    parts.join("\n")
}

/// A name as a TOML text. A [`Clean`] holds no control characters, so quotes and backslashes are all there is to escape.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// What the reader takes as a name; other names stand in a comment.
fn is_name(text: &str) -> bool {
    super::value::name(&toml::de::DeValue::String(text.into())).is_ok()
}

fn head(found: &Found) -> String {
    let mut out = "# What quarterdeck watches. `quarterdeck config check` reads this file and names every mistake in it.\n".to_owned();
    if let Some(dir) = &found.working_dir {
        let _ = writeln!(out, "# Found in {}.", super::settings::shown_path(dir));
    }
    let name = if is_name(&found.project) {
        found.project.as_str()
    } else {
        "your-compose-project"
    };
    let _ = write!(
        out,
        "\n[stack]\n# The Compose project: `docker compose ls` shows it.\nname = {}\n\
         # production, staging, development, training, or a word of your own. It stands in the header.\n\
         environment = \"production\"\n",
        quoted(name)
    );
    out
}

fn services(found: &Found) -> String {
    let mut out = "# Every service that matters. Fewer replicas than here are a finding.\n\
                   # matters = false: it is shown, and its trouble is not the stack's.\n"
        .to_owned();
    for service in &found.services {
        let ports = published(service);
        if is_name(&service.name) {
            let _ = write!(
                out,
                "\n[[service]]\nname = {}{ports}\nreplicas = {}\n",
                quoted(&service.name),
                service.replicas.min(1000)
            );
        } else {
            let _ = writeln!(
                out,
                "\n# left out, for its name is unusual: {}",
                service.name
            );
        }
    }
    if found.services.is_empty() {
        out.push_str("\n# [[service]]\n# name = \"server\"\n# replicas = 3\n");
    }
    out
}

fn published(service: &FoundService) -> String {
    let ports: Vec<String> = service
        .published
        .iter()
        .map(|(host, inside)| format!("{host} -> {inside}"))
        .collect();
    if ports.is_empty() {
        String::new()
    } else {
        format!("  # published: {}", ports.join(", "))
    }
}

fn gateway(found: &Found) -> String {
    let note =
        "# The entrance. Its URL is watched as an endpoint, and over https its certificate too.\n";
    let Some((name, tls)) = found.gateway.as_ref().filter(|(name, _)| is_name(name)) else {
        return format!(
            "{note}# [gateway]\n# service = \"gateway\"\n# url = \"https://localhost:8443\"\n{ENDPOINTS}"
        );
    };
    let url = match tls.filter(|port| *port > 0) {
        Some(port) => format!(
            "url = \"https://localhost:{port}\"\n# The authority that signed its certificate, if the system does not know it.\n{}\n",
            ca_file(found)
        ),
        None => "# url = \"https://localhost:8443\"\n".to_owned(),
    };
    format!(
        "{note}[gateway]\nservice = {}\n{url}{ENDPOINTS}",
        quoted(name)
    )
}

/// A path that is no plain text cannot be written down.
fn ca_file(found: &Found) -> String {
    let path = found.ca_file.as_ref().and_then(|path| path.to_str());
    match path.filter(|path| Clean::line(path) == **path && !path.is_empty()) {
        Some(path) => format!("ca_file = {}", quoted(path)),
        None => "# ca_file = \"certs/ca.pem\"".to_owned(),
    }
}

const ENDPOINTS: &str = r#"
# More addresses, and what is expected of the answer.
# [[endpoint]]
# name = "health"
# url = "https://localhost:8443/health"
# status = 200
# headers = { "strict-transport-security" = "max-age" }

# More certificates, served or on disk.
# [[certificate]]
# endpoint = "localhost:8443"
# on_disk = "certs/server.pem"
"#;

fn traffic(found: &Found) -> String {
    let mut out = "# Where requests per replica are learned from.\n".to_owned();
    let usable = |service: &&FoundService| is_name(&service.name);
    let mut any = false;
    for service in found.services.iter().filter(usable) {
        let Some(port) = service.metrics_ports.iter().find(|port| **port > 0) else {
            continue;
        };
        any = true;
        let _ = write!(
            out,
            "[[traffic]]\nkind = \"metrics\"\nservice = {}\nport = {port}",
            quoted(&service.name)
        );
        let others: Vec<String> = service
            .metrics_ports
            .iter()
            .filter(|other| *other != port)
            .map(u16::to_string)
            .collect();
        if !others.is_empty() {
            let _ = write!(out, "  # or {}", others.join(", "));
        }
        out.push_str("\npath = \"/metrics\"\n\n");
    }
    if !any {
        out.push_str(
            "# [[traffic]]\n# kind = \"metrics\"\n# service = \"server\"\n# port = 9100\n\n",
        );
    }
    out.push_str("# The gateway's JSON access log says what users really got.\n");
    let gateway = found.gateway.as_ref().map(|(name, _)| name);
    match (gateway, &found.access_log_of) {
        (Some(gateway), Some(service)) if is_name(gateway) && is_name(service) => {
            let _ = write!(
                out,
                "[[traffic]]\nkind = \"access-log\"\ngateway = {}\nservice = {}\n",
                quoted(gateway),
                quoted(service)
            );
        }
        _ => out.push_str("# [[traffic]]\n# kind = \"access-log\"\n# gateway = \"gateway\"\n# service = \"server\"\n"),
    }
    out
}

fn prometheus(found: &Found) -> String {
    let note = "# Alerts, rules and targets.\n";
    match found.prometheus_port.filter(|port| *port > 0) {
        Some(port) => format!(
            "{note}[prometheus]\nurl = \"http://127.0.0.1:{port}\"\n# token = {{ file = \"/etc/quarterdeck/prometheus.token\" }}\n"
        ),
        None => format!("{note}# [prometheus]\n# url = \"http://127.0.0.1:9090\"\n"),
    }
}

const BACKUPS: &str = r#"# Backups as files: the newest good one is no older than age_max.
# [[backup]]
# target = "postgres"
# directory = "/var/backups/postgres"
# pattern = "*.dump"
# age_max = "26 h"
# keep_min = 7
"#;

const THRESHOLDS: &str = r#"# When a figure is trouble. These are the defaults.
[thresholds]
errors = "5 %"
latency = "500 ms"                # of 95 % of the requests
ttfb = "100 ms"
certificate_days = [21, 7, 3]     # notice, bad, urgent

[screen]
time = "utc"                      # or "local"
"#;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;
    use crate::config::file::parse;

    fn found() -> Found {
        let service = |name: &str, replicas| FoundService {
            name: Clean::from(name),
            replicas,
            ..FoundService::default()
        };
        Found {
            project: Clean::from("hyper-mission"),
            working_dir: Some(PathBuf::from("/srv/hyper-mission")),
            services: vec![
                FoundService {
                    published: vec![(8080, 80), (8443, 443)],
                    ..service("gateway", 1)
                },
                FoundService {
                    metrics_ports: vec![9100, 8080],
                    ..service("server", 3)
                },
                service("postgres", 1),
            ],
            gateway: Some((Clean::from("gateway"), Some(8443))),
            prometheus_port: Some(9092),
            ca_file: Some(PathBuf::from("/srv/hyper-mission/tls/ca.pem")),
            access_log_of: Some(Clean::from("server")),
        }
    }

    #[test]
    fn what_was_found_is_configured() {
        let text = write_example(&found());
        let file = parse(Path::new("q.toml"), Path::new("/"), &text)
            .unwrap_or_else(|problems| panic!("{problems}\n{text}"));
        let stack = file.stack.unwrap();
        assert_eq!(stack.name, "hyper-mission");
        assert_eq!(stack.service("server").unwrap().replicas, Some(3));
        assert_eq!(stack.endpoints[0].url, "https://localhost:8443");
        assert_eq!(stack.certificates.len(), 1);
        assert_eq!(stack.prometheus.as_deref(), Some("http://127.0.0.1:9092"));
        assert_eq!(stack.traffic.len(), 2);
        assert_eq!(stack.endpoints[0].ca_file, found().ca_file);
        insta::assert_snapshot!(text);
    }

    #[test]
    fn the_lines_that_stand_there_as_comments_are_right_too() {
        let commented = |text: &str| -> String {
            let setting = |line: &&str| {
                line.strip_prefix("# ")
                    .is_some_and(|l| l.starts_with('[') || l.contains(" = "))
            };
            text.lines()
                .filter(|line| setting(line) && !line.contains(": "))
                .map(|line| &line[2..])
                .collect::<Vec<_>>()
                .join("\n")
        };
        let text = format!(
            "[stack]\nname = \"a\"\n{}",
            commented(&write_example(&Found::default()))
        );
        if let Err(problems) = parse(Path::new("q.toml"), Path::new("/"), &text) {
            panic!("{problems}\n{text}");
        }
        assert!(
            text.contains("[[backup]]")
                && text.contains("[[endpoint]]")
                && text.contains("[gateway]"),
            "{text}"
        );
    }

    proptest! {
        #[test]
        fn whatever_was_found_the_file_is_right(
            project in any::<String>(), name in any::<String>(), replicas in any::<u32>(), port in any::<u16>(), tls in any::<Option<u16>>(),
        ) {
            let mut found = found();
            found.project = Clean::from(project);
            found.working_dir = Some(PathBuf::from(name.clone()));
            found.services[1] = FoundService {
                name: Clean::from(name.clone()), replicas, published: vec![(port, port)], metrics_ports: vec![port, port],
            };
            found.gateway = Some((Clean::from(name.clone()), tls));
            found.ca_file = Some(PathBuf::from(&name));
            found.access_log_of = Some(Clean::from(name));
            found.prometheus_port = Some(port);
            let text = write_example(&found);
            let read = parse(Path::new("q.toml"), Path::new("/"), &text);
            prop_assert!(read.is_ok() || read.as_ref().is_err_and(|p| p.all.iter().all(|p| p.says.contains("twice"))), "{}\n{}", read.unwrap_err(), text);
        }
    }
}
