//! The routes. Every answer is JSON, apart from `/metrics`.

use std::fmt::Write;
use std::time::{Duration, Instant};

use argon2::Argon2;
use argon2::password_hash::rand_core::{OsRng, RngCore};
use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, COOKIE, HeaderValue, SET_COOKIE,
};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};

use crate::config::Config;
use crate::database::{Database, QueryError};
use crate::log;
use crate::metrics::{Gauges, Metrics};
use crate::sessions::{SESSION_S, Sessions};

/// A name, a password or a title: far below this.
const BODY_BYTES_MAX: usize = 16 * 1024;
/// A body is sent at once by the gateway, which has buffered it.
const BODY_LIMIT: Duration = Duration::from_secs(5);
/// One hash takes 19 MiB and tens of milliseconds of a whole core; the container has 128 MiB and half of one.
const HASHES_AT_ONCE: usize = 2;
/// Whoever waits longer for a turn is better told so.
const HASH_LIMIT: Duration = Duration::from_secs(5);
/// Longer would outlast every timeout on the way.
const SLOW_MS_MAX: u64 = 60_000;
const PASSWORD_CHARS: std::ops::RangeInclusive<usize> = 8..=256;

type Answer = Response<Full<Bytes>>;

/// Everything a request may need.
pub(crate) struct App {
    pub(crate) config: Config,
    draining: watch::Receiver<bool>,
    database: Database,
    sessions: Sessions,
    metrics: Metrics,
    hashing: Semaphore,
}

impl App {
    /// Starts the database supervisor; nothing here waits for anybody.
    pub(crate) fn start(config: Config, draining: watch::Receiver<bool>) -> Self {
        Self {
            database: Database::start(config.postgres.clone()),
            sessions: Sessions::new(config.redis.clone()),
            metrics: Metrics::new(),
            hashing: Semaphore::new(HASHES_AT_ONCE),
            config,
            draining,
        }
    }

    fn is_draining(&self) -> bool {
        *self.draining.borrow()
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Route {
    Ping,
    Register,
    Login,
    Logout,
    Session,
    Missions,
    Slow,
    Fail,
    Healthz,
    Metrics,
    Unknown,
}

impl Route {
    fn of(path: &str, chaos: bool) -> Self {
        match path {
            "/api/ping" => Self::Ping,
            "/api/register" => Self::Register,
            "/api/login" => Self::Login,
            "/api/logout" => Self::Logout,
            "/api/session" => Self::Session,
            "/api/missions" => Self::Missions,
            "/api/slow" if chaos => Self::Slow,
            "/api/fail" if chaos => Self::Fail,
            "/healthz" => Self::Healthz,
            "/metrics" => Self::Metrics,
            _ => Self::Unknown,
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::Ping => "/api/ping",
            Self::Register => "/api/register",
            Self::Login => "/api/login",
            Self::Logout => "/api/logout",
            Self::Session => "/api/session",
            Self::Missions => "/api/missions",
            Self::Slow => "/api/slow",
            Self::Fail => "/api/fail",
            Self::Healthz => "/healthz",
            Self::Metrics => "/metrics",
            Self::Unknown => "other",
        }
    }

    fn allows(self) -> &'static str {
        match self {
            Self::Register | Self::Login | Self::Logout => "POST",
            Self::Session | Self::Healthz | Self::Metrics => "GET, HEAD",
            Self::Ping | Self::Missions | Self::Slow | Self::Fail | Self::Unknown => {
                "GET, HEAD, POST"
            }
        }
    }
}

/// Why a request is not answered as asked.
enum Refusal {
    Bad(&'static str),
    /// No session, or a wrong name or password; never says which.
    Stranger(&'static str),
    Taken,
    NotHere,
    Method(Route),
    TooLarge,
    Busy(&'static str),
    Broken,
}

impl From<QueryError> for Refusal {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Unavailable => Self::Busy("the database is not available"),
            QueryError::Taken => Self::Taken,
            QueryError::Refused(error) => {
                log::error("database_refused", &json!({ "problem": error.to_string() }));
                Self::Broken
            }
        }
    }
}

impl From<std::io::Error> for Refusal {
    fn from(_: std::io::Error) -> Self {
        Self::Busy("the session store is not available")
    }
}

impl Refusal {
    fn answer(self) -> Answer {
        let (status, text) = match self {
            Self::Bad(text) => (StatusCode::BAD_REQUEST, text),
            Self::Stranger(text) => (StatusCode::UNAUTHORIZED, text),
            Self::Taken => (StatusCode::CONFLICT, "this name is taken"),
            Self::NotHere => (StatusCode::NOT_FOUND, "there is nothing here"),
            Self::Method(_) => (
                StatusCode::METHOD_NOT_ALLOWED,
                "this route does not know the method",
            ),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "the body is too large"),
            Self::Busy(text) => (StatusCode::SERVICE_UNAVAILABLE, text),
            Self::Broken => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "something is broken; it is in the log",
            ),
        };
        let mut answer = reply(status, &json!({ "error": text }));
        if let Self::Method(route) = self {
            answer
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static(route.allows()));
        }
        answer
    }
}

