//! Stacks to look at, with servers that run beside the test.

use quarterdeck::range::scenario::{Fault, Scenario};
use quarterdeck::range::{Options, Range};
use tokio::runtime::Runtime;

use super::harness::{Launch, Session};
use crate::fake_engine::{FakeEngine, Script};

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
}

/// A calm practice range, until the test disturbs it.
pub(super) struct Yard {
    range: Range,
    // Behind the range: dropped after it.
    runtime: Runtime,
    _dir: tempfile::TempDir,
}

impl Yard {
    pub(super) fn calm() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let runtime = runtime();
        let options = Options {
            scenario: Scenario::calm(),
            dir: dir.path().to_owned(),
            seed: 7,
            speed: 1.0,
        };
        let range = runtime.block_on(Range::start(options)).unwrap();
        Self {
            range,
            runtime,
            _dir: dir,
        }
    }

    pub(super) fn launch(&self) -> Launch {
        Launch::looking_at(&self.range.config_path()).size(120, 40)
    }

    /// The console, once it has seen every container.
    #[track_caller]
    pub(super) fn open(&self) -> Session {
        seen(self.launch().start())
    }

    pub(super) fn inject(&self, fault: &Fault) {
        let _inside = self.runtime.enter();
        self.range.inject(fault);
    }
}

/// Waits until the first list of containers is on screen.
#[track_caller]
pub(super) fn seen(session: Session) -> Session {
    session.wait_for_text("server 3/3");
    session
}

/// A scripted engine and a configuration that looks at it.
pub(super) struct Scripted {
    pub(super) engine: FakeEngine,
    dir: tempfile::TempDir,
    _runtime: Runtime,
}

impl Scripted {
    pub(super) fn start() -> Self {
        let runtime = runtime();
        let engine = {
            let _inside = runtime.enter();
            FakeEngine::start(Script::speaking("1.41"))
        };
        Self {
            engine,
            dir: tempfile::tempdir().unwrap(),
            _runtime: runtime,
        }
    }

    pub(super) fn launch(&self) -> Launch {
        let path = self.dir.path().join("quarterdeck.toml");
        let text = format!(
            "[stack]\nname = \"lab\"\nenvironment = \"test\"\n\n[engine]\naddress = \"unix://{}\"\n",
            self.engine.socket.display()
        );
        std::fs::write(&path, text).unwrap();
        Launch::looking_at(&path).size(120, 40)
    }
}
