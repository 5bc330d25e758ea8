//! The process environment as far as we read it, handed in once, so that nothing below asks for it.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// Every variable that has a meaning for us. Others are never read, so they can never be shown.
pub const VARIABLES: [&str; 23] = [
    "QUARTERDECK_CONFIG",
    "QUARTERDECK_THEME",
    "QUARTERDECK_ASCII",
    "QUARTERDECK_LOG",
    // For tests: breaks the console at a chosen place, so that its way out can be seen.
    "QUARTERDECK_PANIC_AT",
    "NO_COLOR",
    "DOCKER_HOST",
    "DOCKER_CERT_PATH",
    "DOCKER_TLS_VERIFY",
    "HOME",
    "XDG_CONFIG_HOME",
    "XDG_STATE_HOME",
    "XDG_RUNTIME_DIR",
    "SSH_CONNECTION",
    "SUDO_USER",
    "COLORFGBG",
    "COLORTERM",
    "TERM",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "PATH",
    "TMUX",
];

#[derive(Clone, Default)]
pub struct Env(BTreeMap<&'static str, OsString>);

impl Env {
    /// `Env::read(|name| std::env::var_os(name))`. An empty variable counts as unset.
    pub fn read(look: impl Fn(&str) -> Option<OsString>) -> Self {
        let set = |name| {
            look(name)
                .filter(|value| !value.is_empty())
                .map(|value| (name, value))
        };
        Self(VARIABLES.into_iter().filter_map(set).collect())
    }

    pub fn raw(&self, name: &str) -> Option<&OsStr> {
        self.0.get(name).map(OsString::as_os_str)
    }

    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The value as text; bytes that are none become replacement characters, which no setting accepts.
    pub fn text(&self, name: &str) -> Option<String> {
        self.raw(name)
            .map(|value| value.to_string_lossy().into_owned())
    }

    /// A folder. The XDG rules: a relative one is to be ignored.
    pub fn folder(&self, name: &str) -> Option<PathBuf> {
        self.raw(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    }

    /// Whether the locale writes UTF-8, by the first of the three variables that is set.
    pub fn utf8(&self) -> bool {
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
            .into_iter()
            .find_map(|name| self.text(name));
        locale.is_some_and(|locale| {
            let locale = locale.to_ascii_lowercase();
            locale.contains("utf-8") || locale.contains("utf8")
        })
    }
}

/// Folders and files of ours outside the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Paths {
    /// `$XDG_CONFIG_HOME/quarterdeck`; `None` where there is no home.
    pub config_dir: Option<PathBuf>,
    /// `$XDG_STATE_HOME/quarterdeck`
    pub state_dir: Option<PathBuf>,
    /// `$XDG_RUNTIME_DIR/quarterdeck`: gone after logging out; `None` where the system has none.
    pub runtime_dir: Option<PathBuf>,
    /// What a relative path on the command line counts from.
    pub working_dir: PathBuf,
}

impl Paths {
    pub fn new(env: &Env, working_dir: &Path) -> Self {
        let below = |variable: &str, home: &str| {
            let folder = env
                .folder(variable)
                .or_else(|| Some(env.folder("HOME")?.join(home)));
            folder.map(|folder| folder.join("quarterdeck"))
        };
        Self {
            config_dir: below("XDG_CONFIG_HOME", ".config"),
            state_dir: below("XDG_STATE_HOME", ".local/state"),
            runtime_dir: env
                .folder("XDG_RUNTIME_DIR")
                .map(|folder| folder.join("quarterdeck")),
            working_dir: working_dir.to_owned(),
        }
    }

    /// Themes of the user, one file each.
    pub fn themes_dir(&self) -> Option<PathBuf> {
        self.config_dir.as_ref().map(|dir| dir.join("themes"))
    }

    /// The journal, where the configuration does not name another.
    pub fn journal_file(&self) -> Option<PathBuf> {
        self.state_dir.as_ref().map(|dir| dir.join("journal.db"))
    }

    /// The console's own log.
    pub fn log_file(&self) -> Option<PathBuf> {
        self.state_dir
            .as_ref()
            .map(|dir| dir.join("log/quarterdeck.log"))
    }
}

#[cfg(test)]
impl Env {
    pub(super) fn of<const N: usize>(pairs: [(&str, &str); N]) -> Self {
        let pairs = BTreeMap::from(pairs);
        Self::read(|name| pairs.get(name).map(OsString::from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_variables_are_read() {
        let env = Env::read(|name| {
            assert!(VARIABLES.contains(&name));
            Some(OsString::from("x"))
        });
        assert!(!env.has("AWS_SECRET_ACCESS_KEY"));
    }

    #[test]
    fn the_first_locale_variable_that_is_set_decides() {
        assert!(Env::of([("LANG", "en_US.UTF-8")]).utf8());
        assert!(!Env::of([("LC_ALL", "C"), ("LANG", "en_US.UTF-8")]).utf8());
        assert!(Env::of([("LC_ALL", ""), ("LANG", "de_DE.utf8")]).utf8());
        assert!(!Env::of([]).utf8());
    }

    #[test]
    fn folders_follow_xdg_and_relative_ones_are_ignored() {
        let cwd = Path::new("/w");
        let paths = Paths::new(
            &Env::of([("HOME", "/home/d"), ("XDG_STATE_HOME", "state")]),
            cwd,
        );
        assert_eq!(
            paths.config_dir.as_deref(),
            Some(Path::new("/home/d/.config/quarterdeck"))
        );
        assert_eq!(
            paths.log_file(),
            Some(PathBuf::from(
                "/home/d/.local/state/quarterdeck/log/quarterdeck.log"
            ))
        );
        assert_eq!(paths.runtime_dir, None);
        let paths = Paths::new(
            &Env::of([
                ("XDG_CONFIG_HOME", "/c"),
                ("XDG_RUNTIME_DIR", "/run/user/7"),
            ]),
            cwd,
        );
        assert_eq!(
            paths.themes_dir(),
            Some(PathBuf::from("/c/quarterdeck/themes"))
        );
        assert_eq!(
            paths.runtime_dir,
            Some(PathBuf::from("/run/user/7/quarterdeck"))
        );
        assert_eq!(paths.state_dir, None);
    }
}
