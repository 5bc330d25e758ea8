//! No record, no act: the journal's disk is full, its server is away, its end was cut. The binary on the practice range,
//! as an operator meets it.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::journal::postgres::Server;
use crate::runbooks::Yard;

/// Longer than anything here takes.
const LIMIT: Duration = Duration::from_mins(2);

#[track_caller]
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < LIMIT, "it never came: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A small file system of its own, unmounted with the test.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None` where nothing can be mounted.
    fn mount(at: &Path, size: &str) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let options = format!("size={size}");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(at)
            .output();
        if mounted.is_ok_and(|done| done.status.success()) {
            return Some(Self(at.to_owned()));
        }
        eprintln!("skipped: a small disk cannot be mounted here");
        None
    }

    /// To the last page.
    fn fill(&self) {
        let mut file = File::create(self.0.join("fill")).unwrap();
        while file.write_all(&[0xA5; 4096]).is_ok() {}
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// The first step ends when a lock is let go; the second would be seen in the world.
fn two_steps(lock: &Path) -> String {
    format!(
        "+++\nid = \"two-steps\"\ntitle = \"Two steps\"\nrisk = \"low\"\ntarget = \"service/server\"\n\
        on_failure = \"stop\"\n+++\n\n# Two steps\n\n```toml step\nkind = \"command\"\n\
        argv = [\"/usr/bin/flock\", \"{}\", \"/bin/true\"]\nundo = \"none\"\n```\n\n```toml step\nkind = \"stop\"\n\
        container = \"server-2\"\ngrace = \"1s\"\n```\n",
        lock.display()
    )
}

fn events(yard: &Yard) -> Vec<String> {
    let (_, said) = yard.ask(&["journal", "tail", "--json", "-n", "1000"]);
    let entries = said
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let events = entries.filter(|entry| entry["code"] == "run.event");
    events
        .map(|entry| {
            let event = &entry["body"]["event"];
            let step = event["step"].as_u64().map(|step| format!(" {step}"));
            event["event"].as_str().unwrap().to_owned() + &step.unwrap_or_default()
        })
        .collect()
}

/// What the drivers of this operator wrote about themselves.
fn log(yard: &Yard) -> String {
    let folder = yard.dir.path().join("state/quarterdeck");
    let mut all = String::new();
    for name in ["", "log"] {
        for file in fs::read_dir(folder.join(name))
            .into_iter()
            .flatten()
            .flatten()
        {
            if file.path().extension().is_some_and(|end| end == "log") {
                all += &fs::read_to_string(file.path()).unwrap_or_default();
            }
        }
    }
    all
}

#[test]
fn a_run_on_a_full_disk_stops_before_its_next_act_and_can_still_be_aborted() {
    let lock = tempfile::NamedTempFile::new().unwrap();
    lock.as_file().lock().unwrap();
    let book = two_steps(lock.path());
    let disk = std::cell::RefCell::new(None);
    let yard = Yard::with(&[("two-steps.md", &book)], |home| {
        let at = home.join("disk");
        *disk.borrow_mut() = SmallDisk::mount(&at, "80m");
        Some(format!(
            "store = \"sqlite:{}\"",
            at.join("journal.db").display()
        ))
    });
    let Some(disk) = disk.into_inner() else {
        return;
    };
    let before = yard.servers();
    yard.run(&["two-steps", "--confirm=yes", "--detach"], 0);
    until("the first step is under way", || {
        events(&yard).contains(&"started 0".to_owned())
    });
    disk.fill();
    lock.as_file().unlock().unwrap();
    until("the driver cannot record", || {
        log(&yard).contains("nothing is done")
    });
    let said = log(&yard);
    assert!(said.contains("is full: nothing was recorded"), "{said}");
    assert_eq!(
        events(&yard),
        ["begun", "started 0"],
        "nothing more is on record"
    );
    assert_eq!(yard.servers(), before, "and nothing more was done");

    // Nothing new begins.
    let said = yard.run(&["two-steps", "--confirm=yes"], 73);
    assert!(said.contains("MiB are free for the journal"), "{said}");
    let reserve = disk.0.join("journal.db.reserve");
    assert_eq!(fs::metadata(&reserve).unwrap().len(), 4 * 1024 * 1024);

    // Stopping has room put aside for it.
    let (code, said) = yard.ask(&["abort", "last"]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(
        fs::metadata(&reserve).unwrap().len(),
        0,
        "the reserve was given up"
    );
    until("the run has ended", || {
        yard.ask(&["runs", "last"]).1.contains("aborted")
    });
    assert_eq!(yard.servers(), before);
    let events = events(&yard);
    assert!(!events.contains(&"started 1".to_owned()), "{events:?}");
    // What became of the first step was kept meanwhile.
    assert!(events.contains(&"succeeded 0".to_owned()), "{events:?}");
    assert_eq!(yard.ask(&["journal", "verify"]).0, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_whose_server_goes_away_waits_and_is_done_once_it_is_back() {
    let Some(mut server) = Server::start().await else {
        return;
    };
    let lock = tempfile::NamedTempFile::new().unwrap();
    lock.as_file().lock().unwrap();
    let book = two_steps(lock.path());
    let url = server
        .url()
        .replace("postgres:///", "postgres://localhost/");
    let yard = Yard::with(&[("two-steps.md", &book)], |_| {
        Some(format!("store = \"{url}\""))
    });
    let before = yard.servers();
    yard.run(&["two-steps", "--confirm=yes", "--detach"], 0);
    until("the first step is under way", || {
        events(&yard).contains(&"started 0".to_owned())
    });
    server.stop();
    lock.as_file().unlock().unwrap();
    until("the driver cannot record", || {
        log(&yard).contains("nothing is done")
    });
    assert_eq!(
        yard.servers(),
        before,
        "the next step began without a record"
    );
    let (code, said) = yard.ask(&["run", "two-steps", "--confirm=yes"]);
    assert_ne!(code, Some(0), "a run began without a journal");
    assert!(said.contains("cannot reach the journal"), "{said}");
    server.start_again().await;
    until("the run has ended", || {
        yard.ask(&["runs", "last"]).1.contains("completed")
    });
    let events = events(&yard);
    let of = |word: &str| events.iter().filter(|event| *event == word).count();
    for word in ["started 0", "succeeded 0", "started 1", "succeeded 1"] {
        assert_eq!(of(word), 1, "{events:?}");
    }
    assert_ne!(yard.servers(), before);
    assert!(
        !yard
            .dir
            .path()
            .join("state/quarterdeck/spool")
            .join("journal.db")
            .exists()
    );
    assert_eq!(yard.ask(&["journal", "verify"]).0, Some(0));
}

#[test]
fn the_witness_is_told_the_head_of_every_run_and_shows_a_cut_end() {
    let yard = Yard::with(&[], |home| {
        Some(format!(
            "store = \"sqlite:{0}/journal.db\"\nwitness = \"{0}/heads\"",
            home.display()
        ))
    });
    let (code, said) = yard.ask(&["journal", "note", "before"]);
    assert_eq!(code, Some(0), "{said}");
    let journal = yard.dir.path().join("journal.db");
    let old = fs::read(&journal).unwrap();
    yard.run(&["gateway-reload", "--confirm=gateway"], 0);
    until("the witness was told", || events_of(&yard, "anchored") == 1);
    let (code, said) = yard.ask(&["journal", "verify"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("has seen 1 heads"), "{said}");
    // An old copy is put in its place: whole by itself, and not what the witness saw.
    for left in ["journal.db-wal", "journal.db-shm"] {
        let _ = fs::remove_file(yard.dir.path().join(left));
    }
    fs::write(&journal, old).unwrap();
    let (code, said) = yard.ask(&["journal", "verify"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(
        said.contains("the anchor names an entry at or after it"),
        "{said}"
    );
}

fn events_of(yard: &Yard, code: &str) -> usize {
    let (_, said) = yard.ask(&["journal", "tail", "--json", "-n", "1000"]);
    let wanted = format!("\"code\":\"{code}\"");
    said.lines().filter(|line| line.contains(&wanted)).count()
}
