//! The five plans this console was ordered with, read as a person reads them; and pages nobody would write.

use std::fmt::Write;

use proptest::prelude::*;

use super::*;

const HYPER: &[u8] = include_bytes!("../../tests/it/plans/hyper-mission.md");
const ROADMAP: &[u8] = include_bytes!("../../tests/it/plans/hyper-mission-roadmap.md");
const RADIO: &[u8] = include_bytes!("../../tests/it/plans/radiocalico.md");
const FLASK: &[u8] = include_bytes!("../../tests/it/plans/flask-service.md");
const LASER: &[u8] = include_bytes!("../../tests/it/plans/laser-calculator.md");

const PLANS: [(&str, &[u8]); 5] = [
    ("hyper-mission.md", HYPER),
    ("hyper-mission-roadmap.md", ROADMAP),
    ("radiocalico.md", RADIO),
    ("flask-service.md", FLASK),
    ("laser-calculator.md", LASER),
];

fn read(text: &str) -> Checklist {
    Checklist::read("plan.md", text.as_bytes())
}

/// Tasks, deliverables, criteria and everything else of each phase, by its title.
fn counts(list: &Checklist) -> Vec<(String, [usize; 4])> {
    list.phases
        .iter()
        .map(|phase| {
            let mut count = [0; 4];
            for item in &phase.items {
                count[match item.kind {
                    Kind::Task => 0,
                    Kind::Deliverable => 1,
                    Kind::Criterion => 2,
                    Kind::Milestone | Kind::Gap | Kind::Risk => 3,
                }] += 1;
            }
            (phase.title.to_string(), count)
        })
        .collect()
}

#[track_caller]
fn check(list: &Checklist, expected: &[(&str, [usize; 4])]) {
    let expected: Vec<(String, [usize; 4])> = expected
        .iter()
        .map(|(title, count)| ((*title).to_owned(), *count))
        .collect();
    assert_eq!(counts(list), expected);
}

/// The titles of one phase.
fn titles<'a>(list: &'a Checklist, phase: &str) -> Vec<&'a str> {
    let phase = list
        .phases
        .iter()
        .find(|p| p.title.contains(phase))
        .unwrap();
    phase.items.iter().map(|item| item.title.as_str()).collect()
}

#[test]
fn the_hyper_mission_plan_has_five_phases_with_tasks_deliverables_and_metrics() {
    let list = Checklist::read("hyper-mission.md", HYPER);
    check(
        &list,
        &[
            ("🚀 Phase 1: Frontend Optimization", [3, 3, 3, 0]),
            ("🔒 Phase 2: Security & SSL", [3, 2, 3, 0]),
            ("💾 Phase 3: Data Migration", [3, 2, 2, 0]),
            ("📊 Phase 4: Observability", [3, 2, 2, 0]),
            ("✅ Phase 5: Testing & Validation", [3, 2, 2, 0]),
        ],
    );
    assert_eq!(
        list.title.as_str(),
        "Hyper-Mission System: Detailed Implementation Plan"
    );
    assert_eq!(
        titles(&list, "Phase 1"),
        [
            "Refactor `client/Dockerfile`",
            "Update `docker-compose.prod.yml`",
            "Update Gateway Nginx",
            "`client/Dockerfile` (Multi-stage).",
            "`client/nginx.conf` (SPA configuration).",
            "Optimized Docker Image (<30MB).",
            "TTFB (Time to First Byte) < 100ms.",
            "Lighthouse Performance Score > 90.",
            "Correct loading of all static assets (JS/CSS/Images).",
        ]
    );
    let first = &list.phases[0].items[0];
    assert_eq!(
        first.detail,
        [
            "Create a Multi-Stage Build:",
            "  `build-stage`: Node.js base, install dependencies, run `npm run build`.",
            "  `production-stage`: Nginx Alpine base, copy `dist/` from build stage to `/usr/share/nginx/html`.",
            "Configure custom `nginx.conf` for the React router (SPA fallback to `index.html`).",
        ]
    );
    assert_eq!((first.line, first.line_last), (21, 25));
    assert_eq!(
        titles(&list, "Phase 5")[6],
        "0 Failed Requests at 100 req/sec."
    );
    for phase in &list.phases {
        assert_eq!(
            phase.mark,
            Mark::Open,
            "an ornament is no tick: {}",
            phase.title
        );
        assert!(phase.field("Objective").is_some(), "{}", phase.title);
    }
    let field = |name| list.phases[0].field(name).map(Clean::as_str);
    assert_eq!(field("Estimated Duration"), Some("4-6 Hours"));
    assert_eq!(field("Priority"), Some("Critical"));
    assert_eq!(list.phases[2].field("Priority").unwrap().as_str(), "Medium");
}

