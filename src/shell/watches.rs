//! Every watch of a stack, started together and ended together.
//!
//! The console and the commands without a screen start the same watches; they differ only in how long they listen.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::config::{Config, SecretRef};
use crate::domain::{
    BackupSource, BackupSpec, Clean, ContainerId, ContainerState, EngineEvent, Fault, FaultKind,
    LogLine, Sighting, SourceId, Stack, Stream, TrafficSpec,
};
use crate::journal::Address;
use crate::link::accesslog::{self, Feeder};
use crate::link::docker::{self, Engine};
use crate::link::prometheus::Prometheus;
use crate::link::tls::Roots;
use crate::probe::Look;
use crate::probe::alerts::AlertsProbe;
use crate::probe::backup::{Asked, BackupProbe};
use crate::probe::certificate::CertificateProbe;
use crate::probe::containers::ContainersProbe;
use crate::probe::endpoint::EndpointProbe;
use crate::probe::engine::EngineProbe;
use crate::probe::host::HostProbe;
use crate::probe::roster::{Roster, roster};
use crate::probe::traffic::{AccessLogProbe, MetricsProbe, PrometheusProbe};
use crate::probe::usage::UsageProbe;
use crate::watch::{events, logs, supervise};

use super::clock::Clock;
use super::proofs::{self, Known};
use super::secrets;

/// Sightings that wait to be taken in. A console that does not keep up with two hundred sources has stopped.
const SIGHTINGS_MAX: usize = 256;
const HAPPENINGS_MAX: usize = 256;
/// Batches of log lines: a second of them.
const BATCHES_MAX: usize = 20;
/// How long the first look at traffic waits for the list of containers.
const LISTED_WAIT: Duration = Duration::from_secs(3);
/// Lines of the past that a log begins with.
const TAIL: u32 = 200;

/// What the watches say.
pub(super) struct Streams {
    pub sightings: mpsc::Receiver<Sighting>,
    pub happenings: mpsc::Receiver<EngineEvent>,
    pub batches: mpsc::Receiver<Vec<LogLine>>,
}

/// What the watches can be told. Dropping it ends them all.
pub(super) struct Watches {
    pub follow: watch::Sender<Vec<ContainerId>>,
    pub want_usage: watch::Sender<Vec<ContainerId>>,
    /// What will be looked at, and how often.
    pub expected: Vec<(SourceId, Duration)>,
    wakes: Vec<(SourceId, Arc<Notify>)>,
    tasks: JoinSet<()>,
    sightings: mpsc::Sender<Sighting>,
    clock: Clock,
}

impl Watches {
    /// Starts to look at `stack`. Needs a runtime around it; returns at once. `token` is for its Prometheus; the `journal`
    /// knows which restores were proven.
    pub(super) fn start(
        engine: &Engine,
        stack: &Arc<Stack>,
        token: Option<&SecretRef>,
        journal: Option<Address>,
        clock: Clock,
    ) -> (Self, Streams) {
        let (sightings, sightings_out) = mpsc::channel(SIGHTINGS_MAX);
        let (happenings, happenings_out) = mpsc::channel(HAPPENINGS_MAX);
        let (batches, batches_out) = mpsc::channel(BATCHES_MAX);
        let (follow, followed) = watch::channel(Vec::new());
        let (want_usage, wanted) = watch::channel(Vec::new());
        let (gaps, gaps_seen) = watch::channel(0);
        let (roster, view) = roster();
        let mut watches = Self {
            follow,
            want_usage,
            expected: Vec::new(),
            wakes: Vec::new(),
            tasks: JoinSet::new(),
            sightings,
            clock,
        };

        watches.look(EngineProbe::new(engine.clone()));
        let wake = watches.look(ContainersProbe::new(
            engine.clone(),
            stack.clone(),
            roster,
            gaps_seen,
        ));
        watches.look(UsageProbe::new(
            engine.clone(),
            stack.clone(),
            view.clone(),
            wanted,
        ));
        watches.tasks.spawn(events::follow(
            engine.clone(),
            stack.name.clone(),
            move || clock.now(),
            events::Outlet {
                wake,
                happenings,
                gaps,
            },
        ));
        watches.tasks.spawn(logs::follow(
            engine.clone(),
            followed,
            TAIL,
            move || clock.now(),
            batches,
        ));
        for spec in &stack.traffic {
            watches.look_at_traffic(engine, spec, stack, token, &view);
        }
        let known = watches.follow_proofs(stack, journal);
        watches.look_outside(stack, token);
        watches.look_at_backups(engine, stack, &known);
        let streams = Streams {
            sightings: sightings_out,
            happenings: happenings_out,
            batches: batches_out,
        };
        (watches, streams)
    }

