//! Restores and their rehearsals on the reference stack's real PostgreSQL, as an operator runs them.
//!
//! The backups are made here with the tools of the container and a manifest counted by hand, so that nothing of the
//! program that makes backups vouches for the program that restores them.

use std::fs;
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::death::killed;
use crate::stack::{Stack, reference_stack};

const DATABASE: &str = "hyper_mission";
const USER: &str = "hyper";
const NAME: &str = "app-20261121T062900Z";
/// Nothing here takes longer on a busy machine.
const LIMIT: Duration = Duration::from_mins(3);
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// A run that waits for somebody.
const NEEDS_A_YES: i32 = 11;

/// The database of the stack with rows of ours in it; all of it is taken away at the end.
struct Database {
    container: String,
}

impl Database {
    fn filled(stack: &Stack) -> Self {
        let container = stack.containers("postgres").remove(0);
        let database = Self { container };
        database.clear();
        database.sql(
            DATABASE,
            "INSERT INTO users (name, password_hash) SELECT 'restore-' || n, 'x' FROM generate_series(1, 40) n; \
             INSERT INTO missions (owner, title) SELECT id, 'mission ' || n FROM users, generate_series(1, 5) n \
             WHERE name LIKE 'restore-%'",
        );
        database
    }

    fn exec(&self, argv: &[&str]) -> Vec<u8> {
        let output = Command::new("docker")
            .args(["exec", &self.container])
            .args(argv)
            .output()
            .unwrap();
        assert!(output.status.success(), "{argv:?}: {output:?}");
        output.stdout
    }

    fn sql(&self, database: &str, sql: &str) -> String {
        let argv = [
            "psql",
            "-X",
            "-q",
            "-A",
            "-t",
            "-v",
            "ON_ERROR_STOP=1",
            "-U",
            USER,
        ];
        let argv = [&argv[..], &["-d", database, "-c", sql]].concat();
        String::from_utf8(self.exec(&argv))
            .unwrap()
            .trim()
            .to_owned()
    }

    fn rows(&self) -> (u64, u64) {
        let count = |table: &str| {
            let sql = format!("SELECT count(*) FROM {table}");
            self.sql(DATABASE, &sql).parse().unwrap()
        };
        (count("users"), count("missions"))
    }

    /// Databases beside the live one.
    fn others(&self) -> Vec<String> {
        let sql = format!(
            "SELECT datname FROM pg_database WHERE datname LIKE '{DATABASE}\\_%' ORDER BY 1"
        );
        let names = self.sql("postgres", &sql);
        names.lines().map(str::to_owned).collect()
    }

    /// What an earlier test left: other databases, roles, our rows.
    fn clear(&self) {
        for other in self.others() {
            let drop = format!("DROP DATABASE \"{other}\" WITH (FORCE)");
            self.sql("postgres", &drop);
        }
        let roles = self.sql(
            "postgres",
            "SELECT rolname FROM pg_roles WHERE rolname LIKE 'quarterdeck\\_%'",
        );
        for role in roles.lines() {
            self.sql("postgres", &format!("DROP ROLE \"{role}\""));
        }
        self.sql(DATABASE, "DELETE FROM users WHERE name LIKE 'restore-%'");
    }

    fn dump(&self) -> Vec<u8> {
        self.exec(&["pg_dump", "-Fc", "-U", USER, "-d", DATABASE])
    }

