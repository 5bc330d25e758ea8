//! A server's first flight, as far as it is in the clear.

use super::{Exchange, Protocol};
use crate::link::x509::CHAIN_MAX;

/// Of one record, with what encryption may add.
const RECORD_BYTES_MAX: usize = 16 * 1024 + 2048;

/// What a server answered to one hello.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Flight {
    /// `None` for a number that is no protocol.
    pub(super) protocol: Option<Protocol>,
    pub(super) random: [u8; 32],
    pub(super) suite: u16,
    pub(super) compressed: bool,
    pub(super) secure_renegotiation: bool,
    pub(super) tickets: bool,
    /// DER, leaf first.
    pub(super) chain: Vec<Vec<u8>>,
    pub(super) exchange: Option<Exchange>,
}

/// How far the bytes go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Progress {
    /// Not to the end; with what is known already.
    More(Option<Box<Flight>>),
    Done(Box<Flight>),
    Alert(u8),
    /// Another language, or a broken one.
    Garbled,
}

const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const APPLICATION: u8 = 23;

const SERVER_HELLO: u8 = 2;
const CERTIFICATE: u8 = 11;
const SERVER_KEY_EXCHANGE: u8 = 12;
const SERVER_HELLO_DONE: u8 = 14;

const WARNING: u8 = 1;
const CLOSE_NOTIFY: u8 = 0;

/// Reads what has come so far, from its start.
pub(super) fn read(bytes: &[u8]) -> Progress {
    let mut rest = bytes;
    let mut messages = Vec::new();
    let mut sealed = false;
    while let [kind, _, _, high, low, after @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        if !(20..=23).contains(kind) || length > RECORD_BYTES_MAX {
            return Progress::Garbled;
        }
        let Some((payload, next)) = after.split_at_checked(length) else {
            break;
        };
        match *kind {
            HANDSHAKE => messages.extend_from_slice(payload),
            ALERT => match payload {
                [WARNING, what, ..] if *what != CLOSE_NOTIFY => {}
                [_, what, ..] => return Progress::Alert(*what),
                _ => return Progress::Garbled,
            },
            APPLICATION => sealed = true,
            _ => {}
        }
        rest = next;
    }
    if rest.first().is_some_and(|kind| !(20..=23).contains(kind)) {
        return Progress::Garbled;
    }
    match read_messages(&messages) {
        None => Progress::Garbled,
        Some((Some(flight), ended)) => {
            let ended = ended || sealed || flight.protocol == Some(Protocol::Tls13);
            if ended {
                Progress::Done(Box::new(flight))
            } else {
                Progress::More(Some(Box::new(flight)))
            }
        }
        Some((None, _)) => Progress::More(None),
    }
}

/// All whole messages; is the last of them the last of the flight? `None` for what is no flight.
fn read_messages(messages: &[u8]) -> Option<(Option<Flight>, bool)> {
    let mut flight: Option<Flight> = None;
    let mut cursor = Cursor(messages);
    while let Some((kind, body)) = cursor.message() {
        match (kind, &mut flight) {
            (SERVER_HELLO, None) => flight = Some(server_hello(body)?),
            (CERTIFICATE, Some(flight)) => flight.chain = chain(body)?,
            (SERVER_KEY_EXCHANGE, Some(flight)) => flight.exchange = exchange(body, flight.suite),
            (SERVER_HELLO_DONE, Some(_)) => return Some((flight, true)),
            // A request for a client certificate, a stapled response: nothing to learn here.
            (_, Some(_)) => {}
            (_, None) => return None,
        }
    }
    Some((flight, false))
}

