//! Who holds a network resource that will not go: the network interfaces in it.

use aws_sdk_ec2::types::Filter;

use super::{Aws, Result};

impl Aws {
    /// The network interfaces behind a filter such as `subnet-id`, in words; `None` where there are none.
    pub async fn interfaces_in(&self, filter: &str, id: &str) -> Result<Option<String>> {
        let filter = Filter::builder().name(filter).values(id).build();
        let seen = self.ec2.describe_network_interfaces().filters(filter).send().await?;
        let words = seen.network_interfaces().iter().map(|it| {
            let what = match it.description().unwrap_or_default() {
                "" => "a network interface",
                text => text,
            };
            let owner = it.requester_id().or(it.owner_id()).unwrap_or("unknown");
            format!("{} ({what}, owner {owner})", it.network_interface_id().unwrap_or_default())
        });
        let words: Vec<String> = words.collect();
        Ok(if words.is_empty() { None } else { Some(words.join(", ")) })
    }
}
