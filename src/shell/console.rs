//! The console: one loop that takes turns, updates the model, draws, and carries out effects.
//!
//! It waits for nothing but the next turn. What is slow is backstage; the terminal has its own threads.

mod replay;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use color_eyre::eyre::{Result, WrapErr};
use crossterm::event::{KeyEvent, KeyEventKind};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::app::{
    Drill, Effect, Event, Mode, Model, Overlay, Page, Screen, Session, Trained, update,
};
use crate::config::{Config, EngineAddress, Env};
use crate::domain::{Board, Clean, Environment, Health, SourceId, SourceKind, Stack};
use crate::journal;
use crate::keys;
use crate::link::docker::Engine;
use crate::view::{self, Look};

pub(super) use replay::replay;

use super::accident::Accident;
use super::backstage::{Backstage, Order, Subject};
use super::clerk::{Clerk, Desk, Errand};
use super::clock::Clock;
use super::driver::Requester;
use super::identity::Identity;
use super::recording::Player;
use super::terminal::{SLOW_WRITE, STALLED_MAX, Terminal, TerminalEvent};
use super::training::Trainer;
use super::{checklists, look, own_log, save};

/// Turns that wait. Beyond it the watches wait: they are slower than a loop that does nothing else.
const TURNS_MAX: usize = 1024;
/// Turns taken in before the screen is drawn again: a flood of lines cannot starve the eye.
const TURNS_AT_ONCE: usize = 256;
/// A key is answered within a frame of 60 a second. The terminal's thread has held it for ten of these sixteen
/// milliseconds already, to tell typing from a paste.
const GAP_KEY: Duration = Duration::from_millis(2);
/// Readings come in groups; together they are one frame.
const GAP_DATA: Duration = Duration::from_millis(100);
/// Nobody reads faster than five screens a second.
const GAP_LOG: Duration = Duration::from_millis(200);
/// At first everything is news, and waited for.
const EAGER: Duration = Duration::from_secs(1);
const GAP_EAGER: Duration = Duration::from_millis(8);
const TICK: Duration = Duration::from_secs(1);
/// The wall clock moved against ours by more than this: somebody set it.
const CLOCK_STEP: i64 = 2000;
/// Too many drawn-out writes and the rates are halved.
const SLOW_FACTOR: u32 = 2;
/// As `EX_UNAVAILABLE`'s neighbour of shells: the terminal hung up.
const EXIT_HUNG_UP: u8 = 129;

/// What the loop takes in, one at a time.
#[derive(Debug)]
pub(super) enum Turn {
    Terminal(TerminalEvent),
    App(Event),
    /// A stack was found where none was configured.
    Found(Box<Stack>),
    /// These sources are watched from now on.
    Watching(Vec<(SourceId, Duration)>),
}

/// How the console is started, beside its configuration.
#[derive(Debug, Clone, Default)]
pub(super) struct ConsoleOptions {
    pub project: Option<String>,
    pub screen: Option<Screen>,
    /// Draw half as often, whatever the link does.
    pub slow_link: bool,
    pub colorless: bool,
}

/// Runs the console until the operator leaves. The exit code is 0, or what a signal asks for.
pub(super) fn run(
    config: &Config,
    env: &Env,
    engine: Engine,
    options: &ConsoleOptions,
) -> Result<ExitCode> {
    run_with(config, env, engine, options, None).map(|(code, _)| code)
}

/// Runs the console in a training; hands the trainer back, who knows how it ended.
pub(super) fn train(
    config: &Config,
    env: &Env,
    engine: Engine,
    options: &ConsoleOptions,
    trainer: Trainer,
) -> Result<(ExitCode, Trainer)> {
    let (code, trainer) = run_with(config, env, engine, options, Some(trainer))?;
    Ok((code, trainer.expect("it came back with the console")))
}

