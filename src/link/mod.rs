//! Clients of the outside: bytes in, our nouns or a fault out.
//!
//! Every await on the outside has a deadline and every answer a largest size. Nothing here judges what it sees.

pub mod accesslog;
pub mod cgroup;
pub mod checked;
pub mod dial;
pub mod dns;
pub mod docker;
pub mod exposition;
pub mod fetch;
pub mod files;
pub mod hello;
pub mod hostfacts;
pub mod http;
pub mod kept;
pub mod limits;
pub mod process;
pub mod prometheus;
pub mod recall;
pub mod redis;
pub mod rewrite;
pub mod ssh;
pub mod store;
pub mod tls;
pub mod url;
pub mod x509;
