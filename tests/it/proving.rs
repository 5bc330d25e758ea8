//! Checklists that prove themselves: on the practice range and on the reference stack, with the binary.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use quarterdeck::app::{Checklists, Listed, Overlay};
use quarterdeck::app::{Effect, Event, Intent, Model, Recording, Saying, Screen, update};
use quarterdeck::checklist::{Act, BUILT_IN, Checklist, Marks, What, sign_off};
use quarterdeck::domain::{Clean, Timestamp};
use quarterdeck::journal::{Access, Actor, Address, Claims, Code, Draft, Journal, Mode, Moment};
use quarterdeck::probe::check::Check;
use quarterdeck::range::scenario::{Fault, Scenario};
use quarterdeck::range::{Options, Range};
use serde_json::Value;

use crate::fixture;
use crate::stack::{Stack, reference_stack};

/// A pipeline: a home, a journal and a configuration of its own.
struct Pipeline {
    home: tempfile::TempDir,
    config: PathBuf,
}

impl Pipeline {
    /// `config`: how the stack is looked at; the journal is put into this home.
    fn new(config: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("quarterdeck.toml");
        fs::write(&file, config).unwrap();
        Self { home, config: file }
    }

    fn journal(&self) -> PathBuf {
        self.home.path().join("journal.db")
    }

    fn ask(&self, words: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_quarterdeck"))
            .arg("-c")
            .arg(&self.config)
            .arg("checklist")
            .args(words)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.home.path())
            .env("LANG", "C.UTF-8")
            .current_dir(self.home.path())
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// The decision, and the exit code that goes with it.
    #[track_caller]
    fn verify(&self, list: &str, more: &[&str]) -> (Value, i32) {
        let output = self.ask(&[&["verify", list, "--json"], more].concat());
        let document = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
        (document, output.status.code().unwrap())
    }

