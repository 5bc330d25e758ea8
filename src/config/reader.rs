//! A small typed reader over parsed TOML: it takes what is right and writes down everything that is not.
//!
//! It never stops at a problem, so that all of a file's problems are found in one reading. Every value it hands out is
//! entered in the [`Settings`] with its place, defaults included; defaults are TOML themselves and go the same way.

use std::ops::Range;
use std::path::PathBuf;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Problems, Source, sounds_secret};
use super::settings::{Origin, Settings};
use super::value::{Parsed, Wrong, kind};
use crate::domain::{Clean, text::fit};

/// Tables of the file and their keys: the one list that errors, hints and the reader use.
pub(super) const TABLES: [(&str, &[&str]); 19] = [
    (
        "the file",
        &[
            "stack",
            "engine",
            "gateway",
            "service",
            "traffic",
            "endpoint",
            "certificate",
            "backup",
            "prometheus",
            "disk",
            "checklist",
            "runbooks",
            "thresholds",
            "journal",
            "screen",
        ],
    ),
    ("[stack]", &["name", "environment", "services"]),
    ("[engine]", &["address", "tls_dir"]),
    ("[gateway]", &["service", "url", "ca_file", "upstream"]),
    (
        "[gateway.upstream]",
        &[
            "directory",
            "file",
            "default",
            "service",
            "port",
            "variable",
            "test",
            "in_flight_limit",
            "path",
            "health",
        ],
    ),
    ("[[service]]", &["name", "replicas", "matters"]),
    (
        "[[traffic]]",
        &[
            "kind", "service", "port", "path", "url", "selector", "gateway", "every",
        ],
    ),
    (
        "[[endpoint]]",
        &[
            "name",
            "url",
            "method",
            "status",
            "headers",
            "redirect_to",
            "follow",
            "content_type",
            "ttfb",
            "ca_file",
            "connect_to",
            "every",
        ],
    ),
    (
        "[[certificate]]",
        &[
            "endpoint",
            "file",
            "name",
            "ca_file",
            "on_disk",
            "self_signed",
            "every",
        ],
    ),
    (
        "[[backup]]",
        &[
            "target",
            "directory",
            "pattern",
            "age_max",
            "rpo",
            "rto",
            "proof_max",
            "keep_min",
            "keep",
            "size_min",
            "shrink_max",
            "every",
            "kind",
            "service",
            "database",
            "user",
            "password",
            "path",
            "store",
            "recipients_file",
            "identity_file",
        ],
    ),
    ("[backup.keep]", &["daily", "weekly", "monthly", "min"]),
    (
        "[[backup.store]]",
        &[
            "name",
            "url",
            "endpoint",
            "region",
            "access_key",
            "secret_key",
        ],
    ),
    ("[prometheus]", &["url", "token"]),
    ("[disk]", &["paths"]),
    ("[[checklist]]", &["file", "max_age"]),
    ("[runbooks]", &["folder", "second_person"]),
    (
        "[thresholds]",
        &[
            "errors",
            "latency",
            "share_off",
            "ttfb",
            "certificate_days",
            "disk_free_poor",
            "disk_free_bad",
            "memory",
            "restarts",
        ],
    ),
    ("[journal]", &["store", "password"]),
    ("[screen]", &["theme", "ascii", "mouse", "time"]),
];

/// The console is built for so many containers and fewer endpoints.
const SECTIONS_MAX: usize = 1000;

pub(super) type Value<'t> = Spanned<DeValue<'t>>;

/// One table of the file.
pub(super) struct Section<'t> {
    /// As errors name it: `[stack]`.
    title: &'static str,
    /// As settings name it: `stack`, `service[2]`.
    path: String,
    table: Option<&'t DeTable<'t>>,
    /// Its header.
    span: Range<usize>,
}

impl<'t> Section<'t> {
    pub(super) fn root(table: &'t DeTable<'t>) -> Self {
        Self {
            title: "the file",
            path: String::new(),
            table: Some(table),
            span: 0..0,
        }
    }

