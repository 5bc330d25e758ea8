//! What the containers use: from the kernel's files where the engine is on this host, else by one-shot questions for the
//! few that are on screen or matter.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::Look;
use super::roster::Roster;
use crate::domain::{
    Clean, Container, ContainerId, ContainerState, Detail, Fault, FaultKind, Health, Measure,
    Reading, SourceId, SourceKind, Stack, Timestamp, Unit, Usage, UsageTable,
};
use crate::link::cgroup::{Generation, Reader};
use crate::link::docker::{Engine, Sample};

/// Files of the kernel: 50 containers cost a fifth of a percent of a core.
const PERIOD_LOCAL: Duration = Duration::from_secs(2);
/// Questions to the engine: every one costs it ten milliseconds of work.
const PERIOD_ASKED: Duration = Duration::from_secs(5);
/// Questions at the same time; an older engine takes a second for each.
const CONCURRENCY: usize = 4;
/// Containers asked about in one look, so that a look ends within its period.
const ASKED_MAX: usize = 16;
/// Of all questions of one look.
const ASK_DEADLINE: Duration = Duration::from_secs(4);

pub struct UsageProbe {
    engine: Engine,
    stack: Arc<Stack>,
    roster: Roster,
    /// Rows on screen; what matters is added to them.
    shown: watch::Receiver<Vec<ContainerId>>,
    /// `None` until the engine has said whether it is on this host, and while its files are being read.
    source: Option<Source>,
    before: BTreeMap<ContainerId, Sample>,
    now: UsageTable,
    /// Where the next round of questions begins, when there are more than one look can ask.
    turn: usize,
}

enum Source {
    Files(Reader),
    Engine,
}

impl UsageProbe {
    pub fn new(
        engine: Engine,
        stack: Arc<Stack>,
        roster: Roster,
        shown: watch::Receiver<Vec<ContainerId>>,
    ) -> Self {
        Self {
            engine,
            stack,
            roster,
            shown,
            source: None,
            before: BTreeMap::new(),
            now: UsageTable::default(),
            turn: 0,
        }
    }

    async fn source(&mut self) -> Result<Source, Fault> {
        if let Some(source) = self.source.take() {
            return Ok(source);
        }
        Ok(if self.engine.facts().await?.local {
            Source::Files(Reader::default())
        } else {
            Source::Engine
        })
    }

    async fn ask(&mut self, running: &[&Container]) -> Result<Vec<(ContainerId, Sample)>, Fault> {
        let shown: BTreeSet<ContainerId> = self.shown.borrow().iter().cloned().collect();
        let mut wanted: Vec<ContainerId> = running
            .iter()
            .filter(|c| shown.contains(&c.id) || self.stack.matters(&c.service))
            .map(|c| c.id.clone())
            .collect();
        if !wanted.is_empty() {
            let begin = self.turn % wanted.len();
            wanted.rotate_left(begin);
        }
        wanted.truncate(ASKED_MAX);
        self.turn = self.turn.wrapping_add(wanted.len());
        let until = Instant::now() + ASK_DEADLINE;
        let engine = &self.engine;
        let answers: Vec<_> = stream::iter(wanted)
            .map(|id| async move {
                let answer = timeout_at(until, engine.stats_once(&id)).await;
                (id, answer)
            })
            .buffer_unordered(CONCURRENCY)
            .collect()
            .await;
        let mut samples = Vec::new();
        let mut fault = None;
        for (id, answer) in answers {
            match answer {
                Ok(Ok(sample)) => samples.push((id, sample)),
                Ok(Err(error)) if error.is_missing() => {}
                Ok(Err(error)) => fault = Some(Fault::from(error)),
                Err(_) => {
                    fault = Some(Fault::new(
                        FaultKind::Silent,
                        format!("no statistics from the engine within {ASK_DEADLINE:?}"),
                    ));
                }
            }
        }
        match (samples.is_empty(), fault) {
            (true, Some(fault)) => Err(fault),
            _ => Ok(samples),
        }
    }