/// Answers one request and counts it.
pub(crate) async fn answer(app: &App, request: Request<Incoming>) -> Answer {
    let route = Route::of(request.uri().path(), app.config.chaos);
    let family = (method_label(request.method()), route.label());
    let counted = !matches!(route, Route::Healthz | Route::Metrics);
    let began = Instant::now();
    let in_flight = counted.then(|| app.metrics.begin());
    let mut answer = routed(app, route, request)
        .await
        .unwrap_or_else(Refusal::answer);
    drop(in_flight);
    if counted {
        app.metrics
            .count(family, answer.status().as_u16(), began.elapsed());
    }
    // Who answered: whoever measures the balance needs no log of the gateway then.
    if let Ok(replica) = HeaderValue::from_str(&app.config.replica) {
        answer.headers_mut().insert("x-replica", replica);
    }
    if app.is_draining() {
        answer
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close"));
    }
    answer
}

/// A closed set: a client may send any word as a method.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "OTHER",
    }
}

async fn routed(app: &App, route: Route, request: Request<Incoming>) -> Result<Answer, Refusal> {
    if route == Route::Unknown {
        return Err(Refusal::NotHere);
    }
    let method = request.method().clone();
    if !route
        .allows()
        .split(", ")
        .any(|allowed| allowed == method.as_str())
    {
        return Err(Refusal::Method(route));
    }
    match route {
        Route::Ping => Ok(ping(app, &method)),
        Route::Register => register(app, request).await,
        Route::Login => login(app, request).await,
        Route::Logout => logout(app, &request).await,
        Route::Session => whoami(app, &request).await,
        Route::Missions if method == Method::POST => add_mission(app, request).await,
        Route::Missions => missions(app, &request).await,
        Route::Slow => slow(app, &request).await,
        Route::Fail => fail(app, &request),
        Route::Healthz => Ok(healthz(app)),
        Route::Metrics => Ok(metrics(app)),
        Route::Unknown => Err(Refusal::NotHere),
    }
}

fn reply(status: StatusCode, body: &Value) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body.to_string())));
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

fn ping(app: &App, method: &Method) -> Answer {
    reply(
        StatusCode::OK,
        &json!({ "replica": app.config.replica, "release": app.config.release, "method": method.as_str() }),
    )
}

/// Reads two values in memory and nothing else, so that it cannot hang when something else does.
fn healthz(app: &App) -> Answer {
    let problem = if app.is_draining() {
        Err("draining".to_owned())
    } else {
        app.database.health()
    };
    match problem {
        Ok(()) => reply(
            StatusCode::OK,
            &json!({ "status": "ok", "replica": app.config.replica }),
        ),
        Err(problem) => {
            let body = json!({ "status": "unavailable", "problem": problem, "replica": app.config.replica });
            reply(StatusCode::SERVICE_UNAVAILABLE, &body)
        }
    }
}

fn metrics(app: &App) -> Answer {
    let gauges = Gauges {
        database_up: app.database.is_connected(),
        draining: app.is_draining(),
        release: &app.config.release,
        replica: &app.config.replica,
    };
    let mut answer = Response::new(Full::new(Bytes::from(app.metrics.text(&gauges))));
    answer.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"),
    );
    answer
}

