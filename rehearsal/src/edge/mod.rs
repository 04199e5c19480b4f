//! The edge of the cloud: CloudFront's locations, and the buckets as the world sees them.
//!
//! All of it answers at one address of the region's internet, by the name that is asked for. What there is, is read
//! from the control plane whenever somebody changed something there.

mod cache;
mod policy;
mod serve;
mod site;
mod storage;
mod view;
mod viewer;

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;

use crate::authority::Authority;
use crate::region::Region;
use crate::wire::Place;
use cache::Cache;
use serve::Keys;
use storage::Storage;
use view::View;
pub use viewer::Viewer;

/// Where everything of it answers.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);
/// Where the region's directory has the certificate that its viewers have to trust.
pub(crate) const ROOT: &str = "root.pem";
/// How soon a change is seen.
const PAUSE: Duration = Duration::from_millis(500);

pub(crate) struct Edge {
    region: Region,
    cloudfront: aws_sdk_cloudfront::Client,
    storage: Storage,
    cache: Mutex<Cache>,
    view: Mutex<Arc<View>>,
    /// Ports of this machine's loopback, by name.
    outside: Mutex<std::collections::BTreeMap<String, u16>>,
}

impl Edge {
    /// Opens it; inside of a runtime. `changes` counts what may have changed in the control plane.
    pub(crate) fn start(
        region: &Region,
        cloudfront: aws_sdk_cloudfront::Client,
        control: String,
        authority: Arc<Authority>,
        changes: impl Fn() -> u64 + Send + 'static,
    ) -> anyhow::Result<Arc<Edge>> {
        for address in [ADDRESS, Viewer::FAR] {
            let said = region
                .exec(Place::Internet, &["ip", "addr", "add", &format!("{address}/32"), "dev", "lo"])?;
            if !said.success() {
                anyhow::bail!("giving the edge its address {address}: {}", said.stderr.trim());
            }
        }
        let root = region.dir().join(ROOT);
        std::fs::write(&root, authority.pem()).with_context(|| format!("writing {}", root.display()))?;
        let edge = Arc::new(Edge {
            region: region.clone(),
            cloudfront,
            storage: Storage::new(control),
            cache: Mutex::default(),
            view: Mutex::default(),
            outside: Mutex::default(),
        });
        edge.open(region.listen(Place::Internet, SocketAddrV4::new(ADDRESS, 80))?)?;
        edge.open_tls(
            region.listen(Place::Internet, SocketAddrV4::new(ADDRESS, 443))?,
            Keys::new(authority),
        )?;
        let weak = Arc::downgrade(&edge);
        tokio::spawn(async move {
            let mut seen = 0;
            loop {
                tokio::time::sleep(PAUSE).await;
                let (Some(edge), now) = (weak.upgrade(), changes()) else { return };
                // What could not be read is read again.
                if now != seen && edge.look().await.is_ok() {
                    seen = now;
                }
            }
        });
        Ok(edge)
    }

    fn view(&self) -> MutexGuard<'_, Arc<View>> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads what there is, makes its names known and forgets what was invalidated.
    async fn look(&self) -> anyhow::Result<()> {
        let new = Arc::new(View::read(&self.cloudfront, &self.storage).await?);
        let old = std::mem::replace(&mut *self.view(), Arc::clone(&new));
        for name in new.sites.keys().filter(|it| !old.sites.contains_key(*it)) {
            self.region.name(name, &[ADDRESS])?;
        }
        for name in old.sites.keys().filter(|it| !new.sites.contains_key(*it)) {
            self.region.name(name, &[])?;
        }
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let ids: BTreeSet<&str> = new.distributions().map(|it| it.id.as_str()).collect();
        cache.keep_only(|it| ids.contains(it));
        for (key, paths) in new.invalidations.iter().filter(|it| !old.invalidations.contains_key(it.0)) {
            paths.iter().for_each(|it| cache.invalidate(&key.0, it));
        }
        // What was kept of a distribution that has changed since may not be what it would answer now.
        for it in new.distributions().filter(|it| !old.distributions().any(|one| one == *it)) {
            cache.invalidate(&it.id, "/*");
        }
        Ok(())
    }

    /// A URL of this machine that leads to what has this name; `None` if nothing has it.
    pub(crate) fn url(self: &Arc<Edge>, name: &str) -> anyhow::Result<Option<String>> {
        if !self.view().sites.contains_key(name) {
            return Ok(None);
        }
        let mut outside = self.outside.lock().unwrap_or_else(PoisonError::into_inner);
        let port = match outside.get(name) {
            Some(port) => *port,
            None => {
                let port = self.open_outside(name)?;
                outside.insert(name.to_owned(), port);
                port
            }
        };
        Ok(Some(format!("http://127.0.0.1:{port}")))
    }
}
