//! The gateway's list of replicas: what its file says, and what it should say. Pure; `gateway` puts it in force.
//!
//! The file itself tells who is drained, in its comments, so that nothing has to be remembered between two steps, two
//! runs or two crashes. While nobody is drained it is the default, byte for byte.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::domain::Clean;

/// How the gateway is told where requests go, as the configuration says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// The gateway's own service.
    pub gateway: Clean,
    /// On this host; the gateway has it mounted and includes every `*.conf` in it.
    pub directory: PathBuf,
    /// Name of the list in that directory.
    pub file: String,
    /// What the list says while nothing is drained.
    pub default: PathBuf,
    /// The service whose replicas are listed.
    pub service: Clean,
    pub port: u16,
    /// The variable that the list defines, without `$`.
    pub variable: String,
    /// Run inside the gateway before any reload.
    pub test: Vec<String>,
    /// Longest that the last requests of a drained replica may take.
    pub in_flight_limit: Duration,
}

const SIGN: &str = "# Written by Quarterdeck.";
const SERVICE: &str = "# service:";
const DRAINED: &str = "# drained:";

/// What a list file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listing {
    pub(super) service: Clean,
    pub(super) drained: Vec<Clean>,
}

impl Listing {
    /// Nobody is drained.
    pub(super) fn of(service: &Clean) -> Self {
        Self {
            service: service.clone(),
            drained: Vec::new(),
        }
    }

    /// Reads the file. `None`: neither the default nor of our hand.
    pub(super) fn read(file: Option<&[u8]>, default: &[u8], service: &Clean) -> Option<Self> {
        let Some(file) = file.filter(|file| *file != default) else {
            return Some(Self::of(service));
        };
        let text = std::str::from_utf8(file).ok()?;
        let mut lines = text.lines();
        if !lines.next()?.starts_with(SIGN) {
            return None;
        }
        let service = lines.next()?.strip_prefix(SERVICE)?.trim();
        let drained = lines.next()?.strip_prefix(DRAINED)?.split_whitespace();
        Some(Self {
            service: Clean::line(service),
            drained: drained.map(Clean::line).collect(),
        })
    }

    pub(super) fn has_drained(&self, replica: &Clean) -> bool {
        self.drained.contains(replica)
    }

    #[must_use]
    pub(super) fn without(&self, replica: &Clean) -> Self {
        let mut drained = self.drained.clone();
        drained.push(replica.clone());
        drained.sort();
        drained.dedup();
        Self {
            drained,
            ..self.clone()
        }
    }

    #[must_use]
    pub(super) fn with(&self, replica: &Clean) -> Self {
        let mut drained = self.drained.clone();
        drained.retain(|one| one != replica);
        Self {
            drained,
            ..self.clone()
        }
    }

    /// The file for these replicas: each with its address as the gateway reaches it.
    pub(super) fn render(&self, upstream: &Upstream, replicas: &[(Clean, IpAddr)]) -> Vec<u8> {
        let drained: Vec<&str> = self.drained.iter().map(Clean::as_str).collect();
        let mut text = format!(
            "{SIGN} To take it back, put {} in its place and reload.\n{SERVICE} {}\n{DRAINED} {}\n",
            upstream.default.file_name().unwrap_or_default().display(),
            self.service,
            drained.join(" ")
        );
        // Without max_fails=0 one answer 503 from each would make nginx try none of them for ten seconds.
        text.push_str("upstream listed {\n");
        for (name, ip) in replicas {
            let at = std::net::SocketAddr::new(*ip, upstream.port);
            let _ = writeln!(text, "    server {at} max_fails=0; # {name}");
        }
        let _ = write!(
            text,
            "    keepalive 32;\n}}\nmap \"\" ${} {{ default listed; }}\n",
            upstream.variable
        );
        text.into_bytes()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::step) fn upstream() -> Upstream {
        Upstream {
            gateway: Clean::from("gateway"),
            directory: PathBuf::from("/srv/gateway/upstream"),
            file: "api.conf".to_owned(),
            default: PathBuf::from("/srv/gateway/upstream.default"),
            service: Clean::from("server"),
            port: 5000,
            variable: "api".to_owned(),
            test: vec!["nginx".to_owned(), "-t".to_owned()],
            in_flight_limit: Duration::from_secs(15),
        }
    }

    const DEFAULT: &[u8] = b"map \"\" $api { default server:5000; }\n";

    fn read(file: Option<&[u8]>) -> Option<Listing> {
        Listing::read(file, DEFAULT, &Clean::from("server"))
    }

    #[test]
    fn the_list_names_who_serves_and_who_is_drained() {
        let listing = Listing::of(&Clean::from("server")).without(&Clean::from("server-2"));
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let serving = [
            (Clean::from("server-1"), ip("172.20.0.4")),
            (Clean::from("server-3"), ip("fd00::5")),
        ];
        let text = String::from_utf8(listing.render(&upstream(), &serving)).unwrap();
        assert_eq!(
            text,
            "# Written by Quarterdeck. To take it back, put upstream.default in its place and reload.\n\
             # service: server\n\
             # drained: server-2\n\
             upstream listed {\n    server 172.20.0.4:5000 max_fails=0; # server-1\n    \
             server [fd00::5]:5000 max_fails=0; # server-3\n    keepalive 32;\n}\n\
             map \"\" $api { default listed; }\n"
        );
        assert_eq!(read(Some(text.as_bytes())), Some(listing));
    }

    #[test]
    fn nobody_is_drained_where_the_default_stands_or_nothing() {
        let nobody = Some(Listing::of(&Clean::from("server")));
        assert_eq!(read(Some(DEFAULT)), nobody);
        assert_eq!(read(None), nobody);
    }

    #[test]
    fn a_file_of_another_hand_is_not_understood() {
        for file in [
            &b"upstream listed { server 10.0.0.1:80; }"[..],
            b"# Written by Quarterdeck.\n",
            b"# Written by Quarterdeck.\n# drained: a\n# service: b\n",
            b"\xff\xfe",
            b"",
        ] {
            assert_eq!(read(Some(file)), None, "{}", file.escape_ascii());
        }
    }

    #[test]
    fn drained_twice_is_drained_once_and_back_is_back() {
        let (one, two) = (Clean::from("server-1"), Clean::from("server-2"));
        let nobody = Listing::of(&Clean::from("server"));
        let both = nobody.without(&two).without(&one).without(&two);
        assert_eq!(both.drained, [one.clone(), two.clone()]);
        assert!(both.has_drained(&two) && !both.with(&two).has_drained(&two));
        assert_eq!(both.with(&one).with(&two), nobody);
        assert_eq!(nobody.with(&one), nobody);
    }
}
