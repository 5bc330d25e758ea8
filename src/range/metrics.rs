//! Each server replica's `/metrics`, on the replica's own address.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;

use hyper::{Response, StatusCode};
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinSet};

use super::body::{Body, answer, json};
use super::clock::Clock;
use super::door;
use super::figures::real_ms;
use super::world::container::BUCKETS;
use super::world::routes::ROUTES;
use super::world::{Container, Service};
use super::yard::Yard;

/// Where the replicas serve their metrics, as the reference stack's do.
pub(super) const PORT: u16 = 5_000;

/// Opens and closes the replicas' ports as replicas come and go, for ever.
pub(super) async fn keep(yard: Arc<Yard>) {
    let mut beats = yard.beats();
    let mut doors: BTreeMap<(String, u8), AbortHandle> = BTreeMap::new();
    let mut tasks = JoinSet::new();
    loop {
        let wanted = yard.with(|world| {
            let now = world.now();
            let up = world
                .containers
                .iter()
                .filter(|c| c.service == Service::Server && c.accepts(now));
            up.filter_map(|c| Some((c.id.clone(), c.host?)))
                .collect::<Vec<_>>()
        });
        doors.retain(|key, door| {
            let stays = wanted.contains(key) && !door.is_finished();
            if !stays {
                door.abort();
            }
            stays
        });
        for key in wanted {
            let (id, host) = key.clone();
            doors
                .entry(key)
                .or_insert_with(|| tasks.spawn(replica(yard.clone(), id, host)));
        }
        tokio::select! {
            changed = beats.changed() => if changed.is_err() { return },
            Some(_) = tasks.join_next() => {}
        }
    }
}

/// The door of one replica; ends if its address is taken, and is tried anew at the next beat.
async fn replica(yard: Arc<Yard>, id: String, host: u8) {
    let address = SocketAddr::from((yard.network.address(host), PORT));
    let Ok(listener) = TcpListener::bind(address).await else {
        return;
    };
    let shared = yard.clone();
    let serve = move |stream, _| {
        let (yard, id) = (shared.clone(), id.clone());
        door::http(stream, move |request| {
            let path = request.uri().path().to_owned();
            let response = respond(&yard, &id, &path);
            async move { response }
        })
    };
    door::keep(yard, listener, address, |_| true, serve).await;
}

fn respond(yard: &Yard, id: &str, path: &str) -> Response<Body> {
    match path {
        "/metrics" => {
            let text = yard.with(|world| {
                let at = world.find(id)?;
                Some(exposition(&world.containers[at], &yard.clock))
            });
            match text {
                Some(text) => answer(
                    StatusCode::OK,
                    "text/plain; version=0.0.4; charset=utf-8",
                    text,
                ),
                None => answer(StatusCode::SERVICE_UNAVAILABLE, "text/plain", "gone\n"),
            }
        }
        "/api/health" | "/healthz" => json(StatusCode::OK, &serde_json::json!({"status": "ok"})),
        _ => answer(StatusCode::NOT_FOUND, "text/plain", "Cannot GET this\n"),
    }
}

/// Prometheus' text format.
fn exposition(container: &Container, clock: &Clock) -> String {
    let mut text = String::with_capacity(8 * 1024);
    text.push_str(
        "# HELP http_requests_total Requests answered.\n# TYPE http_requests_total counter\n",
    );
    for ((route, status), count) in &container.counters.requests {
        let r = &ROUTES[*route];
        let _ = writeln!(
            text,
            "http_requests_total{{method=\"{}\",route=\"{}\",status=\"{status}\"}} {count}",
            r.method, r.route
        );
    }
    histograms(&mut text, container);
    let started = real_ms(clock.wall_ms(container.started.unwrap_or_default())) / 1_000.0;
    let _ = writeln!(
        text,
        "# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds {started}\n# TYPE process_resident_memory_bytes gauge\nprocess_resident_memory_bytes {}",
        container.usage.memory_bytes
    );
    text
}

fn histograms(text: &mut String, container: &Container) {
    const NAME: &str = "http_request_duration_seconds";
    let _ = writeln!(
        text,
        "# HELP {NAME} Time to answer.\n# TYPE {NAME} histogram"
    );
    for (route, histogram) in ROUTES.iter().zip(&container.counters.durations) {
        if histogram.count == 0 {
            continue;
        }
        let labels = format!("method=\"{}\",route=\"{}\"", route.method, route.route);
        let mut sum = 0;
        for (at, count) in histogram.buckets.iter().enumerate() {
            sum += count;
            let le = BUCKETS
                .get(at)
                .map_or("+Inf".to_owned(), ToString::to_string);
            let _ = writeln!(text, "{NAME}_bucket{{{labels},le=\"{le}\"}} {sum}");
        }
        let _ = writeln!(text, "{NAME}_sum{{{labels}}} {}", histogram.sum_s);
        let _ = writeln!(text, "{NAME}_count{{{labels}}} {}", histogram.count);
    }
}