#[test]
fn the_repair_of_the_hyper_mission_plan_is_said_and_what_is_lost_too() {
    let list = Checklist::read("hyper-mission.md", HYPER);
    assert!(
        list.remarks[0].text.contains("windows-1254"),
        "{:?}",
        list.remarks
    );
    // The cup has lost a byte, five times.
    assert_eq!(list.remarks.len(), 6, "{:?}", list.remarks);
    assert!(
        list.remarks[1..]
            .iter()
            .all(|remark| remark.text.contains("lost"))
    );
}

#[test]
fn the_roadmap_has_gaps_actions_procedures_and_criteria_and_no_architecture() {
    let list = Checklist::read("hyper-mission-roadmap.md", ROADMAP);
    check(
        &list,
        &[
            ("3. Gap Analysis (Development vs. Production)", [0, 0, 0, 5]),
            ("4. Detailed Implementation Plan (Next Steps)", [0; 4]),
            (
                "Phase 1: Frontend Production Optimization (Priority: Immediate)",
                [1, 1, 0, 0],
            ),
            (
                "Phase 2: Security & SSL Hardening (Priority: High)",
                [4, 0, 0, 0],
            ),
            ("Phase 3: Data Migration & Persistence", [3, 0, 0, 0]),
            ("Phase 4: Observability (Monitoring)", [2, 0, 0, 0]),
            ("5. Testing & Validation Procedures", [3, 0, 0, 0]),
            ("6. Success Criteria", [0, 0, 4, 0]),
        ],
    );
    assert_eq!(
        titles(&list, "Phase 1"),
        [
            "Refactor `client/Dockerfile` to use a Multi-Stage Build",
            "Optimized Docker image size (<20MB vs ~500MB), faster load times, true production parity.",
        ]
    );
    assert_eq!(
        titles(&list, "Phase 4")[0],
        "Configure Prometheus to scrape `server` replicas."
    );
    assert_eq!(list.phases[2].items[0].detail.len(), 2);
    assert_eq!(
        list.phases[2].field("Priority").unwrap().as_str(),
        "Immediate"
    );
    let gap = &list.phases[0].items[0];
    assert_eq!(gap.title.as_str(), "Frontend Serving");
    assert_eq!(gap.field("Gap Severity").unwrap().as_str(), "HIGH");
    assert!(
        list.items()
            .all(|(_, item)| !item.title.contains("Orchestration"))
    );
    assert!(list.remarks.is_empty(), "{:?}", list.remarks);
}

#[test]
fn the_radiocalico_plan_has_six_phases_thirty_day_sections_and_a_hundred_and_fifty_tasks() {
    let list = Checklist::read("radiocalico.md", RADIO);
    let phases: Vec<&Phase> = list
        .phases
        .iter()
        .filter(|p| p.kind == PhaseKind::Phase)
        .collect();
    let days: Vec<&Phase> = list
        .phases
        .iter()
        .filter(|p| p.kind == PhaseKind::Days)
        .collect();
    assert_eq!((phases.len(), days.len()), (6, 30));
    for phase in &phases {
        let kinds: Vec<Kind> = phase.items.iter().map(|item| item.kind).collect();
        let expected = [[Kind::Deliverable; 5].as_slice(), &[Kind::Criterion; 3]].concat();
        assert_eq!(kinds, expected, "{}", phase.title);
    }
    for day in &days {
        assert_eq!(day.items.len(), 5, "{}", day.title);
        assert!(
            day.items
                .iter()
                .all(|item| item.kind == Kind::Task && item.mark == Mark::Open)
        );
        assert!(
            list.phases[day.parent.unwrap()].kind == PhaseKind::Phase,
            "{}",
            day.title
        );
    }
    assert_eq!(
        titles(&list, "Phase 4: High Availability"),
        [
            "Database replication operational",
            "Application running in cluster mode",
            "Redis providing session persistence",
            "High availability for all components",
            "Comprehensive monitoring in place",
            "99.99% uptime achieved",
            "RTO < 5 minutes",
            "RPO < 1 minute",
        ]
    );
    assert_eq!(
        titles(&list, "Day 21"),
        [
            "Configure PostgreSQL primary server",
            "Set up streaming replication",
            "Configure standby servers",
            "Test automatic failover",
            "Monitor replication lag",
        ]
    );
    // The documents of the communication plan are deliverables too, outside all phases.
    let rest: Vec<(String, [usize; 4])> = counts(&list)
        .into_iter()
        .filter(|(title, _)| !title.starts_with("Phase") && !title.starts_with("Day"))
        .collect();
    assert_eq!(
        rest,
        [
            ("Communication Plan".to_owned(), [0; 4]),
            ("Documentation Deliverables".to_owned(), [0, 5, 0, 0]),
        ]
    );
    let ids: std::collections::HashSet<&ItemId> = list.items().map(|(_, item)| &item.id).collect();
    assert_eq!(ids.len(), 150 + 30 + 18 + 5, "no id twice");
}

