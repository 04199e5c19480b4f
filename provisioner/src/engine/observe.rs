//! One look at the account: every kind read in bulk, all kinds at the same time.

use std::{collections::BTreeMap, time::Duration};

use futures::future::join_all;
use shared::tags::NAME;

use super::{Kind, Seen, Stack};
use crate::aws::{self, Aws, tag_value};

/// What was found, by node.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    pub nodes: BTreeMap<String, Seen>,
    /// Resources that say they are the same node: `(node, ids)`. Nothing is done until a person chose.
    pub claims: Vec<(String, Vec<String>)>,
}

/// How long a read that fails for no lasting reason is repeated: somebody waits for the answer.
const BUDGET: Duration = Duration::from_secs(15);

/// Reads all of `kinds`, whether or not the stack still has nodes of them.
///
/// # Errors
/// The first read that failed: half a picture would look like missing resources.
pub async fn observe(kinds: &[Kind], stack: &Stack, aws: &Aws) -> aws::Result<Observed> {
    let mut observed = Observed::default();
    let nothing = kinds.iter().any(|it| it.ec2_tagged) && aws.has_nothing_in_ec2().await?;
    let kinds = kinds.iter().filter(|it| !(nothing && it.ec2_tagged));
    for seen in join_all(kinds.map(|it| it.read(aws, BUDGET))).await {
        for it in seen? {
            observed.take(it, stack);
        }
    }
    Ok(observed)
}

impl Observed {
    fn take(&mut self, mut seen: Seen, stack: &Stack) {
        if seen.node.is_empty() {
            seen.node = node_by_name(&seen, stack);
        }
        match self.nodes.get(&seen.node) {
            None => drop(self.nodes.insert(seen.node.clone(), seen)),
            Some(other) => match self.claims.iter_mut().find(|(node, _)| *node == seen.node) {
                Some((_, ids)) => ids.push(seen.id),
                None => self.claims.push((seen.node, vec![other.id.clone(), seen.id])),
            },
        }
    }
}

/// A resource of ours that lost its node tag is known by its kind and `Name`, otherwise by its id.
fn node_by_name(seen: &Seen, stack: &Stack) -> String {
    let name = seen.tags.as_ref().map(|it| tag_value(it, NAME)).unwrap_or_default();
    let same =
        |it: &&super::Node| it.resource.kind().name == seen.kind.name && it.tags.get(NAME) == Some(&name);
    match stack.nodes.iter().find(same) {
        Some(node) => node.name.clone(),
        None => format!("{}/{}", seen.kind.name, seen.id),
    }
}
