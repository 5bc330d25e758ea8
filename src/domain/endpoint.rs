//! One HTTP request, by phase.

use serde::{Deserialize, Serialize};

use super::Clean;

/// Milliseconds from the start of each phase to its end. What did not happen is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Phases {
    pub resolve_ms: Option<f64>,
    pub connect_ms: Option<f64>,
    pub tls_ms: Option<f64>,
    /// From the request sent to the first byte of the answer.
    pub first_byte_ms: Option<f64>,
    pub transfer_ms: Option<f64>,
    /// From the very start to the first byte: what a browser calls TTFB.
    pub ttfb_ms: Option<f64>,
    pub total_ms: Option<f64>,
}

/// One answer on the way, when there were redirects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hop {
    pub url: Clean,
    pub status: u16,
    pub location: Option<Clean>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Endpoint {
    pub name: Clean,
    pub url: Clean,
    /// The last one is the answer that was judged.
    pub hops: Vec<Hop>,
    pub status: u16,
    pub phases: Phases,
    pub address: Clean,
    pub headers: Vec<(Clean, Clean)>,
    /// Bytes of the body that were read; it stops at our limit.
    pub body_bytes: u64,
    pub body_cut: bool,
    pub content_type: Clean,
    /// What was expected and not met, in words.
    pub failures: Vec<Clean>,
    /// Looks since the start, and how many of them were good.
    pub looks: u64,
    pub looks_good: u64,
}
