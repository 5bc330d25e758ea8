//! Asks a server for everything it would speak, one hello after the other.
//!
//! A suite that the server chooses is left out of the next hello, until it finds none. Hellos are bounded in number,
//! in how many are under way at once and in time: a server under load must not notice.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::{join_all, try_join_all};
use rustls::crypto::ring;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::read::{Flight, Progress, read, ssl2_agrees};
use super::suites::{SUITES, Suite, TODAY};
use super::write::{FALLBACK, Hello, SECURE_RENEGOTIATION, client_hello, ssl2_hello};
use super::{Exchange, Protocol};
use crate::domain::{Clean, Fault, FaultKind};
use crate::link::dial;
use crate::link::tls::greeting;
use crate::link::url::Place;

/// All hellos together. Thirty are usual, and a server far away answers ten a second.
pub const SURVEY_DEADLINE: Duration = Duration::from_secs(25);

/// From the connection to the end of the first flight. Whoever takes longer to refuse an old protocol drops it.
const HELLO_DEADLINE: Duration = Duration::from_secs(3);

/// Every suite there is in every protocol is 340; a real server has sixty at most, in three protocols.
const HELLOS_MAX: usize = 400;

/// Each costs the server a signature.
const AT_ONCE_MAX: usize = 4;

/// Suites in one hello. Some old servers read no hello of over 255 bytes.
const SUITES_AT_ONCE: usize = 40;

/// A first flight is a chain and a key: 4 KB, with a monstrous chain 20.
const FLIGHT_BYTES_MAX: usize = 64 * 1024;

/// Different certificates, for different suites. Two are usual where there is more than one.
const CHAINS_MAX: usize = 4;

/// What a protocol is offered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    pub protocol: Protocol,
    /// The better ones first. None of SSL 2, whose suites are not asked for.
    pub suites: Vec<&'static Suite>,
}

/// What becomes of a client that comes back with an older protocol, as one does that somebody in between has disturbed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fallback {
    /// There is only one protocol.
    Nowhere,
    /// The server notices, or lets the client notice.
    Noticed,
    Unnoticed,
}

/// What one address of a server would speak.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// Oldest first. Never empty.
    pub offers: Vec<Offer>,
    /// What a client of today gets, in the newest protocol: `None` if it gets nothing.
    pub today: Option<(Protocol, &'static Suite)>,
    /// The server's order of suites counts, not the client's. `None` where it takes one suite only.
    pub own_order: Option<bool>,
    pub fallback: Fallback,
    /// Of TLS 1.2 and older; `None` where there is none.
    pub secure_renegotiation: Option<bool>,
    pub compression: bool,
    pub tickets: bool,
    /// All that keys would be made of.
    pub exchanges: BTreeSet<Exchange>,
    /// Of suites that make a key anew for every session: what it is made of is neither a named group nor a prime.
    pub unknown_exchange: bool,
    /// DER, leaf first; one for each leaf that was shown in the clear, none in TLS 1.3.
    pub chains: Vec<Vec<Vec<u8>>>,
    pub hellos: usize,
    /// What was not answered, and so is taken for a no.
    pub notes: Vec<Clean>,
}

impl Survey {
    pub fn offers(&self, protocol: Protocol) -> Option<&Offer> {
        self.offers.iter().find(|offer| offer.protocol == protocol)
    }

    /// Every suite of every protocol, with the protocol.
    pub fn suites(&self) -> impl Iterator<Item = (Protocol, &'static Suite)> + '_ {
        let of = |offer: &Offer| {
            let protocol = offer.protocol;
            let suites = offer.suites.clone();
            suites.into_iter().map(move |suite| (protocol, suite))
        };
        self.offers.iter().flat_map(of)
    }
}

/// Asks one address of a place, by this name. A fault if it speaks nothing at all, or could not be asked to the end.
pub async fn survey(place: &Place, address: SocketAddr, name: &str) -> Result<Survey, Fault> {
    let asker = Asker {
        place,
        address,
        // RFC 6066: an address is no name to ask for.
        name: Some(name.trim_end_matches('.')).filter(|_| !is_address(name)),
        permits: Semaphore::new(AT_ONCE_MAX),
        hellos: AtomicUsize::new(0),
    };
    match timeout(SURVEY_DEADLINE, asker.survey()).await {
        Ok(surveyed) => surveyed,
        Err(_) => Err(Fault::new(
            FaultKind::Silent,
            format!(
                "{place}: not all protocols and ciphers could be asked for within {} s",
                SURVEY_DEADLINE.as_secs()
            ),
        )
        .remedy("the server, or something in front of it, slows connections down")),
    }
}

fn is_address(name: &str) -> bool {
    name.parse::<std::net::IpAddr>().is_ok()
}

struct Asker<'a> {
    place: &'a Place,
    address: SocketAddr,
    name: Option<&'a str>,
    permits: Semaphore,
    hellos: AtomicUsize,
}

