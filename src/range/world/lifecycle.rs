//! How containers begin, are examined, run out of memory, end and are begun again by their restart policy.

use super::container::{Examination, Health, Saying};
use super::{BEAT_MS, Container, Ms, Service, State, TICK_MS, Verdict, World};
use crate::range::figures::{real, real_ms, whole};

/// The engine's own figures: 100 ms, doubled up to a minute, forgotten after ten good seconds.
const BACKOFF_FIRST_MS: Ms = 100;
const BACKOFF_MAX_MS: Ms = 60_000;
const BACKOFF_FORGET_MS: Ms = 10_000;
/// Addresses that are given to new containers, lowest free first.
const HOSTS: std::ops::RangeInclusive<u8> = 21..=250;
/// How many crashes are remembered.
const CRASHES_MAX: usize = 50;

impl World {
    pub(super) fn tick_containers(&mut self) {
        for at in 0..self.containers.len() {
            self.tick_ending(at);
            self.tick_restart(at);
            self.tick_process(at);
            self.tick_health(at);
        }
    }

    fn tick_ending(&mut self, at: usize) {
        let due = self.containers[at]
            .ending
            .clone()
            .filter(|e| e.at <= self.now);
        if let Some(ending) = due {
            self.end(at, ending.exit, false);
            self.emit(at, "stop", &[]);
            if ending.then_start {
                self.containers[at].stopped_by_hand = false;
                self.begin(at);
                self.emit(at, "restart", &[]);
            }
        }
    }

    fn tick_restart(&mut self, at: usize) {
        if self.containers[at]
            .restart_at
            .is_some_and(|due| due <= self.now)
        {
            self.containers[at].restarts += 1;
            self.begin(at);
        }
    }

    fn tick_process(&mut self, at: usize) {
        let container = &mut self.containers[at];
        if !container.is_running() {
            return;
        }
        let uptime = container.uptime(self.now);
        if uptime >= BACKOFF_FORGET_MS {
            container.backoff_ms = 0;
        }
        if uptime % BEAT_MS < TICK_MS && self.out_of_memory(at) {
            self.kill_for_memory(at);
            return;
        }
        let crash_after = self.crash_after(at);
        if crash_after.is_some_and(|after| uptime >= after) {
            self.crash(at);
        }
    }

    fn out_of_memory(&self, at: usize) -> bool {
        let container = &self.containers[at];
        let needed = whole(container.working_set_mb(self.now) * 1024.0 * 1024.0);
        container
            .memory_limit()
            .is_some_and(|limit| needed >= limit)
    }

    fn kill_for_memory(&mut self, at: usize) {
        self.emit(at, "oom", &[]);
        self.containers[at].oom_killed = true;
        self.end(at, 137, true);
    }

    fn crash_after(&self, at: usize) -> Option<Ms> {
        let container = &self.containers[at];
        let by_image = self
            .images
            .iter()
            .find(|image| image.id == container.image_id)
            .and_then(|image| image.crash_after_ms);
        container.ailment.crash_after_ms.or(by_image)
    }

    fn crash(&mut self, at: usize) {
        let now = self.now;
        let container = &mut self.containers[at];
        let saying = match container.service {
            Service::Server => Saying::Plain(
                "Error: MISSION_QUEUE_URL is not set\n    at loadConfig (/app/dist/config.js:41:11)\n    at main (/app/dist/main.js:12:18)"
                    .into(),
            ),
            Service::Prometheus | Service::Grafana => Saying::Logfmt {
                level: "error",
                text: "logger=migrator msg=\"migration failed: database is locked\"".into(),
            },
            Service::Gateway
            | Service::Client
            | Service::Postgres
            | Service::Redis
            | Service::Other => Saying::Plain("fatal: unexpected end".into()),
        };
        container.say(now, true, saying);
        self.end(at, 1, true);
    }

