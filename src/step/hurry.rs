//! A person wants the run to end while a step is at work.
//!
//! A step that only looks or waits is broken off where it stands. One that acts is finished, as far as it is not just
//! waiting: half an act is worse than a late one.

use tokio::sync::watch;

use crate::domain::Clean;

/// Says so; kept by the driver.
#[derive(Debug)]
pub struct Hasten(watch::Sender<bool>);

/// Hears it; given to the step.
#[derive(Debug, Clone)]
pub struct Hurry(Option<watch::Receiver<bool>>);

impl Hasten {
    pub fn pair() -> (Self, Hurry) {
        let (sender, receiver) = watch::channel(false);
        (Self(sender), Hurry(Some(receiver)))
    }

    pub fn ask(&self) {
        self.0.send_replace(true);
    }
}

impl Hurry {
    /// Nobody will ask.
    pub fn never() -> Self {
        Self(None)
    }

    pub fn is_asked(&self) -> bool {
        self.0.as_ref().is_some_and(|asked| *asked.borrow())
    }

    /// Waits until it is asked for. Cancelled without loss.
    pub async fn asked(&self) {
        let Some(mut asked) = self.0.clone() else {
            return std::future::pending().await;
        };
        if asked.wait_for(|asked| *asked).await.is_err() {
            // Who could have asked is gone.
            std::future::pending::<()>().await;
        }
    }
}

/// What a step says that did not come to its end.
pub(super) fn broken_off(where_it_stood: &str) -> Clean {
    Clean::line(&format!(
        "broken off, since the run is to end: {where_it_stood}"
    ))
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn it_is_heard_by_all_who_wait_and_by_who_comes_later() {
        let (hasten, hurry) = Hasten::pair();
        assert!(!hurry.is_asked());
        assert_eq!(hurry.asked().now_or_never(), None);
        hasten.ask();
        hurry.clone().asked().await;
        assert!(hurry.is_asked());
        drop(hasten);
        hurry.asked().await;
    }

    #[tokio::test]
    async fn nobody_who_could_ask_is_no_word() {
        let (hasten, hurry) = Hasten::pair();
        drop(hasten);
        assert_eq!(hurry.asked().now_or_never(), None);
        assert_eq!(Hurry::never().asked().now_or_never(), None);
        assert!(!hurry.is_asked());
    }
}
