//! The simulated production: seed and time in, state out.
//!
//! No clock, no IO, no async. Time advances in fixed ticks, so the state does not depend on how often somebody looks; the same
//! seed with the same acts at the same times gives the same world. The servers around it only translate.

mod act;
pub mod container;
pub mod dice;
pub(super) mod exec;
mod fact;
mod fault;
mod lifecycle;
mod load;
mod mend;
mod people;
pub mod routes;
mod scrape;
mod stack;

use std::collections::{BTreeMap, VecDeque};

use crate::range::scenario::{Deed, Scenario};
pub use act::{Act, Done, Refusal};
pub use container::{Container, Counters, LogLine, Saying, Service, State, Verdict};
use dice::Dice;
pub use exec::ExecAnswer;
pub use load::{Attempt, Request};
pub use people::users;
pub use scrape::{AlertPhase, Alerting, RULES, Rule, Sample};
pub use stack::{AGE_MS, PROJECT};

/// Milliseconds since the start of the range; negative before it.
pub type Ms = i64;

/// Short enough that a replica's death falls between two requests, long enough to be cheap.
pub const TICK_MS: Ms = 100;
/// What happens once a second.
const BEAT_MS: Ms = 1_000;
/// The world runs for a while before anybody looks, so that logs and rates exist at the start.
pub const LEAD_IN_FROM_MS: Ms = -120_000;
/// A console that was away longer reads the list anew.
const EVENTS_MAX: usize = 4_096;
/// The goal must hold this long before the trouble counts as over.
const GOAL_HOLD_MS: Ms = 10_000;
/// Deeds of one training: far more than a person does.
const DEEDS_MAX: usize = 10_000;

#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    pub id: String,
    pub tag: String,
    pub bytes: u64,
    pub created: Ms,
    pub crash_after_ms: Option<Ms>,
    pub errors: f64,
    pub slow: f64,
}

