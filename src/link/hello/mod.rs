//! What a server would speak: hellos of our own, because a TLS library speaks only what is still good.
//!
//! A hello is sent, the server's first flight is read as far as it is in the clear, and the connection is dropped. No
//! key is ever agreed on and nothing is decrypted, so nothing here says who the server is: that is `tls`. What is seen
//! is not judged here.

mod read;
mod suites;
mod survey;
mod write;

pub use suites::Suite;
pub use survey::{Fallback, Offer, SURVEY_DEADLINE, Survey, survey};

/// Oldest first, so that the newer one is the greater one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    Ssl2,
    Ssl3,
    Tls10,
    Tls11,
    Tls12,
    Tls13,
}

impl Protocol {
    pub const ALL: [Self; 6] = [
        Self::Ssl2,
        Self::Ssl3,
        Self::Tls10,
        Self::Tls11,
        Self::Tls12,
        Self::Tls13,
    ];

    pub fn word(self) -> &'static str {
        match self {
            Self::Ssl2 => "SSL 2",
            Self::Ssl3 => "SSL 3",
            Self::Tls10 => "TLS 1.0",
            Self::Tls11 => "TLS 1.1",
            Self::Tls12 => "TLS 1.2",
            Self::Tls13 => "TLS 1.3",
        }
    }

    fn wire(self) -> u16 {
        match self {
            Self::Ssl2 => 0x0002,
            Self::Ssl3 => 0x0300,
            Self::Tls10 => 0x0301,
            Self::Tls11 => 0x0302,
            Self::Tls12 => 0x0303,
            Self::Tls13 => 0x0304,
        }
    }

    fn of_wire(number: u16) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|protocol| protocol.wire() == number)
    }
}

/// What the two sides would make their key of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Exchange {
    /// A curve, or a prime that has a name, by its registered number.
    Group(u16),
    /// A prime of the server's own, in bits.
    Prime(u32),
}

/// Registered number, name, bits, and is it a curve?
const GROUPS: [(u16, &str, u32, bool); 18] = [
    (19, "secp192r1", 192, true),
    (21, "secp224r1", 224, true),
    (22, "secp256k1", 256, true),
    (23, "secp256r1", 256, true),
    (24, "secp384r1", 384, true),
    (25, "secp521r1", 521, true),
    (26, "brainpoolP256r1", 256, true),
    (27, "brainpoolP384r1", 384, true),
    (28, "brainpoolP512r1", 512, true),
    (29, "x25519", 253, true),
    (30, "x448", 448, true),
    (256, "ffdhe2048", 2048, false),
    (257, "ffdhe3072", 3072, false),
    (258, "ffdhe4096", 4096, false),
    (259, "ffdhe6144", 6144, false),
    (260, "ffdhe8192", 8192, false),
    (4587, "SecP256r1MLKEM768", 256, true),
    (4588, "X25519MLKEM768", 253, true),
];

/// How strong what a key is made of is. A bit of a curve is worth many of a prime.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Strength {
    Curve(u32),
    Prime(u32),
}

impl Exchange {
    /// `x25519`, `DH 1024`.
    pub fn words(self) -> String {
        match self {
            Self::Prime(bits) => format!("DH {bits}"),
            Self::Group(number) => match Self::group(number) {
                Some((_, name, ..)) => (*name).to_owned(),
                None => format!("group {number}"),
            },
        }
    }

    /// `None` for a group that is not known here.
    pub fn strength(self) -> Option<Strength> {
        match self {
            Self::Prime(bits) => Some(Strength::Prime(bits)),
            Self::Group(number) => Self::group(number).map(|(_, _, bits, curve)| {
                if *curve {
                    Strength::Curve(*bits)
                } else {
                    Strength::Prime(*bits)
                }
            }),
        }
    }

    fn group(number: u16) -> Option<&'static (u16, &'static str, u32, bool)> {
        GROUPS.iter().find(|group| group.0 == number)
    }
}
