//! The agent's program in its bucket, under the SHA-256 sum by which hosts verify it. Another program
//! is another node, so that the old one goes last, when nothing asks for it any more.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use aws_sdk_s3::primitives::ByteStream;
use base64::{Engine, engine::general_purpose::STANDARD};
use md5::{Digest as _, Md5};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::{
    Bucket,
    buckets::{ARTEFACTS, by_name, objects, ours, settled},
};
use crate::{
    aws::{self, Aws},
    engine::{Cx, Found, Output, Ref, Resource},
};

/// Its id is its key, `<sha256>/lampd`; its node's name the first twelve digits of the sum.
#[derive(Clone, Debug, Serialize)]
pub struct Artefact {
    pub bucket: Ref<Bucket>,
    pub key: String,
    /// Sum of what is stored, in hexadecimal.
    pub md5: String,
    /// Where it is uploaded from.
    #[serde(skip)]
    pub file: PathBuf,
}

/// The program's name in the bucket.
const NAME: &str = "/lampd";

impl Artefact {
    /// The program's SHA-256 sum in hexadecimal, once it is stored.
    pub const SHA256: Output<Artefact> = Output::new("sha256");

    /// The program in this file.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(bucket: Ref<Bucket>, file: PathBuf) -> io::Result<Artefact> {
        let (sha256, md5) = sums(&file)?;
        Ok(Artefact { bucket, key: format!("{}{NAME}", hex(&sha256)), md5: hex(&md5), file })
    }

    /// The program's SHA-256 sum in hexadecimal.
    pub fn sha256(&self) -> &str {
        self.key.trim_end_matches(NAME)
    }

    /// The second half of its node's name.
    pub fn node(&self) -> &str {
        self.key.get(..12).unwrap_or_default()
    }
}

impl Resource for Artefact {
    const KIND: &'static str = "artefact";
    const GOES_WITH: Option<&str> = Some("bucket");
    const FIXED: &'static [&'static str] = &["bucket", "key"];

    async fn list(aws: &Aws) -> aws::Result<Vec<Found<Self>>> {
        let mut found = Vec::new();
        for it in ours(aws).await?.iter().filter(|it| it.node == ARTEFACTS) {
            for (key, md5) in objects(it, aws).await? {
                if key.strip_suffix(NAME).is_some_and(is_sum) {
                    let bucket = Ref::id(Some(&it.name));
                    let spec = Artefact { bucket, key: key.clone(), md5, file: PathBuf::new() };
                    let artefact = Found::untagged(&key[..12], &key, spec);
                    found.push(artefact.out(Self::SHA256, key.trim_end_matches(NAME)));
                }
            }
        }
        Ok(found)
    }

    async fn create(&self, cx: &Cx<'_>) -> aws::Result<String> {
        let name = cx.id(self.bucket);
        let bucket = settled(&name, cx.aws).await?;
        let unreadable =
            |err: io::Error| aws::Error::refused(format!("reading {}: {err}", self.file.display()));
        let (sum, _) = sums(&self.file).map_err(unreadable)?;
        if hex(&sum) != self.sha256() {
            let changed =
                format!("{} has changed since the plan was made; run it again", self.file.display());
            return Err(aws::Error::refused(changed));
        }
        let put = bucket.uploads(cx.aws).put_object().bucket(&name).key(&self.key);
        let content =
            ByteStream::from_path(&self.file).await.map_err(|err| unreadable(io::Error::other(err)))?;
        let put = put.content_type("application/octet-stream").body(content);
        // S3 compares: what was damaged on its way, or has changed since, is refused.
        put.checksum_sha256(STANDARD.encode(sum)).send().await?;
        Ok(self.key.clone())
    }

    async fn configure(&self, _have: &Found<Self>, cx: &Cx<'_>) -> aws::Result<()> {
        self.create(cx).await.map(drop)
    }

    async fn delete(have: &Found<Self>, aws: &Aws) -> aws::Result<()> {
        let Ref::Id(name) = have.spec.bucket else { return Ok(()) };
        let Some(bucket) = by_name(name, aws).await? else { return Ok(()) };
        bucket.client(aws).delete_object().bucket(&bucket.name).key(&have.id).send().await?;
        Ok(())
    }
}

/// The SHA-256 and MD5 sums of a file, of which little is in memory at a time.
fn sums(file: &Path) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let (mut file, mut part) = (File::open(file)?, vec![0; 1 << 16]);
    let (mut sha256, mut md5) = (Sha256::new(), Md5::new());
    loop {
        let read = file.read(&mut part)?;
        let Some(part @ [_, ..]) = part.get(..read) else { break };
        sha256.update(part);
        md5.update(part);
    }
    Ok((sha256.finalize().to_vec(), md5.finalize().to_vec()))
}

/// Whether this is a SHA-256 sum as we write it.
fn is_sum(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|it| it.is_ascii_hexdigit())
}

/// Lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|it| format!("{it:02x}")).collect()
}
