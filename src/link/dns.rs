//! One question to one name server, as RFC 1035 has it: over UDP, and over TCP where the answer is too long for that.
//!
//! The system's own function tells neither an alias from an address nor "there is no such name" from "nobody
//! answered". Here they are different answers. What is not asked for is passed over; what is malformed is a fault.

mod message;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

pub use message::{Answer, Code, Record, Type};

use crate::domain::{Clean, Fault, FaultKind};

/// Where the system says whom to ask.
pub const SYSTEM: &str = "/etc/resolv.conf";

/// As the system's own resolver reads it: more are passed over.
const SERVERS_MAX: usize = 3;

/// A file of this size is no list of three servers.
const FILE_BYTES_MAX: usize = 64 * 1024;

/// One question to one server; a lost packet is one more.
const ANSWER_DEADLINE: Duration = Duration::from_secs(1);
const TRIES: usize = 2;

/// All servers, twice each.
pub const DEADLINE: Duration = Duration::from_secs(8);

const PORT: u16 = 53;
const DATAGRAM_BYTES_MAX: usize = 4096;

/// The name servers of this host, in their order.
pub async fn servers() -> Result<Vec<SocketAddr>, Fault> {
    let read = tokio::task::spawn_blocking(|| std::fs::read(SYSTEM)).await;
    let none = |why: &str| {
        Fault::new(
            FaultKind::Misconfigured,
            format!("this host has no name server to ask: {SYSTEM} {why}"),
        )
        .remedy("name one there, or say `server` in the check")
    };
    let bytes = match read {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(error)) => return Err(none(&format!("cannot be read: {error}"))),
        Err(error) => return Err(Fault::new(FaultKind::Broken, error.to_string())),
    };
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(FILE_BYTES_MAX)]).into_owned();
    let found = listed(&text);
    if found.is_empty() {
        return Err(none("names none"));
    }
    Ok(found)
}

fn listed(text: &str) -> Vec<SocketAddr> {
    text.lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let address = match words.next()? {
                "nameserver" => words.next()?,
                _ => return None,
            };
            // A zone of a link-local address is nothing we could use.
            let ip: IpAddr = address.split('%').next()?.parse().ok()?;
            Some(SocketAddr::new(ip, PORT))
        })
        .take(SERVERS_MAX)
        .collect()
}

/// Asks one server after the other until one knows. A server that fails or is silent does not know.
pub async fn ask(servers: &[SocketAddr], name: &str, what: Type) -> Result<Answer, Fault> {
    let mut last = Fault::new(FaultKind::Misconfigured, "no name server is named");
    for _ in 0..TRIES {
        for &server in servers {
            match timeout(ANSWER_DEADLINE, ask_one(server, name, what)).await {
                Ok(Ok(answer)) => match answer.code {
                    Code::NoError | Code::NoSuchName => return Ok(answer),
                    Code::Other(code) => last = unwilling(server, name, code),
                },
                Ok(Err(fault)) => last = fault,
                Err(_) => {
                    let text = format!("no answer about {name} from the name server {server}");
                    last = Fault::new(FaultKind::Silent, text)
                        .remedy("check that it runs and that port 53 of it can be reached");
                }
            }
        }
    }
    Err(last)
}

fn unwilling(server: SocketAddr, name: &str, code: u8) -> Fault {
    let why = match code {
        1 => "does not understand the question",
        2 => "failed to find out (SERVFAIL)",
        5 => "refuses to answer us",
        _ => "gives no answer",
    };
    Fault::new(
        FaultKind::Garbled,
        format!("the name server {server} {why} about {name} (code {code})"),
    )
    .remedy("ask whoever runs it, or say another `server` in the check")
}

async fn ask_one(server: SocketAddr, name: &str, what: Type) -> Result<Answer, Fault> {
    let id = message::number();
    let question = message::question(id, name, what)?;
    let broken = |error: std::io::Error| {
        let text = format!("cannot ask the name server {server}: {error}");
        Fault::new(FaultKind::Refused, text).remedy("check that a name server runs there")
    };
    let any: SocketAddr = if server.is_ipv4() {
        ([0, 0, 0, 0], 0).into()
    } else {
        ([0u16; 8], 0).into()
    };
    let socket = UdpSocket::bind(any).await.map_err(broken)?;
    socket.connect(server).await.map_err(broken)?;
    socket.send(&question).await.map_err(broken)?;
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    let answer = loop {
        let read = socket.recv(&mut buffer).await.map_err(broken)?;
        // An answer to another question, late or forged: wait for ours.
        if message::answers(&buffer[..read], id) {
            break message::read(&buffer[..read], name, what).map_err(|why| odd(server, &why))?;
        }
    };
    if !answer.cut {
        return Ok(answer);
    }
    let whole = over_tcp(server, &question).await.map_err(broken)?;
    message::read(&whole, name, what).map_err(|why| odd(server, &why))
}

fn odd(server: SocketAddr, why: &str) -> Fault {
    let text = format!("the name server {server} answers what is no answer: {why}");
    Fault::new(FaultKind::Garbled, Clean::line(&text)).remedy("check that port 53 there is DNS")
}

async fn over_tcp(server: SocketAddr, question: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(question.len()).unwrap_or(u16::MAX);
    let mut framed = length.to_be_bytes().to_vec();
    framed.extend(question);
    stream.write_all(&framed).await?;
    let length = stream.read_u16().await?;
    let mut whole = vec![0; usize::from(length)];
    stream.read_exact(&mut whole).await?;
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_servers_are_read_as_the_system_reads_them() {
        let text = "# comment\nsearch eu\nnameserver 192.0.2.1\nnameserver  fe80::1%eth0\nnameserver nonsense\noptions ndots:1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\n";
        let found: Vec<String> = listed(text).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["192.0.2.1:53", "[fe80::1]:53", "192.0.2.2:53"]);
        assert!(listed("").is_empty());
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_knows_nothing() {
        let fault = ask(&["127.0.0.1:1".parse().unwrap()], "shop.eu", Type::A)
            .await
            .unwrap_err();
        assert!(
            matches!(fault.kind, FaultKind::Refused | FaultKind::Silent),
            "{fault}"
        );
    }
}
