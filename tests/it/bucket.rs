//! Backups in a bucket: an S3-compatible server in this process, and what a store does with it.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use quarterdeck::domain::{Clean, SecretPlace, StoreSpec};
use quarterdeck::link::store::catalogue;
use quarterdeck::link::store::{Store, StoreError};
use tokio::net::TcpListener;

#[derive(Default)]
struct Held {
    objects: BTreeMap<String, Vec<u8>>,
    /// Parts of uploads that are not complete.
    parts: BTreeMap<u32, Vec<u8>>,
    aborted: u32,
    /// Every request is refused.
    locked: bool,
    /// After so many parts it has no room.
    parts_max: Option<usize>,
}

type Bucket = Arc<Mutex<Held>>;

const DATE: &str = "Sat, 21 Nov 2026 06:29:00 GMT";

fn answer(status: u16, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    let headers = response.headers_mut();
    headers.insert("etag", "\"e\"".parse().unwrap());
    headers.insert("last-modified", DATE.parse().unwrap());
    response
}

async fn serve(
    bucket: Bucket,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let path = head
        .uri
        .path()
        .trim_start_matches("/shop")
        .trim_start_matches('/')
        .to_owned();
    let query = head.uri.query().unwrap_or_default().to_owned();
    let signed = head
        .headers
        .get("authorization")
        .is_some_and(|value| value.to_str().unwrap().contains("Credential=the-key/"));
    let mut kept = bucket.lock().unwrap();
    if kept.locked || !signed {
        return Ok(answer(403, "<Error><Code>AccessDenied</Code></Error>"));
    }
    Ok(match head.method {
        Method::GET if query.contains("list-type=2") => answer(200, listing(&kept)),
        Method::GET | Method::HEAD => match kept.objects.get(&path) {
            None => answer(404, ""),
            Some(object) => object_of(
                object,
                head.headers.get("range").map(|r| r.to_str().unwrap()),
            ),
        },
        Method::POST if query.starts_with("uploads") => answer(
            200,
            "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>",
        ),
        Method::POST => {
            let whole = std::mem::take(&mut kept.parts)
                .into_values()
                .flatten()
                .collect();
            kept.objects.insert(path, whole);
            answer(
                200,
                "<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>",
            )
        }
        Method::PUT => match query
            .split('&')
            .find_map(|word| word.strip_prefix("partNumber="))
        {
            Some(_) if kept.parts_max.is_some_and(|most| kept.parts.len() >= most) => {
                answer(400, "<Error><Code>QuotaExceeded</Code></Error>")
            }
            Some(number) => {
                kept.parts.insert(number.parse().unwrap(), body.to_vec());
                answer(200, "")
            }
            None => {
                kept.objects.insert(path, body.to_vec());
                answer(200, "")
            }
        },
        Method::DELETE if query.contains("uploadId") => {
            kept.parts.clear();
            kept.aborted += 1;
            answer(204, "")
        }
        Method::DELETE => {
            kept.objects.remove(&path);
            answer(204, "")
        }
        _ => answer(405, ""),
    })
}

fn object_of(object: &[u8], range: Option<&str>) -> Response<Full<Bytes>> {
    let Some(range) = range.and_then(|range| range.strip_prefix("bytes=")) else {
        return answer(200, object.to_vec());
    };
    let (from, to) = range.split_once('-').unwrap();
    let (from, to): (usize, usize) = (from.parse().unwrap(), to.parse().unwrap());
    let to = to.min(object.len() - 1);
    let mut response = answer(206, object[from..=to].to_vec());
    let range = format!("bytes {from}-{to}/{}", object.len());
    response
        .headers_mut()
        .insert("content-range", range.parse().unwrap());
    response
}

fn listing(held: &Held) -> String {
    let contents: Vec<String> = held
        .objects
        .iter()
        .map(|(key, object)| {
            format!(
                "<Contents><Key>{key}</Key><LastModified>2026-11-21T06:29:00.000Z</LastModified><ETag>e</ETag><Size>{}</Size></Contents>",
                object.len()
            )
        })
        .collect();
    format!(
        "<ListBucketResult><Name>shop</Name><IsTruncated>false</IsTruncated>{}</ListBucketResult>",
        contents.concat()
    )
}

