//! Sessions in Redis, spoken to in its own protocol (RESP2): four commands do not need a client library.
//!
//! One connection, one command at a time. Any surprise drops the connection; the next command opens a new one.

use std::io::{Error, ErrorKind, Result};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::timeout;

/// Redis answers in microseconds; a second is a failure.
const LIMIT: Duration = Duration::from_secs(1);
/// How long a session lives without a new login, in seconds.
pub(crate) const SESSION_S: u32 = 8 * 3600;
/// No value of ours is longer than this.
const REPLY_BYTES_MAX: usize = 4096;

/// Where sessions live.
pub(crate) struct Sessions {
    target: String,
    link: Mutex<Option<BufReader<TcpStream>>>,
}

#[derive(Debug, PartialEq)]
enum Reply {
    Text(String),
    Number(i64),
    Nothing,
}

impl Sessions {
    pub(crate) fn new(target: String) -> Self {
        Self {
            target,
            link: Mutex::new(None),
        }
    }

    pub(crate) async fn put(&self, token: &str, owner: i64, name: &str) -> Result<()> {
        let (key, value, ttl) = (key(token), format!("{owner} {name}"), SESSION_S.to_string());
        match self.ask(&["SET", &key, &value, "EX", &ttl]).await? {
            Reply::Text(ok) if ok == "OK" => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    /// Id and name of the user.
    pub(crate) async fn get(&self, token: &str) -> Result<Option<(i64, String)>> {
        match self.ask(&["GET", &key(token)]).await? {
            Reply::Nothing => Ok(None),
            Reply::Text(value) => Ok(value
                .split_once(' ')
                .and_then(|(id, name)| Some((id.parse().ok()?, name.to_owned())))),
            other @ Reply::Number(_) => Err(unexpected(&other)),
        }
    }

    pub(crate) async fn remove(&self, token: &str) -> Result<()> {
        self.ask(&["DEL", &key(token)]).await.map(drop)
    }

    /// A connection that was closed since (Redis restarted) shows only when it is used: hence one second try.
    /// All our commands may be repeated.
    async fn ask(&self, words: &[&str]) -> Result<Reply> {
        let mut link = self.link.lock().await;
        let had_link = link.is_some();
        match self.once(&mut link, words).await {
            Err(_) if had_link => self.once(&mut link, words).await,
            answer => answer,
        }
    }

    async fn once(&self, link: &mut Option<BufReader<TcpStream>>, words: &[&str]) -> Result<Reply> {
        // Taken out for the time of the command: if this is dropped halfway, so is the connection.
        let held = link.take();
        let exchange = async {
            let mut held = match held {
                Some(held) => held,
                None => BufReader::new(TcpStream::connect(&self.target).await?),
            };
            held.get_mut().write_all(&encoded(words)).await?;
            let reply = reply(&mut held).await?;
            Ok((held, reply))
        };
        let answer: Result<_> = timeout(LIMIT, exchange)
            .await
            .unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()));
        let (held, reply) = answer?;
        *link = Some(held);
        Ok(reply)
    }
}

fn key(token: &str) -> String {
    format!("session:{token}")
}

fn encoded(words: &[&str]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", words.len());
    for word in words {
        let length = word.len().to_string();
        out.extend(["$", &length, "\r\n", word, "\r\n"]);
    }
    out.into_bytes()
}

async fn reply(from: &mut (impl AsyncBufReadExt + Unpin)) -> Result<Reply> {
    let mut line = String::new();
    let mut limited = from.take(REPLY_BYTES_MAX as u64);
    if limited.read_line(&mut line).await? == 0 {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    let line = line.trim_end();
    match (line.get(..1), line.get(1..).unwrap_or_default()) {
        (Some("+"), text) => Ok(Reply::Text(text.to_owned())),
        (Some("-"), problem) => Err(Error::other(format!("redis: {problem}"))),
        (Some(":"), number) => number
            .parse()
            .map(Reply::Number)
            .map_err(|_| malformed(line)),
        (Some("$"), "-1") => Ok(Reply::Nothing),
        (Some("$"), length) => bulk(from, length.parse().map_err(|_| malformed(line))?).await,
        _ => Err(malformed(line)),
    }
}

async fn bulk(from: &mut (impl AsyncBufReadExt + Unpin), length: usize) -> Result<Reply> {
    if length > REPLY_BYTES_MAX {
        return Err(malformed("a value longer than any of ours"));
    }
    let mut bytes = vec![0; length + 2];
    from.read_exact(&mut bytes).await?;
    bytes.truncate(length);
    String::from_utf8(bytes)
        .map(Reply::Text)
        .map_err(|_| malformed("not UTF-8"))
}

fn malformed(what: &str) -> Error {
    Error::new(
        ErrorKind::InvalidData,
        format!("not a reply of redis: {what}"),
    )
}

fn unexpected(reply: &Reply) -> Error {
    Error::new(
        ErrorKind::InvalidData,
        format!("unexpected reply of redis: {reply:?}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(bytes: &[u8]) -> Result<Reply> {
        reply(&mut BufReader::new(bytes)).await
    }

    #[tokio::test]
    async fn replies_are_read_by_their_first_byte() {
        assert_eq!(
            read(b"+OK\r\n").await.unwrap(),
            Reply::Text("OK".to_owned())
        );
        assert_eq!(read(b":12\r\n").await.unwrap(), Reply::Number(12));
        assert_eq!(read(b"$-1\r\n").await.unwrap(), Reply::Nothing);
        assert_eq!(
            read(b"$5\r\na\r\nbc\r\n").await.unwrap(),
            Reply::Text("a\r\nbc".to_owned())
        );
    }

    #[tokio::test]
    async fn errors_and_nonsense_are_errors() {
        for bytes in [
            &b"-ERR no\r\n"[..],
            b"",
            b"\r\n",
            b"?\r\n",
            b"$x\r\n",
            b"$99999\r\n",
            b"$5\r\nab",
            b"\xff\r\n",
        ] {
            assert!(read(bytes).await.is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn words_are_sent_with_their_length_in_bytes() {
        assert_eq!(
            encoded(&["GET", "é"]),
            b"*2\r\n$3\r\nGET\r\n$2\r\n\xc3\xa9\r\n"
        );
    }
}
