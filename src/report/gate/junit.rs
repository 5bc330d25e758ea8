//! The decision as a test report that pipelines show: an item is a test, a phase is a suite.

use std::fmt::Write;

use super::html::escaped;
use super::{Seal, Told};
use crate::app::Listed;
use crate::checklist::{Call, Judged, State};

/// The decision as `JUnit` XML. What is not known is an error, what is waived or decides nothing is skipped.
pub fn gate_junit(page: &Listed, seal: &Seal) -> String {
    let told = Told::of(page, seal);
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let all = told.phases.iter().flat_map(|(.., judged)| judged);
    let _ = writeln!(
        out,
        "<testsuites name=\"{}\" {}>",
        escaped(page.title()),
        counts(all)
    );
    for (phase, _, judged) in &told.phases {
        let path = escaped(&told.path(phase));
        let _ = writeln!(
            out,
            "  <testsuite name=\"{path}\" {} timestamp=\"{}\">",
            counts(judged.iter()),
            &seal.now.rfc3339()[..19],
        );
        for one in judged {
            case(&mut out, &path, one);
        }
        out.push_str("  </testsuite>\n");
    }
    let _ = writeln!(out, "</testsuites>");
    out
}

/// What a pipeline makes of an item.
enum Shown {
    Pass,
    Failure,
    Error,
    Skipped,
}

fn shown(one: &Judged<'_>) -> Shown {
    match one.state.call() {
        _ if !one.gates() || one.state == State::Waived => Shown::Skipped,
        Call::Go => Shown::Pass,
        Call::NoGo => Shown::Failure,
        Call::CouldNotTell => Shown::Error,
    }
}

fn counts<'a>(all: impl Iterator<Item = &'a Judged<'a>>) -> String {
    let (mut tests, mut failures, mut errors, mut skipped) = (0, 0, 0, 0);
    for one in all {
        tests += 1;
        match shown(one) {
            Shown::Pass => {}
            Shown::Failure => failures += 1,
            Shown::Error => errors += 1,
            Shown::Skipped => skipped += 1,
        }
    }
    format!("tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"{skipped}\"")
}

fn case(out: &mut String, path: &str, one: &Judged<'_>) {
    let known = one.parts.iter().filter_map(|part| part.known);
    let took: u64 = known.map(|known| known.proof.outcome.took_ms).sum();
    let _ = write!(
        out,
        "    <testcase classname=\"{path}\" name=\"{} {}\" time=\"{}.{:03}\"",
        escaped(&one.item.id.0),
        escaped(&one.item.title),
        took / 1000,
        took % 1000,
    );
    let tag = match shown(one) {
        Shown::Pass => {
            out.push_str("/>\n");
            return;
        }
        Shown::Failure => "failure",
        Shown::Error => "error",
        Shown::Skipped => "skipped",
    };
    let _ = writeln!(
        out,
        ">\n      <{tag} message=\"{}: {}\"/>\n    </testcase>",
        one.state.word(),
        escaped(&one.why),
    );
}
