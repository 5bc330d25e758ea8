//! The rows of each screen's list, filtered and sorted: what the cursor moves over.

use std::cmp::Reverse;

use crate::domain::{
    Backup, Certificate, Clean, Container, Endpoint, Finding, Health, ReplicaTraffic, SourceId,
    SourceKind, Timestamp, Traffic, Watched,
};
use crate::journal::Entry;

use super::story::RunStory;
use super::{Happening, Model, Place, Screen, Sort};

/// Names a row for as long as it lives, whatever the order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowKey(pub Clean);

/// One row, borrowed from the model.
#[derive(Debug, Clone)]
pub enum Row<'a> {
    Finding(Box<Finding>),
    Container(&'a Container),
    Replica {
        source: &'a SourceId,
        watched: &'a Watched,
        traffic: &'a Traffic,
        replica: &'a ReplicaTraffic,
    },
    Endpoint {
        source: &'a SourceId,
        watched: &'a Watched,
        endpoint: Option<&'a Endpoint>,
    },
    Certificate {
        source: &'a SourceId,
        watched: &'a Watched,
        certificate: Option<&'a Certificate>,
    },
    Backup {
        source: &'a SourceId,
        watched: &'a Watched,
        backup: Option<&'a Backup>,
    },
    Happening(&'a Happening),
    /// A phase of a checklist, or an item.
    Listed(Place<'a>),
    Entry(&'a Entry),
    Run(&'a RunStory),
}

impl Row<'_> {
    pub fn key(&self) -> RowKey {
        RowKey(match self {
            Self::Finding(finding) => Clean::line(&format!("{} {}", finding.source, finding.about)),
            Self::Container(container) => container.id.0.clone(),
            Self::Replica {
                source, replica, ..
            } => Clean::line(&format!("{source} {}", replica.replica)),
            Self::Endpoint { source, .. }
            | Self::Certificate { source, .. }
            | Self::Backup { source, .. } => Clean::line(&source.to_string()),
            Self::Listed(place) => place.key(),
            Self::Happening(happening) => {
                Clean::line(&format!("{} {}", happening.at.0, happening.about))
            }
            Self::Entry(entry) => Clean::line(&format!("entry {}", entry.seq)),
            Self::Run(run) => run.id.0.clone(),
        })
    }

    /// Whether `key` is of this row. A thousand rows are asked for each key that is pressed.
    pub fn is(&self, key: &RowKey) -> bool {
        match self {
            Self::Container(container) => container.id.0 == key.0,
            Self::Run(run) => run.id.0 == key.0,
            Self::Finding(_)
            | Self::Replica { .. }
            | Self::Endpoint { .. }
            | Self::Certificate { .. }
            | Self::Backup { .. }
            | Self::Listed(_)
            | Self::Happening(_)
            | Self::Entry(_) => self.key() == *key,
        }
    }

    pub fn name(&self) -> Clean {
        match self {
            Self::Finding(finding) => finding.about.clone(),
            Self::Container(container) => container.replica(),
            Self::Replica { replica, .. } => replica.replica.clone(),
            Self::Endpoint { source, .. }
            | Self::Certificate { source, .. }
            | Self::Backup { source, .. } => source.name.clone(),
            Self::Listed(place) => place.title().clone(),
            Self::Happening(happening) => happening.about.clone(),
            Self::Entry(entry) => entry.target.clone(),
            Self::Run(run) => run.id.0.clone(),
        }
    }

    pub fn health(&self, now: Timestamp) -> Health {
        match self {
            Self::Finding(finding) => finding.health,
            Self::Container(container) => container.health(),
            Self::Replica {
                watched, replica, ..
            } => match (&replica.fault, watched.health(now)) {
                (Some(_), _) | (None, Health::Unknown) => Health::Unknown,
                (None, _) => Health::Good,
            },
            Self::Endpoint { watched, .. }
            | Self::Certificate { watched, .. }
            | Self::Backup { watched, .. } => watched.health(now),
            Self::Happening(happening) => happening.health,
            Self::Listed(_) | Self::Entry(_) | Self::Run(_) => Health::None,
        }
    }

    /// What a filter looks at: all words that the row may show.
    fn words(&self) -> String {
        match self {
            Self::Finding(finding) => format!("{} {}", finding.about, finding.text),
            Self::Container(c) => {
                format!(
                    "{} {} {} {} {}",
                    c.replica(),
                    c.name,
                    c.service,
                    c.state.word(),
                    c.image.name
                )
            }
            Self::Replica {
                replica, traffic, ..
            } => {
                format!(
                    "{} {} {}",
                    replica.replica,
                    traffic.service,
                    traffic.source.word()
                )
            }
            Self::Endpoint {
                source, watched, ..
            }
            | Self::Certificate {
                source, watched, ..
            }
            | Self::Backup {
                source, watched, ..
            } => {
                format!(
                    "{} {}",
                    source.name,
                    watched.reading().map_or("", |reading| &reading.summary)
                )
            }
            Self::Listed(place) => match place.item {
                Some(item) => format!("{} {} {}", item.title, item.kind.word(), item.id),
                None => place.phase.title.to_string(),
            },
            Self::Happening(happening) => format!("{} {}", happening.about, happening.text),
            Self::Entry(entry) => format!(
                "{} {} {} {}",
                entry.actor.user,
                entry.code.word(),
                entry.target,
                entry.body
            ),
            Self::Run(run) => format!(
                "{} {} {} {}",
                run.id.0, run.plan.runbook, run.plan.target.0, run.actor.user
            ),
        }
    }
}

/// The rows of the screen that is shown, in the order in which they are drawn.
pub fn rows(model: &Model) -> Vec<Row<'_>> {
    let board = model.shown();
    let now = model.shown_at();
    let list = model.list();
    let mut rows: Vec<Row<'_>> = match model.screen {
        Screen::Overview => {
            return board
                .findings(now)
                .into_iter()
                .map(|f| Row::Finding(Box::new(f)))
                .collect();
        }
        Screen::Containers => board
            .containers()
            .map_or(&[][..], |containers| &containers.all)
            .iter()
            .map(Row::Container)
            .collect(),
        Screen::Traffic => traffic_rows(model),
        Screen::Certificates => board
            .of_kind(SourceKind::Certificate)
            .map(|(source, watched)| Row::Certificate {
                source,
                watched,
                certificate: board
                    .certificates()
                    .find(|(id, ..)| *id == source)
                    .map(|(.., c)| c),
            })
            .collect(),
        Screen::Backups => board
            .of_kind(SourceKind::Backup)
            .map(|(source, watched)| Row::Backup {
                source,
                watched,
                backup: board
                    .backups()
                    .find(|(id, ..)| *id == source)
                    .map(|(.., b)| b),
            })
            .collect(),
        Screen::Checklist => model
            .checklists
            .places()
            .filter(|place| super::attest::is_shown(model, place))
            .map(Row::Listed)
            .collect(),
        Screen::Journal => journal_rows(model),
        Screen::Runs => model.story.newest().map(Row::Run).collect(),
        Screen::Logs => Vec::new(),
    };
    if !list.filter.is_empty() {
        rows.retain(|row| list.filter.keeps(&row.words()));
    }
    sort(&mut rows, model, now);
    rows
}

/// What is on record, and what this console saw: one order of time, newest first.
fn journal_rows(model: &Model) -> Vec<Row<'_>> {
    let mut rows: Vec<Row<'_>> = model.record.newest().map(Row::Entry).collect();
    rows.extend(model.happenings.newest().map(Row::Happening));
    // Both are sorted by time within themselves, and a stable sort keeps that.
    rows.sort_by_key(|row| Reverse(since(row)));
    rows
}

