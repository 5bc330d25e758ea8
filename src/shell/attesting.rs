//! Verification for the console: checks beside the loop, their progress on the screen, their outcomes to the clerk.

use std::sync::Arc;

use futures_util::StreamExt;
use tokio::sync::mpsc;

use crate::app::story::Story;
use crate::app::{Event, Proving};
use crate::checklist::{Checklist, ItemId};
use crate::domain::{Clean, Health};

use super::backstage::Outbox;
use super::clerk::Desk;
use super::proving::{self, Looker, Made};
use super::scene::Sight;

/// What a check saw, on its way to the record.
pub(super) struct Seen {
    pub(super) list: Arc<Checklist>,
    pub(super) made: Made,
}

/// Makes the checks of these items aside: the journal is followed meanwhile.
pub(super) fn begin(
    desk: &Arc<Desk>,
    story: &Story,
    outbox: &Outbox,
    tell: mpsc::Sender<Seen>,
    list: Checklist,
    items: Vec<ItemId>,
) {
    let (desk, story, outbox) = (desk.clone(), story.clone(), outbox.clone());
    tokio::spawn(async move {
        prove(&desk, &story, &outbox, &tell, Arc::new(list), items).await;
        outbox.say(Event::Proving(None)).await;
    });
}

async fn prove(
    desk: &Desk,
    story: &Story,
    outbox: &Outbox,
    tell: &mpsc::Sender<Seen>,
    list: Arc<Checklist>,
    items: Vec<ItemId>,
) {
    let jobs = proving::jobs(&list, &items);
    let mut progress = Proving {
        list: list.name.clone(),
        items,
        done: 0,
        of: jobs.len(),
    };
    outbox.say(Event::Proving(Some(progress.clone()))).await;
    let sight = Sight::of(&desk.config, &desk.engine, desk.project.as_deref()).await;
    let sight = match sight {
        Ok(sight) => sight,
        Err(fault) => {
            let text = Clean::line(&format!("not verified: {fault}"));
            let health = Health::Bad;
            outbox.say(Event::Noted { health, text }).await;
            return;
        }
    };
    let looker = Looker {
        eyes: &sight.eyes,
        story,
        mode: desk.requester.mode,
        clock: desk.clock,
    };
    let mut left = jobs.clone();
    let mut made = std::pin::pin!(proving::look(&looker, jobs));
    while let Some(made) = made.next().await {
        left.retain(|other| !other.is(&made.job));
        progress.done += 1;
        let waits = |id: &ItemId| left.iter().any(|other| other.items().contains(id));
        progress.items.retain(waits);
        let list = list.clone();
        // Where nobody records any more, nobody waits for it either.
        let _ = tell.send(Seen { list, made }).await;
        outbox.say(Event::Proving(Some(progress.clone()))).await;
    }
}