#[test]
fn the_flask_plan_has_objectives_risks_and_milestones() {
    let list = Checklist::read("flask-service.md", FLASK);
    check(
        &list,
        &[
            ("1. Discovery Brief", [0; 4]),
            ("1.2. Success Metrics and SLOs", [0, 0, 3, 0]),
            ("1.3. Technical Risks", [0, 0, 0, 3]),
            ("2. Implementation Plan", [0; 4]),
            ("2.1. Milestones", [0, 0, 0, 4]),
        ],
    );
    assert_eq!(
        titles(&list, "2.1."),
        [
            "Phase 1: Backend Implementation",
            "Phase 2: Frontend Implementation",
            "Phase 3: Integration & Verification",
            "Phase 4: Operational Readiness",
        ]
    );
    let (_, milestone) = list.find("Phase 1: Backend").unwrap();
    assert_eq!(milestone.kind, Kind::Milestone);
    assert_eq!(milestone.field("Owner").unwrap().as_str(), "Engineer");
    assert_eq!(milestone.field("Reviewer").unwrap().as_str(), "Tech Lead");
    assert!(
        milestone
            .field("Acceptance Criteria")
            .unwrap()
            .contains("`/healthz`")
    );
    let (_, risk) = list.find("Security Vulnerabilities").unwrap();
    assert_eq!((risk.kind, risk.mark), (Kind::Risk, Mark::Open));
    assert_eq!(risk.field("Risk ID").unwrap().as_str(), "R-01");
    assert_eq!(risk.field("Status").unwrap().as_str(), "Open");
    assert!(
        list.remarks[0].text.contains("repaired"),
        "{:?}",
        list.remarks
    );
}

#[test]
fn the_laser_plan_has_five_stages_with_their_status_and_no_architecture() {
    let list = Checklist::read("laser-calculator.md", LASER);
    check(
        &list,
        &[
            ("Project Status", [0, 0, 5, 0]),
            ("Stage 1: Infrastructure Setup ⏳ IN PROGRESS", [0, 0, 5, 0]),
            (
                "Stage 2: CI/CD Pipeline Implementation 📋 PLANNED",
                [0, 0, 4, 0],
            ),
            (
                "Stage 3: Monitoring & Logging System 📋 PLANNED",
                [0, 0, 4, 0],
            ),
            (
                "Stage 4: Performance & Security Optimization 📋 PLANNED",
                [0, 0, 4, 0],
            ),
            (
                "Stage 5: Backup & Disaster Recovery 📋 PLANNED",
                [0, 0, 4, 0],
            ),
            ("Success Metrics", [0; 4]),
            ("Technical Metrics", [0, 0, 4, 0]),
            ("Business Metrics", [0, 0, 4, 0]),
            ("Next Steps", [5, 0, 0, 0]),
        ],
    );
    assert_eq!(list.phases[1].mark, Mark::InProgress);
    assert!(
        list.phases[2..6]
            .iter()
            .all(|phase| phase.mark == Mark::Planned)
    );
    assert_eq!(
        list.phases[3].field("Duration").unwrap().as_str(),
        "3-4 days"
    );
    assert_eq!(
        list.phases[1].field("Goal").unwrap().as_str(),
        "Establish production environment foundation"
    );
    let done: Vec<&str> = list
        .items()
        .filter(|(_, item)| item.mark == Mark::Done)
        .map(|(_, item)| item.title.as_str())
        .collect();
    assert_eq!(done.len(), 5);
    assert_eq!(done[2], "Test Coverage: ✅ 94.5% (1823/1929 tests passing)");
    assert_eq!(titles(&list, "Stage 4")[2], "Security headers implemented");
    assert!(
        list.items()
            .all(|(_, item)| !item.title.contains("Platform"))
    );
    assert!(
        list.remarks.is_empty(),
        "what is written right is not repaired: {:?}",
        list.remarks
    );
}