    /// As the program writes one, counted here.
    fn manifest(&self) -> Value {
        let tables = self.sql(
            DATABASE,
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 1",
        );
        let table = |name: &str| {
            let sql = format!(
                "SET timezone = 'UTC'; SET datestyle = 'ISO, YMD'; SELECT count(*) || ' ' || \
                 coalesce(sum(hashtextextended((t.*)::text COLLATE \"C\", 0)), 0) FROM public.{name} t"
            );
            let counted = self.sql(DATABASE, &sql);
            let (rows, checksum) = counted.split_once(' ').unwrap();
            let rows: u64 = rows.parse().unwrap();
            json!({"schema": "public", "table": name, "rows": rows, "checksum": checksum})
        };
        let tables: Vec<Value> = tables.lines().map(table).collect();
        let ask = |sql: &str| self.sql(DATABASE, sql);
        let dumped_by = String::from_utf8(self.exec(&["pg_dump", "--version"])).unwrap();
        json!({
            "schema": 1, "target": "app", "made_at": 1_795_242_540_000_u64, "took_ms": 100,
            "made_by": "quarterdeck 0.1.0", "run": "r-1", "encryption": null, "images": [],
            "content": {
                "kind": "postgres", "database": DATABASE,
                "system_identifier": ask("SELECT system_identifier FROM pg_control_system()"),
                "server_version": ask("SHOW server_version"),
                "server_version_num": ask("SHOW server_version_num").parse::<u64>().unwrap(),
                "dumped_by": dumped_by.trim(), "encoding": "UTF8",
                "database_bytes": ask("SELECT pg_database_size(current_database())").parse::<u64>().unwrap(),
                "snapshot": "00000003-0000001B-1", "lsn": "0/1", "extensions": [],
                "tables": tables, "sequences": [],
            },
        })
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.clear();
        }
    }
}

/// An operator with a store of backups and a configuration that names it.
struct Operator {
    home: tempfile::TempDir,
}

impl Operator {
    fn new(stack: &Stack) -> Self {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("store")).unwrap();
        let text = fs::read_to_string(stack.config()).unwrap();
        let folder = stack.folder().display();
        let text = text.replace("\"tls/", &format!("\"{folder}/tls/")).replace(
            "\"gateway/upstream",
            &format!("\"{folder}/gateway/upstream"),
        );
        let backup = format!(
            "\n[[backup]]\ntarget = \"app\"\ndirectory = \"{}\"\nservice = \"postgres\"\n\
             database = \"{DATABASE}\"\nuser = \"{USER}\"\n\
             rehearsal_query = \"SELECT count(*) FROM users\"\nrehearsal_value = \">= 40\"\n",
            home.path().join("store").display()
        );
        fs::write(home.path().join("quarterdeck.toml"), text + &backup).unwrap();
        Self { home }
    }

    /// Puts a backup into the store, alone.
    fn store(&self, dump: &[u8], manifest: &Value) {
        self.store_as(dump, dump, manifest);
    }

    /// `found` lies there, `promised` is what the manifest says of it.
    fn store_as(&self, found: &[u8], promised: &[u8], manifest: &Value) {
        let digest = Sha256::digest(promised);
        let hex: Vec<String> = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let sha256 = hex.concat();
        let mut manifest = manifest.clone();
        manifest["file"] =
            json!({"name": format!("{NAME}.dump"), "bytes": promised.len(), "sha256": sha256});
        manifest["plain"] = json!({"bytes": promised.len(), "sha256": sha256});
        let folder = self.home.path().join("store");
        fs::write(folder.join(format!("{NAME}.dump")), found).unwrap();
        fs::write(
            folder.join(format!("{NAME}.manifest.json")),
            manifest.to_string(),
        )
        .unwrap();
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_quarterdeck"));
        command
            .args(words)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.home.path())
            .env("LANG", "C.UTF-8")
            .current_dir(self.home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn ask(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    /// Exit code and all that was said.
    fn said(&self, words: &[&str]) -> (Option<i32>, String) {
        let output = self.ask(words);
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).unwrap())
    }

    fn entries(&self, code: &str) -> Vec<Value> {
        let output = self.ask(&["journal", "tail", "--json", "-n", "100000"]);
        let text = String::from_utf8(output.stdout).unwrap();
        let all = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        all.filter(|entry| entry["code"] == code)
            .map(|entry| match &entry["body"] {
                Value::String(text) => serde_json::from_str(text).unwrap(),
                value => value.clone(),
            })
            .collect()
    }

    /// The evidence of a kind, newest last.
    fn evidence(&self, kind: &str) -> Vec<Value> {
        let all = self.entries("evidence").into_iter();
        let checks = all.filter(|entry| entry["value"]["evidence"]["kind"] == kind);
        checks.map(|entry| entry["value"].clone()).collect()
    }

    fn steps_done(&self) -> usize {
        let events = self.entries("run.event");
        let done = |entry: &&Value| entry["event"]["event"] == "succeeded";
        events.iter().filter(done).count()
    }
}

fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(began.elapsed() < LIMIT, "not within {LIMIT:?}: {what}");
        sleep(LOOK_EVERY);
    }
}

/// Every replica has its way to the database again: only the database can tell that it does not know somebody.
fn knows_nobody(stack: &Stack) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let client = stack.client();
    let asked = || {
        runtime.block_on(async {
            let body = json!({"name": "nobody-at-all", "password": "of no importance"});
            let asked = client
                .post("https://localhost:8443/api/login")
                .header("content-type", "application/json")
                .body(body.to_string());
            asked.send().await.unwrap().status().as_u16()
        })
    };
    let mut last = 0;
    until("the application has its database", || {
        let all: Vec<u16> = (0..6).map(|_| asked()).collect();
        last = all[0];
        all.iter().all(|status| *status == 401).then_some(())
    });
}

fn throwaways() -> String {
    let output = Command::new("docker")
        .args(["ps", "-aq", "--filter", "label=quarterdeck.rehearsal"])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_rehearsal_measures_the_restore_and_names_the_table_that_lost_a_row() {
    let Some(stack) = reference_stack() else {
        return;
    };
    let database = Database::filled(&stack);
    let operator = Operator::new(&stack);
    let manifest = database.manifest();
    operator.store(&database.dump(), &manifest);
    let rehearsal = ["run", "restore-rehearsal", "target=app", "--confirm=yes"];

    let (code, said) = operator.said(&rehearsal);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("3/3 tables") && said.contains("rows match, RTO "),
        "{said}"
    );
    let proof = operator.evidence("restore-rehearsal").pop().unwrap();
    assert_eq!(proof["verdict"], "pass", "{proof}");
    assert!(proof["evidence"]["rto_ms"].as_u64().unwrap() > 0, "{proof}");
    assert_eq!(proof["evidence"]["query"]["holds"], true, "{proof}");
    eprintln!("{}", proof["said"]);
    assert_eq!(throwaways(), "", "it is always removed");

    // One row less than the manifest says, in a dump whose hash is right.
    database.sql(
        DATABASE,
        "DELETE FROM missions WHERE id = (SELECT max(id) FROM missions)",
    );
    operator.store(&database.dump(), &manifest);
    let (code, said) = operator.said(&rehearsal);
    assert_ne!(code, Some(0), "{said}");
    assert!(said.contains("public.missions has"), "{said}");
    let proof = operator.evidence("restore-rehearsal").pop().unwrap();
    assert_eq!(proof["verdict"], "fail", "{proof}");
    assert_eq!(throwaways(), "", "it is always removed");

    // The same number of rows with another content.
    database.sql(
        DATABASE,
        "UPDATE users SET password_hash = 'y' WHERE name = 'restore-7'",
    );
    let changed = database.manifest();
    database.sql(
        DATABASE,
        "UPDATE users SET password_hash = 'z' WHERE name = 'restore-7'",
    );
    operator.store(&database.dump(), &changed);
    let (code, said) = operator.said(&rehearsal);
    assert_ne!(code, Some(0), "{said}");
    assert!(
        said.contains("public.users has its") && said.contains("content"),
        "{said}"
    );
    assert_eq!(throwaways(), "", "it is always removed");
    assert_eq!(
        database.others(),
        Vec::<String>::new(),
        "the live server is not touched"
    );
}

