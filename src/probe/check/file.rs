//! `file`: whether a file is there, how old and how large it is, who may read it, and what stands in it.
//!
//! Of this host, or inside a container of a service. Its content is compared and never kept: configuration holds
//! secrets. A link is said, with where it leads; what it leads to is what is looked at on this host.

mod host;
mod inside;

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::seen::{Seen, suits_number, suits_text, wishes};
use super::{Eyes, Kind};
use crate::domain::{Clean, Expectation, Fault, FaultKind, Timestamp, Unit};
use crate::link::files;

/// A disk that does not answer by then is a finding of its own.
const DEADLINE: Duration = Duration::from_secs(10);

/// Of the content. Configuration is smaller; what is larger is searched for in its beginning.
const CONTENT_BYTES_MAX: usize = 64 * 1024;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Absolute.
    pub path: PathBuf,
    /// In the first running container of this service instead of on this host.
    #[serde(default, rename = "in", skip_serializing_if = "Option::is_none")]
    pub within: Option<Clean>,
    /// False: there must be nothing of this name.
    #[serde(default = "yes")]
    pub exists: bool,
    /// Since it was last written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age: Option<Expectation>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<Expectation>,
    /// Four digits, as `chmod` takes them: `== 0640`, `matches 0$`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Expectation>,
    /// The name of its owner, or the number where there is no name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Expectation>,
    /// Its first 64 KB, as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Expectation>,
}

fn yes() -> bool {
    true
}

/// A file, wherever it lies.
#[derive(Debug, Clone)]
struct Found {
    kind: files::Kind,
    /// Where the name is a link: where it leads.
    leads_to: Option<Clean>,
    bytes: u64,
    mode: u32,
    owner: Clean,
    modified: Timestamp,
    /// Empty where it is not asked about.
    content: Vec<u8>,
}

impl Found {
    fn kind_word(&self) -> &'static str {
        match self.kind {
            files::Kind::File => "file",
            files::Kind::Link => "link",
            files::Kind::Directory => "directory",
            files::Kind::Pipe => "pipe",
            files::Kind::Other => "socket or device",
        }
    }
}

impl File {
    fn shown(&self) -> Clean {
        let path = self.path.display();
        match &self.within {
            Some(service) => Clean::line(&format!("{path} in {service}")),
            None => Clean::line(&path.to_string()),
        }
    }

    fn bytes_wanted(&self) -> usize {
        if self.content.is_some() {
            CONTENT_BYTES_MAX
        } else {
            0
        }
    }

    fn seen(&self, found: Option<&Found>, now: Timestamp) -> Result<Seen, Fault> {
        let shown = self.shown();
        let Some(found) = found else {
            let mut seen = Seen {
                got: json!({ "exists": false }),
                ..Seen::default()
            };
            if self.exists {
                seen.failures.push(format!("{shown} is not there").into());
            } else {
                seen.note(format!("{shown} is not there"));
            }
            return Ok(seen);
        };
        let mode = Clean::from(format!("{:04o}", found.mode));
        let age = now.since(found.modified);
        let mut seen = Seen {
            got: json!({
                "exists": true,
                "kind": found.kind_word(),
                "leads_to": found.leads_to,
                "bytes": found.bytes,
                "mode": mode,
                "owner": found.owner,
                "modified": found.modified.rfc3339(),
            }),
            ..Seen::default()
        };
        if !self.exists {
            seen.failures
                .push(format!("{shown} is there, and must not be").into());
            return Ok(seen);
        }
        if let Some(expected) = &self.age {
            seen.number("age", age.as_secs_f64(), Unit::Seconds, expected);
        }
        if let Some(expected) = &self.size {
            seen.number("size", bytes(found.bytes), Unit::Bytes, expected);
        }
        if let Some(expected) = &self.mode {
            seen.text("mode", &mode, expected);
        }
        if let Some(expected) = &self.owner {
            seen.text("owner", &found.owner, expected);
        }
        if let Some(expected) = &self.content {
            self.content_test(found, expected, &mut seen)?;
        }
        if let Some(target) = &found.leads_to {
            seen.note(format!("a link to {target}"));
        }
        if seen.tests.is_empty() {
            seen.note(format!("{shown} is there"));
        }
        Ok(seen)
    }

    fn content_test(
        &self,
        found: &Found,
        expected: &Expectation,
        seen: &mut Seen,
    ) -> Result<(), Fault> {
        let shown = self.shown();
        if found.kind != files::Kind::File {
            let text = format!(
                "{shown} is a {}, and has no content to compare",
                found.kind_word()
            );
            seen.failures.push(text.into());
            return Ok(());
        }
        if expected.holds_in(String::from_utf8_lossy(&found.content).trim_end_matches('\n')) {
            seen.note(format!("content {expected}"));
            return Ok(());
        }
        if found.bytes > CONTENT_BYTES_MAX as u64 {
            let text = format!("the first 64 KB of {shown} do not tell whether it {expected}");
            return Err(Fault::new(FaultKind::TooLarge, text)
                .remedy("check a smaller file, or ask with the kind command"));
        }
        seen.failures
            .push(format!("content is not as expected: {expected}").into());
        Ok(())
    }
}

