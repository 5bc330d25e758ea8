//! One entry: who, when, live or training, what; its canonical bytes and their hash.
//!
//! A [`Record`] is an entry as it is stored and hashed, believed by nobody. An [`Entry`] is the same, read: its texts are
//! clean and its words known. A [`Draft`] is what somebody wants to be recorded.

use std::fmt;
use std::str::FromStr;

use serde_json::Value;
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::canonical::{self, NotCanonical};
use super::chain::Head;
use crate::domain::{Clean, Timestamp};

/// Format of the hashed bytes. Another order, another field: another tag.
const TAG: &[u8] = b"quarterdeck.journal.entry/1";

/// Position in the journal, from 1, without gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Seq(pub u64);

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// SHA-256. Shown and stored as 64 small hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Hash([u8; 32]);

impl Hash {
    /// What the first entry names as the one before it.
    pub const NONE: Self = Self([0; 32]);

    /// The first digits, for people who compare at a glance.
    pub fn short(&self) -> String {
        let mut text = self.to_string();
        text.truncate(12);
        text
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("expected the 64 hexadecimal digits of a SHA-256")]
pub struct NoHash;

impl FromStr for Hash {
    type Err = NoHash;

    fn from_str(text: &str) -> Result<Self, NoHash> {
        let digits = text.as_bytes();
        let mut hash = [0; 32];
        if digits.len() != 2 * hash.len() {
            return Err(NoHash);
        }
        for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
            let value = |digit: u8| char::from(digit).to_digit(16).ok_or(NoHash);
            let both = value(pair[0])? * 16 + value(pair[1])?;
            *byte = u8::try_from(both).map_err(|_| NoHash)?;
        }
        Ok(Self(hash))
    }
}

/// The world that was acted upon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    Live,
    Training,
}

impl Mode {
    pub fn word(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Training => "training",
        }
    }

    fn of(word: &str) -> Option<Self> {
        [Self::Live, Self::Training]
            .into_iter()
            .find(|mode| mode.word() == word)
    }
}

/// What kind of thing happened. The list is closed: a new word comes with a new version of the console.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    SessionOpened,
    SessionClosed,
    /// From here on the session may ask for changes: for how long, and why.
    SessionArmed,
    SessionDisarmed,
    ConfigLoaded,
    /// A sentence of a person.
    Note,
    /// Somebody asked, and it was not done.
    Refused,
    /// Something was tried outside a run, and it did not come off.
    Failed,
    /// The head of the chain was shown to a witness.
    Anchored,
    JournalRecovered,
    JournalMigrated,
    RunRequested,
    RunStarted,
    RunEvent,
    RunFinished,
    DecisionConfirm,
    DecisionApprove,
    DecisionPause,
    DecisionResume,
    DecisionRetry,
    DecisionSkip,
    /// Of a step in doubt.
    DecisionHappened,
    DecisionDidNotHappen,
    DecisionUndo,
    DecisionAbort,
    SignedOff,
    Evidence,
}

impl Code {
    pub const ALL: [Self; 27] = [
        Self::SessionOpened,
        Self::SessionClosed,
        Self::SessionArmed,
        Self::SessionDisarmed,
        Self::ConfigLoaded,
        Self::Note,
        Self::Refused,
        Self::Failed,
        Self::Anchored,
        Self::JournalRecovered,
        Self::JournalMigrated,
        Self::RunRequested,
        Self::RunStarted,
        Self::RunEvent,
        Self::RunFinished,
        Self::DecisionConfirm,
        Self::DecisionApprove,
        Self::DecisionPause,
        Self::DecisionResume,
        Self::DecisionRetry,
        Self::DecisionSkip,
        Self::DecisionHappened,
        Self::DecisionDidNotHappen,
        Self::DecisionUndo,
        Self::DecisionAbort,
        Self::SignedOff,
        Self::Evidence,
    ];

