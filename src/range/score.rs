//! How a training went: a pure function of the scenario and of what happened when.
//!
//! The rule, in points; a score is never below 0 and never above 100:
//!
//! - noticed: 20 within 30 s of the fault, 1 less for every further 10 s, at least 5; 0 if never
//! - diagnosed right: 30 within 2 minutes, 1 less for every further 20 s, at least 10; a wrong diagnosis costs 5 each
//! - mitigated: 40 within 5 minutes, 1 less for every further 15 s, at least 15; where waiting is right, 40 for not harming
//! - no harm: 10, less 10 for each harmful act and 2 for each act that was beside the point
//! - a hint costs 4; requests that users lost cost 1 for every 200, at most 10; giving up leaves what was earned before it

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::scenario::{Deed, Mend, Scenario};
use super::world::Ms;

/// Something that happened: to the world or by the trainee.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Happening {
    FaultBegan {
        text: String,
    },
    /// The trainee says that something is wrong.
    Noticed,
    /// The trainee says what: an id of the scenario's diagnoses.
    Diagnosed {
        id: String,
    },
    Acted {
        does: Deed,
        target: String,
        argv: Vec<String>,
    },
    Hinted,
    /// Everything the scenario wants back holds again, and did so for a while.
    GoalMet,
    GaveUp,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Milliseconds since the start of the range.
    pub at_ms: Ms,
    #[serde(flatten)]
    pub happening: Happening,
}

/// What happened, in any order; what users lost over the whole time.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Timeline {
    pub entries: Vec<Entry>,
    pub requests_lost: u64,
}

/// The record of one training. Times are milliseconds since the first fault began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Score {
    pub scenario: String,
    pub noticed_ms: Option<Ms>,
    pub diagnosed_ms: Option<Ms>,
    pub is_diagnosis_right: bool,
    pub diagnoses_wrong: u32,
    pub mitigated_ms: Option<Ms>,
    pub actions_wrong: u32,
    pub actions_harmful: u32,
    pub requests_lost: u64,
    pub hints: u32,
    pub gave_up: bool,
    /// 0 to 100.
    pub points: u32,
}

/// How one act of the trainee is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Helpful,
    /// Neither helps nor hurts.
    Wrong,
    Harmful,
}

/// Judges one act in the light of the scenario.
pub fn judge(scenario: &Scenario, does: Deed, target: &str, argv: &[String]) -> Verdict {
    if scenario.harmful.iter().any(|h| h.covers(does, target)) {
        return Verdict::Harmful;
    }
    let mends = || scenario.mitigation.iter().chain(&scenario.fine);
    if mends().any(|mend| is_part_of(mend, does, target, argv)) || is_harmless(does, argv) {
        Verdict::Helpful
    } else if does == Deed::Kill && target == "gateway" && is_reload(argv) {
        // Part of taking any replica out of the gateway and of putting it back; nobody's request is lost by it.
        Verdict::Helpful
    } else {
        Verdict::Wrong
    }
}

/// A recreation is made of these acts.
fn is_part_of(mend: &Mend, does: Deed, target: &str, argv: &[String]) -> bool {
    const RECREATION: &[Deed] = &[
        Deed::Create,
        Deed::Rename,
        Deed::Stop,
        Deed::Start,
        Deed::Remove,
    ];
    let is_same = mend.target == target && mend.does == does;
    let is_same_command = does != Deed::Exec || same_command(&mend.argv, argv);
    let is_recreation =
        mend.does == Deed::Recreate && mend.target == target && RECREATION.contains(&does);
    (is_same && is_same_command) || is_recreation
}

/// The same program, and what it is told to do; not each option.
fn same_command(wanted: &[String], done: &[String]) -> bool {
    let program = |argv: &[String]| {
        argv.first()
            .map(|a| a.rsplit('/').next().unwrap_or_default().to_owned())
    };
    program(wanted) == program(done)
        && (program(wanted).as_deref() != Some("nginx") || wanted.get(1) == done.get(1))
}

fn is_reload(argv: &[String]) -> bool {
    matches!(argv, [signal] if matches!(signal.trim_start_matches("SIG"), "HUP" | "1"))
}

/// Commands that only look.
fn is_harmless(does: Deed, argv: &[String]) -> bool {
    const LOOKING: &[&str] = &[
        "df",
        "cat",
        "echo",
        "true",
        "pg_isready",
        "psql",
        "pg_restore",
        "redis-cli",
        "pg_dump",
    ];
    let program = argv
        .first()
        .map_or("", |a| a.rsplit('/').next().unwrap_or_default());
    let is_test = program == "nginx" && argv.get(1).is_some_and(|a| a == "-t" || a == "-v");
    does == Deed::Exec && (LOOKING.contains(&program) || is_test)
}