fn run_with(
    config: &Config,
    env: &Env,
    engine: Engine,
    options: &ConsoleOptions,
    trainer: Option<Trainer>,
) -> Result<(ExitCode, Option<Trainer>)> {
    let clock = Clock::start();
    let (turns, inbox) = sync_channel(TURNS_MAX);
    let terminal = match open(config, env, options, clock, &turns)? {
        Ok(terminal) => terminal,
        Err(code) => return Ok((code, trainer)),
    };
    let mut console = Console::new(config, env, terminal, clock, options, trainer);
    console.draw();
    own_log::start(config);

    let subject = match &config.stack {
        Some(stack) => Subject::Stack {
            stack: Arc::new(stack.clone()),
            token: config.prometheus_token.clone(),
        },
        None => Subject::Discover {
            project: options.project.clone(),
            here: config.paths.working_dir.to_string_lossy().into_owned(),
        },
    };
    if let Some(accident) = &console.accident {
        accident.on_first_frame();
    }
    let reader = turns.clone();
    checklists::start(config, move |read| {
        // Nobody waits for it who has left.
        let _ = reader.send(Turn::App(Event::Checklists(Box::new(read))));
    })?;
    let clerk = Clerk::start(desk(config, env, &engine, options, clock), turns.clone())?;
    let backstage = Backstage::start(engine, subject, clock, turns, console.accident.clone())?;
    let stage = Stage {
        backstage,
        clerk: Some(clerk),
    };
    let code = console.run(&inbox, &stage);
    let figures = console.terminal.figures();
    tracing::info!("left: frames={} bytes={}", figures.frames, figures.bytes);
    let trainer = console.trainer.take();
    drop(console);
    // What is still on its way finds nobody, and the watches end.
    drop(inbox);
    drop(stage);
    Ok((code, trainer))
}

/// Opens the terminal; where there is none that will do, says why, and returns the exit code.
fn open(
    config: &Config,
    env: &Env,
    options: &ConsoleOptions,
    clock: Clock,
    turns: &SyncSender<Turn>,
) -> Result<Result<Terminal, ExitCode>> {
    let keys = forward(turns.clone())?;
    let terminal = match look::open_terminal(config, env, options.colorless, keys) {
        Ok(terminal) => terminal,
        Err(refusal) => {
            eprintln!("quarterdeck: {refusal}");
            return Ok(Err(ExitCode::from(refusal.exit_code())));
        }
    };
    let worker = turns.clone();
    let state_dir = config
        .paths
        .state_dir
        .clone()
        .unwrap_or_else(|| PathBuf::from("/tmp"));
    terminal.catch_panics(
        state_dir,
        Box::new(move |text| {
            tracing::error!("a worker panicked: {text}");
            let text = Clean::line(&format!("a part of the console broke: {text}"));
            // A full queue has other news; the log has this one.
            let _ = worker.try_send(Turn::App(Event::Told {
                at: clock.now(),
                health: Health::Bad,
                about: Clean::from("console"),
                text: text.clone(),
            }));
            let _ = worker.try_send(Turn::App(Event::Noted {
                health: Health::Bad,
                text,
            }));
        }),
    )?;
    Ok(Ok(terminal))
}

/// The terminal has a queue of its own; one small thread joins it to ours.
fn forward(turns: SyncSender<Turn>) -> Result<SyncSender<TerminalEvent>> {
    /// A person types less than this in the time in which a frame is drawn.
    const KEYS_MAX: usize = 256;
    let (keys, typed) = sync_channel(KEYS_MAX);
    thread::Builder::new()
        .name("keys".to_owned())
        .spawn(move || {
            for event in typed {
                if turns.send(Turn::Terminal(event)).is_err() {
                    return;
                }
            }
        })
        .wrap_err("cannot start the thread of the keys")?;
    Ok(keys)
}

/// Everything behind the screen: what looks, and what records.
struct Stage {
    backstage: Backstage,
    /// `None` while a recording is played: the past is looked at, and nothing is asked of it.
    clerk: Option<Clerk>,
}

impl Stage {
    /// A stage on which nothing happens.
    fn silent() -> Self {
        Self {
            backstage: Backstage::silent(),
            clerk: None,
        }
    }

    fn order(&self, order: Order) {
        self.backstage.order(order);
    }
}

/// What the clerk goes by. Practice has its own word in the journal.
fn desk(
    config: &Config,
    env: &Env,
    engine: &Engine,
    options: &ConsoleOptions,
    clock: Clock,
) -> Desk {
    let is_practice = matches!(
        config.stack.as_ref().map(|stack| &stack.environment),
        Some(Environment::Training)
    );
    Desk {
        address: super::cli::journal::address(config)
            .map_err(|error| Clean::line(&format!("{error:#}"))),
        requester: Requester {
            identity: Identity::look(env),
            mode: if is_practice {
                journal::Mode::Training
            } else {
                journal::Mode::Live
            },
        },
        config: config.clone(),
        project: options.project.clone(),
        engine: engine.clone(),
        clock,
    }
}

/// How soon a change should be on screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Urgency {
    Log,
    Data,
    Key,
}

