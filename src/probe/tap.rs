//! The tap: steady requests through the real gateway while a run goes on.
//!
//! It is an open loop: a request is due when the clock says so, whether or not the earlier ones have come back, and its
//! latency counts from when it was due. So a gateway that stands still is seen as the users see it, not as one slow
//! request. Each request is a connection of its own: during a reload or a restart it is new connections that fail first,
//! and a kept one would not notice. What could not be sent because too many are in flight has failed. What could not be
//! sent because we ourselves were held up is missing, is said (`gaps`), and counts against the run as much.
//!
//! `GET` and `HEAD` only: the tap changes nothing.

mod count;
pub(in crate::probe) mod latency;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep_until};

use crate::domain::{Clean, Fault, FaultKind, Timestamp};
use crate::link::http::{Answer, Ask, Body, Follow, Method, Stage, Unanswered, fetch_staged};
use crate::link::recall::Recall;
use crate::link::tls::Roots;
use crate::link::url::Url;

use count::Tally;
pub use count::{FailedRequest, Failure, Gap, TapCount};

/// Requests a second. Below, a short failure falls between two; above, the tap is a load test.
pub const RATE_MIN: u32 = 1;
pub const RATE_MAX: u32 = 500;

/// Enough that a failure of 100 ms is met five times.
pub const RATE_DEFAULT: u32 = 50;

/// A user has gone by then.
pub const DEADLINE: Duration = Duration::from_secs(5);

/// Each holds a socket, and a process has 1,024 files where nobody raised that. At the default rate the deadline
/// keeps them below 250.
pub const IN_FLIGHT_MAX: usize = 512;

/// A timer that is later than this was not held up by the requests: we did not run.
pub const GAP: Duration = Duration::from_secs(1);

/// Headers by which a gateway says who served.
pub(in crate::probe) const REPLICA_HEADERS: [&str; 3] = ["x-served-by", "x-replica", "x-upstream"];

/// What is asked, how often, and whom to trust.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TapSettings {
    url: Url,
    method: Method,
    rate: u32,
    pub connect_to: Option<Clean>,
    /// Authorities trusted beside the system's.
    pub ca_file: Option<PathBuf>,
    /// Of each request; [`DEADLINE`] unless said otherwise.
    pub deadline: Duration,
}

impl TapSettings {
    /// `rate` in requests a second, [`RATE_MIN`] to [`RATE_MAX`]; `method` `GET` or `HEAD`.
    pub fn new(url: &str, method: &str, rate: u32) -> Result<Self, Fault> {
        if !(RATE_MIN..=RATE_MAX).contains(&rate) {
            let text = format!("a tap of {rate} requests a second");
            return Err(Fault::new(FaultKind::Misconfigured, text)
                .remedy(format!("choose between {RATE_MIN} and {RATE_MAX}")));
        }
        Ok(Self {
            url: Url::parse(url)?,
            method: Method::parse(method)?,
            rate,
            connect_to: None,
            ca_file: None,
            deadline: DEADLINE,
        })
    }

    pub fn rate(&self) -> u32 {
        self.rate
    }

    fn ask(&self, deadline: Duration) -> Ask {
        Ask {
            method: self.method,
            url: self.url.clone(),
            connect_to: self.connect_to.clone(),
            origin: None,
            // A redirect is an answer.
            follow: Follow::Never,
            body: Body::Count,
            ca_file: self.ca_file.clone(),
            deadline,
        }
    }
}

