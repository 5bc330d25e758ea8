//! Backups of a real PostgreSQL: what the manifest says is what the dump holds, and what breaks leaves nothing behind.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use quarterdeck::domain::{
    BackupSource, BackupSpec, Clean, Content, Keep, Manifest, PostgresContent, Stack, StoreSpec,
    Timestamp,
};
use quarterdeck::engine::{Finding, RunId};
use quarterdeck::link::docker::{Address, Engine};
use quarterdeck::link::store::seal::Opened;
use quarterdeck::link::store::{Store, catalogue};
use quarterdeck::link::tls::Roots;
use quarterdeck::probe::check::{Eyes, Reach};
use quarterdeck::step::{Act, Done, Hands, Hurry, Step};
use serde_json::{Value, json};

const IMAGE: &str = "hyper-mission/postgres:15";

/// Nothing here takes longer on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

fn docker(words: &[&str]) -> Output {
    Command::new("docker").args(words).output().unwrap()
}

#[track_caller]
fn docker_well(words: &[&str]) -> String {
    let output = docker(words);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "docker {words:?}: {said}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn has_image() -> bool {
    docker(&["image", "inspect", IMAGE]).status.success()
}

/// A PostgreSQL of our own, in a project of its own; removed whatever happens.
struct Server {
    name: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        docker(&["rm", "--force", "--volumes", &self.name]);
    }
}