struct Console {
    model: Model,
    look: Look,
    themes_dir: Option<PathBuf>,
    terminal: Terminal,
    clock: Clock,
    drawn: Instant,
    /// Something has changed since, and how soon it should be seen.
    due: Option<Urgency>,
    ticked: Instant,
    clock_moved: i64,
    started: Instant,
    always_slow: bool,
    exit: Option<ExitCode>,
    accident: Option<Accident>,
    /// Runs the scenario and keeps the score, in a training.
    trainer: Option<Trainer>,
    /// Plays the recording, in a replay.
    player: Option<Player>,
    /// When it last played on.
    played: Instant,
}

impl Console {
    fn new(
        config: &Config,
        env: &Env,
        terminal: Terminal,
        clock: Clock,
        options: &ConsoleOptions,
        trainer: Option<Trainer>,
    ) -> Self {
        let now = clock.now();
        let stack = config
            .stack
            .clone()
            .unwrap_or_else(|| Stack::discovered(Clean::from("looking for a project")));
        let mut board = Board::new(stack);
        let (period, address) = (Duration::from_secs(5), engine_name(&config.engine.address));
        board.expect(SourceId::new(SourceKind::Engine, address), period, now);
        let themes_dir = config.paths.themes_dir();
        let mut model = Model::new(board, session(config, env, now), now);
        let (look, name, complaint) = look::first_look(config, env, themes_dir.as_deref());
        model.theme = name;
        model.themes = look::theme_names(themes_dir.as_deref());
        model.slow_link = options.slow_link;
        if let Some(trainer) = &trainer {
            model.training = Some(trainer.training());
            model.overlay = Some(Overlay::Page {
                page: Page::Briefing,
                scroll: 0,
            });
        }
        if let Some(screen) = options.screen {
            model.screen = screen;
        }
        if let Some(text) = complaint {
            update(
                &mut model,
                Event::Noted {
                    health: Health::Poor,
                    text,
                },
            );
        }
        let (columns, lines) = terminal.size();
        update(&mut model, Event::Resized { columns, lines });
        let instant = Instant::now();
        Self {
            model,
            look,
            themes_dir,
            terminal,
            clock,
            drawn: instant,
            due: None,
            ticked: instant,
            clock_moved: 0,
            started: instant,
            always_slow: options.slow_link,
            exit: None,
            accident: Accident::requested(env),
            trainer,
            player: None,
            played: instant,
        }
    }

    fn run(&mut self, inbox: &Receiver<Turn>, stage: &Stage) -> ExitCode {
        loop {
            match inbox.recv_timeout(self.wait()) {
                Ok(turn) => self.take(turn, stage),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return ExitCode::from(EXIT_HUNG_UP),
            }
            for _ in 0..TURNS_AT_ONCE {
                match inbox.try_recv() {
                    Ok(turn) => self.take(turn, stage),
                    Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
                }
            }
            if let Some(code) = self.exit {
                return code;
            }
            if self.ticked.elapsed() >= self.period() {
                self.tick(stage);
            }
            if self.until_drawn().is_some_and(|wait| wait.is_zero()) {
                self.draw();
            }
        }
    }

    /// Until the next thing that must be done without a turn.
    fn wait(&self) -> Duration {
        let tick = self.period().saturating_sub(self.ticked.elapsed());
        self.until_drawn().map_or(tick, |draw| draw.min(tick))
    }

    fn until_drawn(&self) -> Option<Duration> {
        let mut gap = match self.due? {
            Urgency::Key => GAP_KEY,
            _ if self.started.elapsed() < EAGER => GAP_EAGER,
            Urgency::Data => GAP_DATA,
            Urgency::Log => GAP_LOG,
        };
        if self.model.slow_link {
            gap *= SLOW_FACTOR;
        }
        Some(gap.saturating_sub(self.drawn.elapsed()))
    }

    fn take(&mut self, turn: Turn, stage: &Stage) {
        match turn {
            Turn::Terminal(event) => self.terminal_event(event, stage),
            Turn::App(event) => {
                let urgency = if matches!(event, Event::Logged(_)) {
                    Urgency::Log
                } else {
                    Urgency::Data
                };
                self.update(event, urgency, stage);
            }
            Turn::Found(stack) => {
                let mut board = Board::new(*stack);
                std::mem::swap(&mut self.model.board, &mut board);
                self.due = self.due.max(Some(Urgency::Data));
            }
            Turn::Watching(sources) => {
                for (source, period) in sources {
                    self.model.board.expect(source, period, self.model.now);
                }
                // What was asked for before anybody listened is asked for again.
                stage.order(Order::Follow(self.model.followed.clone()));
                stage.order(Order::WantUsage(self.model.wanted.clone()));
                self.due = self.due.max(Some(Urgency::Data));
            }
        }
    }

