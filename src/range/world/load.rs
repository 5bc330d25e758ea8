//! Requests: who makes them, which replica answers them, how long it takes, and where they are counted.

use super::routes::{self, Needs, ROUTES, Route};
use super::{Ms, Recent, Saying, Servers, Service, TICK_MS, World, users};
use crate::range::figures::{count, index, real, real_ms, whole, whole_ms};

/// Requests per second that one replica of half a core can do.
const CAPACITY_PER_S: f64 = 30.0;
/// nginx' `proxy_next_upstream_tries`.
const TRIES_MAX: usize = 3;
/// The window of the facts about requests.
pub(super) const WINDOW_MS: Ms = 30_000;
/// Requests under way at once: half a minute of the busiest hour.
const PENDING_MAX: usize = 2_000;

/// One replica's part in a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// Id of the container; empty where there was nobody to ask.
    pub by: String,
    /// Last part of its address.
    pub host: u8,
    pub port: u16,
    pub status: u16,
    pub ms: f64,
}

/// One request of a user, as the gateway sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// When it came in, to the millisecond.
    pub at: Ms,
    /// When it will have been answered.
    pub done: Ms,
    pub id: String,
    pub remote: String,
    pub method: String,
    pub uri: String,
    /// Index into `ROUTES`; `None` for a path that nobody knows.
    pub route: Option<usize>,
    pub status: u16,
    pub bytes: u64,
    pub ms: f64,
    pub attempts: Vec<Attempt>,
}

impl World {
    /// The gateway asks the engine's name service again.
    pub(super) fn resolve(&mut self) {
        if self.gateway.pinned {
            return;
        }
        let servers = self.of_service(Service::Server);
        self.gateway.upstreams = match &self.gateway.list {
            Servers::ByName => servers
                .filter(|c| c.is_running())
                .map(|c| c.id.clone())
                .collect(),
            // A list does not know who runs.
            Servers::Listed(hosts) => servers
                .filter(|c| hosts.contains(&c.last_host))
                .map(|c| c.id.clone())
                .collect(),
        };
    }

    /// The users' requests of one tick.
    pub(super) fn arrive(&mut self) {
        let gust = 1.0 + 0.12 * (real_ms(self.now) / 9_000.0).sin() + 0.25 * self.load_dice.bell();
        let rate = users(self.scenario.clock, self.now) * gust.max(0.1);
        self.due += rate * real_ms(TICK_MS) / 1_000.0;
        let arriving = whole(self.due);
        self.due -= real(arriving);
        for _ in 0..arriving {
            let within = i64::try_from(self.load_dice.below(100)).unwrap_or(0);
            let route = routes::drawn(self.load_dice.unit());
            let number = 1_000 + self.load_dice.below(8_000);
            let uri = uri(&ROUTES[route], number);
            let remote = format!("203.0.113.{}", 1 + self.load_dice.below(120));
            let at = self.now - TICK_MS + within;
            self.users.requests += 1;
            let method = ROUTES[route].method;
            match self.route_request(at, method, &uri, Some(route), remote) {
                Some(request) if self.pending.len() < PENDING_MAX => self.pending.push(request),
                Some(_) | None => self.lose(at),
            }
        }
    }

    /// A real request that came in at the gateway's own port. `None` while the gateway is not there.
    pub fn serve(&mut self, method: &str, uri: &str, remote: &str) -> Option<Request> {
        let route = routes::of(method, uri);
        let request = self.route_request(self.now, method, uri, route, remote.to_owned())?;
        self.record(request.clone());
        Some(request)
    }

