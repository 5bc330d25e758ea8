//! Whom a check may send many requests to, or requests that write: this host and the stack's own, and nobody else.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use super::{Eyes, unconfigured};
use crate::domain::{Clean, EndpointSpec, Fault, FaultKind};
use crate::link::kept::Way;
use crate::link::url::Url;

/// A URL, or a path of the gateway.
pub(super) fn url(text: &str, gateway: Option<&Clean>) -> Result<Url, Fault> {
    if !text.starts_with('/') {
        return Url::parse(text);
    }
    let gateway = gateway.ok_or_else(|| {
        let text = format!("{text} is only a path, and no gateway is known");
        unconfigured(&text, "write the whole URL")
    })?;
    Url::parse(gateway)?.join(text)
}

/// The way there, if it may be gone.
pub(super) async fn way(url: Url, eyes: &Eyes) -> Result<Way, Fault> {
    let endpoints = eyes.stack.endpoints.iter();
    let known: Vec<(Url, &EndpointSpec)> = endpoints
        .filter_map(|spec| Some((Url::parse(&spec.url).ok()?, spec)))
        .collect();
    let configured = known
        .iter()
        .find(|(known, _)| known.place == url.place)
        .map(|(_, spec)| *spec);
    let gateway = eyes.gateway.as_deref().and_then(|url| Url::parse(url).ok());
    let is_own = known
        .iter()
        .map(|(known, _)| known)
        .chain(&gateway)
        .any(|known| known.place.host == url.place.host);
    let connect_to = configured.and_then(|spec| spec.connect_to.as_deref());
    let ca_file: Option<PathBuf> = configured
        .and_then(|spec| spec.ca_file.clone())
        .or_else(|| eyes.ca_file.clone());
    let shown = Clean::from(url.origin());
    let way = Way::to(url, connect_to, ca_file, Arc::clone(&eyes.roots)).await?;
    let here = way.addresses.iter().all(|address| is_here(address.ip()));
    if is_own || here {
        return Ok(way);
    }
    let text = format!("{shown} is neither this host nor one of the stack's endpoints");
    Err(Fault::new(FaultKind::Misconfigured, text)
        .remedy("this check asks nobody else; name it in [[endpoint]] if it is yours"))
}

fn is_here(ip: IpAddr) -> bool {
    ip.is_loopback()
        || matches!(ip, IpAddr::V6(six) if six.to_ipv4_mapped().is_some_and(|four| four.is_loopback()))
}
