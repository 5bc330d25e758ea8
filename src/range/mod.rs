//! The practice range: a pretend production that speaks the real protocols. Imports nothing of ours.
//!
//! `world` is a pure simulation: seed and time in, state out. Everything else here translates it into the protocols that the
//! console speaks with a real stack: the engine's API, the gateway, the replicas' metrics, Prometheus, files of backups.
//! **Invariant:** nothing listens beyond loopback; the socket and the directory belong to their owner alone.

mod backups;
mod body;
mod clock;
mod door;
pub mod dump;
mod engine_api;
mod figures;
mod gateway;
mod metrics;
mod prometheus;
pub mod promql;
pub mod scenario;
pub mod score;
mod upstream;
mod voice;
pub mod world;
mod yard;

use std::fmt::Write as _;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use clock::Clock;
pub use gateway::CertificateError;
use gateway::Certificates;
use scenario::{Fault, Scenario};
use score::{Entry, Happening, Timeline};
use voice::Network;
use world::dice::Dice;
use world::{LastNight, World};
use yard::Yard;

/// The journal of the consoles and drivers that look at a range, in the range's folder.
pub const JOURNAL: &str = "journal.db";
/// Several ranges may run at once; each looks for addresses of its own.
const NETWORK_TRIES: u64 = 64;
/// A unix socket's path may not be longer.
const SOCKET_PATH_MAX: usize = 100;

/// What a range is started with.
#[derive(Debug, Clone)]
pub struct Options {
    pub scenario: Scenario,
    /// Where socket, certificates, backups and configuration are put; made if it is not there.
    pub dir: PathBuf,
    pub seed: u64,
    /// Simulated seconds in one of ours; above 0.
    pub speed: f64,
}

