//! What the static site shows: a folder, synchronised into the bucket. Only what changed is uploaded,
//! and what the folder no longer has is deleted.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use aws_sdk_s3::{Client, primitives::ByteStream, types::ObjectIdentifier};
use futures::{StreamExt, TryStreamExt, stream};
use md5::{Digest, Md5};
use serde::{Serialize, Serializer};

use super::{
    Bucket,
    artefact::hex,
    bucket::delete_objects,
    buckets::{SITE, by_name, objects, ours, settled},
    distribution,
};
use crate::{
    aws::{self, Aws},
    engine::{Cx, Found, Ref, Resource},
};

/// Its id is the bucket's; its node is `site-content/site`.
#[derive(Clone, Debug, Serialize)]
pub struct SiteContent {
    pub bucket: Ref<Bucket>,
    /// MD5 sums by key. Each object is a field of its own, so that a plan names those that differ.
    #[serde(flatten, serialize_with = "as_paths")]
    pub objects: BTreeMap<String, String>,
    /// How many there are: tells of those that should not be there.
    pub number: usize,
    /// Seconds that browsers and CloudFront may keep an object. S3 does not list headers, so an empty
    /// object written after all others says with which they were uploaded; -1: not known.
    pub max_age: i64,
    /// Where the objects are uploaded from.
    #[serde(skip)]
    sources: BTreeMap<String, Source>,
}

#[derive(Clone, Debug)]
enum Source {
    File(PathBuf),
    Text(&'static str),
}

/// Begins the key of the object that tells the others' headers.
const MARK: &str = ".lamp/max-age-";

/// With a slash before each key, so that none is taken for another field.
fn as_paths<S: Serializer>(objects: &BTreeMap<String, String>, s: S) -> Result<S::Ok, S::Error> {
    s.collect_map(objects.iter().map(|(key, sum)| (format!("/{key}"), sum)))
}

impl SiteContent {
    /// The second half of its node's name.
    pub const NODE: &'static str = SITE;

    /// All files below a folder, but for hidden ones.
    ///
    /// # Errors
    /// The folder or a file in it cannot be read, or a name is not UTF-8.
    pub fn of_folder(bucket: Ref<Bucket>, folder: &Path, max_age: u32) -> io::Result<SiteContent> {
        let mut files = BTreeMap::new();
        collect(folder, "", &mut files)?;
        let mut content = Self::empty(bucket, max_age);
        for (key, path) in files {
            content.objects.insert(key.clone(), hex(&Md5::digest(std::fs::read(&path)?)));
            content.sources.insert(key, Source::File(path));
        }
        content.number = content.objects.len();
        Ok(content)
    }

    /// The small page that comes with us, for a site without a folder; under each of these keys.
    pub fn own_page(bucket: Ref<Bucket>, index: &[&str], error: &str, max_age: u32) -> SiteContent {
        let page = index.iter().map(|it| (*it, include_str!("../../assets/site/index.html")));
        let error = (error, include_str!("../../assets/site/error.html"));
        let mut content = Self::empty(bucket, max_age);
        for (key, text) in page.chain([error]) {
            content.objects.insert(key.to_owned(), hex(&Md5::digest(text)));
            content.sources.insert(key.to_owned(), Source::Text(text));
        }
        content.number = content.objects.len();
        content
    }

    fn empty(bucket: Ref<Bucket>, max_age: u32) -> SiteContent {
        let (objects, sources) = Default::default();
        SiteContent { bucket, objects, number: 0, max_age: max_age.into(), sources }
    }

    /// Uploads what differs, deletes what is too much, and says last with which headers. Until that is said, nothing of
    /// it counts as done.
    async fn synchronise(&self, have: &SiteContent, marks: Vec<String>, cx: &Cx<'_>) -> aws::Result<()> {
        let name = cx.id(self.bucket);
        let s3 = settled(&name, cx.aws).await?.uploads(cx.aws);
        let marks = marks.iter().map(|it| ObjectIdentifier::builder().key(it).build());
        delete_objects(&name, marks.collect::<Result<_, _>>()?, &s3).await?;
        // Collected at once: the compiler cannot follow closures over borrowed keys through a stream.
        let mut uploads = Vec::new();
        for (key, sum) in &self.objects {
            if have.max_age != self.max_age || have.objects.get(key) != Some(sum) {
                uploads.push(self.upload(key, &name, &s3));
            }
        }
        stream::iter(uploads).buffer_unordered(8).try_collect::<()>().await?;
        let unwanted = have.objects.keys().filter(|it| !self.objects.contains_key(*it));
        let unwanted = unwanted.map(|it| ObjectIdentifier::builder().key(it).build());
        delete_objects(&name, unwanted.collect::<Result<_, _>>()?, &s3).await?;
        distribution::forget(&name, &self.outdates(have), cx.aws).await?;
        let mark = format!("{MARK}{}", self.max_age);
        s3.put_object().bucket(&name).key(&mark).body(ByteStream::from_static(b"")).send().await?;
        Ok(())
    }

