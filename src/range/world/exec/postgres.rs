//! `pg_dump`, `pg_restore`, `psql` and their small relatives.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{ExecAnswer, World, transfer_ms};
use crate::range::dump::{self, Damage};

const SOCKET: &str = "connection to server on socket \"/var/run/postgresql/.s.PGSQL.5432\" failed";

pub(super) fn knows(name: &str) -> bool {
    matches!(
        name,
        "pg_dump" | "pg_restore" | "psql" | "createdb" | "dropdb" | "pg_isready"
    )
}

/// The options that these programs share, as far as steps use them.
#[derive(Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the switches of the programs, one by one"
)]
struct Options {
    database: Option<String>,
    commands: Vec<String>,
    format: String,
    file: Option<String>,
    is_list: bool,
    is_clean: bool,
    is_if_exists: bool,
    is_create: bool,
    is_bare: bool,
    is_unaligned: bool,
    is_quiet: bool,
    stops_on_error: bool,
    asks_version: bool,
    words: Vec<String>,
}

fn options(argv: &[&str]) -> Options {
    let mut options = Options {
        format: "p".into(),
        ..Options::default()
    };
    let mut rest = argv[1..].iter();
    while let Some(word) = rest.next() {
        let (name, glued) = match (word.strip_prefix("--"), word.strip_prefix('-')) {
            (Some(long), _) => match long.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (long.to_owned(), None),
            },
            (None, Some(short)) if !short.is_empty() => {
                options.short(short, &mut rest);
                continue;
            }
            _ => {
                options.words.push((*word).to_owned());
                continue;
            }
        };
        let takes = matches!(
            name.as_str(),
            "dbname"
                | "command"
                | "format"
                | "file"
                | "username"
                | "host"
                | "port"
                | "set"
                | "variable"
                | "jobs"
                | "compress"
                | "role"
                | "table"
                | "schema"
        );
        let value = match (takes, glued) {
            (true, None) => rest.next().map(|w| (*w).to_owned()).unwrap_or_default(),
            (_, glued) => glued.unwrap_or_default(),
        };
        options.long(&name, value);
    }
    options
}

impl Options {
    fn long(&mut self, name: &str, value: String) {
        match name {
            "dbname" => self.database = Some(value),
            "command" => self.commands.push(value),
            "format" => self.format = value,
            "file" => self.file = Some(value),
            "list" => self.is_list = true,
            "clean" => self.is_clean = true,
            "create" => self.is_create = true,
            "if-exists" => self.is_if_exists = true,
            "tuples-only" => self.is_bare = true,
            "no-align" => self.is_unaligned = true,
            "quiet" => self.is_quiet = true,
            "version" => self.asks_version = true,
            "set" | "variable" => self.stops_on_error |= value.starts_with("ON_ERROR_STOP"),
            _ => {}
        }
    }

    fn short<'a>(&mut self, letters: &str, rest: &mut impl Iterator<Item = &'a &'a str>) {
        for (at, letter) in letters.char_indices() {
            if !"dcFfUhpvjZtT".contains(letter)
                || (letter == 't' && letters.len() <= 4 && is_flags(letters))
            {
                self.flag(letter);
                continue;
            }
            let glued = &letters[at + letter.len_utf8()..];
            let value = if glued.is_empty() {
                rest.next().map(|w| (*w).to_owned()).unwrap_or_default()
            } else {
                glued.to_owned()
            };
            match letter {
                'd' => self.database = Some(value),
                'c' => self.commands.push(value),
                'F' => self.format = value,
                'f' => self.file = Some(value),
                'v' => self.long("set", value),
                _ => {}
            }
            return;
        }
    }

    fn flag(&mut self, letter: char) {
        match letter {
            'l' => self.is_list = true,
            'A' => self.is_unaligned = true,
            't' => self.is_bare = true,
            'q' => self.is_quiet = true,
            'C' => self.is_create = true,
            'V' => self.asks_version = true,
            _ => {}
        }
    }
}

/// psql's `-At`, `-tA`, `-tAc`, `-qAtX`: `t` is a flag there, and a table's name for `pg_dump`.
fn is_flags(letters: &str) -> bool {
    letters.chars().all(|c| "AtqXc".contains(c))
}

impl World {
    pub(super) fn run_postgres(&mut self, argv: &[&str], stdin: &[u8]) -> ExecAnswer {
        let name = argv[0].rsplit('/').next().unwrap_or_default();
        let options = options(argv);
        if options.asks_version {
            return ExecAnswer::out(format!("{name} (PostgreSQL) 15.8\n"));
        }
        match name {
            "pg_dump" => self.pg_dump(&options),
            "pg_restore" => self.pg_restore(&options, stdin),
            "psql" => self.psql(&options, stdin),
            "createdb" => self.createdb(&options),
            "dropdb" => self.dropdb(&options),
            _ => ExecAnswer::out("/var/run/postgresql:5432 - accepting connections\n"),
        }
    }

