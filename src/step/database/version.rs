//! Which PostgreSQL tools may be trusted with a dump.
//!
//! Until the releases below, a hostile server could write commands into a dump that the tools then ran (CVE-2025-8714,
//! CVE-2025-8715).

use crate::domain::Clean;

/// First good minor release of each major one. Later majors were never affected; earlier ones get no more fixes.
const FIXED: [(u32, u32); 5] = [(13, 22), (14, 19), (15, 14), (16, 10), (17, 6)];

/// `15.20`
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::step) struct Version {
    pub(in crate::step) major: u32,
    pub(in crate::step) minor: u32,
}

impl Version {
    /// `pg_restore (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)`, `15.20`
    pub(in crate::step) fn read(text: &str) -> Option<Self> {
        let number = text
            .split_whitespace()
            .find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
        let mut parts = number.split('.');
        let digits = |part: &str| {
            let end = part
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(part.len());
            part[..end].parse().ok()
        };
        Some(Self {
            major: digits(parts.next()?)?,
            minor: parts.next().and_then(digits).unwrap_or_default(),
        })
    }

    /// Why these tools are not used, if they are not.
    pub(in crate::step) fn problem(self) -> Option<Clean> {
        let Self { major, minor } = self;
        let fixed = FIXED.iter().find(|(of, _)| *of == major);
        let wanted = match fixed {
            Some((_, fixed)) if minor >= *fixed => return None,
            Some((_, fixed)) => format!("{major}.{fixed}"),
            None if FIXED.iter().all(|(of, _)| major > *of) => return None,
            None => "a supported release".to_owned(),
        };
        Some(Clean::line(&format!(
            "pg_restore {major}.{minor} can be made to run commands by a dump (CVE-2025-8714); update the image to {wanted} or later"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_older_than_the_fix_are_told_from_newer_ones() {
        let problem = |text| Version::read(text).unwrap().problem().is_some();
        for good in [
            "pg_restore (PostgreSQL) 15.20 (Debian 15.20-0)",
            "15.14",
            "18.0",
            "18beta1",
        ] {
            assert!(!problem(good), "{good}");
        }
        for bad in ["pg_restore (PostgreSQL) 15.13", "12.22", "17.5", "16"] {
            assert!(problem(bad), "{bad}");
        }
        assert_eq!(Version::read("no digits"), None);
    }
}
