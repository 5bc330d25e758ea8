//! A journey through a small server that knows people, sessions and things.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::super::tests::{blind, read};
use super::super::{Outcome, Verdict};
use super::*;

#[derive(Default)]
struct World {
    people: BTreeSet<String>,
    things: BTreeMap<u32, String>,
    heard: Vec<String>,
    broken: &'static str,
}

struct Server {
    url: String,
    world: Arc<Mutex<World>>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(broken: &'static str) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let world = Arc::new(Mutex::new(World {
        broken,
        ..World::default()
    }));
    let shared = Arc::clone(&world);
    let task = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut bytes = vec![0; 8192];
            let read = stream.read(&mut bytes).await.unwrap_or(0);
            let text = String::from_utf8_lossy(&bytes[..read]).into_owned();
            let (status, headers, body) = answer(&mut shared.lock().unwrap(), &text);
            let head = format!(
                "HTTP/1.1 {status} X\r\nContent-Length: {}\r\n{headers}\r\n{body}",
                body.len()
            );
            let _ = stream.write_all(head.as_bytes()).await;
        }
    });
    Server { url, world, task }
}

fn answer(world: &mut World, text: &str) -> (u16, String, String) {
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let line: Vec<&str> = head.lines().next().unwrap().split(' ').collect();
    let (method, path) = (line[0], line[1]);
    world.heard.push(format!("{method} {path}"));
    let json: Value = serde_json::from_str(body).unwrap_or_default();
    let known = head.contains("Cookie: session=canary-7f3a");
    if world.broken == path && method == "POST" {
        return (500, String::new(), "{}".into());
    }
    match (method, path) {
        ("POST", "/register") => {
            let fresh = world.people.insert(json["name"].as_str().unwrap().into());
            (if fresh { 201 } else { 409 }, String::new(), "{}".into())
        }
        ("POST", "/login") => {
            let cookie = "Set-Cookie: session=canary-7f3a; Path=/\r\n".to_owned();
            (200, cookie, r#"{"csrf":"canary-csrf"}"#.into())
        }
        ("POST", "/things") if known && head.contains("X-Csrf: canary-csrf") => {
            world
                .things
                .insert(7, json["title"].as_str().unwrap().into());
            (201, String::new(), r#"{"id":7,"title":"a thing"}"#.into())
        }
        ("DELETE", "/things/7") if known => {
            world.things.remove(&7);
            (204, String::new(), String::new())
        }
        ("DELETE", path) if path.starts_with("/people/") => {
            world.people.remove(path.trim_start_matches("/people/"));
            (204, String::new(), String::new())
        }
        _ => (401, String::new(), "{}".into()),
    }
}

fn journey(url: &str) -> String {
    format!(
        r#"
kind = "flow"
url = "{url}"

[[steps]]
method = "POST"
path = "/register"
json = {{ name = "crew-{{unique}}", password = "ad astra" }}
status = 201

[[steps]]
method = "POST"
path = "/login"
json = {{ name = "crew-{{unique}}", password = "ad astra" }}
capture = {{ csrf = {{ json = "/csrf" }}, session = {{ cookie = "session" }} }}

[[steps]]
method = "POST"
path = "/things"
header = {{ X-Csrf = "{{csrf}}" }}
json = {{ title = "a thing" }}
status = 201
value = {{ "/title" = "== a thing", "/id" = "> 0" }}
capture = {{ id = {{ json = "/id" }} }}

[[cleanup]]
method = "DELETE"
path = "/things/{{id}}"

[[cleanup]]
method = "DELETE"
path = "/people/crew-{{unique}}"
"#
    )
}

async fn walk(broken: &'static str) -> (Outcome, Arc<Mutex<World>>) {
    let server = serve(broken).await;
    let check = read(&journey(&server.url));
    assert_eq!(check.problems(), Vec::<Clean>::new());
    assert!(check.writes());
    let outcome = check.run(&blind(), Timestamp(5)).await;
    let kept = serde_json::to_string(&outcome).unwrap();
    assert!(!kept.contains("canary"), "{kept}");
    (outcome, Arc::clone(&server.world))
}

#[tokio::test]
async fn a_journey_is_walked_and_leaves_nothing_behind() {
    let (outcome, world) = walk("").await;
    assert_eq!(outcome.verdict, Verdict::Pass, "{outcome:#?}");
    let world = world.lock().unwrap();
    assert_eq!(world.heard.len(), 5, "{:?}", world.heard);
    assert!(world.people.is_empty() && world.things.is_empty());
}

#[tokio::test]
async fn a_broken_step_fails_it_and_what_was_made_is_still_taken_away() {
    let (outcome, world) = walk("/things").await;
    assert_eq!(outcome.verdict, Verdict::Fail, "{outcome:#?}");
    assert!(
        outcome.said.contains("POST /things: status 500"),
        "{outcome:#?}"
    );
    let world = world.lock().unwrap();
    // No id was given, so there is no thing to take away; the person is.
    assert_eq!(world.heard.len(), 4, "{:?}", world.heard);
    assert!(world.people.is_empty());
}

#[tokio::test]
async fn a_journey_that_cannot_begin_was_not_walked() {
    let check = read(&journey("http://127.0.0.1:1"));
    let outcome = check.run(&blind(), Timestamp(5)).await;
    assert_eq!(outcome.verdict, Verdict::CouldNotRun, "{outcome:#?}");
}

#[tokio::test]
async fn nobody_elses_server_is_asked() {
    let check = read(&journey("http://192.0.2.1"));
    let outcome = check.run(&blind(), Timestamp(5)).await;
    assert_eq!(outcome.verdict, Verdict::CouldNotRun);
    assert!(outcome.said.contains("neither this host"), "{outcome:#?}");
}

#[test]
fn what_cannot_be_walked_is_found_before() {
    for (step, says) in [
        ("method = 'BREW'\npath = '/'", "no method"),
        ("path = 'x'", "begins with one slash"),
        ("path = '/{id}'", "nothing before it gives {id}"),
        ("path = '/'\njson = { a = 1 }", "has no body"),
        ("path = '/'\nheader = { Host = 'x' }", "written by us"),
        (
            "path = '/'\ncapture = { a = { matches = 'x' } }",
            "into a group",
        ),
        ("path = '/'\nstatus = 'contains x'", "status"),
    ] {
        let problems = read(&format!("kind = 'flow'\n[[steps]]\n{step}")).problems();
        assert!(
            problems.iter().any(|p| p.contains(says)),
            "{step}: {problems:?}"
        );
    }
}
