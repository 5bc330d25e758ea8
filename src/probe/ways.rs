//! Where a replica is asked itself, past the gateway.

use std::net::IpAddr;

use crate::domain::Container;

/// Addresses tried per replica: a container on more networks than this is reached by one of them.
const WAYS_MAX: usize = 3;

/// The container's own addresses; then its published port, where the network is not reachable from here.
pub fn ways(container: &Container, port: u16, path: &str) -> Vec<String> {
    let path = path.trim_start_matches('/');
    let url = |host: &str, port: u16| match host.parse::<IpAddr>() {
        Ok(IpAddr::V6(ip)) => format!("http://[{ip}]:{port}/{path}"),
        _ => format!("http://{host}:{port}/{path}"),
    };
    let own = container.addresses.iter().map(|address| &*address.ip);
    let own = own.filter(|ip| !ip.is_empty()).map(|ip| url(ip, port));
    let published = container
        .ports
        .iter()
        .filter(|there| there.container == port && there.protocol.as_str() == "tcp")
        .filter_map(|there| there.host.as_ref())
        .map(|(ip, port)| url(reachable(ip), *port));
    let mut all: Vec<String> = Vec::new();
    for way in own.take(WAYS_MAX - 1).chain(published) {
        if all.len() < WAYS_MAX && !all.contains(&way) {
            all.push(way);
        }
    }
    all
}

/// What is listened to on every address is reached on the loopback.
fn reachable(ip: &str) -> &str {
    match ip {
        "" | "0.0.0.0" => "127.0.0.1",
        "::" => "::1",
        other => other,
    }
}