async fn register(app: &App, request: Request<Incoming>) -> Result<Answer, Refusal> {
    let (name, password) = credentials(request).await?;
    let salt = SaltString::generate(&mut OsRng);
    let hash = hashing(app, move || {
        Argon2::default()
            .hash_password(password.as_bytes(), &salt)
            .map(|hash| hash.to_string())
    });
    let hash = hash.await?.map_err(|_| Refusal::Broken)?;
    app.database.add_user(&name, &hash).await?;
    Ok(reply(StatusCode::CREATED, &json!({ "name": name })))
}

async fn login(app: &App, request: Request<Incoming>) -> Result<Answer, Refusal> {
    let (name, password) = credentials(request).await?;
    let user = app.database.user(&name).await?;
    let (id, hash) = user.map_or((None, None), |(id, hash)| (Some(id), Some(hash)));
    let verified = hashing(app, move || verified(hash.as_deref(), &password)).await?;
    let id = id
        .filter(|_| verified)
        .ok_or(Refusal::Stranger("wrong name or password"))?;
    let token = token();
    app.sessions.put(&token, id, &name).await?;
    let mut answer = reply(StatusCode::OK, &json!({ "name": name }));
    set_cookie(&mut answer, &token, SESSION_S);
    Ok(answer)
}

/// An unknown name costs as much time as a wrong password, so that time does not tell which names exist.
fn verified(hash: Option<&str>, password: &str) -> bool {
    match hash.map(PasswordHash::new) {
        Some(Ok(hash)) => Argon2::default()
            .verify_password(password.as_bytes(), &hash)
            .is_ok(),
        Some(Err(_)) => false,
        None => {
            let mut sink = [0; 32];
            let salt = b"nobody has this";
            // Only the time it takes is wanted.
            let _ = Argon2::default().hash_password_into(password.as_bytes(), salt, &mut sink);
            false
        }
    }
}

async fn hashing<T: Send + 'static>(
    app: &App,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Refusal> {
    let Ok(Ok(_turn)) = timeout(HASH_LIMIT, app.hashing.acquire()).await else {
        return Err(Refusal::Busy("too many logins at once"));
    };
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| Refusal::Broken)
}

async fn logout(app: &App, request: &Request<Incoming>) -> Result<Answer, Refusal> {
    if let Some(token) = session_token(request) {
        app.sessions.remove(token).await?;
    }
    let mut answer = reply(StatusCode::OK, &json!({ "name": null }));
    set_cookie(&mut answer, "", 0);
    Ok(answer)
}

async fn whoami(app: &App, request: &Request<Incoming>) -> Result<Answer, Refusal> {
    let (_, name) = user(app, request).await?;
    Ok(reply(StatusCode::OK, &json!({ "name": name })))
}

async fn missions(app: &App, request: &Request<Incoming>) -> Result<Answer, Refusal> {
    let (owner, _) = user(app, request).await?;
    let missions = app.database.missions(owner).await?;
    Ok(reply(StatusCode::OK, &json!({ "missions": missions })))
}

async fn add_mission(app: &App, request: Request<Incoming>) -> Result<Answer, Refusal> {
    let (owner, _) = user(app, &request).await?;
    let body = body(request).await?;
    let title = body["title"].as_str().map(str::trim).unwrap_or_default();
    if !(1..=200).contains(&title.chars().count()) || title.contains('\0') {
        return Err(Refusal::Bad("title: 1 to 200 characters"));
    }
    Ok(reply(
        StatusCode::CREATED,
        &app.database.add_mission(owner, title).await?,
    ))
}

async fn slow(app: &App, request: &Request<Incoming>) -> Result<Answer, Refusal> {
    let ms = query(request, "ms")
        .filter(|ms| *ms <= SLOW_MS_MAX)
        .ok_or(Refusal::Bad("ms: 0 to 60000"))?;
    sleep(Duration::from_millis(ms)).await;
    Ok(reply(
        StatusCode::OK,
        &json!({ "replica": app.config.replica, "slept_ms": ms }),
    ))
}

fn fail(app: &App, request: &Request<Incoming>) -> Result<Answer, Refusal> {
    let status = query(request, "status")
        .and_then(|status| u16::try_from(status).ok())
        .filter(|status| (400..=599).contains(status))
        .and_then(|status| StatusCode::from_u16(status).ok())
        .ok_or(Refusal::Bad("status: 400 to 599"))?;
    Ok(reply(
        status,
        &json!({ "replica": app.config.replica, "error": "as asked" }),
    ))
}