/// A tap that runs. Dropping it ends it with all that is in flight; [`Tap::stop`] waits for those.
#[derive(Debug)]
pub struct Tap {
    tally: watch::Receiver<Tally>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Tap {
    /// Begins at once. Needs a runtime around it. `now` says the time for the record; nothing is reckoned by it.
    pub fn start(
        settings: TapSettings,
        roots: Arc<Roots>,
        now: impl Fn() -> Timestamp + Send + Sync + 'static,
    ) -> Self {
        let (sender, tally) = watch::channel(Tally::default());
        let (stop, stopped) = oneshot::channel();
        let shared = Shared {
            settings,
            roots,
            recall: Recall::default(),
            tally: sender,
            now: Box::new(now),
        };
        let task = tokio::spawn(pour(Arc::new(shared), stopped));
        Self {
            tally,
            stop: Some(stop),
            task,
        }
    }

    /// How it stands. Cheap; never waits.
    pub fn count(&self) -> TapCount {
        let mut count = self.tally.borrow().count();
        count.broken = self.task.is_finished() && self.stop.is_some();
        count
    }

    /// Sends no more, waits for those in flight (at most their deadline), and says how it ended.
    pub async fn stop(mut self) -> TapCount {
        let stop = self.stop.take();
        // Nobody listens where the task broke; that is said below.
        let _ = stop.map(|stop| stop.send(()));
        let ended = (&mut self.task).await;
        let mut count = self.tally.borrow().count();
        count.broken = ended.is_err();
        count
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What the pouring and the requests share.
struct Shared {
    settings: TapSettings,
    roots: Arc<Roots>,
    /// Five hundred questions a second about the same name would load the resolver, not the gateway.
    recall: Recall,
    tally: watch::Sender<Tally>,
    now: Box<dyn Fn() -> Timestamp + Send + Sync>,
}

impl Shared {
    fn note(&self, note: impl FnOnce(&mut Tally)) {
        self.tally.send_modify(note);
    }
}

/// Sends what is due, until it is told to stop.
async fn pour(shared: Arc<Shared>, mut stopped: oneshot::Receiver<()>) {
    let period = Duration::from_secs(1) / shared.settings.rate;
    let mut flying = JoinSet::new();
    shared.roots.read().await;
    let mut due = Instant::now();
    loop {
        tokio::select! {
            biased;
            _ = &mut stopped => break,
            Some(ended) = flying.join_next() => note_broken(&shared, ended.is_err()),
            () = sleep_until(due) => {
                due = skip_gap(&shared, due, period);
                send(&shared, due, &mut flying);
                due += period;
            }
        }
    }
    while let Some(ended) = flying.join_next().await {
        note_broken(&shared, ended.is_err());
    }
}

/// A request of ours that panicked has not shown that anything works.
fn note_broken(shared: &Shared, broke: bool) {
    if broke {
        let failed = FailedRequest {
            at: (shared.now)(),
            kind: Failure::Broken,
            status: None,
            latency_ms: 0,
            replica: None,
        };
        shared.note(|tally| tally.failed(failed));
    }
}

/// When the timer is far too late, what was due meanwhile is missing; sent in a heap, it would be an attack.
fn skip_gap(shared: &Shared, due: Instant, period: Duration) -> Instant {
    let now = Instant::now();
    let late = now.saturating_duration_since(due);
    if late <= GAP {
        return due;
    }
    let missed = u64::try_from(late.as_nanos() / period.as_nanos()).unwrap_or(u64::MAX);
    let at = (shared.now)();
    shared.note(|tally| tally.gap(at, late, missed));
    now
}

fn send(shared: &Arc<Shared>, due: Instant, flying: &mut JoinSet<()>) {
    let at = (shared.now)();
    if flying.len() >= IN_FLIGHT_MAX {
        let failed = FailedRequest {
            at,
            kind: Failure::Unsent,
            status: None,
            latency_ms: 0,
            replica: None,
        };
        shared.note(|tally| {
            tally.sent();
            tally.failed(failed);
        });
        return;
    }
    shared.note(Tally::sent);
    let shared = Arc::clone(shared);
    flying.spawn(async move { one(&shared, at, due).await });
}

async fn one(shared: &Shared, at: Timestamp, due: Instant) {
    let late = due.elapsed();
    let ask = shared
        .settings
        .ask(shared.settings.deadline.saturating_sub(late));
    let answer = fetch_staged(&ask, &shared.roots, Some(&shared.recall), at).await;
    let replica = answer.as_ref().ok().and_then(replica);
    match judge(&answer) {
        Ok(took) => shared.note(|tally| tally.answered(late + took, replica)),
        Err((kind, status)) => {
            let failed = FailedRequest {
                at,
                kind,
                status,
                latency_ms: count::millis(due.elapsed()),
                replica,
            };
            shared.note(|tally| tally.failed(failed));
        }
    }
}

/// Was the user served, and how long did it take? What we spend on judging certificates is ours and not counted. A
/// status of 400 and above says no: the path is one that is known to be good.
fn judge(answer: &Result<Answer, Unanswered>) -> Result<Duration, (Failure, Option<u16>)> {
    let answer = match answer {
        Ok(answer) => answer,
        Err(unanswered) => return Err((unanswered_as(unanswered), None)),
    };
    let status = Some(answer.status);
    match answer.status {
        // The server was not trusted, and so was not asked.
        0 => Err((Failure::Tls, None)),
        400.. => Err((Failure::Status, status)),
        _ if !answer.failures.is_empty() => Err((Failure::Truncated, status)),
        _ => {
            let ms = answer.phases.total_ms.unwrap_or_default();
            Ok(Duration::try_from_secs_f64(ms / 1000.0).unwrap_or_default())
        }
    }
}

fn unanswered_as(unanswered: &Unanswered) -> Failure {
    match (unanswered.stage, unanswered.fault.kind) {
        (_, FaultKind::Silent) => Failure::Timeout,
        (_, FaultKind::Name) => Failure::Name,
        (Stage::Connecting, FaultKind::Refused) => Failure::Refused,
        (Stage::Shaking, _)
        // A client certificate was demanded.
        | (Stage::Waiting | Stage::Reading { .. }, FaultKind::Denied) => Failure::Tls,
        (Stage::Waiting | Stage::Reading { .. }, FaultKind::Refused) => Failure::Reset,
        (Stage::Waiting | Stage::Reading { .. }, FaultKind::Garbled | FaultKind::TooLarge) => {
            Failure::Garbled
        }
        (Stage::Connecting | Stage::Waiting | Stage::Reading { .. }, _) => Failure::Broken,
    }
}

fn replica(answer: &Answer) -> Option<Clean> {
    let named = |header: &&str| answer.headers.iter().find(|(name, _)| name == header);
    let (_, value) = REPLICA_HEADERS.iter().find_map(named)?;
    Some(value.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::RootCertStore;
    use std::collections::BTreeMap;
    use std::sync::atomic::{AtomicU64, Ordering};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::sleep;

    const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Served-By: server-1\r\n\r\nok";
    const UNAVAILABLE: &str =
        "HTTP/1.1 503 Gone\r\nContent-Length: 0\r\nX-Served-By: server-2\r\n\r\n";
    const TRUNCATED: &str = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok";

    /// What becomes of one connection.
    #[derive(Debug, Clone, Copy)]
    enum Does {
        Says(&'static str),
        SaysAfter(Duration, &'static str),
        Resets,
        Hangs,
    }

    struct Server {
        url: String,
        seen: Arc<AtomicU64>,
        task: JoinHandle<()>,
    }

    impl Drop for Server {
        fn drop(&mut self) {
            self.task.abort();
        }
    }

    /// `does` is asked with the number of each connection, from 0.
    async fn serve(does: impl Fn(u64) -> Does + Send + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let seen = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            let mut talks = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let number = count.fetch_add(1, Ordering::SeqCst);
                talks.spawn(talk(stream, does(number)));
            }
        });
        Server { url, seen, task }
    }

    async fn talk(mut stream: TcpStream, does: Does) {
        let mut head = [0; 1024];
        let _ = stream.read(&mut head).await;
        match does {
            Does::Says(text) => {
                let _ = stream.write_all(text.as_bytes()).await;
            }
            Does::SaysAfter(wait, text) => {
                sleep(wait).await;
                let _ = stream.write_all(text.as_bytes()).await;
            }
            Does::Resets => stream.set_zero_linger().unwrap(),
            Does::Hangs => sleep(Duration::from_mins(10)).await,
        }
    }

    fn settings(url: &str, rate: u32) -> TapSettings {
        TapSettings::new(url, "GET", rate).unwrap()
    }

    fn start(settings: TapSettings) -> Tap {
        let roots = Roots::fixed(RootCertStore::empty());
        Tap::start(settings, roots, || Timestamp(7))
    }

    async fn until(tap: &Tap, is_so: impl Fn(&TapCount) -> bool) {
        let until = Instant::now() + Duration::from_secs(20);
        while !is_so(&tap.count()) {
            assert!(Instant::now() < until, "never: {:?}", tap.count());
            sleep(Duration::from_millis(10)).await;
        }
    }

    fn kinds(list: &[(Failure, u64)]) -> BTreeMap<Failure, u64> {
        list.iter().copied().collect()
    }

    #[track_caller]
    fn adds_up(count: &TapCount) {
        assert_eq!(count.in_flight, 0);
        assert_eq!(count.sent, count.answered + count.failed, "{count:?}");
        assert!(!count.broken);
    }

    #[tokio::test]
    async fn exactly_the_failed_ones_are_counted_each_as_what_it_was() {
        let server = serve(|number| match number {
            10..13 => Does::Says(UNAVAILABLE),
            20..22 => Does::Resets,
            30..32 => Does::Says(TRUNCATED),
            _ => Does::Says(OK),
        })
        .await;
        let tap = start(settings(&server.url, 200));
        until(&tap, |count| count.sent >= 100).await;
        let count = tap.stop().await;
        adds_up(&count);
        let expected = [
            (Failure::Status, 3),
            (Failure::Reset, 2),
            (Failure::Truncated, 2),
        ];
        assert_eq!(count.by_kind, kinds(&expected));
        assert_eq!((count.failed, count.against()), (7, 7));
        assert_eq!(count.sent, server.seen.load(Ordering::SeqCst));
        assert_eq!(count.last_failures.len(), 7);
        let first = count.first_failure.unwrap();
        assert_eq!((first.status, first.at), (Some(503), Timestamp(7)));
        assert_eq!(first.replica.unwrap(), "server-2");
        let by_one = [("server-1".into(), count.answered)];
        assert_eq!(count.by_replica, by_one.into());
    }

    #[tokio::test]
    async fn a_sound_gateway_loses_nothing_and_keeps_the_rate() {
        let server = serve(|_| Does::Says(OK)).await;
        let begun = Instant::now();
        let tap = start(settings(&server.url, 100));
        until(&tap, |count| count.sent >= 100).await;
        let took = begun.elapsed();
        let count = tap.stop().await;
        adds_up(&count);
        assert_eq!((count.failed, count.missed, count.gaps), (0, 0, 0));
        assert!(took >= Duration::from_millis(900), "{took:?}");
        assert!(count.p50_ms <= count.p95_ms && count.p99_ms <= count.max_ms);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn five_hundred_a_second_by_name_are_held() {
        let server = serve(|_| Does::Says(OK)).await;
        let by_name = server.url.replace("127.0.0.1", "localhost");
        let begun = Instant::now();
        let tap = start(settings(&by_name, RATE_MAX));
        until(&tap, |count| count.sent >= 1000).await;
        let took = begun.elapsed();
        let count = tap.stop().await;
        adds_up(&count);
        assert_eq!((count.failed, count.missed, count.gaps), (0, 0, 0));
        eprintln!(
            "{} requests in {took:.2?}, p99 {:?} ms",
            count.sent, count.p99_ms
        );
    }

    #[tokio::test]
    async fn a_slow_gateway_does_not_slow_the_tap() {
        let wait = Duration::from_millis(500);
        let server = serve(move |_| Does::SaysAfter(wait, OK)).await;
        let begun = Instant::now();
        let tap = start(settings(&server.url, 50));
        until(&tap, |count| count.sent >= 50).await;
        // One after the other they would have taken 25 s.
        assert!(begun.elapsed() < Duration::from_secs(10));
        let count = tap.stop().await;
        adds_up(&count);
        assert_eq!(count.failed, 0);
        assert!(count.p50_ms >= Some(500), "{count:?}");
    }

    #[tokio::test]
    async fn a_standstill_is_felt_by_every_request_that_was_due_in_it() {
        let begun = Instant::now();
        let ends = begun + Duration::from_secs(1);
        let server = serve(move |_| {
            let left = ends.saturating_duration_since(Instant::now());
            Does::SaysAfter(left, OK)
        })
        .await;
        let tap = start(settings(&server.url, 50));
        sleep(Duration::from_millis(1500)).await;
        let count = tap.stop().await;
        adds_up(&count);
        assert_eq!(count.failed, 0);
        assert!(count.max_ms >= Some(900), "{count:?}");
        // Two thirds were due in it, and waited for half of it on the average.
        assert!(count.p50_ms >= Some(100), "{count:?}");
    }

    #[tokio::test]
    async fn what_hangs_has_failed_at_the_deadline() {
        let server = serve(|_| Does::Hangs).await;
        let mut settings = settings(&server.url, 50);
        settings.deadline = Duration::from_millis(300);
        let tap = start(settings);
        until(&tap, |count| count.failed >= 10).await;
        let count = tap.stop().await;
        adds_up(&count);
        assert_eq!(count.by_kind, kinds(&[(Failure::Timeout, count.sent)]));
        assert!(count.last_failures.iter().all(|one| one.latency_ms >= 300));
        assert_eq!((count.answered, count.p99_ms), (0, None));
    }

    #[tokio::test]
    async fn what_could_not_be_sent_has_failed() {
        let server = serve(|_| Does::Hangs).await;
        let tap = start(settings(&server.url, RATE_MAX));
        until(&tap, |count| count.by_kind.contains_key(&Failure::Unsent)).await;
        let count = tap.count();
        assert!(count.in_flight <= IN_FLIGHT_MAX as u64, "{count:?}");
        assert_eq!(count.by_kind[&Failure::Unsent], count.failed);
        assert_eq!(count.sent, count.failed + count.in_flight);
    }

    #[tokio::test]
    async fn nobody_listening_and_no_tls_are_told_apart() {
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = closed.local_addr().unwrap();
        drop(closed);
        let tap = start(settings(&format!("http://{address}/"), 50));
        until(&tap, |count| count.failed >= 3).await;
        let count = tap.stop().await;
        assert_eq!(count.by_kind, kinds(&[(Failure::Refused, count.sent)]));

        let server = serve(|_| Does::Says(OK)).await;
        let tap = start(settings(&server.url.replace("http:", "https:"), 50));
        until(&tap, |count| count.failed >= 3).await;
        let count = tap.stop().await;
        assert_eq!(count.by_kind, kinds(&[(Failure::Tls, count.sent)]));
    }

    #[tokio::test]
    async fn a_tap_that_was_held_up_says_what_is_missing() {
        let server = serve(|_| Does::Says(OK)).await;
        let tap = start(settings(&server.url, 50));
        until(&tap, |count| count.answered >= 5).await;
        let before = tap.count().sent;
        // All tasks of this test share one thread: nobody runs.
        std::thread::sleep(Duration::from_millis(1500));
        until(&tap, |count| count.gaps > 0).await;
        let count = tap.stop().await;
        adds_up(&count);
        assert_eq!((count.failed, count.gaps), (0, 1));
        assert!((70..=76).contains(&count.missed), "{count:?}");
        assert_eq!(count.against(), count.missed);
        assert!(count.sent < before + 20, "made up for in a heap: {count:?}");
        assert!(count.last_gaps[0].ms >= 1400, "{count:?}");
    }

    #[tokio::test]
    async fn a_tap_that_is_dropped_sends_no_more() {
        let server = serve(|_| Does::Says(OK)).await;
        let tap = start(settings(&server.url, 100));
        until(&tap, |count| count.answered >= 5).await;
        drop(tap);
        sleep(Duration::from_millis(100)).await;
        let seen = server.seen.load(Ordering::SeqCst);
        sleep(Duration::from_millis(200)).await;
        assert_eq!(server.seen.load(Ordering::SeqCst), seen);
    }

    #[test]
    fn a_tap_that_would_be_an_attack_is_refused() {
        let refused = |url, method, rate| TapSettings::new(url, method, rate).unwrap_err();
        let fault = refused("http://a/", "GET", 501);
        assert!(fault.to_string().contains("between 1 and 500"), "{fault}");
        refused("http://a/", "GET", 0);
        refused("http://a/", "POST", 50);
        refused("http://user:secret@a/", "GET", 50);
    }
}
