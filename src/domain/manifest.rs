//! What a backup of ours holds, written down while it was made, in the same snapshot.
//!
//! The manifest lies beside the backup and is written last: a file without one is not a backup. It is what a restore is
//! measured against, so every count in it was taken from the very state that was dumped, not from a moment near it.
//!
//! **Invariant:** no secret and no row of the data is in a manifest.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Clean, Timestamp};

/// The form written today. A reader refuses a newer one instead of guessing.
pub const MANIFEST_SCHEMA: u32 = 1;

/// A manifest of 10,000 tables is 2 MB.
pub const MANIFEST_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// The ending of every manifest's name.
const ENDING: &str = ".manifest.json";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    pub schema: u32,
    pub target: Clean,
    /// When the snapshot was taken: the state that a restore brings back.
    pub made_at: Timestamp,
    /// From the snapshot to the last byte in the store.
    pub took_ms: u64,
    /// `quarterdeck 0.1.0`
    pub made_by: Clean,
    /// The run that made it.
    pub run: Clean,
    pub file: StoredFile,
    /// What the tool wrote, before it was encrypted.
    pub plain: Digest,
    /// `None`: anybody who can read the store can read the data.
    pub encryption: Option<Encryption>,
    /// What ran when it was made, per service: data and code belong together.
    pub images: Vec<ServiceImage>,
    pub content: Content,
}

