//! A file inside a container, as the engine hands it over: no program is run in there.

use super::host::owner;
use super::{File, Found};
use crate::domain::{Clean, Fault};
use crate::link::files::Kind;
use crate::probe::check::Eyes;
use crate::probe::check::containers::first_running;

const PASSWD_BYTES_MAX: usize = 64 * 1024;

pub(super) async fn found(
    file: &File,
    service: &Clean,
    eyes: &Eyes,
) -> Result<Option<Found>, Fault> {
    let id = first_running(eyes, service).await?;
    let path = file.path.display().to_string();
    let Some(inside) = eyes.engine.file(&id, &path, file.bytes_wanted()).await? else {
        return Ok(None);
    };
    let people = eyes
        .engine
        .file(&id, "/etc/passwd", PASSWD_BYTES_MAX)
        .await?;
    let passwd = people.map(|file| file.content).unwrap_or_default();
    Ok(Some(Found {
        kind: inside.kind,
        leads_to: (inside.kind == Kind::Link).then_some(inside.leads_to),
        bytes: inside.bytes,
        mode: inside.mode,
        owner: owner(&passwd, inside.uid),
        modified: inside.modified,
        content: inside.content,
    }))
}
