//! Everything that a plan is made from, worked out step by step: answers, names, drafts of the steps, floor, tap, guards.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::document::{
    Block, BlockIs, CheckBlock, Document, EachBlock, FailureRule, Order, Section, StepBlock, When,
};
use super::examine::examine;
use super::floor;
use super::lint::fill;
use super::parameter::{Kind, resolve};
use super::plan::Wanted;
use super::planned::{Attached, GuardSpec, TapSpec};
use super::problem::{Problem, Problems};
use super::read::default_deadline;
use super::scene::{BlockLine, Scene, is_well};
use super::table::Table;
use super::template::{self, Names};
use crate::domain::Clean;
use crate::engine::{Gate, OnFailure};
use crate::probe::check::Check;
use crate::step::{Act, Step};

/// Fields whose time comes on top of what the kind of a step needs by itself.
const OWN_TIMES: &[&str] = &["grace", "time", "min_healthy_time", "timeout", "within"];

/// One step of the plan, with what only planning needs to know of it.
pub(super) struct Draft {
    /// Line of its block.
    pub(super) line: usize,
    pub(super) group: Clean,
    pub(super) title: Clean,
    pub(super) gate: Gate,
    pub(super) deadline: Duration,
    pub(super) step: Step,
    /// `kind` and fields, as they were filled in.
    pub(super) fields: Map<String, Value>,
}

impl Draft {
    pub(super) fn text(&self, field: &str) -> Option<&str> {
        self.fields.get(field).and_then(Value::as_str)
    }

    /// The container it touches, as the runbook names it.
    pub(super) fn touches(&self) -> Option<&str> {
        self.text("container").or_else(|| self.text("replica"))
    }
}

/// What planning knows while it goes on.
pub(super) struct Planning<'a> {
    pub(super) document: &'a Document,
    pub(super) scene: &'a Scene,
    pub(super) names: Names,
    pub(super) values: BTreeMap<String, String>,
    /// So many have to go on serving.
    pub(super) floor: Option<u32>,
    pub(super) problems: Problems,
}

impl<'a> Planning<'a> {
    pub(super) fn begin(
        document: &'a Document,
        answers: &BTreeMap<String, String>,
        scene: &'a Scene,
    ) -> Result<Self, Vec<Problem>> {
        let mut problems = Problems::of(&document.name);
        let mut names = Names::of(scene);
        let values = resolve(&document.parameters, answers, scene, &mut problems);
        if !problems.is_empty() {
            return Err(problems.sorted());
        }
        for parameter in &document.parameters {
            let Some(value) = values.get(parameter.name.as_str()) else {
                continue;
            };
            names.set_parameter(parameter, value);
            let container = scene.container(value);
            if parameter.kind == Kind::Replica
                && let Some(container) = container
            {
                names.set_container(&parameter.name, container);
            }
            let service = match (&parameter.kind, container) {
                (Kind::Replica, Some(container)) => &container.service,
                _ => value.as_str(),
            };
            let there = scene.replicas_of(service).len();
            names.set_count(parameter, there);
        }
        let mut planning = Self {
            document,
            scene,
            names,
            values,
            floor: None,
            problems,
        };
        planning.name_the_floor();
        planning.end(())?;
        Ok(planning)
    }

    fn name_the_floor(&mut self) {
        let Some(rule) = &self.document.floor else {
            return;
        };
        let service = self.filled(&rule.service);
        let written = rule
            .serving_min
            .as_ref()
            .map(|least| self.names.text(least));
        let least = floor::least(
            rule,
            &service,
            written.as_deref(),
            self.scene,
            &mut self.problems,
        );
        if let Some(least) = least {
            self.floor = Some(least);
            self.names.set_floor(least);
        }
    }

    /// What came of it, unless something was wrong.
    pub(super) fn end<T>(&mut self, made: T) -> Result<T, Vec<Problem>> {
        if self.problems.is_empty() {
            return Ok(made);
        }
        let problems = std::mem::replace(&mut self.problems, Problems::of(&self.document.name));
        Err(problems.sorted())
    }

    pub(super) fn filled(&self, template: &Clean) -> Clean {
        Clean::from(self.names.text(template))
    }

    /// What a person types to confirm: the name of what is touched.
    pub(super) fn word(&self) -> Clean {
        if let Some(confirm) = &self.document.confirm {
            return self.filled(confirm);
        }
        let named = self.document.parameters.iter().find_map(|parameter| {
            matches!(parameter.kind, Kind::Service | Kind::Replica)
                .then(|| self.values.get(parameter.name.as_str()))
                .flatten()
        });
        named.map_or_else(|| self.scene.stack.clone(), |value| Clean::line(value))
    }

