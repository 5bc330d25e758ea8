//! Dumps that look like `pg_dump`'s custom format from outside and can be read back here.
//!
//! They begin with `PGDMP` and the format's version as real ones do. What follows is our own: the table of contents as text,
//! then rows as seeded noise, then a trailer with the length, so that a dump that ends early is known by it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::figures::{count, index};
use super::world::dice::Dice;

/// Magic, version 1.14.0, integer and offset sizes, format `custom`.
const HEAD: &[u8] = b"PGDMP\x01\x0e\x00\x04\x08\x01";
/// Ends as real ones do: the number 0, as a sign byte and four bytes.
const TRAILER: &[u8] = b"\x00range-end\x00\x00\x00\x00\x00";
/// Compressed size of a row, on the average.
const ROW_BYTES: u64 = 26;

/// Rows by table.
pub type Tables = BTreeMap<String, u64>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// Not an archive at all.
    NotADump,
    /// The archive ends before its end.
    Truncated,
}

/// The bytes of a dump.
pub fn write(database: &str, tables: &Tables, seed: u64) -> Vec<u8> {
    let contents = contents(database, tables);
    let mut bytes = HEAD.to_vec();
    bytes.extend(
        u32::try_from(contents.len())
            .unwrap_or(u32::MAX)
            .to_be_bytes(),
    );
    bytes.extend(contents.as_bytes());
    let rows: u64 = tables.values().sum();
    let mut dice = Dice::new(seed, 0xD0);
    let end = bytes.len() + index(rows * ROW_BYTES);
    while bytes.len() < end {
        bytes.extend(dice.roll().to_le_bytes());
    }
    let length = count(bytes.len());
    bytes.extend(length.to_be_bytes());
    bytes.extend(TRAILER);
    bytes
}

fn contents(database: &str, tables: &Tables) -> String {
    let mut text = format!("database\t{database}\n");
    for (name, rows) in tables {
        let _ = writeln!(text, "{name}\t{rows}");
    }
    text
}

/// The database's name and its tables, from the table of contents alone.
pub fn list(bytes: &[u8]) -> Result<(String, Tables), Damage> {
    let rest = bytes.strip_prefix(HEAD).ok_or(Damage::NotADump)?;
    let (length, rest) = rest.split_first_chunk::<4>().ok_or(Damage::Truncated)?;
    let length = index(u64::from(u32::from_be_bytes(*length)));
    let text = rest.get(..length).ok_or(Damage::Truncated)?;
    let text = std::str::from_utf8(text).map_err(|_| Damage::NotADump)?;
    let mut database = String::new();
    let mut tables = Tables::new();
    for (name, value) in text.lines().filter_map(|line| line.split_once('\t')) {
        match value.parse() {
            Ok(rows) => {
                tables.insert(name.to_owned(), rows);
            }
            Err(_) => value.clone_into(&mut database),
        }
    }
    Ok((database, tables))
}

/// As `list`, but the whole archive must be there.
pub fn read(bytes: &[u8]) -> Result<(String, Tables), Damage> {
    let listed = list(bytes)?;
    let body = bytes.strip_suffix(TRAILER).ok_or(Damage::Truncated)?;
    let (front, length) = body.split_last_chunk::<8>().ok_or(Damage::Truncated)?;
    if u64::from_be_bytes(*length) == count(front.len()) {
        Ok(listed)
    } else {
        Err(Damage::Truncated)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables() -> Tables {
        BTreeMap::from([("users".into(), 40), ("missions".into(), 900)])
    }

    #[test]
    fn what_is_written_is_read_back() {
        let bytes = write("app", &tables(), 7);
        assert!(bytes.starts_with(b"PGDMP"));
        assert_eq!(read(&bytes), Ok(("app".into(), tables())));
    }

    #[test]
    fn a_dump_cut_anywhere_is_known_as_cut() {
        let bytes = write("app", &tables(), 7);
        for end in [20, bytes.len() / 2, bytes.len() - 1] {
            assert_eq!(read(&bytes[..end]), Err(Damage::Truncated), "{end}");
        }
        assert_eq!(read(b"-- SQL"), Err(Damage::NotADump));
        assert_eq!(
            list(&bytes[..bytes.len() / 2]).map(|l| l.0),
            Ok("app".into())
        );
    }
}
