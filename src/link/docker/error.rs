//! What can be wrong between us and the engine, and what a person does about it.

use std::fmt;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

use super::api::Api;
use crate::domain::{Clean, Fault, FaultKind};
use crate::link::ssh::SshError;

/// Why the engine could not be asked.
#[derive(Debug, Error)]
pub enum EngineError {
    #[error("no socket at {}", .0.display())]
    SocketMissing(PathBuf),
    #[error("{} is not a socket", .0.display())]
    NotASocket(PathBuf),
    #[error("not allowed to open {}: {access}", path.display())]
    SocketDenied { path: PathBuf, access: Access },
    #[error("the name {host} does not resolve")]
    Name {
        host: Clean,
        #[source]
        source: io::Error,
    },
    #[error("nobody listens at {address}")]
    Refused {
        address: Clean,
        #[source]
        source: io::Error,
    },
    #[error("no answer from {address} to {what} within {limit:?}")]
    Silent {
        address: Clean,
        what: Clean,
        limit: Duration,
    },
    #[error("the engine at {address} broke off during {what}: {reason}")]
    BrokenOff {
        address: Clean,
        what: Clean,
        reason: Clean,
    },
    #[error("what {address} answered to {what} is not of an engine: {reason}")]
    Garbled {
        address: Clean,
        what: Clean,
        reason: Clean,
    },
    #[error("the answer to {what} is larger than {limit} bytes")]
    TooLarge { what: Clean, limit: usize },
    #[error("the engine speaks API {theirs}, we speak {ours} and later")]
    TooOld { theirs: Api, ours: Api },
    #[error("the engine refuses our API version: {message}")]
    Version { message: Clean },
    #[error("the engine knows no {what}: {message}")]
    Missing { what: Clean, message: Clean },
    #[error("the engine answered {status} to {what}: {message}")]
    Answered {
        what: Clean,
        status: u16,
        message: Clean,
    },
    #[error("TLS with {address} failed: {reason}")]
    Tls { address: Clean, reason: Clean },
    #[error("cannot use the certificates in {}: {reason}", directory.display())]
    Certificates { directory: PathBuf, reason: Clean },
    #[error(transparent)]
    Ssh(#[from] SshError),
}

/// Who may open a socket, and who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// Mode, owner and group; `None` where a directory on the way is closed to us.
    pub socket: Option<(u32, u32, u32)>,
    pub uid: u32,
    pub groups: Vec<u32>,
}

impl Access {
    /// Looks at the socket and at ourselves.
    pub fn of(path: &Path) -> Self {
        let mut groups: Vec<u32> = rustix::process::getgroups()
            .unwrap_or_default()
            .iter()
            .map(|g| g.as_raw())
            .collect();
        let own = rustix::process::getegid().as_raw();
        if !groups.contains(&own) {
            groups.insert(0, own);
        }
        Self {
            socket: std::fs::metadata(path)
                .ok()
                .map(|m| (m.mode() & 0o7777, m.uid(), m.gid())),
            uid: rustix::process::geteuid().as_raw(),
            groups,
        }
    }

    fn remedy(&self) -> String {
        match self.socket {
            Some((mode, _, gid)) if mode & 0o060 == 0o060 && !self.groups.contains(&gid) => {
                format!(
                    "join the socket's group and log in again: sudo usermod -aG $(getent group {gid} | cut -d: -f1) $USER"
                )
            }
            Some(_) => "ask the owner of the socket for access, or start as its owner".to_owned(),
            None => "ask for access to the directory of the socket".to_owned(),
        }
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.socket {
            Some((mode, uid, gid)) => {
                write!(f, "mode {mode:04o}, owner uid {uid}, group gid {gid}")?;
            }
            None => f.write_str("its directory is closed to us")?,
        }
        let groups: Vec<String> = self.groups.iter().map(u32::to_string).collect();
        write!(f, "; we are uid {}, groups {}", self.uid, groups.join(","))
    }
}

