//! Runs a scenario in this process and keeps its score.
//!
//! The world of the range says what happened to the stack and what was done to it; what the trainee noticed, named and asked
//! for is written down here. The training ends when the cause is named and the trouble is over, when the trainee gives up,
//! or when the scenario's time is.

use std::path::{Path, PathBuf};
use std::time::Duration;

use color_eyre::eyre::{Result, WrapErr};
use tokio::runtime::Runtime;

use crate::app::{Drill, Progress, Trained, Training};
use crate::domain::Clean;
use crate::range::scenario::Scenario;
use crate::range::score::{self, Entry, Happening, Score, Timeline};
use crate::range::world::dice::Dice;
use crate::range::{Options, Range};

use super::control::Control;
use super::drivers;
use super::records::{self, Record};

/// One serves, one lets time run.
const WORKERS: usize = 2;
/// A debrief is two pages.
const LINES_MAX: usize = 500;

/// How a training is run.
#[derive(Debug, Clone)]
pub(in crate::shell) struct Course {
    pub scenario: Scenario,
    pub seed: u64,
    pub speed: f64,
}

pub(in crate::shell) struct Trainer {
    course: Course,
    /// Ends the range's servers when it is dropped.
    runtime: Runtime,
    range: Option<Range>,
    /// Which diagnosis stands at which place of the list.
    order: Vec<usize>,
    /// What the trainee did that the world does not see.
    own: Vec<Entry>,
    hints_given: usize,
    ended: Option<(Score, String)>,
    wants_again: bool,
    /// Where the result is kept, and whose it is.
    records: Option<(PathBuf, Clean)>,
}

