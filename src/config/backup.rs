//! `[[backup]]`: what is backed up, where to, how long it is kept, and what is promised of it.

use std::path::{Path, PathBuf};

use toml::de::DeValue;

use super::file::refuse_twice;
use super::reader::{Reader, Section};
use super::secret::SecretRef;
use super::settings::shown_path;
use super::value::{self, Parsed, wrong};
use crate::domain::{
    BackupForm, BackupName, BackupSource, BackupSpec, Clean, Keep, SecretPlace, StoreSpec,
    Timestamp,
};

/// The name of the store that `directory` is.
const NEAREST: &str = "local";

const CREDENTIALS: &str = "take them out; access_key and secret_key say where they lie: { file = \"path\" } or { env = \"NAME\" }";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Postgres,
    Redis,
    Files,
}

const KINDS: &[(&str, Kind)] = &[
    ("postgres", Kind::Postgres),
    ("redis", Kind::Redis),
    ("files", Kind::Files),
];

pub(super) fn read<'t>(
    reader: &mut Reader<'t>,
    root: &Section<'t>,
    base: &Path,
) -> Vec<BackupSpec> {
    let mut all = Vec::new();
    let mut keys = Vec::new();
    for section in reader.sections(root, "backup") {
        if section.has("target") {
            let target = section.get("target").map(|value| value.get_ref());
            if let Some(target) = target.and_then(|value| value::clean(value).ok()) {
                keys.push((target, section.span("target")));
            }
        }
        all.extend(one(reader, &section, base));
    }
    refuse_twice(reader, keys.into_iter(), "backup of");
    all
}

fn one<'t>(reader: &mut Reader<'t>, section: &Section<'t>, base: &Path) -> Option<BackupSpec> {
    let ours = section.has("service");
    let read_target = if ours { target } else { value::clean };
    let target = reader.required(section, "target", "target = \"postgres\"", read_target);
    let directory = reader.required(
        section,
        "directory",
        "directory = \"/var/backups/postgres\"",
        value::path(base),
    );
    let pattern = if ours && !section.has("pattern") {
        target.as_ref().map(|t| Clean::line(&format!("{t}-*")))
    } else {
        reader.required(section, "pattern", "pattern = \"*.dump\"", pattern)
    };
    let age_max = if section.has("rpo") {
        if section.has("age_max") {
            let says = "`rpo` and `age_max` are the same promise";
            reader.conflict(section, "rpo", says, "take one of them out");
        }
        reader.defaulted(section, "rpo", "\"26 h\"", value::duration)
    } else {
        reader.defaulted(section, "age_max", "\"26 h\"", value::duration)
    };
    let keep_min = reader.defaulted(section, "keep_min", "3", value::whole(0, 100_000));
    let bytes_min = reader.defaulted(section, "size_min", "\"1 KB\"", value::size);
    let shrink_max_percent = reader.defaulted(section, "shrink_max", "\"20 %\"", value::percent);
    let every = reader.defaulted(section, "every", "\"1 min\"", value::every);
    let rto = reader.optional(section, "rto", value::duration);
    let proof_max = reader.optional(section, "proof_max", value::duration);
    let source = if ours {
        source(reader, section, base)
    } else {
        refuse_without_service(reader, section);
        None
    };
    let recipients_file = reader.optional(section, "recipients_file", value::path(base));
    let identity_file = reader.optional(section, "identity_file", value::path(base));
    let keep = if ours {
        keep(reader, section)
    } else {
        Keep::default()
    };
    let further = stores(reader, section, base);
    let (target, directory, pattern) = (target?, directory?, pattern?);
    let nearest = ours.then(|| nearest(&directory));
    Some(BackupSpec {
        target,
        directory,
        pattern,
        age_max,
        keep_min,
        bytes_min,
        shrink_max_percent,
        every,
        source,
        stores: nearest.into_iter().chain(further).collect(),
        recipients_file,
        identity_file,
        keep,
        rto,
        proof_max,
    })
}

fn nearest(directory: &Path) -> StoreSpec {
    StoreSpec {
        name: Clean::from(NEAREST),
        url: Clean::line(&format!("file://{}", shown_path(directory))),
        endpoint: None,
        region: None,
        access_key: None,
        secret_key: None,
    }
}

/// A target becomes the beginning of a file's name.
fn target(value: &DeValue<'_>) -> Parsed<Clean> {
    let target = value::clean(value)?;
    match BackupName::new(&target, Timestamp(0), BackupForm::Dump, false) {
        Some(_) => Ok(target),
        None => wrong(
            "a target that is backed up becomes part of a file's name",
            "use letters, digits, - and _ only, and begin with a letter or a digit",
        ),
    }
}

fn pattern(value: &DeValue<'_>) -> Parsed<Clean> {
    let text = value::clean(value)?;
    if text.contains('/') {
        return wrong(
            "a pattern is for the name of a file, without folders",
            "put the folder in `directory`",
        );
    }
    Ok(text)
}