    pub(super) fn is_there(&self) -> bool {
        self.table.is_some()
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    pub(super) fn get(&self, key: &str) -> Option<&'t Value<'t>> {
        self.table?.get(key)
    }

    /// Where the value of `key` stands; the header where it does not.
    pub(super) fn span(&self, key: &str) -> Range<usize> {
        self.get(key).map_or(self.span.clone(), Spanned::span)
    }

    fn key(&self, key: &str) -> String {
        match self.path.as_str() {
            "" => key.to_owned(),
            path => format!("{path}.{key}"),
        }
    }
}

pub(super) struct Reader<'t> {
    pub(super) source: &'t Source<'t>,
    pub(super) file: PathBuf,
    pub(super) problems: Problems,
    pub(super) settings: Settings,
}

impl<'t> Reader<'t> {
    /// Notes a problem at a place.
    pub(super) fn wrong(&mut self, span: &Range<usize>, says: &str, remedy: &str) {
        self.problems
            .push(|| self.source.problem(span, None, says, remedy));
    }

    pub(super) fn line(&self, span: &Range<usize>) -> usize {
        self.source.place(span.start).0
    }

    fn refuse(&mut self, section: &Section<'t>, key: &str, span: &Range<usize>, wrong: &Wrong) {
        let says = format!("`{key}` in {}: {}", section.title, wrong.says);
        let secret = sounds_secret(key).then_some(span);
        self.problems
            .push(|| self.source.problem(span, secret, &says, &wrong.remedy));
    }