impl Trainer {
    pub(in crate::shell) fn start(
        course: Course,
        dir: &Path,
        records: Option<(PathBuf, Clean)>,
    ) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .thread_name("range")
            .enable_all()
            .build()
            .wrap_err("cannot start the range")?;
        let options = Options {
            scenario: course.scenario.clone(),
            dir: dir.to_owned(),
            seed: course.seed,
            speed: course.speed,
        };
        let range = runtime
            .block_on(Range::start(options))
            .wrap_err("cannot start the range")?;
        // An instructor may sit at another terminal.
        let desk = range.desk();
        let control = {
            let _inside = runtime.enter();
            Control::open(range.dir())?
        };
        runtime.spawn(async move { control.serve(&desk).await });
        Ok(Self {
            order: shuffled(course.scenario.diagnoses.len(), course.seed),
            course,
            runtime,
            range: Some(range),
            own: Vec::new(),
            hints_given: 0,
            ended: None,
            wants_again: false,
            records,
        })
    }

    fn range(&self) -> &Range {
        self.range
            .as_ref()
            .expect("it is taken away only when the trainer is dropped")
    }

    pub(in crate::shell) fn config_path(&self) -> PathBuf {
        self.range().config_path()
    }

    /// The engine's address, as flags and `DOCKER_HOST` take it.
    pub(in crate::shell) fn engine(&self) -> String {
        format!("unix://{}", self.range().socket_path().display())
    }

    /// What the console begins with.
    pub(in crate::shell) fn training(&self) -> Training {
        let scenario = &self.course.scenario;
        let causes = self.order.iter();
        Training {
            title: Clean::line(&scenario.title),
            brief: Clean::line(scenario.brief.trim()),
            act_with: Clean::line(&format!("DOCKER_HOST={}", self.engine())),
            causes: causes
                .map(|at| Clean::line(&scenario.diagnoses[*at].text))
                .collect(),
            hints: Vec::new(),
            hints_left: scenario.hints.len(),
            progress: Progress::default(),
            noticed: false,
            usual: std::collections::BTreeSet::new(),
            wrong: std::collections::BTreeSet::new(),
            right: None,
            debrief: None,
        }
    }

    pub(in crate::shell) fn wants_again(&self) -> bool {
        self.wants_again
    }

    /// The debrief, once there is one.
    pub(in crate::shell) fn debrief(&self) -> Option<&str> {
        self.ended.as_ref().map(|(_, text)| text.as_str())
    }

    /// Takes in what the trainee did; says what there is to say.
    pub(in crate::shell) fn take(&mut self, drill: Drill) -> Vec<Trained> {
        let mut news = Vec::new();
        match drill {
            Drill::Noticed => self.write(Happening::Noticed),
            Drill::Hint => news.extend(self.hint().map(Trained::Hint)),
            Drill::Diagnosed(cause) => news.extend(self.diagnosed(cause)),
            Drill::GiveUp if self.ended.is_none() => {
                self.write(Happening::GaveUp);
                news.push(self.end());
            }
            Drill::GiveUp => {}
            Drill::Restart => self.wants_again = true,
        }
        news.extend(self.look());
        news
    }

    fn write(&mut self, happening: Happening) {
        let at_ms = self.range().now_ms();
        self.own.push(Entry { at_ms, happening });
    }

    fn hint(&mut self) -> Option<Clean> {
        let hint = self.course.scenario.hints.get(self.hints_given)?;
        let text = Clean::line(&hint.text);
        self.hints_given += 1;
        self.write(Happening::Hinted);
        Some(text)
    }

    fn diagnosed(&mut self, cause: usize) -> Option<Trained> {
        let diagnosis = &self.course.scenario.diagnoses[*self.order.get(cause)?];
        let (id, right) = (diagnosis.id.clone(), diagnosis.right);
        self.write(Happening::Diagnosed { id });
        Some(Trained::Answered { cause, right })
    }

    /// How it stands now; ends the training when it is over.
    pub(in crate::shell) fn look(&mut self) -> Vec<Trained> {
        if self.ended.is_some() {
            return Vec::new();
        }
        let now = self.range().now_ms();
        let timeline = self.timeline();
        let score = score::score(&self.course.scenario, &timeline);
        let is_over = self.is_over();
        let began = timeline
            .entries
            .iter()
            .find(|entry| matches!(entry.happening, Happening::FaultBegan { .. }))
            .map(|entry| entry.at_ms);
        let mut news = vec![Trained::Progress(Progress {
            since_fault: began
                .map(|began| Duration::from_millis(u64::try_from(now - began).unwrap_or(0))),
            points: score.points,
            requests_lost: score.requests_lost,
            is_over,
        })];
        let seconds = Duration::from_millis(u64::try_from(now).unwrap_or(0)).as_secs_f64();
        let is_solved = is_over && score.is_diagnosis_right;
        if is_solved || seconds > self.course.scenario.duration_s {
            news.push(self.end());
        }
        news
    }

    /// The goal holds, and not only because the fault has not shown yet.
    fn is_over(&self) -> bool {
        let world = self.range().snapshot();
        let now = Duration::from_millis(u64::try_from(world.now()).unwrap_or(0)).as_secs_f64();
        world.goal_met().is_some() && now >= self.course.scenario.shown_at_s()
    }

    fn timeline(&self) -> Timeline {
        let mut timeline = self.range().timeline();
        if !self.is_over() {
            let is_goal = |entry: &Entry| matches!(entry.happening, Happening::GoalMet);
            timeline.entries.retain(|entry| !is_goal(entry));
        }
        timeline.entries.extend(self.own.iter().cloned());
        timeline.entries.sort_by_key(|entry| entry.at_ms);
        timeline
    }

    fn end(&mut self) -> Trained {
        let timeline = self.timeline();
        let score = score::score(&self.course.scenario, &timeline);
        let mut text = score::debrief(&self.course.scenario, &timeline);
        if let Some((path, user)) = &self.records {
            let record = Record {
                at: chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
                user: user.clone(),
                title: Clean::line(&self.course.scenario.title),
                seed: self.course.seed,
                speed: self.course.speed,
                score: score.clone(),
                timeline,
            };
            let kept = match records::append(path, &record) {
                Ok(()) => format!(
                    "\nKept in {}; see quarterdeck train --history\n",
                    path.display()
                ),
                Err(error) => format!("\nNot kept: {error:#}\n"),
            };
            text.push_str(&kept);
        }
        let lines = Clean::lines(&text, LINES_MAX);
        self.ended = Some((score, text));
        Trained::Ended(lines)
    }
}

impl Drop for Trainer {
    fn drop(&mut self) {
        if let Some(range) = self.range.take() {
            self.runtime.block_on(async {
                // While there is still something for them to act upon, and a journal to write their leave into.
                drivers::end(range.dir()).await;
                range.stop().await;
            });
        }
    }
}