/// Every proposal for the five plans, with the item it is for: read by a person, and none too many.
#[test]
fn proposals_for_the_five_plans() {
    let mut out = String::new();
    for (name, bytes) in PLANS {
        let _ = writeln!(out, "== {name}");
        for (_, item) in Checklist::read(name, bytes).items() {
            for proposal in propose(item) {
                let lines = proposal.lines.join("; ");
                let _ = writeln!(
                    out,
                    "{}\n    {} <- {}: {lines}",
                    item.title, proposal.kind, proposal.words
                );
            }
        }
    }
    insta::assert_snapshot!(out);
}

#[test]
fn proposals_are_toml_that_nobody_has_accepted() {
    for (name, bytes) in PLANS {
        for (_, item) in Checklist::read(name, bytes).items() {
            for proposal in propose(item) {
                let table: toml::Table = proposal.toml(&item.id).parse().unwrap();
                assert_eq!(table["accepted"].as_bool(), Some(false));
                assert_eq!(table["kind"].as_str(), Some(proposal.kind));
                assert!(
                    item.says(&proposal.words),
                    "{}: {}",
                    item.title,
                    proposal.words
                );
            }
        }
    }
}

#[test]
fn an_import_keeps_the_authors_text_and_a_second_one_changes_nothing() {
    for (name, bytes) in PLANS {
        let first = annotate(name, bytes, None);
        let author = repair::repair(bytes).0;
        assert_eq!(annotated::strip(&first.text).text, author, "{name}");
        let items = Checklist::read(name, bytes).items().count();
        assert_eq!(first.difference.added.len(), items);
        let again = annotate(name, first.text.as_bytes(), None);
        assert_eq!(again.text, first.text, "{name}");
        assert!(again.difference.is_empty(), "{}", again.difference);
        let onto = annotate(name, bytes, Some(first.text.as_bytes()));
        assert_eq!(onto.text, first.text, "{name}");
        assert!(onto.difference.is_empty(), "{}", onto.difference);
        // Markdown reads the annotated page as it read the plan.
        let seen = Checklist::read(name, first.text.as_bytes());
        assert_eq!(counts(&seen), counts(&Checklist::read(name, bytes)));
        assert_eq!(seen.orphans, []);
    }
}

/// The annotated page is Markdown too: the blocks are nested in their items, and the lists stay lists.
#[test]
fn an_annotated_page_reads_the_same_for_those_who_do_not_know_us() {
    for (name, bytes) in PLANS {
        let annotated = annotate(name, bytes, None).text;
        let body = annotated.splitn(3, "+++\n").nth(2).unwrap();
        let page = annotated::Page {
            text: body.to_owned(),
            front: None,
            ids: std::collections::BTreeMap::new(),
            blocks: Vec::new(),
            remarks: Vec::new(),
            places: Vec::new(),
        };
        let list = super::read::read(name, &page, Vec::new());
        assert_eq!(
            counts(&list),
            counts(&Checklist::read(name, bytes)),
            "{name}"
        );
    }
}