    /// Turns samples into usage, against those of the look before.
    fn take(
        &mut self,
        samples: Vec<(ContainerId, Sample)>,
        running: &[&Container],
        source: &'static str,
    ) {
        let ids: BTreeSet<&ContainerId> = running.iter().map(|c| &c.id).collect();
        let runs = |id: &ContainerId| ids.contains(id);
        self.before.retain(|id, _| runs(id));
        self.now.by_id.retain(|id, _| runs(id));
        self.now.source = Clean::from(source);
        for (id, sample) in samples {
            let usage = usage(&sample, self.before.get(&id));
            self.now.by_id.insert(id.clone(), usage);
            self.before.insert(id, sample);
        }
    }
}

impl Look for UsageProbe {
    fn source(&self) -> SourceId {
        SourceId::new(SourceKind::Usage, self.stack.name.clone())
    }

    fn period(&self) -> Duration {
        match &self.source {
            Some(Source::Engine) => PERIOD_ASKED,
            Some(Source::Files(_)) | None => PERIOD_LOCAL,
        }
    }

    async fn look(&mut self, _now: Timestamp) -> Result<Reading, Fault> {
        let all = self.roster.borrow().clone();
        let running: Vec<&Container> = all
            .iter()
            .filter(|c| matches!(c.state, ContainerState::Running | ContainerState::Paused))
            .collect();
        match self.source().await? {
            Source::Files(reader) => {
                let (reader, samples, generation) = read_files(reader, &running).await?;
                self.take(
                    samples,
                    &running,
                    generation.map_or("cgroup", Generation::word),
                );
                self.source = Some(Source::Files(reader));
            }
            Source::Engine => {
                self.source = Some(Source::Engine);
                let samples = self.ask(&running).await?;
                self.take(samples, &running, "engine one-shot");
            }
        }
        Ok(judge(&self.stack, &running, self.now.clone()))
    }
}

type FromFiles = (Reader, Vec<(ContainerId, Sample)>, Option<Generation>);

/// Reads off the loop: the kernel may take milliseconds to add up the figures of a big tree.
async fn read_files(mut reader: Reader, running: &[&Container]) -> Result<FromFiles, Fault> {
    let wanted: Vec<(ContainerId, Option<u32>)> =
        running.iter().map(|c| (c.id.clone(), c.pid)).collect();
    let read = tokio::task::spawn_blocking(move || {
        let ids: BTreeSet<&ContainerId> = wanted.iter().map(|(id, _)| id).collect();
        reader.retain(|id| ids.contains(id));
        let mut generation = None;
        let mut samples = Vec::with_capacity(wanted.len());
        for (id, pid) in wanted {
            if let Some((sample, of)) = reader.read(&id, pid) {
                generation = Some(of);
                samples.push((id, sample));
            }
        }
        (reader, samples, generation)
    });
    read.await
        .map_err(|error| Fault::new(FaultKind::Broken, format!("reading cgroup files: {error}")))
}

