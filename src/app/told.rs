//! The events of a run as people read them.

use super::story::Weight;
use crate::domain::Clean;
use crate::engine::{DoubtCause, EventKind, HoldCause, Interruption, Plan, Source, Verdict};

/// An event as people read it.
pub fn told(plan: &Plan, kind: &EventKind) -> (String, Weight) {
    use EventKind as E;
    use Weight::{Loud, Notable, Quiet};
    let title = kind.step().and_then(|step| plan.get(step)).map(|step| {
        if step.group.is_empty() {
            step.title.to_string()
        } else {
            format!("{}: {}", step.group, step.title)
        }
    });
    let title = title.unwrap_or_default();
    let (said, weight) = match kind {
        E::Begun { by, .. } => return (format!("{} began the run", by.0), Notable),
        E::Interrupted { cause, .. } => {
            let cause = match cause {
                Interruption::Process => "its driver was gone",
                Interruption::Host => "the host was started anew",
            };
            return (format!("taken up again: {cause}"), Notable);
        }
        E::Paused { cause } => return (held(cause), Loud),
        E::Resumed { by } => return (format!("{} resumed the run", by.0), Notable),
        E::AbortAsked { by } => return (format!("{} aborts the run", by.0), Notable),
        E::UndoAsked { by } => return (format!("{} has the run undone", by.0), Notable),
        E::UnwindBegun { by } => {
            let who = by.as_ref().map_or("the runbook", |by| by.0.as_str());
            return (format!("undoing what was started, says {who}"), Notable);
        }
        E::Unanswered => return ("nobody answered in time".to_owned(), Loud),
        E::Ended { verdict } => {
            let weight = match verdict {
                Verdict::Completed => Quiet,
                Verdict::Unwound | Verdict::Aborted => Notable,
                Verdict::Stopped | Verdict::Stuck => Loud,
            };
            return (format!("the run has ended: {}", verdict.word()), weight);
        }
        E::GateOpened { by, .. } => (format!("{} says go on", by.0), Notable),
        E::GateLapsed { .. } => ("the approval has lapsed".to_owned(), Notable),
        E::FactsChanged { changes, .. } => {
            let of =
                |value: &Option<Clean>| value.as_ref().map_or("nothing", Clean::as_str).to_owned();
            let list: Vec<String> = changes
                .iter()
                .map(|change| {
                    format!(
                        "{} was {}, is {}",
                        change.fact,
                        of(&change.was),
                        of(&change.is)
                    )
                })
                .collect();
            (format!("the world changed: {}", list.join("; ")), Loud)
        }
        E::Started { attempt, by, .. } => match (attempt, by) {
            (1, None) => ("started".to_owned(), Quiet),
            (n, None) => (format!("started again, attempt {n}"), Notable),
            (n, Some(by)) => (format!("attempt {n}, asked for by {}", by.0), Notable),
        },
        E::Succeeded { source, .. } => match source {
            Source::Outcome => ("done".to_owned(), Quiet),
            Source::Check => ("it had happened".to_owned(), Notable),
            Source::Person(by) => (format!("{} says it happened", by.0), Notable),
        },
        E::Failed { fault, .. } => (format!("failed: {fault}"), Loud),
        E::Doubted { cause, .. } => match cause {
            DoubtCause::Interrupted => ("in doubt: a crash hid its outcome".to_owned(), Notable),
            DoubtCause::Deadline(limit) => (format!("in doubt: no outcome within {limit:?}"), Loud),
        },
        E::Unclear { fault, .. } => (format!("not known whether it happened: {fault}"), Loud),
        E::Skipped { by, .. } => (format!("skipped by {}", by.0), Notable),
        E::UndoStarted { .. } => ("undo started".to_owned(), Quiet),
        E::Undone { .. } => ("undone".to_owned(), Quiet),
        E::UndoFailed { fault, .. } => (format!("not undone: {fault}"), Loud),
        E::Kept { .. } => ("has no undo, what it did stays".to_owned(), Notable),
    };
    (format!("{title}: {said}"), weight)
}

fn held(cause: &HoldCause) -> String {
    use HoldCause as H;
    match cause {
        H::Person(by) => format!("paused by {}", by.0),
        H::Guard { guard, fault } => format!("paused by the guard {}: {fault}", guard.0),
        H::HostRestarted => "paused: the host was started anew".to_owned(),
        H::FactsUnseen { fault } => format!("paused: cannot look at the facts: {fault}"),
    }
}