fn server_hello(body: &[u8]) -> Option<Flight> {
    let mut cursor = Cursor(body);
    let mut flight = Flight {
        protocol: Protocol::of_wire(cursor.u16()?),
        random: cursor.take(32)?.try_into().ok()?,
        ..Flight::default()
    };
    let session = usize::from(cursor.u8()?);
    cursor.take(session)?;
    flight.suite = cursor.u16()?;
    flight.compressed = cursor.u8()? != 0;
    let Some(length) = cursor.u16() else {
        return Some(flight);
    };
    let mut extensions = Cursor(cursor.take(usize::from(length))?);
    while let Some(kind) = extensions.u16() {
        let length = usize::from(extensions.u16()?);
        let body = extensions.take(length)?;
        match kind {
            35 => flight.tickets = true,
            43 => flight.protocol = Protocol::of_wire(Cursor(body).u16()?),
            51 => flight.exchange = Cursor(body).u16().map(Exchange::Group),
            0xFF01 => flight.secure_renegotiation = true,
            _ => {}
        }
    }
    Some(flight)
}

fn chain(body: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut outer = Cursor(body);
    let length = outer.u24()?;
    let mut cursor = Cursor(outer.take(length)?);
    let mut chain = Vec::new();
    while let Some(length) = cursor.u24() {
        let der = cursor.take(length)?;
        if chain.len() < CHAIN_MAX {
            chain.push(der.to_vec());
        }
    }
    Some(chain)
}

/// What the key is made of. `None` for what is neither a named group nor a prime.
fn exchange(body: &[u8], suite: u16) -> Option<Exchange> {
    const NAMED_CURVE: u8 = 3;
    let mut cursor = Cursor(body);
    let name = super::Suite::of(suite)?.name;
    if name.contains("_ECDHE_") || name.contains("_ECDH_") {
        return match cursor.u8()? {
            NAMED_CURVE => cursor.u16().map(Exchange::Group),
            _ => None,
        };
    }
    if !(name.contains("_DHE_") || name.contains("_DH_anon")) {
        return None;
    }
    let length = usize::from(cursor.u16()?);
    let prime = cursor.take(length)?;
    let first = prime.iter().position(|&byte| byte != 0)?;
    let bytes = u32::try_from(prime.len() - first).ok()?;
    Some(Exchange::Prime(bytes * 8 - prime[first].leading_zeros()))
}

/// The answer of SSL 2: does it agree?
pub(super) fn ssl2_agrees(bytes: &[u8]) -> bool {
    // Two bytes of length, `SERVER-HELLO`, session hit, kind of certificate, version.
    matches!(bytes, [high, _, 4, _, _, 0, 2, ..] if high & 0x80 != 0)
}

