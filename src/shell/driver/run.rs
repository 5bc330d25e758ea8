//! `quarterdeck driver RUN`: one process from its start to the end of its run.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use color_eyre::eyre::{Result, WrapErr, eyre};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

use super::beside::Beside;
use super::desk::Desk;
use super::engine::Watched;
use super::owner::{DriveError, Left, Owner};
use super::past::Past;
use super::process;
use super::steps::Steps;
use crate::config::{Config, Env};
use crate::domain::{Clean, Timestamp};
use crate::engine::{Plan, RunId};
use crate::journal::{Access, Address, Code, Draft, Journal, Moment, Seq};
use crate::runbook::{Attached, Brief};
use crate::shell::clock::Clock;
use crate::shell::identity::Identity;
use crate::shell::scene::Sight;
use crate::shell::watches::engine_of;

/// `EX_TEMPFAIL`: another run, or another driver, holds the target.
const EXIT_HELD: u8 = 75;
/// The run could not be driven; its log says why.
const EXIT_NOT_DRIVEN: u8 = 70;

/// Guards and tap that wait to be heard.
const ASIDES_MAX: usize = 64;

/// One acts, one measures: a slow disk must not delay the users' requests that are counted.
const WORKERS: usize = 2;

/// What has to be known of a run before it can be driven.
pub struct Errand<'a> {
    pub config: &'a Config,
    pub env: &'a Env,
    pub project: Option<&'a str>,
    pub address: Address,
    pub run: RunId,
    pub since: Seq,
}

/// Leaves the session, and drives.
pub fn run(errand: &Errand<'_>) -> Result<ExitCode> {
    process::leave_session();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .enable_all()
        .build()
        .wrap_err("cannot start the clockwork")?;
    let left = runtime.block_on(drive(errand));
    runtime.shutdown_timeout(Duration::from_secs(1));
    match left {
        Ok(left) => {
            tracing::info!("run {}: {left:?}", errand.run.0);
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            tracing::error!("{}", crate::shell::sanitised(&error));
            eprintln!("{}", crate::shell::sanitised(&error));
            let held = matches!(error.downcast_ref(), Some(DriveError::Held(_)));
            Ok(ExitCode::from(if held {
                EXIT_HELD
            } else {
                EXIT_NOT_DRIVEN
            }))
        }
    }
}

async fn drive(errand: &Errand<'_>) -> Result<Left> {
    let stop = signals()?;
    let identity = Identity::look(errand.env);
    let journal = Journal::open(&errand.address, Access::Write).await?;
    for notice in journal.notices() {
        tracing::warn!("{notice}");
    }
    journal.preflight()?;
    let past = Past::read(&journal, &errand.run, errand.since).await?;
    let past = past.ok_or_else(|| DriveError::Unknown(errand.run.clone()))?;
    let plan = &past.requested.plan;
    let owner = match own(errand, journal, &identity, &past, stop).await {
        Ok(owner) => owner,
        Err((journal, fault)) => {
            say_why(&journal, &identity, &past, &fault).await;
            return Err(eyre!("{fault}"));
        }
    };
    tracing::info!("drives run {} on {}", errand.run.0, plan.target.0);
    let book = owner.desk.clone();
    let left = owner.drive().await;
    if let Err(error) = &left {
        let fault = Clean::line(&error.to_string());
        say_why(&book.book, &identity, &past, &fault).await;
    }
    Ok(left?)
}

/// A run that cannot be driven says so where everybody looks.
async fn say_why(journal: &Journal, identity: &Identity, past: &Past, fault: &Clean) {
    let draft = Draft {
        moment: identity.moment(),
        actor: identity.actor.clone(),
        mode: past.request.mode,
        code: Code::Refused,
        target: past.requested.plan.target.0.clone(),
        body: serde_json::json!({ "run": past.requested.run.0, "reason": fault }),
    };
    if let Err(error) = journal.append(&draft).await {
        tracing::error!("the journal does not say why the run is not driven: {error}");
    }
}