    fn look_at_traffic(
        &mut self,
        engine: &Engine,
        spec: &TrafficSpec,
        stack: &Stack,
        token: Option<&SecretRef>,
        view: &Roster,
    ) {
        let limits = &stack.thresholds;
        match spec.clone() {
            TrafficSpec::Metrics {
                service,
                port,
                path,
                every,
            } => {
                self.look_at_replicas(
                    MetricsProbe::new(service, port, path, every, limits.clone(), view.clone()),
                    view,
                );
            }
            TrafficSpec::Prometheus {
                service,
                url,
                selector,
                every,
            } => {
                self.look_at_replicas(
                    PrometheusProbe::new(
                        service,
                        prometheus(stack, &url, token),
                        selector,
                        every,
                        limits.clone(),
                        view.clone(),
                    ),
                    view,
                );
            }
            TrafficSpec::AccessLog {
                gateway,
                service,
                every,
            } => {
                let (feeder, feed) = accesslog::feed();
                let clock = self.clock;
                self.tasks.spawn(follow_access_log(
                    engine.clone(),
                    gateway.clone(),
                    view.clone(),
                    feeder,
                    clock,
                ));
                self.look_at_replicas(
                    AccessLogProbe::new(
                        gateway,
                        service,
                        every,
                        limits.clone(),
                        view.clone(),
                        feed,
                    ),
                    view,
                );
            }
        }
    }

    /// Without a journal, or without backups, the end is closed and nobody waits for it.
    fn follow_proofs(&mut self, stack: &Stack, journal: Option<Address>) -> watch::Receiver<Known> {
        let (known, view) = watch::channel(None);
        if let Some(address) = journal.filter(|_| !stack.backups.is_empty()) {
            self.tasks
                .spawn(proofs::follow(address, proofs::mode(stack), known));
        }
        view
    }

    /// What is looked at without the engine.
    fn look_outside(&mut self, stack: &Stack, token: Option<&SecretRef>) {
        let roots = Roots::system_lazily();
        for spec in &stack.endpoints {
            self.look(EndpointProbe::new(
                spec.clone(),
                &stack.thresholds,
                roots.clone(),
            ));
        }
        for spec in &stack.certificates {
            self.look(CertificateProbe::new(
                spec.clone(),
                &stack.thresholds,
                roots.clone(),
            ));
        }
        if let Some(url) = &stack.prometheus {
            self.look(AlertsProbe::new(prometheus(stack, url, token)));
        }
        self.look(HostProbe::new(
            stack.disks.clone(),
            stack.thresholds.clone(),
        ));
    }

    fn look_at_backups(&mut self, engine: &Engine, stack: &Stack, known: &watch::Receiver<Known>) {
        for spec in &stack.backups {
            self.look(backup(engine, &stack.name, spec).proofs(known.clone()));
        }
    }

    /// Traffic is looked at where the replicas are: the first look waits until they have been listed.
    fn look_at_replicas(&mut self, probe: impl Look, view: &Roster) {
        let mut listed = view.clone();
        listed.mark_unchanged();
        let (wake, clock) = self.enter(&probe);
        let sightings = self.sightings.clone();
        self.tasks.spawn(async move {
            // An engine that does not answer is no reason not to say what the other sources see.
            let _ = timeout(LISTED_WAIT, listed.changed()).await;
            supervise(probe, wake, move || clock.now(), sightings).await;
        });
    }