    pub fn word(self) -> &'static str {
        match self {
            Self::SessionOpened => "session.opened",
            Self::SessionClosed => "session.closed",
            Self::SessionArmed => "session.armed",
            Self::SessionDisarmed => "session.disarmed",
            Self::ConfigLoaded => "config.loaded",
            Self::Note => "note",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Anchored => "anchored",
            Self::JournalRecovered => "journal.recovered",
            Self::JournalMigrated => "journal.migrated",
            Self::RunRequested => "run.requested",
            Self::RunStarted => "run.started",
            Self::RunEvent => "run.event",
            Self::RunFinished => "run.finished",
            Self::DecisionConfirm => "decision.confirm",
            Self::DecisionApprove => "decision.approve",
            Self::DecisionPause => "decision.pause",
            Self::DecisionResume => "decision.resume",
            Self::DecisionRetry => "decision.retry",
            Self::DecisionSkip => "decision.skip",
            Self::DecisionHappened => "decision.happened",
            Self::DecisionDidNotHappen => "decision.did-not-happen",
            Self::DecisionUndo => "decision.undo",
            Self::DecisionAbort => "decision.abort",
            Self::SignedOff => "signed-off",
            Self::Evidence => "evidence",
        }
    }

    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.word() == word)
    }

    /// Whether it is a person's word to a run.
    pub fn is_decision(self) -> bool {
        match self {
            Self::DecisionConfirm
            | Self::DecisionApprove
            | Self::DecisionPause
            | Self::DecisionResume
            | Self::DecisionRetry
            | Self::DecisionSkip
            | Self::DecisionHappened
            | Self::DecisionDidNotHappen
            | Self::DecisionUndo
            | Self::DecisionAbort => true,
            Self::SessionOpened
            | Self::SessionClosed
            | Self::SessionArmed
            | Self::SessionDisarmed
            | Self::ConfigLoaded
            | Self::Note
            | Self::Refused
            | Self::Failed
            | Self::Anchored
            | Self::JournalRecovered
            | Self::JournalMigrated
            | Self::RunRequested
            | Self::RunStarted
            | Self::RunEvent
            | Self::RunFinished
            | Self::SignedOff
            | Self::Evidence => false,
        }
    }

    /// Whether it ends something or only tells: on a full disk the reserve is given up for it. What begins an act is
    /// not recorded then, and so the act does not happen.
    pub fn may_use_the_reserve(self) -> bool {
        match self {
            Self::SessionClosed
            | Self::SessionDisarmed
            | Self::Refused
            | Self::Failed
            | Self::Anchored
            | Self::JournalRecovered
            | Self::RunFinished
            | Self::DecisionPause
            | Self::DecisionAbort => true,
            Self::SessionOpened
            | Self::SessionArmed
            | Self::ConfigLoaded
            | Self::Note
            | Self::JournalMigrated
            | Self::RunRequested
            | Self::RunStarted
            | Self::RunEvent
            | Self::DecisionConfirm
            | Self::DecisionApprove
            | Self::DecisionResume
            | Self::DecisionRetry
            | Self::DecisionSkip
            | Self::DecisionHappened
            | Self::DecisionDidNotHappen
            | Self::DecisionUndo
            | Self::SignedOff
            | Self::Evidence => false,
        }
    }
}

/// What the environment says about the person. Anyone can set it, so it is claimed and not known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Claims {
    /// Where the SSH connection comes from.
    pub ssh: Option<Clean>,
    pub tty: Option<Clean>,
    /// Who called sudo.
    pub sudo_user: Option<Clean>,
}

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    pub uid: u32,
    /// Who logged in, whatever became of the user since; `None` where the kernel does not say.
    pub login_uid: Option<u32>,
    pub user: Clean,
    pub claims: Claims,
}

/// When, by three clocks: the wall's, the machine's since its start, and which start that was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    pub at: Timestamp,
    pub monotonic_ms: u64,
    pub boot_id: Clean,
}

/// What somebody wants to be recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    pub moment: Moment,
    pub actor: Actor,
    pub mode: Mode,
    pub code: Code,
    /// What it is about: a service, a run; empty where it is about nothing in particular.
    pub target: Clean,
    pub body: Value,
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Unfit {
    #[error("the body of a {} entry cannot be recorded: {why}", code.word())]
    Body { code: Code, why: NotCanonical },
    #[error("a time of a {} entry is out of range", code.word())]
    Time { code: Code },
}

/// An entry as it is stored. Its texts are whatever lies there.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Record {
    pub seq: i64,
    pub at_ms: i64,
    pub monotonic_ms: i64,
    pub boot_id: String,
    pub uid: i64,
    pub login_uid: Option<i64>,
    pub user: String,
    pub ssh: Option<String>,
    pub tty: Option<String>,
    pub sudo_user: Option<String>,
    pub mode: String,
    pub code: String,
    pub target: String,
    pub body: String,
    pub prev_hash: String,
    pub hash: String,
}