/// Rates over the time between two samples; the first look has levels only.
#[expect(
    clippy::cast_precision_loss,
    reason = "a float is exact enough for what a person reads"
)]
fn usage(now: &Sample, before: Option<&Sample>) -> Usage {
    let rate = |of: fn(&Sample) -> Option<u64>| {
        let before = before?;
        let seconds = now.at.checked_duration_since(before.at)?.as_secs_f64();
        // A counter that went back was reset by a restart: what it shows was counted since then.
        let (new, old) = (of(now)?, of(before)?);
        let delta = new.checked_sub(old).unwrap_or(new);
        (seconds > 0.0).then(|| delta as f64 / seconds)
    };
    Usage {
        cpu_percent: rate(|s| s.cpu_ns).map(|ns| ns / 1e9 * 100.0),
        memory_bytes: now.memory_bytes,
        memory_limit_bytes: now.memory_limit_bytes,
        network_rx_per_s: rate(|s| s.rx_bytes),
        network_tx_per_s: rate(|s| s.tx_bytes),
        block_read_per_s: rate(|s| s.read_bytes),
        block_write_per_s: rate(|s| s.write_bytes),
        pids: now.pids,
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a float is exact enough for what a person reads"
)]
fn judge(stack: &Stack, running: &[&Container], table: UsageTable) -> Reading {
    let part = |c: &Container, usage: &Usage| {
        let limit = c.limits.memory_bytes.or(usage.memory_limit_bytes)?;
        Some(usage.memory_bytes? as f64 / limit as f64)
    };
    let fullest = running
        .iter()
        .filter(|c| stack.matters(&c.service) && c.limits.memory_bytes.is_some())
        .filter_map(|c| Some((c.replica(), part(c, table.by_id.get(&c.id)?)?)))
        .max_by(|a, b| a.1.total_cmp(&b.1));
    let cpu: f64 = table.by_id.values().filter_map(|u| u.cpu_percent).sum();
    let memory: u64 = table.by_id.values().filter_map(|u| u.memory_bytes).sum();
    let known = !table.by_id.is_empty();
    let totals = format!(
        "CPU {}, memory {}, {} of {} containers",
        Unit::Ratio.show(cpu / 100.0),
        Unit::Bytes.show(memory as f64),
        table.by_id.len(),
        running.len()
    );
    let mut measures = vec![
        Measure::new("cpu", cpu / 100.0, Unit::Ratio),
        Measure::new("memory", memory as f64, Unit::Bytes),
    ];
    let (health, summary) = match &fullest {
        Some((who, part)) if *part > stack.thresholds.memory_ratio => (
            Health::Poor,
            format!(
                "{who} at {} of its memory, {totals}",
                Unit::Ratio.show(*part)
            ),
        ),
        _ if known => (Health::Good, totals),
        _ => (Health::None, "nothing runs".to_owned()),
    };
    if let Some((_, part)) = fullest {
        measures.push(Measure::new("memory.fullest", part, Unit::Ratio));
    }
    Reading {
        health,
        summary: Clean::line(&summary),
        measures,
        detail: Detail::Usage(table),
    }
}

#[cfg(test)]
mod tests {
    use super::super::containers::tests::container;
    use super::*;
    use crate::domain::CheckState;

    fn sample(at: std::time::Instant, cpu_ns: u64, rx: u64) -> Sample {
        Sample {
            cpu_ns: Some(cpu_ns),
            memory_bytes: Some(95),
            rx_bytes: Some(rx),
            ..Sample::unknown(at)
        }
    }

    #[test]
    fn the_first_look_knows_levels_and_no_rates() {
        let first = usage(&sample(std::time::Instant::now(), 5, 5), None);
        assert_eq!(
            (
                first.cpu_percent,
                first.network_rx_per_s,
                first.memory_bytes
            ),
            (None, None, Some(95))
        );
    }

    #[test]
    fn rates_come_from_two_looks_and_a_reset_is_no_spike() {
        let at = std::time::Instant::now();
        let later = at + Duration::from_secs(2);
        let rates = usage(
            &sample(later, 1_000_000_000, 50),
            Some(&sample(at, 0, 1000)),
        );
        assert_eq!(rates.cpu_percent, Some(50.0));
        assert_eq!(
            rates.network_rx_per_s,
            Some(25.0),
            "counted since the reset, never negative"
        );
        assert_eq!(
            usage(&sample(at, 9, 9), Some(&sample(at, 1, 1))).cpu_percent,
            None,
            "no time has passed"
        );
    }

    #[test]
    fn a_container_close_to_its_memory_limit_is_poor() {
        let mut one = container("a", 1, ContainerState::Running, CheckState::Healthy);
        one.limits.memory_bytes = Some(100);
        let mut table = UsageTable::default();
        table.by_id.insert(
            one.id.clone(),
            usage(&sample(std::time::Instant::now(), 0, 0), None),
        );
        let stack = Stack::discovered(Clean::from("lab"));
        let reading = judge(&stack, &[&one], table.clone());
        assert_eq!(reading.health, Health::Poor);
        assert!(
            reading.summary.starts_with("a-1 at 95 % of its memory"),
            "{}",
            reading.summary
        );
        one.limits.memory_bytes = None;
        assert_eq!(
            judge(&stack, &[&one], table).health,
            Health::Good,
            "no limit, no trouble"
        );
    }
}