    fn look(&mut self, probe: impl Look) -> Arc<Notify> {
        let (wake, clock) = self.enter(&probe);
        self.tasks.spawn(supervise(
            probe,
            wake.clone(),
            move || clock.now(),
            self.sightings.clone(),
        ));
        wake
    }

    fn enter(&mut self, probe: &impl Look) -> (Arc<Notify>, Clock) {
        let wake = Arc::new(Notify::new());
        self.expected.push((probe.source(), probe.period()));
        self.wakes.push((probe.source(), wake.clone()));
        (wake, self.clock)
    }

    /// Looks again now: at one source, or at all.
    pub(super) fn recheck(&self, only: Option<&SourceId>) {
        for (_, wake) in self
            .wakes
            .iter()
            .filter(|(id, _)| only.is_none_or(|only| only == id))
        {
            wake.notify_one();
        }
    }
}

/// Hands the lines of the gateway's containers to the probe that counts them. Begins with the log's end: what was
/// served before we looked has no time of ours.
async fn follow_access_log(
    engine: Engine,
    gateway: Clean,
    mut view: Roster,
    feeder: Feeder,
    clock: Clock,
) {
    let (wanted, followed) = watch::channel(Vec::new());
    let (batches, mut lines) = mpsc::channel::<Vec<LogLine>>(BATCHES_MAX);
    let mut reader = JoinSet::new();
    reader.spawn(logs::follow(
        engine,
        followed,
        0,
        move || clock.now(),
        batches,
    ));
    let mut link = None;
    loop {
        tokio::select! {
            changed = view.changed() => {
                if changed.is_err() {
                    return;
                }
                let ids: Vec<ContainerId> = view
                    .borrow_and_update()
                    .iter()
                    .filter(|c| c.service == gateway && c.state == ContainerState::Running)
                    .map(|c| c.id.clone())
                    .collect();
                if ids.is_empty() {
                    link = None;
                } else if link.is_none() {
                    link = Some(feeder.link());
                }
                wanted.send_if_modified(|now| {
                    let changed = *now != ids;
                    *now = ids;
                    changed
                });
            }
            batch = lines.recv() => {
                let Some(batch) = batch else { return };
                for line in batch {
                    match line.stream {
                        Stream::Out => {
                            link.get_or_insert_with(|| feeder.link());
                            feeder.line(&line.text);
                        }
                        // nginx writes its errors there; they are for the log screen.
                        Stream::Err => {}
                        // The follower lost its hold: silence is no zero until a line comes again.
                        Stream::Note => link = None,
                    }
                }
            }
        }
    }
}

/// With the stores where we make them; one that cannot be opened is a fault of the source.
fn backup(engine: &Engine, project: &Clean, spec: &BackupSpec) -> BackupProbe {
    let probe = BackupProbe::new(spec.clone());
    let probe = match &spec.source {
        None => return probe,
        Some(BackupSource::Redis { .. }) => probe,
        Some(BackupSource::Postgres {
            service,
            database,
            user,
            ..
        }) => probe.server(
            engine.clone(),
            Asked {
                project: project.clone(),
                service: service.clone(),
                database: database.clone(),
                user: user.clone(),
            },
        ),
    };
    let stores = secrets::stores(spec);
    probe.stores(stores.map_err(|error| Fault::new(FaultKind::Misconfigured, error.to_string())))
}

/// The token is for the address of `[prometheus]` alone: another server has no business with it.
fn prometheus(stack: &Stack, url: &Clean, token: Option<&SecretRef>) -> Prometheus {
    let prometheus = Prometheus::new(url);
    match token.filter(|_| stack.prometheus.as_ref() == Some(url)) {
        Some(token) => prometheus.token(token.read(|name| std::env::var_os(name))),
        None => prometheus,
    }
}

/// The engine that the configuration names.
pub(super) fn engine_of(config: &Config) -> Engine {
    let runtime = config
        .paths
        .runtime_dir
        .clone()
        .or_else(|| config.paths.state_dir.clone())
        .unwrap_or_else(|| PathBuf::from("/tmp/quarterdeck"));
    Engine::new(docker::Address::from(&config.engine), runtime)
}
