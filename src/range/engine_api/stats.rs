//! What a container uses: one reading, two, or a stream of them.

use std::sync::Arc;
use std::time::Duration;

use hyper::body::Bytes;
use hyper::{Response, StatusCode};
use serde_json::{Value, json};

use super::inspect;
use super::refused;
use super::route::Call;
use crate::range::body::{self, Body};
use crate::range::figures::{real_ms, whole};
use crate::range::world::{AGE_MS, Container, Refusal, World};
use crate::range::yard::Yard;

/// The engine reads once a second.
const EVERY: Duration = Duration::from_secs(1);
const CPUS: u64 = 4;
/// Page cache that the kernel could drop.
const CACHE_BYTES: u64 = 18_874_368;

pub(super) async fn respond(yard: &Arc<Yard>, id: &str, call: &Call) -> Response<Body> {
    let is_stream = call.flag("stream").unwrap_or(true);
    let is_one_shot = call.flag("one-shot").unwrap_or(false);
    let first = match look(yard, id, None) {
        Ok(reading) => reading,
        Err(refusal) => return refused(&refusal),
    };
    if is_stream {
        return follow(yard.clone(), id.to_owned(), first);
    }
    if is_one_shot {
        return body::json(StatusCode::OK, &first);
    }
    tokio::time::sleep(EVERY).await;
    match look(yard, id, Some(&first)) {
        Ok(reading) => body::json(StatusCode::OK, &reading),
        Err(refusal) => refused(&refusal),
    }
}

fn follow(yard: Arc<Yard>, id: String, first: Value) -> Response<Body> {
    let (sender, response) = body::stream("application/json");
    tokio::spawn(async move {
        let mut last = first;
        loop {
            yard.engine_ready().await;
            if sender.send(Bytes::from(format!("{last}\n"))).await.is_err() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                () = sender.closed() => return,
            }
            match look(&yard, &id, Some(&last)) {
                Ok(reading) => last = reading,
                Err(_) => return,
            }
        }
    });
    response
}

fn look(yard: &Yard, id: &str, before: Option<&Value>) -> Result<Value, Refusal> {
    yard.with(|world| {
        let at = inspect::at(world, id)?;
        Ok(reading(world, &world.containers[at], yard, before))
    })
}

fn reading(world: &World, c: &Container, yard: &Yard, before: Option<&Value>) -> Value {
    let cpu = |value: &Value| value.clone();
    let (preread, precpu) = match before {
        Some(before) => (before["read"].clone(), cpu(&before["cpu_stats"])),
        None => (
            json!("0001-01-01T00:00:00Z"),
            json!({"cpu_usage": {"total_usage": 0, "usage_in_kernelmode": 0, "usage_in_usermode": 0}, "throttling_data": {"periods": 0, "throttled_periods": 0, "throttled_time": 0}}),
        ),
    };
    let mut reading = json!({
        "read": yard.clock.rfc3339(world.now()),
        "preread": preread,
        "id": c.id,
        "name": format!("/{}", c.name),
        "num_procs": 0,
        "storage_stats": {},
        "precpu_stats": precpu,
        "cpu_stats": {"cpu_usage": {"total_usage": 0, "usage_in_kernelmode": 0, "usage_in_usermode": 0}, "throttling_data": {"periods": 0, "throttled_periods": 0, "throttled_time": 0}},
        "memory_stats": {},
        "pids_stats": {},
        "blkio_stats": {"io_service_bytes_recursive": null},
    });
    if c.is_running() {
        fill(&mut reading, world, c);
    }
    reading
}

fn fill(reading: &mut Value, world: &World, c: &Container) {
    let system = whole(real_ms(AGE_MS + world.now())) * 1_000_000 * CPUS;
    let usage = &c.usage;
    reading["cpu_stats"] = json!({
        "cpu_usage": {
            "total_usage": usage.cpu_ns,
            "usage_in_kernelmode": usage.cpu_ns / 4,
            "usage_in_usermode": usage.cpu_ns - usage.cpu_ns / 4,
        },
        "system_cpu_usage": system,
        "online_cpus": CPUS,
        "throttling_data": {"periods": 0, "throttled_periods": 0, "throttled_time": 0},
    });
    reading["memory_stats"] = json!({
        "usage": usage.memory_bytes + CACHE_BYTES,
        "stats": {"anon": usage.memory_bytes, "file": CACHE_BYTES, "inactive_file": CACHE_BYTES, "active_file": 0},
        "limit": c.memory_limit().unwrap_or(8_589_934_592),
    });
    reading["pids_stats"] = json!({"current": 11, "limit": c.host_config["PidsLimit"]});
    reading["networks"] = json!({"eth0": {
        "rx_bytes": usage.rx_bytes, "rx_packets": usage.rx_bytes / 700, "rx_errors": 0, "rx_dropped": 0,
        "tx_bytes": usage.tx_bytes, "tx_packets": usage.tx_bytes / 900, "tx_errors": 0, "tx_dropped": 0,
    }});
    reading["blkio_stats"] = json!({"io_service_bytes_recursive": [
        {"major": 254, "minor": 0, "op": "read", "value": usage.read_bytes},
        {"major": 254, "minor": 0, "op": "write", "value": usage.written_bytes},
    ]});
}
