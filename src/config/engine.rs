//! Which engine to talk to.
//!
//! A flag goes before the file, the file before `DOCKER_HOST`, and that before the local socket. Credentials are never
//! part of an address: TLS takes a folder with `ca.pem`, `cert.pem` and `key.pem`, ssh has its own agent and files.

use std::fmt;
use std::path::{Path, PathBuf};

use super::settings::Origin;
use super::value::{Parsed, split, wrong};
use crate::domain::Clean;

/// Where the engine listens unless somebody says otherwise.
pub const LOCAL_SOCKET: &str = "/var/run/docker.sock";

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EngineAddress {
    Unix(PathBuf),
    Tcp {
        host: Clean,
        port: u16,
    },
    Ssh {
        user: Option<Clean>,
        host: Clean,
        port: Option<u16>,
        /// The engine's socket on the far side; `None`: the usual place.
        socket: Option<PathBuf>,
    },
}

impl fmt::Display for EngineAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", super::settings::shown_path(path)),
            Self::Tcp { host, port } => write!(f, "tcp://{}", host_port(host, Some(*port))),
            Self::Ssh {
                user,
                host,
                port,
                socket,
            } => {
                f.write_str("ssh://")?;
                if let Some(user) = user {
                    write!(f, "{user}@")?;
                }
                f.write_str(&host_port(host, *port))?;
                socket.as_ref().map_or(Ok(()), |path| {
                    write!(f, "{}", super::settings::shown_path(path))
                })
            }
        }
    }
}

/// `10.0.0.7:2376`, `[::1]:2376`, `prod-1`.
pub fn host_port(host: &str, port: Option<u16>) -> String {
    let host = if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    };
    port.map_or_else(|| host.clone(), |port| format!("{host}:{port}"))
}

/// The engine, and who said so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineConfig {
    pub address: EngineAddress,
    pub origin: Origin,
    /// Folder with `ca.pem`, `cert.pem` and `key.pem`. With it `tcp://` speaks TLS, and the engine's certificate is
    /// always verified.
    pub tls_dir: Option<PathBuf>,
}

impl EngineConfig {
    /// Anybody on the way can take over the host: TCP without TLS that leaves this host.
    pub fn is_unprotected(&self) -> bool {
        match &self.address {
            EngineAddress::Tcp { host, .. } => {
                let local = host == "localhost"
                    || host
                        .parse::<std::net::IpAddr>()
                        .is_ok_and(|ip| ip.is_loopback());
                self.tls_dir.is_none() && !local
            }
            EngineAddress::Unix(_) | EngineAddress::Ssh { .. } => false,
        }
    }
}

pub(super) fn address(text: &str) -> Parsed<EngineAddress> {
    const FORMS: &str =
        "write \"unix:///var/run/docker.sock\", \"tcp://host:2376\" or \"ssh://user@host\"";
    if text.starts_with('/') {
        return wrong("the scheme is missing", format!("write \"unix://{text}\""));
    }
    match text.split_once("://") {
        Some(("unix", path)) => unix(path),
        Some(("tcp", _)) => tcp(text),
        Some(("ssh", rest)) => ssh(rest),
        Some(("http" | "https", rest)) if !rest.contains('@') => wrong(
            "an engine is addressed by tcp://",
            format!("write \"tcp://{}\"", rest.trim_end_matches('/')),
        ),
        Some(("npipe" | "fd", _)) => wrong("this kind of socket is not supported", FORMS),
        _ => wrong("this is no engine's address", FORMS),
    }
}

fn unix(path: &str) -> Parsed<EngineAddress> {
    if Path::new(path).is_absolute() && Clean::line(path) == *path {
        return Ok(EngineAddress::Unix(PathBuf::from(path)));
    }
    wrong(
        "the path of a socket is absolute, and plain text",
        "write three slashes: \"unix:///var/run/docker.sock\"",
    )
}

fn tcp(text: &str) -> Parsed<EngineAddress> {
    let url = split(
        text,
        "take them out; TLS with `tls_dir` tells the engine who we are",
    )?;
    if !matches!(url.rest.as_str(), "" | "/") {
        return wrong("a path has no meaning here", "write only tcp://host:port");
    }
    match url.port {
        Some(port) => Ok(EngineAddress::Tcp {
            host: Clean::from(url.host),
            port,
        }),
        None => wrong(
            "the port is missing",
            format!("write \"tcp://{}:2376\" (TLS), or 2375 without", url.host),
        ),
    }
}

fn ssh(rest: &str) -> Parsed<EngineAddress> {
    let end = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let (user, place) = match authority.rsplit_once('@') {
        Some((user, place)) => (Some(user), place),
        None => (None, authority),
    };
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    match user {
        Some(user) if user.contains(':') => {
            return wrong(
                "a password does not belong in an address",
                "take it out; ssh uses your agent and your keys",
            );
        }
        // A user that begins with a dash would be an option to `ssh`.
        Some(user) if user.is_empty() || user.starts_with('-') || !user.chars().all(fine) => {
            return wrong("this is no user's name", "write \"ssh://user@host\"");
        }
        _ => {}
    }
    let url = split(
        &format!("ssh://{place}{path}"),
        "take them out; ssh uses your agent and your keys",
    )?;
    Ok(EngineAddress::Ssh {
        user: user.map(Clean::from),
        host: Clean::from(url.host),
        port: url.port,
        socket: (url.rest.len() > 1 && url.rest != LOCAL_SOCKET).then(|| PathBuf::from(url.rest)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_shown_as_they_are_written() {
        for text in [
            "unix:///var/run/docker.sock",
            "tcp://10.0.0.7:2376",
            "tcp://[::1]:2375",
            "ssh://deploy@prod-1",
            "ssh://deploy@prod-1:2222/run/docker.sock",
            "ssh://prod-1",
        ] {
            assert_eq!(address(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_the_right_form() {
        for (text, remedy) in [
            ("/var/run/docker.sock", "unix:///var/run/docker.sock"),
            ("unix://var/run/docker.sock", "three slashes"),
            ("http://h:2375", "tcp://h:2375"),
            ("tcp://h", "tcp://h:2376"),
            ("tcp://u:p@h:2376", "tls_dir"),
            ("ssh://u:p@h", "agent"),
            ("ssh://-oProxyCommand=x@h", "ssh://user@host"),
            ("ssh://-oProxyCommand=x", "name or an address"),
            ("npipe:////./pipe/docker", "unix:///"),
            ("docker", "ssh://user@host"),
            ("tcp://h:2376/path", "only tcp://host:port"),
        ] {
            let wrong = address(text).unwrap_err();
            assert!(wrong.remedy.contains(remedy), "{text}: {wrong:?}");
        }
    }

    #[test]
    fn open_tcp_is_unprotected_only_off_this_host() {
        let is = |text: &str, tls: Option<&str>| {
            EngineConfig {
                address: address(text).unwrap(),
                origin: Origin::Default,
                tls_dir: tls.map(PathBuf::from),
            }
            .is_unprotected()
        };
        assert!(is("tcp://10.0.0.7:2375", None));
        assert!(!is("tcp://10.0.0.7:2376", Some("/certs")));
        assert!(!is("tcp://127.0.0.1:2375", None));
        assert!(!is("tcp://[::1]:2375", None));
        assert!(!is("unix:///var/run/docker.sock", None));
    }
}
