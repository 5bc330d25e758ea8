//! The API server of the reference stack.
//!
//! Started three times behind the gateway. It never dies because something else is late: the database and Redis are
//! reached in the background, and `/healthz` says whether this replica can serve.

mod api;
mod config;
mod database;
mod log;
mod metrics;
mod serve;
mod sessions;

use std::process::ExitCode;
use std::sync::Arc;

use config::Config;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// The container is limited to half a core; more threads would only take turns.
const WORKERS: usize = 2;

fn main() -> ExitCode {
    let config = match Config::from_env() {
        Ok(config) => config,
        Err(problem) => {
            log::error("configuration", &json!({ "problem": problem }));
            return ExitCode::from(78);
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            log::error("runtime", &json!({ "problem": error.to_string() }));
            return ExitCode::FAILURE;
        }
    };
    match std::env::args().nth(1).as_deref() {
        None => runtime.block_on(run(config)),
        Some("--check") => runtime.block_on(serve::check(config.port)),
        Some(other) => {
            log::error(
                "arguments",
                &json!({ "problem": format!("unknown argument {other}; there is only --check") }),
            );
            ExitCode::from(64)
        }
    }
}

async fn run(config: Config) -> ExitCode {
    // Before anything else: the kernel ignores SIGTERM for PID 1 as long as no handler is installed.
    let (draining_tx, draining) = watch::channel(false);
    let (mut term, mut int) = match (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) {
        (Ok(term), Ok(int)) => (term, int),
        (Err(error), _) | (_, Err(error)) => {
            log::error("signals", &json!({ "problem": error.to_string() }));
            return ExitCode::FAILURE;
        }
    };
    tokio::spawn(async move {
        tokio::select! { _ = term.recv() => (), _ = int.recv() => () }
        draining_tx.send_replace(true);
        // The sender lives on: dropping it would look like the end of the program to the receivers.
        std::future::pending::<()>().await;
    });
    let app = Arc::new(api::App::start(config, draining.clone()));
    match serve::serve(app, draining).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::error("listen", &json!({ "problem": error.to_string() }));
            ExitCode::FAILURE
        }
    }
}
