//! What the system lets this process have.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::domain::{Fault, FaultKind};

/// Sees to it that so many files can be open at the same time: raises our own limit as far as we may.
pub fn files_for(count: u64) -> Result<(), Fault> {
    let limit = getrlimit(Resource::Nofile);
    // None is no limit.
    if limit.current.is_none_or(|soft| soft >= count) {
        return Ok(());
    }
    let refused = |hard: u64| {
        let text = format!("{count} open files are needed, and this process may have {hard}");
        Fault::new(FaultKind::Denied, text).remedy(format!(
            "raise the limit (ulimit -Hn {count}), or ask for fewer"
        ))
    };
    if let Some(hard) = limit.maximum
        && hard < count
    {
        return Err(refused(hard));
    }
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised).map_err(|_| refused(limit.current.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::files_for;

    #[test]
    fn a_limit_that_is_too_low_is_said_with_its_remedy() {
        assert_eq!(files_for(64), Ok(()));
        // Where there is no hard limit nothing is too much.
        if let Err(fault) = files_for(u64::MAX - 1) {
            assert!(fault.to_string().contains("ulimit"), "{fault}");
        }
    }
}