fn traffic_rows(model: &Model) -> Vec<Row<'_>> {
    let board = model.shown();
    let best = board.best_traffic(model.shown_at()).map(|(id, ..)| id);
    let mut rows = Vec::new();
    for (source, watched, traffic) in board.traffic().filter(|(id, ..)| Some(*id) == best) {
        rows.extend(traffic.replicas.iter().map(|replica| Row::Replica {
            source,
            watched,
            traffic,
            replica,
        }));
    }
    for (source, watched) in board.of_kind(SourceKind::Endpoint) {
        let endpoint = board
            .endpoints()
            .find(|(id, ..)| *id == source)
            .map(|(.., e)| e);
        rows.push(Row::Endpoint {
            source,
            watched,
            endpoint,
        });
    }
    rows
}

fn sort(rows: &mut [Row<'_>], model: &Model, now: Timestamp) {
    // The journal and the runs are in the order of time, replicas stand before endpoints, a plan is in its author's:
    // their own order is the one that reads.
    if matches!(
        model.screen,
        Screen::Journal | Screen::Traffic | Screen::Checklist | Screen::Runs
    ) {
        return;
    }
    match model.list().sort {
        // Sources and containers come sorted by name already; a stable sort keeps that within a rank.
        Sort::Worst => rows.sort_by_cached_key(|row| Reverse(rank(row, model, now))),
        Sort::Name => rows.sort_by_cached_key(Row::name),
        Sort::Use => rows.sort_by(|a, b| usage(b, model).total_cmp(&usage(a, model))),
        Sort::Age => rows.sort_by_key(|row| Reverse(since(row))),
    }
}

/// Trouble first; everything that is well is equal, whether it has a health check or not.
fn rank(row: &Row<'_>, model: &Model, now: Timestamp) -> Health {
    let health = match row {
        Row::Container(container) => model
            .shown()
            .trouble_of(container)
            .map_or(Health::Good, |(health, _)| health)
            .max(container.health()),
        _ => row.health(now),
    };
    health.max(Health::Good)
}

fn usage(row: &Row<'_>, model: &Model) -> f64 {
    match row {
        Row::Container(container) => model
            .shown()
            .usage(&container.id)
            .and_then(|usage| usage.cpu_percent)
            .unwrap_or(-1.0),
        Row::Replica { replica, .. } => replica.flow.requests_per_s.unwrap_or(-1.0),
        Row::Certificate {
            certificate: Some(certificate),
            ..
        } => {
            #[expect(
                clippy::cast_precision_loss,
                reason = "milliseconds since the epoch are far below 2^52"
            )]
            let end = certificate.leaf_expiry.0 as f64;
            -end
        }
        _ => 0.0,
    }
}

fn since(row: &Row<'_>) -> Timestamp {
    match row {
        Row::Container(container) => container.since().unwrap_or_default(),
        Row::Finding(finding) => finding.since,
        Row::Replica { watched, .. }
        | Row::Endpoint { watched, .. }
        | Row::Certificate { watched, .. }
        | Row::Backup { watched, .. } => watched.since,
        Row::Listed(_) => Timestamp::default(),
        Row::Happening(happening) => happening.at,
        Row::Entry(entry) => entry.moment.at,
        Row::Run(run) => run.asked_at,
    }
}