    /// Starts the process of a container that has none.
    pub(super) fn begin(&mut self, at: usize) {
        let host = self.containers[at].host.or_else(|| self.free_host());
        let now = self.now;
        self.next_pid += 37;
        let pid = self.next_pid;
        let container = &mut self.containers[at];
        container.state = State::Running;
        container.started = Some(now);
        container.host = host;
        container.last_host = host.unwrap_or(container.last_host);
        container.pid = pid;
        container.oom_killed = false;
        container.exit = 0;
        container.restart_at = None;
        container.ending = None;
        container.rate = 0.0;
        container.counters = super::Counters::new();
        container.ailment.slow = 0.0;
        container.ailment.errors = 0.0;
        container.ailment.read_only = false;
        if container.config["Healthcheck"].is_object() {
            container.health = Some(Health::starting(now + BEAT_MS));
        }
        self.greet(at);
        self.emit(at, "start", &[]);
        self.after_begin(at);
    }

    fn free_host(&self) -> Option<u8> {
        let mut hosts = HOSTS;
        hosts.find(|host| self.containers.iter().all(|c| c.host != Some(*host)))
    }

    /// What a fresh process does to the world around it.
    fn after_begin(&mut self, at: usize) {
        match self.containers[at].service {
            Service::Gateway => self.load_gateway(),
            Service::Prometheus => self.scrape_stalled = false,
            Service::Client
            | Service::Server
            | Service::Postgres
            | Service::Redis
            | Service::Grafana
            | Service::Other => {}
        }
    }

    /// nginx reads its configuration: the certificate and the list of servers from disk, the names anew. A list that is
    /// wrong leaves everything as it was.
    pub(super) fn load_gateway(&mut self) {
        let list = match &self.gateway.list_on_disk {
            Ok(list) => list.clone(),
            Err(complaint) => {
                let text = complaint.clone();
                self.gateway_says("emerg", &text);
                return;
            }
        };
        self.gateway.list = list;
        self.gateway.served = self.gateway.on_disk;
        self.gateway.pinned = false;
        self.fresh_workers();
        self.resolve();
    }

    fn gateway_says(&mut self, level: &'static str, text: &str) {
        let now = self.now;
        let gateways = self.containers.iter_mut();
        for gateway in gateways.filter(|c| c.service == Service::Gateway) {
            let text = text.to_owned();
            gateway.say(now, true, Saying::Nginx { level, text });
        }
    }

    /// New workers take what comes; the old ones end when they have answered what they took.
    fn fresh_workers(&mut self) {
        /// Old workers are told after this time, and take a moment to close.
        const ENDING_MIN_MS: Ms = 300;
        let answered = self.pending.iter().map(|request| request.done).max();
        let gone = answered.unwrap_or(self.now).max(self.now + ENDING_MIN_MS);
        self.next_pid += 2;
        let fresh = vec![self.next_pid - 1, self.next_pid];
        let now = self.now;
        let gateway = &mut self.gateway;
        let old = std::mem::replace(&mut gateway.workers, fresh);
        gateway.ending_workers.retain(|(_, gone)| *gone > now);
        gateway
            .ending_workers
            .extend(old.into_iter().map(|pid| (pid, gone)));
    }

    fn greet(&mut self, at: usize) {
        let now = self.now;
        let container = &mut self.containers[at];
        let saying = match container.service {
            Service::Gateway | Service::Client => Saying::Nginx {
                level: "notice",
                text: "start worker processes".into(),
            },
            Service::Server => Saying::Json {
                level: "info",
                text: format!("listening on :5000, {}", container.image),
            },
            Service::Postgres => Saying::Postgres {
                level: "LOG",
                text: "database system is ready to accept connections".into(),
            },
            Service::Redis => Saying::Redis {
                text: "* Ready to accept connections tcp".into(),
            },
            Service::Prometheus => Saying::Logfmt {
                level: "info",
                text: "msg=\"Server is ready to receive web requests.\"".into(),
            },
            Service::Grafana => Saying::Logfmt {
                level: "info",
                text: "logger=http.server msg=\"HTTP Server Listen\" address=[::]:3000".into(),
            },
            Service::Other => return,
        };
        let is_error = matches!(container.service, Service::Postgres | Service::Prometheus);
        container.say(now, is_error, saying);
    }