    fn update(&mut self, event: Event, urgency: Urgency, stage: &Stage) {
        for effect in update(&mut self.model, event) {
            self.carry_out(effect, stage);
        }
        self.due = self.due.max(Some(urgency));
    }

    fn terminal_event(&mut self, event: TerminalEvent, stage: &Stage) {
        match event {
            TerminalEvent::Key(key) => self.key(key, stage),
            TerminalEvent::Paste(lines) => {
                let text = lines
                    .iter()
                    .map(Clean::as_str)
                    .collect::<Vec<_>>()
                    .join(" ");
                self.update(Event::Pasted(Clean::line(&text)), Urgency::Key, stage);
            }
            TerminalEvent::Resized(columns, lines) => {
                self.update(Event::Resized { columns, lines }, Urgency::Key, stage);
            }
            TerminalEvent::Suspend => self.carry_out(Effect::Suspend, stage),
            TerminalEvent::Resumed => {
                let (columns, lines) = self.terminal.size();
                self.update(Event::Resized { columns, lines }, Urgency::Key, stage);
            }
            TerminalEvent::Quit(signal) => self.exit = Some(ExitCode::from(signal.exit_code())),
            TerminalEvent::InputGone => self.exit = Some(ExitCode::from(EXIT_HUNG_UP)),
            // The mouse selects nothing yet; it must never act.
            TerminalEvent::Mouse(_) => {}
        }
    }

    fn key(&mut self, key: KeyEvent, stage: &Stage) {
        if key.kind == KeyEventKind::Release {
            return;
        }
        if let Some(accident) = &self.accident {
            accident.on_key(self.model.screen, key);
        }
        self.key_time();
        let context = self.model.context();
        let intent =
            keys::lookup(context, key).or_else(|| keys::runbook(context, key, &self.model.offers));
        match intent {
            Some(intent) => self.update(Event::Intent(intent), Urgency::Key, stage),
            None => self.model.prefix = None,
        }
    }

    fn carry_out(&mut self, effect: Effect, stage: &Stage) {
        match effect {
            Effect::Follow(_) if self.follow_recorded() => {}
            Effect::Follow(ids) => stage.order(Order::Follow(ids)),
            Effect::WantUsage(ids) => stage.order(Order::WantUsage(ids)),
            Effect::Recheck(only) => stage.order(Order::Recheck(only)),
            Effect::Copy(text) => {
                if !self.terminal.copy(&[text]) {
                    self.note(Health::Poor, "too long for the clipboard of a terminal");
                }
            }
            Effect::Save => self.save(),
            Effect::Redraw => self.terminal.repaint(),
            Effect::Suspend => {
                if !self.terminal.suspend() {
                    self.note(Health::Poor, "there is no shell to come back from");
                }
            }
            Effect::Theme(name) => match look::theme(&name, self.themes_dir.as_deref()) {
                Ok(theme) => self.look.theme = theme,
                Err(error) => self.note(Health::Poor, &format!("theme {name}: {error}")),
            },
            Effect::Drill(drill) => self.drill(drill),
            Effect::Playback(playback) => self.playback(playback),
            Effect::Plan { runbook, answers } => {
                self.errand(Errand::Plan { runbook, answers }, stage);
            }
            Effect::StartRun { planned, reason } => {
                self.errand(Errand::Start { planned, reason }, stage);
            }
            Effect::Resume(run) => {
                let reason = self.model.armed_for.clone();
                self.errand(Errand::TakeUp { run, reason }, stage);
            }
            Effect::Prove { list, items } => self.errand(Errand::Prove { list, items }, stage),
            Effect::SignOff(said) => self.errand(Errand::SignOff(said), stage),
            Effect::Arm { reason } => self.errand(Errand::Arm { reason }, stage),
            Effect::Disarm => self.errand(Errand::Disarm, stage),
            Effect::Decide { code, decision } => {
                self.errand(Errand::Decide { code, decision }, stage);
            }
            Effect::Quit => self.exit = Some(ExitCode::SUCCESS),
        }
    }

    fn errand(&mut self, errand: Errand, stage: &Stage) {
        let why = match &stage.clerk {
            Some(clerk) if clerk.send(errand) => return,
            Some(_) => "nothing was recorded or planned: the journal is busy; try again",
            None => "this is a recording: nothing can be planned or done in it",
        };
        // Whatever waits for an answer would wait for ever.
        self.model.overlay = None;
        self.note(Health::Bad, why);
    }

