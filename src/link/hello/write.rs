//! A client's hello as bytes.

use super::Protocol;

/// What is said in one hello.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hello<'a> {
    pub(super) protocol: Protocol,
    /// `None` where the server is known by its address alone.
    pub(super) name: Option<&'a str>,
    pub(super) suites: &'a [u16],
    /// New for every hello: the client's random, its session and its share of a key.
    pub(super) chance: &'a [u8; 96],
}

/// `renegotiation_info` as a suite, for protocols without extensions (RFC 5746).
pub(super) const SECURE_RENEGOTIATION: u16 = 0x00FF;

/// "I come back with an older protocol than I speak" (RFC 7507).
pub(super) const FALLBACK: u16 = 0x5600;

const SERVER_NAME: u16 = 0;
const GROUPS: u16 = 10;
const POINT_FORMATS: u16 = 11;
const SIGNATURES: u16 = 13;
const SESSION_TICKET: u16 = 35;
const VERSIONS: u16 = 43;
const KEY_SHARE: u16 = 51;
const RENEGOTIATION_INFO: u16 = 0xFF01;

/// Strong ones first; the weak ones are named so that a server that knows nothing better can answer.
const NAMED_GROUPS: [u16; 14] = [29, 23, 24, 25, 30, 256, 257, 258, 26, 27, 28, 21, 22, 19];

const X25519: u16 = 29;

/// The same: SHA-2 first, then SHA-1 and MD5.
const SIGNATURE_SCHEMES: [u16; 18] = [
    0x0403, 0x0503, 0x0603, 0x0807, 0x0808, 0x0804, 0x0805, 0x0806, 0x0809, 0x080A, 0x080B, 0x0401,
    0x0501, 0x0601, 0x0201, 0x0203, 0x0202, 0x0101,
];

pub(super) fn client_hello(hello: &Hello<'_>) -> Vec<u8> {
    let (random, rest) = hello.chance.split_at(32);
    let (session, share) = rest.split_at(32);
    let mut body = Vec::with_capacity(512);
    put16(&mut body, hello.protocol.wire().min(Protocol::Tls12.wire()));
    body.extend_from_slice(random);
    match hello.protocol {
        // What middleboxes expect of it (RFC 8446 D.4).
        Protocol::Tls13 => sized8(&mut body, |body| body.extend_from_slice(session)),
        _ => body.push(0),
    }
    sized16(&mut body, |body| {
        hello.suites.iter().for_each(|&suite| put16(body, suite));
    });
    match hello.protocol {
        Protocol::Tls13 => body.extend([1, 0]),
        // "Deflate" is offered to see whether it is taken.
        _ => body.extend([2, 1, 0]),
    }
    if hello.protocol != Protocol::Ssl3 {
        sized16(&mut body, |body| extensions(body, hello, share));
    }
    record(hello.protocol, &body)
}

fn extensions(body: &mut Vec<u8>, hello: &Hello<'_>, share: &[u8]) {
    if let Some(name) = hello.name {
        extension(body, SERVER_NAME, |body| {
            sized16(body, |body| {
                body.push(0);
                sized16(body, |body| body.extend_from_slice(name.as_bytes()));
            });
        });
    }
    extension(body, GROUPS, |body| list(body, &NAMED_GROUPS));
    extension(body, POINT_FORMATS, |body| body.extend([1, 0]));
    if hello.protocol >= Protocol::Tls12 {
        extension(body, SIGNATURES, |body| list(body, &SIGNATURE_SCHEMES));
    }
    if hello.protocol == Protocol::Tls13 {
        extension(body, VERSIONS, |body| body.extend([2, 3, 4]));
        extension(body, KEY_SHARE, |body| {
            sized16(body, |body| {
                put16(body, X25519);
                sized16(body, |body| body.extend_from_slice(share));
            });
        });
    } else {
        extension(body, SESSION_TICKET, |_| {});
        extension(body, RENEGOTIATION_INFO, |body| body.push(0));
    }
}

/// One handshake message in one record.
fn record(protocol: Protocol, body: &[u8]) -> Vec<u8> {
    let mut out = vec![22];
    // Old servers refuse a record that is newer than TLS 1.0 before they have read what is in it.
    put16(&mut out, protocol.wire().min(Protocol::Tls10.wire()));
    sized16(&mut out, |out| {
        out.extend([1, 0]);
        sized16(out, |out| out.extend_from_slice(body));
    });
    out
}

