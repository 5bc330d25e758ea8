//! Quarterdeck: a terminal console for the people who run a production stack.
//!
//! Read the rooms in this order. `tests/it/architecture.rs` enforces the third column.
//!
//! | room | purpose | may import |
//! |---|---|---|
//! | `domain` | the nouns: Stack, Container, Reading, Health, Freshness, Timestamp, Measure | nothing |
//! | `engine` | the seven laws: plan, event, run, lease; no clock, no IO, no async | domain |
//! | `config` | `quarterdeck.toml`, flags, environment; the only reader of them | domain |
//! | `link` | clients of the outside: docker, cgroup, http, tls, processes | domain config |
//! | `probe` | look once; a file per kind | domain link |
//! | `watch` | look for ever; one `supervise()` for all probes; follow events and logs | domain link probe |
//! | `step` | act once; a file per kind: look at what is there, do what is missing, put it back | domain engine link probe |
//! | `runbook` | read, lint, explain documents; a document and live facts become a plan | domain engine probe step |
//! | `checklist` | go-live plans as people write them: phases, items, proposed checks, the annotated form | domain |
//! | `journal` | entry, chain (pure); store: append, follow, verify, on SQLite or PostgreSQL | domain engine |
//! | `app` | model, event, intent, effect, `update()`: all state, one function | domain engine runbook checklist journal |
//! | `keys` | one table: key, context, intent, help | app domain |
//! | `view` | theme, panels, widgets: a model becomes a frame | domain engine runbook journal checklist app keys |
//! | `report` | status and reports as text and JSON; a decided checklist as a page | domain engine app journal checklist |
//! | `range` | the practice yard: in-process servers, world, scenarios | nothing of ours |
//! | `shell` | terminal, event loop, effects, one file per subcommand | everything |

pub mod app;
pub mod checklist;
pub mod config;
pub mod domain;
pub mod engine;
pub mod journal;
pub mod keys;
pub mod link;
pub mod probe;
pub mod range;
pub mod report;
pub mod runbook;
pub mod shell;
pub mod step;
pub mod view;
pub mod watch;
