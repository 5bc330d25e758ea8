//! Commands in containers: created, started with their streams attached, looked at.

use std::sync::Arc;

use hyper::header::{self, HeaderValue};
use hyper::upgrade::OnUpgrade;
use hyper::{Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::route::Call;
use super::stream::frame;
use super::{EXECS_MAX, Engine, Exec, error, refused};
use crate::range::body::{self, Body};
use crate::range::figures::{count, real_ms};
use crate::range::world::exec::wants_input;
use crate::range::world::{ExecAnswer, Refusal};

/// A dump that is restored is some megabytes here.
const INPUT_MAX: u64 = 256 * 1024 * 1024;
/// As the engine reads from a pipe.
const CHUNK: usize = 32 * 1024;

pub(super) fn create(engine: &Engine, container: &str, call: &Call) -> Response<Body> {
    let argv: Vec<String> = call.body["Cmd"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|word| word.as_str().map(str::to_owned))
        .collect();
    let found = engine.yard.with(|w| {
        let at = super::inspect::at(w, container)?;
        let c = &w.containers[at];
        if c.is_running() {
            Ok(c.id.clone())
        } else {
            Err(Refusal::Conflict(format!(
                "Container {} is not running",
                c.id
            )))
        }
    });
    let container = match found {
        Ok(id) => id,
        Err(refusal) => return refused(&refusal),
    };
    if argv.is_empty() {
        return error(StatusCode::BAD_REQUEST, "No exec command specified");
    }
    let exec = Exec {
        container,
        argv,
        takes_input: call.body["AttachStdin"] == Value::Bool(true),
        is_tty: call.body["Tty"] == Value::Bool(true),
        is_running: false,
        exit: None,
    };
    let number = engine.execs(|execs| {
        let number = execs.keys().next_back().map_or(1, |last| last + 1);
        execs.insert(number, exec);
        while execs.len() > EXECS_MAX {
            execs.pop_first();
        }
        number
    });
    body::json(
        StatusCode::CREATED,
        &json!({"Id": format!("{number:064x}")}),
    )
}

fn number(id: &str) -> Option<u64> {
    u64::from_str_radix(id, 16).ok()
}

fn exec(engine: &Engine, id: &str) -> Option<(u64, Exec)> {
    let number = number(id)?;
    let exec = engine.execs(|execs| execs.get(&number).cloned())?;
    Some((number, exec))
}

fn missing(id: &str) -> Response<Body> {
    error(
        StatusCode::NOT_FOUND,
        &format!("No such exec instance: {id}"),
    )
}

pub(super) fn inspect(engine: &Engine, id: &str) -> Response<Body> {
    let Some((_, exec)) = exec(engine, id) else {
        return missing(id);
    };
    let (entrypoint, arguments) = exec
        .argv
        .split_first()
        .map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
    body::json(
        StatusCode::OK,
        &json!({
            "ID": id,
            "Running": exec.is_running,
            "ExitCode": exec.exit,
            "ContainerID": exec.container,
            "OpenStdin": exec.takes_input,
            "OpenStdout": true,
            "OpenStderr": true,
            "CanRemove": false,
            "DetachKeys": "",
            "Pid": if exec.is_running { 4_242 } else { 0 },
            "ProcessConfig": {"tty": exec.is_tty, "entrypoint": entrypoint, "arguments": arguments, "privileged": false},
        }),
    )
}

pub(super) fn start(
    engine: &Arc<Engine>,
    id: &str,
    call: &Call,
    upgrade: Option<OnUpgrade>,
) -> Response<Body> {
    let Some((number, exec)) = exec(engine, id) else {
        return missing(id);
    };
    if exec.is_running || exec.exit.is_some() {
        return error(
            StatusCode::CONFLICT,
            &format!("Error: Exec command {id} has already run"),
        );
    }
    set(engine, number, |exec| exec.is_running = true);
    let engine = engine.clone();
    if call.body["Detach"] == Value::Bool(true) {
        tokio::spawn(async move {
            run(
                &engine,
                number,
                &exec,
                tokio::io::empty(),
                tokio::io::sink(),
            )
            .await;
        });
        return body::empty(StatusCode::OK);
    }
    let kind = if exec.is_tty {
        "application/vnd.docker.raw-stream"
    } else {
        "application/vnd.docker.multiplexed-stream"
    };
    match upgrade {
        Some(upgrade) => {
            tokio::spawn(async move {
                if let Ok(io) = upgrade.await {
                    let (reader, writer) = tokio::io::split(TokioIo::new(io));
                    run(&engine, number, &exec, reader, writer).await;
                }
            });
            switched(kind)
        }
        None => without_upgrade(engine, number, exec, kind),
    }
}

/// Older clients read the answer's body instead of taking the connection over. They cannot send input.
fn without_upgrade(
    engine: Arc<Engine>,
    number: u64,
    exec: Exec,
    kind: &'static str,
) -> Response<Body> {
    let (sender, response) = body::stream(kind);
    tokio::spawn(async move {
        let (reader, writer) = tokio::io::duplex(CHUNK);
        let pump = async {
            let mut reader = reader;
            let mut chunk = vec![0; CHUNK];
            while let Ok(read @ 1..) = reader.read(&mut chunk).await {
                let bytes = hyper::body::Bytes::copy_from_slice(&chunk[..read]);
                if sender.send(bytes).await.is_err() {
                    return;
                }
            }
        };
        tokio::join!(
            run(&engine, number, &exec, tokio::io::empty(), writer),
            pump
        );
    });
    response
}

fn switched(kind: &'static str) -> Response<Body> {
    let mut response = body::empty(StatusCode::SWITCHING_PROTOCOLS);
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("tcp"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn set(engine: &Engine, number: u64, change: impl FnOnce(&mut Exec)) {
    engine.execs(|execs| {
        if let Some(exec) = execs.get_mut(&number) {
            change(exec);
        }
    });
}

async fn run<R, W>(engine: &Engine, number: u64, exec: &Exec, reader: R, mut writer: W)
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut input = Vec::new();
    if exec.takes_input && wants_input(&exec.argv) {
        // A peer that goes away in the middle of its input has ended it.
        drop(reader.take(INPUT_MAX).read_to_end(&mut input).await);
    }
    engine.yard.read_upstream();
    let done = engine
        .yard
        .with(|w| w.exec(&exec.container, &exec.argv, &input));
    let answer = done.unwrap_or_else(|refusal| ExecAnswer {
        exit: 137,
        stderr: format!("{refusal:?}\n").into_bytes(),
        ..ExecAnswer::default()
    });
    tokio::time::sleep(engine.yard.clock.span(real_ms(answer.takes_ms))).await;
    // The exit code is known before the stream ends: clients ask for it then.
    set(engine, number, |exec| {
        exec.is_running = false;
        exec.exit = Some(answer.exit);
    });
    // A reader that goes away early is its own business.
    drop(write(&mut writer, exec.is_tty, &answer).await);
    drop(writer.shutdown().await);
}

async fn write<W: AsyncWrite + Unpin>(
    writer: &mut W,
    is_tty: bool,
    answer: &ExecAnswer,
) -> std::io::Result<()> {
    for (is_error, output) in [(false, &answer.stdout), (true, &answer.stderr)] {
        for chunk in output.chunks(CHUNK) {
            if is_tty {
                writer.write_all(chunk).await?;
            } else {
                let mut framed = Vec::with_capacity(chunk.len() + 8);
                frame(&mut framed, is_error, chunk);
                debug_assert_eq!(count(framed.len()), count(chunk.len()) + 8);
                writer.write_all(&framed).await?;
            }
        }
    }
    writer.flush().await
}
