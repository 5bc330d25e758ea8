//! What users ask for, how often, and what it costs.

/// Which service answers, and what it needs for that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Static files of the client.
    Client,
    Postgres,
    /// Sessions live in Redis.
    PostgresAndRedis,
    /// The server's own health page.
    Nothing,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Route {
    pub method: &'static str,
    /// As the metrics name it; `:id` stands for a number.
    pub route: &'static str,
    /// Part of all simulated requests.
    pub weight: f64,
    /// Usual time on an idle replica.
    pub ms: f64,
    pub bytes: u64,
    pub needs: Needs,
    /// Part that is the user's own mistake, and its status.
    pub mistakes: (f64, u16),
}

const fn route(
    method: &'static str,
    route: &'static str,
    weight: f64,
    ms: f64,
    bytes: u64,
    needs: Needs,
    mistakes: (f64, u16),
) -> Route {
    Route {
        method,
        route,
        weight,
        ms,
        bytes,
        needs,
        mistakes,
    }
}

/// The weights add up to 1.
pub const ROUTES: &[Route] = &[
    route(
        "GET",
        "/api/missions",
        0.32,
        22.0,
        5_210,
        Needs::Postgres,
        (0.0, 200),
    ),
    route(
        "GET",
        "/api/missions/:id",
        0.18,
        14.0,
        1_180,
        Needs::Postgres,
        (0.02, 404),
    ),
    route(
        "POST",
        "/api/missions",
        0.06,
        38.0,
        640,
        Needs::Postgres,
        (0.02, 400),
    ),
    route(
        "GET",
        "/api/users/me",
        0.13,
        9.0,
        412,
        Needs::PostgresAndRedis,
        (0.01, 401),
    ),
    route(
        "POST",
        "/api/auth/login",
        0.05,
        85.0,
        498,
        Needs::PostgresAndRedis,
        (0.04, 401),
    ),
    route(
        "POST",
        "/api/auth/register",
        0.01,
        110.0,
        521,
        Needs::PostgresAndRedis,
        (0.05, 409),
    ),
    route(
        "GET",
        "/api/health",
        0.0,
        1.5,
        15,
        Needs::Nothing,
        (0.0, 200),
    ),
    route("GET", "/", 0.10, 1.2, 1_406, Needs::Client, (0.0, 200)),
    route(
        "GET",
        "/assets/:file",
        0.15,
        1.6,
        48_230,
        Needs::Client,
        (0.0, 200),
    ),
];

/// The route that a weight-drawn number between 0 and 1 falls on.
pub fn drawn(part: f64) -> usize {
    let mut sum = 0.0;
    for (index, route) in ROUTES.iter().enumerate() {
        sum += route.weight;
        if part < sum {
            return index;
        }
    }
    ROUTES.len() - 1
}

/// The route of a real request, by method and path.
pub fn of(method: &str, path: &str) -> Option<usize> {
    let path = path.split('?').next().unwrap_or(path);
    let read = if method == "HEAD" { "GET" } else { method };
    ROUTES
        .iter()
        .position(|route| route.method == read && fits(route.route, path))
}

fn fits(route: &str, path: &str) -> bool {
    match route.split_once(':') {
        Some((front, _)) => path.len() > front.len() && path.starts_with(front),
        None => route == path.trim_end_matches('/') || (route == "/" && path == "/"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_add_up() {
        let sum: f64 = ROUTES.iter().map(|r| r.weight).sum();
        assert!((sum - 1.0).abs() < 1e-9, "{sum}");
    }

    #[test]
    fn paths_find_their_route() {
        let name = |m, p| of(m, p).map(|i| ROUTES[i].route);
        assert_eq!(name("GET", "/api/missions/77"), Some("/api/missions/:id"));
        assert_eq!(name("HEAD", "/"), Some("/"));
        assert_eq!(name("GET", "/api/missions?page=2"), Some("/api/missions"));
        assert_eq!(name("DELETE", "/api/missions"), None);
        assert_eq!(name("GET", "/assets/app.js"), Some("/assets/:file"));
    }
}