    fn holds(&mut self, line: usize, condition: Option<&Clean>, names: &Names) -> bool {
        let Some(condition) = condition else {
            return true;
        };
        match template::holds(condition, names) {
            Ok(holds) => holds,
            Err(says) => {
                self.problems.add(
                    line,
                    condition,
                    &says,
                    "answer the parameter with true or false",
                );
                false
            }
        }
    }

    pub(super) fn on_failure(&mut self) -> OnFailure {
        match &self.document.on_failure {
            FailureRule::Stop => OnFailure::Stop,
            FailureRule::Undo => OnFailure::Undo,
            FailureRule::UndoIf(condition) => {
                let names = self.names.clone();
                if self.holds(1, Some(condition), &names) {
                    OnFailure::Undo
                } else {
                    OnFailure::Stop
                }
            }
        }
    }

    pub(super) fn drafts(&mut self) -> Vec<Draft> {
        let mut drafts = Vec::new();
        let document = self.document;
        for section in &document.sections {
            let each = section
                .blocks
                .iter()
                .position(|block| matches!(block.is, BlockIs::Each(_)));
            let (once, repeated) = section
                .blocks
                .split_at(each.unwrap_or(section.blocks.len()));
            let group = if section.heading.is_empty() {
                document.title.clone()
            } else {
                section.heading.clone()
            };
            let names = self.names.clone();
            self.blocks(once, &group, &names, &mut drafts);
            if let Some((
                Block {
                    line,
                    is: BlockIs::Each(each),
                },
                repeated,
            )) = repeated.split_first()
            {
                self.each(section, *line, each, repeated, &mut drafts);
            }
        }
        if drafts.is_empty() && self.problems.is_empty() {
            self.problems.add(
                0,
                "",
                "there is nothing to do: no step of this runbook applies now",
                "look at the overview; nothing was changed",
            );
        }
        drafts
    }

    fn each(
        &mut self,
        section: &Section,
        line: usize,
        each: &EachBlock,
        repeated: &[Block],
        drafts: &mut Vec<Draft>,
    ) {
        let service = self.filled(&each.replica_of);
        let mut replicas = self.scene.replicas_of(&service);
        if replicas.is_empty() {
            let says = format!("`{service}` has no replica");
            let remedy = "start the service first, or name another";
            self.problems.add(line, &section.heading, &says, remedy);
        }
        if each.only_sick {
            replicas.retain(|container| !is_well(container));
        }
        if each.order == Order::SickFirst {
            replicas.sort_by_key(|container| is_well(container));
        }
        for container in replicas {
            let mut names = self.names.clone();
            names.set_container("replica", container);
            self.blocks(repeated, &container.replica(), &names, drafts);
        }
    }

    fn blocks(&mut self, blocks: &[Block], group: &Clean, names: &Names, drafts: &mut Vec<Draft>) {
        for block in blocks {
            let draft = match &block.is {
                BlockIs::Step(step) => self.step(block.line, step, group, names),
                BlockIs::Check(check) if check.when == When::Step => {
                    self.check(block.line, check, group, names)
                }
                BlockIs::Ask(ask) => {
                    if !self.holds(block.line, ask.condition.as_ref(), names) {
                        continue;
                    }
                    // A question is a gate in front of nothing.
                    let fields = json!({"kind": "wait", "time": "0s"});
                    let title = Clean::from(names.text(&ask.question));
                    self.draft(
                        block.line,
                        &Table::default(),
                        fields,
                        Some(title),
                        ask.gate,
                        None,
                        group,
                    )
                }
                // Made while planning; and the head of what is repeated, which was split off.
                BlockIs::Check(_) | BlockIs::Each(_) => None,
            };
            drafts.extend(draft);
        }
    }

    fn step(
        &mut self,
        line: usize,
        block: &StepBlock,
        group: &Clean,
        names: &Names,
    ) -> Option<Draft> {
        if !self.holds(line, block.condition.as_ref(), names) {
            return None;
        }
        let fields = Value::Object(fill(&block.act, names));
        let title = block
            .title
            .as_ref()
            .map(|title| Clean::from(names.text(title)));
        self.draft(
            line,
            &block.act,
            fields,
            title,
            block.gate,
            block.deadline,
            group,
        )
    }

