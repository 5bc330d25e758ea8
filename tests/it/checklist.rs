//! `quarterdeck checklist` as people call it, and what it proposes as the checks read it.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use quarterdeck::checklist::{Checklist, propose};
use quarterdeck::probe::check::Check;
use serde_json::Value;

const PLANS: [&str; 5] = [
    "hyper-mission",
    "hyper-mission-roadmap",
    "radiocalico",
    "flask-service",
    "laser-calculator",
];

/// What a person writes for the words that a proposal leaves open.
const FILLED: [(&str, &str); 10] = [
    ("{address}", "localhost"),
    ("{service}", "server"),
    ("{rate}", "waf_false_positives"),
    ("{database_service}", "postgres"),
    ("{database}", "hyper"),
    ("{table}", "missions"),
    ("{rows}", "12"),
    ("{rule}", "HighLatency"),
    ("{target}", "app"),
    ("{runbook}", "rolling-restart"),
];

fn plan(name: &str) -> Vec<u8> {
    fs::read(format!("tests/it/plans/{name}.md")).unwrap()
}

/// A folder with a configuration of its own, which names a journal and a checklist.
fn home() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    let config = "[stack]\nname = \"s\"\n\n[journal]\nstore = \"sqlite:journal.db\"\n\n[[checklist]]\nfile = \"go.checklist.md\"\n";
    fs::write(home.path().join("quarterdeck.toml"), config).unwrap();
    home
}

fn run(home: &Path, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_quarterdeck"))
        .arg("checklist")
        .args(words)
        .env_clear()
        .env("HOME", home)
        .env("LANG", "C.UTF-8")
        .current_dir(home)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[track_caller]
fn out(home: &Path, words: &[&str]) -> String {
    let ran = run(home, words);
    let err = String::from_utf8(ran.stderr).unwrap();
    assert!(ran.status.success(), "{words:?}: {err}");
    String::from_utf8(ran.stdout).unwrap()
}

/// A check that a person accepts as it is proposed must be one: either the kind and its fields are known, or the block
/// says that they are not.
#[test]
fn what_is_proposed_is_read_by_the_checks_or_says_that_it_cannot_be() {
    let mut read = 0;
    for name in PLANS {
        for (_, item) in Checklist::read(name, &plan(name)).items() {
            for proposal in propose(item) {
                let mut text = proposal.toml(&item.id);
                for (open, filled) in FILLED {
                    text = text.replace(open, filled);
                }
                let mut table: toml::Table = text.parse().unwrap();
                for ours in ["item", "accepted", "proposed"] {
                    table.remove(ours);
                }
                let check = table.try_into::<Check>();
                let later =
                    text.contains("cannot measure it yet") || text.contains("could not run");
                assert_eq!(check.is_err(), later, "{text}\n{check:?}");
                if let Ok(check) = check {
                    assert!(
                        check.problems().is_empty(),
                        "{text}\n{:?}",
                        check.problems()
                    );
                    read += 1;
                }
            }
        }
    }
    assert!(read >= 25, "{read}");
}

#[test]
fn a_plan_is_imported_edited_imported_again_and_signed() {
    let home = home();
    let home = home.path();
    fs::write(home.join("go.md"), plan("hyper-mission")).unwrap();
    assert_eq!(out(home, &["import", "go.md"]), "");
    let first = fs::read_to_string(home.join("go.checklist.md")).unwrap();
    assert!(first.starts_with("+++\nformat ="), "{first}");

    // Nothing is written over by accident, and the same again is no change.
    assert!(run(home, &["import", "go.md"]).status.success());
    let edited = first.replacen("accepted = false", "accepted = true", 1);
    fs::write(home.join("go.checklist.md"), &edited).unwrap();
    let author = String::from_utf8(plan("hyper-mission")).unwrap();
    let changed = author.replace("**Lighthouse Performance Score** > 90.", "A new wish.");
    fs::write(home.join("go.md"), &changed).unwrap();
    let refused = run(home, &["import", "go.md"]);
    assert_eq!(refused.status.code(), Some(73));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(
        said.contains("A new wish.") && said.contains("--force"),
        "{said}"
    );
    assert_eq!(
        fs::read_to_string(home.join("go.checklist.md")).unwrap(),
        edited
    );
    out(home, &["import", "go.md", "--force"]);
    let again = fs::read_to_string(home.join("go.checklist.md")).unwrap();
    assert!(again.contains("accepted = true") && again.contains("A new wish."));

    // What is configured is listed; what is signed is said, until its words change.
    let document: Value = serde_json::from_str(&out(home, &["--json"])).unwrap();
    let phases = document["checklists"][0]["phases"].as_array().unwrap();
    assert_eq!(phases.len(), 5);
    assert_eq!(phases[0]["count"], 9);
    let signed = out(
        home,
        &[
            "sign",
            "go.checklist.md",
            "Browser address bar",
            "--reason",
            "seen by two",
        ],
    );
    assert!(signed.contains("Lock Icon"), "{signed}");
    out(
        home,
        &[
            "waive",
            "go.checklist.md",
            "A new wish",
            "--reason",
            "later",
            "--until",
            "2999-01-01",
        ],
    );
    let list = out(home, &[]);
    assert!(
        list.contains("signed by ") && list.contains("waived until 2999-01-01"),
        "{list}"
    );
    assert!(list.contains("1 of 8"), "{list}");
    let newer = again.replace("**Lock Icon**", "**Lock Icon** at once");
    fs::write(home.join("go.checklist.md"), newer).unwrap();
    let shown = out(home, &["show", "go.checklist.md", "Browser address bar"]);
    assert!(shown.contains("signed for an older text"), "{shown}");
}

#[test]
fn wrong_calls_say_what_to_do() {
    let home = home();
    let home = home.path();
    fs::write(home.join("p.md"), "## Tasks\n- a\n- ab\n").unwrap();
    for (words, code, told) in [
        (&["show", "p.md", "x"][..], 64, "names them"),
        (&["sign", "p.md", "a", "--reason", " "], 64, "--reason"),
        (
            &[
                "waive",
                "p.md",
                "ab",
                "--reason",
                "r",
                "--until",
                "2001-01-01",
            ],
            64,
            "over before",
        ),
        (
            &["waive", "p.md", "ab", "--reason", "r", "--until", "soon"],
            64,
            "2026-12-31",
        ),
        (&["show", "none.md", "x"], 70, "cannot read none.md"),
    ] {
        let ran = run(home, words);
        let said = String::from_utf8(ran.stderr).unwrap();
        assert_eq!(ran.status.code(), Some(code), "{words:?}: {said}");
        assert!(said.contains(told), "{words:?}: {said}");
    }
}