    /// Ends the process. `unasked` is a crash, which the restart policy answers.
    pub(super) fn end(&mut self, at: usize, exit: i64, unasked: bool) {
        let now = self.now;
        let container = &mut self.containers[at];
        if !matches!(
            container.state,
            State::Running | State::Paused | State::Restarting
        ) {
            return;
        }
        container.finished = Some(now);
        container.exit = exit;
        container.ending = None;
        container.restart_at = None;
        container.health = None;
        if unasked {
            if container.crashes.len() == CRASHES_MAX {
                container.crashes.pop_front();
            }
            container.crashes.push_back(now);
        }
        if unasked && wants_restart(container) {
            let next = (container.backoff_ms * 2).clamp(BACKOFF_FIRST_MS, BACKOFF_MAX_MS);
            container.backoff_ms = next;
            container.restart_at = Some(now + next);
            container.state = State::Restarting;
        } else {
            container.state = State::Exited;
            container.host = None;
        }
        self.cut_requests(at);
        self.emit(at, "die", &[("exitCode", exit.to_string())]);
    }

    fn tick_health(&mut self, at: usize) {
        let due = |c: &Container| {
            c.is_running() && c.health.as_ref().is_some_and(|h| h.next_at <= self.now)
        };
        if !due(&self.containers[at]) {
            return;
        }
        let passed = self.passes(at);
        let now = self.now;
        let interval = interval_ms(&self.containers[at]);
        let in_start_period =
            self.containers[at].uptime(now) < start_period_ms(&self.containers[at]);
        let Some(health) = self.containers[at].health.as_mut() else {
            return;
        };
        let before = health.verdict;
        // Newer engines look each second or so until the first success.
        health.next_at = now
            + if passed || !in_start_period {
                interval
            } else {
                BEAT_MS
            };
        health.note(examination(now, passed));
        if passed {
            health.streak = 0;
            health.verdict = Verdict::Healthy;
        } else if !in_start_period {
            /// As the reference stack's health checks are written.
            const RETRIES: u32 = 3;
            health.streak += 1;
            if health.streak >= RETRIES {
                health.verdict = Verdict::Unhealthy;
            }
        }
        let after = health.verdict;
        if before != after {
            self.emit(at, &format!("health_status: {}", after.word()), &[]);
        }
    }

    /// Would the container's own health check pass?
    fn passes(&self, at: usize) -> bool {
        /// The health page is cheap: only a replica that is nearly still misses the deadline of 2 s.
        const SLOW_AND_UNHEALTHY: f64 = 400.0;
        let container = &self.containers[at];
        container.accepts(self.now) && container.ailment.slow < SLOW_AND_UNHEALTHY
    }

    pub(super) fn beat_containers(&mut self) {
        for at in 0..self.containers.len() {
            self.beat_usage(at);
            self.beat_log(at);
        }
    }

    fn beat_usage(&mut self, at: usize) {
        /// How fast the smoothed rate follows.
        const FOLLOW: f64 = 0.25;
        let now = self.now;
        let container = &mut self.containers[at];
        let arrivals = std::mem::take(&mut container.arrivals);
        if !container.is_running() {
            container.usage.memory_bytes = 0;
            return;
        }
        container.rate += (real(arrivals) - container.rate) * FOLLOW;
        let mut busy = 0.004;
        busy += match container.service {
            Service::Server => container.rate * 0.011 * (1.0 + container.ailment.slow / 20.0),
            Service::Gateway => container.rate * 0.000_8,
            Service::Postgres => 0.06,
            Service::Client
            | Service::Redis
            | Service::Prometheus
            | Service::Grafana
            | Service::Other => 0.006,
        };
        let limit = container.host_config["NanoCpus"]
            .as_f64()
            .map_or(1.0, |n| n / 1e9);
        let wobble = 1.0 + 0.1 * (real_ms(now) / 7_000.0 + f64::from(container.pid)).sin();
        container.usage.cpu_ns += whole((busy * wobble).min(limit.max(0.05)) * 1e9);
        container.usage.rx_bytes += 300 + arrivals * 900;
        container.usage.tx_bytes += 200 + arrivals * 4_800;
        container.usage.written_bytes += arrivals * 60;
        container.usage.memory_bytes = whole(container.working_set_mb(now) * 1024.0 * 1024.0);
        container.layer_bytes += whole(container.ailment.fill_mb_per_s * 1_000_000.0);
    }