#[expect(clippy::cast_precision_loss, reason = "files are far below 2^52 bytes")]
fn bytes(count: u64) -> f64 {
    count as f64
}

impl Kind for File {
    fn describe(&self) -> Clean {
        let shown = self.shown();
        if !self.exists {
            return Clean::from(format!("{shown}: not there"));
        }
        let wishes = wishes([
            ("age", self.age.as_ref()),
            ("size", self.size.as_ref()),
            ("mode", self.mode.as_ref()),
            ("owner", self.owner.as_ref()),
            ("content", self.content.as_ref()),
        ]);
        let wishes = if wishes.is_empty() { "there" } else { &wishes };
        Clean::from(format!("{shown}: {wishes}"))
    }

    fn problems(&self) -> Vec<Clean> {
        let text = |what, expected: &Option<Expectation>| suits_text(what, expected.as_ref()?);
        let number = |what, expected: &Option<Expectation>, unit| {
            suits_number(what, expected.as_ref()?, unit)
        };
        let path = (!self.path.is_absolute()).then(|| {
            let text = "path: it is not absolute; write it from the root on, such as /etc/hosts";
            Clean::from(text)
        });
        let wants = [
            &self.age,
            &self.size,
            &self.mode,
            &self.owner,
            &self.content,
        ];
        let idle = (!self.exists && wants.iter().any(|wanted| wanted.is_some())).then(|| {
            Clean::from("what is not there has no age, size or content; take one of them out")
        });
        path.into_iter()
            .chain(number("age", &self.age, Unit::Seconds))
            .chain(number("size", &self.size, Unit::Bytes))
            .chain(text("mode", &self.mode))
            .chain(text("owner", &self.owner))
            .chain(text("content", &self.content))
            .chain(idle)
            .collect()
    }

    fn deadline(&self) -> Duration {
        DEADLINE
    }

    fn sent(&self) -> Value {
        json!({ "path": Clean::line(&self.path.display().to_string()), "in": self.within })
    }

    async fn look(&self, eyes: &Eyes, now: Timestamp) -> Result<Seen, Fault> {
        let found = match &self.within {
            None => {
                let (path, most) = (self.path.clone(), self.bytes_wanted());
                let job = tokio::task::spawn_blocking(move || host::found(&path, most));
                job.await
                    .map_err(|error| Fault::new(FaultKind::Broken, error.to_string()))??
            }
            Some(service) => inside::found(self, service, eyes).await?,
        };
        self.seen(found.as_ref(), now)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::super::tests::{blind, read};
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::time::{SystemTime, UNIX_EPOCH};

    struct Yard(tempfile::TempDir);

    impl Yard {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("db.env");
            std::fs::write(&path, "POSTGRES_PASSWORD=canary-7f3a\nMODE=safe\n").unwrap();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
            symlink("db.env", dir.path().join("link")).unwrap();
            Self(dir)
        }

        async fn check(&self, name: &str, fields: &str, verdict: Verdict, says: &str) {
            let path = self.0.path().join(name);
            let toml = format!("kind = 'file'\npath = '{}'\n{fields}", path.display());
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
            let now = Timestamp(u64::try_from(now.as_millis()).unwrap());
            let outcome = read(&toml).run(&blind(), now).await;
            assert_eq!(outcome.verdict, verdict, "{outcome:#?}");
            assert!(outcome.said.contains(says), "{outcome:#?}");
            let kept = serde_json::to_string(&outcome).unwrap();
            assert!(!kept.contains("canary"), "{kept}");
        }
    }

    #[tokio::test]
    async fn each_property_holds_or_does_not() {
        use Verdict::{CouldNotRun, Fail, Pass};
        let yard = Yard::new();
        for (fields, verdict, says) in [
            ("", Pass, "is there"),
            ("exists = false", Fail, "must not be"),
            ("mode = '== 0640'", Pass, "0640"),
            ("mode = '== 0600'", Fail, "0640"),
            ("age = '< 1 h'", Pass, "age"),
            ("age = '> 1 h'", Fail, "age"),
            ("size = '< 1 KB'", Pass, "size"),
            ("size = '> 1 KB'", Fail, "size"),
            ("content = 'matches (?m)^MODE=safe$'", Pass, "content"),
            ("content = 'contains MODE=fast'", Fail, "content is not"),
            ("owner = '== nobody-of-this-name'", Fail, "owner"),
            ("age = '< 5 MB'", CouldNotRun, "age"),
            ("in = 'server'", CouldNotRun, "engine"),
        ] {
            yard.check("db.env", fields, verdict, says).await;
        }
        yard.check("nobody", "", Fail, "is not there").await;
        yard.check("nobody", "exists = false", Pass, "is not there")
            .await;
        yard.check("link", "mode = '== 0640'", Pass, "a link to db.env")
            .await;
    }

    #[test]
    fn what_says_nothing_is_found_before() {
        let problems = |toml: &str| toml::from_str::<File>(toml).unwrap().problems();
        assert!(problems("path = 'etc/hosts'")[0].contains("absolute"));
        let idle = "path = '/x'\nexists = false\nage = '< 1 h'";
        assert!(problems(idle)[0].contains("not there"));
    }
}
