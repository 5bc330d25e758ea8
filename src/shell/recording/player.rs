//! Plays a recording into a model: where it stands, how fast it goes, where it jumps to.
//!
//! No clock: whoever holds it says how much time has passed. Going back is playing again from the start, so that what is on
//! screen is exactly what following the stack up to that moment would have shown.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Tape;
use crate::app::{Effect, Event, Model, Playback, Played, Replay, SPEEDS, update};
use crate::domain::{Board, Clean, ContainerId, LogLine, Timestamp};
use crate::shell::changes::{Seen, changes};

/// Moments at which a recording is searched for changes: more of them would keep a person waiting, and a change is then found
/// to a few seconds.
const MOMENTS_MAX: u64 = 20_000;
/// Changes closer than this are one.
const MOMENT: Duration = Duration::from_secs(1);
/// At the start everything is seen for the first time; that is no change.
const SETTLED_AFTER: Duration = Duration::from_secs(10);

/// Something turned better or worse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::shell) struct Turn {
    pub(in crate::shell) at: Timestamp,
    /// As `quarterdeck watch` tells it.
    pub(in crate::shell) lines: Vec<String>,
}

#[derive(Debug)]
pub(in crate::shell) struct Player {
    tape: Tape,
    file: Clean,
    turns: Vec<Turn>,
    /// The first thing that has not been played yet.
    next: usize,
    /// Since the start of the recording.
    place: Duration,
    playing: bool,
    /// Of [`SPEEDS`].
    speed: usize,
}

impl Player {
    /// Stands at the start, and plays.
    pub(in crate::shell) fn new(tape: Tape, file: Clean) -> Self {
        Self {
            turns: turns(&tape),
            tape,
            file,
            next: 0,
            place: Duration::ZERO,
            playing: true,
            speed: 0,
        }
    }

    pub(in crate::shell) fn tape(&self) -> &Tape {
        &self.tape
    }

    pub(in crate::shell) fn turns(&self) -> &[Turn] {
        &self.turns
    }

    pub(in crate::shell) fn is_playing(&self) -> bool {
        self.playing
    }

    fn began(&self) -> Timestamp {
        self.tape.header.started_at
    }

    fn at(&self) -> Timestamp {
        self.began().plus(self.place)
    }

    fn length(&self) -> Duration {
        self.tape.ended.since(self.began())
    }

    /// The board before anything was seen.
    pub(in crate::shell) fn empty_board(&self) -> Board {
        empty_board(&self.tape)
    }

    /// What the model has to know of it.
    pub(in crate::shell) fn replay(&self, wall: Timestamp) -> Replay {
        Replay {
            file: self.file.clone(),
            began: self.began(),
            ended: self.tape.ended,
            changes: self.turns.iter().map(|turn| turn.at).collect(),
            remark: self.tape.ending.remark(),
            playing: self.playing,
            speed: SPEEDS[self.speed],
            wall,
        }
    }

    /// Lets so much time pass.
    pub(in crate::shell) fn beat(&mut self, model: &mut Model, passed: Duration, wall: Timestamp) {
        if self.playing {
            let to = self.place + passed.saturating_mul(SPEEDS[self.speed]);
            self.seek(model, to);
        }
        self.tell(model, wall);
    }

