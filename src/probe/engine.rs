//! Whether the engine is there, which one it is, and which API both sides speak.

use std::time::Duration;

use tokio::time::Instant;

use super::Look;
use crate::domain::{
    Clean, Detail, EngineFacts, Fault, Health, Measure, Reading, SourceId, SourceKind, Timestamp,
    Unit,
};
use crate::link::docker::{Api, Engine};

/// One question of a hundred bytes.
const PERIOD: Duration = Duration::from_secs(5);
/// Connect, header and the questions for the facts after a reconnect, each with its own deadline.
const DEADLINE: Duration = Duration::from_secs(15);

pub struct EngineProbe {
    engine: Engine,
    /// Of this connection: asked anew after every fault and when the engine's version has changed.
    facts: Option<(Option<Api>, EngineFacts)>,
}

impl EngineProbe {
    pub fn new(engine: Engine) -> Self {
        Self {
            engine,
            facts: None,
        }
    }

    async fn facts(&mut self, offered: Option<Api>) -> Result<EngineFacts, Fault> {
        if let Some((known, facts)) = &self.facts
            && *known == offered
        {
            return Ok(facts.clone());
        }
        let facts = self.engine.facts().await?;
        self.facts = Some((offered, facts.clone()));
        Ok(facts)
    }
}

impl Look for EngineProbe {
    fn source(&self) -> SourceId {
        SourceId::new(SourceKind::Engine, self.engine.address().to_string())
    }

    fn period(&self) -> Duration {
        PERIOD
    }

    fn deadline(&self) -> Duration {
        DEADLINE
    }

    async fn look(&mut self, _now: Timestamp) -> Result<Reading, Fault> {
        let asked = Instant::now();
        let offered = match self.engine.ping().await {
            Ok(offered) => offered,
            Err(error) => {
                self.facts = None;
                return Err(error.into());
            }
        };
        let took = asked.elapsed();
        let facts = self.facts(offered).await?;
        Ok(reading(facts, took))
    }
}

fn reading(facts: EngineFacts, took: Duration) -> Reading {
    let api = Api::parse(&facts.api);
    let (health, note) = match api {
        Some(api) if api < Api::CURRENT => (
            Health::Poor,
            format!(", older than {}: some things are not offered", Api::CURRENT),
        ),
        Some(_) => (Health::Good, String::new()),
        None => (Health::Good, ", it takes its own".to_owned()),
    };
    Reading {
        health,
        summary: Clean::line(&format!("{}, API {}{note}", facts.version, facts.api)),
        measures: vec![Measure::new(
            "ping",
            took.as_secs_f64() * 1000.0,
            Unit::Milliseconds,
        )],
        detail: Detail::Engine(facts),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(api: &str) -> Reading {
        let facts = EngineFacts {
            version: Clean::from("20.10.24"),
            api: Clean::from(api),
            ..EngineFacts::default()
        };
        reading(facts, Duration::from_millis(2))
    }

    #[test]
    fn an_old_engine_is_poor_and_says_why() {
        assert_eq!(read("1.41").health, Health::Good);
        assert_eq!(read("1.41").summary.as_str(), "20.10.24, API 1.41");
        assert_eq!(read("1.24").health, Health::Poor);
        assert!(read("1.24").summary.contains("not offered"));
    }
}
