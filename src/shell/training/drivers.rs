//! The drivers of a practice range's runs end with the range: each is a process of its own, and nothing would be left
//! for it to act upon.

use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::{Instant, sleep};

use crate::engine::DriverId;
use crate::journal::{Access, Address, Journal, StoreError};
use crate::shell::driver::process;

/// What a driver gets to leave its run as it is. Longer than it takes to write that down.
const PATIENCE: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(20);

/// Ends the drivers that hold a target by the journal in the range's folder, on this host and no other.
pub(in crate::shell) async fn end(range: &Path) {
    let drivers = match drivers(range).await {
        Ok(drivers) => drivers,
        Err(StoreError::Absent { .. }) => return,
        Err(error) => {
            tracing::warn!("nobody knows which drivers the range leaves behind: {error}");
            return;
        }
    };
    let asked: Vec<&DriverId> = drivers
        .iter()
        .filter(|driver| process::signal(driver, Signal::TERM))
        .collect();
    let until = Instant::now() + PATIENCE;
    for driver in asked {
        while !process::is_gone(driver) {
            if Instant::now() >= until {
                tracing::warn!("the driver {} does not leave its run", driver.0);
                process::signal(driver, Signal::KILL);
                break;
            }
            sleep(PAUSE).await;
        }
    }
}

async fn drivers(range: &Path) -> Result<Vec<DriverId>, StoreError> {
    let address = Address::Sqlite(range.join(crate::range::JOURNAL));
    let journal = Journal::open(&address, Access::Read).await?;
    let tenures = journal.tenures().await?;
    journal.close().await;
    let holders = tenures
        .iter()
        .filter_map(|(_, tenure)| tenure.holder().map(|holder| holder.driver.clone()));
    Ok(holders.collect())
}
