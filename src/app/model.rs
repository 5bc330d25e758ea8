//! The model: everything that a frame is drawn from.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::domain::{Board, Clean, ContainerId, Environment, Health, Timestamp};
use crate::engine::RunId;

use super::{
    Attest, Checklists, Field, FieldUse, Form, Happenings, History, LogBook, LogView, Offer, Page,
    Pending, Present, Question, Record, Replay, RowKey, Search, Sheet, Sure, Training, Window,
    story::Story,
};

/// The screens, in the order of their keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Screen {
    Overview,
    Containers,
    Traffic,
    Certificates,
    Backups,
    Checklist,
    Runs,
    Logs,
    Journal,
}

impl Screen {
    pub const ALL: [Self; 9] = [
        Self::Overview,
        Self::Containers,
        Self::Traffic,
        Self::Certificates,
        Self::Backups,
        Self::Checklist,
        Self::Runs,
        Self::Logs,
        Self::Journal,
    ];

    pub fn word(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Containers => "Containers",
            Self::Traffic => "Traffic",
            Self::Certificates => "Certificates",
            Self::Backups => "Backups",
            Self::Checklist => "Checklist",
            Self::Runs => "Runs",
            Self::Logs => "Logs",
            Self::Journal => "Journal",
        }
    }

    /// `1` to `9`.
    pub fn digit(self) -> char {
        match self {
            Self::Overview => '1',
            Self::Containers => '2',
            Self::Traffic => '3',
            Self::Certificates => '4',
            Self::Backups => '5',
            Self::Checklist => '6',
            Self::Runs => '7',
            Self::Logs => '8',
            Self::Journal => '9',
        }
    }
}

/// What may be changed from here. Looking is always allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    ReadOnly,
    Armed { until: Timestamp },
    Training,
    Replay,
}

/// Who looks, from where, at what, with which program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    pub host: Clean,
    pub user: Clean,
    pub mode: Mode,
    pub pid: u32,
    pub version: &'static str,
    /// The configuration file, or how the stack was found.
    pub config: Clean,
    /// Came over SSH.
    pub remote: bool,
    pub started: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    pub columns: u16,
    pub lines: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pane {
    #[default]
    List,
    Detail,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sort {
    /// Worst first, then by name.
    #[default]
    Worst,
    Name,
    /// What uses most: CPU, requests, days left the other way round.
    Use,
    /// Newest first.
    Age,
}

impl Sort {
    pub fn word(self) -> &'static str {
        match self {
            Self::Worst => "worst",
            Self::Name => "name",
            Self::Use => "use",
            Self::Age => "newest",
        }
    }

    #[must_use]
    pub fn next(self) -> Self {
        match self {
            Self::Worst => Self::Name,
            Self::Name => Self::Use,
            Self::Use => Self::Age,
            Self::Age => Self::Worst,
        }
    }
}

/// How moments are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Times {
    #[default]
    Utc,
    Ago,
}

/// What a screen's list remembers.
#[derive(Debug, Clone, Default)]
pub struct ListState {
    /// The row under the cursor; `None` is the first one.
    pub selected: Option<RowKey>,
    /// Where it stood when it was last seen: when the row is gone, the cursor stays at its place.
    pub at: usize,
    pub filter: Search,
    pub sort: Sort,
    pub marks: BTreeSet<RowKey>,
    pub scroll_detail: u16,
}

/// Something over the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Overlay {
    Help {
        scroll: u16,
        search: Clean,
    },
    Palette {
        selected: usize,
    },
    /// Leave the console?
    Leave,
    /// What was put into the clipboard, to be selected by hand where the terminal took nothing.
    Copied(Clean),
    OwnLog,
    /// Of a training: what to know, the hints so far, what happened.
    Page {
        page: Page,
        scroll: u16,
    },
    /// Of a training: what may be wrong.
    Causes {
        selected: usize,
    },
    Ask(Question),
    /// The runbooks that suit the selection.
    Menu {
        selected: usize,
    },
    /// What a runbook has to know.
    Form(Form),
    /// The shell is at work; nothing can be decided meanwhile.
    Pending(Pending),
    Plan(Sheet),
    /// Something that must be read, with its reasons.
    Told {
        title: Clean,
        lines: Vec<Clean>,
    },
    /// What a run asks, with its choices.
    Answers {
        run: RunId,
        selected: usize,
    },
    /// A decision about a run that waits for its `y`.
    Sure(Sure),
    /// A signature or a waiver that is being written.
    Attest(Attest),
    /// One item of a checklist, for a room.
    Present(Present),
}

/// The board as it was when the screen was frozen.
#[derive(Debug, Clone)]
pub struct Frozen {
    pub board: Board,
    pub at: Timestamp,
}

#[derive(Debug, Clone)]
pub struct Model {
    pub now: Timestamp,
    pub board: Board,
    pub session: Session,
    pub history: History,
    pub happenings: Happenings,
    pub logs: LogBook,
    pub log_view: LogView,
    /// Whose logs are asked for now.
    pub followed: Vec<ContainerId>,
    pub wanted: Vec<ContainerId>,
    pub screen: Screen,
    /// Where `Back` leads after a jump.
    pub came_from: Vec<Screen>,
    pub pane: Pane,
    pub zoomed: bool,
    pub wide: bool,
    pub times: Times,
    pub window: Window,
    pub lists: BTreeMap<Screen, ListState>,
    pub overlay: Option<Overlay>,
    pub field: Option<Field>,
    pub prefix: Option<char>,
    pub frozen: Option<Box<Frozen>>,
    /// One line in the footer, with the moment it goes away.
    pub notice: Option<(Timestamp, Health, Clean)>,
    pub interrupted: Option<Timestamp>,
    pub worst_seen: usize,
    pub size: Size,
    pub slow_link: bool,
    /// Only on the practice range.
    pub training: Option<Training>,
    /// Only while a recording is played.
    pub replay: Option<Replay>,
    pub theme: Clean,
    /// Names of the themes there are, for `:theme` and `T`.
    pub themes: Vec<Clean>,
    pub checklists: Checklists,
    pub offers: Vec<Offer>,
    /// Why the session is armed, while it is.
    pub armed_for: Clean,
    pub record: Record,
    pub story: Story,
}