    fn route_request(
        &mut self,
        at: Ms,
        method: &str,
        uri: &str,
        route: Option<usize>,
        remote: String,
    ) -> Option<Request> {
        if !self.serves(Service::Gateway) {
            return None;
        }
        let mut request = Request {
            at,
            done: at,
            id: self.load_dice.hex(32),
            remote,
            method: method.to_owned(),
            uri: uri.to_owned(),
            route,
            status: 404,
            bytes: 153,
            ms: 0.4,
            attempts: Vec::new(),
        };
        match route.map(|r| (r, ROUTES[r].needs)) {
            None => {}
            Some((r, Needs::Client)) => self.ask_client(&mut request, r),
            Some((r, Needs::Postgres | Needs::PostgresAndRedis | Needs::Nothing)) => {
                self.ask_servers(&mut request, r);
            }
        }
        let attempts: f64 = request.attempts.iter().map(|a| a.ms).sum();
        request.ms = attempts + 0.3 + self.load_dice.unit();
        request.done = at + whole_ms(request.ms);
        Some(request)
    }

    fn ask_client(&mut self, request: &mut Request, route: usize) {
        let Some(at) = self
            .containers
            .iter()
            .position(|c| c.service == Service::Client)
        else {
            request.status = 502;
            return;
        };
        let accepts = self.containers[at].accepts(self.now);
        self.containers[at].arrivals += 1;
        request.status = if accepts { 200 } else { 502 };
        request.bytes = if accepts { ROUTES[route].bytes } else { 157 };
        request.attempts.push(Attempt {
            by: self.containers[at].id.clone(),
            host: self.containers[at].last_host,
            port: 80,
            status: request.status,
            ms: ROUTES[route].ms * (0.6 + self.load_dice.unit()),
        });
    }

    /// Round robin over what the name resolved to; a connection that fails is tried on the next one.
    fn ask_servers(&mut self, request: &mut Request, route: usize) {
        let upstreams = self.gateway.upstreams.clone();
        for _ in 0..upstreams.len().min(TRIES_MAX) {
            let id = &upstreams[self.gateway.turn % upstreams.len()];
            self.gateway.turn = self.gateway.turn.wrapping_add(1);
            let attempt = self.attempt(id, route);
            let goes_on = attempt.status == 502;
            request.status = attempt.status;
            request.attempts.push(attempt);
            if !goes_on {
                break;
            }
        }
        if upstreams.is_empty() {
            request.status = 502;
        }
        request.bytes = match request.status {
            200 | 201 => whole(real(ROUTES[route].bytes) * (0.8 + 0.4 * self.load_dice.unit())),
            _ => 157,
        };
    }

    fn attempt(&mut self, id: &str, route: usize) -> Attempt {
        let refused = |host| Attempt {
            by: id.to_owned(),
            host,
            port: 5_000,
            status: 502,
            ms: 0.4,
        };
        let Some(at) = self.containers.iter().position(|c| c.id == id) else {
            return refused(0);
        };
        let host = self.containers[at].last_host;
        if !self.containers[at].accepts(self.now) {
            return refused(host);
        }
        // The health page is answered from memory: asking for it often is no load.
        if ROUTES[route].needs != Needs::Nothing {
            self.containers[at].arrivals += 1;
        }
        let (status, ms) = self.answer(at, route);
        Attempt {
            by: id.to_owned(),
            host,
            port: 5_000,
            status,
            ms,
        }
    }

    /// Status and time of one replica's answer.
    fn answer(&mut self, at: usize, index: usize) -> (u16, f64) {
        let route = &ROUTES[index];
        let used = self.containers[at].rate / CAPACITY_PER_S;
        let ms = route.ms * self.slowness(at, used) * (1.0 + 0.35 * self.load_dice.bell()).max(0.3);
        // What needs nothing is answered before a request would have to queue.
        let shed = match route.needs {
            Needs::Nothing => 0.0,
            Needs::Client | Needs::Postgres | Needs::PostgresAndRedis => {
                ((used - 1.0) * 0.6).clamp(0.0, 0.9)
            }
        };
        if self.load_dice.chance(shed) {
            return (503, 4.0);
        }
        let container = &self.containers[at];
        let by_image = self.images.iter().find(|i| i.id == container.image_id);
        let errors = container
            .ailment
            .errors
            .max(by_image.map_or(0.0, |i| i.errors));
        if route.needs != Needs::Nothing && self.load_dice.chance(errors) {
            self.complain(at, "unhandled rejection: TypeError: Cannot read properties of undefined (reading 'crew')");
            return (500, ms);
        }
        if let Some(complaint) = self.missing(route) {
            self.complain(at, complaint);
            return (500, ms.max(30.0));
        }
        let (part, mistake) = route.mistakes;
        if self.load_dice.chance(part) {
            return (mistake, ms * 0.5);
        }
        self.written(route);
        (if route.method == "POST" { 201 } else { 200 }, ms)
    }

