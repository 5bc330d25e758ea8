//! The journal on its stores: one suite for SQLite and PostgreSQL, and what only a file can suffer.

mod damage;
pub(crate) mod postgres;
mod process;
mod suite;

use std::path::Path;

use quarterdeck::domain::{Clean, Timestamp};
use quarterdeck::journal::{
    Access, Actor, Address, Claims, Code, Draft, Head, Journal, Mode, Moment,
};

fn draft(code: Code, text: &str) -> Draft {
    Draft {
        moment: Moment {
            at: Timestamp(1_795_000_000_000),
            monotonic_ms: 7,
            boot_id: Clean::from("boot"),
        },
        actor: Actor {
            uid: 1000,
            login_uid: Some(1000),
            user: Clean::from("ada"),
            claims: Claims {
                ssh: Some(Clean::from("192.0.2.7 40000 192.0.2.1 22")),
                tty: Some(Clean::from("/dev/pts/1")),
                sudo_user: Some(Clean::from("ada")),
            },
        },
        mode: Mode::Training,
        code,
        target: Clean::from("server"),
        body: serde_json::json!({ "text": text }),
    }
}

fn sqlite(dir: &Path) -> Address {
    Address::Sqlite(dir.join("state/journal.db"))
}

/// Makes a journal of so many entries; its head.
async fn filled(address: &Address, entries: usize) -> Head {
    let journal = Journal::open(address, Access::Write).await.unwrap();
    let mut head = None;
    for n in 0..entries {
        head = Some(
            journal
                .append(&draft(Code::Note, &format!("entry {n}")))
                .await
                .unwrap(),
        );
    }
    journal.close().await;
    head.unwrap()
}
