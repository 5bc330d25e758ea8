//! The runbooks that can be planned here, and what each is asked for the row under the cursor.

use std::collections::BTreeMap;

use crate::domain::{Clean, Health};
use crate::runbook::{Risk, Scope};

use super::{Model, Row, Screen, rows};

/// Where the answers to a parameter come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A service of the stack.
    Service,
    /// A replica of the stack.
    Replica,
    /// An image; those that run now are named.
    Image,
    /// Whatever is typed, or one of the choices.
    Text,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    pub name: Clean,
    pub help: Clean,
    pub source: Source,
    pub default: Option<Clean>,
    /// Without an answer nothing can be planned.
    pub is_needed: bool,
    pub choices: Vec<Clean>,
}

/// A runbook as the console offers it. The documents themselves are the shell's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    pub id: Clean,
    pub title: Clean,
    pub risk: Risk,
    pub scope: Scope,
    /// A Shift letter that opens its plan.
    pub key: Option<char>,
    pub parameters: Vec<Parameter>,
}

/// What the row under the cursor stands for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    pub service: Option<Clean>,
    pub replica: Option<Clean>,
}

impl Selection {
    pub fn of(model: &Model) -> Self {
        let all = rows(model);
        match super::update::selected(model, &all) {
            Some(Row::Container(container)) => Self {
                service: Some(container.service.clone()),
                replica: Some(container.replica()),
            },
            Some(Row::Replica {
                traffic, replica, ..
            }) => Self {
                service: Some(traffic.service.clone()),
                replica: Some(replica.replica.clone()),
            },
            Some(Row::Finding(finding)) => Self::named(model, &finding.about),
            _ => Self::default(),
        }
    }

    /// The replica or service of this name, where there is one.
    fn named(model: &Model, name: &Clean) -> Self {
        let all = model.board.containers().map_or(&[][..], |all| &all.all);
        let replica = all.iter().find(|container| container.replica() == *name);
        let service = all.iter().find(|container| container.service == *name);
        Self {
            service: replica
                .or(service)
                .map(|container| container.service.clone()),
            replica: replica.map(|_| name.clone()),
        }
    }

    /// How people call it.
    pub fn name(&self) -> Option<&Clean> {
        self.replica.as_ref().or(self.service.as_ref())
    }
}

impl Offer {
    /// Whether it suits what is selected. Where nothing of its kind can be selected, it asks instead.
    pub fn suits(&self, model: &Model, subject: &Selection) -> bool {
        let has_things = matches!(model.screen, Screen::Containers | Screen::Traffic);
        match self.scope {
            Scope::Stack => true,
            Scope::Gateway => model.shown().stack.gateway.is_some(),
            Scope::Service => subject.service.is_some() || !has_things,
            Scope::Replica => subject.replica.is_some() || !has_things,
        }
    }

    /// What is known without asking: what was given, then what is selected.
    pub fn answers(
        &self,
        subject: &Selection,
        given: &BTreeMap<Clean, Clean>,
    ) -> BTreeMap<Clean, Clean> {
        let mut answers = given.clone();
        for parameter in &self.parameters {
            let selected = match parameter.source {
                Source::Service => subject.service.as_ref(),
                Source::Replica => subject.replica.as_ref(),
                Source::Image | Source::Text => None,
            };
            if let Some(selected) = selected {
                answers
                    .entry(parameter.name.clone())
                    .or_insert_with(|| selected.clone());
            }
        }
        answers
    }

    /// Parameters that have to be answered and are not.
    pub fn missing<'a>(
        &'a self,
        answers: &'a BTreeMap<Clean, Clean>,
    ) -> impl Iterator<Item = usize> + 'a {
        self.parameters
            .iter()
            .enumerate()
            .filter(|(_, parameter)| parameter.is_needed && !answers.contains_key(&parameter.name))
            .map(|(at, _)| at)
    }
}

impl Parameter {
    /// What may be chosen now: live names, or what the runbook says.
    pub fn choices(&self, model: &Model) -> Vec<Clean> {
        match self.source {
            Source::Text => self.choices.clone(),
            Source::Service => {
                let services = model.board.services().into_iter();
                services.map(|service| service.name).collect()
            }
            Source::Image => {
                let all = model.board.containers().map_or(&[][..], |all| &all.all);
                let names: std::collections::BTreeSet<_> =
                    all.iter().map(|container| &container.image.name).collect();
                names.into_iter().cloned().collect()
            }
            Source::Replica => {
                let all = model.board.containers().map_or(&[][..], |all| &all.all);
                let mut sick_first: Vec<_> = all.iter().collect();
                sick_first.sort_by_key(|container| std::cmp::Reverse(container.health()));
                sick_first
                    .into_iter()
                    .map(crate::domain::Container::replica)
                    .collect()
            }
        }
    }
}

/// The runbooks that suit what is selected, in their own order.
pub fn suiting<'a>(model: &'a Model, subject: &Selection) -> Vec<&'a Offer> {
    let offers = model.offers.iter();
    offers.filter(|offer| offer.suits(model, subject)).collect()
}

/// How dangerous it is, in a word and a health.
pub fn risk_word(risk: Risk) -> (Health, &'static str) {
    match risk {
        Risk::Low => (Health::None, "low"),
        Risk::Users => (Health::Poor, "serves users"),
        Risk::Destructive => (Health::Bad, "replaces data"),
        Risk::Data => (Health::Bad, "data"),
    }
}