/// The hello of SSL 2, which has a form of its own.
pub(super) fn ssl2_hello(chance: &[u8; 96]) -> Vec<u8> {
    /// RC4 128, RC4 40, RC2 128, RC2 40, IDEA, DES, triple DES; each with MD5.
    const KINDS: [[u8; 3]; 7] = [
        [1, 0, 128],
        [2, 0, 128],
        [3, 0, 128],
        [4, 0, 128],
        [5, 0, 128],
        [6, 0, 64],
        [7, 0, 192],
    ];
    const CHALLENGE_BYTES: u8 = 16;
    let mut body = vec![1, 0, 2, 0, 21, 0, 0, 0, CHALLENGE_BYTES];
    body.extend(KINDS.concat());
    body.extend_from_slice(&chance[..usize::from(CHALLENGE_BYTES)]);
    let mut out = Vec::new();
    sized16(&mut out, |out| out.extend_from_slice(&body));
    out[0] |= 0x80;
    out
}

fn extension(body: &mut Vec<u8>, kind: u16, fill: impl FnOnce(&mut Vec<u8>)) {
    put16(body, kind);
    sized16(body, fill);
}

fn list(body: &mut Vec<u8>, all: &[u16]) {
    sized16(body, |body| all.iter().for_each(|&one| put16(body, one)));
}

fn put16(body: &mut Vec<u8>, number: u16) {
    body.extend(number.to_be_bytes());
}

/// What is put in, after its length in two bytes. All that is written here is far shorter than 64 KB.
fn sized16(body: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>)) {
    let at = body.len();
    body.extend([0, 0]);
    fill(body);
    let length = u16::try_from(body.len() - at - 2).unwrap_or(u16::MAX);
    body[at..at + 2].copy_from_slice(&length.to_be_bytes());
}

fn sized8(body: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>)) {
    let at = body.len();
    body.push(0);
    fill(body);
    body[at] = u8::try_from(body.len() - at - 1).unwrap_or(u8::MAX);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(protocol: Protocol, name: Option<&str>) -> Vec<u8> {
        client_hello(&Hello {
            protocol,
            name,
            suites: &[0x002F, SECURE_RENEGOTIATION],
            chance: &[7; 96],
        })
    }

    #[test]
    fn lengths_add_up() {
        for protocol in &Protocol::ALL[1..] {
            let bytes = hello(*protocol, Some("shop.eu"));
            let said = usize::from(u16::from_be_bytes([bytes[3], bytes[4]]));
            assert_eq!(said, bytes.len() - 5);
            let inner = usize::from(u16::from_be_bytes([bytes[7], bytes[8]]));
            assert_eq!(inner, bytes.len() - 9);
        }
        let bytes = ssl2_hello(&[7; 96]);
        assert_eq!(usize::from(bytes[1]), bytes.len() - 2);
        assert_eq!(bytes[..5], [0x80, 46, 1, 0, 2]);
    }

    #[test]
    fn ssl3_has_no_extensions_and_says_what_it_is() {
        let bytes = hello(Protocol::Ssl3, Some("shop.eu"));
        let mut meant = vec![22, 3, 0, 0, 48, 1, 0, 0, 44, 3, 0];
        meant.extend([7; 32]);
        meant.extend([0, 0, 4, 0, 0x2F, 0, 0xFF, 2, 1, 0]);
        assert_eq!(bytes, meant);
    }

    #[test]
    fn the_name_is_asked_for_unless_there_is_none() {
        let named = |bytes: &[u8]| bytes.windows(7).any(|part| part == b"shop.eu");
        assert!(named(&hello(Protocol::Tls10, Some("shop.eu"))));
        assert!(!named(&hello(Protocol::Tls10, None)));
    }

    #[test]
    fn tls13_is_asked_for_by_its_extension() {
        let bytes = hello(Protocol::Tls13, None);
        assert_eq!(bytes[1..3], [3, 1]);
        assert_eq!(bytes[9..11], [3, 3]);
        let asks = [0, 43, 0, 3, 2, 3, 4];
        assert!(bytes.windows(7).any(|part| part == asks));
    }
}