    /// So many times longer than on an idle, warm, sound replica.
    fn slowness(&self, at: usize, used: f64) -> f64 {
        /// Just-in-time compilation and empty caches.
        const WARM_UP_MS: f64 = 15_000.0;
        /// Queueing never makes it worse than this; beyond it requests are shed.
        const USED_MAX: f64 = 0.93;
        let container = &self.containers[at];
        let uptime = real_ms(container.uptime(self.now));
        let cold = 1.0 + 1.5 * (-uptime / WARM_UP_MS).exp();
        let image = self.images.iter().find(|i| i.id == container.image_id);
        let ailing = container
            .ailment
            .slow
            .max(image.map_or(0.0, |i| i.slow))
            .max(1.0);
        cold * ailing / (1.0 - used.min(USED_MAX))
    }

    /// What this route needs and cannot have now.
    fn missing(&self, route: &Route) -> Option<&'static str> {
        match route.needs {
            Needs::Postgres | Needs::PostgresAndRedis if !self.serves(Service::Postgres) => {
                Some("connect ECONNREFUSED postgres:5432")
            }
            Needs::Postgres | Needs::PostgresAndRedis
                if route.method == "POST" && self.disk_full() =>
            {
                Some("error: could not extend file \"base/16384/16402\": No space left on device")
            }
            Needs::PostgresAndRedis if !self.redis_works() => Some(
                "ReplyError: MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk",
            ),
            Needs::Nothing | Needs::Client | Needs::Postgres | Needs::PostgresAndRedis => None,
        }
    }

    fn complain(&mut self, at: usize, text: &str) {
        let now = self.now;
        let saying = Saying::Json {
            level: "error",
            text: text.to_owned(),
        };
        self.containers[at].say(now, true, saying);
    }

    /// A write that succeeded is a row more.
    fn written(&mut self, route: &Route) {
        let tables: &[&str] = match (route.method, route.route) {
            ("POST", "/api/missions") => &["missions", "mission_events"],
            ("POST", "/api/auth/register") => &["users"],
            ("POST", "/api/auth/login") => &["sessions"],
            _ => &[],
        };
        if let Some(database) = self.databases.get_mut("app") {
            for table in tables {
                if let Some(rows) = database.get_mut(*table) {
                    *rows += 1;
                }
            }
        }
    }

    /// Counts the requests whose answer is out by now.
    pub(super) fn settle(&mut self) {
        let now = self.now;
        let (done, pending) = std::mem::take(&mut self.pending)
            .into_iter()
            .partition(|r: &Request| r.done <= now);
        self.pending = pending;
        let mut done: Vec<Request> = done;
        done.sort_by(|a, b| a.done.cmp(&b.done).then_with(|| a.id.cmp(&b.id)));
        for request in done {
            self.record(request);
        }
    }

    /// The replica is gone: what it was doing is lost, or repeated elsewhere if that is safe.
    pub(super) fn cut_requests(&mut self, at: usize) {
        let id = self.containers[at].id.clone();
        let cut = |r: &Request| {
            r.attempts
                .last()
                .is_some_and(|a| a.by == id && a.port == 5_000)
        };
        let mut pending = std::mem::take(&mut self.pending);
        for request in pending.iter_mut().filter(|r| cut(r)) {
            if let Some(last) = request.attempts.last_mut() {
                last.status = 502;
                last.ms = real_ms((self.now - request.at).max(0));
            }
            request.status = 502;
            request.bytes = 157;
            request.done = self.now;
            let is_repeatable = request.method == "GET" || request.method == "HEAD";
            if let (true, Some(route)) = (is_repeatable, request.route) {
                self.ask_servers(request, route);
            }
            request.ms = request.attempts.iter().map(|a| a.ms).sum();
            request.done = request.at + whole_ms(request.ms);
        }
        pending.append(&mut self.pending);
        self.pending = pending;
    }

    fn record(&mut self, request: Request) {
        for attempt in &request.attempts {
            let by = self.containers.iter_mut().find(|c| c.id == attempt.by);
            if let (Some(container), Some(route), 5_000) = (by, request.route, attempt.port)
                && attempt.status != 502
                && container.is_running()
            {
                container.counters.add(route, attempt.status, attempt.ms);
            }
        }
        let failed = request.status >= 500;
        if failed {
            self.count_lost();
        }
        let answered = request
            .attempts
            .last()
            .filter(|a| a.port == 5_000 && a.status != 502);
        self.recent.push_back(Recent {
            at: request.done,
            ms: request.ms,
            failed,
            by: answered.map(|a| a.by.clone()),
        });
        let now = self.now;
        if let Some(gateway) = self
            .containers
            .iter_mut()
            .find(|c| c.service == Service::Gateway)
        {
            gateway.arrivals += 1;
            gateway.say(now, false, Saying::Access(Box::new(request)));
        }
    }

    /// A request that nobody answered.
    fn lose(&mut self, at: Ms) {
        self.count_lost();
        self.recent.push_back(Recent {
            at,
            ms: 0.0,
            failed: true,
            by: None,
        });
    }

    fn count_lost(&mut self) {
        if self.fault_began.is_some() {
            self.users.lost += 1;
        }
    }

    /// Drops what has left the window.
    pub(super) fn forget(&mut self) {
        let from = self.now - WINDOW_MS;
        while self.recent.front().is_some_and(|r| r.at < from) {
            self.recent.pop_front();
        }
    }

    /// Failed part of the last requests.
    pub(super) fn error_ratio(&self) -> f64 {
        let failed = self.recent.iter().filter(|r| r.failed).count();
        part(failed, self.recent.len())
    }

    /// Part of the API's answers that came from this container.
    pub(super) fn share(&self, id: &str) -> f64 {
        let answered = self.recent.iter().filter(|r| r.by.is_some()).count();
        let by = |r: &&Recent| r.by.as_deref() == Some(id);
        part(self.recent.iter().filter(by).count(), answered)
    }

    /// The 95th percentile of the answers of one container, or of all.
    pub(super) fn p95_ms(&self, id: Option<&str>) -> f64 {
        let of = |r: &&Recent| id.is_none_or(|id| r.by.as_deref() == Some(id));
        let mut times: Vec<f64> = self.recent.iter().filter(of).map(|r| r.ms).collect();
        times.sort_by(f64::total_cmp);
        let at = index(whole(real(count(times.len())) * 0.95));
        times.get(at).copied().unwrap_or(0.0)
    }
}

fn part(some: usize, all: usize) -> f64 {
    if all == 0 {
        0.0
    } else {
        real(count(some)) / real(count(all))
    }
}

fn uri(route: &Route, number: u64) -> String {
    const FILES: &[&str] = &[
        "index-7c1e.js",
        "vendor-2b90.js",
        "style-a1f4.css",
        "logo.svg",
    ];
    let file = FILES[index(number % count(FILES.len()))];
    route
        .route
        .replace(":id", &number.to_string())
        .replace(":file", file)
}