    /// Opens `[key]`; a missing one is an empty section.
    pub(super) fn section(&mut self, root: &Section<'t>, key: &'static str) -> Section<'t> {
        self.inner(root, key, key)
    }

    /// Opens `[outer.key]`, where `path` is `outer.key`.
    pub(super) fn inner(
        &mut self,
        root: &Section<'t>,
        key: &'static str,
        path: &'static str,
    ) -> Section<'t> {
        self.opened_one(root, key, title(path), path.to_owned())
    }

    /// Opens the table `key` of one of several sections, whose tables are titled by `path`: `backup.keep`.
    pub(super) fn nested(
        &mut self,
        outer: &Section<'t>,
        key: &'static str,
        path: &'static str,
    ) -> Section<'t> {
        self.opened_one(outer, key, title(path), outer.key(key))
    }

    fn opened_one(
        &mut self,
        root: &Section<'t>,
        key: &'static str,
        title: &'static str,
        path: String,
    ) -> Section<'t> {
        let missing = Section {
            title,
            path: path.clone(),
            table: None,
            span: 0..0,
        };
        let Some(value) = root.get(key) else {
            return missing;
        };
        match value.get_ref() {
            DeValue::Table(table) => self.opened(title, path, table, value.span()),
            DeValue::Array(_) => {
                self.wrong(
                    &value.span(),
                    &format!("there is one {title}, found a list"),
                    &format!("write {title} once, with single brackets"),
                );
                missing
            }
            other => {
                self.wrong(
                    &value.span(),
                    &format!("`{key}` is a table, found {}", kind(other)),
                    &format!("write {title} on a line of its own"),
                );
                missing
            }
        }
    }

    /// Opens every `[[key]]`.
    pub(super) fn sections(&mut self, root: &Section<'t>, key: &'static str) -> Vec<Section<'t>> {
        self.sections_within(root, key, key)
    }

    /// Opens every `[[outer.key]]`, where `path` is `outer.key`.
    pub(super) fn sections_within(
        &mut self,
        root: &Section<'t>,
        key: &'static str,
        path: &'static str,
    ) -> Vec<Section<'t>> {
        let title = title(path);
        let Some(value) = root.get(key) else {
            return Vec::new();
        };
        let DeValue::Array(items) = value.get_ref() else {
            let says = format!(
                "`{key}` is a list of tables, found {}",
                kind(value.get_ref())
            );
            self.wrong(
                &value.span(),
                &says,
                &format!("write {title} with double brackets, once for each"),
            );
            return Vec::new();
        };
        if let Some(over) = items.get(SECTIONS_MAX) {
            let says = format!("{} times {title}", items.len());
            self.wrong(
                &over.span(),
                &says,
                &format!("write at most {SECTIONS_MAX}"),
            );
        }
        let mut all = Vec::new();
        for (at, item) in items.iter().enumerate().take(SECTIONS_MAX) {
            match item.get_ref() {
                DeValue::Table(table) => {
                    let path = root.key(&format!("{key}[{}]", at + 1));
                    all.push(self.opened(title, path, table, item.span()));
                }
                other => {
                    let says = format!("`{key}` is a list of tables, found {} in it", kind(other));
                    self.wrong(
                        &item.span(),
                        &says,
                        &format!("write {title}, once for each"),
                    );
                }
            }
        }
        all
    }

    fn opened(
        &mut self,
        title: &'static str,
        path: String,
        table: &'t DeTable<'t>,
        span: Range<usize>,
    ) -> Section<'t> {
        let section = Section {
            title,
            path,
            table: Some(table),
            span,
        };
        self.refuse_unknown(&section, known(title));
        section
    }

    pub(super) fn refuse_unknown(&mut self, section: &Section<'t>, known: &[&str]) {
        for (key, value) in section.table.into_iter().flatten() {
            let name: &str = key.get_ref();
            if known.contains(&name) {
                continue;
            }
            let says = match section.title {
                "the file" => format!("unknown table or key `{}`", shortened(name)),
                title => format!("unknown key `{}` in {title}", shortened(name)),
            };
            // Whatever it is, it may be a secret that was put in the wrong place. A table's span is its header.
            let secret = Some(value.span()).filter(|value| value.start >= key.span().end);
            self.problems.push(|| {
                let remedy = remedy_for_unknown(section.title, name, known);
                self.source
                    .problem(&key.span(), secret.as_ref(), &says, &remedy)
            });
        }
    }

    /// Takes a value if it is there and right.
    pub(super) fn optional<T>(
        &mut self,
        section: &Section<'t>,
        key: &str,
        parse: impl Fn(&DeValue<'_>) -> Parsed<T>,
    ) -> Option<T> {
        let value = section.get(key)?;
        match parse(value.get_ref()) {
            Ok(taken) => {
                self.entered(section, key, &value.span());
                Some(taken)
            }
            Err(wrong) => {
                self.refuse(section, key, &value.span(), &wrong);
                None
            }
        }
    }

    /// Takes a value that must be there.
    pub(super) fn required<T>(
        &mut self,
        section: &Section<'t>,
        key: &str,
        example: &str,
        parse: impl Fn(&DeValue<'_>) -> Parsed<T>,
    ) -> Option<T> {
        if !section.has(key) {
            let says = format!("`{key}` is missing in {}", section.title);
            self.wrong(
                &section.span.clone(),
                &says,
                &format!("add the line: {example}"),
            );
            return None;
        }
        self.optional(section, key, parse)
    }

    /// Takes a value, or the default, which is written as TOML.
    pub(super) fn defaulted<T>(
        &mut self,
        section: &Section<'t>,
        key: &str,
        default: &'static str,
        parse: impl Fn(&DeValue<'_>) -> Parsed<T>,
    ) -> T {
        if section.has(key)
            && let Some(taken) = self.optional(section, key, &parse)
        {
            return taken;
        }
        let value = DeValue::parse(default).expect("our defaults are TOML, as a test shows");
        self.settings
            .add(section.key(key), Clean::line(default), Origin::Default);
        parse(value.get_ref()).expect("our defaults are right, as a test shows")
    }

    /// Takes the items of a list, each with its place.
    pub(super) fn list<T>(
        &mut self,
        section: &Section<'t>,
        key: &str,
        parse: impl Fn(&DeValue<'_>) -> Parsed<T>,
    ) -> Option<Vec<(T, Range<usize>)>> {
        let value = section.get(key)?;
        let DeValue::Array(items) = value.get_ref() else {
            let wrong = Wrong {
                says: format!("expected a list, found {}", kind(value.get_ref())),
                remedy: "write it in brackets: [\"...\", \"...\"]".to_owned(),
            };
            self.refuse(section, key, &value.span(), &wrong);
            return None;
        };
        self.entered(section, key, &value.span());
        let mut taken = Vec::new();
        for item in items {
            match parse(item.get_ref()) {
                Ok(one) => taken.push((one, item.span())),
                Err(wrong) => self.refuse(section, key, &item.span(), &wrong),
            }
        }
        Some(taken)
    }

    /// Says that two values cannot stand together.
    pub(super) fn conflict(&mut self, section: &Section<'t>, key: &str, says: &str, remedy: &str) {
        let wrong = Wrong {
            says: says.to_owned(),
            remedy: remedy.to_owned(),
        };
        self.refuse(section, key, &section.span(key), &wrong);
    }

    fn entered(&mut self, section: &Section<'t>, key: &str, span: &Range<usize>) {
        let (line, column) = self.source.place(span.start);
        let secret =
            (sounds_secret(key) && !self.source.shown(span, None).starts_with('{')).then_some(span);
        let shown = self.source.shown(span, secret);
        let origin = Origin::File {
            path: self.file.clone(),
            line,
            column,
        };
        self.settings.add(section.key(key), shown, origin);
    }
}

fn shortened(name: &str) -> Clean {
    const COLUMNS: usize = 60;
    Clean::line(fit(&Clean::line(name), COLUMNS))
}

fn title(key: &str) -> &'static str {
    TABLES
        .iter()
        .map(|(title, _)| *title)
        .find(|title| title.trim_matches(['[', ']']) == key)
        .expect("every table that is opened is in TABLES")
}

fn known(title: &str) -> &'static [&'static str] {
    TABLES
        .iter()
        .find(|(name, _)| *name == title)
        .map_or(&[], |(_, keys)| keys)
}

fn remedy_for_unknown(title: &str, name: &str, known: &[&str]) -> String {
    let listed = known.join(", ");
    if let Some(near) = nearest(name, known) {
        return format!("did you mean `{near}`? known here: {listed}");
    }
    let elsewhere = TABLES
        .iter()
        .find(|(other, keys)| *other != title && keys.contains(&name));
    match elsewhere {
        Some(("the file", _)) => {
            format!("write [{name}] as a table of its own; known here: {listed}")
        }
        Some((other, _)) => format!("`{name}` belongs in {other}; known here: {listed}"),
        None => format!("known here: {listed}"),
    }
}

/// The known word that was probably meant. Two words count as near when a third of their letters or fewer differ.
pub(super) fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    /// Nothing longer is a typo of a key, and the comparison takes the product of the lengths.
    const CHARS_MAX: usize = 64;
    if word.chars().count() > CHARS_MAX {
        return None;
    }
    let word = word.to_lowercase().replace('-', "_");
    known
        .iter()
        .map(|candidate| {
            (
                strsim::damerau_levenshtein(&word, &candidate.replace('-', "_")),
                *candidate,
            )
        })
        .filter(|(steps, candidate)| steps * 3 <= candidate.chars().count().max(3))
        .min_by_key(|(steps, _)| *steps)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_is_recognised_and_another_word_is_not() {
        let keys = ["replicas", "matters", "name"];
        assert_eq!(nearest("replica", &keys), Some("replicas"));
        assert_eq!(nearest("Name", &keys), Some("name"));
        assert_eq!(nearest("maters", &keys), Some("matters"));
        assert_eq!(nearest("colour", &keys), None);
        assert_eq!(nearest(&"n".repeat(100_000), &keys), None);
    }
}
