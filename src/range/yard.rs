//! What all servers of a range share: the world under its lock, the clock, and the beat that wakes whoever waits for a change.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::clock::Clock;
use super::upstream;
use super::voice::Network;
use super::world::{EngineMode, Ms, World};

/// How often the world is brought up to date: a console that follows logs sees them flow.
pub(super) const BEAT: Duration = Duration::from_millis(50);
/// After a long sleep of the machine the world catches up in pieces of this size.
const CATCH_UP_MAX_MS: Ms = 60_000;

#[derive(Debug)]
pub(super) struct Yard {
    world: Mutex<World>,
    pub(super) clock: Clock,
    pub(super) network: Network,
    pub(super) dir: PathBuf,
    beat: watch::Sender<u64>,
}

impl Yard {
    pub(super) fn new(world: World, clock: Clock, network: Network, dir: PathBuf) -> Self {
        Self {
            world: Mutex::new(world),
            clock,
            network,
            dir,
            beat: watch::Sender::new(0),
        }
    }

    /// Does something with the world as it is now. Never held across an await.
    pub(super) fn with<T>(&self, look: impl FnOnce(&mut World) -> T) -> T {
        let mut world = self.lock();
        let to = self.clock.now().min(world.now() + CATCH_UP_MAX_MS);
        world.advance(to);
        look(&mut world)
    }

    /// Tells the world what lies in the directory that the gateway includes.
    pub(super) fn read_upstream(&self) {
        let list = upstream::read(&self.dir, self.network);
        self.with(|world| world.gateway.list_on_disk = list);
    }

    fn lock(&self) -> MutexGuard<'_, World> {
        // A panic under the lock is a bug of the world; what it left behind is still the best there is to show.
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings the world up to date and wakes everybody, for ever.
    pub(super) async fn drive(&self) {
        let mut ticks = tokio::time::interval(BEAT);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.with(|_| ());
            self.beat.send_modify(|n| *n = n.wrapping_add(1));
        }
    }

    pub(super) fn beats(&self) -> watch::Receiver<u64> {
        self.beat.subscribe()
    }

    /// Waits until the world fits, or until `limit` has passed; answers whether it fits.
    pub(super) async fn until(&self, limit: Duration, fits: impl Fn(&World) -> bool) -> bool {
        let mut beats = self.beats();
        let wait = async {
            while !self.with(|w| fits(w)) {
                if beats.changed().await.is_err() {
                    return;
                }
            }
        };
        tokio::time::timeout(limit, wait).await.is_ok()
    }

    /// Waits while the engine hangs. An engine that refuses has no connections.
    pub(super) async fn engine_ready(&self) {
        let mut beats = self.beats();
        while self.with(|w| w.engine == EngineMode::Hangs) {
            if beats.changed().await.is_err() {
                return;
            }
        }
    }
}
