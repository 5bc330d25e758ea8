//! The messages of DNS: a question as bytes, an answer from bytes. Never reads beyond what is there, never goes in circles.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::domain::{Clean, Fault, FaultKind};

const HEADER_BYTES: usize = 12;
const NAME_BYTES_MAX: usize = 255;
const LABEL_BYTES_MAX: usize = 63;

/// Jumps while one name is read: each label can be elsewhere, and no name has more labels.
const JUMPS_MAX: usize = 128;

/// Records that are read of one answer.
const RECORDS_MAX: usize = 64;

/// Aliases that are followed inside one answer.
const ALIASES_MAX: usize = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    A,
    Aaaa,
    Cname,
}

impl Type {
    fn code(self) -> u16 {
        match self {
            Self::A => 1,
            Self::Cname => 5,
            Self::Aaaa => 28,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    NoError,
    NoSuchName,
    Other(u8),
}

/// What a server says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub code: Code,
    /// Of the wanted type and of the wanted name or what it is an alias of.
    pub records: Vec<Record>,
    /// The names that the wanted one is an alias of, in their order.
    pub aliases: Vec<Clean>,
    /// There is more than fits; nothing of this is to be used.
    pub cut: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// An address, or a name without its last dot.
    pub value: Clean,
    pub ttl_s: u32,
}

/// Hard to guess from outside, which is all it is for.
pub(super) fn number() -> u16 {
    let random = RandomState::new().build_hasher().finish();
    u16::try_from(random & 0xffff).unwrap_or_default()
}

pub(super) fn question(id: u16, name: &str, what: Type) -> Result<Vec<u8>, Fault> {
    let bad = || {
        Fault::new(FaultKind::Misconfigured, format!("{name:?} is no name"))
            .remedy("write one such as shop.eu, in punycode if it is international")
    };
    let mut out = Vec::with_capacity(HEADER_BYTES + name.len() + 6);
    out.extend(id.to_be_bytes());
    // Recursion desired; one question.
    out.extend([0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.trim_end_matches('.').split('.') {
        let length = u8::try_from(label.len()).map_err(|_| bad())?;
        if label.is_empty() || label.len() > LABEL_BYTES_MAX || !label.is_ascii() {
            return Err(bad());
        }
        out.push(length);
        out.extend(label.bytes());
    }
    if out.len() > HEADER_BYTES + NAME_BYTES_MAX {
        return Err(bad());
    }
    out.push(0);
    out.extend(what.code().to_be_bytes());
    out.extend([0, 1]);
    Ok(out)
}

/// Whether this is an answer to the question of this number.
pub(super) fn answers(bytes: &[u8], id: u16) -> bool {
    bytes.len() >= HEADER_BYTES && bytes[..2] == id.to_be_bytes() && bytes[2] & 0x80 != 0
}

struct Row {
    owner: String,
    kind: u16,
    value: String,
    ttl_s: u32,
}

/// Reads an answer. The error says what is wrong with it.
pub(super) fn read(bytes: &[u8], name: &str, what: Type) -> Result<Answer, String> {
    if bytes.len() < HEADER_BYTES {
        return Err("it is too short".to_owned());
    }
    let count = |at: usize| usize::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]));
    let mut answer = Answer {
        code: match bytes[3] & 0x0f {
            0 => Code::NoError,
            3 => Code::NoSuchName,
            code => Code::Other(code),
        },
        records: Vec::new(),
        aliases: Vec::new(),
        cut: bytes[2] & 0x02 != 0,
    };
    if answer.cut {
        return Ok(answer);
    }
    let mut at = HEADER_BYTES;
    for _ in 0..count(4).min(RECORDS_MAX) {
        (_, at) = name_at(bytes, at)?;
        at += 4;
    }
    let mut rows = Vec::new();
    for _ in 0..count(6).min(RECORDS_MAX) {
        let row;
        (row, at) = row_at(bytes, at)?;
        rows.extend(row);
    }
    follow(&rows, name, what, &mut answer);
    Ok(answer)
}

/// From the wanted name along its aliases to the wanted records.
fn follow(rows: &[Row], name: &str, what: Type, answer: &mut Answer) {
    let mut owner = name.trim_end_matches('.').to_ascii_lowercase();
    for _ in 0..ALIASES_MAX {
        let found = rows
            .iter()
            .filter(|row| row.owner == owner && row.kind == what.code());
        answer.records = found
            .map(|row| Record {
                value: Clean::line(&row.value),
                ttl_s: row.ttl_s,
            })
            .collect();
        let alias = rows
            .iter()
            .find(|row| row.owner == owner && row.kind == Type::Cname.code());
        match alias {
            Some(row) if answer.records.is_empty() => {
                answer.aliases.push(Clean::line(&row.value));
                owner.clone_from(&row.value);
            }
            _ => return,
        }
    }
}