/// How long a notice stays in the footer.
pub(super) const NOTICE: Duration = Duration::from_secs(6);

impl Model {
    pub fn new(board: Board, session: Session, now: Timestamp) -> Self {
        Self {
            now,
            board,
            session,
            history: History::default(),
            happenings: Happenings::default(),
            logs: LogBook::default(),
            log_view: LogView::default(),
            followed: Vec::new(),
            wanted: Vec::new(),
            screen: Screen::Overview,
            came_from: Vec::new(),
            pane: Pane::List,
            zoomed: false,
            wide: false,
            times: Times::Utc,
            window: Window::default(),
            lists: BTreeMap::new(),
            overlay: None,
            field: None,
            prefix: None,
            frozen: None,
            notice: None,
            interrupted: None,
            worst_seen: 0,
            size: Size {
                columns: 80,
                lines: 24,
            },
            slow_link: false,
            training: None,
            replay: None,
            theme: Clean::from("default"),
            themes: Vec::new(),
            checklists: Checklists::default(),
            offers: Vec::new(),
            armed_for: Clean::default(),
            record: Record::default(),
            story: Story::default(),
        }
    }

    /// Practice, whatever the mode: nothing that is done here reaches production.
    pub fn is_training(&self) -> bool {
        self.training.is_some()
            || self.session.mode == Mode::Training
            || self.shown().stack.environment == Environment::Training
    }

    pub fn is_armed(&self) -> bool {
        matches!(self.session.mode, Mode::Armed { until } if until > self.now)
    }

    /// What is drawn: the board as it is, or as it was when the screen was frozen.
    pub fn shown(&self) -> &Board {
        self.frozen
            .as_ref()
            .map_or(&self.board, |frozen| &frozen.board)
    }

    /// The moment that is drawn. A frozen screen does not age: it says that it is frozen instead.
    pub fn shown_at(&self) -> Timestamp {
        self.frozen.as_ref().map_or(self.now, |frozen| frozen.at)
    }

    pub fn list(&self) -> &ListState {
        const EMPTY: &ListState = &ListState {
            selected: None,
            at: 0,
            filter: Search::NONE,
            sort: Sort::Worst,
            marks: BTreeSet::new(),
            scroll_detail: 0,
        };
        self.lists.get(&self.screen).unwrap_or(EMPTY)
    }

    pub fn list_mut(&mut self) -> &mut ListState {
        self.lists.entry(self.screen).or_default()
    }

    /// What the keys mean now.
    pub fn context(&self) -> Context {
        match (&self.field, &self.overlay) {
            (Some(field), _) => Context::Field(field.purpose),
            (None, Some(Overlay::Help { .. })) => Context::Help,
            (None, Some(Overlay::Leave)) => Context::Leave,
            (
                None,
                Some(
                    Overlay::Copied(_)
                    | Overlay::OwnLog
                    | Overlay::Pending(_)
                    | Overlay::Told { .. },
                ),
            ) => Context::Popup,
            (None, Some(Overlay::Palette { .. })) => Context::Field(FieldUse::Palette),
            (None, Some(Overlay::Page { .. })) => Context::Page,
            (
                None,
                Some(Overlay::Causes { .. } | Overlay::Menu { .. } | Overlay::Answers { .. }),
            ) => Context::Choice,
            (None, Some(Overlay::Ask(_) | Overlay::Sure(_))) => Context::Question,
            (None, Some(Overlay::Form(_) | Overlay::Attest(_))) => Context::Field(FieldUse::Answer),
            (None, Some(Overlay::Present(_))) => Context::Present,
            (None, Some(Overlay::Plan(sheet))) => match sheet.word(self) {
                None => Context::PlanToAnswer,
                Some(_) => Context::PlanToRead,
            },
            (None, None) => self.place(),
        }
    }

    /// What the keys mean on this screen while nothing lies over it.
    pub fn place(&self) -> Context {
        match (&self.training, &self.replay) {
            (Some(_), _) => Context::Training(self.screen),
            (None, Some(_)) => Context::Replay(self.screen),
            (None, None) => Context::Screen(self.screen),
        }
    }
}

/// Where a key is pressed: decides what it means and what the footer and the help show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Context {
    Screen(Screen),
    /// The same in a training, which has keys of its own.
    Training(Screen),
    /// The same while a recording is played: nothing can be acted on.
    Replay(Screen),
    Field(FieldUse),
    Help,
    Leave,
    Popup,
    /// A page of a training.
    Page,
    /// A list to choose one of.
    Choice,
    /// A checklist that is presented.
    Present,
    /// Yes or no.
    Question,
    /// A plan that a `y` confirms.
    PlanToAnswer,
    /// A plan that nothing confirms now.
    PlanToRead,
}

/// Printable keys are text here, not commands.
pub fn is_text(context: Context) -> bool {
    matches!(context, Context::Field(_))
}