fn query(request: &Request<Incoming>, name: &str) -> Option<u64> {
    let pairs = request.uri().query()?.split('&');
    pairs
        .filter_map(|pair| pair.split_once('='))
        .find(|(key, _)| *key == name)?
        .1
        .parse()
        .ok()
}

async fn user(app: &App, request: &Request<Incoming>) -> Result<(i64, String), Refusal> {
    let stranger = || Refusal::Stranger("log in first");
    let token = session_token(request).ok_or_else(stranger)?;
    app.sessions.get(token).await?.ok_or_else(stranger)
}

/// 32 random bytes in hexadecimal, as `token` makes them; anything else never reaches Redis.
fn session_token(request: &Request<Incoming>) -> Option<&str> {
    let cookies = request.headers().get_all(COOKIE).into_iter();
    cookies
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .find_map(|pair| pair.trim().strip_prefix("session="))
        .filter(|token| token.len() == 64 && token.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn token() -> String {
    let mut bytes = [0; 32];
    OsRng.fill_bytes(&mut bytes);
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        write!(text, "{byte:02x}").expect("writing to a String cannot fail");
    }
    text
}

fn set_cookie(answer: &mut Answer, token: &str, age_s: u32) {
    let cookie =
        format!("session={token}; Path=/; Max-Age={age_s}; Secure; HttpOnly; SameSite=Strict");
    let cookie = HeaderValue::from_str(&cookie).expect("hexadecimal and our own words");
    answer.headers_mut().insert(SET_COOKIE, cookie);
}

async fn credentials(request: Request<Incoming>) -> Result<(String, String), Refusal> {
    let body = body(request).await?;
    let (Some(name), Some(password)) = (body["name"].as_str(), body["password"].as_str()) else {
        return Err(Refusal::Bad("name and password: two texts"));
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.@".contains(c);
    if !(3..=64).contains(&name.len()) || !name.chars().all(plain) {
        return Err(Refusal::Bad("name: 3 to 64 letters, digits or -_.@"));
    }
    if !PASSWORD_CHARS.contains(&password.chars().count()) {
        return Err(Refusal::Bad("password: 8 to 256 characters"));
    }
    Ok((name.to_owned(), password.to_owned()))
}

/// A JSON body. Its content type is asked for: a form of another site cannot send it.
async fn body(request: Request<Incoming>) -> Result<Value, Refusal> {
    let json = request
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    if !json.is_some_and(|value| value.starts_with("application/json")) {
        return Err(Refusal::Bad("content-type: application/json"));
    }
    let body = Limited::new(request.into_body(), BODY_BYTES_MAX).collect();
    let bytes = match timeout(BODY_LIMIT, body).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            return Err(Refusal::TooLarge);
        }
        Ok(Err(_)) => return Err(Refusal::Bad("the body broke off")),
        Err(_) => return Err(Refusal::Bad("the body did not come in time")),
    };
    serde_json::from_slice(&bytes).map_err(|_| Refusal::Bad("the body is not JSON"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_routes_exist_only_when_asked_for() {
        for path in ["/api/slow", "/api/fail"] {
            assert!(
                Route::of(path, false) == Route::Unknown && Route::of(path, true) != Route::Unknown,
                "{path}"
            );
        }
    }

    #[test]
    fn nobody_logs_in_with_a_wrong_password_or_an_unknown_name() {
        let salt = SaltString::generate(&mut OsRng);
        let hash = Argon2::default()
            .hash_password(b"correct horse", &salt)
            .unwrap()
            .to_string();
        assert!(verified(Some(&hash), "correct horse"));
        for (hash, password) in [
            (Some(hash.as_str()), "wrong horse"),
            (None, "correct horse"),
            (Some("x"), "x"),
        ] {
            assert!(!verified(hash, password));
        }
    }

    #[test]
    fn tokens_are_long_and_never_the_same() {
        let (one, two) = (token(), token());
        assert_eq!(one.len(), 64);
        assert_ne!(one, two);
    }
}