/// Everything that drives the run; or why it cannot be driven.
async fn own(
    errand: &Errand<'_>,
    journal: Journal,
    identity: &Identity,
    past: &Past,
    stop: watch::Receiver<bool>,
) -> Result<Owner<Journal, Steps>, (Journal, Clean)> {
    let plan = &past.requested.plan;
    let (tell, asides) = mpsc::channel(ASIDES_MAX);
    let now = clock(identity);
    let made = make(errand, past, &now, &tell).await;
    let (steps, beside) = match made {
        Ok(made) => made,
        Err(fault) => return Err((journal, fault)),
    };
    let desk = Desk {
        book: journal,
        now,
        actor: identity.actor.clone(),
        mode: past.request.mode,
        run: errand.run.clone(),
        target: plan.target.clone(),
        driver: process::own_id(&identity.boot_id),
        spool: process::spool_folder(errand.config, &errand.run),
    };
    Ok(Owner {
        desk: Arc::new(desk),
        deck: Arc::new(steps),
        asides,
        beside: Some(beside),
        stop,
        since: past.request.seq,
    })
}

async fn make(
    errand: &Errand<'_>,
    past: &Past,
    now: &super::desk::Now,
    tell: &mpsc::Sender<super::deck::Aside>,
) -> Result<(Steps, Beside), Clean> {
    let plan = &past.requested.plan;
    unchanged(plan)?;
    let engine = engine_of(errand.config);
    let sight = Sight::of(errand.config, &engine, errand.project).await;
    let sight = sight.map_err(|fault| Clean::from(fault.to_string()))?;
    if sight.mode() != past.request.mode {
        return Err(Clean::from(format!(
            "the run was asked for in the {} world, and this configuration is of the other",
            past.request.mode.word()
        )));
    }
    let attached = Attached::deserialize(&plan.attached)
        .map_err(|error| Clean::line(&format!("the plan's guards cannot be read: {error}")))?;
    if attached.stack != sight.stack.name {
        return Err(Clean::from(format!(
            "the plan is for the stack {}, this configuration is for {}",
            attached.stack, sight.stack.name
        )));
    }
    let now = now.clone();
    let at: Arc<dyn Fn() -> Timestamp + Send + Sync> = Arc::new(move || now().at);
    // What was shown beside the plan decides nothing: here it says whose replicas are to be counted.
    let brief = Brief::deserialize(&past.requested.brief).ok();
    let watched = brief.and_then(|brief| brief.floor).map(|floor| Watched {
        floor,
        upstream: sight.upstream.clone(),
    });
    let beside = Beside::start(&attached, &sight.eyes, &at, tell, watched)?;
    let steps = Steps::read(plan, sight, at, errand.run.clone())?;
    Ok((steps, beside))
}

/// What was confirmed is what runs: the plan is the one that its number is the digest of.
pub fn unchanged(plan: &Plan) -> Result<(), Clean> {
    use std::fmt::Write;
    let digest = Sha256::digest(plan.digest_input());
    let hex = digest.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    if plan.id.0 == *hex {
        return Ok(());
    }
    Err(Clean::from(DriveError::OtherPlan.to_string()))
}

/// The wall's time once, and the machine's from there on: a step of the wall clock moves no deadline.
fn clock(identity: &Identity) -> super::desk::Now {
    let (clock, identity) = (Clock::start(), identity.clone());
    Arc::new(move || Moment {
        at: clock.now(),
        ..identity.moment()
    })
}

/// True when the process is to go. A hang-up is none of its business: it has no terminal.
fn signals() -> Result<watch::Receiver<bool>> {
    let (told, stop) = watch::channel(false);
    let mut terminate = signal(SignalKind::terminate()).wrap_err("cannot listen for signals")?;
    let mut interrupt = signal(SignalKind::interrupt()).wrap_err("cannot listen for signals")?;
    let mut hang_up = signal(SignalKind::hangup()).wrap_err("cannot listen for signals")?;
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                _ = hang_up.recv() => tracing::info!("a hang-up changes nothing"),
            }
        }
        told.send_replace(true);
        // Whoever listens may still ask.
        std::future::pending::<()>().await;
    });
    Ok(stop)
}
