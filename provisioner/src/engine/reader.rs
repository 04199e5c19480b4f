//! Shared reading while acting: one `list` answers all nodes of a kind that ask at the same time.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{sync::Mutex, time::Instant};

use super::{Kind, Seen, clock::now};
use crate::aws::{self, Aws};

type Look = (Instant, Arc<Vec<Seen>>);

/// The last look at each kind.
pub(super) struct Reader<'a> {
    aws: &'a Aws,
    kinds: std::sync::Mutex<HashMap<&'static str, Arc<Mutex<Option<Look>>>>>,
}

/// How long reads that fail for no lasting reason are repeated.
const BUDGET: Duration = Duration::from_secs(120);

impl<'a> Reader<'a> {
    pub(super) fn new(aws: &'a Aws) -> Self {
        Reader { aws, kinds: Default::default() }
    }

    /// The node as a listing shows it that began at `since` or later.
    pub(super) async fn node(&self, kind: Kind, node: &str, since: Instant) -> aws::Result<Option<Seen>> {
        let all = self.list(kind, since).await?;
        Ok(all.iter().find(|it| it.node == node).cloned())
    }

    /// A listing that began at `since` or later: one that another node asked for, or a new one.
    pub(super) async fn list(&self, kind: Kind, since: Instant) -> aws::Result<Arc<Vec<Seen>>> {
        let slot = {
            let mut kinds = self.kinds.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            kinds.entry(kind.name).or_default().clone()
        };
        let mut last = slot.lock().await;
        if let Some((began, seen)) = last.as_ref()
            && since <= *began
        {
            return Ok(seen.clone());
        }
        // What another kind has read since will do.
        let began = self.aws.look_again_since(since, now());
        let seen = Arc::new(kind.read(self.aws, BUDGET).await?);
        *last = Some((began, seen.clone()));
        Ok(seen)
    }
}