/// One entry of the engine's event stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Counted from 0, never reused.
    pub seq: u64,
    pub at: Ms,
    /// `start`, `die`, `health_status: unhealthy`.
    pub action: String,
    pub id: String,
    /// Name, image, labels, exit code.
    pub attributes: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Certificate {
    /// Grows with each new one.
    pub serial: u32,
    /// Days from the start of the range to its end.
    pub days: f64,
    /// Names the gateway; otherwise another host.
    pub name_right: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Gateway {
    pub served: Certificate,
    pub on_disk: Certificate,
    /// Ids of the server replicas that the name resolved to.
    pub upstreams: Vec<String>,
    /// The name was resolved once and is not asked again until a reload.
    pub pinned: bool,
    /// What the list of servers in force says, and what lies on disk: there it may be wrong, in nginx' words.
    pub list: Servers,
    pub list_on_disk: Result<Servers, String>,
    /// Process ids of the workers, and of those of an earlier configuration with the moment at which they are gone.
    pub workers: Vec<u32>,
    pub ending_workers: Vec<(u32, Ms)>,
    turn: usize,
}

/// Where the gateway sends what is for the servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Servers {
    /// To everybody who has the name.
    ByName,
    /// To these last parts of addresses.
    Listed(Vec<u8>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastNight {
    Whole,
    Truncated,
    /// Nothing of so many nights.
    Missing(u32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backups {
    pub last_night: LastNight,
    /// When a whole dump was last read out of the database during the range.
    pub dumped: Option<Ms>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Disk {
    pub total_bytes: u64,
    /// Without the containers' own layers and the images.
    pub base_bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineMode {
    Answers,
    Hangs,
    Refuses,
}

/// What the simulated users got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Users {
    pub requests: u64,
    /// Answered with 5xx or not at all, since the first fault.
    pub lost: u64,
}

/// What was done to the stack through its interfaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Performed {
    pub at: Ms,
    pub does: Deed,
    /// The replica, as scenarios name it.
    pub target: String,
    /// The command, where it was one.
    pub argv: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
struct Recent {
    at: Ms,
    ms: f64,
    failed: bool,
    /// Id of the server replica that answered, if one did.
    by: Option<String>,
}

/// Everything.
#[derive(Debug, Clone, PartialEq)]
pub struct World {
    pub scenario: Scenario,
    pub seed: u64,
    now: Ms,
    load_dice: Dice,
    id_dice: Dice,
    pub containers: Vec<Container>,
    pub images: Vec<Image>,
    pub gateway: Gateway,
    pub backups: Backups,
    pub disk: Disk,
    pub engine: EngineMode,
    /// Tables and their rows, by database.
    pub databases: BTreeMap<String, BTreeMap<String, u64>>,
    pub users: Users,
    pub deeds: Vec<Performed>,
    pub samples: BTreeMap<u8, VecDeque<Sample>>,
    pub scrape_stalled: bool,
    pub scraped: Ms,
    pub alerts: Vec<Alerting>,
    events: VecDeque<Event>,
    next_event: u64,
    next_fault: usize,
    fault_began: Option<Ms>,
    /// Faults that somebody let begin beside the scenario: when, and what happened.
    pub injected: Vec<(Ms, String)>,
    goal_since: Option<Ms>,
    goal_met: Option<Ms>,
    pending: Vec<Request>,
    recent: VecDeque<Recent>,
    due: f64,
    next_pid: u32,
}

impl World {
    /// The stack in good health, at the time 0, two minutes of traffic behind it.
    pub fn new(scenario: Scenario, seed: u64) -> Self {
        let mut id_dice = Dice::new(seed, 1);
        let images = stack::images(&mut id_dice);
        let containers = stack::containers(&images, &mut id_dice);
        let certificate = Certificate {
            serial: 1,
            days: 67.0,
            name_right: true,
        };
        let mut scenario = scenario;
        scenario.faults.sort_by(|a, b| a.at_s.total_cmp(&b.at_s));
        let mut world = Self {
            scenario,
            seed,
            now: LEAD_IN_FROM_MS,
            load_dice: Dice::new(seed, 2),
            id_dice,
            containers,
            images,
            gateway: Gateway {
                served: certificate,
                on_disk: certificate,
                upstreams: Vec::new(),
                pinned: false,
                list: Servers::ByName,
                list_on_disk: Ok(Servers::ByName),
                workers: vec![1_711, 1_712],
                ending_workers: Vec::new(),
                turn: 0,
            },
            backups: Backups {
                last_night: LastNight::Whole,
                dumped: None,
            },
            disk: Disk {
                total_bytes: 42_949_672_960,
                base_bytes: 19_500_000_000,
            },
            engine: EngineMode::Answers,
            databases: BTreeMap::from([
                ("app".to_owned(), stack::tables()),
                ("postgres".to_owned(), BTreeMap::new()),
            ]),
            users: Users::default(),
            deeds: Vec::new(),
            samples: BTreeMap::new(),
            scrape_stalled: false,
            scraped: LEAD_IN_FROM_MS,
            alerts: scrape::quiet(),
            events: VecDeque::new(),
            next_event: 0,
            next_fault: 0,
            fault_began: None,
            injected: Vec::new(),
            goal_since: None,
            goal_met: None,
            pending: Vec::new(),
            recent: VecDeque::new(),
            due: 0.0,
            next_pid: 4_100,
        };
        world.seed_counters();
        world.advance(0);
        world
    }

    /// Replicas that have run for days have counted for days.
    fn seed_counters(&mut self) {
        /// Requests that each route of a replica has behind it, by its weight.
        const PAST: f64 = 900_000.0;
        for container in self
            .containers
            .iter_mut()
            .filter(|c| c.service == Service::Server)
        {
            for (index, route) in routes::ROUTES.iter().enumerate() {
                let past = crate::range::figures::whole(PAST * route.weight);
                if past > 0 && route.needs != routes::Needs::Client {
                    container.counters.requests.insert((index, 200), past);
                    let histogram = &mut container.counters.durations[index];
                    histogram.buckets[3] = past;
                    histogram.count = past;
                    histogram.sum_s = crate::range::figures::real(past) * route.ms / 1000.0;
                }
            }
        }
    }

    pub fn now(&self) -> Ms {
        self.now
    }

    /// Lets time pass, in whole ticks, up to and not beyond `to`.
    pub fn advance(&mut self, to: Ms) {
        while self.now + TICK_MS <= to {
            self.now += TICK_MS;
            self.tick();
        }
    }

    fn tick(&mut self) {
        self.due_faults();
        self.tick_containers();
        self.arrive();
        self.settle();
        if self.now.rem_euclid(BEAT_MS) == 0 {
            self.beat();
        }
    }

    fn beat(&mut self) {
        self.resolve();
        self.beat_containers();
        self.forget();
        self.scrape();
        self.judge_goal();
    }

    /// When the first fault began.
    pub fn fault_began(&self) -> Option<Ms> {
        self.fault_began
    }

    /// Have all faults of the scenario begun?
    pub fn all_begun(&self) -> bool {
        self.next_fault == self.scenario.faults.len()
    }

    /// When the trouble ended for good, as far as is known.
    pub fn goal_met(&self) -> Option<Ms> {
        self.goal_met
    }

    fn judge_goal(&mut self) {
        if !self.all_begun() || self.fault_began.is_none() {
            return;
        }
        if !self.goal_holds() {
            self.goal_since = None;
            self.goal_met = None;
            return;
        }
        let since = *self.goal_since.get_or_insert(self.now);
        if self.now - since >= GOAL_HOLD_MS && self.goal_met.is_none() {
            self.goal_met = Some(since);
        }
    }

    /// Does everything that the scenario wants back hold now?
    pub fn goal_holds(&self) -> bool {
        let goal = &self.scenario.goal;
        goal.iter().all(|condition| self.holds(condition))
    }

    pub fn events(&self) -> &VecDeque<Event> {
        &self.events
    }

    /// The number that the next event will have.
    pub fn next_event(&self) -> u64 {
        self.next_event
    }

    fn emit(&mut self, at: usize, action: &str, extra: &[(&str, String)]) {
        let container = &self.containers[at];
        let mut attributes = BTreeMap::from([
            ("name".to_owned(), container.name.clone()),
            ("image".to_owned(), container.image.clone()),
        ]);
        if let Some(labels) = container.config["Labels"].as_object() {
            for (key, value) in labels {
                attributes.insert(key.clone(), value.as_str().unwrap_or_default().to_owned());
            }
        }
        for (key, value) in extra {
            attributes.insert((*key).to_owned(), value.clone());
        }
        let event = Event {
            seq: self.next_event,
            at: self.now,
            action: action.to_owned(),
            id: container.id.clone(),
            attributes,
        };
        if self.events.len() == EVENTS_MAX {
            self.events.pop_front();
        }
        self.events.push_back(event);
        self.next_event += 1;
    }

    /// The container whose id begins so, or whose name it is.
    pub fn find(&self, reference: &str) -> Option<usize> {
        let name = reference.trim_start_matches('/');
        self.containers
            .iter()
            .position(|c| c.name == name || c.id == name)
            .or_else(|| {
                let by_id = |c: &Container| !name.is_empty() && c.id.starts_with(name);
                self.containers.iter().position(by_id)
            })
    }

    /// The container that plays this replica: the running one, where an old one is kept aside.
    pub fn replica(&self, replica: &str) -> Option<usize> {
        let plays = |c: &&Container| c.replica() == replica;
        let mut best: Option<usize> = None;
        for (at, container) in self.containers.iter().enumerate().filter(|(_, c)| plays(c)) {
            let better =
                best.is_none_or(|b| container.is_running() && !self.containers[b].is_running());
            if better {
                best = Some(at);
            }
        }
        best
    }

    fn of_service(&self, service: Service) -> impl Iterator<Item = &Container> {
        self.containers.iter().filter(move |c| c.service == service)
    }

    /// Does a container of this service accept connections?
    fn serves(&self, service: Service) -> bool {
        self.of_service(service).any(|c| c.accepts(self.now))
    }

    pub fn image(&self, reference: &str) -> Option<&Image> {
        let with_tag = format!("{reference}:latest");
        let hex = reference.trim_start_matches("sha256:");
        self.images.iter().find(|image| {
            image.tag == reference
                || image.tag == with_tag
                || (hex.len() >= 12 && image.id.trim_start_matches("sha256:").starts_with(hex))
        })
    }

    /// Used bytes of the simulated disk.
    pub fn disk_used(&self) -> u64 {
        let images: u64 = self.images.iter().map(|i| i.bytes).sum();
        let layers: u64 = self.containers.iter().map(|c| c.layer_bytes).sum();
        (self.disk.base_bytes + images + layers).min(self.disk.total_bytes)
    }

    fn disk_full(&self) -> bool {
        self.disk_used() >= self.disk.total_bytes
    }

    /// Notes what was done to a container, for the score.
    fn note_deed(&mut self, at: usize, does: Deed, argv: &[String]) {
        let target = self.containers[at].replica();
        self.note(does, target, argv);
    }

    fn note(&mut self, does: Deed, target: String, argv: &[String]) {
        if self.deeds.len() == DEEDS_MAX {
            self.deeds.remove(0);
        }
        self.deeds.push(Performed {
            at: self.now,
            does,
            target,
            argv: argv.to_vec(),
        });
    }
}

#[cfg(test)]
mod tests;