#[derive(Debug, Error)]
pub enum RangeError {
    #[error("cannot prepare {what} in {}", path.display())]
    Prepare {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(
        "the path of the engine's socket would have {0} bytes; take a shorter --dir (at most {SOCKET_PATH_MAX})"
    )]
    PathTooLong(usize),
    #[error("the speed must be between 0.1 and 1000, not {0}")]
    Speed(f64),
    #[error("cannot listen on loopback")]
    Listen(#[source] io::Error),
    #[error("cannot find free addresses on loopback after {NETWORK_TRIES} tries; end other ranges")]
    NoNetwork(#[source] io::Error),
    #[error("cannot set up the gateway's certificates")]
    Certificates(#[from] CertificateError),
}

/// A range that runs. It ends when it is dropped or stopped.
#[derive(Debug)]
pub struct Range {
    yard: Arc<Yard>,
    tasks: JoinSet<()>,
    /// Held for as long as the range lives, so that no other range takes its addresses.
    _claim: TcpListener,
    /// Ports on 127.0.0.1.
    pub http_port: u16,
    pub https_port: u16,
    pub prometheus_port: u16,
}

impl Range {
    /// Builds the directory, opens all ports and lets time run.
    pub async fn start(options: Options) -> Result<Self, RangeError> {
        if !(0.1..=1_000.0).contains(&options.speed) {
            return Err(RangeError::Speed(options.speed));
        }
        let dir = prepare_dir(&options.dir)?;
        let (network, claim) = free_network(options.seed).await?;
        let http = listen().await?;
        let https = listen().await?;
        let prometheus = listen().await?;
        let socket_path = dir.join("docker.sock");
        let socket =
            engine_api::bind(&socket_path).map_err(prepared("the engine's socket", &dir))?;
        let world = World::new(options.scenario, options.seed);
        let clock = Clock::start(options.speed);
        let yard = Arc::new(Yard::new(world, clock, network, dir));
        let range = Self {
            yard: yard.clone(),
            tasks: JoinSet::new(),
            _claim: claim,
            http_port: port(&http)?,
            https_port: port(&https)?,
            prometheus_port: port(&prometheus)?,
        };
        range.serve(Doors {
            http,
            https,
            prometheus,
            socket,
            socket_path,
        })
    }

    fn serve(mut self, doors: Doors) -> Result<Self, RangeError> {
        let yard = self.yard.clone();
        let mut files = Files::new(&yard)?;
        files.follow(&yard)?;
        let acceptor =
            gateway::acceptor(files.certificates.served()).map_err(CertificateError::from)?;
        let address = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let (http, https, prometheus) = (
            address(self.http_port),
            address(self.https_port),
            address(self.prometheus_port),
        );
        let tasks = &mut self.tasks;
        let driven = yard.clone();
        tasks.spawn(async move { driven.drive().await });
        tasks.spawn(engine_api::keep(
            yard.clone(),
            doors.socket,
            doors.socket_path,
        ));
        tasks.spawn(gateway::plain(
            yard.clone(),
            doors.http,
            http,
            self.https_port,
        ));
        tasks.spawn(gateway::tls(yard.clone(), doors.https, https, acceptor));
        tasks.spawn(prometheus::keep(yard.clone(), doors.prometheus, prometheus));
        tasks.spawn(metrics::keep(yard.clone()));
        tasks.spawn(keep_files(yard.clone(), files));
        upstream::prepare(self.dir()).map_err(prepared("the gateway's list", self.dir()))?;
        let path = self.config_path();
        std::fs::write(&path, self.config_toml())
            .map_err(prepared("quarterdeck.toml", self.dir()))?;
        Ok(self)
    }

    pub fn dir(&self) -> &Path {
        &self.yard.dir
    }

    pub fn socket_path(&self) -> PathBuf {
        self.yard.dir.join("docker.sock")
    }

    pub fn config_path(&self) -> PathBuf {
        self.yard.dir.join("quarterdeck.toml")
    }

    /// The authority that signs the gateway's certificates, as PEM.
    pub fn ca_path(&self) -> PathBuf {
        self.yard.dir.join("tls").join("ca.pem")
    }

    /// The gateway's certificate as it lies on disk, as PEM.
    pub fn certificate_path(&self) -> PathBuf {
        self.yard.dir.join("tls").join("gateway.pem")
    }

    pub fn backups_dir(&self) -> PathBuf {
        self.yard.dir.join("backups")
    }

    /// Where each running server replica serves its metrics: its name and its address.
    pub fn metrics_addresses(&self) -> Vec<(String, SocketAddr)> {
        self.yard.with(|world| {
            let servers = world
                .containers
                .iter()
                .filter(|c| c.service == world::Service::Server);
            servers
                .filter_map(|c| {
                    let address = self.yard.network.address(c.host?);
                    Some((c.replica(), SocketAddr::from((address, metrics::PORT))))
                })
                .collect()
        })
    }

    /// Lets a fault begin now, whatever the scenario says.
    pub fn inject(&self, fault: &Fault) {
        self.desk().inject(fault);
    }

    /// For whoever instructs while it runs.
    pub fn desk(&self) -> Desk {
        Desk(self.yard.clone())
    }

    /// The world as it is now.
    pub fn snapshot(&self) -> World {
        self.yard.with(|world| world.clone())
    }

    /// Simulated milliseconds since the start: the time of the score's entries.
    pub fn now_ms(&self) -> world::Ms {
        self.yard.with(|world| world.now())
    }

    /// What the world itself can say for the score: faults, acts, the end of the trouble, what users lost.
    pub fn timeline(&self) -> Timeline {
        self.yard.with(|world| timeline(world))
    }

    /// Ends all servers and removes the socket. Files stay for whoever wants to look at them.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
        // The directory may be gone already, with everything in it.
        drop(std::fs::remove_file(self.socket_path()));
    }

    /// The configuration with which the console looks at this range.
    pub fn config_toml(&self) -> String {
        let dir = self.yard.dir.display().to_string();
        let path = |name: &str| toml::Value::String(format!("{dir}/{name}")).to_string();
        let ca = path("tls/ca.pem");
        let url = format!("https://localhost:{}", self.https_port);
        let prometheus = format!("http://127.0.0.1:{}", self.prometheus_port);
        let mut text = String::from(
            "# Written by the practice range: a pretend production. Nothing here is real.\n",
        );
        let socket = toml::Value::String(format!("unix://{dir}/docker.sock"));
        let _ = write!(
            text,
            "[stack]\nname = \"hyper-mission\"\nenvironment = \"training\"\n\n[engine]\naddress = {socket}\n\n[gateway]\nservice = \"gateway\"\nurl = \"{url}\"\nca_file = {ca}\n\n[journal]\nstore = \"sqlite:{JOURNAL}\"\n"
        );
        text.push_str(&upstream::config_toml(&self.yard.dir, metrics::PORT));
        for (service, replicas) in [
            ("gateway", 1),
            ("client", 1),
            ("server", 3),
            ("postgres", 1),
            ("redis", 1),
            ("prometheus", 1),
            ("grafana", 1),
        ] {
            let _ = write!(
                text,
                "\n[[service]]\nname = \"{service}\"\nreplicas = {replicas}\n"
            );
        }
        let _ = write!(
            text,
            "\n[[traffic]]\nkind = \"metrics\"\nservice = \"server\"\nport = {}\npath = \"/metrics\"\n\n[[traffic]]\nkind = \"prometheus\"\nservice = \"server\"\nurl = \"{prometheus}\"\n\n[[traffic]]\nkind = \"access-log\"\ngateway = \"gateway\"\nservice = \"server\"\n",
            metrics::PORT
        );
        let http = format!("http://localhost:{}/", self.http_port);
        for (name, url, status) in [
            ("start page", format!("{url}/"), 200),
            ("api", format!("{url}/api/health"), 200),
            ("redirect", http, 301),
        ] {
            let _ = write!(
                text,
                "\n[[endpoint]]\nname = \"{name}\"\nurl = \"{url}\"\nstatus = {status}\n"
            );
            // The configuration refuses an authority where there is nothing to verify.
            if url.starts_with("https://") {
                let _ = writeln!(text, "ca_file = {ca}");
            }
        }
        let _ = write!(
            text,
            "\n[[certificate]]\nendpoint = \"localhost:{}\"\nca_file = {ca}\non_disk = {}\n",
            self.https_port,
            path("tls/gateway.pem")
        );
        let _ = write!(
            text,
            "\n[[backup]]\ntarget = \"postgres\"\ndirectory = {}\npattern = \"app-*.dump\"\nage_max = \"26h\"\nkeep_min = 7\n",
            path("backups")
        );
        let _ = write!(
            text,
            "\n[prometheus]\nurl = \"{prometheus}\"\n\n[disk]\npaths = [{}]\n",
            toml::Value::String(dir.clone())
        );
        text
    }
}

struct Doors {
    http: TcpListener,
    https: TcpListener,
    prometheus: TcpListener,
    socket: tokio::net::UnixListener,
    socket_path: PathBuf,
}

fn prepared(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> RangeError {
    let path = path.to_owned();
    move |source| RangeError::Prepare { what, path, source }
}

/// Makes the directory, for its owner only, and answers its absolute path.
fn prepare_dir(dir: &Path) -> Result<PathBuf, RangeError> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder
        .create(dir)
        .map_err(prepared("the directory", dir))?;
    let dir = dir.canonicalize().map_err(prepared("the directory", dir))?;
    let owner_only = std::fs::Permissions::from_mode(0o700);
    std::fs::set_permissions(&dir, owner_only).map_err(prepared("the directory", &dir))?;
    builder
        .create(dir.join("tls"))
        .map_err(prepared("tls", &dir))?;
    let length = dir.join("docker.sock").as_os_str().len();
    if length > SOCKET_PATH_MAX {
        return Err(RangeError::PathTooLong(length));
    }
    Ok(dir)
}

async fn listen() -> Result<TcpListener, RangeError> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .map_err(RangeError::Listen)
}

fn port(listener: &TcpListener) -> Result<u16, RangeError> {
    listener
        .local_addr()
        .map(|a| a.port())
        .map_err(RangeError::Listen)
}

/// A network of loopback whose metrics ports nobody holds, and the claim on it.
async fn free_network(seed: u64) -> Result<(Network, TcpListener), RangeError> {
    let mut dice = Dice::new(seed, u64::from(std::process::id()));
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..NETWORK_TRIES {
        let part = |n: u64| u8::try_from(1 + n).unwrap_or(1);
        let network = Network([127, part(dice.below(253)), part(dice.below(253))]);
        match claim(network).await {
            Ok(claim) => return Ok((network, claim)),
            Err(error) => last = error,
        }
    }
    Err(RangeError::NoNetwork(last))
}

/// Takes the address that no container has; the servers' own must be free too.
async fn claim(network: Network) -> io::Result<TcpListener> {
    /// The network's own address, and the servers' at the start.
    const OWN: u8 = 1;
    const HOSTS: [u8; 3] = [21, 22, 23];
    let claim = TcpListener::bind((network.address(OWN), metrics::PORT)).await?;
    for host in HOSTS {
        TcpListener::bind((network.address(host), metrics::PORT)).await?;
    }
    Ok(claim)
}

/// What of the world lies in files: certificates and backups.
struct Files {
    certificates: Certificates,
    backups: Option<LastNight>,
}

impl Files {
    fn new(yard: &Yard) -> Result<Self, RangeError> {
        let certificates = Certificates::new(yard.clock.wall_ms(0))?;
        let ca = yard.dir.join("tls").join("ca.pem");
        std::fs::write(&ca, certificates.authority().pem())
            .map_err(prepared("tls/ca.pem", &yard.dir))?;
        Ok(Self {
            certificates,
            backups: None,
        })
    }

