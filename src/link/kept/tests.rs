//! A kept connection against a server that says exactly what a test wants.

use rustls::RootCertStore;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::*;

/// Answers each request on one connection with the next of these, then closes it.
async fn server(answers: &'static [&'static [u8]]) -> (Way, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut heard = [0; 1024];
        for answer in answers {
            let _ = stream.read(&mut heard).await;
            for piece in answer.chunks(7) {
                let _ = stream.write_all(piece).await;
                tokio::task::yield_now().await;
            }
        }
    });
    let roots = Roots::fixed(RootCertStore::empty());
    (Way::to(url, None, None, roots).await.unwrap(), task)
}

const ASK: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";

#[tokio::test]
async fn one_answer_after_the_other_is_read_to_its_end() {
    let (way, _task) = server(&[
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Replica: a\r\n\r\nhello",
        b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 201 Made\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: 1\r\n\r\n",
        b"HTTP/1.1 204 Nothing\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nuntil the end",
    ])
    .await;
    let mut kept = way.open(Timestamp(0)).await.unwrap();
    let mut whole = Whole::default();
    let one = kept.ask(ASK, false, Some(&mut whole)).await.unwrap();
    assert_eq!((one.status, one.body_bytes, one.keep), (200, 5, true));
    assert_eq!(
        (whole.body.as_slice(), kept.header("x-replica")),
        (b"hello".as_slice(), Some("a"))
    );
    let mut whole = Whole::default();
    let two = kept.ask(ASK, false, Some(&mut whole)).await.unwrap();
    assert_eq!((two.status, two.body_bytes, two.keep), (201, 5, true));
    assert_eq!(whole.body, b"abcde");
    assert_eq!(kept.ask(ASK, false, None).await.unwrap().status, 204);
    let last = kept.ask(ASK, false, None).await.unwrap();
    assert_eq!((last.body_bytes, last.keep), (13, false));
}

#[tokio::test]
async fn an_answer_that_is_none_is_told_by_how_far_it_came() {
    for (answer, expected) in [
        (b"".as_slice(), Broke::Closed),
        (b"HTTP/1.1 200", Broke::Truncated),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok",
            Broke::Truncated,
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            Broke::Garbled,
        ),
        (b"SSH-2.0-OpenSSH\r\n", Broke::Garbled),
    ] {
        let answers = vec![answer].leak();
        let (way, _task) = server(answers).await;
        let mut kept = way.open(Timestamp(0)).await.unwrap();
        assert_eq!(kept.ask(ASK, false, None).await.unwrap_err(), expected);
    }
}

#[tokio::test]
async fn what_is_said_beyond_an_answer_ends_the_connection() {
    let (way, _task) =
        server(&[b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 forged"]).await;
    let mut kept = way.open(Timestamp(0)).await.unwrap();
    let mut answer = kept.ask(ASK, false, None).await.unwrap();
    // It may come in a later piece: then the next answer is no answer.
    if answer.keep {
        answer.keep = kept
            .ask(ASK, false, None)
            .await
            .is_ok_and(|again| again.keep);
    }
    assert!(!answer.keep);
}
