//! Load on a server that does what a test wants.

use std::sync::atomic::AtomicU32;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::*;
use crate::link::tls::Roots;
use crate::link::url::Url;
use crate::probe::tap::Failure;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Replica: one\r\n\r\nok";
const BAD: &str = "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n";

struct Server {
    way: Way,
    connections: Arc<AtomicU32>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// `says`: what a request of this number on its connection is answered, after how long, and whether it is the last.
type Says = fn(u32) -> (Duration, &'static str, bool);

async fn serve(says: Says) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    let connections = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&connections);
    let task = tokio::spawn(async move {
        let mut talks = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            count.fetch_add(1, Ordering::Relaxed);
            talks.spawn(talk(stream, says));
        }
    });
    let way = Way::to(url, None, None, Roots::system_lazily())
        .await
        .unwrap();
    Server {
        way,
        connections,
        task,
    }
}

async fn talk(mut stream: TcpStream, says: Says) {
    let mut heard = [0; 1024];
    for number in 0.. {
        if stream.read(&mut heard).await.unwrap_or(0) == 0 {
            return;
        }
        let (wait, text, last) = says(number);
        sleep(wait).await;
        if stream.write_all(text.as_bytes()).await.is_err() || last {
            return;
        }
    }
}

fn plan() -> Plan {
    Plan {
        head: false,
        rate: None,
        users: None,
        pause: Duration::ZERO,
        time: Duration::from_secs(1),
        deadline: DEADLINE,
        harm: Harm::default(),
    }
}

fn rate(rate: u32) -> Plan {
    Plan {
        rate: Some(rate),
        ..plan()
    }
}

#[track_caller]
fn adds_up(tally: &Tally) {
    let unsent = tally.by_kind.get(&Failure::Unsent).copied().unwrap_or(0);
    assert_eq!(
        tally.sent + unsent,
        tally.answered + tally.failed,
        "{tally:?}"
    );
}

#[tokio::test]
async fn what_is_due_is_sent_on_kept_connections() {
    let server = serve(|_| (Duration::ZERO, OK, false)).await;
    let outcome = run(rate(200), server.way.clone(), Timestamp(0))
        .await
        .unwrap();
    adds_up(&outcome.tally);
    assert_eq!(outcome.tally.answered + outcome.tally.failed, 200);
    assert_eq!(
        outcome.tally.by_replica[&Clean::from("one")],
        outcome.tally.answered
    );
    assert_eq!(
        u64::from(server.connections.load(Ordering::Relaxed)),
        outcome.open
    );
}

#[tokio::test]
async fn a_server_that_stands_still_is_seen_by_every_request_that_was_due() {
    // Each connection's third request stands still.
    let server = serve(|n| {
        (
            Duration::from_millis(if n == 2 { 600 } else { 0 }),
            OK,
            false,
        )
    })
    .await;
    let plan = Plan {
        users: Some(1),
        ..rate(50)
    };
    let outcome = run(plan, server.way.clone(), Timestamp(0)).await.unwrap();
    adds_up(&outcome.tally);
    // One request stood; thirty were due meanwhile, and their users waited as well.
    let half = outcome.tally.percentile_ms(70).unwrap();
    assert!(half > 100.0, "{:?}", outcome.tally);
}

#[tokio::test]
async fn what_nobody_was_free_to_send_has_failed() {
    let server = serve(|_| (Duration::from_millis(300), OK, false)).await;
    let plan = Plan {
        users: Some(1),
        ..rate(100)
    };
    let outcome = run(plan, server.way.clone(), Timestamp(0)).await.unwrap();
    adds_up(&outcome.tally);
    assert!(
        outcome.tally.by_kind[&Failure::Unsent] > 50,
        "{:?}",
        outcome.tally
    );
    assert_eq!(outcome.tally.answered + outcome.tally.failed, 100);
}

#[tokio::test]
async fn a_connection_that_was_closed_between_two_requests_is_no_failure() {
    let server = serve(|n| (Duration::ZERO, OK, n == 3)).await;
    let few = Plan {
        users: Some(5),
        ..rate(200)
    };
    let outcome = run(few, server.way.clone(), Timestamp(0)).await.unwrap();
    adds_up(&outcome.tally);
    assert_eq!(outcome.tally.failed, 0, "{:?}", outcome.tally);
    // Each of them answers four times.
    assert!(
        server.connections.load(Ordering::Relaxed) >= 50,
        "{:?}",
        outcome.tally
    );
}

#[tokio::test]
async fn it_ends_itself_when_it_does_harm() {
    let server = serve(|_| (Duration::ZERO, BAD, false)).await;
    let plan = Plan {
        time: Duration::from_mins(5),
        harm: Harm {
            seconds: 1,
            ..Harm::default()
        },
        ..rate(100)
    };
    let outcome = run(plan, server.way.clone(), Timestamp(0)).await.unwrap();
    adds_up(&outcome.tally);
    assert!(outcome.harmed.unwrap().contains("failed"));
    assert_eq!(outcome.tally.by_status[&503], outcome.tally.failed);
    assert_eq!(outcome.tally.answered, 0);
}

#[tokio::test]
async fn who_cannot_come_has_failed() {
    let server = serve(|_| (Duration::ZERO, OK, false)).await;
    let mut way = server.way.clone();
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    way.addresses = vec![closed.local_addr().unwrap()].into();
    drop(closed);
    let users = Plan {
        users: Some(5),
        ..plan()
    };
    let outcome = run(users, way, Timestamp(0)).await.unwrap();
    assert_eq!((outcome.open, outcome.tally.failed), (0, 5));
    assert_eq!(outcome.tally.by_kind[&Failure::Refused], 5);
}