impl EngineError {
    /// What a failed connect to a socket file means.
    pub(super) fn of_socket(path: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::NotFound => Self::SocketMissing(path.to_owned()),
            io::ErrorKind::PermissionDenied => Self::SocketDenied {
                path: path.to_owned(),
                access: Access::of(path),
            },
            _ if is_no_socket(path) => Self::NotASocket(path.to_owned()),
            _ => Self::Refused {
                address: Clean::line(&format!("unix://{}", path.display())),
                source,
            },
        }
    }

    /// The thing asked for is not there, as opposed to: the engine is not there.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Missing { .. })
    }

    /// The engine may have done what it was told: its answer is lost, or it is not there to be asked.
    pub fn leaves_doubt(&self) -> bool {
        matches!(
            self,
            Self::BrokenOff { .. }
                | Self::Silent { .. }
                | Self::Refused { .. }
                | Self::SocketMissing(_)
        )
    }

    fn kind(&self) -> FaultKind {
        match self {
            Self::Name { .. } => FaultKind::Name,
            Self::SocketMissing(_) | Self::Refused { .. } | Self::BrokenOff { .. } => {
                FaultKind::Refused
            }
            Self::SocketDenied { .. } => FaultKind::Denied,
            Self::Silent { .. } => FaultKind::Silent,
            Self::Garbled { .. } | Self::Answered { .. } | Self::Tls { .. } => FaultKind::Garbled,
            Self::TooLarge { .. } => FaultKind::TooLarge,
            Self::TooOld { .. } | Self::Version { .. } => FaultKind::Unsupported,
            Self::Missing { .. } => FaultKind::Missing,
            Self::NotASocket(_) | Self::Certificates { .. } => FaultKind::Misconfigured,
            Self::Ssh(error) => error.kind(),
        }
    }

    fn remedy(&self) -> Option<String> {
        let text = match self {
            Self::SocketMissing(_) => {
                "start the engine (systemctl start docker), or say where it is with DOCKER_HOST"
            }
            Self::NotASocket(_) => "say where the engine's socket is with DOCKER_HOST",
            Self::SocketDenied { access, .. } => return Some(access.remedy()),
            Self::Name { .. } => "check the host's name in DOCKER_HOST",
            Self::Refused { .. } => "start the engine, or check the address in DOCKER_HOST",
            Self::Silent { .. } => {
                "see whether the engine hangs: docker version, journalctl -u docker"
            }
            Self::BrokenOff { .. } => "see whether the engine restarted: journalctl -u docker",
            Self::Garbled { .. } => {
                "check that the address in DOCKER_HOST is a Docker engine's, and whether it speaks TLS"
            }
            Self::TooLarge { .. } => "this is over our limit; report it with the engine's version",
            Self::TooOld { .. } => "update the engine",
            Self::Version { .. } => "update this program",
            Self::Tls { .. } => "check the certificates in DOCKER_CERT_PATH and the host's name",
            Self::Certificates { .. } => {
                "put ca.pem, cert.pem and key.pem there, readable to us alone"
            }
            Self::Ssh(error) => error.remedy(),
            Self::Missing { .. } | Self::Answered { .. } => return None,
        };
        Some(text.to_owned())
    }
}

fn is_no_socket(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|m| !m.file_type().is_socket())
}

impl From<EngineError> for Fault {
    fn from(error: EngineError) -> Self {
        let fault = Self::new(error.kind(), error.to_string());
        match error.remedy() {
            Some(remedy) => fault.remedy(remedy),
            None => fault,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_socket_says_mode_owner_and_who_we_are() {
        let access = Access {
            socket: Some((0o660, 0, 999)),
            uid: 1000,
            groups: vec![1000, 27],
        };
        let fault = Fault::from(EngineError::SocketDenied {
            path: PathBuf::from("/run/x.sock"),
            access,
        });
        assert_eq!(fault.kind, FaultKind::Denied);
        assert_eq!(
            fault.text.as_str(),
            "not allowed to open /run/x.sock: mode 0660, owner uid 0, group gid 999; we are uid 1000, groups 1000,27"
        );
        assert!(fault.remedy.unwrap().contains("usermod"));
    }

    #[test]
    fn joining_a_group_is_not_proposed_where_it_would_not_help() {
        let access = Access {
            socket: Some((0o600, 0, 0)),
            uid: 1000,
            groups: vec![1000],
        };
        assert!(!access.remedy().contains("usermod"));
    }
}
