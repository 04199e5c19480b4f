//! Where the last `up` that ended well found what takes a search to find: in tags of the stack's VPC. A plan asks for
//! these few things by name, which saves a quarter of its calls.
//!
//! They are true as long as nothing was changed since: every run that changes anything removes them first and writes
//! them when it has ended well, and itself searches. What is not where they say is searched for.

use std::{collections::BTreeMap, sync::atomic::Ordering};

use aws_sdk_ec2::types::Tag;
use shared::tags::SEEN;

use super::{Aws, Result};

/// How long a tag's value may be.
const LONGEST: usize = 256;

impl Aws {
    /// Lets this command go by the bearings instead of searching.
    pub fn trust_bearings(&self) {
        self.trusting.store(true, Ordering::Relaxed);
    }

    /// Whether this command goes by them: it only tells what it sees, and does so with few calls.
    pub fn trusts_bearings(&self) -> bool {
        self.trusting.load(Ordering::Relaxed)
    }

    /// Ids of a kind by the node's name; `None` where a search is due.
    pub async fn bearings(&self, kind: &str) -> Result<Option<BTreeMap<String, String>>> {
        if !self.trusts_bearings() {
            return Ok(None);
        }
        let all = self.written_bearings().await?;
        if all.is_empty() {
            return Ok(None);
        }
        let of_kind = |node: &String| node.split_once('/').is_some_and(|(it, _)| it == kind);
        Ok(Some(all.into_iter().filter(|(node, _)| of_kind(node)).collect()))
    }

    async fn written_bearings(&self) -> Result<BTreeMap<String, String>> {
        let vpcs = self.vpcs().await?;
        let tags = vpcs.vpcs().iter().flat_map(|it| it.tags());
        let entry = |it: &Tag| Some((it.key()?.strip_prefix(SEEN)?.to_owned(), it.value()?.to_owned()));
        Ok(tags.filter_map(entry).collect())
    }

    /// To be called before anything is changed: what comes now is nowhere written down yet.
    pub async fn remove_bearings(&self) -> Result<()> {
        let vpcs = self.vpcs().await?;
        for vpc in vpcs.vpcs() {
            let keys = vpc.tags().iter().filter_map(|it| it.key()).filter(|it| it.starts_with(SEEN));
            let tags: Vec<Tag> = keys.map(|it| Tag::builder().key(it).build()).collect();
            if !tags.is_empty() {
                let remove = self.ec2.delete_tags().resources(vpc.vpc_id().unwrap_or_default());
                remove.set_tags(Some(tags)).send().await?;
            }
        }
        Ok(())
    }

    /// To be called when all is as wanted: nodes and their ids.
    pub async fn write_bearings(&self, vpc: &str, seen: &BTreeMap<String, String>) -> Result<()> {
        if seen.is_empty() || seen.values().any(|it| LONGEST < it.len()) {
            return Ok(());
        }
        let tags =
            seen.iter().map(|(node, id)| Tag::builder().key(format!("{SEEN}{node}")).value(id).build());
        self.ec2.create_tags().resources(vpc).set_tags(Some(tags.collect())).send().await?;
        Ok(())
    }
}