/// An entry that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub seq: Seq,
    pub moment: Moment,
    pub actor: Actor,
    pub mode: Mode,
    pub code: Code,
    pub target: Clean,
    pub body: Value,
    pub hash: Hash,
}

impl Draft {
    /// Makes the entry that follows `head`.
    pub fn after(&self, head: Option<Head>) -> Result<Record, Unfit> {
        let time = |ms: u64| i64::try_from(ms).map_err(|_| Unfit::Time { code: self.code });
        let text = |clean: &Option<Clean>| clean.as_ref().map(ToString::to_string);
        let body = canonical::write(&self.body).map_err(|why| Unfit::Body {
            code: self.code,
            why,
        })?;
        let seq = head.map_or(1, |head| head.seq.0.saturating_add(1));
        let mut record = Record {
            seq: time(seq)?,
            at_ms: time(self.moment.at.0)?,
            monotonic_ms: time(self.moment.monotonic_ms)?,
            boot_id: self.moment.boot_id.to_string(),
            uid: self.actor.uid.into(),
            login_uid: self.actor.login_uid.map(i64::from),
            user: self.actor.user.to_string(),
            ssh: text(&self.actor.claims.ssh),
            tty: text(&self.actor.claims.tty),
            sudo_user: text(&self.actor.claims.sudo_user),
            mode: self.mode.word().to_owned(),
            code: self.code.word().to_owned(),
            target: self.target.to_string(),
            body,
            prev_hash: head.map_or(Hash::NONE, |head| head.hash).to_string(),
            hash: String::new(),
        };
        record.hash = record.hashed().to_string();
        Ok(record)
    }
}

impl Record {
    /// The hash of what the record says, whatever hash it bears.
    pub fn hashed(&self) -> Hash {
        Hash(Sha256::digest(self.bytes()).into())
    }

    /// Each field with its length before it, so that nothing can move from one field into the next.
    fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256 + self.body.len());
        field(&mut out, TAG);
        for number in [self.seq, self.at_ms, self.monotonic_ms, self.uid] {
            field(&mut out, &number.to_be_bytes());
        }
        match self.login_uid {
            Some(uid) => field(&mut out, &uid.to_be_bytes()),
            None => out.push(ABSENT),
        }
        for text in [&self.boot_id, &self.user, &self.mode, &self.code] {
            field(&mut out, text.as_bytes());
        }
        for text in [&self.ssh, &self.tty, &self.sudo_user] {
            match text {
                Some(text) => field(&mut out, text.as_bytes()),
                None => out.push(ABSENT),
            }
        }
        for text in [&self.target, &self.body, &self.prev_hash] {
            field(&mut out, text.as_bytes());
        }
        out
    }

    /// Reads it; `None` where it is nothing that this console would have written.
    pub fn entry(&self) -> Option<Entry> {
        let known = |uid: i64| u32::try_from(uid).ok();
        let login_uid = match self.login_uid {
            Some(uid) => Some(known(uid)?),
            None => None,
        };
        let clean = |text: &Option<String>| text.as_deref().map(Clean::line);
        Some(Entry {
            seq: Seq(u64::try_from(self.seq).ok().filter(|seq| *seq > 0)?),
            moment: Moment {
                at: Timestamp(u64::try_from(self.at_ms).ok()?),
                monotonic_ms: u64::try_from(self.monotonic_ms).ok()?,
                boot_id: Clean::line(&self.boot_id),
            },
            actor: Actor {
                uid: known(self.uid)?,
                login_uid,
                user: Clean::line(&self.user),
                claims: Claims {
                    ssh: clean(&self.ssh),
                    tty: clean(&self.tty),
                    sudo_user: clean(&self.sudo_user),
                },
            },
            mode: Mode::of(&self.mode)?,
            code: Code::of(&self.code)?,
            target: Clean::line(&self.target),
            body: canonical::read(&self.body)?,
            hash: self.hash.parse().ok()?,
        })
    }

    /// One line of JSON with every stored field, so that the chain can be checked from an export alone. ASCII only.
    pub fn json(&self) -> String {
        let text = |text: &Option<String>| text.clone().map_or(Value::Null, Value::from);
        let mut out = String::from("{");
        let fields = [
            ("seq", Value::from(self.seq)),
            ("at_ms", Value::from(self.at_ms)),
            ("monotonic_ms", Value::from(self.monotonic_ms)),
            ("boot_id", Value::from(self.boot_id.as_str())),
            ("uid", Value::from(self.uid)),
            ("login_uid", self.login_uid.map_or(Value::Null, Value::from)),
            ("user", Value::from(self.user.as_str())),
            ("ssh", text(&self.ssh)),
            ("tty", text(&self.tty)),
            ("sudo_user", text(&self.sudo_user)),
            ("mode", Value::from(self.mode.as_str())),
            ("code", Value::from(self.code.as_str())),
            ("target", Value::from(self.target.as_str())),
        ];
        for (key, value) in fields {
            canonical::quote(&mut out, key);
            out.push(':');
            match value {
                Value::String(text) => canonical::quote(&mut out, &text),
                other => out.push_str(&other.to_string()),
            }
            out.push(',');
        }
        out.push_str("\"body\":");
        match canonical::read(&self.body) {
            Some(_) => out.push_str(&self.body),
            None => canonical::quote(&mut out, &self.body),
        }
        for (key, value) in [("prev_hash", &self.prev_hash), ("hash", &self.hash)] {
            out.push(',');
            canonical::quote(&mut out, key);
            out.push(':');
            canonical::quote(&mut out, value);
        }
        out.push('}');
        out
    }
}

