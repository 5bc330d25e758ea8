//! What `pg_restore -l` says is in a dump.

use std::collections::BTreeSet;

use crate::domain::Clean;

/// Tables whose data is in it, by their number: `3319; 0 16389 TABLE DATA public users app`.
pub(super) fn table_data(line: &str) -> Option<u32> {
    let (_, entry) = line.split_once("; ")?;
    let mut words = entry.splitn(3, ' ');
    let (_, oid, rest) = (words.next()?, words.next()?, words.next()?);
    rest.starts_with("TABLE DATA ").then(|| oid.parse().ok())?
}

/// Every table that was counted has to be in the list.
pub(super) fn compare(dumped: &BTreeSet<u32>, listed: &BTreeSet<u32>) -> Result<(), Clean> {
    let missing = dumped.difference(listed).count();
    if missing == 0 {
        return Ok(());
    }
    Err(Clean::line(&format!(
        "the dump lists the data of {} tables and lacks {missing} of the {} that were counted: it is not whole",
        listed.len(),
        dumped.len()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_of_tables_is_found_by_their_number() {
        assert_eq!(
            table_data("3319; 0 16389 TABLE DATA public users app"),
            Some(16_389)
        );
        assert_eq!(table_data("215; 1259 16389 TABLE public users app"), None);
        assert_eq!(table_data("; Archive created at 2026-11-21"), None);
        assert_eq!(table_data(";     TOC Entries: 24"), None);
    }

    #[test]
    fn a_table_that_is_not_in_the_list_is_missed() {
        let (two, one) = (BTreeSet::from([1, 2]), BTreeSet::from([2, 3]));
        assert_eq!(compare(&two, &two), Ok(()));
        assert!(
            compare(&two, &one)
                .unwrap_err()
                .contains("lacks 1 of the 2")
        );
    }
}