    /// Keys under which a cache may keep something that is no longer so: what changed, and what goes.
    fn outdates(&self, have: &SiteContent) -> Vec<String> {
        let differs = |(key, sum): &(&String, &String)| {
            have.max_age != self.max_age || self.objects.get(*key) != Some(*sum)
        };
        have.objects.iter().filter(differs).map(|(key, _)| key.clone()).collect()
    }

    async fn upload(&self, key: &str, bucket: &str, s3: &Client) -> aws::Result<()> {
        let body = match self.sources.get(key) {
            Some(Source::Text(text)) => ByteStream::from_static(text.as_bytes()),
            Some(Source::File(path)) => {
                let content = tokio::fs::read(path).await;
                let content = content
                    .map_err(|err| aws::Error::refused(format!("reading {}: {err}", path.display())))?;
                ByteStream::from(content)
            }
            None => return Err(aws::Error::refused(format!("nothing to upload as {key}"))),
        };
        let put = s3.put_object().bucket(bucket).key(key).body(body).content_type(content_type(key));
        put.cache_control(format!("public, max-age={}", self.max_age)).send().await?;
        Ok(())
    }
}

impl Resource for SiteContent {
    const KIND: &'static str = "site-content";
    const GOES_WITH: Option<&str> = Some("bucket");
    const USABLE_AT_ONCE: bool = true;
    const FIXED: &'static [&'static str] = &["bucket"];

    async fn list(aws: &Aws) -> aws::Result<Vec<Found<Self>>> {
        let mut found = Vec::new();
        for it in ours(aws).await?.iter().filter(|it| it.node == SITE) {
            let (marks, objects) = split(objects(it, aws).await?);
            if objects.is_empty() && marks.is_empty() {
                continue;
            }
            let max_age = match &marks[..] {
                [only] => only.trim_start_matches(MARK).parse().unwrap_or(-1),
                _ => -1,
            };
            let spec = SiteContent {
                bucket: Ref::id(Some(&it.name)),
                number: objects.len(),
                objects,
                max_age,
                sources: BTreeMap::new(),
            };
            found.push(Found::untagged(Self::NODE, &it.name, spec));
        }
        Ok(found)
    }

    async fn create(&self, cx: &Cx<'_>) -> aws::Result<String> {
        let nothing = Self::empty(self.bucket, 0);
        self.synchronise(&SiteContent { max_age: -1, ..nothing }, Vec::new(), cx).await?;
        Ok(cx.id(self.bucket))
    }

    async fn configure(&self, have: &Found<Self>, cx: &Cx<'_>) -> aws::Result<()> {
        let now = objects(&settled(&have.id, cx.aws).await?, cx.aws).await?;
        let (marks, objects) = split(now);
        // A try that was given up has taken the mark away: what it uploaded, caches were not told of.
        let max_age = if marks.is_empty() { -1 } else { have.spec.max_age };
        self.synchronise(&SiteContent { objects, max_age, ..have.spec.clone() }, marks, cx).await
    }

    async fn delete(have: &Found<Self>, aws: &Aws) -> aws::Result<()> {
        let Some(bucket) = by_name(&have.id, aws).await? else { return Ok(()) };
        let keys = objects(&bucket, aws).await?.into_keys();
        let all = keys.map(|it| ObjectIdentifier::builder().key(it).build()).collect::<Result<_, _>>()?;
        delete_objects(&have.id, all, &bucket.client(aws)).await
    }
}

/// The objects that tell headers, and all others.
fn split(mut objects: BTreeMap<String, String>) -> (Vec<String>, BTreeMap<String, String>) {
    let marks: Vec<_> = objects.keys().filter(|it| it.starts_with(MARK)).cloned().collect();
    objects.retain(|key, _| !key.starts_with(MARK));
    (marks, objects)
}

fn collect(folder: &Path, prefix: &str, files: &mut BTreeMap<String, PathBuf>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|it| it.to_str()) else {
            let why = format!("the name of {} is not UTF-8, which a key has to be", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        };
        if name.starts_with('.') {
            continue;
        }
        let key = format!("{prefix}{name}");
        if path.is_dir() {
            collect(&path, &format!("{key}/"), files)?;
        } else {
            files.insert(key, path);
        }
    }
    Ok(())
}

fn content_type(key: &str) -> String {
    let guess = mime_guess::from_path(key).first_or_octet_stream();
    let is_text =
        guess.type_() == "text" || matches!(guess.subtype().as_str(), "javascript" | "json" | "xml");
    if is_text { format!("{}; charset=utf-8", guess.essence_str()) } else { guess.essence_str().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_say_how_they_are_encoded() {
        assert_eq!(content_type("a/index.html"), "text/html; charset=utf-8");
        assert_eq!(content_type("logo.png"), "image/png");
        assert_eq!(content_type("data"), "application/octet-stream");
    }

    #[test]
    fn a_folder_is_read_with_all_below_it_and_without_hidden_files() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("img/.git")).unwrap();
        for it in ["index.html", "img/a.png", "img/.git/config", ".hidden"] {
            std::fs::write(dir.path().join(it), it).unwrap();
        }
        let content = SiteContent::of_folder(Ref::id(None), dir.path(), 60).unwrap();
        let keys: Vec<_> = content.objects.keys().collect();
        assert_eq!(keys, ["img/a.png", "index.html"]);
    }
}
