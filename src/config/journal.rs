//! Where the journal lies, as the configuration names it.

use std::path::{Path, PathBuf};

use toml::de::DeValue;

use super::secret::SecretRef;
use super::settings::shown_path;
use super::value::{self, Parsed, wrong};
use crate::domain::Clean;

const CREDENTIALS: &str = "write the user as ?user=name, and [journal] password = { file = \"path\" } or { env = \"NAME\" } for where the password lies";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalConfig {
    /// `None`: nothing was configured, and there is no home to put it in.
    pub store: Option<JournalStore>,
    /// Of the user of PostgreSQL, where it wants one.
    pub password: Option<SecretRef>,
    /// A file elsewhere that is told the head of the chain at the end of every run.
    pub witness: Option<PathBuf>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JournalStore {
    Sqlite(PathBuf),
    /// A URL without credentials.
    Postgres(Clean),
}

impl JournalStore {
    pub(super) fn shown(&self) -> Clean {
        match self {
            Self::Sqlite(path) => Clean::from(format!("\"sqlite:{}\"", shown_path(path))),
            Self::Postgres(url) => Clean::from(format!("\"{url}\"")),
        }
    }
}

/// Reads `sqlite:PATH` or `postgres://…`; relative paths count from `base`.
pub(super) fn store(base: &Path) -> impl Fn(&DeValue<'_>) -> Parsed<JournalStore> {
    move |value| {
        let text = value::text(value)?;
        if let Some(path) = text.strip_prefix("sqlite:") {
            let path = DeValue::String(path.into());
            return Ok(JournalStore::Sqlite(value::path(base)(&path)?));
        }
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Ok(JournalStore::Postgres(
                value::split(&text, CREDENTIALS)?.text,
            ));
        }
        wrong(
            "expected where the journal lies",
            "write \"sqlite:/path/journal.db\" or \"postgres://host/database?user=name\"",
        )
    }
}
