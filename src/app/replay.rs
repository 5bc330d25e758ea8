//! A recording that is played: where it stands, and what the operator asks of it.
//!
//! The recording itself is the shell's, who feeds the events of each recorded moment as if they came now. So the time of the
//! model is the recorded one; what a person does (a notice that goes away, Ctrl-C pressed twice) goes by the wall clock.

use crate::domain::{Board, Clean, LogLine, Timestamp};

use super::{Effect, Happenings, History, LogBook, Model};

/// Recorded seconds in one of ours.
pub const SPEEDS: [u32; 5] = [1, 2, 5, 10, 60];

/// The recording on screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replay {
    pub file: Clean,
    /// The first and the last moment of the recording.
    pub began: Timestamp,
    pub ended: Timestamp,
    /// Moments at which something turned better or worse, oldest first.
    pub changes: Vec<Timestamp>,
    /// How the recording ended, where that is worth a word: it was cut, or it was full.
    pub remark: Option<Clean>,
    pub playing: bool,
    pub speed: u32,
    /// The time of the person who looks.
    pub wall: Timestamp,
}

/// What the operator wants of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Playback {
    /// Play, or stand still.
    Toggle,
    /// To the next recorded moment.
    Step,
    Faster,
    Slower,
    /// To the next moment at which something turned better or worse.
    NextChange,
    PreviousChange,
}

/// What whoever plays the recording has to say.
#[derive(Debug, Clone)]
pub enum Played {
    /// Back to the start: all that was seen is forgotten.
    Rewound(Box<Board>),
    /// The log of what is followed now, up to the moment that is shown.
    Logs(Vec<LogLine>),
    At {
        at: Timestamp,
        wall: Timestamp,
        playing: bool,
        speed: u32,
    },
}

pub(super) fn played(model: &mut Model, news: Played) {
    let Some(replay) = &mut model.replay else {
        return;
    };
    match news {
        Played::Rewound(board) => {
            model.now = replay.began;
            model.board = *board;
            model.history = History::default();
            model.happenings = Happenings::default();
            model.logs = LogBook::default();
            model.log_view.bottom = None;
            model.frozen = None;
        }
        Played::Logs(lines) => {
            model.logs.clear();
            for line in lines {
                model.logs.push(line);
            }
        }
        Played::At {
            at,
            wall,
            playing,
            speed,
        } => {
            replay.wall = wall;
            replay.playing = playing;
            replay.speed = speed;
            model.now = model.now.max(at);
        }
    }
}

/// Outside a recording its keys mean nothing.
pub(super) fn intend(model: &Model, playback: Playback) -> Vec<Effect> {
    match model.replay {
        Some(_) => vec![Effect::Playback(playback)],
        None => Vec::new(),
    }
}

impl Model {
    /// The time of the person at the keys: in a replay another one than that of what is shown.
    pub(super) fn felt_now(&self) -> Timestamp {
        self.replay.as_ref().map_or(self.now, |replay| replay.wall)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::{Context, Event, Intent, Mode, Overlay, Screen, Session, update};
    use crate::domain::{Health, Stack};

    const BEGAN: Timestamp = Timestamp(1_000_000);

    fn model() -> Model {
        let session = Session {
            host: Clean::from("host"),
            user: Clean::from("user"),
            mode: Mode::Replay,
            pid: 1,
            version: "0",
            config: Clean::from("c"),
            remote: false,
            started: BEGAN,
        };
        let board = Board::new(Stack::discovered(Clean::from("demo")));
        let mut model = Model::new(board, session, BEGAN);
        model.replay = Some(Replay {
            file: Clean::from("night.qdr"),
            began: BEGAN,
            ended: Timestamp(2_000_000),
            changes: Vec::new(),
            remark: None,
            playing: true,
            speed: 1,
            wall: Timestamp(9_000_000),
        });
        model
    }

    fn at(model: &mut Model, at: u64, wall: u64) {
        let news = Played::At {
            at: Timestamp(at),
            wall: Timestamp(wall),
            playing: true,
            speed: 60,
        };
        update(model, Event::Played(news));
    }

    #[test]
    fn its_keys_are_passed_on_and_mean_nothing_elsewhere() {
        let mut model = model();
        assert_eq!(model.context(), Context::Replay(Screen::Overview));
        let step = Event::Intent(Intent::Playback(Playback::Step));
        assert!(update(&mut model, step.clone()).contains(&Effect::Playback(Playback::Step)));
        model.replay = None;
        assert_eq!(update(&mut model, step), []);
    }

    #[test]
    fn a_notice_and_ctrl_c_go_by_the_time_of_the_person() {
        let mut model = model();
        let noted = Event::Noted {
            health: Health::None,
            text: Clean::from("saved"),
        };
        update(&mut model, noted);
        at(&mut model, 1_900_000, 9_001_000);
        assert!(
            model.notice.is_some(),
            "fifteen recorded minutes are one second"
        );
        at(&mut model, 1_900_000, 9_007_000);
        assert_eq!(model.notice, None);
        update(&mut model, Event::Intent(Intent::Interrupt));
        at(&mut model, 1_900_000, 9_010_000);
        assert_eq!(update(&mut model, Event::Intent(Intent::Interrupt)), []);
        assert_eq!(model.overlay, Some(Overlay::Leave));
    }

    #[test]
    fn going_back_forgets_what_was_seen_and_keeps_the_place() {
        let mut model = model();
        update(&mut model, Event::Intent(Intent::Go(Screen::Journal)));
        let told = Event::Told {
            at: BEGAN,
            health: Health::Poor,
            about: Clean::from("x"),
            text: Clean::from("y"),
        };
        update(&mut model, told);
        at(&mut model, 1_500_000, 9_001_000);
        let board = Board::new(Stack::discovered(Clean::from("demo")));
        update(&mut model, Event::Played(Played::Rewound(Box::new(board))));
        assert_eq!((model.now, model.screen), (BEGAN, Screen::Journal));
        assert_eq!(model.happenings.newest().len(), 0);
    }

    #[test]
    fn nothing_is_looked_at_again() {
        let mut model = model();
        assert_eq!(update(&mut model, Event::Intent(Intent::Recheck)), []);
        assert!(model.notice.as_ref().unwrap().2.contains("recording"));
    }
}
