//! Reads a runbook: every problem at once, or a document without any.

use std::time::Duration;

use sha2::{Digest, Sha256};

use super::document::{
    AskBlock, Block, BlockIs, CheckBlock, DOCUMENT_BYTES_MAX, Document, EachBlock, Order, Section,
    StepBlock, When,
};
use super::front;
use super::lint;
use super::problem::{Problem, Problems};
use super::scan::{Page, Part, Word, scan};
use super::scene::hex;
use super::table::{Fields, Piece, Table};
use crate::domain::Clean;
use crate::engine::Gate;

/// Lines of a page that are kept for showing it.
const PAGE_LINES_MAX: usize = 5000;

/// Keys of a step block that are ours; the others belong to its kind.
const STEP_KEYS: &[&str] = &["title", "deadline", "gate", "if", "undo"];
const CHECK_KEYS: &[&str] = &["title", "deadline", "when", "if"];

impl Document {
    /// Reads the text of a runbook. `name` is what errors call it: its path.
    pub fn read(name: &str, text: &str) -> Result<Self, Vec<Problem>> {
        let name = Clean::line(name);
        let mut problems = Problems::of(&name);
        if text.len() > DOCUMENT_BYTES_MAX {
            let says = format!("{} bytes are more than a runbook has", text.len());
            let remedy = format!("write at most {DOCUMENT_BYTES_MAX}; is this the right file?");
            problems.add(0, "", &says, &remedy);
            return Err(problems.sorted());
        }
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let page = scan(text, &mut problems);
        let sections = sections(&page, &mut problems);
        let front = front::read(&page, &mut problems);
        let Some(front) = front else {
            return Err(problems.sorted());
        };
        let body: Vec<&str> = text.lines().skip(page.body_line - 1).collect();
        let document = Self {
            sha256: Clean::from(hex(&Sha256::digest(text.as_bytes()))),
            page: Clean::lines(&body.join("\n"), PAGE_LINES_MAX),
            page_line: page.body_line,
            sections,
            ..front.document(name)
        };
        lint::lint(&document, &mut problems);
        if problems.is_empty() {
            Ok(document)
        } else {
            Err(problems.sorted())
        }
    }
}

fn sections(page: &Page, problems: &mut Problems) -> Vec<Section> {
    let mut sections = vec![Section {
        heading: Clean::default(),
        line: page.body_line,
        blocks: Vec::new(),
    }];
    for part in &page.parts {
        match part {
            Part::Heading { line, text, .. } => {
                sections.push(Section {
                    heading: Clean::line(text),
                    line: *line,
                    blocks: Vec::new(),
                });
            }
            Part::Block { line, word, text } => {
                let piece = Piece {
                    first_line: line + 1,
                    text,
                };
                let mut table = piece.read(problems);
                // Broken TOML has been said; what follows from it has not to be.
                if table.line == 0 {
                    continue;
                }
                table.line = *line;
                let is = match word {
                    Word::Step => step(&table, problems).map(BlockIs::Step),
                    Word::Check => check(&table, problems).map(BlockIs::Check),
                    Word::Ask => ask(&table, problems).map(BlockIs::Ask),
                    Word::Each => each(&table, problems).map(BlockIs::Each),
                };
                if let (Some(is), Some(section)) = (is, sections.last_mut()) {
                    section.blocks.push(Block { line: *line, is });
                }
            }
        }
    }
    sections
}

fn clean(text: Option<&str>) -> Option<Clean> {
    text.map(Clean::line)
}

fn step(table: &Table, problems: &mut Problems) -> Option<StepBlock> {
    let mut fields = Fields::of(table, "a step", problems);
    let kind = fields.required("kind", "kind = \"restart\", or another kind of step");
    let title = clean(fields.text("title"));
    let deadline = fields.span("deadline");
    let gate = fields.word(
        "gate",
        &[
            ("open", Gate::Open),
            ("confirm", Gate::Confirm),
            ("approve", Gate::Approve),
        ],
    );
    let condition = clean(fields.text("if"));
    let no_undo = fields.word("undo", &[("none", true)]).unwrap_or(false);
    Some(StepBlock {
        kind: Clean::line(kind?),
        title,
        deadline,
        gate: gate.unwrap_or(Gate::Open),
        condition,
        no_undo,
        act: table.without(STEP_KEYS),
    })
}

