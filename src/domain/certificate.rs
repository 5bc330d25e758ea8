//! A certificate as it is served, or as it lies on disk.

use serde::{Deserialize, Serialize};

use super::{Clean, Timestamp};

/// What a validator says about the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    /// Against the system's roots.
    System,
    /// Against the authority that the configuration names.
    Given,
    /// Not trusted; the text says why: self-signed, unknown issuer, expired, wrong name.
    No(Clean),
    /// Not asked: a file on disk has nobody to present it.
    NotAsked,
}

/// Did the server staple an OCSP response, and did the leaf ask for one?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stapling {
    Absent,
    Given,
    /// The leaf says "must staple", and nothing was stapled: clients may refuse it.
    Owed,
}

/// One certificate of the chain, in the order in which the server sent it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainLink {
    pub subject: Clean,
    pub issuer: Clean,
    /// Hexadecimal with colons.
    pub serial: Clean,
    pub not_before: Timestamp,
    pub not_after: Timestamp,
    /// `EC P-256`, `RSA 2048`, `Ed25519`.
    pub key: Clean,
    /// `ECDSA SHA-256`, `RSA SHA-1`.
    pub signature: Clean,
    /// Subject alternative names, at most fifty.
    pub names: Vec<Clean>,
    /// Names beyond those kept.
    pub names_more: u32,
    /// SHA-256 of the DER, hexadecimal.
    pub fingerprint: Clean,
    pub is_ca: bool,
    /// Too weak by today's rules: what, if anything.
    pub weak: Option<Clean>,
}

/// What a handshake showed, or what a file holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// `localhost:8443`, or the file's path.
    pub place: Clean,
    /// The address that answered, where a name has several.
    pub address: Clean,
    /// The name asked for (SNI) and checked against the certificate.
    pub name: Clean,
    /// As sent, leaf first, at most ten.
    pub chain: Vec<ChainLink>,
    /// Does the leaf carry the name that was asked for?
    pub name_matches: bool,
    pub trust: Trust,
    /// The earliest end in all that was sent: blackbox exporter's "earliest".
    pub earliest_expiry: Timestamp,
    /// The end of the leaf.
    pub leaf_expiry: Timestamp,
    /// `TLS 1.3`; empty for a file.
    pub protocol: Clean,
    pub cipher: Clean,
    pub stapling: Stapling,
    /// The server asked for a client certificate.
    pub client_auth: bool,
    /// Findings, worst first: renewed on disk but not loaded, weak key, wrong name.
    pub findings: Vec<Clean>,
}
