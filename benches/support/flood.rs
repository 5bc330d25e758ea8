//! A Docker engine of a thousand containers whose logs never stop, as much of it as the console asks for.
//!
//! It speaks HTTP/1.1 on a socket of its own; every connection has a thread, which ends with its client.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// Lines of a log come in bursts of this length.
const BURST: Duration = Duration::from_millis(10);

pub(crate) const PROJECT: &str = "flood";

#[derive(Clone, Copy)]
pub(crate) struct Flood {
    pub(crate) containers: u32,
    pub(crate) lines_per_s: u32,
}

impl Flood {
    /// Listens in `home`; the thread ends with the process.
    pub(crate) fn start(self, home: &Path) -> PathBuf {
        let socket = home.join("engine.sock");
        let listener = UnixListener::bind(&socket).expect("a socket in a folder of our own");
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that has gone away is the normal end.
                thread::spawn(move || drop(self.serve(&stream)));
            }
        });
        socket
    }

    fn serve(self, stream: &UnixStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream);
        loop {
            let mut request = String::new();
            if reader.read_line(&mut request)? == 0 {
                return Ok(());
            }
            let mut header = String::new();
            while reader.read_line(&mut header)? > 2 {
                header.clear();
            }
            self.answer(&request, stream)?;
        }
    }

    fn answer(self, request: &str, mut stream: &UnixStream) -> std::io::Result<()> {
        let target = request.split(' ').nth(1).unwrap_or("/");
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let path = match path.strip_prefix("/v1.").and_then(|p| p.split_once('/')) {
            Some((_, rest)) => rest,
            None => path.trim_start_matches('/'),
        };
        let parts: Vec<&str> = path.split('/').collect();
        let body = match parts.as_slice() {
            ["_ping"] => "OK".to_owned(),
            ["version"] => r#"{"Version":"20.10.24","ApiVersion":"1.41","Os":"linux"}"#.to_owned(),
            ["info"] => r#"{"Name":"elsewhere","Swarm":{"LocalNodeState":"inactive"}}"#.to_owned(),
            ["containers", "json"] => self.list(),
            ["containers", id, "json"] => inspect(id),
            ["containers", id, "stats"] => stats(id),
            ["containers", _, "logs"]
                if query.contains("follow=1") || query.contains("follow=true") =>
            {
                return self.log(stream);
            }
            ["containers", _, "logs"] => String::new(),
            ["images", ..] => r#"{"Id":"sha256:one","RepoDigests":["x@sha256:d"]}"#.to_owned(),
            ["events"] => {
                stream.write_all(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
                )?;
                // Nothing ever happens; the client closes the line when it ends.
                let mut byte = [0; 1];
                let _ = std::io::Read::read(&mut stream, &mut byte)?;
                return Err(std::io::ErrorKind::ConnectionAborted.into());
            }
            _ => r#"{"message":"page not found"}"#.to_owned(),
        };
        write!(
            stream,
            "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    fn list(self) -> String {
        let mut out = String::from("[");
        for n in 0..self.containers {
            let comma = if n == 0 { "" } else { "," };
            write!(
                out,
                r#"{comma}{{"Id":"{}","Names":["/{PROJECT}-{}"],"Image":"server:1","ImageID":"sha256:one","Created":1795176000,"State":"running","Status":"Up 5 minutes (healthy)","Labels":{}}}"#,
                id(n),
                name(n),
                labels(n)
            )
            .expect("a text takes any text");
        }
        out.push(']');
        out
    }

    /// A log that never ends, at an even pace.
    fn log(self, mut stream: &UnixStream) -> std::io::Result<()> {
        stream.write_all(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
        )?;
        let begun = Instant::now();
        let mut sent = 0_u128;
        loop {
            let due = begun.elapsed().as_micros() * u128::from(self.lines_per_s) / 1_000_000;
            let mut burst = Vec::new();
            while sent < due {
                let line = format!(
                    "2026-11-20T12:03:{:02}.{:09}Z GET /api/orders/{sent} 200 12 ms\n",
                    sent / 10_000 % 60,
                    sent % 1_000_000_000
                );
                let length = u32::try_from(line.len())
                    .expect("a short line")
                    .to_be_bytes();
                burst.extend_from_slice(&[1, 0, 0, 0]);
                burst.extend_from_slice(&length);
                burst.extend_from_slice(line.as_bytes());
                sent += 1;
            }
            if !burst.is_empty() {
                write!(stream, "{:x}\r\n", burst.len())?;
                stream.write_all(&burst)?;
                stream.write_all(b"\r\n")?;
            }
            thread::sleep(BURST);
        }
    }
}

fn id(n: u32) -> String {
    format!("{n:064x}")
}

fn name(n: u32) -> String {
    format!("service{:02}-{}", n % 20, n / 20 + 1)
}

fn labels(n: u32) -> String {
    format!(
        r#"{{"com.docker.compose.project":"{PROJECT}","com.docker.compose.service":"service{:02}","com.docker.compose.container-number":"{}"}}"#,
        n % 20,
        n / 20 + 1
    )
}

fn inspect(id: &str) -> String {
    let n = u32::from_str_radix(id.trim_start_matches('0'), 16).unwrap_or(0);
    format!(
        r#"{{"Id":"{id}","Name":"/{PROJECT}-{}","Image":"sha256:one","RestartCount":0,"Created":"2026-11-20T12:00:00Z","State":{{"Status":"running","Running":true,"ExitCode":0,"Pid":0,"StartedAt":"2026-11-20T12:00:00Z","FinishedAt":"0001-01-01T00:00:00Z","Health":{{"Status":"healthy","FailingStreak":0,"Log":[]}}}},"Config":{{"Image":"server:1","Tty":false,"Labels":{}}},"HostConfig":{{"RestartPolicy":{{"Name":"always"}}}},"NetworkSettings":{{"Networks":{{}}}},"Mounts":[]}}"#,
        name(n),
        labels(n)
    )
}

fn stats(id: &str) -> String {
    format!(
        r#"{{"id":"{id}","read":"2026-11-20T12:00:00Z","cpu_stats":{{"cpu_usage":{{"total_usage":1000000}},"online_cpus":2}},"memory_stats":{{"usage":1000000,"limit":100000000,"stats":{{}}}},"pids_stats":{{"current":1}}}}"#
    )
}
