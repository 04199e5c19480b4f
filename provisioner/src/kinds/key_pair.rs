//! A key pair made on the operator's machine; AWS gets the public half.

use std::path::PathBuf;

use aws_sdk_ec2::{primitives::Blob, types::ResourceType};
use serde::Serialize;

use crate::{
    aws::{self, Aws, Tags},
    engine::{AtCreation, Cx, Found, Resource},
    keys,
};

/// Its id is its name, by which instances refer to it.
#[derive(Clone, Debug, Serialize)]
pub struct KeyPair {
    pub name: String,
    /// What the key on this machine says; not compared where another machine has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_key: Option<String>,
    /// Where the private half lies, or is made.
    pub dir: AtCreation<PathBuf>,
}

impl Resource for KeyPair {
    const KIND: &'static str = "key-pair";
    const EC2_TAGGED: bool = true;
    const USABLE_AT_ONCE: bool = true;
    const FIXED: &'static [&'static str] = &["name", "public_key"];

    async fn list(aws: &Aws) -> aws::Result<Vec<Found<Self>>> {
        let seen = aws.ec2.describe_key_pairs().filters(aws.ours()).include_public_key(true).send().await?;
        let found = seen.key_pairs().iter().map(|it| {
            // Without the comment at its end.
            let half = |it: &str| it.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
            let spec = KeyPair {
                name: it.key_name().unwrap_or_default().to_owned(),
                public_key: it.public_key().map(half),
                dir: AtCreation::unknown(),
            };
            Found::new(it.key_name(), Aws::from_ec2(it.tags()), spec)
        });
        Ok(found.collect())
    }

    async fn create(&self, cx: &Cx<'_>) -> aws::Result<String> {
        let dir = self.dir.0.clone().unwrap_or_default();
        let public = keys::make(&dir, &self.name).map_err(|err| aws::Error::refused(format!("{err:#}")))?;
        let import = cx.aws.ec2.import_key_pair().key_name(&self.name).public_key_material(Blob::new(public));
        import.tag_specifications(Aws::ec2_tags(cx.tags, ResourceType::KeyPair)).send().await?;
        Ok(self.name.clone())
    }

    fn impossible(&self, have: &Found<Self>) -> Option<String> {
        let (Some(here), Some(there)) = (&self.public_key, &have.spec.public_key) else { return None };
        let dir = self.dir.0.clone().unwrap_or_default();
        (here != there).then(|| {
            format!(
                "{0} is another key to AWS than in {1}: put the old files back, or delete {0} by hand and run `lamp up` again; \
                 hosts that run already go on with the old key",
                have.id,
                dir.display()
            )
        })
    }

    async fn tag(id: &str, tags: &Tags, aws: &Aws) -> aws::Result<()> {
        let seen = aws.ec2.describe_key_pairs().key_names(id).send().await?;
        match seen.key_pairs().first().and_then(|it| it.key_pair_id()) {
            Some(id) => aws.tag_ec2(id, tags).await,
            None => Ok(()),
        }
    }

    /// The files stay: they may open hosts of another stack, and cost nothing.
    async fn delete(have: &Found<Self>, aws: &Aws) -> aws::Result<()> {
        aws.ec2.delete_key_pair().key_name(&have.id).send().await?;
        Ok(())
    }
}