/// A server that ends with the test, and a store in it.
async fn bucket() -> (Bucket, Store) {
    // Another test of this process may have done it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let bucket = Bucket::default();
    let served = bucket.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let bucket = served.clone();
            tokio::spawn(async move {
                let service = service_fn(move |request| serve(bucket.clone(), request));
                let serving = hyper::server::conn::http1::Builder::new();
                // A client that hangs up is no trouble of the server.
                let _ = serving
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    let spec = StoreSpec {
        name: Clean::from("offsite"),
        url: Clean::from("s3://shop/db"),
        endpoint: Some(Clean::from(endpoint)),
        region: None,
        access_key: Some(SecretPlace::Env("ACCESS".to_owned())),
        secret_key: Some(SecretPlace::Env("SECRET".to_owned())),
    };
    let secret = |place: &SecretPlace| match place.shown().as_str() {
        "$ACCESS" => Ok("the-key".to_owned()),
        "$SECRET" => Ok("the-secret".to_owned()),
        other => Err(Clean::from(format!("no {other}"))),
    };
    (bucket, Store::open(&spec, secret).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn something_large_is_in_a_bucket_only_when_it_is_whole() {
    let (bucket, store) = bucket().await;
    let block = Bytes::from(vec![7; 1024 * 1024]);
    let mut writing = store.begin("app-1.dump").await.unwrap();
    for _ in 0..20 {
        writing.write(block.clone()).await.unwrap();
        assert_eq!(store.head("app-1.dump").await.unwrap(), None);
    }
    writing.finish().await.unwrap();
    assert_eq!(
        store.head("app-1.dump").await.unwrap().unwrap().bytes,
        20 * 1024 * 1024
    );
    store
        .put("app-1.manifest.json", b"{}".to_vec())
        .await
        .unwrap();
    bucket
        .lock()
        .unwrap()
        .objects
        .insert("db/deeper/x".to_owned(), vec![1]);
    let names: Vec<String> = store
        .list()
        .await
        .unwrap()
        .into_iter()
        .map(|s| s.name)
        .collect();
    assert_eq!(names, ["app-1.dump", "app-1.manifest.json"]);
    let digest = catalogue::digest(&store, "app-1.dump").await.unwrap();
    assert_eq!(digest.bytes, 20 * 1024 * 1024);
    let again = store.begin("app-1.dump").await.unwrap_err();
    assert!(matches!(again, StoreError::Exists { .. }), "{again}");
    store.delete("app-1.dump").await.unwrap();
    store.delete("app-1.dump").await.unwrap();
    assert_eq!(store.head("app-1.dump").await.unwrap(), None);
    let missing = store.get("app-1.dump").await.unwrap_err();
    assert!(matches!(missing, StoreError::Missing { .. }), "{missing}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_off_or_is_given_up_is_aborted_and_never_there() {
    let (bucket, store) = bucket().await;
    let part = Bytes::from(vec![7; 9 * 1024 * 1024]);
    let mut writing = store.begin("app-1.dump").await.unwrap();
    writing.write(part.clone()).await.unwrap();
    writing.write(part.clone()).await.unwrap();
    writing.abandon().await;
    assert_eq!(bucket.lock().unwrap().aborted, 1);
    bucket.lock().unwrap().parts_max = Some(1);
    let mut writing = store.begin("app-2.dump").await.unwrap();
    let mut failed = false;
    for _ in 0..4 {
        failed |= writing.write(part.clone()).await.is_err();
    }
    assert!(failed, "a server without room is noticed");
    writing.abandon().await;
    assert!(store.list().await.unwrap().is_empty());
    assert_eq!(bucket.lock().unwrap().aborted, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_names_the_place_and_no_key() {
    let (bucket, store) = bucket().await;
    bucket.lock().unwrap().locked = true;
    let refused = store.list().await.unwrap_err();
    assert!(matches!(refused, StoreError::Denied { .. }), "{refused}");
    let said = refused.to_string();
    assert!(
        said.contains("s3://shop/db") && !said.contains("the-secret"),
        "{said}"
    );
}