/// A record, if it is of a kind that we know, and where the next begins.
fn row_at(bytes: &[u8], at: usize) -> Result<(Option<Row>, usize), String> {
    let (owner, at) = name_at(bytes, at)?;
    let head = bytes.get(at..at + 10).ok_or("a record is cut")?;
    let kind = u16::from_be_bytes([head[0], head[1]]);
    let ttl_s = u32::from_be_bytes([head[4], head[5], head[6], head[7]]);
    let length = usize::from(u16::from_be_bytes([head[8], head[9]]));
    let at = at + 10;
    let body = bytes.get(at..at + length).ok_or("a record is cut")?;
    let value = match kind {
        1 => <[u8; 4]>::try_from(body)
            .map(|four| Ipv4Addr::from(four).to_string())
            .map_err(|_| "an address is of an odd length")
            .map(Some)?,
        28 => <[u8; 16]>::try_from(body)
            .map(|sixteen| Ipv6Addr::from(sixteen).to_string())
            .map_err(|_| "an address is of an odd length")
            .map(Some)?,
        5 => Some(name_at(bytes, at)?.0),
        _ => None,
    };
    let row = value.map(|value| Row {
        owner,
        kind,
        value,
        ttl_s,
    });
    Ok((row, at + length))
}

/// The name that stands there, in lower case, and where what follows it begins.
fn name_at(bytes: &[u8], start: usize) -> Result<(String, usize), String> {
    let cut = || "a name is cut".to_owned();
    let (mut name, mut at, mut end) = (String::new(), start, None);
    for _ in 0..JUMPS_MAX {
        let length = *bytes.get(at).ok_or_else(cut)?;
        match length {
            0 => return Ok((name, end.unwrap_or(at + 1))),
            0xc0.. => {
                let low = *bytes.get(at + 1).ok_or_else(cut)?;
                end = end.or(Some(at + 2));
                at = usize::from(length & 0x3f) << 8 | usize::from(low);
            }
            1..=63 => {
                let label = bytes
                    .get(at + 1..at + 1 + usize::from(length))
                    .ok_or_else(cut)?;
                if !name.is_empty() {
                    name.push('.');
                }
                name.push_str(&String::from_utf8_lossy(label).to_ascii_lowercase());
                if name.len() > NAME_BYTES_MAX * 3 {
                    return Err("a name is too long".to_owned());
                }
                at += 1 + usize::from(length);
            }
            _ => return Err("a label is of no known kind".to_owned()),
        }
    }
    Err("a name goes in circles".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `www.shop.eu` is an alias of `shop.eu`, which has two addresses.
    fn reply() -> Vec<u8> {
        let mut out = question(7, "www.shop.eu", Type::A).unwrap();
        out[2] = 0x81;
        out[7] = 3;
        out.extend([0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 60, 0, 2, 0xc0, 16]);
        for last in [1, 2] {
            out.extend([0xc0, 16, 0, 1, 0, 1, 0, 0, 1, 0, 0, 4, 192, 0, 2, last]);
        }
        out
    }

    #[test]
    fn an_alias_is_followed_inside_the_answer() {
        let bytes = reply();
        assert!(answers(&bytes, 7) && !answers(&bytes, 8));
        let answer = read(&bytes, "WWW.shop.eu.", Type::A).unwrap();
        assert_eq!(answer.aliases, ["shop.eu"]);
        let values: Vec<&str> = answer.records.iter().map(|r| r.value.as_str()).collect();
        assert_eq!(values, ["192.0.2.1", "192.0.2.2"]);
        assert_eq!(answer.records[0].ttl_s, 256);
        let alias = read(&bytes, "www.shop.eu", Type::Cname).unwrap();
        assert_eq!(alias.records[0].value, "shop.eu");
        assert_eq!(alias.aliases, Vec::<Clean>::new());
    }

    #[test]
    fn no_such_name_is_an_answer_and_a_name_in_circles_is_none() {
        let mut bytes = reply();
        bytes[3] = 3;
        bytes[7] = 0;
        let answer = read(&bytes, "www.shop.eu", Type::A).unwrap();
        assert_eq!((answer.code, answer.records.len()), (Code::NoSuchName, 0));
        let mut circle = vec![0; 12];
        circle[2] = 0x80;
        circle[5] = 1;
        circle.extend([0xc0, 12]);
        assert!(read(&circle, "a", Type::A).unwrap_err().contains("circles"));
    }

    #[test]
    fn what_is_no_name_is_not_asked_for() {
        for bad in ["", "a..b", "bücher.eu", &"x".repeat(64)] {
            assert!(question(1, bad, Type::A).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(bytes in proptest::collection::vec(any::<u8>(), 0..300), at in 0_usize..80, with: u8) {
            let _ = read(&bytes, "shop.eu", Type::A);
            let mut near = reply();
            let length = near.len();
            near[at % length] = with;
            let _ = read(&near, "www.shop.eu", Type::Cname);
        }
    }
}