fn refuse_without_service<'t>(reader: &mut Reader<'t>, section: &Section<'t>) {
    let of_ours = [
        "kind",
        "database",
        "user",
        "password",
        "path",
        "store",
        "keep",
        "recipients_file",
        "identity_file",
    ];
    if let Some(key) = of_ours.into_iter().find(|key| section.has(key)) {
        let says = "is for backups that are made here, and `service` is missing";
        reader.conflict(section, key, says, "add the line: service = \"postgres\"");
    }
}

fn source<'t>(reader: &mut Reader<'t>, section: &Section<'t>, base: &Path) -> Option<BackupSource> {
    let service = reader.optional(section, "service", value::name);
    let kind = reader.defaulted(section, "kind", "\"postgres\"", value::one_of(KINDS));
    let password = reader.optional(section, "password", secret(base));
    let foreign: &[&str] = match kind {
        Kind::Postgres => &["path"],
        Kind::Redis => &["database", "path"],
        Kind::Files => &["database", "user", "password"],
    };
    if let Some(key) = foreign.iter().find(|key| section.has(key)) {
        reader.conflict(
            section,
            key,
            "does not go with this `kind`",
            "take the line out",
        );
    }
    match kind {
        Kind::Postgres => {
            let database = reader.required(section, "database", "database = \"app\"", value::clean);
            let user = reader.defaulted(section, "user", "\"postgres\"", value::clean);
            Some(BackupSource::Postgres {
                service: service?,
                database: database?,
                user,
                password,
            })
        }
        Kind::Redis => Some(BackupSource::Redis {
            user: reader.optional(section, "user", value::clean),
            service: service?,
            password,
        }),
        Kind::Files => {
            let path = reader.required(section, "path", "path = \"/data\"", value::plain_path);
            Some(BackupSource::Files {
                service: service?,
                path: path?,
            })
        }
    }
}

fn secret(base: &Path) -> impl Fn(&DeValue<'_>) -> Parsed<SecretPlace> {
    move |value| {
        Ok(match SecretRef::parse(value, base)? {
            SecretRef::File(path) => SecretPlace::File(path),
            SecretRef::Env(name) => SecretPlace::Env(name),
        })
    }
}

fn keep<'t>(reader: &mut Reader<'t>, backup: &Section<'t>) -> Keep {
    let section = reader.nested(backup, "keep", "backup.keep");
    let many = value::whole(0, 10_000);
    Keep {
        daily: reader.defaulted(&section, "daily", "7", &many),
        weekly: reader.defaulted(&section, "weekly", "4", &many),
        monthly: reader.defaulted(&section, "monthly", "6", &many),
        min: reader.defaulted(&section, "min", "3", value::whole(1, 10_000)),
    }
}

fn stores<'t>(reader: &mut Reader<'t>, backup: &Section<'t>, base: &Path) -> Vec<StoreSpec> {
    let mut all = Vec::new();
    let mut names = Vec::new();
    for section in reader.sections_within(backup, "store", "backup.store") {
        let name = reader.required(&section, "name", "name = \"offsite\"", value::name);
        let url = reader.required(&section, "url", "url = \"s3://bucket/prefix\"", store_url);
        let endpoint = reader.optional(&section, "endpoint", value::url(CREDENTIALS));
        let region = reader.optional(&section, "region", value::name);
        let access_key = reader.optional(&section, "access_key", secret(base));
        let secret_key = reader.optional(&section, "secret_key", secret(base));
        if access_key.is_some() != secret_key.is_some() {
            let key = if access_key.is_some() {
                "access_key"
            } else {
                "secret_key"
            };
            let says = "the two keys go together, and one is missing";
            reader.conflict(&section, key, says, "write both, or neither");
        }
        if let Some(name) = &name {
            names.push((name.clone(), section.span("name")));
            if *name == *NEAREST {
                let says = "that is the name of the store in `directory`";
                reader.conflict(
                    &section,
                    "name",
                    says,
                    "choose another, such as \"offsite\"",
                );
            }
        }
        if let (Some(name), Some(url)) = (name, url) {
            all.push(StoreSpec {
                name,
                url,
                endpoint: endpoint.map(|url| url.text),
                region,
                access_key,
                secret_key,
            });
        }
    }
    refuse_twice(reader, names.into_iter(), "store");
    all
}

fn store_url(value: &DeValue<'_>) -> Parsed<Clean> {
    const REMEDY: &str = "write \"file:///folder\" or \"s3://bucket/prefix\"";
    let text = value::text(value)?;
    if let Some(path) = text.strip_prefix("file://") {
        let path = PathBuf::from(path);
        if path.is_absolute()
            && !path
                .components()
                .any(|c| c == std::path::Component::ParentDir)
        {
            return Ok(Clean::from(text));
        }
        return wrong("a folder is named from the root, without `..`", REMEDY);
    }
    let Some(place) = text.strip_prefix("s3://") else {
        return wrong("this kind of store is not known", REMEDY);
    };
    if place.contains('@') {
        return wrong("there are credentials in it", CREDENTIALS);
    }
    let bucket = place.split('/').next().unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    if bucket.is_empty() || place.contains("..") || !place.chars().all(plain) {
        return wrong(
            "a bucket and a prefix are letters, digits, . _ - and /",
            REMEDY,
        );
    }
    Ok(Clean::from(text))
}