fn check(table: &Table, problems: &mut Problems) -> Option<CheckBlock> {
    let mut fields = Fields::of(table, "a check", problems);
    let kind = fields.required("kind", "kind = \"containers\", or another kind of check");
    let title = fields.required("title", "title = \"what has to hold\"");
    let when = fields.word("when", &[("before", When::Before), ("step", When::Step)]);
    let deadline = fields.span("deadline");
    let condition = clean(fields.text("if"));
    Some(CheckBlock {
        kind: Clean::line(kind?),
        title: Clean::line(title?),
        when: when.unwrap_or(When::Step),
        deadline,
        condition,
        check: table.without(CHECK_KEYS),
    })
}

fn ask(table: &Table, problems: &mut Problems) -> Option<AskBlock> {
    let mut fields = Fields::of(table, "a question", problems);
    fields.refuse_others(&["question", "by", "if"]);
    let question = fields.required("question", "question = \"…?\"");
    let gate = fields.word("by", &[("anyone", Gate::Confirm), ("other", Gate::Approve)]);
    let condition = clean(fields.text("if"));
    Some(AskBlock {
        question: Clean::line(question?),
        gate: gate.unwrap_or(Gate::Confirm),
        condition,
    })
}

fn each(table: &Table, problems: &mut Problems) -> Option<EachBlock> {
    let mut fields = Fields::of(table, "an each block", problems);
    fields.refuse_others(&["replica_of", "order", "only"]);
    let replica_of = fields.required("replica_of", "replica_of = \"{service}\"");
    let order = fields.word(
        "order",
        &[("sick-first", Order::SickFirst), ("number", Order::Number)],
    );
    let only_sick = fields.word("only", &[("sick", true), ("all", false)]);
    Some(EachBlock {
        replica_of: Clean::line(replica_of?),
        order: order.unwrap_or(Order::SickFirst),
        only_sick: only_sick.unwrap_or(false),
    })
}