#[test]
fn deleted_rows_come_back_and_undo_brings_the_deleted_state_back() {
    let Some(stack) = reference_stack() else {
        return;
    };
    let database = Database::filled(&stack);
    let operator = Operator::new(&stack);
    operator.store(&database.dump(), &database.manifest());
    let whole = database.rows();
    database.sql(DATABASE, "DELETE FROM missions WHERE title = 'mission 3'");
    let less = database.rows();
    assert!(less.1 < whole.1);

    let restore = [
        "run",
        "restore",
        "target=app",
        "--confirm=app@hyper-mission",
    ];
    let began = Instant::now();
    let (code, said) = operator.said(&restore);
    assert_eq!(code, Some(NEEDS_A_YES), "{said}");
    eprintln!(
        "restored and swapped in {:.1} s",
        began.elapsed().as_secs_f64()
    );
    assert_eq!(database.rows(), whole, "{said}");
    assert!(said.contains("come back"), "{said}");
    knows_nobody(&stack);

    let (code, said) = operator.said(&["undo", "last"]);
    assert_eq!(code, Some(0), "{said}");
    until("the run has ended", || {
        (!operator.entries("run.finished").is_empty()).then_some(())
    });
    assert_eq!(database.rows(), less);
    assert_eq!(
        database.sql(DATABASE, "SHOW default_transaction_read_only"),
        "off"
    );
    knows_nobody(&stack);
    let others = database.others();
    assert!(
        matches!(&others[..], [one] if one.contains("_restored_")),
        "what was restored is kept: {others:?}"
    );
}

#[test]
#[expect(
    clippy::too_many_lines,
    clippy::type_complexity,
    reason = "a table of damages"
)]
fn a_damaged_or_foreign_backup_is_refused_before_anything_is_touched() {
    let Some(stack) = reference_stack() else {
        return;
    };
    let database = Database::filled(&stack);
    let operator = Operator::new(&stack);
    let (dump, manifest) = (database.dump(), database.manifest());
    let rows = database.rows();
    let sql = b"\\! touch /tmp/owned\nDROP TABLE users;\n".to_vec();
    let mut flipped = dump.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    let part = |per_mille: usize| dump[..dump.len() * per_mille / 1000].to_vec();
    let altered = |at: &str, value: Value| {
        let mut manifest = manifest.clone();
        manifest["content"][at] = value;
        manifest
    };
    // What lies there, what the manifest promises, the manifest, and what is said.
    let cases: Vec<(&str, Vec<u8>, &[u8], Value, &str)> = vec![
        (
            "one byte flipped",
            flipped,
            &dump,
            manifest.clone(),
            "sha256",
        ),
        ("empty", Vec::new(), &dump, manifest.clone(), "bytes"),
        ("one per cent", part(10), &dump, manifest.clone(), "bytes"),
        ("half", part(500), &dump, manifest.clone(), "bytes"),
        ("nearly all", part(999), &dump, manifest.clone(), "bytes"),
        (
            "plain SQL",
            sql.clone(),
            &sql,
            manifest.clone(),
            "plain SQL",
        ),
        (
            "another database",
            dump.clone(),
            &dump,
            altered("database", json!("shop")),
            "from_database=shop",
        ),
        (
            "another cluster",
            dump.clone(),
            &dump,
            altered("system_identifier", json!("7")),
            "from_cluster=7",
        ),
        (
            "a newer server",
            dump.clone(),
            &dump,
            altered("server_version_num", json!(990_000)),
            "older server",
        ),
        (
            "newer tools",
            dump.clone(),
            &dump,
            altered("dumped_by", json!("pg_dump (PostgreSQL) 99.1")),
            "pg_dump 99",
        ),
        (
            "too large",
            dump.clone(),
            &dump,
            altered("database_bytes", json!(900_000_000_000_000_u64)),
            "make room",
        ),
    ];
    for (what, found, promised, manifest, expected) in cases {
        operator.store_as(&found, promised, &manifest);
        let (code, said) = operator.said(&[
            "run",
            "restore",
            "target=app",
            "--confirm=app@hyper-mission",
        ]);
        assert_ne!(code, Some(0), "{what}: {said}");
        assert!(said.contains(expected), "{what}: {said}");
        assert_eq!(database.others(), Vec::<String>::new(), "{what}");
        assert_eq!(database.rows(), rows, "{what}");
    }
    // A link in the place of the dump.
    operator.store(&dump, &manifest);
    let file = operator.home.path().join(format!("store/{NAME}.dump"));
    let elsewhere = operator.home.path().join("elsewhere");
    fs::rename(&file, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &file).unwrap();
    let (code, said) = operator.said(&[
        "run",
        "restore",
        "target=app",
        "--confirm=app@hyper-mission",
    ]);
    assert_ne!(code, Some(0), "{said}");
    assert_eq!(database.others(), Vec::<String>::new(), "{said}");

    // Newer rows are lost only by their number.
    fs::remove_file(&file).unwrap();
    operator.store(&dump, &manifest);
    database.sql(
        DATABASE,
        "INSERT INTO users (name, password_hash) VALUES ('restore-new', 'x')",
    );
    let (code, said) = operator.said(&[
        "run",
        "restore",
        "target=app",
        "--confirm=app@hyper-mission",
    ]);
    assert_ne!(code, Some(0), "{said}");
    assert!(said.contains("lose_rows=1"), "{said}");
    // As many rows as before, but another one: only the comparison of rows tells.
    database.sql(DATABASE, "DELETE FROM users WHERE name = 'restore-1'");
    let (code, said) = operator.said(&[
        "run",
        "restore",
        "target=app",
        "--confirm=app@hyper-mission",
    ]);
    assert_ne!(code, Some(0), "{said}");
    assert!(
        said.contains("public.users 1") && said.contains("lose_rows=1"),
        "{said}"
    );
    assert_eq!(
        database.others(),
        Vec::<String>::new(),
        "it was undone: {said}"
    );
}