    fn pg_dump(&mut self, options: &Options) -> ExecAnswer {
        let name = options.database.as_ref().or(options.words.first()).cloned();
        let name = name.unwrap_or_else(|| "app".into());
        let Some(tables) = self.databases.get(&name) else {
            return ExecAnswer::failed(
                1,
                format!("pg_dump: error: {SOCKET}: FATAL:  database \"{name}\" does not exist\n"),
            );
        };
        let bytes = match options.format.as_str() {
            "c" | "custom" => dump::write(&name, tables, self.seed),
            "p" | "plain" => plain(&name, tables).into_bytes(),
            other => {
                return ExecAnswer::failed(
                    1,
                    format!("pg_dump: error: invalid output format \"{other}\" specified\n"),
                );
            }
        };
        if name == "app" {
            self.backups.dumped = Some(self.now());
        }
        ExecAnswer {
            takes_ms: transfer_ms(bytes.len()),
            stdout: if options.file.is_some() {
                Vec::new()
            } else {
                bytes
            },
            ..ExecAnswer::default()
        }
    }

    fn pg_restore(&mut self, options: &Options, stdin: &[u8]) -> ExecAnswer {
        if let Some(file) = options.words.first() {
            return ExecAnswer::failed(
                1,
                format!(
                    "pg_restore: error: could not open input file \"{file}\": No such file or directory\n"
                ),
            );
        }
        let read = if options.is_list {
            dump::list(stdin)
        } else {
            dump::read(stdin)
        };
        let (database, tables) = match read {
            Ok(read) => read,
            Err(damage) => return damaged(damage),
        };
        if options.is_list {
            return ExecAnswer::out(listing(&database, &tables));
        }
        match &options.database {
            None => ExecAnswer::failed(
                1,
                "pg_restore: error: one of -d/--dbname and -f/--file must be specified\n",
            ),
            Some(target) => self.restore_into(options, target, &database, tables, stdin.len()),
        }
    }

    fn restore_into(
        &mut self,
        options: &Options,
        target: &str,
        database: &str,
        tables: BTreeMap<String, u64>,
        bytes: usize,
    ) -> ExecAnswer {
        if !self.databases.contains_key(target) {
            return ExecAnswer::failed(
                1,
                format!(
                    "pg_restore: error: {SOCKET}: FATAL:  database \"{target}\" does not exist\n"
                ),
            );
        }
        let name = if options.is_create { database } else { target };
        let into = self.databases.entry(name.to_owned()).or_default();
        let in_the_way: Vec<&String> = tables.keys().filter(|t| into.contains_key(*t)).collect();
        if !in_the_way.is_empty() && !options.is_clean {
            let mut lines = String::new();
            for t in &in_the_way {
                let _ = writeln!(
                    lines,
                    "pg_restore: error: could not execute query: ERROR:  relation \"{t}\" already exists"
                );
            }
            let all = in_the_way.len();
            return ExecAnswer::failed(
                1,
                format!("{lines}pg_restore: warning: errors ignored on restore: {all}\n"),
            );
        }
        *into = tables;
        ExecAnswer {
            takes_ms: transfer_ms(bytes) * 4,
            ..ExecAnswer::default()
        }
    }

    fn createdb(&mut self, options: &Options) -> ExecAnswer {
        let name = options
            .words
            .first()
            .cloned()
            .unwrap_or_else(|| "app".into());
        if self.databases.contains_key(&name) {
            return ExecAnswer::failed(
                1,
                format!(
                    "createdb: error: database creation failed: ERROR:  database \"{name}\" already exists\n"
                ),
            );
        }
        self.databases.insert(name, BTreeMap::new());
        ExecAnswer::default()
    }

    fn dropdb(&mut self, options: &Options) -> ExecAnswer {
        let Some(name) = options.words.first() else {
            return ExecAnswer::failed(
                1,
                "dropdb: error: missing required argument database name\n",
            );
        };
        match (self.databases.remove(name), options.is_if_exists) {
            (Some(_), _) => ExecAnswer::default(),
            (None, true) => ExecAnswer::failed(
                0,
                format!("NOTICE:  database \"{name}\" does not exist, skipping\n"),
            ),
            (None, false) => ExecAnswer::failed(
                1,
                format!(
                    "dropdb: error: database removal failed: ERROR:  database \"{name}\" does not exist\n"
                ),
            ),
        }
    }