    /// Tells the trainer what the trainee did. A new start ends this console; the next one has a range of its own.
    fn drill(&mut self, drill: Drill) {
        let Some(trainer) = &mut self.trainer else {
            return;
        };
        let news = trainer.take(drill);
        if trainer.wants_again() {
            self.exit = Some(ExitCode::SUCCESS);
        }
        self.trained(news);
    }

    fn trained(&mut self, news: Vec<Trained>) {
        for news in news {
            // News never asks for anything in turn.
            update(&mut self.model, Event::Trained(news));
        }
        self.due = self.due.max(Some(Urgency::Data));
    }

    fn note(&mut self, health: Health, text: &str) {
        update(
            &mut self.model,
            Event::Noted {
                health,
                text: Clean::line(text),
            },
        );
        self.due = Some(Urgency::Key);
    }

    fn save(&mut self) {
        let (frame, _) = self.frame();
        match save::view(&frame, self.model.screen, self.model.now) {
            Ok(path) => self.note(Health::Good, &format!("saved as {path} (.txt and .svg)")),
            Err(error) => self.note(Health::Poor, &format!("not saved: {error:#}")),
        }
    }

    fn tick(&mut self, stage: &Stage) {
        self.ticked = Instant::now();
        if !self.play() {
            self.update(Event::Tick(self.clock.now()), Urgency::Data, stage);
        }
        if let Some(trainer) = &mut self.trainer {
            let news = trainer.look();
            self.trained(news);
        }
        if self.terminal.stalled_for() >= STALLED_MAX {
            tracing::warn!("nobody has read the terminal for {STALLED_MAX:?}; leaving");
            self.exit = Some(ExitCode::from(EXIT_HUNG_UP));
        }
        let slow = self.always_slow || self.terminal.figures().last_write >= SLOW_WRITE;
        if slow != self.model.slow_link {
            self.update(Event::SlowLink(slow), Urgency::Data, stage);
        }
        if self.player.is_none() {
            self.watch_the_clock(stage);
        }
    }

    /// Ages and deadlines go by our own clock; that somebody set the wall's is said.
    fn watch_the_clock(&mut self, stage: &Stage) {
        let moved = self.clock.wall_moved().num_milliseconds();
        if (moved - self.clock_moved).abs() > CLOCK_STEP {
            let text = format!(
                "the wall clock moved {:+} s; ages and deadlines go by another clock",
                (moved - self.clock_moved) / 1000
            );
            let at = self.model.now;
            let told = Event::Told {
                at,
                health: Health::Poor,
                about: Clean::from("clock"),
                text: Clean::line(&text),
            };
            self.update(told, Urgency::Data, stage);
            self.clock_moved = moved;
        }
    }

    fn frame(&self) -> (Buffer, Option<ratatui::layout::Position>) {
        let (columns, lines) = (self.model.size.columns, self.model.size.lines);
        let mut buffer = Buffer::empty(Rect::new(0, 0, columns, lines));
        if matches!(self.model.overlay, Some(crate::app::Overlay::OwnLog)) {
            own_log::collect();
        }
        let cursor = view::draw(&mut buffer, &self.model, &self.look);
        (buffer, cursor)
    }

    fn draw(&mut self) {
        let (buffer, cursor) = self.frame();
        self.terminal.show(buffer, cursor);
        self.drawn = Instant::now();
        self.due = None;
    }
}

fn engine_name(address: &EngineAddress) -> Clean {
    Clean::line(&address.to_string())
}

fn session(config: &Config, env: &Env, now: crate::domain::Timestamp) -> Session {
    let host = rustix::system::uname();
    let mode = match config.stack.as_ref().map(|stack| &stack.environment) {
        Some(Environment::Training) => Mode::Training,
        _ => Mode::ReadOnly,
    };
    Session {
        host: Clean::bytes(host.nodename().to_bytes()),
        user: Identity::look(env).actor.user,
        mode,
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION"),
        config: config.file.as_ref().map_or_else(
            || Clean::from("none: the project was discovered"),
            |path| Clean::line(&path.to_string_lossy()),
        ),
        remote: config.screen.over_ssh,
        started: now,
    }
}

/// The screen of a word on the command line.
pub(super) fn screen_named(word: &str) -> Option<Screen> {
    Screen::ALL
        .into_iter()
        .find(|screen| screen.word().eq_ignore_ascii_case(word))
}