/// Run and driver of the run that is on.
fn driver(operator: &Operator) -> Option<(String, rustix::process::Pid)> {
    let output = operator.ask(&["runs", "--json"]);
    // Before the first record there is no journal to tell of it.
    let runs: Value = serde_json::from_slice(&output.stdout).ok()?;
    let mut all = runs["runs"].as_array()?.iter();
    let run = all.find(|run| run["driver"].is_string())?;
    let pid = run["driver"].as_str()?.rsplit('/').nth(1)?.parse().ok()?;
    let pid = rustix::process::Pid::from_raw(pid)?;
    Some((run["run"].as_str()?.to_owned(), pid))
}

/// `kill -9` after so many steps, then the word; what is live afterwards.
fn killed_after(database: &Database, stack: &Stack, steps: usize, word: &str) -> (u64, u64) {
    let operator = Operator::new(stack);
    operator.store(&database.dump(), &database.manifest());
    database.sql(DATABASE, "DELETE FROM missions WHERE title = 'mission 3'");
    let restore = [
        "run",
        "restore",
        "target=app",
        "hold=false",
        "--confirm=app@hyper-mission",
    ];
    let mut watcher = operator.command(&restore).spawn().unwrap();
    let (run, pid) = until("a driver owns the run", || driver(&operator));
    until("the run is so far", || {
        (operator.steps_done() >= steps).then_some(())
    });
    let was_killed = killed(pid);
    let _ = watcher.kill();
    let _ = watcher.wait();
    // Whatever the moment was: a database answers under the live name.
    let _ = database.rows();
    if was_killed {
        if word == "undo" {
            let (_, said) = operator.said(&["undo", &run]);
            eprintln!("{steps} {word}: {}", said.trim());
        }
        let (code, said) = operator.said(&["resume", &run]);
        assert!(
            matches!(code, Some(0 | 12)),
            "{steps} {word}: {code:?} {said}"
        );
    }
    let live = database.rows();
    assert_eq!(
        database.sql(DATABASE, "SHOW default_transaction_read_only"),
        "off",
        "{steps} {word}"
    );
    live
}

#[test]
fn a_driver_that_is_killed_at_any_step_leaves_a_database_under_the_live_name() {
    let Some(stack) = reference_stack() else {
        return;
    };
    for (steps, word) in [
        (0, "resume"),
        (1, "undo"),
        (3, "resume"),
        (3, "undo"),
        (4, "undo"),
    ] {
        let database = Database::filled(&stack);
        let whole = database.rows();
        let live = killed_after(&database, &stack, steps, word);
        let less = (whole.0, whole.1 - 40);
        let expected = if word == "undo" { less } else { whole };
        assert_eq!(live, expected, "{steps} {word}");
        drop(database);
    }
    knows_nobody(&stack);
}