    /// Does what the operator wants; says what there is to say about it.
    pub(in crate::shell) fn take(
        &mut self,
        model: &mut Model,
        playback: Playback,
        wall: Timestamp,
    ) -> Option<&'static str> {
        let mut said = None;
        match playback {
            Playback::Toggle if self.place >= self.length() => {
                said = Some("the recording ends here; { goes back");
            }
            Playback::Toggle => self.playing = !self.playing,
            Playback::Faster => self.speed = (self.speed + 1).min(SPEEDS.len() - 1),
            Playback::Slower => self.speed = self.speed.saturating_sub(1),
            Playback::Step => {
                let next = self.tape.at(self.next);
                self.stand(model, next.unwrap_or(self.tape.ended));
            }
            Playback::NextChange => {
                let at = self.at();
                match self.turns.iter().find(|turn| turn.at > at) {
                    Some(turn) => self.stand(model, turn.at),
                    None => said = Some("nothing turns better or worse after this"),
                }
            }
            Playback::PreviousChange => {
                let at = self.at();
                let before = self.turns.iter().rev().find(|turn| turn.at < at);
                self.stand(model, before.map_or(self.began(), |turn| turn.at));
            }
        }
        self.tell(model, wall);
        said
    }

    /// Whose logs are looked at has changed: the model gets theirs, up to here.
    pub(in crate::shell) fn refill(&self, model: &mut Model) {
        /// As many as the model keeps; it forgets the oldest itself.
        const LINES_MAX: usize = 50_000;
        let followed: BTreeSet<&ContainerId> = model.followed.iter().collect();
        let all = self.tape.logged_before(self.next);
        let wanted = all.filter(|line| {
            let container = line.container.as_ref();
            container.is_none_or(|id| followed.contains(id))
        });
        let mut lines: Vec<LogLine> = wanted.cloned().collect();
        let old = lines.len().saturating_sub(LINES_MAX);
        lines.drain(..old);
        update(model, Event::Played(Played::Logs(lines)));
    }

    /// Goes there and stands still, to be looked at.
    fn stand(&mut self, model: &mut Model, to: Timestamp) {
        self.playing = false;
        self.seek(model, to.since(self.began()));
    }

    /// Brings the model to this place.
    fn seek(&mut self, model: &mut Model, to: Duration) {
        let to = to.min(self.length());
        let mut followed = false;
        let mut play = |model: &mut Model, event| {
            let effects = update(model, event);
            // A recording is not acted on: of all that the model may want, only its logs are to be had.
            followed |= effects.iter().any(|e| matches!(e, Effect::Follow(_)));
        };
        if to < self.place {
            let board = Box::new(empty_board(&self.tape));
            play(model, Event::Played(Played::Rewound(board)));
            self.next = 0;
        }
        let at = self.tape.header.started_at.plus(to);
        while self.tape.at(self.next).is_some_and(|next| next <= at) {
            if let Some(event) = self.tape.event(self.next) {
                play(model, event);
            }
            self.next += 1;
        }
        play(model, Event::Tick(at));
        self.place = to;
        if self.place >= self.length() {
            self.playing = false;
        }
        if followed {
            self.refill(model);
        }
    }

    fn tell(&self, model: &mut Model, wall: Timestamp) {
        let news = Played::At {
            at: self.at(),
            wall,
            playing: self.playing,
            speed: SPEEDS[self.speed],
        };
        update(model, Event::Played(news));
    }
}

fn empty_board(tape: &Tape) -> Board {
    let mut board = Board::new(tape.header.stack.clone());
    for (source, period) in &tape.header.sources {
        board.expect(source.clone(), *period, tape.header.started_at);
    }
    board
}

/// All moments at which something turned better or worse, after everything was seen for the first time.
fn turns(tape: &Tape) -> Vec<Turn> {
    let began = tape.header.started_at;
    let length = tape.ended.since(began);
    let count = u32::try_from(MOMENTS_MAX).unwrap_or(u32::MAX);
    let step = MOMENT.max(length / count);
    let (mut board, mut next, mut last) = (empty_board(tape), 0, Seen::default());
    let (mut turns, mut place) = (Vec::new(), Duration::ZERO);
    loop {
        let at = began.plus(place);
        while tape.at(next).is_some_and(|came_in| came_in <= at) {
            if let Some(sighting) = tape.sighting(next) {
                board.take(sighting);
            }
            next += 1;
        }
        let (told, seen) = changes(&last, &board, at);
        last = seen;
        if !told.is_empty() && place > SETTLED_AFTER {
            let lines = told.iter().map(crate::shell::changes::Change::plain);
            turns.push(Turn {
                at,
                lines: lines.collect(),
            });
        }
        if place >= length {
            return turns;
        }
        place = (place + step).min(length);
    }
}
