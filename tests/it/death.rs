//! `kill -9`, and the wait until the kernel is through with it: on a busy machine a process lives on for a moment.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Nothing takes longer to die.
const LIMIT: Duration = Duration::from_secs(20);

/// `false`: there was nobody to kill any more.
#[track_caller]
pub(crate) fn killed(pid: Pid) -> bool {
    if kill_process(pid, Signal::KILL).is_err() {
        return false;
    }
    let began = Instant::now();
    while lives(pid) {
        assert!(began.elapsed() < LIMIT, "{pid:?} does not die");
        sleep(Duration::from_millis(5));
    }
    true
}

/// Remains that nobody has asked for are dead enough.
fn lives(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    stat.is_ok_and(|stat| {
        let state = stat
            .rsplit(')')
            .next()
            .and_then(|rest| rest.split_whitespace().next());
        !matches!(state, Some("Z" | "X"))
    })
}
