//! The console on a recording. Nothing live is contacted: there is no engine, no journal, and nobody behind the scenes.

use std::process::ExitCode;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use color_eyre::eyre::Result;

use super::{Console, ConsoleOptions, Stage, TURNS_MAX, open};
use crate::app::{Mode, Model, Playback};
use crate::config::{Config, Env};
use crate::domain::{Clean, Health};
use crate::shell::clock::Clock;
use crate::shell::own_log;
use crate::shell::recording::Player;

/// While it plays, the screen is brought up to date this often: a bar that moves, and no more than a live stack would write.
pub(super) const BEAT: Duration = Duration::from_millis(200);

/// Runs the console on a recording until the operator leaves.
pub(in crate::shell) fn replay(
    config: &Config,
    env: &Env,
    options: &ConsoleOptions,
    player: Player,
) -> Result<ExitCode> {
    let clock = Clock::start();
    let (turns, inbox) = sync_channel(TURNS_MAX);
    let terminal = match open(config, env, options, clock, &turns)? {
        Ok(terminal) => terminal,
        Err(code) => return Ok(code),
    };
    let mut console = Console::new(config, env, terminal, clock, options, None);
    console.load(player);
    console.draw();
    own_log::start(config);
    Ok(console.run(&inbox, &Stage::silent()))
}

impl Console {
    fn load(&mut self, mut player: Player) {
        let wall = self.clock.now();
        let header = &player.tape().header;
        let mut session = self.model.session.clone();
        session.mode = Mode::Replay;
        session.host = header.host.clone();
        session.started = header.started_at;
        session.config = Clean::line(&format!(
            "the recording, by version {} on {}",
            header.version, header.host
        ));
        let shown = &self.model;
        let mut model = Model::new(player.empty_board(), session, header.started_at);
        model.screen = shown.screen;
        model.size = shown.size;
        model.slow_link = shown.slow_link;
        model.theme = shown.theme.clone();
        model.themes.clone_from(&shown.themes);
        model.replay = Some(player.replay(wall));
        self.model = model;
        player.beat(&mut self.model, Duration::ZERO, wall);
        let remark = player.tape().ending.remark();
        self.player = Some(player);
        if let Some(remark) = remark {
            self.note(Health::Poor, &remark);
        }
    }

    /// How often time is looked at when nothing else happens.
    pub(super) fn period(&self) -> Duration {
        match &self.player {
            Some(player) if player.is_playing() => BEAT,
            _ => super::TICK,
        }
    }

    /// Lets the recording go on; `false`: there is none.
    pub(super) fn play(&mut self) -> bool {
        let Some(player) = &mut self.player else {
            return false;
        };
        let passed = std::mem::replace(&mut self.played, Instant::now()).elapsed();
        player.beat(&mut self.model, passed, self.clock.now());
        self.due = self.due.max(Some(super::Urgency::Data));
        true
    }

    pub(super) fn playback(&mut self, playback: Playback) {
        // What has passed since the last beat has passed before the key.
        self.play();
        let Some(player) = &mut self.player else {
            return;
        };
        let said = player.take(&mut self.model, playback, self.clock.now());
        self.due = Some(super::Urgency::Key);
        if let Some(text) = said {
            self.note(Health::None, text);
        }
    }

    /// The logs of what is selected, out of the recording; `false`: there is none.
    pub(super) fn follow_recorded(&mut self) -> bool {
        let Some(player) = &self.player else {
            return false;
        };
        player.refill(&mut self.model);
        true
    }

    /// The time that a key is pressed at: in a replay the model's own goes on with the recording alone.
    pub(super) fn key_time(&mut self) {
        if self.player.is_none() {
            self.model.now = self.model.now.max(self.clock.now());
        } else if let Some(replay) = &mut self.model.replay {
            replay.wall = self.clock.now();
        }
    }
}