/// What came back to one hello.
enum Reply {
    Flight(Box<Flight>),
    /// An alert, or a closed connection.
    No,
    Silent,
}

/// All that was found of one protocol.
#[derive(Default)]
struct Found {
    flights: Vec<Flight>,
    silent: bool,
}

impl Asker<'_> {
    async fn survey(&self) -> Result<Survey, Fault> {
        let protocols = &Protocol::ALL[1..];
        let asking = protocols.iter().map(|&protocol| self.protocol(protocol));
        let (ssl2, found) = futures_util::join!(self.ssl2(), try_join_all(asking));
        let (ssl2, found) = (ssl2?, found?);
        let mut survey = Survey {
            offers: Vec::new(),
            today: None,
            own_order: None,
            fallback: Fallback::Nowhere,
            secure_renegotiation: None,
            compression: false,
            tickets: false,
            exchanges: BTreeSet::new(),
            unknown_exchange: false,
            chains: Vec::new(),
            hellos: 0,
            notes: Vec::new(),
        };
        if ssl2 {
            survey.offers.push(Offer {
                protocol: Protocol::Ssl2,
                suites: Vec::new(),
            });
        }
        for (&protocol, found) in protocols.iter().zip(found) {
            survey.add(protocol, &found);
        }
        let Some(best) = survey.offers.last().cloned() else {
            return Err(self.speechless());
        };
        survey.today = self.today(best.protocol).await?;
        survey.own_order = self.own_order(&survey).await?;
        survey.fallback = self.fallback(&survey).await?;
        survey.hellos = self.hellos.load(Ordering::Relaxed);
        Ok(survey)
    }

    fn speechless(&self) -> Fault {
        let text = format!("{} refuses every protocol and cipher", self.place);
        Fault::new(FaultKind::Refused, text)
            .remedy("it has no certificate for this name, or it does not speak TLS at once")
    }

    async fn protocol(&self, protocol: Protocol) -> Result<Found, Fault> {
        let fitting: Vec<u16> = SUITES
            .iter()
            .filter(|suite| suite.fits(protocol))
            .map(|suite| suite.id)
            .collect();
        let parts = fitting.chunks(SUITES_AT_ONCE);
        let parts = join_all(parts.map(|part| self.accepted(protocol, part))).await;
        let mut all = Found::default();
        for part in parts {
            let part = part?;
            all.silent |= part.silent;
            all.flights.extend(part.flights);
        }
        if all.silent && !all.flights.is_empty() {
            let text = format!(
                "{} answers some hellos of {} and not others",
                self.place,
                protocol.word()
            );
            return Err(Fault::new(FaultKind::Silent, text).remedy("look again when it is calm"));
        }
        Ok(all)
    }

    /// Which of these it takes, by leaving out what it took until it takes none.
    async fn accepted(&self, protocol: Protocol, suites: &[u16]) -> Result<Found, Fault> {
        let mut left = suites.to_vec();
        let mut found = Found::default();
        while !left.is_empty() {
            let flight = match self.ask(protocol, &left, None).await? {
                Reply::Flight(flight) if flight.protocol == Some(protocol) => *flight,
                Reply::Flight(_) | Reply::No => break,
                Reply::Silent => {
                    found.silent = true;
                    break;
                }
            };
            let before = left.len();
            left.retain(|suite| *suite != flight.suite);
            if left.len() == before {
                let text = format!("{} chooses a cipher that was not offered", self.place);
                return Err(Fault::new(FaultKind::Garbled, text));
            }
            found.flights.push(flight);
        }
        Ok(found)
    }

    /// What a client of today gets.
    async fn today(&self, best: Protocol) -> Result<Option<(Protocol, &'static Suite)>, Fault> {
        let offered = of_today(best);
        if offered.is_empty() {
            return Ok(None);
        }
        Ok(match self.ask(best, &offered, None).await? {
            Reply::Flight(flight) => flight.protocol.zip(Suite::of(flight.suite)),
            Reply::No | Reply::Silent => None,
        })
    }

    /// Does it choose the same when the client turns its list round?
    async fn own_order(&self, survey: &Survey) -> Result<Option<bool>, Fault> {
        let older = survey.offers.iter().rev();
        let offer = older
            .filter(|offer| offer.protocol <= Protocol::Tls12)
            .find(|offer| offer.suites.len() > 1);
        let Some(Offer { protocol, suites }) = offer else {
            return Ok(None);
        };
        let mut ids: Vec<u16> = suites.iter().map(|suite| suite.id).collect();
        let forth = self.ask(*protocol, &ids, None).await?;
        ids.reverse();
        let back = self.ask(*protocol, &ids, None).await?;
        Ok(match (forth, back) {
            (Reply::Flight(forth), Reply::Flight(back)) => Some(forth.suite == back.suite),
            _ => None,
        })
    }

    async fn fallback(&self, survey: &Survey) -> Result<Fallback, Fault> {
        let [.., second, best] = survey.offers.as_slice() else {
            return Ok(Fallback::Nowhere);
        };
        // SSL 2 has no way to say it.
        if second.protocol == Protocol::Ssl2 {
            return Ok(Fallback::Unnoticed);
        }
        let ids: Vec<u16> = second.suites.iter().map(|suite| suite.id).collect();
        let reply = self.ask(second.protocol, &ids, Some(FALLBACK)).await?;
        Ok(match reply {
            Reply::Flight(flight) if warns(&flight.random, best.protocol) => Fallback::Noticed,
            Reply::Flight(_) | Reply::Silent => Fallback::Unnoticed,
            Reply::No => Fallback::Noticed,
        })
    }

    async fn ask(
        &self,
        protocol: Protocol,
        suites: &[u16],
        beside: Option<u16>,
    ) -> Result<Reply, Fault> {
        let chance = chance()?;
        // Older protocols have no other way to ask for it.
        let renegotiation = (protocol == Protocol::Ssl3).then_some(SECURE_RENEGOTIATION);
        let suites: Vec<u16> = suites
            .iter()
            .copied()
            .chain(renegotiation)
            .chain(beside)
            .collect();
        let hello = client_hello(&Hello {
            protocol,
            name: self.name,
            suites: &suites,
            chance: &chance,
        });
        let ended = |bytes: &[u8]| !matches!(read(bytes), Progress::More(_));
        let Some(bytes) = self.send(&hello, ended).await? else {
            return Ok(Reply::Silent);
        };
        Ok(match read(&bytes) {
            Progress::Done(flight) | Progress::More(Some(flight)) => Reply::Flight(flight),
            Progress::More(None) | Progress::Alert(_) => Reply::No,
            Progress::Garbled => return Err(self.garbled(&bytes)),
        })
    }

    async fn ssl2(&self) -> Result<bool, Fault> {
        /// The answer's head says it all.
        const HEAD_BYTES: usize = 7;
        let hello = ssl2_hello(&chance()?);
        let answer = self.send(&hello, |bytes| bytes.len() >= HEAD_BYTES).await?;
        Ok(answer.is_some_and(|bytes| ssl2_agrees(&bytes)))
    }

    fn garbled(&self, bytes: &[u8]) -> Fault {
        let text = if bytes.first().is_some_and(|kind| (20..=23).contains(kind)) {
            format!("{} sends a TLS handshake that cannot be read", self.place)
        } else {
            format!("{} is not TLS: got '{}'", self.place, greeting(bytes))
        };
        Fault::new(FaultKind::Garbled, text).remedy("check the port")
    }

    /// Sends, and reads until enough has come, the server has said all, or it takes too long (`None`).
    async fn send(
        &self,
        hello: &[u8],
        ended: impl Fn(&[u8]) -> bool,
    ) -> Result<Option<Vec<u8>>, Fault> {
        let _permit = self.permits.acquire().await.map_err(|_| {
            Fault::new(
                FaultKind::Broken,
                "the survey was given up while it went on",
            )
        })?;
        if self.hellos.fetch_add(1, Ordering::Relaxed) >= HELLOS_MAX {
            let text = format!(
                "{} takes more than {HELLOS_MAX} hellos to survey",
                self.place
            );
            return Err(Fault::new(FaultKind::TooLarge, text));
        }
        let mut stream = match dial::connect_one(self.place, self.address).await {
            Ok(stream) => stream,
            // One of thirty may be turned away by a server that counts them.
            Err(_) => dial::connect_one(self.place, self.address).await?,
        };
        let mut bytes = Vec::new();
        let talk = async {
            // A server that closes at the sight of a hello has answered it.
            if stream.write_all(hello).await.is_err() {
                return;
            }
            let mut piece = [0; 4096];
            while let Ok(read @ 1..) = stream.read(&mut piece).await {
                bytes.extend_from_slice(&piece[..read]);
                if ended(&bytes) || bytes.len() > FLIGHT_BYTES_MAX {
                    return;
                }
            }
        };
        let answered = timeout(HELLO_DEADLINE, talk).await;
        Ok(answered.is_ok().then_some(bytes))
    }
}