impl Server {
    /// `None` where there is no engine.
    fn start() -> Option<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        if !has_image() {
            // Brings the images; said as skipped where there is no engine.
            drop(crate::stack::reference_stack()?);
        }
        let number = COUNT.fetch_add(1, Ordering::SeqCst);
        let name = format!("backups-{}-{number}", std::process::id());
        let server = Self { name: name.clone() };
        let project = format!("com.docker.compose.project={name}");
        docker_well(&[
            "run",
            "--detach",
            "--name",
            &name,
            "--label",
            &project,
            "--label",
            "com.docker.compose.service=postgres",
            "--label",
            "com.docker.compose.container-number=1",
            "--env",
            "POSTGRES_PASSWORD=none",
            "--env",
            "POSTGRES_USER=postgres",
            "--env",
            "POSTGRES_DB=app",
            IMAGE,
        ]);
        server.wait();
        Some(server)
    }

    fn wait(&self) {
        let begun = Instant::now();
        let ready = [
            "exec",
            &self.name,
            "pg_isready",
            "-q",
            "-h",
            "127.0.0.1",
            "-d",
            "app",
        ];
        while !docker(&ready).status.success() {
            assert!(
                begun.elapsed() < PATIENCE,
                "PostgreSQL does not get up: {:?} {:?}",
                docker(&ready),
                docker(&["logs", "--tail", "20", &self.name])
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    #[track_caller]
    fn psql(&self, database: &str, script: &str) -> String {
        let mut child = Command::new("docker")
            .args([
                "exec",
                "-i",
                &self.name,
                "psql",
                "-XqAt",
                "-v",
                "ON_ERROR_STOP=1",
            ])
            .args(["-U", "postgres", "-d", database, "-f", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), script.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Restores a dump into a database of its own.
    fn restore(&self, dump: &[u8], database: &str) {
        self.psql("postgres", &format!("CREATE DATABASE {database};"));
        let mut child = Command::new("docker")
            .args(["exec", "-i", &self.name, "pg_restore", "--exit-on-error"])
            .args(["-U", "postgres", "-d", database])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), dump).unwrap();
        assert!(child.wait().unwrap().success());
    }

    /// Our sessions that are at work in it.
    fn sessions(&self) -> String {
        let ours =
            "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'quarterdeck%';";
        self.psql("postgres", ours)
    }
}

/// A directory for backups, and hands that make them.
struct Scene {
    dir: tempfile::TempDir,
    server: Server,
    spec: BackupSpec,
    clock: Arc<AtomicU64>,
    said: Arc<Mutex<Vec<String>>>,
}

fn local(name: &str, path: &Path) -> StoreSpec {
    StoreSpec {
        name: Clean::from(name),
        url: Clean::from(format!("file://{}", path.display())),
        endpoint: None,
        region: None,
        access_key: None,
        secret_key: None,
    }
}

impl Scene {
    fn new() -> Option<Self> {
        let server = Server::start()?;
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("home");
        std::fs::create_dir(&home).unwrap();
        let spec = BackupSpec {
            source: Some(BackupSource::Postgres {
                service: Clean::from("postgres"),
                database: Clean::from("app"),
                user: Clean::from("postgres"),
                password: None,
            }),
            stores: vec![local("local", &home)],
            keep: Keep {
                daily: 7,
                weekly: 0,
                monthly: 0,
                min: 1,
            },
            keep_min: 1,
            ..BackupSpec::of_files(Clean::from("app"), home, Clean::from("app-*"))
        };
        Some(Self {
            dir,
            server,
            spec,
            clock: Arc::new(AtomicU64::new(1_795_176_221_000)),
            said: Arc::default(),
        })
    }

    fn home(&self) -> PathBuf {
        self.spec.directory.clone()
    }

    fn store(&self) -> Store {
        Store::open(&self.spec.stores[0], |_| Err(Clean::default())).unwrap()
    }

    fn hands(&self) -> Hands {
        let project = Clean::from(self.server.name.as_str());
        let mut stack = Stack::discovered(project.clone());
        stack.backups = vec![self.spec.clone()];
        let engine = Engine::new(
            Address::Unix("/var/run/docker.sock".into()),
            self.dir.path().join("runtime"),
        );
        let (clock, said) = (self.clock.clone(), self.said.clone());
        Hands {
            eyes: Eyes {
                engine: engine.clone(),
                stack: Arc::new(stack),
                prometheus: None,
                roots: Roots::system_lazily(),
                ca_file: None,
                gateway: None,
                reach: Reach::nothing(),
            },
            engine,
            now: Arc::new(move || Timestamp(clock.fetch_add(1, Ordering::SeqCst))),
            project,
            run: RunId(Clean::from("r-1")),
            upstream: None,
            secret: Arc::new(|place| Err(Clean::line(&format!("no {}", place.shown())))),
            say: Arc::new(move |line: Clean| said.lock().unwrap().push(line.to_string())),
            prove: Arc::new(|_| ()),
            hurry: Hurry::never(),
        }
    }

    fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.home()).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    async fn newest(&self) -> Manifest {
        let catalogue = catalogue::read(&self.store(), "app").await.unwrap();
        catalogue.newest_good().unwrap().clone()
    }
}

fn step(kind: &str) -> Step {
    serde_json::from_value(json!({"kind": kind, "target": "app"})).unwrap()
}

async fn run(step: &Step, hands: &Hands) -> Result<(Value, Done), Clean> {
    let before = step.before(hands).await?;
    let done = step.perform(hands, &before).await?;
    Ok((before, done))
}

fn content(manifest: &Manifest) -> &PostgresContent {
    match &manifest.content {
        Content::Postgres(content) => content,
        other @ Content::Redis(_) => panic!("{other:?}"),
    }
}

/// Names and values that get lost easily.
const ODD: &str = r#"
    CREATE SCHEMA "odd Schema";
    CREATE TABLE "odd Schema"."a.b ""quoted"" % \ 'x'" (of_row int, "select" text);
    INSERT INTO "odd Schema"."a.b ""quoted"" % \ 'x'" SELECT n, repeat('ä', n) FROM generate_series(1, 50) n;
    CREATE TABLE of_row (of_row text);
    INSERT INTO of_row VALUES (NULL), (''), (E'tab\tand\nline');
    CREATE TABLE empty ();
    CREATE TABLE nothing_in_it (id int PRIMARY KEY);
    CREATE TABLE types (at timestamptz, span interval, part float8, money numeric, bytes bytea, list int[], doc jsonb, word regclass);
    INSERT INTO types VALUES (now(), '1 year 2 days 03:04:05.6', 0.1::float8 + 0.2, 1.10, '\x00ff', '{1,NULL}', '{"a": [1]}', 'types');
    ALTER DATABASE app SET datestyle = 'German';
    ALTER DATABASE app SET extra_float_digits = -3;
    ALTER DATABASE app SET timezone = 'Asia/Tokyo';
    CREATE TABLE parts (id int) PARTITION BY RANGE (id);
    CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (10);
    CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (10) TO (20);
    INSERT INTO parts SELECT generate_series(0, 19);
    CREATE TABLE parent (id int); CREATE TABLE child (more int) INHERITS (parent);
    INSERT INTO parent VALUES (1); INSERT INTO child VALUES (2, 3);
    CREATE TABLE written (id bigserial PRIMARY KEY, at timestamptz DEFAULT clock_timestamp(), filler text);
    INSERT INTO written (filler) SELECT md5(n::text) FROM generate_series(1, 200000) n;
"#;

/// Writes until it is told to stop.
struct Writer {
    stop: Arc<std::sync::atomic::AtomicBool>,
    thread: Option<std::thread::JoinHandle<u32>>,
}

impl Writer {
    fn start(server: &Server) -> Self {
        let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let (ended, name) = (stop.clone(), server.name.clone());
        let thread = std::thread::spawn(move || {
            let mut rounds = 0;
            while !ended.load(Ordering::SeqCst) {
                let script = "INSERT INTO written (filler) SELECT 'new' FROM generate_series(1, 500); \
                              DELETE FROM written WHERE id % 97 = 3 AND id < 100000; \
                              UPDATE of_row SET of_row = of_row || 'x'";
                let args = [
                    "exec", &name, "psql", "-XqAt", "-U", "postgres", "-d", "app", "-c", script,
                ];
                rounds += u32::from(docker(&args).status.success());
            }
            rounds
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }

    fn stop(&mut self) -> u32 {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.take().unwrap().join().unwrap()
    }
}

const SAME_TEXT: &str = "SET datestyle = 'ISO, YMD'; SET timezone = 'UTC'; SET intervalstyle = 'postgres'; \
    SET extra_float_digits = 1; SET bytea_output = 'hex'; SET search_path = pg_catalog;";

/// Every table of the manifest is in the restored database with as many rows and the same content, and no other.
#[track_caller]
fn same(server: &Server, database: &str, content: &PostgresContent) {
    for table in &content.tables {
        let quote = |name: &Clean| format!("\"{}\"", name.replace('"', "\"\""));
        let (schema, name) = (quote(&table.schema), quote(&table.table));
        let found = server.psql(
            database,
            &format!(
                "{SAME_TEXT} SELECT count(*) || ' ' || coalesce(sum(hashtextextended((q.*)::text COLLATE \"C\", 0)), 0) \
                 FROM ONLY {schema}.{name} AS q;"
            ),
        );
        assert_eq!(
            found,
            format!("{} {}", table.rows, table.checksum),
            "{}",
            table.name()
        );
    }
    let many = server.psql(
        database,
        "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE relkind = 'r' \
         AND nspname !~ '^pg_' AND nspname <> 'information_schema';",
    );
    assert_eq!(many, content.tables.len().to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_manifest_counts_what_the_dump_holds_although_rows_are_written_meanwhile() {
    let Some(mut scene) = Scene::new() else {
        return;
    };
    scene.server.psql("app", ODD);
    let mut writer = Writer::start(&scene.server);
    let (before, done) = run(&step("backup"), &scene.hands()).await.unwrap();
    let rounds = writer.stop();
    assert!(rounds > 0, "nothing was written meanwhile");
    let manifest = scene.newest().await;
    assert!(done.said.contains("10 tables"), "{}", done.said);
    assert_eq!(content(&manifest).tables.len(), 10);
    assert_eq!(content(&manifest).database.as_str(), "app");
    assert!(manifest.made_at.0 >= 1_795_176_221_000);
    let name = manifest.file.name.clone();
    let dump = std::fs::read(scene.home().join(name.as_str())).unwrap();
    assert_eq!(dump.len() as u64, manifest.file.digest.bytes);
    scene.server.restore(&dump, "plain");
    same(&scene.server, "plain", content(&manifest));
    let live = scene.server.psql("app", "SELECT count(*) FROM written;");
    let dumped = content(&manifest)
        .tables
        .iter()
        .find(|t| t.table == *"written")
        .unwrap();
    assert_ne!(live, dumped.rows.to_string(), "the live one has moved on");
    // The same once more is nothing new; undone, nothing is left.
    let again = step("backup")
        .perform(&scene.hands(), &before)
        .await
        .unwrap();
    assert!(again.said.contains("is there already"), "{}", again.said);
    let happened = step("backup").happened(&scene.hands(), &before).await;
    assert!(matches!(happened, Finding::Happened), "{happened:?}");
    step("backup").undo(&scene.hands(), &before).await.unwrap();
    assert_eq!(scene.files(), [""; 0]);
    assert_eq!(scene.server.sessions(), "0");
    encrypted(&mut scene).await;
}

/// Readable by nobody without the key, and the same with it.
async fn encrypted(scene: &mut Scene) {
    let key = scene.dir.path().join("key");
    let recipients = scene.dir.path().join("recipients");
    let pair = age::x25519::Identity::generate();
    std::fs::write(
        &key,
        age::secrecy::ExposeSecret::expose_secret(&pair.to_string()),
    )
    .unwrap();
    std::fs::write(&recipients, pair.to_public().to_string()).unwrap();
    scene.spec.recipients_file = Some(recipients);
    run(&step("backup"), &scene.hands()).await.unwrap();
    let manifest = scene.newest().await;
    let name = manifest.file.name.as_str();
    assert!(name.ends_with(".dump.age"), "{name}");
    let stored = std::fs::read(scene.home().join(name)).unwrap();
    assert!(stored.starts_with(b"age-encryption.org/v1"));
    let fetching = scene.store().get(name).await.unwrap();
    let mut opened = Opened::new(fetching, &key).await.unwrap();
    let mut dump = Vec::new();
    while let Some(block) = opened.next().await.unwrap() {
        dump.extend_from_slice(&block);
    }
    assert_eq!(dump.len() as u64, manifest.plain.bytes);
    scene.server.restore(&dump, "sealed");
    same(&scene.server, "sealed", content(&manifest));
    // One byte flipped is found.
    let mut bytes = stored;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(scene.home().join(name), bytes).unwrap();
    let fault = catalogue::verify(&scene.store(), &manifest)
        .await
        .unwrap_err();
    assert!(fault.contains("is not what was written"), "{fault}");
}

/// Waits until something of a backup is being written.
async fn begun(scene: &Scene) {
    let begun = Instant::now();
    loop {
        let growing = std::fs::read_dir(scene.home())
            .unwrap()
            .any(|entry| entry.unwrap().metadata().is_ok_and(|m| m.len() > 0));
        if growing {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "the dump does not begin");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_that_breaks_off_leaves_nothing_and_can_be_made_again() {
    let Some(scene) = Scene::new() else {
        return;
    };
    scene.server.psql(
        "app",
        "CREATE TABLE rows (id int, filler text); \
         INSERT INTO rows SELECT n, md5(n::text) || md5((n+1)::text) FROM generate_series(1, 1500000) n;",
    );
    let hands = scene.hands();
    let backup = step("backup");
    let before = backup.before(&hands).await.unwrap();
    // Its session is killed in the server.
    let kill = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                WHERE application_name LIKE 'quarterdeck%' AND query LIKE 'COPY%';";
    let (broken, ()) = tokio::join!(backup.perform(&hands, &before), async {
        begun(&scene).await;
        scene.server.psql("postgres", kill);
    });
    let fault = broken.unwrap_err();
    assert!(
        fault.contains("pg_dump in postgres-1 ended with exit"),
        "{fault}"
    );
    assert_eq!(scene.files(), [""; 0]);
    assert_eq!(scene.server.sessions(), "0");
    // The step is given up at its deadline.
    let given_up = tokio::select! {
        done = backup.perform(&hands, &before) => Some(done),
        () = begun(&scene) => None,
    };
    assert!(given_up.is_none(), "{given_up:?}");
    let since = Instant::now();
    while scene.server.sessions() != "0" {
        assert!(since.elapsed() < PATIENCE, "the dump goes on for nobody");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(scene.files(), [""; 0]);
    // The container is restarted under it.
    let (broken, ()) = tokio::join!(backup.perform(&hands, &before), async {
        begun(&scene).await;
        let name = scene.server.name.clone();
        let restart = move || docker_well(&["restart", "--time", "1", &name]);
        tokio::task::spawn_blocking(restart).await.unwrap();
    });
    broken.unwrap_err();
    assert_eq!(scene.files(), [""; 0]);
    scene.server.wait();
    // The same `before`, once more.
    backup.perform(&hands, &before).await.unwrap();
    let manifest = scene.newest().await;
    assert_eq!(content(&manifest).tables[0].rows, 1_500_000);
    catalogue::verify(&scene.store(), &manifest).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn stores_that_are_away_full_or_hostile_are_told_and_nothing_is_lost() {
    let Some(mut scene) = Scene::new() else {
        return;
    };
    scene.server.psql(
        "app",
        "CREATE TABLE t (id int); INSERT INTO t SELECT generate_series(1, 9);",
    );
    let offsite = scene.dir.path().join("offsite");
    scene.spec.stores.push(local("offsite", &offsite));
    // Away: made at home, and said.
    let (_, done) = run(&step("backup"), &scene.hands()).await.unwrap();
    assert!(
        done.said.contains("not in every store, run backup-copy"),
        "{}",
        done.said
    );
    let fault = run(&step("backup-copy"), &scene.hands()).await.unwrap_err();
    assert!(fault.contains("is not there"), "{fault}");
    // Back: copied and identical.
    std::fs::create_dir(&offsite).unwrap();
    let (_, done) = run(&step("backup-copy"), &scene.hands()).await.unwrap();
    assert!(done.said.contains("1 copied"), "{}", done.said);
    let manifest = scene.newest().await;
    let name = manifest.file.name.as_str();
    let read = |place: &Path| std::fs::read(place.join(name)).unwrap();
    assert_eq!(read(&offsite), read(&scene.home()));
    let (_, done) = run(&step("backup-copy"), &scene.hands()).await.unwrap();
    assert!(
        done.said.contains("every store has them all"),
        "{}",
        done.said
    );
    // Hostile names beside it change nothing.
    let home = scene.home();
    std::os::unix::fs::symlink("/etc/shadow", home.join("app-20270101T000000Z.dump")).unwrap();
    std::os::unix::fs::symlink(
        "/etc/shadow",
        home.join("app-20270101T000000Z.manifest.json"),
    )
    .unwrap();
    std::fs::write(
        home.join("app-20280101T000000Z.manifest.json"),
        "{\"schema\": 1}",
    )
    .unwrap();
    assert_eq!(scene.newest().await, manifest);
    // A year of them, pruned; the newest good one stays.
    for days in 1..40_u64 {
        old_one(&home, &manifest, days);
    }
    let (_, done) = run(&step("backup-prune"), &scene.hands()).await.unwrap();
    assert_eq!(done.said.as_str(), "33 removed");
    assert_eq!(scene.newest().await, manifest);
    assert!(
        home.join("app-20270101T000000Z.dump").is_symlink(),
        "a link is not touched"
    );
    full(&mut scene).await;
}

/// A backup of earlier days, with the content of another.
fn old_one(home: &Path, manifest: &Manifest, days: u64) {
    use quarterdeck::domain::{BackupForm, BackupName};
    let mut old = manifest.clone();
    old.made_at = Timestamp(manifest.made_at.0 - days * 86_400_000);
    old.file.name = BackupName::new("app", old.made_at, BackupForm::Dump, false).unwrap();
    std::fs::copy(
        home.join(manifest.file.name.as_str()),
        home.join(old.file.name.as_str()),
    )
    .unwrap();
    std::fs::write(home.join(old.file.name.manifest()), old.written()).unwrap();
}

/// A disk of a megabyte.
async fn full(scene: &mut Scene) {
    let small = scene.dir.path().join("small");
    std::fs::create_dir(&small).unwrap();
    let place = small.to_str().unwrap().to_owned();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs", &place])
        .status()
        .unwrap();
    if !mounted.success() {
        eprintln!("skipped: a file system of one megabyte (mounting is not allowed here)");
        return;
    }
    let fill = "CREATE TABLE big AS SELECT n, md5(n::text) || md5((n+1)::text) AS filler FROM generate_series(1, 100000) n;";
    scene.server.psql("app", fill);
    scene.spec.stores = vec![local("local", &small)];
    let fault = run(&step("backup"), &scene.hands()).await;
    let left = std::fs::read_dir(&small).unwrap().count();
    let unmounted = Command::new("umount").arg(&place).status().unwrap();
    assert!(unmounted.success());
    let fault = fault.unwrap_err();
    assert!(fault.contains("is full"), "{fault}");
    assert_eq!(left, 0);
    assert_eq!(scene.server.sessions(), "0");
}
