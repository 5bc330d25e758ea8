//! A recording that is played: the bar that says that nothing here is live, and the one that says where it stands.

use unicode_width::UnicodeWidthStr;

use crate::app::{Model, Replay};
use crate::domain::{Age, Timestamp};

/// The track of the bar is no shorter than this, or is left out.
const TRACK_MIN: usize = 10;
/// A longer one tells no more.
const TRACK_MAX: usize = 60;

/// For the stripe above the screen.
pub(super) fn banner(model: &Model, replay: &Replay, width: u16) -> String {
    let moment = model.shown_at();
    let at = format!("{} {}", day(moment), moment.clock());
    let remark = replay.remark.as_ref().map(|text| format!(" ({text})"));
    let forms = [
        format!(
            " REPLAY: nothing here is live, this was recorded {at}{} ",
            remark.unwrap_or_default()
        ),
        format!(" REPLAY: nothing here is live, this was recorded {at} "),
        format!(" REPLAY of {at} "),
    ];
    first_fitting(forms, width)
}

/// For the stripe below it: whether it plays, where it stands, how long it is, where something changed.
pub(super) fn bar(model: &Model, replay: &Replay, width: u16) -> String {
    let at = model.now;
    let state = match (replay.playing, at >= replay.ended) {
        (_, true) => "at the end",
        (true, false) => "playing",
        (false, false) => "standing",
    };
    let span = |to: Timestamp| Age(to.since(replay.began)).to_string();
    let place = format!("{} of {}", span(at), span(replay.ended));
    let start = format!(" {state} x{} │ {} │ {place} ", replay.speed, at.clock());
    let changes = match replay.changes.len() {
        1 => "1 change".to_owned(),
        n => format!("{n} changes"),
    };
    // Brackets and blanks, and one column to spare.
    let fixed = start.width() + changes.width() + 5;
    let room = usize::from(width).saturating_sub(fixed).min(TRACK_MAX);
    if room < TRACK_MIN {
        return first_fitting([start, format!(" {place} ")], width);
    }
    format!("{start}[{}] {changes} ", track(at, replay, room))
}

/// `===!==>---!--`: what was, where it stands, what comes; `!` where something turned better or worse.
fn track(at: Timestamp, replay: &Replay, width: usize) -> String {
    let here = cell(at, replay, width);
    let mut cells: Vec<char> = (0..width)
        .map(|n| if n < here { '=' } else { '-' })
        .collect();
    for change in &replay.changes {
        cells[cell(*change, replay, width)] = '!';
    }
    cells[here] = '>';
    cells.into_iter().collect()
}

fn cell(at: Timestamp, replay: &Replay, width: usize) -> usize {
    let whole = replay.ended.since(replay.began).as_millis().max(1);
    let part = at.since(replay.began).as_millis().min(whole);
    let last = width.saturating_sub(1);
    usize::try_from(part * last as u128 / whole).unwrap_or(last)
}

fn day(moment: Timestamp) -> String {
    moment.rfc3339().chars().take("2026-11-20".len()).collect()
}

fn first_fitting(forms: impl IntoIterator<Item = String>, width: u16) -> String {
    forms
        .into_iter()
        .find(|form| form.width() < usize::from(width))
        .unwrap_or_else(|| " REPLAY ".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Clean;

    fn replay() -> Replay {
        Replay {
            file: Clean::from("night.qdr"),
            began: Timestamp(0),
            ended: Timestamp(10_000),
            changes: vec![Timestamp(2_000), Timestamp(10_000)],
            remark: None,
            playing: true,
            speed: 1,
            wall: Timestamp(0),
        }
    }

    #[test]
    fn the_track_shows_what_was_what_comes_and_where_something_changed() {
        assert_eq!(track(Timestamp(0), &replay(), 11), ">-!-------!");
        assert_eq!(track(Timestamp(5_000), &replay(), 11), "==!==>----!");
        assert_eq!(track(Timestamp(10_000), &replay(), 11), "==!=======>");
    }

    #[test]
    fn a_recording_of_a_moment_has_a_track_too() {
        let mut replay = replay();
        replay.ended = replay.began;
        replay.changes.clear();
        assert_eq!(track(Timestamp(0), &replay, 3), ">--");
    }
}
