//! Ports that are open while the simulated process behind them accepts connections, and closed while it does not.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::body::Body;
use super::world::World;
use super::yard::Yard;

/// Connections at once per port: a console has a few, a load test some hundred.
const CONNECTIONS_MAX: usize = 1_024;

/// Keeps a port for ever: open while `is_open`, with `serve` for each connection.
pub(super) async fn keep<F, S>(
    yard: Arc<Yard>,
    first: TcpListener,
    address: SocketAddr,
    is_open: impl Fn(&World) -> bool,
    serve: F,
) where
    F: Fn(TcpStream, SocketAddr) -> S,
    S: Future<Output = ()> + Send + 'static,
{
    let mut beats = yard.beats();
    let mut listener = Some(first);
    let mut connections = JoinSet::new();
    loop {
        match (yard.with(|w| is_open(w)), &listener) {
            (false, Some(_)) => {
                listener = None;
                connections.abort_all();
            }
            // Somebody else may hold the port by now; the next beat tries again.
            (true, None) => listener = TcpListener::bind(address).await.ok(),
            _ => {}
        }
        tokio::select! {
            accepted = accept(listener.as_ref()) => {
                if let Ok((stream, peer)) = accepted
                    && connections.len() < CONNECTIONS_MAX
                {
                    connections.spawn(serve(stream, peer));
                }
            }
            changed = beats.changed() => if changed.is_err() { return },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> std::io::Result<(TcpStream, SocketAddr)> {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}

/// Speaks HTTP/1 on a connection until it ends. How it ends is the peer's business.
pub(super) async fn http<I, H, A>(io: I, handle: H)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Fn(Request<Incoming>) -> A + Send + 'static,
    A: Future<Output = Response<Body>> + Send + 'static,
{
    /// A peer that connects and says nothing.
    const HEADER_TIMEOUT: std::time::Duration = std::time::Duration::from_mins(1);
    let service = service_fn(move |request| {
        let answer = handle(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .half_close(true)
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(io), service)
        .with_upgrades();
    drop(served.await);
}
