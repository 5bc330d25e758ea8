//! Where a secret lies. Never the secret itself.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Clean;

/// `{ file = "path" }` or `{ env = "NAME" }`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum SecretPlace {
    File(PathBuf),
    Env(String),
}

impl SecretPlace {
    /// Where it lies, which is no secret.
    pub fn shown(&self) -> Clean {
        match self {
            Self::File(path) => Clean::line(&path.display().to_string()),
            Self::Env(name) => Clean::line(&format!("${name}")),
        }
    }
}
