//! The stack at one moment, for plans, their checks and the driver: gathered here, handed on as plain data.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use tokio::time::{Instant, timeout};

use super::clock::Clock;
use super::collect::subject;
use super::past_runs::past_runs;
use super::revisions::revisions;
use super::{proofs, secrets};
use crate::app::story::Story;
use crate::config::{Config, GatewayUpstream};
use crate::domain::{Clean, Container, Fault, FaultKind, Stack, Timestamp};
use crate::engine::{Person, Phase, Verdict};
use crate::journal::Mode;
use crate::link::docker::{Engine, Listed};
use crate::link::prometheus::Prometheus;
use crate::link::tls::Roots;
use crate::probe::check::{Check, Eyes, Outcome, Reach};
use crate::runbook::{
    Behind, BlockLine, Document, Earlier, Entrance, Planned, Problem, Scene, Wanted, plan,
    prechecks,
};
use crate::step::Upstream;

/// How long the engine may take to tell all about its containers.
const LOOK_LIMIT: Duration = Duration::from_secs(20);

/// Containers that are looked into at a time.
const CONCURRENCY: usize = 16;

/// What is looked at, and with what.
#[derive(Clone)]
pub(super) struct Sight {
    pub stack: Arc<Stack>,
    pub eyes: Eyes,
    pub entrance: Entrance,
    pub upstream: Option<Arc<Upstream>>,
    /// Destructive runs wait for somebody else's yes.
    pub second_person: bool,
}

impl Sight {
    /// The configured stack, or the project that runs here.
    pub(super) async fn of(
        config: &Config,
        engine: &Engine,
        project: Option<&str>,
    ) -> Result<Self, Fault> {
        let deadline = Instant::now() + LOOK_LIMIT;
        let stack = subject(config, engine, project, deadline, LOOK_LIMIT).await?;
        let stack = Arc::new(stack);
        let gateway = config.gateway.as_ref();
        let upstream = gateway.and_then(|gateway| gateway.upstream.as_ref());
        let service = gateway.and_then(|gateway| gateway.service.clone());
        let prometheus = stack.prometheus.as_ref().map(|url| {
            let prometheus = Prometheus::new(url);
            match &config.prometheus_token {
                Some(token) => prometheus.token(token.read(|name| std::env::var_os(name))),
                None => prometheus,
            }
        });
        Ok(Self {
            eyes: Eyes {
                engine: engine.clone(),
                stack: stack.clone(),
                prometheus,
                roots: Roots::system_lazily(),
                ca_file: gateway.and_then(|gateway| gateway.ca_file.clone()),
                gateway: gateway.and_then(|gateway| gateway.url.clone()),
                reach: Reach {
                    secret: Arc::new(secrets::fetch),
                    runs: past_runs(config, proofs::mode(&stack)),
                },
            },
            entrance: Entrance {
                service: service.clone(),
                url: gateway.and_then(|gateway| gateway.url.clone()),
                behind: upstream.map(|list| Behind {
                    service: list.service.clone(),
                    port: list.port,
                    path: list.path.clone(),
                    health: list.health.clone(),
                }),
            },
            second_person: config.second_person,
            upstream: upstream.map(|list| Arc::new(told(list, service))),
            stack,
        })
    }

    pub(super) fn mode(&self) -> Mode {
        proofs::mode(&self.stack)
    }

    /// The stack now. `story`: what earlier runs took.
    pub(super) async fn scene(&self, story: &Story, now: Timestamp) -> Result<Scene, Fault> {
        let containers = containers(&self.eyes.engine, &self.stack.name).await?;
        Ok(Scene {
            at: now,
            stack: self.stack.name.clone(),
            environment: self.stack.environment.clone(),
            containers,
            gateway: self.entrance.clone(),
            services: self.stack.services.clone(),
            earlier: earlier(story, self.mode()),
            revisions: revisions(story, self.mode()),
            prechecks: BTreeMap::new(),
            second_person: self.second_person,
        })
    }

    /// Makes a plan, with the checks that come before it.
    pub(super) async fn plan(
        &self,
        document: &Document,
        answers: &BTreeMap<String, String>,
        mut scene: Scene,
        by: Person,
        clock: Clock,
    ) -> Result<Planned, Vec<Problem>> {
        let wanted = prechecks(document, answers, &scene)?;
        let made = wanted
            .into_iter()
            .map(|wanted| self.precheck(wanted, clock));
        let made = stream::iter(made).buffer_unordered(CONCURRENCY);
        scene.prechecks = made.collect().await;
        plan(document, answers, &scene, by)
    }

    async fn precheck(&self, wanted: Wanted, clock: Clock) -> (BlockLine, Outcome) {
        let now = clock.now();
        let outcome = match serde_json::from_value::<Check>(wanted.check) {
            Ok(check) => check.run(&self.eyes, now).await,
            Err(error) => Outcome {
                verdict: crate::probe::check::Verdict::CouldNotRun,
                said: Clean::line(&format!("the check cannot be read: {error}")),
                evidence: serde_json::Value::Null,
                at: now,
                took_ms: 0,
            },
        };
        (wanted.block, outcome)
    }
}

/// The configured list of the gateway, in the words of the steps.
fn told(list: &GatewayUpstream, gateway: Option<Clean>) -> Upstream {
    Upstream {
        gateway: gateway.unwrap_or_else(|| Clean::from("gateway")),
        directory: list.directory.clone(),
        file: list.file.to_string(),
        default: list.default.clone(),
        service: list.service.clone(),
        port: list.port,
        variable: list.variable.to_string(),
        test: list.test.iter().map(ToString::to_string).collect(),
        in_flight_limit: list.in_flight_limit,
    }
}

/// Every container of a project, looked into. One that went away meanwhile is not there.
pub(super) async fn containers(engine: &Engine, project: &str) -> Result<Vec<Container>, Fault> {
    let all = async {
        let listed = engine.list(project).await?;
        let mut looks = stream::iter(listed)
            .map(|listed: Listed| async move { engine.inspect(&listed.id).await })
            .buffer_unordered(CONCURRENCY);
        let mut containers = Vec::new();
        while let Some(looked) = looks.next().await {
            match looked {
                Ok(container) => containers.push(container),
                Err(error) if error.is_missing() => {}
                Err(error) => return Err(error.into()),
            }
        }
        containers.sort_by(|one: &Container, other| one.name.cmp(&other.name));
        Ok(containers)
    };
    timeout(LOOK_LIMIT, all).await.unwrap_or_else(|_| {
        let text = format!("the engine has not told of its containers within {LOOK_LIMIT:?}");
        Err(Fault::new(FaultKind::Silent, text))
    })
}

/// The runs of the same world that ended well.
fn earlier(story: &Story, mode: Mode) -> Vec<Earlier> {
    let done = story
        .newest()
        .filter(|run| run.mode == mode && run.state.phase() == Phase::Ended(Verdict::Completed));
    done.map(|run| Earlier {
        runbook: run.plan.runbook.clone(),
        target: run.plan.target.clone(),
        took_ms: u64::try_from(run.took(run.last_at).as_millis()).unwrap_or(u64::MAX),
    })
    .collect()
}
