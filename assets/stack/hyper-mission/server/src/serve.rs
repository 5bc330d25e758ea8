//! The listener: accept, drain, finish what was begun, leave.
//!
//! Told to stop, a replica answers on for a moment, empties its queue of connections, closes the door and ends when the
//! last request is answered. A connection refused is one the gateway may send elsewhere, whatever the method; a
//! connection reset after the request was sent is not, so nothing may be left in the queue when the door closes.

use std::convert::Infallible;
use std::io;
use std::net::Ipv4Addr;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::api::{self, App};
use crate::log;

/// The gateway sends its request at once; anybody slower is not a client of ours.
const HEADER_LIMIT: Duration = Duration::from_secs(10);
/// Requests still running after that are cut: the engine kills after its own grace period anyway.
const FINISH_LIMIT: Duration = Duration::from_secs(8);
/// Between the door closing and the connections being told: a connection that was just taken may not have been read
/// yet, and one told to close before its first request closes at once, with that request unanswered.
const ON_ITS_WAY: Duration = Duration::from_millis(300);
/// When the process has no file descriptor left, trying again at once would only burn its half core.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// The health check of the engine has a deadline of its own, a little later than this one.
const CHECK_LIMIT: Duration = Duration::from_millis(1500);

/// Serves until told to stop; returns when the last request is answered.
pub(crate) async fn serve(app: Arc<App>, mut draining: watch::Receiver<bool>) -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, app.config.port)).await?;
    let (close_tx, close) = watch::channel(false);
    log::info(
        "listening",
        &json!({ "port": app.config.port, "release": app.config.release, "chaos": app.config.chaos }),
    );
    let mut connections = JoinSet::new();
    let mut until = None;
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(connections.spawn(connection(stream, Arc::clone(&app), close.clone()))),
                Err(error) => {
                    log::warn("accept", &json!({ "problem": error.to_string() }));
                    sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => (),
            () = told(&mut draining), if until.is_none() => {
                log::info("draining", &json!({ "for_ms": app.config.drain.as_millis() }));
                until = Some(Instant::now() + app.config.drain);
            }
            () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => break,
        }
    }
    for stream in last_of(listener)? {
        connections.spawn(connection(stream, Arc::clone(&app), close.clone()));
    }
    let mut waiting_for = pin!(sleep(ON_ITS_WAY));
    loop {
        tokio::select! {
            Some(_) = connections.join_next() => (),
            () = &mut waiting_for => break,
        }
    }
    close_tx.send_replace(true);
    finish(connections).await;
    Ok(())
}

async fn told(draining: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, and with it the program.
    drop(draining.wait_for(|draining| *draining).await);
}

/// Takes what waits in the queue and closes the door right behind it.
fn last_of(listener: TcpListener) -> io::Result<Vec<TcpStream>> {
    let listener = listener.into_std()?;
    listener.set_nonblocking(true)?;
    let mut waiting = Vec::new();
    while let Ok((stream, _)) = listener.accept() {
        waiting.push(stream);
    }
    drop(listener);
    waiting
        .into_iter()
        .map(|stream| {
            stream.set_nonblocking(true)?;
            TcpStream::from_std(stream)
        })
        .collect()
}

async fn finish(mut connections: JoinSet<()>) {
    let open = connections.len();
    let all = async { while connections.join_next().await.is_some() {} };
    let in_time = timeout(FINISH_LIMIT, all).await.is_ok();
    let cut = connections.len();
    if in_time {
        log::info("stopped", &json!({ "finished": open }));
    } else {
        log::warn("stopped", &json!({ "finished": open - cut, "cut": cut }));
    }
}

async fn connection(stream: TcpStream, app: Arc<App>, mut close: watch::Receiver<bool>) {
    // Without it a small answer waits for the acknowledgement of the one before.
    drop(stream.set_nodelay(true));
    let service = service_fn(move |request| {
        let app = Arc::clone(&app);
        async move { Ok::<_, Infallible>(api::answer(&app, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_LIMIT)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    // A client that went away or spoke nonsense is its own affair: hyper has answered what could be answered.
    tokio::select! {
        _ = connection.as_mut() => return,
        () = told(&mut close) => connection.as_mut().graceful_shutdown(),
    }
    drop(connection.await);
}

/// Asks the server in this container for its health: 0 when it says 200.
pub(crate) async fn check(port: u16) -> ExitCode {
    match timeout(CHECK_LIMIT, ask(port)).await {
        Ok(Ok(answer)) => {
            let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
            log::info(
                "check",
                &serde_json::from_str(body).unwrap_or_else(|_| json!({ "answer": body })),
            );
            if answer.starts_with("HTTP/1.1 200 ") {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Ok(Err(error)) => failed(&error.to_string()),
        Err(_) => failed("no answer in time"),
    }
}

fn failed(problem: &str) -> ExitCode {
    log::error("check", &json!({ "problem": problem }));
    ExitCode::FAILURE
}

async fn ask(port: u16) -> io::Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}
