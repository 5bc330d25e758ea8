//! HTTP bodies and answers that several servers share.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::Value;
use tokio::sync::mpsc;

pub(super) type Body = BoxBody<Bytes, Infallible>;

/// A create call with a large environment is some kilobytes.
pub(super) const BODY_MAX: usize = 4 * 1024 * 1024;
/// Chunks that wait for a slow reader; the writer waits too when they are full.
const CHUNKS_MAX: usize = 64;

/// A body whose chunks are sent by somebody else.
#[derive(Debug)]
struct Feed(mpsc::Receiver<Bytes>);

impl hyper::body::Body for Feed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = self.get_mut().0.poll_recv(cx);
        next.map(|chunk| chunk.map(|bytes| Ok(Frame::data(bytes))))
    }
}

pub(super) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).boxed()
}

pub(super) fn answer(
    status: StatusCode,
    kind: &'static str,
    bytes: impl Into<Bytes>,
) -> Response<Body> {
    let mut response = Response::new(full(bytes));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

pub(super) fn json(status: StatusCode, value: &Value) -> Response<Body> {
    answer(status, "application/json", format!("{value}\n"))
}

pub(super) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(full(Bytes::new()));
    *response.status_mut() = status;
    response
}

/// An answer that goes on for as long as somebody writes into it.
pub(super) fn stream(kind: &'static str) -> (mpsc::Sender<Bytes>, Response<Body>) {
    let (sender, receiver) = mpsc::channel(CHUNKS_MAX);
    let mut response = Response::new(Feed(receiver).boxed());
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    (sender, response)
}

/// The whole body of a request; `None` for one that is cut or too large.
pub(super) async fn collected(body: Incoming) -> Option<Bytes> {
    let limited = Limited::new(body, BODY_MAX);
    limited
        .collect()
        .await
        .ok()
        .map(http_body_util::Collected::to_bytes)
}

/// The pairs of a query or of a form.
pub(super) fn pairs(text: &str) -> BTreeMap<String, String> {
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(key), decoded(value))
        })
        .collect()
}

/// Percent signs and pluses undone; what is not valid stays as it is.
pub(super) fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = text
            .get(at + 1..at + 3)
            .and_then(|h| u8::from_str_radix(h, 16).ok());
        match (bytes[at], hex) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 2;
            }
            (b'+', _) => out.push(b' '),
            (byte, _) => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_decoded() {
        let pairs = pairs("query=sum%28x%29+%3E+1&bad=%zz&flag");
        assert_eq!(pairs["query"], "sum(x) > 1");
        assert_eq!(pairs["bad"], "%zz");
        assert_eq!(pairs["flag"], "");
    }
}
