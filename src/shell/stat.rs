//! What the kernel says of a process in `/proc/PID/stat`.
//!
//! Numbers of groups and sessions are read as text: a process that was started from outside its PID namespace, as by
//! `docker exec`, has a session with the number 0, which the calls for it cannot express.

use std::fs;

/// See `proc_pid_stat(5)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProcessStat {
    /// `R`, `S`, `T`, `Z` …
    pub(crate) state: char,
    /// 0: there is none, or it is outside of this namespace.
    pub(crate) parent: u32,
    pub(crate) group: u32,
    pub(crate) session: u32,
    /// When it started, in ticks since the boot.
    pub(crate) started: u64,
}

impl ProcessStat {
    /// `None`: there is no such process.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    pub(crate) fn of_this_process() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/self/stat").ok()?)
    }

    fn parse(stat: &str) -> Option<Self> {
        // The name in brackets may hold anything.
        let fields: Vec<&str> = stat[stat.rfind(')')? + 1..].split_whitespace().collect();
        Some(Self {
            state: fields.first()?.chars().next()?,
            parent: fields.get(1)?.parse().ok()?,
            group: fields.get(2)?.parse().ok()?,
            session: fields.get(3)?.parse().ok()?,
            started: fields.get(19)?.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_brackets_and_a_session_may_be_zero() {
        let line = "7 (a) b (c) S 3 0 0 34816 7 4194560 1 2 3 4 5 6 7 8 20 0 1 0 98765 11 12";
        assert_eq!(
            ProcessStat::parse(line),
            Some(ProcessStat {
                state: 'S',
                parent: 3,
                group: 0,
                session: 0,
                started: 98_765,
            })
        );
        assert_eq!(ProcessStat::parse("7 (a) S 3"), None);
    }

    #[test]
    fn this_process_is_found_and_a_number_of_nobody_is_not() {
        let own = ProcessStat::of(std::process::id());
        assert_eq!(
            own.map(|own| own.started),
            ProcessStat::of_this_process().map(|own| own.started)
        );
        assert!(own.is_some());
        // Above the kernel's greatest process number.
        assert_eq!(ProcessStat::of(1 << 30), None);
    }
}
