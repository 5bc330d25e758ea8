//! Redis, spoken to in its own protocol (RESP2): a few questions on one connection.
//!
//! Only commands that look; what they are is the caller's to say. Every answer has a largest size and the whole talk a
//! deadline.

use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::dial;
use super::url::Place;
use crate::domain::{Clean, Fault, FaultKind};

/// Redis answers in microseconds; all questions of one look.
pub const TALK_DEADLINE: Duration = Duration::from_secs(5);

/// `INFO` is 6 KB; a list of clients would be more.
const REPLY_BYTES_MAX: usize = 256 * 1024;

const LINE_BYTES_MAX: usize = 16 * 1024;

/// Parts of a list, and lists in it.
const PARTS_MAX: usize = 1024;
const DEPTH_MAX: usize = 4;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    Text(String),
    Number(i64),
    List(Vec<Reply>),
    Nothing,
    /// Redis' own word of refusal: `NOQUORUM …`.
    Refused(String),
}

/// Asks one thing after the other. A user and a password go first, where there are some; they are in no fault.
pub async fn talk(
    place: &Place,
    login: Option<(&str, &str)>,
    questions: &[Vec<String>],
) -> Result<Vec<Reply>, Fault> {
    let addresses = dial::resolve(place).await?;
    let (stream, _) = dial::connect(place, &addresses).await?;
    let talked = timeout(TALK_DEADLINE, asked(stream, login, questions)).await;
    let broken = |error: std::io::Error| {
        let text = format!("the talk with redis at {place} broke off: {error}");
        Fault::new(FaultKind::Garbled, Clean::line(&text))
            .remedy("check that redis listens there, and whether it wants TLS")
    };
    match talked {
        Ok(replies) => replies.map_err(broken),
        Err(_) => {
            let text = format!("no answer from redis at {place} within {TALK_DEADLINE:?}");
            Err(Fault::new(FaultKind::Silent, text))
        }
    }
}

async fn asked(
    stream: TcpStream,
    login: Option<(&str, &str)>,
    questions: &[Vec<String>],
) -> std::io::Result<Vec<Reply>> {
    let mut link = BufReader::new(stream);
    if let Some((user, password)) = login {
        let words = if user.is_empty() {
            vec!["AUTH", password]
        } else {
            vec!["AUTH", user, password]
        };
        link.write_all(&command(&words)).await?;
        let reply = reply(&mut link).await?;
        if let Reply::Refused(_) = reply {
            return Ok(vec![reply; questions.len()]);
        }
    }
    let mut replies = Vec::new();
    for question in questions {
        let words: Vec<&str> = question.iter().map(String::as_str).collect();
        link.write_all(&command(&words)).await?;
        replies.push(reply(&mut link).await?);
    }
    Ok(replies)
}

fn command(words: &[&str]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        out.extend(format!("${}\r\n", word.len()).bytes());
        out.extend(word.bytes());
        out.extend(b"\r\n");
    }
    out
}

fn odd(why: &str) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, why.to_owned())
}

async fn line(link: &mut BufReader<TcpStream>) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    let mut bounded = link.take(LINE_BYTES_MAX as u64);
    bounded.read_until(b'\n', &mut bytes).await?;
    if !bytes.ends_with(b"\r\n") {
        return Err(odd("what it says is not redis' protocol"));
    }
    bytes.truncate(bytes.len() - 2);
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// One reply; lists are read part by part, without recursion.
async fn reply(link: &mut BufReader<TcpStream>) -> std::io::Result<Reply> {
    let mut open: Vec<(usize, Vec<Reply>)> = Vec::new();
    let mut room = REPLY_BYTES_MAX;
    loop {
        let text = line(link).await?;
        room = room
            .checked_sub(text.len())
            .ok_or_else(|| odd("it is too long"))?;
        let mut letters = text.chars();
        let kind = letters.next().ok_or_else(|| odd("a line is empty"))?;
        let rest = letters.as_str();
        let number = || rest.parse::<i64>().map_err(|_| odd("a number is none"));
        let mut whole = match kind {
            '+' => Reply::Text(rest.to_owned()),
            '-' => Reply::Refused(rest.to_owned()),
            ':' => Reply::Number(number()?),
            '$' => match usize::try_from(number()?) {
                Err(_) => Reply::Nothing,
                Ok(length) => {
                    room = room
                        .checked_sub(length)
                        .ok_or_else(|| odd("it is too long"))?;
                    let mut bytes = vec![0; length + 2];
                    link.read_exact(&mut bytes).await?;
                    Reply::Text(String::from_utf8_lossy(&bytes[..length]).into_owned())
                }
            },
            '*' => match usize::try_from(number()?) {
                Err(_) => Reply::Nothing,
                Ok(0) => Reply::List(Vec::new()),
                Ok(count) if count > PARTS_MAX || open.len() == DEPTH_MAX => {
                    return Err(odd("a list is too long"));
                }
                Ok(count) => {
                    open.push((count, Vec::new()));
                    continue;
                }
            },
            _ => return Err(odd("what it says is not redis' protocol")),
        };
        loop {
            let Some((count, parts)) = open.last_mut() else {
                return Ok(whole);
            };
            parts.push(whole);
            if parts.len() < *count {
                break;
            }
            whole = Reply::List(open.pop().map(|(_, parts)| parts).unwrap_or_default());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    async fn said(answer: &'static [u8], questions: usize) -> Result<Vec<Reply>, Fault> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let place = Place::parse(&listener.local_addr().unwrap().to_string(), None).unwrap();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut heard = [0; 1024];
            let _ = stream.read(&mut heard).await;
            let _ = stream.write_all(answer).await;
            let _ = stream.read(&mut heard).await;
        });
        let asked = vec![vec!["PING".to_owned()]; questions];
        let replies = talk(&place, None, &asked).await;
        server.abort();
        replies
    }

    #[tokio::test]
    async fn every_kind_of_reply_is_read() {
        let bytes = b"+PONG\r\n:7\r\n$-1\r\n$4\r\na\r\nb\r\n-NOQUORUM of 3\r\n*2\r\n$9\r\n127.0.0.1\r\n*1\r\n:1\r\n";
        let replies = said(bytes, 6).await.unwrap();
        let list = Reply::List(vec![
            Reply::Text("127.0.0.1".into()),
            Reply::List(vec![Reply::Number(1)]),
        ]);
        let expected = [
            Reply::Text("PONG".into()),
            Reply::Number(7),
            Reply::Nothing,
            Reply::Text("a\r\nb".into()),
            Reply::Refused("NOQUORUM of 3".into()),
            list,
        ];
        assert_eq!(replies, expected);
    }

    #[tokio::test]
    async fn what_is_not_redis_is_a_fault_and_not_read_for_ever() {
        for bytes in [
            b"HTTP/1.1 400 Bad Request\r\n\r\n".as_slice(),
            b"$99999999\r\n",
            b"*99999999\r\n",
            b"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n",
        ] {
            let fault = said(bytes, 1).await.unwrap_err();
            assert_eq!(fault.kind, FaultKind::Garbled, "{fault}");
        }
    }
}
