//! Where an engine is, as it can be dialled.
//!
//! What people write is read by `config`, and only there; this is what its outcome means for a connection.

use std::fmt;
use std::path::PathBuf;

use crate::config::{EngineAddress, EngineConfig, LOCAL_SOCKET, host_port};
use crate::domain::Clean;

/// Where an engine is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    Unix(PathBuf),
    Tcp {
        host: String,
        port: u16,
    },
    Tls {
        host: String,
        port: u16,
        /// Holds `ca.pem`, `cert.pem` and `key.pem`; `None`: the system's authorities and no certificate of ours.
        certs: Option<PathBuf>,
    },
    Ssh {
        user: Option<String>,
        host: String,
        port: Option<u16>,
        /// On the far side.
        socket: PathBuf,
    },
}

impl From<&EngineConfig> for Address {
    /// TCP with a folder of certificates is TLS.
    fn from(engine: &EngineConfig) -> Self {
        match &engine.address {
            EngineAddress::Unix(path) => Self::Unix(path.clone()),
            EngineAddress::Tcp { host, port } => {
                let (host, port) = (host.to_string(), *port);
                match &engine.tls_dir {
                    Some(dir) => Self::Tls {
                        host,
                        port,
                        certs: Some(dir.clone()),
                    },
                    None => Self::Tcp { host, port },
                }
            }
            EngineAddress::Ssh {
                user,
                host,
                port,
                socket,
            } => Self::Ssh {
                user: user.as_ref().map(ToString::to_string),
                host: host.to_string(),
                port: *port,
                socket: socket
                    .clone()
                    .unwrap_or_else(|| PathBuf::from(LOCAL_SOCKET)),
            },
        }
    }
}

impl Default for Address {
    fn default() -> Self {
        Self::Unix(PathBuf::from(LOCAL_SOCKET))
    }
}

impl Address {
    /// A socket of this host: what is behind it may be on this host too.
    pub fn is_local_socket(&self) -> bool {
        matches!(self, Self::Unix(_))
    }
}

/// As it is written in the configuration: whether TCP is protected is said by its folder of certificates.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Unix(path) => format!("unix://{}", path.display()),
            Self::Tcp { host, port } | Self::Tls { host, port, .. } => {
                format!("tcp://{}", host_port(host, Some(*port)))
            }
            Self::Ssh {
                user,
                host,
                port,
                socket,
            } => {
                let user = user.as_ref().map(|u| format!("{u}@")).unwrap_or_default();
                let socket = match socket.as_os_str() {
                    usual if usual == LOCAL_SOCKET => String::new(),
                    _ => socket.display().to_string(),
                };
                format!("ssh://{user}{}{socket}", host_port(host, *port))
            }
        };
        f.pad(&Clean::line(&text))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Config, Env, Flags};

    /// What the flag `--host` leads to, with a folder of certificates in the environment.
    #[track_caller]
    fn dialled(text: &str, certs: Option<&str>) -> Address {
        let flags = Flags {
            host: Some(text.to_owned()),
            ..Flags::default()
        };
        let env = Env::read(|name| (name == "DOCKER_CERT_PATH").then(|| certs.map(Into::into))?);
        let config = Config::without_file(&flags, &env, Path::new("/nowhere")).unwrap();
        Address::from(&config.engine)
    }

    #[test]
    fn an_address_is_shown_as_it_was_written() {
        for text in [
            "unix:///run/user/1/docker.sock",
            "tcp://10.0.0.5:2375",
            "tcp://[::1]:99",
            "ssh://ops@db1:2222/run/x.sock",
            "ssh://db1",
        ] {
            assert_eq!(dialled(text, None).to_string(), text);
        }
        assert_eq!(
            dialled("ssh://db1/var/run/docker.sock", None).to_string(),
            "ssh://db1"
        );
    }

    #[test]
    fn tcp_with_certificates_is_tls_and_without_a_flag_it_is_the_local_socket() {
        let tls = dialled("tcp://h:2376", Some("/c"));
        assert!(matches!(&tls, Address::Tls { certs: Some(c), .. } if c.as_os_str() == "/c"));
        assert!(matches!(dialled("tcp://h:2376", None), Address::Tcp { .. }));
        let config =
            Config::without_file(&Flags::default(), &Env::default(), Path::new("/")).unwrap();
        assert_eq!(Address::from(&config.engine), Address::default());
    }
}
