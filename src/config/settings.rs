//! Every effective value and where it came from: what `config show --origin` prints.

use std::fmt::{self, Write};
use std::path::PathBuf;

use crate::domain::Clean;

/// Who set a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    Default,
    File {
        path: PathBuf,
        line: usize,
        column: usize,
    },
    /// The name of the variable.
    Env(&'static str),
    /// The flag as it is typed: `--theme`.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line, .. } => write!(f, "{}:{line}", shown_path(path)),
            Self::Env(name) => write!(f, "environment {name}"),
            Self::Flag(flag) => write!(f, "flag {flag}"),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// `stack.name`, `service[2].replicas`.
    pub key: String,
    /// As it would be written in the file. Never a secret.
    pub value: Clean,
    pub origin: Origin,
}

/// All of them, in the order of the file's format.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings(Vec<Setting>);

impl Settings {
    pub(super) fn add(&mut self, key: String, value: Clean, origin: Origin) {
        self.0.push(Setting { key, value, origin });
    }

    /// Enters a value; what was entered under the key before is replaced.
    pub(super) fn set(&mut self, key: impl Into<String>, value: Clean, origin: Origin) {
        let setting = Setting {
            key: key.into(),
            value,
            origin,
        };
        match self.0.iter_mut().find(|other| other.key == setting.key) {
            Some(other) => *other = setting,
            None => self.0.push(setting),
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Setting> {
        self.0.iter()
    }

    pub fn get(&self, key: &str) -> Option<&Setting> {
        self.0.iter().find(|setting| setting.key == key)
    }

    /// A line for each: `key = value`, and with `origin` who set it, in a column of its own.
    pub fn table(&self, origin: bool) -> String {
        let lines: Vec<Clean> = self
            .0
            .iter()
            .map(|s| Clean::from(format!("{} = {}", s.key, s.value)))
            .collect();
        let widths = lines
            .iter()
            .map(Clean::width)
            .filter(|width| *width <= COLUMN_MAX);
        let column = widths.max().unwrap_or(0);
        let mut out = String::new();
        for (line, setting) in lines.iter().zip(&self.0) {
            out.push_str(line);
            if origin {
                let pad = column.saturating_sub(line.width());
                out.extend(std::iter::repeat_n(' ', pad));
                let _ = write!(out, "  # {}", setting.origin);
            }
            out.push('\n');
        }
        out
    }
}

/// Longer lines push their own origin to the right instead of pushing all others there.
const COLUMN_MAX: usize = 60;

/// A path for people. Linux paths are bytes: what is no text is shown in hexadecimal.
pub(super) fn shown_path(path: &std::path::Path) -> Clean {
    use std::os::unix::ffi::OsStrExt;
    Clean::bytes(path.as_os_str().as_bytes())
}
