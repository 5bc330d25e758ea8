//! Who sits here: what the kernel knows, and beside it what the environment claims.

use std::fs;
use std::io::Read;
use std::time::{Duration, SystemTime};

use rustix::time::{ClockId, clock_gettime};

use crate::config::Env;
use crate::domain::{Clean, Timestamp};
use crate::journal::{Actor, Claims, Moment};

/// The kernel's word for "nobody has logged in": started by the system, or audit is off.
const LOGIN_UID_UNSET: u32 = u32::MAX;

/// A host with more users than fit in this keeps them elsewhere.
const PASSWD_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// This process's user and this machine's start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub actor: Actor,
    pub boot_id: Clean,
}

impl Identity {
    /// Asks the kernel. What it does not say stays unknown; nothing of it is taken from the environment.
    pub fn look(env: &Env) -> Self {
        let uid = rustix::process::getuid().as_raw();
        Self {
            actor: Actor {
                uid,
                login_uid: read("/proc/self/loginuid").and_then(|text| login_uid(&text)),
                user: read("/etc/passwd")
                    .and_then(|text| user_of(&text, uid))
                    .unwrap_or_else(|| Clean::from(format!("uid {uid}"))),
                claims: Claims {
                    ssh: claimed(env, "SSH_CONNECTION"),
                    tty: tty(),
                    sudo_user: claimed(env, "SUDO_USER"),
                },
            },
            boot_id: read("/proc/sys/kernel/random/boot_id")
                .map(|text| Clean::line(text.trim()))
                .unwrap_or_default(),
        }
    }

    /// This moment, by the wall and by the machine.
    pub fn moment(&self) -> Moment {
        let wall = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let machine = clock_gettime(ClockId::Monotonic);
        let machine = Duration::new(
            u64::try_from(machine.tv_sec).unwrap_or_default(),
            u32::try_from(machine.tv_nsec).unwrap_or_default(),
        );
        let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        Moment {
            at: Timestamp(millis(wall)),
            monotonic_ms: millis(machine),
            boot_id: self.boot_id.clone(),
        }
    }
}

fn read(path: &str) -> Option<String> {
    let mut bytes = Vec::new();
    fs::File::open(path)
        .ok()?
        .take(PASSWD_BYTES_MAX)
        .read_to_end(&mut bytes)
        .ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn claimed(env: &Env, name: &str) -> Option<Clean> {
    env.text(name).map(|text| Clean::line(&text))
}

fn tty() -> Option<Clean> {
    let name = rustix::termios::ttyname(std::io::stdin(), Vec::new()).ok()?;
    Some(Clean::bytes(name.as_bytes()))
}

fn login_uid(text: &str) -> Option<u32> {
    let uid = text.trim().parse().ok()?;
    (uid != LOGIN_UID_UNSET).then_some(uid)
}

/// The name of a user in the format of `passwd(5)`.
fn user_of(passwd: &str, uid: u32) -> Option<Clean> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let found: u32 = fields.nth(1)?.parse().ok()?;
        (found == uid).then(|| Clean::line(name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_the_one_of_the_number() {
        let passwd = "root:x:0:0::/root:/bin/sh\nbroken\nada:x:1000:1000:,,:/home/ada:/bin/sh\n";
        assert_eq!(user_of(passwd, 1000), Some(Clean::from("ada")));
        assert_eq!(user_of(passwd, 1), None);
        assert_eq!(user_of("\u{1b}[2J:x:5:", 5), Some(Clean::from("^[[2J")));
    }

    #[test]
    fn an_unset_login_is_no_user() {
        assert_eq!(login_uid("4294967295"), None);
        assert_eq!(login_uid("1000\n"), Some(1000));
        assert_eq!(login_uid(""), None);
    }

    #[test]
    fn claims_come_from_the_environment_and_are_cleaned() {
        let env = Env::read(|name| match name {
            "SSH_CONNECTION" => Some("192.0.2.7 5 \u{1b}[2J".into()),
            "SUDO_USER" => Some("ada".into()),
            _ => None,
        });
        let identity = Identity::look(&env);
        assert_eq!(
            identity.actor.claims.ssh,
            Some(Clean::from("192.0.2.7 5 ^[[2J"))
        );
        assert_eq!(identity.actor.claims.sudo_user, Some(Clean::from("ada")));
        assert!(identity.moment().monotonic_ms > 0);
    }
}
