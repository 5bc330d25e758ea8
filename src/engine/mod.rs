//! Runs a plan one step at a time: the seven laws, as a state machine without clock, IO or async.
//!
//! The engine knows ids and promises; what a step *does* is `step`'s business. A driver feeds it an [`Input`] and
//! carries out the [`Output`]s **in order, stopping at the first that fails**:
//!
//! * [`Run::handle`] decides events; `Record` always comes right before the `Perform` it permits;
//! * [`Run::replay`] makes the same run again from the recorded events; [`InputKind::Recover`] is its first input;
//! * [`Run::wakes_at`] says when the next `Tick` matters;
//! * [`Tenure`] says which driver may speak for which target, and with which [`Token`].
//!
//! | law | where it is kept |
//! |---|---|
//! | 1 no record, no act | `run.rs`: `effect_of` is called on recorded events and nothing else makes a `Perform` |
//! | 2 recovery is replay | `state.rs`: `State::apply` is the only writer; `Interrupted` leads to a safe repeat or to doubt |
//! | 3 undo touches all | `state.rs`: `current` while unwinding walks back over every step with an attempt |
//! | 4 nothing undoes itself | `state.rs`: `UnwindBegun` needs a person's word, or a failure under `on_failure = "undo"` |
//! | 5 one run per target | `lease.rs` |
//! | 6 the confirmed plan runs | `run.rs`: a first start answers a look at the facts that is as young as the last event |
//! | 7 deadlines, pause, abort | every [`Wait`] has an end: `Run::wakes_at`; an abort hastens the act under way |
//!
//! `tests/it/simulation.rs` shows all seven by seeded simulation.

mod event;
mod input;
mod lease;
mod plan;
mod record;
mod run;
mod state;

pub use event::{
    DoubtCause, EventKind, HoldCause, Interruption, RunEvent, Source, Verdict, Version,
};
pub use input::{Choice, Finding, Input, InputKind, Loss, Output, Reason, Refusal};
pub use lease::{DriverId, HEARTBEAT, Held, Holder, LEASE_TTL, LeaseLost, RunId, Tenure, Token};
pub use plan::{
    Fact, FactChange, Facts, Gate, GuardId, OnFailure, Person, Plan, PlanFault, PlanId, Repeat,
    Resume, STEPS_MAX, StepId, StepPlan, Target, Undo,
};
pub use record::{
    Decision, Evidence, EvidenceKind, Finished, Recorded, Requested, Serving, TakenUp,
};
pub use run::{LOOK_LIMIT, ReplayError, Run};
pub use state::{
    APPROVAL_LIFE, Act, Deed, IllegalEvent, Look, Phase, Question, REPEATS_MAX, State, StepRecord,
    StepState, Wait,
};