/// Time for a step whose block names none, by its kind: what it waits for by itself, and room for the engine.
pub(super) fn default_deadline(kind: &str) -> Duration {
    Duration::from_secs(match kind {
        // A container must get up before it can be healthy for a while.
        "healthy" | "scale" => 180,
        // The requests in flight end first.
        "drain" => 90,
        "exec" | "command" => 120,
        "http" | "notify" | "check" => 30,
        // Every byte or row is read, over any line and more than once: hours for a large database.
        "backup" | "backup-copy" | "rehearse" | "restore-beside" | "verify-beside"
        | "compare-live" | "swap-database" | "copy-beside" | "persistence" => 6 * 3600,
        "backup-prune" => 900,
        // A container's stop and start, beside its grace; a reload of the gateway.
        _ => 60,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FRONT: &str = "id = \"x\"\ntitle = \"X\"\nrisk = \"low\"\n";
    const STEP: &str = "```toml step\nkind = \"wait\"\ntime = \"1s\"\n```\n";

    fn with(front: &str, body: &str) -> String {
        format!("+++\n{FRONT}{front}+++\n{body}")
    }

    fn wrong(text: &str) -> Vec<String> {
        let Err(problems) = Document::read("x.md", text) else {
            return Vec::new();
        };
        problems
            .iter()
            .map(|p| format!("{}: {} = {}", p.line, p.says, p.remedy))
            .collect()
    }

    /// Front matter beyond the first four lines, followed by one good step.
    #[track_caller]
    fn front(front: &str, expected: &[&str]) {
        assert_eq!(wrong(&with(front, STEP)), expected, "{front}");
    }

    /// The body, which begins on line 6.
    #[track_caller]
    fn body(body: &str, expected: &[&str]) {
        assert_eq!(wrong(&with("", body)), expected, "{body}");
    }

    #[test]
    fn a_small_runbook_is_read_with_its_places() {
        let text = with(
            "key = \"R\"\n\n[[parameter]]\nname = \"service\"\ntype = \"service\"\n",
            &format!("# One\n\nProse.\n\n{STEP}"),
        );
        let document = Document::read("x.md", &text).unwrap();
        assert_eq!((&*document.id, document.key), ("x", Some('R')));
        assert_eq!(&*document.target, "service/{service}");
        let section = &document.sections[1];
        assert_eq!((&*section.heading, section.line), ("One", 11));
        assert_eq!(section.blocks[0].line, 15);
        assert_eq!(document.sha256.len(), 64);
    }

    #[test]
    fn without_front_matter_nothing_is_a_runbook() {
        let remedy =
            "begin with a line +++, then id = \"…\", title = \"…\", risk = \"…\", then a line +++";
        let first = format!("1: a runbook begins with its front matter = {remedy}");
        assert_eq!(wrong("# A page\n"), [first.as_str()]);
        assert_eq!(wrong(""), [first.as_str()]);
        assert_eq!(
            wrong("+++\nid = \"x\"\n"),
            ["1: the front matter has no end = end it with a line +++ of its own"]
        );
    }

    #[test]
    fn everything_that_is_missing_is_said_at_once() {
        assert_eq!(
            wrong("+++\n+++\n"),
            [
                "1: `id` is missing in the front matter = add id = \"rolling-restart\"",
                "1: `title` is missing in the front matter = add title = \"What it does\"",
                "1: `risk` is missing in the front matter = add risk = \"low\", \"users\", \"destructive\" or \"data\"",
            ]
        );
        body(
            "Only prose.\n",
            &[
                "1: this runbook does nothing: it has no step = add a block: ```toml step, with kind = \"…\"",
            ],
        );
    }

    #[test]
    fn the_front_matter_knows_its_keys_and_words() {
        front(
            "scop = \"service\"\n",
            &["5: unknown key `scop` in the front matter = did you mean `scope`?"],
        );
        front(
            "scope = \"servce\"\nkey = \"r\"\non_failure = \"revert\"\npatience = \"soon\"\n",
            &[
                "5: `scope` does not know \"servce\" = did you mean `service`?",
                "6: a runbook's key is one Shift letter = write a capital letter, as in key = \"R\"",
                "7: nobody can tell what happens when a step fails = write \"stop\", \"undo\" or \"undo if {parameter}\"",
                "8: `patience`: expected number at 0 = write a span such as 30s or 2m",
            ],
        );
        front(
            "key = \"L\"\n",
            &["5: `L` is a key of the console itself = write one of: BCFIJKMOQRWXY"],
        );
        front(
            "resume = 3\n",
            &["5: `resume` is a text in quotes, found a whole number = write a text in quotes"],
        );
    }

    #[test]
    fn broken_toml_is_said_on_its_own_line() {
        let found = wrong(&with("scope = service\n", STEP));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("5: this is not TOML: "), "{found:?}");
        let found = wrong(&with(
            "",
            "text\n\n```toml step\nkind = \"wait\"\ntime = 1s\n```\n",
        ));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("10: this is not TOML: "), "{found:?}");
    }

    #[test]
    fn parameters_are_typed() {
        front(
            "[[parameter]]\nname = \"n\"\ntype = \"int\"\n[[parameter]]\nname = \"m\"\ntype = \"integer\"\nmin = 3\nmax = 2\n",
            &[
                "7: there is no type \"int\" = write one of: service, replica, integer, choice, flag, duration, image, text",
                "11: nothing is from 3 to 2 = write a `min` that is not above `max`",
            ],
        );
        front(
            "[[parameter]]\nname = \"n\"\ntype = \"integer\"\nmin = 1\nmax = 5\ndefault = 9\n",
            &["10: `default`: 9 is above 5 = write 1 to 5"],
        );
        front(
            "[[parameter]]\nname = \"n\"\ntype = \"text\"\npattern = \"[a-z]+\"\n",
            &[
                "8: the pattern is not anchored: it would take any text around it = write \"^(?:[a-z]+)$\"",
            ],
        );
        front(
            "[[parameter]]\nname = \"n\"\ntype = \"flag\"\nchoices = [\"a\"]\n",
            &[
                "8: `choices` belongs to the type choice, and this is flag = take it out, or change the type",
            ],
        );
        front(
            "[[parameter]]\nname = \"n\"\ntype = \"flag\"\n[[parameter]]\nname = \"n\"\ntype = \"flag\"\n",
            &["9: the parameter `n` is there twice, first on line 5 = give this one another name"],
        );
    }

    #[test]
    fn a_name_in_a_template_has_to_be_there() {
        front(
            "confirm = \"{servic}\"\n[[parameter]]\nname = \"service\"\ntype = \"service\"\n",
            &["1: there is no parameter `servic` = did you mean `service`?"],
        );
        body(
            "```toml step\nkind = \"wait\"\ntime = \"{tme}\"\n```\n",
            &[
                "8: there is no parameter `tme` = write one of: gateway, stack, upstream.health, upstream.path, upstream.port, upstream.service",
            ],
        );
    }

    #[test]
    fn braces_that_name_nothing_are_text() {
        body(
            "```toml check\nkind = \"promql\"\ntitle = \"up\"\nquery = \"up{job=\\\"server\\\"}\"\nvalue = \"== 1\"\n```\n",
            &[],
        );
    }

    #[test]
    fn a_step_knows_its_kind_and_its_fields() {
        body(
            "```toml step\nkind = \"restrt\"\n```\n",
            &["7: `kind` does not know \"restrt\" = did you mean `restart`?"],
        );
        body(
            "```toml step\nkind = \"restart\"\ncontaner = \"a\"\ngrace = 10\n```\n",
            &[
                "6: `container` is missing in the step `restart` = add container = …",
                "8: unknown key `contaner` in the step `restart` = did you mean `container`?",
                "9: `grace`: invalid type: integer `10` = write a text in quotes",
            ],
        );
        body(
            "```toml step\ntitle = \"x\"\n```\n",
            &["6: `kind` is missing in a step = add kind = \"restart\", or another kind of step"],
        );
    }

    #[test]
    fn a_check_is_examined_like_a_step() {
        body(
            "```toml check\nkind = \"containers\"\ntitle = \"t\"\nservice = \"a\"\nhealthy = \"many\"\nreplica = 3\n```\n",
            &[
                "10: `healthy`: \"many\": \"many\" is no comparison = write one such as \"< 100 ms\", \">= 2\", \"== 301\", \"between 1 and 3\", \"contains max-age\" or \"matches ^nginx\"",
                "11: unknown key `replica` in the check `containers` = did you mean `replicas`?",
            ],
        );
    }

    #[test]
    fn blocks_have_known_words_and_ends() {
        body(
            &format!("{STEP}```toml stp\n```\n"),
            &["10: there is no block `stp` = did you mean `step`?"],
        );
        body(
            &format!("{STEP}```toml step\nkind = \"wait\"\n"),
            &["10: this block has no end = end it with a line of the same signs"],
        );
        body(
            &format!("{STEP}```toml\nid = 3\n```\n```sh\n# not a heading\n```\n"),
            &[],
        );
    }

    #[test]
    fn each_wants_something_to_repeat_once_under_a_heading() {
        let each = "```toml each\nreplica_of = \"server\"\n```\n";
        body(
            &format!("{STEP}{each}"),
            &[
                "10: nothing follows this each block under its heading = put the blocks that are repeated below it",
            ],
        );
        body(
            &format!("{each}{STEP}{each}{STEP}"),
            &[
                "13: there is an each block under this heading already = begin a heading of its own for the second",
            ],
        );
    }

    #[test]
    fn a_step_without_a_way_back_has_to_say_so_where_steps_are_undone() {
        let text = with(
            "on_failure = \"undo\"\n",
            "```toml step\nkind = \"retire\"\ncontainer = \"a\"\n```\n",
        );
        assert_eq!(
            wrong(&text),
            [
                "7: the step `retire` cannot be undone, and this runbook undoes itself when a step fails = say so on the step: undo = \"none\""
            ]
        );
        assert_eq!(
            wrong(&text.replace("container =", "undo = \"none\"\ncontainer =")),
            [""; 0]
        );
    }

    #[test]
    fn guards_have_their_own_ids_and_a_check() {
        let guard = "[[guard]]\nid = \"g\"\ntitle = \"t\"\ncheck = { kind = \"containers\", service = \"a\", healthy = \">= 1\" }\n";
        front(guard, &[]);
        front(
            &format!("{guard}{guard}"),
            &["10: the guard `g` is there twice = give this one another id"],
        );
        front(
            "[[guard]]\nid = \"g\"\ntitle = \"t\"\ncheck = { kind = \"traffic\", errors = \"< 5 %\" }\n",
            &["8: `service` is missing in the guard `g` = add service = …"],
        );
    }

    #[test]
    fn a_book_is_no_runbook() {
        let text = "x".repeat(DOCUMENT_BYTES_MAX + 1);
        assert_eq!(
            wrong(&text),
            [
                "0: 262145 bytes are more than a runbook has = write at most 262144; is this the right file?"
            ]
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,400}") {
            let _ = Document::read("x.md", &text);
        }

        #[test]
        fn any_front_matter_and_block_is_read_or_refused(
            front in "[a-z_ =\"\\[\\]{}.\\n0-9\u{a0}]{0,200}",
            block in "[a-z_ =\"\\[\\]{}.`\\n\\t0-9é]{0,200}",
        ) {
            let _ = Document::read("x.md", &format!("+++\n{front}\n+++\n \u{2003}```toml step\n{block}\n```\n"));
        }
    }
}
