//! Containers that belong to no project but to us: found by a label, and thrown away with all they hold.

use std::time::Duration;

use hyper::Method;
use serde_json::Value;

use super::reply::At;
use super::{Engine, EngineError, LIST_BYTES_MAX, escape, filters};
use crate::domain::{Clean, ContainerId, Timestamp};

/// Ending a database by force and deleting its files.
const DISCARD_MAX: Duration = Duration::from_mins(2);

/// One container that carries the label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labelled {
    pub id: ContainerId,
    pub name: Clean,
    /// What the label says.
    pub value: Clean,
    /// `None`: the engine did not say.
    pub made_at: Option<Timestamp>,
}

impl Engine {
    /// All containers with this label, whatever its value and their state.
    pub async fn labelled(&self, label: &str) -> Result<Vec<Labelled>, EngineError> {
        let filters = filters(&[("label", &[label])]);
        let path = format!("/containers/json?all=true&filters={filters}");
        let value = self.json(&path, LIST_BYTES_MAX).await?;
        let rows = value
            .as_array()
            .ok_or_else(|| self.garbled(&path, "no list"))?;
        Ok(rows.iter().map(|row| labelled(row, label)).collect())
    }

    /// Ends a container by force and removes it, with the volumes that have no name. One that is gone is fine.
    pub async fn discard(&self, id: &ContainerId) -> Result<(), EngineError> {
        let path = format!("/containers/{}?v=true&force=true", escape(&id.0));
        match self.tell(Method::DELETE, &path, None, DISCARD_MAX).await {
            Err(error) if error.is_missing() => Ok(()),
            done => done.map(drop),
        }
    }
}

fn labelled(row: &Value, label: &str) -> Labelled {
    let root = At::root(row);
    let name = root.at("Names").items().next().map(At::str);
    let seconds = root.at("Created").u64();
    Labelled {
        id: ContainerId(root.at("Id").text()),
        name: Clean::line(name.unwrap_or_default().trim_start_matches('/')),
        value: root.at("Labels").at(label).text(),
        made_at: seconds.map(|s| Timestamp(s.saturating_mul(1000))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_of_the_engine_is_read_with_its_label() {
        let row = json!({"Id": "ab", "Names": ["/x"], "Created": 60, "Labels": {"l": "r-1"}});
        let one = labelled(&row, "l");
        assert_eq!(one.id.0.as_str(), "ab");
        assert_eq!(one.name.as_str(), "x");
        assert_eq!(one.value.as_str(), "r-1");
        assert_eq!(one.made_at, Some(Timestamp(60_000)));
        assert_eq!(labelled(&json!({"Id": "ab"}), "l").made_at, None);
    }
}
