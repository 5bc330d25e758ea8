//! A person's entry in the journal, as the engine's input; or why it counts for nothing.

use serde::Deserialize;

use crate::app::story::person;
use crate::domain::Clean;
use crate::engine::{Choice, Decision, Gate, InputKind, Question, Run, StepId, Wait};
use crate::journal::{Actor, Code, Entry};

/// What the entry asks of the run. `requester`: who asked for the run, so that nobody approves their own.
pub fn input_of(entry: &Entry, run: &Run, requester: &Actor) -> Result<InputKind, Clean> {
    let decision = Decision::deserialize(&entry.body)
        .map_err(|error| Clean::line(&format!("the decision cannot be read: {error}")))?;
    let by = person(&entry.actor);
    match entry.code {
        Code::DecisionConfirm => open(&decision, run, Gate::Confirm, entry),
        Code::DecisionApprove => {
            distinct(requester, &entry.actor)?;
            open(&decision, run, Gate::Approve, entry)
        }
        Code::DecisionPause => Ok(InputKind::Pause { by }),
        Code::DecisionResume => Ok(InputKind::Resume { by }),
        Code::DecisionRetry => choose(&decision, run, Choice::Retry, entry),
        Code::DecisionSkip => choose(&decision, run, Choice::Skip, entry),
        Code::DecisionHappened => choose(&decision, run, Choice::Happened, entry),
        Code::DecisionDidNotHappen => choose(&decision, run, Choice::DidNotHappen, entry),
        Code::DecisionUndo => Ok(InputKind::Undo { by }),
        Code::DecisionAbort => Ok(InputKind::Abort { by }),
        code => Err(Clean::from(format!("{} decides nothing", code.word()))),
    }
}

/// Two people: neither the same user nor, where the kernel says it, the same login behind another user.
fn distinct(requester: &Actor, other: &Actor) -> Result<(), Clean> {
    let same_login = requester.login_uid.is_some() && requester.login_uid == other.login_uid;
    if requester.uid == other.uid || same_login || requester.user == other.user {
        return Err(Clean::from(format!(
            "{} asked for the run; another person has to approve it",
            requester.user
        )));
    }
    Ok(())
}

fn open(decision: &Decision, run: &Run, word: Gate, entry: &Entry) -> Result<InputKind, Clean> {
    let Some(plan) = decision.plan.clone() else {
        return Err(Clean::from("it does not name the plan that was seen"));
    };
    let Wait::Person(Question::Open { step, gate }) = run.wait() else {
        return Err(Clean::from("the run does not wait for a yes now"));
    };
    if gate == Gate::Approve && word == Gate::Confirm {
        return Err(Clean::from(
            "this step wants the approval of a second person: `quarterdeck approve RUN`",
        ));
    }
    Ok(InputKind::Open {
        step: decision.step.unwrap_or(step),
        plan,
        by: person(&entry.actor),
    })
}

fn choose(
    decision: &Decision,
    run: &Run,
    choice: Choice,
    entry: &Entry,
) -> Result<InputKind, Clean> {
    let step = decision.step.or_else(|| asked_about(run));
    let Some(step) = step else {
        return Err(Clean::from("no step has failed or is in doubt now"));
    };
    let by = person(&entry.actor);
    Ok(InputKind::Choose { step, choice, by })
}

/// The step that a person is asked about.
fn asked_about(run: &Run) -> Option<StepId> {
    match run.wait() {
        Wait::Person(Question::Failed { step } | Question::Doubt { step }) => Some(step),
        Wait::Check(act) => Some(act.step),
        Wait::Person(Question::Open { .. } | Question::Resume)
        | Wait::Begin
        | Wait::Act(_)
        | Wait::Look(_)
        | Wait::Recovery
        | Wait::Nothing(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Claims;

    fn actor(uid: u32, login_uid: Option<u32>, user: &str) -> Actor {
        Actor {
            uid,
            login_uid,
            user: Clean::from(user),
            claims: Claims::default(),
        }
    }

    #[test]
    fn two_people_are_two_users_and_two_logins() {
        let ann = actor(1000, Some(1000), "ann");
        let cases = [
            (actor(1001, Some(1001), "bob"), true),
            (actor(1001, None, "bob"), true),
            (ann.clone(), false),
            // Ann, after `su`.
            (actor(1001, Some(1000), "bob"), false),
            (actor(0, Some(1000), "root"), false),
            (actor(1000, Some(1001), "ann"), false),
        ];
        for (other, fine) in cases {
            assert_eq!(distinct(&ann, &other).is_ok(), fine, "{other:?}");
        }
        // Where the kernel knows no logins, the users decide.
        let unknown = actor(1000, None, "ann");
        assert!(distinct(&unknown, &actor(1001, None, "bob")).is_ok());
    }
}