/// The record of a training.
pub fn score(scenario: &Scenario, timeline: &Timeline) -> Score {
    let mut entries = timeline.entries.clone();
    entries.sort_by_key(|e| e.at_ms);
    let began = entries
        .iter()
        .find(|e| matches!(e.happening, Happening::FaultBegan { .. }))
        .map_or(0, |e| e.at_ms);
    let mut score = Score {
        scenario: scenario.id.clone(),
        noticed_ms: None,
        diagnosed_ms: None,
        is_diagnosis_right: false,
        diagnoses_wrong: 0,
        mitigated_ms: None,
        actions_wrong: 0,
        actions_harmful: 0,
        requests_lost: timeline.requests_lost,
        hints: 0,
        gave_up: false,
        points: 0,
    };
    for entry in &entries {
        count(&mut score, scenario, entry, entry.at_ms - began);
    }
    score.points = points(scenario, &score);
    score
}

fn count(score: &mut Score, scenario: &Scenario, entry: &Entry, after: Ms) {
    match &entry.happening {
        Happening::FaultBegan { .. } => {}
        // Crying wolf before the fault is not noticing it.
        Happening::Noticed if after < 0 => {}
        Happening::Noticed => {
            score.noticed_ms.get_or_insert(after);
        }
        Happening::Diagnosed { id } => {
            if scenario
                .right_diagnosis()
                .is_some_and(|right| right.id == *id)
            {
                score.diagnosed_ms.get_or_insert(after);
                score.is_diagnosis_right = true;
                score.noticed_ms.get_or_insert(after);
            } else {
                score.diagnoses_wrong += 1;
            }
        }
        Happening::Acted { does, target, argv } => match judge(scenario, *does, target, argv) {
            Verdict::Helpful => {}
            Verdict::Wrong => score.actions_wrong += 1,
            Verdict::Harmful => score.actions_harmful += 1,
        },
        Happening::Hinted => score.hints += 1,
        Happening::GoalMet => {
            score.mitigated_ms.get_or_insert(after);
        }
        Happening::GaveUp => score.gave_up = true,
    }
}

/// `full` within `free_ms`, one less for each further `step_ms`, at least `least`.
fn timed(at: Option<Ms>, full: i64, free_ms: Ms, step_ms: Ms, least: i64) -> i64 {
    at.map_or(0, |ms| (full - (ms - free_ms).max(0) / step_ms).max(least))
}

fn points(scenario: &Scenario, score: &Score) -> u32 {
    let noticed = timed(score.noticed_ms, 20, 30_000, 10_000, 5);
    let diagnosed = timed(score.diagnosed_ms, 30, 120_000, 20_000, 10);
    let waited_well =
        scenario.heals_by_itself && score.actions_harmful == 0 && score.mitigated_ms.is_some();
    let mitigated = if waited_well {
        40
    } else {
        timed(score.mitigated_ms, 40, 300_000, 15_000, 15)
    };
    let beside = i64::from(score.actions_wrong) * 2 + i64::from(score.actions_harmful) * 10;
    let lost = i64::try_from(score.requests_lost / 200)
        .unwrap_or(i64::MAX)
        .min(10);
    let dear = i64::from(score.diagnoses_wrong) * 5 + i64::from(score.hints) * 4 + lost;
    let has_tried = noticed + diagnosed + mitigated > 0;
    let unharmed = if has_tried { 10 } else { 0 };
    let sum = noticed + diagnosed + mitigated + unharmed - beside - dear;
    u32::try_from(sum.clamp(0, 100)).unwrap_or(0)
}

/// What happened beside what the trainee did, and what was to be learned.
pub fn debrief(scenario: &Scenario, timeline: &Timeline) -> String {
    let score = score(scenario, timeline);
    let mut entries = timeline.entries.clone();
    entries.sort_by_key(|e| e.at_ms);
    let mut text = format!("{}: {} points\n\n", scenario.title, score.points);
    let _ = writeln!(text, "{:>7}  {:<38}  you", "time", "the stack");
    for sign in &scenario.signs {
        // Signs stand in the left column with the moment from which they could be seen.
        entries.push(Entry {
            at_ms: super::figures::whole_ms(sign.by_s * 1_000.0),
            happening: Happening::FaultBegan {
                text: format!("seen: {}", sign.text),
            },
        });
    }
    entries.sort_by_key(|e| e.at_ms);
    for entry in &entries {
        let (world, trainee) = columns(scenario, &entry.happening);
        let _ = writeln!(text, "{:>7}  {world:<38}  {trainee}", clock(entry.at_ms));
    }
    let _ = write!(
        text,
        "\nnoticed after {}, diagnosed after {}, over after {}; {} requests of users lost\n",
        after(score.noticed_ms),
        after(score.diagnosed_ms),
        after(score.mitigated_ms),
        score.requests_lost
    );
    let _ = writeln!(
        text,
        "\n{}\n\nTo remember: {}",
        scenario.debrief.trim(),
        scenario.teaches
    );
    text
}

