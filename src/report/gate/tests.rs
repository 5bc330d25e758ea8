//! What is told of a page, in all forms, with texts that would rather be markup.

use serde_json::{Value, json};

use super::*;
use crate::checklist::{Act, Checklist, Proof, Signer, sign_off};
use crate::domain::{Outcome, Verdict};

const NOW: Timestamp = Timestamp(1_795_176_221_000);
const HOSTILE: &str = "<script>alert(1)</script> & \"quoted\" | `x`";

const PAGE: &str = "# Launch <b>now</b>\n## Phase 1: Speed & more\n### Success criteria\n- [ ] TTFB <script>x</script> <!-- item:ttfb -->\n  ```toml check\n  kind = \"http\"\n  url = \"/\"\n  ttfb = \"< 100 ms\"\n  helps = \"rolling-restart\"\n  ```\n- [ ] a person looks <!-- item:look -->\n- [ ] not measured yet <!-- item:later -->\n  ```toml check\n  kind = \"promql\"\n  query = \"up\"\n  value = \"== 1\"\n  ```\n";

fn page(verdict: Verdict, signed: bool) -> Listed {
    let list = Checklist::read("go.md", PAGE.as_bytes());
    let mut page = Listed {
        list,
        marks: crate::checklist::Marks::default(),
    };
    let list = page.list.clone();
    let (_, item) = list.find_id("ttfb").unwrap();
    for n in 0..4_u32 {
        let outcome = Outcome {
            verdict,
            said: Clean::line(HOSTILE),
            evidence: json!({
                "sent": { "url": HOSTILE },
                "got": { "status": 200 },
                "measured": [{ "what": "ttfb", "measured": "12 ms", "value": 12.0 + f64::from(n), "unit": "milliseconds", "expected": "< 100 ms", "holds": true }],
            }),
            at: NOW,
            took_ms: 12,
        };
        let proof = Proof::of(&list, item, &item.demand.asked[0], "GET /".into(), outcome);
        let body = serde_json::to_value(proof).unwrap();
        let at = Timestamp(NOW.0 - 5000 + u64::from(n));
        page.marks.prove(&list, &body, &"ann".into(), at);
    }
    if signed {
        for (id, act) in [
            ("look", Act::Signed),
            (
                "later",
                Act::Waived {
                    until: "2999-01-01".into(),
                },
            ),
        ] {
            let (_, item) = list.find_id(id).unwrap();
            let body = serde_json::to_value(sign_off(&list, item, act, HOSTILE)).unwrap();
            let by = Signer {
                name: Clean::line(HOSTILE),
                uid: 7,
            };
            page.marks.sign(&list, &body, &by, NOW);
        }
    }
    page
}

fn seal() -> Seal {
    Seal {
        now: NOW,
        head: Some((41, Clean::from("ab12"))),
        version: "1".into(),
        stack: "shop".into(),
    }
}

#[test]
fn the_document_for_scripts_says_who_decided_what_by_which_proof() {
    let open: Value =
        serde_json::from_str(&gate_json(&page(Verdict::Pass, false), &seal())).unwrap();
    assert_eq!(
        (&open["call"], &open["exit_code"]),
        (&json!("no_go"), &json!(1))
    );
    let go: Value = serde_json::from_str(&gate_json(&page(Verdict::Pass, true), &seal())).unwrap();
    assert_eq!((&go["call"], &go["exit_code"]), (&json!("go"), &json!(0)));
    assert_eq!(go["schema"], "quarterdeck.checklist/1");
    let items = &go["phases"][0]["items"];
    assert_eq!(items[0]["state"], "proven");
    assert_eq!(items[0]["checks"][0]["evidence"]["sent"]["url"], HOSTILE);
    assert_eq!(items[1]["signers"][0]["uid"], 7);
    assert_eq!(go["journal"]["seq"], 41);
}

/// Every tag that is opened is closed, and nothing of others is one.
#[track_caller]
fn well_formed(text: &str, void: &[&str]) {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        let tag = &rest[at + 1..];
        let end = tag.find('>').expect("a tag ends");
        let inner = &tag[..end];
        rest = &tag[end + 1..];
        let name = inner
            .trim_start_matches('/')
            .split([' ', '/'])
            .next()
            .unwrap();
        if inner.starts_with(['!', '?']) || inner.ends_with('/') || void.contains(&name) {
            continue;
        }
        if inner.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "at {inner}");
        } else {
            assert!(name.chars().all(|c| c.is_ascii_alphanumeric()), "{name}");
            open.push(name);
        }
    }
    assert_eq!(open, [""; 0]);
}

#[test]
fn the_page_is_whole_and_nothing_of_others_is_markup() {
    for verdict in [Verdict::Pass, Verdict::Fail, Verdict::CouldNotRun] {
        let html = gate_html(&page(verdict, true), &seal());
        well_formed(&html, &["meta"]);
        assert!(!html.contains("<script"), "no script runs");
        assert!(html.contains("41:ab12") && html.contains("&lt;script&gt;alert(1)"));
        assert!(html.contains("<polyline") && html.contains("class=\"limit\""));
        for outside in ["http://", "https://", "@import", "url("] {
            assert!(!html.contains(outside), "{outside}");
        }
    }
    let html = gate_html(&page(Verdict::Fail, false), &seal());
    assert!(html.contains("NO-GO") && html.contains("rolling-restart"));
    assert!(html.contains("waits for a signature"));
}

#[test]
fn a_pipeline_sees_failures_errors_and_what_is_skipped() {
    let xml = gate_junit(&page(Verdict::Fail, false), &seal());
    well_formed(&xml, &[]);
    assert!(
        xml.contains("tests=\"3\" failures=\"2\" errors=\"1\" skipped=\"0\""),
        "{xml}"
    );
    let xml = gate_junit(&page(Verdict::Pass, true), &seal());
    assert!(
        xml.contains("tests=\"3\" failures=\"0\" errors=\"0\" skipped=\"1\""),
        "{xml}"
    );
}

#[test]
fn text_and_markdown_say_the_same() {
    let page = page(Verdict::Pass, true);
    for text in [gate_text(&page, &seal()), gate_markdown(&page, &seal())] {
        assert!(text.contains("GO: 3 of 3 hold"), "{text}");
        assert!(text.contains("41:ab12"), "{text}");
    }
    let markdown = gate_markdown(&page, &seal());
    assert!(markdown.contains("\\<script\\>"), "{markdown}");
    assert!(!markdown.contains(" | `x`"), "{markdown}");
}