    fn psql(&mut self, options: &Options, stdin: &[u8]) -> ExecAnswer {
        let database = options.database.as_ref().or(options.words.first());
        let database = database.cloned().unwrap_or_else(|| "app".into());
        if !self.databases.contains_key(&database) {
            return ExecAnswer::failed(
                2,
                format!("psql: error: {SOCKET}: FATAL:  database \"{database}\" does not exist\n"),
            );
        }
        let is_script = options.commands.is_empty();
        let script = String::from_utf8_lossy(stdin).into_owned();
        let texts = if is_script {
            vec![script]
        } else {
            options.commands.clone()
        };
        let mut answer = ExecAnswer::default();
        for statement in texts.iter().flat_map(|t| t.split(';')).map(str::trim) {
            if statement.is_empty() {
                continue;
            }
            match self.statement(&database, statement) {
                Ok(Answer::Rows { columns, rows }) => {
                    answer
                        .stdout
                        .extend(table(options, &columns, &rows).into_bytes());
                }
                Ok(Answer::Tag(_)) if options.is_quiet => {}
                Ok(Answer::Tag(tag)) => answer.stdout.extend(format!("{tag}\n").into_bytes()),
                Err(text) => {
                    answer.stderr.extend(format!("{text}\n").into_bytes());
                    answer.exit = match (is_script, options.stops_on_error) {
                        (true, true) => 3,
                        (true, false) => 0,
                        (false, _) => 1,
                    };
                    if options.stops_on_error || !is_script {
                        return answer;
                    }
                }
            }
        }
        answer
    }

    fn statement(&mut self, database: &str, statement: &str) -> Result<Answer, String> {
        let lower = statement.to_lowercase();
        let words: Vec<&str> = lower.split_whitespace().collect();
        match words[..] {
            ["select", "1"] => Ok(Answer::one("?column?", "1")),
            ["select", "version()"] => Ok(Answer::one(
                "version",
                "PostgreSQL 15.8 on x86_64-pc-linux-musl",
            )),
            ["show", "server_version"] => Ok(Answer::one("server_version", "15.8")),
            ["select", "pg_is_in_recovery()"] => Ok(Answer::one("pg_is_in_recovery", "f")),
            ["select", "current_database()"] => Ok(Answer::one("current_database", database)),
            ["select", "count(*)", "from", "pg_stat_activity", ..] => Ok(Answer::one("count", "9")),
            ["select", "count(*)", "from", table] => self.count(database, table),
            ["create", "database", name] => self.create_database(unquoted(name)),
            ["drop", "database", "if", "exists", name] => {
                self.databases.remove(unquoted(name));
                Ok(Answer::Tag("DROP DATABASE".into()))
            }
            ["drop", "database", name] => match self.databases.remove(unquoted(name)) {
                Some(_) => Ok(Answer::Tag("DROP DATABASE".into())),
                None => Err(format!(
                    "ERROR:  database \"{}\" does not exist",
                    unquoted(name)
                )),
            },
            _ if lower.contains("pg_database_size") => Ok(Answer::one(
                "pg_database_size",
                &self.size(database).to_string(),
            )),
            _ if lower.contains("pg_stat_user_tables") || lower.contains("pg_class") => {
                Ok(self.row_counts(database))
            }
            _ if lower.contains("from pg_tables")
                || lower.contains("information_schema.tables") =>
            {
                Ok(self.table_names(database))
            }
            _ if lower.contains("from pg_database") => {
                Ok(Answer::rows("datname", self.databases.keys().cloned()))
            }
            ["begin" | "commit" | "set" | "analyze" | "vacuum", ..] => {
                Ok(Answer::Tag(words[0].to_uppercase()))
            }
            _ => Err(format!(
                "ERROR:  the range does not know this statement: {statement}"
            )),
        }
    }

    fn size(&self, database: &str) -> u64 {
        let rows: u64 = self.databases.get(database).map_or(0, |t| t.values().sum());
        7_600_000 + rows * 210
    }

    fn count(&self, database: &str, table: &str) -> Result<Answer, String> {
        let name = unquoted(table.trim_start_matches("public."));
        let rows = self.databases.get(database).and_then(|t| t.get(name));
        match rows {
            Some(rows) => Ok(Answer::one("count", &rows.to_string())),
            None => Err(format!(
                "ERROR:  relation \"{name}\" does not exist\nLINE 1: SELECT count(*) FROM {name}\n                             ^"
            )),
        }
    }

    fn create_database(&mut self, name: &str) -> Result<Answer, String> {
        if self.databases.contains_key(name) {
            return Err(format!("ERROR:  database \"{name}\" already exists"));
        }
        self.databases.insert(name.to_owned(), BTreeMap::new());
        Ok(Answer::Tag("CREATE DATABASE".into()))
    }