    /// Lines that have nothing to do with requests.
    fn beat_log(&mut self, at: usize) {
        let now = self.now;
        let full = self.disk_full();
        let second = now / BEAT_MS;
        let container = &mut self.containers[at];
        if !container.is_running() {
            return;
        }
        let due = |every: Ms| second.rem_euclid(every) == i64::from(container.pid % 7);
        match container.service {
            Service::Postgres if full && due(10) => {
                let text =
                    "could not write to file \"pg_wal/xlogtemp.61\": No space left on device"
                        .into();
                container.say(
                    now,
                    true,
                    Saying::Postgres {
                        level: "ERROR",
                        text,
                    },
                );
            }
            Service::Postgres if due(60) => {
                let text = "checkpoint complete: wrote 96 buffers (0.6%)".into();
                container.say(now, true, Saying::Postgres { level: "LOG", text });
            }
            Service::Redis if container.ailment.read_only && due(10) => {
                let text = "# MISCONF errors: unable to persist to disk, writes are refused".into();
                container.say(now, false, Saying::Redis { text });
            }
            Service::Redis if due(60) => {
                let text = "* 100 changes in 300 seconds. Saving...".into();
                container.say(now, false, Saying::Redis { text });
            }
            Service::Server if container.ailment.fill_mb_per_s > 0.0 && due(15) => {
                let text = "heap snapshot written to /tmp/heap-profile (tracing left on)".into();
                container.say(
                    now,
                    false,
                    Saying::Json {
                        level: "warn",
                        text,
                    },
                );
            }
            Service::Server if container.ailment.slow > 1.0 && due(10) => {
                let text =
                    "event loop lag 1840 ms, garbage collection took 71 % of the time".into();
                container.say(
                    now,
                    false,
                    Saying::Json {
                        level: "warn",
                        text,
                    },
                );
            }
            Service::Prometheus if self.scrape_stalled && due(60) => {
                let text =
                    "component=\"scrape manager\" msg=\"reload blocked, waiting for scrape pools\""
                        .into();
                container.say(
                    now,
                    true,
                    Saying::Logfmt {
                        level: "warn",
                        text,
                    },
                );
            }
            Service::Gateway
            | Service::Client
            | Service::Server
            | Service::Postgres
            | Service::Redis
            | Service::Prometheus
            | Service::Grafana
            | Service::Other => {}
        }
    }
}

fn wants_restart(container: &Container) -> bool {
    match container.restart_policy() {
        "always" | "unless-stopped" => !container.stopped_by_hand,
        "on-failure" => {
            let max = container.host_config["RestartPolicy"]["MaximumRetryCount"]
                .as_u64()
                .unwrap_or(0);
            container.exit != 0 && (max == 0 || u64::from(container.restarts) < max)
        }
        _ => false,
    }
}

fn nanos_as_ms(container: &Container, key: &str, otherwise: Ms) -> Ms {
    container.config["Healthcheck"][key]
        .as_i64()
        .filter(|n| *n > 0)
        .map_or(otherwise, |n| n / 1_000_000)
}

fn interval_ms(container: &Container) -> Ms {
    nanos_as_ms(container, "Interval", 30_000).max(TICK_MS)
}

fn start_period_ms(container: &Container) -> Ms {
    nanos_as_ms(container, "StartPeriod", 0)
}

fn examination(now: Ms, passed: bool) -> Examination {
    let (exit, output) = if passed {
        (0, "ok\n")
    } else {
        (
            1,
            "wget: can't connect to remote host: Connection refused\n",
        )
    };
    Examination {
        at: now,
        exit,
        output: output.into(),
    }
}
