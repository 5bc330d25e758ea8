//! What can happen to the program, what an operator can want, and what the shell must do.

use std::collections::BTreeMap;

use crate::checklist::{Checklist, ItemId, SignOff};
use crate::domain::{Clean, ContainerId, Health, Level, LogLine, Sighting, SourceId, Timestamp};
use crate::engine::{Decision, Holder, RunId, Target};
use crate::journal::{Code, Entry};
use crate::runbook::Planned;

use super::{
    Checklists, Drill, Offer, Playback, Played, Proving, Recording, Saying, Screen, Trained,
};

/// Everything that can happen to the program. Nothing else reaches [`super::update`].
#[derive(Debug, Clone)]
pub enum Event {
    Intent(Intent),
    /// A watch has looked.
    Sighted(Box<Sighting>),
    /// Lines of the logs that are followed, oldest first.
    Logged(Vec<LogLine>),
    /// Lines that were lost on the way because they came too fast.
    LogLost(u64),
    /// The engine said something that no reading shows: the event stream broke, somebody acted by hand.
    Told {
        at: Timestamp,
        health: Health,
        about: Clean,
        text: Clean,
    },
    /// Once a second while something on screen ages, else when a sighting comes.
    Tick(Timestamp),
    Resized {
        columns: u16,
        lines: u16,
    },
    /// Text was pasted into the terminal. It only ever reaches a text field.
    Pasted(Clean),
    /// An effect has ended and has something to say: one line for the footer.
    Noted {
        health: Health,
        text: Clean,
    },
    /// The configured checklists were read.
    Checklists(Box<Checklists>),
    /// What is being verified now; `None`: it has ended.
    Proving(Option<Proving>),
    /// The terminal takes long to take a frame: draw less often.
    SlowLink(bool),
    /// Whoever runs the scenario of a training has news.
    Trained(Trained),
    /// Whoever plays a recording has news.
    Played(Played),
    /// New entries of the journal, oldest first; at the start those that were there already.
    Journaled(Vec<Entry>),
    /// Who holds which target now, as the store says.
    Held(BTreeMap<Target, Holder>),
    /// Whether the journal can be written, and where it lies.
    Recording {
        place: Clean,
        state: Recording,
    },
    /// The runbooks there are.
    Offered(Vec<Offer>),
    /// That the session is armed is on record.
    Armed {
        at: Timestamp,
        reason: Clean,
    },
    /// The answer to [`Effect::Plan`]: the plan, or every reason why there is none.
    Planned {
        runbook: Clean,
        at: Timestamp,
        result: Result<Box<Planned>, Vec<Clean>>,
    },
    /// The answer to [`Effect::StartRun`] and [`Effect::Resume`].
    Started(Result<RunId, Clean>),
}

/// What the operator wants, free of keys and widgets. None of these changes production by itself: what does is asked
/// first, by a plan or by a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Intent {
    Go(Screen),
    NextPane,
    PreviousPane,
    Down(u16),
    Up(u16),
    HalfDown,
    HalfUp,
    PageDown,
    PageUp,
    Top,
    Bottom,
    Left,
    Right,
    /// Open the selection: details, or the screen that it belongs to.
    Open,
    /// One step back: close, clear, leave the pane.
    Back,
    /// Like `Back`; at the root asks whether to leave.
    Leave,
    /// Leave now, without a question.
    Quit,
    /// Ctrl-C: leaves a question open; twice within two seconds leaves.
    Interrupt,
    Help,
    Palette,
    Filter,
    NextMatch,
    PreviousMatch,
    /// The worst item; again: the next worst.
    Worst,
    Mark,
    UnmarkAll,
    Sort,
    Wide,
    Wrap,
    Zoom,
    Times,
    Follow,
    /// Smallest level of log lines that is shown.
    Level(Level),
    NextSource,
    WindowShorter,
    WindowLonger,
    /// Logs of the selected row.
    Logs,
    Copy,
    Save,
    Freeze,
    /// Look at everything again, now. Reads only.
    Recheck,
    Redraw,
    Suspend,
    /// The console's own log.
    OwnLog,
    Theme(Clean),
    NextTheme,
    /// Keys in a text field.
    Type(char),
    Erase,
    EraseWord,
    EraseAll,
    CursorLeft,
    CursorRight,
    CursorStart,
    CursorEnd,
    Submit,
    /// The first of two keys was pressed (`g`).
    Prefix(char),
    /// In a training: the next hint.
    Hint,
    /// In a training: name the cause.
    Diagnose,
    GiveUp,
    /// In a training: the same scenario from its start.
    RestartScenario,
    /// Of a recording that is played.
    Playback(Playback),
    /// The answer to a question.
    Yes,
    /// Leave the reading mode, after a reason was given.
    Arm,
    Disarm,
    /// Make the checks of a whole checklist, and put what they saw on record. Reads only.
    ProveAll,
    /// Sign the selected item, or waive it: a reason and a typed word follow.
    Attest(Saying),
    /// Only items that do not hold, and back.
    OnlyOpen,
    /// Present the checklist to a room.
    Present,
    /// The runbooks that suit the selection.
    Act,
    /// The plan of a runbook for the selection.
    Plan(Clean),
    /// Stop the run that is on, safely.
    Abort,
    /// Hold the run before its next step, or let it go on.
    Pause,
    /// Undo what the run did.
    Undo,
    /// Leave the view of a run; the run goes on.
    Detach,
}

/// What the shell must do after an update, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Follow the logs of exactly these containers from now on.
    Follow(Vec<ContainerId>),
    /// These rows are on screen or matter: their usage is wanted.
    WantUsage(Vec<ContainerId>),
    Recheck(Option<SourceId>),
    /// Into the clipboard of the operator's terminal (OSC 52).
    Copy(Clean),
    /// Write the screen as it is to a file, as text and as SVG.
    Save,
    Redraw,
    Suspend,
    Theme(Clean),
    /// The trainee did something that counts.
    Drill(Drill),
    /// The operator wants the recording played otherwise.
    Playback(Playback),
    /// Put on record that this session is armed; only then it is.
    Arm {
        reason: Clean,
    },
    Disarm,
    /// Plan a runbook against the live facts. Changes nothing.
    Plan {
        runbook: Clean,
        answers: BTreeMap<Clean, Clean>,
    },
    /// A person has confirmed this plan: put it on record and start a driver for it.
    StartRun {
        planned: Box<Planned>,
        reason: Clean,
    },
    /// Put a person's decision on record; the driver reads it there.
    Decide {
        code: Code,
        decision: Decision,
    },
    /// Make the checks of these items, and put what they saw on record.
    Prove {
        list: Box<Checklist>,
        items: Vec<ItemId>,
    },
    /// Put a signature or a waiver on record.
    SignOff(Box<SignOff>),
    /// Start a driver again for a run whose driver is gone.
    Resume(RunId),
    Quit,
}