    fn table_names(&self, database: &str) -> Answer {
        let names = self
            .databases
            .get(database)
            .into_iter()
            .flat_map(BTreeMap::keys);
        Answer::rows("tablename", names.cloned())
    }

    fn row_counts(&self, database: &str) -> Answer {
        let tables = self.databases.get(database).into_iter().flatten();
        Answer::Rows {
            columns: vec!["relname".into(), "n_live_tup".into()],
            rows: tables
                .map(|(name, rows)| vec![name.clone(), rows.to_string()])
                .collect(),
        }
    }
}

enum Answer {
    Rows {
        columns: Vec<String>,
        rows: Vec<Vec<String>>,
    },
    Tag(String),
}

impl Answer {
    fn one(column: &str, value: &str) -> Self {
        Self::rows(column, [value.to_owned()])
    }

    fn rows(column: &str, values: impl IntoIterator<Item = String>) -> Self {
        Self::Rows {
            columns: vec![column.to_owned()],
            rows: values.into_iter().map(|v| vec![v]).collect(),
        }
    }
}

fn unquoted(name: &str) -> &str {
    name.trim_matches('"')
}

/// As psql prints a result.
fn table(options: &Options, columns: &[String], rows: &[Vec<String>]) -> String {
    if options.is_unaligned {
        return unaligned(options, columns, rows);
    }
    let width = |at: usize| {
        let cells = rows.iter().map(|row| row[at].len());
        cells.chain([columns[at].len()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let mut text = String::new();
    if !options.is_bare {
        let heads: Vec<String> = columns
            .iter()
            .zip(&widths)
            .map(|(c, w)| format!(" {c:^w$} "))
            .collect();
        let rule: Vec<String> = widths.iter().map(|w| "-".repeat(w + 2)).collect();
        let _ = writeln!(text, "{}\n{}", heads.join("|"), rule.join("+"));
    }
    for row in rows {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(c, w)| aligned(c, *w))
            .collect();
        let _ = writeln!(text, "{}", cells.join("|").trim_end());
    }
    if !options.is_bare {
        let word = if rows.len() == 1 { "row" } else { "rows" };
        let _ = writeln!(text, "({} {word})", rows.len());
    }
    text.push('\n');
    text
}

fn aligned(cell: &str, width: usize) -> String {
    if cell.parse::<f64>().is_ok() {
        format!(" {cell:>width$} ")
    } else {
        format!(" {cell:<width$} ")
    }
}

fn unaligned(options: &Options, columns: &[String], rows: &[Vec<String>]) -> String {
    let mut lines: Vec<String> = rows.iter().map(|row| row.join("|")).collect();
    if !options.is_bare {
        lines.insert(0, columns.join("|"));
        let word = if rows.len() == 1 { "row" } else { "rows" };
        lines.push(format!("({} {word})", rows.len()));
    }
    let mut text = lines.join("\n");
    text.push('\n');
    text
}

fn damaged(damage: Damage) -> ExecAnswer {
    ExecAnswer::failed(
        1,
        match damage {
            Damage::NotADump => {
                "pg_restore: error: input file does not appear to be a valid archive\n"
            }
            Damage::Truncated => "pg_restore: error: could not read from input file: end of file\n",
        },
    )
}

fn listing(database: &str, tables: &BTreeMap<String, u64>) -> String {
    let mut text = format!(
        ";\n; Archive created by the practice range\n;     dbname: {database}\n;     TOC Entries: {}\n;     Format: CUSTOM\n;     Dumped from database version: 15.8\n;\n",
        tables.len() * 2
    );
    for (at, name) in tables.keys().enumerate() {
        let _ = writeln!(
            text,
            "{}; 1259 {} TABLE public {name} app",
            215 + at,
            16_385 + at
        );
    }
    for (at, name) in tables.keys().enumerate() {
        let _ = writeln!(
            text,
            "{}; 0 {} TABLE DATA public {name} app",
            3_360 + at,
            16_385 + at
        );
    }
    text
}

fn plain(database: &str, tables: &BTreeMap<String, u64>) -> String {
    let mut text = format!("--\n-- PostgreSQL database dump\n--\n-- {database}\n\n");
    for (name, rows) in tables {
        let _ = write!(
            text,
            "CREATE TABLE public.{name} (id bigint NOT NULL);\nCOPY public.{name} (id) FROM stdin;\n"
        );
        for row in 1..=*rows {
            let _ = writeln!(text, "{row}");
        }
        text.push_str("\\.\n\n");
    }
    text.push_str("--\n-- PostgreSQL database dump complete\n--\n");
    text
}
