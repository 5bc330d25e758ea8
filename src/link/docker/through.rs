//! A command inside a container whose input and output are streams of any length: neither is ever held whole.
//!
//! What comes out is handed on as it comes, at the pace of whoever takes it; what goes in is read no faster than the
//! command takes it.

use std::io;

use bollard::container::LogOutput;
use bollard::exec::{StartExecOptions, StartExecResults};
use bollard::models::ExecConfig;
use futures_util::StreamExt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::exec::{Command, Ended, keep};
use super::{Engine, EngineError};
use crate::domain::{Clean, ContainerId};

/// Read at a time. Larger pieces gain nothing on a local socket.
const PIECE_BYTES: usize = 64 * 1024;
const WHAT: &str = "the command in a container";

/// How a command with streams ended.
#[derive(Debug)]
pub struct Flowed {
    /// Without its output, which went on.
    pub ended: Ended,
    /// Bytes that the command took, or why the source gave no more. A command that ends early takes fewer.
    pub fed: io::Result<u64>,
    /// Bytes that came out, or why they could not be handed on.
    pub drawn: io::Result<u64>,
}

impl Engine {
    /// Runs a command, feeds it from `source` until that ends, and hands its output to `sink`. `command.input` is not
    /// looked at. When the deadline passes, the command goes on inside the container until its input ends.
    pub async fn exec_through<R, W>(
        &self,
        id: &ContainerId,
        command: &Command,
        source: R,
        sink: W,
    ) -> Result<Flowed, EngineError>
    where
        R: AsyncRead + Send + Unpin,
        W: AsyncWrite + Send + Unpin,
    {
        match timeout(command.deadline, self.flow(id, command, source, sink)).await {
            Ok(flowed) => flowed,
            Err(_) => {
                let program = command.argv.first().map_or("", String::as_str);
                Err(self.shared.wire.silent(program, command.deadline))
            }
        }
    }

    async fn flow<R, W>(
        &self,
        id: &ContainerId,
        command: &Command,
        mut source: R,
        mut sink: W,
    ) -> Result<Flowed, EngineError>
    where
        R: AsyncRead + Send + Unpin,
        W: AsyncWrite + Send + Unpin,
    {
        let failed = |error| self.of_bollard(WHAT, error);
        let docker = self.bollard().map_err(failed)?;
        let config = ExecConfig {
            cmd: Some(command.argv.clone()),
            user: command.user.clone(),
            env: Some(command.env.clone()),
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..ExecConfig::default()
        };
        let created = docker.create_exec(&id.0, config).await.map_err(failed)?;
        let started = docker.start_exec(&created.id, None::<StartExecOptions>);
        let StartExecResults::Attached {
            mut output,
            mut input,
        } = started.await.map_err(failed)?
        else {
            return Err(self.garbled(WHAT, "its output is not attached"));
        };
        let feeding = async {
            let fed = pour(&mut source, &mut input).await;
            // A command that has ended has no input to close.
            drop(input.shutdown().await);
            drop(input);
            fed
        };
        let drawing = async {
            let mut ended = Ended::default();
            let mut drawn = Ok(0);
            while let Some(frame) = output.next().await {
                match frame.map_err(failed)? {
                    LogOutput::StdErr { message } => {
                        ended.cut |= keep(&mut ended.stderr, &message);
                    }
                    other => hand_on(&mut sink, &mut drawn, &other.into_bytes()).await,
                }
            }
            let closed = sink.shutdown().await;
            Ok::<_, EngineError>((ended, drawn.and_then(|bytes| closed.map(|()| bytes))))
        };
        let (fed, drawn) = tokio::join!(feeding, drawing);
        let (mut ended, drawn) = drawn?;
        let looked = docker.inspect_exec(&created.id).await.map_err(failed)?;
        match looked.exit_code {
            Some(exit) if looked.running != Some(true) => ended.exit = exit,
            _ => {
                return Err(EngineError::BrokenOff {
                    address: self.shared.wire.shown(),
                    what: Clean::from(WHAT),
                    reason: Clean::from("its output ended and it did not"),
                });
            }
        }
        Ok(Flowed { ended, fed, drawn })
    }
}

/// After the first failure the rest is dropped: the command must not wait for a sink that is gone.
async fn hand_on<W: AsyncWrite + Unpin>(sink: &mut W, drawn: &mut io::Result<u64>, piece: &[u8]) {
    let Ok(bytes) = drawn else {
        return;
    };
    let more = u64::try_from(piece.len()).unwrap_or(u64::MAX);
    match sink.write_all(piece).await {
        Ok(()) => *bytes = bytes.saturating_add(more),
        Err(error) => *drawn = Err(error),
    }
}

/// Everything of the source into the command. A command that takes no more says why by its exit code, so that is no
/// fault here; a source that breaks off is.
async fn pour<R, W>(source: &mut R, input: &mut W) -> io::Result<u64>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut piece = vec![0; PIECE_BYTES];
    let mut fed: u64 = 0;
    loop {
        let read = source.read(&mut piece).await?;
        if read == 0 {
            return Ok(fed);
        }
        if input.write_all(&piece[..read]).await.is_err() {
            return Ok(fed);
        }
        fed = fed.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_source_that_breaks_off_is_told_from_one_that_ends() {
        let (mut near, far) = tokio::io::duplex(16);
        let mut whole: &[u8] = b"abcdef";
        assert_eq!(pour(&mut whole, &mut near).await.unwrap(), 6);
        let mut broken = broken_source();
        assert!(pour(&mut broken, &mut near).await.is_err());
        drop(far);
        let mut unread: &[u8] = b"abcdef";
        assert_eq!(
            pour(&mut unread, &mut near).await.unwrap(),
            0,
            "nobody takes it"
        );
    }

    /// Gives an error at the first read.
    fn broken_source() -> impl AsyncRead + Unpin {
        struct Broken;
        impl AsyncRead for Broken {
            fn poll_read(
                self: std::pin::Pin<&mut Self>,
                _: &mut std::task::Context<'_>,
                _: &mut tokio::io::ReadBuf<'_>,
            ) -> std::task::Poll<io::Result<()>> {
                std::task::Poll::Ready(Err(io::Error::other("the store went away")))
            }
        }
        Broken
    }
}
