//! Secrets: the configuration only says where they lie.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use thiserror::Error;
use toml::de::DeValue;

use super::settings::shown_path;
use super::value::{self, Parsed, wrong};

/// A token is a line; a file of this size is something else.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// Where a secret lies: `{ file = "…" }` or `{ env = "…" }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretRef {
    File(PathBuf),
    Env(String),
}

/// A secret. It has no `Debug`, no `Display` and no `Serialize`, so that it cannot be written anywhere by accident.
pub struct Secret(String);

impl Secret {
    /// The text itself: for the header or the file descriptor that it is meant for, and nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

#[derive(Debug, Error)]
pub enum SecretError {
    #[error("cannot read the secret in {}", shown_path(path))]
    Unreadable {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("the secret in {place} is empty, too long or no text; write it on one line")]
    Unusable { place: String },
    #[error("the environment variable {name}, which holds a secret, is not set")]
    Unset { name: String },
}

impl SecretRef {
    pub(super) fn parse(value: &DeValue<'_>, base: &Path) -> Parsed<Self> {
        const REMEDY: &str =
            "write { file = \"path\" } or { env = \"NAME\" }: secrets stay out of this file";
        let DeValue::Table(table) = value else {
            return wrong(
                format!(
                    "expected where the secret lies, found {}",
                    value::kind(value)
                ),
                REMEDY,
            );
        };
        let mut entries = table.iter();
        let (Some((key, value)), None) = (entries.next(), entries.next()) else {
            return wrong("expected exactly one of `file` and `env`", REMEDY);
        };
        let key: &str = key.get_ref();
        match key {
            "file" => Ok(Self::File(value::path(base)(value.get_ref())?)),
            "env" => Ok(Self::Env(variable(value.get_ref())?)),
            _ => wrong("expected `file` or `env`", REMEDY),
        }
    }

    /// Fetches it. `env` looks up a variable.
    pub fn read(
        &self,
        env: impl Fn(&str) -> Option<std::ffi::OsString>,
    ) -> Result<Secret, SecretError> {
        match self {
            Self::File(path) => {
                let bytes = read_some(path).map_err(|source| SecretError::Unreadable {
                    path: path.clone(),
                    source,
                })?;
                usable(String::from_utf8(bytes).ok(), || {
                    shown_path(path).to_string()
                })
            }
            Self::Env(name) => match env(name) {
                Some(value) => usable(value.into_string().ok(), || name.clone()),
                None => Err(SecretError::Unset { name: name.clone() }),
            },
        }
    }
}

fn variable(value: &DeValue<'_>) -> Parsed<String> {
    let name = value::text(value)?;
    let fine = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.chars().all(fine) && !name.starts_with(|c: char| c.is_ascii_digit()) {
        return Ok(name);
    }
    // It may be the secret itself, so it is not repeated.
    wrong(
        "this is no name of a variable",
        "write the variable's name, such as { env = \"PROMETHEUS_TOKEN\" }",
    )
}

fn read_some(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?
        .take(SECRET_BYTES_MAX + 1)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn usable(text: Option<String>, place: impl Fn() -> String) -> Result<Secret, SecretError> {
    let unusable = || SecretError::Unusable { place: place() };
    let text = text.ok_or_else(unusable)?;
    let line = text.trim();
    if line.is_empty() || line.len() as u64 > SECRET_BYTES_MAX || line.contains(char::is_control) {
        return Err(unusable());
    }
    Ok(Secret(line.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_the_one_line_of_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        fs::write(&path, "hunter2\n").unwrap();
        let secret = SecretRef::File(path.clone()).read(|_| None).ok().unwrap();
        assert_eq!(secret.expose(), "hunter2");
        fs::write(&path, "two\nlines\n").unwrap();
        let said = SecretRef::File(path)
            .read(|_| None)
            .err()
            .unwrap()
            .to_string();
        assert!(said.contains("one line") && !said.contains("two"), "{said}");
    }

    #[test]
    fn an_unset_variable_is_named_and_its_value_never() {
        let of = |value: Option<&str>| {
            let value = value.map(std::ffi::OsString::from);
            SecretRef::Env("TOKEN".to_owned()).read(|_| value.clone())
        };
        assert_eq!(of(Some("abc")).ok().unwrap().expose(), "abc");
        assert!(of(None).err().unwrap().to_string().contains("TOKEN"));
        assert!(!of(Some("a\nb")).err().unwrap().to_string().contains("a\nb"));
    }
}
