//! What a container has used so far, as the engine's one-shot statistics tell it.

use std::time::Instant;

use super::reply::At;

/// Counters and levels at one moment; rates are the business of who has two of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    pub at: Instant,
    /// Processor time since the container was started, in nanoseconds.
    pub cpu_ns: Option<u64>,
    /// Without the page cache that the kernel can drop.
    pub memory_bytes: Option<u64>,
    pub memory_limit_bytes: Option<u64>,
    pub pids: Option<u64>,
    pub read_bytes: Option<u64>,
    pub write_bytes: Option<u64>,
    pub rx_bytes: Option<u64>,
    pub tx_bytes: Option<u64>,
}

impl Sample {
    /// Nothing is known.
    pub fn unknown(at: Instant) -> Self {
        Self {
            at,
            cpu_ns: None,
            memory_bytes: None,
            memory_limit_bytes: None,
            pids: None,
            read_bytes: None,
            write_bytes: None,
            rx_bytes: None,
            tx_bytes: None,
        }
    }
}

/// Reads one reply of `/stats`. A stopped container's is all zeros, which is "nothing known" and not "uses nothing".
pub(super) fn sample(root: At<'_>, at: Instant) -> Sample {
    let memory = root.at("memory_stats");
    let usage = memory.at("usage").u64();
    let (Some(cpu), Some(usage)) = (
        root.at("cpu_stats")
            .at("cpu_usage")
            .at("total_usage")
            .limit(),
        usage,
    ) else {
        return Sample::unknown(at);
    };
    let detail = memory.at("stats");
    // cgroup v1 counts the container's children in `total_…` only.
    let cache = detail
        .at("total_inactive_file")
        .u64()
        .or(detail.at("inactive_file").u64());
    let block = |op: &str| {
        let entries = root
            .at("blkio_stats")
            .at("io_service_bytes_recursive")
            .items();
        let of = entries.filter(|e| e.at("op").str().eq_ignore_ascii_case(op));
        of.filter_map(|e| e.at("value").u64())
            .reduce(u64::saturating_add)
    };
    let network = |key: &str| {
        let all = root.at("networks").entries();
        all.filter_map(|(_, n)| n.at(key).u64())
            .reduce(u64::saturating_add)
    };
    Sample {
        at,
        cpu_ns: Some(cpu),
        memory_bytes: Some(usage.saturating_sub(cache.unwrap_or(0))),
        memory_limit_bytes: memory.at("limit").limit(),
        pids: root.at("pids_stats").at("current").u64(),
        read_bytes: block("read"),
        write_bytes: block("write"),
        rx_bytes: network("rx_bytes"),
        tx_bytes: network("tx_bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(value: &Value) -> Sample {
        sample(At::root(value), Instant::now())
    }

    #[test]
    fn both_generations_of_cgroups_are_read() {
        let mut reply = json!({
            "cpu_stats": {"cpu_usage": {"total_usage": 5_000}}, "pids_stats": {"current": 3},
            "memory_stats": {"usage": 1000, "limit": 9000, "stats": {"total_inactive_file": 300, "inactive_file": 1}},
            "blkio_stats": {"io_service_bytes_recursive": [{"op": "Read", "value": 7}, {"op": "read", "value": 1}, {"op": "Write", "value": 2}]},
            "networks": {"eth0": {"rx_bytes": 1, "tx_bytes": 2}, "eth1": {"rx_bytes": 10, "tx_bytes": 20}}
        });
        let sample = read(&reply);
        assert_eq!(
            (sample.memory_bytes, sample.read_bytes, sample.tx_bytes),
            (Some(700), Some(8), Some(22))
        );
        reply["memory_stats"]["stats"] = json!({"inactive_file": 400});
        reply["blkio_stats"] = json!({"io_service_bytes_recursive": null});
        let sample = read(&reply);
        assert_eq!((sample.memory_bytes, sample.read_bytes), (Some(600), None));
    }

    #[test]
    fn a_stopped_container_uses_an_unknown_amount_not_none() {
        let sample =
            read(&json!({"cpu_stats": {"cpu_usage": {"total_usage": 0}}, "memory_stats": {}}));
        assert_eq!((sample.cpu_ns, sample.memory_bytes), (None, None));
        assert_eq!(read(&json!([1, 2])).pids, None);
    }
}