/// The file as it lies in a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredFile {
    pub name: BackupName,
    #[serde(flatten)]
    pub digest: Digest,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    pub bytes: u64,
    /// In hexadecimal digits.
    pub sha256: Clean,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Encryption {
    /// `age`
    pub with: Clean,
    /// The public keys. Any one of the private ones opens it.
    pub recipients: Vec<Clean>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceImage {
    pub service: Clean,
    /// As the container was told: `shop:1.4`.
    pub image: Clean,
    /// `sha256:…`
    pub id: Clean,
}

/// What was backed up, by kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Content {
    Postgres(PostgresContent),
    Redis(RedisContent),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostgresContent {
    pub database: Clean,
    /// Of the cluster, from its control file: the same name on another cluster is another database.
    pub system_identifier: Clean,
    pub server_version: Clean,
    /// `150007`
    pub server_version_num: u32,
    /// `pg_dump (PostgreSQL) 15.7`
    pub dumped_by: Clean,
    pub encoding: Clean,
    pub database_bytes: u64,
    /// As the server names it, for its logs.
    pub snapshot: Clean,
    /// Where the write-ahead log was when the snapshot was taken.
    pub lsn: Clean,
    pub extensions: Vec<Extension>,
    /// Every table whose rows are dumped, of every schema, in order of their names.
    pub tables: Vec<TableCount>,
    /// Sequences do not stand still in a snapshot: a restored one is at least here.
    pub sequences: Vec<SequenceAt>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Extension {
    pub name: Clean,
    pub version: Clean,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TableCount {
    pub schema: Clean,
    pub table: Clean,
    pub rows: u64,
    /// The sum of a 64-bit hash of each row's text, as a decimal number: the order of the rows does not matter, and a
    /// row twice is not no row.
    pub checksum: Clean,
}

impl TableCount {
    /// `public.orders`
    pub fn name(&self) -> Clean {
        Clean::line(&format!("{}.{}", self.schema, self.table))
    }
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SequenceAt {
    pub schema: Clean,
    pub sequence: Clean,
    /// `None`: not used yet.
    pub last_value: Option<i64>,
}

impl PostgresContent {
    pub fn rows(&self) -> u64 {
        self.tables.iter().map(|table| table.rows).sum()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedisContent {
    pub server_version: Clean,
    /// Per database, when the copy was begun. Writes meanwhile may be in the copy or not.
    pub keys: Vec<DatabaseKeys>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseKeys {
    pub database: u32,
    pub keys: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ManifestError {
    #[error("the manifest is no manifest: {0}")]
    Unreadable(Clean),
    #[error(
        "the manifest has form {0}, and this program reads up to {MANIFEST_SCHEMA}: take a newer program"
    )]
    Newer(u32),
    #[error("the manifest contradicts itself: {0}")]
    Contradiction(Clean),
}

impl Manifest {
    /// Reads one that was written down, and refuses what no backup of ours says.
    pub fn read(text: &[u8]) -> Result<Self, ManifestError> {
        #[derive(Deserialize)]
        struct Form {
            schema: u32,
        }
        let unreadable =
            |error: serde_json::Error| ManifestError::Unreadable(Clean::line(&error.to_string()));
        let form: Form = serde_json::from_slice(text).map_err(unreadable)?;
        if form.schema > MANIFEST_SCHEMA {
            return Err(ManifestError::Newer(form.schema));
        }
        let manifest: Self = serde_json::from_slice(text).map_err(unreadable)?;
        manifest.sound()?;
        Ok(manifest)
    }

    /// # Panics
    ///
    /// Never: a manifest is plain values.
    pub fn written(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec_pretty(self).expect("a manifest is plain values");
        text.push(b'\n');
        text
    }

    fn sound(&self) -> Result<(), ManifestError> {
        let wrong = |what: String| Err(ManifestError::Contradiction(Clean::line(&what)));
        let hash = |digest: &Digest| {
            digest.sha256.len() == 64 && digest.sha256.bytes().all(|b| b.is_ascii_hexdigit())
        };
        if !hash(&self.file.digest) || !hash(&self.plain) {
            return wrong("a sha256 is 64 hexadecimal digits".to_owned());
        }
        if self.file.name.target() != Some(self.target.as_str()) {
            return wrong(format!(
                "{} is no backup of {}",
                self.file.name, self.target
            ));
        }
        if self.file.name.is_encrypted() != self.encryption.is_some() {
            return wrong(format!("{} is not encrypted as it says", self.file.name));
        }
        if let Content::Postgres(content) = &self.content {
            let mut names = BTreeSet::new();
            let twice = content
                .tables
                .iter()
                .find(|t| !names.insert((&t.schema, &t.table)));
            if let Some(table) = twice {
                return wrong(format!("{} is in it twice", table.name()));
            }
        }
        Ok(())
    }
}

/// The name of a backup's file: `app-20261121T062900Z.dump`, with `.age` behind it where it is encrypted.
///
/// **Invariant:** a plain file name of letters, digits, `.`, `_` and `-` that begins with a letter or a digit. It
/// cannot leave its directory, hide, or be taken for an option.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct BackupName(Clean);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackupForm {
    /// `pg_dump -Fc`
    Dump,
    /// Redis.
    Rdb,
}

impl BackupForm {
    pub fn ending(self) -> &'static str {
        match self {
            Self::Dump => "dump",
            Self::Rdb => "rdb",
        }
    }
}

const STAMP: &str = "%Y%m%dT%H%M%SZ";

impl BackupName {
    /// `None`: the target's name is no part of a file name.
    pub fn new(target: &str, at: Timestamp, form: BackupForm, encrypted: bool) -> Option<Self> {
        let at = DateTime::<Utc>::from_timestamp_millis(at.0.cast_signed())?.format(STAMP);
        let age = if encrypted { ".age" } else { "" };
        Self::parse(&format!("{target}-{at}.{}{age}", form.ending()))
            .filter(|name| name.target() == Some(target))
    }

    /// A name that somebody else wrote. `None`: it is none of ours.
    pub fn parse(text: &str) -> Option<Self> {
        const BYTES_MAX: usize = 200;
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        let begins = text
            .bytes()
            .next()
            .is_some_and(|b| b.is_ascii_alphanumeric());
        let fits = begins && text.len() <= BYTES_MAX && text.bytes().all(plain);
        let name = Self(Clean::line(text));
        (fits && !text.contains("..") && name.target().is_some() && !text.ends_with(ENDING))
            .then_some(name)
    }

    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    fn stem(&self) -> &str {
        self.0.split('.').next().unwrap_or_default()
    }

    /// Whose backup it is.
    pub fn target(&self) -> Option<&str> {
        let (target, _) = self.stem().rsplit_once('-')?;
        (!target.is_empty() && self.made_at().is_some()).then_some(target)
    }

    /// The moment in its name, to the second.
    pub fn made_at(&self) -> Option<Timestamp> {
        let (_, stamp) = self.stem().rsplit_once('-')?;
        let at = chrono::NaiveDateTime::parse_from_str(stamp, STAMP).ok()?;
        u64::try_from(at.and_utc().timestamp_millis())
            .ok()
            .map(Timestamp)
    }

    pub fn is_encrypted(&self) -> bool {
        self.0.ends_with(".age")
    }

    /// `app-20261121T062900Z.manifest.json`
    pub fn manifest(&self) -> String {
        format!("{}{ENDING}", self.stem())
    }
}

/// Is this the name of a manifest of that target?
pub fn is_manifest_of(target: &str, name: &str) -> bool {
    let Some(stem) = name.strip_suffix(ENDING) else {
        return false;
    };
    BackupName::parse(&format!("{stem}.dump")).is_some_and(|name| name.target() == Some(target))
}

impl std::fmt::Display for BackupName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.0)
    }
}

impl<'de> Deserialize<'de> for BackupName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            serde::de::Error::custom(format!("{:?} is no name of a backup", Clean::line(&text)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Timestamp = Timestamp(1_795_242_540_000);

    fn name() -> BackupName {
        BackupName::new("app", AT, BackupForm::Dump, false).unwrap()
    }

    fn manifest() -> Manifest {
        let digest = Digest {
            bytes: 7,
            sha256: Clean::from("ab".repeat(32)),
        };
        let table = |name: &str| TableCount {
            schema: Clean::from("public"),
            table: Clean::from(name),
            rows: 3,
            checksum: Clean::from("-12345678901234567890123"),
        };
        Manifest {
            schema: MANIFEST_SCHEMA,
            target: Clean::from("app"),
            made_at: AT,
            took_ms: 1200,
            made_by: Clean::from("quarterdeck 0.1.0"),
            run: Clean::from("r-1"),
            file: StoredFile {
                name: name(),
                digest: digest.clone(),
            },
            plain: digest,
            encryption: None,
            images: Vec::new(),
            content: Content::Postgres(PostgresContent {
                database: Clean::from("app"),
                system_identifier: Clean::from("7400000000000000001"),
                server_version: Clean::from("15.7"),
                server_version_num: 150_007,
                dumped_by: Clean::from("pg_dump (PostgreSQL) 15.7"),
                encoding: Clean::from("UTF8"),
                database_bytes: 8_000_000,
                snapshot: Clean::from("00000003-0000001B-1"),
                lsn: Clean::from("0/1949E10"),
                extensions: Vec::new(),
                tables: vec![table("a"), table("b")],
                sequences: Vec::new(),
            }),
        }
    }

    #[test]
    fn a_manifest_comes_back_as_it_was_written() {
        let manifest = manifest();
        assert_eq!(Manifest::read(&manifest.written()), Ok(manifest));
    }

    #[test]
    fn a_newer_form_is_not_guessed_at() {
        let text = br#"{"schema": 2, "new": true}"#;
        assert_eq!(Manifest::read(text), Err(ManifestError::Newer(2)));
    }

    #[track_caller]
    fn refused(change: impl Fn(&mut Manifest), why: &str) {
        let mut manifest = manifest();
        change(&mut manifest);
        let error = Manifest::read(&manifest.written()).unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        refused(|m| m.target = Clean::from("orders"), "no backup of orders");
        refused(|m| m.plain.sha256 = Clean::from("ab"), "64 hexadecimal");
        refused(
            |m| m.file.name = BackupName::parse("app-20261121T062900Z.dump.age").unwrap(),
            "not encrypted",
        );
        refused(
            |m| {
                let Content::Postgres(content) = &mut m.content else {
                    return;
                };
                content.tables.push(content.tables[0].clone());
            },
            "public.a is in it twice",
        );
        let text = String::from_utf8(manifest().written()).unwrap();
        let evil = text.replace(
            "app-20261121T062900Z.dump",
            "../../etc/app-20261121T062900Z.dump",
        );
        assert!(matches!(
            Manifest::read(evil.as_bytes()),
            Err(ManifestError::Unreadable(_))
        ));
    }

    #[test]
    fn names_are_sorted_by_time_and_lead_back() {
        assert_eq!(name().as_str(), "app-20261121T062900Z.dump");
        assert_eq!(name().manifest(), "app-20261121T062900Z.manifest.json");
        assert_eq!((name().target(), name().made_at()), (Some("app"), Some(AT)));
        let other = BackupName::new("app-eu", AT, BackupForm::Rdb, true).unwrap();
        assert_eq!(other.as_str(), "app-eu-20261121T062900Z.rdb.age");
        assert_eq!(
            (other.target(), other.is_encrypted()),
            (Some("app-eu"), true)
        );
        assert!(is_manifest_of("app", &name().manifest()));
        assert!(!is_manifest_of("app", &other.manifest()), "of app-eu");
        assert!(!is_manifest_of("eu", &other.manifest()));
    }

    #[test]
    fn hostile_names_are_none_of_ours() {
        for text in [
            "",
            ".app-20261121T062900Z.dump",
            "-app-20261121T062900Z.dump",
            "../app-20261121T062900Z.dump",
            "a/b-20261121T062900Z.dump",
            "app-20261121T062900Z..dump",
            "app-20261121T062900Z.dump\n",
            "app-2026.dump",
            "-20261121T062900Z.dump",
            "app-20261121T062900Z.manifest.json",
        ] {
            assert_eq!(BackupName::parse(text), None, "{text:?}");
        }
        for target in ["", "..", "a/b", "a.b", "é", "a b", "-a"] {
            let name = BackupName::new(target, AT, BackupForm::Dump, false);
            assert_eq!(name, None, "{target:?}");
        }
    }
}