    #[track_caller]
    fn out(&self, words: &[&str]) -> String {
        let output = self.ask(words);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{words:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The second signature is another person's, so it is written as theirs.
    async fn sign_as(&self, uid: u32, list: &Checklist, id: &str, mode: Mode) {
        let (_, item) = list.find_id(id).unwrap();
        let journal = Journal::open(&Address::Sqlite(self.journal()), Access::Write)
            .await
            .unwrap();
        let draft = Draft {
            moment: Moment {
                at: Timestamp(now_ms()),
                monotonic_ms: 1,
                boot_id: Clean::from("b"),
            },
            actor: Actor {
                uid,
                login_uid: None,
                user: Clean::from("bo"),
                claims: Claims::default(),
            },
            mode,
            code: Code::SignedOff,
            target: Clean::from(id),
            body: serde_json::to_value(sign_off(list, item, Act::Signed, "seen too")).unwrap(),
        };
        journal.append(&draft).await.unwrap();
        journal.close().await;
    }
}

fn now_ms() -> u64 {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

/// Ids of the items whose checks say so.
fn with(document: &Value, states: &[&str]) -> BTreeSet<String> {
    let phases = document["phases"].as_array().unwrap().iter();
    phases
        .flat_map(|phase| phase["items"].as_array().unwrap())
        .filter(|item| states.contains(&item["state"].as_str().unwrap()))
        .map(|item| item["id"].as_str().unwrap().to_owned())
        .collect()
}

fn ids(all: &[&str]) -> BTreeSet<String> {
    all.iter().map(|id| (*id).to_owned()).collect()
}

const RANGE_PAGE: &str = r#"# Range
## Tasks
- [ ] three replicas <!-- item:replicas -->
  ```toml check
  kind = "containers"
  service = "server"
  healthy = "== 3"
  helps = "restart-unhealthy"
  ```
- [ ] the certificate lives <!-- item:certificate -->
  ```toml check
  kind = "tls"
  endpoint = "localhost:HTTPS"
  days = "> 14"
  ```
- [ ] the page answers <!-- item:page -->
  ```toml check
  kind = "http"
  url = "/"
  status = 200
  ```
- [ ] a check that cannot be made <!-- item:blind -->
  ```toml check
  kind = "http"
  url = "http://127.0.0.1:1/"
  ```
- [ ] a slip <!-- item:slip -->
  ```toml check
  kind = "http"
  url = "/"
  surprise = 1
  ```
- [ ] a person looks <!-- item:person -->
  ```toml check
  kind = "ask"
  second = true
  ```
"#;

async fn range(dir: &Path) -> Range {
    let options = Options {
        scenario: Scenario::calm(),
        dir: dir.join("range"),
        seed: 5,
        speed: 1.0,
    };
    Range::start(options).await.unwrap()
}

/// Everything on the way to a decision, without an engine: measured, signed twice, waived, broken, aged, exported.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_the_range_the_gate_opens_and_closes() {
    let dir = tempfile::tempdir().unwrap();
    let range = range(dir.path()).await;
    let own = Pipeline::new("");
    let store = format!("store = \"sqlite:{}\"", own.journal().display());
    let config = range.config_toml();
    let config: Vec<&str> = config
        .lines()
        .map(|line| {
            if line.starts_with("store = ") {
                &store
            } else {
                line
            }
        })
        .collect();
    fs::write(&own.config, config.join("\n")).unwrap();
    let page = RANGE_PAGE.replace("HTTPS", &range.https_port.to_string());
    fs::write(own.home.path().join("go.md"), &page).unwrap();
    let list = Checklist::read("go.md", page.as_bytes());

    let (document, code) = own.verify("go.md", &[]);
    assert_eq!(code, 1, "{document:#}");
    assert_eq!(
        with(&document, &["proven"]),
        ids(&["replicas", "certificate", "page"])
    );
    assert_eq!(with(&document, &["could_not_run"]), ids(&["blind", "slip"]));
    assert_eq!(with(&document, &["open"]), ids(&["person"]));
    let linted = own.ask(&["lint", "go.md"]);
    assert_eq!(linted.status.code(), Some(65));
    let said = String::from_utf8(linted.stderr).unwrap();
    assert!(
        said.contains("go.md:28: slip: unknown field `surprise`"),
        "{said}"
    );

    // One signature of two is half; what could not be measured a person may sign, or waive.
    own.out(&["sign", "go.md", "person", "--reason", "looked"]);
    own.out(&["sign", "go.md", "blind", "--reason", "seen by hand"]);
    own.out(&[
        "waive",
        "go.md",
        "slip",
        "--reason",
        "mended next week",
        "--until",
        "2999-01-01",
    ]);
    let (document, code) = own.verify("go.md", &["--recorded"]);
    assert_eq!(
        (code, with(&document, &["half_signed"])),
        (1, ids(&["person"]))
    );
    own.sign_as(4242, &list, "person", Mode::Training).await;
    let (document, code) = own.verify("go.md", &["--recorded"]);
    assert_eq!(
        (code, &document["call"]),
        (0, &Value::from("go")),
        "{document:#}"
    );
    assert_eq!(document["decision"]["signers"].as_array().unwrap().len(), 2);

    // A replica dies: exactly that item fails, and a signature for it does not help.
    let target = "server-2".to_owned();
    range.inject(&Fault::Die { target });
    let (document, code) = own.verify("go.md", &[]);
    assert_eq!(
        (code, with(&document, &["failed"])),
        (1, ids(&["replicas"]))
    );
    own.out(&["sign", "go.md", "replicas", "--reason", "never mind"]);
    let (document, code) = own.verify("go.md", &["--recorded"]);
    assert_eq!(
        (code, with(&document, &["failed"])),
        (1, ids(&["replicas"]))
    );
    let shown = own.out(&["show", "go.md", "replicas"]);
    assert!(shown.contains("restart-unhealthy helps"), "{shown}");

    // So with the certificate.
    range.inject(&Fault::Certificate {
        served_days: 3.0,
        disk_days: 3.0,
    });
    let proven = own.ask(&["prove", "go.md", "certificate"]);
    assert_eq!(proven.status.code(), Some(1), "{proven:?}");
    let (document, _) = own.verify("go.md", &["--recorded"]);
    assert_eq!(
        with(&document, &["failed"]),
        ids(&["certificate", "replicas"])
    );

    // Another word of the author, and the older proof is none.
    fs::write(
        own.home.path().join("go.md"),
        page.replace("the page answers", "the page is there"),
    )
    .unwrap();
    let (document, _) = own.verify("go.md", &["--recorded"]);
    assert_eq!(with(&document, &["changed"]), ids(&["page"]));

    exported(&own, "go.md", "NO-GO");
    range.stop().await;
}

/// All four forms are whole, say the decision, and name the head of the journal.
#[track_caller]
fn exported(own: &Pipeline, list: &str, call: &str) {
    let html = own.out(&["export", list]);
    assert!(html.starts_with("<!DOCTYPE html>") && html.ends_with("</html>\n"));
    assert!(html.contains(&format!("<b>{call}</b>")), "{html}");
    let document: Value =
        serde_json::from_str(&own.out(&["export", list, "--format", "json"])).unwrap();
    let hash = document["journal"]["hash"].as_str().unwrap();
    assert!(html.contains(hash));
    let out = own.home.path().join("report.xml");
    let words = [
        "export",
        list,
        "--format",
        "junit",
        "--out",
        out.to_str().unwrap(),
    ];
    assert_eq!(own.out(&words), "");
    let xml = fs::read_to_string(out).unwrap();
    let items = document["phases"].as_array().unwrap().iter();
    let items: usize = items
        .map(|phase| phase["items"].as_array().unwrap().len())
        .sum();
    assert_eq!(xml.matches("<testcase ").count(), items);
    let markdown = own.out(&["export", list, "--format", "md"]);
    assert!(
        markdown.contains(call) && markdown.contains(hash),
        "{markdown}"
    );
}

#[test]
fn every_shipped_checklist_is_read_and_all_its_checks_are_checks() {
    for (id, text) in BUILT_IN {
        let list = Checklist::read(&format!("{id}.md"), text.as_bytes());
        assert_eq!(list.problems, [], "{id}");
        assert_eq!(list.remarks, [], "{id}");
        let mut asked = 0;
        for (_, item) in list.items() {
            assert!(
                !item.demand.asked.is_empty() || item.demand.person,
                "{id}: {}: {}",
                item.id,
                item.title
            );
            if let Some(helps) = &item.demand.helps {
                assert!(is_runbook(helps), "{id}: {}: no runbook {helps}", item.id);
            }
            for one in &item.demand.asked {
                asked += 1;
                match &one.what {
                    What::Check(check) => {
                        let check: Check =
                            serde_json::from_value(check.clone()).unwrap_or_else(|error| {
                                panic!("{id}:{}: {}: {error}", one.line, item.id)
                            });
                        assert_eq!(check.problems(), [""; 0], "{id}: {}", item.id);
                    }
                    What::Drill(drill) => assert!(is_runbook(&drill.runbook), "{id}: {}", item.id),
                }
            }
            assert!(
                text.contains(&format!("`{}`", item.id)),
                "{id}: the table at the end does not name {}",
                item.id
            );
        }
        assert!(asked > 0, "{id} measures nothing");
    }
}

fn is_runbook(id: &str) -> bool {
    Path::new(&format!("runbooks/{id}.md")).exists()
}

fn docker(words: &[&str]) {
    let output = Command::new("docker").args(words).output().unwrap();
    assert!(output.status.success(), "{words:?}: {output:?}");
}

/// A subject that can be broken, and the items that must fail then: exactly these.
struct Break {
    fails: &'static [&'static str],
    spoil: Box<dyn Fn()>,
    mend_it: Box<dyn Fn()>,
}

/// A line of a file is another one for a while, and a service hears of it.
fn edited(
    file: PathBuf,
    from: &'static str,
    to: &'static str,
    service: String,
    fails: &'static [&'static str],
) -> Break {
    let before = fs::read_to_string(&file).unwrap();
    let after = before.replace(from, to);
    assert_ne!(before, after, "{from} is not in {}", file.display());
    let write = move |text: &str| {
        fs::write(&file, text).unwrap();
        docker(&["kill", "-s", "HUP", &service]);
        std::thread::sleep(std::time::Duration::from_millis(700));
    };
    let again = write.clone();
    Break {
        fails,
        spoil: Box::new(move || write(&after)),
        mend_it: Box::new(move || again(&before)),
    }
}