/// Marks for a field that is there and one that is not: no text and an empty text are two things.
const PRESENT: u8 = 1;
const ABSENT: u8 = 0;

fn field(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(PRESENT);
    out.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
    out.extend_from_slice(bytes);
}

#[cfg(test)]
pub(super) fn draft(text: &str) -> Draft {
    Draft {
        moment: Moment {
            at: Timestamp(1_795_000_000_000),
            monotonic_ms: 5000,
            boot_id: Clean::from("b"),
        },
        actor: Actor {
            uid: 1000,
            login_uid: Some(1000),
            user: Clean::from("ada"),
            claims: Claims {
                ssh: Some(Clean::from("192.0.2.7")),
                tty: None,
                sudo_user: Some(Clean::default()),
            },
        },
        mode: Mode::Live,
        code: Code::Note,
        target: Clean::from("server"),
        body: serde_json::json!({"text": text}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_read_as_it_was_written() {
        let draft = draft("hello");
        let record = draft.after(None).unwrap();
        let entry = record.entry().unwrap();
        assert_eq!(
            (entry.seq, entry.code, &entry.actor, &entry.body),
            (Seq(1), Code::Note, &draft.actor, &draft.body)
        );
        assert_eq!(entry.hash, record.hashed());
    }

    /// The format is a promise to every journal that exists: this figure only changes with the tag.
    #[test]
    fn the_hash_of_a_known_entry_never_changes() {
        let record = draft("hello").after(None).unwrap();
        insta::assert_snapshot!(record.json());
    }

    #[test]
    fn no_text_and_an_empty_text_are_two_things() {
        let with = draft("x").after(None).unwrap();
        let without = Record {
            sudo_user: None,
            ..with.clone()
        };
        assert_ne!(with.hashed(), without.hashed());
        let moved = Record {
            user: "adalive".to_owned(),
            mode: String::new(),
            ..with.clone()
        };
        assert_ne!(with.hashed(), moved.hashed());
    }

    #[test]
    fn every_code_has_a_word_of_its_own() {
        for code in Code::ALL {
            assert_eq!(Code::of(code.word()), Some(code));
        }
        assert_eq!(Code::of("note "), None);
    }

    #[test]
    fn what_was_tampered_with_is_shown_and_never_obeyed() {
        let mut record = draft("x").after(None).unwrap();
        record.target = "\u{1b}]0;x\u{7}".to_owned();
        record.body = "\u{1b}[2J".to_owned();
        assert!(record.json().bytes().all(|b| (0x20..0x7f).contains(&b)));
        assert_eq!(record.entry(), None, "its body is no JSON");
        record.body = "{}".to_owned();
        assert_eq!(record.entry().unwrap().target, "^[]0;x^G");
    }

    #[test]
    fn a_hash_is_sixty_four_digits() {
        let text = "0123456789abcdef".repeat(4);
        assert_eq!(text.parse::<Hash>().unwrap().to_string(), text);
        for wrong in ["", "0", &text[1..], "é".repeat(32).as_str()] {
            assert_eq!(wrong.parse::<Hash>(), Err(NoHash), "{wrong}");
        }
    }
}
