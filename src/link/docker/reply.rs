//! Reading the engine's JSON without ever being surprised by it.
//!
//! Engines, versions and look-alikes differ in words, dates and missing or null fields, and a typed reply is lost as a
//! whole for one of them. So a reply is a tree that is asked for what we need: what is absent or of another type is
//! empty, and the rest counts.

use serde_json::Value;

use crate::domain::{Clean, Timestamp};

/// A place in a reply, there or not.
#[derive(Clone, Copy)]
pub(super) struct At<'a>(Option<&'a Value>);

impl<'a> At<'a> {
    pub(super) fn root(value: &'a Value) -> Self {
        Self(Some(value))
    }

    pub(super) fn at(self, key: &str) -> Self {
        Self(self.0.and_then(|v| v.get(key)))
    }

    pub(super) fn str(self) -> &'a str {
        self.0.and_then(Value::as_str).unwrap_or_default()
    }

    pub(super) fn text(self) -> Clean {
        Clean::line(self.str())
    }

    pub(super) fn i64(self) -> Option<i64> {
        self.0.and_then(Value::as_i64)
    }

    pub(super) fn u64(self) -> Option<u64> {
        self.0.and_then(Value::as_u64)
    }

    /// Zero means "no limit" to the engine, and so do -1 and absence.
    pub(super) fn limit(self) -> Option<u64> {
        self.u64().filter(|n| *n > 0)
    }

    pub(super) fn flag(self) -> bool {
        self.0.and_then(Value::as_bool).unwrap_or_default()
    }

    pub(super) fn time(self) -> Option<Timestamp> {
        Timestamp::parse_rfc3339(self.str())
    }

    pub(super) fn items(self) -> impl Iterator<Item = At<'a>> {
        let items = self.0.and_then(Value::as_array);
        items.into_iter().flatten().map(|v| At(Some(v)))
    }

    pub(super) fn entries(self) -> impl Iterator<Item = (&'a str, At<'a>)> {
        let entries = self.0.and_then(Value::as_object);
        entries
            .into_iter()
            .flatten()
            .map(|(k, v)| (k.as_str(), At(Some(v))))
    }
}