fn columns(scenario: &Scenario, happening: &Happening) -> (String, String) {
    let left = |text: &str| (text.to_owned(), String::new());
    let right = |text: String| (String::new(), text);
    match happening {
        Happening::FaultBegan { text } => left(text),
        Happening::GoalMet => left("the trouble is over"),
        Happening::Noticed => right("noticed".into()),
        Happening::Diagnosed { id } => {
            let diagnosis = scenario.diagnoses.iter().find(|d| d.id == *id);
            let word = if diagnosis.is_some_and(|d| d.right) {
                "right"
            } else {
                "not it"
            };
            right(format!(
                "{word}: {}",
                diagnosis.map_or(id.as_str(), |d| d.text.as_str())
            ))
        }
        Happening::Acted { does, target, argv } => {
            let verdict = match judge(scenario, *does, target, argv) {
                Verdict::Helpful => "",
                Verdict::Wrong => "  (beside the point)",
                Verdict::Harmful => "  (made it worse)",
            };
            let command = if argv.is_empty() {
                String::new()
            } else {
                format!(": {}", argv.join(" "))
            };
            right(format!("{} {target}{command}{verdict}", does.word()))
        }
        Happening::Hinted => right("took a hint".into()),
        Happening::GaveUp => right("gave up".into()),
    }
}

fn clock(ms: Ms) -> String {
    format!("{:02}:{:02}", ms / 60_000, ms / 1_000 % 60)
}

fn after(ms: Option<Ms>) -> String {
    ms.map_or("never".into(), clock)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::range::scenario::load;

    fn entry(at_s: i64, happening: Happening) -> Entry {
        Entry {
            at_ms: at_s * 1_000,
            happening,
        }
    }

    fn acted(does: Deed, target: &str) -> Happening {
        Happening::Acted {
            does,
            target: target.into(),
            argv: Vec::new(),
        }
    }

    fn began() -> Entry {
        entry(
            45,
            Happening::FaultBegan {
                text: "server-2 dies".into(),
            },
        )
    }

    #[track_caller]
    fn check(entries: Vec<Entry>, lost: u64, points: u32) -> Score {
        let scenario = load("replica-dies").expect("shipped");
        let timeline = Timeline {
            entries,
            requests_lost: lost,
        };
        let score = score(&scenario, &timeline);
        assert_eq!(score.points, points, "{score:?}");
        score
    }

    fn good() -> Vec<Entry> {
        vec![
            began(),
            entry(60, Happening::Noticed),
            entry(
                90,
                Happening::Diagnosed {
                    id: "killed".into(),
                },
            ),
            entry(100, acted(Deed::Start, "server-2")),
            entry(110, Happening::GoalMet),
        ]
    }

    #[test]
    fn a_quick_and_clean_training_earns_everything() {
        let score = check(good(), 0, 100);
        assert_eq!(
            (score.noticed_ms, score.mitigated_ms),
            (Some(15_000), Some(65_000))
        );
    }

    #[test]
    fn doing_nothing_earns_nothing() {
        check(vec![began()], 0, 0);
        check(vec![began(), entry(50, Happening::GaveUp)], 0, 0);
    }

    #[test]
    fn harm_hints_wrong_guesses_and_lost_requests_cost() {
        let with = |happening| {
            let mut entries = good();
            entries.push(entry(95, happening));
            entries
        };
        check(with(acted(Deed::Restart, "server-1")), 0, 90);
        check(with(acted(Deed::Restart, "grafana")), 0, 98);
        check(with(Happening::Hinted), 0, 96);
        check(
            with(Happening::Diagnosed {
                id: "memory".into(),
            }),
            0,
            95,
        );
        check(good(), 450, 98);
        check(good(), 9_000_000, 90);
    }

    #[test]
    fn slowness_costs_up_to_a_floor() {
        let mut entries = good();
        entries[1].at_ms = 45_000 + 50_000;
        check(entries, 0, 100 - 1);
    }

    #[test]
    fn noticing_before_the_fault_is_not_noticing() {
        let score = check(vec![began(), entry(10, Happening::Noticed)], 0, 0);
        assert_eq!(score.noticed_ms, None);
    }

    #[test]
    fn waiting_is_right_where_it_heals_by_itself() {
        let scenario = load("engine-unreachable").expect("shipped");
        let timeline = Timeline {
            entries: vec![began(), entry(900, Happening::GoalMet)],
            requests_lost: 0,
        };
        assert_eq!(score(&scenario, &timeline).points, 50);
    }

    #[test]
    fn the_debrief_shows_both_columns_and_the_lesson() {
        let scenario = load("replica-dies").expect("shipped");
        let timeline = Timeline {
            entries: good(),
            requests_lost: 3,
        };
        let text = debrief(&scenario, &timeline);
        for part in [
            "01:40",
            "start server-2",
            "server-2 dies",
            "To remember",
            "right: server-2 was killed",
            "3 requests",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
    }

    #[test]
    fn a_recreation_is_judged_as_one() {
        let scenario = load("bad-deploy").expect("shipped");
        for does in [Deed::Rename, Deed::Create, Deed::Start, Deed::Remove] {
            assert_eq!(judge(&scenario, does, "server-1", &[]), Verdict::Helpful);
        }
        assert_eq!(
            judge(&scenario, Deed::Restart, "server-3", &[]),
            Verdict::Harmful
        );
        assert_eq!(
            judge(&scenario, Deed::Restart, "server-1", &[]),
            Verdict::Wrong
        );
    }
}