#[test]
fn after_an_edit_ids_acceptances_and_notes_of_the_same_items_are_kept() {
    let plan = "# P\n## Phase 1: A\n### Success Criteria\n- TTFB < 100ms\n- 3 replicas run\n- No surprises\n- Nice\n";
    let first = annotate("p.md", plan.as_bytes(), None).text;
    assert_eq!(first.matches("accepted = false").count(), 2, "{first}");
    let accepted = first.replace("accepted = false", "accepted = true\n  note = \"agreed\"");
    let edited = "# P\n\nMore prose.\n\n## Phase 1: A\n### Success Criteria\n- No surprises\n- 5 replicas run\n- TTFB < 100ms\n- HSTS is sent\n";
    let again = annotate("p.md", edited.as_bytes(), Some(accepted.as_bytes()));
    let find = |list: &Checklist, title: &str| {
        let (_, item) = list.find(title).unwrap();
        item.clone()
    };
    let before = Checklist::read("p.md", accepted.as_bytes());
    let (old, new) = (find(&before, "TTFB"), find(&again.list, "TTFB"));
    assert_eq!((&old.id, &old.blocks), (&new.id, &new.blocks));
    assert!(new.blocks[0].accepted && new.blocks[0].note.is_some());
    assert_eq!(
        find(&before, "No surprises").id,
        find(&again.list, "No surprises").id
    );
    // Other words: the same item, and nobody has accepted a check for them.
    let changed = find(&again.list, "5 replicas");
    assert_eq!(changed.id, find(&before, "3 replicas").id);
    assert!(changed.blocks.iter().all(|block| !block.accepted));
    assert!(
        changed
            .blocks
            .iter()
            .any(|block| block.toml.contains(">= 5"))
    );
    assert!(
        changed
            .blocks
            .iter()
            .any(|block| block.toml.contains("older words"))
    );
    assert_ne!(changed.text_hash(), find(&before, "3 replicas").text_hash());
    let difference = &again.difference;
    assert_eq!(difference.added.len(), 1);
    assert_eq!(difference.added[0].title.as_str(), "HSTS is sent");
    assert_eq!(difference.removed[0].title.as_str(), "Nice");
    assert_eq!(difference.changed.len(), 1);
    let told = difference.to_string();
    for word in [
        "added",
        "removed",
        "changed",
        "3 replicas run",
        "5 replicas run",
    ] {
        assert!(told.contains(word), "{told}");
    }
    assert_eq!(annotated::strip(&again.text).text, edited);
}

#[test]
fn an_accepted_check_of_an_item_that_is_gone_is_not_lost() {
    let first = annotate("p.md", b"## Tasks\n- TTFB < 100ms\n- b\n", None).text;
    let accepted = first.replace("accepted = false", "accepted = true");
    let again = annotate("p.md", b"## Tasks\n- b", Some(accepted.as_bytes()));
    assert_eq!(again.list.orphans.len(), 1);
    assert!(again.text.contains("ttfb = \"< 100 ms\""), "{}", again.text);
    assert_eq!(annotated::strip(&again.text).text, "## Tasks\n- b");
}

#[test]
fn a_proposal_that_was_deleted_stays_deleted() {
    let first = annotate("p.md", b"## Tasks\n- HSTS\n", None).text;
    let start = first.find("  ```toml").unwrap();
    let without = &first[..start];
    assert_eq!(annotate("p.md", without.as_bytes(), None).text, without);
}

#[test]
fn ids_do_not_move_when_something_else_is_edited_and_duplicates_are_numbered() {
    let a = read("# T\n## Phase 1\n- [ ] test\n- [ ] test\n- [ ] last\n");
    let b = read(
        "# Other\n\nprose\n## Phase 0\n- [ ] new\n## Phase 1\n- [ ] first\n- [x] test\n- [ ] test\n- [ ] last\n",
    );
    let ids = |list: &Checklist, phase: usize| -> Vec<String> {
        let items = &list.phases[phase].items;
        items.iter().map(|item| item.id.0.clone()).collect()
    };
    assert_eq!(ids(&a, 0), ids(&b, 1)[1..]);
    assert_eq!(ids(&a, 0)[1], format!("{}-2", ids(&a, 0)[0]));
}

#[test]
fn task_boxes_are_items_wherever_they_stand() {
    let list = read(
        "- [ ] no heading\n\n> - [X] quoted\n\n1. plain\n   - [ ] nested\n     - detail\n\n## Architecture\n- not this\n- [ ] but this\n",
    );
    let seen: Vec<(&str, Mark, usize)> = list
        .items()
        .map(|(_, item)| (item.title.as_str(), item.mark, item.detail.len()))
        .collect();
    assert_eq!(
        seen,
        [
            ("no heading", Mark::Open, 0),
            ("quoted", Mark::Done, 0),
            ("nested", Mark::Open, 1),
            ("but this", Mark::Open, 0),
        ]
    );
}