/// The right answer must not be known by its place; the same seed gives the same order.
fn shuffled(count: usize, seed: u64) -> Vec<usize> {
    /// Apart from the dice that the world throws.
    const STREAM: u64 = 0x6361_7573;
    let mut dice = Dice::new(seed, STREAM);
    let mut order: Vec<usize> = (0..count).collect();
    for at in (1..count).rev() {
        let other = dice.below(u64::try_from(at).unwrap_or(0) + 1);
        order.swap(at, usize::try_from(other).unwrap_or(0));
    }
    order
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::range::scenario;

    /// Nothing here takes longer on a busy machine.
    const PATIENCE: Duration = Duration::from_mins(1);

    fn trainer(name: &str, speed: f64, dir: &Path) -> Trainer {
        let course = Course {
            scenario: scenario::load(name).unwrap(),
            seed: 7,
            speed,
        };
        let records = Some((dir.join("training.jsonl"), Clean::from("crew")));
        Trainer::start(course, &dir.join("range"), records).unwrap()
    }

    fn until(trainer: &mut Trainer, what: &str, fits: impl Fn(&[Trained]) -> bool) -> Vec<Trained> {
        let began = Instant::now();
        loop {
            let news = trainer.look();
            if fits(&news) {
                return news;
            }
            assert!(began.elapsed() < PATIENCE, "never: {what}");
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    fn has_begun(news: &[Trained]) -> bool {
        news.iter()
            .any(|n| matches!(n, Trained::Progress(p) if p.since_fault.is_some()))
    }

    fn has_ended(news: &[Trained]) -> bool {
        news.iter().any(|n| matches!(n, Trained::Ended(_)))
    }

    fn place_of_right(trainer: &Trainer) -> usize {
        let diagnoses = &trainer.course.scenario.diagnoses;
        trainer
            .order
            .iter()
            .position(|at| diagnoses[*at].right)
            .unwrap()
    }

    #[test]
    fn what_heals_by_itself_is_solved_by_naming_it_and_waiting() {
        let dir = tempfile::tempdir().unwrap();
        let mut trainer = trainer("engine-unreachable", 40.0, dir.path());
        until(&mut trainer, "the fault", has_begun);
        trainer.take(Drill::Noticed);
        let right = place_of_right(&trainer);
        let news = trainer.take(Drill::Diagnosed(right));
        assert!(news.contains(&Trained::Answered {
            cause: right,
            right: true
        }));
        until(&mut trainer, "the end", has_ended);
        let all = records::read(&dir.path().join("training.jsonl")).unwrap().0;
        assert_eq!(all.len(), 1);
        assert!(all[0].score.points >= 98, "{:?}", all[0].score);
        assert!(!all[0].score.gave_up);
        assert_eq!(trainer.look(), [], "it ends once");
    }

    #[test]
    fn giving_up_keeps_what_was_earned() {
        let dir = tempfile::tempdir().unwrap();
        let mut trainer = trainer("replica-dies", 40.0, dir.path());
        until(&mut trainer, "the fault", has_begun);
        let right = place_of_right(&trainer);
        let wrong = (right + 1) % trainer.order.len();
        assert!(has_hint(&trainer.take(Drill::Hint)));
        trainer.take(Drill::Diagnosed(wrong));
        assert!(has_ended(&trainer.take(Drill::GiveUp)));
        let score = trainer.ended.as_ref().unwrap().0.clone();
        assert_eq!(
            (score.hints, score.diagnoses_wrong, score.points),
            (1, 1, 0)
        );
        assert!(score.gave_up);
        assert_eq!(trainer.take(Drill::GiveUp), [], "once is enough");
        assert_eq!(
            records::read(&dir.path().join("training.jsonl"))
                .unwrap()
                .0
                .len(),
            1
        );
        let (dir, socket) = (dir, trainer.range().socket_path());
        drop(trainer);
        assert!(!socket.exists());
        drop(dir);
    }

    fn has_hint(news: &[Trained]) -> bool {
        news.iter().any(|n| matches!(n, Trained::Hint(_)))
    }

    #[test]
    fn the_order_of_causes_is_the_seeds() {
        assert_eq!(shuffled(6, 3), shuffled(6, 3));
        let firsts: std::collections::BTreeSet<usize> =
            (0..50).map(|s| shuffled(4, s)[0]).collect();
        assert_eq!(firsts.len(), 4, "every one comes first sometimes");
        let mut sorted = shuffled(6, 9);
        sorted.sort_unstable();
        assert_eq!(sorted, [0, 1, 2, 3, 4, 5]);
    }
}