/// What is left to read.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn u16(&mut self) -> Option<u16> {
        let bytes = self.take(2)?;
        Some(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    fn u24(&mut self) -> Option<usize> {
        let bytes = self.take(3)?;
        let number = u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]);
        usize::try_from(number).ok()
    }

    /// The next whole message of a handshake.
    fn message(&mut self) -> Option<(u8, &'a [u8])> {
        let mut ahead = Cursor(self.0);
        let kind = ahead.u8()?;
        let length = ahead.u24()?;
        let body = ahead.take(length)?;
        self.0 = ahead.0;
        Some((kind, body))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        let mut out = vec![kind, length[1], length[2], length[3]];
        out.extend(body);
        out
    }

    fn record(kind: u8, payload: &[u8]) -> Vec<u8> {
        let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
        let mut out = vec![kind, 3, 3, length[0], length[1]];
        out.extend(payload);
        out
    }

    fn hello(version: [u8; 2], suite: u16, extensions: &[u8]) -> Vec<u8> {
        let mut body = version.to_vec();
        body.extend([9; 32]);
        body.push(0);
        body.extend(suite.to_be_bytes());
        body.push(0);
        if !extensions.is_empty() {
            body.extend(u16::try_from(extensions.len()).unwrap().to_be_bytes());
            body.extend(extensions);
        }
        message(SERVER_HELLO, &body)
    }

    /// A TLS 1.2 flight with a chain of two, and a prime of 1024 bits.
    fn flight() -> Vec<u8> {
        let mut payload = hello([3, 3], 0x0033, &[0xFF, 1, 0, 1, 0, 0, 35, 0, 0]);
        let chain = [0, 0, 9, 0, 0, 2, 0xAA, 0xBB, 0, 0, 1, 0xCC];
        payload.extend(message(CERTIFICATE, &chain));
        let mut keys = vec![0, 129, 0, 0x80];
        keys.extend([1; 127]);
        payload.extend(message(SERVER_KEY_EXCHANGE, &keys));
        payload.extend(message(SERVER_HELLO_DONE, &[]));
        payload
    }

    #[test]
    fn a_flight_is_read_whole_however_it_is_cut() {
        let whole = record(HANDSHAKE, &flight());
        let Progress::Done(read_whole) = read(&whole) else {
            panic!("not done");
        };
        assert_eq!(read_whole.protocol, Some(Protocol::Tls12));
        assert_eq!(read_whole.suite, 0x0033);
        assert_eq!(read_whole.chain, [vec![0xAA, 0xBB], vec![0xCC]]);
        assert_eq!(read_whole.exchange, Some(Exchange::Prime(1024)));
        assert!(read_whole.secure_renegotiation && read_whole.tickets && !read_whole.compressed);
        let pieces: Vec<u8> = flight()
            .chunks(7)
            .flat_map(|piece| record(HANDSHAKE, piece))
            .collect();
        assert_eq!(read(&pieces), Progress::Done(read_whole));
        for end in 0..whole.len() {
            assert!(matches!(read(&whole[..end]), Progress::More(_)), "{end}");
        }
    }

    #[test]
    fn tls13_tells_suite_and_group_and_hides_the_rest() {
        let said = hello([3, 3], 0x1301, &[0, 43, 0, 2, 3, 4, 0, 51, 0, 2, 0, 23]);
        let Progress::Done(flight) = read(&record(HANDSHAKE, &said)) else {
            panic!("not done");
        };
        assert_eq!(flight.protocol, Some(Protocol::Tls13));
        assert_eq!(flight.exchange, Some(Exchange::Group(23)));
    }

    #[test]
    fn refusals_and_other_languages_are_told_apart() {
        assert_eq!(read(&record(ALERT, &[2, 70])), Progress::Alert(70));
        assert_eq!(read(&record(ALERT, &[1, 0])), Progress::Alert(0));
        // The name is not known, which is only a warning: the hello follows.
        assert_eq!(read(&record(ALERT, &[1, 112])), Progress::More(None));
        assert_eq!(read(b"HTTP/1.1 400 Bad Request"), Progress::Garbled);
        assert_eq!(read(&record(HANDSHAKE, &[1, 0, 0, 0])), Progress::Garbled);
        assert_eq!(read(&[22, 3, 3, 0xFF, 0xFF]), Progress::Garbled);
        assert_eq!(read(&[]), Progress::More(None));
    }

    #[test]
    fn ssl2_agrees_in_its_own_form() {
        assert!(ssl2_agrees(&[0x84, 0x2F, 4, 0, 1, 0, 2, 4, 0]));
        assert!(!ssl2_agrees(&[21, 3, 0, 0, 2, 2, 70]));
        assert!(!ssl2_agrees(&[]));
    }

    proptest! {
        #[test]
        fn whatever_is_sent_is_read_or_refused(
            bytes in proptest::collection::vec(any::<u8>(), 0..400),
            damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        ) {
            read(&bytes);
            read(&record(HANDSHAKE, &bytes));
            ssl2_agrees(&bytes);
            let mut damaged = record(HANDSHAKE, &flight());
            for (at, byte) in damage {
                let at = at.index(damaged.len());
                damaged[at] = byte;
            }
            if let Progress::Done(flight) = read(&damaged) {
                prop_assert!(flight.chain.len() <= CHAIN_MAX);
            }
        }
    }
}