fn sql(
    postgres: &str,
    now: &'static str,
    then: &'static str,
    fails: &'static [&'static str],
) -> Break {
    let ask = |container: String, query: &'static str| {
        move || {
            docker(&[
                "exec",
                &container,
                "psql",
                "-U",
                "hyper",
                "-d",
                "hyper_mission",
                "-q",
                "-c",
                query,
            ]);
        }
    };
    Break {
        fails,
        spoil: Box::new(ask(postgres.to_owned(), now)),
        mend_it: Box::new(ask(postgres.to_owned(), then)),
    }
}

fn breaks(stack: &Stack) -> Vec<Break> {
    let one = |service: &str| stack.containers(service).remove(0);
    let nginx = || stack.folder().join("gateway/conf/nginx.conf");
    let header = |from, fails| edited(nginx(), from, "# gone: ", one("gateway"), fails);
    let postgres = one("postgres");
    let rules = stack.folder().join("prometheus/conf/alerts.yml");
    let replica = one("server");
    let back = replica.clone();
    vec![
        header("add_header Strict-Transport-Security ", &["hsts"]),
        header("add_header Content-Security-Policy ", &["csp"]),
        header("add_header X-Frame-Options ", &["frames"]),
        edited(
            nginx(),
            "return 301 https",
            "return 302 https",
            one("gateway"),
            &["redirect"],
        ),
        edited(
            rules,
            "HighErrorRate",
            "SomeErrorRate",
            one("prometheus"),
            &["alert-errors"],
        ),
        sql(
            &postgres,
            "DROP INDEX missions_by_owner",
            "CREATE INDEX IF NOT EXISTS missions_by_owner ON missions (owner, id DESC)",
            &["index"],
        ),
        Break {
            fails: &["replicas"],
            spoil: Box::new(move || docker(&["stop", "-t", "2", &replica])),
            mend_it: Box::new(move || docker(&["start", &back])),
        },
    ]
}