    /// Brings the files to where the world is.
    fn follow(&mut self, yard: &Yard) -> Result<(), RangeError> {
        let (gateway, last, seed) =
            yard.with(|w| (w.gateway.clone(), w.backups.last_night, w.seed));
        let file = yard.dir.join("tls").join("gateway.pem");
        self.certificates.follow(&gateway, &file)?;
        if self.backups != Some(last) {
            let tables = yard.with(|w| w.databases.get("app").cloned().unwrap_or_default());
            let dir = yard.dir.join("backups");
            backups::write(&dir, yard.clock.wall_ms(0), &tables, seed, last)
                .map_err(prepared("backups", &dir))?;
            self.backups = Some(last);
        }
        Ok(())
    }
}

async fn keep_files(yard: Arc<Yard>, mut files: Files) {
    let mut beats = yard.beats();
    while beats.changed().await.is_ok() {
        // A full or removed directory is tried again at the next beat; said once is enough.
        if let Err(error) = files.follow(&yard) {
            tracing::warn!(error = %error, "the range cannot write its files");
            tokio::time::sleep(std::time::Duration::from_secs(5)).await;
        }
    }
}

/// Where an instructor sits: sees the world, and lets faults begin. Outlives the range without doing anything then.
#[derive(Debug, Clone)]
pub struct Desk(Arc<Yard>);

impl Desk {
    pub fn inject(&self, fault: &Fault) {
        self.0.with(|world| world.inject_by_hand(fault));
    }

    pub fn snapshot(&self) -> World {
        self.0.with(|world| world.clone())
    }
}

/// The world's side of a training.
fn timeline(world: &World) -> Timeline {
    let mut entries = Vec::new();
    for fault in &world.scenario.faults {
        let at_ms = figures::whole_ms(fault.at_s * 1_000.0);
        if at_ms <= world.now() {
            let text = fault.what.describe();
            entries.push(Entry {
                at_ms,
                happening: Happening::FaultBegan { text },
            });
        }
    }
    for (at_ms, text) in &world.injected {
        let text = text.clone();
        entries.push(Entry {
            at_ms: *at_ms,
            happening: Happening::FaultBegan { text },
        });
    }
    for deed in &world.deeds {
        let happening = Happening::Acted {
            does: deed.does,
            target: deed.target.clone(),
            argv: deed.argv.clone(),
        };
        entries.push(Entry {
            at_ms: deed.at,
            happening,
        });
    }
    if let Some(at_ms) = world.goal_met() {
        entries.push(Entry {
            at_ms,
            happening: Happening::GoalMet,
        });
    }
    entries.sort_by_key(|e| e.at_ms);
    Timeline {
        entries,
        requests_lost: world.users.lost,
    }
}