    fn check(
        &mut self,
        line: usize,
        block: &CheckBlock,
        group: &Clean,
        names: &Names,
    ) -> Option<Draft> {
        if !self.holds(line, block.condition.as_ref(), names) {
            return None;
        }
        let what = format!("the check `{}`", block.kind);
        let filled = fill(&block.check, names);
        let check = examine::<Check>(&block.check, filled, &what, &mut self.problems)?;
        let fields = json!({"kind": "check", "check": check});
        let title = Clean::from(names.text(&block.title));
        self.draft(
            line,
            &block.check,
            fields,
            Some(title),
            Gate::Open,
            block.deadline,
            group,
        )
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "what a step is made of, once each"
    )]
    fn draft(
        &mut self,
        line: usize,
        table: &Table,
        fields: Value,
        title: Option<Clean>,
        gate: Gate,
        deadline: Option<Duration>,
        group: &Clean,
    ) -> Option<Draft> {
        let Value::Object(fields) = fields else {
            return None;
        };
        let kind = fields
            .get("kind")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let what = format!("the step `{kind}`");
        let deadline = deadline.unwrap_or_else(|| default_deadline(kind) + own_time(&fields));
        let step = examine::<Step>(table, fields.clone(), &what, &mut self.problems)?;
        let draft = Draft {
            line,
            group: group.clone(),
            title: title.unwrap_or_else(|| step.describe()),
            gate,
            deadline,
            step,
            fields,
        };
        if let Some(name) = draft.touches()
            && self.scene.container(name).is_none()
        {
            let says = format!("the stack `{}` has no container `{name}`", self.scene.stack);
            self.problems.add(
                line,
                name,
                &says,
                "name one that is there: `quarterdeck containers`",
            );
        }
        Some(draft)
    }

    pub(super) fn floor(&mut self, drafts: &[Draft]) -> Option<floor::Lowest> {
        let rule = self.document.floor.as_ref()?;
        let service = self.filled(&rule.service);
        floor::judge(
            rule,
            &service,
            self.floor?,
            drafts,
            self.scene,
            &mut self.problems,
        )
    }

    pub(super) fn attached(&mut self) -> Attached {
        let document = self.document;
        let tap = document.tap.as_ref().and_then(|tap| {
            let base = self.scene.gateway.url.as_ref()?;
            Some(TapSpec {
                url: joined(base, &self.names.text(&tap.path)),
                rate: tap.rate,
                method: Clean::from("GET"),
                failures_max: tap.failures,
            })
        });
        let mut guards = Vec::new();
        for guard in &document.guards {
            let what = format!("the guard `{}`", guard.id.0);
            let filled = fill(&guard.check, &self.names);
            let check = examine::<Check>(&guard.check, filled, &what, &mut self.problems);
            guards.extend(check.map(|check| GuardSpec {
                id: guard.id.clone(),
                title: self.filled(&guard.title),
                check: json!(check),
                every: guard.every,
                in_a_row: guard.in_a_row,
            }));
        }
        Attached {
            document_sha256: document.sha256.clone(),
            risk: document.risk,
            stack: self.scene.stack.clone(),
            guards,
            tap,
            on_guard: document.on_guard,
        }
    }

    pub(super) fn wanted(&mut self) -> Vec<Wanted> {
        let document = self.document;
        let names = self.names.clone();
        let mut wanted = Vec::new();
        for block in document.blocks() {
            let BlockIs::Check(check) = &block.is else {
                continue;
            };
            if check.when == When::Before
                && self.holds(block.line, check.condition.as_ref(), &names)
            {
                wanted.push(Wanted {
                    block: BlockLine(block.line),
                    title: Clean::from(names.text(&check.title)),
                    check: Value::Object(fill(&check.check, &names)),
                });
            }
        }
        wanted
    }
}

fn own_time(fields: &Map<String, Value>) -> Duration {
    let spans = OWN_TIMES
        .iter()
        .filter_map(|field| fields.get(*field)?.as_str())
        .filter_map(|span| humantime::parse_duration(span).ok());
    spans.fold(Duration::ZERO, Duration::saturating_add)
}

/// The path at the entrance's host, whatever page its URL shows.
fn joined(base: &str, path: &str) -> Clean {
    let host_from = base.find("://").map_or(0, |at| at + 3);
    let host_to = base[host_from..]
        .find(['/', '?', '#'])
        .map_or(base.len(), |at| host_from + at);
    let slash = if path.starts_with('/') { "" } else { "/" };
    Clean::from(format!("{}{slash}{path}", &base[..host_to]))
}
