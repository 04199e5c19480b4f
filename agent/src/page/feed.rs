//! Follows the file in which the agent tells the page what it has to know.

use std::{os::unix::fs::MetadataExt, path::PathBuf, sync::Arc, time::Duration};

use tokio::sync::watch;

use crate::feed::Feed;

/// Until the host is in order, of which the balancer shall know soon, and after. A look itself costs nothing, but waking
/// up for it does: that was half of all that an idle host used.
const LOOKS: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(1));

/// Reads the file whenever it is replaced; what cannot be read leaves the last good one in place.
pub struct Follower {
    file: PathBuf,
    feed: watch::Sender<Arc<Feed>>,
    /// Which file was read last.
    seen: Option<(u64, i64, i64, u64)>,
    /// Whether trouble was told already.
    silent: bool,
}

impl Follower {
    /// Has read it once: who asks first is answered from it as well.
    pub fn new(file: PathBuf) -> (Follower, watch::Receiver<Arc<Feed>>) {
        let (feed, known) = watch::channel(Arc::default());
        let mut it = Follower { file, feed, seen: None, silent: false };
        it.look();
        (it, known)
    }

    /// Until nobody listens any more.
    pub async fn follow(mut self) {
        while !self.feed.is_closed() {
            let wait = if self.feed.borrow().converged { LOOKS.1 } else { LOOKS.0 };
            tokio::time::sleep(wait).await;
            self.look();
        }
    }

    fn look(&mut self) {
        let stamp = std::fs::metadata(&self.file).ok();
        let stamp = stamp.map(|it| (it.ino(), it.mtime(), it.mtime_nsec(), it.len()));
        if stamp.is_none() || stamp == self.seen {
            return;
        }
        let read = std::fs::read(&self.file).map_err(anyhow::Error::from);
        match read.and_then(|it| Ok(serde_json::from_slice::<Feed>(&it)?)) {
            Ok(fresh) => {
                (self.seen, self.silent) = (stamp, false);
                self.feed.send_if_modified(|it| {
                    let moved = **it != fresh;
                    *it = Arc::new(fresh);
                    moved
                });
            }
            Err(err) => {
                if !self.silent {
                    // Without serde's words: they may quote what is secret.
                    let words = match err.is::<serde_json::Error>() {
                        true => "not readable as JSON".to_owned(),
                        false => err.to_string(),
                    };
                    tracing::warn!("{}: {words}", self.file.display());
                }
                self.silent = true;
            }
        }
    }
}