/// What browsers of today offer of this protocol.
fn of_today(protocol: Protocol) -> Vec<u16> {
    let fits = |id: &u16| Suite::of(*id).is_some_and(|suite| suite.fits(protocol));
    TODAY.into_iter().filter(fits).collect()
}

/// Does the server's random say "I speak something newer" (RFC 8446 4.1.3)?
fn warns(random: &[u8; 32], best: Protocol) -> bool {
    match best {
        Protocol::Tls13 => random.ends_with(b"DOWNGRD\x01") || random.ends_with(b"DOWNGRD\x00"),
        Protocol::Tls12 => random.ends_with(b"DOWNGRD\x00"),
        Protocol::Ssl2 | Protocol::Ssl3 | Protocol::Tls10 | Protocol::Tls11 => false,
    }
}

fn chance() -> Result<[u8; 96], Fault> {
    let mut bytes = [0; 96];
    let filled = ring::default_provider().secure_random.fill(&mut bytes);
    filled.map_err(|_| Fault::new(FaultKind::Broken, "this host gives no random numbers"))?;
    Ok(bytes)
}

impl Survey {
    fn add(&mut self, protocol: Protocol, found: &Found) {
        if found.silent {
            let text = format!(
                "{}: no answer within {} s, taken for a no",
                protocol.word(),
                HELLO_DEADLINE.as_secs()
            );
            self.notes.push(text.into());
        }
        if found.flights.is_empty() {
            return;
        }
        if protocol <= Protocol::Tls12 {
            let secure = found
                .flights
                .iter()
                .all(|flight| flight.secure_renegotiation);
            self.secure_renegotiation = Some(self.secure_renegotiation.unwrap_or(true) && secure);
        }
        for flight in &found.flights {
            self.compression |= flight.compressed;
            self.tickets |= flight.tickets;
            self.exchanges.extend(flight.exchange);
            let ephemeral = Suite::of(flight.suite).is_some_and(Suite::forward_secret);
            self.unknown_exchange |= ephemeral && flight.exchange.is_none();
            let known = |chain: &Vec<Vec<u8>>| chain.first() == flight.chain.first();
            if !flight.chain.is_empty()
                && self.chains.len() < CHAINS_MAX
                && !self.chains.iter().any(known)
            {
                self.chains.push(flight.chain.clone());
            }
        }
        let taken = |suite: &&Suite| found.flights.iter().any(|flight| flight.suite == suite.id);
        self.offers.push(Offer {
            protocol,
            suites: SUITES.iter().filter(taken).collect(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_of_today_offers_what_fits() {
        assert_eq!(of_today(Protocol::Tls13), [0x1301, 0x1302, 0x1303]);
        assert_eq!(of_today(Protocol::Tls12).len(), TODAY.len() - 3);
        assert!(of_today(Protocol::Tls10).contains(&0xC013));
        assert!(!of_today(Protocol::Tls10).contains(&0xC02F));
        assert!(of_today(Protocol::Ssl2).is_empty());
    }

    #[test]
    fn a_server_warns_by_the_end_of_its_random() {
        let mut random = [1; 32];
        assert!(!warns(&random, Protocol::Tls13));
        random[24..].copy_from_slice(b"DOWNGRD\x01");
        assert!(warns(&random, Protocol::Tls13));
        assert!(!warns(&random, Protocol::Tls12));
        random[31] = 0;
        assert!(warns(&random, Protocol::Tls12));
        assert!(!warns(&random, Protocol::Tls11));
    }

    #[test]
    fn each_hello_is_different() {
        assert_ne!(chance().unwrap(), chance().unwrap());
    }
}