/// Whatever happens in between, it is put back.
struct Mend<'a>(&'a Break);

impl Drop for Mend<'_> {
    fn drop(&mut self) {
        (self.0.mend_it)();
    }
}

/// Items that look at the same subject, a moment later or sooner.
const FOLLOW: [&str; 3] = ["targets", "silence", "latency"];

/// What a busy machine may miss is looked at again; what is broken stays so.
const LOOKS: usize = 20;
const BETWEEN: std::time::Duration = std::time::Duration::from_secs(1);

#[track_caller]
fn settled(own: &Pipeline, wanted: &BTreeSet<String>) -> Value {
    let mut last = Value::Null;
    for _ in 0..LOOKS {
        let (document, _) = own.verify("hyper-mission", &[]);
        let mut failed = with(&document, &["failed"]);
        failed.retain(|id| {
            wanted.contains(id) || !FOLLOW.contains(&id.as_str()) || wanted.is_empty()
        });
        last = document;
        if failed == *wanted {
            return last;
        }
        std::thread::sleep(BETWEEN);
    }
    panic!(
        "expected {wanted:?} to fail: {:#}",
        last["decision"]["reasons"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_reference_stack_is_proven_signed_and_broken() {
    let Some(stack) = reference_stack() else {
        return;
    };
    let config = fs::read_to_string(stack.config()).unwrap();
    let own = Pipeline::new("");
    // The files that the configuration names stay where they are.
    let config = config.replace("tls/", &format!("{}/tls/", stack.folder().display()));
    let runbooks = concat!(env!("CARGO_MANIFEST_DIR"), "/runbooks");
    let config = config.replace("../../../runbooks", runbooks);
    let journal = format!(
        "\n[journal]\nstore = \"sqlite:{}\"\n",
        own.journal().display()
    );
    let config = config.replace(
        "directory = \"gateway",
        &format!("directory = \"{}/gateway", stack.folder().display()),
    );
    let config = config.replace(
        "default = \"gateway",
        &format!("default = \"{}/gateway", stack.folder().display()),
    );
    fs::write(&own.config, config + &journal).unwrap();
    let (_, text) = BUILT_IN
        .iter()
        .find(|(id, _)| *id == "hyper-mission")
        .unwrap();
    let list = Checklist::read("hyper-mission.md", text.as_bytes());

    // A drill that nobody has run, and what is not there: everything else is proven.
    own.out(&[
        "waive",
        "hyper-mission",
        "chaos",
        "--reason",
        "rehearsed elsewhere",
        "--until",
        "2999-01-01",
    ]);
    let document = settled(&own, &BTreeSet::new());
    assert_eq!(document["exit_code"], 1, "people have not signed");
    assert_eq!(
        with(&document, &["unproven", "expired", "changed", "unreadable"]),
        BTreeSet::new()
    );
    assert_eq!(with(&document, &["could_not_run"]), ids(&["grafana"]));
    let measured = list
        .items()
        .filter(|(_, item)| !item.demand.asked.is_empty() && !item.demand.person);
    assert_eq!(with(&document, &["proven"]).len(), measured.count() - 2);

    let open = with(&document, &["open", "could_not_run"]);
    for id in &open {
        own.out(&["sign", "hyper-mission", id, "--reason", "looked at it"]);
        if list.find_id(id).unwrap().1.demand.second {
            own.sign_as(4242, &list, id, Mode::Live).await;
        }
    }
    let (document, code) = own.verify("hyper-mission", &["--recorded"]);
    assert_eq!(
        (code, &document["call"]),
        (0, &Value::from("go")),
        "{:#}",
        document["decision"]
    );
    exported(&own, "hyper-mission", "GO");

    for one in breaks(&stack) {
        let _mend = Mend(&one);
        (one.spoil)();
        let document = settled(&own, &ids(one.fails));
        assert_eq!(document["exit_code"], 1);
    }
    // The stack is handed on as it was found.
    let whole = |_| {
        own.ask(&["prove", "hyper-mission", "replicas"])
            .status
            .success()
    };
    assert!((0..LOOKS).any(|n| {
        std::thread::sleep(BETWEEN * u32::from(n > 0));
        whole(n)
    }));
}

fn page() -> Listed {
    let list = Checklist::read("go.md", RANGE_PAGE.as_bytes());
    Listed {
        list,
        marks: Marks::default(),
    }
}

fn console() -> Model {
    let mut model = fixture::calm();
    let place = Clean::from("journal.db");
    let state = Recording::Open;
    update(&mut model, Event::Recording { place, state });
    let read = Checklists {
        pages: vec![page()],
        ..Checklists::default()
    };
    update(&mut model, Event::Checklists(Box::new(read)));
    want(&mut model, Intent::Go(Screen::Checklist));
    want(&mut model, Intent::Down(1));
    model
}

fn want(model: &mut Model, intent: Intent) -> Vec<Effect> {
    let effects = update(model, Event::Intent(intent)).into_iter();
    effects
        .filter(|effect| !matches!(effect, Effect::Follow(_) | Effect::WantUsage(_)))
        .collect()
}

fn typed(model: &mut Model, text: &str) -> Vec<Effect> {
    for c in text.chars() {
        assert_eq!(want(model, Intent::Type(c)), []);
    }
    want(model, Intent::Submit)
}

#[test]
fn a_signature_on_the_screen_needs_a_reason_and_the_items_name() {
    let mut model = console();
    assert_eq!(want(&mut model, Intent::Attest(Saying::Sign)), []);
    assert_eq!(
        typed(&mut model, ""),
        [],
        "without a reason nothing goes on"
    );
    assert_eq!(typed(&mut model, "seen by two"), []);
    assert_eq!(typed(&mut model, "yes"), [], "another word signs nothing");
    want(&mut model, Intent::EraseAll);
    let effects = typed(&mut model, "replicas");
    let [Effect::SignOff(said)] = effects.as_slice() else {
        panic!("{effects:?}");
    };
    assert_eq!((&*said.item, &*said.reason), ("replicas", "seen by two"));
    assert_eq!(model.overlay, None);
}

#[test]
fn a_waiver_on_the_screen_ends_on_a_day_that_is_to_come() {
    let mut model = console();
    want(&mut model, Intent::Attest(Saying::Waive));
    assert_eq!(typed(&mut model, "2001-01-01"), []);
    want(&mut model, Intent::EraseAll);
    assert_eq!(typed(&mut model, "2999-01-01"), []);
    assert_eq!(typed(&mut model, "a part is late"), []);
    let effects = typed(&mut model, "replicas");
    let [Effect::SignOff(said)] = effects.as_slice() else {
        panic!("{effects:?}");
    };
    assert_eq!(
        said.act,
        Act::Waived {
            until: Clean::from("2999-01-01")
        }
    );
}

#[test]
fn nothing_is_signed_or_verified_without_a_journal() {
    let mut model = console();
    let place = Clean::from("journal.db");
    let state = Recording::ReadOnly(Clean::from("the disk is full"));
    update(&mut model, Event::Recording { place, state });
    assert_eq!(want(&mut model, Intent::Attest(Saying::Sign)), []);
    assert_eq!(want(&mut model, Intent::Recheck), []);
    assert_eq!(model.overlay, None);
    assert!(
        model
            .notice
            .as_ref()
            .unwrap()
            .2
            .contains("the disk is full")
    );
}

#[test]
fn a_row_a_phase_or_the_page_is_verified_and_one_at_a_time() {
    let mut model = console();
    let items = |effects: Vec<Effect>| match effects.as_slice() {
        [Effect::Prove { items, .. }] => items.iter().map(|id| id.0.clone()).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(items(want(&mut model, Intent::Recheck)), ["replicas"]);
    assert_eq!(
        items(want(&mut model, Intent::ProveAll)).len(),
        5,
        "what a person signs is not measured"
    );
    want(&mut model, Intent::Up(1));
    assert_eq!(items(want(&mut model, Intent::Recheck)).len(), 5);
    let proving = quarterdeck::app::Proving {
        list: Clean::from("go.md"),
        items: Vec::new(),
        done: 1,
        of: 5,
    };
    update(&mut model, Event::Proving(Some(proving)));
    assert_eq!(want(&mut model, Intent::ProveAll), []);
    update(&mut model, Event::Proving(None));
    assert_eq!(items(want(&mut model, Intent::ProveAll)).len(), 5);
}

#[test]
fn a_presentation_goes_through_the_items_and_the_list_stands_where_it_ended() {
    let mut model = console();
    want(&mut model, Intent::Present);
    want(&mut model, Intent::Down(1));
    want(&mut model, Intent::Up(1));
    want(&mut model, Intent::Down(1));
    let Some(Overlay::Present(present)) = &model.overlay else {
        panic!("{:?}", model.overlay);
    };
    assert_eq!(present.item.0, "certificate");
    assert_eq!(present.position(&page().list), (2, 6));
    assert_eq!(present.planned(&page().list), (4, 12));
    want(&mut model, Intent::Back);
    let rows = quarterdeck::app::rows(&model);
    let at = model.list().at;
    assert_eq!(rows[at].key().0, "go.md certificate");
}

/// A browser of this machine, by the names that distributions give it.
fn browser() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let names = ["chromium", "chromium-browser", "google-chrome"];
    std::env::split_paths(&path)
        .flat_map(|folder| names.map(|name| folder.join(name)))
        .find(|file| file.is_file())
}

#[test]
fn a_browser_draws_the_exported_page() {
    let Some(browser) = browser() else {
        eprintln!("skipped: no browser (chromium)");
        return;
    };
    let own = Pipeline::new("[stack]\nname = \"s\"\n\n[journal]\nstore = \"sqlite:journal.db\"\n");
    fs::write(own.home.path().join("go.md"), RANGE_PAGE).unwrap();
    let file = own.home.path().join("report.html");
    own.out(&["export", "go.md", "--out", file.to_str().unwrap()]);
    let picture = own.home.path().join("report.png");
    let output = Command::new(browser)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
        ])
        .args(["--window-size=420,900", "--virtual-time-budget=1000"])
        .arg(format!(
            "--user-data-dir={}",
            own.home.path().join("profile").display()
        ))
        .arg(format!("--screenshot={}", picture.display()))
        .arg(format!("file://{}", file.display()))
        .env("HOME", own.home.path())
        .output()
        .unwrap();
    let drawn = fs::read(&picture).unwrap_or_else(|_| panic!("{output:?}"));
    assert!(drawn.starts_with(b"\x89PNG"));
    // A page that is blank packs into a few hundred bytes.
    assert!(drawn.len() > 8000, "{} bytes", drawn.len());
}