#[test]
fn a_table_of_work_keeps_its_status() {
    let list = read(
        "## Tasks\n| # | Task | Owner | Status |\n|---|---|---|---|\n| 1 | Build | Ann | ✅ done |\n| 2 | Ship | Bo | In progress |\n| 3 | Rest | | blocked |\n",
    );
    let marks: Vec<(&str, Mark)> = list
        .items()
        .map(|(_, item)| (item.title.as_str(), item.mark))
        .collect();
    assert_eq!(
        marks,
        [
            ("Build", Mark::Done),
            ("Ship", Mark::InProgress),
            ("Rest", Mark::Blocked),
        ]
    );
}

#[test]
fn a_check_that_the_author_nested_belongs_to_its_item() {
    let list = read("- [ ] a\n\n  ```toml check\n  kind = \"tls\"\n  ```\n- [ ] b\n");
    let items: Vec<&Item> = list.items().map(|(_, item)| item).collect();
    assert_eq!(items[0].checks, ["kind = \"tls\"\n"]);
    assert_eq!(items[0].standing(), Standing::Accepted);
    assert!(items[1].checks.is_empty());
}

/// Lines that plans are made of, and lines that look like ours.
fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("## Phase 1: x".to_owned()),
        Just("### Tasks".to_owned()),
        Just("**Deliverables:**".to_owned()),
        Just("- [ ] TTFB < 100ms".to_owned()),
        Just("  - [x] nested HSTS".to_owned()),
        Just("1. 3 replicas".to_owned()),
        Just("> - [ ] quoted 301 redirect".to_owned()),
        Just("| Task | Owner | Status |\n|--|--|--|\n| HSTS | a | done |".to_owned()),
        Just("    - code?".to_owned()),
        Just("```".to_owned()),
        Just("+++".to_owned()),
        Just("<!-- x -->".to_owned()),
        Just(String::new()),
        "\\PC{0,20}",
    ]
}

/// Lines that look as if we had written them.
fn pretended() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("```toml check".to_owned()),
        Just("item = \"abc\"".to_owned()),
        Just("- [ ] a <!-- item:abc -->".to_owned()),
        Just("- a <!-- item:abc --> <!-- item:def -->".to_owned()),
        Just("format = \"quarterdeck-checklist-1\"".to_owned()),
        line(),
    ]
}

proptest! {
    #[test]
    fn any_bytes_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let list = Checklist::read("x", &bytes);
        for (phase, item) in list.items() {
            prop_assert!(item.line <= item.line_last);
            prop_assert!(!list.path(phase).is_empty());
            propose(item);
        }
        annotate("x", &bytes, Some(&bytes));
    }

    #[test]
    fn an_import_keeps_every_byte_and_every_box(
        lines in proptest::collection::vec(line(), 0..30),
        end in prop_oneof![Just("\n"), Just("\r\n")],
        last in any::<bool>(),
    ) {
        let mut text = lines.join("\n").replace('\n', end);
        if last {
            text.push_str(end);
        }
        let text = repair::repair(text.as_bytes()).0;
        let made = annotate("x", text.as_bytes(), None);
        prop_assert_eq!(&annotated::strip(&made.text).text, &text);
        let again = annotate("x", made.text.as_bytes(), None);
        prop_assert_eq!(&again.text, &made.text);
        let boxes = pulldown_cmark::Parser::new_ext(&text, pulldown_cmark::Options::ENABLE_TASKLISTS | pulldown_cmark::Options::ENABLE_TABLES)
            .filter(|event| matches!(event, pulldown_cmark::Event::TaskListMarker(_)))
            .count();
        if !text.starts_with("+++") {
            prop_assert!(made.list.items().count() >= boxes);
        }
    }

    #[test]
    fn pages_that_pretend_to_be_ours_are_read(lines in proptest::collection::vec(pretended(), 0..20)) {
        let text = lines.join("\n");
        let made = annotate("x", text.as_bytes(), Some(text.as_bytes()));
        let ids: std::collections::HashSet<&ItemId> = made.list.items().map(|(_, item)| &item.id).collect();
        prop_assert_eq!(ids.len(), made.list.items().count());
    }
}
