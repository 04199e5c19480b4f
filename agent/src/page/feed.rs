//! Follows the file in which the agent tells the page what it has to know.

use std::{os::unix::fs::MetadataExt, path::PathBuf, sync::Arc, time::Duration};

use tokio::sync::watch;

use crate::feed::Feed;

/// A look costs a microsecond, so four a second are next to nothing.
const LOOK: Duration = Duration::from_millis(250);

/// Reads it now and whenever it is replaced; what cannot be read leaves the last good one in place.
pub async fn follow(file: PathBuf, feed: watch::Sender<Arc<Feed>>) {
    let mut seen = None;
    let mut silent = false;
    loop {
        let stamp = std::fs::metadata(&file).ok().map(|it| (it.ino(), it.mtime(), it.mtime_nsec(), it.len()));
        if stamp.is_some() && stamp != seen {
            let read = std::fs::read(&file).map_err(anyhow::Error::from);
            match read.and_then(|it| Ok(serde_json::from_slice::<Feed>(&it)?)) {
                Ok(fresh) => {
                    seen = stamp;
                    silent = false;
                    feed.send_if_modified(|it| {
                        let moved = **it != fresh;
                        *it = Arc::new(fresh);
                        moved
                    });
                }
                Err(err) => {
                    if !silent {
                        // Without serde's words: they may quote what is secret.
                        let words = if err.is::<serde_json::Error>() {
                            "not readable as JSON".into()
                        } else {
                            format!("{err}")
                        };
                        tracing::warn!("{}: {words}", file.display());
                    }
                    silent = true;
                }
            }
        }
        if feed.is_closed() {
            return;
        }
        tokio::time::sleep(LOOK).await;
    }
}
